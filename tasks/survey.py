"""What a finished recording really holds, measured on the file that people will hear."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import IO, Any

import numpy as np

from blocks.speech import RunFailed
from tasks.encode import Format, allowance
from tasks.ffmpeg import ffmpeg, loudness
from tasks.timeline import Timeline

Floats = np.ndarray[Any, np.dtype[np.float32]]

DRAWN = 1200
"""Points of the waveform: about the pixels of a page."""
BLOCK = 1 << 16
REACH = 12
"""Samples on either side from which the sound between two samples is computed."""


@dataclass(frozen=True, slots=True)
class Survey:
    sample_rate: int
    samples: int
    loudness_lufs: float | None
    """None for silence and for less than 400 ms."""
    true_peak_dbfs: float | None
    """None for silence."""
    peaks: tuple[float, ...]
    """The loudest sample of each of up to 1,200 equal stretches, 0 to 1."""


def survey(recording: Path, kind: Format, timeline: Timeline, stop: Event) -> Survey:
    """Decode the whole recording once. Raises RunFailed when it does not decode."""
    source = ["-protocol_whitelist", "file", "-f", kind.demuxer, "-i", f"file:{recording}", "-map", "0:a:0"]
    # Larger frames: a third of the time went into handing the decoder's small ones from thread to thread.
    sink = ["-af", "asetnsamples=65536:p=0,ebur128=framelog=quiet", "-c:a", "pcm_f32le", "-f", "f32le", "pipe:1"]
    # A power of two that divides a block into whole frames, some eight for each point of the waveform.
    frame = min(BLOCK, 1 << (timeline.length // (8 * DRAWN)).bit_length())
    heard, log = ffmpeg([*source, *sink], allowance(timeline), stop, lambda stream: measure(stream, frame))
    samples, highest, peaks = heard
    rate = re.search(r"^\s+Stream #0:0.*Audio: .*?(\d+) Hz", log, re.MULTILINE)
    if not rate or not samples:
        raise RunFailed(f"the encoded recording holds no sound: {log[-200:].strip()}")
    true_peak_dbfs = round(20 * math.log10(highest), 2) if highest else None
    return Survey(int(rate[1]), samples, loudness(log), true_peak_dbfs, peaks)


def measure(stream: IO[bytes], frame: int) -> tuple[int, float, tuple[float, ...]]:
    """Samples, true peak and waveform of a stream of 32-bit floats, a block at a time."""
    samples, highest = 0, 0.0
    frames = [np.zeros(0, np.float32)]
    before = np.zeros(2 * REACH, np.float32)
    while data := stream.read(4 * BLOCK):
        block = np.frombuffer(data, "<f4")
        samples += len(block)
        frames.append(np.abs(np.pad(block, (0, -len(block) % frame))).reshape(-1, frame).max(axis=1))
        joined = np.concatenate([before, block])
        highest = true_peak(joined, highest)
        before = joined[-2 * REACH :]
    highest = true_peak(np.concatenate([before, np.zeros(REACH, np.float32)]), highest)
    return samples, highest, waveform(np.concatenate(frames))


def waveform(frames: Floats) -> tuple[float, ...]:
    """The highest of each of up to 1,200 equal stretches of them."""
    if not len(frames):
        return ()
    starts = np.linspace(0, len(frames), min(DRAWN, len(frames)), endpoint=False).astype(int)
    return tuple(np.minimum(np.maximum.reduceat(frames, starts), 1).round(3).tolist())


def true_peak(sound: Floats, highest: float) -> float:
    """The highest of `highest` and what the sound reaches at and between its samples, its first and last 12 apart.

    ffmpeg's own true-peak meter takes 5 s for an hour of speech, more than everything else it does for a wav. What can
    be a peak stands beside a sample of at least half its height, so that only those few places need looking at.
    """
    level = np.abs(sound)
    highest = max(highest, float(level.max()))
    near = np.flatnonzero(level[REACH:-REACH] > highest / 2)
    if not len(near):
        return highest
    around = np.lib.stride_tricks.sliding_window_view(sound, 2 * REACH + 1)[near]
    return max(highest, float(np.abs(around @ KERNELS).max()))


def _kernels() -> Floats:
    """A windowed sinc, `(2 * REACH + 1, 7)`: the sound at the eighths of a sample nearest to a sample."""
    offsets = np.arange(-REACH, REACH + 1)[:, None] - np.array([-3, -2, -1, 1, 2, 3, 4]) / 8
    kernels: Floats = (np.sinc(offsets) * np.cos(np.pi * offsets / (2 * REACH + 2)) ** 2).astype(np.float32)
    return kernels


KERNELS = _kernels()
