"""Speech that is heard faster than it was spoken, at the same pitch: for cues that leave it too little time."""

import functools
from threading import Event
from typing import IO, Any

import numpy as np

from tasks.ffmpeg import ffmpeg
from tasks.timeline import stretched
from tasks.verify import first_heard

Samples = np.ndarray[Any, np.dtype[np.int16]]

AROUND_S = 0.05
FULL_SCALE = 32767.0


def stretch(speech: Samples, rate: int, tempo: float, stop: Event) -> Samples:
    """Exactly `stretched(len(speech), tempo)` samples; what was heard first is again where the tempo puts it.

    It may come out a decibel or two louder at its peaks, yet never beyond full scale. Raises RunFailed.
    """
    length = stretched(len(speech), tempo)
    if not speech.any():
        return np.zeros(length, np.int16)
    raw = ["-f", "s16le", "-ar", str(rate), "-ac", "1", "-i", "pipe:0"]
    # Floats: as integers, peaks that rise over full scale would be cut off.
    sink = ["-af", f"{_filter()}=tempo={tempo:.9f}", "-f", "f32le", "pipe:1"]
    # What begins or ends with a bang loses some of it, but not where silence is around it.
    padded = np.pad(speech.astype("<i2", copy=False), round(AROUND_S * rate)).tobytes()
    data, _ = ffmpeg([*raw, *sink], 60 + len(speech) / rate, stop, _whole, padded)
    floats = np.frombuffer(data, "<f4") * 32768
    faster = np.round(floats * min(1.0, FULL_SCALE / max(1.0, float(np.abs(floats).max())))).astype(np.int16)
    # The first word comes where it was, and not some milliseconds beside it.
    start = max(0, first_heard(faster) - round(first_heard(speech) / tempo))
    exact = np.zeros(length, np.int16)
    kept = faster[start : start + length]
    exact[: len(kept)] = kept
    return exact


@functools.cache
def _filter() -> str:
    """The better filter, or the one that each ffmpeg has: somebody may have named their own."""
    filters, _ = ffmpeg(["-filters"], 60, Event(), _whole)
    return "rubberband" if b" rubberband " in filters else "atempo"


def _whole(stream: IO[bytes]) -> bytes:
    return stream.read()
