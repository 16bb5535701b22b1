"""A table is read before anything is spoken, and written back when all is: with addresses, and else as it was."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from datetime import datetime, time

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.bucket import source_storage
from blocks.speech import BadInput, RunFailed
from blocks.storage import Storage, home
from blocks.storage.folder import replace
from blocks.storage.threads import aside
from tasks.cell_output import FRAMES, only_these
from tasks.source import read_bytes
from tasks.source_place import is_elsewhere, path_of
from tasks.table import Table, check_update, read_table, updated
from tasks.word_fields import fields_of


def read_wordlist(source: str, storage: Storage | None, fields: str, *, update: bool) -> Table:
    """The table, one that can be written back if that is asked for. Raises BadInput."""
    table = read_table(source, storage)
    names = [field.name for field in fields_of(fields, table.fields)]
    if update:
        check_update(table, names)
        _check_place(source, storage)
    return table


def _check_place(source: str, storage: Storage | None) -> None:
    """Raises BadInput for a place where nothing can be written, before anything is paid for."""
    if storage:
        storage.check()
        return
    if is_elsewhere(source):
        raise BadInput(f"{source} cannot be written back: update a file of this machine, or of a bucket")
    path = path_of(source).resolve()
    try:
        if not path.stat().st_mode & 0o222:
            raise BadInput(f"{source} is marked as read-only: let it be written, or leave --update out")
        with path.open("r+b"), tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        reason = f"{source} cannot be written back ({error.strerror})"
        raise BadInput(f"{reason}: let it be written, or leave --update out") from error


def write_back(table: Table, addresses: Mapping[int, Mapping[str, str]], storage: Storage | None) -> str:
    """Put the table with these addresses in its place, by its rows and fields; returns that place.

    Raises RunFailed where it is no longer as it was read, and StorageFailed.
    """
    if read_bytes(table.source, storage) != table.data:
        raise RunFailed(
            f"{table.source} was changed while it was spoken, and is left as it is: run the same command again, "
            "which finds all that is spoken"
        )
    data = updated(table, addresses)
    if storage:
        name = table.source.removeprefix(storage.address).strip("/")
        storage.write(name, data)
        return storage.place(name)
    path = path_of(table.source).resolve()  # a link stays one
    mode = path.stat().st_mode & 0o777
    replace(path, data)
    path.chmod(mode)
    return str(path)


async def read_only(failures: str, source: str) -> frozenset[str] | None:
    """What a `failures.csv` names of this source; None where none is given. Raises BadInput."""
    if not failures:
        return None
    data = await aside(read_bytes, failures, await source_storage(failures))
    return only_these(data, failures, source)


def kept_frame(frame: pd.DataFrame, name: str) -> str:
    """The place of a file of this name with the rows of the frame: a run is resumed from it. Raises BadInput."""
    columns = [str(column) for column in frame.columns]
    if frame.columns.nlevels > 1 or len(set(columns)) < len(columns):
        raise BadInput("the columns of the DataFrame need one name each, and no two the same: rename or flatten them")
    if frame.empty:
        raise BadInput("the DataFrame has no rows: nothing to speak")
    if not name or set(name) & set("/\\"):
        raise BadInput(f"{name!r} is no name for a table: write a word")
    told = frame.convert_dtypes().astype(object)
    rows = (dict(zip(columns, map(_cell, row), strict=True)) for row in told.itertuples(index=False, name=None))
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode(errors="replace")
    path = home() / FRAMES / hashlib.sha256(data).hexdigest()[:12] / f"{name}.jsonl"
    if not path.exists():
        replace(path, data)
    return str(path)


def _cell(value: object) -> str | None:
    """As a person would write it: a day without its midnight, and nothing for what is missing."""
    if pd.api.types.is_scalar(value) and pd.isna(value):  # type: ignore[call-overload]  # of a scalar it is a bool
        return None
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    return str(value)


@task(name="tabulate", cache_policy=NO_CACHE, persist_result=False)
async def tabulate(source: str, storage: Storage | None, fields: str, *, update: bool) -> Table:
    """`read_wordlist` as a task run."""
    return await aside(read_wordlist, source, storage, fields, update=update)


@task(name="put back", cache_policy=NO_CACHE, persist_result=False)
async def put_back(table: Table, addresses: Mapping[int, Mapping[str, str]]) -> str:
    """`write_back` as a task run."""
    return await aside(write_back, table, addresses, await source_storage(table.source))
