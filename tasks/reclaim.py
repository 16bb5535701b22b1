"""The ends of a run that did not end by itself: marked dead, or taken over to go on."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateDetails, StateType
from prefect.exceptions import Abort
from prefect.states import Cancelled, Crashed, Failed, Pending
from prefect.utilities.engine import propose_state

from blocks.speech import BadInput
from tasks.artifacts import HEARTBEAT_S
from tasks.runs import SPEAKING, RunRow, asking, find_run, list_runs

SILENT_S = 300.0
"""A run that was not heard of for so long is marked crashed: ten heartbeats are missing."""
SILENT_WITHOUT_HEARTBEAT_S = 3600.0
SECOND_LOOK_S = HEARTBEAT_S + 5
"""A machine that slept wakes up with old heartbeats: a living run tells so within this time."""
SETTLED_S = 1.0
_RUNNING = {"RUNNING", "PENDING", "CANCELLING"}


async def mark_silent(rows: Sequence[RunRow]) -> list[RunRow]:
    """Mark those crashed that say they run and do not; those that were marked. A living run is left alone."""
    marked = [row for row in rows if _is_gone(row) and await _mark(row)]
    silent = {row.id: row for row in rows if is_silent(row)}
    if silent:
        await asyncio.sleep(SECOND_LOOK_S)
        again = await list_runs(sorted({row.flow for row in silent.values()}), newest=None)
        still = [row for row in again if row.id in silent and row.heard_s > silent[row.id].heard_s and is_silent(row)]
        marked += [row for row in still if await _mark(row)]
    return marked


def _is_gone(row: RunRow) -> bool:
    return row.prefect_state in _RUNNING and row.process is False


def is_silent(row: RunRow) -> bool:
    """Whether `mark_silent` marks it, unless it is heard of within SECOND_LOOK_S."""
    limit = SILENT_S if row.flow in SPEAKING else SILENT_WITHOUT_HEARTBEAT_S
    return row.prefect_state in _RUNNING and row.process is None and row.heard_s > limit


def is_doubtful(row: RunRow) -> bool:
    """Whether it says that it runs and was not heard of for long, and its process may be anywhere."""
    return row.unended and row.process is None and not row.alive


async def looked_twice(row: RunRow) -> RunRow:
    """The run as it is now; a doubtful one is looked at again after SECOND_LOOK_S.

    Raises BadInput where its process was only suspended: it still runs here, or was heard of meanwhile.
    """
    if row.unended and row.process and not row.alive:
        raise BadInput(
            f"{row.short} was not heard of for {row.heard_s:.0f} s, but its process {row.pid} still runs here: "
            "end it first"
        )
    if not is_doubtful(row):
        return row
    await asyncio.sleep(SECOND_LOOK_S)
    again = await find_run(row.id)
    if again.unended and again.heard_s <= row.heard_s:
        raise _running(again)
    return again


async def _mark(row: RunRow) -> bool:
    """Whether the server agreed: it refuses for a run that has ended meanwhile."""
    why = "its process is gone" if row.process is False else f"it was not heard of for {row.heard_s:.0f} s"
    goes_on = f". What was spoken is kept: `speech runs resume {row.short}` goes on" if row.flow in SPEAKING else ""
    told = f"The run has stopped without a word: {why}{goes_on}"
    # Prefect lets nothing but Cancelled follow Cancelling.
    dead: State = Cancelled(message=told) if row.prefect_state == "CANCELLING" else Crashed(message=told)
    async with asking() as client:
        now = await client.read_flow_run(UUID(row.id))
        if now.state is None or now.state.type.value != row.prefect_state:
            return False
        try:
            return (await propose_state(client, dead, flow_run_id=now.id)).type == dead.type
        except Abort:
            return False


async def take_over(row: RunRow, *, failed_only: bool) -> FlowRun:
    """The run, pending anew and ours: somebody who does the same at this moment is refused by Prefect.

    A doubtful one is watched for SECOND_LOOK_S before. Raises BadInput where it is under way or has nothing left to do.
    """
    _check(row, failed_only=failed_only)
    row = await looked_twice(row)
    _check(row, failed_only=failed_only)
    if row.prefect_state in _RUNNING:
        await _mark(row)
    async with asking() as client:
        state = (await client.read_flow_run(UUID(row.id))).state
        try:
            if state and state.type in {StateType.CANCELLED, StateType.COMPLETED}:
                await _claim_through_failed(client, row)
            else:
                await _claim(client, row)
        except Abort as error:
            raise _taken(row) from error
        return await client.read_flow_run(UUID(row.id))


async def _claim(client: PrefectClient, row: RunRow) -> UUID:
    """Pending, from which nobody else gets to Pending. The state's id."""
    # Where a retry waits for its time, ours has come.
    details = StateDetails.model_validate({"scheduled_time": datetime.now(UTC)})
    state = await propose_state(client, Pending(state_details=details), flow_run_id=UUID(row.id))
    if not state.is_pending():
        raise _taken(row)
    return state.id


async def _claim_through_failed(client: PrefectClient, row: RunRow) -> None:
    """From Cancelled and Completed no way leads to Pending but by Failed, and that step is refused to nobody.

    So the one whose Pending stands after a moment has the run.
    """
    await propose_state(client, Failed(message="Taken up again."), flow_run_id=UUID(row.id))
    mine = await _claim(client, row)
    await asyncio.sleep(SETTLED_S)
    run = await client.read_flow_run(UUID(row.id))
    if not run.state or run.state.id != mine:
        raise _taken(row)


def _check(row: RunRow, *, failed_only: bool) -> None:
    """Raises BadInput."""
    if row.flow not in SPEAKING:
        raise BadInput(f"{row.short} is a run of {row.flow}, which is never resumed: start it anew")
    if row.alive:
        raise _running(row)
    if failed_only and not row.failed:
        remedy = "" if row.state == "done" else f"; `speech runs resume {row.short}` goes on with the rest"
        raise BadInput(f"{row.short} has no failed units{remedy}")
    if row.state == "done" and not failed_only:
        gaps = f", but {row.failed} units failed: `speech runs retry {row.short}` tries them" if row.failed else ""
        raise BadInput(f"{row.short} is done{gaps or ': nothing is left to resume'}")


def _running(row: RunRow) -> BadInput:
    return BadInput(f"{row.short} is still running: heard of {row.heard_s:.0f} s ago. Cancel it first, or let it end")


def _taken(row: RunRow) -> BadInput:
    return BadInput(f"{row.short} was taken up by somebody else at this moment: see `speech runs list`")
