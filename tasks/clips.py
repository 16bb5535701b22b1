"""The sound side's values, and the shelf they stand on. A Clip is a place plus facts, never audio in memory."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from blocks import storage
from blocks.speech import Audio, Voice
from tasks.document import Boundary, Chunk, fingerprint

SHELF_VERSION = 1
"""Raise it when the same text and voice should no longer give the clip that stands on old shelves."""


@dataclass(frozen=True, slots=True)
class Clip:
    """The verified speech of one chunk, on the shelf."""

    uri: str
    sha256: str
    bytes: int
    sample_rate: int
    samples: int
    speech_start: int
    """First sample of the speech once the silent head is trimmed."""
    speech_end: int
    """One past the last sample of the speech once the silent tail is trimmed."""
    peak_dbfs: float
    rms_dbfs: float
    """Over the speech, without its silent edges."""
    pitch_hz: float = 0.0
    """Of the voice; 0 where it cannot be told."""
    flags: tuple[str, ...] = ()
    """What is odd about it but was accepted."""
    attempts: int = 1
    reused: bool = False
    """It stood on the shelf: no call was made for it in this run."""
    latency_s: float = 0.0
    request_id: str = ""
    key: str = ""
    """The name for people of the key that it was made through; never the key."""

    @property
    def speech_s(self) -> float:
        return (self.speech_end - self.speech_start) / self.sample_rate


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a chunk has no clip."""

    error: str
    """The name of the error class."""
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Take:
    """A chunk and what came of it."""

    chunk: Chunk
    outcome: Clip | Failure
    voice: Voice | None = None
    """Who says it; None is the voice of the run."""


class Shelf:
    """Clips by what they say: the same text in the same voice is spoken, and paid, once.

    A clip is two files, the sound and then its facts; the facts are written last and so are the proof that
    the sound is whole. No key, plan, path or time is part of the name.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def key(self, text: str, voice: Voice) -> str:
        # What a voice does not say is left out, so that a field that is added later throws no clip away.
        told = {name: value for name, value in asdict(voice).items() if value not in {"", 1.0}}
        said = {"version": SHELF_VERSION, "text": text, "voice": told}
        return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def find(self, text: str, voice: Voice) -> Clip | None:
        """The clip, if it stands here and size and hash agree; anything else counts as not there."""
        facts = self._facts(self.key(text, voice))
        try:
            stored = json.loads(facts.read_bytes())
            sound = facts.with_name(stored["file"])
            if sound.stat().st_size != stored["clip"]["bytes"]:
                return None
            with sound.open("rb") as data:
                if hashlib.file_digest(data, "sha256").hexdigest() != stored["clip"]["sha256"]:
                    return None
            clip = Clip(uri=str(sound), **stored["clip"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return replace(clip, flags=tuple(clip.flags), reused=True, attempts=0, latency_s=0.0)

    def put(self, text: str, voice: Voice, audio: Audio, clip: Clip) -> Clip:
        """Commit a verified clip; it is there wholly or not at all. Returns it with its place."""
        facts = self._facts(self.key(text, voice))
        # Not over an earlier take of the same text: that one counts until the new facts stand.
        sound = facts.with_name(f"{facts.stem}.{clip.sha256[:8]}.{audio.format}")
        storage.replace(sound, audio.data)
        placed = replace(clip, uri=str(sound))
        self.keep(text, voice, placed)
        return placed

    def keep(self, text: str, voice: Voice, placed: Clip) -> None:
        """Let this clip, which stands here, be the one of its text. Another take of it is left to be pruned."""
        facts, sound = self._facts(self.key(text, voice)), Path(placed.uri)
        fields = {name: value for name, value in asdict(placed).items() if name not in {"uri", "reused"}}
        stored = {"file": sound.name, "text": text, "voice": asdict(voice), "clip": fields}
        storage.replace(facts, json.dumps(stored, ensure_ascii=False).encode())

    def put_pieces(self, text: str, voice: Voice, pieces: Sequence[Chunk]) -> None:
        """Remember that this text is said only in these pieces."""
        stored = [[piece.text, piece.boundary] for piece in pieces]
        storage.replace(self._pieces(text, voice), json.dumps(stored, ensure_ascii=False).encode())

    def pieces(self, text: str, voice: Voice) -> list[tuple[str, Boundary]] | None:
        """The pieces that this text is said in, if that is known, with what ends each."""
        try:
            stored = json.loads(self._pieces(text, voice).read_bytes())
            pieces = [(str(piece), Boundary(boundary)) for piece, boundary in stored]
        except (OSError, ValueError, TypeError):
            return None
        return pieces if fingerprint(piece for piece, _ in pieces) == fingerprint([text]) else None

    def _pieces(self, text: str, voice: Voice) -> Path:
        return self._facts(self.key(text, voice)).with_suffix(".pieces")

    def _facts(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}.json"
