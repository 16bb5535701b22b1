"""Permits: a call to a provider is made under one, and gives it back."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Mapping


class Permits:
    """The permits of one run, by the tag of their plan. Belongs to one event loop."""

    def __init__(self, allowed: Mapping[str, int] | None = None) -> None:
        self._allowed = dict(allowed or {})
        self._busy: Counter[str] = Counter()
        self._rests: dict[str, float] = {}
        self._waiting: deque[asyncio.Future[str]] = deque()
        self.returned = asyncio.Event()
        """Set when a permit came back that is not the run's any more."""

    async def take(self) -> str:
        """Wait for a permit; its tag."""
        if not self._waiting and (tag := self._free()):
            self._busy[tag] += 1
            return tag
        turn: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(turn.result())
            raise

    def give(self, tag: str) -> None:
        self._busy[tag] -= 1
        if self._busy[tag] >= self._allowed.get(tag, 0):
            self.returned.set()
        self._serve()

    def allow(self, tag: str, permits: int) -> None:
        """So many calls at one time from now on; those in flight go on."""
        self._allowed[tag] = permits
        self._serve()

    def using(self, tag: str) -> int:
        """The permits that may be in use before the next `allow`."""
        return max(self._busy[tag], self._allowed.get(tag, 0))

    def rest(self, tag: str, seconds: float) -> None:
        """Grant no permit of this tag for a while: its accounts have to wait."""
        until = time.monotonic() + seconds
        if until > self._rests.get(tag, 0.0):
            self._rests[tag] = until
            asyncio.get_running_loop().call_later(seconds + 0.001, self._serve)

    @property
    def rest_s(self) -> float:
        """How long no permit at all will be granted, as far as it is known."""
        rests = [self._rests.get(tag, 0.0) for tag in self._allowed]
        return max(0.0, min(rests, default=0.0) - time.monotonic())

    def _free(self) -> str:
        now = time.monotonic()
        free = {
            tag: (allowed - self._busy[tag]) / allowed
            for tag, allowed in self._allowed.items()
            if allowed > self._busy[tag] and self._rests.get(tag, 0.0) <= now
        }
        return max(free, key=free.__getitem__, default="")

    def _serve(self) -> None:
        while self._waiting and (tag := self._free()):
            turn = self._waiting.popleft()
            if not turn.done():
                self._busy[tag] += 1
                turn.set_result(tag)
