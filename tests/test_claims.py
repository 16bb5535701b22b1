"""Claims: two runs that want the same speech at once make one call, whatever becomes of either."""

import asyncio
import hashlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from blocks.storage import Storage, StorageFailed
from blocks.storage.folder import Folder
from blocks.storage.places import storage_at
from tasks import claims as rules
from tasks.claims import NO_CLAIMS, Claims, Taken, claims_on
from tasks.shelf_facts import CLAIMS

ROOT = Path(__file__).parent.parent
WORKER = textwrap.dedent("""
    import asyncio, os, random, sys
    from pathlib import Path
    from blocks.storage.folder import Folder
    from tasks.claims import claims_on

    shelf, place, keys, lanes = Folder(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split(","), int(sys.argv[4])

    async def speak(key, claims):
        while not (place / f"{key}.done").exists():
            if await claims.take(key, lambda: None):
                try:
                    if not (place / f"{key}.done").exists():
                        with (place / f"{key}.held").open("x"):
                            await asyncio.sleep(random.uniform(0, 0.004))
                        with (place / "calls").open("a") as calls:
                            calls.write(f"{key}\\n")
                        (place / f"{key}.done").touch()
                        (place / f"{key}.held").unlink()
                finally:
                    await claims.give(key)
            else:
                await asyncio.sleep(random.uniform(0.001, 0.02))

    async def main():
        waiting = list(keys)  # both in the same order: they meet all the time
        async with claims_on(shelf) as claims:
            async def lane():
                while waiting:
                    await speak(waiting.pop(), claims)
            await asyncio.gather(*[lane() for _ in range(lanes)])

    asyncio.run(main())
""")
HOLDER = textwrap.dedent("""
    import asyncio, sys
    from blocks.storage.folder import Folder
    from tasks.claims import claims_on

    async def main():
        async with claims_on(Folder(sys.argv[1])) as claims:
            assert await claims.take(sys.argv[2], lambda: None)
            print("held", flush=True)
            await asyncio.sleep(60)

    asyncio.run(main())
""")


def key_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


KEY = key_of(0)


def nothing() -> None:
    """Found of a chunk that nobody has said."""


def process(script: str, home: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "SPEECH_HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def marks(storage: Storage) -> list[str]:
    return [entry.name for entry in storage.entries(CLAIMS)]


@pytest.fixture(params=["folder", "moto", "rclone"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return Folder(tmp_path / "shelf")
    server = request.getfixturevalue(request.param)
    address = server.bucket_address("claims-" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20])
    return storage_at(f"{address}/shelf", server.access)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "shelf")


async def until_taken(claims: Claims, key: str, within_s: float = 30) -> None:
    end = time.monotonic() + within_s
    while True:
        asked = time.monotonic()
        if await claims.take(key, lambda: None):
            return
        took_s = time.monotonic() - asked
        assert asked < end, "the claim never came back"
        # Who comes back sooner than a busy store answers meets the others again and again.
        await asyncio.sleep(random.uniform(0.005, 0.05 + 4 * took_s))


async def test_one_at_a_time(storage: Storage) -> None:
    """What one run holds another does not get, nor the same run twice, until it is given back; then nothing is left."""
    async with claims_on(storage) as one, claims_on(storage) as other:
        assert await one.take(KEY, nothing)
        assert not await other.take(KEY, nothing)
        assert not await one.take(KEY, nothing)
        assert await other.take(key_of(1), nothing)
        await one.give(KEY)
        assert await other.take(KEY, nothing)
        assert not await one.take(KEY, nothing)
        await one.give(KEY)  # not its own
        assert not await one.take(KEY, nothing)
    assert marks(storage) == []


async def test_never_two(storage: Storage) -> None:
    """Many runs at once, on whichever store: nobody ever holds what another holds, and all get their turn."""
    holding: dict[str, int] = {}
    count = 3 if isinstance(storage, Folder) else 1

    async def run(number: int, claims: Claims, key: str) -> None:
        for _ in range(count):
            await until_taken(claims, key, 120)  # a PUT that arrives after its own delete leaves a mark for 45 s
            assert holding.setdefault(key, number) == number
            await asyncio.sleep(0.001)
            del holding[key]
            await claims.give(key)

    async with AsyncExitStack() as opened:
        runs = [await opened.enter_async_context(claims_on(storage)) for _ in range(3)]
        keys = [key_of(number) for number in range(4)]
        work = [run(number, claims, key) for number, claims in enumerate(runs) for key in keys]
        await asyncio.wait_for(asyncio.gather(*work), 200)
    assert not holding


def test_two_processes_make_one_call_each(tmp_path: Path) -> None:
    """Two processes with homes of their own and one shelf race through 200 keys: each is said once, never by both."""
    keys = [key_of(number) for number in range(200)]
    arguments = [str(tmp_path / "shelf"), str(tmp_path), ",".join(keys), "8"]
    running = [process(WORKER, tmp_path / name, *arguments) for name in ("one", "other")]
    assert [one.communicate(timeout=120) and one.returncode for one in running] == [0, 0]
    assert sorted((tmp_path / "calls").read_text().split()) == sorted(keys)
    assert marks(Folder(tmp_path / "shelf")) == []


async def test_a_killed_run_is_known_to_be_dead_at_once(tmp_path: Path, folder: Folder) -> None:
    """After kill -9 the next run on this machine takes over without waiting, also where it watched it live."""
    async with claims_on(folder) as watching:
        holder = process(HOLDER, tmp_path / "home", folder.address, KEY)
        assert holder.stdout
        with holder.stdout:
            assert await asyncio.to_thread(holder.stdout.readline) == "held\n"
            assert not await watching.take(KEY, nothing)
            holder.send_signal(signal.SIGKILL)
            holder.wait(10)
        async with claims_on(folder) as late:
            assert await late.take(KEY, nothing)
            await late.give(KEY)
        await until_taken(watching, KEY, rules.DEAD_S / 2)
    assert marks(folder) == []


def dead_mark(storage: Storage, key: str = KEY) -> str:
    """As a machine that was switched off leaves it."""
    name = f"{CLAIMS}{key}.{'0' * 32}"
    storage.create(name, b'{"id": "1", "beats": 3, "process": "elsewhere 1 2 another-machine"}')
    return name


async def test_a_mark_that_nobody_renews_ends(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark of a machine that is gone is taken away once it was seen unchanged for long enough, and not before."""
    monkeypatch.setattr(rules, "DEAD_S", 1.0)
    dead_mark(storage)
    began = time.monotonic()
    async with claims_on(storage) as claims:
        assert not await claims.take(KEY, nothing)
        await until_taken(claims, KEY)
        assert time.monotonic() - began > rules.DEAD_S
        assert len(marks(storage)) == 1


@pytest.mark.parametrize("at", [0.0, 4e9], ids=["1970", "2096"])
async def test_no_clock_is_trusted(folder: Folder, monkeypatch: pytest.MonkeyPatch, at: float) -> None:
    """A mark from the past or the future, as a clock that was set back leaves it, lives as long as any other."""
    monkeypatch.setattr(rules, "DEAD_S", 0.5)
    os.utime(folder.path(dead_mark(folder)), (at, at))
    began = time.monotonic()
    async with claims_on(folder) as claims:
        assert not await claims.take(KEY, nothing)
        await until_taken(claims, KEY)
        assert time.monotonic() - began > rules.DEAD_S


async def test_waiting_begins_when_a_run_opens(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stood there when the run began and has not moved since is over when its turn comes."""
    monkeypatch.setattr(rules, "DEAD_S", 0.3)
    dead_mark(folder)
    async with claims_on(folder) as claims:
        await asyncio.sleep(0.4)
        assert await claims.take(KEY, nothing)


async def test_a_long_call_keeps_its_claim(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that is held for longer than a dead one lasts is renewed: nobody takes it away."""
    monkeypatch.setattr(rules, "DEAD_S", 1.5)
    monkeypatch.setattr(rules, "BEAT_S", 0.2)
    monkeypatch.setattr(rules, "is_there", lambda _: None)  # as from another machine
    async with claims_on(storage) as one, claims_on(storage) as other:
        assert await one.take(KEY, nothing)
        end = time.monotonic() + 2 * rules.DEAD_S
        while time.monotonic() < end:
            assert not await other.take(KEY, nothing)
            await asyncio.sleep(0.05)
        await one.give(KEY)
        await asyncio.sleep(0.5)  # a beat or two
        assert marks(storage) == []
        assert await other.take(KEY, nothing)


async def test_a_cancelled_run_leaves_no_mark(folder: Folder) -> None:
    """Cancelled at any moment, in the middle of taking too, a run leaves the shelf as it was."""
    for number in range(60):
        async with claims_on(folder) as claims:
            taking = [asyncio.create_task(claims.take(key_of(key), nothing)) for key in range(5)]
            await asyncio.sleep(number * 0.0001)
            for task in taking:
                task.cancel()
            await asyncio.gather(*taking, return_exceptions=True)
            if taking[0].cancelled():
                await until_taken(claims, key_of(0))
        assert marks(folder) == []


async def test_a_store_that_is_away(folder: Folder, tmp_path: Path) -> None:
    """Without its store a claim is refused with an error, and to give one back hides no other error."""
    async with claims_on(folder) as claims:
        assert await claims.take(KEY, nothing)
        folder.root.rename(tmp_path / "aside")
        folder.root.write_text("no folder")
        with pytest.raises(StorageFailed):
            await claims.take(key_of(1), nothing)
        await claims.give(KEY)
    opening = claims_on(folder)
    with pytest.raises(StorageFailed):
        await opening.__aenter__()


async def test_marks_that_are_no_marks(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark that holds rubbish is one whose owner nobody knows: it ends as any other."""
    monkeypatch.setattr(rules, "DEAD_S", 0.3)
    for number, data in enumerate([b"", b"\xff", b"[]", b'{"process": []}', b'{"process": "a b"}']):
        folder.create(f"{CLAIMS}{key_of(number)}.{'1' * 32}", data)
        async with claims_on(folder) as claims:
            assert not await claims.take(key_of(number), nothing)
            await until_taken(claims, key_of(number))


async def test_a_look_under_the_claim(folder: Folder) -> None:
    """What one run made is found by the next that takes the chunk; nobody looks who has not taken it, or keeps it who
    could not look."""
    looks: list[str] = []
    async with claims_on(folder) as one, claims_on(folder) as other:
        taken = await one.take(KEY, lambda: looks.append("one"))
        assert taken == Taken(None)
        assert await other.take(KEY, lambda: looks.append("other")) is None
        assert looks == ["one"]
        await one.give(KEY)
        with pytest.raises(ZeroDivisionError):
            await other.take(KEY, lambda: 1 / 0)
        assert marks(folder) == []
        assert await one.take(KEY, lambda: "said") == Taken("said")


async def test_no_claims() -> None:
    """A run that shall not mind others is refused nothing."""
    assert await NO_CLAIMS.take(KEY, nothing)
    assert await NO_CLAIMS.take(KEY, nothing)
    await NO_CLAIMS.give(KEY)


async def test_claims_are_cheap(folder: Folder) -> None:
    """Some milliseconds at most for each chunk, on a folder: nothing beside a call."""
    async with claims_on(folder) as claims:
        started = time.perf_counter()
        for number in range(200):
            assert await claims.take(key_of(number), nothing)
            await claims.give(key_of(number))
        assert (time.perf_counter() - started) / 200 < 0.02
