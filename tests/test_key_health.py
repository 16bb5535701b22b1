"""The store that all processes share: one contract over SQLite and a real Redis, then what is each one's own."""

import asyncio
import contextlib
import math
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from blocks.key_health import Store, open_store
from blocks.key_health.sqlite import PATIENCE_S, SqliteStore
from blocks.key_pool.events import Event
from blocks.speech import BadInput, RunFailed
from tests.ports import dead_port

ROOT = Path(__file__).parent.parent
PASSWORD = "hunter/2 pass"


@dataclass(slots=True)
class Purse:
    left: int = 100_000
    right: int = 0
    moved: dict[str, int] = field(default_factory=dict)
    until: float = 0.0


def move(who: str, purse: Purse, now: float) -> float:
    purse.left -= 1
    purse.right += 1
    purse.moved[who] = purse.moved.get(who, 0) + 1
    return now


def look(_purse: Purse, now: float) -> float:
    return now


async def mover(who: str, times: int) -> None:
    """What a process of its own does: it tells of each move once that is made."""
    store = open_store()
    for _ in range(times):
        await store.change("purse", Purse, partial(move, who))
        print(who, flush=True)
    await store.close()


async def sleeper() -> None:
    """A process that stays in the middle of a change."""

    def sleep(purse: Purse, now: float) -> None:
        move("sleeper", purse, now)
        print("inside", flush=True)
        time.sleep(60)

    await open_store().change("purse", Purse, sleep)


class RedisServer:
    """A real one on a free port of loopback, which keeps what it was told when it is started again."""

    def __init__(self, program: str, folder: Path) -> None:
        self.port = dead_port()
        self.url = f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/0"
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", PASSWORD, "--dir", str(folder)]
        self._command = [program, *options, "--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        pytest.fail("redis-server does not start")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def ask(self, *command: str) -> object:
        from redis import Redis

        with Redis.from_url(self.url) as client:
            return client.execute_command(*command)

    def calls(self, command: str) -> int:
        from redis import Redis

        with Redis.from_url(self.url) as client:
            return client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"]


@pytest.fixture(scope="session")
def redis_for_all(needs: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(needs("redis-server"), tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def redis_server(needs: Callable[[str], str], tmp_path: Path) -> Iterator[RedisServer]:
    """One of its own, for a test that kills it."""
    server = RedisServer(needs("redis-server"), tmp_path)
    yield server
    server.kill()


class Place:
    """Where the stores of one test, and those of its processes, keep their state."""

    def __init__(self, kind: str, home: Path, redis: RedisServer | None) -> None:
        self.kind = kind
        self.file = home / "keys.sqlite3"
        self.redis = redis
        self.environment = {"SPEECH_HOME": str(home), "SPEECH_REDIS": redis.url if redis else ""}

    def open(self) -> Store:
        return open_store(self.redis.url if self.redis else "")

    def process(self, call: str) -> subprocess.Popen[str]:
        script = f"import asyncio\nfrom tests.test_key_health import *\nasyncio.run({call})"
        environment = {**os.environ, **self.environment}
        return subprocess.Popen(
            [sys.executable, "-c", script], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )

    def plant(self, name: str, document: str) -> None:
        if self.redis:
            self.redis.ask("SET", f"speech-flows:state:{name}", document)
        else:
            with contextlib.closing(sqlite3.connect(self.file)) as database, database:
                database.execute("INSERT OR REPLACE INTO states VALUES (?, ?)", (name, document.encode()))

    def document(self, name: str) -> object:
        if self.redis:
            return self.redis.ask("GET", f"speech-flows:state:{name}")
        with contextlib.closing(sqlite3.connect(self.file)) as database:
            row = database.execute("SELECT document FROM states WHERE name = ?", (name,)).fetchone()
            return row and row[0]

    def writes(self) -> Callable[[], int]:
        """A count that rises when another writes."""
        if self.redis:
            return partial(self.redis.calls, "set")
        database = sqlite3.connect(self.file)
        return lambda: database.execute("PRAGMA data_version").fetchone()[0]


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    redis = None
    if request.param == "redis":
        redis = request.getfixturevalue("redis_for_all")
        redis.ask("FLUSHALL")
    place = Place(request.param, tmp_path, redis)
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    return place


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    store = place.open()
    yield store
    await store.close()


async def test_a_change_is_kept_and_answers(store: Store) -> None:
    """What a change did to the state is read by the next one; the answer is the change's own; now is UTC."""
    before = time.time()
    now = await store.change("purse", Purse, partial(move, "me"))
    assert before - 1 < now < time.time() + 1
    await store.change("purse", Purse, partial(move, "you"))
    assert await store.read("purse", Purse) == Purse(99_998, 2, {"me": 1, "you": 1})


async def test_names_are_apart(store: Store) -> None:
    await store.change("pool:gemini", Purse, partial(move, "me"))
    assert await store.read("pool:cartesia", Purse) == Purse()


async def test_a_missing_document_is_a_new_one(store: Store, place: Place) -> None:
    """Reading, or changing nothing, makes no document."""
    assert await store.read("purse", Purse) == Purse()
    await store.change("purse", Purse, look)
    assert place.document("purse") is None


async def test_what_did_not_change_is_not_written(store: Store, place: Place) -> None:
    await store.change("purse", Purse, partial(move, "me"))
    writes = place.writes()
    before = writes()
    await store.change("purse", Purse, look)
    await store.read("purse", Purse)
    assert writes() == before
    await store.change("purse", Purse, partial(move, "me"))
    assert writes() > before


async def test_a_change_that_raises_writes_nothing(store: Store) -> None:
    """Its error arrives as it is, and the next change goes well."""

    def stumble(purse: Purse, now: float) -> None:
        move("me", purse, now)
        raise LookupError("no such key")

    with pytest.raises(LookupError, match="no such key"):
        await store.change("purse", Purse, stumble)
    assert await store.read("purse", Purse) == Purse()
    await store.change("purse", Purse, partial(move, "me"))


async def test_what_others_made_of_it_counts(place: Place, store: Store) -> None:
    """A store that has changed a state itself sees what another one wrote since, and nothing of what raised since."""

    def stumble(purse: Purse, now: float) -> None:
        move("nobody", purse, now)
        raise LookupError

    other = place.open()
    for one in (store, store, other, store, other, other):
        await one.change("purse", Purse, partial(move, "me"))
        with pytest.raises(LookupError):
            await one.change("purse", Purse, stumble)
    assert await store.read("purse", Purse) == Purse(99_994, 6, {"me": 6})
    await other.close()


async def test_endless_deadlines_come_back(store: Store) -> None:
    """Infinity is a number, too."""

    def forever(purse: Purse, _now: float) -> None:
        purse.until = math.inf

    await store.change("purse", Purse, forever)
    assert (await store.read("purse", Purse)).until == math.inf


async def test_one_process_changes_at_a_time(store: Store, place: Place) -> None:
    """Four processes and many callers here move tokens, one is killed: all that was told is kept, nothing is halved."""
    processes = {who: place.process(f"mover({who!r}, 150)") for who in "abc"}
    doomed = place.process("mover('doomed', 100_000)")
    told = [doomed.stdout.readline() for _ in range(40)] if doomed.stdout else []
    doomed.kill()
    told += doomed.communicate()[0].splitlines()
    await asyncio.gather(*(store.change("purse", Purse, partial(move, "here")) for _ in range(100)))
    for process in processes.values():
        assert (await asyncio.to_thread(process.communicate))[0].count("\n") == 150
        assert process.returncode == 0
    purse = await store.read("purse", Purse)
    dead = purse.moved.pop("doomed")
    assert len(told) <= dead <= len(told) + 1
    assert purse.moved == {"a": 150, "b": 150, "c": 150, "here": 100}
    assert purse.right == 550 + dead
    assert purse.left + purse.right == 100_000


async def test_a_process_killed_inside_a_change_leaves_no_lock(store: Store, place: Place) -> None:
    """`kill -9` in the middle: its change was never made, and the next one need not wait."""
    process = place.process("sleeper()")
    assert process.stdout
    assert process.stdout.readline() == "inside\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    start = time.monotonic()
    await store.change("purse", Purse, partial(move, "me"))
    assert time.monotonic() - start < PATIENCE_S / 2
    assert await store.read("purse", Purse) == Purse(99_999, 1, {"me": 1})


async def test_events_are_kept_newest_first(store: Store) -> None:
    """Of every provider or of one, no more than asked for; nothing of them is lost on the way."""
    first = Event(1.5, "gemini", "me#a1b2c3", "cooling", "its day's quota is used up", math.inf)
    second = Event(2.5, "cartesia", "pro", "limit", "“3” calls at one time\nare too many")
    third = Event(3.5, "gemini", "me#d4e5f6", "disabled", "revoked")
    await store.record([])
    await store.record([first, second])
    await store.record([third])
    assert await store.events() == [third, second, first]
    assert await store.events("gemini") == [third, first]
    assert await store.events(limit=1) == [third]
    assert await store.events("gemini", limit=1) == [third]
    assert await store.events(limit=0) == []


async def test_old_events_go(store: Store) -> None:
    """The last 5,000 are kept."""
    for start in range(0, 5200, 400):
        await store.record([Event(float(start + n), "gemini", "key", "cooling", "") for n in range(400)])
    kept = await store.events(limit=10_000)
    assert [event.at for event in kept] == [float(at) for at in range(5199, 199, -1)]


async def test_close_twice(store: Store) -> None:
    """And a store that was never used is closed as well."""
    await store.change("purse", Purse, partial(move, "me"))
    await store.close()
    await store.close()
    await open_store().close()


def test_event_loops_in_sequence(place: Place) -> None:
    """One store serves one event loop after the other."""
    store = open_store()
    for _ in range(3):
        asyncio.run(store.change("purse", Purse, partial(move, place.kind)))
    assert asyncio.run(store.read("purse", Purse)).right == 3
    asyncio.run(store.close())


async def test_a_newer_document_is_left_alone(store: Store, place: Place) -> None:
    """Whoever is older says so, and names the document's place."""
    await store.change("purse", Purse, partial(move, "me"))
    newer = '[2, {"tokens": "elsewhere"}]'
    place.plant("purse", newer)
    for use in (store.read("purse", Purse), store.change("purse", Purse, partial(move, "me"))):
        with pytest.raises(BadInput, match=r"(keys\.sqlite3|state:purse in the Redis at .*) was written by a newer"):
            await use
    assert place.document("purse") == newer.encode()


@pytest.mark.parametrize("document", ["", "[1, {", '[1, {"left": "many"}]', "{}", "\ufffd", "[1]"])
async def test_a_damaged_document_is_named(store: Store, place: Place, document: str) -> None:
    """With the remedy, and without what stands in it."""
    await store.change("purse", Purse, partial(move, "me"))
    place.plant("purse", document)
    with pytest.raises(BadInput, match=r"is damaged: delete it; only the health of keys is lost, no speech\.$"):
        await store.read("purse", Purse)


# SQLite


async def test_the_file_is_its_owners(tmp_path: Path) -> None:
    """It appears in a folder that is made for it, and nobody else may read it or the files beside it."""
    store = SqliteStore(tmp_path / "new" / "folder" / "keys.sqlite3")
    await store.change("purse", Purse, partial(move, "me"))
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "new" / "folder").iterdir()}
    assert modes == dict.fromkeys(["keys.sqlite3", "keys.sqlite3-wal", "keys.sqlite3-shm"], 0o600)
    await store.close()


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


async def test_a_lock_is_waited_for_aside(tmp_path: Path) -> None:
    """While another holds the file, the event loop goes on; when it lets go, the change is made."""
    store = SqliteStore(tmp_path / "keys.sqlite3")
    await store.change("purse", Purse, partial(move, "me"))
    with locked(tmp_path / "keys.sqlite3"):
        change = asyncio.create_task(store.change("purse", Purse, partial(move, "me")))
        start = time.monotonic()
        for _ in range(25):
            await asyncio.sleep(0.02)
        assert time.monotonic() - start < PATIENCE_S / 2
        assert not change.done()
    await change
    await store.close()


async def test_a_lock_for_ever_is_told(tmp_path: Path) -> None:
    """After one patience for all who wait, with the remedy; nothing is lost by it."""
    store = SqliteStore(tmp_path / "keys.sqlite3", patience_s=1.0)
    await store.change("purse", Purse, partial(move, "me"))
    with locked(tmp_path / "keys.sqlite3"):
        start = time.monotonic()
        changes = [store.change("purse", Purse, partial(move, "me")) for _ in range(10)]
        for failure in await asyncio.gather(*changes, return_exceptions=True):
            assert isinstance(failure, RunFailed)
            assert "keys.sqlite3 has been locked by another process" in str(failure)
            assert "run the same command again: finished speech is kept" in str(failure)
        assert time.monotonic() - start < 8, "each has had a patience of its own"
        assert (await store.read("purse", Purse)).right == 1, "reading needs no lock"
    await store.change("purse", Purse, partial(move, "me"))
    assert (await store.read("purse", Purse)).right == 2
    await store.close()


def no_database(file: Path) -> None:
    file.write_bytes(b"this is no database, though it is long enough to be one" * 100)


def half_a_database(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file.write_bytes(file.read_bytes()[:4096] + b"\xff" * 8192)


def other_tables(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("DROP TABLE states")


@pytest.mark.parametrize("damage", [no_database, half_a_database, other_tables])
async def test_a_corrupt_file_is_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """With the remedy, which helps; what was in the file stays until then."""
    file = tmp_path / "keys.sqlite3"
    store = SqliteStore(file)
    await store.change("purse", Purse, partial(move, "me"))
    await store.close()
    damage(file)
    data = file.read_bytes()
    store = SqliteStore(file)
    with pytest.raises(BadInput, match=r"keys\.sqlite3 is damaged: delete it; only the health of keys is lost"):
        await store.change("purse", Purse, partial(move, "me"))
    await store.close()
    assert file.read_bytes() == data
    file.unlink()
    store = SqliteStore(file)
    assert await store.read("purse", Purse) == Purse()
    await store.close()


async def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys.sqlite3"
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA user_version = 2")
        database.execute("CREATE TABLE health (all_new TEXT)")
    data = file.read_bytes()
    store = SqliteStore(file)
    for use in (store.read("purse", Purse), store.record([Event(1.0, "gemini", "key", "cooling", "")])):
        with pytest.raises(BadInput, match=r"keys\.sqlite3 was written by a newer version of speech-flows: update"):
            await use
    await store.close()
    assert file.read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == ["keys.sqlite3"]


def behind_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "keys.sqlite3"


def a_folder(folder: Path) -> Path:
    (folder / "keys.sqlite3").mkdir()
    return folder / "keys.sqlite3"


def not_ours(folder: Path) -> Path:
    if os.geteuid() == 0:
        return Path("/proc/keys.sqlite3")
    (folder / "closed").mkdir(mode=0o500)
    return folder / "closed" / "keys.sqlite3"


@pytest.mark.parametrize("spot", [behind_a_file, a_folder, not_ours])
async def test_an_unwritable_folder_is_named(tmp_path: Path, spot: Callable[[Path], Path]) -> None:
    store = SqliteStore(spot(tmp_path))
    with pytest.raises(BadInput, match=r"keys\.sqlite3 cannot keep the health of keys .*SPEECH_HOME"):
        await store.change("purse", Purse, partial(move, "me"))
    await store.close()


def test_the_file_needs_no_redis(tmp_path: Path) -> None:
    """Nor is it imported."""
    script = (
        "import asyncio, sys; from blocks.key_health import open_store; from tests.test_key_health import *;"
        "asyncio.run(open_store().change('purse', Purse, look)); assert 'redis' not in sys.modules"
    )
    environment = {**os.environ, "SPEECH_HOME": str(tmp_path), "SPEECH_REDIS": ""}
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, check=True)


# Redis


def told(error: BaseException) -> str:
    """All that a log would show of it."""
    return "".join(traceback.format_exception(error))


def without_password(error: BaseException) -> bool:
    return not any(word in told(error) for word in (PASSWORD, quote(PASSWORD, safe=""), "hunter"))


async def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(BadInput, match=r"uv sync --extra redis"):
        open_store("redis://127.0.0.1")


@pytest.mark.parametrize(
    "address",
    [
        "http://:hunter2@host",
        "redis://",
        "redis://:hunter2@host:port",
        "redis://:hunter/2@host:6379",
        "redis://:hunter2@host:99999",
        "redis://:hunter2@[host",
        "redis://:hunter2@host?decode_responses=yes",
        "rediss://:hunter2@host?ssl_nonsense=hunter",
    ],
)
def test_an_unusable_address(address: str) -> None:
    """Is refused at once, and never shown: it may hold a password."""
    with pytest.raises(BadInput, match="SPEECH_REDIS is no") as caught:
        open_store(address)
    assert "hunter" not in str(caught.value)


async def test_unreachable_at_the_start() -> None:
    """Is told at once, and names the remedy, never the password."""
    port = dead_port()
    store = open_store(f"redis://me:{quote(PASSWORD, safe='')}@127.0.0.1:{port}")
    start = time.monotonic()
    with pytest.raises(BadInput, match=rf"the Redis at 127\.0\.0\.1:{port} cannot be used .* SPEECH_REDIS") as caught:
        await store.change("purse", Purse, look)
    assert time.monotonic() - start < PATIENCE_S / 2
    assert without_password(caught.value)
    await store.close()


@pytest.mark.parametrize("user", ["", "me:hunter3@", ":hunter3@"])
async def test_a_wrong_password(redis_for_all: RedisServer, user: str) -> None:
    store = open_store(f"redis://{user}127.0.0.1:{redis_for_all.port}")
    with pytest.raises(BadInput, match="refuses the user or password of SPEECH_REDIS") as caught:
        await store.read("purse", Purse)
    assert without_password(caught.value)
    await store.close()


async def test_lost_in_the_middle(redis_server: RedisServer) -> None:
    """It is tried again for some seconds, then the run ends so that it can go on later; the password stays untold."""
    from blocks.key_health.redis_server import RedisStore

    store = RedisStore(redis_server.url, patience_s=1.5)
    await store.change("purse", Purse, partial(move, "me"))
    redis_server.kill()
    start = time.monotonic()
    uses = [store.change("purse", Purse, partial(move, "me")), store.read("purse", Purse), store.events()]
    for failure in await asyncio.gather(*uses, return_exceptions=True):
        assert isinstance(failure, RunFailed)
        assert "run the same command again: finished speech is kept" in str(failure)
        assert without_password(failure)
    assert 1.5 < time.monotonic() - start < 20
    redis_server.start()
    await store.change("purse", Purse, partial(move, "me"))
    await store.close()


async def test_back_in_time(redis_server: RedisServer) -> None:
    """A Redis that is started again within those seconds has cost nothing but time."""
    store = open_store(redis_server.url)
    await store.change("purse", Purse, partial(move, "me"))
    redis_server.kill()
    change = asyncio.create_task(store.change("purse", Purse, partial(move, "me")))
    await asyncio.sleep(0.5)
    redis_server.start()
    await change
    assert await store.read("purse", Purse) == Purse(99_998, 2, {"me": 2})
    await store.close()


async def test_a_lost_answer_is_no_second_change(redis_for_all: RedisServer) -> None:
    """The connection breaks after a transaction arrived, before its answer did: it is made once, and answers."""
    redis_for_all.ask("FLUSHALL")
    cut = 0

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal cut
        with contextlib.suppress(ConnectionError):
            to_redis, from_redis = await asyncio.open_connection("127.0.0.1", redis_for_all.port)
            while request := await reader.read(65536):
                from_redis.write(request)
                answer = await to_redis.read(65536)
                if b"EXEC" in request and cut < 20:
                    cut += 1
                    break
                writer.write(answer)
            from_redis.close()
            writer.close()

    async with await asyncio.start_server(forward, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        store = open_store(redis_for_all.url.replace(str(redis_for_all.port), str(port)))
        for n in range(15):
            assert await store.change("purse", Purse, partial(move, "me")) > 0
            await store.record([Event(float(n), "gemini", "key", "cooling", "")])
        assert cut == 20
        assert (await store.read("purse", Purse)).moved == {"me": 15}
        assert [event.at for event in await store.events()] == [float(n) for n in range(14, -1, -1)]
        await store.close()


async def test_the_clock_is_the_servers(redis_for_all: RedisServer) -> None:
    """Machines whose clocks differ count by one."""
    store = open_store(redis_for_all.url)
    before = redis_for_all.calls("time")
    await store.change("purse", Purse, look)
    assert redis_for_all.calls("time") == before + 1
    await store.close()
