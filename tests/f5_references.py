"""Recordings to imitate, as somebody has them on a disk."""

from pathlib import Path

import numpy as np
import soundfile

QUERY = "?ref_audio=ref_audio&ref_text=ref_text"
WORDS = "This is how I speak."


def recording(
    folder: Path, name: str = "ref.wav", seconds: float = 2.0, words: str | None = WORDS, rate: int = 8_000
) -> Path:
    """A tone, and its words beside it."""
    path = folder / name
    tone = (8000 * np.sin(np.arange(round(seconds * rate)) * 0.2)).astype("<i2")
    soundfile.write(path, tone, rate, format=path.suffix[1:].upper())
    if words is not None:
        path.with_suffix(".txt").write_text(words)
    return path
