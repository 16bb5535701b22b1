"""The files of a list: made as soon as their speech is there, by threads or by processes, and each as asked for."""

import asyncio
import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import soundfile

from blocks.callers import Alone
from blocks.speech import Audio, RunFailed, Voice
from blocks.storage import Storage, StorageFailed
from blocks.storage.folder import Folder
from blocks.storage.places import storage_at
from tasks.casting import Role
from tasks.cell_clips import Wanted, render
from tasks.cell_makers import MANY, Processes, makers
from tasks.cell_writer import CellWriter, writing
from tasks.claims import NO_CLAIMS
from tasks.clips import Clip, Take
from tasks.document import Boundary, Chunk
from tasks.ledger import Ledger
from tasks.progress import Progress
from tasks.shelf import Shelf
from tasks.speak import Speaker
from tasks.verify import measure
from tasks.voicing import Part
from tasks.wordlist import Cell
from tests.processes import children, command_of, gone
from tests.s3_servers import S3Server
from tests.scripted import VOICE, Scripted

LUFS = -19.0
OTHER = replace(VOICE, name="other")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


@pytest.fixture(params=["threads", "processes", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """Where files go, each by another kind of maker."""
    if request.param == "bucket":
        server: S3Server = request.getfixturevalue("moto")
        return storage_at(f"{server.bucket_address('cells')}/{uuid4().hex}", server.access)
    monkeypatch.setattr("tasks.cell_makers.MANY", 1 if request.param == "processes" else 10_000)
    return Folder(tmp_path / "speech")


def clip_of(shelf: Shelf, text: str, hertz: float = 300.0, voice: Voice = VOICE) -> Clip:
    """A word as the shelf has it."""
    silence, tone = np.zeros(4_000), 0.1 * np.sin(2 * np.pi * hertz * np.arange(8_000) / 16_000)
    data = io.BytesIO()
    soundfile.write(data, np.concatenate([silence, tone, silence]), 16_000, format="WAV")
    found = measure(data.getvalue())
    facts = found.sample_rate, found.samples, found.speech_start, found.speech_end, found.peak_dbfs, found.rms_dbfs
    sha256 = hashlib.sha256(data.getvalue()).hexdigest()
    clip = Clip("", sha256, len(data.getvalue()), *facts, found.onset)
    return shelf.put(text, voice, Audio(data.getvalue(), "wav"), clip)


def cells_of(*texts: str, suffix: str = "wav") -> list[Cell]:
    role = Role(VOICE)
    return [
        Cell(number, number + 2, "noun", text, "word", text, role, f"noun/{number}/wörd.{suffix}")
        for number, text in enumerate(texts)
    ]


def parts_of(cells: Sequence[Cell], shelf: Shelf, voice: Voice = VOICE) -> list[Part]:
    """What is said of the cells: a chunk for each line of their text."""
    provider = Scripted()
    ledger = Ledger(shelf.root / "ledger.jsonl")
    speaker = Speaker(provider, voice, Alone(provider), shelf, NO_CLAIMS, Progress(), ledger)
    chunks = [
        Chunk(line, number, Boundary.SENTENCE) for number, cell in enumerate(cells) for line in cell.text.split("\n")
    ]
    return [Part(chunks, speaker)]


def wanted(cell: Cell, *clips: Clip) -> Wanted:
    return Wanted(cell.file, tuple(Take(Chunk(cell.text, 0, Boundary.SENTENCE), clip) for clip in clips))


@asynccontextmanager
async def listening(
    cells: Sequence[Cell],
    storage: Storage,
    shelf: Shelf,
    claimed: Collection[str] = (),
    warnings: list[str] | None = None,
) -> AsyncIterator[tuple[CellWriter, Progress]]:
    progress, told = Progress(), warnings if warnings is not None else list[str]()
    async with writing(storage, "wav", LUFS, progress, told.append) as writer:
        (part,) = writer.listening(parts_of(cells, shelf), cells, shelf, claimed)
        assert part.speaker.on_clip == writer.offer
        yield writer, progress


async def made(progress: Progress, count: int) -> None:
    async with asyncio.timeout(30):
        while progress.files < count:  # noqa: ASYNC110 - who counts has nobody to tell
            await asyncio.sleep(0.01)


def names(storage: Storage) -> set[str]:
    return {entry.name for entry in storage.entries()}


async def test_files_are_there_before_the_end(storage: Storage, shelf: Shelf) -> None:
    """Each as soon as its speech is on the shelf, also where several cells say the same; and asked for in the end, each
    is what its speech becomes, and its facts are those of the file."""
    cells = cells_of(*(f"word {number % 30}" for number in range(40)))
    clips = {cell.text: clip_of(shelf, cell.text, 200 + 10 * cell.row) for cell in reversed(cells)}
    async with listening(cells, storage, shelf) as (writer, progress):
        for number, (text, clip) in enumerate(clips.items()):
            writer.offer(text, VOICE, clip)
            if number == 2:
                await made(progress, 3)
        await made(progress, 40)
        assert names(storage) == {cell.file for cell in cells}
        files = await writer.finish([wanted(cell, clips[cell.text]) for cell in cells])
        assert (progress.files, progress.files_wanted) == (40, 40)
    assert list(files) == [cell.file for cell in cells]
    for cell in cells:
        data, file = render(wanted(cell, clips[cell.text]), "wav", LUFS, shelf.read)
        assert (storage.read(cell.file), files[cell.file]) == (data, file)


async def test_the_last_word_counts(storage: Storage, shelf: Shelf) -> None:
    """A second take is the file in the end, also where the first was made already; what is refused in the end is gone;
    what was never offered is made all the same."""
    cells = cells_of("first", "again", "refused", "late", "one\ntwo")
    clips = {text: clip_of(shelf, text, hertz) for text, hertz in (("first", 200), ("again", 300), ("refused", 400))}
    second, late = clip_of(shelf, "again", 350), clip_of(shelf, "late", 450)
    pieces = [clip_of(shelf, "one", 500), clip_of(shelf, "two", 550)]
    async with listening(cells, storage, shelf) as (writer, progress):
        for text, clip in clips.items():
            writer.offer(text, VOICE, clip)
        writer.offer("again", VOICE, second)
        writer.offer("late", OTHER, late)  # in a voice that nobody asked for
        writer.offer("one", VOICE, pieces[0])  # half of a cell
        await made(progress, 3)
        assert names(storage) == {cell.file for cell in cells[:3]}
        first, again, _, behind, both = cells
        asked = [wanted(first, clips["first"]), wanted(again, second), wanted(behind, late), wanted(both, *pieces)]
        files = await writer.finish(asked)
    assert names(storage) == set(files) == {one.name for one in asked}
    for one in asked:
        assert storage.read(one.name) == render(one, "wav", LUFS, shelf.read)[0]


async def test_a_spoilt_clip_ends_it(storage: Storage, shelf: Shelf) -> None:
    """It is named, at once to whoever watches; what is written stays, nothing half written is left, and what is not
    wanted in the end is gone, though it was made beside the spoilt one."""
    cells = cells_of(*(f"word {number}" for number in range(60)))
    clips, warnings = [clip_of(shelf, cell.text) for cell in cells], list[str]()
    async with listening(cells, storage, shelf, warnings=warnings) as (writer, _):
        clips[7] = replace(clips[7], bytes=1)
        for cell, clip in zip(cells, clips, strict=True):
            writer.offer(cell.text, VOICE, clip)
        asked = [wanted(cell, clip) for cell, clip in zip(cells, clips, strict=True)]
        with pytest.raises(RunFailed, match=r"noun/7/wörd\.wav cannot be used"):
            await writer.finish(asked)
        (warning,) = warnings
        assert "noun/7/wörd.wav cannot be used" in warning
        whole = render(asked[0], "wav", LUFS, shelf.read)[0]
        assert all(storage.read(name) == whole for name in names(storage))
        assert not list(shelf.root.parent.glob("speech/**/.*"))
        kept = [one for number, one in enumerate(asked) if number not in {3, 7}]
        assert set(await writer.finish(kept)) == names(storage) == {one.name for one in kept}


async def test_what_stands_stays_until_the_end(storage: Storage, shelf: Shelf) -> None:
    """A file that an earlier manifest tells of is not touched while the rest is spoken, nor by a run that is stopped,
    nor where its cell has no speech in the end."""
    cells = cells_of("kept", "remade", "new")
    clips = [clip_of(shelf, cell.text, 300 + 50 * cell.row) for cell in cells]
    claimed = {cell.file for cell in cells[:2]}
    for name in claimed:
        storage.write(name, b"of an earlier run")
    async with listening(cells, storage, shelf, claimed) as (writer, progress):
        for cell, clip in zip(cells, clips, strict=True):
            writer.offer(cell.text, VOICE, clip)
        await made(progress, 1)
        assert {name for name in names(storage) if storage.read(name) == b"of an earlier run"} == claimed
        files = await writer.finish([wanted(cell, clip) for cell, clip in zip(cells[1:], clips[1:], strict=True)])
    assert set(files) == {cell.file for cell in cells[1:]}
    assert [storage.read(cell.file) == b"of an earlier run" for cell in cells] == [True, False, False]


@pytest.mark.parametrize("many", [1, 10_000])
async def test_a_place_that_cannot_be_written(
    many: int, shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails the run when all is spoken, not before; a place that is mended by then does not."""
    monkeypatch.setattr("tasks.cell_makers.MANY", many)
    cells = cells_of("one", "two")
    asked = [wanted(cell, clip_of(shelf, cell.text)) for cell in cells]
    (tmp_path / "noun").write_text("mine")
    async with listening(cells, Folder(tmp_path), shelf) as (writer, _):
        for one, cell in zip(asked, cells, strict=True):
            writer.offer(cell.text, VOICE, one.takes[0].outcome)
        await asyncio.sleep(0.2)
        with pytest.raises(StorageFailed, match=r"cannot write .*noun"):
            await writer.finish(asked)
        (tmp_path / "noun").unlink()
        assert set(await writer.finish(asked)) == {cell.file for cell in cells}


async def test_stopping(shelf: Shelf, tmp_path: Path) -> None:
    """Stopped, it ends soon and begins nothing more, though reading takes its time; what is written stays."""
    clip, read = clip_of(shelf, "word"), []

    class Slow(Shelf):
        def read(self, clip: Clip) -> bytes:
            read.append(clip)
            time.sleep(0.05)
            return super().read(clip)

    cells = cells_of(*(f"word {number}" for number in range(MANY - 1)))
    async with listening(cells, Folder(tmp_path / "out"), Slow(shelf.root)) as (writer, progress):
        finishing = asyncio.create_task(writer.finish([wanted(cell, clip) for cell in cells]))
        await made(progress, 3)
        finishing.cancel()
        await asyncio.wait([finishing])
    await asyncio.sleep(0.5)
    begun = len(read)
    assert begun < MANY // 2
    await asyncio.sleep(0.5)
    assert len(read) == begun, "it goes on"


async def test_a_process_that_dies(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a writer was making when the system killed it, for want of memory perhaps, another one makes."""
    monkeypatch.setattr("tasks.cell_makers.MANY", 1)
    cells, clip = cells_of(*(f"word {number}" for number in range(400))), clip_of(shelf, "word")
    asked = [wanted(cell, clip) for cell in cells]
    async with listening(cells, Folder(tmp_path / "out"), shelf) as (writer, progress):
        for one in asked[:200]:
            writer.offer(one.takes[0].chunk.text, VOICE, clip)
        await made(progress, 1)
        for worker in workers(os.getpid()):
            os.kill(worker, signal.SIGKILL)
        await made(progress, 200)
        assert len(await writer.finish(asked)) == 400


async def test_no_process_to_be_had(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none can begin, the run fails in one line that says so, when all is spoken."""
    monkeypatch.setattr("tasks.cell_makers.MANY", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    (cell,), clip = cells_of("word"), clip_of(shelf, "word")
    async with listening([cell], Folder(tmp_path / "out"), shelf) as (writer, _):
        writer.offer("word", VOICE, clip)
        with pytest.raises(RunFailed, match=r"no files can be made: .*No such file.*\. Run the same command again"):
            await writer.finish([wanted(cell, clip)])


def workers(pid: int) -> list[int]:
    return [child for child in children(pid) if "cell_worker.py" in command_of(child)]


_RUN = """
import asyncio, sys
from pathlib import Path
from tasks.cell_makers import Processes
async def main():
    makers = Processes(2, sys.argv[1], "wav", -19.0)
    await asyncio.gather(makers.make([]), makers.make([]))
    print("ready", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_they_end_with_the_run(tmp_path: Path) -> None:
    """Killed with -9, a run leaves no writers behind."""
    running = subprocess.Popen([sys.executable, "-c", _RUN, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert running.stdout
    assert running.stdout.readline() == "ready\n"
    left = workers(running.pid)
    assert len(left) == 2
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert gone(left)


async def test_who_makes_them(shelf: Shelf, tmp_path: Path, moto: S3Server) -> None:
    """Processes for many files of this machine; threads for few, and for a bucket."""
    bucket = storage_at(moto.bucket_address("cells"), moto.access)
    for count, storage, processes in ((MANY, Folder(tmp_path), True), (MANY - 1, Folder(tmp_path), False)):
        assert isinstance(makers(count, storage, "wav", LUFS, shelf), Processes) is processes
    assert makers(MANY, bucket, "wav", LUFS, shelf).at_once == 16
