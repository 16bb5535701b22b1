"""Whoever makes the calls of a run: through keys that are chosen for each call, or without any."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from blocks.key_pool import Row
from blocks.speech import (
    AccountExhausted,
    BadKey,
    CallFailed,
    Forbidden,
    Offer,
    Provider,
    ProviderFailed,
    RateLimited,
    RunFailed,
    Voice,
)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to make one call through one key."""

    id: str
    key: str
    """The key's name for people; empty for what needs none."""
    provider: Provider
    probe: bool = False
    """Whether it tries out if a key works again: the smallest text is enough for that."""


@dataclass(frozen=True, slots=True)
class Rest:
    """There is no key for a call now."""

    seconds: float
    reason: str


class Callers(Protocol):
    """Whoever makes the calls of a run."""

    async def slots(self) -> dict[str, int]:
        """Calls at one time that all accounts of a plan may make together, by the plan's tag."""
        ...

    async def resolve(self, voice: Voice) -> tuple[Voice, Provider]:
        """The voice as the provider spells it, and a provider to ask for its limits. Raises BadInput."""
        ...

    async def voices(self) -> tuple[Sequence[Offer], Provider]:
        """Who can speak, and a provider to ask for its limits. Raises BadInput."""
        ...

    async def lease(self, text: str, voice: Voice, tag: str, /) -> Lease | Rest:
        """A key of the plan with this tag for a call, or how long there is none.

        Raises RunFailed where no wait mends it.
        """
        ...

    async def settle(
        self, lease: Lease, error: CallFailed | None, /, *, in_flight: int | None = None, cost_usd: float = 0.0
    ) -> None:
        """The call has ended, and how; `in_flight` is what the provider says it allows."""
        ...

    async def report(self) -> list[Row]:
        """How every key does; nothing where there is none."""
        ...

    async def give_back(self, lease: Lease, /) -> None:
        """The call was not made, or nobody waited for its end."""
        ...


class Alone:
    """One provider and no choice: an engine on this machine, which takes as many calls as its plan says."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._until, self._reason = 0.0, ""

    async def slots(self) -> dict[str, int]:
        return {self._provider.plan.tag: self._provider.plan.in_flight}

    async def resolve(self, voice: Voice) -> tuple[Voice, Provider]:
        return await self._provider.resolve(voice), self._provider

    async def voices(self) -> tuple[Sequence[Offer], Provider]:
        return await self._provider.voices(), self._provider

    async def lease(self, _text: str, _voice: Voice, _tag: str, /) -> Lease | Rest:
        left_s = self._until - time.monotonic()
        return Rest(left_s, self._reason) if left_s > 0 else Lease("", "", self._provider)

    async def settle(self, _: Lease, error: CallFailed | None, /, **_told: object) -> None:
        """Raises RunFailed for what every other call would meet, too."""
        if isinstance(error, BadKey | Forbidden | AccountExhausted):
            raise over(self._provider.name, str(error)) from error
        if isinstance(error, RateLimited | ProviderFailed) and error.wait_s:
            self._until, self._reason = max(self._until, time.monotonic() + error.wait_s), str(error)

    async def give_back(self, _: Lease, /) -> None:
        pass

    async def report(self) -> list[Row]:
        return []


def over(name: str, reason: str) -> RunFailed:
    """What ends a run that no wait and no other key would mend."""
    return RunFailed(
        f"{name} will not go on: {reason.rstrip('.')}. Mend that and run the same command again: "
        "finished speech is kept"
    )
