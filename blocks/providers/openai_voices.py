"""Which model and voice of an OpenAI-shaped server a person means: by the server's lists, else by OpenAI's pages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from blocks.answers import at, items, word
from blocks.blame import told
from blocks.choices import MANY, by_language, canonical, check_spoken, language_of, named, speed_of, tags
from blocks.speech import BadVoice, Offer, Voice

DEFAULT = "gpt-4o-mini-tts"
_PREFERRED = ("kokoro", DEFAULT, "tts-1")
_FIRST = ("alloy", "ash", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer")
_VOICES: dict[str, tuple[str, ...]] = {
    "tts-1": _FIRST,
    "tts-1-hd": _FIRST,
    DEFAULT: (*_FIRST, "ballad", "cedar", "marin", "verse"),
}
"""OpenAI lists its models, but not these. The first is the default."""
_WITH_STYLE = {DEFAULT}
_SNAPSHOT = re.compile(r"-\d{4}-\d\d-\d\d$")
_LANGUAGES = tags(
    "af ar az be bg bs ca cs cy da de el en es et fa fi fil fr gl he hi hr hu hy id is it ja kk kn ko lt lv mi mk mr "
    "ms ne nl no pl pt ro ru sk sl sr sv sw ta th tr uk ur vi zh"
)
_KOKORO = dict(a="en-US", b="en-GB", e="es", f="fr-FR", h="hi", i="it", j="ja", p="pt-BR", z="zh")  # noqa: C408 - brief
"""The language that the first letter of a Kokoro voice stands for."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a server says it has; nothing where it does not say."""

    models: tuple[str, ...]
    offers: tuple[Offer, ...]


def documented(model: str) -> tuple[Offer, ...]:
    """OpenAI's voices; none for a model that is not OpenAI's."""
    return tuple(Offer(name, MANY) for name in _VOICES.get(_undated(model), ()))


def offered(listing: object) -> tuple[Offer, ...]:
    """From `{"voices": [...]}` or `{"data": [...]}` of names or of objects."""
    entries = items(at(listing, "voices")) or items(at(listing, "data")) or items(listing)
    names = (word(entry) or word(at(entry, "id")) or word(at(entry, "name")) for entry in entries)
    return tuple(Offer(name, _spoken(name)) for name in dict.fromkeys(filter(None, names)))


def resolve(voice: Voice, listing: Listing) -> Voice:
    """See `Provider.resolve`."""
    model = _model(voice, listing.models)
    if voice.style and _undated(model) not in _WITH_STYLE:
        raise BadVoice(f"The model {model} takes no style ({told(voice.style)!r} was asked for): leave it empty.")
    offer = _offer(voice, listing.offers or documented(model))
    language = offer.language
    if voice.language and language == MANY:
        language = language_of(voice.provider, voice.language, _LANGUAGES)
    speed = speed_of(voice.provider, voice.speed, 0.25, 4.0)
    return replace(voice, name=offer.name, language=language, model=model, speed=speed)


def _spoken(name: str) -> str:
    """The language that a voice's name tells: `af_bella` (Kokoro), `vi-VN-HoaiMyNeural` (Microsoft)."""
    if kokoro := re.match(r"([a-z])[fm]_", name):
        return _KOKORO.get(kokoro[1], MANY)
    microsoft = re.match(r"([a-z]{2,3}-[A-Z]{2})-\w+", name)
    return canonical(microsoft[1]) if microsoft else MANY


def _undated(model: str) -> str:
    """`gpt-4o-mini-tts` for one of its snapshots, `gpt-4o-mini-tts-2025-12-15`."""
    return _SNAPSHOT.sub("", model)


def _model(voice: Voice, listed: Sequence[str]) -> str:
    if asked := voice.model.strip():
        return named(voice.provider, "model", asked, listed) if listed else asked
    if not listed:
        return DEFAULT
    if len(listed) == 1:
        return listed[0]
    for model in _PREFERRED:
        if model in listed:
            return model
    raise BadVoice(f"This server has no model that is known to speak: name one of {told(', '.join(listed))}.")


def _offer(voice: Voice, offers: Sequence[Offer]) -> Offer:
    """The one that is meant; its name may be a mixture, as Kokoro reads it: `af_bella(2)+af_sky`."""
    asked = voice.name.strip()
    if not asked:
        if not offers:
            raise BadVoice("This server does not list its voices: name one with --voice.")
        return by_language(voice.provider, voice.language, offers)
    if asked.startswith("voice_") or not offers:
        return Offer(asked, MANY)
    names = [offer.name for offer in offers]
    parts = [part.partition("(") for part in asked.split("+")]
    spelt = [(named(voice.provider, "voice", name, names), mark + weight) for name, mark, weight in parts]
    first = next(offer for offer in offers if offer.name == spelt[0][0])
    check_spoken(voice.language, first)
    return replace(first, name="+".join(name + weight for name, weight in spelt))
