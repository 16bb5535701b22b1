"""What one account may still do: calls at one time, in a minute and in a day.

The bound of calls at one time is the plan's word, or the provider's where that is lower. A refusal teaches a lower
limit at once; it grows back slowly, and ever more slowly while growing brings nothing but refusals.
"""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from blocks.key_pool.holds import Hold
from blocks.plans import Plan

BOUNDLESS = 1000
"""Calls at one time where nobody knows a limit; refusals teach it."""
_GROWTH_S = 30.0
_MOST_FRUITLESS = 5
_CUT_S = 2.0
_SLOW = 0.02
_OFTEN = 0.08
_LATE_S = 120.0
_TOLERANCE_S = 1.0
_THROTTLES = 10


@dataclass(slots=True)
class Quota:
    """Of an account, or of one model in it."""

    account: str = ""
    seen: float = 0.0
    hold: Hold = field(default_factory=Hold)
    cap: int = 0
    """By the plan."""
    told: int = 0
    """By the provider; 0 while it has not said."""
    limit: int = 0
    """In force now."""
    learned: bool = False
    step: int = 1
    fruitless: int = 0
    changed: float = 0.0
    """When the limit was last cut or grown."""
    trying: bool = False
    """The last change was growth, and its fruit is not known."""
    refusals: float = 0.0
    """A moving share of calls refused for their rate."""
    rate_exponent: int = 0
    per_minute: int = 0
    due: float = 0.0
    """When the next call of an even flow is due."""
    per_day: int = 0
    day_ends: str = ""
    day_over: float = 0.0
    used: int = 0
    late: float = 0.0
    """How long after midnight to try again, so that not all do at once."""
    throttled: list[float] = field(default_factory=list)

    @property
    def bound(self) -> int:
        return min(self.cap, self.told) if self.told else self.cap

    def fit(self, plan: Plan, now: float, rng: random.Random) -> None:
        """Keep to the plan of today, and begin a new day."""
        self.seen = now
        cap = plan.in_flight if plan.in_flight > 0 else BOUNDLESS
        if cap != self.cap:
            self._rebound(cap, self.told)
        self.per_minute, self.per_day = max(0, plan.per_minute), max(0, plan.per_day)
        if now >= self.day_over or plan.day_ends != self.day_ends:
            if self.spent and self.day_over and now >= self.day_over:
                self.hold.begin("day", "day quota", self.day_over + self.late, now)
            if now >= self.day_over:
                self.used, self.late = 0, 0.0
            self.day_ends, self.day_over = plan.day_ends, day_end(plan.day_ends, now)
        if self.spent and not self.late:
            self.late = rng.uniform(1.0, _LATE_S)

    def allow(self, allowed: int | None) -> None:
        """The provider told how many calls at one time it allows."""
        if allowed is not None and allowed > 0:
            self._rebound(self.cap, allowed)

    def _rebound(self, cap: int, told: int) -> None:
        free = self.limit >= self.bound and not self.learned
        self.cap, self.told = cap, told
        self.limit = self.bound if free else min(self.limit, self.bound)

    # Calls at one time

    def crowded(self, others: int, now: float) -> None:
        """So many others were in flight when one was too many."""
        self._was_fruitless(now)
        if others < self.limit:
            self._cut(others, now)

    def refused(self, now: float, *, fresh: bool) -> None:
        """Too many in a minute: where no number is known and it happens often, fewer at one time will help."""
        if fresh:
            self.refusals += _SLOW * (1.0 - self.refusals)
        if not self.per_minute and self.refusals > _OFTEN and now >= self.changed + _CUT_S:
            self._was_fruitless(now)
            self._cut(int(self.limit * 0.7), now)
            self.refusals /= 2

    def taken(self) -> None:
        """A call went well."""
        self.refusals *= 1.0 - _SLOW

    def _was_fruitless(self, now: float) -> None:
        """A refusal soon after the last growth is its fruit: the next takes longer to come."""
        if self.trying and now < self.changed + self._pace():
            self.fruitless, self.step = min(_MOST_FRUITLESS, self.fruitless + 1), 1
        self.trying = False

    def _cut(self, limit: int, now: float) -> None:
        self.limit, self.learned, self.changed = max(1, min(self.limit, limit)), True, now

    def grow(self, now: float) -> None:
        """Called when all is in use and more is wanted."""
        if self.limit >= self.bound or now < max(self.changed, self.hold.until) + self._pace():
            return
        if self.trying:
            self.step, self.fruitless = 2 * self.step, 0
        self.limit = min(self.bound, self.limit + self.step)
        self.changed, self.trying = now, True

    def _pace(self) -> float:
        return _GROWTH_S * float(2**self.fruitless)

    # Calls in a minute

    def free_at(self) -> float:
        """When the flow has room for a call."""
        interval = self._interval()
        return self.due - min(interval, _TOLERANCE_S) if interval else 0.0

    def _interval(self) -> float:
        return 60.0 / self.per_minute if self.per_minute else 0.0

    def take(self, now: float) -> float:
        """Count a call; what it returns refunds the flow."""
        self.used += 1
        self.due = max(now, self.due) + self._interval()
        return self.due

    def refund_flow(self, taken: float) -> None:
        """Only the last place can be given back: the later ones were counted from it."""
        if abs(self.due - taken) < 1e-6:
            self.due -= self._interval()

    # Calls in a day

    @property
    def spent(self) -> bool:
        return bool(self.per_day) and self.used >= self.per_day

    def refund_day(self, day_over: float) -> None:
        """Of the same day only."""
        if self.day_over == day_over:
            self.used = max(0, self.used - 1)

    # Clocks and evidence

    def throttle(self, now: float) -> bool:
        """Whether this refusal begins another episode of them."""
        if self.throttled and now < self.throttled[-1] + _CUT_S:
            return False
        self.throttled = [*self.throttled[1 - _THROTTLES :], now]
        return True

    def move(self, by: float, now: float) -> None:
        """The clock jumped back: durations hold, but a midnight stays where it is, and what was used stays used."""
        midnight = day_end(self.day_ends, now)
        until = min(self.hold.until, midnight + _LATE_S) if self.hold.kind == "day" else self.hold.until + by
        self.hold.move(by)
        self.hold.until = until
        self.changed, self.due, self.seen = self.changed + by, self.due + by, self.seen + by
        self.throttled = [at + by for at in self.throttled]
        self.day_over = min(self.day_over, midnight)


def quota_name(account: str, plan: Plan, model: str) -> str:
    return f"{account}/{model}" if plan.per_model else account


def day_end(zone: str, now: float) -> float:
    """The next midnight there."""
    there: tzinfo = UTC if zone in ("", "UTC") else ZoneInfo(zone)
    tomorrow = datetime.fromtimestamp(now, there).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), there).timestamp()
