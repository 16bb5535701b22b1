"""The life of a run: listed, found, taken up again, in a terminal and by the API."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.runtime import flow_run
from prefect.states import Cancelled, Cancelling, Completed, Crashed, Failed, Pending, Running, Scheduled, State

from blocks.speech import BadInput, SpeechError
from deployments.answers import DONE, WRONG
from deployments.resumption import taken_over
from deployments.terminal import run
from flows.check_keys import check_keys
from flows.narrate import narrate
from tasks import artifacts, reclaim, runs
from tasks.owner import is_there, myself
from tasks.progress import Progress
from tasks.reclaim import take_over
from tasks.removal import remove
from tasks.runs import RunRow, find_run, list_runs
from tests.emulator.fixture import Emulator
from tests.processes import gone

pytestmark = pytest.mark.usefixtures("prefect_server")


async def made(state: State, source: str = "a.txt", facts: dict[str, object] | None = None) -> UUID:
    """A run of narrate in this state, with the row of facts that it has told."""
    async with get_client() as client:
        run = await client.create_flow_run(narrate, parameters={"source": source}, state=state)
        if facts is not None:
            await told(run.id, facts)
        return run.id


async def told(run: UUID, facts: dict[str, object]) -> None:
    from prefect.client.schemas.actions import ArtifactCreate

    async with get_client() as client:
        row = ArtifactCreate(key=artifacts.RUN, type="table", data=json.dumps([facts]), flow_run_id=run)
        await client.create_artifact(row)


async def until_stalled(run: UUID) -> RunRow:
    """The server tells its time in whole seconds, and late."""
    async with asyncio.timeout(30):
        while True:
            row = await find_run(str(run))
            if row.state == "stalled":
                return row
            await asyncio.sleep(0.2)


def test_a_process_is_told_from_others() -> None:
    """This process is there; one that was killed is not, waited for or not; of other machines nobody knows."""
    assert is_there(myself())
    mine = myself().split()
    with subprocess.Popen(
        [sys.executable, "-c", "from tasks.owner import myself; print(myself()); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    ) as other:
        assert other.stdout
        owner = other.stdout.readline()
        assert is_there(owner)
        other.kill()
        assert gone([other.pid], 10)
        assert is_there(owner) is False
    assert is_there(owner) is False
    assert is_there(" ".join([mine[0], mine[1], "1", mine[3]])) is False  # the number was given to another process
    assert is_there(" ".join([*mine[:3], "another-machine"])) is None
    assert is_there("") is None


async def test_a_heart_beats_where_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose counters stand still goes on to be heard of, and its facts can be read by programs."""
    monkeypatch.setattr(artifacts, "EVERY_S", 0.1)
    monkeypatch.setattr(artifacts, "HEARTBEAT_S", 0.3)
    monkeypatch.setattr(artifacts, "FACTS_EVERY_S", 0.3)
    beats: list[dict[str, set[object]]] = []

    @flow(name="narrate")
    async def speaks(source: str) -> None:
        assert source
        heard: dict[str, set[object]] = {}
        still = Progress(total=4, spoken=1)
        mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(str(flow_run.id))]))
        async with artifacts.published(still, lambda: {"where": "/x.mp3", "cost_usd": 0.25}), get_client() as client:
            async with asyncio.timeout(30):
                while any(len(heard.get(key, ())) <= 3 for key in ("progress", "run")):
                    for artifact in await client.read_artifacts(artifact_filter=mine):
                        heard.setdefault(str(artifact.key), set()).add(artifact.updated)
                    await asyncio.sleep(0.1)
        beats.append(heard)

    await speaks("still.txt")
    assert len(beats[0]["progress"]) > 3
    assert len(beats[0]["run"]) > 3
    row = next(row for row in await list_runs() if row.source == "still.txt")
    assert (row.percent, row.chunks, row.where, row.cost_usd, row.state) == (25.0, 4, "/x.mp3", 0.25, "done")


GONE: dict[str, object] = {"owner": " ".join([*myself().split()[:2], "1", myself().split()[3]])}
"""The facts of a run whose process has ended on this machine."""


@pytest.mark.parametrize(
    ("word", "state", "facts"),
    [
        ("running", Running(), None),
        ("waiting", Scheduled(), None),
        ("done", Completed(), {"percent": 100}),
        ("failed", Failed(), {"failed": 2}),
        ("interrupted", Cancelled(), None),
        ("crashed", Crashed(message="Process exited with status code: -9."), None),
        ("crashed", Running(), GONE),
        ("interrupted", Cancelling(), GONE),
    ],
)
async def test_states_are_told_in_a_users_words(word: str, state: State, facts: dict[str, object] | None) -> None:
    """What Prefect calls a run's state, and whether its process is there, is one word."""
    run = await made(state.model_copy(deep=True), facts=facts)
    row = await find_run(str(run))
    assert row.state == word
    assert row.alive == (word == "running")


async def test_what_is_not_heard_of_has_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of another machine that says Running has stalled after two silent minutes, and not before."""
    run = await made(Running(), facts={"owner": "elsewhere 1 2 3"})
    assert (await find_run(str(run))).state == "running"
    monkeypatch.setattr(runs, "STALLED_S", 0.5)
    assert not (await until_stalled(run)).alive


@pytest.mark.parametrize(
    "message",
    [
        "Execution was aborted by an interrupt signal.",
        "Execution was aborted by a termination signal.",
        "Execution was cancelled by the runtime environment.",
    ],
)
async def test_who_pressed_ctrl_c_did_not_crash(message: str) -> None:
    """Prefect calls a run that somebody stopped crashed: it was interrupted."""
    assert (await find_run(str(await made(Crashed(message=message))))).state == "interrupted"


async def test_many_runs_in_a_handful_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list costs requests by the page, not by the run; each run has its facts, the newest where it has several."""
    ids = [await made(Failed(), f"{n}.txt", {"failed": 1}) for n in range(60)]  # at once, SQLite would be too busy
    await told(ids[7], {"failed": 7})
    asked: list[str] = []

    async def count(request: httpx.Request) -> None:
        asked.append(request.url.path)

    def counted() -> object:
        client = get_client()
        client._client.event_hooks["request"].append(count)
        return client

    monkeypatch.setattr(runs, "get_client", counted)
    for page, requests in ((200, 6), (20, 14)):
        monkeypatch.setattr(runs, "PAGE", page)
        asked.clear()
        rows = {row.id: row.failed for row in await list_runs(newest=70)}
        assert [rows[str(run)] for run in ids] == [7 if n == 7 else 1 for n in range(60)]
        assert 0 < len(asked) <= requests, asked


async def test_a_run_is_found_by_the_beginning_of_its_id_or_by_its_name() -> None:
    """What is meant by an id is one run; else the candidates are told."""
    run = str(await made(Completed()))
    assert (await find_run(run)).id == run
    assert (await find_run(run[:13].upper())).id == run
    name = (await find_run(run)).name
    assert (await find_run(name)).id == run
    with pytest.raises(BadInput, match=r"no run is called 'zzzz'.*the latest: [0-9a-f]{8}"):
        await find_run("zzzz")
    ids = [row.id for row in await list_runs(newest=None)]
    shared = next(one[:1] for one in ids if sum(other.startswith(one[:1]) for other in ids) > 1)
    with pytest.raises(BadInput, match=r"may be any of \d+ runs: [0-9a-f]{8} \("):
        await find_run(shared)


@pytest.mark.parametrize("state", [Crashed(), Failed(), Cancelled()], ids=lambda state: state.name)
async def test_two_that_resume_at_once(state: State) -> None:
    """Of two machines that take up one run at the same moment one has it, and the other is refused."""
    for _ in range(3):
        row = await find_run(str(await made(state.model_copy(deep=True))))
        both = await asyncio.gather(*[take_over(row, failed_only=False) for _ in range(2)], return_exceptions=True)
        refused = [one for one in both if isinstance(one, BaseException)]
        assert len(refused) == 1, both
        assert isinstance(refused[0], BadInput)


@pytest.mark.parametrize("state", [Running(), Pending(), Cancelling()], ids=lambda state: state.name)
async def test_a_live_run_is_not_taken_over(state: State) -> None:
    """Who is heard of is left alone, and who asks is told when that was."""
    row = await find_run(str(await made(state.model_copy(deep=True), facts={"owner": myself()})))
    with pytest.raises(BadInput, match=r"still running: heard of \d s ago"):
        await take_over(row, failed_only=False)


@contextlib.contextmanager
def suspended() -> Iterator[tuple[int, dict[str, object]]]:
    """A process that is stopped, as a machine that sleeps stops it: its number, and the facts of a run of its own."""
    code = "from tasks.owner import myself; print(myself(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    ) as process:
        try:
            assert process.stdout
            owner = process.stdout.readline().strip()
            process.send_signal(signal.SIGSTOP)
            yield process.pid, {"owner": owner, "failed": 1}
        finally:
            process.kill()


@pytest.mark.parametrize("state", [Running(), Cancelling()], ids=lambda state: state.name)
async def test_a_suspended_run_is_not_taken_over(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent run whose process stands on this machine is neither resumed nor deleted before that has ended."""
    monkeypatch.setattr(runs, "STALLED_S", 0.5)
    with suspended() as (pid, facts):
        run = str(await made(state.model_copy(deep=True), facts=facts))
        row = await until_stalled(UUID(run))
        assert (row.state, row.alive, row.over, row.pid) == ("stalled", False, False, pid)
        for refused in (take_over(row, failed_only=False), take_over(row, failed_only=True), remove(row)):
            with pytest.raises(BadInput, match=f"its process {pid} still runs here: end it first"):
                await refused
        assert (await find_run(run)).prefect_state == row.prefect_state
    row = await find_run(run)
    assert (row.state, row.pid) == ("interrupted" if state.is_cancelling() else "crashed", None)
    taken = await take_over(row, failed_only=False)
    assert taken.state
    assert taken.state.is_pending()


async def test_a_second_look_at_a_run_of_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent run that is heard of again meanwhile is left alone; one that is not is taken over, or deleted."""
    monkeypatch.setattr(runs, "STALLED_S", 2.0)
    monkeypatch.setattr(reclaim, "SECOND_LOOK_S", 2.0)
    elsewhere: dict[str, object] = {"owner": "elsewhere 1 2 3"}
    slept, dead, old = [await made(Running(), facts=dict(elsewhere)) for _ in range(3)]
    rows = {run: await until_stalled(run) for run in (slept, dead, old)}

    async def wake() -> None:
        while True:
            await asyncio.sleep(0.2)
            await told(slept, elsewhere)

    waking = asyncio.create_task(wake())
    try:
        for refused in (take_over(rows[slept], failed_only=False), remove(rows[slept])):
            with pytest.raises(BadInput, match="still running: heard of"):
                await refused
    finally:
        waking.cancel()
        await asyncio.wait([waking])
    assert (await find_run(str(slept))).prefect_state == "RUNNING"
    began = time.monotonic()
    taken = await take_over(rows[dead], failed_only=False)
    assert taken.state
    assert taken.state.is_pending()
    await remove(rows[old])
    assert time.monotonic() - began >= 4
    with pytest.raises(BadInput, match="no run is called"):
        await find_run(str(old))


async def test_who_waits_for_a_second_look_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands tell that they watch a silent run, and for how long, before they touch it."""
    monkeypatch.setattr(runs, "STALLED_S", 0.5)
    monkeypatch.setattr(reclaim, "SECOND_LOOK_S", 2.0)
    stalled = await made(Running(), facts={"owner": "elsewhere 1 2 3"})
    await until_stalled(stalled)
    assert await asyncio.to_thread(run, ["runs", "delete", str(stalled)]) == 0
    assert "its process may run elsewhere: it is watched for 2 s" in capsys.readouterr().err


async def test_results_without_a_place_leave_the_run_as_it_was() -> None:
    """A run whose results cannot be kept is not taken over: whoever mends that can resume it."""
    async with get_client() as client:
        parameters = {"source": "a.txt", "shelf": "ftp://host/shelf"}
        crashed = await client.create_flow_run(narrate, parameters=parameters, state=Crashed())
        with pytest.raises(SpeechError, match="ftp://"):
            await taken_over(await find_run(str(crashed.id)), failed_only=False)
        state = (await client.read_flow_run(crashed.id)).state
    assert state
    assert state.is_crashed()


async def test_what_there_is_to_resume() -> None:
    """A run that is done has nothing left, but for units that failed; a run of another flow is not resumed."""
    done = await find_run(str(await made(Completed(), facts={"percent": 100})))
    with pytest.raises(BadInput, match="nothing is left to resume"):
        await take_over(done, failed_only=False)
    with pytest.raises(BadInput, match="has no failed units"):
        await take_over(done, failed_only=True)
    gaps = await find_run(str(await made(Completed(), facts={"failed": 2})))
    with pytest.raises(BadInput, match=r"2 units failed: `speech runs retry"):
        await take_over(gaps, failed_only=False)
    taken = await take_over(gaps, failed_only=True)
    assert taken.state
    assert taken.state.is_pending()
    async with get_client() as client:
        other = await client.create_flow_run(check_keys, state=Failed())
    with pytest.raises(BadInput, match="check_keys, which is never resumed"):
        await take_over(await find_run(str(other.id)), failed_only=False)


Speech = Callable[..., "subprocess.CompletedProcess[str]"]


def command(arguments: Sequence[object]) -> list[str]:
    return [sys.executable, "-m", "deployments.terminal", *map(str, arguments)]


@pytest.fixture
def environment(prefect_server: str, tmp_path: Path) -> dict[str, str]:
    """The session's server, keys of the emulator, and a shelf of the test's own."""
    own = {"PREFECT_API_URL": prefect_server, "SPEECH_HOME": str(tmp_path / "home"), "CARTESIA_API_KEYS": "test-key-1"}
    return {**os.environ, **own, "PYTHONPATH": str(Path(__file__).parent.parent)}


@pytest.fixture
def speech(environment: dict[str, str], tmp_path: Path) -> Speech:
    """Run the command to its end, in another folder than the one where the run began."""
    (tmp_path / "elsewhere").mkdir()

    def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command(arguments),
            cwd=tmp_path / "elsewhere",
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run


@contextlib.contextmanager
def begun(
    environment: dict[str, str], tmp_path: Path, emulator: Emulator, calls: int
) -> Iterator["subprocess.Popen[bytes]"]:
    """A run of 40 paragraphs that has made so many calls."""
    text = "\n\n".join(f"This is paragraph number {n}, and the keeper still climbs." for n in range(40))
    (tmp_path / "story.txt").write_text(text)
    told = ["--provider", "cartesia", "--server", emulator.server("cartesia"), "--output", tmp_path / "out"]
    told += ["--plan", "scale", "--workers", "2"]  # a killed run keeps its slots for a minute, and there are others
    with subprocess.Popen(
        command(["narrate", tmp_path / "story.txt", *told]),
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        try:
            deadline = time.monotonic() + 90
            while len(emulator.ledger("cartesia")) < calls:
                assert running.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield running
        finally:
            running.kill()


def mine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The test's run, as the list tells it."""
    assert run(["runs", "list", "--json"]) == DONE
    rows = json.loads(capsys.readouterr().out)["runs"]
    [row] = [row for row in rows if row["source"] == str(tmp_path / "story.txt")]
    return dict(row)


def settled(environment: dict[str, str]) -> set[str]:
    """The SHA-256 of each text whose speech was kept and billed, by the ledgers of all runs."""
    [ledger] = Path(environment["SPEECH_HOME"], "ledger").iterdir()
    rows = [json.loads(line) for line in ledger.read_text().splitlines() if line.endswith("}")]
    return {row["text"] for row in rows if row["status"] == "ok"}


def said_again(emulator: Emulator, texts: set[str]) -> list[str]:
    from hashlib import sha256

    asked = [entry["text"] for entry in emulator.ledger("cartesia")]
    return [text for text in set(asked) if asked.count(text) > 1 and sha256(text.encode()).hexdigest() in texts]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_terminal_is_closed_and_one_command_goes_on(
    how: signal.Signals,
    speech: Speech,
    environment: dict[str, str],
    emulator: Emulator,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Killed in the middle, the run is resumed by its id from another folder: no text that was kept is paid again."""
    emulator.settings(latency_s=0.5)
    with begun(environment, tmp_path, emulator, calls=12) as running:
        if how is signal.SIGKILL:
            [live] = [row.id for row in asyncio.run(list_runs()) if row.source == str(tmp_path / "story.txt")]
            assert run(["runs", "resume", live]) == WRONG
            assert "still running: heard of" in capsys.readouterr().err
        running.send_signal(how)
        running.wait(60)
    kept = settled(environment)
    assert 8 <= len(kept) < 40
    row = mine(tmp_path, capsys)
    assert row["state"] == ("crashed" if how is signal.SIGKILL else "interrupted")

    emulator.settings(latency_s=0)
    done = speech("runs", "resume", row["id"][:10], "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts["run_id"] == row["id"]
    assert (facts["chunks"], facts["failed"]) == (40, 0)
    assert Path(facts["audio"]) == tmp_path / "out" / "story.mp3"
    assert said_again(emulator, kept) == []
    assert [path.name for path in (tmp_path / "home" / "ledger").iterdir()] == [f"{row['id']}.jsonl"]
    assert run(["runs", "resume", row["id"]]) == WRONG
    assert capsys.readouterr().err.strip() == f"speech: {row['short']} is done: nothing is left to resume"


def test_only_what_failed_is_tried_again(
    speech: Speech,
    environment: dict[str, str],
    emulator: Emulator,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A run with four paragraphs that nobody would say: `retry` makes calls for them alone, in the same run."""
    emulator.script("cartesia", {"fault": "bad_request", "contains": "7"})
    with begun(environment, tmp_path, emulator, calls=1) as running:
        running.wait(90)
    row = mine(tmp_path, capsys)
    assert (row["state"], row["failed"]) == ("failed", 4)
    emulator.script("cartesia")
    before = len(emulator.ledger("cartesia"))
    done = speech("runs", "retry", row["short"])
    assert done.returncode == 0, done.stderr
    again = emulator.ledger("cartesia")[before:]
    assert 0 < len(again) <= 8
    assert all("7" in entry["text"] for entry in again)
    assert run(["runs", "list"]) == DONE
    table = capsys.readouterr().out
    line = next(line for line in table.splitlines() if line.startswith(row["short"]))
    assert "done" in line
    assert f"{tmp_path / 'story.txt'} → {tmp_path / 'out' / 'story.mp3'}" in line
