"""Which key makes the next call: of those that may, the one with the least load for its size."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from blocks.key_pool.holds import Hold
from blocks.key_pool.quotas import Quota, quota_name
from blocks.key_pool.states import KeyHealth, Lease, Member, Pool
from blocks.plans import Plan

ALIVE_S = 20.0
"""How long a lease lives without being renewed."""
_SOON_S = 0.05
_TEXT = 16
"""Hexadecimal digits that tell one text from another."""
_PROBE_S = 0.25
_NEVER_S = 3600.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One call that somebody wants to make."""

    run: str
    model: str
    voice: str
    text: str
    """The SHA-256 of what is to be said."""
    tags: frozenset[str] = frozenset()
    """Of the plans that may serve; empty: all."""
    deadline_s: float = 300.0
    """The call's own."""


@dataclass(frozen=True, slots=True)
class Grant:
    lease: str
    member: str
    probe: bool
    """The call tries whether something works again: the smallest piece of work is best."""


@dataclass(frozen=True, slots=True)
class Wait:
    until: float
    """Nothing changes sooner by itself."""
    reason: str
    hopeless: bool
    """Nothing comes back by itself: a person has to mend a key."""


@dataclass(slots=True)
class _Flight:
    """Calls in flight, counted."""

    quotas: Counter[str] = field(default_factory=Counter)
    ramps: Counter[int] = field(default_factory=Counter)
    """By the id of a time out that is on its way back: calls begun since it began."""


def acquire(pool: Pool, members: Sequence[Member], ask: Ask, now: float, rng: random.Random) -> Grant | Wait:
    """A lease on the key with the least load, or until when none can be had.

    A text that failed with a key goes to another, if that one is only busy.
    """
    _know(pool, members, ask.model, now, rng)
    asked = [member for member in members if not ask.tags or member.plan.tag in ask.tags]
    if not asked:
        return Wait(now + _NEVER_S, f"{pool.provider or 'the provider'}: no key of the plans asked for", hopeless=True)
    flight = _in_flight(pool, now)
    free: list[tuple[tuple[float, ...], Member]] = []
    waits: list[Wait] = []
    for member in asked:
        wait = _wait(pool, member, ask, flight, now)
        if wait:
            waits.append(wait)
        else:
            free.append((_load(pool, member, ask, flight, now, rng), member))
    hopeful = [wait for wait in waits if not wait.hopeless]
    soonest = min(hopeful or waits, key=lambda wait: wait.until, default=None)
    untried = [(load, member) for load, member in free if not pool.keys[member.id].failed(ask.text[:_TEXT], now)]
    if soonest and not untried and (not free or soonest.until <= now + _PROBE_S):
        return Wait(soonest.until, soonest.reason, not free and not hopeful)
    return _granted(pool, min(untried or free, key=lambda pair: pair[0])[1], ask, now, rng)


def _know(pool: Pool, members: Sequence[Member], model: str, now: float, rng: random.Random) -> None:
    """Every member and account has its place in the document, and its plan is today's."""
    pool.tick(now)
    pool.sweep(now)
    plans: dict[str, tuple[str, Plan]] = {}
    for member in members:
        know(pool, member, now)
        name = quota_name(member.account, member.plan, model)
        if name not in plans or member.plan.in_flight < plans[name][1].in_flight:
            plans[name] = (member.account, member.plan)
    for name, (account, plan) in plans.items():
        if name not in pool.accounts:
            pool.accounts[name] = Quota(account)
        pool.accounts[name].fit(plan, now, rng)


def know(pool: Pool, member: Member, now: float) -> KeyHealth:
    """The member's place in the document."""
    pool.provider = member.plan.provider
    if member.id not in pool.keys:
        pool.keys[member.id] = KeyHealth()
    if member.account not in pool.accounts:
        pool.accounts[member.account] = Quota(member.account)
    pool.accounts[member.account].seen = now
    key = pool.keys[member.id]
    key.account, key.on, key.seen = member.account, member.enabled, now
    return key


def _in_flight(pool: Pool, now: float) -> _Flight:
    flight = _Flight()
    live = list(pool.live(now))
    flight.quotas.update(lease.quota for lease in live)
    if pool.hold.ramp or any(known.hold.ramp for group in (pool.keys, pool.accounts) for known in group.values()):
        holds = ((lease, hold) for lease in live for hold in pool.holds(lease.member, lease.account, lease.quota))
        flight.ramps.update(id(hold) for lease, hold in holds if hold.ramp and lease.at >= hold.since)
    return flight


def _wait(pool: Pool, member: Member, ask: Ask, flight: _Flight, now: float) -> Wait | None:
    """Why this member cannot make the call now; None if it can."""
    key = pool.keys[member.id]
    if not member.enabled or key.wrong:
        return Wait(now + _NEVER_S, f"{_who(member)}: {key.wrong if member.enabled else 'switched off'}", hopeless=True)
    if now < (until := key.denied.get(f"{ask.model} {ask.voice}", 0.0)):
        return Wait(until, f"{_who(member)}: not for this voice or model", hopeless=True)
    name = quota_name(member.account, member.plan, ask.model)
    holds = pool.holds(member.id, member.account, name)
    waits = [wait for hold in holds if (wait := _held(pool, hold, member, flight, now))]
    if not waits and (wait := _full(pool.accounts[name], flight.quotas[name], member, now)):
        return wait
    return max(waits, key=lambda wait: wait.until, default=None)


def _held(pool: Pool, hold: Hold, member: Member, flight: _Flight, now: float) -> Wait | None:
    if now < hold.until:
        return Wait(hold.until, f"{_who(member)}: {hold.reason}", hopeless=hold.kind == "credit" and not hold.told)
    if hold.half_open and pool.probing(hold, now):
        return Wait(now + _PROBE_S, f"{_who(member)}: one call tries whether it works again", hopeless=False)
    if hold.ramp and flight.ramps[id(hold)] >= hold.ramp:
        return Wait(now + _SOON_S, f"{_who(member)}: coming back step by step", hopeless=False)
    return None


def _who(member: Member) -> str:
    return f"{member.plan.tag}: {member.id}"


def _full(quota: Quota, in_flight: int, member: Member, now: float) -> Wait | None:
    if quota.spent:
        return Wait(quota.day_over + quota.late, f"{_who(member)}: day quota", hopeless=False)
    if in_flight >= quota.limit:
        quota.grow(now)
    if in_flight >= quota.limit:
        return Wait(
            now + _SOON_S, f"{member.plan.tag}: every account has {quota.limit} calls in flight", hopeless=False
        )
    if now < quota.free_at():
        return Wait(
            quota.free_at(), f"{member.plan.tag}: every account has had its calls of the minute", hopeless=False
        )
    return None


def _load(
    pool: Pool, member: Member, ask: Ask, flight: _Flight, now: float, rng: random.Random
) -> tuple[float, float, float, float]:
    """Who has the least of these is taken."""
    key, name = pool.keys[member.id], quota_name(member.account, member.plan, ask.model)
    quota = pool.accounts[name]
    load = (flight.quotas[name] + 1) / (quota.limit * key.weight(now))
    return load, quota.used / quota.per_day if quota.per_day else 0.0, key.used_at, rng.random()


def _granted(pool: Pool, member: Member, ask: Ask, now: float, rng: random.Random) -> Grant:
    name = quota_name(member.account, member.plan, ask.model)
    key, quota = pool.keys[member.id], pool.accounts[name]
    lease = Lease(
        id=f"{rng.getrandbits(64):016x}",
        run=ask.run,
        member=member.id,
        account=member.account,
        quota=name,
        model=ask.model,
        voice=ask.voice,
        text=ask.text[:_TEXT],
        at=now,
        until=now + min(ALIVE_S, ask.deadline_s),
        renewed=now,
        left=ask.deadline_s,
        due=quota.take(now),
        day_over=quota.day_over,
    )
    pool.leases[lease.id] = lease
    key.calls, key.used_at = key.calls + 1, now
    tried = [hold for hold in pool.holds(member.id, member.account, name) if hold.half_open]
    for hold in tried:
        hold.probe = lease.id
    return Grant(lease.id, member.id, bool(tried))
