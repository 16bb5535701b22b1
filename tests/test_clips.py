"""The shelf: the same words in the same voice once, whole or not at all."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.speech import Audio, RunFailed, Voice
from tasks.clips import Clip
from tasks.shelf import Shelf

VOICE = Voice("espeak", "en-us", "en-us")
AUDIO = Audio(b"RIFF and so on", "wav")
CLIP = Clip(
    uri="",
    sha256=hashlib.sha256(AUDIO.data).hexdigest(),
    bytes=len(AUDIO.data),
    sample_rate=22_050,
    samples=6,
    speech_start=1,
    speech_end=5,
    peak_dbfs=-3.0,
    rms_dbfs=-20.0,
    flags=("odd",),
    attempts=2,
    latency_s=0.5,
    request_id="r1",
)


KEY = "42027b216a24d5c09bf362f88710a177095f906d9bfb3252a2aacf2dfaa75e2b"


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


def facts_of(placed: Clip) -> Path:
    """Where the shelf has written what it knows of a clip."""
    return Path(placed.uri.rsplit(".", 2)[0] + ".json")


def test_put_and_find(shelf: Shelf) -> None:
    """What was put is found, marked as reused and free of charge."""
    placed = shelf.put("Hello.", VOICE, AUDIO, CLIP)
    assert Path(placed.uri).read_bytes() == AUDIO.data
    assert shelf.find("Hello.", VOICE) == replace(placed, reused=True, attempts=0, latency_s=0.0)


def test_only_the_same_words_and_voice(shelf: Shelf) -> None:
    """Another text, or anything else about the voice, is another clip."""
    shelf.put("Hello.", VOICE, AUDIO, CLIP)
    assert shelf.find("Hello!", VOICE) is None
    for other in [
        {"name": "en-gb"},
        {"speed": 1.1},
        {"model": "m"},
        {"style": "calm"},
        {"language": "en"},
        {"provider": "p"},
    ]:
        assert shelf.find("Hello.", replace(VOICE, **other)) is None


def test_old_shelves_stay_good(shelf: Shelf) -> None:
    """A clip's name is this one for ever: another would have every text spoken, and paid, again."""
    assert shelf.key("Hello.", VOICE) == KEY


@settings(deadline=None)
@given(cut=st.integers(0, len(AUDIO.data) - 1))
def test_a_cut_sound_is_not_there(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """A sound file cut anywhere counts as missing, and is replaced."""
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    placed = shelf.put("Hello.", VOICE, AUDIO, CLIP)
    Path(placed.uri).write_bytes(AUDIO.data[:cut])
    assert shelf.find("Hello.", VOICE) is None
    shelf.put("Hello.", VOICE, AUDIO, CLIP)
    assert shelf.find("Hello.", VOICE)


@settings(deadline=None)
@given(cut=st.integers(0, 200), junk=st.binary(max_size=20))
def test_cut_facts_are_not_there(tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes) -> None:
    """Facts that are cut or overwritten never raise: the clip is just not there."""
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    facts = facts_of(shelf.put("Hello.", VOICE, AUDIO, CLIP))
    facts.write_bytes(facts.read_bytes()[:cut] + junk)
    assert shelf.find("Hello.", VOICE) is None


def test_one_flipped_bit(shelf: Shelf) -> None:
    """The hash is checked, not only the size."""
    placed = shelf.put("Hello.", VOICE, AUDIO, CLIP)
    Path(placed.uri).write_bytes(AUDIO.data[:-1] + bytes([AUDIO.data[-1] ^ 1]))
    assert shelf.find("Hello.", VOICE) is None


def test_a_sound_without_facts_is_not_there(shelf: Shelf) -> None:
    """A run killed between the two files has not committed."""
    placed = shelf.put("Hello.", VOICE, AUDIO, CLIP)
    facts_of(placed).unlink()
    assert shelf.find("Hello.", VOICE) is None


def test_the_shelf_may_move(tmp_path: Path) -> None:
    """No path is stored: a shelf copied elsewhere serves its clips from there."""
    Shelf(tmp_path / "old").put("Hello.", VOICE, AUDIO, CLIP)
    (tmp_path / "old").rename(tmp_path / "new")
    found = Shelf(tmp_path / "new").find("Hello.", VOICE)
    assert found
    assert Path(found.uri).is_relative_to(tmp_path / "new")


def test_facts_of_a_newer_version_are_not_trusted(shelf: Shelf) -> None:
    """Facts with a field that this version does not know count as missing."""
    facts = facts_of(shelf.put("Hello.", VOICE, AUDIO, CLIP))
    stored = json.loads(facts.read_bytes())
    stored["clip"]["new"] = 1
    facts.write_text(json.dumps(stored))
    assert shelf.find("Hello.", VOICE) is None


def test_a_shelf_that_cannot_be_written(tmp_path: Path) -> None:
    """A file in the way of the shelf's folder is told in one line, not as a traceback of the disk."""
    (tmp_path / "shelf").write_text("in the way")
    with pytest.raises(RunFailed, match="shelf"):
        Shelf(tmp_path / "shelf").put("Hello.", VOICE, AUDIO, CLIP)
