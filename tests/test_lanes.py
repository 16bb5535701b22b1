"""Lanes, permits and the attempt loop, against a real Prefect server and a voice that does as it is told."""

import asyncio
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client

from blocks.plans import Plan
from blocks.speech import BadText
from tasks.clips import Clip, Failure, Shelf, Take
from tasks.document import Chunk
from tasks.lanes import open_lanes
from tasks.progress import Progress
from tasks.retry import retry
from tasks.synthesise import find_on_shelf, group_size, synthesise_chunks
from tests.scripted import VOICE, Scripted, chunks_of, sentences, speaker_of

pytestmark = pytest.mark.usefixtures("prefect_server")


@flow(name="lanes-test")
async def speak_in_lanes(
    chunks: list[Chunk], provider: Scripted, shelf: Shelf, lanes: int, progress: Progress
) -> list[Take]:
    found = find_on_shelf(chunks, VOICE, shelf)
    async with open_lanes(provider.plan, lanes, progress) as permits:
        return await synthesise_chunks(chunks, found, speaker_of(provider, shelf, permits, progress))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


async def states_of(tag: str) -> list[str]:
    """The states of the lanes with this tag, once the server has recorded that they ended."""
    from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterTags

    async with get_client() as client:
        for _ in range(50):
            runs = await client.read_task_runs(task_run_filter=TaskRunFilter(tags=TaskRunFilterTags(all_=[tag])))
            states = [run.state_name or "" for run in runs]
            if states and not {"Running", "Pending"} & set(states):
                return states
            await asyncio.sleep(0.2)
    return states


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


async def test_lanes_are_tagged_tasks_that_end_well(shelf: Shelf) -> None:
    """The lanes are task runs with the plan's tag, completed, and no slot stays taken."""
    provider = Scripted(in_flight=2, together=2)
    await speak_in_lanes(sentences(12), provider, shelf, 2, Progress())
    assert await states_of(provider.plan.tag) == ["Completed", "Completed"]
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
        async with open_lanes(provider.plan, 2, Progress()) as permits, permits:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert await states_of(provider.plan.tag) == ["Completed"] * len(await states_of(provider.plan.tag))
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
        async with open_lanes(provider.plan, 1, Progress()) as permits:
            speaker = speaker_of(provider, shelf, permits)
            return await retry(await synthesise_chunks(chunks_of(text), {}, speaker), "en", speaker)

    takes = await speak_and_retry()
    assert "".join("".join(take.chunk.text for take in takes).split()) == "".join(text.split())
    failed = [take.chunk.text for take in takes if isinstance(take.outcome, Failure)]
    assert len(failed) == 1
    assert "Rumpelstiltskin" in failed[0]
    assert len(failed[0]) < 40


def test_task_runs_stay_few() -> None:
    """A chunk a task run for calls of a second; several where task runs would come too fast or too many."""
    assert group_size(300, Scripted(in_flight=3, call_s=1.0)) == 1
    assert group_size(30_000, Scripted(in_flight=3, call_s=1.0)) == 15
    assert group_size(1_000, Scripted(in_flight=2, call_s=0.02)) == 20
    assert group_size(12, Scripted(in_flight=2, call_s=0.02)) == 2
    assert group_size(1, Scripted()) == 1
