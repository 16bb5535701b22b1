"""ElevenLabs: POST /v1/text-to-speech/{voice_id}."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from tests.emulator.sound import Format, Sound
from tests.emulator.vendor import Ask, Call, Refuse, Row, Shape, number
from tests.emulator.vendors.elevenlabs_rows import ROWS, refuse
from tests.emulator.wire import Answer, Request

_CHARACTERS = {
    "eleven_multilingual_v2": 10_000,
    "eleven_v4": 10_000,
    "eleven_v3": 5_000,
    "eleven_flash_v2": 30_000,
    "eleven_flash_v2_5": 40_000,
    "eleven_turbo_v2_5": 40_000,
}
_VOICES = {
    "21m00Tcm4TlvDq8ikWAM": ("Rachel", "en", "f2"),
    "EXAVITQu4vr4xnSDxMaL": ("Sarah", "en", "f4"),
    "JBFqnCBsd6RMkjVDRZzb": ("George", "en", "m3"),
    "emulatedVoiceLinh000": ("Linh", "vi", "f3"),
    "emulatedVoiceIvan000": ("Ivan", "ru", "m2"),
}
_PATH = re.compile(r"/v1/text-to-speech/([^/]+)")
_FORMAT = re.compile(r"(mp3|pcm|wav|opus|ulaw|alaw)_(8000|16000|22050|24000|32000|44100|48000)(?:_(\d+))?")
_CONTAINERS = {"mp3": "mp3", "wav": "wav", "opus": "ogg"}
_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "ogg": "audio/ogg", "raw": "audio/pcm"}
_HIGH_PLANS = {"pro", "scale", "business"}


class ElevenLabs:
    name = "elevenlabs"
    keyed = True
    rows: Mapping[str, Row] = ROWS
    limits: Mapping[str, str] = {
        "key": "invalid_api_key",
        "no_key": "missing_api_key",
        "in_flight": "concurrent_limit_exceeded",
        "minute": "rate_limit_exceeded",
        "day": "rate_limit_exceeded",
        "credits": "insufficient_credits",
        "nonsense": "unprocessable",
    }
    shapes: Mapping[str, Shape] = {}
    unbilled: Collection[str] = ()

    def key(self, request: Request) -> str:
        return request.headers.get("xi-api-key", "")

    def speaks(self, request: Request) -> bool:
        return request.method == "POST" and bool(_PATH.fullmatch(request.path))

    def read(self, call: Call) -> Ask:
        voice = call.request.path.rpartition("/")[2]
        if voice not in _VOICES:
            raise Refuse("voice_not_found", f"A voice with voice_id {voice} was not found.")
        body = call.request.json()
        text, model = body["text"], body.get("model_id", "eleven_multilingual_v2")
        if model not in _CHARACTERS:
            raise Refuse("model_not_found", f"A model with model_id {model} was not found.")
        if not text.strip():
            raise Refuse("empty_text")
        if len(text) > _CHARACTERS[model]:
            raise Refuse("text_too_long")
        tuned = body.get("voice_settings") or {}
        speed = number(tuned.get("speed") or 1.0, "speed", 0.7, 1.2, "invalid_parameters")
        wanted = _format(call.request.query.get("output_format", "mp3_44100_128"), call.plan)
        fast = "flash" in model or "turbo" in model
        _, _, timbre = _VOICES[voice]
        language = body.get("language_code") or ""
        pool = "flash" if fast else "multilingual"
        return Ask(text, wanted, language, timbre, speed, model, pool, share=2 if fast else 1)

    def answer(self, call: Call, ask: Ask, _sound: Sound, data: bytes) -> Answer:
        headers = {
            "Content-Type": _TYPES[ask.format.container],
            "request-id": call.id,
            "character-cost": str(call.units),
            "current-concurrent-requests": str(call.in_flight),
        }
        if call.most is not None:
            headers["maximum-concurrent-requests"] = str(call.most)
        return Answer(body=data, headers=headers, framing="chunked")

    def refuse(self, call: Call, row: Row) -> Answer:
        return refuse(call, row)

    def listing(self, request: Request) -> Any:
        voices = [_described(voice) for voice in _VOICES]
        return {
            "/v1/voices": {"voices": voices},
            "/v2/voices": {"voices": voices, "has_more": False, "total_count": len(voices), "next_page_token": None},
            "/v1/models": [_model(model, most) for model, most in _CHARACTERS.items()],
            "/v1/user/subscription": {
                "tier": "creator",
                "character_count": 0,
                "character_limit": 100_000,
                "next_character_count_reset_unix": 1_800_000_000,
                "status": "active",
                "has_open_invoices": False,
            },
        }.get(request.path)

    def units(self, ask: Ask, _sound: Sound) -> int:
        """Characters; the fast models cost half."""
        return len(ask.text) if ask.share == 1 else (len(ask.text) + 1) // 2


def _format(wanted: str, plan: str) -> Format:
    match = _FORMAT.fullmatch(wanted)
    if not match or (match[1] in {"mp3", "opus"}) != bool(match[3]):
        raise Refuse("invalid_output_format", f"Invalid output format: {wanted}.")
    kind, rate = match[1], int(match[2])
    if kind in {"pcm", "wav"} and rate == 44_100 and plan not in _HIGH_PLANS:
        raise Refuse("subscription_required", "44.1 kHz PCM needs the Pro plan or above.")
    if wanted == "mp3_44100_192" and plan in {"free", "starter"}:
        raise Refuse("subscription_required", "192 kbit/s needs the Creator plan or above.")
    encoding = {"ulaw": "ULAW", "alaw": "ALAW"}.get(kind, "PCM_16")
    return Format(_CONTAINERS.get(kind, "raw"), rate, encoding)


def _described(voice: str) -> dict[str, Any]:
    name, language, _ = _VOICES[voice]
    labels = {"language": language, "accent": "american", "gender": "neutral"}
    return {"voice_id": voice, "name": name, "category": "premade", "labels": labels, "description": "emulated"}


def _model(model: str, most: int) -> dict[str, Any]:
    languages = [{"language_id": tag, "name": tag} for tag in ("en", "vi", "ru", "de", "fr", "es", "ja", "zh", "ko")]
    return {
        "model_id": model,
        "name": model,
        "can_do_text_to_speech": True,
        "maximum_text_length_per_request": most,
        "languages": languages,
    }
