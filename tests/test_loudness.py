"""How loud speech is, and speech made as loud as wanted."""

import io
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import soundfile

from blocks.providers.espeak import Espeak
from blocks.speech import Voice
from tasks import ffmpeg
from tasks.loudness import (
    FLOOR_DBFS,
    MOST_GAIN_DB,
    NOTHING_DBFS,
    Samples,
    floor_dbfs,
    levelled,
    limited,
    loudness,
    weighted_power,
)

RATE = 24_000
TEXTS = ("Nobody answered the letter.", "It was a long way down, and the lamp had gone out.", "One. Two. Three.")
WORDS = ("cat", "lighthouse", "a", "strengths", "answer", "why")
VOICES = ("en-us", "en-us+whisper", "en-us+croak", "en-us+f3", "de")


def sine(hertz: float, dbfs: float, rate: int = RATE, seconds: float = 2.0) -> np.ndarray:
    moments = np.arange(round(rate * seconds)) / rate
    return (10 ** (dbfs / 20) * np.sin(2 * np.pi * hertz * moments)).astype(np.float32)


def pcm(sound: np.ndarray) -> Samples:
    return np.round(sound * 32767).astype(np.int16)


async def spoken(texts: tuple[str, ...], voices: tuple[str, ...]) -> list[tuple[Samples, int]]:
    espeak = Espeak()
    try:
        said = [(await espeak.synthesise(text, Voice("espeak", name))).data for text in texts for name in voices]
    finally:
        await espeak.close()
    return [soundfile.read(io.BytesIO(data), dtype="int16") for data in said]


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_a_known_tone(rate: int) -> None:
    """The standard's own: a sine of 997 Hz in one channel is 3 LU below its peak, at any rate; 100 Hz counts for less,
    3 kHz for more."""
    assert loudness(sine(997, -20, rate), rate) == pytest.approx(-23.01, abs=0.06)
    assert loudness(sine(100, -20, rate), rate) == pytest.approx(-24.8, abs=0.3)
    assert loudness(sine(3000, -20, rate), rate) == pytest.approx(-19.7, abs=0.4)


async def test_real_speech_as_ffmpeg_measures_it(tmp_path: Path) -> None:
    """Sentences of several voices, softer ones and one with a long pause: within 0.1 LU of ffmpeg's own meter."""
    for number, (sound, rate) in enumerate(await spoken(TEXTS, VOICES)):
        whole = np.concatenate([sound, np.zeros(number % 3 * rate, np.int16), sound // (1 + number % 4)])
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, whole, rate)
        chain = ["-i", str(path), "-af", "ebur128=framelog=quiet", "-f", "null", "-"]
        told = ffmpeg.loudness(ffmpeg.ffmpeg(chain, 60, Event(), lambda stream: stream.read())[1])
        assert loudness(whole.astype(np.float32) / 32768, rate) == pytest.approx(told, abs=0.1)


def test_longer_than_one_piece() -> None:
    """Where it is cut for the filter is not heard: a minute is as loud as two seconds of it, and so is each sample."""
    assert loudness(sine(200, -20, seconds=60), RATE) == pytest.approx(loudness(sine(200, -20), RATE), abs=0.02)
    pieces = list(weighted_power(sine(200, -20, seconds=10), RATE))
    power = np.concatenate(pieces)
    assert len(pieces) > 2
    assert len(power) == 10 * RATE
    settled = power[RATE:].reshape(-1, 120).mean(axis=1)  # a period of the sine
    assert settled.max() / settled.min() < 1.01


def test_the_shortest() -> None:
    """What is shorter than a block is measured whole; nothing and silence have no loudness."""
    for seconds in np.arange(0.1, 0.5, 0.0137):
        assert loudness(sine(997, -20, seconds=seconds), RATE) == pytest.approx(-23, abs=0.1)
    assert loudness(np.zeros(RATE, np.float32), RATE) is None
    assert loudness(np.zeros(0, np.float32), RATE) is None
    still = levelled(np.zeros(100, np.int16), RATE, -19, -1.5)
    assert (still.lufs, still.gain_db, still.sound.any()) == (None, 0, False)


async def test_words_of_all_voices_are_even() -> None:
    """Words and sentences of five voices, a whisper among them: each within 0.3 LU of what was asked for, and no peak
    above the ceiling, though it had to be held."""
    heard = await spoken(WORDS + TEXTS[:1], VOICES)
    before = [loudness(sound.astype(np.float32) / 32768, rate) for sound, rate in heard]
    assert max(before) - min(before) > 3, "they were even already"
    peaks = []
    for sound, rate in heard:
        level = levelled(sound, rate, -16, -1.5)
        now = level.sound.astype(np.float32) / 32768
        assert loudness(now, rate) == pytest.approx(level.lufs, abs=0.05)
        assert level.lufs == pytest.approx(-16, abs=0.3)
        peaks.append(20 * np.log10(np.abs(now).max()))
    assert max(peaks) <= -1.499
    assert sum(peak > -1.6 for peak in peaks) > 5, "nothing was held"


@pytest.mark.parametrize(("floor", "gain"), [(NOTHING_DBFS, MOST_GAIN_DB), (-60, 10), (FLOOR_DBFS, 0), (-40, 0)])
def test_noise_is_not_lifted(floor: float, gain: float) -> None:
    """What is very soft becomes louder by 15 dB at most, and by less where noise around it would be heard."""
    assert levelled(pcm(sine(200, -50)), RATE, -19, -1.5, floor).gain_db == pytest.approx(gain, abs=0.01)


def test_loud_ones_become_softer() -> None:
    """However noisy they are."""
    level = levelled(pcm(sine(997, -1)), RATE, -30, -1.5, -20)
    assert level.lufs == pytest.approx(-30, abs=0.1)
    assert level.gain_db == pytest.approx(-26, abs=0.1)


def test_clicks_do_not_make_it_shout() -> None:
    """One sample at full scale in soft speech: it is held by some 8 dB, and the rest is lifted no further."""
    sound = sine(200, -40)
    sound[RATE] = 0.99
    assert levelled(pcm(sound), RATE, -19, -1.5).gain_db == pytest.approx(6.5, abs=0.2)


def test_the_limiter() -> None:
    """It holds what is above, touches nothing 20 ms from there, and has no step that clicks; what needs none is as it
    was."""
    sound = sine(300, -12)
    assert limited(sound, RATE, 0.5) is sound
    sound[RATE : RATE + 240] *= 3
    held = limited(sound, RATE, 0.5)
    assert np.abs(held).max() <= 0.5
    far = np.r_[0 : RATE - 480, RATE + 720 : len(sound)]
    assert np.array_equal(held[far], sound[far])
    loud = np.abs(sound) > 0.02
    gain = held[loud] / sound[loud]
    assert np.abs(np.diff(gain)).max() < 0.05
    assert gain.min() < 0.7


def test_the_floor() -> None:
    """The softest 20 ms count; where there is less than that, nobody can tell."""
    noise = np.random.default_rng(0).normal(0, 10 ** (-60 / 20), RATE)
    noise[: RATE // 2] *= 30
    assert floor_dbfs(pcm(noise), RATE) == pytest.approx(-60, abs=1)
    assert floor_dbfs(pcm(noise)[:400], RATE) == NOTHING_DBFS
    assert floor_dbfs(np.zeros(RATE, np.int16), RATE) == NOTHING_DBFS
