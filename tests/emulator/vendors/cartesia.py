"""Cartesia: POST /tts/bytes."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from tests.emulator.sound import Format, Sound
from tests.emulator.vendor import Ask, Call, Refuse, Row, Shape, bearer, number
from tests.emulator.wire import Answer, Request, in_json

_STRUCTURED_SINCE = "2026-03-01"
_MODELS = ("sonic-3.5", "sonic-3", "sonic-latest")
_DATED = re.compile(r"sonic-3(\.5)?-\d{4}-\d\d-\d\d")
_LANGUAGES = (  # noqa: SIM905 - 42 lines
    "en fr de es pt zh ja hi it ko nl pl ru sv tr tl bg ro ar cs el fi hr ms sk da ta uk hu no vi bn th he ka id te gu "
    "kn ml mr pa"
).split()
_VOICES = {
    "f786b574-daa5-4673-aa0c-cbe3e8534c02": ("Katie", "en", "f2"),
    "228fca29-3a0a-435c-8728-5cb483251068": ("Kiefer", "en", "m3"),
    "694f9389-aac1-45b6-b726-9d9369183238": ("Sarah", "en", "f4"),
    "a0e99841-438c-4a64-b679-ae501e7d6091": ("Barbershop Man", "en", "m1"),
    "0f5de4b5-0c5e-4f5b-9b53-5d6c2b7a1a01": ("Linh", "vi", "f3"),
    "0f5de4b5-0c5e-4f5b-9b53-5d6c2b7a1a02": ("Ivan", "ru", "m2"),
    "0f5de4b5-0c5e-4f5b-9b53-5d6c2b7a1a03": ("Mei", "zh", "f1"),
}
_RATES = {8_000, 16_000, 22_050, 24_000, 44_100, 48_000}
_ENCODINGS = {"pcm_s16le": "PCM_16", "pcm_f32le": "FLOAT", "pcm_mulaw": "ULAW", "pcm_alaw": "ALAW"}
_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg", "raw": "audio/pcm"}


class Cartesia:
    name = "cartesia"
    keyed = True
    rows: Mapping[str, Row] = {
        "bad_request": Row(400, "", "The request is invalid.", "Invalid request"),
        "language_unsupported": Row(400, "", "The language is not supported by this model.", "Invalid language"),
        "unauthorized": Row(401, "", "Invalid API key.", "Unauthorized"),
        "payment_required": Row(402, "", "You have run out of credits.", "Credits exhausted"),
        "forbidden": Row(403, "", "This key may not use this resource.", "Forbidden"),
        "voice_not_found": Row(404, "", "Voice not found.", "Not found"),
        "model_not_found": Row(404, "model_not_found", "Model not found.", "Model not found"),
        "concurrency_limited": Row(429, "concurrency_limited", "Too many concurrent requests.", "Too many requests"),
        "rate_limited": Row(429, "", "Too many requests.", "Too many requests"),
        "internal": Row(500, "", "Something went wrong.", "Internal server error"),
        "bad_gateway": Row(502, "", "Bad gateway.", "Bad gateway"),
        "unavailable": Row(503, "", "The service is unavailable.", "Service unavailable"),
    }
    limits: Mapping[str, str] = {
        "key": "unauthorized",
        "no_key": "unauthorized",
        "in_flight": "concurrency_limited",
        "minute": "rate_limited",
        "day": "rate_limited",
        "credits": "payment_required",
        "nonsense": "bad_request",
    }
    shapes: Mapping[str, Shape] = {}
    unbilled: Collection[str] = ()

    def key(self, request: Request) -> str:
        return bearer(request) or request.headers.get("x-api-key", "")

    def speaks(self, request: Request) -> bool:
        return (request.method, request.path) == ("POST", "/tts/bytes")

    def read(self, call: Call) -> Ask:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", _version(call)):
            raise Refuse("bad_request", "The Cartesia-Version header is required, as YYYY-MM-DD.")
        body = call.request.json()
        model = body["model_id"]
        if model not in _MODELS and not _DATED.fullmatch(model):
            raise Refuse("model_not_found", f"Model {model} not found.")
        if not body["transcript"].strip():
            raise Refuse("bad_request", "The transcript is empty.")
        voice = body["voice"] if isinstance(body["voice"], str) else body["voice"]["id"]
        if voice not in _VOICES:
            raise Refuse("voice_not_found", f"Voice {voice} not found.")
        tuned = body.get("generation_config") or {}
        speed = number(tuned.get("speed", 1.0), "speed", 0.6, 1.5, "bad_request")
        number(tuned.get("volume", 1.0), "volume", 0.5, 2.0, "bad_request")
        _, own, timbre = _VOICES[voice]
        return Ask(body["transcript"], _format(body["output_format"]), _language(body) or own, timbre, speed)

    def answer(self, call: Call, ask: Ask, _sound: Sound, data: bytes) -> Answer:
        headers = {"Content-Type": _TYPES[ask.format.container], "X-Request-ID": call.id}
        return Answer(body=data, headers=headers, framing="chunked")

    def refuse(self, call: Call, row: Row) -> Answer:
        """Plain text to clients of older versions, or where the envelope is `old`."""
        if call.envelope == "old" or _version(call) < _STRUCTURED_SINCE:
            body = f"{row.kind}: {row.message}".encode()
            return Answer(row.status, body, {"Content-Type": "text/plain; charset=utf-8"})
        error = {"error_code": row.code or None, "title": row.kind, "message": row.message, "request_id": call.id}
        return in_json(error, row.status)

    def listing(self, request: Request) -> Any:
        if request.path in {"/voices", "/voices/"}:
            return {"data": [_described(voice) for voice in _VOICES], "has_more": False, "next_page": None}
        voice = request.path.removeprefix("/voices/")
        return _described(voice) if voice in _VOICES else None

    def units(self, ask: Ask, _sound: Sound) -> int:
        """Characters."""
        return len(ask.text)


def _version(call: Call) -> str:
    return call.request.headers.get("cartesia-version", "")


def _language(body: dict[str, Any]) -> str:
    if body.get("language") and body.get("locale"):
        raise Refuse("bad_request", "Only one of language and locale may be given.")
    language: str = body.get("language") or body.get("locale") or ""
    if language and language.replace("_", "-").split("-")[0] not in _LANGUAGES:
        raise Refuse("language_unsupported", f"Language {language} is not supported.")
    return language.replace("_", "-")


def _format(wanted: dict[str, Any]) -> Format:
    container, rate = wanted["container"], wanted["sample_rate"]
    if container not in _TYPES or rate not in _RATES:
        raise Refuse("bad_request", "The output_format is not supported.")
    if container == "mp3":
        number(wanted["bit_rate"], "bit_rate", 32_000, 192_000, "bad_request")
        return Format("mp3", rate)
    return Format(container, rate, _ENCODINGS[wanted["encoding"]])


def _described(voice: str) -> dict[str, Any]:
    name, language, _ = _VOICES[voice]
    return {"id": voice, "name": name, "language": language, "is_owner": False, "description": f"{name}, emulated"}
