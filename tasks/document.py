"""The text side's values: a Document of Segments, the Chunks cut from it, and what is not spoken."""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Boundary(StrEnum):
    """What ends a piece of text, from a cut inside a word to the end of a section: it decides the pause."""

    GRAPHEME = "grapheme"
    WORD = "word"
    CLAUSE = "clause"
    SENTENCE = "sentence"
    PARAGRAPH = "paragraph"
    SECTION = "section"


@dataclass(frozen=True, slots=True)
class Window:
    """When a cue of subtitles is shown, in milliseconds from the start of what it belongs to."""

    start_ms: int
    end_ms: int
    index: int
    """The place of the cue in its file, from 1."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What one voice says in one go in the source: a heading, a paragraph or a cue."""

    text: str
    """As it is spoken: no markup, NFC, one space where the source had any white space."""
    line: int
    """Where it starts in the source, from 1."""
    section: str = ""
    """The text of the heading it stands under (a heading stands under itself); empty before the first."""
    level: int = 0
    """1 to 6 for a heading, 0 for a paragraph."""
    boundary: Boundary = Boundary.PARAGRAPH
    """What follows it: SECTION before a heading or a scene break, else PARAGRAPH."""
    window: Window | None = None
    """Of a cue."""
    speaker: str = ""
    """Who says it, where the source tells."""
    repair: str = ""
    """What was wrong with the cue, and how it was mended; empty where nothing was."""
    unsaid: str = ""
    """What of the cue's words nobody speaks, such as `[door slams]`."""


@dataclass(frozen=True, slots=True)
class Omission:
    """A piece of the source that nobody speaks."""

    line: int
    text: str
    disposition: str
    """`empty` for a paragraph or a cue without a letter or digit; `omitted` for front matter, code, a Gutenberg header;
    `merged` for a cue whose words another cue says, `refused` for one whose time cannot be read."""
    reason: str
    window: Window | None = None
    """Of a cue; None where its time cannot be read."""
    speaker: str = ""
    untimed: int | None = None
    """The place in its file, from 1, of such a cue."""

    @property
    def index(self) -> int | None:
        """The place of a cue in its file, from 1."""
        return self.window.index if self.window else self.untimed


@dataclass(frozen=True, slots=True)
class Document:
    """One source."""

    source: str
    """The path or URL it came from."""
    sha256: str
    """Of the source's bytes."""
    encoding: str
    title: str
    """From the front matter (or Gutenberg's header), Markdown's first heading of level 1, or the file's name."""
    segments: tuple[Segment, ...]
    """In the order of the source: cues are said in the order of their starts."""
    omissions: tuple[Omission, ...] = ()

    @property
    def timed(self) -> bool:
        """Whether it is subtitles: every segment has a window."""
        return bool(self.segments) and all(segment.window for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of *text* that fits one request. (Elsewhere a chunk is often sound; here it never is.)"""

    text: str
    segment: int
    """Which Segment of the document it belongs to, from 0; a chunk never spans two."""
    boundary: Boundary
    """What ends it."""


def fingerprint(texts: Iterable[str]) -> str:
    """SHA-256 of all that is not white space, in NFC: equal when the same text is cut in other places."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update("".join(unicodedata.normalize("NFC", text).split()).encode())
    return digest.hexdigest()


def sections(segments: Iterable[Segment]) -> Iterator[tuple[int, Segment]]:
    """The headings, each with its index among the segments."""
    return ((index, segment) for index, segment in enumerate(segments) if segment.level)
