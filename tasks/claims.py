"""Two runs that want the same speech at once make one call: who speaks a chunk puts a mark on the shelf meanwhile.

A mark is a file `claims/KEY.OWNER`. Whoever has put one lists the marks of its key: alone, the chunk is theirs; else
they take theirs away and come back later. A store that lists what it was just given needs nothing more for it: of two
that meet, at least one sees the other. Marks of a dead run end by themselves, and nobody trusts another's clock.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar
from uuid import uuid4

from blocks.storage import Entry, Storage, StorageFailed
from blocks.storage.threads import aside
from tasks.owner import is_there, myself
from tasks.shelf_facts import CLAIMS

BEAT_S = 15.0
"""How often a mark that is held is written again."""
GIVEN_WITHIN_S = 1.0
LOOKED_AT = 50
"""So many marks are looked at when a run begins: nobody else may ever ask for the keys of a run that was killed."""
DEAD_S = 45.0
"""A mark that an observer sees unchanged for so long, on its own clock, is nobody's any more."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Taken(Generic[T]):
    """A chunk is this run's, and this is what was found of it then."""

    found: T


class Claims(Protocol):
    """The right to speak a chunk, by the key of its clip. Belongs to one event loop."""

    async def take(self, key: str, look: Callable[[], T]) -> Taken[T] | None:
        """The chunk is this run's until `give`; None where somebody speaks it just now: come back in a while.

        A while should be random: of two that met, both may have stepped back. Once it is taken, `look` is called, in
        the same thread: the one before may have said it. If it raises, nothing is taken. Raises StorageFailed.
        """

    async def give(self, key: str) -> None:
        """The chunk is on the shelf, or is not going to be. Raises nothing; one that is not held is no error."""


class Unclaimed:
    """Everybody may speak everything: for a run that shall not find what others say."""

    async def take(self, key: str, look: Callable[[], T]) -> Taken[T] | None:  # noqa: ARG002
        return Taken(await aside(look))

    async def give(self, key: str) -> None:
        pass


NO_CLAIMS: Claims = Unclaimed()


@asynccontextmanager
async def claims_on(storage: Storage) -> AsyncIterator[Claims]:
    """Claims on what this storage's shelf lacks; what is still held at the end is given back. Raises StorageFailed."""
    marks = Marks(storage)
    await marks.look_around()
    beating = asyncio.create_task(marks.beat())
    try:
        yield marks
    finally:
        beating.cancel()
        await marks.give_all()


@dataclass(slots=True)
class _Mark:
    """Of one key, which this run holds or tries to."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One thing at a time: a beat must not write again what is just given back."""
    id: str = field(default_factory=lambda: uuid4().hex)
    beats: int = 0


@dataclass(slots=True)
class _Sighting:
    """Another run's mark."""

    tag: str
    since: float
    """When this tag was seen first, on the monotonic clock."""
    process: str | None = None
    """Who put it; None until it was read."""


class Marks:
    """`Claims` as files of a storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage, self._owner, self._process = storage, uuid4().hex, myself()
        self._mine: dict[str, _Mark] = {}
        self._others: dict[str, dict[str, _Sighting]] = {}
        """By key and name. A key's are looked at by one thread at a time, which has its turn."""
        self._under_way: set[asyncio.Task[Any]] = set()

    async def look_around(self) -> None:
        """Note the marks that stand already: those of dead runs are so much sooner known as such."""
        for entry in await aside(lambda: list(self._storage.entries(CLAIMS))):
            key = entry.name.removeprefix(CLAIMS).rpartition(".")[0]
            self._others.setdefault(key, {})[entry.name] = _Sighting(entry.tag, time.monotonic())
        for key in list(self._others)[:LOOKED_AT]:
            await aside(self._is_anothers, key)

    async def take(self, key: str, look: Callable[[], T]) -> Taken[T] | None:
        if key in self._mine:
            return None
        mark = self._mine[key] = _Mark()
        taking = self._begin(self._take(key, mark, look))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            self._begin(self._give(key))  # the caller will not
            raise

    async def give(self, key: str) -> None:
        giving, task = self._begin(self._give(key)), asyncio.current_task()
        if task and not task.cancelling():  # who is stopped does not wait for a store that may hang
            await asyncio.shield(giving)

    async def give_all(self) -> None:
        for key in self._mine:
            self._begin(self._give(key))
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=GIVEN_WITHIN_S)  # what is left ends by itself

    async def beat(self) -> None:
        """Write the marks that are held again, for ever."""
        while True:
            await asyncio.sleep(BEAT_S)
            for key, mark in self._mine.items():
                if not mark.turn.locked():  # a store that hangs is not asked again and again
                    self._begin(self._write_again(key, mark))

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do it to its end, also where the caller is cancelled: no mark may appear after it was given back."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _take(self, key: str, mark: _Mark, look: Callable[[], T]) -> Taken[T] | None:
        async with mark.turn:
            taken = None
            try:
                taken = await aside(self._try, key, self._content(mark), look)
            finally:
                if taken is None:
                    del self._mine[key]
            return taken

    async def _give(self, key: str) -> None:
        if mark := self._mine.get(key):
            async with mark.turn:
                if self._mine.get(key) is mark:
                    with suppress(StorageFailed):  # the mark ends by itself
                        await aside(self._storage.delete, [self._name(key)])
                    del self._mine[key]

    async def _write_again(self, key: str, mark: _Mark) -> None:
        async with mark.turn:
            if self._mine.get(key) is mark:
                mark.beats += 1
                with suppress(StorageFailed):  # the next beat may go better, and the call goes on in any case
                    await aside(self._storage.write, self._name(key), self._content(mark))

    def _try(self, key: str, content: bytes, look: Callable[[], T]) -> Taken[T] | None:
        if key in self._others and self._is_anothers(key):
            return None  # somebody had it when we came by last, and has it still: we do not even stand in their way
        taken, own = None, self._name(key)
        self._storage.create(own, content)
        try:
            if not self._is_anothers(key):
                taken = Taken(look())
        finally:
            if taken is None:
                with suppress(StorageFailed):
                    self._storage.delete([own])
        return taken

    def _is_anothers(self, key: str) -> bool:
        """Whether a living run has a mark of this key; those of dead ones are taken away."""
        entries = [entry for entry in self._storage.entries(f"{CLAIMS}{key}.") if entry.name != self._name(key)]
        before = self._others.pop(key, {})
        seen = {entry.name: self._sighting(entry, before.get(entry.name)) for entry in entries}
        dead = [name for name, sighting in seen.items() if _is_over(sighting)]
        if dead:
            self._storage.delete(dead)
        if alive := {name: sighting for name, sighting in seen.items() if name not in dead}:
            self._others[key] = alive
        return bool(alive)

    def _sighting(self, entry: Entry, before: _Sighting | None) -> _Sighting:
        now = before if before and before.tag == entry.tag else _Sighting(entry.tag, time.monotonic())
        if now.process is None:
            with suppress(FileNotFoundError, ValueError, KeyError, TypeError):  # it is just taken away, or written
                now.process = str(json.loads(self._storage.read(entry.name))["process"])
        return now

    def _name(self, key: str) -> str:
        return f"{CLAIMS}{key}.{self._owner}"

    def _content(self, mark: _Mark) -> bytes:
        return json.dumps({"id": mark.id, "beats": mark.beats, "process": self._process}).encode()


def _is_over(sighting: _Sighting) -> bool:
    return time.monotonic() - sighting.since >= DEAD_S or is_there(sighting.process or "") is False
