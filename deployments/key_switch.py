"""`speech keys enable`, `disable` and `remove`: what a person decides beats what the pool knows."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from blocks.api_key import ApiKey, stored_keys
from blocks.held_keys import Held, held_keys
from blocks.key_health import opened_store
from blocks.key_pool import Member, Pool, mend
from blocks.key_pool.events import Event
from blocks.keyring import document
from blocks.speech import BadInput


async def enabled(name: str, server: str) -> str:
    """Switch it on, and forget what was held against it. Raises BadInput where there is no such key."""
    found = await _named(name)
    await _switch(found, on=True)
    async with opened_store() as store:
        for known in found:
            change = partial(_mended, replace(known.credential.member, enabled=True))
            await store.record(await store.change(document(known.provider, server), Pool, change))
    return f"{_places(found)}: on, and nothing is held against it"


async def disabled(name: str) -> str:
    """Raises BadInput where there is no such block."""
    found = _stored(await _named(name))
    await _switch(found, on=False)
    return f"{_places(found)}: off; calls under way end as they would have"


async def removed(name: str) -> str:
    """Raises BadInput where there is no such block."""
    found = _stored(await _named(name))
    for known in found:
        await ApiKey.adelete(known.place)
    return f"{_places(found)}: removed"


async def _named(name: str) -> list[Held]:
    """By the block, or by alias and fingerprint. Raises BadInput, which does not repeat what may be a key."""
    held = await held_keys()
    found = [known for known in held if known.stored and known.place == name]
    found = found or [known for known in held if known.credential.member.id == name]
    if not found:
        raise BadInput("no key has that name: `speech keys list` tells the names; a key itself is none")
    return found


def _stored(found: Sequence[Held]) -> list[Held]:
    """Those that are blocks. Raises BadInput for a key that only the environment holds."""
    blocks = [known for known in found if known.stored]
    if not blocks:
        raise BadInput(f"that key stands in {found[0].place}: take it out there")
    return blocks


async def _switch(found: Sequence[Held], *, on: bool) -> None:
    stored = await stored_keys()
    for known in found:
        if known.stored and known.place in stored:
            await stored[known.place].model_copy(update={"enabled": on}).asave(known.place, overwrite=True)


def _mended(member: Member, pool: Pool, now: float) -> list[Event]:
    return mend(pool, member, now)


def _places(found: Sequence[Held]) -> str:
    return ", ".join(known.place for known in found)
