"""A clip's samples as the bytes of a sound file: in this process, and the same each time."""

import io
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soundfile

from blocks.decoder import counted
from blocks.speech import NotSpeech, RunFailed

Samples = np.ndarray[Any, np.dtype[np.int16]]


@dataclass(frozen=True, slots=True)
class ClipFormat:
    """How libsndfile is told to write it."""

    form: str
    subtype: str
    rates: tuple[int, ...] = ()
    """Samples a second that it can have, ascending; empty for any."""
    options: dict[str, Any] = field(default_factory=dict)


CLIP_FORMATS = {
    "wav": ClipFormat("WAV", "PCM_16"),
    "flac": ClipFormat("FLAC", "PCM_16"),
    # Of a word, 80 to 100 kbit/s. A constant rate of 96 takes half as long again: no player seeks in a word.
    "mp3": ClipFormat(
        "MP3",
        "MPEG_LAYER_III",
        (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
        {"bitrate_mode": "VARIABLE", "compression_level": 0.3},
    ),
    "opus": ClipFormat("OGG", "OPUS", (8_000, 12_000, 16_000, 24_000, 48_000)),
}

_SERIAL, _CHECKSUM = slice(14, 18), slice(22, 26)
"""Of the stream and of the page, in the head of each page of an Ogg file."""
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def rate_for(suffix: str, rate: int) -> int:
    """The rate itself, or the next that the format has."""
    rates = CLIP_FORMATS[suffix].rates
    return next((known for known in rates if known >= rate), rates[-1]) if rates else rate


def encoded(sound: Samples, rate: int, suffix: str) -> bytes:
    """A whole file of mono sound. Raises RunFailed where it does not hold all of it."""
    kind, file = CLIP_FORMATS[suffix], io.BytesIO()
    try:
        soundfile.write(file, sound, rate, kind.subtype, format=kind.form, **kind.options)
        data = _of_one_name(file.getvalue()) if kind.form == "OGG" else file.getvalue()
        length = counted(data)
    except (soundfile.LibsndfileError, NotSpeech) as error:
        raise RunFailed(f"libsndfile cannot write this {suffix}: {error}. Choose another --format") from error
    if length != len(sound):
        raise RunFailed(
            f"libsndfile wrote {length} of {len(sound)} samples into this {suffix}: choose another --format"
        )
    return data


def _of_one_name(ogg: bytes) -> bytes:
    """The same file with a fixed serial number in place of a random one: equal speech gives equal bytes."""
    pages = bytearray(ogg)
    start = 0
    while start < len(pages):
        segments = pages[start + 26]
        body = start + 27 + segments
        end = body + sum(pages[start + 27 : body])
        page = pages[start:end]
        page[_SERIAL], page[_CHECKSUM] = bytes(4), bytes(4)
        page[_CHECKSUM] = _checksum(page)
        pages[start:end] = page
        start = end
    return bytes(pages)


def _checksum(page: bytes | bytearray) -> bytes:
    """Ogg's CRC: that of zlib with each byte's bits in reverse, from 0 on."""
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return mirrored.to_bytes(4, "big").translate(_MIRRORED)
