"""Keys as blocks of a real Prefect server: stored, listed, asked about, rotated, switched and deleted; never shown."""

import asyncio
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks import keyring
from blocks.api_key import ApiKey, from_blocks, keep, stored_keys
from blocks.callers import Lease, Rest
from blocks.key_health import opened_store
from blocks.key_pool.events import Event
from blocks.keyring import Keyring
from blocks.keys import fingerprint
from blocks.speech import BadInput, RunFailed, SpeechError, Voice
from deployments.answers import DONE, FAILED, WRONG
from deployments.terminal import run
from flows.check_keys import check_keys
from flows.narrate import narrate
from tests.emulator.fixture import Emulator
from tests.ports import dead_port

pytestmark = pytest.mark.usefixtures("prefect_server")
WRONG_KEY = "revoked-long-ago"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pool's state of the test's own."""
    monkeypatch.setenv("SPEECH_HOME", str(tmp_path / "home"))
    for vendor in ("CARTESIA", "GEMINI", "ELEVENLABS", "OPENAI"):
        monkeypatch.delenv(f"{vendor}_API_KEYS", raising=False)
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def no_keys() -> Iterator[None]:
    """What a test stores is gone after it."""

    async def forget() -> None:
        for name in await stored_keys():
            await ApiKey.adelete(name)  # Prefect's client tries again where a server is busy

    yield
    asyncio.run(forget())


Speech = Callable[..., tuple[int, str, str]]


@pytest.fixture
def speech(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Speech:
    """The command in this process: exit code, stdout, stderr."""

    def command(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = run(arguments)
        told = capsys.readouterr()
        return code, told.out, told.err

    return command


def listed(speech: Speech, *arguments: str) -> list[dict[str, Any]]:
    code, out, _ = speech("keys", "list", *arguments, "--json")
    assert code == DONE
    keys: list[dict[str, Any]] = json.loads(out)["keys"]
    return keys


def test_many_keys_at_once(speech: Speech, emulator: Emulator) -> None:
    """Each is asked about for nothing, and told of by its fingerprint; those that work are stored, and no other."""
    lines = f"test-key-1\nThe Firm:test-key-2, family:family-key-1\n{WRONG_KEY}\n"
    code, out, err = speech(
        "keys", "add", "cartesia", "--plan", "pro", "--server", emulator.server("cartesia"), stdin=lines
    )
    marks = [fingerprint("cartesia", key) for key in ("test-key-1", "test-key-2", "family-key-1", WRONG_KEY)]
    assert code == FAILED
    assert f"The Firm#{marks[1]}: works; stored as cartesia-the-firm-{marks[1]}" in out
    assert f"cartesia#{marks[3]}: refused: cartesia answered 401" in err
    assert emulator.ledger() == []
    stored = {(key["kept_in"], key["account"], key["plan"], key["state"]) for key in listed(speech, "cartesia")}
    assert stored == {
        (f"cartesia-{marks[0]}", f"#{marks[0]}", "cartesia:pro", "healthy"),
        (f"cartesia-the-firm-{marks[1]}", "The Firm", "cartesia:pro", "healthy"),
        (f"cartesia-family-{marks[2]}", "family", "cartesia:pro", "healthy"),
    }
    assert not any(key in out + err for key in ("test-key", "family-key", WRONG_KEY))


@pytest.mark.parametrize("provider", ["gemini", "elevenlabs", "openai", "cartesia"])
def test_every_provider_proves_its_keys(speech: Speech, emulator: Emulator, tmp_path: Path, provider: str) -> None:
    """A file with a right and a wrong key: the one is stored, the other refused; nobody is paid."""
    (tmp_path / "keys.txt").write_text(f"test-key-3\r\n{WRONG_KEY}\r\n", encoding="utf-8-sig")
    code, out, _ = speech(
        "keys", "add", provider, str(tmp_path / "keys.txt"), "--server", emulator.server(provider), "--json"
    )
    assert code == FAILED
    assert [(key["works"], bool(key["block"])) for key in json.loads(out)["keys"]] == [(True, True), (False, False)]
    assert emulator.ledger() == []


def test_a_key_that_is_stored_already(speech: Speech, emulator: Emulator) -> None:
    """It takes the new plan and account, keeps its block and what was agreed, and is not doubled."""
    asyncio.run(
        keep(ApiKey.model_validate({"provider": "cartesia", "key": "test-key-1", "in_flight": 7, "plan": "free"}))
    )
    [(block, _)] = asyncio.run(stored_keys()).items()
    server = emulator.server("cartesia")
    assert speech("keys", "add", "cartesia", "--plan", "scale", "--server", server, stdin="work:test-key-1")[0] == DONE
    assert speech("keys", "add", "cartesia", "--server", server, stdin="test-key-1")[0] == DONE
    [(name, key)] = asyncio.run(stored_keys()).items()
    assert (name, key.plan, key.account, key.in_flight) == (block, "scale", "work", 7)


def test_a_rotated_block_is_not_overwritten() -> None:
    """Its name bears the old key's fingerprint; when the old key is added again, it gets a block of its own."""
    name = asyncio.run(keep(made("test-key-1")))
    made("test-key-2").save(name, overwrite=True)  # type: ignore[unused-coroutine]
    assert asyncio.run(keep(made("test-key-1"))) == f"{name}-2"
    assert {key.key.get_secret_value() for key in asyncio.run(stored_keys()).values()} == {"test-key-1", "test-key-2"}


BAD: dict[str, tuple[list[str], str, str]] = {
    "nothing on stdin": (["cartesia"], "", "stdin holds no key"),
    "only blanks": (["cartesia", "-"], " \n,", "stdin holds no key"),
    "an unknown plan": (["cartesia", "--plan", "gold"], "key", "no plan 'gold'"),
    "the same key twice": (["cartesia"], "s3cret\ns3cret", "twice, at place 2"),
    "one key for two accounts": (["cartesia"], "a:s3cret\nb:s3cret", "two accounts, at place 2"),
    "another provider's": (["gemini"], "sk_car_s3cret", "looks like one of cartesia, not of gemini"),
    "a key as the account": (["gemini"], "AIzas3cret:work", "an account should be"),
    "a key as an argument": (["gemini", "AIzas3cret"], "", "does not belong on the command line"),
    "a key as an option": (["gemini", "--key", "AIzas3cret"], "", "does not belong on the command line"),
    "keys as arguments": (["gemini", "AIzas3cret", "AIzas3cret2"], "", "does not belong on the command line"),
    "a long one": (["gemini", "s3cret" * 100], "", "cannot be read"),
    "a key as the provider": (["AIzas3cret"], "", "which PROVIDER?"),
    "who needs none": (["espeak"], "key", "which PROVIDER?"),
    "an unknown option": (["gemini", "--plann=s3cret"], "", "no option --plann"),
    "a folder": (["gemini", "."], "", "cannot be read"),
    "a server that is none": (["gemini", "--server", "nowhere"], "key", "no http"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str, speech: Speech) -> None:
    """One line, exit code 2, nothing stored, and nothing repeated that may be a key."""
    arguments, stdin, told = BAD[case]
    code, out, err = speech("keys", "add", *arguments, stdin=stdin)
    assert (code, out) == (WRONG, "")
    assert told in err
    assert len(err.splitlines()) == 1
    assert "s3cret" not in err
    assert asyncio.run(stored_keys()) == {}


def test_a_network_that_is_away(speech: Speech) -> None:
    """A key that nobody could ask about is not stored, unless a person wants just that."""
    server = f"http://127.0.0.1:{dead_port()}"
    code, out, err = speech("keys", "add", "cartesia", "--server", server, stdin="test-key-1")
    assert (code, out) == (FAILED, "")
    assert "not checked: cartesia cannot be reached" in err
    assert "--unchecked" in err
    code, out, _ = speech("keys", "add", "cartesia", "--server", server, "--unchecked", stdin="test-key-1")
    assert code == DONE
    assert "stored as cartesia-" in out


def test_the_environment_is_listed_too(speech: Speech, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys are marked by their variable; a stored one that they keep from use says so."""
    asyncio.run(keep(made("test-key-1")))
    monkeypatch.setenv("CARTESIA_API_KEYS", "home:test-key-2")
    first, second = listed(speech)
    assert (first["kept_in"], first["account"], first["reason"]) == ("CARTESIA_API_KEYS", "home", "")
    assert second["reason"] == "not used: CARTESIA_API_KEYS is set, and comes first"
    _, out, _ = speech("keys", "list")
    assert "CARTESIA_API_KEYS" in out
    assert len(out.splitlines()) == 3
    code, _, err = speech("keys", "disable", first["key"])
    assert code == WRONG
    assert "stands in CARTESIA_API_KEYS" in err


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"in_flight": 0}, "lets no call through"), ({"plan": "gold"}, "no plan 'gold'"), ({"key": ""}, "0 keys stand")],
)
def test_a_block_that_cannot_be_used(speech: Speech, wrong: dict[str, object], told: str) -> None:
    """It is listed as an error with its reason; a run goes on with the others, and is refused where there are none."""
    block = ApiKey.model_validate({"provider": "cartesia", "key": "test-key-1", **wrong})
    block.save("odd")  # type: ignore[unused-coroutine]
    with pytest.raises(BadInput, match=f"the block odd cannot be used: .*{told}"):
        asyncio.run(from_blocks("cartesia"))
    asyncio.run(keep(made("test-key-2")))
    assert [known.key for known in asyncio.run(from_blocks("cartesia"))] == ["test-key-2"]
    [row] = [key for key in listed(speech) if key["kept_in"] == "odd"]
    assert (row["key"], row["state"]) == ("odd", "error")
    assert told in row["reason"]


def test_checking(speech: Speech, emulator: Emulator) -> None:
    """A key that is refused is an error until its provider, or a person, takes it again; the command says which."""
    server, mark = emulator.server("cartesia"), fingerprint("cartesia", WRONG_KEY)
    speech("keys", "add", "cartesia", "--unchecked", stdin=f"test-key-1\n{WRONG_KEY}\nhome:test-key-2")
    emulator.script("cartesia", {"fault": "unauthorized", "on": "list", "key": "account-2#1"})
    code, out, err = speech("keys", "check", "cartesia", "--server", server)
    assert code == FAILED
    assert f"cartesia#{mark} in cartesia-{mark}: refused" in err
    assert "home#" in err
    assert len(out.splitlines()) == 4
    emulator.script("cartesia")
    code, _, _ = speech("keys", "enable", f"home#{fingerprint('cartesia', 'test-key-2')}", "--server", server)
    assert code == DONE
    states = {key["account"]: key["state"] for key in listed(speech, "cartesia", "--server", server)}
    assert states["home"] == "healthy"
    assert states[f"#{mark}"] == "error"
    assert speech("keys", "remove", f"cartesia-{mark}")[0] == DONE
    assert speech("keys", "check", "cartesia", "--server", server)[0] == DONE


def test_a_key_that_is_switched_off(speech: Speech, emulator: Emulator) -> None:
    """Nobody is asked about it, it says why it is not used, and it comes back."""
    asyncio.run(keep(made(WRONG_KEY)))
    [name] = asyncio.run(stored_keys())
    assert speech("keys", "disable", name)[0] == DONE
    [row] = listed(speech)
    assert (row["state"], row["reason"]) == ("error", "switched off")
    assert speech("keys", "check", "cartesia", "--server", emulator.server("cartesia"))[0] == DONE
    assert speech("keys", "enable", name)[0] == DONE
    assert listed(speech)[0]["state"] == "healthy"
    code, _, err = speech("keys", "remove", WRONG_KEY)
    assert code == WRONG
    assert WRONG_KEY not in err


async def test_the_flow_tells_prefect(prefect_server: str, emulator: Emulator) -> None:
    """Its result is small JSON, its table an artifact of the provider, and a key that was disabled an event."""
    await keep(made("test-key-1"))
    await keep(made(WRONG_KEY, account="old"))
    result = await check_keys("cartesia", emulator.server("cartesia"))
    assert result["verdicts"] == {"works": 1, "refused": 1}
    assert json.loads(json.dumps(result)) == result
    [artifact] = found(prefect_server, "artifacts/latest", {"artifacts": {"key": {"any_": ["keys-cartesia"]}}})
    assert [(row["account"], row["state"]) for row in json.loads(artifact["data"])][1] == ("old", "error")
    subject = f"speech.cartesia.old#{fingerprint('cartesia', WRONG_KEY)}"
    wanted = {"filter": {"event": {"name": ["speech.key.disabled"]}, "resource": {"id": [subject]}}}
    deadline = time.monotonic() + 30
    while not (events := found(prefect_server, "events", wanted)["events"]):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.5)
    assert "401" in events[0]["payload"]["reason"]


async def test_the_flow_without_keys() -> None:
    """No key is no error."""
    assert await check_keys() == {"keys": [], "verdicts": {}}


async def test_a_rotated_key_is_used_at_once(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a run the next lease takes the block's new key; a deleted or a disabled one takes no more."""
    monkeypatch.setattr(keyring, "REREAD_EVERY_S", 0.0)
    name = await keep(made("test-key-1"))
    async with run_of("cartesia", emulator) as (callers, _):
        await call(callers)
        await made("test-key-2").asave(name, overwrite=True)
        await call(callers)
        await keep(made("test-key-3"))
        await ApiKey.adelete(name)
        await call(callers)
        assert [entry["key"] for entry in emulator.ledger()] == ["account-1#1", "account-2#1", "account-3#1"]
        [left], [tag] = await stored_keys(), await callers.slots()
        await made("test-key-3", enabled=False).asave(left, overwrite=True)
        with pytest.raises(RunFailed, match="switched off"):
            await callers.lease("More.", Voice("cartesia"), tag)
        await ApiKey.adelete(left)
        with pytest.raises(BadInput, match="needs a key"):
            await callers.lease("More.", Voice("cartesia"), tag)


async def test_the_last_block_is_deleted_in_the_middle_of_a_run(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends and says what is missing; with another key the same command goes on from what was spoken."""
    monkeypatch.setattr(keyring, "REREAD_EVERY_S", 0.5)
    emulator.settings(latency_s=1.0, fast=True)
    story = tmp_path / "story.txt"
    story.write_text("\n\n".join(f"Paragraph {number} of the story." for number in range(16)))
    options = {"output": str(tmp_path / "out"), "provider": "cartesia", "server": emulator.server("cartesia")}
    name = await keep(made("test-key-1"))
    running = asyncio.create_task(narrate(str(story), **options))
    while len(emulator.ledger()) < 4:
        assert not running.done()
        await asyncio.sleep(0.1)
    await ApiKey.adelete(name)
    with pytest.raises(SpeechError, match="needs a key"):
        await running
    spoken = len(emulator.ledger())
    assert spoken < 16
    await keep(made("test-key-2"))
    recording = await narrate(str(story), **options)
    assert recording.reused >= spoken - 2
    assert len(emulator.ledger()) <= 16 + 2


async def test_a_server_that_is_away_for_a_moment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run goes on with the keys that it knows."""
    monkeypatch.setattr(keyring, "REREAD_EVERY_S", 0.0)
    await keep(made("test-key-1"))
    async with run_of("cartesia", emulator) as (callers, _):
        await call(callers)
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{dead_port()}/api"}):
            with pytest.raises(RunFailed, match="does not tell"):
                await stored_keys()
            await call(callers)
    assert len(emulator.ledger()) == 2


async def test_a_plan_that_is_saturated(emulator: Emulator) -> None:
    """When no account of a plan takes another call for more than a minute, that is told, once, and until when."""
    await keep(made("test-key-1", provider="gemini", per_day=1))
    async with run_of("gemini", emulator) as (callers, events):
        voice = await call(callers)
        [tag] = await callers.slots()
        for _ in range(3):
            assert isinstance(await callers.lease("More.", voice, tag), Rest)
        [told] = [event for event in events if event.kind == "saturated"]
    assert (told.subject, told.provider) == (tag, "gemini")
    assert told.until > time.time() + 60
    async with opened_store() as store:
        assert told in await store.events("gemini")


def test_no_secret_anywhere(prefect_server: str, emulator: Emulator, home: Path, tmp_path: Path) -> None:
    """After a run, a check and a list, no key stands in an answer, log, result, artifact, event or database."""
    secrets = ("family-key-2", WRONG_KEY)
    for key in secrets:
        asyncio.run(keep(made(key, account="work")))
    (tmp_path / "story.txt").write_text("The keeper climbed the stairs.")
    environment = {**os.environ, "PREFECT_API_URL": prefect_server, "PREFECT_LOGGING_LEVEL": "DEBUG"}
    of_emulator = ["--server", emulator.server("cartesia")]
    told = ""
    for arguments in (
        ["narrate", "story.txt", "--provider", "cartesia", *of_emulator],
        ["keys", "check", "cartesia", *of_emulator],
        ["keys", "list", "--json", "cartesia", *of_emulator],
    ):
        command = [sys.executable, "-m", "deployments.terminal", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == (FAILED if "check" in arguments else DONE), done.stderr
        told += done.stdout + done.stderr
    assert "work#" in told
    assert {entry["key"] for entry in emulator.ledger() if entry["status"] == 200} == {"family#2"}
    assert any("keys.sqlite3" in path.name for path in home.rglob("*"))
    time.sleep(3)  # what Prefect has yet to write
    for place in (tmp_path, Path(os.environ["PREFECT_HOME"]), Path(os.environ["PREFECT_RESULTS_LOCAL_STORAGE_PATH"])):
        for path in filter(Path.is_file, place.rglob("*")):
            kept = path.read_bytes()
            assert not [path for key in secrets if key.encode() in kept]
    assert not [key for key in secrets if key in told]


def made(key: str, provider: str = "cartesia", **more: object) -> ApiKey:
    return ApiKey.model_validate({"provider": provider, "key": key, **more})


@asynccontextmanager
async def run_of(provider: str, emulator: Emulator) -> AsyncIterator[tuple[Keyring, list[Event]]]:
    """Whoever makes a run's calls, on the blocks of now, and the events that it tells."""
    events: list[Event] = []
    async with (
        opened_store() as store,
        keyring.opened(provider, emulator.server(provider), "", store, events.append) as callers,
    ):
        assert isinstance(callers, Keyring)
        yield callers, events


async def call(callers: Keyring) -> Voice:
    """One paid call, as a run makes it."""
    voice, _ = await callers.resolve(Voice(callers.name, language="en"))
    [tag] = await callers.slots()
    lease = await callers.lease("Good morning.", voice, tag)
    assert isinstance(lease, Lease)
    await lease.provider.synthesise("Good morning.", voice)
    await callers.settle(lease, None)
    return voice


def found(prefect_server: str, of: str, filters: dict[str, Any]) -> Any:
    answer = httpx.post(f"{prefect_server}/{of}/filter", json=filters)
    answer.raise_for_status()
    return answer.json()
