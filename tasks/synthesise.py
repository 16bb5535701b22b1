"""Chunks become clips: what is not on the shelf is dealt out to task runs, a group at a time, until all is settled."""

import asyncio
import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from prefect import task
from prefect.context import TaskRunContext

from blocks.speech import BadInput, RunFailed, SpeechError, Voice
from tasks.attempts import Unit
from tasks.backlog import Backlog
from tasks.clips import Clip, Failure, Take
from tasks.document import Chunk
from tasks.futures import sealed
from tasks.shelf import Shelf
from tasks.speak import Speaker, speak

TASK_RUNS, TASK_RUNS_PER_S = 2000, 5
"""What one run may ask of Prefect: a task run costs the server about 25 ms of CPU, and the run itself as much."""
QUICKER = 1.6
"""How much faster than the rate a group grows: at 100 calls a second there is one task run."""


def find_on_shelf(chunks: Iterable[Chunk], voice: Voice, shelf: Shelf) -> dict[str, Clip]:
    """The clips that need no call, by the text they say."""
    return shelf.find_all({chunk.text for chunk in chunks}, voice)


async def synthesise_chunks(chunks: Sequence[Chunk], found: dict[str, Clip], speaker: Speaker) -> list[Take]:
    """A take for each chunk, in order. A text that stands twice is spoken once.

    Raises RunFailed or BadInput for what no other text will change, once the calls under way have ended.
    """
    missing = [chunk for text, chunk in {chunk.text: chunk for chunk in chunks}.items() if text not in found]
    takers = 2 * speaker.slots + 2  # so that the bookkeeping of some overlaps the calls of others
    slots, progress = max(1, speaker.slots), speaker.progress

    def size(left: int) -> int:
        known = progress.spoken > 2 * slots  # before, what an ordinary call of the provider takes
        return group_size(len(missing), left, slots, progress.rate if known else slots / speaker.provider.call_s)

    backlog = Backlog(missing, size, takers, speaker.permits)
    stopped: list[SpeechError] = []
    said_by = sealed(replace(speaker, backlog=backlog))

    async def drain() -> list[Take]:
        said: list[Take] = []
        try:
            while units := await backlog.take():
                said += backlog.settle(await synthesise(sealed(units), said_by))
        except (RunFailed, BadInput) as error:
            stopped.append(error)
            backlog.stop()
        return said

    async with asyncio.TaskGroup() as group:
        drains = [group.create_task(drain()) for _ in range(min(takers, len(missing)))]
    if stopped:
        raise stopped[0]
    outcomes: dict[str, Clip | Failure] = dict(found)
    takes: list[Take] = []
    fresh = {take.chunk.text: take.outcome for drained in drains for take in drained.result()}
    for chunk in chunks:
        first = fresh.pop(chunk.text, None)
        outcome = outcomes[chunk.text] if first is None else first
        if first is not None:
            outcomes[chunk.text] = replace(first, reused=True, attempts=0) if isinstance(first, Clip) else first
        takes.append(Take(chunk, outcome))
    return takes


def group_size(count: int, left: int, slots: int, rate: float) -> int:
    """Chunks in one task run: 1 for calls that take a second, more where task runs would come too fast or too many.

    Of `count` chunks so many are left; `rate` is how many are spoken a second.
    """
    # Of quick calls ever fewer task runs a second: what they cost is soon what the calls themselves wait for.
    by_rate, by_number = math.pow(rate / TASK_RUNS_PER_S, QUICKER), count / TASK_RUNS
    evenly = left / (4 * slots)  # the last groups must not leave the other lanes idle
    return max(1, math.ceil(min(max(by_rate, by_number), max(by_number, evenly))))


def _record_name(_: TaskRunContext, parameters: dict[str, Any]) -> str:
    """Where Prefect keeps the group's result: by what was said, so that no two groups share a record."""
    speaker: Speaker = parameters["speaker"]
    keys = (speaker.shelf.key(unit.chunk.text, speaker.voice) for unit in parameters["units"])
    return hashlib.sha256("".join(keys).encode()).hexdigest()


# The shelf was asked before a chunk came here, so a record of an earlier run tells of a clip that is gone: refresh.
@task(
    name="synthesise",
    task_run_name="synthesise {units[0].chunk.text:.40}",
    cache_key_fn=_record_name,
    refresh_cache=True,
    persist_result=True,
    result_serializer="json",
)
async def synthesise(units: Sequence[Unit], speaker: Speaker) -> list[Take | Unit]:
    """Try a group of units one after another; the result holds places and facts, never audio."""
    return [await speak(unit, speaker) for unit in units]
