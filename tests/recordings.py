"""Runs that never happened: what the stages before the manifest would have handed it."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from blocks.speech import Voice
from tasks.clips import Clip, Failure, Take
from tasks.document import Boundary, Chunk, Document, Omission, Segment
from tasks.ledger import Ledger
from tasks.manifest import Run
from tasks.merge import Sound
from tasks.timeline import Placement, Timeline

RATE = 8_000
SPEECH = 4_001
"""Samples of each clip's speech: half a second and one sample, so that rounding shows."""
GAP = 800


def run(
    directory: Path,
    texts: Sequence[str],
    *,
    stem: str = "book",
    title: str = "A Book",
    failures: Mapping[int, Failure] | None = None,
    flags: Mapping[int, tuple[str, ...]] | None = None,
    omissions: Sequence[Omission] = (),
    recorded: bool = True,
) -> dict[str, Any]:
    """The arguments of `write_manifest`.

    Each text is a paragraph on a line of its own, `# ` before it makes it a heading, `|` in it cuts it into chunks.
    """
    failures, flags = failures or {}, flags or {}
    segments: list[Segment] = []
    chunks: list[Chunk] = []
    section = ""
    for number, text in enumerate(texts):
        level = 1 if text.startswith("# ") else 0
        plain = text.removeprefix("# ")
        section = plain if level else section
        segments.append(Segment(plain.replace("|", " "), 2 * number + 1, section, level))
        chunks += [Chunk(piece, number, Boundary.PARAGRAPH) for piece in plain.split("|")]
    takes = [
        Take(chunk, failures.get(number) or _clip(chunk.text, number, flags.get(number, ())))
        for number, chunk in enumerate(chunks)
    ]
    starts = [GAP + number * (SPEECH + GAP) for number in range(len(takes))]
    length = (starts[-1] if starts else 0) + SPEECH + GAP
    timeline = Timeline(
        RATE,
        tuple(Placement(start, start + SPEECH, gap=number in failures) for number, start in enumerate(starts)),
        length,
    )
    return {
        "document": Document("/texts/book.md", "0" * 64, "utf-8", title, tuple(segments), tuple(omissions)),
        "voice": Voice("espeak", "en-gb", "en-GB"),
        "takes": takes,
        "timeline": timeline if recorded else None,
        "sound": _sound(directory / f"{stem}.wav", length) if recorded else None,
        "run": Run(
            "quiet-otter",
            {"format": "wav", "loudness": -16.0},
            calls=4,
            retries=2,
            ledger=Ledger(directory / "ledger.jsonl"),
        ),
        "target": directory / f"{stem}.wav",
    }


def _clip(text: str, number: int, flags: tuple[str, ...]) -> Clip:
    return Clip(
        uri=f"/shelf/{number}.wav",
        sha256=hashlib.sha256(text.encode(errors="replace")).hexdigest(),
        bytes=9_000,
        sample_rate=RATE,
        samples=SPEECH + 400,
        speech_start=100,
        speech_end=100 + SPEECH,
        peak_dbfs=-3.25,
        rms_dbfs=-20.5,
        flags=flags,
        attempts=0 if number == 1 else 1,
        reused=number == 1,
    )


def _sound(path: Path, samples: int) -> Sound:
    soundfile.write(path, np.sin(np.arange(samples) / 8).astype("float32") / 8, RATE)
    return Sound(
        path=path,
        format="wav",
        sample_rate=RATE,
        samples=samples,
        duration_s=samples / RATE,
        loudness_lufs=-16.02,
        gain_db=3.5,
        true_peak_dbfs=-1.5,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        bytes=path.stat().st_size,
        peaks=(0.0, 0.5, 1.0, 0.5),
    )
