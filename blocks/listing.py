"""What a provider says it has: a free call, so that it is tried again, and the first that proves key and server."""

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

import httpx

from blocks.answers import parsed
from blocks.keys import variable_of
from blocks.network import lasts
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
from blocks.wire import Wire

_DEADLINE_S = 20.0
_PAUSES_S = (0.5, 2.0)
"""Before the second and the third try."""
_PATIENCE_S = 10.0
"""A listing that is asked to wait for longer fails."""
_NO_LIST = {404, 405, 501}
_NO_PLACE = {404, 405, 410}
_NO_HTTP = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
"""What a port that speaks something else looks like: nonsense, or nothing and a closed door."""
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
        if isinstance(error.__cause__, _NO_HTTP):
            raise BadInput(f"{_open(error)}; does this port speak {wire.scheme}? Check --server.") from error
        raise
    listed = None if answer is None else parsed(answer)
    if listed is None and not optional:
        raise BadInput(f"{wire.provider} answers without JSON; is {wire.server} its API? Check --server.")
    return listed


async def check_speaks(wire: Wire, *paths: str, method: Literal["POST", "GET"] = "POST") -> None:
    """Raise BadInput where none of the paths of the speaking call is there; for a server that has none of the lists.

    It is free: a call without a text has nothing to speak, and a path that is there complains of that.
    """
    for path in paths:
        try:
            answer = await wire.ask(method, path, json={} if method == "POST" else None, deadline_s=_DEADLINE_S)
        except CallFailed:  # The first call will tell what it is.
            return
        if answer.status not in _NO_PLACE:
            return
    tried = " nor ".join(paths)
    raise BadInput(f"{wire.provider} finds nothing at {tried}; is {wire.server} its API? Check --server.")


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
