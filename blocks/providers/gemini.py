"""Google's Gemini TTS over `generateContent`: 3.8 (style beside the text, WAV) and 2.5 to 3.1 (style in the text, PCM).

Sampling parameters are never sent: 3.8 refuses them, and 2.5 answers a low temperature with nothing, after two minutes.
Nor is streaming used: it cuts long speech, with status 200 and a bill.
"""

import base64
import binascii
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from blocks.blame import at, check_text, items, parsed, word
from blocks.choices import without_markup
from blocks.plans import Plan
from blocks.providers.gemini_blame import classify, spent
from blocks.providers.gemini_voices import OFFERS, code_of, resolve, speaks_verbatim
from blocks.sound import joined
from blocks.speech import Audio, Limits, Offer, Voice
from blocks.wire import Answer, Wire

SERVER = "https://generativelanguage.googleapis.com"
_METADATA = "speechMetadata"
_log = logging.getLogger(__name__)


class Gemini:
    """A Provider. Belongs to the event loop that it is first used on."""

    name = "gemini"
    plan = Plan("gemini", "default", 3)
    # About two minutes of speech: longer drifts, and at eight it is cut. Chinese says as much in a third of the signs.
    limits = Limits(characters=2000, bytes=3000)
    call_s = 12.0

    def __init__(
        self, server: str = SERVER, key: str = "", *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        # Not ?key=: the URL stands in logs and in the messages of transport errors.
        headers = {"x-goog-api-key": key} if key else {}
        self._wire = Wire(self.name, server, headers, secret=key, transport=transport)
        self._models: tuple[str, ...] | None = None
        self._without_metadata: set[str] = set()

    async def voices(self) -> Sequence[Offer]:
        return OFFERS

    async def resolve(self, voice: Voice) -> Voice:
        """Every voice speaks every language; without one, that of the text."""
        return resolve(voice, await self._listed())

    async def synthesise(self, text: str, voice: Voice) -> Audio:
        check_text(self.name, text, self.limits)
        metadata = voice.model not in self._without_metadata
        body = request(text, voice, metadata=metadata)
        answer = await self._ask(body, voice)
        if answer.status == 400 and metadata and voice.style and _METADATA.encode() in answer.body:
            _log.warning("%s does not know speechMetadata: it speaks without the style %r", voice.model, voice.style)
            self._without_metadata.add(voice.model)
            answer = await self._ask(request(text, voice, metadata=False), voice)
        if answer.status != 200:
            raise classify(answer.status, answer.headers, answer.body)
        return _audio(answer)

    async def close(self) -> None:
        await self._wire.close()

    async def _ask(self, body: dict[str, Any], voice: Voice) -> Answer:
        path = f"/v1beta/models/{quote(voice.model, safe='')}:generateContent"
        return await self._wire.ask("POST", path, json=body, deadline_s=240)

    async def _listed(self) -> tuple[str, ...]:
        """Names of the models that speak; none where the server lists none."""
        if self._models is None:
            answer = await self._wire.ask("GET", "/v1beta/models", params={"pageSize": "1000"}, deadline_s=30)
            if answer.status not in (200, 404, 405, 501):
                raise classify(answer.status, answer.headers, answer.body)
            models = items(at(parsed(answer.body), "models")) if answer.status == 200 else []
            names = (word(at(model, "name")).removeprefix("models/") for model in models)
            self._models = tuple(name for name in names if "tts" in name)
        return self._models


def request(text: str, voice: Voice, *, metadata: bool = True) -> dict[str, Any]:
    """The body, in the shape of the voice's model."""
    chosen = (
        {"voice": voice.name} if voice.name.startswith("voice_") else {"prebuiltVoiceConfig": {"voiceName": voice.name}}
    )
    speech: dict[str, Any] = {"voiceConfig": chosen}
    if code := code_of(voice.language):
        speech["languageCode"] = code
    return {
        "contents": [{"role": "user", "parts": [_part(text, voice, metadata=metadata)]}],
        "generationConfig": {"responseModalities": ["AUDIO"], "speechConfig": speech},
    }


def _part(text: str, voice: Voice, *, metadata: bool) -> dict[str, Any]:
    if not speaks_verbatim(voice.model):
        plain = without_markup(text, "[]")  # [sigh] would be sighed.
        return {"text": f"Say in this style ({voice.style}):\n{plain}" if voice.style else plain}
    plain = without_markup(text, "<>")
    return {"text": plain} | ({_METADATA: {"style": voice.style}} if voice.style and metadata else {})


@dataclass(frozen=True, slots=True)
class _Part:
    kind: str
    data: bytes


def _audio(answer: Answer) -> Audio:
    """All parts of a finished answer, as one file. Raises CallFailed."""
    content = parsed(answer.body)
    billed = spent(content)
    parts = list(_parts(content))
    if not parts or word(at(content, "candidates", 0, "finishReason")) not in {"STOP", ""}:
        raise classify(answer.status, answer.headers, answer.body)
    rates = [int(found[1]) for part in parts if (found := re.search(r"rate=(\d{4,6})", part.kind))]
    request_id = word(at(content, "responseId"))
    data = joined([part.data for part in parts], rates[0] if rates else 24_000, billed, request_id)
    return Audio(data, "wav", request_id)


def _parts(content: Any) -> list[_Part]:
    """The sound of the first candidate; none where one of them does not decode."""
    parts = []
    for part in items(at(content, "candidates", 0, "content", "parts")):
        inline = at(part, "inlineData") or at(part, "inline_data")
        kind = word(at(inline, "mimeType")) or word(at(inline, "mime_type"))
        if inline is None or not kind.startswith("audio/"):
            continue
        try:
            parts.append(_Part(kind, base64.b64decode(word(at(inline, "data")), validate=True)))
        except (binascii.Error, ValueError):
            return []
    return parts
