"""Where a provider's keys come from: the environment, the blocks of the Prefect server, or nowhere."""

from collections.abc import Awaitable, Callable, Sequence

from blocks.keys import (
    KEYED,
    KEYLESS,
    Credential,
    from_environment,
    servers_of,
    variable_of,
    without_keys,
)
from blocks.speech import BadInput

Source = Callable[[], Awaitable[Sequence[Credential]]]


def _no_key(name: str, servers: Sequence[str]) -> BadInput:
    if name in KEYLESS:
        return BadInput(f"{name} has no server of its own: name yours, for example --server http://127.0.0.1:5000.")
    at = " for this server" if servers else ""
    return BadInput(
        f"{name} needs a key{at}: `speech keys add {name}` stores one, or put it into the environment variable "
        f"{variable_of(name)}."
    )


def source_of(name: str, servers: Sequence[str], plan: str) -> Source:
    """Where the keys come from: the environment if it has any, else the blocks of the Prefect server.

    Raises BadInput for what cannot be a key, a plan or a list of servers.
    """
    fixed = from_environment(name, servers, plan)

    async def read() -> Sequence[Credential]:
        if fixed:
            return fixed
        from blocks.api_key import from_blocks  # noqa: PLC0415  Prefect takes two seconds to import

        found = await from_blocks(name, servers[0] if servers else "") if name in KEYED else ()
        found = found or without_keys(name, servers, plan)
        if not found:
            raise _no_key(name, servers)
        return found

    return read


def asks_blocks(name: str, server: str) -> bool:
    """Whether the keys of a provider are read from a Prefect server."""
    return name in KEYED and not from_environment(name, servers_of(server))
