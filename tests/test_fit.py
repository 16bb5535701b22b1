"""Speech in the windows of cues: on time, no faster than it must be, and what does not fit is told."""

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from blocks.speech import RunFailed, Voice
from tasks.clips import Clip, Failure, Take
from tasks.document import Boundary, Chunk, Segment, Window
from tasks.fit import FASTEST, Overlaps, Policy, fit_cues, refused
from tasks.timeline import Fit, Placement, Timeline, stretched

RATE = 24_000
MS = RATE // 1000
GUARD = 50 * MS
Cues = tuple[list[Segment], list[Take]]


def segment(start_ms: int, end_ms: int, index: int) -> Segment:
    return Segment("Some text.", index * 4, window=Window(start_ms, end_ms, index))


def take(number: int, speech_ms: int, head_ms: int = 0, boundary: Boundary = Boundary.PARAGRAPH) -> Take:
    start, length = 3 * MS, speech_ms * MS
    clip = Clip("", "", 0, RATE, length + 9 * MS, start, start + length, -3.0, -20.0, start + head_ms * MS)
    return Take(Chunk("Some text.", number, boundary), clip)


def missing(number: int, boundary: Boundary = Boundary.PARAGRAPH) -> Take:
    return Take(Chunk("Some text.", number, boundary), Failure("X", "no", 3))


def cues(*each: tuple[int, int, int]) -> Cues:
    """Of a start, an end and a length of speech, in milliseconds."""
    return (
        [segment(start, end, index) for index, (start, end, _) in enumerate(each, 1)],
        [take(number, speech) for number, (_, _, speech) in enumerate(each)],
    )


def heads(takes: Sequence[Take], timeline: Timeline) -> list[int]:
    """How much of each placement comes before its first sound."""
    return [
        stretched(said.outcome.onset - said.outcome.speech_start, place.tempo) if isinstance(said.outcome, Clip) else 0
        for said, place in zip(takes, timeline.placements, strict=True)
    ]


@st.composite
def films(draw: st.DrawFn, *, apart: bool, least_ms: int = 1) -> Cues:
    """Cues in the order of time with one take or several, some in more or less time than they take to say."""
    segments, takes, start = [], [], 100
    for number in range(draw(st.integers(1, 12))):
        window = draw(st.integers(least_ms, 4000))
        segments.append(segment(start, start + window, number + 1))
        boundaries = st.lists(st.sampled_from(Boundary), min_size=1, max_size=3)
        takes += [take(number, draw(st.integers(20, 5000)), draw(st.integers(0, 20)), b) for b in draw(boundaries)]
        start += window + draw(st.integers(0 if apart else -window, 3000))
    return segments, takes


@given(films(apart=False), st.sampled_from(["shift", "trim", "fail"]))
def test_one_after_another(film: Cues, policy: Policy) -> None:
    """In a queue each take has its place, no two sound at the same time, and none comes before its cue."""
    segments, takes = film
    timeline = fit_cues(segments, takes, RATE, policy=policy)
    places = timeline.placements
    assert all(place.start <= place.end for place in places)
    assert all(before.end <= after.start for before, after in pairwise(places))
    starts: dict[int, int] = {}
    for said, place, head in zip(takes, places, heads(takes, timeline), strict=True):
        starts.setdefault(said.chunk.segment, place.start + head)
    for number, start in starts.items():
        fit, window = timeline.fits[number], segments[number].window
        assert window
        assert (fit.start, fit.end) == (window.start_ms * MS, window.end_ms * MS)
        assert start == fit.start + fit.late >= fit.start


@given(films(apart=False), st.sampled_from(["queue", "mix"]), st.floats(1, 2))
def test_whole_and_not_too_fast(film: Cues, overlaps: Overlaps, fastest: float) -> None:
    """Untrimmed, all speech is heard, at one rate a cue, never slower than spoken nor faster than the highest."""
    segments, takes = film
    timeline = fit_cues(segments, takes, RATE, overlaps=overlaps, fastest=fastest)
    for said, place in zip(takes, timeline.placements, strict=True):
        assert isinstance(clip := said.outcome, Clip)
        assert 1 <= place.tempo == timeline.fits[said.chunk.segment].rate <= fastest
        assert place.end - place.start == stretched(clip.speech_end - clip.speech_start, place.tempo)
        assert timeline.fits[said.chunk.segment].cut == 0


@given(films(apart=True))
def test_no_faster_than_it_must_be(film: Cues) -> None:
    """What fits until 50 ms before the next cue is heard as spoken; else it ends there, to the sample for each take."""
    segments, takes = film
    timeline = fit_cues(segments, takes, RATE)
    for number, fit in timeline.fits.items():
        count = sum(said.chunk.segment == number for said in takes)
        end = max(p.end for p, said in zip(timeline.placements, takes, strict=True) if said.chunk.segment == number)
        room = timeline.fits[number + 1].start - GUARD if number + 1 < len(segments) else fit.end + 1000 * MS
        assert fit.overrun == max(0, end - room)
        if fit.overrun:
            assert fit.rate == FASTEST
        elif fit.rate > 1:
            assert 0 <= room - end <= 2 * count
    assert all(after.late <= before.overrun for before, after in pairwise(timeline.fits.values()))


@given(films(apart=False))
def test_lateness_is_made_good(film: Cues) -> None:
    """After a gap that is long enough, cues are on time again, whatever went before."""
    segments, takes = film
    after = len(segments)
    start = max(place.end for place in fit_cues(segments, takes, RATE).placements) // MS + 100
    segments.append(segment(start, start + 1000, after + 1))
    timeline = fit_cues(segments, [*takes, take(after, 900, 15)], RATE)
    assert timeline.fits[after] == Fit(start * MS, (start + 1000) * MS, 900 * MS)
    assert timeline.placements[-1].start == (start - 15) * MS


@given(films(apart=True, least_ms=100))
def test_trimmed(film: Cues) -> None:
    """Trimmed, no cue is late, each ends 50 ms before the next, and what is cut is told: no more than must be."""
    segments, takes = film
    timeline = fit_cues(segments, takes, RATE, policy="trim")
    for number, fit in timeline.fits.items():
        places = [p for p, said in zip(timeline.placements, takes, strict=True) if said.chunk.segment == number]
        room = timeline.fits[number + 1].start - GUARD if number + 1 < len(segments) else fit.end + 1000 * MS
        assert fit.late == 0
        assert places[-1].end <= room
        assert fit.cut == fit.overrun
        assert not fit.cut or (places[-1].end == room and fit.rate == FASTEST)
        whole = places[0].start + fit.need / fit.rate
        assert abs(whole - places[-1].end - fit.cut) <= 2 * len(places)


@given(films(apart=False), st.sampled_from(["shift", "trim", "fail"]))
def test_mixed(film: Cues, policy: Policy) -> None:
    """Mixed, every cue starts on the sample, whatever else is heard then."""
    segments, takes = film
    timeline = fit_cues(segments, takes, RATE, policy=policy, overlaps="mix")
    assert [fit.late for fit in timeline.fits.values()] == [0] * len(segments)


@given(films(apart=False), st.integers(0, 5000), st.integers(1, 5000))
def test_what_comes_changes_nothing_before_but_the_room(film: Cues, later: int, speech: int) -> None:
    """Another cue at the end changes the last one before it, whose room it bounds, and nothing else."""
    segments, takes = film
    start = max(each.window.start_ms for each in segments if each.window) + later
    more = [*segments, segment(start, start + 1000, len(segments) + 1)]
    before = fit_cues(segments, takes, RATE)
    after = fit_cues(more, [*takes, take(len(segments), speech)], RATE)
    kept = [number for number, said in enumerate(takes) if said.chunk.segment < len(segments) - 1]
    assert [before.placements[number] for number in kept] == [after.placements[number] for number in kept]
    assert [before.fits[number] for number in range(len(segments) - 1)] == [
        after.fits[number] for number in range(len(segments) - 1)
    ]


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100])
def test_no_drift(rate: int) -> None:
    """The last of 20,000 cues starts at the sample of its own time, and laying them all out takes a moment."""
    segments, takes = cues(*((number * 1007, number * 1007 + 900, 850 + number % 300) for number in range(20_000)))
    began = time.process_time()
    timeline = fit_cues(segments, takes, rate)
    assert time.process_time() - began < 10
    assert timeline.placements[-1].start == 19_999 * 1007 * rate // 1000
    assert all(type(edge) is int for place in timeline.placements for edge in (place.start, place.end))
    assert not any(fit.late or fit.overrun for fit in timeline.fits.values())


def test_other_rates() -> None:
    """A clip of another rate than the recording's takes as long, and its first sound comes as exactly."""
    segments, takes = cues((1000, 2000, 500))
    takes[0] = take(0, 500, 20)
    (place,) = fit_cues(segments, takes, 48_000).placements
    assert place == Placement(48_000 - 960, 48_000 - 960 + 24_000)


def test_a_gap_is_borrowed_first() -> None:
    """Speech of 3 s in a window of 1 s is heard as spoken if the next cue comes after 3.05 s, faster if sooner."""
    free = fit_cues(*cues((0, 1000, 3000), (3050, 4000, 10)), RATE)
    tight = fit_cues(*cues((0, 1000, 3000), (2550, 4000, 10)), RATE)
    assert free.fits[0].rate == 1
    assert tight.fits[0].rate == pytest.approx(1.2, rel=1e-3)
    assert tight.placements[0].end == 2500 * MS


def test_speech_that_is_far_too_long_makes_the_next_cue_late() -> None:
    """Three times too long, it is heard 1.35 times faster; the next starts 50 ms after it, and hurries in its turn."""
    timeline = fit_cues(*cues((0, 1000, 3000), (1050, 3000, 900), (3050, 4000, 500)), RATE)
    end = round(3000 * MS / 1.35)
    assert timeline.fits[0] == Fit(0, 1000 * MS, 3000 * MS, 1.35, 0, end - 1000 * MS, 0)
    assert timeline.placements[1].start == end + GUARD
    assert timeline.fits[1].late == end + GUARD - 1050 * MS
    assert timeline.fits[1].rate == pytest.approx(900 * MS / (3000 * MS - end - GUARD), rel=1e-3)
    assert timeline.fits[2].late == 0


def test_the_last_cue_may_run_on_for_a_second() -> None:
    """Nothing tells how long a film goes on: the last cue borrows a second, and is then heard faster as any other."""
    assert fit_cues(*cues((0, 1000, 2000)), RATE).fits[0].rate == 1
    assert fit_cues(*cues((0, 1000, 3000)), RATE).fits[0].rate == 1.35


def test_the_soft_beginning_lies_before_the_cue() -> None:
    """What is first heard falls on the cue's start, at any rate; only at the very start of a film it cannot."""
    segments, _ = cues((0, 400, 0), (1000, 2000, 0), (2050, 3000, 0))
    timeline = fit_cues(segments, [take(0, 1140, 20), take(1, 1200, 20), take(2, 500)], RATE)
    first, second, _ = timeline.placements
    assert first.start == 0
    assert timeline.fits[0].late == round(20 * MS / first.tempo) == 400
    assert first.end == pytest.approx(950 * MS, abs=2)
    assert second.tempo > 1
    assert second.start + round(20 * MS / second.tempo) == 1000 * MS
    assert timeline.fits[1].late == 0


def test_a_start_that_was_not_looked_for() -> None:
    """A clip whose onset nobody knows starts with its speech."""
    segments, (said,) = cues((1000, 2000, 500))
    assert isinstance(said.outcome, Clip)
    old = Clip("", "", 0, RATE, 1000 * MS, 40 * MS, 540 * MS, -3.0, -20.0)
    assert fit_cues(segments, [Take(said.chunk, old)], RATE).placements[0].start == 1000 * MS


def test_overlap_in_the_source() -> None:
    """Queued, a cue that the next one overlaps hurries if that is enough for the next to be on time; else it has its
    window. Mixed, it has the time until the first cue after it."""
    little = fit_cues(*cues((0, 2000, 2100), (1900, 3000, 500)), RATE)
    assert little.placements[0].end == pytest.approx(1850 * MS, abs=2)
    assert little.fits[1].late == 0
    much = cues((0, 4000, 4200), (1000, 5000, 900), (6000, 7000, 500))
    queued = fit_cues(*much, RATE)
    assert queued.placements[0].end == pytest.approx(3950 * MS, abs=2)
    assert queued.fits[1].late == pytest.approx(3000 * MS, abs=2)
    assert queued.fits[2].late == 0
    mixed = fit_cues(*much, RATE, overlaps="mix")
    assert [place.start for place in mixed.placements] == [0, 1000 * MS, 6000 * MS]
    assert mixed.fits[0].rate == 1
    assert fit_cues(*cues((0, 1000, 1140), (1000, 2000, 9)), RATE, overlaps="mix").fits[0].rate == pytest.approx(1.2)


def test_trimmed_overlap_loses_no_cue() -> None:
    """A cue inside another's window is late in the queue, and is heard for as long as its own window all the same."""
    timeline = fit_cues(*cues((0, 9000, 20_000), (2000, 3000, 20_000), (3000, 4000, 20_000)), RATE, policy="trim")
    places = [(place.start // MS, place.end // MS) for place in timeline.placements]
    assert places == [(0, 8950), (9000, 9950), (10_000, 10_950)]


def test_the_order_of_the_file_is_kept() -> None:
    """Cues that are out of order are said in the order of time; placements stay in the order of the takes."""
    timeline = fit_cues(*cues((5000, 6000, 500), (1000, 2000, 500), (5000, 6000, 700)), RATE)
    assert [place.start for place in timeline.placements] == [5000 * MS, 1000 * MS, 5550 * MS]


def test_two_speakers_of_one_cue() -> None:
    """They take turns in the one window, a sentence's pause apart, at one tempo, each at their own loudness."""
    segments = [segment(1000, 3000, 7), segment(1000, 3000, 7), segment(3050, 4000, 8)]
    first, second, third = take(0, 1000), take(1, 900), take(2, 100)
    assert isinstance(second.outcome, Clip)
    second = Take(second.chunk, replace(second.outcome, rms_dbfs=-18.0), Voice("espeak", "Bob"))
    timeline = fit_cues(segments, [first, second, third], RATE)
    anna, bob, _ = timeline.placements
    assert (anna.gain_db, bob.gain_db) == (0, -2)
    assert anna.tempo == bob.tempo == pytest.approx(2200 / 2000, rel=1e-3)
    assert bob.start - anna.end == round(300 * MS / anna.tempo)
    assert 3000 * MS - 4 <= bob.end <= 3000 * MS
    assert timeline.fits[0] == timeline.fits[1]
    assert timeline.fits[0].need == 2200 * MS


def test_spoken_faster_already() -> None:
    """What was spoken faster counts: the rate is that of both, never above the highest, and the need is what it was."""
    once = cues((0, 1000, 2000), (1550, 2000, 10))
    timeline = fit_cues(*once, RATE, sped={0: 1.25})
    assert timeline.fits[0].rate == pytest.approx(1.35)
    assert timeline.placements[0].tempo == pytest.approx(1.08)
    assert timeline.fits[0].need == 2500 * MS
    assert fit_cues(*once, RATE, sped={0: 1.5}).placements[0].tempo == 1
    segments, _ = once
    first, second = fit_cues(
        segments[:1], [take(0, 400, 0, Boundary.SENTENCE), take(0, 400)], RATE, sped={0: 1.25}
    ).placements
    assert second.start - first.end == 240 * MS


def test_gaps() -> None:
    """A cue without speech is silence in its window, up to the next cue; a missing part of one takes a part."""
    segments = [segment(0, 1000, 1), segment(1000, 3000, 2), segment(2000, 9000, 3), segment(9000, 9500, 4)]
    takes = [take(0, 500), missing(1), take(2, 600, 0, Boundary.SENTENCE), missing(2), missing(3), missing(3)]
    timeline = fit_cues(segments, takes, RATE, gaps=True)
    places = timeline.placements
    assert [place.gap for place in places] == [False, True, False, True, True, True]
    assert (places[1].start, places[1].end) == (1000 * MS, 2000 * MS)
    assert places[3].start == places[2].end + 300 * MS
    assert (places[3].end - places[3].start) / RATE == pytest.approx(1, abs=0.5)
    assert [(p.start // MS, p.end // MS) for p in places[4:]] == [(9000, 9250), (9250, 9500)]
    assert timeline.fits.keys() == {0, 2}
    late = fit_cues(segments, [take(0, 1890), *takes[1:]], RATE, gaps=True).placements
    assert late[1] == Placement(late[0].end, 2000 * MS, gap=True)
    with pytest.raises(RunFailed, match="3 of 6 chunks have no speech"):
        fit_cues(segments, [*takes[:3], *takes[1:2], *takes[4:5], take(3, 100)], RATE)


@given(films(apart=False))
def test_a_missing_clip_moves_no_other(film: Cues) -> None:
    """Where a cue has failed, the cues before it stay where they were: it keeps its time."""
    segments, takes = film
    assume(len(segments) > 1)
    last = len(segments) - 1
    holes = [missing(last) if said.chunk.segment == last else said for said in takes]
    kept = [number for number, said in enumerate(takes) if said.chunk.segment < last]
    whole, holed = fit_cues(segments, takes, RATE), fit_cues(segments, holes, RATE, gaps=True)
    assert [whole.placements[number] for number in kept] == [holed.placements[number] for number in kept]


def test_refused() -> None:
    """Where the policy says so, only what does not fit itself has failed, and it tells what it needs and has."""
    segments, takes = cues((0, 1000, 3000), (1050, 3000, 1500), (3050, 4000, 500))
    timeline = fit_cues(segments, takes, RATE, policy="fail")
    failed, *others = refused(takes, timeline, "fail")
    remedy = "shorten it, allow a higher --fastest, or take --fit shift"
    assert failed.outcome == Failure("TooLong", f"needs 2.22 s at 1.35 times the speed, and has 1.00 s: {remedy}", 1)
    assert others == takes[1:]
    assert refused(takes, fit_cues(segments, takes, RATE), "shift") == takes


def test_length() -> None:
    """A recording is as long as its last window or its last speech demands, spoken or not; no more."""
    segments, takes = cues((0, 1000, 1900), (500, 900, 0))
    segments.append(segment(0, 1500, 3))
    assert fit_cues(segments, takes[:1], RATE).length == 1900 * MS
    assert fit_cues(segments, takes[:1], RATE, until_ms=2500).length == 2500 * MS
    segments.append(segment(3000, 3500, 4))
    assert fit_cues(segments, takes[:1], RATE).length == 3500 * MS
    assert fit_cues([], [], RATE, gaps=True, until_ms=70).length == 70 * MS


def test_only_cues() -> None:
    """A paragraph has no window: it is named, not laid out somewhere."""
    with pytest.raises(ValueError, match="line 4 is no cue"):
        fit_cues([Segment("Text.", 4)], [take(0, 10)], RATE)
