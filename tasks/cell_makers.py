"""Who makes the files of cells: threads, or for long lists processes, which take nothing from whoever speaks."""

import asyncio
import os
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from blocks.speech import EngineFailed, RunFailed, SpeechError
from blocks.storage import Storage, is_remote
from blocks.workers import Pool
from tasks.cell_clips import CellFile, Wanted, make
from tasks.heard import MOST_THREADS
from tasks.shelf import Shelf
from tasks.stopping import come_home

MANY = 200
"""From so many files on, processes are worth their start: half a second each."""
PUTS_AT_ONCE = 16
"""Of a bucket: its answers are what takes time."""
_WORKER = Path(__file__).with_name("cell_worker.py")


class Makers(Protocol):
    at_once: int
    """How often `make` may be called at one time."""
    batch: int
    """Files that are best made in one call."""

    async def make(self, wanted: Sequence[Wanted]) -> list[CellFile]:
        """Put these files where they belong. Raises RunFailed, StorageFailed and BadInput; what is written stays."""

    async def close(self) -> None:
        """Nothing more is begun; nobody waits for long."""


class Threads:
    """Of this process."""

    batch = 1

    def __init__(self, at_once: int, work: Callable[[Wanted], CellFile]) -> None:
        self.at_once, self._work = at_once, work
        self._pool = ThreadPoolExecutor(at_once, "cells")

    async def make(self, wanted: Sequence[Wanted]) -> list[CellFile]:
        return [await asyncio.wrap_future(self._pool.submit(self._work, one)) for one in wanted]

    async def close(self) -> None:
        # A bucket that does not answer shall not keep a run that is stopped.
        self._pool.shutdown(wait=False, cancel_futures=True)


class Processes:
    """Of their own, that read clips and write files of this machine; they end with this one, however it ends."""

    def __init__(self, at_once: int, folder: str, suffix: str, loudness_lufs: float) -> None:
        self.at_once = at_once
        # Of what is encoded, one takes so long that a request is nothing beside it, and may outlast a stop.
        self.batch = 16 if suffix == "wav" else 1
        self._command = (str(_WORKER), folder, suffix, str(loudness_lufs))
        path = os.pathsep.join(filter(None, (str(_WORKER.parents[1]), os.environ.get("PYTHONPATH"))))
        self._pool = Pool("writer", at_once, {"PYTHONPATH": path})

    async def make(self, wanted: Sequence[Wanted]) -> list[CellFile]:
        return await come_home(self._made(pickle.dumps(wanted)))  # killed, it would leave half a file

    async def _made(self, request: bytes) -> list[CellFile]:
        try:
            answer = pickle.loads(await self._asked(request))  # noqa: S301 - our own
        except (EngineFailed, OSError) as error:
            reason = str(error).rstrip(".")
            raise RunFailed(
                f"no files can be made: {reason}. Run the same command again: finished speech is kept"
            ) from error
        if isinstance(answer, SpeechError):
            raise answer
        made: list[CellFile] = answer
        return made

    async def _asked(self, request: bytes) -> bytes:
        """Twice, where somebody kills a process: what it was making is made anew."""
        with suppress(EngineFailed):
            async with self._pool.worker(self._command) as worker:
                return await worker.ask(request)
        async with self._pool.worker(self._command) as worker:
            return await worker.ask(request)

    async def close(self) -> None:
        await self._pool.close()


def makers(count: int, storage: Storage, suffix: str, loudness_lufs: float, shelf: Shelf) -> Makers:
    """Of so many files of clips on this shelf."""
    cores = min(os.cpu_count() or 1, MOST_THREADS)
    local = not shelf.is_shared and not is_remote(storage.address)
    if local and count >= MANY and os.name == "posix":
        return Processes(cores, storage.address, suffix, loudness_lufs)
    work = partial(make, storage=storage, suffix=suffix, loudness_lufs=loudness_lufs, read=shelf.read)
    if is_remote(storage.address):
        return Threads(PUTS_AT_ONCE, work)
    # To write samples is Python's work, which two threads do not do faster; to encode them is not.
    return Threads(1 if suffix == "wav" else cores, work)
