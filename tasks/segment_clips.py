"""One WAV file for each cue or paragraph, in the order of the source: just what the recording has of it."""

import io
import json
import math
import re
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.speech import BadInput
from blocks.storage.folder import replace
from tasks.clips import Clip, Take
from tasks.document import Document, Omission, Segment
from tasks.encode import TRUE_PEAK_DBFS
from tasks.heard import heard, read_file
from tasks.source_place import address_of
from tasks.stopping import in_thread
from tasks.stretch import Samples
from tasks.timeline import Timeline, check_spoken, samples

LIST = "clips.json"
_OWN = re.compile(r"audio_\d{4,}\.wav")
LONGEST_SILENCE_MS = 60_000
"""Of a cue that says nothing: its window may last for hours, by a slip in the source."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What becomes one file."""

    index: int
    """In its source, from 1: of the cue, or of the segment."""
    source: tuple[Segment | Omission, ...]
    """A cue in which several speak is several segments."""
    takes: tuple[int, ...]


def write_clips(
    document: Document,
    takes: Sequence[Take],
    timeline: Timeline,
    folder: Path,
    *,
    gain_db: float = 0.0,
    read: Callable[[Clip], bytes] = read_file,
    stop: Event | None = None,
) -> list[Path]:
    """Write `audio_0000.wav` and so on, 16 bit, mono, and last their list, `clips.json`; returns all of them.

    Each cue of subtitles has its own, `audio_0006.wav` the seventh, and what is not spoken is silent for as long as its
    window, or a minute; else each segment has one. All are louder by `gain_db`, the recording's own gain, but one whose
    peak would be above -1.5 dBFS, which is just as loud as that. What an earlier run left beyond the last is removed.
    Raises RunFailed and StorageFailed.
    """
    check_spoken(takes, timeline)
    pieces = _pieces(document, takes)
    clips = [number for piece in pieces for number in piece.takes if isinstance(takes[number].outcome, Clip)]
    sounds = heard(takes, timeline, clips, stop or Event(), read)
    files, rows = [], []
    for piece in pieces:
        sound = _sound(piece, takes, timeline, sounds)
        path = folder / f"audio_{piece.index - 1:04}.wav"
        replace(path, _wav(_louder(sound, gain_db), timeline.rate))
        files.append(path)
        rows.append(_row(piece, path, timeline, len(sound)))
    written = set(files)
    for path in folder.iterdir():
        if _OWN.fullmatch(path.name) and path not in written and path.is_file():
            path.unlink()
    told = {"source": address_of(document.source), "clips": rows}
    replace(folder / LIST, (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode(errors="replace"))
    return [*files, folder / LIST]


def _pieces(document: Document, takes: Sequence[Take]) -> list[Piece]:
    indices = [part.window.index if part.window else number for number, part in enumerate(document.segments, 1)]
    source: dict[int, list[Segment | Omission]] = {}
    for index, segment in zip(indices, document.segments, strict=True):
        source.setdefault(index, []).append(segment)
    for omission in document.omissions:
        if omission.index:
            source.setdefault(omission.index, []).append(omission)
    spoken: dict[int, list[int]] = {}
    for number, take in enumerate(takes):
        spoken.setdefault(indices[take.chunk.segment], []).append(number)
    return [Piece(index, tuple(source[index]), tuple(spoken.get(index, ()))) for index in sorted(source)]


def _sound(piece: Piece, takes: Sequence[Take], timeline: Timeline, sounds: Iterator[Samples]) -> Samples:
    """From its first placement to the end of its last one; the next of `sounds` are its takes'."""
    places = [timeline.placements[number] for number in piece.takes]
    spoken = [isinstance(takes[number].outcome, Clip) for number in piece.takes]
    window = piece.source[0].window
    if not any(spoken):
        span_ms = min(window.end_ms - window.start_ms, LONGEST_SILENCE_MS) if window else 0
        return np.zeros(max(1, samples(span_ms, timeline.rate)), np.int16)
    start = min((place.start for place in places), default=0)
    end = max((place.end for place in places), default=0)
    whole = np.zeros(max(1, end - start), np.int16)
    for place, is_clip in zip(places, spoken, strict=True):
        if is_clip:
            sound = next(sounds)
            whole[place.start - start :][: len(sound)] = sound
    return whole


def _louder(sound: Samples, gain_db: float) -> Samples:
    peak = float(np.abs(sound.astype(np.float32)).max()) / 32768
    if not peak:
        return sound
    gain_db = min(gain_db, TRUE_PEAK_DBFS - 20 * math.log10(peak))
    return np.round(sound * 10 ** (gain_db / 20)).astype(np.int16)


def _wav(sound: Samples, rate: int) -> bytes:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(sound.astype("<i2", copy=False).tobytes())
    return data.getvalue()


def _row(piece: Piece, path: Path, timeline: Timeline, length: int) -> dict[str, str | int | float]:
    starts = [timeline.placements[number].start / timeline.rate for number in piece.takes]
    window = piece.source[0].window
    return {
        "file": path.name,
        "source_index": piece.index,
        "source_line": min(part.line for part in piece.source),
        "start_s": round(min(starts, default=window.start_ms / 1000 if window else 0.0), 6),
        "duration_s": round(length / timeline.rate, 6),
        "text": " ".join(part.text for part in piece.source),
    }


def check_clips(listed: bytes, folder: str, source: str) -> None:
    """Refuse a folder whose list tells of another source's clips: nobody could tell the two apart. Raises BadInput."""
    try:
        stands = str(json.loads(listed)["source"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder}/{LIST} is no list of clips: remove it, or choose another --output") from error
    if stands != address_of(source):
        raise BadInput(f"{folder} holds the clips of {stands}: choose another --output, or remove that folder")


@task(name="split", cache_policy=NO_CACHE, persist_result=False)
async def split(
    document: Document,
    takes: Sequence[Take],
    timeline: Timeline,
    folder: Path,
    gain_db: float = 0.0,
    read: Callable[[Clip], bytes] = read_file,
) -> list[Path]:
    """`write_clips` in a thread, which ends soon when it is cancelled. Wrap the arguments as those of `merge`."""

    def made(stop: Event) -> list[Path]:
        return write_clips(document, takes, timeline, folder, gain_db=gain_db, read=read, stop=stop)

    return await in_thread(made)
