"""Where clips sit: integers, in order, with the pauses that the text asks for."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.speech import RunFailed
from tasks.clips import Clip, Failure, Take
from tasks.document import Boundary, Chunk, Segment
from tasks.timeline import PAUSES_MS, chapters, choose_rate, lay_out

RATES = st.sampled_from([8000, 16000, 22050, 24000, 44100, 48000])


def take(samples: int, rate: int, boundary: Boundary = Boundary.SENTENCE, head: int = 0, segment: int = 0) -> Take:
    clip = Clip("clip.wav", "", 0, rate, head + samples + 7, head, head + samples, -3.0, -20.0)
    return Take(Chunk("Some text.", segment, boundary), clip)


TAKES = st.lists(
    st.builds(take, st.integers(0, 5_000_000), RATES, st.sampled_from(Boundary), st.integers(0, 5000)), min_size=1
)


HOLE = Take(Chunk("It was a dark and stormy night, and nobody knew why.", 0, Boundary.SENTENCE), Failure("X", "no", 3))


def speech(takes: list[Take]) -> list[Clip]:
    return [item.outcome for item in takes if isinstance(item.outcome, Clip)]


@given(TAKES, RATES)
def test_layout(takes: list[Take], rate: int) -> None:
    """Each clip has its place, in order, never overlapping, after exactly the pause that the text before asks for."""
    timeline = lay_out(takes, rate)
    assert len(timeline.placements) == len(takes)
    assert timeline.placements[0].start == 100 * rate // 1000
    for (before, after), said in zip(pairwise(timeline.placements), takes, strict=False):
        assert after.start - before.end == PAUSES_MS[said.chunk.boundary] * rate // 1000 >= 0
    assert timeline.length - timeline.placements[-1].end == 500 * rate // 1000
    assert all(type(edge) is int for place in timeline.placements for edge in (place.start, place.end))


@given(TAKES, RATES)
def test_places_are_as_long_as_the_speech(takes: list[Take], rate: int) -> None:
    """A place holds the trimmed speech: to the sample at the same rate, within half a sample at another."""
    for clip, place in zip(speech(takes), lay_out(takes, rate).placements, strict=True):
        exact = (clip.speech_end - clip.speech_start) * rate
        error = (place.end - place.start) * clip.sample_rate - exact
        assert abs(error) * 2 <= clip.sample_rate
        if clip.sample_rate == rate:
            assert error == 0


def test_no_drift() -> None:
    """The last of 10,000 clips at 22.05 kHz starts at the sample that the sum of all before it gives."""
    takes = [take(44_101, 22_050) for _ in range(10_000)]
    assert lay_out(takes, 22_050).placements[-1].start == 2205 + 9_999 * (44_101 + 6615)


@given(st.lists(st.tuples(st.integers(1, 10**6), RATES), min_size=1))
def test_most_of_the_speech_keeps_its_rate(clips: list[tuple[int, int]]) -> None:
    """No other rate among the clips has more seconds of speech than the chosen one."""
    chosen = choose_rate([take(samples, rate) for samples, rate in clips])
    seconds = {rate: sum(samples / rate for samples, other in clips if other == rate) for _, rate in clips}
    assert seconds[chosen] >= max(seconds.values()) * (1 - 1e-9)


def test_a_missing_clip_is_named() -> None:
    """A recording with holes is refused: how many, and which is the first, with its text and reason."""
    with pytest.raises(
        RunFailed, match=r"2 of 4 chunks have no speech; the first is chunk 1 \('It was a dark.*…'\): no"
    ):
        lay_out([take(1, 24_000), HOLE, take(1, 24_000), HOLE], 24_000)


@given(st.lists(st.one_of(TAKES.map(lambda takes: takes[0]), st.just(HOLE)), min_size=1), RATES)
def test_gaps_are_places_too(takes: list[Take], rate: int) -> None:
    """With gaps allowed each take has its place in order, and a gap lasts about as long as its text would."""
    timeline = lay_out(takes, rate, gaps=True)
    assert [place.gap for place in timeline.placements] == [isinstance(take.outcome, Failure) for take in takes]
    for before, after in pairwise(timeline.placements):
        assert before.end <= after.start
    for place in timeline.placements:
        assert not place.gap or 2 < (place.end - place.start) / rate < 8


def test_nothing_is_refused() -> None:
    """No takes at all make no recording."""
    with pytest.raises(RunFailed, match="nothing to merge"):
        choose_rate([])


def test_chapters() -> None:
    """A chapter starts where its heading is spoken, the first one with the file; an unspoken heading has none."""
    segments = [
        Segment("One", 1, "One", 1),
        Segment("Text.", 2, "One"),
        Segment("***", 3, "***", 2),
        Segment("Two", 4, "Two", 1),
    ]
    takes = [take(1000, 8000, segment=index) for index in (0, 1, 1, 3)]
    timeline = lay_out(takes, 8000)
    assert chapters(segments, takes, timeline) == ((0, "One"), (timeline.placements[3].start, "Two"))
