"""The embedded voice: espeak-ng from the espeakng-loader package, no key, no server, no system package.

The engine is never loaded into this process, where its crash would be ours and two threads in it are a crash: it lives
in worker processes (see `espeak_worker`), one for each call in flight.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO, Self, cast

import espeakng_loader

from blocks.plans import local
from blocks.providers.espeak_text import speakable
from blocks.providers.espeak_voices import Catalogue, parse, resolve
from blocks.speech import Audio, BadInput, EngineFailed, Limits, NotSpeech, Offer, Voice

_WORDS_A_MINUTE = 175
"""At a speed of 1."""
_DEADLINE_S = 30.0
_DEADLINE_S_PER_CHARACTER = 0.05
_WORKER = Path(__file__).with_name("espeak_worker.py")


class Espeak:
    """A Provider. Belongs to the event loop that it is first used on."""

    name = "espeak"
    # A paragraph of prose fits; a failure or an edit costs less than a minute of speech.
    limits = Limits(characters=600, bytes=2400)
    call_s = 0.03

    def __init__(self) -> None:
        if not hasattr(os, "fork"):
            raise BadInput("The embedded voice needs a system that can fork: use WSL on Windows, or another provider.")
        self.plan = local(self.name)
        self._permits = asyncio.Semaphore(self.plan.in_flight)
        self._idle: list[_Worker] = []
        self._workers: set[_Worker] = set()
        self._catalogue: Catalogue | None = None
        self._closed = False

    async def voices(self) -> Sequence[Offer]:
        return [speaker.offer for speaker in (await self._listed()).speakers]

    async def resolve(self, voice: Voice) -> Voice:
        """English (America) where neither voice nor language is asked for; a `+variant` goes with any voice."""
        return resolve(voice, await self._listed())

    async def synthesise(self, text: str, voice: Voice) -> Audio:
        """A WAV file, 22,050 samples a second, 16 bits, mono: byte for byte the same for the same text and voice."""
        deadline = _DEADLINE_S + _DEADLINE_S_PER_CHARACTER * len(text)
        words = round(_WORDS_A_MINUTE * voice.speed)
        request = "\0".join((voice.name, str(words), str(deadline), speakable(text)))
        async with self._worker() as worker:
            data = await worker.ask(request.encode())
        if not data:
            raise NotSpeech("espeak made no sound of the text.")
        return Audio(data, "wav")

    async def close(self) -> None:
        """End all workers; calls that still run, or come later, fail."""
        if self._closed:
            return
        self._closed = True
        for worker in self._workers:
            worker.kill()
        for _ in range(self.plan.in_flight):  # Then no call is left that reads from a worker.
            await self._permits.acquire()
        await asyncio.gather(*(worker.ended() for worker in self._workers))
        for _ in range(self.plan.in_flight):
            self._permits.release()

    async def _listed(self) -> Catalogue:
        if self._catalogue is None:
            async with self._worker() as worker:
                self._catalogue = parse(await worker.listing())
        return self._catalogue

    @contextlib.asynccontextmanager
    async def _worker(self) -> AsyncIterator["_Worker"]:
        """A worker that is nobody else's; ended after a failure or a cancelled call, which may leave half an answer."""
        async with self._permits:
            self._refuse_if_closed()
            worker = self._spare() or await _Worker.start()
            self._workers.add(worker)
            with contextlib.ExitStack() as failed:
                failed.callback(worker.kill)
                self._refuse_if_closed()  # It may have been closed while the worker started.
                yield worker
                failed.pop_all()
            self._idle.append(worker)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise EngineFailed("espeak was closed before it could speak.")

    def _spare(self) -> "_Worker | None":
        while self._idle:
            if (worker := self._idle.pop()).alive:
                return worker
        return None


class _Worker:
    """The near side of an `espeak_worker` process."""

    def __init__(self, process: asyncio.subprocess.Process, sound: BinaryIO) -> None:
        self._process = process
        self._sound = sound
        self._requests = cast("asyncio.StreamWriter", process.stdin)
        self._answers = cast("asyncio.StreamReader", process.stdout)
        self._complaints = cast("asyncio.StreamReader", process.stderr)
        self._listing: str | None = None

    @classmethod
    async def start(cls) -> Self:
        with contextlib.ExitStack() as failed:
            sound = failed.enter_context(_file_without_a_name())
            engine = (espeakng_loader.get_library_path(), espeakng_loader.get_data_path(), str(sound.fileno()))
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_WORKER), *engine),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                pass_fds=[sound.fileno()],
                process_group=0,  # Its own: one kill reaches the fork that speaks as well, and Ctrl-C reaches neither.
            )
            failed.pop_all()
        return cls(process, sound)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None and not self._answers.at_eof()

    async def listing(self) -> str:
        """The voices, in the form that `espeak_voices.parse` reads."""
        if self._listing is None:
            self._listing = (await self._read(await self._size())).decode()
        return self._listing

    async def ask(self, request: bytes) -> bytes:
        """A WAV file, or nothing where the engine made no sound. Raises EngineFailed."""
        await self.listing()
        self._requests.write(len(request).to_bytes(4, "little") + request)
        size = await self._size()
        return os.pread(self._sound.fileno(), size, 0)

    async def ended(self) -> str:
        """Why, once it has."""
        complaints = (await self._complaints.read()).decode(errors="replace").splitlines()
        status = await self._process.wait()
        self._sound.close()
        # A pipe that is still open when the event loop ends is a ResourceWarning.
        await self._answers.read()
        self._requests.close()
        with contextlib.suppress(ConnectionError):
            await self._requests.wait_closed()
        if status < 0:
            return f"The espeak worker was ended by {signal.Signals(-status).name}."
        return complaints[-1] if complaints else f"The espeak worker ended with status {status}."

    def kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _size(self) -> int:
        return int.from_bytes(await self._read(4), "little")

    async def _read(self, count: int) -> bytes:
        try:
            return await self._answers.readexactly(count)
        except asyncio.IncompleteReadError as error:
            raise EngineFailed(await self.ended()) from error


def _file_without_a_name() -> BinaryIO:
    """In memory where the system has it; it ends with the last process that holds it."""
    return os.fdopen(os.memfd_create("speech"), "r+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile()
