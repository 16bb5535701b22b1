"""How often verification cries wolf: clean speech of the embedded voice, refused or called suspect, by language.

Run from the checkout: `uv run python tests/benchmarks/alarms.py [--language TAG …] [--show]`: ten seconds. The texts
are `tests/data/languages/<tag>.txt`, a chunk a line: prose, and all the short things that books hold. They are judged
three times: as one run, as its short items alone, and dealt out to small runs, where a voice is known by less. Exit
code 1 when a bound is broken.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from blocks.providers.espeak import Espeak  # noqa: E402 - found once the path is set
from blocks.speech import CallFailed, Voice  # noqa: E402
from tasks.clips import Clip, Failure, Take  # noqa: E402
from tasks.document import Boundary, Chunk  # noqa: E402
from tasks.suspects import suspects  # noqa: E402
from tasks.verify import check_pace, measure  # noqa: E402

TEXTS = ROOT / "tests/data/languages"
BOUND = 0.01
SHORT = 20
"""Characters: shorter items are also a run of their own, as in a list of words."""
SMALL_RUN = 15
"""Chunks in a small run."""


async def spoken(text: str, voice: Voice, speaker: Espeak) -> Take:
    """What the verification of one clip makes of it."""
    chunk = Chunk(text, 0, Boundary.PARAGRAPH)
    try:
        audio = await speaker.synthesise(text, voice)
        measured = measure(audio.data)
        check_pace(measured, text, voice.speed)
    except CallFailed as error:
        return Take(chunk, Failure(type(error).__name__, str(error), 1))
    return Take(chunk, Clip(uri="", sha256="", bytes=len(audio.data), **asdict(measured)))


def alarms(takes: Sequence[Take]) -> dict[str, str]:
    """What is held against a text's speech, over one run."""
    refused = {take.chunk.text: take.outcome.reason for take in takes if isinstance(take.outcome, Failure)}
    return refused | suspects(takes)


def small_runs(takes: Sequence[Take]) -> list[Sequence[Take]]:
    """The takes, dealt out by chance: the same in each process."""
    mixed = random.Random(7).sample(takes, len(takes))
    runs = len(takes) // SMALL_RUN
    return [mixed[number::runs] for number in range(runs)]


async def judged(tag: str, speaker: Espeak, *, show: bool) -> bool:
    """Print a language's row; whether it keeps the bound."""
    voice = await speaker.resolve(Voice(speaker.name, language=tag))
    lines = (TEXTS / f"{tag}.txt").read_text().splitlines()
    takes = await asyncio.gather(*(spoken(line, voice, speaker) for line in lines))
    short = [take for take in takes if sum(not c.isspace() for c in take.chunk.text) < SHORT]
    found = [alarms(takes), alarms(short), *map(alarms, small_runs(takes))]
    counts = [(len(found[0]), len(takes)), (len(found[1]), len(short)), (sum(map(len, found[2:])), len(takes))]
    kept = all(count <= BOUND * size for count, size in counts)
    shares = "".join(f"{count:8}{count / size:8.2%}" for count, size in counts)
    print(f"{tag:9}{len(takes):6}{shares}  <= {BOUND:.0%}: {'PASS' if kept else 'FAIL'}")
    if show:
        for text, told in [item for part in found for item in part.items()]:
            print(f"    {text[:60]!r}: {told}")
    return kept


async def table(languages: Sequence[str], *, show: bool) -> bool:
    print(f"{'language':9}{'clips':>6}{'one run':>16}{'short alone':>16}{'small runs':>16}")
    speaker = Espeak()
    try:
        kept = [await judged(tag, speaker, show=show) for tag in languages]
    finally:
        await speaker.close()
    return all(kept)


def main() -> int:
    known = sorted(file.stem for file in TEXTS.glob("*.txt"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", action="append", choices=known)
    parser.add_argument("--show", action="store_true", help="print each alarm")
    options = parser.parse_args()
    return 0 if asyncio.run(table(options.language or known, show=options.show)) else 1


if __name__ == "__main__":
    sys.exit(main())
