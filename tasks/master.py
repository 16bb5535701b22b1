"""The clips become one uncompressed file, in one pass that holds one clip at a time."""

import functools
import hashlib
import io
import warnings
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import soundfile

from blocks.speech import NotSpeech, RunFailed
from tasks.clips import Clip, Failure, Take
from tasks.ffmpeg import DiskFull
from tasks.timeline import Placement, Timeline, check_spoken, describe

Samples = np.ndarray[Any, np.dtype[np.int16]]

FADE_S = 0.005
"""Speech cut at a sample that is not zero clicks; a fade this short takes the click and nothing that is heard."""


def read_file(clip: Clip) -> bytes:
    """The sound from the place that the clip names."""
    path = Path(url2pathname(urlsplit(clip.uri).path)) if clip.uri.startswith("file:") else Path(clip.uri)
    return path.read_bytes()


def write_master(
    takes: Sequence[Take],
    timeline: Timeline,
    path: Path,
    stop: Event,
    read: Callable[[Clip], bytes] = read_file,
) -> None:
    """Write every clip's speech at its placement, mono, 16 bit, with digital silence between.

    RF64, because a WAV over 4 GiB lies about its length. Raises DiskFull, and RunFailed that names a clip which is
    no longer what stood on the shelf.
    """
    check_spoken(takes, timeline)
    cursor = 0
    try:
        with soundfile.SoundFile(path, "w", timeline.rate, 1, format="RF64", subtype="PCM_16") as master:
            for number, (take, place) in enumerate(zip(takes, timeline.placements, strict=True)):
                if stop.is_set():
                    raise RunFailed("stopped; finished clips are kept")
                if isinstance(take.outcome, Failure):
                    continue  # a gap: the next clip brings the silence before it
                pause = _write_seconds(master, place.start - cursor)
                block = np.zeros(pause + place.end - place.start, np.int16)
                block[pause:] = _heard(describe(number, take), take.outcome, read, place, timeline.rate)
                master.write(block)
                cursor = place.end
            master.write(np.zeros(_write_seconds(master, timeline.length - cursor), np.int16))
    except soundfile.LibsndfileError as error:
        # libsndfile keeps no error number: "System error." is all it tells of a write that fell short.
        raise DiskFull("there is no room for the recording") from error


def _write_seconds(master: soundfile.SoundFile, silence: int) -> int:
    """The whole seconds of so many samples of silence; returns how many are left.

    However long the silence, no more than a second of it is held; and a write takes as long as a read: the rest goes
    with the speech.
    """
    rate: int = master.samplerate
    seconds, left = divmod(silence, rate)
    second = np.zeros(rate if seconds else 0, np.int16)
    for _ in range(seconds):
        master.write(second)
    return left


def _heard(name: str, clip: Clip, read: Callable[[Clip], bytes], place: Placement, rate: int) -> Samples:
    """The speech as it goes into the master. Raises RunFailed."""
    try:
        speech = read_speech(clip, read, rate, place.end - place.start)
    except (OSError, NotSpeech, soundfile.LibsndfileError) as error:
        raise RunFailed(
            f"the clip of {name} cannot be used: {error}. Run the same command again: it will be spoken anew"
        ) from error
    heard = np.clip(np.round(speech * 10 ** (place.gain_db / 20)), -32768, 32767) if place.gain_db else speech
    return soften(heard.astype(np.int16), rate)


def read_speech(clip: Clip, read: Callable[[Clip], bytes], rate: int, length: int) -> Samples:
    """The clip without its silent edges, mono at this rate: `length` samples. Raises NotSpeech when it has changed."""
    data = read(clip)
    if len(data) != clip.bytes or hashlib.sha256(data).hexdigest() != clip.sha256:
        raise NotSpeech(f"{clip.uri} has {len(data)} bytes and is not the file of {clip.bytes} bytes that was verified")
    speech = _plain(data, clip, rate)
    if speech is None:
        # As floats: read as integers, a file of floats would give zeros.
        whole, own_rate = soundfile.read(io.BytesIO(data), dtype="float64", always_2d=True)
        speech = conform(whole[clip.speech_start : clip.speech_end], own_rate, rate, length)
    if len(speech) != length:
        raise NotSpeech(f"{clip.uri} ends after {len(speech)} of {length} samples of speech")
    return speech


def _plain(data: bytes, clip: Clip, rate: int) -> Samples | None:
    """The speech of a 16-bit mono WAV of this rate, which soundfile takes twice as long to open; None for all else."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, rate):
                return None
            file.setpos(clip.speech_start)
            return np.frombuffer(file.readframes(clip.speech_end - clip.speech_start), "<i2")
    except (wave.Error, EOFError):
        return None


def conform(speech: "np.ndarray[Any, np.dtype[np.float64]]", old: int, new: int, length: int) -> Samples:
    """Fold `(frames, channels)` of -1..1 to mono and resample, to exactly this many samples if there are any."""
    if not len(speech):
        return np.zeros(0, np.int16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that no ffmpeg is on PATH; we let it run none
        from pydub import AudioSegment  # noqa: PLC0415 - hence here, and few runs need it

    pcm = np.clip(np.round(speech * 32768), -32768, 32767).astype("<i2")
    segment = AudioSegment(data=pcm.tobytes(), sample_width=2, frame_rate=old, channels=speech.shape[1])
    raw = segment.set_channels(1).set_frame_rate(new).raw_data
    exact = np.zeros(length, np.int16)
    mono = np.frombuffer(raw, "<i2")[:length]
    exact[: len(mono)] = mono
    return exact


def soften(speech: Samples, rate: int) -> Samples:
    """Fade both ends in place; returns it."""
    steps = min(round(FADE_S * rate), len(speech) // 2)
    if steps:
        rise = _rise(steps)
        speech[:steps] = speech[:steps] * rise
        speech[-steps:] = speech[-steps:] * rise[::-1]
    return speech


@functools.cache
def _rise(steps: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    return np.sin(np.linspace(0, np.pi / 2, steps, endpoint=False)) ** 2
