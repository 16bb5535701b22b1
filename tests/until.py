"""What a test waits for: as long as a busy machine may need, and not a moment longer."""

import asyncio
from collections.abc import Callable

WITHIN_S = 30.0


async def until(holds: Callable[[], bool], within_s: float = WITHIN_S) -> None:
    """Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 - what is waited for is another process's, and sends no event
            await asyncio.sleep(0.01)
