"""`speech runs`: see the runs, go on with one, and clear away what is over."""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from blocks.speech import BadInput
from blocks.storage import StorageFailed
from deployments.answers import DONE, FAILED, answer_of, answer_of_words, complain, tell
from deployments.reach import reach_prefect
from deployments.sizes import told_size

if TYPE_CHECKING:
    from tasks.removal import Belongings
    from tasks.runs import RunRow

runs = App(name="runs", help="See the runs, go on with one that stopped, and clear away what is over.")


@runs.command(name="list")
def show(
    *, everything: Annotated[bool, Parameter("--all")] = False, as_json: Annotated[bool, Parameter("--json")] = False
) -> int:
    """Tell of the newest 50 runs that make recordings: state, progress, failures, cost, age, and where they are.

    Parameters
    ----------
    everything
        All runs, also older ones, and those that check keys and prune runs.
    as_json
        End stdout with one JSON object.
    """
    reach_prefect()
    from deployments.runs_table import facts, show_table
    from tasks.runs import HOUSEKEEPING, SPEAKING, list_runs

    wanted = list_runs((*SPEAKING, *HOUSEKEEPING), newest=None) if everything else list_runs()
    rows = asyncio.run(wanted)
    if as_json:
        print(json.dumps({"runs": facts(rows)}, ensure_ascii=False))
    elif rows:
        show_table(rows)
    else:
        print("there is no run yet: `speech narrate SOURCE` makes one", file=sys.stderr)
    return DONE


@runs.command
def resume(
    wanted: Annotated[str, Parameter(name="ID")], *, as_json: Annotated[bool, Parameter("--json")] = False
) -> int:
    """Go on with a run that was interrupted, crashed or failed; what is spoken already is not spoken again.

    Parameters
    ----------
    wanted
        The beginning of its id, or its whole name.
    as_json
        End stdout with one JSON object.
    """
    return _go_on(wanted, failed_only=False, as_json=as_json)


@runs.command
def retry(
    wanted: Annotated[str, Parameter(name="ID")], *, as_json: Annotated[bool, Parameter("--json")] = False
) -> int:
    """Try the units of a run that failed once more, and nothing else.

    Parameters
    ----------
    wanted
        The beginning of its id, or its whole name.
    as_json
        End stdout with one JSON object.
    """
    return _go_on(wanted, failed_only=True, as_json=as_json)


@runs.command
def delete(
    *wanted: Annotated[str, Parameter(name="ID")],
    keep_files: bool = False,
    as_json: Annotated[bool, Parameter("--json")] = False,
) -> int:
    """Delete runs that are over, with the recordings and manifests that are theirs alone; clips stay on the shelf.

    Parameters
    ----------
    wanted
        The beginning of an id, or a whole name.
    keep_files
        Leave the recordings where they are, with their manifests; only the records of the runs go.
    as_json
        End stdout with one JSON object.
    """
    if not wanted:
        raise BadInput("which ID? `speech runs list` tells them")
    reach_prefect()
    from tasks.reclaim import is_doubtful
    from tasks.runs import find_run

    async def find() -> "list[RunRow]":
        return list({row.id: row for row in [await find_run(one) for one in wanted]}.values())

    rows = asyncio.run(find())
    _tell_of_watch([row for row in rows if is_doubtful(row)])
    return _remove(rows, keep_files=keep_files, as_json=as_json)


@runs.command
def prune(
    *,
    older_than: str,
    keep_files: bool = False,
    yes: bool = False,
    as_json: Annotated[bool, Parameter("--json")] = False,
) -> int:
    """Delete the runs that ended longer ago than that, as `speech runs delete` does. It shows them, and asks.

    Runs that died without a word are marked as crashed before: they end now, and can still be resumed.

    Parameters
    ----------
    older_than
        Such as 24h or 30d.
    keep_files
        Leave the recordings where they are, with their manifests; only the records of the runs go.
    yes
        Do not ask.
    as_json
        End stdout with one JSON object.
    """
    from tasks.durations import seconds

    if not older_than.strip():
        raise BadInput("older than what? Write --older-than 24h")
    limit_s = seconds(older_than)
    if not yes and not sys.stdin.isatty():
        raise BadInput("nobody is here to be asked: look with `speech runs list --all`, then add --yes")
    reach_prefect()
    from tasks.reclaim import is_silent, mark_silent
    from tasks.removal import belongings
    from tasks.runs import HOUSEKEEPING, SPEAKING, list_runs

    async def look() -> "list[Belongings]":
        rows = await list_runs((*SPEAKING, *HOUSEKEEPING), newest=None)
        _tell_of_watch([row for row in rows if is_silent(row)])
        for row in await mark_silent(rows):
            complain(f"{row.short} ({row.name}) had stopped without a word: it is marked as crashed")
        rows = await list_runs((*SPEAKING, *HOUSEKEEPING), newest=None)
        old = [row for row in rows if row.over and row.ended_s is not None and row.ended_s > limit_s]
        found = []
        for row in old:
            try:
                found.append(await belongings(row, keep_files=keep_files))
            except StorageFailed as error:  # of a bucket that is gone, perhaps: the others go all the same
                complain(f"{row.short} stays: {error}")
        return found

    found = asyncio.run(look())
    if found and not yes and not _agreed(found):
        return DONE
    return _remove([one.row for one in found], keep_files=keep_files, as_json=as_json)


def _tell_of_watch(doubtful: "Sequence[RunRow]") -> None:
    from tasks.reclaim import SECOND_LOOK_S

    for row in doubtful:
        silence = f"was not heard of for {row.heard_s:.0f} s, but its process may run elsewhere"
        complain(f"{row.short} {silence}: it is watched for {SECOND_LOOK_S:.0f} s")


def _agreed(found: "list[Belongings]") -> bool:
    for one in found:
        files = f"{len(one.places)} files, {told_size(one.bytes)}" if one.places else "no files"
        print(f"{one.row.short} {one.row.state:12} {one.row.name}: {files}", file=sys.stderr)
    total = told_size(sum(one.bytes for one in found))
    print(f"Delete these {len(found)} runs and {total} of files? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _remove(rows: "list[RunRow]", *, keep_files: bool, as_json: bool) -> int:
    from tasks.removal import Removed, remove

    async def carry_out() -> list[Removed]:
        removed = []
        for row in rows:
            try:
                removed.append(await remove(row, keep_files=keep_files))
            except (BadInput, StorageFailed) as error:
                complain(f"{row.short} stays: {error}")
        return removed

    removed = asyncio.run(carry_out())
    freed = sum(one.bytes for one in removed)
    if as_json:
        print(json.dumps({"deleted": [one.id for one in removed], "bytes": freed}))
    else:
        print(f"{len(removed)} runs deleted, {told_size(freed)} freed")
    return DONE if len(removed) == len(rows) else FAILED


def _go_on(wanted: str, *, failed_only: bool, as_json: bool) -> int:
    """The same run, here: its calls go on in its own ledger."""
    # Prefect hands SIGTERM on to the handler that it found: by default that one would end us without a word.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    reach_prefect()
    from deployments.narration import watched
    from deployments.resumption import Resumable, resumed, taken_over
    from tasks.reclaim import is_doubtful
    from tasks.recording import Incomplete, Recording
    from tasks.runs import find_run
    from tasks.word_list import Unfinished

    async def take() -> Resumable:
        row = await find_run(wanted)
        _tell_of_watch([row] if is_doubtful(row) else [])
        return await taken_over(row, failed_only=failed_only)

    taken = asyncio.run(take())
    title = PurePath(str(taken.run.parameters.get("source", taken.run.name))).name
    try:
        made = watched(partial(resumed, taken), title)
        answer = answer_of(made) if isinstance(made, Recording) else answer_of_words(made)
    except Unfinished as error:
        answer = answer_of_words(error.words, str(error))
    except Incomplete as error:
        answer = answer_of(error.recording, str(error))
    return tell([answer], as_json=as_json)
