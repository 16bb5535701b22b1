"""A second pass over what failed, in smaller pieces: a text that broke the engine whole often goes well in halves."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.speech import Voice
from blocks.storage.threads import aside
from tasks.chunk import smaller
from tasks.clips import Clip, Failure, Take
from tasks.document import Chunk
from tasks.shelf import Shelf
from tasks.speak import Speaker
from tasks.synthesise import find_on_shelf, synthesise_chunks

ROUNDS = 5
"""Halvings: what is left of a 600-character chunk is then about the size of a clause."""
DEAR_ROUNDS = 1
"""Halvings of what was billed."""
PASSES, ANOTHERS_PASSES = 2, 4
"""How often the same text is asked for, a few calls each time: where it is at fault, and where it is not."""
TEXTS_FAULT = {"BadText", "Refused", "NotSpeech", "EngineFailed"}
"""What may go better in pieces; a provider or a network that fails does so with any text."""
CHEAP = TEXTS_FAULT - {"NotSpeech"}


@task(name="retry", cache_policy=NO_CACHE, persist_result=False)
async def retry(takes: Sequence[Take], language: str, speaker: Speaker) -> list[Take]:
    """The takes with each that failed for its text replaced by the takes of its pieces, as long as that gets further.

    What failed for the provider, or cannot be cut any smaller, is said again as it is; what is left as a Failure has
    failed for good.
    """
    said = [[take] for take in takes]
    passes = Counter({take.chunk: 1 for take in takes})
    for again in range(ROUNDS):
        said, went_on = await _round(said, language, speaker, passes, dear=again < DEAR_ROUNDS)
        if not went_on:
            break
    for take, pieces in zip(takes, said, strict=True):
        if len(pieces) > 1 and all(isinstance(piece.outcome, Clip) for piece in pieces):
            cut = [piece.chunk for piece in pieces]
            await aside(speaker.shelf.put_pieces, take.chunk.text, speaker.voice, cut)
    return [piece for pieces in said for piece in pieces]


async def _round(
    said: list[list[Take]], language: str, speaker: Speaker, passes: Counter[Chunk], *, dear: bool
) -> tuple[list[list[Take]], bool]:
    """Say what failed once more, most of it in smaller pieces; and whether there was anything to say."""
    cuts: dict[Chunk, Sequence[Chunk]] = {}
    for chunk, fault in {take.chunk: _fault(take) for takes in said for take in takes if _fault(take)}.items():
        to_cut = fault in CHEAP or (fault in TEXTS_FAULT and dear)
        cut = smaller(chunk, speaker.provider.limits, language) if to_cut else (chunk,)
        if len(cut) > 1 or passes[chunk] < (PASSES if fault in TEXTS_FAULT else ANOTHERS_PASSES):
            cuts[chunk] = cut
            passes.update(set(cut))
    pieces = [piece for cut in cuts.values() for piece in cut]
    if not pieces:
        return said, False
    whole, parts = {chunk.text for chunk in cuts}, {piece.text for piece in pieces}
    found = {} if speaker.fresh else await aside(find_on_shelf, pieces, speaker.voice, speaker.shelf)
    speaker.progress.failed -= len(whole)
    speaker.progress.total += len(parts) - len(whole)
    speaker.progress.reused += len(found)
    spoken = dict(zip(pieces, await synthesise_chunks(pieces, found, speaker), strict=True))
    takes_of = {chunk: [spoken[piece] for piece in cut] for chunk, cut in cuts.items()}
    return [[new for take in takes for new in takes_of.get(take.chunk, [take])] for takes in said], True


def _fault(take: Take) -> str:
    return take.outcome.error if isinstance(take.outcome, Failure) else ""


def find_known(chunks: Sequence[Chunk], voice: Voice, shelf: Shelf) -> tuple[list[Chunk], dict[str, Clip]]:
    """The chunks, those that an earlier run could say only in pieces as these; and what needs no call, by its text."""
    found = find_on_shelf(chunks, voice, shelf)
    cut = shelf.pieces_of((chunk.text for chunk in chunks if chunk.text not in found), voice)
    known: list[Chunk] = []
    for chunk in chunks:
        pieces = cut.get(chunk.text)
        known += [replace(chunk, text=text, boundary=boundary) for text, boundary in pieces[:-1]] if pieces else []
        known.append(replace(chunk, text=pieces[-1][0]) if pieces else chunk)
    if cut:
        found |= find_on_shelf([piece for piece in known if piece.text not in found], voice, shelf)
    return known, found
