"""Which key makes the next call, and what its end tells of keys, accounts and the provider.

Pure: each function alters the document of a provider's keys in place; the clock and the dice come from outside.
`acquire` takes a lease, `settle` ends it with the outcome, `give_back` as if nothing had been; a lease that is neither
ended nor renewed ends by itself.
"""

import random
from collections.abc import Collection

from blocks.key_pool.blame import doubt, praise
from blocks.key_pool.events import Event
from blocks.key_pool.holds import DAY_S
from blocks.key_pool.pick import ALIVE_S, Ask, Grant, Wait, acquire, know
from blocks.key_pool.report import Row, report
from blocks.key_pool.states import Lease, Member, Pool
from blocks.key_pool.throttle import day_used, exhausted, refuse
from blocks.speech import (
    AccountExhausted,
    BadKey,
    BadVoice,
    CallFailed,
    DayQuotaUsed,
    Forbidden,
    ProviderFailed,
    RateLimited,
    Unanswered,
    Unreachable,
)

__all__ = [
    "Ask",
    "Event",
    "Grant",
    "Member",
    "Pool",
    "Row",
    "Wait",
    "acquire",
    "give_back",
    "mend",
    "probed",
    "renew",
    "report",
    "settle",
]
_UNMADE = (RateLimited, BadKey, Forbidden, AccountExhausted, Unreachable)
"""Refused before any work: the provider does not count it."""


def settle(
    pool: Pool,
    lease: str,
    error: CallFailed | BadVoice | None,
    now: float,
    rng: random.Random,
    *,
    allowed: int | None = None,
    cost_usd: float = 0.0,
) -> list[Event]:
    """End a lease with its call's outcome; what it tells is told once, however often it is settled."""
    pool.tick(now)
    ended = pool.leases.pop(lease, None)
    if ended is None:
        return []
    key, quota = pool.keys[ended.member], pool.accounts[ended.quota]
    quota.allow(allowed)
    key.spent_usd += cost_usd
    key.errors += error is not None
    if isinstance(error, _UNMADE):
        quota.refund_day(ended.day_over)
        if isinstance(error, RateLimited | Unreachable):
            quota.refund_flow(ended.due)
    return _blame(pool, ended, error, now, rng)


def _blame(  # noqa: PLR0911  one way out for each class of the contract
    pool: Pool, lease: Lease, error: CallFailed | BadVoice | None, now: float, rng: random.Random
) -> list[Event]:
    match error:
        case None:
            return praise(pool, lease, now)
        case BadKey():
            return _disable(pool, lease.member, str(error), now)
        case Forbidden():
            return _deny(pool, lease, str(error), now)
        case DayQuotaUsed():
            return day_used(pool, lease, error, now, rng)
        case AccountExhausted():
            return exhausted(pool, lease.account, error, lease.at, now)
        case RateLimited():
            return refuse(pool, lease, error, now, rng)
        case ProviderFailed() | Unanswered() | Unreachable():
            return doubt(pool, lease, error, now, rng)
        case _:  # the text's fault, or the voice's, or nobody knows
            return []


def _disable(pool: Pool, member: str, reason: str, now: float) -> list[Event]:
    key = pool.keys[member]
    already, key.wrong = bool(key.wrong), reason or "the key is wrong"
    return [] if already else [Event(now, pool.provider, member, "disabled", key.wrong)]


def _deny(pool: Pool, lease: Lease, reason: str, now: float) -> list[Event]:
    """A day long, for rights change; the same key speaks with other voices and models."""
    denied, what = pool.keys[lease.member].denied, f"{lease.model} {lease.voice}"
    already = now < denied.get(what, 0.0)
    for past in [name for name, until in denied.items() if until <= now]:
        del denied[past]
    denied[what] = now + DAY_S
    return [] if already else [Event(now, pool.provider, lease.member, "forbidden", reason, denied[what])]


def give_back(pool: Pool, lease: str, now: float) -> None:
    """The call was never made."""
    pool.tick(now)
    ended = pool.leases.pop(lease, None)
    if ended is not None:
        quota = pool.accounts[ended.quota]
        quota.refund_day(ended.day_over)
        quota.refund_flow(ended.due)
        pool.keys[ended.member].calls -= 1


def renew(pool: Pool, run: str, leases: Collection[str], now: float, for_s: float = ALIVE_S) -> None:
    """A run's heartbeat: these leases live on, also those that ran out while it slept; others run out by themselves.

    A sleep or a jump of the clock counts as one heartbeat of the call's own deadline.
    """
    pool.tick(now)
    for name in leases:
        lease = pool.leases.get(name)
        if lease is None or lease.run != run:
            continue
        lease.left -= min(max(0.0, now - lease.renewed), for_s)
        lease.renewed = now
        if lease.left > 0:
            lease.until = max(lease.until, now + min(for_s, lease.left))


def probed(pool: Pool, member: Member, error: CallFailed | None, now: float) -> list[Event]:
    """What a free look at the key told: it mends a key that was wrong, or disables one that is."""
    pool.tick(now)
    key = know(pool, member, now)
    match error:
        case None if key.wrong:
            key.wrong = ""
            return [Event(now, pool.provider, member.id, "mended", "the provider takes the key again")]
        case BadKey():
            return _disable(pool, member.id, str(error), now)
        case AccountExhausted() if not isinstance(error, DayQuotaUsed):
            return exhausted(pool, member.account, error, now, now)
        case _:
            return []


def mend(pool: Pool, member: Member, now: float) -> list[Event]:
    """A person says that the key is right and its account paid."""
    pool.tick(now)
    key = know(pool, member, now)
    key.wrong, key.denied, key.window, key.warned = "", {}, [], 0.0
    key.hold.clear(now)
    for quota in pool.accounts.values():
        if quota.account == member.account and quota.hold.kind == "credit":
            quota.hold.clear(now)
    return [Event(now, pool.provider, member.id, "mended", "somebody said so")]
