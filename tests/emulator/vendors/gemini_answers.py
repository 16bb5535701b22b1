"""What Gemini answers besides plain speech."""

import base64
from collections.abc import Mapping
from typing import Any

from tests.emulator.sound import Format, Sound, encoded
from tests.emulator.vendor import Ask, Call, Row, Shape
from tests.emulator.wire import Answer, in_json

_TYPE = "type.googleapis.com/google.rpc."
_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
_TOKENS = "GenerateContentInputTokensPerModelPerMinute-FreeTier"
_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. "
    "For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits."
)
_INVALID, _EXHAUSTED = "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"

ROWS: Mapping[str, Row] = {
    "api_key_invalid": Row(400, _INVALID, "API key not valid. Please pass a valid API key.", "API_KEY_INVALID"),
    "voice_unknown": Row(400, _INVALID, "Voice name Nobody is not supported."),
    "invalid_argument": Row(400, _INVALID, "Request contains an invalid argument."),
    "too_long": Row(400, _INVALID, "The input token count exceeds the maximum number of tokens allowed (8192)."),
    "unknown_field": Row(
        400,
        _INVALID,
        "Invalid JSON payload received. Unknown name \"speechMetadata\" at 'contents[0].parts[0]': Cannot find field.",
    ),
    "speakers_missing": Row(
        400, _INVALID, "Multi-speaker generation requests must specify speaker names for each part in the contents."
    ),
    "failed_precondition": Row(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
    "unauthenticated": Row(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
    "unregistered": Row(
        403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers. Please use API Key to call this API."
    ),
    "permission_denied": Row(403, "PERMISSION_DENIED", "Consumer has been suspended.", "CONSUMER_SUSPENDED"),
    "not_found": Row(404, "NOT_FOUND", "models/gemini-2.5-flash-preview-tts is not found for API version v1beta."),
    "quota_minute": Row(429, _EXHAUSTED, _QUOTA, _MINUTE),
    "quota_tokens": Row(429, _EXHAUSTED, _QUOTA, _TOKENS),
    "quota_day": Row(429, _EXHAUSTED, _QUOTA, _DAY),
    "quota_both": Row(429, _EXHAUSTED, _QUOTA, f"{_MINUTE} {_DAY}"),
    "quota_zero": Row(429, _EXHAUSTED, f"{_QUOTA} Quota exceeded for metric: requests, limit: 0", _DAY),
    "quota_bare": Row(429, _EXHAUSTED, "Resource has been exhausted (e.g. check quota)."),
    "internal": Row(500, "INTERNAL", "An internal error has occurred."),
    "unavailable": Row(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "deadline_exceeded": Row(504, "DEADLINE_EXCEEDED", "The request timed out. Please try again."),
}


def refuse(call: Call, row: Row) -> Answer:
    """With RetryInfo of `call.seconds` where there is a quota; `envelope: list` puts the body in a list."""
    error: dict[str, Any] = {"code": row.status, "message": row.message, "status": row.code}
    if row.kind and row.status == 429:
        violations = [{"quotaMetric": "generate_content_requests", "quotaId": quota} for quota in row.kind.split()]
        error["details"] = [
            {"@type": f"{_TYPE}QuotaFailure", "violations": violations},
            {"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{call.seconds:.9f}".rstrip("0").rstrip(".") + "s"},
        ]
    elif row.kind:
        error["details"] = [{"@type": f"{_TYPE}ErrorInfo", "reason": row.kind, "domain": "googleapis.com"}]
    body = {"error": error}
    return in_json([body] if call.envelope == "list" else body, row.status)


def candidate(parts: list[dict[str, Any]], reason: str = "STOP") -> dict[str, Any]:
    content = {"role": "model", "parts": parts} if parts else {}
    return {"candidates": [{"content": content, "finishReason": reason, "index": 0}]}


def reply(call: Call, ask: Ask, outcome: dict[str, Any], *, spent: bool = True) -> Answer:
    heard = call.units if spent else 0
    usage: dict[str, Any] = {"promptTokenCount": ask.prompt, "totalTokenCount": ask.prompt + heard}
    if heard:
        usage["candidatesTokenCount"] = heard
        usage["candidatesTokensDetails"] = [{"modality": "AUDIO", "tokenCount": heard}]
    return in_json({**outcome, "usageMetadata": usage, "modelVersion": ask.model, "responseId": call.id})


def _part(ask: Ask, sound: Sound) -> dict[str, Any]:
    kind = "audio/wav" if ask.format.container == "wav" else f"audio/L16;codec=pcm;rate={sound.rate}"
    data = encoded(sound, Format(ask.format.container, sound.rate))
    return {"inlineData": {"mimeType": kind, "data": base64.b64encode(data).decode()}}


def _finish(reason: str) -> Shape:
    def shape(call: Call, ask: Ask, _sound: Sound, _data: bytes) -> Answer:
        return reply(call, ask, candidate([], reason))

    shape.__doc__ = f"200, no audio, finishReason {reason}, with billed tokens"
    return shape


def _blocked(call: Call, ask: Ask, _sound: Sound, _data: bytes) -> Answer:
    """200, no candidates, promptFeedback.blockReason PROHIBITED_CONTENT; not billed"""
    return reply(call, ask, {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, spent=False)


def _max_tokens(call: Call, ask: Ask, sound: Sound, _data: bytes) -> Answer:
    """200, half of the speech, finishReason MAX_TOKENS"""
    half = Sound(sound.samples[: len(sound.samples) // 2], sound.rate)
    return reply(call, ask, candidate([_part(ask, half)], "MAX_TOKENS"))


def _two_parts(call: Call, ask: Ask, sound: Sound, _data: bytes) -> Answer:
    """good speech in two inlineData parts"""
    middle = len(sound.samples) // 2
    halves = (sound.samples[:middle], sound.samples[middle:])
    return reply(call, ask, candidate([_part(ask, Sound(half, sound.rate)) for half in halves]))


def _text_part(call: Call, ask: Ask, _sound: Sound, _data: bytes) -> Answer:
    """200, a text part instead of audio, finishReason STOP"""
    return reply(call, ask, candidate([{"text": "Here is the speech you asked for."}]))


SHAPES: Mapping[str, Shape] = {
    **{f"finish_{name.lower()}": _finish(name) for name in ("OTHER", "SAFETY", "RECITATION", "LANGUAGE", "SPII")},
    "finish_prohibited": _finish("PROHIBITED_CONTENT"),
    "finish_pup_limited": _finish("PUP_LIMITED_DISABLED"),
    "blocked": _blocked,
    "max_tokens": _max_tokens,
    "two_parts": _two_parts,
    "text_part": _text_part,
}
UNBILLED = {"blocked"}
