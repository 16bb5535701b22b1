"""The shelf: clips by what they say, so that the same text in the same voice is spoken, and paid, once."""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from blocks.speech import Audio, Voice
from blocks.storage import Storage, StorageFailed, folder
from tasks.clips import Clip
from tasks.document import Boundary, Chunk
from tasks.shelf_facts import (
    FACTS,
    PIECES,
    Stored,
    is_marked,
    key_of,
    mark,
    name_of,
    told,
    told_pieces,
    written,
    written_pieces,
)

ROOM = 32_000_000
"""Bytes: what the calls under way may bring, of a plan that allows many."""

Pieces = list[tuple[str, Boundary]]
"""What a text is said in, with what ends each."""


class Shelf:
    """Clips by what they say: the same text in the same voice is spoken, and paid, once.

    A clip is two files, the sound and then its facts; the facts are written last and so are the proof that
    the sound is whole. What cannot be read or written raises StorageFailed. Its methods may be called from any thread.
    """

    is_shared = False
    """Whether `share` has anything to do."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.storage: Storage = folder.Folder(root)
        """Where the clips are for all who share them."""

    def key(self, text: str, voice: Voice) -> str:
        return key_of(text, voice)

    def check(self) -> None:
        """Raises BadInput for a shelf that cannot be written, or that a newer version has written."""
        self.storage.check()
        if not is_marked(self.storage):
            mark(self.storage)

    def close(self) -> None:
        """Write what others save requests by; without it nothing is lost."""

    def check_room(self) -> None:
        """Raises StorageFailed where answers that are paid for might find no room on the disk."""
        with suppress(FileNotFoundError):
            free = shutil.disk_usage(self.root).free
            if free < ROOM:
                raise StorageFailed(
                    f"the disk of {self.root} has {free / 1e6:.0f} MB left, which the next answers may not fit into: "
                    f"make room for more than {ROOM / 1e6:.0f} MB, then run the same command again: "
                    "finished speech is kept"
                )

    def find(self, text: str, voice: Voice) -> Clip | None:
        """The clip, if it stands here and size and hash agree; anything else counts as not there."""
        return self.find_all([text], voice).get(text)

    def find_all(self, texts: Iterable[str], voice: Voice) -> dict[str, Clip]:
        """The clips that stand here, by their text."""
        keys = {text: key_of(text, voice) for text in texts}
        return {text: self._placed(stored) for text, stored in self._stand(keys).items()}

    def pieces(self, text: str, voice: Voice) -> Pieces | None:
        """The pieces that this text is said in, if that is known."""
        return self.pieces_of([text], voice).get(text)

    def pieces_of(self, texts: Iterable[str], voice: Voice) -> dict[str, Pieces]:
        """The pieces of those texts that could be said only so, by the text."""
        found = self._stand_pieces({text: key_of(text, voice) for text in texts})
        return {text: pieces for text, data in found.items() if (pieces := told_pieces(data, text))}

    def put(self, text: str, voice: Voice, audio: Audio, clip: Clip) -> Clip:
        """Commit a verified clip; it is there wholly or not at all. Returns it with its place."""
        placed = self.hold(text, voice, audio, clip)
        self.share(text, voice)
        return placed

    def hold(self, text: str, voice: Voice, audio: Audio, clip: Clip) -> Clip:
        """Commit it on this machine: it is paid for once. Others see it when it is shared."""
        key = key_of(text, voice)
        # Not over an earlier take of the same text: that one counts until the new facts stand.
        sound = name_of(key, f".{clip.sha256[:8]}.{audio.format}")
        self._write([(sound, audio.data), (name_of(key, FACTS), written(text, voice, sound, clip))])
        return replace(clip, uri=self.storage.place(sound))

    def share(self, text: str, voice: Voice) -> None:
        """Let all who share this shelf have the clip that is held here."""

    def keep(self, text: str, voice: Voice, placed: Clip) -> None:
        """Let this clip, which stands here, be the one of its text. Another take of it is left to be pruned."""
        key = key_of(text, voice)
        self._commit([(name_of(key, FACTS), written(text, voice, placed.uri, placed))])

    def put_pieces(self, text: str, voice: Voice, pieces: Sequence[Chunk]) -> None:
        """Remember that this text is said only in these pieces."""
        self._commit([(name_of(key_of(text, voice), PIECES), written_pieces(pieces))])

    def read(self, clip: Clip) -> bytes:
        """The sound of a clip from here; whether it is still whole is for the reader to see. Raises OSError."""
        uri = clip.uri
        return Path(url2pathname(urlsplit(uri).path) if uri.startswith("file:") else uri).read_bytes()

    def _commit(self, files: Sequence[tuple[str, bytes]]) -> None:
        self._write(files)

    def _write(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Let them appear in this order: the last one is the proof of those before."""
        folder.replace_all([(self.root / name, data) for name, data in files])

    def _stand(self, keys: Mapping[str, str]) -> dict[str, Stored]:
        """What of these stands whole in the folder, by its text; what does is marked as used, for `prune`."""
        found = {}
        for text, key in keys.items():
            facts = self._data(name_of(key, FACTS))
            stored = None if facts is None else told(facts, key)
            sound = None if stored is None else self._data(stored.sound)
            if stored and sound is not None and stored.is_whole(sound):
                found[text] = stored
                self._touch(name_of(key, FACTS))
        return found

    def _stand_pieces(self, keys: Mapping[str, str]) -> dict[str, bytes]:
        found = {}
        for text, key in keys.items():
            data = self._data(name_of(key, PIECES))
            if data is not None and told_pieces(data, text):
                found[text] = data
                self._touch(name_of(key, PIECES))
        return found

    def _touch(self, name: str) -> None:
        with suppress(OSError):  # a shelf that can only be read has its clips all the same
            os.utime(self.root / name)

    def _data(self, name: str) -> bytes | None:
        """What stands in the folder under this name. What stands there but cannot be read is no miss: it was paid."""
        path = self.root / name
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StorageFailed(
                f"cannot read {path}: {error.strerror}. Mend that, then run the same command again: "
                "finished speech is kept"
            ) from error

    def _placed(self, stored: Stored) -> Clip:
        return replace(stored.clip, uri=self.storage.place(stored.sound))
