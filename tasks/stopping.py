"""How a run ends before its time: SIGTERM asks as Ctrl-C does, and calls that are paid for come home."""

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

GRACE_S = 2.5
"""What is under way when a run is stopped may still end; who stops one waits for about twice this time."""

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
