"""A voice to imitate: a recording of somebody, and the words that are said in it."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from blocks.blame import told
from blocks.sound import sniff
from blocks.speech import BadVoice, NotSpeech

_ENDINGS = (".wav", ".mp3", ".flac")
_KINDS = {"wav", "mp3", "flac"}
_MOST_BYTES = 10 * 2**20
_MOST_S = 30.0
"""The model hears no more, and its answer is shorter by what it hears."""
_MOST_CHARACTERS = 1000
"""Nobody says more in that time."""
_MARK = "sha256:"
_CUT = "cut five to fifteen seconds of clear speech out of it"


@dataclass(frozen=True, slots=True)
class Reference:
    """A recording with its words, as servers get them: where it lies on this machine is nobody's business."""

    sound: bytes = field(repr=False)
    kind: str
    """`wav`, `mp3` or `flac`, by its bytes."""
    words: str
    """Empty where the server does not ask for them."""

    @property
    def name(self) -> str:
        """The same for the same recording and words, wherever the file lies and whatever it is called."""
        content = hashlib.sha256(hashlib.sha256(self.sound).digest() + self.words.encode())
        return f"{_MARK}{content.hexdigest()}"


def is_place(name: str) -> bool:
    """Whether a voice's name is the path of a recording."""
    return name.lower().endswith(_ENDINGS)


def is_content(name: str) -> bool:
    """Whether a voice's name is the hash of a recording."""
    return name.startswith(_MARK)


def recorded(place: str, *, with_words: bool) -> Reference:
    """The recording at this path, and its words from the `.txt` beside it. Raises BadVoice."""
    path = Path(place).expanduser()
    sound = _sound(path)
    kind = sniff(sound)
    if kind not in _KINDS:
        raise BadVoice(f"The reference {_shown(path)} is no WAV, MP3 or FLAC file: convert it to one.")
    if not 0 < (length_s := _seconds(path, sound)) <= _MOST_S:
        raise BadVoice(f"The reference {_shown(path)} lasts {length_s:.1f} s, and may last {_MOST_S:.0f}: {_CUT}.")
    return Reference(sound, kind, _words(path.with_suffix(".txt")) if with_words else "")


def _sound(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise BadVoice(f"There is no reference {_shown(path)}: name the path of a WAV, MP3 or FLAC file.")
        with path.open("rb") as file:
            sound = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise BadVoice(f"The reference {_shown(path)} cannot be read: {told(error)}.") from error
    if len(sound) > _MOST_BYTES:
        raise BadVoice(f"The reference {_shown(path)} has more than {_MOST_BYTES >> 20} MB: {_CUT}.")
    return sound


def _seconds(path: Path, sound: bytes) -> float:
    import soundfile  # noqa: PLC0415 - it takes numpy, and few voices have a reference

    from blocks.decoder import Decoder  # noqa: PLC0415

    try:
        with Decoder(sound) as file:
            rate: int = file.samplerate
            return len(file.whole("int16")) / rate
    except (soundfile.LibsndfileError, NotSpeech) as error:
        raise BadVoice(f"The reference {_shown(path)} does not decode: {told(error)}.") from error


def _words(path: Path) -> str:
    """What is said in the recording. Raises BadVoice."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            words = " ".join(file.read(_MOST_CHARACTERS + 1).split())
    except FileNotFoundError as error:
        raise BadVoice(
            f"This server wants the words of the reference: write what is said in it into {_shown(path)}, or, where it "
            "can do without them, leave ref_text out of the server's URL."
        ) from error
    except (OSError, ValueError) as error:
        raise BadVoice(
            f"The words of the reference, {_shown(path)}, cannot be read as UTF-8: {told(error)}."
        ) from error
    if not 0 < len(words) < _MOST_CHARACTERS:
        raise BadVoice(
            f"The words of the reference, {_shown(path)}, must be what is said in it: 1 to {_MOST_CHARACTERS - 1} "
            "characters."
        )
    return words


def _shown(path: Path) -> str:
    return repr(told(path))
