"""What a run would do, found out without a call: for `--dry-run`, and to refuse bad input before anything starts."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from blocks.callers import Callers
from blocks.prices import price_of
from blocks.speech import Provider, Voice
from blocks.storage import Storage
from tasks.casting import Role, of_segments, roles
from tasks.chunk import chunk_document
from tasks.document import Chunk, Document
from tasks.pace import expected_s
from tasks.parse import read_document
from tasks.retry import find_known
from tasks.script import check_script
from tasks.shelf import Shelf
from tasks.timing import Timing


@dataclass(frozen=True, slots=True)
class _Part:
    """What one voice would say; see `Preview`."""

    chunks: int
    characters: int
    calls: int
    expected_s: float
    cost_usd: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Preview:
    document: Document
    voice: Voice
    """The run's: others speak for those whom the cast names."""
    chunks: int
    characters: int
    calls: int
    """Distinct chunks that are not on the shelf. Cues that turn out too long may take one more each."""
    expected_s: float
    """Of speech, estimated."""
    cost_usd: tuple[float, float] | None
    """What the calls cost, at least and at most, when all go well; None where no price is known."""


async def preview(
    source: str,
    run: Role,
    cast: Mapping[str, Role],
    timing: Timing,
    engage: Callable[[Voice, str], Awaitable[tuple[Voice, Provider, Callers]]],
    *,
    shelf: Shelf | None = None,
    storage: Storage | None = None,
    strict: bool = False,
) -> Preview:
    """Read, check and cut a source as a run would; without a shelf all is to be spoken. Raises BadInput."""
    voice = (await engage(run.voice, run.server))[0]
    document = read_document(source, storage, frozenset(cast))
    timing.check_cues(document, strict=strict)
    parts = []
    for role, segments in roles(document, cast, run).items():
        theirs, provider, _ = await engage(role.voice, role.server)
        check_script(of_segments(document, segments), theirs.language)
        chunks = chunk_document(document, provider.limits, theirs.language)
        parts.append(_part([chunk for chunk in chunks if chunk.segment in segments], theirs, shelf))
    costs = [part.cost_usd for part in parts if part.cost_usd]
    return Preview(
        document=document,
        voice=voice,
        chunks=sum(part.chunks for part in parts),
        characters=sum(part.characters for part in parts),
        calls=sum(part.calls for part in parts),
        expected_s=round(sum(part.expected_s for part in parts), 1),
        cost_usd=(sum(least for least, _ in costs), sum(most for _, most in costs))
        if len(costs) == len(parts)
        else None,
    )


def _part(chunks: Sequence[Chunk], voice: Voice, shelf: Shelf | None) -> _Part:
    said, found = find_known(chunks, voice, shelf) if shelf else (chunks, {})
    missing = {chunk.text for chunk in said} - found.keys()
    price = price_of(voice)
    return _Part(
        chunks=len(chunks),
        characters=sum(len(chunk.text) for chunk in chunks),
        calls=len(missing),
        expected_s=expected_s(chunk.text for chunk in chunks) / voice.speed,
        cost_usd=price.range_usd(sum(map(len, missing)), expected_s(missing) / voice.speed) if price else None,
    )
