"""Lanes, permits and the attempt loop, against a real Prefect server and a voice that does as it is told."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client

from blocks.key_health import opened_store
from blocks.plans import Plan
from blocks.speech import AccountExhausted, Audio, BadText, ProviderFailed, RunFailed
from tasks.clips import Clip, Failure, Take
from tasks.document import Chunk
from tasks.lanes import Line, lines_of, open_lanes
from tasks.progress import Progress
from tasks.retry import retry
from tasks.shelf import Shelf
from tasks.synthesise import find_on_shelf, group_size, synthesise_chunks
from tests.scripted import VOICE, Scripted, chunks_of, sentences, speaker_of

pytestmark = pytest.mark.usefixtures("prefect_server")


@flow(name="lanes-test")
async def speak_in_lanes(
    chunks: list[Chunk], provider: Scripted, shelf: Shelf, lanes: int, progress: Progress
) -> list[Take]:
    found = find_on_shelf(chunks, VOICE, shelf)
    lines = [Line(provider.plan.tag, provider.plan.in_flight, lanes)]
    async with opened_store() as store, open_lanes(lines, store, progress) as permits:
        return await synthesise_chunks(chunks, found, speaker_of(provider, shelf, permits, progress, lanes))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state of the test's own."""
    monkeypatch.setenv("SPEECH_HOME", str(tmp_path / "home"))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


async def slots_of(plan: Plan) -> tuple[int, int]:
    async with get_client() as client:
        limit = await client.read_global_concurrency_limit_by_name(f"tag:{plan.tag}")
        return limit.active_slots, limit.limit


async def test_lanes_bound_the_calls_and_fill_them(shelf: Shelf) -> None:
    """Never more calls than lanes, as many as lanes most of the time, one take for each chunk, in order."""
    provider, chunks, progress = Scripted(in_flight=3, together=3), sentences(40), Progress()
    takes = await speak_in_lanes(chunks, provider, shelf, 3, progress)
    assert [take.chunk for take in takes] == chunks
    assert all(isinstance(take.outcome, Clip) for take in takes)
    assert provider.most == 3
    assert progress.calls == progress.spoken == len(provider.calls) == 40
    assert (progress.lanes, progress.in_flight) == (0, 0)


async def test_slots_are_held_while_there_is_work(shelf: Shelf) -> None:
    """The plan's tag shows the run's slots while it speaks, and none afterwards."""
    half, seen = asyncio.Event(), list[tuple[int, int]]()

    def script(text: str, _count: int) -> None:
        if text == sentences(40)[20].text:
            half.set()

    async def watch() -> None:
        await half.wait()
        seen.append(await slots_of(provider.plan))

    provider = Scripted(in_flight=2, call_s=0.1, together=2, script=script)
    await asyncio.gather(speak_in_lanes(sentences(40), provider, shelf, 2, Progress()), watch())
    assert seen == [(2, 2)]
    assert await slots_of(provider.plan) == (0, 2)


async def test_fewer_workers_than_the_plan_allows(shelf: Shelf) -> None:
    """A run that asks for one lane of a plan of four makes one call at a time."""
    provider = Scripted(in_flight=4)
    await speak_in_lanes(sentences(8), provider, shelf, 1, Progress())
    assert provider.most == 1


async def test_two_runs_keep_one_limit(tmp_path: Path) -> None:
    """Two runs on one plan never make more calls together than the plan allows."""
    provider = Scripted(in_flight=2)
    both = [speak_in_lanes(sentences(10), provider, Shelf(tmp_path / name), 2, Progress()) for name in ("one", "other")]
    for takes in await asyncio.gather(*both):
        assert all(isinstance(take.outcome, Clip) for take in takes)
    assert provider.most == 2
    assert len(provider.calls) == 20


async def test_a_body_that_fails_gives_its_own_error_and_its_slots_back() -> None:
    """An error inside the lanes comes out as it is, not in a group, and no slot stays taken."""
    provider = Scripted()

    @flow(name="failing")
    async def failing() -> None:
        async with opened_store() as store, open_lanes([Line(provider.plan.tag, 2, 2)], store, Progress()) as permits:
            await permits.take()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert (await slots_of(provider.plan))[0] == 0


async def test_the_same_text_is_spoken_once(shelf: Shelf) -> None:
    """A text that stands three times in a document costs one call; the others count as reused."""
    provider = Scripted()
    takes = await speak_in_lanes(
        chunks_of("Yes, of course.", "No.", "Yes, of course.", "Yes, of course."), provider, shelf, 2, Progress()
    )
    assert sorted(provider.calls) == ["No.", "Yes, of course."]
    assert [take.outcome.reused for take in takes if isinstance(take.outcome, Clip)] == [False, False, True, True]


async def test_a_second_run_calls_nobody(shelf: Shelf) -> None:
    """What is on the shelf is not spoken again; one edited sentence costs one call."""
    first, second = Scripted(), Scripted()
    await speak_in_lanes(sentences(6), first, shelf, 2, Progress())
    edited = [*sentences(5), *chunks_of("This sentence is another one now.")]
    takes = await speak_in_lanes(edited, second, shelf, 2, Progress())
    assert second.calls == ["This sentence is another one now."]
    assert [isinstance(take.outcome, Clip) and take.outcome.reused for take in takes] == [True] * 5 + [False]


async def test_what_failed_whole_is_said_in_pieces(shelf: Shelf) -> None:
    """A text that breaks the engine is cut until only the part at fault is left, and all else is spoken."""

    def script(text: str, _count: int) -> None:
        if "Rumpelstiltskin" in text:
            raise BadText("will not say that name")

    text = "The miller had a daughter. She could spin gold. Rumpelstiltskin came by night. He asked for her ring."
    provider = Scripted(script=script)

    @flow(name="retry-test")
    async def speak_and_retry() -> list[Take]:
        async with opened_store() as store, open_lanes([Line(provider.plan.tag, 2, 1)], store, Progress()) as permits:
            speaker = speaker_of(provider, shelf, permits)
            return await retry(await synthesise_chunks(chunks_of(text), {}, speaker), "en", speaker)

    takes = await speak_and_retry()
    assert "".join("".join(take.chunk.text for take in takes).split()) == "".join(text.split())
    failed = [take.chunk.text for take in takes if isinstance(take.outcome, Failure)]
    assert len(failed) == 1
    assert "Rumpelstiltskin" in failed[0]
    assert len(failed[0]) < 40


@flow(name="retry-test")
async def spoken_and_retried(provider: Scripted, shelf: Shelf, text: str) -> list[Take]:
    async with opened_store() as store, open_lanes([Line(provider.plan.tag, 2, 2)], store, Progress()) as permits:
        speaker = speaker_of(provider, shelf, permits)
        return await retry(await synthesise_chunks(chunks_of(text), {}, speaker), "en", speaker)


LONG = "The miller had a daughter. She could spin gold. The king came by night. He asked for her ring. " * 6


async def test_a_provider_that_is_down_is_no_reason_to_cut(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the provider fails no piece goes better: the text is asked for whole, and no cut is remembered."""
    monkeypatch.setattr("tasks.attempts.BACKOFF_S", 0.001)

    def script(_text: str, _count: int) -> None:
        raise ProviderFailed("answered 500")

    provider = Scripted(script=script)
    [take] = await spoken_and_retried(provider, shelf, LONG)
    assert isinstance(take.outcome, Failure)
    assert provider.calls == [LONG] * 16
    assert shelf.pieces(LONG, VOICE) is None


async def test_paid_answers_that_are_no_speech_are_bounded(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that is always answered with noise costs a handful of calls, not a hundred."""
    monkeypatch.setattr("tasks.attempts.BACKOFF_S", 0.001)
    provider = Scripted(script=lambda _text, _count: Audio(b"<html>", "wav"))
    takes = await spoken_and_retried(provider, shelf, LONG)
    assert all(isinstance(take.outcome, Failure) for take in takes)
    assert len(provider.calls) <= 14


async def test_calls_under_way_end_before_their_run_does(shelf: Shelf) -> None:
    """An account that runs out ends the run once the calls that are paid for have come home: they are on the shelf."""
    chunks = sentences(40)

    def script(text: str, _count: int) -> None:
        if text == chunks[3].text:
            raise AccountExhausted("no credit is left")

    provider = Scripted(in_flight=4, call_s=0.4, script=script, together=4)
    with pytest.raises(RunFailed, match="no credit is left"):
        await speak_in_lanes(chunks, provider, shelf, 4, Progress())
    paid = [text for text in provider.calls if text != chunks[3].text]
    assert len(paid) >= 3
    assert all(shelf.find(text, VOICE) for text in paid)
    assert len(provider.calls) < 40


async def test_runs_take_turns(tmp_path: Path) -> None:
    """A later run does not wait until the earlier one has ended: it gets about half of the calls from then on."""
    provider, late = Scripted(in_flight=3, call_s=0.1), Scripted(call_s=0.1)
    late.plan = provider.plan
    order: list[str] = []

    def told(name: str) -> Callable[[str, int], None]:
        return lambda _text, _count: order.append(name)

    provider.script, late.script = told("first"), told("late")

    async def later() -> list[Take]:
        await asyncio.sleep(2)
        return await speak_in_lanes(sentences(60), late, Shelf(tmp_path / "late"), 3, Progress())

    await asyncio.gather(speak_in_lanes(sentences(150), provider, Shelf(tmp_path / "first"), 3, Progress()), later())
    began, ended = order.index("late"), len(order) - 1 - order[::-1].index("late")
    assert provider.most + late.most <= 6  # each within the plan; both together: the bench, by the emulator's count
    both = order[began : ended + 1]
    assert 0.3 < both.count("late") / len(both) < 0.7


def test_task_runs_stay_few() -> None:
    """A chunk a task run for calls of a second; several where task runs would come too fast or too many."""
    assert group_size(300, 300, slots=3, rate=3) == 1
    assert group_size(30_000, 30_000, slots=3, rate=3) == 15
    assert group_size(1_000, 1_000, slots=2, rate=100) == 121
    assert group_size(1_000, 1_000, slots=3, rate=5) == 1
    assert group_size(1_000, 12, slots=2, rate=100) == 2
    assert group_size(300, 300, slots=15, rate=30) == 5
    assert group_size(1, 1, slots=2, rate=40) == 1


def test_what_a_run_wants_of_its_plans() -> None:
    """Slots for every account of every plan, no more than there is work, and no more than the workers named."""
    slots = {"cartesia:free": 4, "cartesia:pro": 3}
    assert lines_of(slots, 100, 0) == [Line("cartesia:free", 4, 4), Line("cartesia:pro", 3, 3)]
    assert lines_of(slots, 5, 0) == [Line("cartesia:free", 4, 4), Line("cartesia:pro", 3, 1)]
    assert lines_of(slots, 100, 3) == [Line("cartesia:free", 4, 3)]
    assert lines_of(slots, 0, 0) == []
