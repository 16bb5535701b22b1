"""Slots of a plan's concurrency tag, as the Prefect server gives them."""

from contextlib import AsyncExitStack

import httpx
from prefect.client.base import ServerType
from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError, concurrency

LEASE_S = 60
"""Slots of a run that was killed come back after this time, and half a minute for the server to notice; the least."""
LOCKED = httpx.codes.LOCKED


async def ensure_limit(tag: str, slots: int) -> None:
    """Make the plan's tag allow what the plan allows; setting it again is harmless."""
    async with get_client() as client:
        await client.create_concurrency_limit(tag=tag, concurrency_limit=slots)
        if client.server_type is ServerType.EPHEMERAL:
            # Prefect's own temporary server (a notebook's) keeps leases in its memory: slots that were taken before
            # it started belong to a kernel that was killed, and nobody would ever give them back.
            await client.reset_concurrency_limit_by_tag(tag)


async def granted(held: AsyncExitStack, tag: str, wanted: int) -> int:
    """Slots that were free and are ours until `held` is closed: as many as are wanted, or those that are left."""
    name = f"tag:{tag}"
    if await _acquired(held, name, wanted):
        return wanted
    async with get_client() as client:
        limit = await client.read_global_concurrency_limit_by_name(name)
    left = min(wanted, limit.limit - limit.active_slots)
    return left if left > 0 and await _acquired(held, name, left) else 0


async def _acquired(held: AsyncExitStack, name: str, slots: int) -> bool:
    """Whether so many slots are ours now; nobody is waited for."""
    try:
        await held.enter_async_context(
            concurrency(
                name,
                slots,
                max_retries=0,
                lease_duration=LEASE_S,
                strict=True,
                # A server that is away for a moment must not end a run: the plan's own limit stands behind.
                raise_on_lease_renewal_failure=False,
            )
        )
    except ConcurrencySlotAcquisitionError as error:
        if isinstance(error.__cause__, httpx.HTTPStatusError) and error.__cause__.response.status_code == LOCKED:
            return False
        raise
    return True
