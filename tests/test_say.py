"""macOS's `say`, as far as a stand-in for it can tell: what it is asked, and what becomes of each way to fail."""

import asyncio
import contextlib
import io
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import soundfile

from blocks.providers import open_provider, say
from blocks.providers.say import Say
from blocks.speech import BadInput, BadVoice, CallFailed, EngineFailed, NotSpeech, Voice
from tests import stand_in_say
from tests.processes import begun, children, command_of, gone

SENTENCE = "It was the best of times, it was the worst of times."


@pytest.fixture
async def provider(monkeypatch, tmp_path) -> AsyncIterator[Say]:
    """With a folder of its own for temporary files, empty again at the end."""
    stand_in_say.put_on_path(monkeypatch, tmp_path / "bin")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(say.tempfile, "tempdir", str(tmp_path / "temporary"))
    provider = Say()
    yield provider
    await provider.close()
    assert not list((tmp_path / "temporary").iterdir())


@pytest.fixture
def calls(monkeypatch, tmp_path) -> Callable[[], list[tuple[list[str], str]]]:
    """Arguments and text of each call that speaks."""
    monkeypatch.setenv("SAY_LOG", str(tmp_path / "log"))
    return lambda: [tuple(json.loads(line)) for line in (tmp_path / "log").read_text().splitlines()]


async def sleeping(provider: Say) -> tuple["asyncio.Task[object]", list[int]]:
    """A call that has spoken and does not end, with its processes: the program and the child that it has started."""
    voice, before = await provider.resolve(Voice("say")), set(children(os.getpid()))
    call = asyncio.create_task(provider.synthesise(SENTENCE, voice))
    async with asyncio.timeout(30):
        while True:
            await asyncio.sleep(0.01)
            processes = begun(before)
            if any(command_of(pid).startswith("sleep ") for pid in processes):
                return call, processes


async def test_it_is_asked_as_its_manual_says(provider, calls):
    """Voice, words a minute, format and files are arguments; the text is in a file, in UTF-8."""
    voice = await provider.resolve(Voice("say", "Eddy (English (UK))", speed=1.5))
    answer = await provider.synthesise(SENTENCE, voice)
    ((arguments, text),) = calls()
    assert arguments[:4] == ["-v", "Eddy (English (UK))", "-r", "262"]
    assert arguments[6:8] == ["--data-format=LEI16@22050", "--file-format=WAVE"]
    assert text == SENTENCE
    sound = soundfile.info(io.BytesIO(answer.data))
    assert (sound.samplerate, sound.channels, sound.subtype, sound.format) == (22050, 1, "PCM_16", "WAV")


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("Tiê\u0301ng Viê\u0323t", "Tiếng Việt"),
        ("春天来了, 👩‍👩‍👧 مرحبا", "春天来了, 👩‍👩‍👧 مرحبا"),
        ("[[rate 500]] quick [[slnc 9000]] slow", "((rate 500)) quick ((slnc 9000)) slow"),
        ("-v Albert -f /etc/passwd", "-v Albert -f /etc/passwd"),
        ("two\nlines & <b>", "two\nlines & <b>"),
    ],
)
async def test_a_text_is_nothing_but_text(provider, calls, text, heard):
    """No embedded command, option or encoding gets in its way."""
    await provider.synthesise(text, await provider.resolve(Voice("say")))
    assert calls()[0][1] == heard


async def test_the_list_of_voices_is_read_whole(provider):
    """Names with blanks and brackets, languages with regions, scripts and none."""
    offers = {offer.name: offer.language for offer in await provider.voices()}
    assert set(offers) == set(stand_in_say.VOICES)
    assert offers["Eddy (Deutsch (Deutschland))"] == "de-DE"
    assert offers["Majed"] == "ar-001"
    assert offers["Mónica"] == "es-ES"


@pytest.mark.parametrize(
    ("name", "language", "resolved", "tag"),
    [
        ("", "", "Samantha", "en-US"),
        ("", "en", "Daniel", "en-GB"),
        ("", "en-gb", "Daniel", "en-GB"),
        ("", "de-AT", "Anna", "de-DE"),
        ("", "cmn", "Tingting", "zh-CN"),
        ("albert", "", "Albert", "en-US"),
        ("Mónica", "es-MX", "Mónica", "es-ES"),
    ],
)
async def test_what_a_person_means_by_a_voice(provider, name, language, resolved, tag):
    """Name and language fill each other in; a joke is nobody's default."""
    voice = await provider.resolve(Voice("say", name, language))
    assert (voice.name, voice.language) == (resolved, tag)


@pytest.mark.parametrize(
    ("voice", "words"),
    [
        (Voice("say", "Samanta"), "Did you mean Samantha"),
        (Voice("say", "Linh", "en"), "Linh speaks vi-VN, not en"),
        (Voice("say", language="th"), "no language 'th'"),
        (Voice("say", speed=2.6), "from 0.5 to 2.5, not 2.6"),
        (Voice("say", model="neural"), "takes no model ('neural' was asked for)"),
    ],
)
async def test_a_wrong_voice_is_told_what_is_right(provider, voice, words):
    """The refusal names what was asked and the remedy."""
    with pytest.raises(BadVoice) as refusal:
        await provider.resolve(voice)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("header", NotSpeech, "the WAV file of 4096 bytes holds no sound"),
        ("silence", NotSpeech, "made no sound"),
        ("no file", NotSpeech, "wrote no file"),
        ("crash", EngineFailed, "SIGSEGV"),
        ("complaint", EngineFailed, "^say: something is broken$"),
        ("unknown", BadVoice, r"Voice `Samantha' not found.*speech voices say"),
    ],
)
async def test_each_fault_is_told_and_passes(provider, monkeypatch, fault, kind, words):
    """One line says what went wrong; the next call goes well."""
    voice = await provider.resolve(Voice("say"))
    monkeypatch.setenv("SAY_FAULT", fault)
    with pytest.raises(kind, match=words):
        await provider.synthesise(SENTENCE, voice)
    monkeypatch.delenv("SAY_FAULT")
    assert (await provider.synthesise(SENTENCE, voice)).data


async def test_a_hang_ends_at_the_deadline(provider, monkeypatch):
    """Nothing is left of it, nor of what it started."""
    await provider.resolve(Voice("say"))
    monkeypatch.setenv("SAY_FAULT", "child")
    monkeypatch.setattr(say, "_DEADLINE_S", 3.0)  # by then the child sleeps, on a slow machine, too
    monkeypatch.setattr(say, "_DEADLINE_S_PER_CHARACTER", 0)
    call, processes = await sleeping(provider)
    assert len(processes) == 2
    with pytest.raises(EngineFailed, match="deadline"):
        await call
    assert gone(processes)


@pytest.mark.parametrize("stopped", [False, True])
async def test_a_cancelled_call_leaves_no_process(provider, monkeypatch, stopped):
    """Neither the program nor what it started, not even one that no longer runs."""
    monkeypatch.setenv("SAY_FAULT", "child")
    call, processes = await sleeping(provider)
    assert len(processes) == 2
    if stopped:
        os.kill(processes[0], signal.SIGSTOP)
    call.cancel()
    async with asyncio.timeout(10):
        with contextlib.suppress(asyncio.CancelledError):
            await call
    assert gone(processes)


async def test_closing_ends_what_runs_and_what_waits(provider, monkeypatch):
    """A call that waits for its turn fails, too."""
    monkeypatch.setenv("SAY_FAULT", "child")
    running, processes = await sleeping(provider)
    waiting = asyncio.create_task(provider.synthesise(SENTENCE, Voice("say", "Samantha")))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(10):
        await provider.close()
        await asyncio.wait([running, waiting])
    assert isinstance(running.exception(), CallFailed)
    assert isinstance(waiting.exception(), EngineFailed)
    assert gone(processes)


async def test_one_text_is_spoken_at_a_time(provider):
    """However many are asked for."""
    voice = await provider.resolve(Voice("say"))
    before = set(children(os.getpid()))
    calls = [asyncio.create_task(provider.synthesise(f"Number {number}.", voice)) for number in range(4)]
    most = 0
    while not all(call.done() for call in calls):
        most = max(most, len(set(children(os.getpid())) - before))
        await asyncio.sleep(0.002)
    assert len({(await call).data for call in calls}) == 4
    assert most == 1


def test_without_the_program_the_remedy_is_told(monkeypatch, tmp_path):
    """On another system, before anything is spoken."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match=r"macOS program.*--provider espeak"):
        open_provider("say")
    with pytest.raises(BadInput, match="leave --server out"):
        open_provider("say", "http://127.0.0.1:5000")


@pytest.mark.parametrize("program", ["stranger", "no program"])
async def test_another_program_of_that_name_is_found_out(provider, monkeypatch, program):
    """It lists no voices as macOS's does, or does not start at all."""
    monkeypatch.setenv("SAY_FAULT", program)
    if program == "no program":
        Path(provider._program).write_bytes(b"\x7fELF\0junk")
    with pytest.raises(BadInput, match="lists no voices"):
        await provider.resolve(Voice("say"))
