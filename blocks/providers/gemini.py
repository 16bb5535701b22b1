"""Google's Gemini TTS over `generateContent`: 3.8 (style beside the text, WAV) and 2.5 to 3.1 (style in the text, PCM).

Sampling parameters are never sent: 3.8 refuses them, and 2.5 answers a low temperature with nothing, after two minutes.
Nor is streaming used: it cuts long speech, with status 200 and a bill.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import ConfigDict, TypeAdapter, ValidationError

from blocks.answers import at, items, parsed, word
from blocks.blame import check_text, told
from blocks.choices import without_markup
from blocks.listing import listing
from blocks.plans import PLANS
from blocks.providers.gemini_blame import classify, receipt
from blocks.providers.gemini_voices import OFFERS, code_of, resolve, speaks_verbatim
from blocks.sound import audio, joined
from blocks.speech import Audio, BadVoice, Limits, Offer, Voice
from blocks.wire import Answer, Wire

SERVER = "https://generativelanguage.googleapis.com"
_METADATA = "speechMetadata"
_BASE64 = TypeAdapter(bytes, config=ConfigDict(val_json_bytes="base64"))
"""Strict, and six times as fast as the standard library on the megabytes that speech takes."""


class Gemini:
    """A Provider. Belongs to the event loop that it is first used on."""

    name = "gemini"
    plan = PLANS["gemini"][0]
    # About two minutes of speech: longer drifts, and at eight it is cut. Chinese says as much in a third of the signs.
    limits = Limits(characters=2000, bytes=3000)
    call_s = 12.0

    def __init__(
        self, server: str = SERVER, key: str = "", *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        # Not ?key=: the URL stands in logs and in the messages of transport errors.
        headers = {"x-goog-api-key": key} if key else {}
        self._wire = Wire(self.name, server, classify, headers, secret=key, transport=transport)
        self._models: tuple[str, ...] | None = None

    async def voices(self) -> Sequence[Offer]:
        return OFFERS

    async def resolve(self, voice: Voice) -> Voice:
        """Every voice speaks every language; without one, that of the text."""
        return resolve(voice, await self._listed())

    async def synthesise(self, text: str, voice: Voice) -> Audio:
        check_text(self.name, text, self.limits)
        path = f"/v1beta/models/{quote(voice.model, safe='')}:generateContent"
        answer = await self._wire.post(path, request(text, voice), deadline_s=240, also={400})
        if answer.status == 400 and voice.style and _METADATA.encode() in answer.body:
            raise BadVoice(
                f"The model {voice.model} takes no style ({told(voice.style)!r} was asked for): this server refuses "
                f"{_METADATA}. Leave --style out, or name another --model."
            )
        return _audio(answer)

    async def close(self) -> None:
        await self._wire.close()

    async def _listed(self) -> tuple[str, ...]:
        """Names of the models that speak; none where the server lists none."""
        if self._models is None:
            listed = await listing(self._wire, "/v1beta/models", {"pageSize": "1000"}, optional=True)
            models = items(at(listed, "models"))
            names = (word(at(model, "name")).removeprefix("models/") for model in models)
            self._models = tuple(name for name in names if "tts" in name)
        return self._models


def request(text: str, voice: Voice) -> dict[str, Any]:
    """The body, in the shape of the voice's model."""
    chosen = (
        {"voice": voice.name} if voice.name.startswith("voice_") else {"prebuiltVoiceConfig": {"voiceName": voice.name}}
    )
    speech: dict[str, Any] = {"voiceConfig": chosen}
    if code := code_of(voice.language):
        speech["languageCode"] = code
    return {
        "contents": [{"role": "user", "parts": [_part(text, voice)]}],
        "generationConfig": {"responseModalities": ["AUDIO"], "speechConfig": speech},
    }


def _part(text: str, voice: Voice) -> dict[str, Any]:
    if not speaks_verbatim(voice.model):
        plain = without_markup(text, "[]")  # [sigh] would be sighed.
        return {"text": f"Say in this style ({voice.style}):\n{plain}" if voice.style else plain}
    plain = without_markup(text, "<>")
    return {"text": plain} | ({_METADATA: {"style": voice.style}} if voice.style else {})


@dataclass(frozen=True, slots=True)
class _Part:
    kind: str
    data: bytes


def _audio(answer: Answer) -> Audio:
    """All parts of a finished answer, as one file. Raises CallFailed."""
    content = parsed(answer.body)
    parts = list(_parts(content))
    if not parts or word(at(content, "candidates", 0, "finishReason")) not in {"STOP", ""}:
        raise classify(answer.status, answer.headers, answer.body)
    rates = [int(found[1]) for part in parts if (found := re.search(r"rate=(\d{4,6})", part.kind))]
    told_of = receipt(content)
    if len(parts) == 1 and not re.search("l16|pcm", parts[0].kind, re.IGNORECASE):  # a file, of whatever kind
        return audio(parts[0].data, told_of)
    data = joined([part.data for part in parts], rates[0] if rates else 24_000, told_of)
    return Audio(data, "wav", told_of.request_id, told_of.usage)


def _parts(content: Any) -> list[_Part]:
    """The sound of the first candidate; none where one of them does not decode."""
    parts = []
    for part in items(at(content, "candidates", 0, "content", "parts")):
        inline = at(part, "inlineData") or at(part, "inline_data")
        kind = word(at(inline, "mimeType")) or word(at(inline, "mime_type"))
        if inline is None or not kind.startswith("audio/"):
            continue
        try:
            parts.append(_Part(kind, _BASE64.validate_strings(word(at(inline, "data")))))
        except ValidationError:
            return []
    return parts
