"""What Prefect is told of keys: events that automations may wait for, and a table to look at. Never a secret."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from prefect.artifacts import acreate_table_artifact
from prefect.events import emit_event
from prefect.logging import get_run_logger

from blocks.key_pool import Row
from blocks.key_pool.events import Event
from tasks.artifacts import optional


def announce(event: Event) -> None:
    """In the log of the run, and as the event `speech.key.<kind>`, about `speech.<provider>.<key, account or plan>`."""
    until = f" until {moment(event.until)}" if event.until else ""
    get_run_logger().warning("%s %s: %s%s: %s", event.provider, event.subject, event.kind, until, event.reason)
    emit_event(
        event=f"speech.key.{event.kind.rstrip('?').replace(' ', '-')}",
        resource={
            "prefect.resource.id": f"speech.{event.provider}.{event.subject}",
            "prefect.resource.name": f"{event.provider} {event.subject}",
        },
        payload={"reason": event.reason, "until": moment(event.until)},
    )


async def publish_keys(rows: Sequence[Row], provider: str, places: Sequence[str] = ()) -> None:
    """The health of a provider's keys as a table artifact, and where each is kept if that is told; nothing for none."""
    table = [table_row(row) for row in rows]
    if places:
        table = [{**row, "kept in": place} for row, place in zip(table, places, strict=True)]
    if table:
        with optional():
            await acreate_table_artifact(
                table, key=f"keys-{provider}", description=f"The keys of {provider}, and how they do"
            )


def table_row(row: Row) -> dict[str, Any]:
    """A key as a person reads it."""
    return {
        "key": row.key,
        "account": row.account,
        "plan": row.plan,
        "state": row.state,
        "why": "; ".join(filter(None, [row.detail, row.reason, row.hint])),
        "until": moment(row.until),
        "calls": row.calls,
        "errors": row.errors,
        "in flight": f"{row.in_flight} of {row.limit or '?'}{' (learned)' if row.learned else ''}",
        "today": row.used_today,
        "last used": moment(row.last_used),
        "spent, USD": round(row.spent_usd, 4),
    }


def moment(at: float) -> str:
    """In the time of this machine, with its distance from UTC; empty for never."""
    return datetime.fromtimestamp(at, UTC).astimezone().isoformat(" ", "seconds") if at else ""
