"""The providers that this application knows, by name."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from blocks.providers.espeak import Espeak
from blocks.speech import BadInput, Provider

PROVIDERS: dict[str, Callable[[], Provider]] = {"espeak": Espeak}


def open_provider(name: str) -> Provider:
    """A provider to be closed after use. Raises BadInput for a name that none has."""
    if name not in PROVIDERS:
        raise BadInput(f"There is no provider {name!r}; the known ones are {', '.join(sorted(PROVIDERS))}.")
    return PROVIDERS[name]()


@asynccontextmanager
async def opened(name: str) -> AsyncIterator[Provider]:
    """A provider for the time of the body. Raises BadInput for a name that none has."""
    provider = open_provider(name)
    try:
        yield provider
    finally:
        await provider.close()
