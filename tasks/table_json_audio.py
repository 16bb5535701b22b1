"""Addresses put into the objects of a JSON text, in each object's own indentation and spelling."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from tasks.json_spans import Item, items, skip
from tasks.table_json import objects
from tasks.table_text import LINE_END, Edit

KEY: Final = "audio"
_LAST_LINE: Final = re.compile(r"(\r\n?|\n)([ \t]*)$")
_WIDEST: Final = 1000
"""How far before an object its line is looked for: a whole file may be one."""


class Style(NamedTuple):
    """How an object is laid out."""

    gap: str
    """Before each of its keys."""
    deeper: str
    """Before each key of an object in it; empty where all stands on one line."""
    colon: str
    escape: bool
    """Whether other characters are escaped."""


def addressed_json(
    text: str, addresses: Mapping[int, Mapping[str, str]], *, lines: bool, escape: bool
) -> Iterator[Edit]:
    """What puts the addresses of rows into their objects, as `"audio": {"field": "address"}`."""
    for number, (_, row) in enumerate(objects(text, lines=lines)):
        if told := addresses.get(number):
            yield from _row(text, row, told, escape=escape)


def _row(text: str, row: Item, told: Mapping[str, str], *, escape: bool) -> Iterator[Edit]:
    members = list(items(text, row.start))
    style = _style(text, row.start, members, escape=escape)
    audio = next((member for member in members if member.key == KEY), None)
    if audio is None:
        yield _added(members, row, [_pair(KEY, _laid_out(told, style), style)], style)
    elif audio.value:
        yield from _audio(text, audio, told, escape=escape)
    else:
        yield Edit(audio.start, audio.end, _laid_out(told, style))


def _audio(text: str, audio: Item, told: Mapping[str, str], *, escape: bool) -> Iterator[Edit]:
    """What brings the addresses into an object that has some."""
    members = list(items(text, audio.start))
    style = _style(text, audio.start, members, escape=escape)
    for member in members:
        if member.key in told:
            yield Edit(member.start, member.end, _text(told[member.key], style))
    new = {field: address for field, address in told.items() if field not in audio.value}
    if new:
        yield _added(members, audio, [_pair(field, _text(new[field], style), style) for field in new], style)


def _added(members: list[Item], whole: Item, pairs: list[str], style: Style) -> Edit:
    """The edit that adds pairs behind the last member."""
    if not members:
        return Edit(whole.start + 1, whole.start + 1, f",{style.gap}".join(pairs))
    return Edit(members[-1].end, members[-1].end, "".join(f",{style.gap}{pair}" for pair in pairs))


def _style(text: str, start: int, members: list[Item], *, escape: bool) -> Style:
    if not members:
        return Style(" ", "", ": ", escape)
    last = members[-1]
    colon = text[last.key_end : last.start]
    ends = [start + 1, *(member.end for member in members)]
    gaps = [text[end : member.key_start].rpartition(",")[2] for end, member in zip(ends, members, strict=False)]
    # Where some keys stand on lines of their own and others do not, a line of its own is easier to read.
    if line := next(filter(None, map(_LAST_LINE.search, reversed(gaps))), None):
        return Style(line[0], line[0] + line[2].removeprefix(_indent(text, start)), colon, escape)
    gap = gaps[-1]
    if not members[1:]:
        gap = " " if colon.endswith(" ") else ""
    return Style(gap, "", colon, escape)


def _indent(text: str, at: int) -> str:
    """What the line begins with on which this place is."""
    line = LINE_END.split(text[max(0, at - _WIDEST) : at])[-1]
    return line[: skip(line, 0)]


def _laid_out(told: Mapping[str, str], style: Style) -> str:
    pairs = [_pair(field, _text(address, style), style) for field, address in told.items()]
    if style.deeper:
        return "{" + ",".join(f"{style.deeper}{pair}" for pair in pairs) + style.gap + "}"
    return "{" + f",{style.gap}".join(pairs) + "}"


def _pair(key: str, value: str, style: Style) -> str:
    return _text(key, style) + style.colon + value


def _text(text: str, style: Style) -> str:
    return json.dumps(text, ensure_ascii=style.escape)
