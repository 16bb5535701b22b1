"""The line of a cue's time: what it says, and where it says nothing that can be read."""

# ruff: noqa: RUF001 - colons, commas and dashes of several scripts are what the patterns are about

import re
from dataclasses import dataclass
from typing import Final

from pysrt import SubRipTime

_CLOCK: Final = (
    r"([-−]\s?)?(?:(\d{1,3})\s?[:：]\s?)?(\d{1,2})\s?[:：]\s?(\d{1,2})(?:\s?[.,:;．，]\s?(\d{1,9}))?"
    r"(?!\d|\s?[:：]\s?\d)"
)
_WHOLE_CLOCK: Final = r"(-)?(\d{1,3}):(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_ARROW: Final = r"\s*([-–—−]{1,3}\s?[-–—−]?(?:>|＞|&gt;))\s*"
_TIMING: Final = re.compile(rf"\s*(?:\d+\s+)?{_CLOCK}{_ARROW}{_CLOCK}(.*)")
_NO_ARROW: Final = re.compile(rf"\s*{_WHOLE_CLOCK}([\s,=>~–—-]{{1,8}}){_WHOLE_CLOCK}(\s*)")
_ALONE: Final = re.compile(rf"\s*{_WHOLE_CLOCK}\s*")
_ARROWED: Final = re.compile(_ARROW)
# Something like a clock, of figures or of what stands in their place.
_NEARLY: Final = re.compile(r"(?<!\w)\w{1,5}\s?[:：]\s?\w{1,2}\s?[:：.,;]\s?\w{1,3}")
# `X1:10`, `align:start`, `position:0%`: where and how the cue is shown.
_SETTINGS: Final = re.compile(r"(?:\s+[A-Za-z]\w{0,11}:\S+)*\s*")


@dataclass(frozen=True, slots=True)
class Timing:
    """What a line of time says, in milliseconds."""

    start_ms: int = 0
    end_ms: int = 0
    fault: str = ""
    """Why it cannot be read; empty where it can."""
    repairs: tuple[str, ...] = ()
    fraction: int = 3
    """The fewest digits after a second's point."""
    text: str = ""
    """What stands after the times and is no setting."""


def may_be_timing(line: str) -> bool:
    """Whether it is worth a closer look."""
    return ":" in line or ">" in line or "：" in line


def read_timing(line: str, *, due: bool) -> Timing | None:
    """None for a line of text. A line with an arrow is one of time where one is due, after a cue's number.

    Hours may be left out or beyond 24, a point stand for the comma, spaces anywhere; settings are ignored.
    """
    if match := _TIMING.fullmatch(line) or _NO_ARROW.fullmatch(line):
        *start, arrow, end_sign, end_h, end_m, end_s, end_fraction, after = match.groups()
        end = [end_sign, end_h, end_m, end_s, end_fraction]
        plain = not (start[1] or start[4] or end[1] or end[4])
        if plain and arrow != "-->":  # "10:30 -> 12:00" is what somebody says
            return None
        return _timing(start, end, "" if _ARROWED.fullmatch(arrow) else "its times had no arrow", after)
    shown = line.strip()[:60]
    if _ARROWED.search(line) and (due or _NEARLY.search(line)):
        return Timing(fault=f"its line of time says {shown!r}, not when it starts and ends")
    if due and _ALONE.fullmatch(line):
        return Timing(fault=f"its line of time says {shown!r} only, not when it starts and ends")
    return None


def _timing(start: list[str | None], end: list[str | None], repair: str, after: str) -> Timing:
    text = _SETTINGS.sub("", after, count=1)
    if _ARROWED.search(text) and _NEARLY.search(text):
        return Timing(fault=f"its line of time goes on with {text.strip()[:60]!r}")
    start_ms, end_ms = _ms(start), _ms(end)
    repairs = [repair] if repair else []
    if any(figure and int(figure) > 59 for figure in (*start[2:4], *end[2:4])):
        repairs.append("a minute or second above 59 was counted on")
    if start_ms < 0:
        repairs.append("it started before 0: it starts at 0")
    if any(map(str.isalnum, text)):
        repairs.append("words stood on its line of time")
    fraction = min(len(digits) for digits in (start[4], end[4], "000") if digits)
    return Timing(max(0, start_ms), end_ms, "", tuple(repairs), fraction, text)


def _ms(clock: list[str | None]) -> int:
    sign, *figures, fraction = clock
    hours, minutes, seconds = (int(figure or 0) for figure in figures)
    ms: int = SubRipTime(hours, minutes, seconds, int((fraction or "0").ljust(3, "0")[:3])).ordinal
    return -ms if sign else ms
