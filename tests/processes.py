"""What runs below a process, read from /proc."""

import contextlib
import os
import time
from collections.abc import Collection
from pathlib import Path

GONE_WITHIN_S = 20.0
"""What was killed ends as soon as it is given time, which a busy machine may not do at once."""


def children(pid: int) -> list[int]:
    """Zombies are none: they only wait to be counted."""
    return [child for child, (parent, state) in _table().items() if parent == pid and state != "Z"]


def descendants(pid: int) -> list[int]:
    below = children(pid)
    return below + [lower for child in below for lower in descendants(child)]


def begun(before: Collection[int]) -> list[int]:
    """Children of this process that are not among those, and what runs below them.

    What others start meanwhile, below the browser or a server, is not meant.
    """
    mine = [child for child in children(os.getpid()) if child not in before]
    return mine + [lower for child in mine for lower in descendants(child)]


def gone(pids: Collection[int], within_s: float = GONE_WITHIN_S) -> bool:
    end = time.monotonic() + within_s
    while any(_table().get(pid, (0, "Z"))[1] != "Z" for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def command_of(pid: int) -> str:
    """Its command line; empty for one that is no more."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _table() -> dict[int, tuple[int, str]]:
    rows = {}
    for entry in Path("/proc").glob("[1-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # It may end while we look.
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            rows[int(entry.name)] = (int(parent), state)
    return rows


def mapped_files() -> str:
    """The libraries and files in this process's memory."""
    return Path("/proc/self/maps").read_text()
