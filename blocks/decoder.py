"""Sound files decoded from front to back, because a head may lie about the length, or not know it."""

import io
import struct
from typing import Any, Self

import numpy as np
import soundfile

from blocks.speech import NotSpeech

Samples = np.ndarray[Any, np.dtype[Any]]
"""A row for each moment, a column for each channel."""
MOST_VALUES = 2**26
"""Samples of all channels that one file may hold: 25 minutes of mono at 44.1 kHz, 128 MB in memory."""
_UNKNOWN = 2**62
"""Frames from here on are libsndfile's word for `not known`."""
_BLOCK = 2**20
_HEAD = struct.Struct("<4sI4s8sHHIIHH4sI")
_MOST_CHANNELS = 8


class Decoder(soundfile.SoundFile):  # type: ignore[misc]  # it ships no types
    """Of one file in memory."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))

    def seekable(self) -> bool:
        """Never: soundfile would seek after each block, which FLAC without a true length does not survive."""
        return False

    def whole(self, dtype: str) -> Samples:
        """All samples. Raises NotSpeech for more than a clip can be, and for a FLAC that is shorter than it says."""
        stated = 0 if self.frames >= _UNKNOWN else max(0, self.frames)
        if stated * self.channels > MOST_VALUES:
            raise NotSpeech(f"the sound file tells of {stated} samples in {self.channels} channels: no clip is so long")
        if self.frames >= _UNKNOWN:
            return np.concatenate(self._blocks(dtype))
        sound: Samples = self.read(stated, dtype, always_2d=True)
        if len(sound) < stated and self.format == "FLAC":
            raise NotSpeech(f"the sound file is cut: {len(sound)} of {stated} samples came")
        return sound

    def _blocks(self, dtype: str) -> list[Samples]:
        blocks: list[Samples] = []
        size, left = max(1, _BLOCK // self.channels), MOST_VALUES // self.channels
        while not blocks or len(blocks[-1]):
            blocks.append(self.read(size, dtype, always_2d=True))
            left -= len(blocks[-1])
            if left < 0:
                raise NotSpeech(f"the sound file holds more than {MOST_VALUES} samples: no clip is so long")
        return blocks


class Plain:
    """A WAV file of 16 bits under the shortest head, which most clips are: soundfile takes ten times as long."""

    subtype = "PCM_16"

    def __init__(self, data: bytes, rate: int, channels: int) -> None:
        self.samplerate = rate
        self._sound = np.frombuffer(data, "<i2", offset=_HEAD.size).reshape(-1, channels)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def whole(self, dtype: str) -> Samples:
        """As `Decoder.whole`."""
        if self._sound.size > MOST_VALUES:
            raise NotSpeech(f"the sound file holds more than {MOST_VALUES} samples: no clip is so long")
        return self._sound.copy() if dtype == "int16" else self._sound.astype(dtype) / 32768


def opened(data: bytes) -> "Plain | Decoder":
    """To be entered. Raises LibsndfileError for what is no sound file."""
    if len(data) > _HEAD.size:
        riff, size, wave, fmt, tag, channels, rate, _, frame, bits, name, length = _HEAD.unpack_from(data)
        plain = (riff, wave, fmt, tag, bits, name) == (b"RIFF", b"WAVE", b"fmt \x10\0\0\0", 1, 16, b"data")
        whole = size == len(data) - 8 and length == len(data) - _HEAD.size
        if plain and whole and rate and 0 < channels <= _MOST_CHANNELS and frame == 2 * channels and not length % frame:
            return Plain(data, rate, channels)
    return Decoder(data)


def counted(data: bytes) -> int:
    """The samples of each channel. Raises NotSpeech where it does not decode."""
    try:
        with Decoder(data) as file:
            return len(file.whole("int16"))
    except soundfile.LibsndfileError as error:
        raise NotSpeech(f"the {len(data)} bytes are no sound file: {error.error_string}") from error
