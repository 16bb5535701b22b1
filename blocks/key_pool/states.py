"""The document of a provider's keys: who they are, how they are, and which calls are in flight."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from blocks.key_pool.holds import DAY_S, Hold
from blocks.key_pool.quotas import Quota
from blocks.plans import Plan

WINDOW_S = 300.0
_WINDOW = 20
_RECENT = 40
_JUMP_S = 5.0
_DEAD = 500
_FORGOTTEN_S = 30 * DAY_S
_DOUBTFUL = 0.25


@dataclass(frozen=True, slots=True)
class Member:
    """A key, or a server that asks for none."""

    id: str
    """Stable, and no secret: an alias and a fingerprint, or a server's host and port."""
    account: str
    """Whom the provider's limits bind; several keys may share it."""
    plan: Plan
    enabled: bool = True
    """False: switched off by a person, whatever else is known."""


@dataclass(slots=True)
class Outcome:
    """How a call ended, of those that may tell something of the key or the provider."""

    at: float
    text: str = ""
    """Of a failure."""
    failed: str = ""
    """The kind of failure; empty for a success."""
    account: str = ""


@dataclass(slots=True)
class KeyHealth:
    account: str = ""
    on: bool = True
    seen: float = 0.0
    """When it last was among the members."""
    wrong: str = ""
    """Why it cannot be used until a person or a free look mends it."""
    denied: dict[str, float] = field(default_factory=dict)
    """Models and voices that are not for this key, and until when we believe it."""
    window: list[Outcome] = field(default_factory=list)
    warned: float = 0.0
    """Doubtful until then, if nothing more happens."""
    hold: Hold = field(default_factory=Hold)
    calls: int = 0
    errors: int = 0
    spent_usd: float = 0.0
    used_at: float = 0.0

    def weight(self, now: float) -> float:
        return _DOUBTFUL if now < self.warned else 1.0

    def note(self, outcome: Outcome, now: float) -> None:
        self.window = [*within(self.window, now)[1 - _WINDOW :], outcome]

    def failed(self, text: str, now: float) -> bool:
        return any(outcome.failed and outcome.text == text for outcome in within(self.window, now))

    def weigh(self, now: float) -> bool:
        """Whether it is doubtful by its last outcomes: three failures, and more than one in five."""
        failed = [outcome for outcome in within(self.window, now) if outcome.failed]
        doubtful = len(failed) >= 3 and 5 * len(failed) > len(within(self.window, now))
        self.warned = failed[-3].at + WINDOW_S if doubtful else 0.0
        return doubtful

    def refund(self, text: str = "") -> None:
        """Failures, of one text or all, were not its fault."""
        self.window = [
            outcome for outcome in self.window if not outcome.failed or outcome.text != (text or outcome.text)
        ]


@dataclass(slots=True)
class Lease:
    """The right to make one call with one key; it lives while it is renewed."""

    id: str
    run: str
    member: str
    account: str
    quota: str
    model: str
    voice: str
    text: str
    at: float
    until: float
    renewed: float
    left: float
    """Seconds of the call's own deadline still to come, counted from renewal to renewal."""
    due: float = 0.0
    day_over: float = 0.0


@dataclass(slots=True)
class Pool:
    """The document of one provider."""

    provider: str = ""
    seen: float = 0.0
    keys: dict[str, KeyHealth] = field(default_factory=dict)
    accounts: dict[str, Quota] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    """With those that ran out: their calls may still be in flight."""
    hold: Hold = field(default_factory=Hold)
    recent: list[Outcome] = field(default_factory=list)
    suspects: dict[str, float] = field(default_factory=dict)
    """Texts that failed alike on two accounts: no key is charged for them."""
    alike: list[str] = field(default_factory=list)
    """Pairs of accounts that look like one."""

    def live(self, now: float) -> Iterator[Lease]:
        return (lease for lease in self.leases.values() if now < lease.until)

    def probing(self, hold: Hold, now: float) -> bool:
        """Whether a live lease has the one slot of a half-open time."""
        lease = self.leases.get(hold.probe)
        return lease is not None and now < lease.until

    def holds(self, member: str, account: str, quota: str) -> list[Hold]:
        """All that bind a call: the provider's, the key's, the account's, and the model's in it."""
        found = [self.hold, self.keys[member].hold, self.accounts[account].hold]
        return found if quota == account else [*found, self.accounts[quota].hold]

    def note(self, outcome: Outcome) -> None:
        self.recent = [*self.recent[1 - _RECENT :], outcome]

    def tick(self, now: float) -> None:
        """Move all deadlines if the clock jumped back."""
        if now < self.seen - _JUMP_S:
            self._move(now - self.seen, now)
            self.seen = now
        self.seen = max(self.seen, now)

    def _move(self, by: float, now: float) -> None:
        self.hold.move(by)
        for quota in self.accounts.values():
            quota.move(by, now)
        for lease in self.leases.values():
            lease.at, lease.until, lease.renewed = lease.at + by, lease.until + by, lease.renewed + by
            lease.due += by
        for key in self.keys.values():
            key.hold.move(by)
            key.seen, key.warned, key.used_at = key.seen + by, key.warned + by, key.used_at + by
            key.denied = {what: until + by for what, until in key.denied.items()}
        for outcome in [*self.recent, *(outcome for key in self.keys.values() for outcome in key.window)]:
            outcome.at += by
        self.suspects = {text: at + by for text, at in self.suspects.items()}

    def sweep(self, now: float) -> None:
        """Forget what is long gone; a lease that ran out is kept a day, for a run that slept may take it up again."""
        dead = [lease.id for lease in self.leases.values() if lease.until <= now]
        for name in [name for n, name in enumerate(dead, _DEAD - len(dead)) if n < 0 or self._old(name, now)]:
            del self.leases[name]
        if any(now - key.seen > _FORGOTTEN_S for key in self.keys.values()):
            used = {lease.member for lease in self.leases.values()}
            self.keys = {n: key for n, key in self.keys.items() if now - key.seen <= _FORGOTTEN_S or n in used}
        if any(now - quota.seen > _FORGOTTEN_S for quota in self.accounts.values()):
            used = {name for lease in self.leases.values() for name in (lease.account, lease.quota)}
            self.accounts = {n: q for n, q in self.accounts.items() if now - q.seen <= _FORGOTTEN_S or n in used}

    def _old(self, lease: str, now: float) -> bool:
        return self.leases[lease].until < now - DAY_S


def within(outcomes: list[Outcome], now: float, since: float = 0.0) -> list[Outcome]:
    """Of the last minutes."""
    return [outcome for outcome in outcomes if outcome.at >= max(since, now - WINDOW_S)]
