"""The clips become one uncompressed file, in one pass that holds few clips at a time."""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event

import numpy as np
import soundfile

from tasks.clips import Clip, Take
from tasks.ffmpeg import DiskFull
from tasks.heard import heard, read_file
from tasks.mix import mixed
from tasks.timeline import Timeline, check_spoken


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
    places = timeline.placements
    clips = [number for number, take in enumerate(takes) if isinstance(take.outcome, Clip)]  # a gap is silence
    clips.sort(key=lambda number: places[number].start)
    sounds = heard(takes, timeline, clips, stop, read)
    cursor = 0
    try:
        with soundfile.SoundFile(path, "w", timeline.rate, 1, format="RF64", subtype="PCM_16") as master:
            for start, sound in mixed([places[number] for number in clips], sounds, timeline.rate):
                pause = _write_seconds(master, start - cursor)
                block = np.zeros(pause + len(sound), np.int16)
                block[pause:] = sound
                master.write(block)
                cursor = start + len(sound)
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
