"""Another voice goes on where the first will not: whole paragraphs, marked, and as loud."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.speech import BadInput, BadVoice, Limits, Voice
from flows.narrate import narrate
from tasks.chunk import conserve, split_text
from tasks.clips import Clip, Failure, Take
from tasks.document import Boundary, Chunk, Document, Segment
from tasks.fallback import said_instead, spares, unsaid
from tasks.levels import gains_db
from tests.emulator.fixture import Emulator

FIRST = Voice("cartesia", "katie", "en", "sonic-3", speed=1.1)
OTHER = Voice("piper", "lessac", "en")


def clip(rms_dbfs: float = -20.0, peak_dbfs: float = -3.0) -> Clip:
    return Clip("", "", 1, 24_000, 24_000, 0, 24_000, peak_dbfs, rms_dbfs)


def document(*texts: str) -> Document:
    segments = tuple(Segment(text, number + 1, Boundary.PARAGRAPH) for number, text in enumerate(texts))
    return Document("book.txt", "", "utf-8", "book", segments, ())


def test_a_list_of_voices() -> None:
    """All but the provider may be left out; language and speed are those of the first voice."""
    assert spares("gemini:Kore@gemini-3.8, piper=http://gpu:5000,espeak", FIRST) == [
        (Voice("gemini", "Kore", "en", "gemini-3.8", 1.1), ""),
        (Voice("piper", "", "en", "", 1.1), "http://gpu:5000"),
        (Voice("espeak", "", "en", "", 1.1), ""),
    ]
    assert spares("", FIRST) == []


@pytest.mark.parametrize("text", ["nobody", "@model", "espaek:en"])
def test_what_is_no_voice_is_refused(text: str) -> None:
    """A provider that is not known, or none, is told before anything is spoken."""
    with pytest.raises(BadInput):
        spares(text, FIRST)


@given(
    texts=st.lists(st.text("abc. ", min_size=1, max_size=60).filter(str.strip), min_size=1, max_size=6),
    small=st.integers(5, 30),
    data=st.data(),
)
def test_paragraphs_change_hands_whole(texts: list[str], small: int, data: st.DataObject) -> None:
    """Whatever failed and whatever the other voice manages: the text is kept, and no paragraph has two voices."""
    book = document(*texts)
    takes = [
        Take(Chunk(text, index, boundary), data.draw(st.sampled_from([clip(), Failure("NotSpeech", "noise", 2)])))
        for index, segment in enumerate(book.segments)
        for text, boundary in split_text(segment.text, Limits(20, 80), "en", segment.boundary)
    ]
    left = unsaid(book, takes, Limits(small, 4 * small), "en")
    others = [Take(chunk, data.draw(st.sampled_from([clip(), Failure("Refused", "no", 1)]))) for chunk in left]
    mixed = said_instead(takes, others, OTHER)
    conserve(book, [take.chunk for take in mixed])
    for index in range(len(texts)):
        assert len({take.voice for take in mixed if take.chunk.segment == index}) == 1
    assert all(isinstance(take.outcome, Clip) for take in mixed if take.voice)


def test_voices_are_heard_alike_loud() -> None:
    """A voice 6 dB below the first is raised by 6 dB, and no further than its peaks allow."""
    quiet = [Take(Chunk("b", 1, Boundary.SENTENCE), clip(-26, -9), OTHER)]
    first = [Take(Chunk("a", 0, Boundary.SENTENCE), clip(-20))]
    assert gains_db([*first, *quiet]) == {None: 0.0, OTHER: 6.0}
    peaky = [Take(Chunk("b", 1, Boundary.SENTENCE), clip(-26, -4.5), OTHER)]
    assert gains_db([*first, *peaky])[OTHER] == 4.0
    assert gains_db(quiet) == {OTHER: 0.0}


@pytest.mark.usefixtures("prefect_server")
async def test_a_run_goes_on_in_another_voice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulator: Emulator
) -> None:
    """An account runs out in the middle: the fallback speaks the rest, paragraph by paragraph, and is marked."""
    monkeypatch.setenv("SPEECH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CARTESIA_API_KEYS", "test-key-1")
    book = tmp_path / "book.txt"
    book.write_text("\n\n".join(f"This is paragraph number {number}, and not the last one." for number in range(12)))
    emulator.settings(plans={"cartesia": "2/-/-/300"})
    recording = await narrate(
        str(book),
        output=str(tmp_path),
        format="wav",
        provider="cartesia",
        server=emulator.server("cartesia"),
        fallback=f"piper={emulator.server('piper')}",
    )
    table = recording.manifest
    assert recording.audio
    assert set(table["status"]) == {"ok"}
    assert set(table["provider"]) == {"cartesia", "piper"}
    marked = table["flags"].fillna("") == "in another voice"
    assert list(marked) == list(table["provider"] == "piper")
    assert all(table.groupby("segment")["provider"].nunique() == 1)
    facts = json.loads(Path(recording.manifest_json).read_text())
    assert facts["conservation"]["equal"]
    assert facts["settings"]["fallback"].startswith("piper=")


@pytest.mark.usefixtures("prefect_server")
async def test_a_wrong_fallback_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulator: Emulator
) -> None:
    """Nothing is paid before every voice of the list is known to exist."""
    monkeypatch.setenv("SPEECH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CARTESIA_API_KEYS", "test-key-1")
    book = tmp_path / "book.txt"
    book.write_text("One sentence.")
    with pytest.raises(BadVoice):
        await narrate(
            str(book),
            output=str(tmp_path),
            provider="cartesia",
            server=emulator.server("cartesia"),
            fallback="espeak:nobody",
        )
    assert not emulator.ledger()
