"""Where a text that is too long for one request is best cut.

After a sentence if that can be, else after a clause, else between words, else between graphemes. At each step a tiny
piece is the second choice, and one without a letter or digit, which nobody can speak, the last. Where several places
serve equally, the text before them decides and not how much of it there is: so an edit moves the cuts beside it only.
"""

import zlib
from bisect import bisect_right
from collections.abc import Sequence

import regex

from blocks.speech import Limits
from tasks.document import Boundary

# Engines stumble over a lone "Yes." In Han, kana and Hangul the same is said in fewer letters.
TINY = 20
TINY_DENSE = 6

_SAID = regex.compile(r"[\p{L}\p{N}]")
_LAST_SAID = regex.compile(r"(?r)[\p{L}\p{N}]")
_DENSE = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]")

_WHOLE = r"(?![\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}])"
_CLOSING = r"""(?:[\p{Pe}\p{Pf}]|["'](?=\s))*+"""
# ASCII marks, dots and short dashes want white space after them (1,000; 10:05; 1939-45), long dashes and the marks of
# other scripts do not. (Unicode has the Ethiopic word space among the latter.)
_CLAUSE = regex.compile(
    rf"(?:(?:[,;:!?·…]|\.\.|(?<=\s)[\u2013-]){_CLOSING}\s++"
    rf"|(?:[\u2014\u2015\u2e3a…‥]|(?![\0-\x7f\u1361])\p{{Terminal_Punctuation}})++{_CLOSING}(?!\p{{N}})\s*+){_WHOLE}"
)
# The second kind: zero-width space (Khmer, Thai), Tibetan tsheg, Ethiopic word space.
_WORD = regex.compile(rf"(?:\s++|[\u200b\u0f0b\u1361]++){_WHOLE}")
_GRAPHEME = regex.compile(r"\X")


def reach(text: str, start: int, limits: Limits) -> int:
    """The furthest end of a piece that begins at `start` and keeps both limits, white space after it included."""
    piece = text[start : start + min(limits.characters, limits.bytes)]
    if len(data := piece.encode()) > limits.bytes:
        piece = data[: limits.bytes].decode(errors="ignore")
    return past_white(text, start + len(piece))


def past_white(text: str, start: int) -> int:
    while start < len(text) and text[start].isspace():
        start += 1
    return start


def speakable(text: str) -> bool:
    return _SAID.search(text) is not None


def tiny(text: str) -> bool:
    return len(text) < TINY_DENSE or (len(text) < TINY and not _DENSE.search(text))


def best_cut(text: str, start: int, furthest: int, ends: Sequence[int]) -> tuple[int, Boundary] | None:
    """Where the piece that begins at `start` best ends, at `furthest` or before, and what ends it there.

    `ends` are the ends of the text's sentences, ascending, its own end included. None if no grapheme ends in reach.
    """
    room = furthest - start
    anywhere = start + 1, furthest
    said = _said(text, start, furthest)
    fair = _overlap(said, (start + _least(text[start : start + TINY], room), len(text) - _least(text[-TINY:], room)))
    even = _even(start, len(text), room)
    even_within = _even(start, ends[bisect_right(ends, furthest)], room)
    tries = (
        (Boundary.SENTENCE, even, fair),
        (Boundary.CLAUSE, even_within, fair),
        (Boundary.SENTENCE, even, said),
        (Boundary.CLAUSE, even_within, said),
        (Boundary.WORD, even_within, fair),
        (Boundary.WORD, even_within, said),
        (Boundary.GRAPHEME, even_within, fair),
        (Boundary.GRAPHEME, even_within, said),
        (Boundary.WORD, even_within, anywhere),
        (Boundary.GRAPHEME, even_within, anywhere),
    )
    for boundary, wanted, allowed in tries:
        places = _within(_places(text, boundary, start, furthest, ends), allowed)
        if good := _within(places, wanted):
            return min(reversed(good), key=lambda place: _lot(text, place)), boundary
        if places:
            return min(places, key=lambda place: abs(2 * place - sum(wanted))), boundary
    return None


def _lot(text: str, place: int) -> int:
    """What decides between places that serve equally: the last words before them, as good as drawn by lot."""
    return zlib.crc32(text[max(0, place - 16) : place].encode())


def _places(text: str, boundary: Boundary, start: int, furthest: int, ends: Sequence[int]) -> list[int]:
    """Every place of a kind after `start`, up to `furthest`."""
    seen = furthest + 1  # the patterns look at the character after the place
    match boundary:
        case Boundary.SENTENCE:
            return list(ends[bisect_right(ends, start) : bisect_right(ends, furthest)])
        case Boundary.CLAUSE:
            places = [mark.end() for mark in _CLAUSE.finditer(text, start, seen)]
        case Boundary.WORD:
            places = [mark.end() for mark in _WORD.finditer(text, start, seen)]
        case _:
            places = [grapheme.start() for grapheme in _GRAPHEME.finditer(text, start, seen)]
    return _within(places, (start + 1, furthest))


def _even(start: int, end: int, room: int) -> tuple[int, int]:
    """The middle third where two pieces do, else the last two fifths of what fits: the remainder is never tiny.

    A wider stretch makes more chunks, a narrower one lets an edit move more cuts: like this chunks are 3/4 full on
    average, and most edits change one or two of them, however long the paragraph.
    """
    rest = end - start
    if 2 * rest <= 3 * room:
        return start + rest // 3, end - rest // 3
    return start + room * 3 // 5, start + room


def _said(text: str, start: int, furthest: int) -> tuple[int, int]:
    """Where a cut leaves a letter or digit both in this piece and in the next."""
    first, last = _SAID.search(text, start, furthest), _LAST_SAID.search(text, start, furthest)
    if not (first and last):
        return furthest, start
    return first.end(), furthest if _SAID.search(text, furthest, 2 * furthest - start) else last.start()


def _least(sample: str, room: int) -> int:
    return min(TINY_DENSE if _DENSE.search(sample) else TINY, room // 4)


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return max(one[0], other[0]), min(one[1], other[1])


def _within(places: list[int], stretch: tuple[int, int]) -> list[int]:
    return [place for place in places if stretch[0] <= place <= stretch[1]]
