"""What a run of `voice_wordlist` leaves beside the clips: its manifest, what failed, and the table with addresses."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.speech import Voice
from tasks.cell_clips import CellFile
from tasks.cell_output import FAILURES, CellOutput
from tasks.cell_rows import cell_table, compose_failures, cost_of, empty_row, made_of, spoken_row, standing_row
from tasks.clips import Clip, Take
from tasks.document import fingerprint
from tasks.manifest import Run, versions
from tasks.rows import compose_csv
from tasks.source_place import address_of
from tasks.spend import Spend
from tasks.table import Table
from tasks.wordlist import Cell, Words


def cell_rows(
    cells: Sequence[Cell],
    takes: Sequence[Take],
    files: Mapping[str, CellFile],
    before: Mapping[str, Mapping[str, Any]],
    output: CellOutput,
    unpaid: Mapping[str, float | None],
) -> pd.DataFrame:
    """A row for each cell, in order: `takes` are those of the cells that are neither empty nor standing, in order too.

    `files` and `before`, the rows of an earlier manifest, are by the cell's file.
    """
    spoken = {segment: list(group) for segment, group in groupby(takes, key=lambda take: take.chunk.segment)}
    missing, left, rows = iter(range(len(spoken))), dict(unpaid), []
    for cell in cells:
        if cell.empty:
            rows.append(empty_row(cell))
        elif cell.file in before:
            rows.append(standing_row(cell, before[cell.file], output.address(cell.file)))
        else:
            said = spoken[next(missing)]
            made = [made_of(cell.text, take.voice, output.suffix, output.loudness_lufs) for take in said if take.voice]
            facts = {
                "address": output.address(cell.file),
                "cost_usd": cost_of(said, left),
                "made_of": made[0] if len(set(made)) == 1 else None,
            }
            rows.append(spoken_row(cell, said, files.get(cell.file), facts))
    return cell_table(rows)


def with_earlier(
    rows: pd.DataFrame, words: Words, earlier: Mapping[str, Mapping[str, Any]], output: CellOutput
) -> pd.DataFrame:
    """The rows with those of earlier runs about other cells of the table: of other fields, types or failures.

    Only what still is as it was: the cell holds the same text, and the file of one that was spoken stands.
    """
    own = {cell.file.rpartition(".")[0] for cell in words.cells}
    others = {file: row for file, row in earlier.items() if file.rpartition(".")[0] not in own and words.holds(row)}
    whole = output.whole(others)
    kept = []
    for file, row in others.items():
        folder, spoken = file.rpartition("/")[0], row["status"] == "ok"
        if file in whole or not spoken:
            place = {"row": words.numbers[folder] + 1, "source_line": words.rows[folder].line}
            address = {"address": output.address(file) if spoken else None}
            kept.append({**row, **place, **address, "reused": True, "attempts": 0, "cost_usd": 0.0})
    return pd.concat([rows, cell_table(kept)]).sort_values("row", kind="stable", ignore_index=True) if kept else rows


def cell_summary(
    table: Table, rows: pd.DataFrame, voice: Voice, takes: Sequence[Take], run: Run, standing: int, owner: str
) -> dict[str, Any]:
    """The run as JSON; so many files stood there before. `owner` is `CellOutput.owner`."""
    spoken = rows[rows["status"] == "ok"]
    clips = [take.outcome for take in takes if isinstance(take.outcome, Clip)]
    said = rows[rows["disposition"] != "empty"]
    return {
        "run_id": run.id,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": {
            "path": address_of(table.source),
            "owner": owner,
            "sha256": table.sha256,
            "encoding": table.encoding,
        },
        "voice": asdict(voice),
        "settings": dict(run.settings),
        "totals": {
            "rows": int(rows["row"].nunique()),
            "cells": len(said),
            "empty": len(rows) - len(said),
            "duplicates": int(said.duplicated(["text", "provider", "model", "voice", "language", "speed"]).sum()),
            "characters": int(said["chars"].sum()),
            "files": len(spoken),
            "standing": standing,
            "chunks": len(takes),
            "synthesised": sum(not clip.reused for clip in clips),
            "reused": sum(clip.reused for clip in clips),
            "failed": len(said) - len(spoken),
            "flagged": int((spoken["flags"].fillna("") != "").sum()),
            "duration_s": round(float(spoken["duration_s"].sum()), 3),
            "calls": run.calls,
            "retries": run.retries,
        },
        "conservation": {"cells": fingerprint(said["text"]), "files": len(spoken), "of": len(said)},
        "spend": asdict(Spend.of(run.ledger.entries, voice)) | {"ledger": str(run.ledger.path)},
        "versions": versions(),
    }


def write_cell_manifest(rows: pd.DataFrame, facts: Mapping[str, Any], output: CellOutput) -> bool:
    """Write `<table>.manifest.csv`, `failures.csv` if there are any, and last `<table>.manifest.json`.

    Returns whether there is a `failures.csv`. Raises StorageFailed.
    """
    storage = output.storage
    storage.write(output.manifest_csv, compose_csv(rows).encode(errors="backslashreplace"))
    failed = compose_failures(rows, output.name, output.failures_of_others())
    if failed:
        storage.write(FAILURES, failed.encode(errors="backslashreplace"))
    else:
        storage.delete([FAILURES])
    told = json.dumps(facts, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    storage.write(output.manifest_json, told.encode(errors="backslashreplace"))
    return bool(failed)


cell_manifest = task(name="manifest", cache_policy=NO_CACHE, persist_result=False)(write_cell_manifest)
"""`write_cell_manifest` as a task run."""


def addresses_of(rows: pd.DataFrame) -> dict[int, dict[str, str]]:
    """Where each field's clip is, by the place of its row in the table; empty where it has none."""
    found: dict[int, dict[str, str]] = {}
    told = rows["address"].where(rows["status"] == "ok", "").fillna("")
    for row, field, address in zip(rows["row"], rows["field"], told, strict=True):
        found.setdefault(int(row) - 1, {})[str(field)] = str(address)
    return found
