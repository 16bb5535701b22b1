"""What is known of keys and accounts, in one place for all processes that use them.

Without an address it is a file, which the processes of one machine share; a Redis serves several machines.
"""
# ruff: noqa: PLC0415 - pydantic and redis take a second to import, and engines without keys speak without them

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Protocol, TypeVar

from blocks import storage
from blocks.key_pool.events import Event
from blocks.speech import BadInput

ADDRESS = "SPEECH_REDIS"

S = TypeVar("S")
R = TypeVar("R")


class Store(Protocol):
    """Named states that all processes share; each is changed by one process at a time.

    May be used from any event loop. All of it raises BadInput where the store cannot be used as it is, and RunFailed
    where it was lost or stayed locked. Whoever is cancelled while waiting does not know whether the change was made.
    """

    async def change(self, name: str, kind: type[S], change: Callable[[S, float], R]) -> R:
        """Call `change` with the state and the store's own time (UTC, seconds), and keep what it made of the state.

        `change` alters the state in place; it is pure, for it may be called again with a fresh copy. If it raises,
        nothing is written. What it answers holds nothing of the state, which goes on to change. `kind` is a plain
        dataclass, and `kind()` the state where there is none yet.
        """
        ...

    async def read(self, name: str, kind: type[S]) -> S: ...

    async def record(self, events: Sequence[Event]) -> None:
        """Add to the list of events, of which the last 5,000 are kept."""
        ...

    async def events(self, provider: str = "", limit: int = 200) -> list[Event]:
        """The last ones first; of every provider, or of one."""
        ...

    async def close(self) -> None:
        """May be called twice. Nothing else works afterwards."""
        ...


def open_store(url: str = "") -> Store:
    """The store at this address, else at that of `SPEECH_REDIS`, else in a file under `SPEECH_HOME`.

    It is reached when it is first used.
    """
    url = (url or os.environ.get(ADDRESS, "")).strip()
    if not url:
        from blocks.key_health.sqlite import SqliteStore

        return SqliteStore(storage.home() / "keys.sqlite3")
    if not url.startswith(("redis://", "rediss://")):
        raise BadInput(f"{ADDRESS} is no redis:// or rediss:// address.")
    if find_spec("redis") is None:
        raise BadInput(
            f"{ADDRESS} needs the extra redis: `uv sync --extra redis` in a checkout, "
            "or `pip install 'speech-flows[redis]'`."
        )
    from blocks.key_health.redis_server import RedisStore

    return RedisStore(url)


@asynccontextmanager
async def opened_store() -> AsyncIterator[Store]:
    """The store for the time of the body."""
    store = open_store()
    try:
        yield store
    finally:
        await store.close()
