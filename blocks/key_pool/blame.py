"""Who pays for a call's end: nobody, the key, the account or the provider. Each of them for its own faults only.

What the provider explains is believed at once. A failure that nobody explains (broken, unreachable, silent) is evidence
only: it is weighed against what other accounts brought in the same time, and a text that fails with two accounts
clears both.
"""

import random
from collections import Counter
from collections.abc import Iterable

from blocks.key_pool.events import Event
from blocks.key_pool.holds import Hold, sane
from blocks.key_pool.states import WINDOW_S, KeyHealth, Lease, Outcome, Pool, within
from blocks.speech import ProviderFailed, Unanswered, Unreachable

_STREAK = 5
_STREAK_OF_ALL = 6
"""One more, for it stops everybody: of 20,000 calls of which each tenth fails by chance, five in a row do."""
_STALE_S = 30.0
_PER_TEXT = 2
_PER_ACCOUNT = 3
"""Failures of one account that a streak counts against the provider: a dead server fails faster than others speak."""
_ENOUGH = 10
_ENOUGH_ALL = 20
_FEW = 3
_COOL_S = 15.0
_MOST_COOL_S = 900.0
_PAUSE_S = 1.0
_MOST_PROVIDER_S = 30.0
_PRESENT_S = 600.0
_CROWD = 64
"""So many calls at one time, and a provider is back whole."""
Unclear = ProviderFailed | Unanswered | Unreachable


def praise(pool: Pool, lease: Lease, now: float) -> list[Event]:
    """The call went well: what was doubted is believed again, step by step."""
    key, quota = pool.keys[lease.member], pool.accounts[lease.quota]
    key.note(Outcome(now), now)
    pool.note(Outcome(now, account=lease.account))
    pool.suspects.pop(lease.text, None)
    events = []
    for subject, hold, limit in [
        (pool.provider, pool.hold, _CROWD),
        (lease.member, key.hold, quota.limit),
        (lease.account, pool.accounts[lease.account].hold, quota.limit),
        *([(lease.quota, quota.hold, quota.limit)] if lease.quota != lease.account else []),
    ]:
        if hold.succeeded(lease.id, lease.at, limit, now):
            events.append(Event(now, pool.provider, subject, "healthy", f"came back after: {hold.reason}"))
    if not pool.hold.half_open and lease.at >= pool.hold.since:
        pool.hold.exponent = 0
    quota.taken()
    quota.rate_exponent = 0 if lease.at >= quota.hold.since else max(0, quota.rate_exponent - 1)
    if key.warned and not key.weigh(now):
        events.append(Event(now, pool.provider, lease.member, "healthy", "most calls go well again"))
    return events


def doubt(pool: Pool, lease: Lease, error: Unclear, now: float, rng: random.Random) -> list[Event]:
    """The call failed, and nothing in the answer says by whose fault."""
    key, failed = pool.keys[lease.member], type(error).__name__
    if lease.at < max(pool.hold.since, key.hold.since):
        return []
    if pool.hold.half_open:
        return _hold_provider(pool, str(error), now) if pool.hold.probe == lease.id else []
    if isinstance(error, ProviderFailed) and (wait_s := sane(error.wait_s)) is not None:
        return _wait_for_provider(pool, str(error), wait_s, now)
    if now - pool.suspects.get(lease.text, now) <= _STALE_S:  # a text known as bad for longer tells nothing more
        pool.note(Outcome(now, lease.text, failed, lease.account))
    if _all_fail(pool, now):
        return _hold_provider(pool, str(error), now)
    return [] if _fails_elsewhere(pool, lease, failed, now) else _charge(pool, lease, error, now, rng)


def _charge(pool: Pool, lease: Lease, error: Unclear, now: float, rng: random.Random) -> list[Event]:
    """Evidence against the key; one text counts once."""
    key = pool.keys[lease.member]
    if key.hold.half_open:
        return _cool(pool, lease.member, str(error), now, rng) if key.hold.probe == lease.id else []
    if key.failed(lease.text, now):
        return []
    key.note(Outcome(now, lease.text, type(error).__name__), now)
    return _judge(pool, lease, str(error), now, rng)


def _fails_elsewhere(pool: Pool, lease: Lease, failed: str, now: float) -> bool:
    """The same request failed alike with another account: it is the request, and both are cleared of it."""
    if now - pool.suspects.get(lease.text, -WINDOW_S) < WINDOW_S:
        return True
    others = [
        key
        for key in pool.keys.values()
        if key.account != lease.account
        and any(o.text == lease.text and o.failed == failed for o in within(key.window, now))
    ]
    if others:
        pool.suspects = {text: at for text, at in pool.suspects.items() if now - at < WINDOW_S} | {lease.text: now}
        for key in [*others, pool.keys[lease.member]]:
            key.refund(lease.text)
            key.weigh(now)
    return bool(others)


def _judge(pool: Pool, lease: Lease, reason: str, now: float, rng: random.Random) -> list[Event]:
    key = pool.keys[lease.member]
    streak = _streak(key.window)
    # Failures are often faster than speech: calls begun before them may still break the row.
    if len(streak) >= _STREAK and not any(
        other.member == lease.member and other.at < streak[0].at for other in pool.live(now)
    ):
        return _convict(pool, lease, streak[0].at, reason, now, rng)
    if len(key.window) >= _ENOUGH and _share(key.window) > 0.5:
        return _convict(pool, lease, key.window[0].at, reason, now, rng)
    return _warn(pool, lease.member, reason, now)


def _convict(pool: Pool, lease: Lease, since: float, reason: str, now: float, rng: random.Random) -> list[Event]:
    """Cool the key if other accounts did better since its failures began; if they did not, it is the provider."""
    key = pool.keys[lease.member]
    siblings = [
        within(other.window, now, since)
        for other in pool.keys.values()
        if other.account != key.account and _in_use(pool, other, lease.model, now)
    ]
    own = _share(within(key.window, now, since))
    better = any(len(outcomes) >= _FEW and _share(outcomes) < own / 2 for outcomes in siblings)
    unknown = any(len(outcomes) < _FEW for outcomes in siblings)
    if siblings and not better and not unknown:
        return _hold_provider(pool, reason, now)
    present = [other for other in pool.keys.values() if _present(other, now)]
    cooled = {other.account for other in present if other.hold.state(now)} | {key.account}
    if 2 * len(cooled) > len({other.account for other in present}):
        return _warn(pool, lease.member, reason, now)
    if better:
        return _cool(pool, lease.member, reason, now, rng)
    key.hold.begin("failures", reason, now + _PAUSE_S, now)  # until the others have shown how they do
    key.window, key.warned = [], 0.0
    return []


def _warn(pool: Pool, member: str, reason: str, now: float) -> list[Event]:
    key = pool.keys[member]
    before = now < key.warned
    return [Event(now, pool.provider, member, "warning", reason, key.warned)] if key.weigh(now) and not before else []


def _cool(pool: Pool, member: str, reason: str, now: float, rng: random.Random) -> list[Event]:
    key = pool.keys[member]
    wait_s = min(_MOST_COOL_S, _COOL_S * 2 ** min(10, key.hold.raised(now))) * rng.uniform(0.8, 1.2)
    key.hold.begin("failures", reason, now + wait_s, now)
    key.window, key.warned = [], 0.0
    return [Event(now, pool.provider, member, "cooling", reason, key.hold.until)]


def _all_fail(pool: Pool, now: float) -> bool:
    """Whether the provider as a whole is at fault, whichever key one takes."""
    alone = len({key.account for key in pool.keys.values() if _present(key, now)}) <= 1
    recent = within(pool.recent, now)
    by_text: Counter[str] = Counter()
    by_account: Counter[str] = Counter()
    for outcome in _streak(recent):
        by_text[outcome.text] += 1
        by_account[outcome.account] += by_text[outcome.text] <= _PER_TEXT
    if sum(by_account.values() if alone else (min(_PER_ACCOUNT, n) for n in by_account.values())) >= _STREAK_OF_ALL:
        return True
    if len(recent) < _ENOUGH_ALL or _share(recent) <= 0.5:
        return False
    worst = Counter(outcome.account for outcome in recent if outcome.failed).most_common(1)[0][0]
    others = [outcome for outcome in recent if outcome.account != worst]
    return alone or (len(others) >= _STREAK and _share(others) > 0.5)


def _hold_provider(pool: Pool, reason: str, now: float) -> list[Event]:
    """Nobody calls for a moment, then one does; no key is charged."""
    until = now + min(_MOST_PROVIDER_S, 2.0 ** min(10, pool.hold.raised(now)))
    first = not pool.hold.half_open
    pool.hold.begin("provider", reason, until, now)
    pool.recent = []
    for key in pool.keys.values():
        key.refund()
        key.warned = 0.0
    return [Event(now, pool.provider, pool.provider, "provider down", reason, until)] if first else []


def _wait_for_provider(pool: Pool, reason: str, wait_s: float, now: float) -> list[Event]:
    """It told how long; if no call went well since it last did, one goes first."""
    again = pool.hold.exponent > 0
    pool.hold.exponent += 1
    pool.hold.begin("provider", reason, now + wait_s, now, half_open=again, told=True)
    return [Event(now, pool.provider, pool.provider, "provider busy", reason, pool.hold.until)]


def _streak(outcomes: list[Outcome]) -> list[Outcome]:
    """The failures since the last success."""
    last = max((n for n, outcome in enumerate(outcomes) if not outcome.failed), default=-1)
    return outcomes[last + 1 :]


def _share(outcomes: Iterable[Outcome]) -> float:
    failed = [bool(outcome.failed) for outcome in outcomes]
    return sum(failed) / len(failed) if failed else 0.0


def _present(key: KeyHealth, now: float) -> bool:
    return key.on and not key.wrong and now - key.seen < _PRESENT_S


def _in_use(pool: Pool, key: KeyHealth, model: str, now: float) -> bool:
    holds: list[Hold] = [key.hold]
    holds += [pool.accounts[name].hold for name in (key.account, f"{key.account}/{model}") if name in pool.accounts]
    return _present(key, now) and not any(hold.state(now) for hold in holds)
