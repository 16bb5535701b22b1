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
from tasks.document import Document, Omission, Segment, Window
from tasks.timeline import Fit, Timeline

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
    "source_index": "Int64",
    "need_s": "Float64",
}
"""The table's columns and their pandas types, in order; what does not apply to a row is NA."""

FLAG_SEPARATOR = "; "
ON_TIME_MS = 1.0
"""A cue whose first sound comes no later is on time."""
SPED = 1.001
"""A rate above it counts as sped up."""
FALLBACK = "in another voice"
"""The flag of what a voice said that the run fell back on."""
TRIMMED = "trimmed: the last {:.2f} s of it are cut off"
"""The flag of a cue of which not all is heard."""
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
    times = _times(document, takes, timeline)
    spoken = (_chunk_row(number, document, voice, take, next(times), unpaid) for number, take in enumerate(takes))
    omitted = map(_omission_row, document.omissions)
    in_order = heapq.merge(omitted, spoken, key=itemgetter("source_line"))
    return pd.DataFrame(list(in_order), columns=list(COLUMNS)).astype(COLUMNS)


def _times(document: Document, takes: Sequence[Take], timeline: Timeline | None) -> Iterator[dict[str, float]]:
    """When each take is heard, or its gap, in seconds to the microsecond; and how its cue fits its window."""
    if timeline is None:
        yield from ({} for _ in takes)
        return
    rate, begun = timeline.rate, set[Window]()
    for take, place in zip(takes, timeline.placements, strict=True):
        fit, window = timeline.fits.get(take.chunk.segment), document.segments[take.chunk.segment].window
        # A cue begins with its first sound, and what is softer lies before it.
        begins = fit is not None and window is not None and window not in begun
        start = fit.start + fit.late if fit and begins else place.start
        times = {"start_s": round(start / rate, 6), "end_s": round(place.end / rate, 6)}
        if fit and window:
            begun.add(window)
            times |= _fit_columns(fit, rate)
        yield times


def _fit_columns(fit: Fit, rate: int) -> dict[str, float]:
    return {
        "need_s": round(fit.need / rate, 6),
        "rate_applied": round(fit.rate, 4),
        "start_error_ms": round(1000 * fit.late / rate, 3),
        "overrun_ms": round(1000 * fit.overrun / rate, 3),
        "cut_s": round(fit.cut / rate, 6),
    }


def _chunk_row(
    number: int,
    document: Document,
    voice: Voice,
    take: Take,
    times: Mapping[str, float],
    unpaid: dict[str, float | None],
) -> dict[str, Any]:
    chunk, segment = take.chunk, document.segments[take.chunk.segment]
    digest, said = hashlib.sha256(chunk.text.encode()).hexdigest(), take.voice or voice
    row = {
        "segment": chunk.segment,
        "chunk": number,
        "source_line": segment.line,
        "section": segment.section,
        "speaker": segment.speaker or None,
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
    }
    row |= {**_cue_columns(segment.window), **times}
    if isinstance(take.outcome, Failure):
        return row | _failure_columns(take.outcome)
    cut_s = times.get("cut_s", 0.0)
    marks = [FALLBACK] * take.instead + [TRIMMED.format(cut_s)] * bool(cut_s)
    row |= _clip_columns(take.outcome, len(chunk.text), marks)
    return row | _disposition(segment, times)


def _cue_columns(window: Window | None) -> dict[str, Any]:
    if window is None:
        return {}
    return {
        "source_index": window.index,
        "cue_start_s": window.start_ms / 1000,
        "cue_end_s": window.end_ms / 1000,
    }


def _disposition(segment: Segment, times: Mapping[str, float]) -> dict[str, Any]:
    """What became of a piece that is spoken, and why it is not just as the source has it."""
    late_ms, overrun_ms = times.get("start_error_ms", 0.0), times.get("overrun_ms", 0.0)
    reasons = [segment.repair, f"not spoken: {segment.unsaid}" if segment.unsaid else ""]
    if late_ms > ON_TIME_MS:
        reasons.append(f"starts {late_ms / 1000:.2f} s late, after the speech before it")
    if overrun_ms:
        reasons.append(f"{overrun_ms / 1000:.2f} s too long, also at {times['rate_applied']:.2f} times the speed")
    disposition = "shifted" if late_ms > ON_TIME_MS else "repaired" if segment.repair else "spoken"
    return {"disposition": disposition, "reason": FLAG_SEPARATOR.join(filter(None, reasons)) or None}


def _clip_columns(clip: Clip, characters: int, marks: Sequence[str]) -> dict[str, Any]:
    return {
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
        "speaker": omission.speaker or None,
        "status": "none",
    } | {"source_index": omission.index, **_cue_columns(omission.window)}


def compose_csv(table: pd.DataFrame) -> str:
    """The table for a spreadsheet: a text cell that one would run as a formula gets an apostrophe before it."""
    safe = table.copy()
    for name in table.columns[table.dtypes == "string"]:
        safe[name] = table[name].mask(table[name].str.startswith(_FORMULA), "'" + table[name])
    return safe.to_csv(index=False, lineterminator="\n")


def read_rows(csv: Path | IO[bytes], columns: Mapping[str, str] = COLUMNS) -> pd.DataFrame:
    """The table that `compose_csv` wrote, with the types of its columns and without the apostrophes."""
    table = pd.read_csv(csv, dtype=dict(columns), keep_default_na=False, na_values=[""])
    for name in table.columns[table.dtypes == "string"]:
        guarded = table[name].str.startswith(tuple(f"'{first}" for first in _FORMULA)).fillna(value=False)
        table[name] = table[name].mask(guarded, table[name].str[1:])
    return table
