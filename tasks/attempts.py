"""What follows from a failed call: once more, and from when; or not at all."""

import random
import time
from dataclasses import dataclass, replace

from blocks.speech import (
    AccountExhausted,
    BadKey,
    BadText,
    CallFailed,
    Forbidden,
    NotSpeech,
    RateLimited,
    Refused,
    Unanswered,
)
from tasks.clips import Failure
from tasks.document import Chunk

ATTEMPTS = 4
"""Failing calls that a chunk may cost in one pass."""
ATTEMPTS_ON = {BadText: 1, Refused: 1, NotSpeech: 2, Unanswered: 2}
"""The same text asked again seldom goes better (the retry stage has smaller pieces to offer); what may have been billed
is asked for once more in a pass, and the retry stage counts the passes."""
ANOTHERS_FAULT = (RateLimited, BadKey, Forbidden, AccountExhausted)
"""Of the key or the account: another one may say the text, or this one later, and whoever chooses keys sees to that."""
BACKOFF_S, BACKOFF_CAP_S = 0.5, 8.0
BREATH_S = 0.3
"""The most that a call waits which was refused for somebody else's fault, so that all do not come back together."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A chunk that is still to be said: what it has cost, and from when it may be tried."""

    chunk: Chunk
    attempt: int = 1
    not_before: float = 0.0
    """On the monotonic clock, seconds."""


def after(unit: Unit, error: CallFailed, attempts: int = ATTEMPTS) -> Unit | Failure:
    """The unit as it goes back to the queue, or its failure after so many attempts at most.

    Another's fault is no failing attempt of the unit.
    """
    now = time.monotonic()
    if isinstance(error, ANOTHERS_FAULT):
        return replace(unit, not_before=now + random.uniform(0, BREATH_S))  # noqa: S311  no secret
    if unit.attempt >= min(attempts, ATTEMPTS_ON.get(type(error), ATTEMPTS)):
        return Failure(type(error).__name__, str(error), unit.attempt)
    return replace(unit, attempt=unit.attempt + 1, not_before=now + _pause_s(error, unit.attempt))


def _pause_s(error: CallFailed, attempt: int) -> float:
    """As long as the provider asks for and a little more; else full jitter, so that calls do not come back together."""
    jitter = random.uniform(0, min(BACKOFF_CAP_S, BACKOFF_S * 2**attempt))  # noqa: S311  no secret
    return jitter if error.wait_s is None else error.wait_s + jitter / 4
