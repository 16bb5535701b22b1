"""Which of Cartesia's voices, models and emotions a person means."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from blocks.answers import at, items, word
from blocks.blame import told
from blocks.choices import MANY, named, primary, speed_of, tags, unknown
from blocks.speech import BadVoice, Offer, Voice

_MODELS = ("sonic-3.5", "sonic-3.6", "sonic-3", "sonic-latest")
"""The first is the default."""
_SNAPSHOT = re.compile(r"sonic-3(\.\d+)?-\d{4}-\d\d-\d\d")
_EMOTIONS = tags(
    "neutral happy excited enthusiastic elated euphoric triumphant amazed surprised flirtatious curious content "
    "peaceful serene calm grateful affectionate trust sympathetic anticipation mysterious angry mad outraged "
    "frustrated agitated threatened disgusted contempt envious sarcastic ironic sad dejected melancholic "
    "disappointed hurt guilty bored tired rejected nostalgic wistful apologetic hesitant insecure confused resigned "
    "anxious panicked alarmed scared proud confident distant skeptical contemplative determined joking/comedic"
)


@dataclass(frozen=True, slots=True)
class Speaker:
    offer: Offer
    called: str
    languages: tuple[str, ...]
    """Its own first, then those that it was taught."""


def speakers(entries: Sequence[Any]) -> list[Speaker]:
    """From one page of the listing."""
    found = []
    for entry in entries:
        name, own = word(at(entry, "id")), word(at(entry, "language"))
        called = word(at(entry, "name"))
        locales = [word(at(locale, "locale")) or word(at(locale, "code")) for locale in items(at(entry, "locales"))]
        if name and own:
            words = told(": ".join(filter(None, (called, word(at(entry, "description"))))))
            taught = (locale.partition("-")[0] for locale in locales if locale)
            found.append(Speaker(Offer(name, own, words), called, tuple(dict.fromkeys((own, *taught)))))
    return found


def resolve(voice: Voice, listed: Sequence[Speaker]) -> Voice:
    """See `Provider.resolve`."""
    model = voice.model.strip() or _MODELS[0]
    if not _SNAPSHOT.fullmatch(model):
        model = named("cartesia", "model", model, _MODELS)
    speed = speed_of("cartesia", voice.speed, 0.6, 1.5)
    style = voice.style.strip().lower()
    if style and style not in _EMOTIONS:
        raise unknown("cartesia", "emotion", voice.style, sorted(_EMOTIONS))
    asked = "" if voice.language == MANY else voice.language
    speaker = _speaker(voice.name.strip(), asked, listed)
    language = next((own for own in speaker.languages if primary(own) == primary(asked)), speaker.languages[0])
    chosen = replace(voice, provider="cartesia", name=speaker.offer.name, language=language)
    return replace(chosen, model=model, speed=speed, style=style)


def _speaker(asked: str, language: str, listed: Sequence[Speaker]) -> Speaker:
    able = [speaker for speaker in listed if not language or primary(language) in map(primary, speaker.languages)]
    if not asked:
        native = [speaker for speaker in able if primary(speaker.offer.language) == primary(language or "en")]
        if not able:
            raise unknown("cartesia", "language", language, sorted({s.offer.language for s in listed}))
        return (native or able)[0]
    meant = [speaker for speaker in listed if asked.lower() in {speaker.offer.name.lower(), speaker.called.lower()}]
    if not meant:
        raise unknown("cartesia", "voice", asked, [name for s in listed for name in (s.called, s.offer.name)])
    if not (fitting := [speaker for speaker in meant if speaker in able]):
        spoken = ", ".join(meant[0].languages)
        raise BadVoice(
            f"The voice {meant[0].called or asked} speaks {spoken}, not {language}: leave out one of the two."
        )
    return fitting[0]
