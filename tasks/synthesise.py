"""Chunks become clips: each is looked up on the shelf, spoken under a permit, verified, and put on the shelf.

This is the one owner of retries: a provider tries once, and Prefect's own task retries stay off.
"""

import asyncio
import hashlib
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from prefect import task
from prefect.context import TaskRunContext

from blocks.speech import Audio, CallFailed, Provider, Voice
from tasks.attempts import Pause, Unit, after, rest_s
from tasks.backlog import Backlog
from tasks.clips import Clip, Failure, Shelf, Take
from tasks.document import Chunk
from tasks.ledger import Ledger
from tasks.progress import Progress
from tasks.verify import check_pace, measure

TASK_RUNS, TASK_RUNS_PER_S = 2000, 5
"""What one run may ask of Prefect: a task run costs the server about 25 ms of CPU, and the run itself as much."""
TOLD_PAUSE_S = 2.0
"""A rest that is longer is told to whoever watches."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """All that speaking takes, once a run has its slots."""

    provider: Provider
    voice: Voice
    shelf: Shelf
    permits: asyncio.Semaphore
    progress: Progress
    ledger: Ledger
    fresh: bool = False
    """Whether what stands on the shelf is spoken anew."""
    pause: Pause = field(default_factory=Pause)
    """Shared by all calls: limits belong to the account."""


def find_on_shelf(chunks: Iterable[Chunk], voice: Voice, shelf: Shelf) -> dict[str, Clip]:
    """The clips that need no call, by the text they say."""
    found = ((text, shelf.find(text, voice)) for text in {chunk.text for chunk in chunks})
    return {text: clip for text, clip in found if clip}


async def synthesise_chunks(chunks: Sequence[Chunk], found: dict[str, Clip], speaker: Speaker) -> list[Take]:
    """A take for each chunk, in order. A text that stands twice is spoken once."""
    missing = [chunk for text, chunk in {chunk.text: chunk for chunk in chunks}.items() if text not in found]
    takers = 2 * speaker.provider.plan.in_flight + 2  # so that the bookkeeping of some overlaps the calls of others
    backlog = Backlog(missing, group_size(len(missing), speaker.provider), takers, speaker.pause)

    async def drain() -> list[Take]:
        said: list[Take] = []
        while units := await backlog.take():
            said += backlog.settle(await synthesise(units, speaker))
        return said

    async with asyncio.TaskGroup() as group:
        drains = [group.create_task(drain()) for _ in range(min(takers, len(missing)))]
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


def group_size(count: int, provider: Provider) -> int:
    """Chunks in one task run: 1 for calls that take a second, more where task runs would come too fast or too many."""
    by_rate = provider.plan.in_flight / provider.call_s / TASK_RUNS_PER_S
    by_number = count / TASK_RUNS
    evenly = count / (4 * provider.plan.in_flight)  # the last groups must not leave the other lanes idle
    return max(1, math.ceil(min(max(by_rate, by_number), max(by_number, evenly))))


async def speak(unit: Unit, speaker: Speaker) -> Take | Unit:
    """Try one unit once: its clip, its failure for good, or the unit as it is to be tried again.

    Raises RunFailed for what no other text will change, and BadVoice.
    """
    progress = speaker.progress
    await speaker.permits.acquire()
    if speaker.pause.left_s:
        speaker.permits.release()
        return unit
    try:
        clip = await _call(unit.chunk.text, speaker)
    except CallFailed as error:
        if rest := rest_s(error):
            _rest(rest, speaker)
        outcome = after(unit, error, speaker.provider.name)
        if isinstance(outcome, Unit):
            progress.retries += 1
            return outcome
        progress.failed += 1
        return Take(unit.chunk, outcome)
    progress.spoken += 1
    return Take(unit.chunk, replace(clip, attempts=unit.attempt))


async def _call(text: str, speaker: Speaker) -> Clip:
    """One call, under a permit that the caller holds: proof and disk do not keep a lane waiting."""
    progress = speaker.progress
    with speaker.ledger.call(text, speaker.voice) as call:
        try:
            progress.first_call = progress.first_call or time.monotonic()
            progress.calls += 1
            progress.in_flight += 1
            audio = await speaker.provider.synthesise(text, speaker.voice)
            latency_s = call.answered(audio)
        finally:
            progress.in_flight -= 1
            speaker.permits.release()
        progress.waiting = ""
        return await asyncio.to_thread(_accept, text, audio, speaker, latency_s)


def _rest(seconds: float, speaker: Speaker) -> None:
    speaker.pause.extend(seconds)
    if seconds > TOLD_PAUSE_S:
        speaker.progress.waiting = f"{speaker.provider.name}, which asks for {seconds:.0f} s"


def _accept(text: str, audio: Audio, speaker: Speaker, latency_s: float) -> Clip:
    """Prove the answer and commit it to the shelf. Raises NotSpeech."""
    measured = measure(audio.data)
    check_pace(measured, text, speaker.voice.speed)
    clip = Clip(
        uri="",
        sha256=hashlib.sha256(audio.data).hexdigest(),
        bytes=len(audio.data),
        sample_rate=measured.sample_rate,
        samples=measured.samples,
        speech_start=measured.speech_start,
        speech_end=measured.speech_end,
        peak_dbfs=measured.peak_dbfs,
        rms_dbfs=measured.rms_dbfs,
        pitch_hz=measured.pitch_hz,
        latency_s=latency_s,
        request_id=audio.request_id,
    )
    return speaker.shelf.put(text, speaker.voice, audio, clip)


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
