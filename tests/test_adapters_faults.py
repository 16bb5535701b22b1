"""Every fault that the emulator can play, met by the real adapter over a real socket."""

import functools
from typing import Any

import pytest

from blocks.providers import PROVIDERS, open_provider
from blocks.speech import Audio, BadVoice, Billed, CallFailed, NotSpeech, Unanswered, Usage, Voice
from blocks.wire import Wire
from tests.emulator.faults import GOOD
from tests.emulator.fixture import Emulator
from tests.emulator.vendors import VENDORS

TEXT = "Good morning to all of you."
FOR_THE_EAR = {"third", "silence", "wrong_rate", "fallback_voice", "mp3_as_wav"}
"""A whole file, and not the speech: only the verification of clips can tell."""
CUT = {"cut_length", "cut_chunked", "no_reply", "reset", "reset_midway", "hang", "hang_midway"}
HANGS = {"hang", "hang_midway"}
"""Alike for all, and slow: played by one."""
PLACES = {place: place if place in PROVIDERS.keys() - {"kokoro"} else "openai" for place in VENDORS}
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
    monkeypatch.setattr(Wire, "ask", functools.partialmethod(hurried, Wire.ask))
    for fault in set(emulator.faults(place)) - (HANGS if place != "cartesia" else set()):
        emulator.reset()
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
        if fault in {"cut_close", "header_only", "empty", "json", "html"}:
            assert type(met) is NotSpeech, (fault, met)
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
