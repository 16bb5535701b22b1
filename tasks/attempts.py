"""What follows from a failed call: once more, and from when; or not at all."""

import random
import time
from dataclasses import dataclass, replace
from datetime import timedelta

from blocks.speech import (
    AccountExhausted,
    BadKey,
    BadText,
    CallFailed,
    Forbidden,
    NotSpeech,
    ProviderFailed,
    RateLimited,
    Refused,
    RunFailed,
    Unanswered,
)
from tasks.clips import Failure
from tasks.document import Chunk

ATTEMPTS = 4
"""Failing calls that a chunk may cost in one pass."""
ATTEMPTS_ON = {BadText: 1, Refused: 1, NotSpeech: 2, Unanswered: 2}
"""The same text asked again seldom goes better (the retry stage has smaller pieces to offer); what may have been billed
is asked for once more at most."""
HOPELESS = (BadKey, Forbidden, AccountExhausted)
"""Every other call would fail like this one."""
PATIENCE_S = 600.0
"""How long one chunk may be told to wait, all waits together."""
BACKOFF_S, BACKOFF_CAP_S = 0.5, 8.0


@dataclass(frozen=True, slots=True)
class Unit:
    """A chunk that is still to be said: what it has cost, and from when it may be tried."""

    chunk: Chunk
    attempt: int = 1
    waited_s: float = 0.0
    not_before: float = 0.0
    """On the monotonic clock, seconds."""


@dataclass(slots=True)
class Pause:
    """A provider's wish to be left alone, which holds for every call to it. Its end only ever moves later."""

    until: float = 0.0
    """On the monotonic clock, seconds."""

    def extend(self, seconds: float) -> None:
        self.until = max(self.until, time.monotonic() + seconds)

    @property
    def left_s(self) -> float:
        return max(0.0, self.until - time.monotonic())


def after(unit: Unit, error: CallFailed, provider: str) -> Unit | Failure:
    """The unit as it goes back to the queue, or its failure. To be told to wait is no failing attempt.

    Raises RunFailed for what no other text will change: the key, the account, a wait beyond all patience.
    """
    if isinstance(error, HOPELESS):
        raise RunFailed(
            f"{provider} will not go on: {error}. Mend that and run the same command again: finished speech is kept"
        ) from error
    if isinstance(error, RateLimited) and (error.wait_s or 0.0) > PATIENCE_S:
        raise RunFailed(
            f"{provider} asks to be left alone for {timedelta(seconds=round(error.wait_s or 0))}: {error}. "
            "Run the same command again then: finished speech is kept"
        ) from error
    pause_s = _pause_s(error, unit.attempt)
    again = replace(unit, not_before=time.monotonic() + pause_s)
    if isinstance(error, RateLimited) and unit.waited_s < PATIENCE_S:
        return replace(again, waited_s=unit.waited_s + pause_s)
    if unit.attempt < ATTEMPTS_ON.get(type(error), ATTEMPTS):
        return replace(again, attempt=unit.attempt + 1)
    return Failure(type(error).__name__, str(error), unit.attempt)


def rest_s(error: CallFailed) -> float:
    """How long every call has to rest after this one: as long as the provider asks for, if it is not for this text."""
    return error.wait_s or 0.0 if isinstance(error, RateLimited | ProviderFailed) else 0.0


def _pause_s(error: CallFailed, attempt: int) -> float:
    """As long as the provider asks for and a little more; else full jitter, so that calls do not come back together."""
    jitter = random.uniform(0, min(BACKOFF_CAP_S, BACKOFF_S * 2**attempt))  # noqa: S311  no secret
    return jitter if error.wait_s is None else error.wait_s + jitter / 4
