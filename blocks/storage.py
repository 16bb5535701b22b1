"""Where finished files are put: a file appears under its name whole, or not at all."""

import os
from pathlib import Path
from uuid import uuid4

import platformdirs

from blocks.speech import RunFailed


def home() -> Path:
    """Where this application keeps its state between runs: `SPEECH_HOME`, or a per-user data folder."""
    named = os.environ.get("SPEECH_HOME")
    return Path(named).expanduser().absolute() if named else platformdirs.user_data_path("speech-flows")


def replace(path: Path, data: bytes) -> None:
    """Put the data under this name; until it is all on the disk, what stood there stays. Raises RunFailed."""
    # A name of its own: with `<name>.tmp` a long name would no longer fit the file system's 255 bytes.
    temporary = path.parent / f".{uuid4().hex}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise RunFailed(
            f"cannot write {path}: {error.strerror}. Make room or choose another folder, "
            "then run the same command again: finished speech is kept"
        ) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename in it survive a power cut."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
