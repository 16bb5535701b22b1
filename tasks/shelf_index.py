"""The facts of a bucket's clips, many in one file: a machine that is new to a shelf asks for half as much.

An index tells nothing for sure: whoever reads it compares it with what the shelf lists. To lose it costs requests only.
"""

import json
from contextlib import suppress
from threading import Lock
from uuid import uuid4

from blocks.speech import Voice
from blocks.storage import Entry, Storage, StorageFailed
from tasks.shelf_facts import key_of

INDEX = "index/"
SEGMENT = 500
"""Clips that are noted before they are written."""
LEAST = 50
"""Fewer are no file of their own: each file is a request, too."""
MANY, SMALL_BYTES = 16, 4 << 20
"""Files of less than this size that are made one, when there are more than so many."""
WORTH_BYTES = 20_000
"""What is downloaded in the time of one request."""


class Index:
    """Of one shelf, by voice. Several threads may note at one time."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._noted: dict[str, dict[str, str]] = {}
        self._lock = Lock()

    def note(self, voice: Voice, key: str, facts: bytes) -> None:
        """Remember what a clip's facts are. Raises nothing."""
        self._write(_folder(voice), SEGMENT, {key: facts.decode()})

    def write(self, voice: Voice) -> None:
        """Write what is noted. Raises nothing."""
        self._write(_folder(voice), LEAST, {})

    def close(self) -> None:
        for folder in list(self._noted):
            self._write(folder, LEAST, {})

    def read(self, voice: Voice, wanted: int) -> dict[str, bytes]:
        """Facts by key, as they were; none where so many clips are sooner asked for one by one.

        Raises StorageFailed.
        """
        files = sorted(self._storage.entries(_folder(voice)), key=lambda entry: entry.modified)
        if sum(file.bytes for file in files) > wanted * WORTH_BYTES:
            return {}
        read = self._storage.read_many(file.name for file in files)
        parts = {file: _parsed(read[file.name]) for file in files if file.name in read}
        small = {file: part for file, part in parts.items() if file.bytes < SMALL_BYTES}
        if len(small) > MANY:
            self._merge(voice, small)
        return {key: facts.encode() for part in parts.values() for key, facts in part.items()}

    def _merge(self, voice: Voice, parts: dict[Entry, dict[str, str]]) -> None:
        merged = {key: facts for part in parts.values() for key, facts in part.items()}
        with suppress(StorageFailed):
            self._storage.write(f"{_folder(voice)}{uuid4().hex}.json", json.dumps(merged, ensure_ascii=False).encode())
            self._storage.delete(file.name for file in parts)

    def _write(self, folder: str, least: int, more: dict[str, str]) -> None:
        with self._lock:
            noted = self._noted.setdefault(folder, {})
            noted |= more
            if len(noted) < least:
                return
            del self._noted[folder]
        with suppress(StorageFailed):
            self._storage.write(f"{folder}{uuid4().hex}.json", json.dumps(noted, ensure_ascii=False).encode())


def _folder(voice: Voice) -> str:
    return f"{INDEX}{key_of('', voice)[:16]}/"


def _parsed(data: bytes) -> dict[str, str]:
    try:
        return {str(key): str(facts) for key, facts in json.loads(data).items()}
    except (ValueError, AttributeError):
        return {}
