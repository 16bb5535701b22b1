"""The manifest's table: what became of every piece of the source."""

import hashlib
import heapq
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

import pandas as pd

from blocks.speech import Voice
from tasks.clips import Clip, Failure, Take
from tasks.document import Document, Omission
from tasks.timeline import Timeline

COLUMNS = {
    "segment": "Int64",
    "chunk": "Int64",
    "source_line": "Int64",
    "section": "string",
    "speaker": "string",
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
    "key": "string",
    "attempts": "Int64",
    "reused": "boolean",
    "request_id": "string",
    "latency_s": "Float64",
    "cost_usd": "Float64",
    "clip": "string",
    "bytes": "Int64",
    "sha256": "string",
    "sample_rate": "Int64",
    "samples": "Int64",
    "start_s": "Float64",
    "end_s": "Float64",
    "cue_start_s": "Float64",
    "cue_end_s": "Float64",
    "start_error_ms": "Float64",
    "rate_applied": "Float64",
    "overrun_ms": "Float64",
    "peak_dbfs": "Float64",
    "rms_dbfs": "Float64",
    "cps": "Float64",
}
"""The table's columns and their pandas types, in order; what does not apply to a row is NA."""

FLAG_SEPARATOR = "; "
FALLBACK = "in another voice"
"""The flag of what a voice said that the run fell back on."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def rows(
    document: Document,
    voice: Voice,
    takes: Sequence[Take],
    timeline: Timeline | None,
    costs_usd: Mapping[str, float | None],
) -> pd.DataFrame:
    """One row for each chunk, in order, and one for each omission, where it stood in the source.

    Without a timeline nothing has a start or an end. With one, it has a placement for each take.
    What this run was billed for a text, by its SHA-256, stands in the first row of the text.
    """
    unpaid = dict(costs_usd)
    spans = _spans(takes, timeline)
    spoken = (_chunk_row(number, document, voice, take, next(spans), unpaid) for number, take in enumerate(takes))
    omitted = map(_omission_row, document.omissions)
    in_order = heapq.merge(omitted, spoken, key=itemgetter("source_line"))
    return pd.DataFrame(list(in_order), columns=list(COLUMNS)).astype(COLUMNS)


def _spans(takes: Sequence[Take], timeline: Timeline | None) -> Iterator[tuple[float | None, float | None]]:
    """When each take is heard, or its gap, in seconds to the microsecond."""
    if timeline is None:
        yield from ((None, None) for _ in takes)
    else:
        for place in timeline.placements:
            yield round(place.start / timeline.rate, 6), round(place.end / timeline.rate, 6)


def _chunk_row(
    number: int,
    document: Document,
    voice: Voice,
    take: Take,
    span: tuple[float | None, float | None],
    unpaid: dict[str, float | None],
) -> dict[str, Any]:
    chunk, segment = take.chunk, document.segments[take.chunk.segment]
    digest, said = hashlib.sha256(chunk.text.encode()).hexdigest(), take.voice or voice
    return {
        "segment": chunk.segment,
        "chunk": number,
        "source_line": segment.line,
        "section": segment.section,
        "text": chunk.text,
        "chars": len(chunk.text),
        "text_sha256": digest,
        "provider": said.provider,
        "model": said.model,
        "voice": said.name,
        "language": said.language,
        "speed": said.speed,
        "attempts": take.outcome.attempts,
        "cost_usd": unpaid.pop(digest, 0.0),
        "start_s": span[0],
        "end_s": span[1],
    } | (
        _clip_columns(take.outcome, len(chunk.text), (FALLBACK,) if take.voice else ())
        if isinstance(take.outcome, Clip)
        else _failure_columns(take.outcome)
    )


def _clip_columns(clip: Clip, characters: int, marks: tuple[str, ...]) -> dict[str, Any]:
    return {
        "disposition": "spoken",
        "status": "ok",
        "flags": FLAG_SEPARATOR.join((*clip.flags, *marks)),
        "key": clip.key or None,
        "reused": clip.reused,
        "request_id": clip.request_id,
        "latency_s": round(clip.latency_s, 3),
        "clip": clip.uri,
        "bytes": clip.bytes,
        "sha256": clip.sha256,
        "sample_rate": clip.sample_rate,
        "samples": clip.samples,
        "peak_dbfs": clip.peak_dbfs,
        "rms_dbfs": clip.rms_dbfs,
        "cps": round(characters / clip.speech_s, 2),
    }


def _failure_columns(failure: Failure) -> dict[str, Any]:
    return {"disposition": "refused", "reason": failure.reason, "status": "failed", "error": failure.error}


def _omission_row(omission: Omission) -> dict[str, Any]:
    return {
        "source_line": omission.line,
        "text": omission.text,
        "chars": len(omission.text),
        "text_sha256": hashlib.sha256(omission.text.encode()).hexdigest(),
        "disposition": omission.disposition,
        "reason": omission.reason,
        "status": "none",
    }


def compose_csv(table: pd.DataFrame) -> str:
    """The table for a spreadsheet: a text cell that one would run as a formula gets an apostrophe before it."""
    safe = table.copy()
    for name in table.columns[table.dtypes == "string"]:
        safe[name] = table[name].mask(table[name].str.startswith(_FORMULA), "'" + table[name])
    return safe.to_csv(index=False, lineterminator="\n")


def read_rows(csv: Path | IO[bytes]) -> pd.DataFrame:
    """The table that `compose_csv` wrote, with its types and without the apostrophes."""
    table = pd.read_csv(csv, dtype=COLUMNS, keep_default_na=False, na_values=[""])
    for name in table.columns[table.dtypes == "string"]:
        guarded = table[name].str.startswith(tuple(f"'{first}" for first in _FORMULA)).fillna(value=False)
        table[name] = table[name].mask(guarded, table[name].str[1:])
    return table
