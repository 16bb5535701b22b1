"""Piper's HTTP server (`python -m piper.http_server`), which is Flask's development server around one engine."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import httpx

from blocks.answers import at, word
from blocks.blame import Blame, Receipt, blamed, by_status, check_text, retry_after_s, text_of
from blocks.choices import MANY, by_language, canonical, check_spoken, named, speed_of, without_markup
from blocks.listing import check_speaks, listing
from blocks.plans import PLANS
from blocks.sound import audio
from blocks.speech import Audio, BadVoice, Billed, Limits, Offer, Voice
from blocks.wire import Wire

_OLD_PATH = "/"
"""Where the server spoke before it had a page there."""
_NOT_HERE = {404, 405}
_DEADLINE_S = 120
_ONLY = Offer("default", MANY, "the one voice of an older server")


class Piper:
    """A Provider. Belongs to the event loop that it is first used on."""

    name = "piper"
    plan = PLANS["piper"][0]
    limits = Limits(characters=600, bytes=2400)
    call_s = 0.5

    def __init__(self, server: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._wire = Wire(self.name, server, classify, transport=transport)
        self._offers: tuple[Offer, ...] | None = None
        self._path = "/synthesize"

    async def voices(self) -> Sequence[Offer]:
        """Those that the server has; of one that lists none, its default."""
        if self._offers is None:
            listed, info = [await listing(self._wire, place, optional=True) for place in ("/voices", "/info")]
            if listed is None and info is None:
                await check_speaks(self._wire, self._path, _OLD_PATH)
            self._offers = tuple(_default_first(_offers(listed), info)) or (_ONLY,)
        return self._offers

    async def resolve(self, voice: Voice) -> Voice:
        """The server reads an unknown voice in its default one, so that its list decides here."""
        for what, value in (("model", voice.model), ("style", voice.style)):
            if value:
                raise BadVoice(f"piper takes no {what} ({value!r} was asked for): leave it empty.")
        offers = await self.voices()
        if voice.name:
            name = named(self.name, "voice", voice.name, (offer.name for offer in offers))
            offer = next(offer for offer in offers if offer.name == name)
            check_spoken(voice.language, offer)
        else:
            offer = by_language(self.name, voice.language, offers)
        if offer is _ONLY and voice.language not in {"", MANY}:
            raise BadVoice(f"This server does not tell what it speaks ({voice.language} was asked for): leave it out.")
        speed = speed_of(self.name, voice.speed, 0.25, 4.0)
        return replace(voice, provider=self.name, name=offer.name, language=offer.language, speed=speed)

    async def synthesise(self, text: str, voice: Voice) -> Audio:
        check_text(self.name, text, self.limits)
        request = _request(text, voice)
        answer = await self._wire.post(self._path, request, deadline_s=_DEADLINE_S, also=_NOT_HERE)
        if answer.status in _NOT_HERE:
            answer = await self._wire.post(_OLD_PATH, request, deadline_s=_DEADLINE_S)
            self._path = _OLD_PATH
        # Its content type is text/html, whatever it sends.
        return audio(answer.body, Receipt(Billed.NO))

    async def close(self) -> None:
        await self._wire.close()


def _request(text: str, voice: Voice) -> dict[str, object]:
    plain = without_markup(text, "[]")  # [[ ]] holds phonemes.
    own = {} if voice.name == _ONLY.name else {"voice": voice.name}
    return {"text": plain, "length_scale": round(1 / voice.speed, 4), **own}


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Blame:
    """Never raises. Nothing is billed; after a gateway's failure the engine may still be at work."""
    kind, billed = by_status(status)
    return blamed(
        kind,
        f"piper answered {status}: {text_of(body) or 'nothing'}",
        billed=billed if status >= 300 else Billed.NO,
        wait_s=retry_after_s(headers),
    )


def _offers(listing: object) -> list[Offer]:
    """From the configurations of the voices, by name."""
    voices = listing if isinstance(listing, dict) else {}
    return [Offer(name, _language(name, config)) for name, config in voices.items()]


def _default_first(offers: list[Offer], info: object) -> list[Offer]:
    told = at(info, "voice")
    default = word(at(told, "name")) or word(told)
    return sorted(offers, key=lambda offer: offer.name != default)


def _language(name: str, config: object) -> str:
    code = word(at(config, "language", "code")) or word(at(config, "espeak", "voice")) or name.partition("-")[0]
    return canonical(code)
