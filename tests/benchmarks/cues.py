"""Whether each cue is heard when it starts: measured on the decoded recordings, beside the memory of their merge.

`uv run python tests/benchmarks/cues.py [--cues 3000]`: 3,000 cues over three hours, two of five stretched to fit, in
each format; some fifteen minutes, 2 GB of scratch space. Each merge has a process of its own.
"""

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Event

import numpy as np
import soundfile

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
RATE, VOICES = 24_000, 40
BOUNDS_MS = {"wav": 1.0, "flac": 1.0, "mp3": 25.0, "opus": 25.0, "m4b": 25.0}
AROUND_S = 0.028
"""How far before and after its start a cue is looked for, which is beyond the widest bound: speech ends at least 50 ms
before the next cue, but a frame of AAC smears it for some 20 ms."""
EDGE_DB = {"wav": -40.0, "flac": -40.0, "mp3": -30.0, "opus": -30.0, "m4b": -30.0}
"""What is heard of a clip, beside its loudest: as its onset was found; above the noise of what loses something."""
TOLERANCE_DB = 0.3
"""Gains are rounded to samples: what is so near the edge may fall on either side of it."""
GROWTH_BOUND = 1.3


def make_clips(folder: Path) -> None:
    """Syllables of a voice with its overtones, 1.5 to 5 s, after a breath that is too soft to be heard."""
    random = np.random.default_rng(0)
    for number in range(VOICES):
        times = np.arange(round(random.uniform(1.5, 5.0) * RATE)) / RATE
        pitch = np.cumsum(110 + number * 3 + 15 * np.sin(3 * times)) / RATE
        voice = sum(np.sin(2 * np.pi * pitch * tone) / tone for tone in range(1, 12))
        speech = voice * (0.15 + np.abs(np.cos(2 * np.pi * 2.5 * times)))
        breath = 0.0003 * random.standard_normal(round(random.uniform(0, 0.3) * RATE))
        sound = np.concatenate([breath, 0.6 * speech / np.abs(speech).max(), np.zeros(RATE // 10)])
        soundfile.write(folder / f"{number:02}.wav", sound, RATE, subtype="PCM_16")


def cues(folder: Path, count: int) -> tuple:
    """The takes of so many cues and their timeline; each of them fits at 1.3 times the speed."""
    from tasks.clips import Clip, Take
    from tasks.document import Boundary, Chunk, Segment, Window
    from tasks.fit import fit_cues
    from tasks.verify import measure

    clips = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        facts = measure(data)
        spoken = facts.speech_start, facts.speech_end, facts.peak_dbfs, facts.rms_dbfs, facts.onset
        digest = hashlib.sha256(data).hexdigest()
        clips.append(Clip(str(path), digest, len(data), RATE, facts.samples, *spoken))
    random = np.random.default_rng(1)
    takes, segments, start_ms = [], [], 777
    for number in range(count):
        clip = clips[int(random.integers(VOICES))]
        tempo = random.uniform(1.05, 1.3) if random.random() < 0.4 else random.uniform(0.5, 0.95)
        room_ms = round(1000 * clip.speech_s / tempo) + 50
        segments.append(Segment("Some text.", 1, window=Window(start_ms, start_ms + room_ms - 50, number + 1)))
        takes.append(Take(Chunk("Some text.", number, Boundary.PARAGRAPH), clip))
        start_ms += room_ms
    return takes, fit_cues(segments, takes, RATE)


def merged(folder: Path, count: int, target: Path) -> dict[str, float]:
    """In this process: the seconds and the memory of a merge."""
    from tasks.merge import merge_clips

    takes, timeline = cues(folder, count)
    before, begun = peak_mb(), time.monotonic()
    merge_clips(takes, timeline, target)
    return {"wall_s": time.monotonic() - begun, "before_mb": before, "peak_mb": peak_mb()}


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def apart(folder: Path, count: int, target: Path) -> dict[str, float]:
    """`merged` in a process of its own."""
    command = [sys.executable, __file__, "--cues", str(count), "--merge", str(folder), str(target)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def errors_ms(folder: Path, count: int, target: Path) -> np.ndarray:
    """How far from the start of each cue its first sound is in the decoded recording; it is deleted."""
    from tasks.ffmpeg import ffmpeg

    raw = target.with_suffix(".raw")
    order = ["-i", f"file:{target}", "-f", "s16le", "-ar", str(RATE), "-ac", "1", "-y", f"file:{raw}"]
    ffmpeg(order, 3600, Event(), lambda stream: stream.read())
    target.unlink()
    sound = np.memmap(raw, "<i2", "r")
    _, timeline = cues(folder, count)
    assert not any(fit.late for fit in timeline.fits.values()), "the cues were made to fit"
    around, edge_db = round(AROUND_S * RATE), EDGE_DB[target.suffix[1:]]
    errors = []
    for number, place in enumerate(timeline.placements):
        start = timeline.fits[number].start
        near = np.abs(sound[start - around : start + around].astype(np.int32))
        loudest = np.abs(sound[place.start : place.end].astype(np.int32)).max()
        early, late = (
            first_above(near, loudest * 10 ** ((edge_db + margin) / 20)) - around
            for margin in (TOLERANCE_DB, -TOLERANCE_DB)
        )
        errors.append(1000 * max(0, -early, late) / RATE)
    raw.unlink()
    return np.array(errors)


def first_above(level: np.ndarray, edge: float) -> int:
    return int((level > edge).argmax()) if (level > edge).any() else len(level)


def main(count: int) -> bool:
    """A row for each format; whether all keep to their bounds."""
    good = []
    with tempfile.TemporaryDirectory(prefix="cues-benchmark-") as place:
        folder = Path(place, "clips")
        folder.mkdir()
        make_clips(folder)
        _, timeline = cues(folder, count)
        sped = sum(place.tempo != 1 for place in timeline.placements)
        print(f"{count} cues in {timeline.length / RATE / 3600:.2f} h, {sped} of them stretched")
        print(f"{'start errors':12} {'median':>9} {'99 %':>9} {'worst':>9}  bound")
        # First, while this process is small: a child counts the memory of who started it as its own.
        few = apart(folder, count // 10, Path(place, "few.wav"))
        runs = {}
        for kind, bound in BOUNDS_MS.items():
            target = Path(place, f"cues.{kind}")
            runs[kind] = apart(folder, count, target)
            errors = errors_ms(folder, count, target)
            good.append(bool(errors.max() <= bound))
            figures = " ".join(f"{value:6.2f} ms" for value in (*np.percentile(errors, [50, 99]), errors.max()))
            told = "PASS" if good[-1] else "FAIL"
            print(f"{kind:12} {figures}  {bound:4.0f} ms {told}, merged in {runs[kind]['wall_s']:.0f} s", flush=True)
    growth = runs["wav"]["peak_mb"] / few["peak_mb"]
    good.append(growth <= GROWTH_BOUND)
    told = "PASS" if good[-1] else "FAIL"
    print(
        f"memory of the merge: {runs['wav']['peak_mb']:.0f} MB ({runs['wav']['before_mb']:.0f} before), with a "
        f"tenth of the cues {few['peak_mb']:.0f} MB: {growth:.2f} <= {GROWTH_BOUND} {told}"
    )
    return all(good)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cues", type=int, default=3_000)
    parser.add_argument("--merge", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.merge:
        print(json.dumps(merged(options.merge[0], options.cues, options.merge[1])))
    else:
        sys.exit(0 if main(options.cues) else 1)
