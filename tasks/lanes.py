"""Lanes: tagged Prefect tasks that hold one slot of a plan each, and so grant one call at a time each.

A tag limit on every chunk's task would spend half of a plan's time on asking for slots; a lane asks once and
keeps its slot while there is work.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.base import ServerType
from prefect.client.orchestration import get_client
from prefect.logging import get_run_logger

from blocks.plans import Plan
from tasks.progress import Progress

PATIENCE_S = 5.0
"""A slot that is free is granted well within this time; after it, somebody else has them, and the log says so."""

GRACE_S = 1.0
"""A lane that is still asking when the work is over gets its slot within this time, or somebody else has it."""


async def ensure_limit(plan: Plan) -> None:
    """Make the plan's tag allow what the plan allows; setting it again is harmless."""
    async with get_client() as client:
        await client.create_concurrency_limit(tag=plan.tag, concurrency_limit=plan.in_flight)
        if client.server_type is ServerType.EPHEMERAL:
            # Prefect's own temporary server (a notebook's) keeps leases in its memory: slots that were taken before
            # it started belong to a kernel that was killed, and nobody would ever give them back.
            await client.reset_concurrency_limit_by_tag(plan.tag)


@asynccontextmanager
async def open_lanes(plan: Plan, wanted: int, progress: Progress) -> AsyncIterator[asyncio.Semaphore]:
    """Hold up to `wanted` slots of the plan while the body runs; each granted slot is one permit of the semaphore.

    The body starts at once and waits for its first permit; a lane that fails ends the body with its error.
    """
    await ensure_limit(plan)
    permits, finished = asyncio.Semaphore(0), asyncio.Event()
    try:
        async with asyncio.TaskGroup() as group:
            opener = group.create_task(_open_one_by_one(plan, wanted, permits, finished, progress))
            try:
                yield permits
            finally:
                finished.set()
                await opener
    except ExceptionGroup as errors:
        raise _first(errors) from None


def _first(errors: ExceptionGroup[Exception]) -> Exception:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first


async def _open_one_by_one(
    plan: Plan, wanted: int, permits: asyncio.Semaphore, finished: asyncio.Event, progress: Progress
) -> None:
    """Ask for the next slot when the last is granted: many askers at once make SQLite refuse each other."""
    async with asyncio.TaskGroup() as lanes:
        for number in range(1, wanted + 1):
            granted = asyncio.Event()
            run = lane.with_options(tags=[plan.tag], task_run_name=f"lane {number} of {plan.tag}")
            asked = lanes.create_task(run(permits, granted, finished, progress))
            await _granted_or_finished(granted, finished, plan, progress)
            if finished.is_set():
                await asyncio.wait([asked], timeout=GRACE_S)
                asked.cancel()  # it would hold up the end of the run until somebody else gives up a slot
                return


async def _granted_or_finished(granted: asyncio.Event, finished: asyncio.Event, plan: Plan, progress: Progress) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in (granted, finished)]
    try:
        done, _ = await asyncio.wait(waits, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            progress.waiting = f"a slot of {plan.tag}, which another run holds"
            get_run_logger().info("Waiting for %s (or held: one that was killed in the last 90 s)", progress.waiting)
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        progress.waiting = ""
        for wait in waits:
            wait.cancel()


@task(name="lane", cache_policy=NO_CACHE, persist_result=False)
async def lane(permits: asyncio.Semaphore, granted: asyncio.Event, finished: asyncio.Event, progress: Progress) -> None:
    """Runs once Prefect has granted it a slot of its tag, and keeps the slot until the work is finished."""
    granted.set()
    permits.release()
    progress.lanes += 1
    try:
        await finished.wait()
    finally:
        progress.lanes -= 1
