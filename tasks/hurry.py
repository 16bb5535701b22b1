"""What takes too long for its window is said once more, faster: that sounds better than speech that is stretched."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from prefect.logging import get_run_logger

from blocks.speech import SpeechError, Voice
from tasks.clips import Clip, Take
from tasks.document import Chunk
from tasks.speak import Speaker
from tasks.timeline import Timeline
from tasks.voicing import Part

STEPS = 20
"""Of speed, between normal and twice as fast: what a later run needs is then likely to stand on the shelf."""
WORTH = 1.02
"""A voice that has to speed up by less is stretched: nobody hears that."""
OVERSHOOT = 1.02
"""How far beyond the highest rate a voice may come out that was asked to keep it."""


def hurries(takes: Sequence[Take], timeline: Timeline, fastest: float) -> dict[int, float]:
    """How many times faster each segment that does not fit is to be said, in steps, by its index.

    What is said instead of the voice that was asked for is left as it is.
    """
    instead = {take.chunk.segment for take in takes if take.instead or not isinstance(take.outcome, Clip)}
    return {
        segment: min(fastest, math.ceil(fit.rate * STEPS) / STEPS)
        for segment, fit in timeline.fits.items()
        if fit.rate > WORTH and segment not in instead
    }


async def faster_parts(
    takes: Sequence[Take], speakers: Mapping[Voice, Speaker], factors: Mapping[int, float]
) -> list[Part]:
    """What is to be said faster, once, a part for each voice and speed; nothing of a voice that cannot."""
    wanted: dict[tuple[Voice, float], list[Chunk]] = {}
    for take in takes:
        if take.voice and (factor := factors.get(take.chunk.segment)):
            wanted.setdefault((take.voice, factor), []).append(take.chunk)
    found = await asyncio.gather(*(_faster(speakers[voice], voice, factor) for voice, factor in wanted))
    return [Part(chunks, speaker) for chunks, speaker in zip(wanted.values(), found, strict=True) if speaker]


async def _faster(speaker: Speaker, voice: Voice, factor: float) -> Speaker | None:
    try:
        faster, _ = await speaker.callers.resolve(replace(voice, speed=voice.speed * factor))
    except SpeechError as error:
        get_run_logger().info("What needs %.2f times the speed is stretched: %s", factor, error)
        return None
    return replace(speaker, voice=faster, once=True)


def said_faster(takes: Sequence[Take], others: Sequence[Take], fastest: float) -> tuple[list[Take], dict[int, float]]:
    """The takes with every segment that was said faster whole, and is; and how many times shorter each now is.

    A voice that ran away is not taken: stretched, the first take is as fast as it may be.
    """
    sped: dict[int, float] = {}
    kept, second = _by_segment(takes), _by_segment(others)
    for segment, faster in second.items():
        if all(isinstance(take.outcome, Clip) for take in faster):
            ratio = _length_s(kept[segment]) / _length_s(faster)
            if 1 < ratio <= fastest * OVERSHOOT:
                kept[segment], sped[segment] = faster, ratio
    return [take for segment in kept.values() for take in segment], sped


def _by_segment(takes: Sequence[Take]) -> dict[int, list[Take]]:
    found: dict[int, list[Take]] = {}
    for take in takes:
        found.setdefault(take.chunk.segment, []).append(take)
    return found


def _length_s(takes: Sequence[Take]) -> float:
    return sum(take.outcome.speech_s for take in takes if isinstance(take.outcome, Clip))
