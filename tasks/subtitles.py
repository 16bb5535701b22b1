"""Subtitles become pieces: each cue is spoken in its window, or told of."""

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Final

from blocks.speech import BadInput
from tasks.cue_blocks import Block, cut_cues
from tasks.cue_repeats import Repeat, find_repeats
from tasks.cue_text import Part, read_cue
from tasks.document import Document, Omission, Segment, Window
from tasks.pace import expected_s

_LONGEST: Final = 20_000
"""Characters: what goes on for longer is no cue, but what else stands in the file."""
_SLIP_MS: Final = 600_000
"""What is shown for longer was not meant so, and would make a recording of silence."""
_AT_MOST_MS: Final = 5000
"""Where a cue's end is lost, unless its words take longer."""
_NOTES: Final = re.compile(r"[♩♪♫♬🎵🎶🎼\ufe0f\s]+")
# What an editor does not show: controls, marks of direction and of byte order.
_UNSEEN: Final = re.compile("[\x00-\x08\x0e-\x1b\x7f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_OTHERS: Final = (
    (r"\{\d+\}\{\d+\}", "MicroDVD subtitles"),
    (r"(?i)\[script info\]|Dialogue:", "subtitles of the kind ASS"),
    (r"\[INFORMATION\]", "SubViewer subtitles"),
    (r"\[\d+:\d\d[.:]\d\d\]", "lyrics of the kind LRC"),
    (r"<\?xml|<tt\b", "XML, such as TTML"),
    (r"(?i)<sami>", "SAMI subtitles"),
)


def read_subtitles(text: str, source: str, speakers: Collection[str] = ()) -> list[Segment | Omission]:
    """The pieces of SRT or WebVTT in the order of the file; their text is not yet normalised.

    A cue with two speakers is two segments of one window. Raises BadInput where no cue is to be found.
    """
    text = _UNSEEN.sub("", text)
    if not text or text.isspace():
        return []
    webvtt = text.lstrip().startswith("WEBVTT") or PurePath(source).suffix.lower() == ".vtt"
    blocks, omissions = cut_cues(text, webvtt=webvtt)
    blocks = [_bounded(block) for block in blocks]
    if not blocks:
        raise _no_subtitles(text, source)
    return sorted([*_pieces(blocks, speakers), *omissions], key=lambda piece: piece.line)


def _bounded(block: Block) -> Block:
    if len(block.text) <= _LONGEST or block.timing.fault:
        return block
    fault = f"its text goes on for {len(block.text):,} characters without another line of time"
    return replace(block, timing=replace(block.timing, fault=fault))


def _no_subtitles(text: str, source: str) -> BadInput:
    first = next(((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()), (1, ""))
    other = next((kind for pattern, kind in _OTHERS if re.match(pattern, first[1].strip())), "")
    if other:
        return BadInput(f"{source} holds {other}, which is not read: convert it to SRT first")
    shown = first[1].strip()[:60]
    return BadInput(
        f"{source} holds no cue (line {first[0]} is {shown!r}): "
        "a cue has a line such as 00:00:01,000 --> 00:00:02,000; name the file .txt if it is text"
    )


def _pieces(blocks: Sequence[Block], speakers: Collection[str]) -> Iterator[Segment | Omission]:
    spoken = [[] if block.timing.fault else read_cue(block.text, speakers) for block in blocks]
    repeats = find_repeats([block.text for block in blocks], spoken)
    starts = sorted({block.timing.start_ms for block in blocks if not block.timing.fault})
    exact = any(block.timing.fraction == 3 for block in blocks if not block.timing.fault)
    seen: dict[tuple[int, int, str], int] = {}
    for index, (block, parts, repeat) in enumerate(zip(blocks, spoken, repeats, strict=True), start=1):
        if block.timing.fault:
            yield Omission(block.line, block.text, "refused", block.timing.fault, untimed=index)
            continue
        window, repairs = _window(block, parts, index, starts, exact=exact)
        same = seen.setdefault((window.start_ms, window.end_ms, _words(parts)), index)
        speakable = [part for part in parts if part.speakable]
        if not speakable:
            yield _omission(block, window, parts, "empty", _why_empty(parts))
        elif same != index:
            yield _omission(block, window, parts, "merged", f"cue {same} says the same at the same time")
        elif repeat.lines and not (parts := _rolled(parts, repeat)):
            yield _omission(block, window, speakable, "merged", f"cue {index - 1} says the same, in captions that roll")
        else:
            if repeat.lines and repeat.guessed:
                repairs += ("it began with words of the cue before, which are said once",)
            yield from _segments(block, window, parts, "; ".join(repairs))


def _words(parts: Sequence[Part]) -> str:
    return " ".join(word for part in parts for word in [f"{part.speaker}:", *part.text.split()])


def _window(
    block: Block, parts: Sequence[Part], index: int, starts: Sequence[int], *, exact: bool
) -> tuple[Window, tuple[str, ...]]:
    """When the cue is shown, and all that was mended of it.

    An end that is none becomes the next start, but no more than 5 s on, or what the words take.
    """
    start, end, repairs = block.timing.start_ms, block.timing.end_ms, block.repairs
    if exact and block.timing.fraction < 3:
        repairs += ("a fraction of a second has fewer digits than others: .5 is half a second",)
    if end <= start:
        later = bisect_right(starts, start)
        longest = start + max(_AT_MOST_MS, round(1000 * expected_s(part.text for part in parts)))
        end = min([longest, *starts[later : later + 1]])
        repairs += (f"it ended before it had started: it ends after {(end - start) / 1000:g} s",)
    elif end - start > _SLIP_MS:
        repairs += (f"it was shown for {(end - start) / 1000:g} s: it ends after {_SLIP_MS / 1000:g} s",)
        end = start + _SLIP_MS
    return Window(start, end, index), repairs


def _omission(block: Block, window: Window, parts: Sequence[Part], disposition: str, reason: str) -> Omission:
    return Omission(
        block.line, block.text, disposition, reason, window, parts[0].speaker if parts else "", window.index
    )


def _why_empty(parts: Sequence[Part]) -> str:
    unsaid = " ".join(part.unsaid for part in parts)
    if any(part.text for part in parts):
        return "no letter or digit to speak"
    if not unsaid:
        return "no words"
    return "only music notes" if _NOTES.fullmatch(unsaid) else "only what nobody says, in brackets"


def _rolled(parts: Sequence[Part], repeat: Repeat) -> list[Part]:
    """The one part of a cue without the lines that the cue before has said."""
    [part] = parts
    lines = part.text.split("\n")
    unsaid = " ".join(filter(None, [part.unsaid, *lines[: repeat.lines]]))
    rolled = replace(part, text="\n".join(lines[repeat.lines :]), unsaid=unsaid)
    return [rolled] if rolled.speakable else []


def _segments(block: Block, window: Window, parts: Sequence[Part], repair: str) -> Iterator[Segment]:
    """A segment for each part with words; what has none is told of with the first."""
    spoken = [part for part in parts if part.speakable]
    wordless = [text for part in parts if not part.speakable for text in (part.text, part.unsaid)]
    for place, part in enumerate(spoken):
        unsaid = " ".join(filter(None, [part.unsaid, *(wordless if place == 0 else [])]))
        yield Segment(part.text, block.line, window=window, speaker=part.speaker, repair=repair, unsaid=unsaid)


def check_strict(document: Document) -> None:
    """Raises BadInput where a cue had to be mended, or could not be read."""
    mended = [(segment.line, segment.repair) for segment in document.segments if segment.repair]
    refused = [(o.line, o.reason) for o in document.omissions if o.disposition == "refused"]
    faults = dict(sorted([*mended, *refused]))
    if faults:
        line, fault = next(iter(faults.items()))
        count = f"{len(faults)} cues are" if len(faults) > 1 else "1 cue is"
        raise BadInput(
            f"{document.source}, line {line}: {fault}; {count} not as they should be: mend them, or leave out --strict"
        )


def check_apart(document: Document) -> None:
    """Raises BadInput where two cues are shown at the same time."""
    cues = {segment.window: segment.line for segment in document.segments if segment.window}
    lasting: tuple[int, int] = (0, 0)
    for window, line in sorted(cues.items(), key=lambda cue: (cue[0].start_ms, cue[0].index)):
        end, other = lasting
        if window.start_ms < end:
            both = f"the cues at lines {min(line, other)} and {max(line, other)}"
            raise BadInput(
                f"{document.source}: {both} are shown at the same time: part them, or let one be spoken after the other"
            )
        lasting = max(lasting, (window.end_ms, line))
