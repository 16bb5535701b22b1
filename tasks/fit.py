"""Where each clip of subtitles sits: on time, and within the room that its cue has.

Speech that is longer than its window first borrows the gap until the next cue, then is heard faster, and only then goes
on into the next cue's time.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from blocks.speech import Voice
from tasks.clips import Clip, Failure, Take
from tasks.document import Boundary, Segment, Window
from tasks.levels import gains_db
from tasks.pace import expected_s
from tasks.timeline import PAUSES_MS, Fit, Placement, Timeline, at_rate, check_spoken, samples, stretched

Policy = Literal["shift", "trim", "fail"]
"""What becomes of speech that is too long even at the highest rate: the next cue starts late, what is too much is cut,
or the cue fails."""
Overlaps = Literal["queue", "mix", "fail"]
"""Cues that overlap in the source are said one after another or at the same time; `fail` is refused before any call."""
FASTEST = 1.35
"""What is heard faster than this is hard to follow."""
GUARD_MS = 50
"""From the end of a cue's speech to the start of the next cue."""
LAST_BORROWS_MS = 1000
"""What the last cue may have after its window: nothing tells how long the film goes on."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """One take's part of what a cue says, in samples as long as it was spoken."""

    number: int
    """Of the take."""
    segment: int
    sped: float
    """How many times faster it was spoken than was asked for."""
    pause: int
    """Before it."""
    length: int
    head: int = 0
    """What comes before its first sound."""
    gain_db: float = 0.0
    gap: bool = False


@dataclass(frozen=True, slots=True)
class _Cue:
    """All that is said in one window; where it has several speakers they take turns."""

    start: int
    end: int
    pieces: tuple[_Piece, ...]

    @property
    def spoken(self) -> int:
        return sum(piece.pause + piece.length for piece in self.pieces)

    @property
    def head(self) -> int:
        return self.pieces[0].head

    @property
    def need(self) -> int:
        return round(sum((piece.pause + piece.length) * piece.sped for piece in self.pieces))

    @property
    def missing(self) -> bool:
        return all(piece.gap for piece in self.pieces)


def fit_cues(
    segments: Sequence[Segment],
    takes: Sequence[Take],
    rate: int,
    *,
    policy: Policy = "shift",
    overlaps: Overlaps = "queue",
    fastest: float = FASTEST,
    gaps: bool = False,
    sped: Mapping[int, float] = MappingProxyType({}),
    until_ms: int = 0,
    speed: float = 1.0,
) -> Timeline:
    """The first sound of each cue on the sample where the cue starts, with no lead-in and no tail.

    `speed` is what was asked for: what has no speech would have been said at it. `sped` tells of segments whose clips
    were spoken faster than that, how many times. The segments of one cue
    have one fit, each with its own rate; a cue without speech, silence where `gaps` allows it, has none. The recording
    ends with the last cue's window or speech, and not before `until_ms`. Raises RunFailed as `check_spoken`.
    """
    if not gaps:
        check_spoken(takes)
    cues = list(_cues(segments, takes, rate, sped, speed))
    guard, free = samples(GUARD_MS, rate), 0
    places: dict[int, Placement] = {}
    fits: dict[int, Fit] = {}
    for cue, ends in zip(cues, _ends(cues, rate, overlaps), strict=True):
        if cue.missing:
            places |= _silence(cue, max(cue.start, free - guard), ends[0] + guard)
            continue
        laid, fit = _lay_out(cue, free, guard, ends, policy, fastest)
        places |= laid
        fits |= {piece.segment: replace(fit, rate=piece.sped * fit.rate) for piece in cue.pieces}
        if overlaps != "mix":
            free = max(place.end for place in laid.values()) + guard
    placements = tuple(places[number] for number in range(len(takes)))
    windows = (samples(_window(segment).end_ms, rate) for segment in segments)
    length = max([samples(until_ms, rate), *windows, *(place.end for place in placements)])
    return Timeline(rate, placements, length, fits)


def refused(takes: Sequence[Take], timeline: Timeline, policy: Policy) -> list[Take]:
    """The takes, and under `fail` a failure in the place of each clip of a cue whose speech does not fit."""
    if policy != "fail":
        return list(takes)
    fits = timeline.fits
    return [
        replace(take, outcome=Failure("TooLong", _too_long(fits[take.chunk.segment], timeline.rate), clip.attempts))
        if isinstance(clip := take.outcome, Clip) and fits[take.chunk.segment].overrun
        else take
        for take in takes
    ]


def _too_long(fit: Fit, rate: int) -> str:
    heard = fit.need / fit.rate
    room = max(0.0, heard - fit.overrun)
    return (
        f"needs {heard / rate:.2f} s at {fit.rate:.2f} times the speed, and has {room / rate:.2f} s: "
        "shorten it, allow a higher --fastest, or take --fit shift"
    )


def _cues(
    segments: Sequence[Segment], takes: Sequence[Take], rate: int, sped: Mapping[int, float], speed: float
) -> Iterator[_Cue]:
    """In the order of their starts; of those that start at the same time in the order of the file."""
    gains = gains_db(takes)
    said: dict[Window, list[int]] = {}
    for number, take in enumerate(takes):
        said.setdefault(_window(segments[take.chunk.segment]), []).append(number)
    for window in sorted(said, key=lambda window: window.start_ms):
        pieces = tuple(_pieces([(number, takes[number]) for number in said[window]], rate, sped, gains, speed))
        yield _Cue(samples(window.start_ms, rate), samples(window.end_ms, rate), pieces)


def _pieces(
    takes: Iterable[tuple[int, Take]],
    rate: int,
    sped: Mapping[int, float],
    gains: Mapping[Voice | None, float],
    speed: float,
) -> Iterator[_Piece]:
    pause, before = 0, None
    for number, take in takes:
        segment, faster = take.chunk.segment, sped.get(take.chunk.segment, 1.0)
        if before not in {None, segment}:  # the next speaker's turn
            pause = samples(PAUSES_MS[Boundary.SENTENCE], rate)
        pause = stretched(pause, faster)
        if isinstance(clip := take.outcome, Clip):
            length = at_rate(clip.speech_end - clip.speech_start, clip.sample_rate, rate)
            head = at_rate(max(0, clip.onset - clip.speech_start), clip.sample_rate, rate)
            yield _Piece(number, segment, faster, pause, length, min(head, length), gains[take.voice])
        else:
            length = round(expected_s([take.chunk.text]) / speed * rate)
            yield _Piece(number, segment, faster, pause, length, gap=True)
        pause, before = samples(PAUSES_MS[take.chunk.boundary], rate), segment


def _ends(cues: Sequence[_Cue], rate: int, overlaps: Overlaps) -> Iterator[tuple[int, int]]:
    """Where each cue's speech should end for the next to start on time, and where it must end at last.

    That is later only where the source itself has the next cue start before this one ends.
    """
    guard, last = samples(GUARD_MS, rate), samples(LAST_BORROWS_MS, rate)
    starts = [cue.start for cue in cues]
    for number, cue in enumerate(cues):
        after = bisect_left(starts, cue.end, number + 1) if overlaps == "mix" else number + 1
        near = starts[after] if after < len(cues) else cue.end + guard + last
        yield near - guard, max(near, cue.end) - guard


def _lay_out(
    cue: _Cue, free: int, guard: int, ends: tuple[int, int], policy: Policy, fastest: float
) -> tuple[dict[int, Placement], Fit]:
    """One cue's placements, by the numbers of their takes, and its fit, whose rate is the tempo.

    Its first sound comes at `free` at the earliest, and what is softer not more than the guard before that.
    """
    near, far = ends
    floor, wanted = max(0, free - guard), max(cue.start, free)
    if policy != "shift":  # what has to wait for an overlap of the source is still heard for as long as its window
        far = max(far, wanted + cue.end - cue.start - guard)
    most = max(1.0, fastest / max(piece.sped for piece in cue.pieces))
    tempo, end = _tempo(cue, floor, wanted, near), near
    if tempo > most:
        tempo, end = min(most, _tempo(cue, floor, wanted, far)), far
    start = max(floor, wanted - stretched(cue.head, tempo))
    laid, cursor = _in_turn(cue, start, tempo)
    overrun = max(0, cursor - end)
    cut = min(overrun, cursor - start) if policy != "shift" else 0
    if cut:
        stop = cursor - cut
        laid = {number: replace(p, start=min(p.start, stop), end=min(p.end, stop)) for number, p in laid.items()}
    late = start + stretched(cue.head, tempo) - cue.start
    return laid, Fit(cue.start, cue.end, cue.need, tempo, late, overrun, cut)


def _in_turn(cue: _Cue, start: int, tempo: float) -> tuple[dict[int, Placement], int]:
    """A cue's takes one after another, and where the last ends."""
    laid: dict[int, Placement] = {}
    cursor = start
    for piece in cue.pieces:
        begin = cursor + stretched(piece.pause, tempo)
        cursor = begin + stretched(piece.length, tempo)
        laid[piece.number] = Placement(begin, cursor, piece.gain_db, piece.gap, 1.0 if piece.gap else tempo)
    return laid, cursor


def _tempo(cue: _Cue, floor: int, wanted: int, end: int) -> float:
    """The lowest tempo, 1 or more, at which the cue is over by this end; infinite where there is none."""
    lengths = (cue.spoken, end - floor), (cue.spoken - cue.head, end - wanted)
    if all(length <= room for length, room in lengths):
        return 1.0
    # Head, lengths and pauses are each rounded to whole samples: by half a sample at most.
    rounded = bool(cue.head) + sum(1 + bool(piece.pause) for piece in cue.pieces)
    rooms = [(length, room - rounded // 2) for length, room in lengths]
    return max(length / room if room > 0 else math.inf for length, room in rooms)


def _silence(cue: _Cue, start: int, end: int) -> dict[int, Placement]:
    """A gap in the cue's window, up to the next cue: in equal parts, where several takes are missing."""
    span, count = max(0, min(cue.end, end) - start), len(cue.pieces)
    edges = [start + span * number // count for number in range(count + 1)]
    parts = zip(cue.pieces, edges, edges[1:], strict=False)
    return {piece.number: Placement(begin, stop, gap=True) for piece, begin, stop in parts}


def _window(segment: Segment) -> Window:
    if segment.window is None:
        raise ValueError(f"line {segment.line} is no cue: only what has a window can be fitted into it")
    return segment.window
