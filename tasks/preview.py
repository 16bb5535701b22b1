"""What a run would do, found out without a call: for `--dry-run`, and to refuse bad input before anything starts."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from blocks.callers import Callers
from blocks.speech import Provider, Voice
from blocks.storage import Storage
from tasks.budget import check_budget, check_priced
from tasks.casting import Role, of_segments, roles
from tasks.chunk import chunk_document
from tasks.document import Document
from tasks.estimate import Asked, Estimate, estimate
from tasks.parse import read_document
from tasks.script import check_script
from tasks.shelf import Shelf
from tasks.timing import Timing


@dataclass(frozen=True, slots=True)
class Preview:
    document: Document
    voice: Voice
    """The run's: others speak for those whom the cast names."""
    estimate: Estimate


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
    workers: int = 0,
    budget_usd: float = 0.0,
) -> Preview:
    """Read, check and cut a source as a run would; without a shelf all is to be spoken. Raises BadInput."""
    check_budget(budget_usd)
    voice = (await engage(run.voice, run.server))[0]
    document = read_document(source, storage, frozenset(cast))
    timing.check_cues(document, strict=strict)
    parts = []
    for role, segments in roles(document, cast, run).items():
        theirs, provider, callers = await engage(role.voice, role.server)
        check_priced(theirs, budget_usd)
        check_script(of_segments(document, segments), theirs.language)
        chunks = chunk_document(document, provider.limits, theirs.language)
        own = [chunk for chunk in chunks if chunk.segment in segments]
        parts.append(Asked(own, theirs, provider.call_s, await at_one_time(callers, workers)))
    return Preview(document, voice, estimate(parts, shelf))


async def at_one_time(callers: Callers, workers: int) -> int:
    """Calls of one provider that a run makes at one time, if no other run wants any; 0 workers take all there are."""
    slots = sum((await callers.slots()).values())
    return min(slots, workers) if workers else slots
