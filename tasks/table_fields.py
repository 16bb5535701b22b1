"""The fields of a row: its columns, or dotted paths into an object, such as `translations.ja.word` or `examples.0`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

MISSING: Final = object()
MOST_FIELDS: Final = 1000
"""How many are named: a list of sentences may have any number of items."""
DEEPEST: Final = 20
"""How far below its row a field is looked for, to be named."""


def value_at(value: Any, path: str) -> Any:
    """What stands at the path, or MISSING. A key that holds dots itself goes before a path."""
    if isinstance(value, Mapping):
        if path in value:
            return value[path]
        below = ((value[head], rest) for head, rest in _cuts(path) if head in value)
    elif isinstance(value, list):
        items = {str(index): item for index, item in enumerate(value)}
        if path in items:
            return items[path]
        below = ((items[head], rest) for head, rest in _cuts(path) if head in items)
    else:
        return MISSING
    return next((found for item, rest in below if (found := value_at(item, rest)) is not MISSING), MISSING)


def _cuts(path: str) -> Iterator[tuple[str, str]]:
    """The path cut in two at each of its dots, the last one first."""
    at = path.rfind(".")
    while at >= 0:
        yield path[:at], path[at + 1 :]
        at = path.rfind(".", 0, at)


def fields_of(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Each field at which some row has a text or a number, in order of first appearance, at most MOST_FIELDS."""
    fields: dict[str, None] = {}
    for row in rows:
        for path in _paths(row):
            fields.setdefault(path)
            if len(fields) == MOST_FIELDS:
                return tuple(fields)
    return tuple(fields)


def _paths(value: Any, prefix: str = "", depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield prefix
        return
    if depth == DEEPEST:
        return
    inside = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield from _paths(item, f"{prefix}.{key}" if prefix else str(key), depth + 1)
