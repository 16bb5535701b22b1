"""Threads for what waits for a store: nobody else's work stands behind them, and no event loop waits for their end."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = ThreadPoolExecutor(32, "storage")


async def aside(work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """What `asyncio.to_thread` does. Cancelled, it ends at once; the work goes on, and its result is lost."""
    return await asyncio.wrap_future(_THREADS.submit(work, *arguments, **options))
