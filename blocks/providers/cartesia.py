"""Cartesia's Sonic: `POST /tts/bytes`. Only whole speech is charged, and an account's calls in flight are limited."""

import re
from collections.abc import Mapping, Sequence

import httpx

from blocks.answers import at, items, parsed, word
from blocks.blame import ABOUT_TEXT, Blame, Receipt, blamed, by_status, check_text, header, retry_after_s, text_of, told
from blocks.choices import without_markup
from blocks.listing import listing
from blocks.plans import PLANS
from blocks.providers.cartesia_voices import Speaker, resolve, speakers
from blocks.sound import audio
from blocks.speech import Audio, BadVoice, Billed, Crowded, Limits, Offer, Voice
from blocks.wire import Wire

SERVER = "https://api.cartesia.ai"
_VERSION = "2026-03-01"
"""The first with errors in JSON; before, they are plain text."""
_PAGES = 100
_CODES: dict[str, type[BadVoice | Crowded]] = {
    "concurrency_limited": Crowded,
    "model_not_found": BadVoice,
    "voice_not_found": BadVoice,
}
_CHOICES = re.compile(r"\b(voice|model|model_id|language|locale|speed|volume|emotion|sample_rate)\b", re.IGNORECASE)


class Cartesia:
    """A Provider. Belongs to the event loop that it is first used on."""

    name = "cartesia"
    plan = PLANS["cartesia"][0]
    # No limit is published: a long paragraph.
    limits = Limits(characters=1000, bytes=3000)
    call_s = 3.0

    def __init__(self, server: str = SERVER, key: str = "", transport: httpx.AsyncBaseTransport | None = None) -> None:
        headers = {"cartesia-version": _VERSION} | ({"authorization": f"Bearer {key}"} if key else {})
        self._wire = Wire(self.name, server, classify, headers, secret=key, transport=transport)
        self._speakers: tuple[Speaker, ...] | None = None

    async def voices(self) -> Sequence[Offer]:
        """Named by their ids, which do not change; the description holds what a person calls them."""
        return [speaker.offer for speaker in await self._listed()]

    async def resolve(self, voice: Voice) -> Voice:
        """A voice by its id or its name; without one, the first of the language."""
        return resolve(voice, await self._listed())

    async def synthesise(self, text: str, voice: Voice) -> Audio:
        check_text(self.name, text, self.limits)
        answer = await self._wire.post("/tts/bytes", request(text, voice), deadline_s=120)
        rate = 44_100 if header(answer.headers, "content-type").startswith("audio/pcm") else 0
        return audio(answer.body, Receipt(request_id=header(answer.headers, "x-request-id")), pcm_rate=rate)

    async def close(self) -> None:
        await self._wire.close()

    async def _listed(self) -> tuple[Speaker, ...]:
        if self._speakers is None:
            found: list[Speaker] = []
            after: dict[str, str] = {}
            for _ in range(_PAGES):
                page = await listing(self._wire, "/voices", {"limit": "100", **after})
                found += speakers(items(at(page, "data")))
                if not at(page, "has_more") or not found or after.get("starting_after") == found[-1].offer.name:
                    break
                after = {"starting_after": found[-1].offer.name}
            self._speakers = tuple(found)
        return self._speakers


def request(text: str, voice: Voice) -> dict[str, object]:
    """The body; `<break/>`, `<emotion/>` and `[laughter]` in a text would be commands."""
    tuned: dict[str, object] = {"speed": voice.speed} if voice.speed != 1.0 else {}
    if voice.style:
        tuned["emotion"] = voice.style
    return {
        "model_id": voice.model,
        "transcript": without_markup(text, "<>[]"),
        "voice": {"mode": "id", "id": voice.name},
        "language": voice.language.partition("-")[0],
        "output_format": {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 44_100},
        **({"generation_config": tuned} if tuned else {}),
    }


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Blame:
    """Never raises. Reads JSON and the older `Title: Message`."""
    answer = parsed(body)
    words = [word(at(answer, name)) for name in ("title", "message")]
    message = told(": ".join(filter(None, words))) or text_of(body)
    kind, billed = by_status(status)
    if status >= 400:
        explained = _CODES.get(word(at(answer, "error_code")))
        about_choice = status in {400, 422} and _CHOICES.search(message) and not ABOUT_TEXT.search(message)
        kind = explained or (BadVoice if about_choice else kind)
    return blamed(
        kind,
        f"cartesia answered {status}: {message or 'nothing'}",
        billed=Billed.NO if kind in _CODES.values() else billed,
        wait_s=retry_after_s(headers),
        request_id=word(at(answer, "request_id")) or header(headers, "x-request-id"),
    )
