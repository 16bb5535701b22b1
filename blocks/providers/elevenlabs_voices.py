"""Which of ElevenLabs' voices and models a person means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from blocks.answers import at, items, word
from blocks.blame import told
from blocks.choices import MANY, canonical, language_of, named, primary, speed_of, tags, unknown
from blocks.speech import BadVoice, Offer, Voice

_TWENTY_NINE = tags("en ja zh de hi fr ko pt it es id nl tr fil pl sv bg ro ar cs el fi hr ms sk da ta uk ru")
_SEVENTY_FOUR = tags(
    "af ar as az be bg bn bs ca ceb cs cy da de el en es et fa fi fil fr ga gl gu ha he hi hr hu hy id is it ja jv ka "
    "kk kn ko ky lb ln lt lv mk ml mr ms ne nl no ny pa pl ps pt ro ru sd sk sl so sr sv sw ta te th tr uk ur vi zh"
)
_MODELS = {
    "eleven_multilingual_v2": _TWENTY_NINE,
    "eleven_flash_v2_5": _TWENTY_NINE | tags("hu no vi"),
    "eleven_v3": _SEVENTY_FOUR,
}
"""The preferred, best first, with their languages where the server does not tell them."""
_FOLLOW_THE_TEXT = {
    "eleven_multilingual_v2",
    "eleven_multilingual_v1",
    "eleven_monolingual_v1",
    "eleven_flash_v2",
    "eleven_turbo_v2",
}
"""These refuse a language code."""


@dataclass(frozen=True, slots=True)
class Listing:
    offers: tuple[Offer, ...]
    models: Mapping[str, frozenset[str]]
    """The languages of each model that speaks."""


def offers(entries: Sequence[Any]) -> tuple[Offer, ...]:
    found = []
    for entry in entries:
        about = [word(at(entry, "name")), *(word(at(entry, "labels", label)) for label in ("accent", "gender"))]
        if name := word(at(entry, "voice_id")):
            found.append(Offer(name, MANY, told(": ".join(filter(None, about)))))
    return tuple(found)


def models(listing: object) -> Mapping[str, frozenset[str]]:
    speaking = [model for model in items(listing) if at(model, "can_do_text_to_speech") is True]
    return {
        name: frozenset(filter(None, (word(at(language, "language_id")) for language in items(at(model, "languages")))))
        for model in speaking
        if (name := word(at(model, "model_id")))
    } or _MODELS


def resolve(voice: Voice, listing: Listing) -> Voice:
    """See `Provider.resolve`."""
    if voice.style:
        raise BadVoice(f"elevenlabs takes no style in words ({told(voice.style)!r} was asked for): leave it empty.")
    asked = "" if voice.language == MANY else voice.language
    model = voice.model.strip()
    model = named("elevenlabs", "model", model, listing.models) if model else _default(asked, listing.models)
    language = language_of("elevenlabs", asked, listing.models[model])
    speed = speed_of("elevenlabs", voice.speed, 0.7, 1.2)
    name = _offer(voice.name.strip(), listing.offers).name
    return replace(voice, provider="elevenlabs", name=name, language=language, model=model, speed=speed)


def enforces(voice: Voice) -> str:
    """The code that makes the model speak the voice's language; empty where it follows the text."""
    if voice.language == MANY or voice.model in _FOLLOW_THE_TEXT:
        return ""
    return canonical(voice.language).partition("-")[0]


def _default(language: str, known: Mapping[str, frozenset[str]]) -> str:
    for model in (*_MODELS, *known):
        if model in known and (not language or primary(language) in map(primary, known[model])):
            return model
    raise unknown("elevenlabs", "language", language, sorted({own for owned in known.values() for own in owned}))


def _offer(asked: str, listed: Sequence[Offer]) -> Offer:
    if not listed:
        raise BadVoice("This ElevenLabs account has no voice: add one to it.")
    if not asked:
        return listed[0]
    for offer in listed:
        if asked.lower() in {offer.name.lower(), _called(offer)}:
            return offer
    raise unknown("elevenlabs", "voice", asked, [name for offer in listed for name in (_called(offer), offer.name)])


def _called(offer: Offer) -> str:
    return offer.description.partition(":")[0].lower()
