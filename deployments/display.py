"""What a terminal shows of a run: a bar where there is a terminal, plain lines where there is none."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from tasks.progress import Progress

REFRESH_S = 0.2
LINE_EVERY_S = 10.0


@contextmanager
def shown(progress: Progress, title: str) -> Iterator[None]:
    """Show the progress on stderr while the body runs: stdout belongs to the result."""
    console = Console(stderr=True)
    over = threading.Event()
    show = _show_bar if console.is_terminal else _show_lines
    watcher = threading.Thread(target=show, args=(progress, title, console, over), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _show_bar(progress: Progress, title: str, console: Console, over: threading.Event) -> None:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None, facts=progress.stage)
        while not over.wait(REFRESH_S):
            _update(bar, task, progress)


def _update(bar: Bar, task: TaskID, progress: Progress) -> None:
    bar.update(task, total=progress.total or None, completed=progress.done, facts=progress.facts())


def _show_lines(progress: Progress, title: str, _: Console, over: threading.Event) -> None:
    while not over.wait(LINE_EVERY_S):
        print(f"{title}: {progress.describe()}", file=sys.stderr, flush=True)
