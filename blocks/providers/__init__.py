"""The providers that this application knows, by name."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from blocks.keys import first_key, keys_from
from blocks.providers import cartesia, elevenlabs, f5, gemini, openai, piper
from blocks.providers.espeak import Espeak
from blocks.speech import BadInput, Provider


def _espeak(server: str) -> Provider:
    if server:
        raise BadInput("espeak speaks on this machine: leave --server out, or name another provider.")
    return Espeak()


def _openai(server: str) -> Provider:
    """A server of one's own may need no key."""
    if not server:
        return openai.OpenAI(openai.SERVER, first_key("OPENAI_API_KEYS", "openai"))
    keys = keys_from("OPENAI_API_KEYS")
    return openai.OpenAI(server, keys[0][1] if keys else "")


def _gemini(server: str) -> Provider:
    return gemini.Gemini(server or gemini.SERVER, first_key("GEMINI_API_KEYS", "gemini"))


def _cartesia(server: str) -> Provider:
    return cartesia.Cartesia(server or cartesia.SERVER, first_key("CARTESIA_API_KEYS", "cartesia"))


def _elevenlabs(server: str) -> Provider:
    return elevenlabs.ElevenLabs(server or elevenlabs.SERVER, first_key("ELEVENLABS_API_KEYS", "elevenlabs"))


def _f5(server: str) -> Provider:
    return f5.F5(_own("f5", server))


def _piper(server: str) -> Provider:
    return piper.Piper(_own("piper", server))


def _own(name: str, server: str) -> str:
    """Raises BadInput where no server is named for a provider that is nobody's service."""
    if not server:
        raise BadInput(f"{name} has no server of its own: name yours, for example --server http://127.0.0.1:5000.")
    return server


PROVIDERS: dict[str, Callable[[str], Provider]] = {
    "espeak": _espeak,
    "openai": _openai,
    "gemini": _gemini,
    "piper": _piper,
    "cartesia": _cartesia,
    "elevenlabs": _elevenlabs,
    "f5": _f5,
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
