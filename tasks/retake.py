"""A second take of each clip that stands out from its voice: providers answer with less than they should, and say 200.

What was a slip goes well the second time; what comes out alike is how the voice says this text. The take that stands
out less is kept, and flagged where it still does; none is dropped.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from blocks.speech import BadInput, RunFailed
from blocks.storage.threads import aside
from tasks.clips import Clip, Failure, Take
from tasks.document import Chunk
from tasks.speak import Speaker
from tasks.suspects import Usual, suspects, usual
from tasks.synthesise import synthesise_chunks

Policy = Literal["keep", "fail"]
"""What becomes of a clip that stands out after its second take, too."""
SUSPECT = "suspect: "
"""How the flag of such a clip begins."""
LEAST_RETAKES, RETAKES = 4, 0.3
"""Texts that may be said twice: so many, or this share. Where more stand out, it is the voice that is not known."""


def doubtful(takes: Sequence[Take], policy: Policy) -> dict[str, str]:
    """Why a clip is to be said again, by its text; one that an earlier run has flagged only where that fails."""
    flagged = {take.chunk.text: flag for take in takes for flag in _flags(take)}
    found = suspects(takes)
    return flagged | found if policy == "fail" else {text: found[text] for text in found.keys() - flagged.keys()}


@task(name="retake", cache_policy=NO_CACHE, persist_result=False)
async def retake(takes: Sequence[Take], speaker: Speaker, policy: Policy) -> list[Take]:
    """The takes with every doubtful one said again, as far as the budget goes, and flagged or failed if it must be."""
    doubts = doubtful(takes, policy)
    clips = {take.chunk.text: take.outcome for take in takes if isinstance(take.outcome, Clip)}
    again = list({take.chunk.text: take.chunk for take in takes if take.chunk.text in doubts}.values())
    again = again[: max(LEAST_RETAKES, math.floor(RETAKES * len(clips)))]
    get_run_logger().info("%d clips stand out from their voice; %d are said again", len(doubts), len(again))
    speaker.progress.total += len(again)
    second = await _said_again(again, speaker)
    voice = usual(clips)
    kept = {text: replace(clips[text], flags=(f"{SUSPECT}{told}",)) for text, told in doubts.items()}
    for text, clip in second.items():
        if isinstance(clip, Clip) and voice:
            kept[text] = _better(text, clips[text], clip, voice)
        elif isinstance(clip, Failure):
            speaker.progress.failed -= 1  # the first take stands
            speaker.progress.total -= 1
    for text, clip in kept.items():  # the flag too: no later run shall pay for another take
        await aside(speaker.shelf.keep, text, speaker.voice, clip)
    return _replaced(takes, kept, policy)


async def _said_again(chunks: Sequence[Chunk], speaker: Speaker) -> dict[str, Clip | Failure]:
    """By text; nothing where the provider will not go on: every text has its first take."""
    try:
        takes = await synthesise_chunks(chunks, {}, replace(speaker, fresh=True))
    except (RunFailed, BadInput) as error:
        get_run_logger().warning("The first takes stand: %s", error)
        speaker.progress.total -= len(chunks)
        return {}
    return {take.chunk.text: take.outcome for take in takes}


def _better(text: str, first: Clip, second: Clip, voice: Usual) -> Clip:
    """The take that stands out less, flagged where even that one does."""
    attempts = first.attempts + second.attempts
    clip = min(second, first, key=lambda take: voice.oddity(text, take)[0])
    far, told = voice.oddity(text, clip)
    return replace(clip, attempts=attempts, reused=False, flags=(f"{SUSPECT}{told}",) if far > 1 else ())


def _replaced(takes: Sequence[Take], kept: Mapping[str, Clip], policy: Policy) -> list[Take]:
    """The takes with these clips; what stands twice was said once."""
    seen: set[str] = set()
    replaced: list[Take] = []
    for take in takes:
        text = take.chunk.text
        if text in kept:
            clip = kept[text] if text not in seen else replace(kept[text], reused=True, attempts=0)
            failure = Failure("NotSpeech", clip.flags[0], clip.attempts) if clip.flags and policy == "fail" else None
            take = Take(take.chunk, failure or clip)  # noqa: PLW2901  the same take, said again
            seen.add(text)
        replaced.append(take)
    return replaced


def _flags(take: Take) -> list[str]:
    flags = take.outcome.flags if isinstance(take.outcome, Clip) else ()
    return [flag.removeprefix(SUSPECT) for flag in flags if flag.startswith(SUSPECT)]
