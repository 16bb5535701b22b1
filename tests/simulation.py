"""A provider, its accounts and a crowd of lanes on a virtual clock: what the pool's choices come to."""

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from blocks.key_pool import Ask, Grant, Member, Pool, acquire, renew, settle
from blocks.key_pool.events import Event
from blocks.plans import Plan
from blocks.speech import BadText, BadVoice, CallFailed, Crowded, RateLimited, Refused

START = 1_800_000_000.0
BEAT_S = 5.0
Ending = tuple[float, CallFailed | BadVoice | None]


@dataclass(frozen=True, slots=True)
class Call:
    """What a server sees of it."""

    at: float
    member: str
    account: str
    text: str
    crowd: int
    """Calls of its account in flight, with this one."""
    nth: int
    """Of its member, from 1."""


Server = Callable[[Call, random.Random], Ending]


def members(*accounts: str, in_flight: int = 3, **limits) -> list[Member]:
    plan = Plan("cartesia", "pro", in_flight, **limits)
    return [Member(f"{account}#abc123", account, plan) for account in accounts]


def capped(cap: int, seconds: float = 1.0) -> Server:
    """Refuses what is over its true cap, at once."""
    return lambda call, _: (0.05, Crowded("too many")) if call.crowd > cap else (seconds, None)


@dataclass
class Simulation:
    members: Sequence[Member]
    server: Server
    lanes: int
    pool: Pool = field(default_factory=Pool)
    now: float = START
    tries: int = 6
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    events: list[Event] = field(default_factory=list)
    endings: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By member and kind; the empty kind is a success."""
    successes: list[tuple[float, str]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    given_up: int = 0
    _heap: list = field(default_factory=list)
    _flying: dict[str, str] = field(default_factory=dict)
    _crowds: Counter[str] = field(default_factory=Counter)
    _pumped_at: float = 0.0
    _serial: int = 0

    def run(self, jobs: int, until: float = float("inf")) -> float:
        """Work on so many texts; the seconds it took."""
        began = self.now
        self._queue = deque((f"text {n}", 0) for n in range(jobs))
        if not self._heap:
            self._later(self.now + BEAT_S, self._beat)
        self._pump()
        while self._heap and (self._queue or self._flying):
            if self._heap[0][0] - began > until:
                self.now = began + until
                break
            self.now, _, act = heapq.heappop(self._heap)
            act()
        return self.now - began

    def count(self, kind: type | None = None, member: str = "") -> int:
        name = kind.__name__ if kind else ""
        return sum(n for (who, what), n in self.endings.items() if what == name and who.startswith(member))

    def told(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]

    def _later(self, at: float, act: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (at, self._serial, act))

    def _beat(self) -> None:
        renew(self.pool, "run", list(self._flying), self.now)
        self._later(self.now + BEAT_S, self._beat)

    def _pump(self) -> None:
        """Every idle lane asks for a key, until none is to be had."""
        while self._queue and len(self._flying) < self.lanes:
            text, tried = self._queue[0]
            answer = acquire(self.pool, self.members, Ask("run", "m", "v", text), self.now, self.rng)
            if not isinstance(answer, Grant):
                assert answer.until > self.now
                if not self.now < self._pumped_at <= answer.until:
                    self._pumped_at = answer.until
                    self._later(answer.until, self._pump)
                return
            self._queue.popleft()
            self._begin(answer, text, tried)

    def _begin(self, grant: Grant, text: str, tried: int) -> None:
        account = next(member.account for member in self.members if member.id == grant.member)
        self._flying[grant.lease] = account
        self._crowds[account] += 1
        nth = 1 + sum(n for (who, _), n in self.endings.items() if who == grant.member)
        call = Call(self.now, grant.member, account, text, self._crowds[account], nth)
        self.calls.append(call)
        seconds, error = self.server(call, self.rng)
        self._later(self.now + seconds, lambda: self._end(grant, text, tried, error))

    def _end(self, grant: Grant, text: str, tried: int, error: CallFailed | BadVoice | None) -> None:
        self._crowds[self._flying.pop(grant.lease)] -= 1
        self.events += settle(self.pool, grant.lease, error, self.now, self.rng)
        self.endings[grant.member, type(error).__name__ if error else ""] += 1
        if error is None:
            self.successes.append((self.now, grant.member))
        elif isinstance(error, RateLimited):
            self._queue.appendleft((text, tried))
        elif isinstance(error, BadText | Refused) or tried + 1 >= self.tries:
            self.given_up += 1
        else:
            self._queue.appendleft((text, tried + 1))
        self._pump()
