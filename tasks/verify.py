"""Done means proved: what a sound file really holds, and whether it can be the speech of a text.

numpy and soundfile only, a few milliseconds a clip, because it runs on each one.
"""

import math
from dataclasses import dataclass

import numpy as np
import soundfile

from blocks.decoder import Samples, opened
from blocks.sound import FASTEST_RATE, SLOWEST_RATE
from blocks.speech import NotSpeech
from tasks.pitch import pitch_hz
from tasks.short import check_short
from tasks.variation import variation_db

WINDOW_S = 0.005
EDGE_DB = -40.0
"""Relative to the loudest window: what is softer at the edges is no speech. Inner pauses are never touched."""
KEEP_HEAD_S, KEEP_TAIL_S = 0.02, 0.06
"""Left standing before and after the speech, so that soft consonants survive the trim."""
SILENCE_DBFS = -50.0
LOUDEST = 100.0
"""Of a sample of floats, where 1 is full scale: beyond that it is no sound, and its square is soon no number."""
SLOWEST_CPS, FASTEST_CPS = 0.5, 60.0
"""Characters a second outside of which no voice speaks a whole text at normal speed. (Rows of rare symbols, each read
by its name, come to 0.8.)"""
SHORT_TEXT = 20
"""Below this many characters the pace tells nothing: `1984` takes as long as a sentence. They have their own rule."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What a sound file holds, folded to mono."""

    sample_rate: int
    samples: int
    speech_start: int
    speech_end: int
    """`[speech_start, speech_end)` is what remains without the silent edges, in samples."""
    onset: int
    """The first sample of it that is heard; those before it are kept for soft consonants."""
    peak_dbfs: float
    rms_dbfs: float
    """Over the speech."""
    pitch_hz: float
    """Of the vowels; 0 where it cannot be told."""
    variation_db: float
    """How much its colour changes; infinite where it cannot be told."""

    @property
    def speech_s(self) -> float:
        return (self.speech_end - self.speech_start) / self.sample_rate


def measure(data: bytes) -> Measure:
    """Decode a whole sound file.

    Raises NotSpeech when it does not decode, is empty, is silent, or holds what no speech is made of.
    """
    try:
        with opened(data) as file:
            # Integers are three times as fast to measure, but of a float file they are all zero.
            full = 32768 if file.subtype == "PCM_16" else 1
            rate = file.samplerate
            if not SLOWEST_RATE <= rate <= FASTEST_RATE:
                raise NotSpeech(f"speech has {SLOWEST_RATE} to {FASTEST_RATE} samples a second, not {rate}")
            sound = file.whole("float32" if full == 1 else "int16")
    except soundfile.LibsndfileError as error:
        raise NotSpeech(f"the {len(data)} bytes are no sound file: {error.error_string}") from error
    if not len(sound):
        raise NotSpeech(f"the sound file of {len(data)} bytes holds no sample")
    if full == 1:
        _check_numbers(sound)
    mono = sound[:, 0] if sound.shape[1] == 1 else sound.mean(axis=1).astype(sound.dtype)
    start, end = speech_bounds(mono, rate)
    speech = mono[start:end].astype(np.float32, copy=False)
    onset = start + first_heard(speech)
    mean = float(speech.mean())  # a constant offset is loud on a meter and silent to an ear
    peak = dbfs(max(float(speech.max()) - mean, mean - float(speech.min())) / full)
    rms = dbfs(math.sqrt(max(0.0, float(speech @ speech) / len(speech) - mean * mean)) / full)
    if rms < SILENCE_DBFS:
        raise NotSpeech(f"silence: {rms:.0f} dBFS over {len(mono) / rate:.2f} s")
    pitch, variation = pitch_hz(speech, rate), round(variation_db(speech, rate), 2)
    return Measure(rate, len(mono), start, end, onset, round(peak, 2), round(rms, 2), pitch, variation)


def _check_numbers(sound: Samples) -> None:
    """Raise NotSpeech for floats that are no numbers, or that are far beyond full scale."""
    if not np.isfinite(sound).all():
        raise NotSpeech("the sound file holds samples that are no numbers")
    if (loudest := max(float(sound.max()), -float(sound.min()))) > LOUDEST:
        raise NotSpeech(f"the sound file holds a sample of {loudest:.3g}, where 1 is full scale")


def speech_bounds(mono: Samples, rate: int) -> tuple[int, int]:
    """The samples `[start, end)` between the silent edges."""
    window = max(1, round(rate * WINDOW_S))
    padded = np.pad(mono, (0, -len(mono) % window)).reshape(-1, window)
    levels = np.maximum(padded.max(axis=1).astype(np.float32), -padded.min(axis=1).astype(np.float32))
    loud = np.flatnonzero(levels > levels.max() * 10 ** (EDGE_DB / 20))
    if not len(loud):
        return 0, len(mono)
    start = int(loud[0]) * window - round(KEEP_HEAD_S * rate)
    end = (int(loud[-1]) + 1) * window + round(KEEP_TAIL_S * rate)
    return max(0, start), min(len(mono), end)


def first_heard(speech: Samples) -> int:
    """The first sample that is above EDGE_DB of the loudest; 0 for silence."""
    level = np.abs(speech.astype(np.float32, copy=False))
    return int((level > level.max() * 10 ** (EDGE_DB / 20)).argmax())


def dbfs(amplitude: float) -> float:
    """Of an amplitude where 1 is full scale; -120 stands for nothing at all."""
    return 20 * math.log10(amplitude) if amplitude > 1e-6 else -120.0


def check_pace(measured: Measure, text: str, speed: float) -> None:
    """Raise NotSpeech when a sound is far too short or too long to be this text, said at this speed, or is no word."""
    seconds, characters = measured.speech_s, sum(not c.isspace() for c in text)
    if characters < SHORT_TEXT:
        check_short(text, seconds * speed, measured.variation_db)
        return
    pace = characters / seconds / speed
    if not SLOWEST_CPS <= pace <= FASTEST_CPS:
        raise NotSpeech(
            f"{characters} characters in {seconds:.2f} s are {pace:.1f} a second at normal speed: "
            f"speech has {SLOWEST_CPS} to {FASTEST_CPS:.0f}"
        )
