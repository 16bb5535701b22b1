"""JSON read value by value, with the place of each in the text; numbers stay as they are spelt."""

import re
from collections.abc import Callable, Iterator
from json import JSONDecodeError, JSONDecoder
from typing import Any, Final, NamedTuple

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_TOKEN: Final = re.compile(r'("(?:[^"\\]|\\.)*+")([ \t\r\n]*:)?|[{}]')


class Item(NamedTuple):
    """A value of an object or a list, `text[start:end]`."""

    key: str
    """Empty in a list."""
    key_start: int
    """Where the key begins; in a list, the value."""
    key_end: int
    value: Any
    start: int
    end: int


class RepeatedKey(Exception):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise RepeatedKey
    return values


_decode: Final[Callable[[str, int], tuple[Any, int]]] = JSONDecoder(
    object_pairs_hook=_object, parse_int=str, parse_float=str
).raw_decode


def skip(text: str, at: int) -> int:
    """The next place that holds no white space."""
    space = _SPACE.match(text, at)
    return space.end() if space else at


def value_of(text: str, at: int) -> tuple[Any, int]:
    """The value that begins here and its end. Raises JSONDecodeError, also for a key that an object has twice."""
    try:
        return _decode(text, at)
    except RepeatedKey:
        key, place = _repeated(text, at)
        raise JSONDecodeError(f"An object has the key {key} twice", text, place) from None
    except RecursionError:
        raise JSONDecodeError("Lists and objects lie too deep in one another", text, at) from None


def _repeated(text: str, at: int) -> tuple[str, int]:
    """The first key from here on that its object has had before, and its place."""
    seen: list[set[str]] = []
    for token in _TOKEN.finditer(text, at):
        if token[0] == "{":
            seen.append(set())
        elif token[0] == "}":
            seen.pop()
        elif token[2]:
            key = _decode(text, token.start())[0]
            if key in seen[-1]:
                return token[1], token.start()
            seen[-1].add(key)
    raise AssertionError("no key stands twice")


def items(text: str, at: int) -> Iterator[Item]:
    """Each value of the object or list that begins here. Raises JSONDecodeError."""
    close = "}" if text[at] == "{" else "]"
    at = skip(text, at + 1)
    if text.startswith(close, at):
        return
    while True:
        item = _member(text, at) if close == "}" else _element(text, at)
        yield item
        at = skip(text, item.end)
        if text.startswith(close, at):
            return
        if not text.startswith(",", at):
            raise JSONDecodeError(f"Expecting ',' or {close!r}", text, at)
        at = skip(text, at + 1)


def end_of(text: str, at: int, last: Item | None) -> int:
    """Where the object or list ends that begins here and whose last item is this one."""
    return skip(text, last.end if last else at + 1) + 1


def _element(text: str, at: int) -> Item:
    value, end = value_of(text, at)
    return Item("", at, at, value, at, end)


def _member(text: str, at: int) -> Item:
    if not text.startswith('"', at):
        raise JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
    key, key_end = value_of(text, at)
    colon = skip(text, key_end)
    if not text.startswith(":", colon):
        raise JSONDecodeError("Expecting ':' delimiter", text, colon)
    start = skip(text, colon + 1)
    value, end = value_of(text, start)
    return Item(key, at, key_end, value, start, end)
