"""Chunks become clips: each is looked up on the shelf, spoken under a permit, verified, and put on the shelf.

This is the one owner of retries: a provider tries once, and Prefect's own task retries stay off.
"""

import asyncio
import hashlib
import math
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from prefect import task
from prefect.context import TaskRunContext

from blocks.speech import (
    AccountExhausted,
    Audio,
    BadKey,
    BadText,
    CallFailed,
    Forbidden,
    NotSpeech,
    Provider,
    RateLimited,
    Refused,
    RunFailed,
    Unanswered,
    Voice,
)
from tasks.clips import Clip, Failure, Shelf, Take
from tasks.document import Chunk
from tasks.progress import Progress
from tasks.verify import check_pace, measure

ATTEMPTS = 4
"""Failing calls that a chunk may cost in one pass."""
ATTEMPTS_ON = {BadText: 1, Refused: 1, NotSpeech: 2, Unanswered: 2}
"""The same text asked again seldom goes better (the retry stage has smaller pieces to offer); what may have been billed
is asked for once more at most."""
HOPELESS = (BadKey, Forbidden, AccountExhausted)
"""Every other call would fail like this one."""
PATIENCE_S = 600.0
"""How long one chunk may be told to wait, all waits together."""
BACKOFF_S, BACKOFF_CAP_S = 0.5, 8.0
TASK_RUNS, TASK_RUNS_PER_S = 2000, 5
"""What one run may ask of Prefect: a task run costs the server about 25 ms of CPU, and the run itself as much."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """All that speaking takes, once a run has its slots."""

    provider: Provider
    voice: Voice
    shelf: Shelf
    permits: asyncio.Semaphore
    progress: Progress
    fresh: bool = False
    """Whether what stands on the shelf is spoken anew."""


def find_on_shelf(chunks: Iterable[Chunk], voice: Voice, shelf: Shelf) -> dict[str, Clip]:
    """The clips that need no call, by the text they say."""
    found = ((text, shelf.find(text, voice)) for text in {chunk.text for chunk in chunks})
    return {text: clip for text, clip in found if clip}


async def synthesise_chunks(chunks: Sequence[Chunk], found: dict[str, Clip], speaker: Speaker) -> list[Take]:
    """A take for each chunk, in order. A text that stands twice is spoken once."""
    missing = [chunk for text, chunk in {chunk.text: chunk for chunk in chunks}.items() if text not in found]
    at_once = 2 * speaker.provider.plan.in_flight + 2  # so that the bookkeeping of some overlaps the calls of others
    running = asyncio.Semaphore(at_once)

    async def run(group: Sequence[Chunk]) -> list[Take]:
        async with running:
            return await synthesise(group, speaker)

    groups = deal(missing, group_size(len(missing), speaker.provider), at_once)
    async with asyncio.TaskGroup() as spoken:
        results = [spoken.create_task(run(group)) for group in groups]
    outcomes: dict[str, Clip | Failure] = dict(found)
    takes: list[Take] = []
    fresh = {take.chunk.text: take.outcome for result in results for take in result.result()}
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


def deal(chunks: Sequence[Chunk], size: int, at_once: int) -> list[Sequence[Chunk]]:
    """The chunks in groups. The first grow up to `size`: equal ones would all end, and pause, at the same time."""
    groups: list[Sequence[Chunk]] = []
    start = 0
    while start < len(chunks):
        step = math.ceil(size * min(1.0, (len(groups) + 1) / at_once))
        groups.append(chunks[start : start + step])
        start += step
    return groups


async def speak(chunk: Chunk, speaker: Speaker) -> Clip | Failure:
    """One chunk, tried until it is proved speech or its attempts are used up; to be told to wait is no attempt.

    Raises RunFailed for what no other text will change: the key, the account.
    """
    attempt, waited_s = 1, 0.0
    while True:
        try:
            clip = await _speak_once(chunk.text, speaker)
        except HOPELESS as error:
            raise RunFailed(
                f"{speaker.provider.name} will not go on: {error}. Mend that and run the same command again: "
                "finished speech is kept"
            ) from error
        except CallFailed as error:
            pause_s = _pause_s(error, attempt)
            if isinstance(error, RateLimited) and waited_s < PATIENCE_S:
                waited_s += pause_s
            elif attempt < ATTEMPTS_ON.get(type(error), ATTEMPTS):
                attempt += 1
            else:
                speaker.progress.failed += 1
                return Failure(type(error).__name__, str(error), attempt)
            speaker.progress.retries += 1
            await asyncio.sleep(pause_s)
        else:
            speaker.progress.spoken += 1
            return replace(clip, attempts=attempt)


def _pause_s(error: CallFailed, attempt: int) -> float:
    """As long as the provider asks for and a little more; else full jitter, so that calls do not come back together."""
    jitter = random.uniform(0, min(BACKOFF_CAP_S, BACKOFF_S * 2**attempt))  # noqa: S311  no secret
    return jitter if error.wait_s is None else error.wait_s + jitter / 4


async def _speak_once(text: str, speaker: Speaker) -> Clip:
    """Only the call itself holds a permit; proof and disk do not keep a lane waiting."""
    progress = speaker.progress
    async with speaker.permits:
        began = time.monotonic()
        progress.first_call = progress.first_call or began
        progress.calls += 1
        progress.in_flight += 1
        try:
            audio = await speaker.provider.synthesise(text, speaker.voice)
        finally:
            progress.in_flight -= 1
    return await asyncio.to_thread(_accept, text, audio, speaker, round(time.monotonic() - began, 4))


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
        latency_s=latency_s,
        request_id=audio.request_id,
    )
    return speaker.shelf.put(text, speaker.voice, audio, clip)


def _record_name(_: TaskRunContext, parameters: dict[str, Any]) -> str:
    """Where Prefect keeps the group's result: by what was said, so that no two groups share a record."""
    speaker: Speaker = parameters["speaker"]
    keys = (speaker.shelf.key(chunk.text, speaker.voice) for chunk in parameters["chunks"])
    return hashlib.sha256("".join(keys).encode()).hexdigest()


# The shelf was asked before a chunk came here, so a record of an earlier run tells of a clip that is gone: refresh.
@task(
    name="synthesise",
    task_run_name="synthesise {chunks[0].text:.40}",
    cache_key_fn=_record_name,
    refresh_cache=True,
    persist_result=True,
    result_serializer="json",
)
async def synthesise(chunks: Sequence[Chunk], speaker: Speaker) -> list[Take]:
    """Speak a group of chunks one after another; the result holds places and facts, never audio."""
    return [Take(chunk, await speak(chunk, speaker)) for chunk in chunks]
