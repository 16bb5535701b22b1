"""Whatever happens, in whatever order: what the pool of keys promises always holds."""

import random
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import TypeAdapter

from blocks.key_pool import Ask, Grant, Member, Pool, acquire, give_back, probed, renew, report, settle
from blocks.plans import Plan
from blocks.speech import (
    AccountExhausted,
    BadKey,
    BadText,
    BadVoice,
    CallFailed,
    Crowded,
    DayQuotaUsed,
    Forbidden,
    NotSpeech,
    ProviderFailed,
    RateLimited,
    Refused,
    Unanswered,
    Unreachable,
)
from tests.simulation import START

PLANS = {
    "a": Plan("gemini", "free", 3, per_minute=6, per_day=25, day_ends="America/Los_Angeles"),
    "b": Plan("gemini", "tier1", 4, per_minute=5),
    "c": Plan("gemini", "other", 4, per_day=30),
}
KEYS = [("a#1", "a"), ("a#2", "a"), ("b#1", "b"), ("c#1", "c")]
NEUTRAL = [BadText, Refused, NotSpeech, BadVoice]
FAILURES = [
    BadKey,
    Forbidden,
    AccountExhausted,
    DayQuotaUsed,
    RateLimited,
    Crowded,
    ProviderFailed,
    Unanswered,
    Unreachable,
    ProviderFailed,
    Unanswered,
]
UNCOUNTED = (RateLimited, BadKey, Forbidden, AccountExhausted, Unreachable)
UNFLOWN = (RateLimited, Unreachable)
WAITS = st.sampled_from([None, None, -1.0, 2.0, 40.0, 1e9])
DOCUMENT = TypeAdapter(Pool)


class Keys(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.pool = Pool()
        self.now, self.lived = START, 0.0
        self.members = [Member(name, account, PLANS[account]) for name, account in KEYS]
        self.held: dict[str, tuple[str, float, str]] = {}
        self.flown: dict[str, list[float]] = {account: [] for account in PLANS}
        self.counted: dict[tuple[str, str], int] = {}
        self.untils: dict[str, float] = {}
        self.texts = 0

    @rule(new=st.integers(0, 3), voice=st.sampled_from(["v", "v", "w"]), calls=st.integers(1, 6))
    def ask(self, new: int, voice: str, calls: int) -> None:
        for _ in range(calls):
            self.texts += bool(new)
            self._ask(Ask("run", "m", voice, f"text {self.texts}", deadline_s=120))

    @rule()
    def something_comes_back(self) -> None:
        """The moment that a cooling ends, and a crowd that waited for it."""
        untils = [hold.until for hold in self._holds().values() if hold.until > self.now]
        if untils:
            self.time_goes_by(min(untils) - self.now + 1e-3)
            self.ask(1, "v", 12)

    def _ask(self, ask: Ask) -> None:
        probes = {id(hold): hold.probe for hold in self._holds().values()}
        live = {lease.id for lease in self.pool.live(self.now)}
        answer = acquire(self.pool, self.members, ask, self.now, self.rng)
        if not isinstance(answer, Grant):
            assert answer.until > self.now
            self._something_changes(answer, ask)
            return
        member = next(member for member in self.members if member.id == answer.member)
        quota, key = self.pool.accounts[member.account], self.pool.keys[member.id]
        assert member.enabled
        assert not key.wrong
        assert sum(1 for lease in self.pool.live(self.now) if lease.quota == member.account) <= quota.limit
        assert 1 <= quota.limit <= member.plan.in_flight
        for hold in self.pool.holds(member.id, member.account, member.account):
            assert hold.until <= self.now
            assert not (hold.half_open and probes.get(id(hold)) in live), "two probes at one time"
            assert answer.probe or not hold.half_open
        day = self._day(member.account)
        self.held[answer.lease] = (member.account, self.lived, day)
        self.flown[member.account].append(self.lived)
        self.counted[member.account, day] = self.counted.get((member.account, day), 0) + 1

    def _something_changes(self, wait, ask: Ask) -> None:
        """A long wait ends with a key, with another reason, or with a short wait for calls in flight."""
        if wait.hopeless or wait.until <= self.now + 0.3:
            return
        pool = deepcopy(self.pool)
        for lease in list(pool.leases):
            give_back(pool, lease, self.now)
        later = acquire(pool, self.members, ask, wait.until, random.Random(0))
        assert isinstance(later, Grant) or later.reason != wait.reason or later.until <= wait.until + 60

    def _day(self, account: str) -> str:
        zone = PLANS[account].day_ends
        moment = datetime.fromtimestamp(self.now, UTC)
        if zone != "UTC":
            from zoneinfo import ZoneInfo

            moment = moment.astimezone(ZoneInfo(zone))
        return moment.date().isoformat()

    def _holds(self):
        keys = {f"key {name}": key.hold for name, key in self.pool.keys.items()}
        return {"": self.pool.hold, **keys, **{name: quota.hold for name, quota in self.pool.accounts.items()}}

    def _pop(self, data) -> tuple[str, tuple[str, float, str]]:
        name = data.draw(st.sampled_from(sorted(self.held)))
        return name, self.held.pop(name)

    def _refund(self, call: tuple[str, float, str], *, flow: bool) -> None:
        account, at, day = call
        self.counted[account, day] -= 1
        if flow:
            self.flown[account].remove(at)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def goes_well(self, data) -> None:
        lease, _ = self._pop(data)
        settle(self.pool, lease, None, self.now, self.rng, cost_usd=0.5)

    @precondition(lambda self: self.held)
    @rule()
    def all_go_well(self) -> None:
        for lease in sorted(self.held):
            settle(self.pool, lease, None, self.now, self.rng)
        self.held.clear()

    @precondition(lambda self: self.held)
    @rule(data=st.data(), kind=st.sampled_from(FAILURES), wait_s=WAITS)
    def fails(self, data, kind: type[CallFailed], wait_s: float | None) -> None:
        lease, call = self._pop(data)
        settle(self.pool, lease, kind("failed", wait_s=wait_s), self.now, self.rng)
        if issubclass(kind, UNCOUNTED):
            self._refund(call, flow=issubclass(kind, UNFLOWN))

    @precondition(lambda self: self.held)
    @rule(kind=st.sampled_from(FAILURES[1:]), waits=st.lists(WAITS, min_size=1))
    def all_fail(self, kind: type[CallFailed], waits: list[float | None]) -> None:
        for n, lease in enumerate(sorted(self.held)):
            settle(self.pool, lease, kind("failed", wait_s=waits[n % len(waits)]), self.now, self.rng)
            self.deadlines_only_move_later()
            if issubclass(kind, UNCOUNTED):
                self._refund(self.held[lease], flow=issubclass(kind, UNFLOWN))
        self.held.clear()

    @precondition(lambda self: self.held)
    @rule(data=st.data(), kind=st.sampled_from(NEUTRAL))
    def the_text_is_at_fault(self, data, kind: type[Exception]) -> None:
        lease, _ = self._pop(data)
        before = deepcopy(self.pool)
        assert settle(self.pool, lease, kind("no"), self.now, self.rng) == []
        assert {name: replace(key, errors=0) for name, key in before.keys.items()} == {
            name: replace(key, errors=0) for name, key in self.pool.keys.items()
        }
        assert before.accounts == self.pool.accounts

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def is_never_made(self, data) -> None:
        lease, call = self._pop(data)
        give_back(self.pool, lease, self.now)
        self._refund(call, flow=True)

    @rule()
    def heart_beats(self) -> None:
        renew(self.pool, "run", list(self.held), self.now)

    @rule(seconds=st.sampled_from([0.1, 1.0, 1.0, 3.0, 10.0, 40.0, 700.0, 50_000.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds
        self.lived += seconds

    @rule(seconds=st.sampled_from([10.0, 500.0]))
    def clock_jumps_back(self, seconds: float) -> None:
        days = [self._day(account) for account in PLANS]
        self.now -= seconds
        if days != [self._day(account) for account in PLANS]:
            self.now += seconds
            return
        self.untils = {}
        self.pool.tick(self.now)
        self.now = max(self.now, self.pool.seen)  # nobody had looked at the clock since: it did not jump for the pool

    @rule()
    def is_killed(self) -> None:
        """Nobody renews any more: within 20 seconds nothing is in flight."""
        self.held.clear()
        self.time_goes_by(20.0)
        assert not list(self.pool.live(self.now))

    @rule(data=st.data())
    def a_person_turns_a_switch(self, data) -> None:
        n = data.draw(st.integers(0, len(self.members) - 1))
        self.members[n] = replace(self.members[n], enabled=not self.members[n].enabled)

    @rule(data=st.data())
    def a_free_look_mends(self, data) -> None:
        member = data.draw(st.sampled_from(self.members))
        probed(self.pool, member, None, self.now)
        assert not self.pool.keys[member.id].wrong

    @invariant()
    def deadlines_only_move_later(self) -> None:
        holds = self._holds() if hasattr(self, "pool") else {}
        for name, until in getattr(self, "untils", {}).items():
            assert until <= self.now or holds[name].until >= until, name
        self.untils = {name: hold.until for name, hold in holds.items()}

    @invariant()
    def budgets_hold(self) -> None:
        for (account, _), calls in getattr(self, "counted", {}).items():
            assert calls <= (PLANS[account].per_day or calls)
        for account, at in getattr(self, "flown", {}).items():
            most = (PLANS[account].per_minute or len(at)) + 1
            assert all(later - first >= 60 - 1e-3 for first, later in zip(at, at[most:], strict=False))

    @invariant()
    def the_document_is_json_and_the_report_tells(self) -> None:
        if hasattr(self, "pool"):
            assert DOCUMENT.validate_json(DOCUMENT.dump_json(self.pool)) == self.pool
            for row in report(self.pool, self.members, self.now):
                assert row.state == "healthy" or row.reason
                assert row.detail != "cooling" or row.until > self.now

    def teardown(self) -> None:
        """In the end everyone who may serve does, again and again, and to the full."""
        if not hasattr(self, "pool"):
            return
        now = self.now + 3 * 86_400
        wrong = {name for name, key in self.pool.keys.items() if key.wrong}
        able = [member for member in self.members if member.enabled and member.id not in wrong]
        served: dict[str, int] = {member.id: 0 for member in able}
        for n in range(400):
            leases = []
            while isinstance(
                answer := acquire(self.pool, self.members, Ask("run", "m", "v", "t"), now, self.rng), Grant
            ):
                leases.append(answer.lease)
                served[answer.member] += 1
            now += 3.0
            for lease in leases:
                settle(self.pool, lease, None, now, self.rng)
            if n >= 60 and all(times >= 2 for times in served.values()):
                break
            now += 60.0 if n < 60 else 1.0
        assert all(times >= 2 for times in served.values()), served


TestKeys = Keys.TestCase
TestKeys.settings = settings(
    max_examples=80,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
