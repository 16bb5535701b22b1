"""The manifest: four files that prove what a run made of its source, for people and for data tools."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.speech import BadInput, Voice
from blocks.storage import folder
from tasks.captions import Cue, compose_srt, readable
from tasks.clips import Clip, Take
from tasks.cue_totals import cue_totals
from tasks.document import Document, fingerprint
from tasks.ledger import Ledger
from tasks.merge import Sound
from tasks.report import compose_report
from tasks.rows import compose_csv, rows
from tasks.source_place import address_of
from tasks.spend import Spend, costs_usd
from tasks.timeline import Timeline

GAP_MARK = "[not spoken]"
"""What stands in the subtitles before a text that is silence in the recording."""


@dataclass(frozen=True, slots=True)
class Run:
    """What the summary tells of the run itself."""

    id: str
    """Of the Prefect flow run."""
    settings: Mapping[str, str | float | bool]
    """The parameters that are neither source nor voice."""
    calls: int
    """That were made to the provider, failed ones too."""
    retries: int
    ledger: Ledger
    clips: int = 0
    """Files of single cues or paragraphs."""


@dataclass(frozen=True, slots=True)
class Manifest:
    rows: pd.DataFrame
    summary: dict[str, Any]
    json: Path
    csv: Path
    report: Path
    srt: Path | None
    """None when the run made no recording."""


def summary(
    document: Document,
    voice: Voice,
    takes: Sequence[Take],
    timeline: Timeline | None,
    sound: Sound | None,
    run: Run,
    directory: Path,
) -> dict[str, Any]:
    """The run as JSON. The recording's path is relative to `directory`; without a recording `audio` is null."""
    hashes = {
        "document": fingerprint(segment.text for segment in document.segments),
        "chunks": fingerprint(take.chunk.text for take in takes),
    }
    return {
        "run_id": run.id,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": {
            "path": document.source,
            "sha256": document.sha256,
            "encoding": document.encoding,
            "title": document.title,
        },
        "voice": asdict(voice),
        "settings": dict(run.settings),
        "totals": _totals(takes)
        | {
            "calls": run.calls,
            "retries": run.retries,
            "omissions": len(document.omissions),
            "duration_s": sound and round(sound.duration_s, 6),
        },
        "cues": cue_totals(document, takes, timeline) if document.timed else None,
        "conservation": hashes | {"equal": hashes["document"] == hashes["chunks"]},
        "spend": asdict(Spend.of(run.ledger.entries, voice)) | {"ledger": str(run.ledger.path)},
        "loudness": sound
        and {
            "target_lufs": run.settings["loudness"],
            "measured_lufs": sound.loudness_lufs,
            "true_peak_dbfs": sound.true_peak_dbfs,
            "gain_db": sound.gain_db,
        },
        "audio": sound
        and {
            "path": Path(os.path.relpath(sound.path, directory)).as_posix(),
            "format": sound.format,
            "bytes": sound.bytes,
            "sha256": sound.sha256,
            "sample_rate": sound.sample_rate,
            "samples": sound.samples,
            "duration_s": round(sound.duration_s, 6),
        },
        "clips": run.clips,
        "versions": versions(),
    }


def _totals(takes: Sequence[Take]) -> dict[str, Any]:
    clips = [take.outcome for take in takes if isinstance(take.outcome, Clip)]
    return {
        "chunks": len(takes),
        "characters": sum(len(take.chunk.text) for take in takes),
        "synthesised": sum(not clip.reused for clip in clips),
        "reused": sum(clip.reused for clip in clips),
        "failed": len(takes) - len(clips),
        "flagged": sum(bool(clip.flags) for clip in clips),
        "speech_s": round(sum(clip.speech_s for clip in clips), 3),
    }


def versions() -> dict[str, str]:
    return {
        "speech-flows": importlib.metadata.version("speech-flows"),
        "python": platform.python_version(),
        "prefect": importlib.metadata.version("prefect"),
        "ffmpeg": imageio_ffmpeg.get_ffmpeg_version(),
        "espeak-ng": importlib.metadata.version("espeakng-loader"),
    }


def check_source_stays(source: str, target: Path, place: Callable[[Path], str] = str) -> None:
    """Raises BadInput where the recording or a file beside it would take the source's place."""
    endings = (target.suffix, ".manifest.json", ".manifest.csv", ".srt", ".report.html")
    own = address_of(source)
    if any(place(target.with_suffix(ending)) == own for ending in endings):
        raise BadInput(f"{source} would be overwritten by what is made of it: choose another --output")


def write_manifest(
    document: Document,
    voice: Voice,
    takes: Sequence[Take],
    timeline: Timeline | None,
    sound: Sound | None,
    run: Run,
    target: Path,
) -> Manifest:
    """Write `<stem>.manifest.csv`, `.srt`, `.report.html` and, last, `.manifest.json` beside `target`, the recording.

    Raises RunFailed.
    Without a recording there is no `.srt`, and one that stands there from an earlier run stays, as its recording does.
    """
    table = rows(document, voice, takes, timeline, costs_usd(run.ledger.entries))
    directory, stem = target.parent, target.stem
    facts = summary(document, voice, takes, timeline, sound, run, directory)
    manifest = Manifest(
        rows=table,
        summary=facts,
        json=directory / f"{stem}.manifest.json",
        csv=directory / f"{stem}.manifest.csv",
        report=directory / f"{stem}.report.html",
        srt=directory / f"{stem}.srt" if timeline else None,
    )
    _write(manifest.csv, compose_csv(table))
    if manifest.srt:
        _write(manifest.srt, compose_srt(_cues(table)))
    _write(manifest.report, compose_report(table, facts, document, sound.peaks if sound else ()))
    _write(manifest.json, json.dumps(facts, ensure_ascii=False, indent=2, allow_nan=False) + "\n")
    return manifest


def _cues(table: pd.DataFrame) -> Iterator[Cue]:
    """What is heard when, in the order of time: the chunks of a text, and the cues of subtitles at their new times."""
    heard = table[table["start_s"].notna()].sort_values("start_s", kind="stable")
    whole = "chunk" if heard["cue_start_s"].isna().any() else "segment"
    columns = (heard[name] for name in (whole, "start_s", "end_s", "text", "status"))
    for _, group in groupby(zip(*columns, strict=True), key=itemgetter(0)):
        _, starts, ends, texts, statuses = zip(*group, strict=True)
        mark = "" if set(statuses) == {"ok"} else f"{GAP_MARK} "
        yield from readable(Cue(min(starts), max(ends), mark + " ".join(texts)))


def _write(path: Path, text: str) -> None:
    # A file name that is not UTF-8 reaches us as lone surrogates; `\\udcff` is what JSON writes for one, too.
    folder.replace(path, text.encode(errors="backslashreplace"))


manifest = task(name="manifest", cache_policy=NO_CACHE, persist_result=False)(write_manifest)
"""`write_manifest` as a task run."""
