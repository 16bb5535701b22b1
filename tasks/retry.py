"""A second pass over what failed, in smaller pieces: a text that broke the engine whole often goes well in halves."""

from collections.abc import Sequence
from dataclasses import replace

from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.speech import Voice
from tasks.chunk import smaller
from tasks.clips import Clip, Failure, Shelf, Take
from tasks.document import Chunk
from tasks.synthesise import Speaker, find_on_shelf, synthesise_chunks

ROUNDS = 5
"""Halvings: what is left of a 600-character chunk is then about the size of a clause."""


@task(name="retry", cache_policy=NO_CACHE, persist_result=False)
async def retry(takes: Sequence[Take], language: str, speaker: Speaker) -> list[Take]:
    """The takes with every failed one replaced by the takes of its pieces, as long as that gets further.

    What cannot be cut any smaller is tried once more as it is; what is left as a Failure has failed for good.
    """
    said = [[take] for take in takes]
    for again in range(ROUNDS):
        said, went_on = await _round(said, language, speaker, whole_too=not again)
        if not went_on:
            break
    for take, pieces in zip(takes, said, strict=True):
        if len(pieces) > 1 and all(isinstance(piece.outcome, Clip) for piece in pieces):
            speaker.shelf.put_pieces(take.chunk.text, speaker.voice, [piece.chunk for piece in pieces])
    return [piece for pieces in said for piece in pieces]


async def _round(
    said: list[list[Take]], language: str, speaker: Speaker, *, whole_too: bool
) -> tuple[list[list[Take]], bool]:
    """Say what failed in smaller pieces; and whether there was anything to say."""
    failed = {take.chunk for takes in said for take in takes if isinstance(take.outcome, Failure)}
    cuts = {chunk: smaller(chunk, speaker.provider.limits, language) for chunk in failed}
    cuts = {chunk: cut for chunk, cut in cuts.items() if whole_too or len(cut) > 1}
    pieces = [piece for cut in cuts.values() for piece in cut]
    if not pieces:
        return said, False
    whole, parts = {chunk.text for chunk in cuts}, {piece.text for piece in pieces}
    found = {} if speaker.fresh else find_on_shelf(pieces, speaker.voice, speaker.shelf)
    speaker.progress.failed -= len(whole)
    speaker.progress.total += len(parts) - len(whole)
    speaker.progress.reused += len(found)
    spoken = dict(zip(pieces, await synthesise_chunks(pieces, found, speaker), strict=True))
    takes_of = {chunk: [spoken[piece] for piece in cut] for chunk, cut in cuts.items()}
    return [[new for take in takes for new in takes_of.get(take.chunk, [take])] for takes in said], True


def find_known(chunks: Sequence[Chunk], voice: Voice, shelf: Shelf) -> tuple[list[Chunk], dict[str, Clip]]:
    """The chunks, those that an earlier run could say only in pieces as these; and what needs no call, by its text."""
    found = find_on_shelf(chunks, voice, shelf)
    known: list[Chunk] = []
    for chunk in chunks:
        pieces = None if chunk.text in found else shelf.pieces(chunk.text, voice)
        known += [replace(chunk, text=text, boundary=boundary) for text, boundary in pieces[:-1]] if pieces else []
        known.append(replace(chunk, text=pieces[-1][0]) if pieces else chunk)
    return known, found | find_on_shelf([chunk for chunk in known if chunk.text not in found], voice, shelf)
