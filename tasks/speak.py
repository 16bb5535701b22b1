"""One call: a unit is spoken under a permit, through a key, verified, and put on the shelf.

This is the one owner of retries: a provider tries once, and Prefect's own task retries stay off.
"""

import asyncio
import hashlib
import math
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from blocks.callers import Callers, Lease
from blocks.speech import (
    Audio,
    Billed,
    CallFailed,
    Provider,
    ProviderFailed,
    RunFailed,
    SpeechError,
    Unanswered,
    Unreachable,
    Voice,
)
from blocks.storage.threads import aside
from tasks.attempts import ATTEMPTS, Unit, after
from tasks.backlog import Backlog
from tasks.claims import Claims
from tasks.clips import Clip, Take
from tasks.ledger import Call, Ledger
from tasks.progress import Progress
from tasks.shelf import Shelf
from tasks.stopping import come_home
from tasks.turns import Permits
from tasks.verify import check_pace, measure

PATIENCE_S = 600.0
"""After so long without one good answer the provider is down, and the run had better be started again later."""
ASK_AGAIN_S = 15.0
LEFT_TO_ANOTHER_S = (0.2, 1.0)
"""Another run is just saying it: come back after so long, at random, since two that met both step back."""
LONG_REST_S = 60.0
"""After it, what failed before tells nothing."""


def _nothing(_text: str, _voice: Voice, _clip: Clip) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Speaker:
    """All that speaking takes, once a run has its slots."""

    provider: Provider
    """Of the provider, one that knows its limits; calls are made through `callers`."""
    voice: Voice
    callers: Callers
    shelf: Shelf
    claims: Claims
    progress: Progress
    ledger: Ledger
    fresh: bool = False
    """Whether what stands on the shelf is spoken anew."""
    deadline: float = math.inf
    """Until when keys may be waited for, on the monotonic clock."""
    permits: Permits = field(default_factory=Permits)
    slots: int = 0
    """Calls at one time that the run may hope for."""
    backlog: Backlog | None = None
    """What else is to be said, in the same go."""
    once: bool = False
    """Whether a text that fails is left at that, and nobody is waited for long: it has been said, in another way."""
    on_clip: Callable[[str, Voice, Clip], None] = _nothing
    """Told of each text as soon as its clip is on the shelf, and of another take of it, too."""


async def speak(unit: Unit, speaker: Speaker) -> Take | Unit:
    """Try one unit once: its clip, its failure for good, or the unit as it is to be tried again.

    What another run is just saying is left to it, and then found on the shelf. Where a key is tried out, a smaller unit
    may be said in its place. Raises RunFailed for what no other text will change, and BadVoice.
    """
    text = unit.chunk.text
    if speaker.fresh:
        return await _say(unit, speaker)
    claim = speaker.shelf.key(text, speaker.voice)
    taken = await speaker.claims.take(claim, partial(speaker.shelf.find, text, speaker.voice))
    if taken is None:
        return replace(unit, not_before=time.monotonic() + random.uniform(*LEFT_TO_ANOTHER_S))  # noqa: S311 - no secret
    try:
        if taken.found:
            speaker.progress.reused += 1
            speaker.on_clip(text, speaker.voice, taken.found)
            return Take(unit.chunk, taken.found)
        return await _say(unit, speaker)
    finally:
        await speaker.claims.give(claim)


async def _say(unit: Unit, speaker: Speaker) -> Take | Unit:
    speaker.shelf.check_room()
    progress = speaker.progress
    tag = await speaker.permits.take()
    lease = None
    try:
        if not (speaker.backlog and speaker.backlog.stopped):
            lease = await _lease(unit, tag, speaker)
    finally:
        if lease is None:
            speaker.permits.give(tag)
    if lease is None:
        return unit
    if lease.probe and speaker.backlog:
        unit = speaker.backlog.smaller(unit)
    try:
        clip = await come_home(_call(unit.chunk.text, lease, tag, speaker))
    except CallFailed as error:
        _check_alive(error, speaker)
        outcome = after(unit, error, attempts=1 if speaker.once else ATTEMPTS)
        if isinstance(outcome, Unit):
            progress.retries += 1
            return outcome
        progress.failed += 1
        return Take(unit.chunk, outcome)
    progress.spoken += 1
    speaker.on_clip(unit.chunk.text, speaker.voice, clip)
    return Take(unit.chunk, replace(clip, attempts=unit.attempt))


async def _lease(unit: Unit, tag: str, speaker: Speaker) -> Lease | None:
    """A key for a call; None where there is none for a while. Raises RunFailed where that is too long."""
    lease = await speaker.callers.lease(unit.chunk.text, speaker.voice, tag)
    if isinstance(lease, Lease):
        speaker.progress.rest_until = 0.0
        return lease
    if time.monotonic() + lease.seconds > speaker.deadline or (speaker.once and lease.seconds > LONG_REST_S):
        raise RunFailed(
            f"{speaker.provider.name} could go on only in {timedelta(seconds=round(lease.seconds))}, which is past the "
            f"deadline ({lease.reason}). Run the same command again then: finished speech is kept"
        )
    if lease.seconds > LONG_REST_S:
        speaker.progress.failing_since = None
    speaker.permits.rest(tag, min(lease.seconds, ASK_AGAIN_S))  # a key may be added or mended meanwhile
    if speaker.permits.rest_s:
        speaker.progress.resting(lease.seconds, lease.reason)
    return None


async def _call(text: str, lease: Lease, tag: str, speaker: Speaker) -> Clip:
    """One call, under a lease, and under a permit until its answer is kept: no more can be lost than are under way."""
    progress = speaker.progress
    with ExitStack() as row:
        try:
            call = row.enter_context(speaker.ledger.call(text, speaker.voice, lease.key))
        except SpeechError:  # no row, no call: the disk is full, or the budget is met
            speaker.permits.give(tag)
            await speaker.callers.give_back(lease)
            raise
        try:
            progress.first_call = progress.first_call or time.monotonic()
            progress.calls += 1
            progress.in_flight += 1
            audio, trouble = await _answer(text, lease, call, speaker)
            clip = await asyncio.to_thread(_accept, text, audio, speaker, call.latency_s, lease.key)
        finally:
            progress.in_flight -= 1
            speaker.permits.give(tag)
    if speaker.shelf.is_shared:
        await aside(speaker.shelf.share, text, speaker.voice)
    progress.failing_since = None
    if trouble:
        raise trouble
    return clip


async def _answer(text: str, lease: Lease, call: Call, speaker: Speaker) -> tuple[Audio, RunFailed | None]:
    """The provider's answer, and what kept its key from being settled: the speech is paid for, and kept first."""
    callers, settled, trouble = speaker.callers, False, None
    try:
        audio = await lease.provider.synthesise(text, speaker.voice)
        call.answered(audio)
        settled = True
        try:
            await callers.settle(lease, None, in_flight=audio.in_flight, cost_usd=call.cost_usd(audio.usage))
        except RunFailed as error:
            trouble = error
    except CallFailed as error:
        settled = True
        cost_usd = 0.0 if error.billed is Billed.NO else call.cost_usd(error.usage)
        await callers.settle(lease, error, cost_usd=cost_usd)
        raise
    finally:
        if not settled:
            await callers.give_back(lease)
    return audio, trouble


def _check_alive(error: CallFailed, speaker: Speaker) -> None:
    """Raises RunFailed where a provider has not given one good answer for a long time: each text would fail alike."""
    if not isinstance(error, ProviderFailed | Unreachable | Unanswered):
        return
    progress = speaker.progress
    progress.failing_since = progress.failing_since or time.monotonic()
    patience_s = LONG_REST_S if speaker.once else PATIENCE_S
    if time.monotonic() - progress.failing_since > patience_s:
        raise RunFailed(
            f"{speaker.provider.name} has given no good answer for {timedelta(seconds=patience_s)}: {error}. "
            "Run the same command again later: finished speech is kept"
        ) from error


def _accept(text: str, audio: Audio, speaker: Speaker, latency_s: float, key: str) -> Clip:
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
        onset=measured.onset,
        peak_dbfs=measured.peak_dbfs,
        rms_dbfs=measured.rms_dbfs,
        pitch_hz=measured.pitch_hz,
        latency_s=latency_s,
        request_id=audio.request_id,
        key=key,
    )
    return speaker.shelf.hold(text, speaker.voice, audio, clip)
