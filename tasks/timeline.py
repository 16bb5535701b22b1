"""Where each clip sits in the recording, in integer samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from blocks.speech import RunFailed
from tasks.clips import Clip, Failure, Take
from tasks.document import Boundary, Segment, sections
from tasks.levels import gains_db
from tasks.pace import expected_s

LEAD_IN_MS = 100
"""Some players swallow the first moment of a file."""
TAIL_MS = 500
"""The last word should not be cut by the player's own end."""
PAUSES_MS = {
    # The text was cut where no reader would breathe.
    Boundary.GRAPHEME: 0,
    Boundary.WORD: 0,
    # Narrators leave 250 to 400 ms between sentences, 600 to 800 between paragraphs, 1,500 to 2,000 between sections.
    # A clip brings some 80 ms of its own: what the trim keeps at both ends of the speech.
    Boundary.CLAUSE: 150,
    Boundary.SENTENCE: 300,
    Boundary.PARAGRAPH: 700,
    Boundary.SECTION: 1700,
}


@dataclass(frozen=True, slots=True)
class Placement:
    """What is heard of one take, `[start, end)`."""

    start: int
    end: int
    gain_db: float = 0.0
    """How much louder it is heard than it was spoken."""
    gap: bool = False
    """Silence in the place of a take that has no speech: somebody has allowed it."""
    tempo: float = 1.0
    """How many times faster it is heard than it was spoken: its speech takes `stretched(samples, tempo)`, and what goes
    beyond `end` is cut, with a fade."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How the speech of one cue fits its window; all but the rate in samples of the timeline."""

    start: int
    """Where the cue starts."""
    end: int
    """Where it ends."""
    need: int
    """What its speech takes at the speed that was asked for."""
    rate: float = 1.0
    """How many times faster than that it is heard, by being spoken faster, stretched, or both."""
    late: int = 0
    """How far after the cue its first sound comes."""
    overrun: int = 0
    """How far its speech goes, or would go, past the room that it has."""
    cut: int = 0
    """How much of its speech is left out to keep that room."""


@dataclass(frozen=True, slots=True)
class Timeline:
    rate: int
    """Samples a second."""
    placements: tuple[Placement, ...]
    """One for each take, in the order of the takes. Those of a text follow one another; those of cues may stand in any
    order, and overlap where that was asked for."""
    length: int
    """Samples of the whole recording."""
    fits: Mapping[int, Fit] = field(default_factory=dict)
    """How each cue's speech fits its window, by its segment; empty for what has no windows."""


def samples(milliseconds: int, rate: int) -> int:
    return milliseconds * rate // 1000


def check_spoken(takes: Sequence[Take], timeline: Timeline | None = None) -> None:
    """Raises RunFailed where a take has no speech, unless the timeline has a gap for it: a hole is not the text."""
    gaps = [place.gap for place in timeline.placements] if timeline else [False] * len(takes)
    missing = [
        (number, take, take.outcome)
        for number, (take, gap) in enumerate(zip(takes, gaps, strict=True))
        if isinstance(take.outcome, Failure) and not gap
    ]
    if not takes:
        raise RunFailed("there is nothing to merge: no chunk was spoken")
    if missing:
        number, first, failure = missing[0]
        raise RunFailed(
            f"{len(missing)} of {len(takes)} chunks have no speech; the first is {describe(number, first)}: "
            f"{failure.reason}. Run the same command again: finished clips are kept"
        )


def describe(number: int, take: Take) -> str:
    """How a message names a chunk: its number, from 0 as in the manifest, and how its text begins."""
    text = take.chunk.text
    return f"chunk {number} ({text if len(text) <= 40 else text[:39] + '…'!r})"


def choose_rate(takes: Sequence[Take]) -> int:
    """The rate of most of the speech, by time, so that the least is resampled. Raises RunFailed where there is none."""
    seconds: dict[int, float] = {}
    for take in takes:
        if isinstance(clip := take.outcome, Clip):
            seconds[clip.sample_rate] = seconds.get(clip.sample_rate, 0.0) + clip.speech_s
    if not seconds:
        raise RunFailed("there is nothing to merge: no chunk was spoken")
    return max(seconds, key=lambda rate: (seconds[rate], rate))


def lay_out(takes: Sequence[Take], rate: int, *, gaps: bool = False, speed: float = 1.0) -> Timeline:
    """One after another, each followed by the pause its boundary asks for.

    With `gaps`, what has no speech is silence for as long as it would take to say at this speed. Raises RunFailed as
    `check_spoken`.
    """
    if not gaps:
        check_spoken(takes)
    placements, gains = [], gains_db(takes)
    cursor = samples(LEAD_IN_MS, rate)
    pause = 0
    for take in takes:
        start = cursor + pause
        if isinstance(clip := take.outcome, Clip):
            cursor = start + at_rate(clip.speech_end - clip.speech_start, clip.sample_rate, rate)
            placements.append(Placement(start, cursor, gains[take.voice]))
        else:
            cursor = start + round(expected_s([take.chunk.text]) / speed * rate)
            placements.append(Placement(start, cursor, gap=True))
        pause = samples(PAUSES_MS[take.chunk.boundary], rate)
    return Timeline(rate, tuple(placements), cursor + samples(TAIL_MS, rate))


def at_rate(count: int, old: int, new: int) -> int:
    """So many samples at the old rate are how many at the new: in integers, so that nothing drifts."""
    return (count * new + old // 2) // old


def stretched(count: int, tempo: float) -> int:
    """So many samples, heard so many times faster, are how many."""
    return round(count / tempo)


def chapters(segments: Sequence[Segment], takes: Sequence[Take], timeline: Timeline) -> tuple[tuple[int, str], ...]:
    """The first sample and the text of each spoken heading, in order. The lead-in belongs to what it leads to."""
    starts: dict[int, int] = {}
    for number, (take, place) in enumerate(zip(takes, timeline.placements, strict=True)):
        starts.setdefault(take.chunk.segment, place.start if number else 0)
    return tuple((starts[index], heading.text) for index, heading in sections(segments) if index in starts)
