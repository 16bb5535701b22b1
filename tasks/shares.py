"""How runs share a plan: whose turn it is to make a call, of all the calls that the plan allows at one time.

Slots of the plan's tag belong to lanes (see `tasks.lanes`), and a slot takes its time to change hands. So runs that
share a state pool their slots: each is a permit for one call at a time, whoever's run it is. A run holds permits: never
less than its calls in flight, never more than all lanes together leave it. This is the arithmetic; in `tasks.turns`
a run's calls take what it has got.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

SILENT_S = 20.0
"""A run that has not been heard of for so long is gone, and its lanes with it."""
ROTATE_S = 6.0
"""What cannot be divided goes to another run after this time: two runs on three slots have 1.5 each in the end."""


@dataclass(slots=True)
class Party:
    """One run on one plan."""

    joined: float
    """When it came, seconds: the order of turns."""
    seen: float
    lanes: int
    wanted: int
    held: int
    """Permits for calls."""


@dataclass(frozen=True, slots=True)
class Word:
    """What a run tells of itself."""

    lanes: int
    """Slots that it holds."""
    wanted: int
    """Calls that it could make at one time."""
    using: int
    """Permits that it may be using now."""


@dataclass(slots=True)
class Shares:
    """Everybody on one plan, by run."""

    runs: dict[str, Party] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a run may do until its next look."""

    permits: int
    """Calls at one time; those in flight go on, even above it."""
    lanes: int
    """Slots that all runs hold together."""


def balance(shares: Shares, run: str, word: Word, now: float) -> Turn:
    """Write down a run's word, and give it what is its due.

    Permits that are above its due come back when it tells that it uses them no longer, and only then go to others.
    """
    for name in [name for name, party in shares.runs.items() if party.seen < now - SILENT_S]:
        del shares.runs[name]
    joined = shares.runs[run].joined if run in shares.runs else now
    party = shares.runs[run] = Party(joined, now, word.lanes, word.wanted, word.using)
    lanes = sum(other.lanes for other in shares.runs.values())
    due = dues(shares.runs, lanes, now)[run]
    free = lanes - sum(other.held for other in shares.runs.values())
    party.held = max(word.using, min(due, word.using + max(0, free)))
    return Turn(min(due, party.held), lanes)


def leave(shares: Shares, run: str) -> None:
    shares.runs.pop(run, None)


def dues(runs: Mapping[str, Party], permits: int, now: float) -> dict[str, int]:
    """Whose are how many: equal parts, what one does not want goes to the others, the rest goes round by the clock."""
    due = dict.fromkeys(runs, 0)
    hungry = sorted((name for name in runs if runs[name].wanted), key=lambda name: (runs[name].joined, name))
    while hungry and permits >= len(hungry):
        part = permits // len(hungry)
        for name in hungry:
            more = min(part, runs[name].wanted - due[name])
            due[name] += more
            permits -= more
        hungry = [name for name in hungry if due[name] < runs[name].wanted]
    first = int(now / ROTATE_S)
    for turn in range(permits if hungry else 0):
        due[hungry[(first + turn) % len(hungry)]] += 1
    return due
