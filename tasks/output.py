"""Where the files of a run go: a folder of this machine, or by way of one to where others read them."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from blocks.speech import BadInput
from blocks.storage import Storage, home, is_remote
from blocks.storage.folder import Folder
from tasks.manifest import Manifest, check_source_stays
from tasks.merge import ABANDONED_S, check_target, format_of
from tasks.owner import sign, sweep
from tasks.segment_clips import LIST, check_clips
from tasks.source_place import name_of


@dataclass(frozen=True, slots=True)
class Output:
    """Where a recording is made, and where it is to be found."""

    target: Path
    """The recording on this machine; all that belongs to it stands beside it."""
    storage: Storage | None = None
    """Where the files go when all are done; None where they are to stay."""
    with_clips: bool = False
    """Whether each cue or paragraph has a file of its own, too."""

    @property
    def clips(self) -> Path:
        return self.target.parent / "clips"

    def name(self, path: Path) -> str:
        """Of a file beside the recording or below it, in its storage."""
        return path.relative_to(self.target.parent).as_posix()

    def place(self, path: Path) -> str:
        """Of such a file, for people: a path or a URI."""
        return self.storage.place(self.name(path)) if self.storage else str(path)

    def check(self, source: str) -> None:
        """Refuse, before anything is spoken, a place where nothing can be written, or that the source has.

        Raises BadInput, and StorageFailed where a store does not answer.
        """
        format_of(self.target)
        if self.storage:
            self.storage.check()
            _make_room(self.target.parent)
        check_target(self.target)
        check_source_stays(source, self.target, self.place)
        if self.with_clips:
            with suppress(FileNotFoundError):
                listed = (self.storage or Folder(self.target.parent)).read(self.name(self.clips / LIST))
                check_clips(listed, self.place(self.clips), source)


def _make_room(folder: Path) -> None:
    """The run's own folder, in place of those that killed runs left behind. Raises BadInput."""
    sweep([other for other in folder.parent.glob("*") if other != folder], ABANDONED_S)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sign(folder)
    except OSError as error:
        raise BadInput(f"cannot write {folder}: {error.strerror}; name another folder as SPEECH_HOME") from error


def output_of(source: str, address: str, suffix: str, storage: Storage, run: str, *, clips: bool = False) -> Output:
    """By the name of the source, without its own suffix. Raises BadInput."""
    if not address.strip():
        raise BadInput("output is no folder: name one, or the address of a bucket")
    name = f"{name_of(source).stem}.{suffix}"
    if is_remote(address):
        return Output(home() / "outputs" / run / name, storage, with_clips=clips)
    return Output(Path(address, name).expanduser().absolute(), with_clips=clips)


def sent(output: Output, files: Sequence[Path]) -> None:
    """Put the files where they are to be found, in this order, and keep no copy. Raises StorageFailed."""
    if output.storage is None:
        return
    for path in files:
        output.storage.upload(output.name(path), path)
    shutil.rmtree(output.target.parent, ignore_errors=True)


def files_of(manifest: Manifest, recording: Path | None, clips: Sequence[Path] = ()) -> list[Path]:
    """The manifest's own JSON last: where it stands, everything stands."""
    files = [*clips, recording, manifest.srt, manifest.report, manifest.csv, manifest.json]
    return [path for path in files if path]
