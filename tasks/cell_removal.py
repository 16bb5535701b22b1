"""What of a word list's files belongs to one run."""

import json
from pathlib import PurePath

from blocks.storage import Storage
from tasks.cell_output import FAILURES, MANIFEST
from tasks.cell_rows import read_cell_table, read_failures

JSON = ".manifest.json"
"""How the place of a word list's manifest ends."""


def clips_of(run: str, kept_in: Storage, manifest: str) -> list[str]:
    """The clips as the manifest of this name tells them, and what lies beside it, itself last; nothing of a later run.

    A clip that has another size is not the one that the run made.
    """
    try:
        facts = json.loads(kept_in.read(manifest))
        if facts["run_id"] != run:
            return []
        table = read_cell_table(kept_in.read(csv := f"{manifest.removesuffix(JSON)}{MANIFEST}"))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []
    made = table[table["status"] == "ok"]
    sizes = {str(file): int(size) for file, size in zip(made["file"], made["bytes"], strict=True)}
    standing = {entry.name: entry.bytes for entry in kept_in.entries()}
    clips = [file for file, size in sizes.items() if standing.get(file) == size]
    failures = [FAILURES] if _is_only(PurePath(facts["source"]["path"]).name, kept_in) else []
    return [*clips, *failures, csv, manifest]


def _is_only(source: str, kept_in: Storage) -> bool:
    """Whether the list of failures tells of this table alone."""
    try:
        return {row["source"] for row in read_failures(kept_in.read(FAILURES))} == {source}
    except (FileNotFoundError, ValueError):
        return False
