"""A file of subtitles is cut into its cues: SRT and WebVTT, also where numbers, blank lines or times are amiss."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.cue_times import Timing, may_be_timing, read_timing
from tasks.document import Omission

_NUMBER: Final = re.compile(r"\s*[#№]?\s?(\d{1,9})\s?[.):]?\s*")
# What stands where a number should: one word that ends no sentence.
_WORD: Final = re.compile(r"\s*[^\s.,;:!?…。！？]{1,20}\s*")  # noqa: RUF001 - the full stops of several scripts
_ASIDE: Final = re.compile(r"(WEBVTT|NOTE|STYLE|REGION)(?:[ \t].*)?")


_ASIDES: Final = {"WEBVTT": "header", "NOTE": "note", "STYLE": "style", "REGION": "region"}
_TIMELESS: Final = "timeless"


@dataclass(frozen=True, slots=True)
class Block:
    """A cue as the file writes it."""

    line: int
    """Its first, from 1: that of its number, else that of its time."""
    timing: Timing
    text: str
    repairs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Head:
    """Where a cue begins among the lines, and where its text does."""

    first: int
    body: int
    timing: Timing | None
    """None for what stands before the first cue."""
    count: int | None = None
    """The number that it bears."""


def cut_cues(text: str, *, webvtt: bool) -> tuple[list[Block], list[Omission]]:
    """The cues in the order of the file, and all that is none: headers, notes, styles, what stands for a number.

    A line of time begins a cue wherever it stands, so that it is never part of a text.
    """
    lines = text.split("\n")
    heads = [_Head(0, 0, None, 0), *_heads(lines, webvtt=webvtt)]
    if len(heads) == 1:
        return [], []
    blocks: list[Block] = []
    omissions: list[Omission] = []
    for head, after in zip(heads, [*heads[1:], None], strict=True):
        groups = list(_groups(lines, head, after, webvtt=webvtt))
        own = [place for kind, group in groups if not kind for place in group]
        if head.timing:
            blocks.append(_block(lines, head, head.timing, own))
            if not webvtt and head.count is None and head.body - head.first == 2:
                omissions.append(_omission("what stands in the place of a number", lines, [head.first]))
        else:
            omissions += [_omission("before the first cue", lines, own) for kind, own in groups if not kind and own]
        blocks += [_timeless(lines, group) for kind, group in groups if kind == _TIMELESS]
        omissions += [_omission(_ASIDES[kind], lines, group) for kind, group in groups if kind in _ASIDES]
    return blocks, omissions


def _is_blank(line: str) -> bool:
    return not line or line.isspace()


def _is_parted(lines: Sequence[str], place: int) -> bool:
    """Whether nothing stands above a line, or a line where nothing is to be seen."""
    return place == 0 or _is_blank(lines[place - 1])


def _heads(lines: Sequence[str], *, webvtt: bool) -> Iterator[_Head]:
    count: int | None = 0
    body = 0  # where the text of the cue before begins
    for place, line in enumerate(lines):
        if not may_be_timing(line):
            continue
        above = place - 1
        while above >= body and _is_blank(lines[above]):
            above -= 1
        numbered = body <= above == place - 1 and _NUMBER.fullmatch(lines[above]) is not None
        timing = read_timing(line, due=numbered)
        if not timing:
            continue
        named = above >= body and _is_name(lines, above, place, count, first=above == body, webvtt=webvtt)
        match = _NUMBER.fullmatch(lines[above]) if named else None
        count = int(match[1]) if match else None
        body = place + 1
        yield _Head(above if named else place, body, timing, count)


def _is_name(lines: Sequence[str], above: int, place: int, count: int | None, *, first: bool, webvtt: bool) -> bool:
    """Whether the line above a time is the cue's number or name, and no text of the cue before.

    Where no empty line parts it from that text, or one parts it from its time, it has to be the next number; a figure
    below other text is one too where the cue before has a number.
    """
    match = _NUMBER.fullmatch(lines[above])
    due = match is not None and int(match[1]) == (count or 0) + 1
    parted = _is_parted(lines, above)
    if above < place - 1:
        return due and parted
    if match:
        return due or parted or (count is not None and not first)
    if not parted or _ASIDE.fullmatch(lines[above]):
        return False
    return webvtt or _WORD.fullmatch(lines[above]) is not None


def _groups(lines: Sequence[str], head: _Head, after: _Head | None, *, webvtt: bool) -> Iterator[tuple[str, list[int]]]:
    """What belongs together below a head: its own text, asides of WebVTT, and cues that have no line of time.

    Such a cue begins with the number that comes next, where the cue after it does not bear that.
    """
    kind, count = "", head.count
    group: list[int] = []
    for place in range(head.body, after.first if after else len(lines)):
        if _is_blank(lines[place]):
            continue
        opens = _opened(lines[place], kind, count, after, webvtt=webvtt) if _is_parted(lines, place) else None
        if opens is not None:
            yield kind, group
            kind, group = opens, []
            count = count + 1 if count is not None and opens == _TIMELESS else count
        group.append(place)
    yield kind, group


def _opened(line: str, kind: str, count: int | None, after: _Head | None, *, webvtt: bool) -> str | None:
    """What begins below a blank line; None where it goes on with what stands above that."""
    if webvtt and (aside := _ASIDE.fullmatch(line)):
        return aside[1]
    match = _NUMBER.fullmatch(line)
    if match and count is not None and int(match[1]) == count + 1 and _comes_later(after, count + 1):
        return _TIMELESS
    return "" if kind in _ASIDES else None


def _comes_later(after: _Head | None, number: int) -> bool:
    return after is None or (after.count is not None and after.count > number)


def _block(lines: Sequence[str], head: _Head, timing: Timing, own: Sequence[int]) -> Block:
    repairs = [*timing.repairs]
    if not _is_parted(lines, head.first) and not _ASIDE.fullmatch(lines[head.first - 1]):
        repairs.append("no blank line stood above it")
    # A line of spaces ends no cue: automatic captions have such in most of theirs.
    if any(not lines[place - 1] for place in own):
        repairs.append("a blank line stood inside it")
    text = "\n".join([*filter(None, [timing.text]), *(lines[place] for place in own)])
    return Block(head.first + 1, timing, text, tuple(repairs))


def _timeless(lines: Sequence[str], group: Sequence[int]) -> Block:
    text = "\n".join(lines[place] for place in group[1:])
    return Block(group[0] + 1, Timing(fault="it has a number, but no line of time"), text, ())


def _omission(reason: str, lines: Sequence[str], group: Sequence[int]) -> Omission:
    return Omission(group[0] + 1, "\n".join(lines[place] for place in group), "omitted", reason)
