"""The clips of a document become one recording: master, gain and encoding, proof, and only then its name."""

import contextlib
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.speech import BadInput, RunFailed
from tasks.clips import Clip, Take
from tasks.encode import FORMATS, Format, Labels, encode, find_gain
from tasks.ffmpeg import FULL, DiskFull
from tasks.heard import read_file
from tasks.master import write_master
from tasks.owner import sign, sweep
from tasks.stopping import in_thread
from tasks.survey import Survey, survey
from tasks.timeline import Timeline

TARGET_LUFS = -16.0
"""What podcasts and audiobooks agree on."""
SLACK_S = 0.05
"""Some decoders give an AAC file one frame more than was put in."""
ABANDONED_S = 3600.0
"""A scratch folder in which nothing was written for so long belonged to a run that was killed."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A finished recording, as measured on its file."""

    path: Path
    """Absolute."""
    format: str
    sample_rate: int
    samples: int
    duration_s: float
    loudness_lufs: float | None
    """None for silence and for less than 400 ms."""
    gain_db: float
    true_peak_dbfs: float | None
    """None for silence."""
    sha256: str
    bytes: int
    peaks: tuple[float, ...]
    """The loudest sample of each of up to 1,200 equal stretches, 0 to 1."""


def check_target(target: Path) -> None:
    """Refuse, before anything is spoken, a place where no recording can be written; its folder is made if missing.

    Raises BadInput.
    """
    format_of(target)
    longest = target.with_suffix(".manifest.json")
    try:
        if target.is_dir():
            raise BadInput(f"{target} is a folder; name a file in it")
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            longest.stat()  # tells of a name that is too long
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadInput(f"cannot write {target}: {reason}; choose another --output") from error


def format_of(target: Path) -> Format:
    """By the name's ending. Raises BadInput."""
    try:
        return FORMATS[target.suffix[1:].lower()]
    except KeyError as error:
        raise BadInput(
            f"unknown format {target.suffix[1:]!r} of {target.name}: choose one of {', '.join(FORMATS)}"
        ) from error


def merge_clips(
    takes: Sequence[Take],
    timeline: Timeline,
    target: Path,
    *,
    labels: Labels = Labels(),  # noqa: B008 - frozen
    target_lufs: float = TARGET_LUFS,
    read: Callable[[Clip], bytes] = read_file,
    stop: Event | None = None,
) -> Sound:
    """Make the recording; what stands under its name stays until the new one is proved. Setting `stop` ends it soon.

    Raises RunFailed: a clip is missing or changed, the disk is full, ffmpeg failed, or the result is too short.
    """
    stop = stop or Event()
    kind = format_of(target)
    target = target.absolute()
    need = room(timeline, kind)
    try:
        with scratch(target) as folder:
            check_room(folder, need)
            master, result = folder / "master.wav", folder / f"result{target.suffix.lower()}"
            write_master(takes, timeline, master, stop, read)
            gain_db = find_gain(master, timeline, kind, target_lufs, stop)
            encode(master, timeline, kind, result, gain_db=gain_db, labels=labels, stop=stop)
            heard = survey(result, kind, timeline, stop)
            prove(heard, timeline, kind)
            return publish(result, target, heard, gain_db)
    except (DiskFull, OSError) as error:
        if isinstance(error, OSError) and error.errno not in FULL:
            raise RunFailed(f"cannot write {target}: {error.strerror}; finished clips are kept") from error
        free = shutil.disk_usage(target.parent).free
        missing = need - free if free < need else need  # a quota or limit tells nothing of itself
        raise RunFailed(
            f"the disk of {target.parent} is full: free {-(-missing // 1_000_000)} MB and run the same command again; "
            "finished clips are kept"
        ) from error


def room(timeline: Timeline, kind: Format) -> int:
    """Bytes that the master and the result take at most, at the same time."""
    master = 2 * timeline.length
    return master + (master if kind.lossless else 16_000 * timeline.length // timeline.rate) + 1_000_000


def check_room(folder: Path, need: int) -> None:
    """Raises DiskFull, before minutes are spent on finding it out."""
    if shutil.disk_usage(folder).free < need:
        raise DiskFull("there is no room for the recording")


@contextlib.contextmanager
def scratch(target: Path) -> Iterator[Path]:
    """A hidden folder beside the target: so the last step is a rename, and a full disk shows before it."""
    prefix = f".{target.stem[:20]}."  # the whole name may be as long as the file system allows
    sweep(target.parent.glob(f"{glob.escape(prefix)}*.merging"), ABANDONED_S)
    with tempfile.TemporaryDirectory(prefix=prefix, suffix=".merging", dir=target.parent) as folder:
        sign(Path(folder))
        yield Path(folder)


def prove(heard: Survey, timeline: Timeline, kind: Format) -> None:
    """Raises RunFailed when the decoded recording is not as long as the timeline."""
    expected_s, heard_s = timeline.length / timeline.rate, heard.samples / heard.sample_rate
    if abs(heard_s - expected_s) > (0 if kind.lossless else SLACK_S):
        raise RunFailed(f"the encoded recording lasts {heard_s:.3f} s instead of {expected_s:.3f} s")


def publish(result: Path, target: Path, heard: Survey, gain_db: float) -> Sound:
    with result.open("rb+") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = result.stat().st_size
    result.replace(target)
    return Sound(
        path=target,
        format=target.suffix[1:].lower(),
        sample_rate=heard.sample_rate,
        samples=heard.samples,
        duration_s=heard.samples / heard.sample_rate,
        loudness_lufs=heard.loudness_lufs,
        gain_db=gain_db,
        true_peak_dbfs=heard.true_peak_dbfs,
        sha256=digest,
        bytes=size,
        peaks=heard.peaks,
    )


@task(name="merge", cache_policy=NO_CACHE, persist_result=False)
async def merge(
    takes: Sequence[Take],
    timeline: Timeline,
    target: Path,
    labels: Labels = Labels(),  # noqa: B008 - frozen
    target_lufs: float = TARGET_LUFS,
    read: Callable[[Clip], bytes] = read_file,
) -> Sound:
    """`merge_clips` in a thread; cancelled, it kills ffmpeg and removes what is half done before it ends.

    Wrap takes and timeline in Prefect's `opaque`: it would walk through 10,000 of them for more than two seconds.
    """

    def made(stop: Event) -> Sound:
        return merge_clips(takes, timeline, target, labels=labels, target_lufs=target_lufs, read=read, stop=stop)

    return await in_thread(made)
