"""The finish of a recording, in one ffmpeg pass over the master: gain, limiter, encoding, chapters, tags."""

import re
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import IO, Literal

from tasks.ffmpeg import ffmpeg, loudness
from tasks.timeline import Timeline

TRUE_PEAK_DBFS = -1.5
"""The ceiling of the podcast platforms."""
SOUNDING_S, PIECE_S = 300.0, 15.0
"""The gain is found on at most so much of the recording, in pieces spread evenly over it."""
COMMENT = "Synthetic speech, made by speech-flows"


@dataclass(frozen=True, slots=True)
class Format:
    output: tuple[str, ...]
    """ffmpeg's options."""
    demuxer: str
    """ffmpeg's name for what reads it back."""
    lossless: bool = False
    headroom_db: float = 1.0
    """How far below the ceiling the limiter must hold samples so that what is between them stays below it, too."""
    makeup_db: float = 0.0
    """What the encoder takes away."""
    chapters: Literal["native", "comments", "none"] = "native"
    """How it holds them, if it does."""


# The bit rates are for mono. Measured on speech: noise-to-mask ratio, CPU and size of each encoder's settings.
FORMATS = {
    "wav": Format(("-c:a", "pcm_s16le", "-f", "wav", "-rf64", "auto"), "wav", lossless=True, chapters="none"),
    "flac": Format(("-c:a", "flac", "-sample_fmt", "s16", "-f", "flac"), "flac", lossless=True, chapters="comments"),
    # Constant bit rate, because players jump exactly only in it. 96k at level 7 is cleaner than 64k at 5, in half the
    # time. LAME scales its input by 0.95.
    "mp3": Format(
        ("-c:a", "libmp3lame", "-b:a", "96k", "-compression_level", "7", "-id3v2_version", "3", "-f", "mp3"),
        "mp3",
        makeup_db=0.45,
    ),
    # Level 10 takes twice as long for less: it holds the average at 40k, which level 5 exceeds to good effect. The
    # chapters are comments because ffmpeg's own ones are a second late wherever the fraction is half a second or more.
    "opus": Format(
        ("-c:a", "libopus", "-b:a", "40k", "-compression_level", "5", "-f", "opus"),
        "ogg",
        headroom_db=2.0,
        chapters="comments",
    ),
    # The default search of ffmpeg's AAC encoder takes five times as long and is no cleaner at this rate.
    "m4b": Format(
        (
            *("-c:a", "aac", "-aac_coder", "fast", "-b:a", "64k"),
            *("-movflags", "+faststart", "-brand", "M4B ", "-metadata", "media_type=2", "-f", "ipod"),
        ),
        "mov",
    ),
}


@dataclass(frozen=True, slots=True)
class Labels:
    """What a player shows. Empty fields are left out; wav holds no chapters, m4b no language."""

    title: str = ""
    artist: str = ""
    album: str = ""
    language: str = ""
    """A BCP 47 tag."""
    chapters: tuple[tuple[int, str], ...] = ()
    """The first sample of each, ascending, and its title."""


def allowance(timeline: Timeline) -> float:
    """After how many seconds a pass over the recording must be hanging: the slowest takes a hundredth of its length."""
    return 60 + timeline.length / timeline.rate / 2


def find_gain(master: Path, timeline: Timeline, kind: Format, target_lufs: float, stop: Event) -> float:
    """The gain in dB with which the limited recording is as loud as wanted; 0 for silence and for less than 400 ms.

    Plain arithmetic leaves peaky speech 1.5 LU too soft, because of the limiter: so it is measured behind the limiter.
    """
    length_s = timeline.length / timeline.rate
    period = length_s * PIECE_S / SOUNDING_S
    pieces = [f"aselect='lt(mod(t,{period:.3f}),{PIECE_S})'"] if length_s > SOUNDING_S else []

    def measured(*filters: str) -> float | None:
        chain = ",".join([*pieces, *filters, "ebur128=framelog=quiet"])
        arguments = [*_source(master), "-map", "0:a:0", "-af", chain, "-f", "null", "-"]
        return loudness(ffmpeg(arguments, allowance(timeline), stop, _ignore)[1])

    gain, heard, slope = 0.0, measured(), 1.0
    for _ in range(4):
        if heard is None or abs(target_lufs - heard) <= 0.2:
            break
        step = (target_lufs - heard) / slope
        gain += step
        before, heard = heard, measured(*_level(gain, kind, makeup_db=0.0))
        # The more the limiter holds back, the less of each dB arrives.
        slope = min(1.0, max(0.3, ((heard or before) - before) / step))
    return round(gain, 2)


def encode(
    master: Path, timeline: Timeline, kind: Format, result: Path, *, gain_db: float, labels: Labels, stop: Event
) -> None:
    """Write the recording to a new file, beside a text file of its labels. Raises RunFailed and DiskFull."""
    facts = result.with_suffix(".ffmetadata")
    # A title may come from a file name that is not UTF-8.
    facts.write_text(ffmetadata(labels, timeline, kind), encoding="utf-8", errors="replace")
    labelled = ["-f", "ffmetadata", "-i", f"file:{facts}", "-map_metadata", "1", "-map_chapters", "1"]
    levelled = ["-map", "0:a:0", "-af", ",".join(_level(gain_db, kind, makeup_db=kind.makeup_db))]
    # No versions, dates or random serial numbers: equal speech gives equal files.
    written = ["-bitexact", *kind.output, f"file:{result}"]
    ffmpeg([*_source(master), *labelled, *levelled, *written], allowance(timeline), stop, _ignore)


def _source(master: Path) -> list[str]:
    # Packets of 64 KiB instead of 4: half of ffmpeg's time would go into handing frames from thread to thread.
    return ["-protocol_whitelist", "file", "-max_size", "65536", "-f", "wav", "-i", f"file:{master}"]


def _level(gain_db: float, kind: Format, *, makeup_db: float) -> list[str]:
    limit = 10 ** ((TRUE_PEAK_DBFS - kind.headroom_db) / 20)
    # `latency` gives back the limiter's 5 ms of look-ahead; without `level=false` it would undo the gain.
    return [
        f"volume={gain_db:.2f}dB:precision=double",
        f"alimiter=limit={limit:.6f}:level=false:latency=true:level_out={10 ** (makeup_db / 20):.6f}",
    ]


def _ignore(stream: IO[bytes]) -> None:
    stream.read()


def ffmetadata(labels: Labels, timeline: Timeline, kind: Format) -> str:
    """Tags and chapters in ffmpeg's own text format."""
    tags = {
        "title": labels.title,
        "artist": labels.artist,
        "album": labels.album,
        "language": labels.language,
        "comment": COMMENT,
        "genre": "Audiobook",
    }
    chapters = labels.chapters
    if chapters and chapters[0][0]:
        # What is spoken before the first heading; m4b would give it to the first chapter.
        chapters = ((0, labels.title), *chapters)
    if kind.chapters == "comments":
        for number, (start, title) in enumerate(chapters):
            tags[f"CHAPTER{number:03}"] = clock(start * 1000 // timeline.rate)
            tags[f"CHAPTER{number:03}NAME"] = title
    lines = [";FFMETADATA1", *(f"{key}={escape(value)}" for key, value in tags.items() if value)]
    if kind.chapters == "native":
        ends = [*(start for start, _ in chapters[1:]), timeline.length]
        for (start, title), end in zip(chapters, ends, strict=False):
            span = [f"TIMEBASE=1/{timeline.rate}", f"START={start}", f"END={end}"]
            lines += ["[CHAPTER]", *span, f"title={escape(title)}"]
    return "\n".join(lines) + "\n"


def clock(milliseconds: int) -> str:
    seconds, thousandths = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{thousandths:03}"


def escape(value: str) -> str:
    return re.sub(r"([=;#\\\n])", r"\\\1", value.replace("\0", ""))
