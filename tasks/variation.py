"""How much the colour of a sound changes: what tells a word from noise, a hum, a tone or a breath."""

from typing import Any

import numpy as np

Samples = np.ndarray[Any, np.dtype[np.float32]]

RATE = 8_000
"""About what the sound is thinned out to: vowels and consonants differ below 4 kHz."""
FRAME = 256
"""Samples of one look at that rate."""
FRAMES = 64
"""Looks at one clip, half over each other where it is short, evenly over it where it is long."""
HEARD_DB = -25.0
"""Relative to the loudest look: softer ones are pauses."""
EDGE = 2
"""Looks at each end that may hold a piece of the silence beside it, whose step splatters a tone over all bands."""
LEAST, LEAST_S = 6, 0.35
"""With fewer looks, or less sound, there is no telling: a word at triple speed may be one vowel."""
_FLOOR = 1e-4
_BANDS_HZ = np.array([100, 400, 800, 1300, 2000, 2800, 3900])
_WINDOW = np.hanning(FRAME).astype(np.float32)


def variation_db(speech: Samples, rate: int) -> float:
    """How far each band's share of the sound strays over time: a standard deviation, the root mean square of all bands.

    Shares, not levels: a breath that swells is still of one colour. Noise, hums, tones and clicks have 0 to 2, words 3
    to 15: `tests/benchmarks/alarms.py`. Infinite where there is too little sound to tell.
    """
    step = max(1, round(rate / RATE))
    count = len(speech) // step
    if count < max(FRAME, LEAST_S * rate / step):
        return float("inf")
    places = _starts(count)[:, None] * step + np.arange(0, FRAME * step, step)
    looks = speech[places]
    for offset in range(1, step):
        looks = looks + speech[places + offset]
    looks = (looks - looks.mean(axis=1, keepdims=True)) * _WINDOW
    energy = np.einsum("ij,ij->i", looks, looks)
    heard = looks[energy > energy.max() * 10 ** (HEARD_DB / 10)][EDGE:-EDGE]
    return _spread_db(np.abs(np.fft.rfft(heard)) ** 2, rate / step) if len(heard) >= LEAST else float("inf")


def _starts(count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    half_over = 1 + (count - FRAME) // (FRAME // 2)
    return np.linspace(0, count - FRAME, min(FRAMES, half_over)).astype(np.int64)


def _spread_db(power: Samples, rate: float) -> float:
    edges = np.round(_BANDS_HZ * (FRAME / rate)).astype(int)
    bands = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)
    shares = bands / np.maximum(bands.sum(axis=1, keepdims=True), 1e-9)
    return float(np.sqrt((10 * np.log10(np.maximum(shares, _FLOOR))).var(axis=0).mean()))
