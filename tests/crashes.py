"""Runs of `speech narrate` that are killed with -9 at counted events, and what must hold after each.

`python -m tests.crashes MOMENT narrate …` is the command itself, in a process that kills itself at that moment.
"""

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import soundfile

from blocks.storage import Storage
from blocks.storage.folder import Folder
from tests.emulator.fixture import Emulator
from tests.processes import children, command_of
from tests.s3_proxy import Fault, Proxy

ROOT = Path(__file__).parent.parent
LANES = 3
UNSENT = LANES + 2
"""Clips that are kept where they were made and on their way to the bucket: as many as there are tasks that speak, but
for those whose calls are under way."""
KEYS = ",".join(f"account-{number}:test-key-{number}" for number in range(1, 6))
OPTIONS = ["--provider", "cartesia", "--plan", "scale", "--workers", str(LANES), "--format", "wav", "--json"]
"""75 slots: those of killed runs, which come back after a minute, hold up nobody."""
ENDED_WITHIN_S = 200
_COUNTED = {"open", "os.rename", "os.remove", "subprocess.Popen", "tempfile.mkdtemp", "shutil.rmtree"}


@dataclass(frozen=True, slots=True)
class Inside:
    """The process kills itself, before the nth of its doings that fit, or just after."""

    doing: str
    """A pattern of an audit event of Python's and its arguments, such as `os.rename /from /to`."""
    number: int = 1
    after: bool = False
    since: str = ""
    """Counted only once something that fits this was done."""


@dataclass(frozen=True, slots=True)
class Received:
    """Killed when the provider has this run's nth call, and has not answered."""

    number: int


@dataclass(frozen=True, slots=True)
class Asked:
    """Killed when the nth request that fits comes to the bucket; `reset`, `cut body` or `lose answer` is its fate."""

    request: str
    """A pattern of a method and a target, such as `PUT /bucket/name`."""
    number: int
    fate: Literal["reset", "cut body", "lose answer"]


Moment = Inside | Received | Asked


def story_of(path: Path, chunks: int, words: int) -> Path:
    """A chunk for each paragraph, all alike in length."""
    path.write_text("\n\n".join(f"Line {number:05} goes{' on' * words}." for number in range(chunks)))
    return path


class _Trap:
    """An audit hook."""

    def __init__(self, moment: Inside) -> None:
        self._moment, self._count, self._begun = moment, 0, not moment.since
        self._done_by: int | None = None
        """The thread that is just doing the nth."""

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._done_by == threading.get_ident():  # it has come to the next thing, and so that one is done
            self._done_by = None  # to kill is a doing, too
            _die()
        if event not in _COUNTED:
            return
        doing = " ".join(map(str, (event, *arguments)))
        self._begun = self._begun or bool(re.search(self._moment.since, doing))
        if not self._begun or not re.search(self._moment.doing, doing):
            return
        self._count += 1
        if self._count != self._moment.number:
            return
        if not self._moment.after:
            _die()
        if event == "subprocess.Popen":
            threading.Thread(target=_die_with_ffmpeg, daemon=True).start()
        else:
            self._done_by = threading.get_ident()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_with_ffmpeg() -> None:
    while not any("-nostdin" in command_of(child) for child in children(os.getpid())):
        time.sleep(0.001)
    _die()


@dataclass(frozen=True, slots=True)
class Kill:
    """What a kill cost, and what it left."""

    calls: int
    """That the provider received from the killed run."""
    committed: int
    """Clips that the killed run put on the shelf."""
    torn: tuple[str, ...]
    """Names that are to be seen, and what stands there is not whole."""

    @property
    def lost(self) -> int:
        """Calls that have to be made once more."""
        return self.calls - self.committed


@dataclass(slots=True)
class Job:
    """One narration, killed at moment after moment and at last finished, with what is billed meanwhile."""

    emulator: Emulator
    story: Path
    home: Path
    environment: dict[str, str]
    output: Storage
    shelf: Storage
    proxy: Proxy | None = None
    """Before the bucket, where there is one."""
    elsewhere: bool = False
    """Each run is on another machine: only what is in the bucket is kept."""
    kept: dict[str, int] = field(default_factory=dict)
    """The committed texts, each with how many calls had been billed when it was first seen."""
    calls: int = 0

    def kill(self, moment: Moment) -> Kill:
        """Start the command, and have it killed. Raises AssertionError where it ends in another way."""
        before = set(self.kept)
        self.die(moment)
        calls = self._received_in_all() - self.calls
        self.calls += calls
        now = self._committed()
        for text in now - before:
            self.kept[text] = len(self.emulator.ledger("cartesia"))
        return Kill(calls, len(now - before), tuple(self._torn()))

    def die(self, moment: Moment) -> float:
        """The same, and nothing is looked at: how many seconds it lived."""
        began = time.monotonic()
        first = (
            ["tests.crashes", json.dumps(asdict(moment))] if isinstance(moment, Inside) else ["deployments.terminal"]
        )
        with self._started(*first) as running:
            if isinstance(moment, Received):
                self._kill_when_received(running, self.calls + moment.number)
            if isinstance(moment, Asked):
                self._arm(running, moment)
            _, told = running.communicate(timeout=ENDED_WITHIN_S)
        assert running.returncode == -signal.SIGKILL, f"{moment} was not met: exit code {running.returncode}: {told}"
        if self.proxy:
            self.proxy.faults.clear()
        return time.monotonic() - began

    def finish(self) -> dict[str, Any]:
        """The same command to its end; what it tells of itself. Raises AssertionError where a chunk is lost."""
        with self._started("deployments.terminal") as running:
            out, told = running.communicate(timeout=ENDED_WITHIN_S)
        assert running.returncode == 0, told
        self.calls = self._received_in_all()
        facts: dict[str, Any] = json.loads(out.splitlines()[-1])
        rows = csv.DictReader(io.StringIO(self.output.read(f"{self.story.stem}.manifest.csv").decode()))
        said = [row["text"] for row in rows if row["status"] == "ok"]
        assert said == self.story.read_text().split("\n\n"), "lost"
        return facts

    def repeated(self) -> int:
        """Calls that were made twice, or more often."""
        return self.calls - len(self._committed())

    def paid_again(self) -> list[str]:
        """Texts that were billed once more after they were committed."""
        ledger = [entry["text"] for entry in self.emulator.ledger("cartesia")]
        return [text for text, billed in self.kept.items() if text in ledger[billed:]]

    def scratch(self) -> list[str]:
        """Hidden names that stand in the output."""
        return sorted(entry.name for entry in self.output.entries() if is_hidden(entry.name))

    def sound(self) -> bytes:
        """The recording, decoded."""
        decoded, _ = soundfile.read(io.BytesIO(self.output.read(f"{self.story.stem}.wav")), dtype="int16")
        return bytes(decoded.tobytes())

    def _started(self, module: str, *first: str) -> "subprocess.Popen[str]":
        home = tempfile.mkdtemp(dir=self.home) if self.elsewhere else str(self.home)
        places = ["--shelf", self.shelf.address, "--output", self.output.address]
        options = [*OPTIONS, "--server", self.emulator.server("cartesia"), *places]
        return subprocess.Popen(
            [sys.executable, "-m", module, *first, "narrate", str(self.story), *options],
            cwd=ROOT,
            env={**self.environment, "SPEECH_HOME": home, "CARTESIA_API_KEYS": KEYS},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _kill_when_received(self, running: "subprocess.Popen[str]", number: int) -> None:
        while running.poll() is None and self.received() < number:
            time.sleep(0.002)
        running.kill()

    def _arm(self, running: "subprocess.Popen[str]", moment: Asked) -> None:
        class Fatal(Fault):
            """Nobody is there any more when the fault is played."""

            count = 0

            def fits(self, method: str, target: str) -> bool:
                self.count += bool(re.search(moment.request, f"{method} {target}"))
                if self.count < moment.number or running.poll() is not None:
                    return False
                running.kill()
                running.wait()
                return True

        assert self.proxy
        self.proxy.faults.append(Fatal(moment.fate))

    def received(self) -> int:
        return sum(account["calls"] for account in self._accounts())

    def _accounts(self) -> list[dict[str, int]]:
        return list(self.emulator.state()["accounts"].get("cartesia", {}).values())

    def _received_in_all(self) -> int:
        """Once those under way have ended at the provider's."""
        end = time.monotonic() + 10
        while any(account["in_flight"] for account in self._accounts()):
            assert time.monotonic() < end
            time.sleep(0.01)
        return self.received()

    def _committed(self) -> set[str]:
        """The texts whose clip stands on the shelf, or in this machine's copy of it."""
        mirrors = [] if self.elsewhere else map(Folder, self.home.glob("mirrors/*"))
        texts = set()
        for shelf in (self.shelf, *mirrors):
            names = [entry.name for entry in shelf.entries() if re.match("../.*json$", entry.name)]
            texts |= {json.loads(facts)["text"] for facts in shelf.read_many(names).values()}
        return texts

    def _torn(self) -> Iterator[str]:
        shelf = {entry.name: entry.bytes for entry in self.shelf.entries() if re.match("../", entry.name)}
        held = self.shelf.read_many(shelf)
        for name, data in held.items():
            if name.endswith(".json"):
                facts = json.loads(data)
                sound = held.get(f"{name[:3]}{facts['file']}", b"")
                if hashlib.sha256(sound).hexdigest() != facts["clip"]["sha256"]:
                    yield name
            elif not name.endswith(".pieces") and hashlib.sha256(data).hexdigest()[:8] != name.split(".")[1]:
                yield name
        for entry in list(self.output.entries()):
            if not is_hidden(entry.name) and not _is_whole(entry.name, self.output.read(entry.name)):
                yield entry.name


def is_hidden(name: str) -> bool:
    """Whether nobody takes it for a file of the run: scratch."""
    return any(part.startswith(".") for part in name.split("/"))


def _is_whole(name: str, data: bytes) -> bool:
    """Whether a file of the output is all there; one that nobody knows is not."""
    text = data if name.endswith(".wav") else data.decode()
    with contextlib.suppress(ValueError, IndexError):
        match text, name.partition(".")[2]:
            case bytes(), _:
                return int.from_bytes(data[4:8], "little") + 8 == len(data)
            case str(), "manifest.json":
                return bool(json.loads(text)["audio"]["sha256"])
            case str(), "manifest.csv":
                return len({len(row) for row in csv.reader(text.splitlines(keepends=True))}) == 1
            case str(), "srt":
                return text.endswith("\n") and "-->" in text.rstrip().split("\n\n")[-1]
            case str(), "report.html":
                return text.rstrip().endswith("</html>")
    return False


def main() -> None:
    """The command, which kills itself."""
    sys.addaudithook(_Trap(Inside(**json.loads(sys.argv.pop(1)))))
    from deployments.terminal import main as speech

    speech()


if __name__ == "__main__":
    main()
