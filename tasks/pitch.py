"""How high a voice speaks: what tells one voice from another, and speech from speech that is played too fast."""

from typing import Any

import numpy as np

Samples = np.ndarray[Any, np.dtype[np.float32]]

LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0
RATE = 8_000
"""About what the sound is thinned out to: pitch needs no more."""
FRAME = 512
"""Samples of one look at that rate: three periods of the lowest voice."""
FRAMES = 24
"""Looks at one clip, evenly over its louder half."""
VOICED = 0.5
"""How much a frame must resemble itself one period later to count as a vowel."""
LEAST_VOICED = 5
"""With fewer vowels there is no telling."""
_WINDOW = np.hanning(FRAME).astype(np.float32)
_OF_WINDOW = np.fft.irfft(np.abs(np.fft.rfft(_WINDOW, 2 * FRAME)) ** 2)[:FRAME].astype(np.float32)
_OF_WINDOW /= _OF_WINDOW[0]


def pitch_hz(speech: Samples, rate: int) -> float:
    """The median pitch of the vowels in mono speech without its silent edges; 0 where it cannot be told.

    By autocorrelation, freed of the window's own (Boersma 1993).
    """
    step = max(1, round(rate / RATE))
    count = len(speech) // step
    thin = np.zeros(count, np.float32)
    for place in range(step):  # many times faster than the mean of so short rows
        thin += speech[place : count * step : step]
    if len(thin) < 2 * FRAME:
        return 0.0
    frames = np.lib.stride_tricks.sliding_window_view(thin, FRAME)[:: FRAME // 2]
    energy = np.einsum("ij,ij->i", frames, frames)
    loud = np.flatnonzero(energy >= np.median(energy))
    looked_at = frames[loud[np.linspace(0, len(loud) - 1, min(FRAMES, len(loud))).astype(int)]]
    lags, strength = _periods(looked_at * _WINDOW, rate / step)
    voiced = lags[strength > VOICED]
    return round(float(np.median(rate / step / voiced)), 1) if len(voiced) >= LEAST_VOICED else 0.0


def _periods(frames: Samples, rate: float) -> tuple[Samples, Samples]:
    """The period of each frame, in samples, and how well it holds."""
    power = np.abs(np.fft.rfft(frames, 2 * FRAME)) ** 2
    alike = np.fft.irfft(power)[:, :FRAME]
    shortest, longest = int(rate / HIGHEST_HZ), min(FRAME - 1, int(rate / LOWEST_HZ))
    alike = (
        alike[:, shortest - 1 : longest + 2] / np.maximum(alike[:, :1], 1e-9) / _OF_WINDOW[shortest - 1 : longest + 2]
    )
    inner = alike[:, 1:-1]
    peaks = np.where((inner >= alike[:, :-2]) & (inner >= alike[:, 2:]), inner, 0.0)
    best = peaks.max(axis=1)
    # Two periods resemble each other as well as one: the first peak that is nearly the best is the period.
    first = (peaks >= 0.9 * best[:, None]).argmax(axis=1)
    return first + shortest, best
