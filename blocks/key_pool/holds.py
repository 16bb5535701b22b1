"""A time out for a key, an account or a whole provider, and the careful way back from it."""

import math
from dataclasses import dataclass
from typing import Literal

DAY_S = 86_400.0
PROBES = 2
"""Successes, one after the other, that end a half-open time."""
_DECAY_S = 600.0
Kind = Literal["", "rate", "day", "credit", "failures", "provider"]


@dataclass(slots=True)
class Hold:
    """Cooling until `until`; then, if half-open, one call at a time until two went well.

    From there on twice as many by each success.
    """

    until: float = 0.0
    kind: Kind = ""
    reason: str = ""
    told: bool = False
    """The provider itself said until when."""
    since: float = 0.0
    """Calls begun before it tell nothing of the time after."""
    half_open: bool = False
    probe: str = ""
    """The lease that holds the one slot of a half-open time."""
    successes: int = 0
    exponent: int = 0
    ended: float = 0.0
    ramp: int = 0
    """The most calls at one time on the way back; 0: no bound."""

    def state(self, now: float) -> Literal["", "cooling", "half-open"]:
        if now < self.until:
            return "cooling"
        return "half-open" if self.half_open else ""

    def begin(
        self, kind: Kind, reason: str, until: float, now: float, *, half_open: bool = True, told: bool = False
    ) -> bool:
        """Whether it is longer now: a deadline only ever moves later while it runs."""
        self.half_open |= half_open
        if until <= max(self.until, now):
            return False
        self.kind, self.reason, self.until, self.told = kind, reason, until, told
        self.since, self.successes, self.probe, self.ramp = now, 0, "", 0
        return True

    def raised(self, now: float) -> int:
        """The exponent for a time out that begins now; the next one's is greater, if it comes soon."""
        if not self.half_open:
            self.exponent = max(0, self.exponent - int(max(0.0, now - self.ended) // _DECAY_S))
        self.exponent += 1
        return self.exponent - 1

    def succeeded(self, lease: str, begun: float, limit: int, now: float) -> bool:
        """Whether this success ended the half-open time."""
        if self.half_open and self.probe == lease and now >= self.until:
            self.successes += 1
            if self.successes >= PROBES:
                self.half_open, self.ended, self.ramp = False, now, 1 if limit > 1 else 0
                return True
        elif self.ramp and begun >= self.since:
            self.ramp = 2 * self.ramp if 2 * self.ramp < limit else 0
        return False

    def clear(self, now: float) -> None:
        """A person said so."""
        self.until, self.kind, self.reason, self.half_open, self.probe = 0.0, "", "", False, ""
        self.ramp, self.exponent, self.since = 0, 0, now

    def move(self, by: float) -> None:
        """The clock jumped: durations hold."""
        self.until, self.since, self.ended = self.until + by, self.since + by, self.ended + by


def sane(wait_s: float | None) -> float | None:
    """A provider's own word how long to wait: 24 hours at most; None for nothing, or nothing sane."""
    if wait_s is None or not math.isfinite(wait_s) or wait_s <= 0:
        return None
    return min(wait_s, DAY_S)
