"""The speech of one cell as one sound file: as loud as all others, with the same silence around it."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import soundfile

from blocks.speech import NotSpeech, RunFailed
from blocks.storage import Storage, is_remote
from tasks.clip_formats import encoded, rate_for
from tasks.clips import Clip, Take
from tasks.document import Boundary
from tasks.encode import FORMATS, TRUE_PEAK_DBFS
from tasks.heard import FADE_S, read_speech, soften
from tasks.loudness import Samples, floor_dbfs, levelled
from tasks.timeline import PAUSES_MS, at_rate, check_spoken, samples
from tasks.verify import dbfs, first_heard

EDGE_MS = 100
"""Of silence before the first sound and after the last: some players swallow the first moment, or cut the last."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that shall be."""

    name: str
    """Relative to the output, with its suffix."""
    takes: tuple[Take, ...]
    """Each with its clip; several where the cell was too long for one request."""

    @property
    def sounds(self) -> list[tuple[Boundary, str]]:
        """The same for what would be the same file."""
        return [(take.chunk.boundary, take.outcome.sha256) for take in self.takes if isinstance(take.outcome, Clip)]


@dataclass(frozen=True, slots=True)
class CellFile:
    """A file that is, and what is heard in it."""

    name: str
    bytes: int
    sha256: str
    sample_rate: int
    samples: int
    duration_s: float
    loudness_lufs: float | None
    """Of the speech, without the silence around it, before it was encoded; None for silence."""
    gain_db: float
    """How much louder it is than it was spoken."""
    peak_dbfs: float


def render(wanted: Wanted, suffix: str, loudness_lufs: float, read: Callable[[Clip], bytes]) -> tuple[bytes, CellFile]:
    """The bytes of the file, and its facts; the same for the same speech. Raises RunFailed."""
    check_spoken(wanted.takes)
    clips = [take.outcome for take in wanted.takes if isinstance(take.outcome, Clip)]
    rate = rate_for(suffix, clips[0].sample_rate)
    pauses = [samples(PAUSES_MS[take.chunk.boundary], rate) for take in wanted.takes]
    try:
        parts = [_speech(clip, rate, read) for clip in clips]
    except (OSError, NotSpeech, soundfile.LibsndfileError) as error:
        raise RunFailed(
            f"the speech of {wanted.name} cannot be used: {error}. Run the same command again: it will be spoken anew"
        ) from error
    speech = _joined([part for part, _ in parts], pauses)
    ceiling = TRUE_PEAK_DBFS - FORMATS[suffix].headroom_db
    level = levelled(speech, rate, loudness_lufs, ceiling, max(floor for _, floor in parts))
    sound = edged(level.sound, rate)
    data = encoded(sound, rate, suffix)
    peak = dbfs(float(np.abs(sound.astype(np.float32)).max()) / 32768)
    return data, CellFile(
        wanted.name,
        len(data),
        hashlib.sha256(data).hexdigest(),
        rate,
        len(sound),
        len(sound) / rate,
        level.lufs,
        level.gain_db,
        round(peak, 2),
    )


def _speech(clip: Clip, rate: int, read: Callable[[Clip], bytes]) -> tuple[Samples, float]:
    """Faded at both ends, and the noise around it in dBFS."""
    whole = read_speech(replace(clip, speech_start=0, speech_end=clip.samples), read, rate)
    start, end = (at_rate(place, clip.sample_rate, rate) for place in (clip.speech_start, clip.speech_end))
    around = np.concatenate([whole[:start], whole[end:]])
    fade = round(FADE_S * rate)
    return soften(whole[start:end].copy(), fade, fade), floor_dbfs(around, rate)


def _joined(parts: Sequence[Samples], pauses: Sequence[int]) -> Samples:
    """One after another, each but the last followed by its pause."""
    gaps = [np.zeros(pause, np.int16) for pause in pauses[:-1]]
    return np.concatenate([parts[0], *(sound for pair in zip(gaps, parts[1:], strict=True) for sound in pair)])


def edged(speech: Samples, rate: int) -> Samples:
    """With just so much before its first sound, and after its last: what the trim kept of both counts."""
    edge = samples(EDGE_MS, rate)
    first, last = first_heard(speech), len(speech) - first_heard(speech[::-1])
    kept = speech[max(0, first - edge) : last + edge]
    return np.pad(kept, (max(0, edge - first), max(0, last + edge - len(speech))))


def make(
    wanted: Wanted, storage: Storage, suffix: str, loudness_lufs: float, read: Callable[[Clip], bytes]
) -> CellFile:
    """Render the file and put it there. Raises RunFailed and StorageFailed."""
    data, file = render(wanted, suffix, loudness_lufs, read)
    # No wait for the disk: it would take longer than all else, and who trusts a file proves it by its hash.
    storage.put(file.name, data)
    return file


def standing(files: Mapping[str, tuple[int, str]], storage: Storage) -> set[str]:
    """Those of these names, each with its size and SHA-256, that stand whole; of a bucket's files the size tells.

    Raises StorageFailed.
    """
    if is_remote(storage.address):
        listed = {entry.name: entry.bytes for entry in storage.entries(_common_folder(files))}
        return {name for name, (size, _) in files.items() if listed.get(name) == size}
    # In one thread: several would spend three times as long on handing Python's lock to each other.
    return {name for name, told in files.items() if _stands(storage, name, told)}


def _common_folder(names: Iterable[str]) -> str:
    """Where all of them are, as a bucket is asked for it."""
    tops = {name.partition("/")[0] for name in names}
    return f"{tops.pop()}/" if len(tops) == 1 else ""


def _stands(storage: Storage, name: str, told: tuple[int, str]) -> bool:
    try:
        data = storage.read(name)
    except FileNotFoundError:
        return False
    return (len(data), hashlib.sha256(data).hexdigest()) == told
