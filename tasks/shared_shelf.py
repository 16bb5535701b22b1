"""A shelf that many machines share, in a bucket, and what of it this machine has: its mirror."""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from blocks.speech import Voice
from blocks.storage import Storage, StorageFailed, home, is_remote
from blocks.storage.folder import HIDDEN
from tasks.clips import Clip
from tasks.shelf import Pieces, Shelf
from tasks.shelf_facts import FACTS, PIECES, Stored, folder_of, key_of, name_of, sounds_of, told, told_pieces, written
from tasks.shelf_index import Index

FEW = 50
"""So many clips are asked for one by one; for more, the shelf is listed."""
AT_ONCE = 16
"""Requests of other kinds than `read_many`, which bounds its own."""
BATCH, BATCH_BYTES = 256, 64 << 20
"""Clips, and bytes of sound, that are held in memory at one time."""
PAUSES_S = (1.0, 3.0)
"""Between the tries to send a clip, on top of those of the storage: a bucket that is away for moments ends no run."""


def shelf_at(storage: Storage) -> Shelf:
    """The shelf that a storage holds. A bucket's mirror is kept under `SPEECH_HOME`."""
    if not is_remote(storage.address):
        return Shelf(Path(storage.address))
    return SharedShelf(storage, mirror_of(storage.address))


def mirror_of(address: str) -> Path:
    return home() / "mirrors" / hashlib.sha256(address.encode()).hexdigest()[:16]


class SharedShelf(Shelf):
    """A shelf of its own, the mirror, whose clips are also those of a remote one.

    A clip is committed to the mirror first: speech that is paid for is kept while the bucket is away, and sent by the
    next run that looks for it. Where both have a clip of a text, the remote one counts, unless it is damaged.
    """

    is_shared = True

    def __init__(self, remote: Storage, mirror: Path) -> None:
        super().__init__(mirror)
        self.storage = remote
        self.index = Index(remote)

    def check(self) -> None:
        super().check()
        Shelf(self.root).check()

    def find_all(self, texts: Iterable[str], voice: Voice) -> dict[str, Clip]:
        keys = {text: key_of(text, voice) for text in texts}
        mine, settled, asked, indexed = self._stand(keys), set[str](), keys, dict[str, Stored]()
        sizes = self._listed(keys.values()) if len(keys) > FEW else None
        if sizes is not None:
            sounds = sounds_of(sizes)
            settled = {text for text, stored in mine.items() if _agrees(stored, keys[text], sizes, sounds)}
            asked = {text: keys[text] for text in keys.keys() - settled if name_of(keys[text], FACTS) in sizes}
            indexed = self._indexed(asked, voice, sizes, sounds) if len(asked) > FEW else {}
        theirs: dict[str, Stored] = {}
        for batch in _batches(asked):
            known = {text: indexed[text] for text in batch.keys() & indexed.keys()}
            known |= self._facts({text: key for text, key in batch.items() if text not in known}, voice)
            theirs |= self._fetched(known, mine)
        if sizes is not None:
            self.index.write(voice)
        lacked = {text for text in mine.keys() - settled if _lacks(theirs.get(text), mine[text], sizes)}
        self._send_all(self._files(mine[text]) for text in lacked)
        return {text: self._placed(stored) for text, stored in (mine | theirs).items()}

    def pieces_of(self, texts: Iterable[str], voice: Voice) -> dict[str, Pieces]:
        keys = {text: key_of(text, voice) for text in texts}
        names = {text: name_of(key, PIECES) for text, key in keys.items()}
        mine, listed = self._stand_pieces(keys), self._listed(keys.values()) if len(keys) > FEW else None
        asked = [name for text, name in names.items() if listed is None or (text not in mine and name in listed)]
        found = self.storage.read_many(asked)
        there = found if listed is None else listed
        self._send_all(iter([(names[text], data)]) for text, data in mine.items() if names[text] not in there)
        theirs = {text: found[name] for text, name in names.items() if name in found and told_pieces(found[name], text)}
        for text in theirs.keys() - mine.keys():
            _copy(self.root / names[text], theirs[text])
        return {text: pieces for text, data in (theirs | mine).items() if (pieces := told_pieces(data, text))}

    def share(self, text: str, voice: Voice) -> None:
        key = key_of(text, voice)
        for stored in self._stand({text: key}).values():
            self._send(list(self._files(stored)))
            self.index.note(voice, key, stored.facts)

    def keep(self, text: str, voice: Voice, placed: Clip) -> None:
        super().keep(text, voice, placed)
        self.index.note(voice, key_of(text, voice), written(text, voice, placed.uri, placed))

    def close(self) -> None:
        self.index.close()

    def read(self, clip: Clip) -> bytes:
        """The sound of a clip, fetched where the mirror has it no more."""
        name = "/".join(clip.uri.split("/")[-2:])
        if self.storage.place(name) != clip.uri:
            return super().read(clip)
        data = self._data(name)
        if data is None or len(data) != clip.bytes:
            data = self.storage.read(name)
            if len(data) == clip.bytes:
                _copy(self.root / name, data)
        return data

    def _commit(self, files: Sequence[tuple[str, bytes]]) -> None:
        super()._commit(files)
        self._send(files)

    def _send(self, files: Sequence[tuple[str, bytes]]) -> None:
        for pause in (*PAUSES_S, None):
            try:
                for name, data in files:
                    self.storage.write(name, data)
            except StorageFailed:
                if pause is None:
                    raise
                time.sleep(pause)
            else:
                return

    def _send_all(self, clips: Iterable[Iterator[tuple[str, bytes]]]) -> None:
        with ThreadPoolExecutor(AT_ONCE, "shelf") as pool:
            try:
                for _ in pool.map(lambda files: self._send(list(files)), clips):
                    pass
            except StorageFailed:
                pool.shutdown(cancel_futures=True)  # a bucket that is away is not asked for each clip
                raise

    def _files(self, stored: Stored) -> Iterator[tuple[str, bytes]]:
        """A clip of the mirror, sound first; read when it is sent, and not at all if it has just gone."""
        if (sound := self._data(stored.sound)) is not None:
            yield stored.sound, sound
            yield _facts_of(stored), stored.facts

    def _listed(self, keys: Iterable[str]) -> dict[str, int]:
        """The bytes of each file in the folders of these keys, by its name."""
        with ThreadPoolExecutor(AT_ONCE, "shelf") as pool:
            found = pool.map(
                lambda folder: list(self.storage.entries(folder)), sorted({folder_of(key) for key in keys})
            )
            return {entry.name: entry.bytes for entries in found for entry in entries}

    def _indexed(
        self, keys: Mapping[str, str], voice: Voice, sizes: Mapping[str, int], sounds: Mapping[str, Sequence[str]]
    ) -> dict[str, Stored]:
        """What the index tells of these and the listing bears out, by their text."""
        facts = self.index.read(voice, len(keys))
        found = {text: told(facts[key], key) for text, key in keys.items() if key in facts}
        return {text: clip for text, clip in found.items() if clip and _agrees(clip, keys[text], sizes, sounds)}

    def _facts(self, keys: Mapping[str, str], voice: Voice) -> dict[str, Stored]:
        """What the remote facts of these tell, by their text."""
        facts = self.storage.read_many(name_of(key, FACTS) for key in keys.values())
        read = {text: told(facts[name], key) for text, key in keys.items() if (name := name_of(key, FACTS)) in facts}
        found = {text: stored for text, stored in read.items() if stored}
        for text, stored in found.items():
            self.index.note(voice, keys[text], stored.facts)
        return found

    def _fetched(self, theirs: Mapping[str, Stored], mine: Mapping[str, Stored]) -> dict[str, Stored]:
        """Those of the remote clips that are whole, copied into the mirror, by their text."""
        same = {text for text, stored in theirs.items() if text in mine and mine[text].sound == stored.sound}
        whole = {text: theirs[text] for text in same if mine[text].clip.sha256 == theirs[text].clip.sha256}
        for text, stored in whole.items():
            if stored.facts != mine[text].facts:
                _copy(self.root / _facts_of(stored), stored.facts)
        for wanted in _by_bytes({text: stored for text, stored in theirs.items() if text not in whole}):
            sounds = self.storage.read_many(stored.sound for stored in wanted.values())
            for text, stored in wanted.items():
                if stored.sound in sounds and stored.is_whole(sounds[stored.sound]):
                    _copy(self.root / stored.sound, sounds[stored.sound])
                    _copy(self.root / _facts_of(stored), stored.facts)
                    whole[text] = stored
        return whole


def _agrees(stored: Stored, key: str, sizes: Mapping[str, int], sounds: Mapping[str, Sequence[str]]) -> bool:
    """Whether a listing shows just this clip of the mirror, or of the index: its one sound, and facts as long."""
    listed = sizes.get(name_of(key, FACTS)) == len(stored.facts) and sounds.get(key) == [stored.sound]
    return listed and sizes[stored.sound] == stored.clip.bytes


def _lacks(theirs: Stored | None, mine: Stored, sizes: Mapping[str, int] | None) -> bool:
    """Whether the remote shelf has no clip of a text, or as a listing shows only the facts of this one."""
    if theirs is None:
        return True
    return sizes is not None and theirs.sound == mine.sound and sizes.get(mine.sound) != mine.clip.bytes


def _facts_of(stored: Stored) -> str:
    return f"{stored.sound.split('.', 1)[0]}{FACTS}"


def _batches(keys: Mapping[str, str]) -> Iterator[dict[str, str]]:
    left = list(keys.items())
    for start in range(0, len(left), BATCH):
        yield dict(left[start : start + BATCH])


def _by_bytes(clips: Mapping[str, Stored]) -> Iterator[dict[str, Stored]]:
    batch: dict[str, Stored] = {}
    for text, stored in clips.items():
        batch[text] = stored
        if sum(held.clip.bytes for held in batch.values()) > BATCH_BYTES:
            yield batch
            batch = {}
    if batch:
        yield batch


def _copy(path: Path, data: bytes) -> None:
    """Put a copy of a remote file into the mirror: whole or not at all, but it need not outlive a power cut."""
    hidden = path.parent / f".{uuid4().hex}{HIDDEN}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden.write_bytes(data)
        hidden.replace(path)
    except OSError as error:
        with suppress(OSError):
            hidden.unlink(missing_ok=True)
        raise StorageFailed(
            f"cannot write {path}: {error.strerror}. Make room, or name another SPEECH_HOME, "
            "then run the same command again: finished speech is kept"
        ) from error
