"""The `speech` command as a person uses it: whole runs in processes of their own.

How soon a stopped run has to end is measured by how long it took to begin: a busy machine is slow at both.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pytest
import soundfile

from blocks.storage.places import storage_at
from deployments.answers import DONE, FAILED, GAPS, INTERRUPTED, WRONG
from deployments.server import free_port
from tests.emulator.fixture import Emulator
from tests.processes import descendants, gone
from tests.s3_proxy import Fault
from tests.s3_servers import S3Server

STORY = """# The lamp

The keeper climbed the stairs again. He counted each of them under his breath: one, two, three.

## Night

"Is it lit?" asked Mrs. Gray. It was 10:05 p.m. and the harbour of St. Elmo was dark.

* * *

It was lit. The ships came home.
"""

Speech = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(prefect_server: str, tmp_path: Path) -> dict[str, str]:
    """The session's server, and a shelf of the test's own."""
    return {**os.environ, "PREFECT_API_URL": prefect_server, "SPEECH_HOME": str(tmp_path / "home")}


def command(arguments: Sequence[str | Path]) -> list[str]:
    return [sys.executable, "-m", "deployments.terminal", *map(str, arguments)]


@pytest.fixture
def speech(environment: dict[str, str], tmp_path: Path) -> Speech:
    """Run the command to its end."""

    def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command(arguments), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200, check=False
        )

    return run


Inside = Callable[..., str]


@pytest.fixture
def inside(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Inside:
    """Run the command in this process, which has imported Prefect already, and give what it prints."""

    def run_here(*arguments: str | Path) -> str:
        from deployments.terminal import run

        monkeypatch.chdir(tmp_path)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        assert run([*map(str, arguments)]) == DONE
        return capsys.readouterr().out

    return run_here


def answer(done: "subprocess.CompletedProcess[str]") -> dict[str, object]:
    assert done.returncode == DONE, done.stderr
    facts: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return facts


def test_voices_come_with_their_limits(speech: Speech, inside: Inside) -> None:
    """Who can speak which language, how much a request may carry, and how many go at one time."""
    facts = answer(speech("voices", "--json"))
    assert {"name": "vi", "language": "vi", "description": "Vietnamese (Northern)"} in facts["voices"]  # type: ignore[operator]
    assert facts["limits"] == {"characters": 600, "bytes": 2400}
    assert facts["in_flight"] == len(os.sched_getaffinity(0))
    assert inside("voices").splitlines()[-1].startswith("138 voices; a request carries at most 600 characters")


def test_narrate_then_again_then_edited(speech: Speech, inside: Inside, tmp_path: Path) -> None:
    """A story becomes a recording; again it costs no call; an edited sentence costs one."""
    story = tmp_path / "story.md"
    story.write_text(STORY)
    first = answer(speech("narrate", story, "--json"))
    assert (first["synthesised"], first["reused"], first["failed"]) == (first["chunks"], 0, 0)
    for name in ["story.mp3", "story.manifest.json", "story.manifest.csv", "story.srt", "story.report.html"]:
        assert (tmp_path / "speech" / name).stat().st_size
    assert not list((tmp_path / "speech").glob(".*"))
    assert soundfile.info(str(first["audio"])).duration == pytest.approx(first["duration_s"], abs=0.05)

    again = answer(speech("narrate", story, "--json"))
    assert (again["calls"], again["synthesised"], again["duration_s"]) == (0, 0, first["duration_s"])

    story.write_text(STORY.replace("It was lit.", "It burned."))
    edited = answer(speech("narrate", story, "--json"))
    assert (edited["calls"], edited["synthesised"]) == (1, 1)

    dry = json.loads(inside("narrate", story, "--dry-run", "--json"))
    assert (dry["calls"], dry["chunks"]) == (0, edited["chunks"])


def test_progress_stays_off_stdout(speech: Speech, tmp_path: Path) -> None:
    """Stdout holds the one line of JSON and nothing else; no traceback and no log line of Prefect's is anywhere."""
    (tmp_path / "story.txt").write_text("A short story.")
    done = speech("narrate", tmp_path / "story.txt", "--json", "--format", "flac")
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "INFO" not in done.stderr


BAD = {
    "no such file": (["missing.txt"], "missing.txt"),
    "a folder": (["."], "folder"),
    "empty": (["empty.txt"], "empty"),
    "white space": (["blank.txt"], "blank.txt"),
    "only symbols": (["symbols.txt"], "symbols.txt"),
    "binary": (["sound.txt"], "sound.txt"),
    "unknown format": (["story.txt", "--format", "aiff"], "aiff"),
    "unknown voice": (["story.txt", "--voice", "xx-nobody"], "xx-nobody"),
    "unknown language": (["story.txt", "--language", "xx"], "xx"),
    "unknown provider": (["story.txt", "--provider", "nobody"], "nobody"),
    "mad speed": (["story.txt", "--speed", "50"], "50"),
    "unknown option": (["story.txt", "--fomat", "mp3"], "--fomat"),
    "no source": ([], "SOURCE"),
    "output is a file": (["story.txt", "--output", "story.txt"], "story.txt"),
    "Chinese in English": (["chinese.txt"], "Han"),
    "subtitles to be mended": (["film.srt", "--strict"], "film.srt, line 5"),
    "cues at one time": (["film.srt", "--overlaps", "fail"], "lines 1 and 5"),
    "a video for subtitles": (["video.srt"], "video"),
    "no subtitles": (["notes.srt"], "notes.srt holds no cue"),
    "cues of a text": (["story.txt", "--timing", "cues"], "no cues"),
    "too fast to follow": (["story.txt", "--fastest", "9"], "9"),
    "no cast": (["film.srt", "--speakers", "cast.toml"], "cast.toml was not found"),
    "a voice for a speaker that nobody has": (["film.srt", "--speakers", "ANNA=nobody"], "nobody"),
    "clips of two sources in one folder": (["story.txt", "film.srt", "--clips"], "clips"),
    "fewer than no workers": (["story.txt", "--workers=-3"], "-3"),
    "deafening": (["story.txt", "--loudness=50"], "50"),
    "output on S3": (["story.txt", "--output", "s3://bucket/x"], "s3://bucket/x"),
    "output of no name": (["story.txt", "--output", ""], "output"),
    "name too long": ([f"{'n' * 245}.txt"], "name too long"),
    "two of one name": (["story.txt", "other/story.txt"], "story"),
}


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("case", BAD)
def test_bad_input(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each wrong thing is refused in one line that names it, with exit code 2, and leaves nothing behind."""
    from deployments.terminal import run

    arguments, named = BAD[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "story.txt").write_text("A story.")
    cues = "1\n00:00:01,000 --> 00:00:02,000\nANNA: Hello.\n\n2\n00:00:01,500 --> 00:00:01,000\nBye.\n"
    (tmp_path / "film.srt").write_text(cues)
    (tmp_path / "notes.srt").write_text("Buy milk.\n")
    (tmp_path / "video.srt").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(400))
    (tmp_path / f"{'n' * 245}.txt").write_text("A story.")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "blank.txt").write_text(" \n\t\n")
    (tmp_path / "symbols.txt").write_text("*** 🙂 --- ♪\n")
    (tmp_path / "sound.txt").write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00" + bytes(400))
    (tmp_path / "chinese.txt").write_text("春天来了花园里的花都开了")
    before = sorted(tmp_path.rglob("*"))
    assert run(["narrate", *arguments]) == WRONG
    told = capsys.readouterr().err
    assert named.lower() in told.lower()
    assert len(told.strip().splitlines()) == 1, told
    assert [path for path in sorted(tmp_path.rglob("*")) if path.name != "speech"] == before


def test_a_server_that_is_not_there(speech: Speech, environment: dict[str, str], tmp_path: Path) -> None:
    """A profile that names a server which does not answer is told in one line, at once."""
    (tmp_path / "story.txt").write_text("A story.")
    environment["PREFECT_API_URL"] = f"http://127.0.0.1:{free_port()}/api"
    done = speech("narrate", "story.txt")
    assert done.returncode == FAILED
    assert "PREFECT_API_URL" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def start(environment: dict[str, str], tmp_path: Path, *arguments: str | Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(arguments), cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def clips_on(shelf: Path) -> int:
    return len(list(shelf.glob("*/*.json")))


def wait_for_clips(running: "subprocess.Popen[str]", shelf: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while clips_on(shelf) < count:
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def long_story(path: Path, sentences: int) -> Path:
    numbers = (f"This is paragraph number {number}, and the keeper still climbs." for number in range(sentences))
    path.write_text("\n\n".join(numbers))
    return path


def test_kill_dash_nine_then_the_same_command(speech: Speech, environment: dict[str, str], tmp_path: Path) -> None:
    """Killed in the middle of 120 chunks, the same command speaks none again; the recording is that of a whole run."""
    story = long_story(tmp_path / "story.txt", 120)
    shelf = tmp_path / "home" / "shelf"
    running = start(environment, tmp_path, "narrate", story, "--json", "--format", "wav")
    wait_for_clips(running, shelf, 20)
    running.kill()
    running.communicate()
    kept = clips_on(shelf)
    assert 20 <= kept < 120
    assert not (tmp_path / "speech" / "story.wav").exists()

    resumed = answer(speech("narrate", story, "--json", "--format", "wav"))
    assert (resumed["reused"], resumed["synthesised"], resumed["calls"]) == (kept, 120 - kept, 120 - kept)
    sound, _ = soundfile.read(str(resumed["audio"]), dtype="int16")
    whole = answer(speech("narrate", story, "--json", "--format", "wav", "--fresh", "--output", tmp_path / "whole"))
    assert whole["synthesised"] == 120
    uninterrupted, _ = soundfile.read(str(whole["audio"]), dtype="int16")
    assert (sound == uninterrupted).all()


def test_gaps_have_an_exit_code(
    speech: Speech, emulator: Emulator, environment: dict[str, str], tmp_path: Path
) -> None:
    """A recording with gaps, which somebody has allowed, ends with 3 and names them; without leave there is none."""
    environment["CARTESIA_API_KEYS"] = "test-key-1"
    emulator.script("cartesia", {"fault": "bad_request", "contains": "Macbeth"})
    (tmp_path / "play.txt").write_text("The curtain rises.\n\nMacbeth enters.")
    options = ["play.txt", "--provider", "cartesia", "--server", emulator.server("cartesia")]
    assert speech("narrate", *options).returncode == FAILED
    done = speech("narrate", *options, "--allow-gaps")
    assert done.returncode == GAPS, done.stderr
    assert "1 chunks are silence: the first at line 3" in done.stdout
    assert (tmp_path / "speech" / "play.mp3").stat().st_size


def test_a_bucket_holds_it_all(
    speech: Speech, inside: Inside, moto: S3Server, environment: dict[str, str], tmp_path: Path
) -> None:
    """With a shelf in a bucket Prefect's results are there, too, as JSON; `speech shelf` tells its size, and a dry run
    knows what is on it.
    """
    environment |= moto.environment()
    bucket = moto.bucket_address("terminal")
    (tmp_path / "story.txt").write_text("Hello, bucket.")
    places = ["--shelf", f"{bucket}/shelf"]
    facts = answer(speech("narrate", "story.txt", "--output", f"{bucket}/out", *places, "--json"))
    assert facts["audio"] == f"{bucket}/out/story.mp3"
    store = storage_at(f"{bucket}/shelf", moto.access)
    records = [store.read(entry.name) for entry in store.entries("results/")]
    assert len(records) >= 2
    assert all(json.loads(record) and b"pickle" not in record for record in records)
    assert "1 clips" in inside("shelf", *places)
    assert json.loads(inside("narrate", "story.txt", "--dry-run", *places, "--json"))["calls"] == 0


def wait_for_calls(running: "subprocess.Popen[str]", emulator: Emulator, calls: int) -> None:
    deadline = time.monotonic() + 90
    while len(emulator.ledger("cartesia")) < calls:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_call_that_is_paid_for_comes_home(
    emulator: Emulator, environment: dict[str, str], tmp_path: Path, how: signal.Signals, prefect_server: str
) -> None:
    """Stopped in the middle of calls, a run keeps their answers if they come within seconds: what was billed is on the
    shelf; it ends within seconds with 130, and leaves no process, no claim and no slot.
    """
    environment["CARTESIA_API_KEYS"] = "test-key-1"
    emulator.settings(latency_s=1.0, fast=True)
    story, started = long_story(tmp_path / "story.txt", 40), time.monotonic()
    running = start(
        environment, tmp_path, "narrate", story, "--provider", "cartesia", "--server", emulator.server("cartesia")
    )
    wait_for_calls(running, emulator, 4)
    below, began = descendants(running.pid), time.monotonic()
    running.send_signal(how)
    _, told = running.communicate(timeout=60)
    assert time.monotonic() - began < 2.5 + began - started  # 4 s on a quiet machine
    assert running.returncode == INTERRUPTED, told
    assert gone(below)
    bill = emulator.ledger("cartesia")
    assert len(bill) == len({entry["text"] for entry in bill}) == clips_on(tmp_path / "home" / "shelf") >= 4
    assert not list((tmp_path / "home" / "shelf" / "claims").iterdir())
    assert slots_in_use(prefect_server) == 0


def test_a_bucket_that_hangs_keeps_nobody(
    emulator: Emulator, moto: S3Server, environment: dict[str, str], tmp_path: Path, prefect_server: str
) -> None:
    """Ctrl-C ends a run within seconds also where its shelf's bucket does not answer any more, and frees its slots."""
    environment |= moto.environment() | {"CARTESIA_API_KEYS": "test-key-1"}
    emulator.settings(latency_s=0.3, fast=True)
    story, bucket = long_story(tmp_path / "story.txt", 60), moto.bucket_address("hangs")
    with moto.proxied() as proxy:
        environment["AWS_ENDPOINT_URL"] = proxy.access.endpoint_url
        options = ["--provider", "cartesia", "--server", emulator.server("cartesia"), "--shelf", f"{bucket}/shelf"]
        started = time.monotonic()
        running = start(environment, tmp_path, "narrate", story, *options)
        wait_for_calls(running, emulator, 6)
        starting_s = time.monotonic() - started
        proxy.faults.append(Fault("hang"))
        time.sleep(1)
        began = time.monotonic()
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=60)
        assert time.monotonic() - began < 6 + starting_s
        assert running.returncode == INTERRUPTED, told
        assert "Traceback" not in told
        assert slots_in_use(prefect_server) == 0


def test_cancel_in_the_ui_stops_a_run_of_the_terminal(
    emulator: Emulator, environment: dict[str, str], tmp_path: Path, prefect_server: str
) -> None:
    """Cancelled as Prefect's UI does it, a run that the terminal started stops within seconds and is told cancelled."""
    environment["CARTESIA_API_KEYS"] = "test-key-1"
    emulator.settings(latency_s=1.0, fast=True)
    story, started = long_story(tmp_path / "cancelled.txt", 40), time.monotonic()
    running = start(
        environment, tmp_path, "narrate", story, "--provider", "cartesia", "--server", emulator.server("cartesia")
    )
    wait_for_calls(running, emulator, 2)
    with httpx.Client(base_url=prefect_server) as prefect:
        name = {"flow_runs": {"name": {"any_": ["narrate cancelled.txt"]}}}
        (run,) = prefect.post("/flow_runs/filter", json=name).json()
        asked, began = {"state": {"type": "CANCELLING", "name": "Cancelling"}}, time.monotonic()
        prefect.post(f"/flow_runs/{run['id']}/set_state", json=asked).raise_for_status()
        _, told = running.communicate(timeout=60)
        assert time.monotonic() - began < 4 + began - started
        assert running.returncode == INTERRUPTED, told
        assert prefect.get(f"/flow_runs/{run['id']}").json()["state"]["type"] == "CANCELLED"
    assert len(emulator.ledger("cartesia")) == clips_on(tmp_path / "home" / "shelf")


def slots_in_use(server: str) -> int:
    answer = httpx.post(f"{server}/v2/concurrency_limits/filter", json={})
    return sum(limit["active_slots"] for limit in answer.json())


def test_interrupted(speech: Speech, environment: dict[str, str], tmp_path: Path) -> None:
    """Ctrl-C stops within seconds, with exit code 130 and one line; the same command goes on."""
    story, started = long_story(tmp_path / "story.txt", 150), time.monotonic()
    running = start(environment, tmp_path, "narrate", story)
    wait_for_clips(running, tmp_path / "home" / "shelf", 20)
    began = time.monotonic()
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert time.monotonic() - began < 4 + began - started
    assert running.returncode == INTERRUPTED, told
    assert "the same command goes on" in told
    assert "Traceback" not in told
    kept = clips_on(tmp_path / "home" / "shelf")
    assert answer(speech("narrate", story, "--json"))["reused"] == kept
