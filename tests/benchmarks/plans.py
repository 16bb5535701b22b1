"""How much of a plan a run uses, and what keys do under faults: whole `speech narrate` commands against the emulator.

Run from the checkout: `uv run python tests/benchmarks/plans.py [--calls N] [SCENARIO …]`; all of it takes about twenty
minutes on two cores. Each row is judged by the emulator's own count, from the first call to the end of the last; the
bare loop beside it is asyncio and httpx under the same limit. Exit code 1 when a bound is broken.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bounds import Row

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
CALLS = 300
KEYS = "one:test-key-1"


class Plans:
    """The emulator, and a home for each command."""

    def __init__(self, emulator: Any, place: Path, calls: int) -> None:
        self.emulator, self.place, self.calls = emulator, place, calls

    def story(self, name: str, count: int) -> Path:
        path = self.place / f"{name}.txt"
        lines = (f"This is sentence number {number} of the story that is called {name}." for number in range(count))
        path.write_text("\n\n".join(lines))
        return path

    @contextlib.contextmanager
    def home(self) -> Iterator[dict[str, str]]:
        """An environment with a state of its own, which two commands may share."""
        with tempfile.TemporaryDirectory(dir=self.place) as home:
            settings = {"SPEECH_HOME": f"{home}/speech", "PREFECT_HOME": f"{home}/prefect", "HOME": home}
            yield {**os.environ, **settings}

    def start(
        self, story: Path, environment: dict[str, str], provider: str, plan: str, keys: str
    ) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "deployments.terminal", "narrate", str(story), "--format", "wav", "--json"]
        options = ["--provider", provider, "--server", self.emulator.server(provider), "--plan", plan]
        return subprocess.Popen(
            [*command, *options, "--output", environment["HOME"]],
            cwd=ROOT,
            env={**environment, f"{provider.upper()}_API_KEYS": keys},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def narrated(self, provider: str, plan: str, keys: str = KEYS, *, calls: int = 0) -> dict[str, Any]:
        """One command to its end; what it tells of itself."""
        with self.home() as environment:
            return finished(self.start(self.story("alone", calls or self.calls), environment, provider, plan, keys))

    def prepare(self, provider: str, plan: str, latency_s: float, *rules: dict[str, Any]) -> None:
        self.emulator.reset()
        self.emulator.settings(latency_s=latency_s, fast=True, plans={provider: plan})
        self.emulator.script(provider, *rules)

    def bare_s(self, limit: int, latency_s: float) -> float:
        """The span of a loop that does nothing but call."""
        self.prepare("cartesia", "-/-/-/-", latency_s)
        asyncio.run(self._bare(limit))
        return self.span("cartesia", latency_s)

    async def _bare(self, limit: int) -> None:
        import httpx

        from blocks.providers import opened
        from blocks.providers.cartesia import request
        from blocks.speech import Voice

        server = self.emulator.server("cartesia")
        async with opened("cartesia", server, "test-key-1") as provider:
            voice = await provider.resolve(Voice("cartesia"))
        headers = {"authorization": "Bearer test-key-1", "cartesia-version": "2026-03-01"}
        gate = asyncio.Semaphore(limit)
        async with httpx.AsyncClient(headers=headers, timeout=60) as http:

            async def call(text: str) -> None:
                async with gate:
                    answer = await http.post(f"{server}/tts/bytes", json=request(text, voice))
                    answer.raise_for_status()

            await asyncio.gather(*map(call, self._texts()))

    def _texts(self) -> list[str]:
        return self.story("bare", self.calls).read_text().split("\n\n")

    def span(self, provider: str, latency_s: float) -> float:
        """From the first call's arrival to the end of the last."""
        arrivals = [entry["at"] for entry in self.emulator.ledger(provider)]
        return max(arrivals) - min(arrivals) + latency_s

    def most(self, provider: str) -> int:
        """Calls at one time, of the account that had the most."""
        accounts = self.emulator.state()["accounts"].get(provider, {})
        return max((facts["most_in_flight"] for facts in accounts.values()), default=0)


def finished(command: "subprocess.Popen[str]") -> dict[str, Any]:
    out, err = command.communicate(timeout=1200)
    if command.returncode:
        raise SystemExit(f"speech ended with {command.returncode}: {err[-2000:]}")
    facts: dict[str, Any] = json.loads(out.splitlines()[-1])
    return facts


def alone(plans: Plans) -> Iterator[Row]:
    """One run on one plan, beside the bare loop."""
    for plan, limit, latency_s, bound in (("pro", 3, 1.0, 1.02), ("scale", 15, 0.5, 1.06)):
        bare_s = plans.bare_s(limit, latency_s)
        plans.prepare("cartesia", plan, latency_s)
        plans.narrated("cartesia", plan)
        name = f"{plans.calls} x {latency_s} s at {limit}"
        ratio = plans.span("cartesia", latency_s) / bare_s
        yield Row(name, f"span beside a bare loop ({bare_s:.1f} s)", ratio, bound)
        yield Row(name, "most calls at one time", plans.most("cartesia"), limit)


def together(plans: Plans) -> Iterator[Row]:
    """Two runs on one plan, the second begun while the first speaks."""
    half, latency_s, limit = plans.calls // 2, 1.0, 3
    plans.prepare("cartesia", "pro", latency_s)
    with plans.home() as environment:
        started = time.time()
        first = plans.start(plans.story("first", half), environment, "cartesia", "pro", KEYS)
        while not plans.emulator.ledger("cartesia"):
            time.sleep(0.1)
        late = plans.start(plans.story("late", half), environment, "cartesia", "pro", KEYS)
        began = time.time()
        start_up_s = plans.emulator.ledger("cartesia")[0]["at"] - started
        for command in (first, late):
            finished(command)
    calls = plans.emulator.ledger("cartesia")
    at = {name: [entry["at"] for entry in calls if f"called {name}" in entry["text"]] for name in ("first", "late")}
    opened, closed = min(at["late"]), min(max(at["first"]), max(at["late"]))
    both = {name: sum(opened <= moment <= closed for moment in moments) for name, moments in at.items()}
    name = f"two runs of {half} x 1.0 s at {limit}"
    yield Row(name, "most calls at one time", plans.most("cartesia"), limit)
    yield Row(name, "combined span beside the ideal", plans.span("cartesia", 1) / (2 * half / limit), 1.05)
    yield Row(name, f"later run's first call, start-up ({start_up_s:.0f} s) apart", opened - began - start_up_s, 15)
    share = both["late"] / sum(both.values())
    yield Row(name, "the later run's share while both run", share, 0.4, least=True)
    yield Row(name, "the later run's share while both run", share, 0.6)


def believed(plans: Plans) -> Iterator[Row]:
    """An account that takes less than its plan says."""
    plans.prepare("cartesia", "3/-/-/-", 1.0)
    plans.narrated("cartesia", "startup")
    calls = plans.emulator.ledger("cartesia")
    refused = sum(entry["status"] == 429 for entry in calls) / len(calls)
    name = f"{plans.calls} x 1.0 s, true cap 3, believed 5"
    yield Row(name, "share of calls refused", refused, 0.02)
    yield Row(name, "span beside the ideal", plans.span("cartesia", 1.0) / (plans.calls / 3), 1.12)


def troubled(plans: Plans) -> Iterator[Row]:
    """A tenth of the calls goes wrong, in every way."""
    kinds = ("internal", "rate_limited", "reset", "html", "empty", "cut_length", "silence")
    rules = [{"fault": kind, "probability": 0.1 / len(kinds), "retry_after": "int", "seconds": 1} for kind in kinds]
    plans.prepare("cartesia", "pro", 1.0, *rules)
    facts = plans.narrated("cartesia", "pro")
    name = f"{plans.calls} x 1.0 s at 3, a tenth fails"
    yield Row(name, "span beside the ideal", plans.span("cartesia", 1.0) / (plans.calls / 3), 1.3)
    yield Row(name, "chunks that failed", len(facts["failures"]), 0)


def five(plans: Plans) -> Iterator[Row]:
    """Five accounts: one key revoked, one without quota, one that fails often, and two that are well."""
    two, latency_s = "test-1:test-key-1,test-2:test-key-2", 1.0
    plans.prepare("cartesia", "pro", latency_s)
    plans.narrated("cartesia", "pro", two)
    good_s = plans.span("cartesia", latency_s)
    rules = [
        {"fault": "payment_required", "account": "account-3"},
        {"fault": "internal", "account": "account-4", "probability": 0.4},
    ]
    plans.prepare("cartesia", "pro", latency_s, *rules)
    plans.narrated("cartesia", "pro", f"{two},test-3:test-key-3,test-4:test-key-4,test-5:revoked")
    name = "five keys, two of them good"
    yield Row(name, "throughput beside the two alone", good_s / plans.span("cartesia", latency_s), 0.95, least=True)


SCENARIOS: dict[str, Callable[[Plans], Iterator[Row]]] = {
    function.__name__: function for function in (alone, together, believed, troubled, five)
}


def main(arguments: Sequence[str] | None = None) -> int:
    from tests.emulator.fixture import started

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []], default=list(SCENARIOS))
    parser.add_argument("--calls", type=int, default=CALLS, help="of each scenario (default: %(default)s)")
    options = parser.parse_args(arguments)
    passed = True
    with started("--fast") as emulator, tempfile.TemporaryDirectory() as place:
        for scenario in options.scenario:
            for row in SCENARIOS[scenario](Plans(emulator, Path(place), options.calls)):
                passed = passed and row.passed
                print(row, flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
