"""How well several servers of one's own are used: whole `speech narrate` commands against emulated F5 servers.

Run from the checkout: `uv run python tests/benchmarks/servers.py [--calls N] [--seconds S]`; all of it takes
about fifteen minutes. Each row is judged by the servers' own counts, from the first call to the end of the last; the
bare loop beside it is asyncio and httpx, a call at a time on each server. Exit code 1 when a bound is broken.
"""

import argparse
import asyncio
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
CALLS, SECONDS = 150, 1.0
OF_IDEAL, OF_BARE = 1.05, 1.03
IDLE_CALLS = 10
"""A lost server's probes and the way back may cost the others so many calls' time."""


@dataclass(frozen=True, slots=True)
class Row:
    """A run on so many servers, and what it is held against."""

    servers: str
    ideal_s: float
    took_s: float
    bare_s: float
    faults: str = ""
    most_of_ideal: float = OF_IDEAL

    @property
    def passed(self) -> bool:
        beside = not self.bare_s or self.took_s <= OF_BARE * self.bare_s
        return not self.faults and beside and self.took_s <= self.most_of_ideal * self.ideal_s

    def __str__(self) -> str:
        of_bare = f"{self.took_s / self.bare_s:6.3f}" if self.bare_s else "     -"
        verdict = self.faults or ("PASS" if self.passed else "FAIL")
        of_ideal = self.took_s / self.ideal_s
        return f"{self.servers:24} {self.ideal_s:8.1f} {self.took_s:8.1f} {of_ideal:8.3f} {of_bare:>12}  {verdict}"


def servers(opened: ExitStack, count: int, seconds: float) -> list[Any]:
    """Emulators, each of which takes exactly so long for a call."""
    from tests.emulator.fixture import started

    found = [opened.enter_context(started("--fast")) for _ in range(count)]
    for emulator in found:
        emulator.settings(latency_s=seconds)
    return found


def span_s(ledgers: Sequence[Sequence[dict[str, Any]]], seconds: float) -> float:
    """From the first call's arrival to the end of the last."""
    arrivals = [entry["at"] for ledger in ledgers for entry in ledger]
    return max(arrivals) - min(arrivals) + seconds


def narrated(urls: Sequence[str], story: Path, place: Path) -> subprocess.Popen[str]:
    home = tempfile.mkdtemp(dir=place)
    command = [sys.executable, "-m", "deployments.terminal", "narrate", str(story), "--format", "wav", "--json"]
    return subprocess.Popen(
        [*command, "--provider", "f5", "--voice", "anna", "--server", ",".join(urls), "--output", home],
        cwd=ROOT,
        env={**os.environ, "SPEECH_HOME": f"{home}/speech", "PREFECT_HOME": f"{home}/prefect", "HOME": home},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(command: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = command.communicate(timeout=1800)
    if command.returncode:
        raise SystemExit(f"speech ended with {command.returncode}: {err[-2000:]}")
    facts: dict[str, Any] = json.loads(out.splitlines()[-1])
    return facts


async def bare(urls: Sequence[str], texts: Sequence[str]) -> None:
    """Nothing but calls, one at a time on each server."""
    left = iter(texts)
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:

        async def busy(url: str) -> None:
            for text in left:
                answer = await http.post(f"{url}/synthesize", json={"text": text, "voice": "anna"})
                answer.raise_for_status()

        await asyncio.gather(*map(busy, urls))


def story_of(place: Path, calls: int) -> tuple[Path, list[str]]:
    texts = [f"This is sentence number {number} of a story for several servers." for number in range(calls)]
    path = place / "story.txt"
    path.write_text("\n\n".join(texts))
    return path, texts


def whole(ledgers: Sequence[Sequence[dict[str, Any]]], texts: Sequence[str], facts: dict[str, Any]) -> str:
    """What is wrong with a run: texts that were not said, or said twice."""
    said = Counter(entry["text"] for ledger in ledgers for entry in ledger if entry["outcome"] == "ok")
    twice = sum(count - 1 for count in said.values())
    missing = len(set(texts) - said.keys()) + len(facts["failures"])
    return ", ".join(f"{count} {what}" for count, what in ((missing, "missing"), (twice, "said twice")) if count)


def heard_from(server: str, facts: dict[str, Any]) -> list[str]:
    """The texts whose clips this server made."""
    with Path(facts["manifest_csv"]).open(newline="", encoding="utf-8-sig") as file:
        return [row["text"] for row in csv.DictReader(file) if row["key"] == server.removeprefix("http://")]


def alone(place: Path, calls: int, seconds: float) -> Iterator[Row]:
    """One, two and three servers."""
    story, texts = story_of(place, calls)
    for count in (1, 2, 3):
        with ExitStack() as opened:
            emulators = servers(opened, count, seconds)
            urls = [emulator.server("f5") for emulator in emulators]
            asyncio.run(bare(urls, texts))
            bare_s = span_s([emulator.ledger() for emulator in emulators], seconds)
            for emulator in emulators:
                emulator.reset()
                emulator.settings(latency_s=seconds)
            facts = finished(narrated(urls, story, place))
            ledgers = [emulator.ledger() for emulator in emulators]
        yield Row(str(count), calls * seconds / count, span_s(ledgers, seconds), bare_s, whole(ledgers, texts, facts))


def dying(place: Path, calls: int, seconds: float, death: str) -> Iterator[Row]:
    """Three servers, one of which dies when half is said, for good."""
    story, texts = story_of(place, calls)
    with ExitStack() as opened, ExitStack() as doomed:
        emulators = [*servers(opened, 2, seconds), *servers(doomed, 1, seconds)]
        run = narrated([emulator.server("f5") for emulator in emulators], story, place)
        while sum(len(emulator.ledger()) for emulator in emulators) < calls / 2 and run.poll() is None:
            time.sleep(seconds / 10)
        if death == "gone":
            doomed.close()
        else:
            emulators[2].script("f5", {"fault": death}, {"fault": death, "on": "list"})
        facts = finished(run)
        ledgers = [emulator.ledger() for emulator in emulators[:2]]
    # What the lost server said is told by the manifest: its own ledger is lost, too.
    heard = [{"text": text, "outcome": "ok"} for text in heard_from(emulators[2].server("f5"), facts)]
    faults = whole([*ledgers, heard], texts, facts)
    # Half on three, the rest on two.
    ideal_s = calls * seconds * (1 / 6 + 1 / 4)
    bound = OF_IDEAL + IDLE_CALLS / calls
    yield Row(f"3, one {death} at half", ideal_s, span_s(ledgers, seconds), 0.0, faults, bound)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=CALLS, help="of each run (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="that a call takes (default: %(default)s)")
    parser.add_argument("--death", nargs="*", default=["gone"], help="how one dies: gone, or a fault of the emulator")
    parser.add_argument("--only-dying", action="store_true")
    options = parser.parse_args(arguments)
    passed = True
    print(f"{'servers':24} {'ideal, s':>8} {'took, s':>8} {'ratio':>8} {'of bare loop':>12}")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rows = [] if options.only_dying else [alone(place, options.calls, options.seconds)]
        rows += [dying(place, options.calls, options.seconds, death) for death in options.death]
        for group in rows:
            for row in group:
                passed = passed and row.passed
                print(row, flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
