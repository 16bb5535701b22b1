"""Where things stand in a table's text, and how something is put into it while all else stays as it is."""

import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

MOST_ROWS = 200_000
"""Of one table: more are a mistake more often than a wish, and would take days to speak."""
LINE_END = re.compile(r"\r\n?|\n")


class Found(NamedTuple):
    """What a row of the source holds."""

    line: int
    kind: str
    values: dict[str, object]


class Edit(NamedTuple):
    """What stands in the place of `text[start:end]` from now on."""

    start: int
    end: int
    text: str


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with the edits, which come in the order of their places, done."""
    pieces, cursor = [], 0
    for edit in edits:
        pieces += [text[cursor : edit.start], edit.text]
        cursor = edit.end
    return "".join([*pieces, text[cursor:]])


class Lines:
    """The lines of a text, to tell on which one a place is."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(end.end() for end in LINE_END.finditer(text))]

    def line(self, place: int) -> int:
        """From 1."""
        return bisect_right(self._starts, place)

    def column(self, place: int) -> int:
        """From 1."""
        return place - self._starts[self.line(place) - 1] + 1
