"""Which process carries out a run: where it is known to be gone, what it held and left behind is free at once."""

import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_SIGNATURE = ".owner"


def myself() -> str:
    """`<host> <process id> <its start> <machine>`: no other process ever says the same."""
    return f"{socket.gethostname()} {os.getpid()} {_start(os.getpid())} {_machine()}"


def sign(folder: Path) -> None:
    """Leave word in a folder that it is this process's."""
    (folder / _SIGNATURE).write_text(myself())


def sweep(folders: Iterable[Path], abandoned_s: float) -> None:
    """Remove those whose process is known to be gone, or in which nothing was written for so long."""
    for folder in folders:
        with suppress(OSError):  # its own process may be just removing it
            signature = folder / _SIGNATURE
            there = is_there(signature.read_text()) if signature.exists() else None
            latest = max(path.stat().st_mtime for path in [folder, *folder.iterdir()])
            if there is False or (there is None and time.time() - latest > abandoned_s):
                shutil.rmtree(folder, ignore_errors=True)


def is_there(owner: str) -> bool | None:
    """Whether this process still runs; None where that cannot be told from here."""
    parts = owner.split()
    if len(parts) != 4 or not parts[1].isdigit() or parts[3] != _machine() or os.name != "posix":
        return None
    process = int(parts[1])
    if parts[2] != "?":
        return _start(process) == parts[2]
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return None  # it, or another one that got its number


@cache
def _machine() -> str:
    """The machine since it was started, and the container in it: elsewhere the numbers mean other processes."""
    with suppress(OSError):
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').readlink()}"
    return f"{uuid.getnode():x}"


def _start(process: int) -> str:
    """When it was started, in ticks since the machine was; empty for one that is dead, `?` where nobody tells."""
    if not (_PROC / "self/stat").exists():
        return "?"
    try:
        fields = (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
