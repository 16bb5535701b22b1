"""What vendors' answers have in common: messages in many envelopes, times to wait, and what a bare status means."""

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from blocks.speech import (
    AccountExhausted,
    BadKey,
    BadText,
    BadVoice,
    Billed,
    CallFailed,
    Forbidden,
    Limits,
    NotSpeech,
    ProviderFailed,
    RateLimited,
    Refused,
    Unreachable,
    Usage,
)

Blame = CallFailed | BadVoice
MESSAGE = 200
"""Characters of a vendor's words that an error repeats."""
DAY_S = 86_400.0
_ABSURD_S = 31 * DAY_S
_GATEWAYS = {502, 504, 520, 521, 522, 523, 524, 525, 527}
"""Sent by what stands before the server, which may still have done the work."""
_KINDS: dict[int, type[CallFailed]] = {
    400: BadText,
    401: BadKey,
    402: AccountExhausted,
    403: Forbidden,
    407: Unreachable,
    413: BadText,
    414: BadText,
    415: BadText,
    422: BadText,
    429: RateLimited,
    451: Refused,
}
ABOUT_TEXT = re.compile(
    r"\b(transcript|text(?![ -]to[ -]speech)|too (long|short|large)|length|characters?|empty|tokens?)\b", re.IGNORECASE
)
"""Words of a complaint about the text, even where it names a voice or model too: `too long for this model`."""
_NO_SUCH_PLACE = {404, 405, 410}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an answer tells of its call, whether it holds speech or not."""

    billed: Billed = Billed.YES
    request_id: str = ""
    usage: Usage | None = None
    in_flight: int | None = None
    """Calls at one time that the plan allows."""


PAID = Receipt()


def told(words: object, limit: int = MESSAGE) -> str:
    """On one line, and no longer than `limit`."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(words)[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def text_of(body: bytes) -> str:
    """What a body without a known envelope says, for a message."""
    return told(body[: 4 * MESSAGE].decode(errors="replace"))


def header(headers: Mapping[str, str], name: str) -> str:
    return next((value for key, value in headers.items() if key.lower() == name), "")


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that the headers ask to wait, 24 hours at most; None where they ask nothing sane."""
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        wait = sane(_number(header(headers, name)), 0.001)
        if wait is not None:
            return wait
    stated = header(headers, "retry-after")
    seconds = _number(stated)
    return sane(_until(stated, now or datetime.now(UTC)) if seconds is None else seconds)


def sane(value: float | None, unit: float = 1.0) -> float | None:
    """A wait in seconds, 24 hours at most; None for a negative or absurd one."""
    if value is None or not math.isfinite(value) or not 0 <= value * unit <= _ABSURD_S:
        return None
    return min(value * unit, DAY_S)


def _number(stated: str) -> float | None:
    try:
        return float(stated)
    except ValueError:
        return None


def _until(stated: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(stated)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def blamed(
    kind: type[CallFailed] | type[BadVoice],
    message: str,
    *,
    billed: Billed = Billed.NO,
    wait_s: float | None = None,
    request_id: str = "",
    usage: Usage | None = None,
) -> Blame:
    """One of the tree, with all that its class can hold."""
    if issubclass(kind, BadVoice):
        return kind(message)
    return kind(message, billed=billed, wait_s=wait_s, request_id=told(request_id), usage=usage)


def by_status(status: int) -> tuple[type[CallFailed] | type[BadVoice], Billed]:
    """What a status means that the vendor explains no better.

    A page that is not there, or elsewhere, is a wrong server, model or voice: no other text will go better.
    """
    if 200 <= status < 300:
        return NotSpeech, Billed.YES
    if 300 <= status < 400 or status in _NO_SUCH_PLACE:
        return BadVoice, Billed.NO
    return _KINDS.get(status, ProviderFailed), Billed.UNKNOWN if status in _GATEWAYS else Billed.NO


def check_text(provider: str, text: str, limits: Limits) -> None:
    """Raise BadText for what no server can be asked to speak, before it is paid."""
    if not any(unicodedata.category(character)[0] in "LNS" for character in text):
        raise BadText(f"{provider} was given nothing to speak: no letter, number or symbol.")
    if "\0" in text:
        raise BadText(f"The text has a NUL character, at position {text.index(chr(0))}.")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise BadText(f"The text has a lone surrogate at position {error.start}.") from error
    if len(text) > limits.characters or size > limits.bytes:
        raise BadText(
            f"{provider} takes {limits.characters} characters and {limits.bytes} bytes in one call, "
            f"not {len(text)} and {size}."
        )
