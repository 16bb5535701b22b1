"""JSON that is a table: a list of objects, `{type: [objects]}`, or JSON Lines."""

from collections.abc import Iterator
from json import JSONDecodeError
from typing import Final

from blocks.speech import BadInput
from tasks.json_spans import Item, end_of, items, skip, value_of
from tasks.table_text import LINE_END, MOST_ROWS, Found, Lines

_FORM: Final = (
    'write a list of objects, as [{"word": "cat"}], or such lists by their types, as {"noun": [{"word": "cat"}]}'
)
_LINE: Final = 'each line of JSON Lines is one whole object, as {"word": "cat"}'


class NoTable(Exception):
    """Its arguments are what is wrong, and the place."""


def read_json(text: str, source: str, *, lines: bool) -> list[Found]:
    """The rows. Raises BadInput."""
    places, start = Lines(text), _start(text)
    rows: list[Found] = []
    try:
        for kind, item in objects(text, lines=lines):
            if len(rows) > MOST_ROWS:
                break
            rows.append(Found(places.line(item.start), kind, item.value))
    except JSONDecodeError as error:
        line = places.line(error.pos)
        column = places.column(error.pos) - (start if line == 1 else 0)
        where = f"{source}, line {line}, column {column}"
        raise BadInput(f"{where}: is no JSON ({error.msg}): {_remedy(error, lines=lines)}") from error
    except NoTable as error:
        wrong, place = error.args
        raise BadInput(f"{source}, line {places.line(place)}: {wrong}: {_LINE if lines else _FORM}") from error
    if not rows:
        raise BadInput(f"{source} has no rows: {_LINE if lines else _FORM}")
    return rows


def _remedy(error: JSONDecodeError, *, lines: bool) -> str:
    if lines:
        return _LINE
    if error.msg.startswith("Extra data"):
        return "mend it there, or name the file .jsonl where each line is an object of its own"
    return "mend it there"


def _start(text: str) -> int:
    return len(text) - len(text.lstrip("\ufeff"))


def objects(text: str, *, lines: bool) -> Iterator[tuple[str, Item]]:
    """Each row's type and object, in order. Raises JSONDecodeError, NoTable."""
    if lines:
        return _lines(text)
    return _whole(text)


def _lines(text: str) -> Iterator[tuple[str, Item]]:
    start = _start(text)
    for end in LINE_END.finditer(text):
        yield from _line(text, start, end.start())
        start = end.end()
    yield from _line(text, start, len(text))


def _line(text: str, start: int, end: int) -> Iterator[tuple[str, Item]]:
    # Cut out, so that no value goes on in the next line; the places of errors are moved back.
    line = text[start:end]
    at = skip(line, 0)
    if at == len(line):
        return
    try:
        value, length = value_of(line, at)
        _check_end(line, length)
    except JSONDecodeError as error:
        raise JSONDecodeError(error.msg, text, start + error.pos) from error
    at += start
    yield "", _row(Item("", at, at, value, at, start + length))


def _check_end(text: str, end: int) -> None:
    if (more := skip(text, end)) < len(text):
        raise JSONDecodeError("Extra data", text, more)


def _whole(text: str) -> Iterator[tuple[str, Item]]:
    at = skip(text, _start(text))
    if text.startswith("{", at):
        yield from _types(text, at)
        return
    last = None
    if text.startswith("[", at):
        for last in items(text, at):
            yield "", _row(last)
        end = end_of(text, at, last)
    else:
        end = value_of(text, at)[1]
    _check_end(text, end)
    if text[at] != "[":
        raise NoTable("is JSON, but no table", at)


def _types(text: str, at: int) -> Iterator[tuple[str, Item]]:
    """The objects in the lists of an object; whatever else it holds is none of ours."""
    keys: set[str] = set()
    last = None
    for last in items(text, at):
        if last.key in keys:
            raise JSONDecodeError(f"An object has the key {last.key!r} twice", text, last.key_start)
        keys.add(last.key)
        if isinstance(last.value, list) and last.value and isinstance(last.value[0], dict):
            for item in items(text, last.start):
                yield last.key, _row(item)
    _check_end(text, end_of(text, at, last))


def _row(item: Item) -> Item:
    if not isinstance(item.value, dict):
        raise NoTable("is no object, as rows are", item.start)
    return item
