"""ElevenLabs: `POST /v1/text-to-speech/{voice_id}`."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import httpx

from blocks.answers import at, items, parsed, units, word
from blocks.blame import Blame, Receipt, blamed, by_status, check_text, header, retry_after_s, text_of, told
from blocks.choices import without_markup
from blocks.listing import listing
from blocks.plans import PLANS
from blocks.providers.elevenlabs_voices import Listing, enforces, models, offers, resolve
from blocks.sound import audio
from blocks.speech import (
    AccountExhausted,
    Audio,
    BadKey,
    BadText,
    BadVoice,
    CallFailed,
    Crowded,
    Forbidden,
    Limits,
    Offer,
    ProviderFailed,
    RateLimited,
    Usage,
    Voice,
)
from blocks.wire import Wire

SERVER = "https://api.elevenlabs.io"
_FORMAT = "wav_24000"
"""A whole file that tells its size; 44.1 kHz is for dearer plans."""
_RATE = 24_000
_KINDS: dict[type[CallFailed] | type[BadVoice], str] = {
    BadText: "text_too_long text_too_short empty_text invalid_text malformed_json max_character_limit_exceeded",
    BadVoice: "invalid_voice_id voice_not_found model_not_found invalid_output_format unsupported_model",
    BadKey: "invalid_api_key missing_api_key unauthorized",
    AccountExhausted: "quota_exceeded insufficient_credits",
    Forbidden: "voice_access_denied model_access_denied feature_not_available subscription_required "
    "insufficient_permissions",
    Crowded: "concurrent_limit_exceeded too_many_concurrent_requests",
    RateLimited: "rate_limit_exceeded",
    ProviderFailed: "system_busy internal_error service_unavailable maintenance",
}
_CODES = {code: kind for kind, codes in _KINDS.items() for code in codes.split()}
"""By `code`, and by the older `status`; they outrank the status of HTTP, which calls an empty account unauthorised."""
_CHOICES = {"voice_id", "model_id", "language_code", "voice_settings", "speed", "output_format"}


class ElevenLabs:
    """A Provider. Belongs to the event loop that it is first used on."""

    name = "elevenlabs"
    plan = PLANS["elevenlabs"][0]
    # Every model takes 5,000 characters; a minute or two is enough to lose.
    limits = Limits(characters=2000, bytes=6000)
    call_s = 4.0

    def __init__(self, server: str = SERVER, key: str = "", transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._wire = Wire(self.name, server, classify, {"xi-api-key": key}, secret=key, transport=transport)
        self._listing: Listing | None = None

    async def voices(self) -> Sequence[Offer]:
        """Named by their ids, which do not change; the description holds what a person calls them."""
        return (await self._listed()).offers

    async def resolve(self, voice: Voice) -> Voice:
        """A voice by its id or its name. Each speaks what its model speaks, by default the language of the text."""
        return resolve(voice, await self._listed())

    async def synthesise(self, text: str, voice: Voice) -> Audio:
        check_text(self.name, text, self.limits)
        path = f"/v1/text-to-speech/{quote(voice.name, safe='')}"
        params = {"output_format": _FORMAT}
        answer = await self._wire.post(path, request(text, voice), params=params, deadline_s=180)
        raw = "pcm" in header(answer.headers, "content-type")
        return audio(answer.body, receipt(answer.headers), pcm_rate=_RATE if raw else 0)

    async def close(self) -> None:
        await self._wire.close()

    async def _listed(self) -> Listing:
        if self._listing is None:
            voices = items(at(await listing(self._wire, "/v1/voices"), "voices"))
            self._listing = Listing(offers(voices), models(await listing(self._wire, "/v1/models")))
        return self._listing


def request(text: str, voice: Voice) -> dict[str, object]:
    """The body; `<break/>` and, for the newer models, `[whispers]` in a text would be commands."""
    body: dict[str, object] = {"text": without_markup(text, "<>[]"), "model_id": voice.model}
    if code := enforces(voice):
        body["language_code"] = code
    if voice.speed != 1.0:  # Settings that are sent replace those that are stored with the voice.
        body["voice_settings"] = {"speed": voice.speed}
    return body


def receipt(headers: Mapping[str, str]) -> Receipt:
    """What a success cost, in characters as the plan counts them (some models count half), and what the plan allows."""
    cost, in_flight = (units(header(headers, name)) for name in ("character-cost", "maximum-concurrent-requests"))
    usage = None if cost is None else Usage(cost)
    return Receipt(request_id=header(headers, "request-id"), usage=usage, in_flight=in_flight)


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Blame:
    """Never raises. The vendor's code first, then its legacy status, then that of HTTP."""
    detail = at(parsed(body), "detail")
    code, legacy = word(at(detail, "code")), word(at(detail, "status"))
    message = told(word(at(detail, "message")) or word(detail))
    kind, billed = by_status(status)
    if status >= 400:
        kind = _CODES.get(code) or _CODES.get(legacy) or kind
        place = {word(step) for step in items(at(detail, 0, "loc"))} | {word(at(detail, "param"))}
        if status in {400, 422} and place & _CHOICES and kind is BadText:
            kind = BadVoice
        message = message or told(word(at(detail, 0, "msg")))
    return blamed(
        kind,
        f"elevenlabs answered {status}: {message or text_of(body) or 'nothing'}",
        billed=billed,
        wait_s=retry_after_s(headers),
        request_id=header(headers, "request-id") or word(at(detail, "request_id")),
    )
