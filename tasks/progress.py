"""How far a run is: counters that the stages write, and that a terminal or an artifact reads when it likes."""

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta

TOLD_REST_S, TOLD_REASON = 2.0, 120
"""A rest that is longer is told to whoever watches, with so many characters of its reason."""


@dataclass(slots=True)
class Progress:
    """The one thing in this house that is mutated on purpose: everybody who watches sees the same numbers."""

    stage: str = "starting"
    run: str = ""
    """The id of the Prefect flow run, once there is one."""
    total: int = 0
    """Distinct chunks of the document: what stands twice is spoken once."""
    reused: int = 0
    spoken: int = 0
    failed: int = 0
    calls: int = 0
    retries: int = 0
    files: int = 0
    """Made, where each chunk or two become a file of their own."""
    files_wanted: int = 0
    waiting: str = ""
    """What this run waits for, if for anything."""
    rest: str = ""
    """Why no key may make a call for a while."""
    rest_until: float = 0.0
    """On the monotonic clock, seconds."""
    lanes: int = 0
    """Slots of the plan that this run holds now."""
    in_flight: int = 0
    first_call: float | None = None
    """On the monotonic clock, seconds."""
    failing_since: float | None = None
    """Since when no answer was good, on the monotonic clock, seconds."""
    started: float = field(default_factory=time.monotonic)

    def resting(self, seconds: float, reason: str) -> None:
        until = time.monotonic() + seconds
        if until > self.rest_until:
            self.rest, self.rest_until = reason, until

    def begin_anew(self) -> None:
        """What is not spoken now is somebody else's to say."""
        self.total, self.failed = self.reused + self.spoken, 0

    @property
    def done(self) -> int:
        return self.reused + self.spoken + self.failed

    @property
    def rate(self) -> float:
        """Chunks spoken a second since the first call."""
        if self.first_call is None or not self.spoken:
            return 0.0
        return self.spoken / max(time.monotonic() - self.first_call, 1e-3)

    @property
    def eta_s(self) -> float | None:
        """Seconds until every chunk is spoken, or None while nobody can tell."""
        return (self.total - self.done) / self.rate if self.rate else None

    @property
    def percent(self) -> float:
        return 100 * self.done / self.total if self.total else 0.0

    def facts(self) -> str:
        """What is going on, in a few words."""
        parts = [self.stage]
        if self.waiting:
            parts.append(f"waiting for {self.waiting}")
        if (rest_s := self.rest_until - time.monotonic()) > TOLD_REST_S:
            now = datetime.now().astimezone()
            ends = now + timedelta(seconds=rest_s)
            day = "" if ends.date() == now.date() else f"{ends:%A} "
            parts.append(f"waiting until {day}{ends:%H:%M:%S}: {self.rest[:TOLD_REASON]}")
        if self.rate:
            parts.append(f"{self.rate:.1f}/s")
        if self.eta_s and rest_s <= TOLD_REST_S:
            parts.append(f"{timedelta(seconds=round(self.eta_s))} left")
        if self.lanes or self.in_flight:
            parts.append(f"{self.in_flight} calls under way")
        if self.files:
            parts.append(f"{self.files:,} of {self.files_wanted:,} files")
        if self.reused:
            parts.append(f"{self.reused} from the shelf")
        if self.retries:
            parts.append(f"{self.retries} retries")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return ", ".join(parts)

    def describe(self) -> str:
        """One line for a person who sees no bar."""
        return f"{self.done} of {self.total} chunks, {self.facts()}"


WATCHED: ContextVar[Progress | None] = ContextVar("watched", default=None)
"""A caller that wants to watch a run sets its own Progress here before it starts the flow."""
