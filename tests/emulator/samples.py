"""A plain request for each provider, as its own documents write it, and what a client hears in the answer."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import soundfile

from tests.emulator.sound import Sound

KATIE = "f786b574-daa5-4673-aa0c-cbe3e8534c02"


@dataclass(frozen=True, slots=True)
class Sample:
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    listing: str
    """A free call that asks for the key too."""


def sample(provider: str, text: str, key: str = "test-key-1") -> Sample:
    return {
        "gemini": Sample("/v1beta/models/gemini-3.8-flash-tts:generateContent", *_gemini(text, key), "/v1beta/voices"),
        "cartesia": Sample("/tts/bytes", *_cartesia(text, key), "/voices"),
        "elevenlabs": Sample(
            "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM?output_format=wav_24000",
            {"xi-api-key": key},
            {"text": text, "model_id": "eleven_multilingual_v2"},
            "/v1/voices",
        ),
        "openai": _openai("gpt-4o-mini-tts", "alloy", text, key, "/v1/models"),
        "kokoro": _openai("kokoro", "af_bella(2)+af_sky", text, key, "/v1/audio/voices"),
        "speaches": _openai("speaches-ai/Kokoro-82M-v1.0-ONNX", "af_heart", text, key, "/v1/models"),
        "edge": _openai("tts-1", "en-US-AvaNeural", text, key, "/v1/voices"),
        "f5": Sample("/synthesize", {}, {"text": text}, "/voices"),
        "piper": Sample("/synthesize", {}, {"text": text, "voice": "en_US-lessac-medium"}, "/voices"),
    }[provider]


def ask(http: httpx.Client, provider: str, text: str = "Good morning to all of you.", **how: Any) -> httpx.Response:
    """`how`: a key, or fields of the body to set instead."""
    wanted = sample(provider, text, how.pop("key", "test-key-1"))
    return http.post(f"/{provider}{wanted.path}", headers=dict(wanted.headers), json={**wanted.body, **how})


def heard(provider: str, answer: httpx.Response) -> Sound:
    """Raises what soundfile raises for no sound."""
    data = answer.content
    if provider == "gemini":
        parts = answer.json()["candidates"][0]["content"]["parts"]
        blobs = [base64.b64decode(part["inlineData"]["data"]) for part in parts]
        if not parts[0]["inlineData"]["mimeType"].startswith("audio/wav"):
            return Sound(np.frombuffer(b"".join(blobs), "<i2"), 24_000)
        sounds = [decoded(blob) for blob in blobs]
        return Sound(np.concatenate([sound.samples for sound in sounds]), sounds[0].rate)
    return decoded(data)


def decoded(data: bytes) -> Sound:
    samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    return Sound(samples, rate)


def _gemini(text: str, key: str) -> tuple[dict[str, str], dict[str, Any]]:
    voice = {"languageCode": "en-US", "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}
    config = {"responseModalities": ["AUDIO"], "speechConfig": voice}
    contents = [{"role": "user", "parts": [{"text": text}]}]
    return {"x-goog-api-key": key}, {"contents": contents, "generationConfig": config}


def _cartesia(text: str, key: str) -> tuple[dict[str, str], dict[str, Any]]:
    body = {
        "model_id": "sonic-3.5",
        "transcript": text,
        "voice": {"mode": "id", "id": KATIE},
        "language": "en",
        "output_format": {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 24_000},
    }
    return {"Authorization": f"Bearer {key}", "Cartesia-Version": "2026-08-14"}, body


def _openai(model: str, voice: str, text: str, key: str, listing: str) -> Sample:
    body = {"model": model, "input": text, "voice": voice, "response_format": "wav"}
    return Sample("/v1/audio/speech", {"Authorization": f"Bearer {key}"}, body, listing)
