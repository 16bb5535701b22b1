"""A free question to a key's provider: does it take the key?"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from blocks.keys import Credential
from blocks.providers import open_provider
from blocks.speech import AccountExhausted, BadInput, BadKey, BadVoice, CallFailed, Forbidden, SpeechError, Voice

_AT_ONE_TIME = 5
_DEADLINE_S = 90.0
"""Some list their voices in many pages."""


@dataclass(frozen=True, slots=True)
class Finding:
    works: bool | None
    """None: nobody knows, for the provider did not answer."""
    reason: str = ""
    """Why it does not work, or what is wrong besides."""
    error: CallFailed | None = None
    """What the key or its account is to blame for."""


async def look(known: Credential) -> Finding:
    """What resolving a voice tells: a run begins with it, too. Raises BadInput for a server that cannot be."""
    name = known.member.plan.provider
    provider = open_provider(name, known.server, known.key)
    try:
        async with asyncio.timeout(_DEADLINE_S):
            await provider.resolve(Voice(name))
    except SpeechError as error:
        return _finding(error)
    except TimeoutError:
        return Finding(works=None, reason=f"{name} did not tell its voices within {_DEADLINE_S:.0f} s")
    finally:
        await provider.close()
    return Finding(works=True)


def _finding(error: SpeechError) -> Finding:
    blamed = error.__cause__ if isinstance(error, BadInput) else error
    match blamed:
        case BadKey() | Forbidden():
            return Finding(works=False, reason=str(blamed), error=blamed)
        case AccountExhausted():
            return Finding(works=True, reason=str(blamed), error=blamed)
        case _ if isinstance(error, BadVoice):  # the list came, and names nobody who speaks by default
            return Finding(works=True)
        case _:
            return Finding(works=None, reason=str(error))


async def look_at(keys: Sequence[Credential]) -> list[Finding]:
    """A few at one time, in their order."""
    turns = asyncio.Semaphore(_AT_ONE_TIME)

    async def one(known: Credential) -> Finding:
        async with turns:
            return await look(known)

    return await asyncio.gather(*(one(known) for known in keys))
