"""Wrong choices, keys, servers and networks: each is one line with its remedy, before the first paid call."""

import asyncio
import contextlib
import importlib.util
import re
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blocks import listing
from blocks.providers import opened
from blocks.speech import BadInput, BadVoice, Voice
from tests.emulator.fixture import Emulator
from tests.ports import answering, certificate, dead_port
from tests.test_providers import ROWS

KEYED = ("openai", "gemini", "cartesia", "elevenlabs")
EMULATED = [row.name for row in ROWS if row.emulated]
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    """Good keys, no proxy, and no time lost between two tries."""
    for name in KEYED:
        monkeypatch.setenv(f"{name.upper()}_API_KEYS", "test-key-1")
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(listing, "_PAUSES_S", (0.01, 0.01))


async def refused(name: str, server: str = "", /, **wanted: object) -> str:
    """The line that refuses a choice, before anything is spoken."""
    with pytest.raises(BadInput) as refusal:
        async with opened(name, server) as provider:
            await provider.resolve(Voice(name, **wanted))
    assert re.fullmatch(r"[^\n]{10,400}", str(refusal.value))
    return str(refusal.value)


@pytest.mark.parametrize("name", EMULATED)
@pytest.mark.parametrize("wanted", [{"name": "nobody-0"}, {"model": "nothing-0"}, {"language": "xx"}], ids=str)
async def test_what_a_provider_has_not(name, wanted, emulator: Emulator):
    """An unknown voice, model or language is named, with what there is instead, and nothing was asked to speak."""
    told = await refused(name, emulator.server(name), **wanted)
    assert str(*wanted.values()) in told
    assert re.search(r"It has \w|Did you mean \w|leave it empty|List them|name one", told), told
    assert not emulator.ledger()


@pytest.mark.parametrize(
    ("place", "voice", "language"),
    [
        ("cartesia", "Katie", "vi"),
        ("piper", "en_US-lessac-medium", "vi"),
        ("kokoro", "af_bella", "ja"),
        ("elevenlabs", "Rachel", "sw"),
        ("espeak", "en-us", "vi"),
    ],
)
async def test_a_language_that_the_voice_does_not_speak(place, voice, language, emulator: Emulator):
    """It is refused, and not read in the voice's own language."""
    name = "openai" if place == "kokoro" else place
    server = "" if place == "espeak" else emulator.server(place)
    assert language in await refused(name, server, name=voice, language=language)
    assert not emulator.ledger()


@pytest.mark.parametrize("name", KEYED)
@pytest.mark.parametrize("key", ["", "sec ret", "sec\tret", "sec\rret", "sécret"])
async def test_no_key_and_no_usable_key(name, key, monkeypatch):
    """The variable is named, the key is not."""
    monkeypatch.setenv(f"{name.upper()}_API_KEYS", key)
    told = await refused(name)
    assert f"{name.upper()}_API_KEYS" in told
    assert "ret" not in told.replace("secret", "").replace("interpret", "")


@pytest.mark.parametrize("name", KEYED)
async def test_a_newline_after_a_key_is_none_of_it(name, monkeypatch, emulator: Emulator):
    """A key that was read from a file works as it is."""
    monkeypatch.setenv(f"{name.upper()}_API_KEYS", "test-key-1\r\n")
    async with opened(name, emulator.server(name)) as provider:
        assert await provider.resolve(Voice(name))


@pytest.mark.parametrize("name", KEYED)
async def test_a_key_that_nobody_holds(name, monkeypatch, emulator: Emulator):
    """The free listing meets it: its variable is named, it is not, and nothing was asked to speak."""
    monkeypatch.setenv(f"{name.upper()}_API_KEYS", "stolen-key-9")
    told = await refused(name, emulator.server(name))
    assert f"check {name.upper()}_API_KEYS" in told
    assert "stolen" not in told
    assert not emulator.ledger()


async def test_a_server_that_wants_a_key_where_none_is_sent():
    """A piper or f5 behind a guard says so."""
    async with answering(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n") as url:
        assert "wants a key" in await refused("piper", url)


@pytest.mark.parametrize("name", ["openai", "piper", "f5", "cartesia"])
async def test_a_server_that_is_not_there(name):
    """A port where nobody listens is told with its address."""
    told = await refused(name, f"http://127.0.0.1:{dead_port()}")
    assert "cannot be reached at http://127.0.0.1" in told
    assert "check --server" in told


@pytest.mark.parametrize("name", ["openai", "cartesia"])
async def test_a_host_that_has_no_address(name):
    """A name that does not resolve is told with it."""
    assert "nobody.invalid" in await refused(name, "http://nobody.invalid")


@pytest.mark.parametrize("banner", [b"SSH-2.0-OpenSSH_9.6\r\n", b"220 mail ESMTP\r\n", b"\x15\x03\x03\x00\x02\x02\x46"])
async def test_another_protocol_on_the_port(banner):
    """What answers without HTTP is no server of speech."""
    async with answering(banner) as url:
        told = await refused("openai", url)
    assert "does this port speak http? Check --server" in told


@pytest.mark.parametrize("name", ["cartesia", "elevenlabs"])
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "301 Moved Permanently", "400 Bad Request"])
async def test_a_web_page_is_no_provider(name, status):
    """A server of something else is not taken for one without voices."""
    page = f"HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: 15\r\n\r\n<html>Hi</html>".encode()
    async with answering(page) as url:
        assert "Check --server" in await refused(name, url)


async def test_https_against_http():
    """A port without TLS is told as one."""
    async with answering(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", hangs_up=True) as url:
        assert "does this port speak http" in await refused("openai", url.replace("http:", "https:"))


@contextlib.asynccontextmanager
async def hanging_up(*, reset: bool) -> AsyncIterator[str]:
    """A port that says nothing, and closes or resets whatever comes."""

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if reset:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    async with server:
        yield "{}:{}".format(*server.sockets[0].getsockname())


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(("scheme", "asked"), [("http", "speak http?"), ("https", "speak http instead of https?")])
async def test_a_port_that_hangs_up_is_asked_for_its_protocol(scheme, asked, reset):
    """However it closes the door, the scheme is questioned, and it is wrong input."""
    async with hanging_up(reset=reset) as port:
        assert asked in await refused("openai", f"{scheme}://{port}")


@pytest.mark.parametrize("name", ["openai", "piper", "f5"])
async def test_a_path_that_is_not_there(name, emulator: Emulator):
    """A server without any of the lists is asked, free of charge, whether it speaks there."""
    told = await refused(name, f"{emulator.url}/nobody/here")
    assert "its API? Check --server" in told
    assert not emulator.ledger()


@pytest.mark.parametrize("url", ["socks5://me:pass-word@127.0.0.1:1080", "socks5h://h:1", "socks4://h:1", "SOCKS://h"])
@pytest.mark.parametrize("variable", ["ALL_PROXY", "https_proxy"])
async def test_socks_is_not_supported(variable, url, monkeypatch):
    """The variable is named, its value is not, and how to go on is told."""
    if importlib.util.find_spec("socksio"):
        pytest.skip("with socksio httpx speaks it")
    monkeypatch.setenv(variable, url)
    told = await refused("openai")
    assert f"SOCKS is not supported here. Name an http:// proxy, or unset {variable}." in told
    assert "pass-word" not in told


async def test_http_against_https(tmp_path: Path):
    """A port with TLS hangs up on plain HTTP: the scheme is questioned."""
    async with answering(b"", certificate(tmp_path)) as url:
        assert "does this port speak http?" in await refused("openai", url)


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path):
    """It is never accepted; who trusts it is told how to say so."""
    async with answering(b"", certificate(tmp_path)) as url:
        told = await refused("openai", url.replace("http:", "https:"))
    assert "certificate" in told
    assert "SSL_CERT_FILE" in told


@pytest.mark.parametrize("server", ["", "http://api.example.com"])
@pytest.mark.parametrize("variables", ["ALL_PROXY", "HTTPS_PROXY HTTP_PROXY"])
async def test_a_proxy_that_is_not_there(server, variables, monkeypatch):
    """Not the server but the proxy is to be checked."""
    for variable in variables.split():
        monkeypatch.setenv(variable, f"http://127.0.0.1:{dead_port()}")
    assert "ALL_PROXY" in await refused("openai", server)


@pytest.mark.parametrize("server", ["", "http://api.example.com"])
async def test_a_proxy_that_lets_nobody_through(server, monkeypatch):
    """A proxy that wants a password is told as the proxy, not as the provider's refusal."""
    async with answering(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n") as url:
        monkeypatch.setenv("ALL_PROXY", url)
        told = await refused("openai", server)
    assert "407" in told
    assert "check HTTPS_PROXY and ALL_PROXY" in told


def test_the_terminal_calls_it_wrong_input(capsys, monkeypatch, emulator: Emulator):
    """Exit code 2 and one line, for a key as for a server."""
    from deployments.answers import WRONG
    from deployments.terminal import run

    monkeypatch.setenv("CARTESIA_API_KEYS", "stolen-key-9")
    for arguments, named in (
        (["nobody"], "espeak"),
        (["cartesia", "--server", emulator.server("cartesia")], "CARTESIA_API_KEYS"),
        (["f5"], "--server"),
        (["f5", "--server", "127.0.0.1:8000"], "http://"),
        (["f5", "--server", "http://127.0.0.1:8000/tts?key=pass-word"], "text=gen_text"),
        (["piper", "--server", "http://127.0.0.1:8000/?text=pass-word"], "query"),
        (["f5", "--server", "http://me:pass-word@127.0.0.1:8000"], "credentials"),
        (["f5", "--server", f"http://127.0.0.1:{dead_port()}"], "--server"),
    ):
        assert run(["voices", *arguments]) == WRONG
        told = capsys.readouterr().err
        assert named in told
        assert "pass-word" not in told
        assert len(told.strip().splitlines()) == 1


async def test_a_voice_that_is_wrong_stays_a_wrong_voice(emulator: Emulator):
    """BadVoice stops a run at the first proof: resolving keeps it apart from other wrong input."""
    async with opened("cartesia", emulator.server("cartesia")) as provider:
        with pytest.raises(BadVoice):
            await provider.resolve(Voice("cartesia", "nobody-0"))
