"""What a run would do, found out without a call: for `--dry-run`, and to refuse bad input before anything starts."""

from dataclasses import dataclass

from blocks.callers import Callers
from blocks.prices import price_of
from blocks.speech import Voice
from blocks.storage import Storage
from tasks.chunk import chunk_document
from tasks.document import Document
from tasks.pace import expected_s
from tasks.parse import read_document
from tasks.retry import find_known
from tasks.script import check_script
from tasks.shelf import Shelf


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
    cost_usd: tuple[float, float] | None
    """What the calls cost, at least and at most, when all go well; None where no price is known."""


async def preview(
    source: str, wanted: Voice, callers: Callers, shelf: Shelf | None = None, storage: Storage | None = None
) -> Preview:
    """Read, check and cut a source as a run would; without a shelf all is to be spoken. Raises BadInput."""
    voice, provider = await callers.resolve(wanted)
    document = read_document(source, storage)
    check_script(document, voice.language)
    chunks = chunk_document(document, provider.limits, voice.language)
    said, found = find_known(chunks, voice, shelf) if shelf else (chunks, {})
    missing = {chunk.text for chunk in said} - found.keys()
    price = price_of(voice)
    characters = sum(map(len, missing))
    return Preview(
        document=document,
        voice=voice,
        chunks=len(chunks),
        characters=sum(len(chunk.text) for chunk in chunks),
        calls=len(missing),
        expected_s=round(expected_s(chunk.text for chunk in chunks) / voice.speed, 1),
        cost_usd=price.range_usd(characters, expected_s(missing) / voice.speed) if price else None,
    )
