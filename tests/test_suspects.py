"""Clips that stand out from their voice, and what becomes of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect import flow

from blocks.speech import AccountExhausted, Audio, ProviderFailed
from tasks.clips import Clip, Failure, Take
from tasks.pace import spoken_length
from tasks.pitch import pitch_hz
from tasks.progress import Progress
from tasks.retake import Policy, doubtful, retake
from tasks.shelf import Shelf
from tasks.suspects import LEAST, suspects
from tasks.turns import Permits
from tests.scripted import VOICE, Scripted, chunks_of, sentences, speaker_of, spoken

RATE = 16_000


def clip_of(text: str, pace: float = 13.0, pitch: float = 120.0) -> Clip:
    samples = round(spoken_length(text) / pace * RATE)
    return Clip("", "", 0, RATE, samples, 0, samples, -3.0, -20.0, pitch_hz=pitch)


def takes_of(count: int = 20) -> list[Take]:
    return [Take(chunk, clip_of(chunk.text)) for chunk in sentences(count)]


def odd(takes: list[Take], number: int, **how: float) -> list[Take]:
    text = takes[number].chunk.text
    return [*takes[:number], Take(takes[number].chunk, clip_of(text, **how)), *takes[number + 1 :]]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"pace": 39.0}, "where this voice takes about"),
        ({"pace": 6.0}, "where this voice takes about"),
        ({"pitch": 180.0}, "a pitch of 180 Hz, where this voice has 120 Hz"),
        ({"pitch": 70.0}, "a pitch of 70 Hz"),
    ],
    ids=["a third", "twice as long", "another rate", "another voice"],
)
def test_what_stands_out_is_named(how: dict[str, float], told: str) -> None:
    """A clip that is far too short or long for its text, or far too high or low, is told with its measurement."""
    takes = odd(takes_of(), 7, **how)
    found = suspects(takes)
    assert list(found) == [takes[7].chunk.text]
    assert told in found[takes[7].chunk.text]


@given(st.lists(st.floats(0.85, 1.2), min_size=LEAST, max_size=40), st.floats(4, 40), st.floats(80, 300))
def test_a_voice_that_varies_as_voices_do_is_not_suspected(varies: list[float], pace: float, pitch: float) -> None:
    """A fifth faster or slower than usual is no suspicion, at whatever pace and pitch the voice speaks."""
    takes = [
        Take(chunk, clip_of(chunk.text, pace * by, pitch * by**0.5))
        for chunk, by in zip(sentences(len(varies)), varies, strict=True)
    ]
    assert suspects(takes) == {}


def test_one_of_five_wrong_does_not_hide_itself() -> None:
    """Where every fifth clip is in another voice, those are the ones that stand out."""
    takes = takes_of(40)
    for number in range(0, 40, 5):
        takes = odd(takes, number, pitch=200.0)
    assert list(suspects(takes)) == [take.chunk.text for take in takes[::5]]


def test_a_voice_has_to_be_known_first() -> None:
    """Among a few clips nobody stands out."""
    assert suspects(odd(takes_of(LEAST - 1), 0, pace=39.0)) == {}


def test_what_an_earlier_run_judged_has_to_stand_out_more() -> None:
    """A clip at the edge is not said again because a neighbour was edited."""
    takes = odd(takes_of(), 3, pitch=120 * 1.27)
    assert len(suspects(takes)) == 1
    earlier = [Take(take.chunk, replace(take.outcome, reused=True)) for take in takes if isinstance(take.outcome, Clip)]
    assert suspects(earlier) == {}


@pytest.mark.parametrize("text", ["1984", "Yes.", "BBC", "a"])
def test_a_word_alone_may_take_its_time(text: str) -> None:
    """Short items are said at any pace."""
    short = Take(chunks_of(text)[0], clip_of(text, pace=13.0 * 3))
    assert suspects([*takes_of(), short]) == {}


def test_lengths_as_they_are_said() -> None:
    """Digits are words, acronyms are spelt, shouts are not, and a Chinese sign says as much as three letters."""
    assert spoken_length("1984") > 3 * spoken_length("year") / 2
    assert spoken_length("The BBC says") > spoken_length("The bbc says")
    assert spoken_length("MIND THE GAP") == spoken_length("Mind the gap")
    assert spoken_length("\u6d77\u98ce") == spoken_length("winter")


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("hz", [70, 120, 200, 330, 450])
def test_pitch_is_found_at_every_rate(rate: int, hz: int) -> None:
    """A buzz of many overtones has the pitch of its first, within 3 %."""
    time = np.arange(2 * rate) / rate
    buzz = sum(np.sin(2 * np.pi * hz * n * time) / n for n in range(1, 7) if hz * n < rate / 2)
    assert pitch_hz(np.asarray(buzz, np.float32), rate) == pytest.approx(hz, rel=0.03)


def test_noise_and_snippets_have_no_pitch() -> None:
    """Where there are no vowels, nothing is claimed."""
    noise = np.random.default_rng(3).uniform(-1, 1, RATE).astype(np.float32)
    assert pitch_hz(noise, RATE) == 0
    assert pitch_hz(noise[:600], RATE) == 0
    assert pitch_hz(np.zeros(RATE, np.float32), RATE) == 0


def slips(slow: set[str], times: int) -> Scripted:
    """A voice that says these texts three times too fast, so often."""

    def script(text: str, count: int) -> Audio | None:
        return Audio(spoken(text[: len(text) // 3]), "wav") if text in slow and count <= times else None

    return Scripted(call_s=0.01, script=script)


@flow(name="retake-test")
async def spoken_and_retaken(
    provider: Scripted, shelf: Shelf, policy: Policy = "keep", count: int = 20
) -> tuple[list[Take], Progress]:
    from tasks.synthesise import find_on_shelf, synthesise_chunks

    progress = Progress()
    speaker = speaker_of(provider, shelf, Permits({provider.plan.tag: 2}), progress)
    found = find_on_shelf(sentences(count), VOICE, shelf)
    progress.total = count
    takes = await synthesise_chunks(sentences(count), found, speaker)
    return (await retake(takes, speaker, policy) if doubtful(takes, policy) else takes), progress


pytestmark = pytest.mark.usefixtures("prefect_server")
WRONG = sentences(20)[4].text


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


async def test_a_slip_is_said_again_and_forgotten(shelf: Shelf) -> None:
    """A third of the speech, once: the second take is the clip, unflagged, and the next run calls nobody."""
    provider = slips({WRONG}, times=1)
    takes, progress = await spoken_and_retaken(provider, shelf)
    assert suspects(takes) == {}
    assert provider.calls.count(WRONG) == 2
    assert (progress.failed, progress.done) == (0, progress.total)
    [clip] = [take.outcome for take in takes if take.chunk.text == WRONG]
    assert isinstance(clip, Clip)
    assert (clip.flags, clip.attempts) == ((), 2)
    again = Scripted()
    assert len((await spoken_and_retaken(again, shelf))[0]) == 20
    assert again.calls == []


async def test_what_stands_out_twice_is_kept_and_flagged(shelf: Shelf) -> None:
    """The voice says it so: the clip is kept with its measurement, and not paid for again by the next run."""
    provider = slips({WRONG}, times=9)
    takes, _ = await spoken_and_retaken(provider, shelf)
    [clip] = [take.outcome for take in takes if take.chunk.text == WRONG]
    assert isinstance(clip, Clip)
    assert "where this voice takes about" in clip.flags[0]
    again = Scripted()
    takes, _ = await spoken_and_retaken(again, shelf)
    assert again.calls == []
    assert [take.outcome.flags for take in takes if isinstance(take.outcome, Clip) and take.outcome.flags] == [
        clip.flags
    ]


async def test_a_provider_that_will_not_go_on_takes_no_recording_away(shelf: Shelf) -> None:
    """Every text has a clip: where the credit ends before the second takes, the first ones stand, flagged, for good."""

    def script(text: str, count: int) -> Audio | None:
        if count > 1:
            raise AccountExhausted("no credit is left")
        return Audio(spoken(text[: len(text) // 3]), "wav") if text == WRONG else None

    takes, progress = await spoken_and_retaken(Scripted(call_s=0.01, script=script), shelf)
    assert [take.chunk.text for take in takes if isinstance(take.outcome, Clip) and take.outcome.flags] == [WRONG]
    assert not [take for take in takes if isinstance(take.outcome, Failure)]
    assert progress.done == progress.total
    again = Scripted()
    await spoken_and_retaken(again, shelf)
    assert again.calls == []


async def test_or_it_fails_by_policy(shelf: Shelf) -> None:
    """Who wants no doubtful clip gets a failure with the measurement, and a new try with the next run."""
    takes, _ = await spoken_and_retaken(slips({WRONG}, times=9), shelf, "fail")
    [failure] = [take.outcome for take in takes if isinstance(take.outcome, Failure)]
    assert (failure.error, failure.attempts) == ("NotSpeech", 2)
    mended = Scripted()
    takes, _ = await spoken_and_retaken(mended, shelf, "fail")
    assert mended.calls == [WRONG]
    assert not [take for take in takes if isinstance(take.outcome, Failure)]


async def test_the_budget_bounds_the_second_takes(shelf: Shelf) -> None:
    """Where half of the clips stand out no more than a third are said again; the others are flagged all the same."""
    half = {chunk.text for chunk in sentences(40)[:18]}
    provider = slips(half, times=1)
    takes, _ = await spoken_and_retaken(provider, shelf, count=40)
    assert len(provider.calls) == 40 + 12
    flagged = {take.chunk.text for take in takes if isinstance(take.outcome, Clip) and take.outcome.flags}
    assert flagged == set(suspects(takes))
    assert len(flagged) == 6


async def test_a_second_take_that_fails_leaves_the_first(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that goes down then costs no clip: the first take stays, flagged."""
    monkeypatch.setattr("tasks.attempts.BACKOFF_S", 0.001)
    slip = slips({WRONG}, times=1).script

    def script(text: str, count: int) -> Audio | None:
        if count > 1:
            raise ProviderFailed("down")
        return slip(text, count)

    takes, progress = await spoken_and_retaken(Scripted(call_s=0.01, script=script), shelf)
    assert all(isinstance(take.outcome, Clip) for take in takes)
    assert (progress.failed, progress.done) == (0, progress.total)
