"""What stands on a shelf, by name and form: a clip is its sound `ab/KEY.HASH.wav` and its facts `ab/KEY.json`."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import PurePosixPath

from blocks.speech import BadInput, Voice
from blocks.storage import Storage
from tasks.clips import Clip
from tasks.document import Boundary, Chunk, fingerprint

SHELF_VERSION = 1
"""Raise it when the same text and voice should no longer give the clip that stands on old shelves."""
FORMAT, MARKER = 1, "shelf.json"
"""Raise the format when a shelf's files are named or written so that this version would misread them."""
FACTS, PIECES = ".json", ".pieces"
CLAIMS = "claims/"
"""What begins the names of marks that runs put on a shelf while they speak."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A clip as its facts tell it."""

    sound: str
    """The name of its sound."""
    clip: Clip
    """With that name as its place."""
    facts: bytes
    """The facts as they are written."""

    def is_whole(self, data: bytes) -> bool:
        """Whether this is the sound that was verified when it was put."""
        return len(data) == self.clip.bytes and hashlib.sha256(data).hexdigest() == self.clip.sha256


@lru_cache(maxsize=1024)  # it is asked for at each step of a clip's way
def key_of(text: str, voice: Voice) -> str:
    """The name of what this text is in this voice; no key, plan, path or time is part of it."""
    # What a voice does not say is left out, so that a field that is added later throws no clip away.
    told = {name: value for name, value in asdict(voice).items() if value not in {"", 1.0}}
    said = {"version": SHELF_VERSION, "text": text, "voice": told}
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def folder_of(key: str) -> str:
    return f"{key[:2]}/"


def name_of(key: str, ending: str) -> str:
    return f"{folder_of(key)}{key}{ending}"


def written(text: str, voice: Voice, sound: str, clip: Clip) -> bytes:
    """The facts of a clip."""
    fields = {name: value for name, value in asdict(clip).items() if name not in {"uri", "reused"}}
    stored = {"file": PurePosixPath(sound).name, "text": text, "voice": asdict(voice), "clip": fields}
    return json.dumps(stored, ensure_ascii=False).encode()


def told(facts: bytes, key: str) -> Stored | None:
    """The clip that these facts tell of; None for what is cut, damaged, or written by a version that knows more."""
    try:
        stored = json.loads(facts)
        file, clip = str(stored["file"]), Clip(uri="", **stored["clip"])
        clip = replace(clip, flags=tuple(clip.flags), reused=True, attempts=0, latency_s=0.0)
    except (ValueError, KeyError, TypeError):
        return None
    if "/" in file or not file.startswith(f"{key}."):  # facts lead nowhere but to their own sound
        return None
    sound = f"{folder_of(key)}{file}"
    return Stored(sound, replace(clip, uri=sound), facts)


def written_pieces(pieces: Sequence[Chunk]) -> bytes:
    return json.dumps([[piece.text, piece.boundary] for piece in pieces], ensure_ascii=False).encode()


def told_pieces(data: bytes, text: str) -> list[tuple[str, Boundary]] | None:
    """The pieces of a text and what ends each; None unless together they are the text."""
    try:
        pieces = [(str(piece), Boundary(boundary)) for piece, boundary in json.loads(data)]
    except (ValueError, TypeError):
        return None
    return pieces if pieces and fingerprint(piece for piece, _ in pieces) == fingerprint([text]) else None


def sounds_of(names: Iterable[str]) -> dict[str, list[str]]:
    """The sounds among these names, by their key."""
    found: dict[str, list[str]] = {}
    for name in names:
        if not name.endswith((FACTS, PIECES)):
            found.setdefault(PurePosixPath(name).name.partition(".")[0], []).append(name)
    return found


def is_marked(storage: Storage) -> bool:
    """Whether a shelf's marker stands there. Raises BadInput for a shelf that this version cannot read."""
    place = storage.place(MARKER)
    try:
        number = int(json.loads(storage.read(MARKER))["format"])
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{place} is no marker of a shelf: name another --shelf, or remove this file") from error
    if number > FORMAT:
        raise BadInput(
            f"the shelf {storage.address} was written by a newer speech-flows (format {number}, this one knows "
            f"{FORMAT}): update, or name another --shelf"
        )
    return True


def mark(storage: Storage) -> None:
    storage.write(MARKER, json.dumps({"format": FORMAT}).encode())
