"""What a provider says it has: a free call, so that it is tried again, and the first that proves key and server."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from blocks.answers import parsed
from blocks.keys import variable_of
from blocks.speech import (
    BadInput,
    BadKey,
    BadText,
    BadVoice,
    CallFailed,
    Forbidden,
    ProviderFailed,
    RateLimited,
    Unanswered,
    Unreachable,
)
from blocks.wire import Wire, lasts

_DEADLINE_S = 20.0
_PAUSES_S = (0.5, 2.0)
"""Before the second and the third try."""
_PATIENCE_S = 10.0
"""A listing that is asked to wait for longer fails."""
_NO_LIST = {404, 405, 501}
_PASSING = (ProviderFailed, RateLimited, Unreachable, Unanswered)


async def listing(wire: Wire, path: str, params: Mapping[str, str] | None = None, *, optional: bool = False) -> Any:
    """The decoded JSON; None where an optional list is not there.

    Raises BadInput for what a person can mend: the key, the server, the proxy; CallFailed for the rest.
    """
    try:
        answer = await _patiently(wire, path, params or {}, optional=optional)
    except (BadKey, Forbidden) as error:
        remedy = f"check {variable_of(wire.provider)}" if wire.keyed else "this server wants a key, and none is sent"
        raise BadInput(f"{_open(error)}; {remedy}.") from error
    except (BadVoice, BadText) as error:  # Nothing of it was chosen by anybody but the server.
        raise BadInput(f"{_open(error)}; is {wire.server} its API? Check --server.") from error
    except CallFailed as error:
        if isinstance(error, Unreachable) and not wire.closed:
            raise BadInput(str(error)) from error
        if isinstance(error.__cause__, httpx.RemoteProtocolError):
            raise BadInput(f"{_open(error)}; does this port speak {wire.scheme}? Check --server.") from error
        raise
    listed = None if answer is None else parsed(answer)
    if listed is None and not optional:
        raise BadInput(f"{wire.provider} answers without JSON; is {wire.server} its API? Check --server.")
    return listed


async def _patiently(wire: Wire, path: str, params: Mapping[str, str], *, optional: bool) -> bytes | None:
    """The body; None where there is no such list. What fails in passing is tried again."""
    pauses = iter(_PAUSES_S)
    while True:
        try:
            answer = await wire.get(path, params=params, deadline_s=_DEADLINE_S, also=_NO_LIST if optional else ())
        except _PASSING as error:
            pause_s = next(pauses, None)
            wait_s = pause_s if error.wait_s is None else error.wait_s
            if wire.closed or pause_s is None or wait_s is None or wait_s > _PATIENCE_S or lasts(error.__cause__):
                raise
            await asyncio.sleep(wait_s)
        else:
            return None if answer.status in _NO_LIST else answer.body


def _open(error: Exception) -> str:
    """Its words, without their full stop."""
    return str(error).rstrip(".")
