"""What the merge costs beside a bare append of the same files, and whether its memory stays flat.

`uv run python tests/benchmarks/merge.py [--clips 10000]`: 1 GB of scratch space for each 10,000 clips of 2 s, a few
minutes. Each measurement has a process of its own; CPU is the least of three rounds, because machines are shared.
"""

import argparse
import contextlib
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from threading import Event

import numpy as np
import soundfile

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
RATE, CLIP_S = 24_000, 2
CPU_BOUND, MEMORY_BOUND_MB, GROWTH_BOUND_MB = 2.0, 150.0, 10.0


def make_clips(folder: Path, count: int) -> None:
    """Noise in syllables, different in each file."""
    random = np.random.default_rng(0)
    sound = random.standard_normal(RATE * 60) * np.sin(np.arange(RATE * 60) * 4 * np.pi / RATE) ** 2 * 3000
    speech = sound.astype(np.int16)
    for number in range(count):
        start = number * 7919 % (len(speech) - RATE * CLIP_S)
        path = folder / f"{number:05}.wav"
        soundfile.write(path, speech[start : start + RATE * CLIP_S], RATE, subtype="PCM_16")


def takes_of(folder: Path, count: int) -> list:
    from tasks.clips import Clip, Take
    from tasks.document import Boundary, Chunk

    takes = []
    for path in sorted(folder.iterdir())[:count]:
        data = path.read_bytes()
        length = RATE * CLIP_S
        clip = Clip(str(path), hashlib.sha256(data).hexdigest(), len(data), RATE, length, 0, length, -3.0, -20.0)
        takes.append(Take(Chunk("Some text.", 0, Boundary.SENTENCE), clip))
    return takes


def append(folder: Path, count: int, target: Path) -> None:
    """What the master is measured against."""
    with soundfile.SoundFile(target, "w", RATE, 1, format="RF64", subtype="PCM_16") as master:
        for path in sorted(folder.iterdir())[:count]:
            master.write(soundfile.read(path, dtype="int16")[0])


def measure(what: str, folder: Path, count: int, scratch: Path) -> dict[str, float]:
    """In this process, seconds and megabytes of one of `append`, `master` and a whole `merge` to mp3."""
    takes = [] if what == "append" else takes_of(folder, count)
    if what == "merge":
        from tasks.merge import merge_clips
    if what != "append":
        from tasks.master import write_master
        from tasks.timeline import choose_rate, lay_out

        timeline = lay_out(takes, choose_rate(takes))
    before_mb = peak_mb()
    ffmpeg_mb: list[float] = []
    threading.Thread(target=watch_children, args=(ffmpeg_mb,), daemon=True).start()
    cpu, wall = time.process_time(), time.monotonic()
    if what == "append":
        append(folder, count, scratch / "append.wav")
    elif what == "master":
        write_master(takes, timeline, scratch / "master.wav", Event())
    else:
        merge_clips(takes, timeline, scratch / "merge.mp3")
    return {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.monotonic() - wall,
        "before_mb": before_mb,
        "peak_mb": peak_mb(),
        "ffmpeg_mb": max(ffmpeg_mb, default=0.0),
    }


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def watch_children(peaks: list[float]) -> None:
    """Note the peak memory of each child (Linux). `getrusage` would count our own, which a child has until its exec."""
    while True:
        for children in Path("/proc/self/task").glob("*/children"):
            with contextlib.suppress(OSError):
                for child in children.read_text().split():
                    status = Path("/proc", child, "status").read_text()
                    if "Name:\tffmpeg" in status:
                        peaks.append(int(status.split("VmHWM:")[1].split()[0]) / 1024)
        time.sleep(0.1)


def apart(what: str, folder: Path, count: int, scratch: Path) -> dict[str, float]:
    """`measure` in a process of its own."""
    order = ["--measure", what, "--clips", str(count), "--folders", str(folder), str(scratch)]
    command = [sys.executable, __file__, *order]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(count: int) -> bool:
    with tempfile.TemporaryDirectory(prefix="merge-benchmark-") as place:
        folder, scratch = Path(place, "clips"), Path(place, "scratch")
        folder.mkdir()
        scratch.mkdir()
        make_clips(folder, count)
        rounds = [[apart(what, folder, count, scratch)["cpu_s"] for what in ("append", "master")] for _ in range(3)]
        bare, master = (min(column) for column in zip(*rounds, strict=True))
        few = apart("merge", folder, count // 10, scratch)
        many = apart("merge", folder, count, scratch)
    own = {clips: run["peak_mb"] - run["before_mb"] for clips, run in ((count // 10, few), (count, many))}
    growth = many["peak_mb"] - few["peak_mb"] - (many["before_mb"] - few["before_mb"])
    total = own[count] + many["ffmpeg_mb"]
    lines = [
        (f"CPU of the master of {count} clips", f"{master:.2f} s", f"{bare:.2f} s append", master / bare, CPU_BOUND),
        ("memory of the merge, ffmpeg included", f"{total:.0f} MB", "", total, MEMORY_BOUND_MB),
        (f"growth from {count // 10} to {count}", f"{growth:.1f} MB", "", growth, GROWTH_BOUND_MB),
    ]
    for name, value, beside, figure, bound in lines:
        print(f"{name:42} {value:>10} {beside:>16} {figure:8.2f} <= {bound:<6} {'PASS' if figure <= bound else 'FAIL'}")
    print(
        f"the whole merge to mp3: {many['wall_s']:.0f} s, {many['cpu_s']:.1f} s CPU beside ffmpeg's, which holds "
        f"{many['ffmpeg_mb']:.0f} MB; our process {many['before_mb']:.0f} MB before (Prefect, mostly), "
        f"{many['peak_mb']:.0f} MB at most"
    )
    return all(figure <= bound for *_, figure, bound in lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--measure", choices=["append", "master", "merge"], help=argparse.SUPPRESS)
    parser.add_argument("--folders", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.folders[0], options.clips, options.folders[1])))
    else:
        sys.exit(0 if main(options.clips) else 1)
