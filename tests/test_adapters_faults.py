"""Every fault that the emulator can play, met by the real adapter over a real socket."""

import functools
from typing import Any

import pytest

from blocks.providers import PROVIDERS, open_provider
from blocks.speech import (
    Audio,
    BadVoice,
    Billed,
    CallFailed,
    NotSpeech,
    ProviderFailed,
    Unanswered,
    Unreachable,
    Usage,
    Voice,
)
from blocks.wire import Wire
from tests.adapters import pcm, wav
from tests.emulator.faults import GOOD
from tests.emulator.fixture import Emulator
from tests.emulator.samples import decoded
from tests.emulator.vendors import VENDORS
from tests.ports import answering, dead_port

TEXT = "Good morning to all of you."
FOR_THE_EAR = {"third", "silence", "noise", "looped", "wrong_rate", "fallback_voice", "mp3_as_wav"}
"""A whole file, and not the speech: only the verification of clips can tell."""
CUT = {"cut_length", "cut_chunked", "no_reply", "reset", "reset_midway", "hang", "hang_midway"}
HANGS = {"hang", "hang_midway"}
"""Alike for all, and slow: played by one."""
PLACES = {place: place if place in PROVIDERS else "openai" for place in VENDORS}
"""Where the emulator speaks each wire format, and the adapter for it."""


async def outcome(place: str, emulator: Emulator, fault: str) -> Audio | Exception:
    name = PLACES[place]
    provider = open_provider(name, emulator.server(place))
    voice = await provider.resolve(Voice(name))
    emulator.script(place, {"fault": fault, "seconds": 0.002})
    try:
        return await provider.synthesise(TEXT, voice)
    except (CallFailed, BadVoice) as error:
        return error
    finally:
        await provider.close()


@pytest.mark.parametrize("place", PLACES)
async def test_every_fault_is_told_apart(place, emulator, monkeypatch):
    """No fault is unclassified, none that bytes can tell is a success, and the bill is never denied."""
    monkeypatch.setenv(f"{PLACES[place].upper()}_API_KEYS", "test-key-1")
    for fault in set(emulator.faults(place)) - (HANGS if place != "cartesia" else set()):
        emulator.reset()
        with monkeypatch.context() as patch:
            if fault in HANGS:
                patch.setattr(Wire, "ask", functools.partialmethod(hurried, Wire.ask))
            met = await outcome(place, emulator, fault)
        *_, entry = emulator.ledger(place)
        if isinstance(met, Audio):
            assert fault in GOOD | FOR_THE_EAR, fault
            assert fault not in GOOD or met.usage == billed_by(place, entry)
            continue
        assert fault not in GOOD | FOR_THE_EAR, (fault, met)
        assert type(met) is not CallFailed
        assert str(met).isprintable()
        assert len(str(met)) < 400
        if fault in CUT:
            assert type(met) is Unanswered, (fault, met)
        if fault in {"cut_close", "header_only", "empty", "json"}:
            assert type(met) is NotSpeech, (fault, met)
        if fault == "html":
            # Gemini's sound comes in JSON: what is none holds no speech, whatever else it is.
            assert type(met) is (NotSpeech if place == "gemini" else ProviderFailed), (fault, met)
        if VENDORS[place].keyed:
            billed = met.billed if isinstance(met, CallFailed) else Billed.NO
            assert billed in {Billed.YES if entry["billed"] else Billed.NO, Billed.UNKNOWN}, (fault, met, entry)


async def test_the_tokens_told_are_the_tokens_billed(emulator, monkeypatch):
    """Gemini bills text and sound: what its answers tell of both, speech or not, sums up to the account's bill."""
    monkeypatch.setenv("GEMINI_API_KEYS", "test-key-1")
    told = Usage()
    for fault in ("two_parts", "finish_other", "max_tokens", "text_part", "header_only", "blocked", "unavailable"):
        usage = (await outcome("gemini", emulator, fault)).usage or Usage()
        told = Usage(told.input + usage.input, told.output + usage.output)
    account = emulator.state()["accounts"]["gemini"]["account-1"]
    assert told == Usage(account["prompt"], account["units"])
    assert told.input
    assert told.output


def billed_by(place: str, entry: dict[str, Any]) -> Usage | None:
    """What a success tells of the emulator's bill: Gemini its tokens, ElevenLabs its characters, the others nothing."""
    if place == "gemini":
        return Usage(entry["prompt"], entry["units"])
    return Usage(entry["units"]) if place == "elevenlabs" else None


def hurried(self: Wire, ask, method: str, path: str, *, deadline_s: float, **more: object):
    """A call that nobody answers is given up soon."""
    return ask(self, method, path, deadline_s=min(deadline_s, 1.0), **more)


OWN = {
    "f5": Voice("f5", "default", "mul"),
    "piper": Voice("piper", "default", "mul"),
    "openai": Voice("openai", "alloy", "mul", "tts-1"),
}
"""Servers of one's own, and a voice for a call that nobody has listed before."""


def whole(body: bytes, status: str = "200 OK", kind: str = "audio/wav", length: int | None = None) -> bytes:
    """An answer as it stands on the wire."""
    size = len(body) if length is None else length
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {size}\r\nconnection: close\r\n\r\n"
    ).encode() + body


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize(
    ("reply", "kinds", "told"),
    [
        (whole(b"<html>Sign in</html>", kind="text/html"), {ProviderFailed}, "markup"),
        (whole(b"<html>Bad Gateway</html>", "502 Bad Gateway", "text/html"), {ProviderFailed}, "502"),
        (whole(b'{"output_file": "/srv/out/1.wav"}'), {NotSpeech, BadVoice}, "JSON|file"),
        (whole(b"/srv/out/1.wav", kind="text/plain"), {NotSpeech}, "no known sound file"),
        (whole(b'{"error": "CUDA out of memory"}'), {NotSpeech}, "JSON|CUDA"),
        (whole(b""), {NotSpeech}, "0 bytes"),
        (whole(wav(b"")), {NotSpeech}, "44 bytes holds no sound"),
        (whole(wav(pcm())[:9000], length=24_044), {Unanswered}, "peer closed|9000 of 24044"),
        (whole(wav(pcm())[:9000]), {NotSpeech}, "is cut"),
    ],
    ids=["html", "502", "path", "plain_path", "json_error", "nothing", "header", "half", "half_unsaid"],
)
async def test_what_a_bad_server_answers(name, reply, kinds, told):
    """Whatever its status says, it is named, and never taken for speech."""
    async with answering(reply) as server:
        provider = open_provider(name, server, "" if name == "openai" else None)
        with pytest.raises((CallFailed, BadVoice), match=told) as failed:
            await provider.synthesise(TEXT, OWN[name])
        await provider.close()
    assert type(failed.value) in kinds


@pytest.mark.parametrize("name", OWN)
async def test_a_server_that_is_gone_or_silent(name, emulator, monkeypatch):
    """A call that was not begun and one that nobody ends are told apart, and both may be made elsewhere."""
    monkeypatch.setattr(Wire, "ask", functools.partialmethod(hurried, Wire.ask))
    monkeypatch.setenv("OPENAI_API_KEYS", "test-key-1")
    emulator.script(name, {"fault": "hang"})
    for server, kind in ((f"http://127.0.0.1:{dead_port()}", Unreachable), (emulator.server(name), Unanswered)):
        provider = open_provider(name, server)
        with pytest.raises(kind):
            await provider.synthesise(TEXT, OWN[name])
        await provider.close()


@pytest.mark.parametrize("name", OWN)
async def test_another_rate_is_good_speech(name, emulator, monkeypatch):
    """A server that answers at a rate of its own says so, and is heard."""
    monkeypatch.setenv("OPENAI_API_KEYS", "test-key-1")
    emulator.script(name, {"fault": "other_rate"})
    provider = open_provider(name, emulator.server(name))
    assert decoded((await provider.synthesise(TEXT, OWN[name])).data).rate == 16_000
    await provider.close()
