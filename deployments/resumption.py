"""Going on with a run of Prefect's in this process."""

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from prefect import Flow
from prefect.client.schemas.objects import FlowRun
from prefect.flow_engine import run_flow

from deployments.results import keep_results_with
from flows.narrate import narrate
from flows.voice_wordlist import voice_wordlist
from tasks.reclaim import take_over
from tasks.recording import Recording
from tasks.runs import RunRow, asking
from tasks.word_list import WordList

FLOWS: Mapping[str, Flow[..., Any]] = {"narrate": narrate, "voice_wordlist": voice_wordlist}
"""Those of `tasks.runs.SPEAKING`."""


@dataclass(frozen=True, slots=True)
class Resumable:
    """A run that is ours to carry out."""

    flow: str
    run: FlowRun


async def taken_over(row: RunRow, *, failed_only: bool) -> Resumable:
    """Make the run ours. Raises BadInput where it cannot be resumed, RunFailed where its results have no place."""
    async with asking() as client:
        shelf = (await client.read_flow_run(UUID(row.id))).parameters.get("shelf")
    await keep_results_with(str(shelf or ""))  # what fails here leaves the run as it was
    return Resumable(row.flow, await take_over(row, failed_only=failed_only))


async def resumed(taken: Resumable) -> Recording | WordList:
    """Carry it out with the parameters that it has. Raises what its flow raises."""
    going = cast("Coroutine[Any, Any, Recording | WordList]", run_flow(FLOWS[taken.flow], flow_run=taken.run))
    return await going
