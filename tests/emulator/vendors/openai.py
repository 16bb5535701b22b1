"""OpenAI: POST /v1/audio/speech."""

import time
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from tests.emulator.sound import Format, Sound
from tests.emulator.vendor import Ask, Call, Refuse, Row, Shape, bearer, number
from tests.emulator.wire import Answer, Request, in_json

_MOST_CHARACTERS = 4_096
_VOICES = "alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse".split()  # noqa: SIM905 - 13 lines
_TIMBRES = ("f2", "m3", "m1", "f4", "m4", "m2", "f1", "f3")
_MODELS = {"gpt-4o-mini-tts": "2027-01-06", "tts-1": "2027-01-06", "tts-1-hd": "2027-01-06"}
FORMATS = {
    "mp3": Format("mp3", 24_000),
    "opus": Format("ogg", 24_000),
    "flac": Format("flac", 24_000),
    "wav": Format("wav", 24_000),
    "pcm": Format("raw", 24_000),
}
_TYPES = {"mp3": "audio/mpeg", "ogg": "audio/opus", "flac": "audio/flac", "wav": "audio/wav", "raw": "audio/pcm"}
_INVALID = "invalid_request_error"


class OpenAi:
    name = "openai"
    keyed = True
    rows: Mapping[str, Row] = {
        "invalid_request": Row(400, "", "Invalid request.", _INVALID),
        "invalid_voice": Row(
            400,
            "",
            f"[{{'msg': 'Input should be {', '.join(map(repr, _VOICES))}', 'loc': ('body', 'voice')}}]",
            _INVALID,
        ),
        "too_long": Row(400, "string_above_max_length", "The input is longer than 4096 characters.", _INVALID),
        "invalid_api_key": Row(401, "invalid_api_key", "Incorrect API key provided.", _INVALID),
        "missing_api_key": Row(401, "", "You didn't provide an API key.", _INVALID),
        "country": Row(
            403,
            "unsupported_country_region_territory",
            "Country, region, or territory not supported.",
            "request_forbidden",
        ),
        "permission": Row(403, "", "You have insufficient permissions for this operation.", _INVALID),
        "model_not_found": Row(404, "model_not_found", "The model does not exist.", _INVALID),
        "body_too_large": Row(413, "", "Maximum content size limit (26214400) exceeded (25 MB).", "server_error"),
        "unsupported_media": Row(415, "", "Unsupported content type.", _INVALID),
        "unprocessable": Row(422, "", "Unprocessable.", _INVALID),
        "rate_limit_exceeded": Row(
            429,
            "rate_limit_exceeded",
            "Rate limit reached for requests.",
            "requests",
            {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0"},
        ),
        "insufficient_quota": Row(
            429,
            "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details.",
            "insufficient_quota",
        ),
        "internal": Row(500, "", "The server had an error while processing your request.", "server_error"),
        "overloaded": Row(503, "", "The engine is currently overloaded, please try again later.", "overloaded_error"),
        "slow_down": Row(503, "slow_down", "Slow down.", "server_error"),
    }
    limits: Mapping[str, str] = {
        "key": "invalid_api_key",
        "no_key": "missing_api_key",
        "in_flight": "rate_limit_exceeded",
        "minute": "rate_limit_exceeded",
        "day": "rate_limit_exceeded",
        "credits": "insufficient_quota",
        "nonsense": "invalid_request",
    }
    shapes: Mapping[str, Shape] = {}
    unbilled: Collection[str] = ()
    _paths: ClassVar[tuple[str, ...]] = ("/v1/audio/speech",)

    def key(self, request: Request) -> str:
        return bearer(request)

    def speaks(self, request: Request) -> bool:
        return request.method == "POST" and request.path in self._paths

    def read(self, call: Call) -> Ask:
        body = call.request.json()
        model = body["model"]
        if model not in _MODELS:
            raise Refuse("model_not_found", f"The model `{model}` does not exist or you do not have access to it.")
        voice = body["voice"]["id"] if isinstance(body["voice"], dict) else body["voice"]
        if voice not in _VOICES:
            raise Refuse("invalid_voice")
        if not body["input"].strip():
            raise Refuse("invalid_request", "Invalid 'input': empty string.")
        if len(body["input"]) > _MOST_CHARACTERS:
            raise Refuse("too_long")
        speed = number(body.get("speed", 1.0), "speed", 0.25, 4.0, "invalid_request")
        wanted = format_of(body, "invalid_request")
        return Ask(body["input"], wanted, "", _TIMBRES[_VOICES.index(voice) % len(_TIMBRES)], speed, model)

    def answer(self, call: Call, ask: Ask, _sound: Sound, data: bytes) -> Answer:
        headers = {"Content-Type": _TYPES[ask.format.container], "x-request-id": call.id}
        return Answer(body=data, headers=headers, framing="chunked")

    def refuse(self, call: Call, row: Row) -> Answer:
        """A full minute says when it ends, in each of OpenAI's ways."""
        headers = {"x-request-id": call.id, **row.headers}
        if row.code == "rate_limit_exceeded":
            headers["retry-after-ms"] = str(round(call.seconds * 1000))
            headers["retry-after"] = str(int(call.seconds) + 1)
            headers["x-ratelimit-reset-requests"] = f"{round(call.seconds * 1000)}ms"
        error = {"message": row.message, "type": row.kind, "param": None, "code": row.code or None}
        return in_json({"error": error}, row.status, headers)

    def listing(self, request: Request) -> Any:
        if request.path == "/v1/models":
            return models(_MODELS)
        return None

    def units(self, ask: Ask, _sound: Sound) -> int:
        """Characters."""
        return len(ask.text)


def format_of(body: dict[str, Any], row: str) -> Format:
    wanted = body.get("response_format", "mp3")
    if wanted not in FORMATS:
        raise Refuse(row, f"The emulator has no response_format {wanted!r}: {', '.join(FORMATS)}.")
    return FORMATS[wanted]


def models(names: Mapping[str, str]) -> dict[str, Any]:
    """Their ids, with the day of their end where there is one."""
    created = round(time.time()) - 10_000_000
    model = {"object": "model", "created": created, "owned_by": "emulator"}
    ends = {name: {"shutdown_date": end} if end else {} for name, end in names.items()}
    return {"object": "list", "data": [{"id": name, **model, **end} for name, end in ends.items()]}
