"""Word lists: how much of a plan they use, how fast a long one goes, and what the same list costs again.

Run from the checkout: `uv run python tests/benchmarks/wordlist.py [plans|long] [--rows N] [--format mp3]`; all
of it takes about ten minutes on two cores. `plans` are 100 words with three fields each, in calls of 1 s, under three
plans, judged by the emulator's own count, from the first call to the end of the last. `long` is a list without a wait:
whole commands, start-up and files included, with the memory that the command took at most. Exit code 1 when a bound is
broken.
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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bounds import Row

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
FIELDS = ("word", "definition", "sentence")
PLANS = {"pro": 3, "startup": 5, "scale": 15}


class Lists:
    """The emulator, and a home that the commands share."""

    def __init__(self, emulator: Any, place: Path, rows: int, suffix: str) -> None:
        self.emulator, self.place, self.rows, self.suffix = emulator, place, rows, suffix
        self.peak_mb = 0.0

    def table(self, rows: int) -> Path:
        path = self.place / f"words-{rows}.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(FIELDS)
            for number in range(rows):
                writer.writerow([f"word {number}", f"the meaning of number {number}", f"Here is sentence {number}."])
        return path

    def voiced(self, table: Path, plan: str, home: str) -> tuple[dict[str, Any], float]:
        """One command to its end: what it tells of itself, and its wall time."""
        settings = {"SPEECH_HOME": f"{home}/speech", "PREFECT_HOME": f"{home}/prefect", "HOME": home}
        command = [sys.executable, "-m", "deployments.terminal", "wordlist", str(table), "--fields", ",".join(FIELDS)]
        through = ["--provider", "cartesia", "--server", self.emulator.server("cartesia"), "--plan", plan]
        began = time.monotonic()
        running = subprocess.Popen(
            [*command, *through, "--format", self.suffix, "--output", f"{home}/out-{table.stem}", "--json"],
            cwd=ROOT,
            env={**os.environ, **settings, "CARTESIA_API_KEYS": "one:test-key-1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.peak_mb = 0.0
        while running.poll() is None:
            self.peak_mb = max(self.peak_mb, _peak_mb(running.pid))
            time.sleep(0.5)
        out, err = running.communicate()
        if running.returncode:
            raise SystemExit(f"speech ended with {running.returncode}: {err[-2000:]}")
        return json.loads(out.splitlines()[-1]), time.monotonic() - began

    def prepare(self, plan: str, latency_s: float) -> None:
        """The emulator makes its babble when it is first asked for some, which takes seconds that are no run's."""
        self.emulator.reset()
        self.emulator.settings(fast=True)
        asyncio.run(self._ask())
        self.emulator.reset()
        self.emulator.settings(latency_s=latency_s, fast=True, plans={"cartesia": plan})

    async def _ask(self) -> None:
        from blocks.providers import opened
        from blocks.speech import Voice

        async with opened("cartesia", self.emulator.server("cartesia"), "test-key-1") as provider:
            await provider.synthesise("Hello.", await provider.resolve(Voice("cartesia")))

    def span_s(self, latency_s: float) -> float:
        arrivals = [entry["at"] for entry in self.emulator.ledger("cartesia")]
        return max(arrivals) - min(arrivals) + latency_s


def _peak_mb(pid: int) -> float:
    """The most memory that a process has held; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM")), 0.0)


def plans(lists: Lists) -> Iterator[Row]:
    """100 words with three fields, in calls of 1 s."""
    for plan, limit in PLANS.items():
        lists.prepare(plan, 1.0)
        with tempfile.TemporaryDirectory(dir=lists.place) as home:
            facts, _ = lists.voiced(lists.table(100), plan, home)
        calls = len(lists.emulator.ledger("cartesia"))
        ideal_s, span_s = calls / limit, lists.span_s(1.0)
        accounts = lists.emulator.state()["accounts"]["cartesia"].values()
        name = f"cartesia:{plan}, {limit} at one time"
        yield Row(name, f"span ({span_s:.1f} s) beside the ideal ({ideal_s:.0f} s)", span_s / ideal_s, 1.05)
        yield Row(name, "most calls at one time", max(one["most_in_flight"] for one in accounts), limit)
        yield Row(name, "clips that failed", facts["failed"], 0)


def long(lists: Lists) -> Iterator[Row]:
    """A long list without a wait; and the same list again."""
    table, clips = lists.table(lists.rows), lists.rows * len(FIELDS)
    lists.prepare("-/-/-/-", 0.0)
    with tempfile.TemporaryDirectory(dir=lists.place) as home:
        facts, wall_s = lists.voiced(table, "scale", home)
        name = f"{lists.rows:,} rows x {len(FIELDS)}, {lists.suffix}"
        yield Row(name, f"clips a second, whole command ({wall_s:.0f} s)", facts["files"] / wall_s, 100, least=True)
        yield Row(name, "of them while calls were made", clips / lists.span_s(0.0), 100, least=True)
        yield Row(name, "memory at most, MB", lists.peak_mb, 600)
        yield Row(name, "calls, beside clips", len(lists.emulator.ledger("cartesia")) / clips, 1)
        yield Row(name, "cells without a clip", clips - facts["files"], 0)
        again, wall_s = lists.voiced(table, "scale", home)
        yield Row("the same list again", "calls", again["calls"], 0)
        yield Row("the same list again", "seconds, whole command", wall_s, 15)


SCENARIOS = {function.__name__: function for function in (plans, long)}


def main(arguments: Sequence[str] | None = None) -> int:
    from tests.emulator.fixture import started

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []], default=list(SCENARIOS))
    parser.add_argument("--rows", type=int, default=10_000, help="of the long list (default: %(default)s)")
    parser.add_argument("--format", default="wav", choices=["mp3", "opus", "flac", "wav"], help="default: %(default)s")
    options = parser.parse_args(arguments)
    passed = True
    with started("--fast") as emulator, tempfile.TemporaryDirectory() as place:
        for scenario in options.scenario:
            for row in SCENARIOS[scenario](Lists(emulator, Path(place), options.rows, options.format)):
                passed = passed and row.passed
                print(row, flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
