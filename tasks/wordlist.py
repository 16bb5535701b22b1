"""A table's cells and who says each: the wanted fields of the wanted rows, and the file that each is to become."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from blocks.speech import BadInput, Limits, Voice
from tasks.casting import Role, key_of, role_of
from tasks.cell_names import file_names, folders
from tasks.chunk import conserve, split_text
from tasks.cuts import speakable
from tasks.document import Boundary, Chunk, Document, Segment
from tasks.parse import normalise
from tasks.script import check_script
from tasks.source import name_of
from tasks.speak import Speaker
from tasks.table import Row, Table, check_fields, text_of
from tasks.voicing import Part

MOST_CELLS = 300_000
"""A run holds some 2 kB of facts for each."""
TYPE = "type"
"""The field that tells a row's type, where the table is not parted by types."""
ADDRESSES = "audio."
"""How the fields begin that a table has got from an earlier run."""
_FORM = "write it as word, definition@en=Katie, meaning@ja: a field, its language, its voice"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the table that is spoken."""

    name: str
    language: str = ""
    """Of what stands in it; empty is the run's."""
    voice: str = ""
    """As `tasks.casting.role_of` reads it; empty is that of the language, or the run's."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a table is spoken, and in which voices."""

    fields: tuple[Field, ...]
    run: Role
    voices: Mapping[str, Role]
    """Of fields and languages, by `tasks.casting.key_of`."""
    types: frozenset[str] = frozenset()
    """Empty for all."""
    named_by: str = ""
    """The field that names the rows; empty is the first that is spoken."""
    language_field: str = ""
    """That tells the language of each row; empty for none."""
    only: frozenset[str] | None = None
    """Files, without their suffix; None for all."""


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


def fields_of(told: str, known: Sequence[str]) -> tuple[Field, ...]:
    """From `word, definition@en=Katie`; a field that is called just so comes first. Raises BadInput."""
    fields = tuple(_field(entry, known) for entry in filter(None, (part.strip() for part in told.split(","))))
    if not fields:
        there = ", ".join(name for name in known if not name.startswith(ADDRESSES))
        raise BadInput(f"which fields shall be spoken? Name them with --fields; there are {there}")
    names = [field.name for field in fields]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadInput(f"fields: {twice} stands there twice: leave one of them out")
    return fields


def wanted_of(
    table: Table,
    run: Role,
    voices: Mapping[str, Role],
    fields: str,
    types: str = "",
    named_by: str = "",
    language_field: str = "",
    *,
    only: frozenset[str] | None = None,
) -> Wanted:
    """As the parameters of a run tell it. Raises BadInput."""
    named = frozenset(filter(None, (name.strip() for name in types.split(","))))
    return Wanted(fields_of(fields, table.fields), run, voices, named, named_by, language_field, only)


def _field(entry: str, known: Sequence[str]) -> Field:
    if entry in known:
        return Field(entry)
    rest, equals, voice = (part.strip() for part in entry.partition("="))
    name, at, language = (part.strip() for part in rest.partition("@"))
    if not name or (equals and not voice) or (at and not language):
        raise BadInput(f"fields: {entry!r} names no field: {_FORM}")
    return Field(name, language, voice)


def words_of(table: Table, wanted: Wanted, suffix: str) -> Words:
    """Every wanted cell. Raises BadInput."""
    names = [field.name for field in wanted.fields]
    check_fields(table, [*names, *filter(None, (wanted.named_by, wanted.language_field))])
    kinds = [_kind(table, row) for row in table.rows]
    _check_types(wanted.types, kinds)
    keys = [_key(row, [wanted.named_by or names[0], *names]) for row in table.rows]
    places, files = folders(list(zip(kinds, keys, strict=True))), file_names(names, suffix)
    cells = []
    for number, row in enumerate(table.rows):
        if wanted.types and kinds[number] not in wanted.types:
            continue
        tag = text_of(row, wanted.language_field).strip() if wanted.language_field else ""
        for field in wanted.fields:
            file = f"{places[number]}/{files[field.name]}"
            if wanted.only is None or file.rpartition(".")[0] in wanted.only:
                text, role = normalise(text_of(row, field.name)), role_for(field, tag, wanted)
                cells.append(Cell(number, row.line, kinds[number], keys[number], field.name, text, role, file))
    _check_cells(table, cells, wanted)
    numbers = {place: number for number, place in enumerate(places)}
    return Words(tuple(cells), dict(zip(places, table.rows, strict=True)), numbers)


def role_for(field: Field, tag: str, wanted: Wanted) -> Role:
    """Who says a field of a row in the language of this tag: the field's voice, the language's, or the run's."""
    run, language = wanted.run, tag or field.language
    named = wanted.voices.get(key_of(field.name)) or wanted.voices.get(key_of(language))
    if field.voice:
        role = role_of(field.voice, run)
    elif named:
        role = named
    elif language and run.voice.language and _differ(language, run.voice.language):
        role = replace(run, voice=replace(run.voice, name="", language=language))
    else:
        role = run
    return replace(role, voice=replace(role.voice, language=language)) if language else role


def _differ(language: str, other: str) -> bool:
    return language.split("-", 1)[0].casefold() != other.split("-", 1)[0].casefold()


def _kind(table: Table, row: Row) -> str:
    """What parts the rows into folders; a table without types is one of its own name."""
    told = row.kind or (text_of(row, TYPE).strip() if TYPE in table.fields else "")
    return told or name_of(table.source).stem


def _key(row: Row, fields: Iterable[str]) -> str:
    """The first of these that is not empty."""
    return next(filter(None, (normalise(text_of(row, field)) for field in fields)), "")


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
        raise BadInput(f"none of the cells that --only names is in {table.source}: was the table changed since?")
    if all(cell.empty for cell in cells):
        names = ", ".join(field.name for field in wanted.fields)
        raise BadInput(f"{table.source} has nothing to speak in {names}: no cell holds a letter or a digit")


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
