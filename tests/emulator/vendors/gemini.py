"""Gemini TTS: 3.8 (a WAV file, style beside the text) and 2.5/3.1 (headerless PCM, style in the text)."""

import base64
import re
from collections.abc import Collection, Mapping
from typing import Any

from tests.emulator.sound import Format, Sound
from tests.emulator.vendor import Ask, Call, Refuse, Row, Shape
from tests.emulator.vendors.gemini_answers import ROWS, SHAPES, UNBILLED, candidate, reply
from tests.emulator.vendors.gemini_answers import refuse as refused
from tests.emulator.wire import Answer, Request

_MODELS = (
    "gemini-3.8-flash-tts",
    "gemini-3.8-flash-lite-tts",
    "gemini-3.1-flash-tts-preview",
    "gemini-2.5-flash-preview-tts",
    "gemini-2.5-pro-preview-tts",
)
_VOICES = (  # noqa: SIM905 - 30 lines
    "Zephyr Puck Charon Kore Fenrir Leda Orus Aoede Callirrhoe Autonoe Enceladus Iapetus Umbriel Algieba Despina "
    "Erinome Algenib Rasalgethi Laomedeia Achernar Alnilam Schedar Gacrux Pulcherrima Achird Zubenelgenubi "
    "Vindemiatrix Sadachbia Sadaltager Sulafat"
).split()
_TIMBRES = ("f2", "m3", "m1", "f4", "m4", "f1", "m2", "f3")
_MOST_TOKENS = 8_192
_BYTES_A_TOKEN = 4
_PATH = re.compile(r"/v1beta/models/([^/:]+):generateContent")
_INSTRUCTION = re.compile(r"\s*(?:say|read|speak|narrate)\b[^:\n]{0,300}:\s*", re.IGNORECASE)
"""What the older models obey instead of reading it aloud."""
_TAG = re.compile(r"<[^<>]*>")
"""What 3.8 takes for a sound to make: a text with an unescaped `<` loses words."""
_SAMPLING = ("temperature", "topP", "topK")


class Gemini:
    name = "gemini"
    keyed = True
    rows: Mapping[str, Row] = ROWS
    shapes: Mapping[str, Shape] = SHAPES
    unbilled: Collection[str] = UNBILLED
    limits: Mapping[str, str] = {
        "key": "api_key_invalid",
        "no_key": "unregistered",
        "in_flight": "quota_bare",
        "minute": "quota_minute",
        "day": "quota_day",
        "credits": "failed_precondition",
        "nonsense": "invalid_argument",
    }

    def key(self, request: Request) -> str:
        return request.headers.get("x-goog-api-key", "") or request.query.get("key", "")

    def speaks(self, request: Request) -> bool:
        return request.method == "POST" and bool(_PATH.fullmatch(request.path))

    def read(self, call: Call) -> Ask:
        model = _model(call.request)
        new = model.startswith("gemini-3.8")
        body = call.request.json()
        config = body["generationConfig"]
        if config.get("responseModalities") != ["AUDIO"]:
            raise Refuse("invalid_argument", "The model only supports the AUDIO response modality.")
        if "responseFormat" in config or (new and any(name in config for name in _SAMPLING)):
            raise Refuse("invalid_argument")
        speech = config["speechConfig"]
        parts = [part for content in body["contents"] for part in content["parts"]]
        _check_parts(parts, speech, new=new)
        text = "".join(part["text"] for part in parts)
        if not text.strip():
            raise Refuse("invalid_argument", "The input text is empty.")
        if len(text.encode()) / _BYTES_A_TOKEN > _MOST_TOKENS:
            raise Refuse("too_long")
        timbre = _TIMBRES[_VOICES.index(_voice(speech)) % len(_TIMBRES)]
        spoken = _TAG.sub(" ", text) if new else _INSTRUCTION.sub("", text, count=1)
        wanted = Format("wav" if new else "raw", 24_000)
        # What a low temperature does to the older models.
        shape = "finish_other" if config.get("temperature", 1) <= 0.4 else ""
        prompt = len(spoken.encode()) // _BYTES_A_TOKEN + 1
        return Ask(spoken, wanted, speech.get("languageCode", ""), timbre, model=model, prompt=prompt, shape=shape)

    def answer(self, call: Call, ask: Ask, sound: Sound, data: bytes) -> Answer:
        kind = "audio/wav" if ask.format.container == "wav" else f"audio/L16;codec=pcm;rate={sound.rate}"
        part = {"inlineData": {"mimeType": kind, "data": base64.b64encode(data).decode()}}
        return reply(call, ask, candidate([part]))

    def refuse(self, call: Call, row: Row) -> Answer:
        return refused(call, row)

    def listing(self, request: Request) -> Any:
        if request.path == "/v1beta/models":
            return {"models": [_described(model) for model in _MODELS]}
        if request.path == "/v1beta/voices":
            return {"voices": [{"name": f"voices/{name}", "displayName": name} for name in _VOICES]}
        model = request.path.removeprefix("/v1beta/models/")
        return _described(model) if model in _MODELS else None

    def units(self, _ask: Ask, sound: Sound) -> int:
        """Tokens of audio."""
        return round(sound.seconds * 32)


def _model(request: Request) -> str:
    match = _PATH.fullmatch(request.path)
    model = match[1] if match else ""
    if model not in _MODELS:
        raise Refuse("not_found", f"models/{model} is not found for API version v1beta.")
    return model


def _voice(speech: dict[str, Any]) -> str:
    config = speech.get("voiceConfig") or speech["multiSpeakerVoiceConfig"]["speakerVoiceConfigs"][0]["voiceConfig"]
    name = config.get("voice") or config["prebuiltVoiceConfig"]["voiceName"]
    # The service takes prebuilt names in any case.
    voice = next((voice for voice in _VOICES if voice.lower() == str(name).lower()), None)
    if voice is None:
        raise Refuse("voice_unknown", f"Voice name {name} is not supported. Allowed voice names are: {_VOICES}")
    return voice


def _check_parts(parts: list[dict[str, Any]], speech: dict[str, Any], *, new: bool) -> None:
    if not new and any("speechMetadata" in part for part in parts):
        raise Refuse("unknown_field")
    speakers = speech.get("multiSpeakerVoiceConfig", {}).get("speakerVoiceConfigs")
    if speakers is not None and len(speakers) != 2:
        raise Refuse("invalid_argument", "Multi-speaker generation needs exactly two speakers.")
    if new and speakers and not all(part.get("speechMetadata", {}).get("speaker") for part in parts):
        raise Refuse("speakers_missing")


def _described(model: str) -> dict[str, Any]:
    return {
        "name": f"models/{model}",
        "displayName": model,
        "inputTokenLimit": _MOST_TOKENS,
        "outputTokenLimit": 16_384,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
