"""The first stage: a source becomes a Document."""

# ruff: noqa: RUF001 - dashes, digits and colons of several scripts are what the patterns are about

import asyncio
import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Final

import regex
from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.speech import BadInput
from blocks.storage import Storage
from tasks.document import Boundary, Document, Omission, Segment
from tasks.markdown import cut_front_matter, read_markdown
from tasks.source import decode, read_bytes
from tasks.source_place import name_of
from tasks.subtitles import read_subtitles

# Joiners of no width belong to emoji and to Persian and Indic words; the Arabic number signs are controls only by name.
_INVISIBLE: Final = r"[[\p{Cc}\p{Cf}]--[\s\u200c\u200d\u0600-\u0605\u06dd\u08e2]]"
_DROPPED: Final = regex.compile(_INVISIBLE, regex.VERSION1)
_VISIBLE: Final = regex.compile(rf"[^\s{_INVISIBLE}]", regex.VERSION1)
_SPEAKABLE: Final = regex.compile(r"[\p{L}\p{N}]")
_SCENE_BREAK: Final = re.compile(r"[\s*#~=+_•·⁂❦—–-]+")
# A line may end inside a word at a soft hyphen, and after any character of Chinese or Japanese: no space belongs there.
_IDEOGRAPH: Final = "[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
_BROKEN: Final = re.compile(rf"\u00ad\s*\n\s*|(?<={_IDEOGRAPH})[^\S\n]*\n\s*(?={_IDEOGRAPH})")
_WIDEST: Final = 120
"""Columns, two for an ideograph: nobody wraps lines wider, so beside such a line each line is a paragraph."""

_TITLE: Final = re.compile(r"^title\s*[:=]\s*[\"']?(.+?)[\"']?\s*$", re.MULTILINE | re.IGNORECASE)
_GUTENBERG_HEAD: Final = re.compile(
    r"^\*\*\* ?START OF TH(?:E|IS) PROJECT GUTENBERG E[^*\n]*\n?[^*\n]*\*\*\*.*\n?", re.MULTILINE
)
_GUTENBERG_FOOT: Final = re.compile(
    r"^(?:End of (?:the )?Project Gutenberg.*\n(?:.+\n){0,2}\s{0,9})?"
    r"\*\*\* ?END OF TH(?:E|IS) PROJECT GUTENBERG E[\s\S]*",
    re.MULTILINE,
)

_PART: Final = (
    "chapter|part|book|volume|act|canto|stave|kapitel|teil|buch|chapitre|partie|livre|tome|capítulo|parte|libro|capitolo|"
    "hoofdstuk|deel|rozdział|część|kapitola|глава|часть|книга|розділ|частина|chương|hồi|phần|quyển|bölüm|luku|kapittel|"
    "الفصل|الباب|فصل"
)
_NUMBER: Final = (
    "[0-9]{1,4}|[ivxlcdm]{1,8}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|"
    "(?:thir|four|fif|six|seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty(?:-[a-z]{3,5})?"
)
_ALONE: Final = (
    "prologue|epilogue|preface|foreword|introduction|interlude|afterword|prolog|epilog|vorwort|nachwort|einleitung|"
    "préface|avant-propos|épilogue|prólogo|epílogo|prefacio|prologo|пролог|эпилог|предисловие|lời nói đầu|"
    "序章?|终章|終章|后记"
)
_NUMBERED: Final = (
    rf"(?i:(?:{_PART})\s+(?:{_NUMBER}))|第[〇零一二三四五六七八九十百千两兩0-9]{{1,8}}[章回节節卷部篇幕話话]|"
    r"제\s?[0-9]{1,4}\s?[장부편화]|บทที่\s?[0-9๐-๙]{1,4}"
)
# After a space, where no colon or full stop parts them, "Part one of the plan" must not pass for a title.
_TITLED: Final = r"\s*[.:：、—–-]\s*\S.{0,80}|\s+[\p{Lu}\p{Lo}](?:.{0,80}\S)?(?<![.,;:!?…])"
_BARE_HEADING: Final = regex.compile(rf"\s*(?:{_NUMBERED}|(?i:{_ALONE}))\s*[.:]?\s*")
_HEADING: Final = regex.compile(rf"\s*(?:(?:{_NUMBERED})(?:{_TITLED})|(?:{_NUMBERED}|(?i:{_ALONE}))\s*[.:]?)\s*")


def read_document(source: str, storage: Storage | None = None, speakers: Collection[str] = ()) -> Document:
    """Read a path or an fsspec URL: `.md` and `.markdown` are Markdown, `.srt` and `.vtt` subtitles, all else is text.

    `storage` is what an `s3://` source lies in; `speakers` are those whom subtitles may name without capitals.

    Raises BadInput for what is not there, may not be read, is no text, or holds nothing to speak.
    """
    name = name_of(source)
    data = read_bytes(source, storage)
    text, encoding = decode(data, source)
    if name.suffix.lower() in {".srt", ".vtt"}:
        segments, omissions = _cues(read_subtitles(text, source, speakers))
        _refuse_unspeakable(source, segments, omissions)
        sha256 = hashlib.sha256(data).hexdigest()
        return Document(source, sha256, encoding, normalise(name.stem), tuple(segments), tuple(omissions))
    markdown = name.suffix.lower() in {".md", ".markdown"}
    text, cuts = _cut_gutenberg(text)
    if markdown:
        text, front_matter = cut_front_matter(text)
        cuts += front_matter
    pieces = read_markdown(text, source) if markdown else _demote_contents(list(_paragraphs(text)))
    segments, omissions = _assemble(sorted([*cuts, *pieces], key=lambda piece: piece.line))
    _refuse_unspeakable(source, segments, omissions)
    titles = [match[1] for cut in cuts if (match := _TITLE.search(cut.text))]
    # In plain text a heading of level 1 is a chapter's, never the whole text's.
    headings = [segment.text for segment in segments if markdown and segment.level == 1]
    title = normalise([*titles, *headings, name.stem][0])
    return Document(source, hashlib.sha256(data).hexdigest(), encoding, title, tuple(segments), tuple(omissions))


def normalise(text: str) -> str:
    """Text as it is spoken: NFC, without controls, one space for white space."""
    text = _DROPPED.sub("", _BROKEN.sub("", text))
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _cues(pieces: Iterable[Segment | Omission]) -> tuple[list[Segment], list[Omission]]:
    segments: list[Segment] = []
    omissions: list[Omission] = []
    for piece in pieces:
        told = replace(piece, text=normalise(piece.text), speaker=normalise(piece.speaker))
        if isinstance(told, Segment):
            segments.append(replace(told, unsaid=normalise(told.unsaid)))
        else:
            omissions.append(told)
    return segments, omissions


def _cut_gutenberg(text: str) -> tuple[str, list[Omission]]:
    """The text with blank lines for Project Gutenberg's header, without its footer; and these two."""
    head = _GUTENBERG_HEAD.search(text)
    start = head.end() if head else 0
    foot = _GUTENBERG_FOOT.search(text, start)
    end = foot.start() if foot else len(text)
    cuts = [(1, text[:start], "header"), (text.count("\n", 0, end) + 1, text[end:], "footer")]
    omissions = [Omission(line, cut, "omitted", f"Project Gutenberg {part}") for line, cut, part in cuts if cut]
    return "\n" * text.count("\n", 0, start) + text[start:end], omissions


def _paragraphs(text: str) -> Iterator[Segment]:
    """Paragraphs end at a blank line, a form feed or a scene break, which is one of its own."""
    first = 1
    for page in text.split("\f"):
        yield from _page(page, first)
        first += page.count("\n")


def _page(page: str, first: int) -> Iterator[Segment]:
    for kind, group in groupby(enumerate(page.split("\n"), first), key=lambda line: _kind(line[1])):
        if kind == "blank":
            continue
        lines = list(group)
        if kind == "text" and not any(_columns(line) > _WIDEST for _, line in lines):
            lines = [(lines[0][0], "\n".join(line for _, line in lines))]
        for number, paragraph in lines:
            yield Segment(paragraph, number, level=1 if _is_heading(paragraph) else 0)


def _kind(line: str) -> str:
    if not line or not _VISIBLE.search(line):
        return "blank"
    return "break" if _SCENE_BREAK.fullmatch(line) else "text"


def _columns(line: str) -> int:
    return len(line) + (0 if line.isascii() or len(line) <= _WIDEST // 2 else len(re.findall(_IDEOGRAPH, line)))


def _is_heading(paragraph: str) -> bool:
    """Few and safe rules: a heading that is not seen costs a chapter mark, a wrong one a pause."""
    number, below, _ = paragraph.partition("\n")
    # The title often stands on a line of its own below the number.
    rule = _BARE_HEADING if below else _HEADING
    return len(paragraph) <= _WIDEST and rule.fullmatch(number) is not None


def _demote_contents(segments: list[Segment]) -> list[Segment]:
    """Of three headings or more in a row only the last can head a chapter: the others are a table of contents."""
    levels = [segment.level for segment in segments]
    neighbours = zip([0, *levels], [*levels[1:], 0], [*levels[2:], 0, 0], strict=False)
    return [
        replace(segment, level=0) if segment.level and after and (before or later) else segment
        for segment, (before, after, later) in zip(segments, neighbours, strict=False)
    ]


def _assemble(pieces: Iterable[Segment | Omission]) -> tuple[list[Segment], list[Omission]]:
    """The pieces normalised; each Segment knows its section and what follows it, and holds something to speak."""
    segments: list[Segment] = []
    omissions: list[Omission] = []
    section = ""
    for piece in pieces:
        text = normalise(piece.text)
        scene_break = bool(_SCENE_BREAK.fullmatch(text))
        if segments and isinstance(piece, Segment) and (piece.level or scene_break):
            segments[-1] = replace(segments[-1], boundary=Boundary.SECTION)
        if isinstance(piece, Omission):
            omissions.append(replace(piece, text=text))
        elif _SPEAKABLE.search(text):
            section = text if piece.level else section
            segments.append(Segment(text, piece.line, section, piece.level))
        elif text:
            reason = "scene break" if scene_break else "no letter or digit to speak"
            omissions.append(Omission(piece.line, text, "empty", reason))
    return segments, omissions


def _refuse_unspeakable(source: str, segments: list[Segment], omissions: list[Omission]) -> None:
    pieces: list[Segment | Omission] = [*segments, *omissions]
    for piece in pieces:
        # Markdown has entities for it, and turns those it does not know into it.
        if "\ufffd" in piece.text:
            raise BadInput(f"{source}, line {piece.line}: holds U+FFFD where a character was lost: write the character")
    if not segments and not omissions:
        raise BadInput(f"{source} holds only white space: nothing to speak")
    if not segments:
        first = next((omission for omission in omissions if omission.disposition != "omitted"), omissions[0])
        raise BadInput(f"{source} holds nothing to speak (line {first.line}: {first.reason}): write some words in it")


@task(name="parse", cache_policy=NO_CACHE, persist_result=False)
async def parse(source: str, storage: Storage | None = None, speakers: Collection[str] = ()) -> Document:
    """`read_document` in a thread: a server that does not answer must not keep a run from being cancelled."""
    return await asyncio.to_thread(read_document, source, storage, speakers)
