"""Files in a folder of this machine, or of one that is mounted here."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4

from blocks.speech import BadInput
from blocks.storage import Entry, StorageFailed, parts_of

HIDDEN = ".tmp"


class Folder:
    """`Storage` over a folder; it is made when something is put there."""

    def __init__(self, address: str | Path) -> None:
        self.root = Path(address).expanduser().absolute()

    @property
    def address(self) -> str:
        return str(self.root)

    def place(self, name: str) -> str:
        return str(self.path(name))

    def path(self, name: str) -> Path:
        """Where a name stands. Raises BadInput for one that leads outside, by `..` or by a link."""
        *folders, _ = parts = parts_of(name, self.address)
        path, linked = self.root, False
        for folder in folders:
            path /= folder
            linked = linked or path.is_symlink()  # to resolve the whole path each time would ask for many more
        if linked and not path.resolve().is_relative_to(self.root.resolve()):
            raise BadInput(f"{name!r} leads out of {self.root} by a link: remove the link, or choose another folder")
        return path / parts[-1]

    def read(self, name: str) -> bytes:
        path = self.path(name)
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(path) from None
        except OSError as error:
            raise StorageFailed(f"cannot read {path}: {error.strerror}") from error

    def read_many(self, names: Iterable[str]) -> Mapping[str, bytes]:
        found = {}
        for name in names:
            with suppress(FileNotFoundError):
                found[name] = self.read(name)
        return found

    def write(self, name: str, data: bytes) -> None:
        replace(self.path(name), data)

    def put(self, name: str, data: bytes) -> None:
        with _appearing(self.path(name), lasting=False) as (file,):
            file.write(data)

    def create(self, name: str, data: bytes) -> bool:
        path = self.path(name)
        try:
            _make_folder(path.parent)
            with path.open("xb") as file:
                file.write(data)
        except FileExistsError:
            return False
        except OSError as error:
            raise _unwritten(path, error) from error
        return True

    def upload(self, name: str, path: Path) -> None:
        with _appearing(self.path(name)) as (file,), path.open("rb") as source:
            shutil.copyfileobj(source, file, 1 << 20)

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        folder = prefix.rpartition("/")[0]
        try:
            yield from self._below(self.path(folder) if folder else self.root, folder and f"{folder}/", prefix)
        except OSError as error:
            if isinstance(error, NotADirectoryError) and self.root.is_dir():
                return  # a file has the name of the folder that is asked for
            raise StorageFailed(f"cannot list {self.root}: {error.strerror}") from error

    def _below(self, folder: Path, path: str, prefix: str) -> Iterator[Entry]:
        with suppress(FileNotFoundError), os.scandir(folder) as found:
            for item in found:
                name = f"{path}{item.name}"
                if item.is_dir(follow_symlinks=False):
                    inside = f"{name}/"
                    if inside.startswith(prefix) or prefix.startswith(inside):
                        yield from self._below(folder / item.name, inside, prefix)
                elif name.startswith(prefix) and not item.name.endswith(HIDDEN):
                    with suppress(FileNotFoundError):  # somebody deleted it meanwhile
                        facts = item.stat()
                        yield Entry(name, facts.st_size, facts.st_mtime, f"{facts.st_mtime_ns}-{facts.st_ino}")

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            path = self.path(name)
            try:
                path.unlink(missing_ok=True)
            except NotADirectoryError:
                pass
            except OSError as error:
                raise StorageFailed(f"cannot delete {path}: {error.strerror}") from error

    def check(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as file:
                file.write(b"speech")
            with os.scandir(self.root) as found:
                next(found, None)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise BadInput(f"cannot write into {self.root}: {reason}; name another folder") from error


def replace(path: Path, data: bytes) -> None:
    """Put the data under this name; until it is all on the disk, what stood there stays. Raises StorageFailed."""
    replace_all([(path, data)])


def replace_all(files: Sequence[tuple[Path, bytes]]) -> None:
    """The same of several: they appear in this order, and the first when all are on the disk."""
    with _appearing(*(path for path, _ in files)) as opened:
        for file, (_, data) in zip(opened, files, strict=True):
            file.write(data)


@contextmanager
def _appearing(*paths: Path, lasting: bool = True) -> Iterator[Sequence[IO[bytes]]]:
    """Files that have these names once the body has ended well and, if they are lasting, all of them are on the disk.

    Raises StorageFailed.
    """
    folders = {path.parent for path in paths}
    # Names of their own: with `<name>.tmp` a long name would no longer fit the file system's 255 bytes.
    temporaries = [path.parent / f".{uuid4().hex}{HIDDEN}" for path in paths]
    try:
        for folder in folders:
            _make_folder(folder)
        try:
            with ExitStack() as stack:
                files = [stack.enter_context(temporary.open("xb")) for temporary in temporaries]
                yield files
                for file in files if lasting else ():
                    file.flush()
                    os.fsync(file.fileno())
            for temporary, path in zip(temporaries, paths, strict=True):
                temporary.replace(path)
        except BaseException:
            for temporary in temporaries:
                temporary.unlink(missing_ok=True)
            raise
        for folder in folders if lasting else ():
            _sync_folder(folder)
    except OSError as error:
        raise _unwritten(paths[0], error) from error


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)


def _unwritten(path: Path, error: OSError) -> StorageFailed:
    return StorageFailed(
        f"cannot write {path}: {error.strerror}. Make room or choose another folder, "
        "then run the same command again: finished speech is kept"
    )


def _sync_folder(folder: Path) -> None:
    """Make a rename in it survive a power cut."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
