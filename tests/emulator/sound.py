"""What the emulator says: real speech of the embedded voice, or babble where a bench wants no engine."""

import functools
import io
import re
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
import soundfile
from numpy.typing import NDArray

from blocks.providers.espeak import Espeak
from blocks.speech import BadVoice, NotSpeech, Voice

_KEPT = 1_000
"""Speeches in the cache; a run's texts come again after each fault."""
_TAPE_S = 60
_CHARACTERS_A_SECOND = 14.0
_SYLLABLES_A_SECOND = 4.0
"""Of scripts that write a syllable with one character."""
_SYLLABIC = re.compile(r"[぀-ヿ㐀-鿿가-힯]")
_SCRIPTS = (
    ("ja", re.compile(r"[぀-ヿ]")),
    ("zh", re.compile(r"[㐀-鿿]")),
    ("ko", re.compile(r"[가-힯]")),
    ("ru", re.compile(r"[Ѐ-ӿ]")),
    ("vi", re.compile("[ăđơư\u1ea0-\u1ef9\u031b\u0323]", re.IGNORECASE)),
)


@dataclass(frozen=True, slots=True)
class Sound:
    samples: NDArray[np.int16]
    rate: int
    """What the answer says of the samples, per second; a fault may make it a lie."""

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


@dataclass(frozen=True, slots=True)
class Format:
    container: str
    """wav, raw, mp3, ogg or flac."""
    rate: int
    encoding: str = "PCM_16"


def guessed(text: str) -> str:
    """The language, where the request names none: such vendors tell it from the text."""
    return next((language for language, script in _SCRIPTS if script.search(text)), "en-US")


def at(sound: Sound, rate: int) -> Sound:
    """The same speech, resampled."""
    if rate == sound.rate:
        return sound
    count = round(sound.seconds * rate)
    places = np.arange(count) * (sound.rate / rate)
    samples = np.interp(places, np.arange(len(sound.samples)), sound.samples) if count else sound.samples[:0]
    return Sound(np.round(samples).astype(np.int16), rate)


def encoded(sound: Sound, wanted: Format) -> bytes:
    file = io.BytesIO()
    subtype = {"mp3": "MPEG_LAYER_III", "ogg": "OPUS", "flac": "PCM_16"}.get(wanted.container, wanted.encoding)
    endian = "LITTLE" if wanted.container == "raw" else "FILE"
    soundfile.write(file, sound.samples, sound.rate, subtype, endian, wanted.container.upper())
    return file.getvalue()


def babble(text: str, speed: float, rate: int) -> Sound:
    """As long as the text would take to say, with syllables and pauses; the same for the same text."""
    syllabic = len(_SYLLABIC.findall(text))
    seconds = 0.25 + (syllabic / _SYLLABLES_A_SECOND + (len(text) - syllabic) / _CHARACTERS_A_SECOND) / speed
    start = (sum(text.encode()) * 7919) % (rate * _TAPE_S // 2)
    count = round(seconds * rate)
    piece = _tape(rate)[start : start + count]
    return Sound(piece if len(piece) == count else np.resize(piece, count), rate)


@functools.cache
def _tape(rate: int) -> NDArray[np.int16]:
    time = np.arange(rate * _TAPE_S) / rate
    pitch = 2 * np.pi * (120 * time + 3 * np.sin(2 * np.pi * 0.6 * time))
    # Each overtone comes and goes, as in vowels: what never changes is taken for a hum.
    vowels = {1: 1.3, 2: 2.3, 3: 3.1, 5: 4.7, 8: 5.9, 15: 2.9}
    swells = {overtone: np.cos(np.pi * hz * time) ** 4 / overtone**0.5 for overtone, hz in vowels.items()}
    voice = np.sum([swell * np.sin(pitch * overtone) for overtone, swell in swells.items()], axis=0)
    syllables = np.clip(np.sin(2 * np.pi * 4.3 * time) + 0.4 * np.sin(2 * np.pi * 1.1 * time) + 0.3, 0, None)
    tape: NDArray[np.int16] = (voice * syllables * 4_500).astype(np.int16)
    return tape


class Speaker:
    def __init__(self) -> None:
        self.fast = False
        self._engine = Espeak()
        self._kept: OrderedDict[tuple[str, Voice, int], Sound] = OrderedDict()
        self._voices: dict[str, Voice] = {}

    async def speak(self, text: str, language: str, timbre: str, speed: float, rate: int) -> Sound:
        """`timbre` is one of espeak-ng's variants: `f2`. Where nothing can be said, 0.3 s of silence."""
        if self.fast:
            return babble(text, speed, rate)
        voice = await self._voice(language or guessed(text))
        voice = replace(voice, name=f"{voice.name}+{timbre}", speed=min(max(speed, 0.5), 3.0))
        if (text, voice, rate) not in self._kept:
            self._kept[text, voice, rate] = at(await self._said(text, voice), rate)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return self._kept[text, voice, rate]

    async def close(self) -> None:
        await self._engine.close()

    async def _said(self, text: str, voice: Voice) -> Sound:
        try:
            audio = await self._engine.synthesise(text, voice)
        except NotSpeech:
            return Sound(np.zeros(7_200, np.int16), 24_000)
        samples, rate = soundfile.read(io.BytesIO(audio.data), dtype="int16")
        return Sound(samples, rate)

    async def _voice(self, language: str) -> Voice:
        """American English for a language that espeak-ng does not have."""
        if language not in self._voices:
            try:
                self._voices[language] = await self._engine.resolve(Voice("espeak", language=language))
            except BadVoice:
                self._voices[language] = await self._engine.resolve(Voice("espeak", language="en-US"))
        return self._voices[language]
