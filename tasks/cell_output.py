"""Where the files of a word list are made: what stands there from earlier runs, and whose it is."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from blocks.speech import BadInput, Voice
from blocks.storage import Storage, home, is_remote
from tasks.casting import Role
from tasks.cell_clips import standing
from tasks.cell_rows import COLUMNS, made_of, read_cell_table, read_failures
from tasks.retake import Policy
from tasks.source_place import address_of, is_elsewhere, name_of
from tasks.wordlist import Cell

MANIFEST = ".manifest.csv"
FAILURES = "failures.csv"
FRAMES = "frames"
"""Where DataFrames are kept as tables, under `SPEECH_HOME`."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A manifest as it stood."""

    data: bytes
    rows: Mapping[str, Mapping[str, Any]]
    """By their file."""


@dataclass(frozen=True, slots=True)
class CellOutput:
    """A folder or a bucket, and the table whose clips go there."""

    storage: Storage
    source: str
    suffix: str
    """The format of the clips."""
    loudness_lufs: float
    base_url: str = ""
    """What comes before a file's name in its address; empty for its own place."""

    @property
    def stem(self) -> str:
        return name_of(self.source).stem

    @property
    def manifest_csv(self) -> str:
        return f"{self.stem}{MANIFEST}"

    @property
    def manifest_json(self) -> str:
        return f"{self.stem}.manifest.json"

    def address(self, file: str) -> str:
        """Of a clip, for whoever shall play it."""
        return f"{self.base_url.rstrip('/')}/{quote(file)}" if self.base_url else self.storage.place(file)

    def check(self, cells: Sequence[Cell]) -> None:
        """Refuse, before anything is spoken, a place that cannot be written, or whose files are another table's.

        Raises BadInput, and StorageFailed where a store does not answer.
        """
        self.storage.check()
        self.check_owner(cells)

    def check_owner(self, cells: Sequence[Cell]) -> None:
        """The same, but that it writes nothing."""
        own = [self.storage.place(name) for name in (self.manifest_csv, self.manifest_json, FAILURES)]
        if address_of(self.source) in own:
            raise BadInput(f"{self.source} would be overwritten by what is made of it: choose another --output")
        wanted = {cell.file for cell in cells}
        for name in self._manifests():
            other = self._source_of(name)
            # A run that was killed between its two files has left no word of whose they are: they bear our name.
            if name == self.manifest_csv and {other.get("owner"), other.get("path")} & {None, *self._names}:
                continue
            if name == self.manifest_csv or not wanted.isdisjoint(_rows(self.storage.read(name))):
                raise BadInput(
                    f"{self.storage.address} holds the clips of {other.get('path') or name}, whose place this run "
                    "would take: choose another --output"
                )

    @property
    def name(self) -> str:
        """Of the table, whatever folder it is in."""
        return name_of(self.source).name

    @property
    def owner(self) -> str:
        """Whose clips they are: the table as it is seen from here, so that both may move together.

        From a bucket, and of a DataFrame, it is seen by its name.
        """
        source = Path(address_of(self.source))
        if is_remote(self.storage.address) or is_elsewhere(self.source) or source.is_relative_to(home() / FRAMES):
            return self.name
        return Path(os.path.relpath(source, self.storage.address)).as_posix()

    @property
    def _names(self) -> set[str]:
        return {self.owner, address_of(self.source)}

    def earlier(self, known: "Earlier | None" = None) -> "Earlier":
        """What an earlier run has told of this table; what is known is not read anew where nobody has written since."""
        try:
            data = self.storage.read(self.manifest_csv)
        except FileNotFoundError:
            data = b""
        return known if known and known.data == data else Earlier(data, _rows(data))

    def standing(
        self,
        cells: Sequence[Cell],
        voices: Mapping[Role, Voice],
        earlier: Mapping[str, Mapping[str, Any]],
        policy: Policy,
    ) -> dict[str, Mapping[str, Any]]:
        """Those of the earlier rows whose file stands, and is just what this run would make of a cell."""
        kept = {}
        for cell in cells:
            row = earlier.get(cell.file, {})
            made = made_of(cell.text, voices[cell.role], self.suffix, self.loudness_lufs)
            if row.get("status") == "ok" and row["made_of"] == made and not (policy == "fail" and row["flags"]):
                kept[cell.file] = row
        whole = self.whole(kept)
        return {file: row for file, row in kept.items() if file in whole}

    def whole(self, rows: Mapping[str, Mapping[str, Any]]) -> set[str]:
        """Those of these files that stand as their row tells."""
        told = {file: (row["bytes"], str(row["sha256"])) for file, row in rows.items() if isinstance(row["bytes"], int)}
        return standing(told, self.storage)

    def _manifests(self) -> list[str]:
        """The names of what may be tables of word lists."""
        return [
            entry.name for entry in self.storage.entries() if "/" not in entry.name and entry.name.endswith(MANIFEST)
        ]

    def _source_of(self, manifest: str) -> dict[str, str]:
        try:
            facts = json.loads(self.storage.read(f"{manifest.removesuffix(MANIFEST)}.manifest.json"))
            return {name: str(value) for name, value in facts["source"].items()}
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def failures_of_others(self) -> list[dict[str, str]]:
        """What other tables have left in `failures.csv`."""
        try:
            rows = read_failures(self.storage.read(FAILURES))
        except (FileNotFoundError, ValueError):
            return []
        return [row for row in rows if row["source"] != self.name]


def _rows(csv: bytes) -> dict[str, Mapping[str, Any]]:
    """By their file; nothing for what is no word list's."""
    try:
        table = read_cell_table(csv)
    except ValueError:
        return {}
    if not {"file", "made_of"} <= set(table.columns):
        return {}
    rows = table.reindex(columns=list(COLUMNS))[table["file"].notna()].astype(object)
    told = rows.where(rows.notna(), None).to_dict("records")
    return {str(row["file"]): {str(column): value for column, value in row.items()} for row in told}


def check_options(loudness: float, workers: int, base_url: str) -> None:
    """Raises BadInput."""
    if not -50 <= loudness <= -5:
        raise BadInput(f"a loudness of {loudness} LUFS is not to be had: name one from -50 to -5; -19 is usual")
    if workers < 0:
        raise BadInput(f"{workers} workers cannot speak: name how many calls may run at one time, or 0 for the plan's")
    if any(character.isspace() for character in base_url):
        raise BadInput(f"{base_url!r} is no address: write one such as https://cdn.example.org/audio")


def only_these(failures: bytes, place: str, source: str) -> frozenset[str]:
    """The files, without their suffix, that a `failures.csv` names of this source. Raises BadInput."""
    try:
        rows = read_failures(failures)
    except ValueError as error:
        raise BadInput(f"{place} is no list of failures ({error}): name the failures.csv of an earlier run") from error
    found = frozenset(row["file"].rpartition(".")[0] for row in rows if row["source"] == name_of(source).name)
    if not found:
        others = sorted({row["source"] for row in rows})
        raise BadInput(f"{place} names no cell of {source}" + (f", but of {', '.join(others[:3])}" if others else ""))
    return found
