"""The providers that this application knows, by name. Each is imported when it is opened, and what it needs with it."""

# ruff: noqa: PLC0415 - httpx, numpy and pydantic take a second to import, and espeak speaks without them

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from blocks.keys import first_key, keys_from, variable_of
from blocks.speech import BadInput, Provider


def _espeak(server: str) -> Provider:
    from blocks.providers.espeak import Espeak

    _check_no_server("espeak", server)
    return Espeak()


def _kokoro(server: str) -> Provider:
    from blocks.providers.kokoro import Kokoro

    _check_no_server("kokoro", server, "or say --provider openai --server URL")
    return Kokoro()


def _say(server: str) -> Provider:
    from blocks.providers.say import Say

    _check_no_server("say", server)
    return Say()


def _openai(server: str) -> Provider:
    """A server of one's own may need no key."""
    from blocks.providers.openai import SERVER, OpenAI

    if not server:
        return OpenAI(SERVER, _key("openai"))
    keys = keys_from(variable_of("openai"))
    return OpenAI(server, keys[0][1] if keys else "")


def _gemini(server: str) -> Provider:
    from blocks.providers.gemini import SERVER, Gemini

    return Gemini(server or SERVER, _key("gemini"))


def _cartesia(server: str) -> Provider:
    from blocks.providers.cartesia import SERVER, Cartesia

    return Cartesia(server or SERVER, _key("cartesia"))


def _elevenlabs(server: str) -> Provider:
    from blocks.providers.elevenlabs import SERVER, ElevenLabs

    return ElevenLabs(server or SERVER, _key("elevenlabs"))


def _f5(server: str) -> Provider:
    from blocks.providers.f5 import F5

    return F5(_own("f5", server))


def _piper(server: str) -> Provider:
    from blocks.providers.piper import Piper

    return Piper(_own("piper", server))


def _key(name: str) -> str:
    """Raises BadInput where there is none."""
    return first_key(variable_of(name), name)


def _own(name: str, server: str) -> str:
    """Raises BadInput where no server is named for a provider that is nobody's service."""
    if not server:
        raise BadInput(f"{name} has no server of its own: name yours, for example --server http://127.0.0.1:5000.")
    return server


def _check_no_server(name: str, server: str, instead: str = "or name another provider") -> None:
    """Raises BadInput where a server is named for a provider that has none."""
    if server:
        raise BadInput(f"{name} speaks on this machine: leave --server out, {instead}.")


PROVIDERS: dict[str, Callable[[str], Provider]] = {
    "espeak": _espeak,
    "openai": _openai,
    "gemini": _gemini,
    "piper": _piper,
    "cartesia": _cartesia,
    "elevenlabs": _elevenlabs,
    "f5": _f5,
    "kokoro": _kokoro,
    "say": _say,
}


def open_provider(name: str, server: str = "") -> Provider:
    """A provider to be closed after use; `server` is a base URL, empty for the vendor's own. Raises BadInput."""
    if name not in PROVIDERS:
        raise BadInput(f"There is no provider {name!r}; the known ones are {', '.join(sorted(PROVIDERS))}.")
    return PROVIDERS[name](server)


@asynccontextmanager
async def opened(name: str, server: str = "") -> AsyncIterator[Provider]:
    """A provider for the time of the body. Raises BadInput."""
    provider = open_provider(name, server)
    try:
        yield provider
    finally:
        await provider.close()
