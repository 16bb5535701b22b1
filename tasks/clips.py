"""The sound side's values: a Clip is a place plus facts, never audio in memory."""

from dataclasses import dataclass

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
    flags: tuple[str, ...] = ()
    """What is odd about it but was accepted."""
    attempts: int = 1
    reused: bool = False
    """It stood on the shelf: no call was made for it in this run."""
    latency_s: float = 0.0
    request_id: str = ""

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
    text_at_fault: bool = False
    """Smaller pieces of the same text may go well."""


@dataclass(frozen=True, slots=True)
class Take:
    """A chunk and what came of it."""

    chunk: Chunk
    outcome: Clip | Failure
