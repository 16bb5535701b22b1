"""Runs that died are marked, old ones deleted: never a living one, never what belongs to another."""

import asyncio
import io
import json
import os
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.runtime import flow_run
from prefect.settings import get_current_settings
from prefect.states import Cancelling, Completed, Crashed, Pending, Running, State

from blocks.speech import BadInput
from flows.check_keys import check_keys
from flows.narrate import narrate
from flows.prune_runs import prune_runs
from tasks import artifacts, reclaim, removal
from tasks.owner import myself
from tasks.progress import Progress
from tasks.recording import Recording
from tasks.removal import remove
from tasks.runs import RunRow, find_run

pytestmark = pytest.mark.usefixtures("prefect_server")

GONE = " ".join([*myself().split()[:2], "1", myself().split()[3]])
"""The owner of a run whose process has ended on this machine."""
ELSEWHERE = "elsewhere 1 2 3"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shelf of the test's own."""
    monkeypatch.setenv("SPEECH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(autouse=True)
async def nobody_else() -> None:
    """No run of an earlier test says that it runs."""
    async with get_client() as client:
        for run in await client.read_flow_runs(limit=200):
            if run.state and not run.state.is_final():
                await client.set_flow_run_state(run.id, Crashed(message="another test's"), force=True)


async def made(state: State, owner: str, **facts: object) -> tuple[str, UUID]:
    """A run of narrate in this state, and its row of facts."""
    async with get_client() as client:
        run = await client.create_flow_run(narrate, parameters={"source": "a.txt"}, state=state)
        row = json.dumps([{"owner": owner, **facts}])
        artifact = await client.create_artifact(
            ArtifactCreate(key=artifacts.RUN, type="table", data=row, flow_run_id=run.id)
        )
        return str(run.id), artifact.id


async def state_of(run: str) -> State:
    async with get_client() as client:
        state = (await client.read_flow_run(UUID(run))).state
        assert state
        return state


async def until_old(run: str, age_s: float) -> None:
    """Neither heard of nor ended for so long: the server tells its time in whole seconds, and late."""
    async with asyncio.timeout(60):
        while True:
            row = await find_run(run)
            if row.heard_s > age_s and (row.ended_s is None or row.ended_s > age_s):
                return
            await asyncio.sleep(0.2)


async def test_the_dead_are_marked_and_the_living_are_not() -> None:
    """Whose process is gone is marked at once, and told how to go on; who lives, waits to start or is done is not."""
    dead, _ = await made(Running(), GONE)
    cancelled, _ = await made(Cancelling(), GONE)
    live, _ = await made(Running(), myself())
    started, _ = await made(Pending(), ELSEWHERE)
    done, _ = await made(Completed(), GONE)
    result = await prune_runs()
    assert sorted(result["marked"]) == sorted([dead, cancelled])
    state = await state_of(dead)
    assert state.is_crashed()
    assert "`speech runs resume" in (state.message or "")
    assert (await state_of(cancelled)).is_cancelled()
    assert (await state_of(live)).is_running()
    assert (await state_of(started)).is_pending()
    assert (await state_of(done)).is_completed()
    assert (await prune_runs())["marked"] == []


async def test_a_machine_that_slept_is_given_time_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old heartbeats alone prove nothing: who is heard of at a second look lives; runs without any have an hour."""
    monkeypatch.setattr(reclaim, "SILENT_S", 1.5)  # the server's clock is read to the second
    monkeypatch.setattr(reclaim, "SECOND_LOOK_S", 2.0)
    silent, _ = await made(Running(), ELSEWHERE)
    slept, artifact = await made(Running(), ELSEWHERE)
    async with get_client() as client:
        checks = await client.create_flow_run(check_keys, state=Running())

        async def wake() -> None:
            while True:
                await asyncio.sleep(0.3)
                await client.update_artifact(artifact, ArtifactUpdate(data=json.dumps([{"owner": ELSEWHERE}])))

        for run in (silent, slept):
            await until_old(run, reclaim.SILENT_S)
        waking = asyncio.create_task(wake())
        result = await prune_runs()
        waking.cancel()
    assert result["marked"] == [silent]
    assert (await state_of(slept)).is_running()
    assert (await state_of(str(checks.id))).is_running()


async def test_marked_by_mistake_it_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """A living run that was called crashed goes on, is told to run, cannot be deleted or resumed, and completes."""
    monkeypatch.setattr("tasks.runs.BEATS_ON_S", 0.5)
    monkeypatch.setattr(artifacts, "EVERY_S", 0.2)
    monkeypatch.setattr(artifacts, "FACTS_EVERY_S", 0.2)
    seen: list[RunRow] = []

    @flow(name="narrate")
    async def speaks() -> str:
        run = str(flow_run.id)
        async with artifacts.published(Progress(total=1)), get_client() as client:
            await client.set_flow_run_state(UUID(run), Crashed(message="by mistake"), force=True)
            await asyncio.sleep(1.5)
            seen.append(await find_run(run))
            for refused in (remove(seen[0]), reclaim.take_over(seen[0], failed_only=False)):
                with pytest.raises(BadInput, match="running"):
                    await refused
        return run

    run = await speaks()
    assert (seen[0].state, seen[0].over) == ("running", False)
    assert (await state_of(run)).is_completed()
    assert (await find_run(run)).over


async def spoken(tmp_path: Path, text: str = "The lamp was lit.") -> Recording:
    (tmp_path / "story.txt").write_text(text)
    return await narrate(str(tmp_path / "story.txt"), output=str(tmp_path / "out"))


def clips(home: Path) -> list[Path]:
    return sorted(path for path in (home / "shelf").rglob("*") if path.is_file())


async def test_a_run_is_removed_whole_and_alone(tmp_path: Path, home: Path) -> None:
    """Its recording, manifest, subtitles, report, ledger, result, artifacts and run go; clips and other files stay."""
    recording = await spoken(tmp_path)
    (tmp_path / "out" / "story.notes.txt").write_text("mine")
    (tmp_path / "out" / "story.manifest.json.bak").write_text("mine, too")
    kept = clips(home)
    run = UUID(recording.run_id)
    mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
    async with get_client() as client:
        state = (await client.read_flow_run(run)).state
        assert state
        record = Path(state.data.storage_key)
        assert record.is_file()
        assert await client.read_artifacts(artifact_filter=mine)
        size = sum(
            path.stat().st_size for path in (tmp_path / "out").iterdir() if "mine" not in path.read_text("latin1")
        )
        size += record.stat().st_size + (home / "ledger" / f"{run}.jsonl").stat().st_size
        row = await find_run(recording.run_id)
        assert (await removal.belongings(row)).bytes + record.stat().st_size == size
        assert (await remove(row)).bytes == size
        assert not record.exists()
        assert await client.read_artifacts(artifact_filter=mine) == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["story.manifest.json.bak", "story.notes.txt"]
    assert clips(home) == kept
    assert list((home / "ledger").iterdir()) == []
    with pytest.raises(BadInput, match="no run is called"):
        await find_run(recording.run_id)
    assert (await remove(row)).bytes == 0  # what is gone is no error


async def test_a_later_run_owns_the_place(tmp_path: Path) -> None:
    """Where a later run has put its files, those of the earlier one are gone already: nothing there is touched."""
    first, second = await spoken(tmp_path), await spoken(tmp_path, "The lamp was lit again, and it burned all night.")
    await remove(await find_run(first.run_id))
    assert json.loads(Path(second.manifest_json).read_text())["run_id"] == second.run_id
    assert second.audio
    assert second.subtitles
    assert all(Path(path).is_file() for path in [second.audio, second.manifest_csv, second.report, second.subtitles])


async def test_another_recording_under_the_same_manifest_stays(tmp_path: Path) -> None:
    """A later run that was killed after its recording and before its manifest keeps all that may be its own."""
    recording = await spoken(tmp_path)
    assert recording.audio
    Path(recording.audio).write_bytes(b"a later run's")
    await remove(await find_run(recording.run_id))
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {"story.mp3", "story.srt", "story.manifest.csv", "story.report.html"}


async def test_what_lies_beside_a_recording_that_was_moved_away_goes(tmp_path: Path) -> None:
    """Without a recording of anybody's the subtitles, the report and the manifest are still this run's."""
    recording = await spoken(tmp_path)
    Path(str(recording.audio)).unlink()
    await remove(await find_run(recording.run_id))
    assert list((tmp_path / "out").iterdir()) == []


async def test_what_was_on_its_way_to_a_bucket_goes_with_its_folder(home: Path) -> None:
    """The run's own folder of outputs goes; those of other runs stay."""
    mine, _ = await made(Crashed(), GONE)
    for run in (mine, "another"):
        (home / "outputs" / run).mkdir(parents=True)
        (home / "outputs" / run / "story.mp3").write_bytes(b"sound")
    assert (await remove(await find_run(mine))).bytes == 5
    assert [path.name for path in (home / "outputs").iterdir()] == ["another"]


async def test_files_may_stay(tmp_path: Path, home: Path) -> None:
    """With keep_files only the records of the run go."""
    recording = await spoken(tmp_path)
    before = sorted(path for path in [*(tmp_path / "out").iterdir(), *(home / "ledger").iterdir()])
    await remove(await find_run(recording.run_id), keep_files=True)
    assert sorted(path for path in [*(tmp_path / "out").iterdir(), *(home / "ledger").iterdir()]) == before


@pytest.mark.parametrize("where", ["{0}/precious.txt", "../precious.txt", "", "/", "precious", "{0}/link/precious.txt"])
async def test_nothing_else_is_ever_deleted(where: str, tmp_path: Path) -> None:
    """A row of facts that somebody has forged leads to no file that the run did not write."""
    (tmp_path / "precious.txt").write_text("precious")
    (tmp_path / "precious.srt").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path)
    run, _ = await made(Completed(), GONE, where=where.format(tmp_path))
    await remove(await find_run(run))
    assert (tmp_path / "precious.txt").exists()
    assert (tmp_path / "precious.srt").exists()


async def test_a_forged_result_is_not_deleted(tmp_path: Path) -> None:
    """A state whose result names a file elsewhere leads to no file."""
    (tmp_path / ("0" * 32)).write_text("precious")
    run, _ = await made(Crashed(), GONE)
    from prefect._internal.result_records import ResultRecordMetadata

    data = ResultRecordMetadata(storage_key=str(tmp_path / ("0" * 32)))
    async with get_client() as client:
        await client.set_flow_run_state(UUID(run), Completed(data=data), force=True)
    await remove(await find_run(run))
    assert (tmp_path / ("0" * 32)).exists()


async def test_old_runs_go_where_it_is_asked_for(tmp_path: Path) -> None:
    """Without an age nobody's recording vanishes; with one the finished runs that are older go, and no other."""
    old = await spoken(tmp_path)
    live, _ = await made(Running(), myself())
    await until_old(old.run_id, 1)
    assert (await prune_runs())["deleted"] == []
    assert (await prune_runs(older_than="1h"))["deleted"] == []
    result = await prune_runs(older_than="1s")
    assert old.run_id in result["deleted"]
    assert result["bytes"] > 1000
    assert not Path(str(old.audio)).exists()
    assert (await state_of(live)).is_running()
    with pytest.raises(BadInput, match="length of time"):
        await prune_runs(older_than="soon")


async def test_prune_sees_who_was_killed_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    """Where no `speech up` marks them, the command does: at the next prune a killed run is one that has ended."""
    from deployments.terminal import run

    dead, _ = await made(Running(), GONE)
    live, _ = await made(Running(), myself())
    assert (await find_run(dead)).state == "crashed"
    command = ["runs", "prune", "--older-than", "1s", "--yes", "--json"]
    await asyncio.to_thread(run, command)
    told = capsys.readouterr()
    assert dead not in json.loads(told.out)["deleted"]
    assert f"{dead[:8]} " in told.err
    assert "marked as crashed" in told.err
    assert (await state_of(dead)).is_crashed()
    await until_old(dead, 1)
    await asyncio.to_thread(run, command)
    assert dead in json.loads(capsys.readouterr().out)["deleted"]
    assert (await state_of(live)).is_running()


async def test_prune_asks_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nobody can be asked nothing is deleted without --yes; where somebody says no, neither."""
    recording = await spoken(tmp_path)
    from deployments.terminal import run

    def speech(*arguments: str) -> int:
        return run(["runs", *arguments])

    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert await asyncio.to_thread(speech, "prune", "--older-than", "1s") == 2
    assert "--yes" in capsys.readouterr().err
    await until_old(recording.run_id, 1)
    master, terminal = os.openpty()
    os.write(master, b"n\n")
    with os.fdopen(terminal) as somebody:
        monkeypatch.setattr("sys.stdin", somebody)
        assert await asyncio.to_thread(speech, "prune", "--older-than", "1s") == 0
    os.close(master)
    assert recording.run_id[:8] in capsys.readouterr().err
    assert Path(str(recording.audio)).exists()
    assert await asyncio.to_thread(speech, "prune", "--older-than", "1s", "--yes", "--json") == 0
    assert recording.run_id in json.loads(capsys.readouterr().out)["deleted"]
    assert not Path(str(recording.audio)).exists()
    assert get_current_settings().api.url
