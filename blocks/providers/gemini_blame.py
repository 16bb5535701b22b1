"""Who is at fault for an answer of Gemini that is no speech."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from blocks.answers import at, items, parsed, units, word
from blocks.blame import ABOUT_TEXT, Blame, Receipt, blamed, by_status, retry_after_s, sane, text_of, told
from blocks.speech import (
    BadKey,
    BadText,
    BadVoice,
    Billed,
    CallFailed,
    DayQuotaUsed,
    Forbidden,
    NotSpeech,
    ProviderFailed,
    RateLimited,
    Refused,
    Usage,
)

_DAYS_END = ZoneInfo("America/Los_Angeles")
"""Where the quotas of a day start anew at midnight."""
_UNTOLD_S = 30.0
_REFUSED = {
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "JAILBREAK",
    "IMAGE_SAFETY",
    "MODEL_ARMOR",
}
_STATUSES: dict[str, type[CallFailed] | type[BadVoice]] = {
    "FAILED_PRECONDITION": Forbidden,
    "UNAUTHENTICATED": BadKey,
    "PERMISSION_DENIED": BadKey,
    "NOT_FOUND": BadVoice,
    "RESOURCE_EXHAUSTED": RateLimited,
    "INTERNAL": ProviderFailed,
    "UNAVAILABLE": ProviderFailed,
    "DEADLINE_EXCEEDED": ProviderFailed,
}
_CHOICES = re.compile(r"language_?code|response modalit|speech_?config", re.IGNORECASE)
_VOICES = re.compile(r"\bvoice", re.IGNORECASE)
_BAD_KEY = re.compile(r"api key (not valid|expired)", re.IGNORECASE)
_STRAYED = re.compile(r"tried to generate text", re.IGNORECASE)


def classify(status: int, headers: Mapping[str, str], body: bytes, now: datetime | None = None) -> Blame:
    """Never raises. Two hundreds are judged by their finish reason and their usage."""
    answer = parsed(body)
    if isinstance(answer, list):
        answer = at(answer, 0)
    if 200 <= status < 300:
        return _without_speech(answer, body)
    error = at(answer, "error")
    message = word(at(error, "message"))
    kind, billed = by_status(status)
    if status >= 400:
        kind = _kind(status, error, message) or kind
    wait_s = retry_after_s(headers)
    if status == 429:
        kind, wait_s = _quota(error, message, wait_s, now or datetime.now(UTC))
    return blamed(kind, f"gemini answered {status}: {_said(message, body)}", billed=billed, wait_s=wait_s)


def spent(answer: Any) -> Billed:
    """By the tokens that it counts; without a count, only an answer that holds nothing cost nothing."""
    counted = at(answer, "usageMetadata", "candidatesTokenCount")
    if isinstance(counted, int) and counted > 0:
        return Billed.YES
    told_of = at(answer, "usageMetadata") is not None or at(answer, "promptFeedback") is not None
    return Billed.NO if told_of and not at(answer, "candidates", 0, "content", "parts") else Billed.UNKNOWN


def receipt(answer: Any) -> Receipt:
    """Of a two hundred: tokens of the text and of the sound. What is not billed has none."""
    billed, told_of = spent(answer), at(answer, "usageMetadata")
    tokens = [units(at(told_of, name)) or 0 for name in ("promptTokenCount", "candidatesTokenCount")]
    usage = Usage(*tokens) if any(tokens) and billed is not Billed.NO else None
    return Receipt(billed, word(at(answer, "responseId")), usage)


def _kind(status: int, error: Any, message: str) -> type[CallFailed] | type[BadVoice] | None:
    reasons = {word(at(detail, "reason")) for detail in items(at(error, "details"))}
    if reasons & {"API_KEY_INVALID", "API_KEY_EXPIRED"} or _BAD_KEY.search(message):
        return BadKey
    if status == 400 and word(at(error, "status")) in {"INVALID_ARGUMENT", ""}:
        about_choice = _CHOICES.search(message) or (_VOICES.search(message) and not ABOUT_TEXT.search(message))
        return NotSpeech if _STRAYED.search(message) else BadVoice if about_choice else BadText
    return _STATUSES.get(word(at(error, "status")))


def _quota(
    error: Any, message: str, wait_s: float | None, now: datetime
) -> tuple[type[CallFailed] | type[BadVoice], float | None]:
    """A quota of the day waits for its day's end, whatever short wait stands beside it."""
    if re.search(r"\blimit: 0\b", message):  # The account's tier has no such model.
        return Forbidden, None
    details = items(at(error, "details"))
    violations = [violation for detail in details for violation in items(at(detail, "violations"))]
    if any("PerDay" in word(at(violation, "quotaId")) for violation in violations):
        return DayQuotaUsed, _until_midnight(now)
    delays = [word(at(detail, "retryDelay")) for detail in details]
    waits = [sane(float(found[1])) for delay in delays if (found := re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", delay))]
    stated = max((wait for wait in (*waits, wait_s) if wait is not None), default=_UNTOLD_S)
    return RateLimited, stated


def _until_midnight(now: datetime) -> float:
    local = now.astimezone(_DAYS_END)
    midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight.timestamp() - now.timestamp()


def _without_speech(answer: Any, body: bytes) -> Blame:
    told_of = receipt(answer)
    finish = word(at(answer, "candidates", 0, "finishReason"))
    blocked = word(at(answer, "promptFeedback", "blockReason"))
    kind: type[CallFailed] = NotSpeech
    if blocked or finish in _REFUSED:
        kind = Refused
        reason = f"gemini will not say this text: {told(blocked or finish)}"
    elif finish == "PUP_LIMITED_DISABLED":
        kind = Forbidden
        reason = "gemini has limited this account for reasons of policy: PUP_LIMITED_DISABLED"
    elif finish == "MAX_TOKENS":
        kind = BadText
        reason = "gemini cut the speech at its output limit (MAX_TOKENS): the text is too long"
    elif finish:
        reason = f"gemini finished with {told(finish)} and without whole speech"
    else:
        reason = f"gemini answered without speech: {text_of(body) or 'nothing'}"
    return blamed(kind, reason, billed=told_of.billed, request_id=told_of.request_id, usage=told_of.usage)


def _said(message: str, body: bytes) -> str:
    return told(message) or text_of(body) or "nothing"
