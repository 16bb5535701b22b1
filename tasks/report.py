"""The report: one self-contained page on which a person looks through a run and listens to it."""

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd

from tasks.cue_totals import describe
from tasks.document import Document, sections
from tasks.rows import ON_TIME_MS, SPED

BARS = 400
"""In the waveform: a bar and its gap are still some three pixels on a wide screen."""
LISTED = 100
"""How many failed or flagged chunks stand in a block of their own; the filter finds the rest."""
EXCERPT = 400
"""Characters of an omitted piece: a licence of 20,000 is not read here."""

MINUS, TIMES, NO_BREAK_SPACE = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}", "\N{NO-BREAK SPACE}"

_HERE = Path(__file__).parent
_PAGES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def compose_report(table: pd.DataFrame, summary: Mapping[str, Any], document: Document, peaks: Sequence[float]) -> str:
    """The page as HTML.

    `table` and `summary` are the manifest's; `peaks` are evenly spread over the recording, 0 to 1. The page refers
    to one other file, the recording, by its path relative to the manifest.
    """
    values = table.astype(object).where(table.notna(), None)
    records = [dict(zip(table.columns, row, strict=True)) for row in values.itertuples(index=False, name=None)]
    lines = [_line(record, document) for record in records if record["chunk"] is not None]
    audio, duration = summary["audio"], summary["totals"]["duration_s"] or 0.0
    style, script = ((_HERE / name).read_text("utf-8") for name in ("report.css", "report.js"))
    return _PAGES.get_template("report.html").render(
        run=summary,
        facts=_facts(summary),
        audio_url=quote(os.fsencode(audio["path"])) if audio else "",
        duration=duration,
        clock=clock,
        lines=lines,
        failed=[line for line in lines if line["error"]],
        flagged=[line for line in lines if line["flags"]],
        squeezed=_squeezed(lines),
        omitted=[record for record in records if record["chunk"] is None],
        outline=list(_outline(lines, document)),
        bars=bars(peaks),
        most=LISTED,
        excerpt=EXCERPT,
        style=style,
        script=script,
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
    )


def clock(seconds: float) -> str:
    """`0:07`, `12:34`, `1:02:03`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def bars(peaks: Sequence[float]) -> list[str]:
    """SVG paths of at most BARS bars, 3 wide and 4 apart, in a box 100 high; the loudest fills it."""
    count = min(BARS, len(peaks))
    ends = [len(peaks) * number // count for number in range(count + 1)] if count else []
    levels = [sum(peaks[start:end]) / (end - start) for start, end in pairwise(ends)]
    loudest = max(levels, default=0.0) or 1.0
    heights = (max(1.0, 96 * level / loudest) for level in levels)
    return [f"M{4 * at} {50 - height / 2:.1f}h3v{height:.1f}h-3z" for at, height in enumerate(heights)]


def _line(record: Mapping[str, Any], document: Document) -> dict[str, Any]:
    """A chunk as the page shows it."""
    start, end = record["start_s"], record["end_s"]
    cue = record["source_index"]
    facts = [f"line {record['source_line']}" if cue is None else f"cue {cue}, line {record['source_line']}"]
    if record["speaker"] is not None:
        facts.append(record["speaker"])
    if start is not None:
        facts.append(f"{end - start:.1f} s")
    if record["clip"] is not None:
        facts += [f"{record['cps']:.1f} cps", f"peak {record['peak_dbfs']:.1f}", f"RMS {record['rms_dbfs']:.1f}"]
    if record["attempts"] > 1:
        facts.append(f"{record['attempts']} attempts")
    if record["reused"]:
        facts.append("reused")
    segment, squeeze = document.segments[record["segment"]], _squeeze(record)
    kind = "failed" if record["error"] else "flagged" if record["flags"] else "heading" if segment.level else ""
    return {
        "number": record["chunk"],
        "segment": record["segment"],
        "level": segment.level,
        "classes": " ".join(filter(None, (kind, "squeezed" if squeeze else ""))),
        "text": record["text"],
        "start": start,
        "end": end,
        "facts": " · ".join(fact.replace(" ", NO_BREAK_SPACE) for fact in facts).replace("-", MINUS),
        "flags": record["flags"],
        "squeeze": squeeze,
        "mended": segment.repair,
        "error": record["error"],
        "reason": record["reason"],
    }


def _squeeze(record: Mapping[str, Any]) -> str:
    """What it took to have a cue in its window; empty where it was just said."""
    rate, late_ms, over_ms = record["rate_applied"], record["start_error_ms"], record["overrun_ms"]
    if rate is None:
        return ""
    window = record["cue_end_s"] - record["cue_start_s"]
    told = (
        [f"{rate:.2f}{TIMES} the speed: {record['need_s']:.2f} s in a window of {window:.2f} s"] if rate > SPED else []
    )
    told += [f"{late_ms / 1000:.2f} s late"] if late_ms > ON_TIME_MS else []
    told += [f"{over_ms / 1000:.2f} s too long"] if over_ms else []
    return " · ".join(told)


def _squeezed(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line of each cue that was squeezed, is late or too long."""
    return list({line["segment"]: line for line in reversed(lines) if line["squeeze"]}.values())[::-1]


def _outline(lines: Sequence[Mapping[str, Any]], document: Document) -> Iterator[dict[str, Any]]:
    """Each heading with the first of its chunks."""
    first: dict[int, Mapping[str, Any]] = {}
    for line in lines:
        first.setdefault(line["segment"], line)
    for index, heading in sections(document.segments):
        if index in first:
            line = first[index]
            yield {"title": heading.text, "level": heading.level, "number": line["number"], "start": line["start"]}


def _facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the head of the page tells of the run."""
    voice, totals, audio, source = summary["voice"], summary["totals"], summary["audio"], summary["source"]
    spoken = " · ".join(dict.fromkeys(filter(None, (voice["name"], voice["language"], voice["model"]))))
    speed = f" · {voice['speed']:g}{TIMES}" if voice["speed"] != 1 else ""
    facts = [("Duration", clock(totals["duration_s"]))] if audio else []
    facts += [
        ("Voice", f"{voice['provider']} · {spoken}{speed}"),
        ("Chunks", f"{totals['chunks']:,} · {totals['characters']:,} characters"),
        ("Calls", f"{totals['calls']:,} · {totals['reused']:,} reused · {totals['retries']:,} retries"),
    ]
    if cues := summary["cues"]:
        facts.append(("Cues", " · ".join(describe(**cues))))
    if audio:
        facts += [
            ("Loudness", _loudness(**summary["loudness"])),
            ("File", f"{audio['format']} · {audio['bytes'] / 1e6:,.1f} MB · {audio['sample_rate'] / 1000:g} kHz"),
        ]
    made = datetime.fromisoformat(summary["created_at"]).strftime("%Y-%m-%d %H:%M UTC")
    return [*facts, ("Source", f"{source['path']} · {source['encoding']}"), ("Made", made)]


def _loudness(measured_lufs: float | None, true_peak_dbfs: float | None, **_: float | None) -> str:
    loudness = "not measured" if measured_lufs is None else f"{measured_lufs:.1f} LUFS"
    return (loudness if true_peak_dbfs is None else f"{loudness} · true peak {true_peak_dbfs:.1f} dBTP").replace(
        "-", MINUS
    )


def _csp_hash(content: str) -> str:
    """So that no other style or script runs on the page, whatever the text holds."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
