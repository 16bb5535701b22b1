"""One file for each cue or paragraph, by its number in the source: just what the recording has of it."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import soundfile

from blocks.speech import BadInput, RunFailed
from tasks.clips import Clip, Failure, Take
from tasks.document import Boundary, Chunk, Document, Omission, Segment, Window
from tasks.fit import fit_cues
from tasks.master import write_master
from tasks.segment_clips import LIST, check_clips, split, write_clips
from tasks.timeline import Placement, Timeline, lay_out

RATE = 24_000


def shelved(folder: Path, seconds: float, level: float = 0.1, seed: int = 0) -> Clip:
    """Noise, with 20 ms of silence before it."""
    sound = level * np.random.default_rng(seed).uniform(-1, 1, round(seconds * RATE))
    sound[:480] = 0
    path = folder / f"clip{len(list(folder.iterdir()))}.wav"
    soundfile.write(path, sound, RATE, subtype="PCM_16")
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return Clip(str(path), digest, len(data), RATE, len(sound), 0, len(sound), -20.0, -25.0, onset=480)


def take(segment: int, outcome: Clip | Failure) -> Take:
    return Take(Chunk(f"Words of {segment}.", segment, Boundary.SENTENCE), outcome)


def cue(index: int, start_ms: int, end_ms: int, text: str = "Words.", speaker: str = "") -> Segment:
    return Segment(text, 4 * index, window=Window(start_ms, end_ms, index), speaker=speaker)


def document(*segments: Segment, omissions: tuple[Omission, ...] = (), source: str = "/films/ep1.srt") -> Document:
    return Document(source, "0" * 64, "utf-8", "Film", segments, omissions)


def sound(path: Path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="int16")
    info = soundfile.info(path)
    assert (rate, info.channels, info.format, info.subtype) == (RATE, 1, "WAV", "PCM_16")
    return samples


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Where the files go; nobody has made it yet."""
    return tmp_path / "speech" / "clips"


FILM = document(
    cue(2, 1_000, 2_000, "Second."),
    cue(5, 4_000, 6_000, "One.", "ANNA"),
    cue(5, 4_000, 6_000, "Two.", "BOB"),
    cue(3, 9_000, 11_000, "Third."),
    omissions=(
        Omission(4, "♪", "empty", "nothing to say", Window(0, 500, 1)),
        Omission(16, "Third, too.", "merged", "with cue 3", Window(11_000, 12_345, 4)),
    ),
)


def film(shelf: Path) -> tuple[list[Take], Timeline]:
    """Five cues; the second is stretched, the third could not be said, and two speak in the fifth."""
    takes = [
        take(0, shelved(shelf, 2.6, seed=1)),
        take(0, shelved(shelf, 0.6, seed=2)),
        take(1, shelved(shelf, 0.5, seed=3)),
        take(2, shelved(shelf, 0.7, seed=4)),
        take(3, Failure("NotSpeech", "silence", 3)),
    ]
    return takes, fit_cues(FILM.segments, takes, RATE, gaps=True)


def test_one_file_for_each_cue(shelf: Path, clips: Path) -> None:
    """By the numbers of the source, also where cues stand in another order; what is not spoken is as silent as its
    window is long; and each file is, to the sample, what the recording has of its cue."""
    takes, timeline = film(shelf)
    written = write_clips(FILM, takes, timeline, clips)
    assert written == [*(clips / f"audio_{number:04}.wav" for number in range(5)), clips / "clips.json"]
    assert sorted(path.name for path in clips.iterdir()) == sorted(path.name for path in written)
    sounds = [sound(path) for path in written[:-1]]
    assert [len(sounds[number]) for number in (0, 2, 3)] == [RATE // 2, 2 * RATE, 1345 * RATE // 1000]
    assert not any(sounds[number].any() for number in (0, 2, 3))
    write_master(takes, timeline, shelf / "master.wav", Event())
    master = soundfile.read(shelf / "master.wav", dtype="int16")[0]
    for number, first, last in ((1, 0, 1), (4, 2, 3)):
        start, end = timeline.placements[first].start, timeline.placements[last].end
        assert np.array_equal(sounds[number], master[start:end])
    assert timeline.placements[0].tempo > 1.1, "nothing was stretched"


def test_the_list_tells_of_each(shelf: Path, clips: Path) -> None:
    """Which cue, which line, when it is heard in the recording, for how long, and what is said."""
    takes, timeline = film(shelf)
    told = json.loads(write_clips(FILM, takes, timeline, clips)[-1].read_text())
    assert told["source"] == FILM.source
    rows = told["clips"]
    assert [row["source_index"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["source_line"] for row in rows] == [4, 8, 12, 16, 20]
    assert [row["text"] for row in rows] == ["♪", "Second.", "Third.", "Third, too.", "One. Two."]
    assert [row["start_s"] for row in rows] == pytest.approx([0, 0.98, 9, 11, 3.98], abs=0.021)
    for row in rows:
        assert len(sound(clips / row["file"])) == round(row["duration_s"] * RATE)


def test_paragraphs_are_numbered_in_order(shelf: Path, clips: Path) -> None:
    """A text without windows has one file for each segment, with the pauses inside it and none around it."""
    text = document(Segment("A title", 1, level=1), Segment("Words.", 3), source="book.txt")
    takes = [take(0, shelved(shelf, 0.5)), take(1, shelved(shelf, 0.6)), take(1, shelved(shelf, 0.7))]
    written = write_clips(text, takes, lay_out(takes, RATE), clips)
    assert [path.name for path in written] == ["audio_0000.wav", "audio_0001.wav", "clips.json"]
    assert [len(sound(path)) for path in written[:-1]] == [RATE // 2, round(1.6 * RATE)]


@pytest.mark.parametrize(("level", "gain_db", "peak"), [(0.1, 6.0, 0.1995), (0.5, 12.0, 0.8414), (0.99, -6.0, 0.496)])
def test_the_recordings_gain_and_its_ceiling(
    level: float, gain_db: float, peak: float, shelf: Path, clips: Path
) -> None:
    """A clip is as loud as in the recording, but where its peak would be above -1.5 dBFS: then it is just there."""
    takes = [take(0, shelved(shelf, 1.0, level))]
    path, _ = write_clips(document(Segment("A.", 1)), takes, lay_out(takes, RATE), clips, gain_db=gain_db)
    assert np.abs(sound(path).astype(int)).max() / 32768 == pytest.approx(peak, rel=0.005)


def test_absurd_windows_are_bounded(shelf: Path, clips: Path) -> None:
    """A cue that says nothing, for nine hours by a slip, is a minute of silence; for no time, one sample."""
    slips = (
        Omission(9, "-", "empty", "nothing to say", Window(2_000, 32_400_000, 2)),
        Omission(13, "-", "empty", "nothing to say", Window(3_000, 3_000, 3)),
    )
    takes = [take(0, shelved(shelf, 0.5))]
    written = write_clips(document(cue(1, 0, 900), omissions=slips), takes, lay_out(takes, RATE), clips)
    assert [len(sound(path)) for path in written[1:-1]] == [60 * RATE, 1]


def test_another_run_of_the_same_source(shelf: Path, clips: Path) -> None:
    """A source that has become shorter leaves no clips of its old end; what is not ours stays."""
    takes, timeline = film(shelf)
    write_clips(FILM, takes, timeline, clips)
    others = ["audio_0009.mp3", "audio_1.wav", "notes.txt", "audio_0009.wav.bak"]
    for name in others:
        (clips / name).write_text("mine")
    short = document(cue(1, 1_000, 2_000))
    check_clips((clips / LIST).read_bytes(), str(clips), short.source)
    write_clips(short, takes[:1], fit_cues(short.segments, takes[:1], RATE), clips)
    assert sorted(path.name for path in clips.iterdir()) == sorted(["audio_0000.wav", "clips.json", *others])


def test_two_films_never_mix(shelf: Path, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of another source's clips is refused, in one line that tells what to do; the same source is welcome from
    whichever folder a command is given, and whatever its name is made of."""
    takes, timeline = film(shelf)

    def listed(source: str) -> bytes:
        return write_clips(replace(FILM, source=source), takes, timeline, clips)[-1].read_bytes()

    with pytest.raises(BadInput, match=r"^clips holds the clips of /films/ep1.srt: choose another --output"):
        check_clips(listed("/films/ep1.srt"), "clips", "/films/ep2.srt")
    monkeypatch.chdir("/")
    check_clips(listed("/films/ep1.srt"), "clips", "films/ep1.srt")
    for source in ("s3://films/ep1.srt", "caf\udce9.srt", "Tập 1.srt"):
        check_clips(listed(source), "clips", source)
    for broken in (b"[]", b"{", b"\xff", b"{}"):
        with pytest.raises(BadInput, match=r"^clips/clips.json is no list of clips: remove it, or choose another"):
            check_clips(broken, "clips", "/films/ep1.srt")


async def test_a_spoilt_clip_is_named(shelf: Path, clips: Path) -> None:
    """What is no longer what was verified is named, as it is in the merge, and no list tells that all is there."""
    takes, timeline = film(shelf)
    (shelf / "clip2.wav").write_bytes(b"spoilt")
    with pytest.raises(RunFailed, match=r"the clip of chunk 2 \('Words of 1.'\) cannot be used"):
        await split.fn(FILM, takes, timeline, clips)
    assert not (clips / "clips.json").exists()


def test_stopping(shelf: Path, clips: Path) -> None:
    """Stopped, it ends at the next clip."""
    takes, timeline = film(shelf)
    stop = Event()
    stop.set()
    with pytest.raises(RunFailed, match="stopped"):
        write_clips(FILM, takes, timeline, clips, stop=stop)


def test_speech_that_is_cut(shelf: Path, clips: Path) -> None:
    """Where its placement ends before its speech does, a cue fades out over 30 ms and is as long as the placement."""
    takes = [take(0, shelved(shelf, 2.0, 0.5))]
    cut = Timeline(RATE, (Placement(RATE, 2 * RATE),), 3 * RATE)
    path, _ = write_clips(document(cue(1, 1_000, 2_000)), takes, cut, clips)
    heard = sound(path).astype(float)
    assert len(heard) == RATE
    loudness = [np.sqrt(np.mean(heard[RATE - count :][:120] ** 2)) for count in (960, 480, 240, 120)]
    assert loudness[0] > loudness[1] > loudness[2] > loudness[3] > 0
    assert loudness[3] < loudness[0] / 20
