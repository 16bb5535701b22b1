"""chunk: a document's segments become chunks, each of which fits one request."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import regex
from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.speech import Limits, SpeechError
from tasks.cuts import best_cut, past_white, reach, speakable, tiny
from tasks.document import Boundary, Chunk, Document, fingerprint
from tasks.sentences import quoted_ends, sentence_ends

# What has neither space nor mark in it and is shorter is not said in two parts: half a word is no speech of it, but
# where words are not parted by spaces, a row of characters is many words.
UNBREAKABLE, UNBREAKABLE_ROW = 40, 10
_ROW = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")

_REMEDY = "This is a fault of the chunk stage, nothing was spoken: please report it with the text around that line."


class TextLost(SpeechError):
    """The chunks do not hold the text of their document: a fault of this program."""


def chunk_document(document: Document, limits: Limits, language: str) -> tuple[Chunk, ...]:
    """Every segment's text in chunks that keep both limits, in order; `language` is a BCP 47 tag. Raises TextLost."""
    chunks = tuple(
        Chunk(text, index, boundary)
        for index, segment in enumerate(document.segments)
        for text, boundary in split_text(segment.text, limits, language, segment.boundary)
    )
    conserve(document, chunks)
    return chunks


def smaller(chunk: Chunk, limits: Limits, language: str) -> tuple[Chunk, ...]:
    """The same text in about two halves, within the limits; the chunk alone if it has no two that can be spoken."""
    text = chunk.text
    if tiny(text):  # a word or two in two parts is no speech of them
        return (chunk,)
    ends = _ends(text, Limits(len(text) // 2 + 1, 4 * len(text)), language)
    found = best_cut(text, 0, len(text) - 1, ends) if len(text) > 1 else None
    shortest = UNBREAKABLE_ROW if _ROW.search(text) else UNBREAKABLE
    if not found or (found[1] is Boundary.GRAPHEME and len(text) < shortest):
        return (chunk,)
    cut, boundary = found
    if not (speakable(text[:cut]) and speakable(text[cut:])):
        return (chunk,)
    return tuple(
        Chunk(piece, chunk.segment, end)
        for half, last in ((text[:cut], boundary), (text[cut:], chunk.boundary))
        for piece, end in split_text(half, limits, language, last)
    )


def split_text(text: str, limits: Limits, language: str, last: Boundary) -> Iterator[tuple[str, Boundary]]:
    """Pieces of the text that keep the limits, stripped, in order, each with what ends it; the last one ends in `last`.

    Between code points of one grapheme it is cut only where that grapheme breaks the limits alone.
    """
    if limits.characters < 1 or limits.bytes < 4:
        raise ValueError(f"no character fits {limits}")
    joined: list[tuple[int, int, Boundary]] = []
    for start, end, boundary in _pieces(text, limits, language, last):
        begin = start
        if joined:
            before, until, _ = joined[-1]
            if (_poor(text[before:until]) or _poor(text[start:end])) and reach(text, before, limits) >= end:
                begin = joined.pop()[0]
        joined.append((begin, end, boundary))
    return ((piece, boundary) for start, end, boundary in joined if (piece := text[start:end].strip()))


def _poor(piece: str) -> bool:
    return tiny(piece.strip()) or not speakable(piece)


def _pieces(text: str, limits: Limits, language: str, last: Boundary) -> Iterator[tuple[int, int, Boundary]]:
    start = past_white(text, 0)
    ends = [] if reach(text, start, limits) == len(text) else _ends(text, limits, language)
    while (furthest := reach(text, start, limits)) < len(text):
        cut, boundary = best_cut(text, start, furthest, ends) or (furthest, Boundary.GRAPHEME)
        yield start, cut, boundary
        start = past_white(text, cut)
    yield start, len(text), last


def _ends(text: str, limits: Limits, language: str) -> Sequence[int]:
    """Where sentences end; those within quotations, too, where a quotation is too long for one request."""
    ends: list[int] = []
    for start, end in pairwise((0, *sentence_ends(text, language), len(text))):
        if reach(text, start, limits) < end:
            ends.extend(start + inner for inner in quoted_ends(text[start:end], language))
        ends.append(end)
    return ends


def conserve(document: Document, chunks: Sequence[Chunk]) -> str:
    """The fingerprint of the document's text, once its chunks are seen to hold all of it and no more, in order.

    Raises TextLost, which names the first difference.
    """
    taken = 0
    for index, segment in enumerate(document.segments):
        begin = taken
        while taken < len(chunks) and chunks[taken].segment == index:
            taken += 1
        wanted, found = _solid([segment.text]), _solid(chunk.text for chunk in chunks[begin:taken])
        if wanted != found:
            raise TextLost(f"{document.source}, line {segment.line}: {_difference(wanted, found)}. {_REMEDY}")
    if taken < len(chunks):
        stray = chunks[taken]
        raise TextLost(
            f"{document.source}: chunk {taken} of {len(chunks)}, {stray.text[:40]!r}, is out of place. {_REMEDY}"
        )
    return fingerprint(segment.text for segment in document.segments)


def _solid(texts: Iterable[str]) -> str:
    """What `fingerprint` hashes."""
    return "".join("".join(unicodedata.normalize("NFC", text).split()) for text in texts)


def _difference(wanted: str, found: str) -> str:
    same = (place for place, (one, other) in enumerate(zip(wanted, found, strict=False)) if one != other)
    place = next(same, min(len(wanted), len(found)))
    near = slice(max(0, place - 10), place + 20)
    return f"the text has {wanted[near]!r} where its chunks have {found[near]!r}"


@task(name="chunk", cache_policy=NO_CACHE, persist_result=False)
def chunk(document: Document, limits: Limits, language: str) -> tuple[Chunk, ...]:
    """Every segment's text in chunks that keep both limits, proved to hold the whole document."""
    return chunk_document(document, limits, language)
