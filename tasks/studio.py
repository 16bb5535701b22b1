"""Everything that a run speaks with, open for as long as it runs."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from blocks import keyring
from blocks.bucket import storage_for
from blocks.callers import Callers
from blocks.key_health import Store, opened_store
from blocks.key_pool.events import Event
from blocks.speech import Provider, Voice
from blocks.storage import home
from blocks.storage.threads import aside
from tasks.artifacts import published
from tasks.claims import Claims, claims_on
from tasks.health import announce
from tasks.ledger import Ledger
from tasks.progress import Progress
from tasks.shared_shelf import shelf_at
from tasks.shelf import Shelf
from tasks.speak import Speaker
from tasks.stopping import briefly, cancellable, stoppable


@dataclass(frozen=True, slots=True)
class Company:
    """Whoever makes the calls to each provider and server: opened when first asked for, one for all its voices."""

    stack: AsyncExitStack
    store: Store
    plans: Mapping[str, str]
    """Of the accounts whose keys come from the environment, by their provider."""
    observe: Callable[[Event], None] = announce
    engaged: dict[tuple[str, str], Callers] = field(default_factory=dict)

    async def engage(self, wanted: Voice, server: str) -> tuple[Voice, Provider, Callers]:
        """The voice as its provider spells it. Raises BadInput where it is not to be had."""
        place = wanted.provider, server
        if place not in self.engaged:
            plan = self.plans.get(wanted.provider, "")
            callers = keyring.opened(*place, plan, self.store, self.observe)
            self.engaged[place] = await self.stack.enter_async_context(callers)
        return *await self.engaged[place].resolve(wanted), self.engaged[place]


@dataclass(frozen=True, slots=True)
class Studio:
    """To be opened with `opened`. Belongs to one event loop."""

    company: Company
    store: Store
    shelf: Shelf
    claims: Claims
    progress: Progress
    ledger: Ledger
    fresh: bool
    """Whether what stands on the shelf is spoken anew."""
    deadline: float
    """Until when keys may be waited for, on the monotonic clock."""

    async def speaker(self, wanted: Voice, server: str = "") -> Speaker:
        """Somebody who speaks in this voice. Raises BadInput where it is not to be had."""
        voice, provider, callers = await self.company.engage(wanted, server)
        self.ledger.check_priced(voice)
        return Speaker(
            provider, voice, callers, self.shelf, self.claims, self.progress, self.ledger, self.fresh, self.deadline
        )


@asynccontextmanager
async def opened(
    ledger: Ledger,
    progress: Progress,
    told: Callable[[], Mapping[str, str | float | None]],
    *,
    shelf: str,
    plans: Mapping[str, str],
    deadline: float,
    fresh: bool,
) -> AsyncIterator[Studio]:
    """For the time of the body, which Cancel in the UI and SIGTERM end; `told` is what the list of runs shows of it.

    Raises BadInput for a shelf that cannot be used, and StorageFailed where it does not answer.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(stoppable())
        await stack.enter_async_context(cancellable(progress.run))
        store = await stack.enter_async_context(opened_store())
        await stack.enter_async_context(published(progress, told))
        clips = shelf_at(await storage_for(shelf or str(home() / "shelf")))
        await aside(clips.check)
        stack.push_async_callback(briefly, clips.close)
        claims = await stack.enter_async_context(claims_on(clips.storage))
        yield Studio(Company(stack, store, plans), store, clips, claims, progress, ledger, fresh, deadline)
