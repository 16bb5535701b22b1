"""The speech of one cell as one sound file: how long, how loud, whole or not there."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import soundfile

from blocks.speech import RunFailed
from blocks.storage import Storage, StorageFailed
from blocks.storage.folder import Folder
from blocks.storage.places import storage_at
from tasks.cell_clips import Wanted, make, render, standing
from tasks.clip_formats import CLIP_FORMATS
from tasks.clips import Clip, Failure, Take
from tasks.document import Boundary, Chunk
from tasks.heard import read_file
from tasks.timeline import PAUSES_MS
from tasks.verify import measure
from tests.s3_servers import S3Server

RATE = 24_000
LUFS = -19.0


def tone(seconds: float, rate: int = RATE, level: float = 0.1, hertz: float = 300) -> np.ndarray:
    return level * np.cos(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def shelved(folder: Path, sound: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Clip:
    """As the shelf has it: measured."""
    data = io.BytesIO()
    soundfile.write(data, sound, rate, format="WAV", subtype=subtype)
    path = folder / f"{hashlib.sha256(data.getvalue()).hexdigest()[:16]}.wav"
    path.write_bytes(data.getvalue())
    found = measure(data.getvalue())
    return Clip(
        path.as_uri(),
        hashlib.sha256(data.getvalue()).hexdigest(),
        len(data.getvalue()),
        found.sample_rate,
        found.samples,
        found.speech_start,
        found.speech_end,
        found.peak_dbfs,
        found.rms_dbfs,
        found.onset,
    )


def word(folder: Path, seconds: float = 0.5, rate: int = RATE, **tones: float) -> Clip:
    """With 0.3 s of silence around it."""
    silence = np.zeros(round(0.3 * rate))
    return shelved(folder, np.concatenate([silence, tone(seconds, rate, **tones), silence]), rate)


def wanted(name: str, *clips: Clip | Failure, boundary: Boundary = Boundary.SENTENCE) -> Wanted:
    return Wanted(name, tuple(Take(Chunk("Words.", 0, boundary), clip) for clip in clips))


def decoded(data: bytes) -> tuple[np.ndarray, int]:
    return soundfile.read(io.BytesIO(data), dtype="float32")


def edges(sound: np.ndarray, rate: int) -> tuple[float, float]:
    """Seconds before the first and after the last that is heard."""
    heard = np.flatnonzero(np.abs(sound) > np.abs(sound).max() / 100)
    return heard[0] / rate, (len(sound) - 1 - heard[-1]) / rate


@pytest.mark.parametrize("suffix", CLIP_FORMATS)
@pytest.mark.parametrize("rate", [8_000, 22_050, 24_000, 44_100, 96_000])
def test_each_format_tells_what_it_holds(suffix: str, rate: int, tmp_path: Path) -> None:
    """At every rate: the facts are those of the file, its length is that of the speech and 0.2 s, and the same speech
    gives the same bytes."""
    one = wanted(f"cat/word.{suffix}", word(tmp_path, 0.6, rate))
    data, file = render(one, suffix, LUFS, read_file)
    assert (data, file) == render(one, suffix, LUFS, read_file)
    sound, own_rate = decoded(data)
    assert (file.name, file.bytes, file.sha256) == (one.name, len(data), hashlib.sha256(data).hexdigest())
    assert (file.sample_rate, file.samples, file.duration_s) == (own_rate, len(sound), len(sound) / own_rate)
    assert file.duration_s == pytest.approx(0.8, abs=0.01)
    assert file.loudness_lufs == pytest.approx(LUFS, abs=0.1)
    assert own_rate == rate or own_rate in CLIP_FORMATS[suffix].rates
    assert edges(sound, own_rate) == pytest.approx((0.1, 0.1), abs=0.02 if suffix in {"mp3", "opus"} else 0.001)


@pytest.mark.parametrize(("before", "after"), [(0.3, 0.3), (0.05, 0.02), (0.0, 0.0)])
def test_the_same_silence_around_each(before: float, after: float, tmp_path: Path) -> None:
    """100 ms before the first sound and after the last, to the sample, however much there was; also of a clip of an
    earlier version, which does not tell its onset."""
    whole = np.concatenate([np.zeros(round(before * RATE)), tone(0.4), np.zeros(round(after * RATE))])
    clip = shelved(tmp_path, whole)
    data, file = render(wanted("a.wav", clip), "wav", LUFS, read_file)
    assert edges(decoded(data)[0], RATE) == pytest.approx((0.1, 0.1), abs=1.5 / RATE)
    assert render(wanted("a.wav", replace(clip, onset=0)), "wav", LUFS, read_file) == (data, file)


def test_what_the_trim_kept_stays(tmp_path: Path) -> None:
    """The soft start and end of a word, too soft to count as a sound, are in the 100 ms, and fade in and out."""
    soft = tone(0.1, level=0.0005)
    clip = shelved(tmp_path, np.concatenate([np.zeros(RATE // 4), soft, tone(0.4), soft, np.zeros(RATE // 4)]))
    sound, _ = decoded(render(wanted("a.wav", clip), "wav", LUFS, read_file)[0])
    assert not sound[: RATE * 79 // 1000].any()
    assert sound[RATE * 85 // 1000 : RATE * 99 // 1000].any()
    assert sound[-RATE * 99 // 1000 : -RATE * 50 // 1000].any()
    assert not sound[-RATE * 39 // 1000 :].any()
    assert np.abs(np.diff(sound[: RATE * 99 // 1000])).max() < 0.001


@pytest.mark.parametrize("boundary", [Boundary.WORD, Boundary.SENTENCE, Boundary.PARAGRAPH])
def test_a_long_cell_is_joined(boundary: Boundary, tmp_path: Path) -> None:
    """Its pieces come one after another with the pauses of a recording, at the rate of the first."""
    clips = [word(tmp_path, 0.4), word(tmp_path, 0.5, 16_000), word(tmp_path, 0.6, 44_100)]
    data, file = render(wanted("a.flac", *clips, boundary=boundary), "flac", LUFS, read_file)
    kept = 2 * 0.08 + 2 * PAUSES_MS[boundary] / 1000
    assert file.sample_rate == RATE
    assert file.duration_s == pytest.approx(1.5 + kept + 0.2, abs=0.01)
    sound, _ = decoded(data)
    loud = np.abs(sound) > 0.01
    assert loud.sum() / RATE == pytest.approx(1.5, abs=0.1)


def test_all_kinds_of_clips(tmp_path: Path) -> None:
    """Stereo and floats are speech, too."""
    sound = np.concatenate([np.zeros(6000), tone(0.5), np.zeros(6000)])
    stereo, floats = shelved(tmp_path, np.stack([sound, sound], 1)), shelved(tmp_path, sound, subtype="FLOAT")
    one, other = (render(wanted("a.wav", clip), "wav", LUFS, read_file)[1] for clip in (stereo, floats))
    assert (one.samples, one.loudness_lufs) == (other.samples, other.loudness_lufs)


@pytest.mark.parametrize("suffix", CLIP_FORMATS)
def test_a_list_is_even(suffix: str, tmp_path: Path) -> None:
    """Soft and loud, short and long, with bursts that have to be held: as loud as asked for, and, once decoded, with no
    peak above -1.5 dBFS."""
    silence = np.zeros(RATE // 4)
    for seconds, level in ((0.2, 0.04), (0.4, 0.06), (1.0, 0.1), (2.0, 0.24)):
        bursts = np.where(np.arange(round(seconds * RATE)) % 2400 < 120, 4, 1)
        clip = shelved(tmp_path, np.concatenate([silence, bursts * tone(seconds, level=level), silence]))
        data, file = render(wanted("a", clip), suffix, -17, read_file)
        assert file.loudness_lufs == pytest.approx(-17, abs=0.2)
        assert np.abs(decoded(data)[0]).max() <= 10 ** (-1.5 / 20)


def test_noise_around_the_word_is_not_lifted(tmp_path: Path) -> None:
    """A soft word in noise of -58 dBFS becomes louder by 8 dB only; in silence by as much as it needs."""
    silence, sound = np.zeros(RATE // 2), tone(0.5, level=0.03)
    noise = np.random.default_rng(0).normal(0, 10 ** (-58 / 20), RATE // 2).clip(-0.004, 0.004)
    gains = []
    for around in (noise, silence):
        start = RATE // 2
        clip = replace(
            shelved(tmp_path, np.concatenate([around, sound, around])), speech_start=start, speech_end=3 * start
        )
        clip = replace(clip, speech_end=2 * start)
        gains.append(render(wanted("a", clip), "wav", LUFS, read_file)[1].gain_db)
    assert gains[0] == pytest.approx(8, abs=1)
    assert gains[1] > 11


def test_a_spoilt_clip_is_named(tmp_path: Path) -> None:
    """What is no longer what was verified, or is gone, is told by its cell; what has no speech is not written."""
    clip = word(tmp_path)
    for broken in (replace(clip, sha256="0" * 64), replace(clip, uri=(tmp_path / "gone.wav").as_uri())):
        with pytest.raises(RunFailed, match=r"the speech of cat/word.mp3 cannot be used: .*spoken anew"):
            render(wanted("cat/word.mp3", broken), "mp3", LUFS, read_file)
    with pytest.raises(RunFailed, match="no speech"):
        render(wanted("cat/word.mp3", clip, Failure("NotSpeech", "silence", 3)), "mp3", LUFS, read_file)


@pytest.fixture(params=["folder", "moto"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return Folder(tmp_path / "speech")
    server: S3Server = request.getfixturevalue("moto")
    return storage_at(f"{server.bucket_address('cells')}/{uuid4().hex}", server.access)


def test_what_stands(storage: Storage, tmp_path: Path) -> None:
    """What is gone or has another size does not stand; on this machine, neither has other content of that size."""
    cells = [wanted(f"{kind}/cat/word.wav", word(tmp_path)) for kind in "abcd"]
    made = [make(cell, storage, "wav", LUFS, read_file) for cell in cells]
    files = {file.name: (file.bytes, file.sha256) for file in made}
    assert standing(files, storage) == set(files)
    storage.delete(["a/cat/word.wav"])
    storage.write("b/cat/word.wav", b"short")
    storage.write("c/cat/word.wav", bytes(files["c/cat/word.wav"][0]))
    expected = {"d/cat/word.wav"} if isinstance(storage, Folder) else {"c/cat/word.wav", "d/cat/word.wav"}
    assert standing(files, storage) == expected
    assert standing({"e/cat/word.wav": (1, "0")}, storage) == set()
    assert standing({}, storage) == set()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where a folder should be is told in one line that names the file."""
    (tmp_path / "noun").write_text("mine")
    with pytest.raises(StorageFailed, match=r"cannot write .*noun"):
        make(wanted("noun/cat.wav", word(tmp_path)), Folder(tmp_path), "wav", LUFS, read_file)
