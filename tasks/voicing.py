"""Parts become takes: what each voice says is looked up or spoken in lanes, and said again where it must be."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from prefect.logging import get_run_logger

from blocks.key_health import Store
from blocks.speech import RunFailed, SpeechError
from blocks.storage import StorageFailed
from blocks.storage.threads import aside
from tasks.clips import Clip, Failure, Take
from tasks.document import Chunk, Document
from tasks.fallback import said_instead, takes_left, unsaid
from tasks.futures import sealed
from tasks.health import publish_keys
from tasks.lanes import lines_of, open_lanes
from tasks.retake import Policy, doubtful, retake
from tasks.retry import find_known, retry
from tasks.speak import Speaker
from tasks.synthesise import find_on_shelf, synthesise_chunks


@dataclass(frozen=True, slots=True)
class Part:
    """What one voice says of a document."""

    chunks: Sequence[Chunk]
    speaker: Speaker


@dataclass(frozen=True, slots=True)
class _Known:
    """A part as the shelf knows it: its chunks, those of them that are said only in pieces as these, and its clips."""

    chunks: Sequence[Chunk]
    found: dict[str, Clip]
    speaker: Speaker

    @property
    def texts(self) -> set[str]:
        return {chunk.text for chunk in self.chunks}


async def voiced(
    parts: Sequence[Part], store: Store, workers: int, policy: Policy, *, patient: bool = False
) -> list[Take]:
    """A take for each chunk of all parts, in the order of the document.

    Voices of one provider are spoken side by side in its lanes, those of several one provider after another. Raises
    RunFailed and BadInput for what no other text will change, when all else is done and kept. Where nothing goes on, a
    patient run takes what there is: another voice says the rest.
    """
    companies: dict[int, list[Part]] = {}
    for part in parts:
        companies.setdefault(id(part.speaker.callers), []).append(part)
    takes = [await _in_lanes(company, store, workers, policy, patient=patient) for company in companies.values()]
    return sorted(chain.from_iterable(takes), key=lambda take: take.chunk.segment)


async def _in_lanes(parts: Sequence[Part], store: Store, workers: int, policy: Policy, *, patient: bool) -> list[Take]:
    """The takes of voices of one provider."""
    known = [await aside(_looked_up, part) for part in parts]
    progress, callers = parts[0].speaker.progress, parts[0].speaker.callers
    for part in known:
        progress.total += len(part.texts)
        progress.reused += len(part.texts & part.found.keys())
    lines = lines_of(await callers.slots(), sum(_wanted(part, policy) for part in known), workers)
    async with open_lanes(lines, store, progress, parts[0].speaker.deadline) as permits:
        slots = sum(line.wanted for line in lines)
        try:
            said = await asyncio.gather(
                *(
                    _said(replace(part, speaker=replace(part.speaker, permits=permits, slots=slots)), policy, patient)
                    for part in known
                ),
                return_exceptions=True,
            )
        finally:
            await publish_keys(await callers.report(), parts[0].speaker.voice.provider)
    if failed := [one for one in said if isinstance(one, BaseException)]:
        # Each has met it by itself, once its calls under way had ended.
        raise min(failed, key=lambda error: isinstance(error, SpeechError))
    return [take for takes in said if isinstance(takes, list) for take in takes]


def _looked_up(part: Part) -> _Known:
    """A fresh run that goes on after a crash keeps what it has said itself."""
    speaker = part.speaker
    if not speaker.fresh:
        return _Known(*find_known(part.chunks, speaker.voice, speaker.shelf), speaker)
    own = [chunk for chunk in part.chunks if speaker.ledger.has_said(chunk.text)]
    return _Known(part.chunks, find_on_shelf(own, speaker.voice, speaker.shelf), speaker)


def _wanted(part: _Known, policy: Policy) -> int:
    """Calls that this part may make at one time."""
    missing = part.texts - part.found.keys()
    return len(missing) or len(doubtful([Take(chunk, part.found[chunk.text]) for chunk in part.chunks], policy))


async def _said(part: _Known, policy: Policy, patient: bool) -> list[Take]:
    """The takes of one voice: what failed said in smaller pieces, what is odd said again."""
    speaker = part.speaker
    for text, clip in part.found.items():
        speaker.on_clip(text, speaker.voice, clip)
    try:
        takes = await synthesise_chunks(part.chunks, part.found, speaker)
        if not speaker.once and any(isinstance(take.outcome, Failure) for take in takes):
            takes = await retry(sealed(takes), speaker.voice.language, speaker)
        if not speaker.once and doubtful(takes, policy):
            takes = await retake(sealed(takes), speaker, policy)
    except RunFailed as error:
        if not patient or isinstance(error, StorageFailed):
            raise
        takes = await aside(takes_left, part.chunks, speaker, error)
    return [replace(take, voice=speaker.voice) for take in takes]


async def said_by_others(
    document: Document, takes: list[Take], others: Sequence[Speaker], say: Callable[..., Awaitable[list[Take]]]
) -> list[Take]:
    """The takes with each paragraph that is not whole said by the first of the others that says it whole."""
    for other in others:
        if left := unsaid(document, takes, other.provider.limits, other.voice.language):
            get_run_logger().warning("%d chunks are said by another voice: %s", len(left), other.voice)
            other.progress.begin_anew()
            takes = said_instead(takes, await say([Part(left, other)], patient=True), other.voice)
    return takes
