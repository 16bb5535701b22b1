"""`speech up`, for the tests of what it serves."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parent.parent


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


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """For the whole session. It starts a server of its own, as its profile names none, and knows the emulator's key."""
    from deployments.serve import _answers
    from deployments.server import free_port

    place, port = tmp_path_factory.mktemp("served"), free_port()
    own = {"PREFECT_HOME": str(place / "prefect"), "SPEECH_HOME": str(place / "speech"), "PYTHONPATH": str(ROOT)}
    environment = {**os.environ, **own, "CARTESIA_API_KEYS": "test-key-1"}
    environment.pop("PREFECT_API_URL", None)
    environment.pop("PREFECT_RESULTS_LOCAL_STORAGE_PATH", None)
    command = [sys.executable, "-m", "deployments.terminal", "up", "--port", str(port)]
    served = Served(f"http://127.0.0.1:{port}/api", place / "speech")
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            wait_until(lambda: len(served.deployments()) == 4, 240, running.poll)
            yield served
        finally:
            running.terminate()
            running.wait(60)
    # Its own server ends with it, as soon as a busy machine lets it.
    wait_until(lambda: not _answers(port), 30, lambda: "its server stays behind")
