"""Sounds that are no speech, each as long as wanted: what providers answer in place of a word."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float64]


def _noise(count: int, tilt: float) -> Sound:
    """Of a power that falls with the frequency to this exponent: 0 is white, 1 is pink."""
    spectrum = np.fft.rfft(np.random.default_rng(5).normal(size=count))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** (tilt / 2)
    spectrum[0] = 0
    return np.asarray(np.fft.irfft(spectrum, count), np.float64)


def _tone(count: int, rate: int, *hz: float) -> Sound:
    return np.sum([np.sin(2 * np.pi * one / rate * np.arange(count)) / one for one in hz], axis=0)


def _clicks(count: int, rate: int) -> Sound:
    """Ten a second."""
    click = np.exp(-np.arange(60) / 8) * np.sin(np.arange(60))
    train = np.zeros(count)
    train[rate // 50 :: rate // 10] = 1
    return np.asarray(np.convolve(train, click, "same"), np.float64)


def _breath(count: int, rate: int) -> Sound:
    """In and out, in one and a half seconds."""
    return _noise(count, 0.8) * (0.1 + np.sin(np.pi / 1.5 / rate * np.arange(count)) ** 2)


NOISES: Mapping[str, Callable[[int, int], Sound]] = {
    "white noise": lambda count, _rate: _noise(count, 0),
    "pink noise": lambda count, _rate: _noise(count, 1),
    "a hum": lambda count, rate: _tone(count, rate, 50, 100, 150),
    "a tone": lambda count, rate: _tone(count, rate, 440),
    "mains buzz": lambda count, rate: (np.arange(count) * 60 / rate) % 1 - 0.5,
    "clicks": _clicks,
    "breath": _breath,
}


def noise(kind: str, seconds: float, rate: int, edge_s: float = 0.0) -> Sound:
    """At half of full scale, between silent edges."""
    sound = NOISES[kind](round(seconds * rate), rate)
    return np.pad(sound / np.abs(sound).max() / 2, round(edge_s * rate))
