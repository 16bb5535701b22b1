"""What is heard of a clip: its speech at the recording's rate, as loud and as fast as its placement says."""

import functools
import hashlib
import io
import os
import warnings
import wave
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import soundfile

from blocks.speech import NotSpeech, RunFailed
from tasks.clips import Clip, Take
from tasks.stretch import Samples, stretch
from tasks.timeline import Placement, Timeline, at_rate, describe

FADE_S = 0.005
"""Speech cut at a sample that is not zero clicks; a fade this short takes the click and nothing that is heard."""
CUE_FADE_S = 0.001
"""At the start of a cue: where a clip has nothing before its first sound, more would make that late."""
CUT_S = 0.03
"""The fade of speech that is cut short: a word that stops at once sounds like a fault."""
MOST_THREADS = 8


def read_file(clip: Clip) -> bytes:
    """The sound from the place that the clip names."""
    path = Path(url2pathname(urlsplit(clip.uri).path)) if clip.uri.startswith("file:") else Path(clip.uri)
    return path.read_bytes()


def heard(
    takes: Sequence[Take], timeline: Timeline, numbers: Iterable[int], stop: Event, read: Callable[[Clip], bytes]
) -> Iterator[Samples]:
    """What is heard of each of these takes, in this order; they are clips. What is stretched is so some clips ahead.

    Raises RunFailed that names a clip which is no longer what stood on the shelf.
    """
    threads, rate = min(os.cpu_count() or 1, MOST_THREADS), timeline.rate
    rise_s = CUE_FADE_S if timeline.fits else FADE_S
    ready: deque[Samples | Future[Samples]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for number in numbers:
            if stop.is_set():
                raise RunFailed("stopped; finished clips are kept")
            place = timeline.placements[number]
            speech = _speech(number, takes[number], rate, read)
            if place.tempo == 1:
                ready.append(_shaped(speech, place, rate, rise_s))
            else:
                ready.append(pool.submit(_stretched, speech, place, rate, rise_s, stop))
            while ready and (not isinstance(ready[0], Future) or len(ready) > 2 * threads):
                yield _result(ready.popleft())
        while ready:
            yield _result(ready.popleft())


def _result(sound: Samples | Future[Samples]) -> Samples:
    return sound.result() if isinstance(sound, Future) else sound


def _speech(number: int, take: Take, rate: int, read: Callable[[Clip], bytes]) -> Samples:
    """A take's speech as it was spoken. Raises RunFailed."""
    if not isinstance(clip := take.outcome, Clip):
        raise TypeError(f"{describe(number, take)} has no clip")
    try:
        return read_speech(clip, read, rate)
    except (OSError, NotSpeech, soundfile.LibsndfileError) as error:
        raise RunFailed(
            f"the clip of {describe(number, take)} cannot be used: {error}. "
            "Run the same command again: it will be spoken anew"
        ) from error


def read_speech(clip: Clip, read: Callable[[Clip], bytes], rate: int) -> Samples:
    """The clip without its silent edges, mono at this rate. Raises NotSpeech when it has changed."""
    data = read(clip)
    if len(data) != clip.bytes or hashlib.sha256(data).hexdigest() != clip.sha256:
        raise NotSpeech(f"{clip.uri} has {len(data)} bytes and is not the file of {clip.bytes} bytes that was verified")
    length = at_rate(clip.speech_end - clip.speech_start, clip.sample_rate, rate)
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


def _stretched(speech: Samples, place: Placement, rate: int, rise_s: float, stop: Event) -> Samples:
    return _shaped(stretch(speech, rate, place.tempo, stop), place, rate, rise_s)


def _shaped(speech: Samples, place: Placement, rate: int, rise_s: float) -> Samples:
    """Cut to its placement, louder or softer, and faded at both ends."""
    kept = speech[: place.end - place.start]
    louder = np.clip(np.round(kept * 10 ** (place.gain_db / 20)), -32768, 32767) if place.gain_db else kept
    fall_s = FADE_S if len(kept) == len(speech) else CUT_S
    return soften(louder.astype(np.int16), round(rise_s * rate), round(fall_s * rate))


def soften(speech: Samples, rise: int, fall: int) -> Samples:
    """Fade both ends in place, over so many samples; returns it."""
    half = len(speech) // 2
    rise, fall = min(rise, half), min(fall, half)
    if half:
        speech[:rise] = speech[:rise] * _rise(rise)
        speech[-fall:] = speech[-fall:] * _rise(fall)[::-1]
    return speech


@functools.cache
def _rise(steps: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    return np.sin(np.linspace(0, np.pi / 2, steps, endpoint=False)) ** 2
