"""The queue of what is still to be said."""

import asyncio
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.attempts import Unit
from tasks.backlog import Backlog
from tasks.clips import Failure, Take
from tasks.turns import Permits
from tests.scripted import chunks_of, sentences

DONE = Failure("Done", "said", 1)


def said(unit: Unit) -> Take:
    return Take(unit.chunk, DONE)


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(0, 40),
    size=st.integers(1, 7),
    takers=st.integers(1, 5),
    setbacks=st.dictionaries(st.integers(0, 39), st.lists(st.sampled_from([0.0, 0.002, 0.01]), max_size=3)),
)
async def test_everything_is_settled_once_and_in_time(
    count: int, size: int, takers: int, setbacks: dict[int, list[float]]
) -> None:
    """However often units come back, each is settled once, none is taken too early, and every taker comes to an end."""
    backlog, chunks = Backlog(sentences(count), lambda _: size, takers, Permits({"a:b": 1})), sentences(count)
    left = {chunks[number].text: list(waits) for number, waits in setbacks.items() if number < count}
    taken: list[Take] = []

    async def drain() -> None:
        while units := await backlog.take():
            assert len(units) <= size
            outcomes: list[Take | Unit] = []
            for unit in units:
                assert unit.not_before <= time.monotonic()
                await asyncio.sleep(0)
                waits = left.get(unit.chunk.text)
                outcomes.append(replace(unit, not_before=time.monotonic() + waits.pop()) if waits else said(unit))
            taken.extend(backlog.settle(outcomes))

    async with asyncio.timeout(20):
        await asyncio.gather(*(drain() for _ in range(takers)))
    assert sorted(take.chunk.text for take in taken) == sorted(chunk.text for chunk in chunks)


async def test_while_one_waits_the_others_go_on() -> None:
    """A unit that must wait does not keep a taker: the rest is taken at once, and it follows when its time has come."""
    backlog = Backlog(sentences(4), lambda _: 1, 1, Permits({"a:b": 1}))
    [first] = await backlog.take()
    backlog.settle([replace(first, not_before=time.monotonic() + 0.2)])
    began, order = time.monotonic(), list[str]()
    while units := await backlog.take():
        order.append(units[0].chunk.text)
        backlog.settle([said(units[0])])
    assert order == [chunk.text for chunk in [*sentences(4)[1:], first.chunk]]
    assert 0.2 <= time.monotonic() - began < 5


async def test_what_has_waited_goes_before_what_was_never_tried() -> None:
    """Else the last calls of a run would be its slowest."""
    backlog = Backlog(sentences(3), lambda _: 1, 1, Permits({"a:b": 1}))
    [first] = await backlog.take()
    backlog.settle([first])
    assert await backlog.take() == [first]


async def test_nothing_is_taken_while_every_key_rests() -> None:
    """While no permit is to be had nothing is taken, and then at once."""
    permits = Permits({"a:b": 1})
    backlog = Backlog(sentences(2), lambda _: 1, 2, permits)
    began = time.monotonic()
    permits.rest("a:b", 0.5)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(backlog.take(), 0.05)
    assert await asyncio.wait_for(backlog.take(), 5)
    assert time.monotonic() - began >= 0.5


async def test_the_first_groups_grow() -> None:
    """Groups of one size would all end together, and leave the lanes idle together."""
    backlog = Backlog(sentences(100), lambda _: 8, 4, Permits({"a:b": 1}))
    assert [len(await backlog.take()) for _ in range(6)] == [2, 4, 6, 8, 8, 8]


async def test_a_key_is_tried_out_with_the_least_text() -> None:
    """The smallest text that nobody has taken goes in place of a longer one, which is not lost."""
    texts = chunks_of("This one is rather long, all in all.", "Not so long, this.", "Yes.", "The last one of all.")
    backlog = Backlog(texts, lambda _: 1, 1, Permits())
    [first] = await backlog.take()
    least = backlog.smaller(first)
    assert least.chunk.text == "Yes."
    backlog.settle([said(least)])
    assert backlog.smaller(least) == least
    assert [unit.chunk.text for unit in [*await backlog.take(), *await backlog.take()]] == [
        texts[0].text,
        texts[1].text,
    ]


async def test_a_backlog_that_is_stopped_gives_nothing() -> None:
    """Whoever waits for units is sent home."""
    backlog = Backlog(sentences(1), lambda _: 1, 1, Permits({"a:b": 1}))
    await backlog.take()
    waiting = asyncio.create_task(backlog.take())
    await asyncio.sleep(0)
    backlog.stop()
    assert await asyncio.wait_for(waiting, 5) == []
