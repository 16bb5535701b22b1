"""Speech that is heard faster: as long as it must be, at its pitch, starting where it should."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import imageio_ffmpeg
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.speech import RunFailed
from tasks.ffmpeg import ffmpeg
from tasks.stretch import stretch
from tasks.timeline import stretched
from tasks.verify import first_heard

RATE = 24_000
ROOT = Path(__file__).parents[1]


def voice(seconds: float, head: float = 0.02, rate: int = RATE, pitch: float = 125.0) -> np.ndarray:
    """Syllables of a voice, which begin at once after so much silence."""
    times = np.arange(round(seconds * rate)) / rate
    tones = sum(np.sin(2 * np.pi * pitch * tone * times) / tone for tone in range(1, 9))
    sound = tones * (0.2 + np.abs(np.cos(2 * np.pi * 2.5 * times)))
    return np.concatenate([np.zeros(round(head * rate)), 20_000 * sound / max(1, np.abs(sound).max())]).astype(np.int16)


@settings(max_examples=25, deadline=None)
@given(
    samples=st.integers(1, 60_000),
    head=st.floats(0, 0.3),
    tempo=st.floats(1.001, 3.0),
    rate=st.sampled_from([8_000, 22_050, 24_000, 48_000]),
)
def test_the_length_is_exact_and_so_is_the_start(samples: int, head: float, tempo: float, rate: int) -> None:
    """Of any length, at any rate and tempo: the promised number of samples, and the first sound within 1 ms."""
    speech = voice(samples / rate, head, rate)
    faster = stretch(speech, rate, tempo, Event())
    assert (len(faster), faster.dtype) == (stretched(len(speech), tempo), np.int16)
    if samples > rate // 5:
        assert abs(first_heard(faster) - first_heard(speech) / tempo) <= rate / 1000


@pytest.mark.parametrize("tempo", [1.05, 1.2, 1.35, 2.0])
def test_the_pitch_is_kept(tempo: float) -> None:
    """What is heard faster is not heard higher, nor much softer or louder."""
    speech = voice(3.0)
    faster = stretch(speech, RATE, tempo, Event())
    for sound in (speech, faster):
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
        assert spectrum.argmax() * RATE / len(sound) == pytest.approx(125, abs=8)
    assert np.sqrt(np.mean(faster.astype(float) ** 2)) == pytest.approx(
        np.sqrt(np.mean(speech.astype(float) ** 2)), rel=0.25
    )


def test_the_loudest_speech_does_not_overflow() -> None:
    """Speech at full scale stays speech: where peaks rise, all of it is made a little softer, and nothing wraps."""
    speech = (voice(2.0).astype(float) * 32767 / 20_000).round().astype(np.int16)
    assert np.abs(speech.astype(int)).max() > 32_000
    faster = stretch(speech, RATE, 1.25, Event()).astype(int)
    assert 20_000 < np.abs(faster).max() <= 32_767
    assert np.abs(np.diff(faster)).max() < 32_767


def test_silence_and_nothing() -> None:
    """Silence stays silence, of the promised length."""
    for count in (0, 1, RATE):
        assert not stretch(np.zeros(count, np.int16), RATE, 1.3, Event()).any()
        assert len(stretch(np.zeros(count, np.int16), RATE, 1.3, Event())) == stretched(count, 1.3)


def test_stopping() -> None:
    """A stretch that is stopped ends at once and says so."""
    stop = Event()
    stop.set()
    begun = time.monotonic()
    with pytest.raises(RunFailed, match="stopped"):
        stretch(np.tile(voice(60.0), 20), RATE, 1.3, stop)
    assert time.monotonic() - begun < 10


def test_ffmpeg_that_wants_no_more_input() -> None:
    """What ffmpeg does not read keeps nobody waiting: its own complaint is told."""
    with pytest.raises(RunFailed, match="Filter not found"):
        ffmpeg(
            ["-f", "s16le", "-i", "pipe:0", "-af", "no-such-filter", "-f", "null", "-"],
            60,
            Event(),
            lambda stream: stream.read(),
            bytes(10_000_000),
        )


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_an_ffmpeg_without_rubberband(tmp_path: Path) -> None:
    """Somebody's own ffmpeg may lack the better filter: length and start are as promised all the same."""
    own = imageio_ffmpeg.get_ffmpeg_exe()
    stand_in = tmp_path / "ffmpeg"
    stand_in.write_text(
        f'#!/bin/sh\ncase "$*" in\n*-filters*) "{own}" "$@" | grep -v rubberband;;\n'
        f'*rubberband*) exit 8;;\n*) exec "{own}" "$@";;\nesac\n'
    )
    stand_in.chmod(stand_in.stat().st_mode | stat.S_IEXEC)
    check = (
        "from threading import Event; from tests.test_stretch import *\n"
        "speech = voice(2.0, 0.1)\n"
        "faster = stretch(speech, RATE, 1.25, Event())\n"
        "assert len(faster) == stretched(len(speech), 1.25), len(faster)\n"
        "assert abs(first_heard(faster) - first_heard(speech) / 1.25) <= RATE / 1000\n"
    )
    environment = os.environ | {"IMAGEIO_FFMPEG_EXE": str(stand_in)}
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, env=environment, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
