"""What each fault of each provider does to a run: one call in five goes wrong, through the whole of `narrate`.

Run from the checkout: `uv run python tests/benchmarks/faults.py [--quick] [--provider NAME …] [--fault NAME …]`; all
of it takes a quarter of an hour on two cores that do nothing else. Exit code 1 when a text is not spoken, when a wrong
answer is heard and no flag tells of it (a false accept), or when a good answer was paid twice. Rows that end a run by
contract (key, account, voice) are not played.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
UNITS, QUICK_UNITS = 200, 60
TRANSIENT = {
    "gemini": "internal unavailable deadline_exceeded quota_minute quota_tokens quota_bare finish_other max_tokens "
    "two_parts text_part",  # the others refuse a text for what it says, or end the run
    "cartesia": "concurrency_limited rate_limited internal bad_gateway unavailable",
    "elevenlabs": "concurrent_limit_exceeded rate_limit_exceeded system_busy internal_error service_unavailable "
    "maintenance concurrent_modification already_running",
    "openai": "rate_limit_exceeded internal overloaded slow_down",
    "f5": "out_of_memory busy",  # its `internal` tells of a voice that is not there
    "piper": "internal",
}
"""Each provider's own faults that may pass."""
QUICK = {"third", "wrong_rate", "fallback_voice", "cut_close", "reset", "html", "internal", "drip"}
WHO = """\
The keeper|My younger sister|A tired postman|The second violin|Nobody in the village|The old ferryman|Her neighbour|
Every apprentice|The night nurse|A boy of seven|The mayor|Our geography teacher|The last passenger|A retired diver|
The baker's wife|Some tall stranger|The clockmaker|An honest thief|The whole orchestra|Professor Lindqvist"""
DID = """\
counted the stairs|forgot the umbrella|painted both doors blue|waited for the bus|wrote a long and careful letter|
sold four hundred apples|whistled|repaired the wireless set|read the map upside down|asked for a second cup of tea"""
WHEN = """\
before sunrise|because it was raining|in nineteen ninety-nine|without a single word|while the others were asleep|
although the harbour had been closed since Tuesday|again|for the third time that week, as the records show|
by candlelight|and went home"""


def texts(count: int) -> list[str]:
    """Sentences of 40 to 150 characters, all different: those of the language bench first."""
    lines = (ROOT / "tests/data/languages/en-us.txt").read_text().splitlines()
    who, did, when = (words.replace("\n", "").split("|") for words in (WHO, DID, WHEN))
    for number in range(len(who) * len(did)):
        place, turn = divmod(number, len(who))
        lines.append(f"{who[turn]} {did[(turn + place) % len(did)]} {when[(place + 3 * turn) % len(when)]}.")
    return [line for line in dict.fromkeys(lines) if 40 <= len(line) <= 150][:count]


def faults_of(provider: str) -> list[str]:
    from tests.emulator.faults import MEANINGS

    return [*MEANINGS, *TRANSIENT[provider].split()]


HEAD = (
    f"{'provider':11}{'fault':27}{'spoken':>9}{'false':>6}{'calls':>6}{'played':>7}{'retries':>8}"
    f"{'flags':>6}{'alarms':>7}{'s':>6}"
)


def told(cell: Any) -> str:
    line = (
        f"{cell.provider:11}{cell.fault or '-':27}{f'{cell.spoken}/{cell.units}':>9}{len(cell.false):6}{cell.calls:6}"
        f"{cell.played:7}{cell.retries:8}{cell.flagged:6}{len(cell.alarms):7}{cell.elapsed_s:6.1f}"
        f"  {'PASS' if cell.passed else 'FAIL'}"
    )
    paid = ", ".join(f"{count} {kind}" for kind, count in sorted(cell.wasted.items()))
    return "  ".join(filter(None, [line, paid and f"billed and not heard: {paid}", cell.stopped[:160]]))


async def table(options: argparse.Namespace, place: Path) -> bool:
    """Whether all cells pass; each is printed when it is known."""
    from tests.benchmarks.cells import Bench, hurry
    from tests.emulator.fixture import started

    hurry()
    passed = True
    with started() as emulator:
        bench = Bench(place, emulator, texts(options.units or (QUICK_UNITS if options.quick else UNITS)))
        for provider in options.provider:
            os.environ[f"{provider.upper()}_API_KEYS"] = "test-key-1"
            asked = options.fault or (QUICK if options.quick else faults_of(provider))
            for fault in ["", *(fault for fault in faults_of(provider) if fault in asked)]:
                cell = await bench.cell(provider, fault)
                passed &= cell.passed
                print(told(cell), flush=True)
                for text in cell.false[: options.show]:
                    print(f"    false accept: {text}")
                for text in cell.alarms[: options.show]:
                    print(f"    false alarm: {text}")
    return passed


def alone(options: argparse.Namespace) -> bool:
    """The table of these providers, in this process, beside an emulator and a Prefect server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ.update(PREFECT_HOME=f"{place}/prefect", SPEECH_HOME=f"{place}/speech")
        os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
        os.environ["PREFECT_RESULTS_LOCAL_STORAGE_PATH"] = f"{place}/results"
        from deployments.server import connect

        server = connect()  # before anything imports Prefect
        if server:
            server.wait_until_healthy()
        return asyncio.run(table(options, place))


def together(providers: Sequence[str], jobs: int) -> bool:
    """The same, dealt out to processes; their lines come as they are known."""
    command = [sys.executable, __file__, *sys.argv[1:], "--jobs", "1", "--only"]
    shares = [providers[number::jobs] for number in range(min(jobs, len(providers)))]
    running = [subprocess.Popen([*command, *share]) for share in shares]
    endings = [process.wait() for process in running]
    return not any(endings)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"a few faults, {QUICK_UNITS} units")
    parser.add_argument("--units", type=int, default=0, help=f"of each run (default: {UNITS})")
    parser.add_argument("--provider", nargs="+", default=list(TRANSIENT), choices=TRANSIENT)
    parser.add_argument("--fault", nargs="+")
    parser.add_argument("--jobs", type=int, default=2, help="processes that share the providers (default: 2)")
    parser.add_argument(
        "--show", type=int, default=0, metavar="N", help="of each cell's false accepts and false alarms"
    )
    parser.add_argument("--only", nargs="+", default=[], help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.provider = options.only or options.provider
    if not options.only:
        print(HEAD, flush=True)
    whole = alone(options) if options.jobs == 1 else together(options.provider, options.jobs)
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
