"""The health of keys in a SQLite file, for all processes of one machine."""

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import astuple
from pathlib import Path
from typing import TypeVar

from blocks.key_health.documents import KEPT_EVENTS, VERSION, States, damaged, loaded, newer
from blocks.key_pool.events import Event
from blocks.speech import BadInput, RunFailed, SpeechError

PATIENCE_S = 10.0
"""How long a file that others have locked is waited for: a change takes a millisecond."""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS states (name TEXT PRIMARY KEY, document BLOB NOT NULL)",
    """CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, at REAL NOT NULL, provider TEXT NOT NULL,
    subject TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, until REAL NOT NULL)""",
    f"PRAGMA user_version = {VERSION}",
)
_GET = "SELECT document FROM states WHERE name = ?"
_PUT = "INSERT INTO states VALUES (?, ?) ON CONFLICT DO UPDATE SET document = excluded.document"
_ADD = "INSERT INTO events (at, provider, subject, kind, reason, until) VALUES (?, ?, ?, ?, ?, ?)"
_PRUNE = "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?"
_LAST = """SELECT at, provider, subject, kind, reason, until FROM events
WHERE ? IN ('', provider) ORDER BY id DESC LIMIT ?"""

# PROTOCOL: others are just opening the file, too. ERROR: our tables are not in it.
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_CLOSED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)

S = TypeVar("S")
R = TypeVar("R")
Work = Callable[[sqlite3.Connection], R]


class SqliteStore:
    """A Store. All that waits for the disk or a lock runs on a thread of its own."""

    def __init__(self, path: Path, patience_s: float = PATIENCE_S) -> None:
        self._path = path
        self._patience_s = patience_s
        self._thread = ThreadPoolExecutor(1, "key-health")
        self._database: sqlite3.Connection | None = None
        self._states = States()
        self._closed = False

    async def change(self, name: str, kind: type[S], change: Callable[[S, float], R]) -> R:
        def work(database: sqlite3.Connection) -> R:
            raw = _document(database, name)
            answer, after = self._states.changed(name, raw, kind, change, time.time(), str(self._path))
            if after is not None:
                database.execute(_PUT, (name, after))
            return answer

        return await self._aside(work)

    async def read(self, name: str, kind: type[S]) -> S:
        return await self._aside(
            lambda database: loaded(_document(database, name), kind, str(self._path)), begin="BEGIN"
        )

    async def record(self, events: Sequence[Event]) -> None:
        def work(database: sqlite3.Connection) -> None:
            database.executemany(_ADD, [astuple(event) for event in events])
            database.execute(_PRUNE, (KEPT_EVENTS,))

        if events:
            await self._aside(work)

    async def events(self, provider: str = "", limit: int = 200) -> list[Event]:
        rows = await self._aside(
            lambda database: database.execute(_LAST, (provider, max(limit, 0))).fetchall(), begin="BEGIN"
        )
        return [Event(*row) for row in rows]

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
            self._thread.shutdown(wait=False)

    async def _aside(self, work: Work[R], begin: str = "BEGIN IMMEDIATE") -> R:
        # What waits behind other work of this process spends its patience there, too.
        end = time.monotonic() + self._patience_s
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._patiently, work, begin, end)

    def _patiently(self, work: Work[R], begin: str, end: float) -> R:
        """SQLite's own patience does not cover the moments when a file is opened, and polls ever more rarely."""
        while True:
            try:
                database = self._database = self._database or self._connect()
                with database:  # commits, or takes back what was done before something raised
                    database.execute(begin)
                    return work(database)
            except sqlite3.DatabaseError as error:
                code = error.sqlite_errorcode & 0xFF
                if code not in _LOCKED or time.monotonic() > end:
                    raise self._told(code, error) from error
            time.sleep(random.uniform(0.0005, 0.003))  # noqa: S311 - no secret

    def _connect(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = not self._path.exists()
        except OSError as error:
            raise BadInput(self._unwritable(error.strerror or str(error))) from error
        with ExitStack() as stack:
            database = sqlite3.connect(self._path, timeout=0, isolation_level=None)
            stack.callback(database.close)
            if fresh:  # The files beside it, which SQLite makes later, get the same mode.
                self._path.chmod(0o600)
            self._prepare(database)
            stack.pop_all()
        return database

    def _prepare(self, database: sqlite3.Connection) -> None:
        """Nothing is written before the version is known."""
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise BadInput(newer(str(self._path)))
        database.execute("PRAGMA synchronous = NORMAL")
        if version < VERSION:
            database.execute("PRAGMA journal_mode = WAL")
            with database:
                database.execute("BEGIN IMMEDIATE")
                for statement in _SCHEMA:
                    database.execute(statement)

    def _disconnect(self) -> None:
        if self._database:
            self._database.close()

    def _told(self, code: int, error: sqlite3.DatabaseError) -> SpeechError:
        if code in _LOCKED:
            return RunFailed(
                f"{self._path} has been locked by another process for {self._patience_s:.0f} s: end that process, "
                "then run the same command again: finished speech is kept."
            )
        if code in _DAMAGED:
            return BadInput(damaged(str(self._path)))
        if code in _CLOSED:
            return BadInput(self._unwritable(str(error)))
        return RunFailed(
            f"{self._path} cannot be written ({error}): make room on its disk, "
            "then run the same command again: finished speech is kept."
        )

    def _unwritable(self, reason: str) -> str:
        return (
            f"{self._path} cannot keep the health of keys ({reason}): make its folder writable, "
            "or set SPEECH_HOME to one that is."
        )


def _document(database: sqlite3.Connection, name: str) -> bytes | None:
    row = database.execute(_GET, (name,)).fetchone()
    return row[0] if row else None
