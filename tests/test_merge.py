"""From clips to one recording: every click in its place, as loud as asked, whole or not there at all."""

import asyncio
import hashlib
import os
import re
import resource
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile

from blocks.speech import BadInput, RunFailed
from tasks.clips import Clip, Take
from tasks.document import Boundary, Chunk
from tasks.encode import FORMATS, Labels
from tasks.ffmpeg import DiskFull, ffmpeg
from tasks.master import write_master
from tasks.merge import Sound, check_room, check_target, merge, merge_clips
from tasks.survey import REACH, true_peak
from tasks.timeline import Placement, Timeline, lay_out, stretched

RATE = 24_000
CLICK = 2400
"""Where each clip's click stands in its speech."""
TRIM = 240
NASTY = "A = b; #1 \\ “é” — 一"
NASTY_READ = NASTY.replace("\\", "")
"""As ffmpeg gives it back, once its own escapes are taken away."""


def murmur(seconds: float, seed: int = 0, *, rate: int = RATE) -> np.ndarray:
    """Something as uneven as speech: noise in syllables, with one peak that the limiter must hold."""
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    sound = 0.04 * noise * np.sin(np.linspace(0, 4 * np.pi * seconds, len(noise))) ** 2
    sound[CLICK : CLICK + 1] = 0.9
    return sound


def shelve(folder: Path, sound: np.ndarray, rate: int = RATE, *, trim: int = 0, **form: str) -> Clip:
    """A clip with `trim` samples to cut at either end."""
    path = folder / f"clip{len(list(folder.iterdir()))}.wav"
    soundfile.write(path, sound, rate, **({"subtype": "PCM_16"} | form))
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return Clip(str(path), digest, len(data), rate, len(sound), trim, len(sound) - trim, -1.0, -20.0)


def takes_of(*clips: Clip) -> list[Take]:
    return [Take(Chunk(f"Text number {n}.", n, Boundary.SENTENCE), clip) for n, clip in enumerate(clips)]


def decode(path: Path) -> np.ndarray:
    """By ffmpeg, at the rate of the clips."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", path, "-f", "f32le", "-ar", str(RATE), "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, "<f4")


def inspect(path: Path, *options: str) -> str:
    """What ffmpeg tells of a file."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "info", "-hide_banner", "-i", path, *options, "-"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return done.stdout or done.stderr


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder for recordings: at a test's end it holds these and nothing else."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


@dataclass(frozen=True)
class Merged:
    """A recording of eight clips, a chapter for each but the first."""

    timeline: Timeline
    labels: Labels
    sound: Sound
    left: list[str]
    """What stands in its folder."""


@pytest.fixture(scope="module", params=FORMATS)
def merged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Merged:
    shelf, place = tmp_path_factory.mktemp("shelf"), tmp_path_factory.mktemp("place")
    takes = takes_of(*[shelve(shelf, murmur(1.234, seed), trim=TRIM * seed) for seed in range(8)])
    timeline = lay_out(takes, RATE)
    chapters = tuple((spot.start, f"{n} {NASTY}") for n, spot in enumerate(timeline.placements[1:], 1))
    labels = Labels(NASTY, "Jane Doe", "Album", "en-GB", chapters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")  # no system package is needed
        sound = merge_clips(takes, timeline, place / f"a.{request.param}", labels=labels)
    return Merged(timeline, labels, sound, names(place))


def test_every_clip_is_in_its_place(merged: Merged) -> None:
    """Gain, limiter and encoder shift nothing: 1 ms in wav and flac, 25 ms elsewhere."""
    heard = decode(merged.sound.path)
    for number, spot in enumerate(merged.timeline.placements):
        said = murmur(1.234, number)[TRIM * number :][: spot.end - spot.start]
        # The click is a peak in the cross-correlation even where the limiter has made it as low as the rest.
        part = np.fft.rfft(heard[spot.start : spot.end]) * np.conj(np.fft.rfft(said))
        lag = int(np.argmax(np.fft.irfft(part, len(said))))
        error_ms = (lag if lag < len(said) / 2 else lag - len(said)) / RATE * 1000
        assert abs(error_ms) <= (1 if FORMATS[merged.sound.format].lossless else 25)
    assert merged.sound.gain_db > 5, "the limiter had nothing to do"


def test_the_whole_file_and_nothing_else(merged: Merged) -> None:
    """The recording is as long as its timeline, the facts are those of the file, and nothing stands beside it."""
    sound, expected_s = merged.sound, merged.timeline.length / RATE
    assert sound.duration_s == pytest.approx(expected_s, abs=0 if FORMATS[sound.format].lossless else 0.05)
    assert len(decode(sound.path)) / RATE == pytest.approx(sound.duration_s, abs=1e-4)
    assert (sound.samples / sound.sample_rate, sound.bytes) == (sound.duration_s, sound.path.stat().st_size)
    assert sound.sha256 == hashlib.sha256(sound.path.read_bytes()).hexdigest()
    assert merged.left == [f"a.{sound.format}"]


def test_loudness_is_reached_and_told_truly(merged: Merged) -> None:
    """The recording is within 0.5 LU of -16 LUFS, and ffmpeg's own meters agree with what the Sound says."""
    sound = merged.sound
    summary = inspect(sound.path, "-af", "ebur128=peak=true:framelog=quiet", "-f", "null")
    assert sound.loudness_lufs == pytest.approx(float(re.findall(r"I:\s+(\S+) LUFS", summary)[-1]), abs=0.15)
    assert sound.loudness_lufs == pytest.approx(-16, abs=0.5)
    assert sound.true_peak_dbfs == pytest.approx(float(re.findall(r"Peak:\s+(\S+) dBFS", summary)[-1]), abs=0.3)
    if FORMATS[sound.format].lossless:
        assert sound.true_peak_dbfs <= -1.5


def test_the_waveform_follows_the_sound(merged: Merged) -> None:
    """At most 1,200 points from 0 to 1: silent in the lead-in, highest at the clicks."""
    peaks = merged.sound.peaks
    assert 200 < len(peaks) <= 1200
    start, second = (int(len(peaks) * seconds / merged.sound.duration_s) for seconds in (0.08, 1.0))
    assert max(peaks[:start]) < 0.01 < max(peaks[start:second])
    assert max(peaks) == pytest.approx(10 ** (merged.sound.true_peak_dbfs / 20), abs=0.1)


def test_chapters_and_tags(merged: Merged) -> None:
    """Chapters begin within 50 ms of their sample, from the file's start on, and titles survive any character."""
    tags_of = ["-map_metadata", "0:s:0"] if merged.sound.format == "opus" else []
    told = inspect(merged.sound.path, *tags_of, "-f", "ffmetadata").replace("\\", "")
    tags, *chapters = told.split("[CHAPTER]\n")
    if merged.sound.format != "wav":
        found = [re.findall(r"^(?:TIMEBASE=1/|START=|title=)(.*)$", chapter, re.MULTILINE) for chapter in chapters]
        assert [title for *_, title in found] == [NASTY_READ, *(f"{n} {NASTY_READ}" for n in range(1, 8))]
        starts = [0.0, *(start / RATE for start, _ in merged.labels.chapters)]
        assert [int(start) / int(base) for base, start, _ in found] == pytest.approx(starts, abs=0.05)
    expected = {
        "title": NASTY_READ,
        "artist": "Jane Doe",
        "album": "Album",
        "comment": "Synthetic speech",
        "language": "en-GB",
    }
    for tag, value in expected.items():
        found_tag = re.search(rf"^{tag}={re.escape(value)}", tags, re.MULTILINE | re.IGNORECASE)
        assert found_tag or (merged.sound.format, tag) == ("m4b", "language")


@pytest.mark.parametrize("seconds", [0.05, 3.0])
def test_silence_has_no_loudness(seconds: float, shelf: Path, place: Path) -> None:
    """Silence, and speech too short to measure, are neither amplified nor given a number."""
    takes = takes_of(shelve(shelf, np.zeros(round(seconds * RATE))))
    timeline = Timeline(RATE, lay_out(takes, RATE).placements, lay_out(takes, RATE).placements[0].end)
    sound = merge_clips(takes, timeline, place / "a.wav")
    assert (sound.loudness_lufs, sound.gain_db, sound.true_peak_dbfs, set(sound.peaks)) == (None, 0.0, None, {0.0})


def test_the_same_speech_gives_the_same_file(shelf: Path, place: Path) -> None:
    """Two merges of the same clips are equal to the byte, even in formats that like dates and random numbers."""
    takes = takes_of(shelve(shelf, murmur(1.0)))
    timeline = lay_out(takes, RATE)
    for suffix in ("opus", "m4b"):
        first, second = (merge_clips(takes, timeline, place / f"{name}.{suffix}").sha256 for name in "ab")
        assert first == second


def test_the_master_is_the_clips(shelf: Path, place: Path) -> None:
    """Every sample is the clip's own but for 5 ms at each end, which fade to nothing; between clips is silence."""
    takes = takes_of(
        *[shelve(shelf, murmur(0.5, seed), trim=seed * 10) for seed in range(5)], shelve(shelf, murmur(0.0002))
    )
    timeline = lay_out(takes, RATE)
    write_master(takes, timeline, place / "master.wav", Event())
    master, _ = soundfile.read(place / "master.wav", dtype="int16")
    assert len(master) == timeline.length
    for take, spot in zip(takes, timeline.placements, strict=True):
        clip = take.outcome
        assert isinstance(clip, Clip)
        said, _ = soundfile.read(clip.uri, dtype="int16", start=clip.speech_start, stop=clip.speech_end)
        inner = slice(120, len(said) - 120)
        assert np.array_equal(master[spot.start : spot.end][inner], said[inner])
        assert master[spot.start] == 0
        assert abs(int(master[spot.end - 1])) <= abs(int(said[-1])) // 2
        master[spot.start : spot.end] = 0
    assert not master.any()


def test_cues_may_stand_anywhere(shelf: Path, place: Path) -> None:
    """In any order, cut short, stretched, and two at one time: each is heard where it is placed, and nowhere else."""
    takes = takes_of(*[shelve(shelf, murmur(1.0, seed), trim=480) for seed in range(4)])
    length = RATE - 960
    spots = (
        Placement(5 * RATE, 5 * RATE + length),
        Placement(3 * RATE, 3 * RATE + stretched(length, 1.25), tempo=1.25),
        Placement(RATE, RATE + 9_600),
        Placement(5 * RATE + 12_000, 5 * RATE + 12_000 + length),
    )
    write_master(takes, Timeline(RATE, spots, 7 * RATE), place / "master.wav", Event())
    master = soundfile.read(place / "master.wav", dtype="int16")[0].astype(int)
    said = [soundfile.read(take.outcome.uri, dtype="int16")[0][480:-480].astype(int) for take in takes]
    assert len(master) == 7 * RATE
    assert np.array_equal(master[RATE:][120:8_880], said[2][120:8_880]), "cut short"
    assert np.abs(master[RATE + 9_360 : RATE + 9_600]).max() < np.abs(said[2][9_360:9_600]).max() / 2, "faded"
    assert np.array_equal(master[5 * RATE :][120:11_520], said[0][120:11_520]), "alone"
    both = (said[0][12_000:] + said[3][: length - 12_000]) / np.sqrt(2)
    inner = slice(120, len(both) - 120)
    assert np.abs(master[5 * RATE + 12_000 :][: len(both)][inner] - both[inner]).max() <= 1, "together"
    click = int(np.abs(master[3 * RATE : 4 * RATE]).argmax())
    assert click == pytest.approx((CLICK - 480) / 1.25, abs=RATE // 100)
    for spot in spots:
        assert master[spot.start : spot.end].any()
    for spot in spots:
        master[spot.start : spot.end] = 0
    assert not master.any()


@pytest.mark.parametrize(
    ("rate", "channels", "form"),
    [
        (44_100, 2, {"subtype": "FLOAT"}),
        (RATE, 1, {"subtype": "DOUBLE"}),
        (8000, 1, {"subtype": "PCM_U8"}),
        (48_000, 3, {"subtype": "PCM_24"}),
        (22_050, 1, {"format": "MP3", "subtype": "MPEG_LAYER_III"}),
        (RATE, 1, {"format": "FLAC"}),
    ],
)
def test_any_clip_conforms(
    shelf: Path, rate: int, channels: int, form: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    """A clip of another rate, width or number of channels keeps its level and fills exactly its place."""
    tone = 0.3 * np.sin(np.arange(rate) * 2 * np.pi * 300 / rate)
    takes = takes_of(shelve(shelf, np.repeat(tone[:, None], channels, axis=1), rate, trim=rate // 10, **form))
    timeline = lay_out(takes, RATE)
    write_master(takes, timeline, shelf / "master.wav", Event())
    master, _ = soundfile.read(shelf / "master.wav")
    (spot,) = timeline.placements
    assert spot.end - spot.start == RATE * 8 // 10
    for part in np.split(master[spot.start + 120 : spot.end - 120], 8):
        assert np.sqrt(np.mean(part**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.08)
    assert capfd.readouterr().err == ""


def spoil_missing(path: Path) -> None:
    path.unlink()


def spoil_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1000)


def spoil_changed(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2] + b"!!")


@pytest.mark.parametrize("spoil", [spoil_missing, spoil_short, spoil_changed])
def test_a_spoilt_clip_is_named(spoil: Callable[[Path], None], shelf: Path, place: Path) -> None:
    """A clip that is gone or not what was verified stops the merge; an older recording stays as it was."""
    takes = takes_of(*[shelve(shelf, murmur(0.5)) for _ in range(3)])
    spoil(shelf / "clip1.wav")
    (place / "a.mp3").write_bytes(b"older")
    with pytest.raises(RunFailed, match=r"the clip of chunk 1 \('Text number 1.'\) cannot be used: .*clip1.wav"):
        merge_clips(takes, lay_out(takes, RATE), place / "a.mp3")
    assert {path.name: path.read_bytes() for path in place.iterdir()} == {"a.mp3": b"older"}


def test_an_audiobook_is_one_to_its_players(shelf: Path, place: Path) -> None:
    """An m4b says so in its first bytes, and its index stands before the sound, so that it plays while it loads."""
    takes = takes_of(shelve(shelf, murmur(1.0)))
    data = merge_clips(takes, lay_out(takes, RATE), place / "a.m4b").path.read_bytes()
    assert data[4:12] == b"ftypM4B "
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(
    "name", ["-dash.mp3", "50%d: #1 'x'.flac", "http:x.wav", "é" * 120 + ".m4b", "UPPER.OPUS", "[a]*.mp3"]
)
def test_any_file_name(name: str, shelf: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that look like options, patterns or addresses, and the longest ones, are names."""
    monkeypatch.chdir(place)
    takes = takes_of(shelve(shelf, murmur(0.5)))
    check_target(Path(name))
    sound = merge_clips(takes, lay_out(takes, RATE), Path(name), labels=Labels(title="\udcff"))
    assert sound.path == place / name
    assert names(place) == [name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.ogg", r"unknown format 'ogg' of a.ogg: choose one of wav, flac, mp3, opus, m4b"),
        ("a", "unknown format ''"),
        ("folder.wav", "is a folder"),
        ("file/a.wav", "cannot write .*; choose another --output"),
        ("x" * 252 + ".wav", "cannot write .*: File name too long; choose another"),
        ("a\0.wav", "cannot write .*null"),
        ("/proc/a.wav", "cannot write /proc/a.wav"),
    ],
)
def test_bad_targets_are_refused(name: str, reason: str, place: Path) -> None:
    """A place where no recording can stand is refused in one line, before anything is spoken."""
    (place / "folder.wav").mkdir()
    (place / "file").touch()
    with pytest.raises(BadInput, match=reason) as refusal:
        check_target(place / name)
    assert "\n" not in str(refusal.value)


def test_a_good_target_is_only_looked_at(place: Path) -> None:
    """The check makes the folder and leaves nothing in it; a recording that stands there stays."""
    check_target(place / "new" / "deep" / "a.mp3")
    assert names(place / "new" / "deep") == []
    (place / "a.mp3").write_bytes(b"older")
    check_target(place / "a.mp3")
    assert (place / "a.mp3").read_bytes() == b"older"


@pytest.mark.parametrize("room", [100_000, 250_000], ids=["master", "recording"])
def test_a_full_disk(room: int, shelf: Path, place: Path) -> None:
    """When the master or the encoded file meets a full disk, one line says so and nothing half-made is left."""
    takes = takes_of(shelve(shelf, murmur(4.0)))
    timeline = lay_out(takes, RATE)
    assert 100_000 < 2 * timeline.length < 250_000
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(RunFailed) as failure:
            merge_clips(takes, timeline, place / "a.wav", labels=Labels(title="long " * 10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    advice = "free 2 MB and run the same command again; finished clips are kept"
    assert str(failure.value) == f"the disk of {place} is full: {advice}"
    assert names(place) == []


def test_a_disk_without_room_is_refused_at_once(tmp_path: Path) -> None:
    """Minutes of writing are not spent to find out what the file system already tells."""
    check_room(tmp_path, 1)
    with pytest.raises(DiskFull):
        check_room(tmp_path, 10**18)


async def test_cancelling(shelf: Path, place: Path) -> None:
    """A cancelled merge ends within seconds, leaves nothing behind, and never holds up the event loop."""
    takes = takes_of(*[shelve(shelf, murmur(60.0))] * 40)
    timeline = lay_out(takes, RATE)
    late: list[float] = []

    async def tick() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.02)
            late.append(time.monotonic() - before)

    ticking = asyncio.create_task(tick())
    work = asyncio.create_task(merge.fn(takes, timeline, place / "a.m4b"))
    while not list(place.glob(".a.*/result.m4b")):
        await asyncio.sleep(0.02)
        assert not work.done()
    start = time.monotonic()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert time.monotonic() - start < 20
    assert names(place) == []
    ticking.cancel()
    assert max(late) < 1


def test_stopping_between_clips(shelf: Path, place: Path) -> None:
    """A merge that is stopped while it reads clips ends at the next one."""
    takes = takes_of(shelve(shelf, murmur(0.5)))
    stop = Event()
    stop.set()
    with pytest.raises(RunFailed, match="stopped"):
        merge_clips(takes, lay_out(takes, RATE), place / "a.wav", stop=stop)
    assert names(place) == []


def test_a_hanging_ffmpeg_is_ended() -> None:
    """A pass that takes longer than it may is killed and told."""
    start = time.monotonic()
    with pytest.raises(RunFailed, match="hung"):
        ffmpeg(["-re", "-f", "lavfi", "-i", "anullsrc", "-f", "null", "-"], 0.3, Event(), lambda stream: stream.read())
    assert time.monotonic() - start < 30


def test_leftovers_of_a_killed_run(shelf: Path, place: Path) -> None:
    """The scratch folder of a run that was killed goes after an hour; one that is still written to stays."""
    takes = takes_of(shelve(shelf, murmur(0.5)))
    dead, alive = place / ".a.12345678.merging", place / ".a.87654321.merging"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "master.wav").touch()
    hour_ago = time.time() - 3700
    for path in (dead / "master.wav", dead, alive):
        os.utime(path, (hour_ago, hour_ago))
    merge_clips(takes, lay_out(takes, RATE), place / "a.wav")
    assert names(place) == [alive.name, "a.wav"]


def test_peaks_between_samples_are_seen() -> None:
    """A tone whose samples all lie 3 dB below its crests is measured at its crests."""
    tone = np.sin(np.arange(2000) * np.pi / 2 + np.pi / 4).astype(np.float32)
    assert np.abs(tone).max() == pytest.approx(0.707, abs=0.001)
    assert true_peak(tone[REACH:], 0.0) == pytest.approx(1.0, abs=0.03)
