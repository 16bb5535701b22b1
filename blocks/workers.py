"""Engines in processes of their own, kept warm: their crash is not ours, and a call can be ended in the middle.

A worker reads requests from stdin and writes answers to stdout, each in a frame of four bytes of length and as many
bytes of content. Its first frame says that it is ready. What it cannot go on after ends it, with the reason as its last
line on stderr; the end of stdin ends it too.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import BinaryIO, Self, cast

from blocks.blame import told
from blocks.speech import EngineFailed

_LAST_WORDS = 4096
"""Bytes of stderr that are looked at."""


class Pool:
    """As many workers as there may be calls at one time. Belongs to the event loop that it is first used on."""

    def __init__(self, name: str, size: int, environment: Mapping[str, str]) -> None:
        """`environment` is added to this process's own."""
        self._name = name
        self._size = size
        self._environment = environment
        self._permits = asyncio.Semaphore(size)
        self._idle: list[Worker] = []
        self._workers: set[Worker] = set()
        self._closed = False

    @contextlib.asynccontextmanager
    async def worker(self, command: Sequence[str]) -> AsyncIterator["Worker"]:
        """One that is nobody else's, ended after a failure or a cancelled call: it may still be at work on that.

        `command` is the Python file to run, with its arguments.
        """
        async with self._permits:
            self._refuse_if_closed()
            worker = self._spare(command) or await Worker.start(self._name, command, self._environment)
            self._workers.add(worker)
            with contextlib.ExitStack() as failed:
                failed.callback(worker.kill)
                self._refuse_if_closed()  # It may have been closed while the worker started.
                yield worker
                failed.pop_all()
            self._idle.append(worker)

    async def close(self) -> None:
        """End all workers; calls that still run, or come later, fail."""
        if self._closed:
            return
        self._closed = True
        for worker in self._workers:
            worker.kill()
        for _ in range(self._size):  # Then no call is left that reads from a worker.
            await self._permits.acquire()
        await asyncio.gather(*(worker.ended() for worker in self._workers))
        for _ in range(self._size):
            self._permits.release()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise EngineFailed(f"{self._name} was closed before it could speak.")

    def _spare(self, command: Sequence[str]) -> "Worker | None":
        """One that does this; others make room for it, so that no more run than there may be calls."""
        while self._idle:
            worker = self._idle.pop()
            if worker.alive and worker.command == tuple(command):
                return worker
            worker.kill()
        return None


class Worker:
    """The near side of the process."""

    def __init__(
        self, name: str, command: Sequence[str], process: asyncio.subprocess.Process, complaints: BinaryIO
    ) -> None:
        self.command = tuple(command)
        self._name = name
        self._process = process
        self._complaints = complaints
        self._requests = cast("asyncio.StreamWriter", process.stdin)
        self._answers = cast("asyncio.StreamReader", process.stdout)
        self._ready = False
        self._last_words = ""

    @classmethod
    async def start(cls, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Self:
        with contextlib.ExitStack() as failed:
            # Not a pipe: nobody reads it before the end, and a full one would stop the worker.
            complaints = failed.enter_context(tempfile.TemporaryFile())
            process = await asyncio.create_subprocess_exec(
                # -P: beside the file lie others, which may be named as the libraries that it imports.
                *(sys.executable, "-P", *command),
                stdin=PIPE,
                stdout=PIPE,
                stderr=complaints,
                env={**os.environ, **environment},
                process_group=0,  # Its own: Ctrl-C does not reach it, and one kill reaches all that it started.
            )
            failed.pop_all()
        return cls(name, command, process, complaints)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None and not self._answers.at_eof()

    async def ready(self) -> None:
        """Raises EngineFailed, with the reason, where it cannot start."""
        if not self._ready:
            await self._frame()
            self._ready = True

    async def ask(self, request: bytes) -> bytes:
        """Raises EngineFailed."""
        await self.ready()
        self._requests.write(len(request).to_bytes(4, "little") + request)
        return await self._frame()

    async def ended(self) -> str:
        """Why, once it has."""
        await self._answers.read()
        status = await self._process.wait()
        # A pipe that is still open when the event loop ends is a ResourceWarning.
        self._requests.close()
        with contextlib.suppress(ConnectionError):
            await self._requests.wait_closed()
        if not self._complaints.closed:
            with self._complaints:
                self._complaints.seek(max(0, self._complaints.seek(0, os.SEEK_END) - _LAST_WORDS))
                lines = self._complaints.read().decode(errors="replace").split("\n")
            self._last_words = next((told(line) for line in reversed(lines) if line.strip()), "")
        if status == -signal.SIGALRM:
            return f"{self._name} did not finish before its deadline."
        if status < 0:
            return f"The {self._name} worker was ended by {signal.Signals(-status).name}."
        return self._last_words or f"The {self._name} worker ended with status {status}."

    def kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _frame(self) -> bytes:
        try:
            size = int.from_bytes(await self._answers.readexactly(4), "little")
            return await self._answers.readexactly(size)
        except asyncio.IncompleteReadError as error:
            raise EngineFailed(await self.ended()) from error
