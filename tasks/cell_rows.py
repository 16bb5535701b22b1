"""The table of a word list's manifest: what became of every cell, and where its file is."""

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import pandas as pd

from blocks.speech import Voice
from tasks.cell_clips import CellFile
from tasks.clips import Clip, Failure, Take
from tasks.rows import FALLBACK, FLAG_SEPARATOR, compose_csv, read_rows
from tasks.shelf_facts import key_of
from tasks.wordlist import Cell

COLUMNS = {
    "row": "Int64",
    "source_line": "Int64",
    "type": "string",
    "key": "string",
    "field": "string",
    "text": "string",
    "chars": "Int64",
    "text_sha256": "string",
    "disposition": "string",
    "reason": "string",
    "status": "string",
    "error": "string",
    "flags": "string",
    "provider": "string",
    "model": "string",
    "voice": "string",
    "language": "string",
    "speed": "Float64",
    "api_key": "string",
    "attempts": "Int64",
    "reused": "boolean",
    "request_id": "string",
    "latency_s": "Float64",
    "cost_usd": "Float64",
    "file": "string",
    "address": "string",
    "bytes": "Int64",
    "sha256": "string",
    "sample_rate": "Int64",
    "samples": "Int64",
    "duration_s": "Float64",
    "loudness_lufs": "Float64",
    "gain_db": "Float64",
    "peak_dbfs": "Float64",
    "made_of": "string",
}
"""The columns and their pandas types, in order; what does not apply to a row is NA."""
FAILURES = ("source", "row", "source_line", "type", "key", "field", "text", "error", "reason", "attempts", "file")
"""The columns of `failures.csv`."""
FORMAT = 1
"""Raise it when the same speech should be made into another file than those that stand."""


def made_of(text: str, voice: Voice, suffix: str, loudness_lufs: float) -> str:
    """The same for files that would be equal: what is said in which voice, the format and the loudness."""
    return hashlib.sha256(f"{FORMAT} {key_of(text, voice)} {suffix} {loudness_lufs}".encode()).hexdigest()[:32]


def spoken_row(cell: Cell, takes: Sequence[Take], file: CellFile | None, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Of a cell that this run has spoken, or failed to; `facts` are what only the run knows of it: see `cell_rows`."""
    clips = [take.outcome for take in takes if isinstance(take.outcome, Clip)]
    failure = next((take.outcome for take in takes if isinstance(take.outcome, Failure)), None)
    row = _cell_columns(cell) | _voice_columns(takes[0].voice) | dict(facts)
    row["attempts"] = sum(take.outcome.attempts for take in takes)
    if failure or file is None:
        reason, error = (failure.reason, failure.error) if failure else (None, None)
        return row | {"disposition": "refused", "status": "failed", "reason": reason, "error": error, "address": None}
    flags = dict.fromkeys([*chain.from_iterable(clip.flags for clip in clips), *_marks(takes)])
    return row | {
        "disposition": "spoken",
        "status": "ok",
        "flags": FLAG_SEPARATOR.join(flags),
        "api_key": clips[0].key or None,
        "reused": all(clip.reused for clip in clips),
        "request_id": FLAG_SEPARATOR.join(clip.request_id for clip in clips if clip.request_id),
        "latency_s": round(sum(clip.latency_s for clip in clips), 3),
        "bytes": file.bytes,
        "sha256": file.sha256,
        "sample_rate": file.sample_rate,
        "samples": file.samples,
        "duration_s": round(file.duration_s, 6),
        "loudness_lufs": file.loudness_lufs,
        "gain_db": file.gain_db,
        "peak_dbfs": file.peak_dbfs,
    }


def standing_row(cell: Cell, before: Mapping[str, Any], address: str) -> dict[str, Any]:
    """Of a cell whose file an earlier run has made, as its manifest tells."""
    now = {"reused": True, "attempts": 0, "cost_usd": 0.0, "latency_s": 0.0, "address": address}
    return {**before, **_cell_columns(cell), **now}


def empty_row(cell: Cell) -> dict[str, Any]:
    reason = "no letter or digit" if cell.text else "empty"
    return _cell_columns(cell) | {"disposition": "empty", "reason": reason, "status": "none"}


def cost_of(takes: Sequence[Take], unpaid: dict[str, float | None]) -> float | None:
    """What this run was billed for the texts of a cell; each stands in the first row that says it."""
    costs = [unpaid.pop(_sha256(take.chunk.text), 0.0) for take in takes]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def cell_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(COLUMNS)).astype(COLUMNS)


def read_cell_table(csv: bytes) -> pd.DataFrame:
    """What `compose_csv` wrote of such a table. Raises ValueError for what is none."""
    return read_rows(io.BytesIO(csv), COLUMNS)


def compose_failures(table: pd.DataFrame, source: str, others: Sequence[Mapping[str, str]]) -> str:
    """The failed cells as CSV, after the rows of other tables; empty where there is neither."""
    failed = table[table["status"] == "failed"].assign(source=source)[list(FAILURES)]
    rows = pd.concat([pd.DataFrame(list(others), columns=list(FAILURES)), failed.astype("string")])
    return compose_csv(rows.astype("string")) if len(rows) else ""


def read_failures(csv: bytes) -> list[dict[str, str]]:
    """The rows of a `failures.csv`. Raises ValueError for what is none."""
    table = read_rows(io.BytesIO(csv), dict.fromkeys(FAILURES, "string"))
    if not {"source", "file"} <= set(table.columns):
        raise ValueError("it has no columns source and file")
    return [{str(name): str(value) for name, value in row.items()} for row in table.fillna("").to_dict("records")]


def _cell_columns(cell: Cell) -> dict[str, Any]:
    return {
        "row": cell.row + 1,
        "source_line": cell.line,
        "type": cell.kind,
        "key": cell.key,
        "field": cell.field,
        "text": cell.text,
        "chars": len(cell.text),
        "text_sha256": _sha256(cell.text),
        "file": cell.file,
    }


def _voice_columns(voice: Voice | None) -> dict[str, Any]:
    if voice is None:
        return {}
    told = {"provider": voice.provider, "model": voice.model, "voice": voice.name}
    return told | {"language": voice.language, "speed": voice.speed}


def _marks(takes: Sequence[Take]) -> Iterator[str]:
    if any(take.instead for take in takes):
        yield FALLBACK


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
