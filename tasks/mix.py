"""Speech that overlaps is heard together, and no louder for it."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tasks.stretch import Samples
from tasks.timeline import Placement

Sums = np.ndarray[Any, np.dtype[np.int32]]

RAMP_S = 0.02
"""Before speech is joined by other speech, and after it is alone again, so long goes into the change of its level."""
FULL_SCALE = 32767


@dataclass(frozen=True, slots=True)
class Level:
    """How loud the sum is heard in `[start, end)`."""

    start: int
    end: int
    gain: float


def mixed(places: Sequence[Placement], sounds: Iterable[Samples], rate: int) -> Iterator[tuple[int, Samples]]:
    """The first sample and the samples of one stretch of sound after the other; they do not overlap.

    The places are in the order of their starts, each with its sound. What does not overlap comes as it is.
    """
    sounds = iter(sounds)
    for group in overlapping(places):
        if len(group) == 1:
            yield group[0].start, next(sounds)
        else:
            yield from _sum(group, sounds, round(RAMP_S * rate))


def overlapping(places: Sequence[Placement]) -> Iterator[Sequence[Placement]]:
    """The places in groups: those of one group overlap, each with one before it."""
    first, end = 0, 0
    for number, place in enumerate(places):
        if number > first and place.start >= end:
            yield places[first:number]
            first, end = number, 0
        end = max(end, place.end)
    if places:
        yield places[first:]


def _sum(group: Sequence[Placement], sounds: Iterator[Samples], ramp: int) -> Iterator[tuple[int, Samples]]:
    """One stretch of sound in pieces: as soon as no later speech changes what there is of it."""
    cursor, sums = group[0].start, np.zeros(0, np.int32)
    ends: list[int] = []
    levels: list[Level] = []
    starts = [place.start for place in group[1:]]
    for place, sound, following in zip(group, sounds, [*starts, None], strict=False):
        offset = place.start - cursor
        sums = np.pad(sums, (0, max(0, offset + len(sound) - len(sums))))
        sums[offset : offset + len(sound)] += sound
        whole = cursor + len(sums) if following is None else following
        ends = [end for end in [*ends, place.end] if end > place.start]
        levels += _levels(sums, cursor, place.start, whole, ends)
        ready = whole if following is None else whole - ramp  # from there on the next one's ramp may begin
        if ready > cursor:
            yield cursor, _levelled(sums[: ready - cursor], cursor, levels, ramp)
            sums, cursor = sums[ready - cursor :], ready
            levels = [level for level in levels if level.end + ramp > cursor]


def _levels(sums: Sums, cursor: int, start: int, end: int, ends: Sequence[int]) -> Iterator[Level]:
    """Of each part of `[start, end)` in which several sound: n voices at 1/√n are as loud as one; peaks never clip."""
    edges = sorted({start, *(edge for edge in ends if edge < end), end}) if start < end else []
    for first, last in pairwise(edges):
        if (voices := sum(edge > first for edge in ends)) > 1:
            peak = int(np.abs(sums[first - cursor : last - cursor]).max(initial=1))
            yield Level(first, last, min(1 / math.sqrt(voices), FULL_SCALE / peak))


def _levelled(sums: Sums, cursor: int, levels: Sequence[Level], ramp: int) -> Samples:
    """The sums from the sample `cursor` on, at their levels, and on the way to and from each."""
    gains = np.ones(len(sums))
    for level in levels:
        first, last = max(level.start - ramp, cursor), min(level.end + ramp, cursor + len(sums))
        if first < last:
            times = np.arange(first, last)
            away = np.maximum(0, np.maximum(level.start - times, times - level.end + 1))
            part = gains[first - cursor : last - cursor]
            np.minimum(part, level.gain + (1 - level.gain) * away / ramp, out=part)
    return np.round(sums * gains).astype(np.int16)
