"""What is too long for its window is said faster, and taken only where it is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.logging import disable_run_logger

from blocks.speech import BadInput, BadVoice, Voice
from tasks.clips import Clip, Failure, Take
from tasks.document import Boundary, Chunk, Document, Omission, Segment, Window
from tasks.hurry import OVERSHOOT, WORTH, faster_parts, hurries, said_faster
from tasks.shelf import Shelf
from tasks.speak import Speaker
from tasks.timeline import Fit, Timeline
from tasks.timing import Timing, in_time
from tasks.turns import Permits
from tasks.voicing import Part
from tests.scripted import Scripted, speaker_of

RATE = 1000
VOICE = Voice("scripted", "v", "en", speed=1.1)
TIMING = Timing("auto", "shift", 1.35, "speak", "queue", gaps=False, speed=1.1)


def clip(milliseconds: int, onset: int = 0) -> Clip:
    return Clip("", "", 1, RATE, milliseconds, 0, milliseconds, -3.0, -20.0, onset=onset)


def take(segment: int, milliseconds: int, voice: Voice = VOICE, onset: int = 0) -> Take:
    return Take(Chunk(f"Line {segment}.", segment, Boundary.PARAGRAPH), clip(milliseconds, onset), voice)


def film(*windows: tuple[int, int]) -> Document:
    segments = tuple(
        Segment(f"Line {number}.", number + 1, window=Window(start, end, number + 1))
        for number, (start, end) in enumerate(windows)
    )
    return Document("film.srt", "", "utf-8", "film", segments)


def timeline(rates: Sequence[float]) -> Timeline:
    return Timeline(RATE, (), 0, {number: Fit(0, 1, 1, rate) for number, rate in enumerate(rates)})


@given(st.lists(st.floats(1, 1.35), max_size=20), st.floats(1.05, 2))
def test_how_much_faster(rates: list[float], fastest: float) -> None:
    """By a step at least as fast as needed, never faster than allowed, and not at all for what nobody hears."""
    takes = [take(number, 1000) for number in range(len(rates))]
    factors = hurries(takes, timeline(rates), fastest)
    assert factors.keys() == {number for number, rate in enumerate(rates) if rate > WORTH}
    for number, factor in factors.items():
        assert min(rates[number], fastest) <= factor <= fastest
        assert factor == fastest or math.isclose(factor * 20, round(factor * 20))


def test_another_voice_is_left_as_it_is() -> None:
    """What was said instead of the voice that was asked for, and what was not said, is not said faster."""
    instead, failed = replace(take(0, 900), instead=True), replace(take(1, 1), outcome=Failure("Refused", "no", 1))
    assert hurries([instead, failed, take(2, 900)], timeline([1.3, 1.3, 1.3]), 1.35).keys() == {2}


@given(st.lists(st.tuples(st.integers(500, 3000), st.integers(300, 3000) | st.none()), min_size=1, max_size=12))
def test_only_what_is_faster_is_taken(lengths: list[tuple[int, int | None]]) -> None:
    """A voice that did not speed up, ran away or failed changes nothing; the order of the document stays."""
    first = [take(number, slow) for number, (slow, _) in enumerate(lengths)]
    faster = replace(VOICE, speed=1.4)
    again = [
        take(number, fast, faster) if fast else replace(take(number, 1, faster), outcome=Failure("Refused", "no", 1))
        for number, (_, fast) in enumerate(lengths)
    ]
    kept, sped = said_faster(first, again, 1.35)
    assert [one.chunk for one in kept] == [one.chunk for one in first]
    for number, (slow, fast) in enumerate(lengths):
        if fast and 1 < slow / fast <= 1.35 * OVERSHOOT:
            assert kept[number] == again[number]
            assert sped[number] == pytest.approx(slow / fast)
        else:
            assert kept[number] == first[number]
            assert number not in sped


def speaker(provider: Scripted, folder: Path, voice: Voice = VOICE) -> Speaker:
    return replace(speaker_of(provider, Shelf(folder / "shelf"), Permits()), voice=voice)


class Slow(Scripted):
    """A voice that keeps its speed."""

    async def resolve(self, voice: Voice) -> Voice:
        if voice.speed != VOICE.speed:
            raise BadVoice("scripted takes no speed")
        return voice


async def test_each_voice_and_speed_is_a_part(tmp_path: Path) -> None:
    """With all chunks of the segments that need it; nothing of a voice that cannot."""
    quick, slow = replace(VOICE, name="quick"), VOICE
    speakers = {quick: speaker(Scripted(), tmp_path, quick), slow: speaker(Slow(), tmp_path)}
    takes = [take(0, 900, quick), take(1, 900, slow), take(2, 900, quick), take(2, 500, quick), take(3, 900, quick)]
    with disable_run_logger():
        parts = await faster_parts(takes, speakers, {0: 1.1, 1: 1.1, 2: 1.2})
    said = {part.speaker.voice.speed: [chunk.segment for chunk in part.chunks] for part in parts}
    assert said == {1.1 * 1.1: [0], 1.1 * 1.2: [2, 2]}


async def never(_: Sequence[Part], **__: object) -> list[Take]:
    raise AssertionError("nothing was to be said")


async def test_a_voice_that_fails_to_hurry(tmp_path: Path) -> None:
    """The first takes stand, stretched; nothing counts as failed."""
    one = speaker(Scripted(), tmp_path)
    one.progress.total, one.progress.spoken = 2, 2

    async def say(parts: Sequence[Part], *, patient: bool) -> list[Take]:
        assert patient
        chunks = [chunk for part in parts for chunk in part.chunks]
        one.progress.total += len(chunks)
        one.progress.failed += len(chunks)
        return [Take(chunk, Failure("Unreachable", "away", 4), parts[0].speaker.voice) for chunk in chunks]

    takes = [take(0, 1100), take(1, 500)]
    with disable_run_logger():
        kept, laid = await in_time(film((0, 900), (1000, 2000)), takes, TIMING, [Part((), one)], say)
    assert kept == takes
    assert laid
    assert laid.fits[0].rate == pytest.approx(1.1 / 0.95, abs=0.01)
    assert (one.progress.total, one.progress.failed) == (2, 0)


async def test_a_film_that_begins_at_once() -> None:
    """The very first cue has no time for a soft beginning: that is left out, and the cue is on time."""
    takes, laid = await in_time(
        film((0, 900), (5000, 6000)), [take(0, 800, onset=18), take(1, 800, onset=18)], TIMING, [], never
    )
    assert laid
    assert [(place.start, laid.fits[number].late) for number, place in enumerate(laid.placements)] == [
        (0, 0),
        (4982, 0),
    ]
    assert [one.outcome.speech_start for one in takes if isinstance(one.outcome, Clip)] == [18, 0]


async def test_no_silence_is_cut_off_the_end() -> None:
    """The recording lasts as long as the last cue, also one of which nothing is spoken."""
    document = replace(film((1000, 2000)), omissions=(Omission(9, "[music]", "empty", "", Window(8000, 9500, 2)),))
    _, laid = await in_time(document, [take(0, 500)], TIMING, [], never)
    assert laid
    assert laid.length == 9500


@pytest.mark.parametrize(("gaps", "made"), [(False, False), (True, True)])
async def test_a_cue_without_speech(gaps: bool, made: bool) -> None:
    """There is a recording only where gaps are allowed; none of nothing but gaps."""
    failed = Take(Chunk("Line 1.", 1, Boundary.PARAGRAPH), Failure("Refused", "no", 1), VOICE)
    document, timing = film((0, 900), (2000, 3000)), replace(TIMING, gaps=gaps)
    _, laid = await in_time(document, [take(0, 500), failed], timing, [], never)
    assert (laid is not None) == made
    assert not laid or laid.placements[1].gap
    alone = replace(failed, chunk=replace(failed.chunk, segment=0))
    assert (await in_time(film((0, 900)), [alone], timing, [], never))[1] is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"fastest": 0.9}, "0.9"), ({"fastest": 3.1}, "3.1"), ({"fastest": float("nan")}, "nan")],
)
def test_no_such_rate(changes: Mapping[str, float], words: str) -> None:
    """It is named, with what would do."""
    with pytest.raises(BadInput, match=words):
        replace(TIMING, **changes).check()
