"""What Prefect's UI does to a run that `speech up` serves: Retry and Cancel, by the calls that its buttons make."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.server import free_port
from tests.emulator.fixture import Emulator
from tests.processes import gone

ROOT = Path(__file__).parent.parent
RETRY = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}
CANCEL = {"type": "CANCELLING", "name": "Cancelling"}


@dataclass(frozen=True)
class Served:
    """`speech up` on a machine of its own."""

    api: str
    home: Path

    def ask(self, path: str, order: dict[str, Any]) -> Any:
        answer = httpx.post(f"{self.api}/{path}", json=order, timeout=30)
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:  # SQLite was busy: Prefect's own clients ask again
            time.sleep(1)
            return self.ask(path, order)
        return answer.raise_for_status().json()

    def deployments(self) -> dict[str, str]:
        try:
            return {found["name"]: found["id"] for found in self.ask("deployments/filter", {})}
        except httpx.TransportError:
            return {}

    def state(self, run: str) -> dict[str, Any]:
        facts: dict[str, Any] = httpx.get(f"{self.api}/flow_runs/{run}", timeout=30).json()["state"]
        return facts

    def set_state(self, run: str, state: dict[str, str]) -> None:
        """As both of Prefect's UIs do; the older one does not force it."""
        answer = self.ask(f"flow_runs/{run}/set_state", {"state": state, "force": False})
        assert answer["status"] == "ACCEPT", answer

    def wait(self, run: str, state: str, within_s: float) -> None:
        wait_until(lambda: self.state(run)["type"] == state, within_s, lambda: self.state(run))

    def process(self, run: str) -> int:
        """Of the attempt that is under way."""
        rows = self.ask("artifacts/filter", {"artifacts": {"key": {"any_": ["run"]}, "flow_run_id": {"any_": [run]}}})
        newest = max(rows, key=lambda row: str(row["created"]))
        return int(json.loads(newest["data"])[0]["owner"].split()[1])

    def settled(self, run: str) -> set[str]:
        """The SHA-256 of each text whose speech was billed and kept."""
        lines = (self.home / "ledger" / f"{run}.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines if line.endswith("}")]
        return {row["text"] for row in rows if row["status"] == "ok"}


def wait_until(holds: Callable[[], bool], within_s: float, told: Callable[[], object]) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """It starts a server of its own, and knows the emulator's key."""
    place, port = tmp_path_factory.mktemp("served"), free_port()
    own = {"PREFECT_HOME": str(place / "prefect"), "SPEECH_HOME": str(place / "speech"), "PYTHONPATH": str(ROOT)}
    environment = {**os.environ, **own, "CARTESIA_API_KEYS": "test-key-1"}
    environment.pop("PREFECT_API_URL", None)
    environment.pop("PREFECT_RESULTS_LOCAL_STORAGE_PATH", None)
    command = [sys.executable, "-m", "deployments.terminal", "up", "--port", str(port)]
    served = Served(f"http://127.0.0.1:{port}/api", place / "speech")
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            wait_until(lambda: len(served.deployments()) == 3, 150, running.poll)
            yield served
        finally:
            running.terminate()
            running.wait(60)


def begun(served: Served, emulator: Emulator, tmp_path: Path, keeper: str) -> str:
    """A run of a story that nobody has told yet: they share a shelf."""
    story = "\n\n".join(f"This is paragraph number {n}, and {keeper} still climbs." for n in range(40))
    (tmp_path / "story.txt").write_text(story)
    parameters = {
        "source": str(tmp_path / "story.txt"),
        "output": str(tmp_path / "out"),
        "provider": "cartesia",
        "server": emulator.server("cartesia"),
        "plan": "scale",
        "workers": 2,  # a killed run keeps its slots for a minute, and there are others
    }
    made = served.ask(f"deployments/{served.deployments()['narrate']}/create_flow_run", {"parameters": parameters})
    return str(made["id"])


def spoken(emulator: Emulator, calls: int) -> None:
    wait_until(lambda: len(emulator.ledger("cartesia")) >= calls, 120, lambda: emulator.ledger("cartesia"))


def repeated(emulator: Emulator, kept: set[str]) -> list[str]:
    """Texts that were paid and kept, and were asked for again."""
    asked = [entry["text"] for entry in emulator.ledger("cartesia")]
    return [text for text in set(asked) if asked.count(text) > 1 and sha256(text.encode()).hexdigest() in kept]


def test_retry_of_a_killed_run(served: Served, emulator: Emulator, tmp_path: Path) -> None:
    """The process of a run is killed: Prefect says so, and Retry finishes it without paying twice."""
    emulator.settings(latency_s=0.4)
    run = begun(served, emulator, tmp_path, "Anna")
    spoken(emulator, 12)
    os.kill(served.process(run), signal.SIGKILL)
    served.wait(run, "CRASHED", 20)
    kept = served.settled(run)
    assert 8 <= len(kept) < 40
    emulator.settings(latency_s=0)
    served.set_state(run, RETRY)
    served.wait(run, "COMPLETED", 120)
    assert repeated(emulator, kept) == []
    assert (tmp_path / "out" / "story.mp3").stat().st_size


def test_retry_of_a_failed_run(served: Served, emulator: Emulator, tmp_path: Path) -> None:
    """Four paragraphs fail for good and with them the run: Retry asks for those and for nothing else."""
    emulator.script("cartesia", {"fault": "bad_request", "contains": "7"})
    run = begun(served, emulator, tmp_path, "Boris")
    served.wait(run, "FAILED", 120)
    emulator.script("cartesia")
    before = len(emulator.ledger("cartesia"))
    served.set_state(run, RETRY)
    served.wait(run, "COMPLETED", 120)
    again = [entry["text"] for entry in emulator.ledger("cartesia")[before:]]
    assert 0 < len(again) <= 8
    assert all("7" in text for text in again)


def test_cancel_then_retry(served: Served, emulator: Emulator, tmp_path: Path) -> None:
    """Cancel ends a run within seconds, with no process left; Retry takes it up again, and pays nothing twice."""
    emulator.settings(latency_s=0.4)
    run = begun(served, emulator, tmp_path, "Clara")
    spoken(emulator, 12)
    process = served.process(run)
    began = time.monotonic()
    served.set_state(run, CANCEL)
    assert gone([process], 10)
    ended = time.monotonic() - began
    served.wait(run, "CANCELLED", 10)
    print(f"process gone after {ended:.1f} s, Cancelled after {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began < 8  # 5 s on a machine that does nothing else
    kept = served.settled(run)
    assert 8 <= len(kept) < 40
    emulator.settings(latency_s=0)
    time.sleep(5)  # the run has told that it is cancelled; the runner that served it tells so again
    served.set_state(run, RETRY)
    served.wait(run, "COMPLETED", 120)
    assert repeated(emulator, kept) == []
