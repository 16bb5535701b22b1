"""How much the colour of a sound changes: what tells a word from noise, a hum, a tone or a breath."""

from typing import Any

import numpy as np

Samples = np.ndarray[Any, np.dtype[np.float32]]

RATE = 8_000
"""About what the sound is thinned out to: vowels and consonants differ below 4 kHz."""
FRAME = 256
"""Samples of one look at that rate, half over the next."""
FRAMES = 96
"""Looks at one clip, evenly over what is heard."""
HEARD_DB = -25.0
"""Relative to the loudest look: softer ones are pauses, and no sound of their own."""
EDGE = 2
"""Looks at each end that hold a piece of the silence beside it, which splatters a tone over all bands."""
LEAST = 10
"""With fewer looks there is no telling."""
_FLOOR = 1e-4
_BANDS_HZ = np.array([100, 400, 800, 1300, 2000, 2800, 3900])
_WINDOW = np.hanning(FRAME).astype(np.float32)


def variation_db(speech: Samples, rate: int) -> float:
    """The standard deviation over time of each band's share of the sound, on average over the bands, in decibels.

    Shares, not levels: a breath that swells is still one colour. Steady sounds, white noise among them, have 0 to 2,
    a word 3 to 15. Infinite where there is too little sound to tell.
    """
    step = max(1, round(rate / RATE))
    count = len(speech) // step
    if count < FRAME:
        return float("inf")
    thin = np.zeros(count, np.float32)
    for place in range(step):
        thin += speech[place : count * step : step]
    frames = np.lib.stride_tricks.sliding_window_view(thin, FRAME)[:: FRAME // 2]
    energy = np.einsum("ij,ij->i", frames, frames)
    heard = np.flatnonzero(energy > energy.max() * 10 ** (HEARD_DB / 10))[EDGE:-EDGE]
    if len(heard) < LEAST:
        return float("inf")
    looked_at = frames[heard[np.linspace(0, len(heard) - 1, min(FRAMES, len(heard))).astype(int)]]
    power = np.abs(np.fft.rfft((looked_at - looked_at.mean(axis=1, keepdims=True)) * _WINDOW)) ** 2
    places = np.round(_BANDS_HZ * (FRAME * step / rate)).astype(int)
    bands = np.add.reduceat(power[:, : places[-1]], places[:-1], axis=1)
    shares = bands / np.maximum(bands.sum(axis=1, keepdims=True), 1e-9)
    return float(np.sqrt((10 * np.log10(np.maximum(shares, _FLOOR))).var(axis=0).mean()))
