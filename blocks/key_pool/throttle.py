"""What an account was refused: too much at one time, in a minute or in a day, or nothing left to pay with."""

import random

from blocks.key_pool.events import Event
from blocks.key_pool.holds import DAY_S, sane
from blocks.key_pool.quotas import Quota, day_end
from blocks.key_pool.states import Lease, Pool
from blocks.speech import AccountExhausted, Crowded, DayQuotaUsed, RateLimited

_RATE_S = 5.0
_MOST_RATE_S = 300.0
_ALONE_S = 1.0
_MOST_ALONE_S = 30.0
_CREDIT_S = 3600.0
_LATE_S = 120.0
_STILL_S = 900.0
_EPISODES = 5
_TOGETHER_S = 2.0


def refuse(pool: Pool, lease: Lease, error: RateLimited, now: float, rng: random.Random) -> list[Event]:
    """No failure of the call; the account takes fewer calls at one time, or none for a while."""
    quota = pool.accounts[lease.quota]
    fresh, tried, limit = lease.at >= quota.hold.since, quota.trying, quota.limit
    if isinstance(error, Crowded):
        others = sum(1 for other in pool.live(now) if other.quota == lease.quota)
        quota.crowded(others, now)
        if not others:
            _pause(quota, error, min(_MOST_ALONE_S, _ALONE_S * 2**quota.rate_exponent), now, rng, fresh=fresh)
    else:
        quota.refused(now, fresh=fresh)
        _pause(quota, error, min(_MOST_RATE_S, _RATE_S * 2**quota.rate_exponent), now, rng, fresh=fresh)
    events = []
    if quota.limit < limit:
        reason = f"{quota.limit} calls at one time, not {limit}: {error}"
        events.append(Event(now, pool.provider, lease.quota, "limit learned", reason))
    if tried or not quota.throttle(now):  # trials of grown limits come at the same moments in any two accounts
        return events
    return events + same_account(pool, lease.quota, now)


def _pause(quota: Quota, error: RateLimited, most_s: float, now: float, rng: random.Random, *, fresh: bool) -> None:
    """As long as the provider says; else by chance, and longer each time until a call goes well."""
    wait_s = sane(error.wait_s)
    if wait_s is not None:
        quota.hold.begin("rate", str(error), now + wait_s, now, half_open=False, told=True)
    elif fresh:
        quota.hold.begin("rate", str(error), now + rng.uniform(0.0, most_s), now, half_open=False)
    if fresh:
        quota.rate_exponent = min(10, quota.rate_exponent + 1)


def day_used(pool: Pool, lease: Lease, error: DayQuotaUsed, now: float, rng: random.Random) -> list[Event]:
    """Comes back at midnight there, whatever shorter wait the answer tells."""
    quota = pool.accounts[lease.quota]
    hold, over = quota.hold, day_end(quota.day_ends, now)
    if hold.kind == "day" and lease.at < hold.since:
        return []
    until = over + rng.uniform(0.0, _LATE_S)
    if hold.kind == "day" and hold.half_open and hold.probe == lease.id:  # their midnight may be later than ours
        until = min(until, now + _STILL_S * 2 ** min(10, hold.raised(now)))
    longer = hold.begin("day", f"day quota: {error}", until, now)
    return [Event(now, pool.provider, lease.quota, "day quota", str(error), until)] if longer else []


def exhausted(pool: Pool, account: str, error: AccountExhausted, begun: float, now: float) -> list[Event]:
    """No credit: it comes back when the provider says, or when somebody has paid."""
    hold, wait_s = pool.accounts[account].hold, sane(error.wait_s)
    if hold.kind == "credit" and begun < hold.since:
        return []
    told = wait_s is not None
    wait_s = wait_s or min(DAY_S, _CREDIT_S * 2 ** min(10, hold.raised(now)))
    longer = hold.begin("credit", f"no credit: {error}", now + wait_s, now, told=told)
    return [Event(now, pool.provider, account, "no credit", str(error), hold.until)] if longer else []


def same_account(pool: Pool, name: str, now: float) -> list[Event]:
    """Two accounts that are always refused at the same moments are likely one, declared twice."""
    quota, model = pool.accounts[name], name.removeprefix(pool.accounts[name].account)
    events = []
    for other in pool.accounts.values() if len(quota.throttled) >= _EPISODES else ():
        pair = " and ".join(sorted([quota.account, other.account]))
        if other is quota or pair in pool.alike or len(other.throttled) < _EPISODES:
            continue
        twin = pool.accounts.get(other.account + model)
        if twin is other and _together(quota.throttled, other.throttled):
            pool.alike.append(pair)
            events.append(
                Event(now, pool.provider, pair, "same account?", "they are always refused at the same moments")
            )
    return events


def _together(some: list[float], others: list[float]) -> bool:
    return all(
        sum(any(abs(at - other) <= _TOGETHER_S for other in right) for at in left) >= 0.8 * len(left)
        for left, right in ((some, others), (others, some))
    )
