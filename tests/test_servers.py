"""Several servers of one's own are one pool: a lane each, alike, and none of them is needed while another is up."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from blocks import keyring, servers
from blocks.callers import Callers, Lease
from blocks.key_health import opened_store
from blocks.key_pool.events import Event
from blocks.keys import without_keys
from blocks.patience import Patience
from blocks.speech import BadInput, BadVoice, Voice
from tasks.lanes import lines_of
from tests.emulator.fixture import Emulator, started
from tests.f5_references import QUERY, recording
from tests.ports import answering, dead_port

OWN = ("f5", "piper", "kokoro", "openai")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEECH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OPENAI_API_KEYS", "test-key-1")  # else a Prefect server is asked for it
    monkeypatch.setattr("blocks.listing._PAUSES_S", (0.01, 0.01))


@pytest.fixture
async def opened() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def second() -> Iterator[Emulator]:
    """Another server, beside the session's emulator."""
    with started("--fast") as emulator:
        yield emulator


async def pool(
    opened: AsyncExitStack, name: str, urls: list[str], plan: str = "", events: list[Event] | None = None
) -> Callers:
    store = await opened.enter_async_context(opened_store())
    told = [] if events is None else events
    return await opened.enter_async_context(keyring.opened(name, ",".join(urls), plan, store, told.append))


def urls(count: int) -> list[str]:
    return [f"http://10.0.0.{number}:5000" for number in range(1, count + 1)]


@pytest.mark.parametrize("name", OWN)
async def test_a_lane_for_each_server(name: str, opened: AsyncExitStack) -> None:
    """However many workers are wished for, no server gets a second call."""
    for count in (2, 3):
        slots = await (await pool(opened, name, urls(count))).slots()
        assert slots == {f"{name}:server": count}
        assert sum(line.wanted for line in lines_of(slots, 150, workers=9)) == count
        assert sum(line.wanted for line in lines_of(slots, 150, workers=1)) == 1


@pytest.mark.parametrize("name", OWN)
def test_one_server_without_a_key(name: str) -> None:
    """It is one's own: a call at a time."""
    (known,) = without_keys(name, urls(1))
    assert (known.member.plan.tag, known.member.plan.in_flight) == (f"{name}:server", 1)


async def test_a_gateway_with_a_key_has_its_plan(opened: AsyncExitStack) -> None:
    """One server that wants a key is somebody's service; several are one's own, unless a plan is named."""
    assert await (await pool(opened, "openai", urls(1))).slots() == {"openai:default": 4}
    assert await (await pool(opened, "openai", urls(3))).slots() == {"openai:server": 3}
    assert await (await pool(opened, "openai", urls(3), "default")).slots() == {"openai:default": 12}


async def test_two_services_behind_one_host(opened: AsyncExitStack) -> None:
    """Their paths tell them apart; the same address twice is a mistake."""
    there = await pool(opened, "f5", ["http://gpu/one/tts", "http://gpu/two/tts"])
    assert await there.slots() == {"f5:server": 2}
    with pytest.raises(BadInput, match="gpu/one/tts 2 times"):
        await pool(opened, "f5", ["http://gpu/one/tts", "http://gpu/one/tts/"])


@pytest.mark.parametrize("name", OWN)
async def test_a_server_that_is_down_at_the_start(name: str, opened: AsyncExitStack, emulator: Emulator) -> None:
    """The run begins with those that are up, and is told which one is not."""
    dead, events = f"http://127.0.0.1:{dead_port()}", list[Event]()
    there = await pool(opened, name, [dead, emulator.server(name)], events=events)
    voice, provider = await there.resolve(Voice(name, language="en-US" if name != "f5" else ""))
    assert (voice.provider, provider.name) == (name, name)
    assert [(event.kind, event.subject) for event in events] == [("unreachable", dead.removeprefix("http://"))]
    assert (await there.voices())[0]


async def test_a_server_that_hangs_at_the_start(
    opened: AsyncExitStack, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for no longer than a moment after the others."""
    monkeypatch.setattr(servers, "GRACE_S", 0.2)

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until nobody waits for the answer any more
        writer.close()

    silent = await asyncio.start_server(listen, "127.0.0.1", 0)
    opened.callback(silent.close)
    hung = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    there = await pool(opened, "f5", [hung, emulator.server("f5")])
    async with asyncio.timeout(15):
        assert (await there.resolve(Voice("f5", "anna")))[0].name == "anna"


async def test_all_servers_are_down(opened: AsyncExitStack) -> None:
    """One line names each of them."""
    ports = [str(dead_port()) for _ in range(3)]
    there = await pool(opened, "f5", [f"http://127.0.0.1:{port}" for port in ports])
    with pytest.raises(BadInput) as refused:
        await there.resolve(Voice("f5"))
    assert all(port in str(refused.value) for port in ports)
    assert "\n" not in str(refused.value)


async def test_servers_that_do_not_speak_alike(opened: AsyncExitStack, emulator: Emulator) -> None:
    """The one without the voice is named before any call; a voice that none has is refused as with one server."""
    body = json.dumps({"voices": ["default", "bob"]}).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close"
    other = await opened.enter_async_context(answering(head.encode() + b"\r\n\r\n" + body))
    there = await pool(opened, "f5", [emulator.server("f5"), other])
    with pytest.raises(BadVoice, match=rf"{other.removeprefix('http://')} does not speak like .*'anna'"):
        await there.resolve(Voice("f5", "anna"))
    with pytest.raises(BadVoice, match=r"^f5 has no voice 'nobody'"):
        await there.resolve(Voice("f5", "nobody"))
    assert (await there.resolve(Voice("f5")))[0].name == "default"
    assert not emulator.ledger()


async def test_every_server_speaks_in_the_voice_of_a_reference(
    opened: AsyncExitStack, emulator: Emulator, second: Emulator, tmp_path: Path
) -> None:
    """It is resolved once, and each server of the pool gets the recording."""
    there = await pool(opened, "f5", [f"{one.server('f5')}{QUERY}" for one in (emulator, second)])
    voice, _ = await there.resolve(Voice("f5", str(recording(tmp_path))))
    leases = [await there.lease(f"text {number}", voice, "f5:server") for number in range(2)]
    for lease in leases:
        assert isinstance(lease, Lease)
        assert (await lease.provider.synthesise("Good morning.", voice)).data
        await there.settle(lease, None)
    assert [len(one.ledger("f5")) for one in (emulator, second)] == [1, 1]


@pytest.mark.usefixtures("prefect_server")
async def test_one_of_three_dies(emulator: Emulator, second: Emulator, tmp_path: Path) -> None:
    """All is said by the others, and nothing that was heard is said twice."""
    from flows.narrate import narrate

    story = tmp_path / "story.txt"
    texts = [f"This is sentence number {number} for several servers." for number in range(24)]
    story.write_text("\n\n".join(texts))
    with ExitStack() as doomed:
        third = doomed.enter_context(started("--fast"))
        three = (emulator, second, third)
        for one in three:
            one.reset()
            one.settings(latency_s=0.3, fast=True)
        where = ",".join(one.server("f5") for one in three)
        run = asyncio.create_task(
            narrate(str(story), output=str(tmp_path), format="wav", provider="f5", voice="anna", server=where)
        )
        while not run.done() and sum(len(one.ledger()) for one in three) < len(texts) / 2:
            await asyncio.wait([run], timeout=0.1)
        gone = third.server("f5").removeprefix("http://")
        doomed.close()
        recording = await run
    assert recording.failures == ()
    table = recording.manifest
    assert sorted(table["text"]) == sorted(texts)
    by_it = set(table[table["key"] == gone]["text"])
    by_others = Counter(entry["text"] for entry in [*emulator.ledger(), *second.ledger()])
    assert by_it
    assert by_others.keys() == set(texts) - by_it
    assert by_others.total() == len(by_others)


def test_patience() -> None:
    """A server is given all its time until it has answered, and then many times what such a text took it."""
    patience = Patience(300.0)
    assert patience.deadline_s("long" * 50) == 300.0
    for _ in range(2):
        patience.answered("x" * 100, 2.0)
    assert patience.deadline_s("x" * 100) == 30.0
    assert patience.deadline_s("x" * 300) == 60.0
    patience.answered("x" * 10, 100.0)
    assert patience.deadline_s("x" * 300) == 300.0
