"""Slots that a killed command left taken: given back at once, where it is sure that nobody holds them.

Without this they come back too, but only when their leases run out, a minute or more later.
"""

import fcntl
import os
import shutil
from pathlib import Path
from typing import IO

import httpx

from blocks import storage

_OTHER_DATABASES = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")


class Leftovers:
    """Held as long as a server of ours runs; the kernel lets go of it however the process ends."""

    def __init__(self) -> None:
        self._lock = self._hold(storage.home() / "servers.lock")
        # On a database of several machines others may hold slots.
        self._ours = self._alone and not any(name in os.environ for name in _OTHER_DATABASES)
        if self._ours:
            home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
            # The server would take expired leases off the slots a second time.
            shutil.rmtree(home / "concurrency_leases", ignore_errors=True)

    def _hold(self, place: Path) -> IO[bytes]:
        """Shared by all servers of ours; whoever has it alone for a moment was the only one."""
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = place.open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._alone = True
        except BlockingIOError:
            self._alone = False
        fcntl.flock(lock, fcntl.LOCK_SH)
        return lock

    def give_back(self, api_url: str) -> None:
        """Once the server answers: no run of ours can hold a slot yet."""
        if not self._ours:
            return
        limits = httpx.post(f"{api_url}/v2/concurrency_limits/filter", json={}, timeout=30).json()
        for limit in limits:
            if limit["name"].startswith("tag:") and limit["active_slots"]:
                httpx.patch(f"{api_url}/v2/concurrency_limits/{limit['id']}", json={"active_slots": 0}, timeout=30)

    def close(self) -> None:
        self._lock.close()
