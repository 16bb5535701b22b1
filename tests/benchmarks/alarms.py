"""How often verification cries wolf: clean speech of the embedded voice, refused or called suspect, by language.

Run from the checkout: `uv run python tests/benchmarks/alarms.py [--language TAG …] [--show]`: ten seconds. The texts
are `tests/data/languages/<tag>.txt`, a chunk a line: prose, and all the short things that books hold. They are judged
three times: as one run, as its short items alone, and dealt out to small runs, where a voice is known by less.

`--words` has words alone instead, in every language of the voice: its numbers, its letters and, of those texts, its
words; slow, fast, whispered and croaked; as one run and in lists of three. And what is caught of sounds that are none:
noises of a second, a word said five times, a word and five seconds of babble. A few minutes. Exit code 1 when a bound
is broken.
"""

import argparse
import asyncio
import io
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from blocks.providers.espeak import Espeak  # noqa: E402 - found once the path is set
from blocks.speech import CallFailed, Voice  # noqa: E402
from tasks.clips import Clip, Failure, Take  # noqa: E402
from tasks.document import Boundary, Chunk  # noqa: E402
from tasks.suspects import suspects  # noqa: E402
from tasks.verify import check_pace, measure  # noqa: E402
from tests.noises import NOISES, noise  # noqa: E402

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
    except CallFailed as error:
        return Take(chunk, Failure(type(error).__name__, str(error), 1))
    return verified(chunk, audio.data, voice.speed)


def verified(chunk: Chunk, data: bytes, speed: float) -> Take:
    try:
        measured = measure(data)
        check_pace(measured, chunk.text, speed)
    except CallFailed as error:
        return Take(chunk, Failure(type(error).__name__, str(error), 1))
    known = {field.name for field in fields(Clip)}
    facts = {name: value for name, value in asdict(measured).items() if name in known}
    return Take(chunk, Clip(uri="", sha256="", bytes=len(data), **facts))


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


MANNERS = {
    "plain": ("", 1.0),
    "slow": ("f2", 0.5),
    "fast": ("", 3.0),
    "whisper": ("whisper", 1.0),
    "croak": ("croak", 1.0),
}
WORDS_BOUND, CATCHES_BOUND = 0.001, 0.9
ALONE = ("a", "Hi", "42", "1984", "3.14159", "psst", "shh", "OK", "TV", "bye-bye", "\u2103", "\u00bd")
READ_BY_NAME = {"as", "or"}
"""Whose letters the voice cannot say, and names one by one: those alarms are true."""


def words_of(tag: str) -> list[str]:
    file = TEXTS / f"{tag}.txt"
    found = sorted({word for word in file.read_text().split() if len(word) < SHORT} if file.exists() else ())
    letters = sorted({letter for word in found for letter in word if letter.isalpha()}) or list("abdefgiklmnorstu")
    numbers = [str(number) for number in (*range(21), *range(25, 101, 5))]
    chosen = random.Random(7)
    return list(dict.fromkeys([*ALONE, *numbers, *letters[:40], *chosen.sample(found, min(150, len(found)))]))


async def words_alone(speaker: Espeak, *, show: bool) -> bool:
    """Print how many real words are refused or suspected, by manner, and what is caught of sounds that are none."""
    tags = sorted({offer.language for offer in await speaker.voices()} - READ_BY_NAME)
    kept = True
    print(f"{'words':9}{'clips':>7}{'refused':>9}{'one run':>16}{'lists of three':>16}")
    for manner, (variant, speed) in MANNERS.items():
        counts: Counter[str] = Counter()
        for tag in tags if manner == "plain" else tags[::3]:
            base = await speaker.resolve(Voice(speaker.name, language=tag))
            voice = replace(base, name=f"{base.name}+{variant}" if variant else base.name, speed=speed)
            takes = await asyncio.gather(*(spoken(word, voice, speaker) for word in words_of(tag)))
            said = [take for take in takes if not _mute(take)]
            threes = [alarms(said[place : place + 3]) for place in range(0, len(said), 3)]
            found = [alarms(said), *threes]
            refused = sum(isinstance(take.outcome, Failure) for take in said)
            counts.update(clips=len(said), refused=refused, run=len(found[0]), threes=sum(map(len, threes)))
            for text, told in [item for part in found for item in part.items()] if show else ():
                print(f"    {tag} {text!r}: {told}")
        clips, refused, run, few = (counts[name] for name in ("clips", "refused", "run", "threes"))
        good = not refused and max(run, few) <= WORDS_BOUND * clips
        kept &= good
        print(f"{manner:9}{clips:7}{refused:9}{run:8}{run / clips:8.2%}{few:8}{few / clips:8.2%}  {_told(good)}")
    return await catches(speaker) and kept


def _mute(take: Take) -> bool:
    """Where the voice has no sound for a sign, or its engine crashes over it, there is nothing to verify."""
    if not isinstance(take.outcome, Failure):
        return False
    return take.outcome.reason.startswith(("espeak made no sound", "silence")) or "was ended by" in take.outcome.reason


async def catches(speaker: Espeak) -> bool:
    """Print what share of the sounds that are none is refused, or suspected in a run and in a list of three."""
    voice = await speaker.resolve(Voice(speaker.name, language="en-US"))
    words = [word for word in words_of("en-us") if len(word) > 1]
    good = [await spoken(word, voice, speaker) for word in words]
    heard = {word: soundfile.read(io.BytesIO((await speaker.synthesise(word, voice)).data))[0] for word in words}
    rate, babble = 22_050, np.concatenate(list(heard.values()))
    wrong = {kind: dict.fromkeys(words, noise(kind, 1.5, rate, 0.1)) for kind in NOISES}
    wrong["five times"] = {word: np.tile(sound, 5) for word, sound in heard.items()}
    wrong["babble"] = {word: np.concatenate([sound, babble[: 5 * rate]]) for word, sound in heard.items()}
    kept = True
    print(f"\n{'caught':12}{'refused':>9}{'in a run':>10}{'of three':>10}")
    for kind, sounds in wrong.items():
        takes = [verified(one.chunk, _file(sounds[one.chunk.text], rate), 1.0) for one in good]
        refused = sum(isinstance(take.outcome, Failure) for take in takes)
        runs = [[*good[:place], take, *good[place + 1 :]] for place, take in enumerate(takes)]
        lists = [[take, good[place - 1], good[place - 2]] for place, take in enumerate(takes)]
        run, few = (
            sum(take.chunk.text in alarms(some) for take, some in zip(takes, by, strict=True)) for by in (runs, lists)
        )
        enough = run >= CATCHES_BOUND * len(takes)
        kept &= enough
        print(f"{kind:12}" + "".join(f"{one / len(takes):>9.0%} " for one in (refused, run, few)) + _told(enough))
    return kept


def _file(sound: np.ndarray, rate: int) -> bytes:
    data = io.BytesIO()
    soundfile.write(data, sound, rate, format="WAV")
    return data.getvalue()


def _told(good: bool) -> str:
    return "PASS" if good else "FAIL"


async def words_table(*, show: bool) -> bool:
    speaker = Espeak()
    try:
        return await words_alone(speaker, show=show)
    finally:
        await speaker.close()


def main() -> int:
    known = sorted(file.stem for file in TEXTS.glob("*.txt"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", action="append", choices=known)
    parser.add_argument("--show", action="store_true", help="print each alarm")
    parser.add_argument("--words", action="store_true", help="words alone, in every language of the voice")
    options = parser.parse_args()
    if options.words:
        return 0 if asyncio.run(words_table(show=options.show)) else 1
    return 0 if asyncio.run(table(options.language or known, show=options.show)) else 1


if __name__ == "__main__":
    sys.exit(main())
