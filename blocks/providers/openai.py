"""OpenAI's speech endpoint, and the servers that speak its shape: Kokoro-FastAPI, speaches, openai-edge-tts, vLLM.

OpenAI itself ends its speech models on 2027-01-06; the shape lives on in the others.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal
from urllib.parse import urlsplit

import httpx

from blocks.answers import at, items, parsed, word
from blocks.blame import ABOUT_TEXT, Blame, Receipt, blamed, by_status, check_text, header, retry_after_s, text_of, told
from blocks.choices import without_markup
from blocks.keys import KEYLESS
from blocks.listing import check_speaks, listing
from blocks.plans import PLANS
from blocks.providers.openai_voices import DEFAULT, Listing, documented, offered, resolve
from blocks.sound import audio
from blocks.speech import (
    AccountExhausted,
    Audio,
    BadKey,
    BadVoice,
    Billed,
    Limits,
    Offer,
    RateLimited,
    Refused,
    Voice,
)
from blocks.wire import Answer, Wire

SERVER = "https://api.openai.com"
_SPEECH = "/audio/speech"
_VENDORS = {"api.openai.com", "api.groq.com"}
"""These refuse fields that they do not know; the others stream, and cut a failing stream, unless told not to."""
_CODES: dict[str, type[AccountExhausted | BadKey | BadVoice | Refused]] = {
    "insufficient_quota": AccountExhausted,
    "billing_hard_limit_reached": AccountExhausted,
    "billing_not_active": AccountExhausted,
    "invalid_api_key": BadKey,
    "account_deactivated": BadKey,
    "model_not_found": BadVoice,
    "invalid_model": BadVoice,
    "invalid_voice": BadVoice,
    "voice_not_found": BadVoice,
    "content_policy_violation": Refused,
    "content_filter": Refused,
}
_CHOICES = {"voice", "model", "speed", "response_format", "instructions"}
_ABOUT_VOICE = re.compile(
    r"available voices|\bvoices?\b.*\b(not found|invalid|unknown|unsupported)|invalid.*\bvoice\b", re.IGNORECASE
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class OpenAI:
    """A Provider. Belongs to the event loop that it is first used on."""

    # gpt-4o-mini-tts takes 2,000 tokens, of which a Chinese character is about one.
    limits = Limits(characters=1500, bytes=4500)
    call_s = 3.0

    def __init__(
        self,
        server: str = SERVER,
        key: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        name: Literal["openai", "kokoro"] = "openai",
    ) -> None:
        """`name` is the provider's: for Kokoro's server its own."""
        self.name: str = name
        self.plan = PLANS[name][0]
        headers = {"authorization": f"Bearer {key}"} if key else {}
        secret = None if name in KEYLESS else key
        blame = partial(classify, name=name)
        self._wire = Wire(name, _versioned(server), blame, headers, secret=secret, transport=transport)
        self._vendor = urlsplit(self._wire.server).hostname in _VENDORS
        self._listing: Listing | None = None

    async def voices(self) -> Sequence[Offer]:
        listing = await self._listed()
        return listing.offers or documented(DEFAULT)

    async def resolve(self, voice: Voice) -> Voice:
        """The server's lists decide; one without a list of voices is taken at OpenAI's word, by the model's name."""
        return resolve(replace(voice, provider=self.name), await self._listed())

    async def synthesise(self, text: str, voice: Voice) -> Audio:
        check_text(self.name, text, self.limits)
        return _audio(await self._wire.post(_SPEECH, self._request(text, voice), deadline_s=180))

    async def close(self) -> None:
        await self._wire.close()

    def _request(self, text: str, voice: Voice) -> dict[str, object]:
        named_voice: object = {"id": voice.name} if voice.name.startswith("voice_") else voice.name
        request: dict[str, object] = {
            "model": voice.model,
            # Kokoro-FastAPI reads [pause:1s] and [word](/phonemes/) as commands.
            "input": text if self._vendor else without_markup(text, "[]"),
            "voice": named_voice,
            "response_format": "wav",
            "speed": voice.speed,  # Always: openai-edge-tts speaks at 1.2 unless told.
        }
        if voice.style:
            request["instructions"] = voice.style
        return request if self._vendor else request | {"stream": False}

    async def _listed(self) -> Listing:
        if self._listing is None:
            models = await listing(self._wire, "/models", optional=True)
            names = tuple(dict.fromkeys(filter(None, (word(at(model, "id")) for model in items(at(models, "data"))))))
            answers = [models]
            for place in () if self._vendor else ("/audio/voices", "/voices/all"):
                answers.append(await listing(self._wire, place, optional=True))
                if offered(answers[-1]):
                    break
            if all(answer is None for answer in answers):
                await check_speaks(self._wire, _SPEECH)
            self._listing = Listing(names, offered(answers[-1]) if len(answers) > 1 else ())
        return self._listing


def classify(status: int, headers: Mapping[str, str], body: bytes, name: str = "openai") -> Blame:
    """Who is at fault for an answer that is no speech. Never raises."""
    code, message, param = _complaint(body)
    kind, billed = by_status(status)
    explained = _CODES.get(code)
    about_voice = param != "input" and _ABOUT_VOICE.search(message) and not ABOUT_TEXT.search(message)
    if status in {400, 422} and (param in _CHOICES or about_voice):
        explained = explained or BadVoice
    if explained and status >= 400:
        kind, billed = explained, Billed.NO
    wait_s = retry_after_s(headers)
    if kind is RateLimited and wait_s is None:
        wait_s = _reset_s(headers)
    return blamed(
        kind,
        f"{name} answered {status}: {message or text_of(body) or 'nothing'}",
        billed=billed,
        wait_s=wait_s,
        request_id=header(headers, "x-request-id"),
    )


def _complaint(body: bytes) -> tuple[str, str, str]:
    """Code, message and parameter, out of OpenAI's envelope, FastAPI's, Kokoro-FastAPI's and openai-edge-tts's."""
    answer = parsed(body)
    error = at(answer, "error")
    detail = at(answer, "detail")
    if isinstance(error, dict):
        code = word(error.get("code")) if word(error.get("code")) in _CODES else word(error.get("type"))
        return code or word(error.get("code")), told(word(error.get("message"))), word(error.get("param"))
    if isinstance(detail, dict):
        return word(detail.get("error")), told(word(detail.get("message"))), word(detail.get("param"))
    if isinstance(detail, list):
        place = items(at(detail, 0, "loc"))
        field = word(place[-1]) if place else ""
        return "", told(f"{field}: {word(at(detail, 0, 'msg'))}"), field
    said = word(error) or word(detail) or word(at(answer, "message"))
    details = word(at(answer, "details"))
    return "", told(f"{said}: {details}" if said and details else said or details), ""


def _reset_s(headers: Mapping[str, str]) -> float | None:
    """When the limit that is used up starts anew, from OpenAI's x-ratelimit headers (`6m0s`, `20ms`)."""
    waits = [
        sum(
            float(number) * _UNITS[unit]
            for number, unit in _DURATION.findall(header(headers, f"x-ratelimit-reset-{what}"))
        )
        for what in ("requests", "tokens")
        if header(headers, f"x-ratelimit-remaining-{what}") == "0"
    ]
    return min(max(waits), 86_400.0) if waits and max(waits) > 0 else None


def _audio(answer: Answer) -> Audio:
    declared = header(answer.headers, "content-type").lower()
    rate = 24_000 if "pcm" in declared or "l16" in declared else 0
    return audio(answer.body, Receipt(request_id=header(answer.headers, "x-request-id")), pcm_rate=rate)


def _versioned(server: str) -> str:
    """The base that the paths follow: `/v1` unless a version stands there."""
    base = server.rstrip("/")
    return base if re.search(r"/v\d+$", base) else f"{base}/v1"
