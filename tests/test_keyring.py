"""Keys as a run uses them: leases that all processes share, and that nobody keeps by being killed."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from blocks import keyring
from blocks.callers import Lease, Rest
from blocks.key_health import opened_store
from blocks.keyring import Keyring
from blocks.speech import BadKey, RateLimited, RunFailed, Voice
from tests.emulator.fixture import Emulator

ROOT = Path(__file__).parents[1]
VOICE = Voice("f5", "anna", "en")
HOLDER = """
import asyncio, sys
from blocks import keyring
from blocks.key_health import opened_store
from blocks.speech import Voice

async def hold():
    async with opened_store() as store, keyring.opened("f5", sys.argv[1], "", store) as ring:
        await ring.lease("said", Voice("f5", "anna", "en"), "f5:server")
        print("held", flush=True)
        await asyncio.sleep(600)

asyncio.run(hold())
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEECH_HOME", str(tmp_path))
    monkeypatch.setenv("CARTESIA_API_KEYS", "one:test-key-1,two:test-key-2")


@pytest.fixture
async def opened() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def ring(opened: AsyncExitStack, name: str, server: str) -> Keyring:
    store = await opened.enter_async_context(opened_store())
    found = await opened.enter_async_context(keyring.opened(name, server, "", store))
    assert isinstance(found, Keyring)
    return found


def kill_a_holder(server: str) -> None:
    """A process that has leased the one call, and no time to give it back."""
    command = [sys.executable, "-c", HOLDER, server]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        holder.kill()


async def test_a_killed_process_keeps_no_lease(opened: AsyncExitStack, emulator: Emulator) -> None:
    """The one call that a server takes is leased to a process that is killed: it is free again after 20 seconds."""
    server = emulator.server("f5")
    kill_a_holder(server)
    began = time.monotonic()
    ours = await ring(opened, "f5", server)
    lease = await ours.lease("said", VOICE, "f5:server")
    assert isinstance(lease, Lease)
    assert 5 < time.monotonic() - began < 40
    await ours.settle(lease, None)


async def test_two_runs_keep_one_limit(opened: AsyncExitStack, emulator: Emulator) -> None:
    """What one run has leased the other does not get, and then at once."""
    one, other = [await ring(opened, "f5", emulator.server("f5")) for _ in range(2)]
    held = await one.lease("said", VOICE, "f5:server")
    assert isinstance(held, Lease)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await other.lease("said", VOICE, "f5:server")
    await one.settle(held, None)
    assert isinstance(await other.lease("said", VOICE, "f5:server"), Lease)


async def test_a_rest_is_told_and_a_wrong_key_left_out(opened: AsyncExitStack, emulator: Emulator) -> None:
    """One account has to wait, the key of the other is wrong: how long, and why; both wrong ends the run."""
    ours = await ring(opened, "cartesia", emulator.server("cartesia"))
    voice = Voice("cartesia", "katie", "en", "sonic-3")
    first = await ours.lease("one text", voice, "cartesia:free")
    assert isinstance(first, Lease)
    await ours.settle(first, RateLimited("slow down", wait_s=40))
    second = await ours.lease("another text", voice, "cartesia:free")
    assert isinstance(second, Lease)
    assert second.key.partition("#")[0] != first.key.partition("#")[0]
    await ours.settle(second, BadKey("revoked"))
    rest = await ours.lease("a third text", voice, "cartesia:free")
    assert isinstance(rest, Rest)
    assert 30 < rest.seconds <= 41
    assert {row.state for row in await ours.report()} == {"warning", "error"}
    for known in await ours.credentials():
        await ours.probed(known, BadKey("revoked"))
    with pytest.raises(RunFailed, match=r"revoked.*run the same command again"):
        await ours.lease("a fourth text", voice, "cartesia:free")
