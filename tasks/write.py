"""write: the speech of each cell becomes its file."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from threading import Event

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.cell_clips import CellFile, Wanted, write_cells
from tasks.cell_output import CellOutput
from tasks.clips import Clip, Take
from tasks.progress import Progress
from tasks.stopping import in_thread
from tasks.wordlist import Cell


def whole_cells(cells: Sequence[Cell], takes: Sequence[Take]) -> list[Wanted]:
    """The cells all of whose text is spoken; the takes are in their order, by the number of the cell."""
    said = groupby(takes, key=lambda take: take.chunk.segment)
    spoken = [(cells[number], tuple(group)) for number, group in said]
    return [Wanted(cell.file, group) for cell, group in spoken if all(isinstance(take.outcome, Clip) for take in group)]


@task(name="write", cache_policy=NO_CACHE, persist_result=False)
async def write(
    cells: Sequence[Cell],
    takes: Sequence[Take],
    output: CellOutput,
    read: Callable[[Clip], bytes],
    progress: Progress,
) -> dict[str, CellFile]:
    """The file of each cell that is spoken whole, by its name. In a thread, which ends soon when it is cancelled.

    Raises RunFailed and StorageFailed.
    """
    wanted = whole_cells(cells, takes)

    def made(stop: Event) -> dict[str, CellFile]:
        tell = partial(_tell, progress, len(wanted))
        files = write_cells(wanted, output.storage, output.suffix, output.loudness_lufs, read, stop, tell)
        return {file.name: file for file in files}

    return await in_thread(made)


def _tell(progress: Progress, all_: int, done: int) -> None:
    progress.stage = f"writing {done:,} of {all_:,} files"
