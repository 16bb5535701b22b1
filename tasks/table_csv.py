"""Separated values, read by the rules of the csv module, with the place of each cell in the text."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import chain, islice
from typing import Final, NamedTuple

from blocks.speech import BadInput
from tasks.table_text import LINE_END, MOST_ROWS, Edit, Found

SEPARATORS: Final = (",", "\t", ";", "|")
_NAMES: Final = {",": "comma", ";": "semicolon", "\t": "tab"}
_NAMED_SEPARATOR: Final = re.compile(r"sep=([^\r\n\"])(?:\r\n?|\n)")
"""What spreadsheets write, and read, before the header."""
_SAMPLE: Final = 100
"""Records that the separator is told from."""
_NONE: Final = (0.0, False, 0)
_NAMED: Final = 5
"""Ragged rows that a message names."""


class Cell(NamedTuple):
    text: str
    start: int
    end: int


class Record(NamedTuple):
    line: int
    """Where it begins, from 1."""
    last: int
    """Where it ends."""
    cells: list[Cell]


class UnclosedQuote(Exception):
    """Its argument is the line on which the quote opens."""


@cache
def _cell(separator: str) -> re.Pattern[str]:
    """A cell and what ends it: whatever follows a closing quote is text again, as the csv module has it."""
    plain = rf"[^{re.escape(separator)}\r\n]*+"
    return re.compile(rf'(?:"((?:[^"]++|"")*+)"({plain})|(?!")({plain}))({re.escape(separator)}|\r\n?|\n|\Z)')


def records(text: str, separator: str) -> Iterator[Record]:
    """The records in order, without those lines that are empty. Raises UnclosedQuote."""
    at, line = len(text) - len(text.lstrip("\ufeff")), 1
    if named := _NAMED_SEPARATOR.match(text, at):
        at, line = named.end(), 2
    while at < len(text):
        cells, first, end = [], line, separator
        while end == separator:
            match = _cell(separator).match(text, at)
            if match is None:
                raise UnclosedQuote(line)
            quoted, rest, plain, end = match.groups()
            value = plain if quoted is None else quoted.replace('""', '"') + rest
            cells.append(Cell(value, at, match.start(4)))
            if quoted:
                line += len(LINE_END.findall(quoted))
            at = match.end()
        if len(cells) > 1 or cells[0].start < cells[0].end:
            yield Record(first, line, cells)
        line += 1


def separator_of(text: str, likely: str) -> str:
    """The separator that cuts most rows into as many cells as the header, and the header into the most.

    The likely one where the header has one cell by them all.
    """
    if named := _NAMED_SEPARATOR.match(text, len(text) - len(text.lstrip("\ufeff"))):
        return named[1]
    ranks = {candidate: _rank(text, candidate) for candidate in dict.fromkeys([likely, *SEPARATORS])}
    best = max(ranks, key=lambda candidate: ranks[candidate])
    return best if ranks[best] > _NONE else likely


def _rank(text: str, separator: str) -> tuple[float, bool, int]:
    """How much this looks like the separator."""
    sample: list[Record] = []
    with suppress(UnclosedQuote):
        sample.extend(islice(_filled(text, separator), _SAMPLE))
    if not sample or len(sample[0].cells) == 1:
        return _NONE
    width = len(sample[0].cells)
    # A comma with a space behind it may as well stand in a name.
    tidy = not any(cell.text.startswith(" ") for cell in sample[0].cells)
    return sum(len(record.cells) == width for record in sample) / len(sample), tidy, width


def _filled(text: str, separator: str) -> Iterator[Record]:
    """The header and the rows: a line of spaces only is none, unless the table has one column."""
    width = 0
    for record in records(text, separator):
        width = width or len(record.cells)
        cells = record.cells
        if len(cells) == width or len(cells) > 1 or cells[0].text.strip():
            yield record


def read_csv(text: str, source: str, separator: str) -> tuple[tuple[str, ...], list[Found]]:
    """The columns and at most one row more than MOST_ROWS. Raises BadInput."""
    filled = _filled(text, separator)
    try:
        header = next(filled, None)
        if header is None:
            raise BadInput(f"{source} is blank: write a header with the names of the columns, and rows below it")
        columns = _columns(header, source)
        rows, ragged = _rows(islice(filled, MOST_ROWS + 1), columns)
    except UnclosedQuote as error:
        raise BadInput(
            f"{source}, line {error}: the quote that opens a cell there is never closed: close it, "
            "or write a quote that belongs to the text twice, in a quoted cell"
        ) from error
    if ragged:
        raise _ragged(ragged, len(rows) + len(ragged), columns, source, separator)
    if not rows:
        raise BadInput(f"{source} has a header and no rows: write the words below it")
    return columns, rows


def _rows(filled: Iterable[Record], columns: Sequence[str]) -> tuple[list[Found], list[tuple[int, int, int]]]:
    """The rows, and of those with too few or too many cells the first line, the last, and how many there are."""
    rows, ragged = [], []
    for record in filled:
        if len(record.cells) == len(columns):
            values = zip(columns, (cell.text for cell in record.cells), strict=True)
            rows.append(Found(record.line, "", dict(values)))
        else:
            ragged.append((record.line, record.last, len(record.cells)))
    return rows, ragged


def _columns(header: Record, source: str) -> tuple[str, ...]:
    names = _names(header)
    for number, name in enumerate(names, 1):
        where = f"{source}, line {header.line}"
        if not name:
            raise BadInput(f"{where}: column {number} of {len(names)} has no name: name it in the header, or remove it")
        if (first := names.index(name) + 1) < number:
            raise BadInput(f"{where}: columns {first} and {number} are both named {name!r}: rename one of them")
    return names


def _names(header: Record) -> tuple[str, ...]:
    return tuple(cell.text.strip() for cell in header.cells)


def _ragged(
    ragged: Sequence[tuple[int, int, int]], rows: int, columns: Sequence[str], source: str, separator: str
) -> BadInput:
    named = [
        f"line {line} has {cells}" + (f" (and goes on to line {last}: is a quote not closed?)" if last > line else "")
        for line, last, cells in ragged[:_NAMED]
    ]
    more = ", …" if len(ragged) > len(named) else ""
    return BadInput(
        f"{source}: {len(ragged)} of {rows} rows have not as many cells as the header, which has {len(columns)} "
        f"({', '.join(columns)}): {', '.join(named)}{more}. Give each row as many, and put a cell that holds a "
        f"{_NAMES.get(separator, separator)} in quotes"
    )


def addressed_csv(
    text: str, separator: str, fields: Sequence[str], addresses: Mapping[int, Mapping[str, str]]
) -> Iterator[Edit]:
    """What puts the addresses of rows into columns `audio.<field>`: those that are there, or new ones at the end."""
    filled = _filled(text, separator)
    header = next(filled)
    names = _names(header)
    new = [field for field in fields if f"audio.{field}" not in names]
    old = sorted((names.index(f"audio.{field}"), field) for field in fields if field not in new)
    for number, record in enumerate(chain([header], filled), -1):
        told = addresses.get(number, {})
        for index, field in old:
            if field in told:
                cell = record.cells[index]
                yield Edit(cell.start, cell.end, _quoted(told[field], separator))
        if new:
            cells = [f"audio.{field}" if record is header else told.get(field, "") for field in new]
            end = record.cells[-1].end
            yield Edit(end, end, "".join(separator + _quoted(cell, separator) for cell in cells))


@cache
def _special(separator: str) -> re.Pattern[str]:
    return re.compile(rf'["\r\n{re.escape(separator)}]')


def _quoted(cell: str, separator: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if _special(separator).search(cell) else cell
