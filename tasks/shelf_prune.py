"""What a shelf holds, and what of it is cleared away: the least recently used first, and nothing that is young.

In a folder a clip is used when it is put or found. A bucket tells only when it was put: what a machine still uses it
has in its mirror, from where it comes back by itself.
"""

import math
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from blocks.speech import BadInput
from blocks.storage import Entry, Storage
from blocks.storage.folder import HIDDEN, Folder
from tasks.shelf_facts import CLAIMS, FACTS, PIECES, folder_of, told
from tasks.shelf_index import INDEX

YOUNG_S = 86_400.0
"""A run that still goes on may have put or found it, and merges it at its end: a long book takes hours."""
# A shelf may stand among other files, which are nobody's here to delete.
_ITEM = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}\.[^/]+")
_MARK = re.compile(rf"{CLAIMS}[0-9a-f]{{64}}\.[0-9a-f]{{32}}")
_INDEX = re.compile(rf"{INDEX}[0-9a-f]{{16}}/[0-9a-f]{{32}}\.json")
_HIDDEN = re.compile(rf"\.[0-9a-f]{{32}}{re.escape(HIDDEN)}")
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?")


@dataclass(frozen=True, slots=True)
class Item:
    """What is kept or cleared away as a whole: a clip, a text's pieces, a file of the index, or one of no use."""

    names: tuple[str, ...]
    """In the order in which they are deleted: the facts first, so that no clip loses its sound before."""
    bytes: int
    used: float
    """Seconds since 1970."""
    orphan: bool = False
    """No text leads to it: an earlier take, half of a clip, the mark of a dead run."""

    def age_s(self, now: float) -> float:
        return max(0.0, now - self.used)  # the clock may have been set back since


@dataclass(frozen=True, slots=True)
class Stock:
    """All that stands on a shelf."""

    items: tuple[Item, ...]

    @property
    def clips(self) -> list[Item]:
        return [item for item in self.items if len(item.names) > 1]

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.items)

    @property
    def oldest(self) -> float:
        """When the clip that was not used for longest was; infinite where there is none."""
        return min((item.used for item in self.clips), default=math.inf)


def stock_of(storage: Storage) -> Stock:
    """List a shelf. Facts are read only where a text has several takes. Raises StorageFailed."""
    of_key: dict[str, dict[str, Entry]] = {}
    others: list[Item] = []
    for entry in storage.entries():
        if _ITEM.fullmatch(entry.name):
            of_key.setdefault(PurePosixPath(entry.name).name.split(".", 1)[0], {})[entry.name] = entry
        elif _MARK.fullmatch(entry.name):
            others.append(Item((entry.name,), entry.bytes, entry.modified, orphan=True))
        elif _INDEX.fullmatch(entry.name):
            others.append(Item((entry.name,), entry.bytes, entry.modified))
    current = _current_sounds(storage, of_key)
    found = [item for key, files in of_key.items() for item in _items(files, current.get(key, ""))]
    return Stock((*found, *others))


def _current_sounds(storage: Storage, of_key: dict[str, dict[str, Entry]]) -> dict[str, str]:
    """The sound that counts, by its key."""
    current, asked = {}, {}
    for key, files in of_key.items():
        sounds = [name for name in files if not name.endswith((FACTS, PIECES))]
        facts = f"{folder_of(key)}{key}{FACTS}"
        if facts in files and len(sounds) == 1:
            current[key] = sounds[0]
        elif facts in files and sounds:
            asked[key] = facts
    read = storage.read_many(asked.values())
    for key, facts in asked.items():
        if facts in read and (stored := told(read[facts], key)):
            current[key] = stored.sound
    return current


def _items(files: dict[str, Entry], sound: str) -> list[Item]:
    facts = next((name for name in files if name.endswith(FACTS)), "")
    clip = [files[facts], files[sound]] if facts and sound in files else []
    items = [Item(tuple(e.name for e in clip), sum(e.bytes for e in clip), clip[0].modified)] if clip else []
    for name, entry in files.items():
        if entry not in clip:
            items.append(Item((name,), entry.bytes, entry.modified, orphan=not name.endswith(PIECES)))
    return items


def outdated(stock: Stock, now: float, older_than_s: float = math.inf, larger_than: float = math.inf) -> list[Item]:
    """What is to go: orphans, what was not used for so long, and the least recently used until the rest is so small."""
    ripe = sorted((item for item in stock.items if item.age_s(now) > YOUNG_S), key=lambda item: item.used)
    gone = [item for item in ripe if item.orphan or item.age_s(now) > older_than_s]
    left = stock.bytes - sum(item.bytes for item in gone)
    chosen = set(gone)
    for item in ripe:
        if left <= larger_than:
            break
        if item not in chosen:
            gone.append(item)
            left -= item.bytes
    return gone


def clear(storage: Storage, items: Sequence[Item]) -> None:
    """Delete these. Ended half-way, no facts are left without their sound. Raises StorageFailed."""
    storage.delete(item.names[0] for item in items)
    storage.delete(name for item in items for name in item.names[1:])


def prune(
    storages: Iterable[Storage], older_than_s: float, larger_than: float, *, only_look: bool = False
) -> list[list[Item]]:
    """Clear each of these shelves; what went, or would go. Raises StorageFailed."""
    freed = []
    for storage in storages:
        gone = outdated(stock_of(storage), time.time(), older_than_s, larger_than)
        if not only_look:
            clear(storage, gone)
            _sweep(storage)
        freed.append(gone)
    return freed


def _sweep(storage: Storage) -> None:
    """Delete what killed processes had begun to write."""
    if isinstance(storage, Folder):
        for path in storage.root.glob(f"[0-9a-f][0-9a-f]/.*{HIDDEN}"):
            with suppress(FileNotFoundError):
                if _HIDDEN.fullmatch(path.name) and time.time() - path.stat().st_mtime > YOUNG_S:
                    path.unlink()


def bytes_of(text: str) -> float:
    """Of `500MB` or `5 GB`; infinite for nothing at all. Raises BadInput."""
    plain = text.strip().lower()
    if not plain:
        return math.inf
    if not (found := _SIZE.fullmatch(plain)):
        raise BadInput(f"{text!r} is no size: write it as 500MB, 5GB or 1.5TB")
    return float(found[1]) * _UNITS[found[2]]
