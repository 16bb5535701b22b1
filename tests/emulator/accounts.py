"""Who calls, what the plan allows, and the bill. Limits belong to accounts: keys of one account share them."""

import datetime as dt
import time
import zoneinfo
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

_DAYS_END = zoneinfo.ZoneInfo("America/Los_Angeles")
"""Where the quota of a day is renewed at midnight."""
ANYONE = "anyone"
"""The account of providers that ask for no key."""


@dataclass(frozen=True, slots=True)
class Plan:
    """None is no limit."""

    in_flight: int | None = None
    per_minute: int | None = None
    per_day: int | None = None
    credits: int | None = None
    """Units that may be billed in all."""


_IN_FLIGHT = {
    "cartesia": {"free": 2, "pro": 3, "startup": 5, "scale": 15},
    "elevenlabs": {"free": 2, "starter": 3, "creator": 5, "pro": 10, "scale": 15, "business": 15},
}
PLANS: dict[str, dict[str, Plan]] = {
    **{vendor: {name: Plan(most) for name, most in plans.items()} for vendor, plans in _IN_FLIGHT.items()},
    # Google publishes no table: what people saw on the free tier, and a guess for the first paid one.
    "gemini": {"open": Plan(), "free": Plan(per_minute=3, per_day=10), "tier1": Plan(per_minute=10, per_day=100)},
}
DEFAULTS = {"cartesia": "pro", "elevenlabs": "creator"}


def plan(vendor: str, name: str) -> Plan:
    """A vendor's plan by its name, or `3/60/1000/50000`: in flight/minute/day/credits, `-` for no limit.

    Raises ValueError.
    """
    known = PLANS.get(vendor, {"open": Plan()})
    if name in known:
        return known[name]
    if "/" not in name and not name.isdigit():
        raise ValueError(f"{vendor} has no plan {name!r}: it has {', '.join(known)}, or limits such as 3/60/-/5000.")
    return Plan(*(None if limit in {"", "-"} else int(limit) for limit in name.split("/")))


@dataclass(slots=True)
class Entry:
    """One paid call in the ledger."""

    id: str
    provider: str
    account: str = ""
    key: str = ""
    """An alias; empty for a key that nobody holds."""
    text: str = ""
    outcome: str = "ok"
    """`ok`, the fault that was played, or the row of the error table."""
    status: int = 200
    units: int = 0
    """Of the sound, or of the text where it alone is counted."""
    prompt: int = 0
    """Tokens of the text, where they are billed beside the units."""
    billed: bool = False
    at: float = field(default_factory=time.time)


@dataclass(slots=True)
class Account:
    """What an account does with one provider. A plan's limits are asked before, `most_in_flight` is what was seen."""

    in_flight: Counter[str] = field(default_factory=Counter)
    """Per pool."""
    most_in_flight: int = 0
    calls: int = 0
    refused: int = 0
    billed: int = 0
    units: int = 0
    prompt: int = 0
    minute: deque[float] = field(default_factory=deque)
    days: Counter[str] = field(default_factory=Counter)

    def over(self, limits: Plan, pool: str, share: int, now: float) -> tuple[str, float]:
        """Which limit one more call breaks (or ""), and the seconds until it would not."""
        while self.minute and self.minute[0] <= now - 60:
            self.minute.popleft()
        if limits.credits is not None and self.units >= limits.credits:
            return "credits", 0.0
        if limits.per_day is not None and self.days[day(now)] >= limits.per_day:
            return "day", 18.0  # As misleading as the real one.
        if limits.per_minute is not None and len(self.minute) >= limits.per_minute:
            return "minute", self.minute[0] + 60 - now
        if limits.in_flight is not None and self.in_flight[pool] >= limits.in_flight * share:
            return "in_flight", 1.0
        return "", 0.0

    def enter(self, pool: str, now: float) -> None:
        self.minute.append(now)
        self.days[day(now)] += 1
        self.in_flight[pool] += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight.total())

    def leave(self, pool: str) -> None:
        self.in_flight[pool] -= 1

    def facts(self) -> dict[str, int]:
        names = ("most_in_flight", "calls", "refused", "billed", "units", "prompt")
        return {"in_flight": self.in_flight.total(), **{name: getattr(self, name) for name in names}}


def day(now: float) -> str:
    return dt.datetime.fromtimestamp(now, _DAYS_END).date().isoformat()


@dataclass(frozen=True, slots=True)
class Holder:
    account: str
    alias: str


def holders(keys: Iterable[str]) -> dict[str, Holder]:
    """Who holds each key, from `key` or `account:key`; a key alone has an account of its own."""
    held: dict[str, Holder] = {}
    siblings: Counter[str] = Counter()
    for number, entry in enumerate(keys, 1):
        account, _, key = entry.rpartition(":")
        account = account or f"account-{number}"
        siblings[account] += 1
        held[key] = Holder(account, f"{account}#{siblings[account]}")
    return held
