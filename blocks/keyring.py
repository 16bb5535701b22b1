"""A provider's keys and servers, opened, and the choice among them for each call.

The choice is made in `blocks.key_pool`, on a state that all runs share; here are the providers behind it.
"""

import asyncio
import hashlib
import math
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import TypeVar
from uuid import uuid4

from blocks import key_pool, providers
from blocks.callers import Alone, Callers, Lease, Rest, over
from blocks.key_health import Store
from blocks.key_pool import Ask, Grant, Member, Pool, Row, Wait
from blocks.key_pool.events import Event
from blocks.key_source import Source, source_of
from blocks.keys import Credential, servers_of
from blocks.providers import check_name, is_engine, open_provider, place_of
from blocks.servers import agreed
from blocks.speech import (
    AccountExhausted,
    BadInput,
    BadKey,
    CallFailed,
    Forbidden,
    Offer,
    Provider,
    RateLimited,
    RunFailed,
    SpeechError,
    Unreachable,
    Voice,
)

SHORT_WAIT_S = 1.0
"""A wait that is worth no word: another call is about to end."""
LOOK_EVERY_S = 0.05
"""How soon a call that ended in another process is seen."""
CLOSED_S = 30.0
"""How long a plan is left alone of which no key will work, while another plan's do."""
RENEW_EVERY_S = 5.0
SATURATED_S = 60.0
"""A plan that gives no key for longer is told of."""
REREAD_EVERY_S = 5.0
"""A key that was rotated or added counts from then on."""

T = TypeVar("T")
_random = random.Random()  # noqa: S311  it spreads load, and keeps no secret


class Keyring:
    """Belongs to one event loop. To be opened with `opened`."""

    def __init__(self, name: str, server: str, source: Source, store: Store, observe: Callable[[Event], None]) -> None:
        self.name = name
        self._place = place_of(name, server)
        self._document = document(name, server)
        self._source, self._store, self._observe = source, store, observe
        self._run = uuid4().hex
        self._credentials: dict[str, Credential] = {}
        self._read_at = -REREAD_EVERY_S
        self._providers: dict[str, Provider] = {}
        self._leases: set[str] = set()
        self._ended = asyncio.Event()
        self._reading = asyncio.Lock()
        self._dry: dict[str, float] = {}
        """By the tag of a plan: since when it gives no key; endless once that was told."""

    async def credentials(self) -> Sequence[Credential]:
        """Those of now. Raises BadInput where there is none."""
        async with self._reading:
            if time.monotonic() - self._read_at >= REREAD_EVERY_S:
                try:
                    self._credentials = {known.member.id: known for known in await self._source()}
                except RunFailed:  # the Prefect server is away for a moment
                    if not self._credentials:
                        raise
                self._read_at = time.monotonic()
        return list(self._credentials.values())

    async def slots(self) -> dict[str, int]:
        members = [known.member for known in await self.credentials() if known.member.enabled]
        accounts = {(member.plan.tag, member.account): member.plan.in_flight for member in members}
        slots: Counter[str] = Counter()
        for (tag, _), in_flight in sorted(accounts.items()):
            slots[tag] += in_flight
        return dict(slots)

    async def resolve(self, voice: Voice) -> tuple[Voice, Provider]:
        """Of several servers all are asked: they must speak alike. One that is down is left to the pool."""
        voice = replace(voice, server=self._place)
        known = [one for one in await self.credentials() if one.member.enabled]
        if len({one.server for one in known}) < 2:
            return await self._ask(lambda provider: provider.resolve(voice))
        found = await agreed({one.member.id: self._provider(one) for one in known}, voice)
        now = time.time()
        await self._tell([Event(now, self.name, name, "unreachable", why) for name, why in found.down.items()])
        return found.voice, found.provider

    async def voices(self) -> tuple[Sequence[Offer], Provider]:
        return await self._ask(lambda provider: provider.voices())

    async def _ask(self, question: Callable[[Provider], Awaitable[T]]) -> tuple[T, Provider]:
        """A free question, to the first key that works and server that is there. Raises BadInput or CallFailed."""
        refusal: SpeechError = BadInput(f"every key of {self.name} is switched off: switch one on, in its block.")
        down: set[str] = set()
        for known in await self.credentials():
            if not known.member.enabled or known.server in down:
                continue
            provider = self._provider(known)
            try:
                return await question(provider), provider
            except BadInput as error:
                if isinstance(error.__cause__, BadKey | Forbidden):
                    await self.probed(known, error.__cause__)
                elif isinstance(error.__cause__, Unreachable):
                    down.add(known.server)
                else:
                    raise
                refusal = error
            except (AccountExhausted, RateLimited) as error:
                refusal = error
        raise refusal

    async def lease(self, text: str, voice: Voice, tag: str, /) -> Lease | Rest:
        """Short waits are waited for here: a call is about to end."""
        said = hashlib.sha256(text.encode()).hexdigest()
        ask = Ask(self._run, voice.model, voice.name, said, frozenset({tag}))
        while True:
            known = {one.member.id: one for one in await self.credentials()}
            members = [one.member for one in known.values()]
            self._ended.clear()
            answer, wait_s = await self._store.change(self._document, Pool, partial(_acquire, members, ask))
            if isinstance(answer, Grant):
                self._leases.add(answer.lease)
                self._dry.pop(tag, None)
                return Lease(answer.lease, answer.member, self._provider(known[answer.member]), answer.probe)
            if answer.hopeless:
                raise over(self.name, answer.reason)
            await self._tell(self._saturated(tag, answer, wait_s))
            if wait_s > SHORT_WAIT_S:
                return Rest(wait_s, answer.reason)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait_s, LOOK_EVERY_S)):
                    await self._ended.wait()

    async def settle(
        self, lease: Lease, error: CallFailed | None, /, *, in_flight: int | None = None, cost_usd: float = 0.0
    ) -> None:
        def change(pool: Pool, now: float) -> list[Event]:
            return key_pool.settle(pool, lease.id, error, now, _random, allowed=in_flight, cost_usd=cost_usd)

        self._leases.discard(lease.id)
        await self._tell(await self._store.change(self._document, Pool, change))
        self._ended.set()

    async def give_back(self, lease: Lease, /) -> None:
        self._leases.discard(lease.id)
        await self._store.change(self._document, Pool, lambda pool, now: key_pool.give_back(pool, lease.id, now))
        self._ended.set()

    async def probed(self, known: Credential, error: CallFailed | None) -> None:
        """What a free call told of a key."""
        found = await self._store.change(
            self._document, Pool, lambda pool, now: key_pool.probed(pool, known.member, error, now)
        )
        await self._tell(found)

    async def report(self) -> list[Row]:
        """How every key does."""
        members = [known.member for known in await self.credentials()]
        return await self._store.change(self._document, Pool, lambda pool, now: key_pool.report(pool, members, now))

    async def keep(self) -> None:
        """Renew the leases of calls that are under way, for ever: whoever is killed does it no longer."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            with suppress(RunFailed):  # the next beat may reach the store; the next lease will tell if not
                await self._store.change(
                    self._document, Pool, lambda pool, now: key_pool.renew(pool, self._run, self._leases, now)
                )

    async def close(self) -> None:
        for provider in self._providers.values():
            await provider.close()

    def _provider(self, known: Credential) -> Provider:
        if known.member.id not in self._providers:
            self._providers[known.member.id] = open_provider(self.name, known.server, known.key)
        return self._providers[known.member.id]

    def _saturated(self, tag: str, wait: Wait, wait_s: float) -> list[Event]:
        """Told once, until the plan gives a key again."""
        since = self._dry.setdefault(tag, time.monotonic())
        if time.monotonic() + wait_s - since <= SATURATED_S:
            return []
        self._dry[tag] = math.inf
        return [Event(time.time(), self.name, tag, "saturated", wait.reason, time.time() + wait_s)]

    async def _tell(self, events: Sequence[Event]) -> None:
        if events:
            await self._store.record(events)
        for event in events:
            self._observe(event)


def document(name: str, server: str) -> str:
    """The name of the state: a server of one's own is another provider to the pool."""
    return f"pool:{name}@{place}" if (place := place_of(name, server)) else f"pool:{name}"


def _acquire(members: Sequence[Member], ask: Ask, pool: Pool, now: float) -> tuple[Grant | Wait, float]:
    """The answer, and how long to wait by the clock of the state."""
    answer = key_pool.acquire(pool, members, ask, now, _random)
    if isinstance(answer, Wait) and answer.hopeless and {member.plan.tag for member in members} - ask.tags:
        anywhere = key_pool.acquire(deepcopy(pool), members, replace(ask, tags=frozenset()), now, _random)
        if isinstance(anywhere, Grant) or not anywhere.hopeless:  # another plan goes on
            answer = replace(answer, hopeless=False, until=max(answer.until, now + CLOSED_S))
    return answer, 0.0 if isinstance(answer, Grant) else max(0.0, answer.until - now)


@asynccontextmanager
async def opened(
    name: str, server: str, plan: str, store: Store, observe: Callable[[Event], None] = lambda _: None
) -> AsyncIterator[Callers]:
    """Whoever makes the calls to a provider, for the time of the body. Raises BadInput."""
    check_name(name)
    if is_engine(name, server):
        async with providers.opened(name, server) as provider:
            yield Alone(provider)
        return
    servers = servers_of(server)
    # Of several that speak alike the first by name stands for all: in whichever order they are named.
    keyring = Keyring(name, min(servers, default=""), source_of(name, servers, plan), store, observe)
    keeper = asyncio.create_task(keyring.keep())
    try:
        yield keyring
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])
        await keyring.close()
