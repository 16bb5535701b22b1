"""Files of cells are made while others are still being spoken, and anew only where the speech became another."""

import asyncio
from collections.abc import AsyncIterator, Callable, Container, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from blocks.speech import SpeechError, Voice
from blocks.storage import Storage
from blocks.storage.threads import aside
from tasks.cell_clips import CellFile, Wanted
from tasks.cell_makers import Makers, makers
from tasks.clips import Clip, Take
from tasks.document import Chunk
from tasks.progress import Progress
from tasks.shelf import Shelf
from tasks.voicing import Part
from tasks.wordlist import Cell


@dataclass(frozen=True, slots=True)
class _Made:
    wanted: Wanted
    file: CellFile


class CellWriter:
    """To be opened with `writing`. Belongs to one event loop."""

    def __init__(
        self, storage: Storage, suffix: str, loudness_lufs: float, progress: Progress, warn: Callable[[str], None]
    ) -> None:
        self._storage, self._suffix, self._lufs, self._progress = storage, suffix, loudness_lufs, progress
        self._warn = warn
        self._queue: asyncio.Queue[Wanted] = asyncio.Queue()
        self._single: dict[tuple[str, Voice], list[tuple[str, Chunk]]] = {}
        """The files, each with its chunk, that one text in one voice is all of."""
        self._begun: set[str] = set()
        self._made: dict[str, _Made] = {}
        self._trouble: SpeechError | None = None
        self._finishing = False
        self._makers: Makers | None = None
        self._hands: list[asyncio.Task[None]] = []

    def listening(
        self, parts: Sequence[Part], cells: Sequence[Cell], shelf: Shelf, claimed: Container[str]
    ) -> list[Part]:
        """What is to be said of these cells, by speakers who let us know; the segments are the cells.

        A file that is claimed, by an earlier run's manifest, stays as it is until this run ends with another.
        """
        self._expect(parts, cells, claimed)
        self._progress.files_wanted = len(cells)
        self._makers = makers(len(cells), self._storage, self._suffix, self._lufs, shelf)
        self._hands = [asyncio.create_task(self._write_all(self._makers)) for _ in range(self._makers.at_once)]
        return [replace(part, speaker=replace(part.speaker, on_clip=self.offer)) for part in parts]

    def offer(self, text: str, voice: Voice, clip: Clip) -> None:
        """Tell of a clip on the shelf. A cell of several chunks has to wait, and so has what another voice says."""
        for file, chunk in self._single.pop((text, voice), ()):
            self._queue.put_nowait(Wanted(file, (Take(chunk, clip),)))

    async def finish(self, wanted: Sequence[Wanted]) -> dict[str, CellFile]:
        """All of these, by their names, and none of others that were offered.

        Raises RunFailed, StorageFailed and BadInput.
        """
        await self._settled()
        self._trouble, self._finishing = None, True  # the disk may have room again
        for one in wanted:
            if one.name not in self._made or self._made[one.name].wanted.sounds != one.sounds:
                self._queue.put_nowait(one)
        await self._settled()
        if self._trouble:
            raise self._trouble
        names = {one.name: None for one in wanted}
        await aside(self._storage.delete, self._begun - names.keys())  # their clips were refused in the end
        return {name: self._made[name].file for name in names}

    async def end(self) -> None:
        """What is not made yet is not going to be."""
        for hand in self._hands:
            hand.cancel()
        try:
            await asyncio.gather(*self._hands, return_exceptions=True)
        finally:
            if self._makers:
                await self._makers.close()

    def _expect(self, parts: Iterable[Part], cells: Sequence[Cell], claimed: Container[str]) -> None:
        said: dict[int, list[tuple[Voice, Chunk]]] = {}
        for part in parts:
            for chunk in part.chunks:
                said.setdefault(chunk.segment, []).append((part.speaker.voice, chunk))
        for number, pieces in said.items():
            if len(pieces) == 1 and cells[number].file not in claimed:
                voice, chunk = pieces[0]
                self._single.setdefault((chunk.text, voice), []).append((cells[number].file, chunk))

    async def _write_all(self, hands: Makers) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < hands.batch and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                if not self._trouble:
                    self._begun.update(one.name for one in batch)
                    for one, file in zip(batch, await hands.make(batch), strict=True):
                        self._made[one.name] = _Made(one, file)
                    self._progress.files = len(self._made)
            except SpeechError as error:
                if not self._trouble and not self._finishing:
                    self._warn(f"No more files are made before all is spoken: {error}")
                self._trouble = error
            finally:
                for _ in batch:
                    self._queue.task_done()

    async def _settled(self) -> None:
        """All that was asked for is made, or cannot be."""
        joined = asyncio.create_task(self._queue.join())
        try:
            await asyncio.wait([joined, *self._hands], return_when=asyncio.FIRST_COMPLETED)
        finally:
            joined.cancel()
        for hand in self._hands:
            if hand.done():  # only ever with an error that nobody has foreseen
                hand.result()


@asynccontextmanager
async def writing(
    storage: Storage, suffix: str, loudness_lufs: float, progress: Progress, warn: Callable[[str], None]
) -> AsyncIterator[CellWriter]:
    """Files are made while the body runs; what is left when it ends early is not. Told of what goes wrong: `warn`."""
    writer = CellWriter(storage, suffix, loudness_lufs, progress, warn)
    try:
        yield writer
    finally:
        await writer.end()
