"""A film for two servers of one's own, stopped twice in the middle: the same command finishes it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import soundfile

from deployments.answers import DONE, INTERRUPTED
from tests.emulator.fixture import Emulator, started

CUES, CALL_S = 40, 0.3
WITHIN_S = 120.0


@pytest.fixture
def servers() -> Iterator[list[Emulator]]:
    with started("--fast") as one, started("--fast") as two:
        for emulator in (one, two):
            emulator.settings(latency_s=CALL_S)
        yield [one, two]


def film(path: Path) -> Path:
    cues = []
    for number in range(1, CUES + 1):
        start, end = (f"00:{second // 60:02}:{second % 60:02}" for second in (2 * number - 1, 2 * number))
        cues.append(f"{number}\n{start},{number:03} --> {end},800\nThis is line {number}.\n")
    path.write_text("\n".join(cues))
    return path


def called(servers: list[Emulator]) -> list[str]:
    return [str(entry["text"]) for server in servers for entry in server.ledger("f5")]


def wait_for_calls(servers: list[Emulator], count: int) -> None:
    until = time.monotonic() + WITHIN_S
    while len(called(servers)) < count:
        assert time.monotonic() < until, "no such call came"
        time.sleep(0.05)


@pytest.mark.timeout(600)  # three whole commands
def test_a_film_stopped_twice_is_finished(prefect_server: str, servers: list[Emulator], tmp_path: Path) -> None:
    """Ctrl-C repeats no call; `kill -9` at most the one that each server had; every cue is on time, with its clip."""
    source = film(tmp_path / "film.srt")
    environment = {**os.environ, "PREFECT_API_URL": prefect_server, "SPEECH_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "deployments.terminal", "narrate", str(source), "--provider", "f5"]
    command += [part for server in servers for part in ("--server", server.server("f5"))]
    command += ["--clips", "--format", "wav", "--output", str(tmp_path / "out"), "--json"]

    def start() -> "subprocess.Popen[str]":
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    with start() as running:
        wait_for_calls(servers, CUES // 4)
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=WITHIN_S)
    assert running.returncode == INTERRUPTED, told
    assert max(Counter(called(servers)).values()) == 1
    with start() as running:
        wait_for_calls(servers, CUES // 2)
        running.kill()
        running.communicate(timeout=WITHIN_S)
    assert max(Counter(called(servers)).values()) == 1
    with start() as running:
        out, told = running.communicate(timeout=2 * WITHIN_S)
    assert running.returncode == DONE, told
    facts = json.loads(out.splitlines()[-1])
    assert (facts["cues"]["cues"], facts["cues"]["shifted"], facts["failed"]) == (CUES, 0, 0)
    times = Counter(called(servers))
    assert len(times) == CUES
    assert sum(times.values()) <= CUES + len(servers)
    assert all(server.ledger("f5") for server in servers)
    table = pd.read_csv(facts["manifest_csv"])
    assert list(table["disposition"]) == ["spoken"] * CUES
    assert table["start_error_ms"].max() <= 1
    assert len(list((tmp_path / "out" / "clips").glob("audio_*.wav"))) == CUES
    assert soundfile.info(facts["audio"]).duration >= table["cue_end_s"].max()
