"""The shelf: clips by what they say, so that the same text in the same voice is spoken, and paid, once."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from blocks.speech import Audio, Voice
from blocks.storage import folder
from tasks.clips import Clip
from tasks.document import Boundary, Chunk, fingerprint

SHELF_VERSION = 1
"""Raise it when the same text and voice should no longer give the clip that stands on old shelves."""


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
        folder.replace(sound, audio.data)
        placed = replace(clip, uri=str(sound))
        self.keep(text, voice, placed)
        return placed

    def keep(self, text: str, voice: Voice, placed: Clip) -> None:
        """Let this clip, which stands here, be the one of its text. Another take of it is left to be pruned."""
        facts, sound = self._facts(self.key(text, voice)), Path(placed.uri)
        fields = {name: value for name, value in asdict(placed).items() if name not in {"uri", "reused"}}
        stored = {"file": sound.name, "text": text, "voice": asdict(voice), "clip": fields}
        folder.replace(facts, json.dumps(stored, ensure_ascii=False).encode())

    def put_pieces(self, text: str, voice: Voice, pieces: Sequence[Chunk]) -> None:
        """Remember that this text is said only in these pieces."""
        stored = [[piece.text, piece.boundary] for piece in pieces]
        folder.replace(self._pieces(text, voice), json.dumps(stored, ensure_ascii=False).encode())

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
