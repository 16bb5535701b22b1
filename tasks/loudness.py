"""How loud speech is to an ear (ITU-R BS.1770), and speech made as loud as wanted."""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
Samples = np.ndarray[Any, np.dtype[np.int16]]

BLOCK_S, STEP_S = 0.4, 0.1
"""Loudness is that of blocks of so long, one beginning at each step."""
ABSOLUTE_GATE_LUFS, RELATIVE_GATE_LU = -70.0, -10.0
OFFSET = -0.691
"""With it a sine of 997 Hz has as many LUFS as it has dBFS at its peak, less 3."""

MOST_GAIN_DB = 15.0
FLOOR_DBFS = -50.0
"""Noise between words is not made louder than this."""
FLOOR_WINDOW_S = 0.02
NOTHING_DBFS = -120.0
NEAR_LU = 0.1
MOST_ROUNDS = 4
MOST_HELD_DB = 8.0
"""By the limiter, at the highest peak: with more of it, speech sounds squeezed."""

LIMIT_STEP_S = 0.001
LIMIT_STEPS = 5
"""The limiter begins so many steps before a peak, and ends so many after it."""

MOST_FFT = 2**16


@dataclass(frozen=True, slots=True)
class Levelled:
    sound: Samples
    lufs: float | None
    """As it is now; None for silence."""
    gain_db: float
    """By how much it was made louder, before its peaks were held."""


def levelled(
    speech: Samples, rate: int, target_lufs: float, ceiling_dbfs: float, floor: float = NOTHING_DBFS
) -> Levelled:
    """The speech as loud as wanted, as far as that lifts no noise and squeezes nothing; no sample is above the ceiling.

    `floor` is how loud the noise around it is, in dBFS.
    """
    sound = speech.astype(np.float32) / 32768
    own = loudness(sound, rate)
    if own is None:
        return Levelled(speech, None, 0.0)
    ceiling = 10 ** (ceiling_dbfs / 20)
    most = _most_gain_db(sound, ceiling_dbfs, floor)
    gain = min(target_lufs - own, most)
    held: Floats = sound
    lufs = own
    for _ in range(MOST_ROUNDS):
        louder = sound * np.float32(10 ** (gain / 20))
        held = limited(louder, rate, ceiling)
        # What the limiter takes away is given back.
        lufs = own + gain if held is louder else loudness(held, rate) or own
        step = min(target_lufs - lufs, most - gain)
        if abs(step) <= NEAR_LU:
            break
        gain += step
    return Levelled(np.round(held * 32768).astype(np.int16), round(lufs, 2), round(gain, 2))


def _most_gain_db(sound: Floats, ceiling_dbfs: float, floor: float) -> float:
    peak = 20 * math.log10(float(np.abs(sound).max()))
    return max(0.0, min(MOST_GAIN_DB, FLOOR_DBFS - floor, ceiling_dbfs + MOST_HELD_DB - peak))


def floor_dbfs(silence: Samples, rate: int) -> float:
    """The level of its softest moment; NOTHING_DBFS where there is too little of it to tell."""
    window = round(rate * FLOOR_WINDOW_S)
    whole = silence[: len(silence) // window * window].reshape(-1, window)
    power = np.square(whole / np.float32(32768)).mean(axis=1)
    return 10 * math.log10(max(1e-12, float(power.min(initial=1.0)))) if len(whole) else NOTHING_DBFS


def loudness(sound: Floats, rate: int) -> float | None:
    """Integrated loudness in LUFS of mono sound in -1..1; what is shorter than a block is one. None for silence."""
    step, width = round(rate * STEP_S), round(BLOCK_S / STEP_S)
    if len(sound) >= width * step:
        means = [_means(power, step) for power in weighted_power(sound, rate)]
        blocks = np.convolve(np.concatenate(means), np.full(width, 1 / width), "valid")
    else:
        blocks = np.array([power.mean(dtype=np.float64) for power in weighted_power(sound, rate)])
    loud = blocks[blocks > 10 ** ((ABSOLUTE_GATE_LUFS - OFFSET) / 10)]
    if not len(loud):
        return None
    gated = loud[loud > loud.mean() * 10 ** (RELATIVE_GATE_LU / 10)]
    return OFFSET + 10 * math.log10(float(gated.mean()))


def _means(power: Floats, step: int) -> Floats:
    """Of each whole step."""
    whole = power[: len(power) // step * step].reshape(-1, step)
    return np.asarray(whole.mean(axis=1, dtype=np.float64))


def weighted_power(sound: Floats, rate: int) -> Iterator[Floats]:
    """Of each sample as an ear weighs it (K-weighting), in pieces: one for what is short, else of whole steps."""
    step = warm = round(rate * STEP_S)  # after one step nothing is left of what went through the filter
    size = min(MOST_FFT, 2 ** (len(sound) + warm + step).bit_length())
    fresh = (size - warm) // step * step
    for start in range(0, len(sound), fresh):
        before = sound[max(0, start - warm) : start]
        spectrum = np.fft.rfft(np.concatenate([before, sound[start : start + fresh]]), size)
        heard = np.fft.irfft(spectrum * _k_weighting(rate, size), size)
        yield np.square(heard[len(before) :][: len(sound) - start][:fresh])


@functools.cache
def _k_weighting(rate: int, size: int) -> "np.ndarray[Any, np.dtype[np.complex64]]":
    """The response of the standard's two filters, which it gives for 48 kHz, at any rate."""
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    powers = np.stack([np.ones_like(z), z, z * z])
    k, q = math.tan(math.pi * 1681.974450955533 / rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    shelf = np.array([high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k])
    response = shelf @ powers / (_denominator(k, q) @ powers)
    k, q = math.tan(math.pi * 38.13547087602444 / rate), 0.5003270373238773
    rumble = _denominator(k, q)
    # At 48 kHz the standard's second numerator is 1, -2, 1 over a denominator that begins with 1.
    response *= np.array([1.0, -2.0, 1.0]) @ powers * rumble[0] / (rumble @ powers)
    exact: np.ndarray[Any, np.dtype[np.complex64]] = response.astype(np.complex64)
    return exact


def _denominator(k: float, q: float) -> Floats:
    return np.array([1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k])


def limited(sound: Floats, rate: int, ceiling: float) -> Floats:
    """The sound itself where no sample is above the ceiling; else softer around those that are, without a step."""
    if not len(sound) or float(np.abs(sound).max()) <= ceiling:
        return sound
    step = max(1, round(rate * LIMIT_STEP_S))
    steps = np.pad(sound, (0, -len(sound) % step)).reshape(-1, step)
    peaks = np.maximum(steps.max(axis=1), -steps.min(axis=1))
    allowed = np.minimum(1, ceiling / np.maximum(peaks, ceiling))
    # At each edge between two steps no more than both allow; then the least around it, and of that a weighted mean,
    # which is never more than what it is a mean of.
    edges = np.pad(allowed, 2 * LIMIT_STEPS + 1, constant_values=1.0)
    edges = np.minimum(edges[:-1], edges[1:])
    width = 2 * LIMIT_STEPS + 1
    least = np.lib.stride_tricks.sliding_window_view(edges, width).min(axis=1)
    bell = np.hanning(width + 2)[1:-1]
    smooth = np.convolve(least, bell / bell.sum(), "valid").astype(np.float32)
    gains = smooth[:-1, None] + np.diff(smooth)[:, None] * np.linspace(0, 1, step, endpoint=False, dtype=np.float32)
    held: Floats = np.multiply(steps, gains, out=gains).ravel()[: len(sound)]
    return np.clip(held, -ceiling, ceiling)
