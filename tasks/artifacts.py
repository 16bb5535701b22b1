"""What a run shows in Prefect's UI while it goes on and when it is done."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from prefect.artifacts import acreate_progress_artifact, acreate_table_artifact, aupdate_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.logging import get_run_logger

from tasks.clips import Clip, Take
from tasks.owner import myself
from tasks.progress import Progress

PROGRESS, RUN = "progress", "run"
"""The keys of a run's artifacts that others read, too: see `tasks.runs`."""
EVERY_S = 2.0
"""An update costs this process and the server some 10 ms each."""
FACTS_EVERY_S = 10.0
HEARTBEAT_S = 30.0
"""Both artifacts are written this often even where nothing changed: a run that does not is dead, or cut off."""
TABLE_ROWS = 500
"""The UI lays out every row of a table artifact; the whole table is the manifest's."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """A run's two artifacts: a bar for people, and one row of facts for `speech runs`."""

    progress: Progress
    facts: Callable[[], Mapping[str, Any]]
    bar: UUID
    row: UUID

    async def update_bar(self) -> None:
        with optional():
            await aupdate_progress_artifact(self.bar, self.progress.percent, description=self.progress.describe())

    async def update_row(self) -> None:
        with optional():
            async with get_client() as client:
                row = json.dumps([_facts(self.progress, self.facts)])
                await client.update_artifact(self.row, ArtifactUpdate(data=row))


@asynccontextmanager
async def published(
    progress: Progress, facts: Callable[[], Mapping[str, str | float | None]] = dict
) -> AsyncIterator[None]:
    """Keep a progress artifact and a row of facts up to date while the body runs.

    `facts` are told besides the counters: `source` and `where` (the recording's place), and `cost_usd` as far as it is
    known; it is called every few seconds, on the event loop.
    """
    bar = await acreate_progress_artifact(0.0, key=PROGRESS, description=progress.describe())
    row = await acreate_table_artifact([_facts(progress, facts)], key=RUN, description="The run, for `speech runs`")
    shown = _Shown(progress, facts, bar, row)
    publisher = asyncio.create_task(_publish(shown))
    try:
        yield
    finally:
        publisher.cancel()
        await asyncio.wait([publisher])
        await shown.update_bar()
        await shown.update_row()


async def _publish(shown: _Shown) -> None:
    line = stage = ""
    bar_at = row_at = time.monotonic()
    while True:
        await asyncio.sleep(EVERY_S)
        now, progress = time.monotonic(), shown.progress
        if progress.describe() != line or now - bar_at >= HEARTBEAT_S:
            line, bar_at = progress.describe(), now
            await shown.update_bar()
        if progress.stage != stage or now - row_at >= FACTS_EVERY_S:
            stage, row_at = progress.stage, now
            await shown.update_row()


def _facts(progress: Progress, facts: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "stage": progress.stage,
        "percent": round(progress.percent, 1),
        "chunks": progress.total,
        "done": progress.done,
        "reused": progress.reused,
        "failed": progress.failed,
        "calls": progress.calls,
        "cost_usd": None,
        "source": "",
        "where": "",
        **facts(),
        "owner": myself(),
    }


@contextmanager
def optional() -> Iterator[None]:
    """A server that is away for a moment must not fail a run that gets on without it."""
    try:
        yield
    except httpx.HTTPError as error:
        get_run_logger().warning("Prefect did not take an artifact: %s", error)


async def publish_units(takes: Sequence[Take], manifest: str) -> None:
    """A table of the chunks: failures first, then what is odd, then the others in order."""
    ranked = sorted(enumerate(takes), key=lambda numbered: _rank(numbered[1]))
    left = max(0, len(takes) - TABLE_ROWS)
    where = f"{left} more are in {manifest}" if left else f"Also in {manifest}"
    with optional():
        await acreate_table_artifact(
            [_row(number, take) for number, take in ranked[:TABLE_ROWS]],
            key="chunks",
            description=f"{len(takes)} chunks, failures first. {where}",
        )


def _rank(take: Take) -> int:
    if isinstance(take.outcome, Clip):
        return 1 if take.outcome.flags else 2
    return 0


def _row(number: int, take: Take) -> dict[str, Any]:
    outcome = take.outcome
    if isinstance(outcome, Clip):
        facts = {"status": "ok", "seconds": round(outcome.speech_s, 2), "note": "; ".join(outcome.flags)}
    else:
        facts = {"status": "failed", "seconds": None, "note": outcome.reason}
    return {"chunk": number, **facts, "attempts": outcome.attempts, "text": take.chunk.text}
