"""What a run would take, told before it calls anybody."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.speech import Voice
from deployments.answers import DONE
from deployments.terminal import run
from tasks.estimate import Asked, as_json, describe, estimate, summed_up
from tasks.pace import expected_s
from tasks.shelf import Shelf
from tests.emulator.fixture import Emulator
from tests.scripted import chunks_of
from tests.shelves import VOICE as PUT
from tests.shelves import put

KATIE = Voice("cartesia", "katie", "en", "sonic-3.5")
BRAD = replace(KATIE, name="brad")
GEMINI = Voice("gemini", "Kore", "en-US", "gemini-3.8-flash-tts")
OWN = Voice("openai", "af_bella", "en", "kokoro", server="127.0.0.1:8880")
FREE = Voice("espeak", "en-us", "en-US")

WORDS = st.lists(st.sampled_from(["a", "apple", "an apple a day", "pear", "1984", "and so on"]), max_size=12)


@given(WORDS, WORDS, WORDS)
def test_every_chunk_is_counted_once(ours: list[str], theirs: list[str], kept: list[str]) -> None:
    """A chunk is a duplicate, on the shelf, or a call: whatever is said by whom, in one part or in several."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "shelf").mkdir()
        shelf = Shelf(Path(folder) / "shelf")
        for text in set(kept):
            put(shelf, text)
        parts = [Asked(chunks_of(*ours), PUT, 1.0, 2), Asked(chunks_of(*theirs), PUT, 1.0, 2)]
        told = estimate([*parts, Asked(chunks_of(*theirs), KATIE, 3.0, 3)], shelf)
    assert told.chunks == told.duplicates + told.on_shelf + told.calls == len(ours) + 2 * len(theirs)
    assert told.calls == len({*ours, *theirs} - {*kept}) + len(set(theirs))
    assert told.characters == sum(map(len, [*ours, *theirs, *theirs]))


def test_voices_of_one_model_share_a_line() -> None:
    """Prices and calls at one time are a model's: two voices of it are one share, another provider is its own."""
    parts = [
        Asked(chunks_of("apple", "pear", "apple"), KATIE, 3.0, 3),
        Asked(chunks_of("apple", "plum"), BRAD, 3.0, 3),
        Asked(chunks_of("A whole sentence."), GEMINI, 12.0, 5),
    ]
    told = estimate(parts, None)
    cartesia, gemini = told.shares
    assert (cartesia.chunks, cartesia.duplicates, cartesia.calls) == (5, 1, 4)
    assert cartesia.cost_usd == pytest.approx((0.75 * 18 * 50e-6, 18 * 50e-6))
    assert (cartesia.in_flight, cartesia.wall_s) == (3, 6.0)
    assert (gemini.in_flight, gemini.wall_s) == (1, 12.0)
    assert told.wall_s == 18.0
    assert told.expected_s == pytest.approx(expected_s(chunk.text for part in parts for chunk in part.chunks))
    assert told.cost_usd
    assert gemini.cost_usd
    assert told.cost_usd[1] == pytest.approx(18 * 50e-6 + gemini.cost_usd[1])
    first, second = describe(told)
    assert first.startswith("cartesia sonic-3.5: 5 chunks (1 said already, 0 on the shelf)")
    assert "4 calls, about 0:00:06 with 3 at one time" in first
    assert "0.0007 to 0.0009 USD at list prices (cartesia.ai/pricing 2026-07)" in first
    assert "LiteLLM" in second


def test_a_price_that_is_not_known_makes_the_sum_unknown() -> None:
    """But not for a provider that is not called at all, and what is free is told to be."""
    told = estimate([Asked(chunks_of("Hello."), OWN, 1.0, 1), Asked(chunks_of("Hello."), KATIE, 1.0, 1)], None)
    assert told.cost_usd is None
    assert "at a price that is not known here" in summed_up(told, "two")
    assert as_json(told)["cost_usd"] is None
    assert estimate([Asked([], OWN, 1.0, 1)], None).cost_usd == (0.0, 0.0)
    [free] = describe(estimate([Asked(chunks_of("Hello."), FREE, 0.03, 2)], None))
    assert free.endswith("no one charges for it")


def test_a_run_may_name_nobody() -> None:
    """Nothing to say takes nothing."""
    told = estimate([], None)
    assert (told.chunks, told.calls, told.wall_s, told.cost_usd, describe(told)) == (0, 0, 0, (0.0, 0.0), [])


def test_the_dry_run_tells_each_provider(
    tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two voices of two providers: a line for each, with what is said twice, its price and its time; nobody is called.

    `--workers` bounds the calls at one time.
    """
    monkeypatch.setenv("SPEECH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CARTESIA_API_KEYS", "test-key-1")
    lines = ["ANNA: Hello.", "Good morning.", "ANNA: Hello.", "How are you?", "And you?", "Well."]
    cues = (f"{n}\n00:00:{2 * n:02},000 --> 00:00:{2 * n + 1:02},000\n{line}\n" for n, line in enumerate(lines))
    (tmp_path / "film.srt").write_text("\n".join(cues))
    command = ["narrate", str(tmp_path / "film.srt"), "--dry-run", "--speakers", "ANNA=espeak"]
    command += ["--provider", "cartesia", "--server", emulator.server("cartesia")]
    assert run(command) == DONE
    out = capsys.readouterr().out.splitlines()
    assert "6 chunks, " in out[0]
    assert "5 calls to make, for 0." in out[0]
    assert [line.split(":")[0] for line in out[1:]] == ["cartesia sonic-3.5", "espeak"]
    assert run([*command, "--json", "--workers=2"]) == DONE
    told = json.loads(capsys.readouterr().out)
    assert (told["chunks"], told["duplicates"], told["on_shelf"], told["calls"]) == (6, 1, 0, 5)
    cartesia, espeak = told["providers"]
    assert (cartesia["calls"], cartesia["in_flight"], cartesia["wall_s"]) == (4, 2, 6.0)
    assert (espeak["duplicates"], espeak["calls"], espeak["cost_usd"]) == (1, 1, [0.0, 0.0])
    assert emulator.ledger() == []
