"""Where Kokoro's files are, what is in them, and which Voice that makes.

A voice is named by its language and its sex, `af_heart` for an American woman. kokoro-onnx reads all texts with
espeak-ng. So was Kokoro trained for the languages below; for Japanese and Chinese it was not, and the phonemes that
espeak-ng has for them (no kanji, and tones that the model has no letter for) are left out here.
"""

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from blocks.choices import by_language, check_spoken, named, speed_of
from blocks.speech import BadVoice, Offer, Voice
from blocks.storage import home

_SLOWEST, _FASTEST = 0.5, 2.0
_MODEL, _VOICES = "kokoro-v1.0.onnx", "voices-v1.0.bin"
_DIGITS = 12
"""Of a SHA-256, in the name of a model."""
_LANGUAGES = {
    "a": ("en-US", "en-us"),
    "b": ("en-GB", "en-gb"),
    "e": ("es", "es"),
    "f": ("fr", "fr-fr"),
    "h": ("hi", "hi"),
    "i": ("it", "it"),
    "p": ("pt-BR", "pt-br"),
}
"""By the first letter of a voice: its tag, and what espeak-ng calls it."""
_UNREAD = {"j": "Japanese", "z": "Chinese"}
_SEXES = {"f_": "female", "m_": "male"}
_BEST = {"af_heart", "am_michael", "bf_emma", "ef_dora", "ff_siwis", "hf_alpha", "if_sara", "pf_dora"}
"""They stand before the others of their language."""


@dataclass(frozen=True, slots=True)
class Model:
    tag: str
    """What its files hold, whatever machine they are on: `kokoro-v1.0.onnx@7d5df8ecf7d4+bca610b8308e`."""
    network: Path
    voices: Path
    offers: tuple[Offer, ...]
    unread: tuple[str, ...]
    """Voices of languages that are not offered."""


def find(asked: str) -> Model:
    """The model in a folder, or the .onnx file named and the voices beside it. Reads both files. Raises BadVoice."""
    place = Path(asked).expanduser() if asked else home() / "kokoro"
    hint = f"put {_MODEL} and {_VOICES} there, or name their folder with --model"
    if not place.exists():
        raise BadVoice(f"kokoro finds no model in {asked or place}: {hint}.")
    folder = place if place.is_dir() else place.parent
    network = _one(folder, _MODEL, hint) if place.is_dir() else place
    if network.suffix != ".onnx":
        raise BadVoice(f"{asked} is no .onnx file: name the model, or the folder that it is in, with --model.")
    voices = _one(folder, _VOICES, hint)
    names = _names(voices)
    offers = sorted((_offer(name) for name in names if _is_read(name)), key=_rank)
    if not offers:
        raise BadVoice(f"{voices} has no voice that kokoro-onnx can read a text for, such as af_heart.")
    unread = tuple(name for name in names if not _is_read(name))
    return Model(f"{network.name}@{_digest(network)}+{_digest(voices)}", network, voices, tuple(offers), unread)


def _one(folder: Path, usual: str, hint: str) -> Path:
    """The file with the usual name, or the only one with such a suffix. Raises BadVoice."""
    suffix = Path(usual).suffix
    found = sorted(path for path in folder.iterdir() if path.suffix == suffix and path.is_file())
    if folder / usual in found:
        return folder / usual
    if not found:
        raise BadVoice(f"kokoro finds no {suffix} file in {folder}: {hint}.")
    if len(found) > 1:
        several = ", ".join(path.name for path in found[:4])
        raise BadVoice(f"{folder} has several {suffix} files ({several}): keep one, or call it {usual}.")
    return found[0]


def _names(voices: Path) -> list[str]:
    """Raises BadVoice."""
    try:
        archive: Any = np.load(voices)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadVoice(f"{voices} is no voices file of Kokoro: {type(error).__name__}.") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise BadVoice(f"{voices} is no voices file of Kokoro: it holds one array without a name.")
    with archive:
        return sorted(archive.files)


def _is_read(name: str) -> bool:
    return name[:1] in _LANGUAGES and name[1:3] in _SEXES


def _offer(name: str) -> Offer:
    return Offer(name, _LANGUAGES[name[0]][0], _SEXES[name[1:3]])


def _rank(offer: Offer) -> tuple[str, bool, str]:
    return offer.name[0], offer.name not in _BEST, offer.name


def _digest(path: Path) -> str:
    """Raises BadVoice."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
    except OSError as error:
        raise BadVoice(f"kokoro cannot read {path}: {error.strerror}.") from error


def resolve(voice: Voice, model: Model) -> Voice:
    """See `Provider.resolve`."""
    if voice.style:
        raise BadVoice(f"kokoro takes no style ({voice.style!r} was asked for): leave it empty.")
    speed = speed_of("kokoro", voice.speed, _SLOWEST, _FASTEST)
    if voice.name:
        _check_read(voice.name, model.unread)
        name = named("kokoro", "voice", voice.name, (offer.name for offer in model.offers))
        offer = next(offer for offer in model.offers if offer.name == name)
        check_spoken(voice.language, offer)
    else:
        offer = by_language("kokoro", voice.language, model.offers)
    return replace(voice, provider="kokoro", name=offer.name, language=offer.language, model=model.tag, speed=speed)


def _check_read(name: str, unread: Iterable[str]) -> None:
    """Raises BadVoice."""
    if name not in unread:
        return
    if name[1:3] in _SEXES and (language := _UNREAD.get(name[0])):
        raise BadVoice(
            f"kokoro-onnx has no phonemes for {language}, the language of {name}: "
            "take another voice, or a server that has (--provider openai --server URL)."
        )
    raise BadVoice(f"The language of the voice {name} is not known: Kokoro's begin as af_ or bm_ (American, British).")


def espeak_language(voice: str) -> str:
    """What espeak-ng calls the language of a voice."""
    return _LANGUAGES[voice[0]][1]
