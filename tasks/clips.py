"""The sound side's values. A Clip is a place plus facts, never audio in memory."""

from dataclasses import dataclass

from blocks.speech import Voice
from tasks.document import Chunk


@dataclass(frozen=True, slots=True)
class Clip:
    """The verified speech of one chunk, on the shelf."""

    uri: str
    sha256: str
    bytes: int
    sample_rate: int
    samples: int
    speech_start: int
    """First sample of the speech once the silent head is trimmed."""
    speech_end: int
    """One past the last sample of the speech once the silent tail is trimmed."""
    peak_dbfs: float
    rms_dbfs: float
    """Over the speech, without its silent edges."""
    onset: int = 0
    """The first sample that is heard: what lies between `speech_start` and it is too soft to count as a start. 0 where
    an earlier version did not look."""
    pitch_hz: float = 0.0
    """Of the voice; 0 where it cannot be told."""
    flags: tuple[str, ...] = ()
    """What is odd about it but was accepted."""
    attempts: int = 1
    reused: bool = False
    """It stood on the shelf: no call was made for it in this run."""
    latency_s: float = 0.0
    request_id: str = ""
    key: str = ""
    """The name for people of the key that it was made through; never the key."""

    @property
    def speech_s(self) -> float:
        return (self.speech_end - self.speech_start) / self.sample_rate


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a chunk has no clip."""

    error: str
    """The name of the error class."""
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Take:
    """A chunk and what came of it."""

    chunk: Chunk
    outcome: Clip | Failure
    voice: Voice | None = None
    """Who says it; None is the voice of the run."""
    instead: bool = False
    """Whether it is another voice than the one that was asked for."""
