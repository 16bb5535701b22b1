"""What a run would do, found out without a call: for `--dry-run`, and to refuse bad input before anything starts."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from blocks.providers import opened
from blocks.speech import Voice
from tasks.chunk import chunk_document
from tasks.clips import Shelf
from tasks.document import Document
from tasks.parse import read_document
from tasks.retry import find_known
from tasks.script import check_script

DENSE = "\u3040", "\ud7ff"
"""From Hiragana to Hangul: a character here is a syllable or a word."""
CPS, DENSE_CPS = 15.0, 4.5
"""Characters a second of ordinary speech, for an estimate; the manifest has the true ones."""


@dataclass(frozen=True, slots=True)
class Preview:
    document: Document
    voice: Voice
    chunks: int
    characters: int
    calls: int
    """Distinct chunks that are not on the shelf."""
    expected_s: float
    """Of speech, estimated."""


async def preview(source: str, wanted: Voice, server: str, shelf: Shelf, *, fresh: bool = False) -> Preview:
    """Read, check and cut a source as a run would. Raises BadInput."""
    async with opened(wanted.provider, server) as provider:
        voice = await provider.resolve(replace(wanted, server=urlsplit(server).netloc))
        document = read_document(source)
        check_script(document, voice.language)
        chunks = chunk_document(document, provider.limits, voice.language)
    said, found = (chunks, {}) if fresh else find_known(chunks, voice, shelf)
    texts = {chunk.text for chunk in said}
    return Preview(
        document=document,
        voice=voice,
        chunks=len(chunks),
        characters=sum(len(chunk.text) for chunk in chunks),
        calls=len(texts - found.keys()),
        expected_s=round(expected_s(chunk.text for chunk in chunks) / voice.speed, 1),
    )


def expected_s(texts: Iterable[str]) -> float:
    """How long these texts take to say at normal speed, roughly."""
    dense = total = 0
    for text in texts:
        dense += sum(DENSE[0] <= character <= DENSE[1] for character in text)
        total += len(text)
    return dense / DENSE_CPS + (total - dense) / CPS
