"""What Prefect's UI does to a run that `speech up` serves: Retry and Cancel, by the calls that its buttons make."""

import os
import signal
import time
from hashlib import sha256
from pathlib import Path

from tests.emulator.fixture import Emulator
from tests.processes import gone
from tests.served import Served, wait_until

RETRY = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}
CANCEL = {"type": "CANCELLING", "name": "Cancelling"}


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
    served.wait(run, "CRASHED", 60)
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
    started = time.monotonic()
    run = begun(served, emulator, tmp_path, "Clara")
    spoken(emulator, 12)
    process = served.process(run)
    began = time.monotonic()
    served.set_state(run, CANCEL)
    assert gone([process])
    ended = time.monotonic() - began
    served.wait(run, "CANCELLED", 30)
    print(f"process gone after {ended:.1f} s, Cancelled after {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began < 4 + began - started  # 5 s on a quiet machine; a busy one is slow to begin, too
    kept = served.settled(run)
    assert 8 <= len(kept) < 40
    emulator.settings(latency_s=0)
    time.sleep(5)  # the run has told that it is cancelled; the runner that served it tells so again
    served.set_state(run, RETRY)
    served.wait(run, "COMPLETED", 120)
    assert repeated(emulator, kept) == []
