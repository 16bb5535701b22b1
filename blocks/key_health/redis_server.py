"""The health of keys in a Redis, for all machines that use them."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, WatchError
from redis.retry import Retry

from blocks.key_health.documents import KEPT_EVENTS, States, loaded, text
from blocks.key_pool.events import Event
from blocks.speech import BadInput, RunFailed, SpeechError

PATIENCE_S = 10.0
"""How long a Redis that was lost is tried again."""
_ANSWER_S = 5.0

_ROOT = "speech-flows:"
_EVENTS = f"{_ROOT}events"

S = TypeVar("S")
R = TypeVar("R")
# Any is the client or a pipeline: their annotations differ from release to release.
Write = Callable[[Any], object]
Look = Callable[[bytes | None, float], tuple[R, Write | None]]
"""From a key's value and the time to an answer, and the commands that make it true."""


class RedisStore:
    """A Store. The client runs on a thread of its own: an asyncio client would belong to one event loop.

    Every transaction leaves a mark, so that one whose answer was lost with the connection is not made twice.
    """

    def __init__(self, url: str, patience_s: float = PATIENCE_S) -> None:
        self._client, self._password = _client(url)
        where = urlsplit(url)
        self._place = f"the Redis at {where.hostname}:{where.port or 6379}"
        self._patience_s = patience_s
        self._mark = f"{_ROOT}mark:{uuid4().hex}"
        self._reached = False
        self._states = States()
        self._thread = ThreadPoolExecutor(1, "key-health")
        self._closed = False

    async def change(self, name: str, kind: type[S], change: Callable[[S, float], R]) -> R:
        key = _key(name)

        def look(raw: bytes | None, now: float) -> tuple[R, Write | None]:
            answer, after = self._states.changed(name, raw, kind, change, now, self._where(key))
            return answer, None if after is None else lambda pipe: pipe.set(key, after)

        return await self._transaction(key, look)

    async def read(self, name: str, kind: type[S]) -> S:
        key = _key(name)
        raw = await self._aside(lambda _: self._client.get(key))
        return loaded(raw, kind, self._where(key))

    async def record(self, events: Sequence[Event]) -> None:
        def write(pipe: Any) -> None:
            for event in events:
                pipe.xadd(_EVENTS, {"event": text(event)}, maxlen=KEPT_EVENTS, approximate=False)

        if events:
            await self._transaction(self._mark, lambda *_: (None, write))

    async def events(self, provider: str = "", limit: int = 200) -> list[Event]:
        if limit <= 0:
            return []
        most = KEPT_EVENTS if provider else limit
        rows = await self._aside(lambda _: self._client.xrevrange(_EVENTS, count=most))
        found = [loaded(fields[b"event"], Event, self._where(_EVENTS)) for _, fields in rows]
        return [event for event in found if provider in {"", event.provider}][:limit]

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._thread, self._client.close)
            self._thread.shutdown(wait=False)

    def _where(self, key: str) -> str:
        return f"{key} in {self._place}"

    async def _transaction(self, key: str, look: Look[R]) -> R:
        mark = uuid4().hex
        answers: list[R] = []
        return await self._aside(lambda end: self._once(key, look, mark, answers, end))

    def _once(self, key: str, look: Look[R], mark: str, answers: list[R], end: float) -> R:
        """Whatever went before with this mark. `answers` holds what its last try would have answered."""
        with self._client.pipeline() as pipe:
            pause_s = 0.001
            while True:
                pipe.watch(key, self._mark)
                raw, made = pipe.mget(key, self._mark)
                if answers and made == mark.encode():
                    return answers[-1]
                seconds, microseconds = pipe.time()
                answer, write = look(raw, seconds + microseconds / 1e6)
                if write is None:
                    return answer
                answers[:] = [answer]
                pipe.multi()
                write(pipe)
                pipe.set(self._mark, mark, ex=60 + round(self._patience_s))
                try:
                    pipe.execute()
                except WatchError:
                    if time.monotonic() > end:
                        raise
                else:
                    return answer
                time.sleep(random.uniform(0, pause_s))  # noqa: S311 - no secret
                pause_s = min(2 * pause_s, 0.01)

    async def _aside(self, work: Callable[[float], R]) -> R:
        # What waits behind other work of this process spends its patience there, too.
        end = time.monotonic() + self._patience_s
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._patiently, work, end)

    def _patiently(self, work: Callable[[float], R], end: float) -> R:
        pause_s = 0.1
        while True:
            try:
                answer = work(end)
            except RedisError as error:
                if not self._reached or isinstance(error, AuthenticationError) or time.monotonic() > end:
                    raise self._told(error) from error
            else:
                self._reached = True
                return answer
            time.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311 - no secret
            pause_s = min(2 * pause_s, 1.0)

    def _told(self, error: RedisError) -> SpeechError:
        reason = str(error).rstrip(".")
        if self._password:
            reason = reason.replace(self._password, "…")
        if isinstance(error, AuthenticationError):
            return BadInput(f"{self._place} refuses the user or password of SPEECH_REDIS ({reason}): correct them.")
        if not self._reached:
            return BadInput(
                f"{self._place} cannot be used ({reason}): start it or correct SPEECH_REDIS; "
                "without it, this machine keeps the health of keys in a file."
            )
        return RunFailed(
            f"{self._place} was lost for {self._patience_s:.0f} s ({reason}): start it, "
            "then run the same command again: finished speech is kept."
        )


def _key(name: str) -> str:
    return f"{_ROOT}state:{name}"


def _client(url: str) -> tuple[Any, str]:
    """A client that has not called yet, and its password. Raises BadInput, never with the address in it."""
    try:
        where = urlsplit(url)
        # Any other option may change what the client answers.
        usable = where.hostname and all(name.startswith("ssl_") for name in parse_qs(where.query))
        client = Redis.from_url(
            url, socket_timeout=_ANSWER_S, socket_connect_timeout=_ANSWER_S, retry=Retry(NoBackoff(), 0)
        )
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # shows options that it does not know
    except (ValueError, TypeError, RedisError):
        usable = False
    if not usable:
        raise BadInput(
            "SPEECH_REDIS is no usable address: write redis://user:password@host:6379/0 (rediss:// for TLS), "
            "with what is special in the password as %-codes, and no options but those that begin with ssl_."
        )
    return client, str(pool.connection_kwargs.get("password") or "")
