"""Speech that overlaps: everything is heard, nothing is louder than it should be, and nothing clicks."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.mix import RAMP_S, mixed
from tasks.timeline import Placement

RATE = 8_000
RAMP = round(RAMP_S * RATE)


def tone(count: int, level: int = 10_000, pitch: float = 200.0) -> np.ndarray:
    return (level * np.sin(2 * np.pi * pitch * np.arange(count) / RATE)).astype(np.int16)


def laid(places: list[Placement], sounds: list[np.ndarray]) -> np.ndarray:
    """All of it in one array; every piece begins where the one before it ended, or later."""
    whole = np.zeros(max(place.end for place in places) + 4 * RAMP, np.int64)  # and silence behind it
    cursor = 0
    for start, sound in mixed(places, sounds, RATE):
        assert sound.dtype == np.int16
        assert start >= cursor
        cursor = start + len(sound)
        whole[start:cursor] = sound
    return whole


PLACES = st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 3_000)), min_size=1, max_size=12).map(
    lambda found: [Placement(start, start + length) for start, length in sorted(found)]
)


@settings(deadline=None)
@given(PLACES, st.integers(0, 32_767))
def test_any_overlap(places: list[Placement], level: int) -> None:
    """What is alone, and 20 ms from all others, is untouched; where n are heard, each is at 1/√n or, where that would
    clip, below: however loud they are, nothing overflows."""
    sounds = [np.full(place.end - place.start, level, np.int16) for place in places]
    heard = laid(places, sounds)
    voices = np.zeros(len(heard), int)
    for place in places:
        voices[place.start : place.end] += 1
    wanted = np.minimum(voices * level / np.sqrt(np.maximum(voices, 1)), 32_767)
    assert (heard <= wanted + 1).all()
    assert (heard[voices == 0] == 0).all()
    together = np.convolve(voices > 1, np.ones(2 * RAMP + 1), "same") > 0.5
    assert np.array_equal(heard[~together], (voices * level)[~together])


def test_two_voices_are_as_loud_as_one() -> None:
    """Two at one time have the power of one, and their levels change over 20 ms, without a click."""
    places = [Placement(0, 8_000), Placement(4_000, 12_000)]
    heard = laid(places, [tone(8_000, pitch=200), tone(8_000, pitch=310)]).astype(float)
    loud = [np.sqrt(np.mean(heard[start : start + 3_000] ** 2)) for start in (500, 4_500, 8_500)]
    assert max(loud) / min(loud) < 1.02
    steps = np.abs(np.diff(heard))
    assert steps.max() < 1.3 * steps[500:3_500].max() * (310 / 200)


def test_loud_voices_that_meet_are_held_below_full_scale() -> None:
    """Two at full scale, in step, are neither wrapped nor cut off: their shape stays."""
    places = [Placement(0, 8_000), Placement(0, 8_000)]
    heard = laid(places, [tone(8_000, 32_767)] * 2)
    assert 32_700 <= heard.max() <= 32_767
    assert np.abs(heard[:8_000] - tone(8_000, 32_767)).max() <= 2


def test_an_endless_chain_is_held_in_pieces() -> None:
    """Where each of a thousand overlaps the next, no more is in memory than what sounds together."""
    places = [Placement(4_000 * number, 4_000 * number + 5_000) for number in range(1_000)]

    def sounds() -> Iterator[np.ndarray]:
        for _ in places:
            yield tone(5_000)

    tracemalloc.start()
    heard = sum(len(sound) for _, sound in mixed(places, sounds(), RATE))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert heard == places[-1].end
    assert peak < 2_000_000
