"""Lanes: slots of a plan's concurrency tag that a run holds; each allows one call at a time.

A tag limit on every chunk's task would spend half of a plan's time on asking for slots; here one task asks, for as many
as there are, and keeps them while there is work. Runs that share a state take turns on all their slots together: see
`tasks.shares`.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import uuid4

import httpx
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger

from blocks.key_health import Store
from blocks.speech import RunFailed
from tasks.progress import Progress
from tasks.shares import Shares, Word, balance, leave
from tasks.slots import ensure_limit, granted
from tasks.turns import Permits

LOOK_EVERY_S = 0.2
"""How often a run looks whether its due has changed."""
ASK_EVERY_S = 0.25
"""How often slots are asked for that somebody else holds."""
PATIENCE_S = 5.0
"""Slots that are free are granted well within this time; after it, somebody else has them, and the log says so."""
AWAY_S = 60.0
"""How long Prefect may give no answer to who asks for slots."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a run wants of one plan."""

    tag: str
    slots: int
    """Calls at one time that the plan allows all its accounts together."""
    wanted: int
    """Calls at one time that this run can use."""


def lines_of(slots: Mapping[str, int], wanted: int, workers: int) -> list[Line]:
    """What a run wants of each plan, by its tag; `workers`, if any, bounds the whole."""
    left, lines = min(wanted, workers or wanted), []
    for tag, most in slots.items():
        lines.append(Line(tag, most, min(most, left)))
        left -= lines[-1].wanted
    return [line for line in lines if line.wanted]


@dataclass(slots=True)
class _Lanes:
    """The slots of one run on one plan."""

    line: Line
    permits: Permits
    store: Store
    progress: Progress
    deadline: float
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
        return f"shares:{self.line.tag}"

    async def look(self) -> None:
        """Tell the others what we use, and take what is our due."""
        tag = self.line.tag
        word = Word(self.open, self.line.wanted, self.permits.using(tag))
        self.permits.returned.clear()
        turn = await self.store.change(self.name, Shares, lambda shares, now: balance(shares, self.run, word, now))
        self.all = turn.lanes
        self.permits.allow(tag, turn.permits)

    async def leave(self) -> None:
        await self.store.change(self.name, Shares, lambda shares, _: leave(shares, self.run))


@asynccontextmanager
async def open_lanes(
    lines: Sequence[Line], store: Store, progress: Progress, deadline: float = math.inf
) -> AsyncIterator[Permits]:
    """Hold up to the wanted slots of each plan while the body runs, and grant permits for them in turn with other runs.

    Nobody's slots are waited for beyond the deadline, on the monotonic clock.

    The body starts at once and waits for its first permit; a lane that fails ends the body with its error.
    """
    permits = Permits()
    opened = [_Lanes(line, permits, store, progress, deadline) for line in lines]
    for lanes in opened:
        await ensure_limit(lanes.line.tag, lanes.line.slots)
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
    hold = hold_lanes.with_options(task_run_name=f"lanes of {lanes.line.tag}")
    try:
        async with asyncio.TaskGroup() as group:
            holder = group.create_task(hold(lanes))
            await lanes.look()
            while not lanes.finished.is_set():
                with suppress(RunFailed):  # calls under way shall come home; the next lease tells of a lost state
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
    """Hold slots of the tag until the work is finished: as many as are wanted, as soon as they are to be had.

    Raises RunFailed where Prefect does not answer for long, or nobody gives up a slot before the deadline.
    """
    began = well = time.monotonic()
    async with AsyncExitStack() as held:
        try:
            while not lanes.finished.is_set():
                more = 0
                try:
                    more = await granted(held, lanes.line.tag, lanes.missing) if lanes.missing else 0
                    well = time.monotonic()
                except (ConcurrencySlotAcquisitionError, ObjectNotFound, httpx.HTTPError) as error:
                    await _bear(error, lanes, time.monotonic() - well)
                if more:
                    lanes.open += more
                    lanes.progress.lanes += more
                    lanes.progress.waiting = ""
                    await lanes.look()
                else:
                    _tell_patience(lanes, time.monotonic() - began)
                    await _first_of(ASK_EVERY_S, lanes.finished)
        finally:
            lanes.progress.lanes -= lanes.open
            lanes.open = 0


async def _bear(error: Exception, lanes: _Lanes, seconds: float) -> None:
    """A server that is away for a moment, or a tag that somebody deleted. Raises RunFailed after a minute of it."""
    if seconds > AWAY_S:
        raise RunFailed(
            f"the Prefect server gives no slots of {lanes.line.tag}: {error}. "
            "Run the same command again when it is well: finished speech is kept"
        ) from error
    if isinstance(error, ObjectNotFound) or not isinstance(error.__cause__, httpx.HTTPStatusError):
        with suppress(httpx.HTTPError):
            await ensure_limit(lanes.line.tag, lanes.line.slots)


def _tell_patience(lanes: _Lanes, waited_s: float) -> None:
    """Tell, once, that somebody else has the slots and gives us no turn. Raises RunFailed past the deadline."""
    if not lanes.all and time.monotonic() > lanes.deadline:
        raise RunFailed(
            f"the deadline is past, and another run still holds {lanes.line.tag}. "
            "Run the same command again then: finished speech is kept"
        )
    if waited_s > PATIENCE_S and not lanes.all and not lanes.progress.waiting:
        lanes.progress.waiting = f"a slot of {lanes.line.tag}, which another run holds"
        get_run_logger().info("Waiting for %s (or held: one that was killed in the last 90 s)", lanes.progress.waiting)


async def _first_of(timeout_s: float, *events: asyncio.Event) -> None:
    """Return when one of the events is set, or the time is over."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
