"""A second pass over what failed, in smaller pieces: a text that broke the engine whole often goes well in halves."""

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.chunk import smaller
from tasks.clips import Failure, Take
from tasks.synthesise import Speaker, find_on_shelf, synthesise_chunks

ROUNDS = 5
"""Halvings: what is left of a 600-character chunk is then about the size of a clause."""


@task(name="retry", cache_policy=NO_CACHE, persist_result=False)
async def retry(takes: Sequence[Take], language: str, speaker: Speaker) -> list[Take]:
    """The takes with every failed one replaced by the takes of its pieces, as long as that gets further.

    What cannot be cut any smaller is tried once more as it is; what is left as a Failure has failed for good.
    """
    remaining = list(takes)
    for again in range(ROUNDS):
        pieces = {
            index: smaller(take.chunk, speaker.provider.limits, language)
            for index, take in enumerate(remaining)
            if isinstance(take.outcome, Failure)
        }
        if again:
            pieces = {index: cut for index, cut in pieces.items() if len(cut) > 1}
        if not pieces:
            break
        chunks = [chunk for cut in pieces.values() for chunk in cut]
        speaker.progress.failed -= len(pieces)
        speaker.progress.total += len(chunks) - len(pieces)
        found = find_on_shelf(chunks, speaker.voice, speaker.shelf)
        speaker.progress.reused += sum(chunk.text in found for chunk in chunks)
        spoken = iter(await synthesise_chunks(chunks, found, speaker))
        replaced = {index: [next(spoken) for _ in cut] for index, cut in pieces.items()}
        remaining = [new for index, take in enumerate(remaining) for new in replaced.get(index, [take])]
    return remaining
