"""Where each clip sits in the recording, in integer samples."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Placement:
    """One clip's speech, `[start, end)`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Timeline:
    rate: int
    """Samples a second."""
    placements: tuple[Placement, ...]
    """One for each clip, in order, never overlapping."""
    length: int
    """Samples of the whole recording."""
