"""What is still to be said: units come out in order, a few at a time, and never before their time."""

import asyncio
import contextlib
import heapq
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from tasks.attempts import Unit
from tasks.clips import Take
from tasks.document import Chunk
from tasks.turns import Permits


class Backlog:
    """Belongs to one event loop. Whoever takes units must settle them all: said, failed, or once more."""

    def __init__(self, chunks: Iterable[Chunk], size: Callable[[int], int], takers: int, permits: Permits) -> None:
        """So many takers take units at a time as `size` says of those that are left.

        None are taken while no permit is to be had for a known time.
        """
        self._fresh = deque(Unit(chunk) for chunk in chunks)
        self._waiting: list[tuple[float, int, Unit]] = []
        self._open = len(self._fresh)
        self._size, self._takers, self._permits = size, takers, permits
        self._taken = self._returned = 0
        self.stopped = False
        """Nothing more is to be said, whatever is left."""
        self._changed = asyncio.Event()

    async def take(self) -> list[Unit]:
        """The next units whose time has come, as soon as there are any; none when all is settled."""
        while self._open and not self.stopped:
            if units := self._due():
                return units
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._idle_s()):
                    await self._changed.wait()
        return []

    def settle(self, outcomes: Sequence[Take | Unit]) -> list[Take]:
        """Put back what is to be tried again; returns the rest."""
        takes = [outcome for outcome in outcomes if isinstance(outcome, Take)]
        for unit in outcomes:
            if isinstance(unit, Unit):
                self._returned += 1
                heapq.heappush(self._waiting, (unit.not_before, self._returned, unit))
        self._open -= len(takes)
        self._changed.set()
        return takes

    def stop(self) -> None:
        self.stopped = True
        self._changed.set()

    def smaller(self, unit: Unit) -> Unit:
        """The smallest unit that nobody has taken yet, in exchange for this one; itself if it is as small."""
        smallest = min(self._fresh, key=_size, default=unit)
        if _size(smallest) >= _size(unit):
            return unit
        self._fresh.remove(smallest)
        self._fresh.appendleft(unit)
        return smallest

    def _due(self) -> list[Unit]:
        """What has waited goes first: else the last calls of a run would be its slowest."""
        if self._permits.rest_s:
            return []
        now, units, size = time.monotonic(), list[Unit](), self._size(len(self._fresh))
        while self._waiting and self._waiting[0][0] <= now and len(units) < size:
            units.append(heapq.heappop(self._waiting)[2])
        if not units and self._fresh:
            # The first ones are small, and grow: equal ones would all end, and pause, at the same time.
            self._taken += 1
            count = math.ceil(size * min(1.0, self._taken / self._takers))
            units = [self._fresh.popleft() for _ in range(min(count, len(self._fresh)))]
        return units

    def _idle_s(self) -> float | None:
        """Until something may be due; None when only somebody's settling can bring it."""
        if rest_s := self._permits.rest_s:
            return rest_s
        return max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None


def _size(unit: Unit) -> int:
    return len(unit.chunk.text)
