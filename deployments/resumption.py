"""Going on with a run of Prefect's in this process."""

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, cast

from prefect import Flow
from prefect.client.schemas.objects import FlowRun
from prefect.flow_engine import run_flow

from deployments.results import keep_results_with
from flows.narrate import narrate
from tasks.reclaim import take_over
from tasks.recording import Recording
from tasks.runs import find_run

FLOWS: Mapping[str, Flow[..., Any]] = {"narrate": narrate}
"""Those of `tasks.runs.SPEAKING`."""


@dataclass(frozen=True, slots=True)
class Resumable:
    """A run that is ours to carry out."""

    flow: str
    run: FlowRun


async def taken_over(wanted: str, *, failed_only: bool) -> Resumable:
    """The run of this id or name. Raises BadInput where it cannot be resumed."""
    row = await find_run(wanted)
    return Resumable(row.flow, await take_over(row, failed_only=failed_only))


async def resumed(taken: Resumable) -> Recording:
    """Carry it out with the parameters that it has. Raises what its flow raises."""
    await keep_results_with(str(taken.run.parameters.get("shelf", "")))
    going = cast("Coroutine[Any, Any, Recording]", run_flow(FLOWS[taken.flow], flow_run=taken.run))
    return await going
