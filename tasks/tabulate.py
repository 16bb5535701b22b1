"""A table is read before anything is spoken, and written back when all is: with addresses, and else as it was."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.bucket import source_storage
from blocks.speech import BadInput, RunFailed
from blocks.storage import Storage, home
from blocks.storage.folder import replace
from blocks.storage.threads import aside
from tasks.cell_output import only_these
from tasks.source import read_bytes
from tasks.table import Table, check_update, read_table, updated
from tasks.wordlist import fields_of


def read_wordlist(source: str, storage: Storage | None, fields: str, *, update: bool) -> Table:
    """The table, one that can be written back if that is asked for. Raises BadInput."""
    table = read_table(source, storage)
    names = [field.name for field in fields_of(fields, table.fields)]
    if update:
        check_update(table, names)
        _check_place(source)
    return table


def _check_place(source: str) -> None:
    if "://" in source and not source.startswith("s3://"):
        raise BadInput(f"{source} cannot be written back: update a file of this machine, or of a bucket")


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
    path = Path(table.source).expanduser().resolve()  # a link stays one
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


def kept_frame(frame: pd.DataFrame) -> str:
    """The place of a file with the rows of this frame, by their content: a run is resumed from it."""
    data = frame.to_json(orient="records", lines=True, force_ascii=False, date_format="iso").encode()
    path = home() / "frames" / f"frame-{hashlib.sha256(data).hexdigest()[:12]}.jsonl"
    if not path.exists():
        replace(path, data)
    return str(path)


@task(name="tabulate", cache_policy=NO_CACHE, persist_result=False)
async def tabulate(source: str, storage: Storage | None, fields: str, *, update: bool) -> Table:
    """`read_wordlist` as a task run."""
    return await aside(read_wordlist, source, storage, fields, update=update)


@task(name="put back", cache_policy=NO_CACHE, persist_result=False)
async def put_back(table: Table, addresses: Mapping[int, Mapping[str, str]]) -> str:
    """`write_back` as a task run."""
    return await aside(write_back, table, addresses, await source_storage(table.source))
