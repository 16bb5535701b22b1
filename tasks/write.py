"""write: the speech of each cell becomes its file."""

from collections.abc import Sequence
from itertools import groupby

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.cell_clips import CellFile, Wanted
from tasks.cell_writer import CellWriter
from tasks.clips import Clip, Take
from tasks.wordlist import Cell


def whole_cells(cells: Sequence[Cell], takes: Sequence[Take]) -> list[Wanted]:
    """The cells all of whose text is spoken; the takes are in their order, by the number of the cell."""
    said = groupby(takes, key=lambda take: take.chunk.segment)
    spoken = [(cells[number], tuple(group)) for number, group in said]
    return [Wanted(cell.file, group) for cell, group in spoken if all(isinstance(take.outcome, Clip) for take in group)]


@task(name="write", cache_policy=NO_CACHE, persist_result=False)
async def write(cells: Sequence[Cell], takes: Sequence[Take], writer: CellWriter) -> dict[str, CellFile]:
    """The file of each cell that is spoken whole, by its name; most were made while the others were spoken.

    Raises RunFailed and StorageFailed.
    """
    return await writer.finish(whole_cells(cells, takes))
