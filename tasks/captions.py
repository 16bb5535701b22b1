"""Captions of a recording: what is said when, in cues that a person can read."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pysrt
import regex

LINE_COLUMNS = 42
"""What broadcasters put in one line; a wide (CJK) character takes two columns."""

_BREAK = regex.compile(
    # Between words; a space that bears an accent is no gap.
    r"\s+(?![\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}])"
    # In a script without spaces before a letter or an opening bracket, so never before a full stop.
    r"|(?<=[\p{Han}\p{Hiragana}\p{Katakana}\p{Po}\p{Pe}])(?=[\p{Han}\p{Hiragana}\p{Katakana}\p{Ps}])"
)
_WIDE = regex.compile(r"[\p{East_Asian_Width=W}\p{East_Asian_Width=F}]")
_GRAPHEME = regex.compile(r"\X")
_SENTENCE_END = regex.compile(r"[\p{Sentence_Terminal}…]\p{P}*$")
_CLAUSE_END = regex.compile(r"[\p{Terminal_Punctuation}\p{Pd}]\p{P}*$")


@dataclass(frozen=True, slots=True)
class Cue:
    start_s: float
    end_s: float
    text: str


def compose_srt(cues: Iterable[Cue]) -> str:
    """The cues in SubRip's format, numbered from 1, times to the millisecond."""
    out = io.StringIO()
    items = [
        pysrt.SubRipItem(number, _srt_time(cue.start_s), _srt_time(cue.end_s), cue.text)
        for number, cue in enumerate(cues, start=1)
    ]
    pysrt.SubRipFile(items=items, eol="\n").write_into(out)
    return out.getvalue()


def readable(cue: Cue) -> Iterator[Cue]:
    """The same words in cues of at most two lines, each for its share of the time."""
    pieces = list(_pieces(cue.text))
    widths = [columns("".join(lines)) for lines in pieces]
    seconds_per_column = (cue.end_s - cue.start_s) / max(1, sum(widths))
    done = 0
    for lines, width in zip(pieces, widths, strict=True):
        start, done = done, done + width
        yield Cue(
            cue.start_s + start * seconds_per_column,
            min(cue.end_s, cue.start_s + done * seconds_per_column),
            "\n".join(lines),
        )


def columns(text: str) -> int:
    return len(text) + len(_WIDE.findall(text))


def _pieces(text: str) -> Iterator[tuple[str, ...]]:
    """One or two lines at a time; each cut falls as near the middle as a good place allows, so none is left tiny."""
    cuts = _cuts(text) if columns(text) > LINE_COLUMNS else []
    if not cuts:
        yield (text,)
        return
    start, end = _best(cuts, text)
    left, right = text[:start], text[end:]
    if columns(left) <= LINE_COLUMNS and columns(right) <= LINE_COLUMNS:
        yield left, right
        return
    yield from _pieces(left)
    yield from _pieces(right)


def _cuts(text: str) -> list[tuple[int, int]]:
    """Where a line may end and where the next then starts."""
    between_words = [match.span() for match in _BREAK.finditer(text) if match.start() and match.end() < len(text)]
    # A word longer than a line, or a script that writes no spaces: only a grapheme must not be cut.
    return between_words or [(match.start(), match.start()) for match in _GRAPHEME.finditer(text) if match.start()]


def _best(cuts: list[tuple[int, int]], text: str) -> tuple[int, int]:
    """The end of a sentence may lie a fifth of the text further from the middle than a mere gap between words."""
    distances = [abs(start - len(text) / 2) for start, _ in cuts]
    reach = min(distances) + len(text) / 5
    near = [(distance, cut) for distance, cut in zip(distances, cuts, strict=True) if distance <= reach]
    return min(near, key=lambda pair: pair[0] + _badness(text[max(0, pair[1][0] - 3) : pair[1][0]]) * len(text) / 5)[1]


def _badness(before: str) -> float:
    if _SENTENCE_END.search(before):
        return 0.0
    return 0.5 if _CLAUSE_END.search(before) else 1.0


def _srt_time(seconds: float) -> pysrt.SubRipTime:
    return pysrt.SubRipTime.from_ordinal(round(seconds * 1000))
