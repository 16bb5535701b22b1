"""`speech wordlist` as a person uses it: whole commands in processes of their own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.answers import DONE, FAILED, GAPS, WRONG
from tests.emulator.fixture import Emulator
from tests.served import wait_until

Speech = Callable[..., "subprocess.CompletedProcess[str]"]
WORDS = "word,meaning,type\n" + "".join(
    f"word {n},a meaning {n % 20},{'verb' if n % 2 else 'noun'}\n" for n in range(40)
)


@pytest.fixture
def environment(prefect_server: str, tmp_path: Path) -> dict[str, str]:
    """The session's server, and a shelf of the test's own."""
    own = {"PREFECT_API_URL": prefect_server, "SPEECH_HOME": str(tmp_path / "home")}
    return {**os.environ, **own, "CARTESIA_API_KEYS": "test-key-1"}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "deployments.terminal", *map(str, arguments)]


@pytest.fixture
def speech(environment: dict[str, str], tmp_path: Path) -> Speech:
    """Run the command to its end."""

    def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command(*arguments), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200, check=False
        )

    return run


def facts(done: "subprocess.CompletedProcess[str]", code: int = DONE) -> dict[str, object]:
    assert done.returncode == code, done.stderr
    told: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "words.csv"
    path.write_text(WORDS)
    return path


def through(emulator: Emulator) -> list[str]:
    emulator.settings(fast=True)
    return ["--provider", "cartesia", "--server", emulator.server("cartesia"), "--plan", "pro", "--format", "wav"]


def test_a_dry_run_tells_what_it_takes(speech: Speech, emulator: Emulator, table: Path, tmp_path: Path) -> None:
    """Rows, cells, duplicates, characters, minutes and cost of each provider; nobody is called, nothing is written."""
    voices = ["--voices", "meaning=espeak:en-gb", *through(emulator)]
    told = facts(speech("wordlist", table, "--fields", "word, meaning", *voices, "--dry-run", "--json"))
    assert (told["rows"], told["cells"], told["empty"], told["duplicates"], told["calls"]) == (40, 80, 0, 20, 60)
    first, second = told["providers"]  # type: ignore[misc]
    assert (first["provider"], first["calls"], first["characters"]) == ("cartesia", 40, 270)
    assert first["cost_usd"] == [pytest.approx(270 * 37.5e-6, abs=1e-4), pytest.approx(270 * 50e-6, abs=1e-4)]
    assert (second["provider"], second["duplicates"], second["cost_usd"]) == ("espeak", 20, [0.0, 0.0])
    shown = speech("wordlist", table, "--fields", "word", *through(emulator), "--dry-run").stdout
    assert "40 rows, 40 cells to speak, 0 empty, 0 done" in shown
    assert "cartesia.ai/pricing 2026-07" in shown
    assert not emulator.ledger("cartesia")
    assert not (tmp_path / "speech").exists()


def test_failures_by_the_exit_code(speech: Speech, emulator: Emulator, table: Path, tmp_path: Path) -> None:
    """1 with what failed and the list of it, and the other clips are there; 3 where gaps are allowed."""
    rules = {"fault": "silence", "contains": "word 7"}
    emulator.script("cartesia", rules)
    failed = speech("wordlist", table, "--fields", "word", *through(emulator))
    assert failed.returncode == FAILED
    assert "failed    line 9, word ('word 7'): silence" in failed.stdout
    assert f"--only {tmp_path / 'speech' / 'failures.csv'}" in failed.stderr
    assert len(list((tmp_path / "speech").rglob("*.wav"))) == 39
    told = facts(speech("wordlist", table, "--fields", "word", "--allow-gaps", "--json", *through(emulator)), GAPS)
    assert (told["failed"], told["standing"]) == (1, 39)


def test_bad_tables_cost_nothing(speech: Speech, emulator: Emulator, table: Path) -> None:
    """Exit code 2 and one sentence, before any call."""
    for arguments, told in (
        (["--fields", "wrod"], "is 'word' meant?"),
        (["--fields", "word", "--type", "nuon"], "is noun meant?"),
        (["--fields", "word", "--only", table], "no list of failures"),
        (["--fields", "word", "--budget=-1"], "a budget of -1"),
        ([], "which fields"),
    ):
        done = speech("wordlist", table, *arguments, *through(emulator))
        assert done.returncode == WRONG, done.stderr
        assert told in done.stderr
    assert not emulator.ledger("cartesia")


def test_a_budget_stops_a_list(speech: Speech, emulator: Emulator, table: Path) -> None:
    """Before the call that would break it, by the emulator's own bill; the same command with more goes on."""
    fields = ["--fields", "word", *through(emulator), "--json"]
    budget_usd = 100 * 50e-6
    stopped = speech("wordlist", table, *fields, f"--budget={budget_usd}")
    assert stopped.returncode == FAILED
    assert "the budget of 0.005 USD is met" in stopped.stderr
    bill = emulator.ledger("cartesia")
    assert 0 < sum(float(entry["units"]) for entry in bill) * 50e-6 <= budget_usd
    told = facts(speech("wordlist", table, *fields, "--budget=1"))
    assert told["calls"] == 40 - len(bill)
    assert len(emulator.ledger("cartesia")) == 40


def test_kill_dash_nine_and_the_same_command(
    speech: Speech, emulator: Emulator, environment: dict[str, str], table: Path, tmp_path: Path
) -> None:
    """No word is paid twice but those whose call was under way, and all have their clip in the end."""
    arguments = ["wordlist", table, "--fields", "word", *through(emulator)]
    emulator.settings(latency_s=0.3)
    running = subprocess.Popen(
        command(*arguments), cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: len(emulator.ledger("cartesia")) >= 15, 120, running.poll)
        assert running.poll() is None
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    told = facts(speech(*arguments, "--json"))
    assert told["files"] == 40
    assert len(emulator.ledger("cartesia")) <= 40 + 3


def test_a_run_is_resumed_and_deleted(speech: Speech, emulator: Emulator, table: Path, tmp_path: Path) -> None:
    """What failed is said by `runs retry`; `runs delete` takes the clips of that run, and nothing else."""
    emulator.script("cartesia", {"fault": "silence", "contains": "word 7"})
    assert speech("wordlist", table, "--fields", "word", *through(emulator)).returncode == FAILED
    emulator.script("cartesia")
    listed = facts(speech("runs", "list", "--json"))
    run = next(row for row in listed["runs"] if row["source"] == str(table))  # type: ignore[attr-defined]
    assert (run["state"], run["flow"]) == ("failed", "voice_wordlist")
    told = facts(speech("runs", "retry", run["id"], "--json"))
    assert (told["failed"], told["calls"], told["standing"]) == (0, 1, 39)
    other = tmp_path / "speech" / "mine.txt"
    other.write_text("mine")
    facts(speech("runs", "delete", run["id"], "--json"))
    assert list((tmp_path / "speech").rglob("*")) == [other]
    assert table.read_text() == WORDS
