"""How a provider's keys are, for people: three states, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from blocks.key_pool.holds import Hold
from blocks.key_pool.quotas import Quota
from blocks.key_pool.states import Member, Pool


@dataclass(frozen=True, slots=True)
class Row:
    """One key, or one server that asks for none."""

    key: str
    account: str
    plan: str
    state: Literal["healthy", "warning", "error"]
    detail: Literal["", "cooling", "half-open"]
    reason: str
    until: float
    """When that may end, UTC; 0: nobody knows."""
    calls: int
    errors: int
    in_flight: int
    limit: int
    """Calls at one time that its account is given now."""
    learned: bool
    """The limit comes from refusals, not from the plan."""
    used_today: int
    last_used: float
    """0: never."""
    spent_usd: float
    hint: str = ""


def report(pool: Pool, members: Sequence[Member], now: float) -> list[Row]:
    """Alters nothing."""
    return [_row(pool, member, now) for member in members]


def _row(pool: Pool, member: Member, now: float) -> Row:
    known = pool.keys.get(member.id)
    quotas = {name: quota for name, quota in pool.accounts.items() if quota.account == member.account}
    limited = [quota for quota in quotas.values() if quota.cap]
    tightest = min(limited, key=lambda quota: quota.limit, default=Quota(limit=member.plan.in_flight))
    state, detail, reason, until = _state(pool, member, quotas, now)
    return Row(
        key=member.id,
        account=member.account,
        plan=member.plan.tag,
        state=state,
        detail=detail,
        reason=reason,
        until=until,
        calls=known.calls if known else 0,
        errors=known.errors if known else 0,
        in_flight=sum(1 for lease in pool.live(now) if lease.member == member.id),
        limit=tightest.limit,
        learned=tightest.learned and tightest.limit < tightest.bound,
        used_today=sum(quota.used for quota in limited if now < quota.day_over),
        last_used=max(0.0, known.used_at) if known else 0.0,
        spent_usd=known.spent_usd if known else 0.0,
        hint=_hint(pool, member),
    )


def _state(
    pool: Pool, member: Member, quotas: dict[str, Quota], now: float
) -> tuple[Literal["healthy", "warning", "error"], Literal["", "cooling", "half-open"], str, float]:
    key = pool.keys.get(member.id)
    if not member.enabled:
        return "error", "", "switched off", 0.0
    if key and key.wrong:
        return "error", "", key.wrong, 0.0
    holds: list[tuple[str, Hold]] = [("", pool.hold), *([("", key.hold)] if key else [])]
    holds += [(name.removeprefix(member.account).lstrip("/"), quota.hold) for name, quota in quotas.items()]
    held = [(hold.until, hold, model) for model, hold in holds if hold.state(now)]
    if held:
        until, hold, model = max(held, key=lambda entry: entry[0])
        return "warning", hold.state(now), f"{model}: {hold.reason}" if model else hold.reason, until
    spent = [quota for quota in quotas.values() if quota.spent and now < quota.day_over]
    if spent:
        return "warning", "cooling", "day quota", max(quota.day_over + quota.late for quota in spent)
    if key and now < key.warned:
        return "warning", "", "more than one call in five fails", key.warned
    denied = sorted(what.strip() for what, until in key.denied.items() if now < until) if key else []
    return "healthy", "", f"not for: {', '.join(denied)}" if denied else "", 0.0


def _hint(pool: Pool, member: Member) -> str:
    pairs = [pair for pair in pool.alike if member.account in pair.split(" and ")]
    return f"is this one account? {'; '.join(pairs)}" if pairs else ""
