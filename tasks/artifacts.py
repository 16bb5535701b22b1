"""What a run shows in Prefect's UI while it goes on and when it is done."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

import httpx
from prefect.artifacts import acreate_progress_artifact, acreate_table_artifact, aupdate_progress_artifact
from prefect.logging import get_run_logger

from tasks.clips import Clip, Take
from tasks.progress import Progress

EVERY_S = 1.0
"""An update costs the server about 8 ms: at most one a second."""
TABLE_ROWS = 500
"""The UI lays out every row of a table artifact; the whole table is the manifest's."""


@asynccontextmanager
async def published(progress: Progress) -> AsyncIterator[None]:
    """Keep a progress artifact up to date while the body runs."""
    artifact = await acreate_progress_artifact(0.0, key="progress", description=progress.describe())
    publisher = asyncio.create_task(_publish(artifact, progress))
    try:
        yield
    finally:
        publisher.cancel()
        await asyncio.wait([publisher])
        await _update(artifact, progress)


async def _publish(artifact: UUID, progress: Progress) -> None:
    shown = ""
    while True:
        await asyncio.sleep(EVERY_S)
        if (now := progress.describe()) != shown:
            await _update(artifact, progress)
            shown = now


async def _update(artifact: UUID, progress: Progress) -> None:
    with optional():
        await aupdate_progress_artifact(artifact, progress.percent, description=progress.describe())


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
