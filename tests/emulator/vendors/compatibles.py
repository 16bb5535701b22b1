"""Servers that people run at home in OpenAI's shape, and where they differ. None asks for a key."""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from tests.emulator.sound import Sound
from tests.emulator.vendor import Ask, Call, Refuse, Row, number
from tests.emulator.vendors.openai import OpenAi, format_of, models
from tests.emulator.wire import Answer, Request, in_json

_VOICES = (  # noqa: SIM905 - 14 lines
    "af_heart af_bella af_sky am_adam am_michael bf_emma bm_george ef_dora ff_siwis hf_alpha if_sara jf_alpha pf_dora "
    "zf_xiaobei"
).split()
_LANGUAGES = {
    "a": "en-US",
    "b": "en-GB",
    "e": "es",
    "f": "fr",
    "h": "hi",
    "i": "it",
    "j": "ja",
    "p": "pt-BR",
    "z": "zh",
}
_MIXED = re.compile(r"([a-z]+_[a-z]+)(?:\((\d+(?:\.\d+)?)\))?")
_SPEACHES_MODEL = "speaches-ai/Kokoro-82M-v1.0-ONNX"
_EDGE_VOICE = re.compile(r"([a-z]{2,3}-[A-Z]{2})-(\w+)Neural")


class _Keyless(OpenAi):
    keyed = False

    def key(self, request: Request) -> str:  # noqa: ARG002 - keys are sent out of habit, and ignored
        return ""


class KokoroFastApi(_Keyless):
    name = "kokoro"
    rows: Mapping[str, Row] = {
        "invalid_model": Row(400, "invalid_model", "Unsupported model.", "invalid_request_error"),
        "validation_error": Row(400, "validation_error", "Invalid request.", "invalid_request_error"),
        "processing_error": Row(500, "processing_error", "Failed to generate audio.", "server_error"),
        "busy": Row(503, "service_unavailable", "The service is busy.", "server_error"),
    }
    limits: Mapping[str, str] = dict.fromkeys(OpenAi.limits, "busy") | {"nonsense": "validation_error"}
    unbilled: Collection[str] = ("late_failure",)

    def __init__(self) -> None:
        self.shapes = {"late_failure": self._late_failure}

    def read(self, call: Call) -> Ask:
        body = call.request.json()
        if body.get("model", "kokoro") not in {"kokoro", "tts-1", "tts-1-hd"}:
            raise Refuse("invalid_model", f"Unsupported model: {body['model']}")
        voice = _kokoro_voice(body.get("voice", "af_heart"), "validation_error")
        speed = number(body.get("speed", 1.0), "speed", 0.25, 4.0, "validation_error")
        language = _LANGUAGES[(body.get("lang_code") or voice)[0]]
        wanted = format_of(body, "validation_error")
        return Ask(body["input"], wanted, language, _timbre(voice), speed, streamed=body.get("stream", True))

    def answer(self, call: Call, ask: Ask, sound: Sound, data: bytes) -> Answer:
        whole = super().answer(call, ask, sound, data)
        return whole if ask.streamed else replace(whole, framing="length")

    def _late_failure(self, call: Call, ask: Ask, sound: Sound, data: bytes) -> Answer:
        """the engine fails in the middle: 500 processing_error, or a cut where the answer is streamed"""
        if not ask.streamed:
            return self.refuse(call, self.rows["processing_error"])
        return replace(self.answer(call, ask, sound, data), stop=len(data) // 2)

    def refuse(self, _call: Call, row: Row) -> Answer:
        return in_json({"detail": {"error": row.code, "message": row.message, "type": row.kind}}, row.status)

    def listing(self, request: Request) -> Any:
        return {
            "/v1/audio/voices": {"voices": _VOICES},
            "/v1/models": models(dict.fromkeys(("kokoro", "tts-1", "tts-1-hd"), "")),
            "/health": {"status": "healthy"},
        }.get(request.path)


class Speaches(_Keyless):
    name = "speaches"
    rows: Mapping[str, Row] = {
        "model_not_found": Row(404, "", "Model is not installed locally. You can download it with POST /v1/models."),
        "unprocessable": Row(422, "value_error", "Input should be valid"),
        "internal": Row(500, "", "Internal Server Error"),
        "busy": Row(503, "", "The service is busy."),
    }
    limits: Mapping[str, str] = dict.fromkeys(OpenAi.limits, "busy") | {"nonsense": "unprocessable"}

    def read(self, call: Call) -> Ask:
        body = call.request.json()
        if body["model"] != _SPEACHES_MODEL:
            raise Refuse("model_not_found", f"Model '{body['model']}' is not installed locally.")
        voice = _kokoro_voice(body["voice"], "unprocessable")
        speed = number(body.get("speed", 1.0), "speed", 0.25, 4.0, "unprocessable")
        wanted = format_of(body, "unprocessable")
        rate = number(body.get("sample_rate") or wanted.rate, "sample_rate", 8_000, 48_000, "unprocessable")
        wanted = replace(wanted, rate=round(rate))
        return Ask(body["input"], wanted, _LANGUAGES[voice[0]], _timbre(voice), speed)

    def refuse(self, _call: Call, row: Row) -> Answer:
        if row.status == 422:
            return in_json({"detail": [{"loc": ["body"], "msg": row.message, "type": row.code}]}, 422)
        return in_json({"detail": row.message}, row.status)

    def listing(self, request: Request) -> Any:
        voices = [{"name": voice, "language": _LANGUAGES[voice[0]]} for voice in _VOICES]
        model = {"id": _SPEACHES_MODEL, "object": "model", "owned_by": "speaches-ai", "task": "text-to-speech"}
        return {
            "/v1/models": {"object": "list", "data": [{**model, "sample_rate": 24_000, "voices": voices}]},
            "/v1/audio/voices": {"voices": [{"id": voice, "name": voice} for voice in _VOICES]},
            "/health": {"message": "OK"},
        }.get(request.path)


class EdgeTts(_Keyless):
    name = "edge"
    rows: Mapping[str, Row] = {
        "missing_input": Row(400, "", "Missing 'input' in request body"),
        "internal": Row(500, "No audio was received.", "An unexpected error occurred"),
    }
    limits: Mapping[str, str] = dict.fromkeys(OpenAi.limits, "internal") | {"nonsense": "internal"}
    _paths = ("/v1/audio/speech", "/audio/speech")

    def read(self, call: Call) -> Ask:
        body = call.request.json()
        if not body.get("input"):
            raise Refuse("missing_input")
        voice = body.get("voice", "en-US-AvaNeural")
        match = _EDGE_VOICE.fullmatch(voice)
        if not match and voice not in {"alloy", "ash", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer"}:
            raise Refuse("internal", f"Invalid voice '{voice}'.")
        speed = number(body.get("speed", 1.0), "speed", 0.0, 100.0, "internal")
        return Ask(body["input"], format_of(body, "internal"), match[1] if match else "en-US", speed=speed)

    def refuse(self, _call: Call, row: Row) -> Answer:
        return in_json({"error": row.message, **({"details": row.code} if row.code else {})}, row.status)

    def listing(self, request: Request) -> Any:
        voices = [
            {"name": name, "gender": "Female", "language": name[:5]}
            for name in ("en-US-AvaNeural", "vi-VN-HoaiMyNeural")
        ]
        return {
            "/v1/models": {"data": [{"id": "tts-1", "name": "Text-to-speech v1"}]},
            "/v1/voices": {"voices": voices},
            "/v1/audio/voices": {"voices": [{"id": voice["name"], "name": voice["name"]} for voice in voices]},
        }.get(request.path.removesuffix("/all"))


def _kokoro_voice(wanted: str, row: str) -> str:
    """The first of a mix: `af_bella(2)+af_sky`."""
    matches = [_MIXED.fullmatch(part) for part in wanted.split("+")]
    names = [match[1] if match else "" for match in matches]
    if unknown := [name for name in names if name not in _VOICES]:
        raise Refuse(row, f"Voice '{unknown[0] or wanted}' not found. Available voices: {', '.join(_VOICES)}")
    return names[0]


def _timbre(voice: str) -> str:
    return f"{voice[1]}{_VOICES.index(voice) % 4 + 1}"
