"""The runs as Prefect's own records tell of them: flow runs, their parameters and their artifacts. No other books."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    FlowFilter,
    FlowFilterName,
)
from prefect.client.schemas.objects import Artifact, FlowRun, State, StateType
from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort

from blocks.speech import BadInput, RunFailed
from tasks.artifacts import RUN
from tasks.owner import is_there

SPEAKING = ("narrate", "voice_wordlist")
"""The flows that make recordings and tell that they live: see `tasks.artifacts.published`."""
HOUSEKEEPING = ("check_keys", "prune_runs")
STALLED_S = 120.0
"""A run that says Running and was not heard of for so long has stalled: four heartbeats are missing."""
PAGE, NEWEST, CANDIDATES = 200, 50, 5
BEATS_ON_S = 5.0
"""A heartbeat so long after a run's end tells that it was marked dead by mistake."""
_INTERRUPTED = ("interrupt signal", "termination signal", "cancelled by the runtime")
"""How Prefect writes in a Crashed state that somebody stopped the run."""

RunState = Literal["running", "waiting", "done", "failed", "interrupted", "crashed", "stalled"]


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as a person sees it. Times are told by the server's clock."""

    id: str
    short: str
    """As much of the id as tells it from the others."""
    name: str
    flow: str
    state: RunState
    percent: float
    chunks: int
    failed: int
    cost_usd: float | None
    """None where no price is known, or nothing was told yet."""
    age_s: float
    """Since its start."""
    ended_s: float | None
    """Since its end; None for one that has not ended."""
    started: str
    """ISO 8601; empty for one that has not started."""
    where: str
    """The place of its recording."""
    source: str
    heard_s: float
    """Since it was last heard of."""
    alive: bool
    """Whether a process carries it out, as far as anybody can tell."""
    process: bool | None
    """Whether its process runs on this machine; None where that cannot be told from here."""
    pid: int | None
    """The number of its process, where that runs on this machine."""
    unended: bool
    """Whether it says that it runs, lately or not: by its state, or by heartbeats after its end."""
    prefect_state: str
    message: str

    @property
    def over(self) -> bool:
        ended = self.prefect_state in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
        return ended and not self.alive and not (self.unended and self.process)


async def list_runs(flows: Sequence[str] = SPEAKING, newest: int | None = NEWEST) -> list[RunRow]:
    """The newest runs of these flows, or all of them, newest first. Raises RunFailed where Prefect cannot be asked."""
    async with asking() as client:
        names = {flow.id: flow.name for flow in await client.read_flows(flow_filter=_named(flows))}
        now, runs = await _server_time(client), await _read_runs(client, flows, newest)
        artifacts = await _read_artifacts(client, [run.id for run in runs])
    length = _telling([str(run.id) for run in runs])
    return [_row(run, names.get(run.flow_id, ""), artifacts.get(run.id), now, length) for run in runs]


async def find_run(wanted: str) -> RunRow:
    """By the beginning of its id or by its whole name. Raises BadInput where that is none, or several."""
    rows = await list_runs((*SPEAKING, *HOUSEKEEPING), newest=None)
    found = [row for row in rows if row.name == wanted or (wanted and row.id.startswith(wanted.lower()))]
    if len(found) == 1:
        return found[0]
    if not found:
        latest = _candidates(row for row in rows if row.flow in SPEAKING) or "there is none yet"
        raise BadInput(f"no run is called {wanted!r}: `speech runs list` tells the ids; the latest: {latest}")
    raise BadInput(f"{wanted!r} may be any of {len(found)} runs: {_candidates(found)}; write more of the id")


def _candidates(rows: Iterable[RunRow]) -> str:
    return ", ".join(f"{row.short} ({row.name}, {row.state})" for row in list(rows)[:CANDIDATES])


@asynccontextmanager
async def asking() -> AsyncIterator[PrefectClient]:
    """A client of the Prefect server. Raises RunFailed where that does not answer."""
    try:
        async with get_client() as client:
            yield client
    except httpx.HTTPError as error:
        raise RunFailed(f"the Prefect server does not tell or change its runs: {error}") from error


def _named(flows: Sequence[str]) -> FlowFilter:
    return FlowFilter(name=FlowFilterName(any_=list(flows)))


async def _server_time(client: PrefectClient) -> datetime:
    """By the clock that dates states and artifacts: this machine's may be wrong."""
    told = (await client.hello()).headers.get("date", "")
    return parsedate_to_datetime(told) if told else datetime.now(UTC)


async def _read_runs(client: PrefectClient, flows: Sequence[str], newest: int | None) -> list[FlowRun]:
    found: list[FlowRun] = []
    while newest is None or len(found) < newest:
        limit = PAGE if newest is None else min(PAGE, newest - len(found))
        page = await client.read_flow_runs(
            flow_filter=_named(flows), sort=FlowRunSort.START_TIME_DESC, limit=limit, offset=len(found)
        )
        found += page
        if len(page) < limit:
            break
    return list({run.id: run for run in found}.values())  # one that began meanwhile moves the pages


async def _read_artifacts(client: PrefectClient, runs: Sequence[UUID]) -> dict[UUID, Artifact]:
    """The newest row of facts of each run: one that was retried has several."""
    latest: dict[UUID, Artifact] = {}
    for start in range(0, len(runs), PAGE):
        wanted = ArtifactFilter(
            key=ArtifactFilterKey(any_=[RUN]),
            flow_run_id=ArtifactFilterFlowRunId(any_=list(runs[start : start + PAGE])),
        )
        offset, full = 0, True
        while full:
            page = await client.read_artifacts(
                artifact_filter=wanted, sort=ArtifactSort.ID_DESC, limit=PAGE, offset=offset
            )
            for artifact in page:
                if artifact.flow_run_id and (
                    (known := latest.get(artifact.flow_run_id)) is None or _updated(known) < _updated(artifact)
                ):
                    latest[artifact.flow_run_id] = artifact
            offset, full = offset + len(page), len(page) == PAGE
    return latest


def _updated(artifact: Artifact) -> datetime:
    return artifact.updated or datetime.min.replace(tzinfo=UTC)


def _row(run: FlowRun, flow: str, artifact: Artifact | None, now: datetime, length: int) -> RunRow:
    state = run.state or State(type=StateType.PENDING)
    facts = _facts(artifact)
    beat = _updated(artifact) if artifact else state.timestamp
    heard_s = max(0.0, (now - max(beat, state.timestamp)).total_seconds())
    beats = (beat - state.timestamp).total_seconds()
    # What was told before this state is an earlier attempt's, whose process may well be gone.
    owner = str(facts.get("owner", "")) if beats >= 0 else ""
    process = is_there(owner)
    unended = beats > BEATS_ON_S if state.is_final() else not (state.is_scheduled() or state.is_paused())
    alive = unended and process is not False and heard_s < STALLED_S
    began, ended = run.start_time, run.end_time if state.is_final() else None
    source = run.parameters.get("source") or facts.get("source")
    return RunRow(
        id=str(run.id),
        short=str(run.id)[:length],
        name=run.name,
        flow=flow,
        state=_word(state, alive=alive, gone=process is False),
        percent=float(facts.get("percent") or 0.0),
        chunks=int(facts.get("chunks") or 0),
        failed=int(facts.get("failed") or 0),
        cost_usd=facts.get("cost_usd"),
        age_s=_since(began or run.expected_start_time, now),
        ended_s=_since(ended or state.timestamp, now) if state.is_final() else None,
        started=began.isoformat(timespec="seconds") if began else "",
        where=str(facts.get("where") or ""),
        source=str(source or ""),
        heard_s=heard_s,
        alive=alive,
        process=process,
        pid=int(owner.split()[1]) if process else None,
        unended=unended,
        prefect_state=state.type.value,
        message=state.message or "",
    )


def _word(state: State, *, alive: bool, gone: bool) -> RunState:
    if alive:
        return "waiting" if state.is_pending() else "running"
    if state.is_scheduled() or state.is_paused():
        return "waiting"
    if not state.is_final():
        return "stalled" if not gone else "interrupted" if state.is_cancelling() else "crashed"
    if state.is_crashed():
        return "interrupted" if any(words in (state.message or "") for words in _INTERRUPTED) else "crashed"
    return "done" if state.is_completed() else "failed" if state.is_failed() else "interrupted"


def _facts(artifact: Artifact | None) -> Mapping[str, Any]:
    """The row that `tasks.artifacts` wrote; empty for none, or for what somebody else called by this key."""
    if artifact is None:
        return {}
    try:
        rows = json.loads(artifact.data) if isinstance(artifact.data, str) else artifact.data
    except ValueError:
        return {}
    return rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}


def _since(moment: datetime | None, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds()) if moment else 0.0


def _telling(ids: Sequence[str]) -> int:
    """How much of each id tells it from the others, 8 characters at least."""
    return next(length for length in range(8, 37) if length == 36 or len({one[:length] for one in ids}) == len(ids))
