"""Subtitles through the whole flow: real speech, at the cue's own time, and an account of every cue."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from blocks.speech import BadInput
from flows.narrate import narrate
from tasks.recording import Incomplete, Recording
from tests.emulator.fixture import Emulator

pytestmark = pytest.mark.usefixtures("prefect_server")

EXAMPLE = Path(__file__).parent.parent / "examples" / "the-night-watch.srt"

FILM = """\
1
00:00:01,000 --> 00:00:03,000
ANNA: Good evening, is anybody there?

2
00:00:05,500 --> 00:00:07,000
<i>BOB: Only the wind.</i>

4
00:00:12,000 --> 00:00:14,000
5 < 6 & 7 > 3

3
00:00:09,250 --> 00:00:11,000
- Caf\u00e9?
- Tea, please.

5
00:00:15,000 --> 00:00:16,000
[door slams]

6
00:00:18,000 --> 00:00:17,000
Goodbye.

7
00:00:xx --> 00:00:30,000
Nobody knows when.
"""
TIGHT = """\
1
00:00:01,000 --> 00:00:02,000
This line is a little too long for its window.

2
00:00:03,300 --> 00:00:04,000
And this is a very long line indeed, which nobody could say within one second.

3
00:00:04,500 --> 00:00:06,000
Short.

4
00:00:20,000 --> 00:00:22,000
The end.
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shelf of the test's own."""
    monkeypatch.setenv("SPEECH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """As Windows' old editor writes it."""
    path = tmp_path / "film.srt"
    path.write_bytes(FILM.replace("\n", "\r\n").encode("utf-8-sig"))
    return path


@pytest.fixture
def tight(tmp_path: Path) -> Path:
    path = tmp_path / "tight.srt"
    path.write_text(TIGHT)
    return path


def spoken(recording: Recording) -> pd.DataFrame:
    table = recording.manifest
    return table[table["status"] == "ok"]


def onsets(recording: Recording, starts_s: list[float]) -> list[float]:
    """When the first sound after half a second before each of these times is heard, in seconds."""
    sound, rate = soundfile.read(str(recording.audio), dtype="float64")
    loud = np.abs(sound) > np.abs(sound).max() * 10 ** (-36 / 20)
    found = []
    for start_s in starts_s:
        begin = max(0, round((start_s - 0.5) * rate))
        found.append((begin + int(np.flatnonzero(loud[begin:])[0])) / rate)
    return found


async def test_every_cue_has_its_fate_and_its_time(film: Path, tmp_path: Path) -> None:
    """Spoken, repaired, empty or refused, with its line and number; what is spoken is heard when the cue starts."""
    recording = await narrate(str(film), output=str(tmp_path / "out"), format="wav")
    table = recording.manifest
    fates = dict(zip(table["source_index"], table["disposition"], strict=True))
    assert fates == {
        1: "spoken", 2: "spoken", 3: "spoken", 4: "spoken", 5: "empty", 6: "repaired", 7: "refused"
    }  # fmt: skip
    assert list(table["source_line"]) == [1, 5, 9, 13, 18, 22, 26]
    heard = spoken(recording)
    assert list(heard["text"]) == [
        "Good evening, is anybody there?", "Only the wind.", "5 < 6 & 7 > 3", "Caf\u00e9? Tea, please.", "Goodbye."
    ]  # fmt: skip
    assert list(heard["speaker"].fillna("")) == ["ANNA", "BOB", "", "", ""]
    assert list(heard["cue_start_s"]) == [1.0, 5.5, 12.0, 9.25, 18.0]
    assert list(heard["start_error_ms"]) == [0.0] * 5
    for heard_s, start_s in zip(onsets(recording, list(heard["start_s"])), heard["cue_start_s"], strict=True):
        assert heard_s == pytest.approx(start_s, abs=0.0015)
    said = Path(str(recording.subtitles)).read_text().split("\n\n")
    assert [cue.splitlines()[1][:12] for cue in said if cue] == [
        "00:00:01,000", "00:00:05,500", "00:00:09,250", "00:00:12,000", "00:00:18,000"
    ]  # fmt: skip
    assert recording.cues
    assert (recording.cues["cues"], recording.cues["repaired"], recording.cues["refused"]) == (7, 1, 1)
    assert recording.duration_s >= 18.5


async def test_strict_refuses_before_it_speaks(film: Path, tmp_path: Path, home: Path) -> None:
    """The first thing that would have to be mended is named by its line, and nothing was called."""
    with pytest.raises(BadInput, match=r"film\.srt, line 22"):
        await narrate(str(film), output=str(tmp_path / "out"), strict=True)
    assert not list(home.glob("shelf/*/*"))


async def test_clips_are_numbered_as_the_cues(film: Path, tmp_path: Path) -> None:
    """A file for each cue, in the order of the source; they are removed with the run's own; another film is refused."""
    out = tmp_path / "out"
    recording = await narrate(str(film), output=str(out), format="flac", clips=True)
    assert recording.clips == str(out / "clips")
    names = sorted(path.name for path in (out / "clips").glob("*.wav"))
    assert names == [f"audio_{number:04}.wav" for number in range(7)]
    rows = spoken(recording).set_index("source_index")
    for index, row in rows.iterrows():
        info = soundfile.info(str(out / "clips" / f"audio_{index - 1:04}.wav"))
        assert info.duration == pytest.approx(row["end_s"] - row["start_s"], abs=0.03)  # with its soft beginning
    assert not soundfile.read(str(out / "clips" / "audio_0004.wav"))[0].any()
    other = tmp_path / "other.srt"
    other.write_text(TIGHT)
    with pytest.raises(BadInput, match=r"holds the clips of .*film\.srt"):
        await narrate(str(other), output=str(out), clips=True)


async def test_what_is_too_long_is_said_faster(tight: Path, tmp_path: Path) -> None:
    """At most so fast as was asked; the rest is late, recovers, and all of it is told. A second run says nothing."""
    recording = await narrate(str(tight), output=str(tmp_path / "out"), format="wav", overlaps="mix")
    table = spoken(recording)
    assert list(table["speed"] > 1) == [False, True, False, False]
    assert table["rate_applied"].max() == pytest.approx(1.35, abs=0.001)
    assert recording.cues
    assert recording.cues["sped_up"] == 1
    again = await narrate(str(tight), output=str(tmp_path / "out"), format="wav", overlaps="mix")
    assert again.calls == 0
    report = Path(recording.report).read_text()
    assert "Squeezed into their time" in report
    assert "in a window of 0.70 s" in report


async def test_late_cues_recover(tight: Path, tmp_path: Path) -> None:
    """What a long cue pushes starts as soon as it is over, and the next that has time is on time."""
    recording = await narrate(str(tight), output=str(tmp_path / "out"), format="wav")
    table = spoken(recording).set_index("source_index")
    assert table.loc[3, "disposition"] == "shifted"
    assert table.loc[3, "start_error_ms"] == pytest.approx(
        1000 * (table.loc[2, "end_s"] + 0.05 - 4.5), abs=25
    )  # as far as its first sound is from its beginning
    assert (table.loc[4, "disposition"], table.loc[4, "start_error_ms"]) == ("spoken", 0.0)
    heard = onsets(recording, [20.0])
    assert heard == pytest.approx([20.0], abs=0.0015)


async def test_what_is_too_long_is_stretched(tight: Path, tmp_path: Path) -> None:
    """Without a second call: the same clips, faster."""
    recording = await narrate(str(tight), output=str(tmp_path / "out"), format="wav", squeeze="stretch", fit="trim")
    table = spoken(recording).set_index("source_index")
    assert set(table["speed"]) == {1.0}
    assert table.loc[2, "rate_applied"] == pytest.approx(1.35)
    assert list(table["start_error_ms"]) == [0.0] * 4
    assert table.loc[2, "end_s"] <= 4.5
    assert recording.synthesised == 4
    assert recording.cues
    assert recording.cues["trimmed"] == 1
    assert "s of it are cut off" in table.loc[2, "flags"]


async def test_what_must_fit_fails(tight: Path, tmp_path: Path) -> None:
    """The cue is named with what it needs and has; what was spoken is kept for another policy."""
    with pytest.raises(Incomplete) as failed:
        await narrate(str(tight), output=str(tmp_path / "out"), fit="fail")
    assert [failure.line for failure in failed.value.recording.failures] == [5]
    assert "times the speed, and has" in str(failed.value)
    assert "--fit shift" in str(failed.value)
    assert "same command again" not in str(failed.value)
    table = failed.value.recording.manifest
    assert list(table["disposition"]) == ["spoken", "refused", "spoken", "spoken"]
    again = await narrate(str(tight), output=str(tmp_path / "out"), fit="shift")
    assert (again.calls, len(again.failures)) == (0, 0)


async def test_overlaps_can_be_refused(tmp_path: Path) -> None:
    """Both lines are named, and nothing is spoken."""
    film = tmp_path / "film.srt"
    film.write_text("1\n00:00:01,000 --> 00:00:03,000\nOne.\n\n2\n00:00:02,000 --> 00:00:04,000\nTwo.\n")
    with pytest.raises(BadInput, match=r"film\.srt: the cues at lines 1 and 5 "):
        await narrate(str(film), output=str(tmp_path / "out"), overlaps="fail")


@pytest.mark.parametrize("words", [{"timing": "cues"}, {"fastest": 0.9}, {"fastest": 9.0}])
async def test_what_makes_no_sense_is_refused(words: dict[str, str], tmp_path: Path) -> None:
    """A text has no cues, and nobody follows speech nine times as fast."""
    text = tmp_path / "text.txt"
    text.write_text("One.")
    with pytest.raises(BadInput, match=r"no cues|highest rate"):
        await narrate(str(text), output=str(tmp_path / "out"), **words)


async def test_speakers_have_their_voices(film: Path, tmp_path: Path, emulator: Emulator) -> None:
    """By a file; two providers speak in one recording, and everybody else has the voice of the run."""
    cast = tmp_path / "cast.json"
    cast.write_text(json.dumps({"Anna": "en-gb", "BOB": {"provider": "piper", "server": emulator.server("piper")}}))
    recording = await narrate(str(film), output=str(tmp_path / "out"), format="wav", speakers=str(cast))
    said = spoken(recording)
    assert list(said["provider"]) == ["espeak", "piper", "espeak", "espeak", "espeak"]
    assert said["voice"].iloc[0] != said["voice"].iloc[2]
    assert list(said["flags"].fillna("")) == [""] * 5
    assert len(emulator.ledger("piper")) == 1


async def test_subtitles_one_after_another(film: Path, tmp_path: Path) -> None:
    """As any text, where the times do not matter."""
    recording = await narrate(str(film), output=str(tmp_path / "out"), format="wav", timing="sequence")
    table = spoken(recording)
    assert list(table["start_s"]) == sorted(table["start_s"])
    assert table["start_error_ms"].isna().all()
    assert recording.duration_s < 14


async def test_the_example(tmp_path: Path) -> None:
    """It is as subtitles should be; two speak in its last cue, and one line in it has to hurry."""
    recording = await narrate(str(EXAMPLE), output=str(tmp_path), strict=True, speakers="KEEPER=en-gb,MATE=en-us")
    table = recording.manifest
    assert list(table["disposition"]) == ["spoken", "spoken", "empty", "spoken", "spoken", "spoken", "spoken", "spoken"]
    assert list(table["source_index"]) == [1, 2, 3, 4, 5, 6, 7, 7]
    assert set(zip(table["speaker"].dropna(), table["voice"].dropna(), strict=True)) == {
        ("KEEPER", "en"),
        ("MATE", "en-us"),
    }
    assert recording.cues
    assert (recording.cues["cues"], recording.cues["sped_up"], recording.cues["shifted"]) == (7, 1, 0)


@pytest.mark.parametrize("fault", ["silence", "internal"])
async def test_a_voice_that_fails_to_hurry(fault: str, tight: Path, tmp_path: Path, emulator: Emulator) -> None:
    """It is asked once more for a line that is too long, and no line is cut up for it: the first take is stretched."""
    emulator.script("piper", {"fault": fault, "contains": "very long", "every": 2})
    recording = await narrate(
        str(tight), output=str(tmp_path / "out"), format="wav", provider="piper", server=emulator.server("piper")
    )
    calls = Counter(entry["text"] for entry in emulator.ledger("piper"))
    long = next(text for text in calls if "very long" in text)
    assert set(calls) == set(spoken(recording)["text"])
    assert calls[long] == 2
    assert recording.failures == ()
    row = spoken(recording).set_index("text").loc[long]
    assert (row["speed"], row["rate_applied"]) == (1.0, pytest.approx(1.35))
