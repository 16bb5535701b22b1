"""How runs share a plan: never more permits than slots, every permit used, and equal parts in the long run."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from tasks.shares import ROTATE_S, SILENT_S, Party, Shares, Word, balance, dues, leave

LIMIT = 5


@dataclass(slots=True)
class Caller:
    """A run as the shares see it: permits that it was allowed, calls that it makes."""

    name: str
    wanted: int
    lanes: int = 0
    allowed: int = 0
    calls: int = 0

    @property
    def using(self) -> int:
        return max(self.allowed, self.calls)

    def look(self, shares: Shares, now: float) -> None:
        self.allowed = balance(shares, self.name, Word(self.lanes, self.wanted, self.using), now).permits


@dataclass(slots=True)
class World:
    shares: Shares = field(default_factory=Shares)
    callers: dict[str, Caller] = field(default_factory=dict)
    now: float = 1000.0

    @property
    def slots(self) -> int:
        return sum(caller.lanes for caller in self.callers.values())

    @property
    def in_flight(self) -> int:
        return sum(caller.calls for caller in self.callers.values())


def parties(*wanted: int) -> dict[str, Party]:
    return {f"run {number}": Party(float(number), 0.0, 0, wish, 0) for number, wish in enumerate(wanted)}


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.integers(0, 30), st.floats(0, 1e6))
def test_dues_add_up(wanted: list[int], permits: int, now: float) -> None:
    """Nobody is due more than it wants, all that is wanted and there is given, and equals differ by one at most."""
    runs = parties(*wanted)
    due = dues(runs, permits, now)
    assert all(0 <= due[name] <= runs[name].wanted for name in runs)
    assert sum(due.values()) == min(permits, sum(wanted))
    unmet = [due[name] for name in runs if due[name] < runs[name].wanted]
    assert not unmet or max(due.values()) - min(unmet) <= 1


def test_the_rest_goes_round() -> None:
    """Two runs on three slots have as much in the end: the third slot changes hands by the clock."""
    runs = parties(9, 9)
    seen = [dues(runs, 3, turn * ROTATE_S)["run 0"] for turn in range(10)]
    assert sorted(seen) == [1] * 5 + [2] * 5


@given(st.data())
def test_never_more_calls_than_the_plan_allows(data: st.DataObject) -> None:
    """Whatever runs come, look, call, end calls, gain slots, or leave with slots that others use: the plan is kept."""
    world = World()
    for _ in range(60):
        world.now += data.draw(st.floats(0, 0.3))  # nobody is silent for long: that is for those who were killed
        name = data.draw(st.sampled_from("abc"))
        caller = world.callers.setdefault(name, Caller(name, wanted=4))
        match data.draw(st.sampled_from(["look", "look", "call", "call", "end", "slot", "leave"])):
            case "look":
                caller.look(world.shares, world.now)
            case "call" if caller.calls < caller.allowed:
                caller.calls += 1
                assert world.in_flight <= LIMIT
            case "end" if caller.calls:
                caller.calls -= 1
            case "slot" if world.slots < LIMIT:
                caller.lanes += 1
            case "leave" if not caller.calls:
                leave(world.shares, name)
                del world.callers[name]
            case _:
                pass


def test_a_late_run_gets_its_half() -> None:
    """A run that holds all the slots lends half of them to the next one at the end of its calls."""
    world = World()
    first, late = Caller("first", wanted=4, lanes=4), Caller("late", wanted=4)
    first.look(world.shares, world.now)
    first.calls = first.allowed
    assert first.calls == 4
    late.look(world.shares, world.now)
    assert late.allowed == 0
    first.look(world.shares, world.now)
    assert first.allowed == 2
    first.calls = 2
    first.look(world.shares, world.now)
    late.look(world.shares, world.now)
    assert (first.allowed, late.allowed) == (2, 2)


def test_a_killed_run_is_forgotten() -> None:
    """The slots of a run that was killed count no longer, once it is silent: others wait for slots of their own."""
    world = World()
    killed, other = Caller("killed", wanted=3, lanes=3), Caller("other", wanted=3)
    killed.look(world.shares, world.now)
    other.look(world.shares, world.now + SILENT_S + 1)
    assert list(world.shares.runs) == ["other"]
    other.lanes = 2
    other.look(world.shares, world.now + SILENT_S + 2)
    assert other.allowed == 2
