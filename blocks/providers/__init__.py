"""The providers that this application knows, by name. Each is imported when it is opened, and what it needs with it."""

# ruff: noqa: PLC0415 - httpx, numpy and pydantic take a second to import, and espeak speaks without them

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from blocks.keys import first_key, keys_from, variable_of
from blocks.plans import PLANS
from blocks.speech import BadInput, Provider


def _espeak(server: str, _: str | None) -> Provider:
    from blocks.providers.espeak import Espeak

    _check_no_server("espeak", server)
    return Espeak()


def _kokoro(server: str, _: str | None) -> Provider:
    """On this machine, or Kokoro-FastAPI, which speaks OpenAI's shape."""
    if server:
        from blocks.providers.openai import OpenAI

        return OpenAI(server, name="kokoro")
    from blocks.providers.kokoro import Kokoro

    return Kokoro()


def _say(server: str, _: str | None) -> Provider:
    from blocks.providers.say import Say

    _check_no_server("say", server)
    return Say()


def _openai(server: str, key: str | None) -> Provider:
    """A server of one's own may need no key."""
    from blocks.providers.openai import SERVER, OpenAI

    if not server:
        return OpenAI(SERVER, _key("openai", key))
    keys = keys_from(variable_of("openai")) if key is None else ()
    return OpenAI(server, keys[0][1] if keys else key or "")


def _gemini(server: str, key: str | None) -> Provider:
    from blocks.providers.gemini import SERVER, Gemini

    return Gemini(server or SERVER, _key("gemini", key))


def _cartesia(server: str, key: str | None) -> Provider:
    from blocks.providers.cartesia import SERVER, Cartesia

    return Cartesia(server or SERVER, _key("cartesia", key))


def _elevenlabs(server: str, key: str | None) -> Provider:
    from blocks.providers.elevenlabs import SERVER, ElevenLabs

    return ElevenLabs(server or SERVER, _key("elevenlabs", key))


def _f5(server: str, _: str | None) -> Provider:
    from blocks.providers.f5 import F5

    return F5(_own("f5", server))


def _piper(server: str, _: str | None) -> Provider:
    from blocks.providers.piper import Piper

    return Piper(_own("piper", server))


def _key(name: str, key: str | None) -> str:
    """The first of the environment where none is given. Raises BadInput where there is none."""
    return first_key(variable_of(name), name) if key is None else key


def _own(name: str, server: str) -> str:
    """Raises BadInput where no server is named for a provider that is nobody's service."""
    if not server:
        raise BadInput(f"{name} has no server of its own: name yours, for example --server http://127.0.0.1:5000.")
    return server


def _check_no_server(name: str, server: str) -> None:
    """Raises BadInput where a server is named for a provider that has none."""
    if server:
        raise BadInput(f"{name} speaks on this machine: leave --server out, or name another provider.")


VENDORS = {
    "cartesia": "api.cartesia.ai",
    "elevenlabs": "api.elevenlabs.io",
    "gemini": "generativelanguage.googleapis.com",
    "openai": "api.openai.com",
}
"""Whose speech it is when no server is named."""
_PORTS = {"http": 80, "https": 443}
_UNSAID = {"openai": "/v1", "kokoro": "/v1", "f5": "/synthesize"}
"""Ends of a path that may be left out."""
PROVIDERS: dict[str, Callable[[str, str | None], Provider]] = {
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


def open_provider(name: str, server: str = "", key: str | None = None) -> Provider:
    """A provider to be closed after use. Raises BadInput.

    `server` is a base URL, empty for the vendor's own; without a key, the first of the environment is taken.
    """
    check_name(name)
    return PROVIDERS[name](server, key)


def check_name(name: str) -> None:
    """Raises BadInput where there is no such provider."""
    if name not in PROVIDERS:
        raise BadInput(f"There is no provider {name!r}; the known ones are {', '.join(sorted(PROVIDERS))}.")


def is_engine(name: str, server: str) -> bool:
    """Whether it speaks on this machine, without a key or a server to choose."""
    return name not in PLANS or (name == "kokoro" and not server)


@asynccontextmanager
async def opened(name: str, server: str = "", key: str | None = None) -> AsyncIterator[Provider]:
    """A provider for the time of the body. Raises BadInput."""
    provider = open_provider(name, server, key)
    try:
        yield provider
    finally:
        await provider.close()


def place_of(name: str, server: str) -> str:
    """What tells one server's speech from another's: host, port and path; empty for the vendor's own."""
    parts = urlsplit(server)
    host = (parts.hostname or "").lower()
    port = "" if parts.port in {None, _PORTS.get(parts.scheme)} else f":{parts.port}"
    path = parts.path.rstrip("/").removesuffix(_UNSAID.get(name, ""))
    return "" if host == VENDORS.get(name) else f"{host}{port}{path}"
