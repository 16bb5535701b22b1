"""What belongs to one run alone, and its removal. The shelf's clips are everybody's: they are never touched."""

import asyncio
import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from blocks import storage
from blocks.speech import BadInput
from blocks.storage import Storage, is_remote
from blocks.storage.folder import Folder
from tasks.cell_removal import clips_of
from tasks.reclaim import looked_twice
from tasks.runs import RunRow, asking

PAGE = 200
MANIFEST = ".manifest.json"
_OWN_RECORD = re.compile(r"[0-9a-f]{32}")
"""Prefect's name for a result that one run alone has; what is named by its content may be another's, too."""
_CLIP = re.compile(r"clips/(audio_\d{4,}\.wav|clips\.json)")


@dataclass(frozen=True, slots=True)
class Belongings:
    """The files of a run, and how large they are."""

    row: RunRow
    places: tuple[str, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class _Files:
    """Files in one folder or bucket, in the order in which they may go."""

    kept_in: Storage
    sizes: dict[str, int]


async def belongings(row: RunRow, *, keep_files: bool = False) -> Belongings:
    """What `remove` would delete. Raises StorageFailed."""
    found = await _files(row, keep_files=keep_files)
    places = tuple(files.kept_in.place(name) for files in found for name in files.sizes)
    return Belongings(row, places, sum(sum(files.sizes.values()) for files in found))


@dataclass(frozen=True, slots=True)
class Removed:
    id: str
    bytes: int


async def remove(row: RunRow, *, keep_files: bool = False) -> Removed:
    """Delete the run's files, its own results, its artifacts and at last the run. What is gone already is no error.

    One whose process may still run elsewhere is watched for `tasks.reclaim.SECOND_LOOK_S` before. Raises BadInput for a
    run that is not over; StorageFailed, after which it can be called again.
    """
    row = await looked_twice(row)
    if row.alive or row.state == "waiting":
        raise BadInput(f"{row.short} is {row.state}: cancel it first, or let it end")
    freed = 0
    for files in await _files(row, keep_files=keep_files):
        await asyncio.to_thread(_delete, files)
        freed += sum(files.sizes.values())
    if not keep_files:
        with suppress(OSError):  # it never was, or something else lies there
            (storage.home() / "outputs" / row.id).rmdir()
    async with asking() as client:
        run = UUID(row.id)
        freed += await _delete_results(client, run)
        await _delete_artifacts(client, run)
        with suppress(ObjectNotFound):
            await client.delete_flow_run(run)
    return Removed(row.id, freed)


def _delete(files: _Files) -> None:
    """With the folders that are empty then, but for those of our own state."""
    files.kept_in.delete(list(files.sizes))
    if isinstance(files.kept_in, Folder) and files.kept_in.root != storage.home():
        below = {folder for name in files.sizes for folder in PurePosixPath(name).parents if folder.name}
        for folder in sorted(below, reverse=True):
            with suppress(OSError):  # something else lies there
                (files.kept_in.root / folder).rmdir()


async def _files(row: RunRow, *, keep_files: bool) -> list[_Files]:
    """The recording and what lies beside it, what was on its way to a bucket, and the ledger; nothing if they stay."""
    if keep_files:
        return []
    home = Folder(storage.home())
    own = [f"ledger/{row.id}.jsonl", f"outputs/{row.id}/"]
    return [*await _recording(row), *[await asyncio.to_thread(_sizes, home, prefix) for prefix in own]]


async def _recording(row: RunRow) -> list[_Files]:
    """Only what this run made and no later one has replaced, as the manifest tells."""
    folder, _, name = row.where.rpartition("/") if is_remote(row.where) else _split(row.where)
    stem, dot, suffix = name.rpartition(".")
    if not (folder and stem and dot):
        return []
    kept_in = await _storage_of(folder)
    if name.endswith(MANIFEST):  # a word list's
        return [await asyncio.to_thread(_listed, row.id, kept_in, name)]
    return await asyncio.to_thread(_written_by, row.id, kept_in, stem, suffix)


async def _storage_of(address: str) -> Storage:
    if not is_remote(address):
        return Folder(address)
    from blocks.bucket import storage_for  # noqa: PLC0415 - its import takes a second

    return await storage_for(address)


def _split(where: str) -> tuple[str, str, str]:
    path = Path(where)
    return (str(path.parent), "/", path.name) if path.is_absolute() else ("", "", "")


def _listed(run: str, kept_in: Storage, manifest: str) -> _Files:
    sizes, names = _sizes(kept_in, "").sizes, clips_of(run, kept_in, manifest)
    return _Files(kept_in, {name: sizes[name] for name in names if name in sizes})


def _written_by(run: str, kept_in: Storage, stem: str, suffix: str) -> list[_Files]:
    try:
        facts = json.loads(kept_in.read(f"{stem}{MANIFEST}"))
    except (FileNotFoundError, ValueError):
        return []
    if not isinstance(facts, dict) or facts.get("run_id") != run:
        return []
    standing = _sizes(kept_in, f"{stem}.").sizes
    audio, recording = facts.get("audio"), f"{stem}.{suffix}"
    names = [f"{stem}.manifest.csv", f"{stem}.report.html"]
    if audio:  # else the recording and the subtitles that stand there are an earlier run's
        clips = _sizes(kept_in, "clips/").sizes if facts.get("clips") else {}
        standing |= clips
        names = [recording, f"{stem}.srt", *filter(_CLIP.fullmatch, clips), *names]
        if recording in standing and not _is_same(kept_in, recording, standing, audio):
            names = []  # a later run's recording: what else it wrote before it was killed cannot be told
    names.append(f"{stem}{MANIFEST}")  # last, as it tells whose they are
    return [_Files(kept_in, {name: standing[name] for name in names if name in standing})]


def _is_same(kept_in: Storage, name: str, standing: dict[str, int], audio: dict[str, Any]) -> bool:
    """Whether it is the recording of the manifest: a later run that was killed may have put its own there."""
    if standing.get(name) != audio.get("bytes"):
        return False
    if not isinstance(kept_in, Folder):
        return True  # to read a long book back would cost more than it proves
    with kept_in.path(name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == audio.get("sha256")


def _sizes(kept_in: Storage, prefix: str) -> _Files:
    return _Files(kept_in, {entry.name: entry.bytes for entry in kept_in.entries(prefix)})


async def _delete_results(client: PrefectClient, run: UUID) -> int:
    """The records of the run's own results; bytes. Those of its tasks are named by what was said: others use them."""
    freed = 0
    for state in await client.read_flow_run_states(run):
        key, block = getattr(state.data, "storage_key", None), getattr(state.data, "storage_block_id", None)
        if isinstance(key, str) and (kept_in := await _results_in(client, block)):
            name = Path(key).name
            if _OWN_RECORD.fullmatch(name):
                files = await asyncio.to_thread(_sizes, kept_in, name)
                await asyncio.to_thread(kept_in.delete, list(files.sizes))
                freed += sum(files.sizes.values())
    return freed


async def _results_in(client: PrefectClient, block: UUID | None) -> Storage | None:
    """Where results are kept: the folder of this machine, or the place of a block; None where nobody knows."""
    if block is None:
        return Folder(get_current_settings().results.local_storage_path)
    with suppress(ObjectNotFound):
        data = (await client.read_block_document(block)).data
        address = data.get("address") or data.get("basepath")
        return await _storage_of(str(address)) if address else None
    return None


async def _delete_artifacts(client: PrefectClient, run: UUID) -> None:
    mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
    while page := await client.read_artifacts(artifact_filter=mine, limit=PAGE):
        for artifact in page:
            with suppress(ObjectNotFound):
                await client.delete_artifact(artifact.id)
