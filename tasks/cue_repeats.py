"""Captions that roll, such as YouTube's automatic ones: each cue says again what the one before has said."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tasks.cue_text import Part, read_cue

_INLINE_TIME: Final = re.compile(r"<\d+:[\d:.,]+>")


@dataclass(frozen=True, slots=True)
class Repeat:
    """How many lines of a cue stood in the cue before, and whether that is a guess."""

    lines: int
    guessed: bool


def find_repeats(raws: Sequence[str], spoken: Sequence[Sequence[Part]]) -> list[Repeat]:
    """Of each cue, how much it repeats of the one before; nothing unless the file's captions roll.

    They do where words bear times of their own, of which a line that is repeated has none; or else where most cues
    begin with lines of the cue before, many of them to go on with others: a refrain that is sung twice stays.
    """
    lines = [_lines(parts) for parts in spoken]
    fresh = [_fresh(raw) for raw in raws]
    timed = 3 * sum(map(bool, fresh)) >= max(3, len(raws))
    overlaps = [0, *(_overlap(before, after) for before, after in pairwise(lines))][: len(raws)]
    if timed:
        return [
            Repeat(overlap if not fresh_lines.intersection(own[:overlap]) else 0, guessed=False)
            for overlap, own, fresh_lines in zip(overlaps, lines, fresh, strict=True)
        ]
    going_on = sum(0 < overlap < len(own) for overlap, own in zip(overlaps, lines, strict=True))
    rolls = len(raws) >= 4 and 2 * sum(map(bool, overlaps)) > len(raws) - 1 and 4 * going_on >= len(raws) - 1
    return [Repeat(overlap if rolls else 0, guessed=True) for overlap in overlaps]


def _lines(parts: Sequence[Part]) -> list[str]:
    """None of a cue with two speakers: such captions do not roll."""
    return [" ".join(line.split()) for line in parts[0].text.split("\n") if line] if len(parts) == 1 else []


def _fresh(raw: str) -> set[str]:
    """The lines whose words bear times."""
    if "<" not in raw:
        return set()
    timed = (line for line in raw.split("\n") if _INLINE_TIME.search(line))
    return {said for line in timed for said in _lines(read_cue(line))}


def _overlap(before: list[str], after: list[str]) -> int:
    """How many lines end the one and begin the other."""
    most = min(len(before), len(after), 8)
    return next((n for n in range(most, 0, -1) if before[-n:] == after[:n]), 0)
