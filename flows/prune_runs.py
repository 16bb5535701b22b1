"""The runs are kept in order: those that died without a word are marked, and old ones are deleted where asked for."""

from typing import Any

from prefect import flow
from prefect.logging import get_run_logger

from blocks.storage import StorageFailed
from tasks.durations import seconds
from tasks.reclaim import mark_silent
from tasks.removal import remove
from tasks.runs import HOUSEKEEPING, SPEAKING, list_runs

OWN_KEPT_S = 86_400.0
"""This flow runs every few minutes: its own records, which hold nothing, go after a day."""


@flow(name="prune_runs")
async def prune_runs(older_than: str = "", keep_files: bool = False) -> dict[str, Any]:
    """Mark runs crashed that died without a word, so that they can be resumed, and delete old ones if asked to.

    Args:
        older_than: Delete finished runs that ended longer ago than this, such as 24h or 30d, with their recordings;
            empty deletes none.
        keep_files: Leave the recordings where they are, with their manifests; only the records of the runs go.

    Raises:
        BadInput: No such length of time.
    """
    limit_s = seconds(older_than)
    rows = await list_runs((*SPEAKING, *HOUSEKEEPING), newest=None)
    marked = await mark_silent(rows)
    for row in marked:
        get_run_logger().warning("%s (%s) had stopped without a word: it can be resumed", row.short, row.name)
    removed = []
    for row in rows:
        kept_s = min(limit_s, OWN_KEPT_S) if row.flow == "prune_runs" else limit_s
        if row.over and row.ended_s is not None and row.ended_s > kept_s:
            try:
                removed.append(await remove(row, keep_files=keep_files))
            except StorageFailed as error:  # of a bucket that is gone, perhaps: the others go all the same
                get_run_logger().warning("%s stays: %s", row.short, error)
    freed = sum(one.bytes for one in removed)
    get_run_logger().info("%d runs marked, %d deleted, %d bytes freed", len(marked), len(removed), freed)
    return {"marked": [row.id for row in marked], "deleted": [one.id for one in removed], "bytes": freed}
