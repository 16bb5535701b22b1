"""Which process carries out a run: where it is known to be gone, nobody has to wait for its heartbeat."""

import os
import socket
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


def myself() -> str:
    """`<host> <process id> <its start> <machine>`: no other process ever says the same."""
    return f"{socket.gethostname()} {os.getpid()} {_start(os.getpid())} {_machine()}"


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
