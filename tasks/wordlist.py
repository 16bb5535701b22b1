"""A table's cells: the wanted fields of the wanted rows, who says each, and the file that it is to become."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from blocks.speech import BadInput, Limits, Voice
from tasks.casting import Role, key_of
from tasks.cell_names import file_names, folders
from tasks.chunk import conserve, split_text
from tasks.cuts import speakable
from tasks.document import Boundary, Chunk, Document, Segment
from tasks.parse import normalise
from tasks.script import check_script
from tasks.source_place import name_of
from tasks.speak import Speaker
from tasks.table import Row, Table, check_fields, text_of
from tasks.voicing import Part
from tasks.word_fields import Wanted, role_for

MOST_CELLS = 300_000
"""A run holds some 2 kB of facts for each."""
TYPE = "type"
"""The field that tells a row's type, where the table is not parted by types."""
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the table; what it holds may be nothing to speak."""

    row: int
    """The place of its row in the table, from 0."""
    line: int
    kind: str
    """The type of its row."""
    key: str
    """What names its row."""
    field: str
    text: str
    """As it is spoken; see `tasks.parse.normalise`."""
    role: Role
    file: str
    """Relative to the output: `noun/cat/word.mp3`."""

    @property
    def empty(self) -> bool:
        return not speakable(self.text)


@dataclass(frozen=True, slots=True)
class Words:
    """What of a table is to be spoken."""

    cells: tuple[Cell, ...]
    """Row by row; the empty ones, too."""
    rows: Mapping[str, Row]
    """All rows of the table, by their folder."""
    numbers: Mapping[str, int]
    """The place of each in the table, from 0, by its folder."""

    def holds(self, told: Mapping[str, Any]) -> bool:
        """Whether the table still has the cell of a manifest's row, with the same text."""
        row = self.rows.get(str(told["file"]).rpartition("/")[0])
        try:
            return row is not None and normalise(text_of(row, str(told["field"]))) == (told["text"] or "")
        except BadInput:
            return False


def words_of(table: Table, wanted: Wanted, suffix: str) -> Words:
    """Every wanted cell. Raises BadInput."""
    names = [field.name for field in wanted.fields]
    check_fields(table, [*names, *filter(None, (wanted.named_by, wanted.language_field))])
    kinds = [_kind(table, row) for row in table.rows]
    _check_types(wanted.types, kinds)
    keys = [_key(table, row, [wanted.named_by or names[0], *names]) for row in table.rows]
    places, files = folders(list(zip(kinds, keys, strict=True))), file_names(names, suffix)
    cells = []
    for number, row in enumerate(table.rows):
        if wanted.types and kinds[number] not in wanted.types:
            continue
        tag = _text(table, row, wanted.language_field).strip() if wanted.language_field else ""
        for field in wanted.fields:
            file = f"{places[number]}/{files[field.name]}"
            if wanted.only is None or file.rpartition(".")[0] in wanted.only:
                text, role = normalise(_text(table, row, field.name)), role_for(field, tag, wanted)
                cells.append(Cell(number, row.line, kinds[number], keys[number], field.name, text, role, file))
    _check_cells(table, cells, wanted)
    numbers = {place: number for number, place in enumerate(places)}
    return Words(tuple(cells), dict(zip(places, table.rows, strict=True)), numbers)


def _kind(table: Table, row: Row) -> str:
    """What parts the rows into folders; a table without types is one of its own name."""
    told = row.kind or (_text(table, row, TYPE).strip() if TYPE in table.fields else "")
    return told or name_of(table.source).stem


def _key(table: Table, row: Row, fields: Iterable[str]) -> str:
    """The first of these that is not empty."""
    return next(filter(None, (normalise(_text(table, row, field)) for field in fields)), "")


def _text(table: Table, row: Row, field: str) -> str:
    """Raises BadInput for what is no text, or half of a character."""
    try:
        text = text_of(row, field)
    except BadInput as error:
        raise BadInput(f"{table.source}, {error}") from error
    if _HALF.search(text):
        raise BadInput(f"{table.source}, line {row.line}: {field} holds half of a character: write the whole one")
    return text


def _check_types(types: Collection[str], kinds: Sequence[str]) -> None:
    there = list(dict.fromkeys(kinds))
    for wanted in sorted(set(types) - set(there)):
        near = difflib.get_close_matches(wanted, there, 1)
        meant = f"is {near[0]} meant?" if near else f"there are {', '.join(there[:20])}"
        raise BadInput(f"no row is of the type {wanted!r}: {meant}")


def _check_cells(table: Table, cells: Sequence[Cell], wanted: Wanted) -> None:
    if len(cells) > MOST_CELLS:
        raise BadInput(
            f"{table.source} has {len(cells):,} cells to speak, and a run takes {MOST_CELLS:,}: "
            "name fewer --fields, one --type at a time, or split the table"
        )
    if wanted.only is not None and not cells:
        raise BadInput(
            f"none of the cells that --only names is among these fields of {table.source}: name the --fields of that "
            "run, or was the table changed since?"
        )
    _check_voices(cells, wanted)
    if all(cell.empty for cell in cells):
        names = ", ".join(field.name for field in wanted.fields)
        raise BadInput(f"{table.source} has nothing to speak in {names}: no cell holds a letter or a digit")


def _check_voices(cells: Sequence[Cell], wanted: Wanted) -> None:
    """Whoever gives a voice to nothing has misspelt it, and would pay for another voice."""
    languages = {cell.role.voice.language for cell in cells}
    there = [field.name for field in wanted.fields] + sorted({*languages, *(tag.split("-", 1)[0] for tag in languages)})
    known = {key_of(name): name for name in there if name}
    for name in wanted.voices:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"is {known[near[0]]} meant?" if near else f"there are {', '.join(known.values())}"
            raise BadInput(f"voices: {name} is neither a field that is spoken nor a language: {meant}")


def document_of(table: Table, cells: Sequence[Cell]) -> Document:
    """A segment for each of the cells, none of which is empty."""
    segments = tuple(Segment(cell.text, cell.line, section=cell.kind) for cell in cells)
    return Document(table.source, table.sha256, table.encoding, name_of(table.source).stem, segments)


def parts_of(document: Document, cells: Sequence[Cell], speakers: Mapping[Role, Speaker]) -> list[Part]:
    """What each voice says, in chunks that fit its requests, proved to be all of it. Raises BadVoice and TextLost."""
    check_scripts(document, cells, {role: speaker.voice for role, speaker in speakers.items()})
    parts = [
        Part(chunks_of(cells, role, speaker.provider.limits, speaker.voice.language), speaker)
        for role, speaker in speakers.items()
    ]
    conserve(document, sorted((piece for part in parts for piece in part.chunks), key=lambda piece: piece.segment))
    return parts


def chunks_of(cells: Sequence[Cell], role: Role, limits: Limits, language: str) -> list[Chunk]:
    """What one of them says, in chunks that belong to a cell by its place."""
    return [
        Chunk(text, index, boundary)
        for index, cell in enumerate(cells)
        if cell.role == role
        for text, boundary in split_text(cell.text, limits, language, Boundary.PARAGRAPH)
    ]


def check_scripts(document: Document, cells: Sequence[Cell], voices: Mapping[Role, Voice]) -> None:
    """Raises BadVoice for a field that its voice cannot read."""
    columns: dict[tuple[str, Role], list[Segment]] = {}
    for cell, segment in zip(cells, document.segments, strict=True):
        columns.setdefault((cell.field, cell.role), []).append(segment)
    for (field, role), segments in columns.items():
        place = f"{document.source}, field {field}"
        check_script(
            replace(document, source=place, segments=tuple(segments)), voices[role].language, f"--fields {field}@{{}}"
        )
