"""`speech shelf`: what the finished speech takes, and to clear away what is not used any more."""

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from blocks.speech import BadInput
from blocks.storage import Storage, home, is_remote
from deployments.answers import DONE
from deployments.reach import reach_prefect
from deployments.sizes import told_size

if TYPE_CHECKING:
    from tasks.shelf_prune import Item, Stock

shelf = App(name="shelf", help="Tell what finished speech is kept, and clear away what is not used any more.")


@shelf.default
def show(
    *,
    address: Annotated[str, Parameter("--shelf")] = "",
    as_json: Annotated[bool, Parameter("--json")] = False,
) -> int:
    """Tell how many clips a shelf holds, what they take, and since when the oldest was not used.

    Parameters
    ----------
    address
        A folder, or a bucket as s3://bucket/folder; empty takes this machine's own shelf.
    as_json
        End stdout with one JSON object.
    """
    from tasks.shelf_prune import stock_of

    found = [(storage, stock_of(storage)) for storage in _shelves(address)]
    if as_json:
        told, *mirror = [_facts(storage, stock) for storage, stock in found]
        print(json.dumps({**told, "mirror": mirror[0] if mirror else None}, ensure_ascii=False))
        return DONE
    for storage, stock in found:
        print(_line(storage, stock))
    return DONE


@shelf.command
def prune(
    *,
    older_than: str = "",
    larger_than: str = "",
    address: Annotated[str, Parameter("--shelf")] = "",
    dry_run: bool = False,
    as_json: Annotated[bool, Parameter("--json")] = False,
) -> int:
    """Delete clips that are not used any more, least recently used first, and files that no text leads to.

    What was put or used within the last 24 hours stays, whatever is asked for: a run may still need it. A bucket tells
    when a clip was put, not when it was used; a machine that still uses one puts it back from its own copy.

    Parameters
    ----------
    older_than
        Delete what was not used for so long, such as 30d or 36h.
    larger_than
        Delete until no more than this is left, such as 5GB or 500MB.
    address
        A folder, or a bucket as s3://bucket/folder, whose copies on this machine are pruned, too; empty takes this
        machine's own shelf.
    dry_run
        Only tell what would be deleted.
    as_json
        End stdout with one JSON object.
    """
    from tasks.durations import seconds
    from tasks.shelf_prune import YOUNG_S, bytes_of
    from tasks.shelf_prune import prune as cleared

    age_s, size = seconds(older_than), bytes_of(larger_than)
    storages = _shelves(address)
    freed = cleared(storages, age_s, size, only_look=dry_run)
    if as_json:
        told, *mirror = [_freed(storage, gone) for storage, gone in zip(storages, freed, strict=True)]
        print(json.dumps({**told, "dry_run": dry_run, "mirror": mirror[0] if mirror else None}, ensure_ascii=False))
        return DONE
    verb = "would free" if dry_run else "freed"
    for storage, gone in zip(storages, freed, strict=True):
        clips, files, taken = _counts(gone)
        line = f"{storage.address}: {verb} {told_size(taken)}: {clips} clips, {files} files"
        print(f"{line}; what was used in the last {YOUNG_S / 3600:.0f} h stays")
    return DONE


def _shelves(address: str) -> list[Storage]:
    """The shelf and, of a bucket, what this machine has of it. Raises BadInput for none, and one of a newer version."""
    from blocks.storage.folder import Folder
    from tasks.shared_shelf import mirror_of
    from tasks.shelf_facts import is_marked

    storages: list[Storage]
    if is_remote(address):
        from blocks.bucket import storage_for

        reach_prefect()
        remote = asyncio.run(storage_for(address))
        storages = [remote, Folder(mirror_of(remote.address))]
    else:
        storages = [Folder(_standing(address))]
    for storage in storages:
        is_marked(storage)
    return storages


def _standing(address: str) -> Path:
    """A folder that is there; this machine's own shelf need not be. Raises BadInput."""
    place = Path(address or home() / "shelf").expanduser()
    if not place.is_dir() and (address or place.exists()):
        raise BadInput(f"no shelf stands at {place}: name its folder, or a bucket as s3://bucket/folder")
    return place


def _facts(storage: Storage, stock: "Stock") -> dict[str, str | int | None]:
    oldest = datetime.fromtimestamp(stock.oldest, UTC).isoformat(timespec="seconds") if stock.clips else None
    unused = sum(item.bytes for item in stock.items if item.orphan)
    return {
        "shelf": storage.address,
        "clips": len(stock.clips),
        "bytes": stock.bytes,
        "orphan_bytes": unused,
        "oldest": oldest,
    }


def _line(storage: Storage, stock: "Stock") -> str:
    if not stock.items:
        return f"{storage.address}: empty"
    age = timedelta(seconds=round(max(0.0, time.time() - stock.oldest))) if stock.clips else timedelta(0)
    return f"{storage.address}: {len(stock.clips)} clips, {told_size(stock.bytes)}, the oldest last used {age} ago"


def _freed(storage: Storage, gone: "Sequence[Item]") -> dict[str, str | int]:
    clips, files, size = _counts(gone)
    return {"shelf": storage.address, "clips": clips, "files": files, "bytes": size}


def _counts(gone: "Sequence[Item]") -> tuple[int, int, int]:
    """Clips, files and bytes."""
    files = sum(len(item.names) for item in gone)
    return sum(len(item.names) > 1 for item in gone), files, sum(item.bytes for item in gone)
