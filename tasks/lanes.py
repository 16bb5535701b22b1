"""Lanes: slots of a plan's concurrency tag that a run holds; each allows one call at a time.

A tag limit on every chunk's task would spend half of a plan's time on asking for slots; here one task asks, for as many
as there are, and keeps them while there is work. Runs that share a state take turns on all their slots together: see
`tasks.shares`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import uuid4

import httpx
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.base import ServerType
from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError, concurrency
from prefect.logging import get_run_logger

from blocks.key_health import Store
from blocks.plans import Plan
from blocks.speech import RunFailed
from tasks.progress import Progress
from tasks.shares import Shares, Word, balance, leave
from tasks.turns import Permits

LOCKED = httpx.codes.LOCKED
LOOK_EVERY_S = 0.2
"""How often a run looks whether its due has changed."""
ASK_EVERY_S = 0.25
"""How often slots are asked for that somebody else holds."""
PATIENCE_S = 5.0
"""Slots that are free are granted well within this time; after it, somebody else has them, and the log says so."""
LEASE_S = 60
"""Slots of a run that was killed come back after this time, and half a minute for the server to notice; the least."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a run wants of one plan."""

    plan: Plan
    slots: int
    """Calls at one time that the plan allows all its accounts together."""
    wanted: int
    """Calls at one time that this run can use."""


def lines_of(plans: Mapping[Plan, int], wanted: int, workers: int) -> list[Line]:
    """What a run wants of each plan that its accounts have, so many of each; `workers`, if any, bounds the whole."""
    left, lines = min(wanted, workers or wanted), []
    for plan, accounts in plans.items():
        slots = plan.in_flight * accounts
        lines.append(Line(plan, slots, min(slots, left)))
        left -= lines[-1].wanted
    return [line for line in lines if line.wanted]


@dataclass(slots=True)
class _Lanes:
    """The slots of one run on one plan."""

    line: Line
    permits: Permits
    store: Store
    progress: Progress
    run: str = field(default_factory=lambda: uuid4().hex)
    open: int = 0
    all: int = 0
    """Slots that all runs hold together, ours too."""
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def missing(self) -> int:
        """Slots that we want and that nobody who shares our state holds."""
        return max(0, min(self.line.wanted - self.open, self.line.slots - self.all))

    @property
    def name(self) -> str:
        return f"shares:{self.line.plan.tag}"

    async def look(self) -> None:
        """Tell the others what we use, and take what is our due."""
        tag = self.line.plan.tag
        word = Word(self.open, self.line.wanted, self.permits.using(tag))
        self.permits.returned.clear()
        turn = await self.store.change(self.name, Shares, lambda shares, now: balance(shares, self.run, word, now))
        self.all = turn.lanes
        self.permits.allow(tag, turn.permits)

    async def leave(self) -> None:
        await self.store.change(self.name, Shares, lambda shares, _: leave(shares, self.run))


async def ensure_limit(line: Line) -> None:
    """Make the plan's tag allow what the plan allows; setting it again is harmless."""
    async with get_client() as client:
        await client.create_concurrency_limit(tag=line.plan.tag, concurrency_limit=line.slots)
        if client.server_type is ServerType.EPHEMERAL:
            # Prefect's own temporary server (a notebook's) keeps leases in its memory: slots that were taken before
            # it started belong to a kernel that was killed, and nobody would ever give them back.
            await client.reset_concurrency_limit_by_tag(line.plan.tag)


@asynccontextmanager
async def open_lanes(lines: Sequence[Line], store: Store, progress: Progress) -> AsyncIterator[Permits]:
    """Hold up to the wanted slots of each plan while the body runs, and grant permits for them in turn with other runs.

    The body starts at once and waits for its first permit; a lane that fails ends the body with its error.
    """
    permits = Permits()
    opened = [_Lanes(line, permits, store, progress) for line in lines]
    for lanes in opened:
        await ensure_limit(lanes.line)
    try:
        async with asyncio.TaskGroup() as group:
            keepers = [group.create_task(_keep(lanes)) for lanes in opened]
            try:
                yield permits
            finally:
                for lanes in opened:
                    lanes.finished.set()
                if keepers:
                    await asyncio.wait(keepers)
    except ExceptionGroup as errors:
        raise _first(errors) from None


def _first(errors: ExceptionGroup[Exception]) -> Exception:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first


async def _keep(lanes: _Lanes) -> None:
    """Look after the run's due until the work is finished, while slots are asked for."""
    hold = hold_lanes.with_options(task_run_name=f"lanes of {lanes.line.plan.tag}")
    try:
        async with asyncio.TaskGroup() as group:
            holder = group.create_task(hold(lanes))
            while not lanes.finished.is_set():
                await lanes.look()
                await _first_of(LOOK_EVERY_S, lanes.finished, lanes.permits.returned)
            await lanes.leave()  # before the slots go: nobody shall count on them
            await holder
    finally:
        lanes.progress.waiting = ""
        with suppress(RunFailed):  # told by the look that met it first
            await lanes.leave()


@task(name="lanes", cache_policy=NO_CACHE, persist_result=False)
async def hold_lanes(lanes: _Lanes) -> None:
    """Hold slots of the tag until the work is finished: as many as are wanted, as soon as they are to be had."""
    began = time.monotonic()
    async with AsyncExitStack() as held:
        try:
            while not lanes.finished.is_set():
                if lanes.missing and (granted := await _granted(held, lanes)):
                    lanes.open += granted
                    lanes.progress.lanes += granted
                    lanes.progress.waiting = ""
                    await lanes.look()
                else:
                    _tell_patience(lanes, time.monotonic() - began)
                    await _first_of(ASK_EVERY_S, lanes.finished)
        finally:
            lanes.progress.lanes -= lanes.open
            lanes.open = 0


async def _granted(held: AsyncExitStack, lanes: _Lanes) -> int:
    """Slots that were free and are ours from now on: all that are missing, or those that are left."""
    name = f"tag:{lanes.line.plan.tag}"
    if await _acquired(held, name, lanes.missing):
        return lanes.missing
    async with get_client() as client:
        limit = await client.read_global_concurrency_limit_by_name(name)
    left = min(lanes.missing, limit.limit - limit.active_slots)
    return left if left > 0 and await _acquired(held, name, left) else 0


async def _acquired(held: AsyncExitStack, name: str, slots: int) -> bool:
    """Whether so many slots are ours now; nobody is waited for."""
    try:
        await held.enter_async_context(
            concurrency(
                name,
                slots,
                max_retries=0,
                lease_duration=LEASE_S,
                strict=True,
                # A server that is away for a moment must not end a run: the plan's own limit stands behind.
                raise_on_lease_renewal_failure=False,
            )
        )
    except ConcurrencySlotAcquisitionError as error:
        if isinstance(error.__cause__, httpx.HTTPStatusError) and error.__cause__.response.status_code == LOCKED:
            return False
        raise
    return True


def _tell_patience(lanes: _Lanes, waited_s: float) -> None:
    """Tell, once, that somebody else has the slots, where none of them gives us a turn."""
    if waited_s > PATIENCE_S and not lanes.all and not lanes.progress.waiting:
        lanes.progress.waiting = f"a slot of {lanes.line.plan.tag}, which another run holds"
        get_run_logger().info("Waiting for %s (or held: one that was killed in the last 90 s)", lanes.progress.waiting)


async def _first_of(timeout_s: float, *events: asyncio.Event) -> None:
    """Return when one of the events is set, or the time is over."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
