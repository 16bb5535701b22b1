"""How a run ends before its time: SIGTERM and Prefect's UI ask as Ctrl-C does, and what is paid for comes home."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import Abort, ObjectNotFound
from prefect.states import Cancelled

from blocks.storage import StorageFailed
from blocks.storage.threads import aside

GRACE_S = 2.5
"""What is under way when a run is stopped may still end; who stops one waits for about twice this time."""
LOOK_EVERY_S = 1.5
"""How often a run asks whether somebody cancels it: nobody else would tell one that was started from a terminal."""

CLOSED_WITHIN_S = 1.0

T = TypeVar("T")


@contextmanager
def stoppable() -> Iterator[None]:
    """While the body runs, SIGTERM cancels the task that runs it, once.

    Prefect's own handler raises wherever the loop happens to be, so that what is under way would be lost.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGTERM)
    # Elsewhere than in the main thread of a POSIX system nobody sends us a signal.
    if task is None or threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGKILL"):
        yield
        return
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)


@asynccontextmanager
async def cancellable(run: str) -> AsyncIterator[None]:
    """While the body runs, cancelling this flow run cancels the task. Raises Abort once the run is told cancelled."""
    task = asyncio.current_task()
    watching = asyncio.create_task(_watch(UUID(run), task)) if task else None
    try:
        yield
    except asyncio.CancelledError:
        if await _is_cancelled(UUID(run)):
            await _tell_cancelled(UUID(run))
            raise Abort("the run was cancelled") from None  # of anything else the engine would say that it crashed
        raise
    finally:
        if watching:
            watching.cancel()


async def _watch(run: UUID, task: "asyncio.Task[Any]") -> None:
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if await _is_cancelled(run):
            task.cancel()
            return


async def _is_cancelled(run: UUID) -> bool:
    with suppress(httpx.HTTPError, ObjectNotFound):  # a server that is away for a moment cancels nothing
        async with get_client() as client:
            state = (await client.read_flow_run(run)).state
            return state is not None and state.type in {StateType.CANCELLING, StateType.CANCELLED}
    return False


async def _tell_cancelled(run: UUID) -> None:
    with suppress(httpx.HTTPError):
        async with get_client() as client:
            await client.set_flow_run_state(run, Cancelled(message="Cancelled; finished speech is kept."), force=True)


async def briefly(work: Callable[[], None]) -> None:
    """Do what may also be left undone: it keeps the end of a run waiting for CLOSED_WITHIN_S at most."""
    with suppress(TimeoutError, StorageFailed):
        async with asyncio.timeout(CLOSED_WITHIN_S):
            await aside(work)


async def come_home(work: Coroutine[Any, Any, T]) -> T:
    """The result of the work. Cancelled, it is given GRACE_S to end by itself; its result is then its own affair."""
    under_way = asyncio.create_task(work)
    try:
        return await asyncio.shield(under_way)
    except asyncio.CancelledError:
        await asyncio.wait([under_way], timeout=GRACE_S)
        under_way.cancel()
        await asyncio.gather(under_way, return_exceptions=True)
        raise


async def in_thread(work: Callable[[threading.Event], T]) -> T:
    """The result of what runs in a thread; cancelled, it sets the event and waits for the end of the work."""
    stop = threading.Event()
    running = asyncio.create_task(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.gather(running, return_exceptions=True)
        raise
