"""What a run of `narrate` returns: where everything is, what it took, and a face for notebooks."""

import base64
import html
import io
import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, PrivateAttr

from blocks.speech import RunFailed
from blocks.storage import Storage, is_remote
from blocks.storage.places import storage_at
from tasks.clips import Failure, Take
from tasks.document import Document
from tasks.manifest import Manifest
from tasks.output import Output
from tasks.rows import read_rows

EMBEDDED_BYTES = 20_000_000
"""A longer recording would make the notebook file itself slow: it is linked instead."""
MEDIA = {"mp3": "audio/mpeg", "m4b": "audio/mp4", "flac": "audio/flac", "opus": "audio/ogg", "wav": "audio/wav"}


class Unspoken(BaseModel):
    """A chunk that failed for good."""

    model_config = ConfigDict(frozen=True)

    chunk: int
    segment: int
    line: int
    text: str
    error: str
    """The name of the error's class."""
    reason: str


class Recording(BaseModel):
    """The merged speech of one document. Places are absolute paths, or URIs."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    audio: str | None
    """None when chunks failed, unless gaps were allowed."""
    audio_bytes: int
    manifest_json: str
    manifest_csv: str
    subtitles: str | None
    clips: str | None
    """The folder of the single cues' or paragraphs' files, where they were asked for."""
    report: str
    duration_s: float
    loudness_lufs: float | None
    """As measured on the finished recording; None where it is too short or silent."""
    chunks: int
    synthesised: int
    reused: int
    failures: tuple[Unspoken, ...]
    calls: int
    retries: int
    flagged: int
    """Clips that are odd, and in the recording all the same."""
    cues: dict[str, int | float] | None
    """Of subtitles: how many cues, and how many of them were repaired, sped up, late and so on; see the manifest."""
    cost_usd: float | None
    """Billed for certain in this run, at list prices; None where no price is known."""
    wasted_usd: float | None
    """Of that, for answers that are not in the recording."""
    unknown_usd: float | None
    """At most so much more, for calls that nobody answered."""
    elapsed_s: float
    _storage: Storage | None = PrivateAttr(default=None)

    @property
    def manifest(self) -> pd.DataFrame:
        """A row for each chunk and for each piece of the source that became none."""
        return read_rows(io.BytesIO(self._read(self.manifest_csv)))

    def _read(self, place: str) -> bytes:
        folder, name = place.rsplit("/", 1) if is_remote(place) else os.path.split(place)
        return (self._storage or storage_at(folder)).read(name)

    def _repr_html_(self) -> str:
        if not self.audio:
            return f"<p>No recording: {len(self.failures)} of {self.chunks} chunks failed.</p>"
        sound = PurePath(self.audio)
        if self.audio_bytes <= EMBEDDED_BYTES:
            data = base64.b64encode(self._read(self.audio)).decode()
            place = f"data:{MEDIA[sound.suffix[1:]]};base64,{data}"
        else:
            place = self.audio if is_remote(self.audio) else Path(sound).as_uri()
        return (
            f'<audio controls preload="metadata" src="{html.escape(place)}"></audio>'
            f"<p>{html.escape(sound.name)}: {self.duration_s:.1f} s, {self.chunks} chunks, "
            f"{self.synthesised} synthesised, {self.reused} from the shelf.</p>"
        )

    def as_json(self) -> dict[str, Any]:
        """For programs that read the terminal's output."""
        facts = self.model_dump(mode="json")
        facts["manifest"] = facts.pop("manifest_json")
        facts["failed"] = len(self.failures)
        return facts


def recorded(
    manifest: Manifest, output: Output, takes: Sequence[Take], document: Document, elapsed_s: float
) -> Recording:
    """What the manifest says, as the flow's result."""
    facts, totals = manifest.summary, manifest.summary["totals"]
    recording = Recording(
        run_id=facts["run_id"],
        audio=output.place(output.target) if facts["audio"] else None,
        audio_bytes=facts["audio"]["bytes"] if facts["audio"] else 0,
        manifest_json=output.place(manifest.json),
        manifest_csv=output.place(manifest.csv),
        subtitles=output.place(manifest.srt) if manifest.srt else None,
        clips=output.place(output.clips) if facts["clips"] else None,
        report=output.place(manifest.report),
        duration_s=facts["audio"]["duration_s"] if facts["audio"] else 0.0,
        loudness_lufs=facts["loudness"]["measured_lufs"] if facts["loudness"] else None,
        chunks=totals["chunks"],
        synthesised=totals["synthesised"],
        reused=totals["reused"],
        failures=tuple(
            Unspoken(
                chunk=number,
                segment=take.chunk.segment,
                line=document.segments[take.chunk.segment].line,
                text=take.chunk.text,
                error=take.outcome.error,
                reason=take.outcome.reason,
            )
            for number, take in enumerate(takes)
            if isinstance(take.outcome, Failure)
        ),
        calls=totals["calls"],
        retries=totals["retries"],
        flagged=totals["flagged"],
        cues=facts["cues"],
        cost_usd=facts["spend"]["cost_usd"],
        wasted_usd=facts["spend"]["wasted_usd"],
        unknown_usd=facts["spend"]["unknown_usd"],
        elapsed_s=round(elapsed_s, 2),
    )
    recording._storage = output.storage  # noqa: SLF001 - no field: it holds credentials
    return recording


class Incomplete(RunFailed):
    """Some chunks failed for good; what was spoken is kept, and the manifest and the report are written."""

    def __init__(self, recording: Recording) -> None:
        first = recording.failures[0]
        fit = all(failure.error == "TooLong" for failure in recording.failures)
        again = "nothing of it has to be spoken again" if fit else "run the same command again to try only these"
        super().__init__(
            f"{len(recording.failures)} of {recording.chunks} chunks failed, the first at line {first.line} "
            f"({first.text[:40]!r}): {first.reason}. The rest is kept: {again}. "
            f"See {recording.report}"
        )
        self.recording = recording
