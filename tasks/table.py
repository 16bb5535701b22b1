"""A table of words: rows of a CSV, TSV, JSON, JSON Lines or Parquet file, and the same with addresses put in."""

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from blocks.speech import BadInput
from blocks.storage import Storage
from tasks.source import decode, read_bytes
from tasks.source_place import name_of
from tasks.table_csv import addressed_csv, read_csv, separator_of
from tasks.table_fields import MISSING, fields_of, value_at
from tasks.table_json import read_json
from tasks.table_json_audio import KEY, addressed_json
from tasks.table_parquet import addressed_parquet, read_parquet
from tasks.table_text import MOST_ROWS, Found, edited

_FORMS: Final = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_NAMED: Final = 30
"""Fields that a message names."""


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    """Where it begins in the source, from 1; of Parquet the row's number, from 1."""
    kind: str
    """The key of `{type: [...]}` under which it stands; empty elsewhere."""
    values: Mapping[str, Any]
    """Of CSV the text of each column, of JSON the object; numbers are texts, as they stand in the source."""


@dataclass(frozen=True, slots=True)
class Table:
    """One source."""

    source: str
    """The path or URL it came from."""
    sha256: str
    """Of the source's bytes."""
    encoding: str
    """Empty for Parquet."""
    rows: tuple[Row, ...]
    """In the order of the source."""
    fields: tuple[str, ...]
    """The columns, or the dotted paths at which some row has a text or a number, in order of first appearance."""
    data: bytes
    """As it was read."""
    form: str
    """How it is written: csv, json, jsonl or parquet."""
    separator: str = ""
    """Of CSV."""

    @property
    def text(self) -> str:
        """As it was read: with its byte order mark and its line ends."""
        return self.data.decode(self.encoding)


def read_table(source: str, storage: Storage | None = None) -> Table:
    """The table in a path or URL; with a storage, in the file that stands there at this address. Raises BadInput."""
    suffix = name_of(source).suffix.lower()
    if suffix not in _FORMS:
        raise BadInput(f"{source} is no table: save it as one of {', '.join(_FORMS)}, and name it so")
    data, form = read_bytes(source, storage), _FORMS[suffix]
    columns, encoding, separator = None, "", ""
    if form == "parquet":
        found = read_parquet(data, source)
    else:
        _, encoding = decode(data, source)
        text = data.decode(encoding)
        if form == "csv":
            separator = separator_of(text, "\t" if suffix == ".tsv" else ",")
            columns, found = read_csv(text, source, separator)
        else:
            found = read_json(text, source, lines=form == "jsonl")
    _check_number(found, source)
    rows = tuple(Row(*row) for row in found)
    fields = columns or fields_of(row.values for row in rows)
    return Table(source, hashlib.sha256(data).hexdigest(), encoding, rows, fields, data, form, separator)


def _check_number(rows: Sequence[Found], source: str) -> None:
    if len(rows) > MOST_ROWS:
        raise BadInput(f"{source} has more than {MOST_ROWS:,} rows: split it into several tables")


def check_fields(table: Table, fields: Sequence[str]) -> None:
    """Raises BadInput for a field that no row has."""
    known = set(table.fields)
    for field in fields:
        if field not in known and all(value_at(row.values, field) is MISSING for row in table.rows):
            raise BadInput(
                f"{table.source} has no field {field!r}{_near(field, table.fields)}. It has {_few(table.fields)}"
            )


def _near(field: str, fields: Sequence[str]) -> str:
    names = {name.casefold(): name for name in reversed(fields)}
    near = difflib.get_close_matches(field.casefold().strip(), names, n=1)
    return f" (is {names[near[0]]!r} meant?)" if near else ""


def _few(fields: Sequence[str]) -> str:
    return ", ".join(fields[:_NAMED]) + (", …" if len(fields) > _NAMED else "")


def text_of(row: Row, field: str) -> str:
    """What stands in a field, as it stands there; empty where nothing does. Raises BadInput for what is no text."""
    value = value_at(row.values, field)
    if isinstance(value, str):
        return value
    if value is MISSING or value is None:
        return ""
    where = f"line {row.line}: the field {field!r}"
    if isinstance(value, Mapping):
        raise BadInput(f"{where} is an object: name a text in it, such as {_inside(field, value)}")
    if isinstance(value, list):
        raise BadInput(f"{where} is a list: name an item of it, such as {field}.0")
    raise BadInput(f"{where} is {value!r}, which is no text: name another field, or write a text in its place")


def _inside(field: str, value: Mapping[str, Any]) -> str:
    return f"{field}.{next(iter(fields_of([value])), 'name')}"


def check_update(table: Table, fields: Sequence[str]) -> None:
    """Raises BadInput for a table that could not be written back with the addresses of these fields."""
    if table.form == "parquet":
        return
    if table.text.encode(table.encoding) != table.data:
        raise BadInput(f"{table.source} is in {table.encoding}, in which it cannot be written back: save it as UTF-8")
    if table.form == "csv":
        return
    for row in table.rows:
        audio = row.values.get(KEY)
        free = audio is None or audio == "" or isinstance(audio, dict)
        if not free and any(_spoken(row, field) for field in fields):
            raise BadInput(
                f"{table.source}, line {row.line}: {KEY!r} holds {_brief(audio)}, where the addresses would stand: "
                "rename it, or write null in its place"
            )


def _spoken(row: Row, field: str) -> bool:
    value = value_at(row.values, field)
    return isinstance(value, str) and bool(value)


def _brief(value: Any) -> str:
    told = repr(value)
    return told if len(told) <= 40 else told[:39] + "…"


def updated(table: Table, addresses: Mapping[int, Mapping[str, str]]) -> bytes:
    """The source's bytes with the addresses put in: of each row, by its place in the table, and field.

    An empty address clears one that is there. All else stays as it is; so does an address that is there already where
    none is given. Raises BadInput.
    """
    addresses = {row: told for row, fields in addresses.items() if (told := _given(table.rows[row], fields))}
    fields = _in_order(addresses, table.fields)
    if not fields:
        return table.data
    if table.form == "parquet":
        return addressed_parquet(table.data, fields, addresses)
    text = table.text
    if table.form == "csv":
        edits = addressed_csv(text, table.separator, fields, addresses)
    else:
        escape = text.isascii() or not table.encoding.startswith("utf")
        edits = addressed_json(text, addresses, lines=table.form == "jsonl", escape=escape)
    try:
        return edited(text, edits).encode(table.encoding)
    except UnicodeEncodeError as error:
        raise BadInput(
            f"{table.source} is in {table.encoding}, which has not all characters of the addresses: save it as UTF-8 "
            "and run it again: nothing is spoken twice"
        ) from error


def _given(row: Row, fields: Mapping[str, str]) -> dict[str, str]:
    audio = row.values.get(KEY)
    there = audio if isinstance(audio, Mapping) else {}
    return {
        field: address
        for field, address in fields.items()
        if address or there.get(field) or row.values.get(f"{KEY}.{field}")
    }


def _in_order(addresses: Mapping[int, Mapping[str, str]], fields: Sequence[str]) -> list[str]:
    """The fields that have addresses, in the order of the table."""
    named = dict.fromkeys(field for told in addresses.values() for field in told)
    places = {field: place for place, field in enumerate(fields)}
    return sorted(named, key=lambda field: places.get(field, len(places)))
