"""Where each clip sits in the recording, in integer samples."""

from collections.abc import Sequence
from dataclasses import dataclass

from blocks.speech import RunFailed
from tasks.clips import Clip, Failure, Take
from tasks.document import Boundary, Segment, sections
from tasks.levels import gains_db

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
    """One clip's speech, `[start, end)`."""

    start: int
    end: int
    gain_db: float = 0.0
    """How much louder it is heard than it was spoken."""


@dataclass(frozen=True, slots=True)
class Timeline:
    rate: int
    """Samples a second."""
    placements: tuple[Placement, ...]
    """One for each clip, in order, never overlapping."""
    length: int
    """Samples of the whole recording."""


def samples(milliseconds: int, rate: int) -> int:
    return milliseconds * rate // 1000


def spoken(takes: Sequence[Take]) -> tuple[Clip, ...]:
    """The clip of each take. Raises RunFailed when one has none: a recording with a hole is not the text."""
    missing = [(number, take) for number, take in enumerate(takes) if isinstance(take.outcome, Failure)]
    if not takes:
        raise RunFailed("there is nothing to merge: no chunk was spoken")
    if missing:
        number, first = missing[0]
        raise RunFailed(
            f"{len(missing)} of {len(takes)} chunks have no speech; the first is {describe(number, first)}: "
            f"{first.outcome.reason if isinstance(first.outcome, Failure) else ''}. "
            "Run the same command again: finished clips are kept"
        )
    return tuple(take.outcome for take in takes if isinstance(take.outcome, Clip))


def describe(number: int, take: Take) -> str:
    """How a message names a chunk: its number, from 0 as in the manifest, and how its text begins."""
    text = take.chunk.text
    return f"chunk {number} ({text if len(text) <= 40 else text[:39] + '…'!r})"


def choose_rate(takes: Sequence[Take]) -> int:
    """The rate of most of the speech, by time, so that the least is resampled. Raises RunFailed as `spoken`."""
    seconds: dict[int, float] = {}
    for clip in spoken(takes):
        seconds[clip.sample_rate] = seconds.get(clip.sample_rate, 0.0) + clip.speech_s
    return max(seconds, key=lambda rate: (seconds[rate], rate))


def lay_out(takes: Sequence[Take], rate: int) -> Timeline:
    """One after another, each followed by the pause its boundary asks for. Raises RunFailed as `spoken`."""
    placements = []
    gains = gains_db(takes)
    cursor = samples(LEAD_IN_MS, rate)
    pause = 0
    for take, clip in zip(takes, spoken(takes), strict=True):
        start = cursor + pause
        cursor = start + at_rate(clip.speech_end - clip.speech_start, clip.sample_rate, rate)
        placements.append(Placement(start, cursor, gains[take.voice]))
        pause = samples(PAUSES_MS[take.chunk.boundary], rate)
    return Timeline(rate, tuple(placements), cursor + samples(TAIL_MS, rate))


def at_rate(count: int, old: int, new: int) -> int:
    """So many samples at the old rate are how many at the new: in integers, so that nothing drifts."""
    return (count * new + old // 2) // old


def chapters(segments: Sequence[Segment], takes: Sequence[Take], timeline: Timeline) -> tuple[tuple[int, str], ...]:
    """The first sample and the text of each spoken heading, in order. The lead-in belongs to what it leads to."""
    starts: dict[int, int] = {}
    for number, (take, place) in enumerate(zip(takes, timeline.placements, strict=True)):
        starts.setdefault(take.chunk.segment, place.start if number else 0)
    return tuple((starts[index], heading.text) for index, heading in sections(segments) if index in starts)
