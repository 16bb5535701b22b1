"""What is special to the embedded voice."""

# ruff: noqa: RUF001 - many scripts, and typographic quotes, are what is tested.

import asyncio
import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from blocks.plans import Plan
from blocks.providers import espeak
from blocks.providers.espeak import Espeak
from blocks.providers.espeak_text import _CLAUSE, _CLAUSE_ENDS, _WORD, _WORDS, _cost, speakable
from blocks.speech import BadText, BadVoice, EngineFailed, NotSpeech, Voice
from tests.processes import children, descendants, gone, mapped_files
from tests.until import until

SENTENCE = "It was the best of times, it was the worst of times."
LONG = "And so it goes on and on. " * 3000
"""Seconds of the engine's time."""


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[Espeak]:
    """With two calls in flight, whatever this machine has. What one test does to it, the next must not feel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(espeak, "local", lambda name: Plan(name, "local", 2))
        provider = Espeak()
    yield provider
    await provider.close()


async def say(provider: Espeak, text: str, name: str = "en-us", speed: float = 1.0) -> bytes:
    return (await provider.synthesise(text, Voice("espeak", name, speed=speed))).data


async def seconds(provider: Espeak, text: str, name: str = "en-us", speed: float = 1.0) -> float:
    return soundfile.info(io.BytesIO(await say(provider, text, name, speed))).duration


async def speaking(provider: Espeak) -> tuple["asyncio.Task[bytes]", int, int]:
    """A call in the midst of its work, with its worker and the worker's fork."""
    call = asyncio.create_task(say(provider, LONG))
    async with asyncio.timeout(30):
        while True:
            await asyncio.sleep(0.002)
            for worker in provider._workers:
                for fork in children(worker._process.pid):
                    return call, worker._process.pid, fork


async def test_the_same_text_gives_the_same_bytes(provider):
    """Whatever was said before, in whichever worker: a clip on the shelf is the clip a new call would bring."""
    # The variants breathe and flutter at random; the engine's seed would be the second in which a worker started.
    names = ["en-us", "en-us+f2", "en-us+whisper", "vi", "cmn"]
    first = [await say(provider, SENTENCE, name) for name in names]
    assert len(set(first)) == len(names)
    await asyncio.sleep(1)
    fresh = Espeak()
    for again in (provider, fresh):
        answers = await asyncio.gather(*(say(again, SENTENCE, name) for name in reversed(names * 2)))
        assert answers[::-1] == first * 2
    await fresh.close()


async def test_the_head_of_the_file_tells_the_truth(provider):
    """One WAV file: 22,050 samples a second, 16 bits, mono, with the sizes that it has."""
    data = await say(provider, SENTENCE)
    head = struct.unpack("<4sI4s4sIHHIIHH4sI", data[:44])
    assert head[:3] == (b"RIFF", len(data) - 8, b"WAVE")
    assert head[3:11] == (b"fmt ", 16, 1, 1, 22050, 44100, 2, 16)
    assert head[11:] == (b"data", len(data) - 44)


async def test_200_calls_at_once_each_get_their_own_answer(provider):
    """However many wait, no answer goes to another text, and no more than the plan's workers run."""
    texts = [f"Number {number}." for number in range(200)]
    answers = await asyncio.gather(*(say(provider, text) for text in texts))
    assert len(provider._idle) == 2
    for text, answer in list(zip(texts, answers, strict=True))[::10]:
        assert answer == await say(provider, text)
    assert len(set(answers)) == 200


async def test_every_offered_voice_speaks(provider):
    """No voice is listed that the package brings without its dictionary."""
    names = [offer.name for offer in await provider.voices()]
    lengths = await asyncio.gather(*(seconds(provider, "abc 1", name) for name in names))
    assert not [name for name, length in zip(names, lengths, strict=True) if length < 0.3]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
async def test_a_crash_of_the_engine_costs_one_call(provider, number):
    """The call fails and says by which signal; the next one goes well."""
    call, _, fork = await speaking(provider)
    os.kill(fork, number)
    with pytest.raises(EngineFailed, match=number.name):
        await call
    assert await seconds(provider, SENTENCE) > 2


async def test_an_engine_that_does_not_come_back_is_ended(provider, monkeypatch):
    """A call has a deadline that holds even while the engine runs in C."""
    monkeypatch.setattr(espeak, "_DEADLINE_S", 0.1)
    monkeypatch.setattr(espeak, "_DEADLINE_S_PER_CHARACTER", 0)
    with pytest.raises(EngineFailed, match="deadline"):
        await say(provider, LONG)
    monkeypatch.undo()
    assert await seconds(provider, SENTENCE) > 2


@pytest.mark.parametrize("number", [signal.SIGCONT, signal.SIGSTOP], ids=["busy", "stopped"])
async def test_a_stuck_call_holds_up_nobody_and_can_be_cancelled(provider, number):
    """Each call has a process of its own; cancelling ends it, even one that no longer runs."""
    call, worker, fork = await speaking(provider)
    os.kill(fork, number)
    async with asyncio.timeout(30):
        assert await seconds(provider, SENTENCE) > 2
    assert not call.done()
    call.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([call])
    assert call.cancelled()
    assert gone([worker, fork])
    assert all(length > 2 for length in await asyncio.gather(*(seconds(provider, SENTENCE) for _ in range(4))))


async def test_a_worker_that_died_between_calls_is_replaced(provider):
    """Nobody notices."""
    await asyncio.gather(say(provider, SENTENCE), say(provider, SENTENCE))
    workers = list(provider._idle)
    assert len(workers) == 2
    for worker in workers:
        os.kill(worker._process.pid, signal.SIGKILL)
    await until(lambda: not any(worker.alive for worker in workers))
    assert await seconds(provider, SENTENCE) > 2


async def test_a_worker_that_cannot_start_says_why(monkeypatch):
    """A broken installation is told by the system's own words, not by a hang."""
    monkeypatch.setattr(espeak.espeakng_loader, "get_library_path", lambda: "/nowhere/libespeak-ng.so")
    broken = Espeak()
    with pytest.raises(EngineFailed, match=r"/nowhere/libespeak-ng\.so"):
        await broken.voices()
    await broken.close()


def test_no_process_outlives_a_killed_parent():
    """After kill -9 in mid-call the workers and their forks end by themselves."""
    script = (
        "import asyncio\nfrom blocks.providers.espeak import Espeak\nfrom blocks.speech import Voice\n"
        "async def main():\n"
        "    provider = Espeak()\n"
        "    voice = await provider.resolve(Voice('espeak'))\n"
        f"    while True: await provider.synthesise({SENTENCE * 20!r}, voice)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parent.parent)
    end = time.monotonic() + 20
    while len(below := descendants(parent.pid)) < 2 and time.monotonic() < end:
        time.sleep(0.005)
    parent.kill()
    parent.wait()
    assert len(below) == 2
    assert gone(below)


async def test_it_serves_an_event_loop_in_any_thread(provider):
    """Prefect runs flows outside the main thread."""
    lengths = []

    async def other() -> None:
        there = Espeak()
        lengths.append(await seconds(there, SENTENCE))
        await there.close()

    thread = threading.Thread(target=lambda: asyncio.run(other()))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert lengths == [await seconds(provider, SENTENCE)]


async def test_the_engine_is_never_loaded_into_this_process(provider):
    """A crash of the engine can not be ours."""
    await provider.resolve(Voice("espeak"))
    await say(provider, SENTENCE)
    assert "libespeak" not in mapped_files()


@pytest.mark.parametrize(
    ("name", "language", "resolved", "tag"),
    [
        ("", "", "en-us", "en-US"),
        ("EN-US", "", "en-us", "en-US"),
        ("en_gb", "", "en", "en-GB"),
        ("gmw/en-US", "en", "en-us", "en-US"),
        ("", "en-AU", "en", "en-GB"),
        ("en-us", "en-AU", "en-us", "en-US"),
        ("", "zh", "cmn", "zh"),
        ("cmn", "zh-Hans-CN", "cmn", "zh"),
        ("", "cmn", "cmn", "zh"),
        ("", "zh-HK", "yue", "yue"),
        ("", "pt", "pt", "pt"),
        ("", "pt-BR", "pt-br", "pt-BR"),
        ("", "es-AR", "es-419", "es-419"),
        ("", "no-NO", "nb", "nb"),
        ("", "vi-VN", "vi", "vi"),
        ("vi-vn-x-south", "vi-VN", "vi-vn-x-south", "vi-VN-x-south"),
        ("", "ru-CL", "ru", "ru"),
        ("en-us+F2", "", "en-us+f2", "en-US"),
        ("+diogo", "de", "de+Diogo", "de"),
        ("!v/f2", "", "en-us+f2", "en-US"),
    ],
)
async def test_what_a_person_means_by_a_voice(provider, name, language, resolved, tag):
    """Name and language fill each other in, spelt one way, and the engine has what they come to."""
    voice = await provider.resolve(Voice("espeak", name, language))
    assert (voice.name, voice.language) == (resolved, tag)
    assert voice == await provider.resolve(voice)
    assert (await provider.synthesise("Is it one?", voice)).data


@pytest.mark.parametrize(
    ("voice", "words"),
    [
        (Voice("espeak", "en-us", "en-GB"), "en-us speaks en-US, not en-GB"),
        (Voice("espeak", "vi", "en"), "vi speaks vi, not en"),
        (Voice("espeak", "en-uss"), "Did you mean en-us"),
        (Voice("espeak", "german"), "Did you mean de"),
        (Voice("espeak", "en-us+nobody"), "no variant 'nobody'"),
        (Voice("espeak", "fo"), "no voice 'fo'"),
        (Voice("espeak", language="tl"), "`speech voices espeak`"),
        (Voice("espeak", speed=0.49), "from 0.5 to 3.0, not 0.49"),
    ],
)
async def test_a_wrong_voice_is_told_what_is_right(provider, voice, words):
    """The refusal names what was asked and the remedy."""
    with pytest.raises(BadVoice) as refusal:
        await provider.resolve(voice)
    assert words in str(refusal.value)


async def test_an_unresolved_voice_is_not_spoken_in_another(provider):
    """The engine passes over a name it does not know, with the voice it had or without the variant; we do not."""
    for name in ("no-such-voice", "en-us+nobody"):
        with pytest.raises(EngineFailed, match="did not load the voice"):
            await say(provider, SENTENCE, name)


async def test_speed_is_a_factor(provider):
    """Twice the speed takes half the time, within what the engine's own pauses allow."""
    normal = await seconds(provider, SENTENCE)
    for speed in (0.5, 1.5, 2.0, 3.0):
        assert await seconds(provider, SENTENCE, speed=speed) == pytest.approx(normal / speed, rel=0.15)
    assert (await provider.resolve(Voice("espeak", speed=1.2345))).speed == 1.23


async def test_nothing_in_a_text_commands_the_engine(provider):
    """Phoneme brackets, SSML and the engine's control characters are read or passed over, never obeyed."""
    assert await seconds(provider, "[[h@l'oU]]") > 1
    assert await seconds(provider, "before <break time='9s'/> after") > 2
    plain = await say(provider, "one two three four five six")
    assert await say(provider, "one \x01two \x01three four five six") == plain
    assert await seconds(provider, "one \x01500S two three four five six") > await seconds(
        provider, "one two three four five six"
    )


async def test_text_that_makes_no_sound_is_no_speech(provider):
    """The engine answers it with a few milliseconds of zeros."""
    for text in ("", "...", "—"):
        with pytest.raises(NotSpeech):
            await say(provider, text)


@pytest.mark.parametrize(
    ("text", "words"), [("a\0b", "NUL character, at position 1"), ("ab\udfff", "U\\+DFFF, at position 2")]
)
async def test_text_that_the_engine_cannot_take_is_bad_text(provider, text, words):
    """The message tells what and where."""
    with pytest.raises(BadText, match=words):
        await say(provider, text)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("ko", "다음의 내용은 사이언스온에 기고한 글입니다 "),
        ("th", "สวัสดีชาวโลก"),
        ("ja", "私は日本語の文章を読みます"),
        ("cmn", "你好世界今天天气很好"),
        ("ar", "مرحبابالعالم"),
        ("hi", "नमस्ते"),
        ("fi", "99999 "),
        ("en-us", "9"),
        ("en-us", "😀"),
        ("en-us", "internationalisation"),
    ],
)
async def test_no_script_overflows_the_engine(provider, name, unit):
    """A clause without end takes as long as its pieces do: alone, the engine would drop a quarter of it or far more."""
    text = unit * (300 // len(unit))
    pieces = [text[start : start + 20] for start in range(0, len(text), 20)]
    whole, *parts = await asyncio.gather(*(seconds(provider, piece, name) for piece in (text, *pieces)))
    assert whole > 0.85 * sum(parts)


SCRIPTS = st.sampled_from(
    ["word ", "你好", "สวัสดี", "こんにちは", "안녕 ", "99 ", "😀", "👨‍👩‍👧‍👦", "कि", ", ", "。", "x", "Ω", "@#"]
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=600),
    st.lists(SCRIPTS, max_size=300).map("".join),
    SCRIPTS.map(lambda unit: unit * (600 // len(unit))),
)


@given(TEXTS)
def test_breaks_change_no_letter(text):
    """What the engine gets is the text, but for blanks, commas and control characters."""

    def letters(text: str) -> str:
        return "".join(c for c in text if c != "," and not c.isspace() and unicodedata.category(c) != "Cc")

    assert letters(speakable(text)) == letters(unicodedata.normalize("NFC", text))


@given(TEXTS)
def test_breaks_keep_every_word_and_clause_within_the_engine(text):
    """No clause and no word of what the engine gets costs more than it holds; the comma that ends it is free."""
    for clause in _CLAUSE_ENDS.split(speakable(text)):
        assert _cost(clause) <= _CLAUSE
        assert all(_cost(word.removesuffix(",")) <= _WORD for word in _WORDS.findall(clause))


def test_prose_is_left_alone():
    """Ordinary sentences, in ordinary length, reach the engine as they stand."""
    for text in (
        "In 1984, Mr. O’Brien paid $1,234.56 for “two” books – at 12:30 p.m. – and said: “That’s all!” " * 6,
        "Die Donaudampfschifffahrtsgesellschaft hat ihren Sitz in Wien und fährt seit 1829 auf der Donau. " * 6,
        "我们都知道，春天来了，花园里的花都开了。孩子们在草地上跑来跑去，笑声传得很远！" * 10,
        "제목은 잠자는 꼬마선충입니다. 잠을 자는 동안 신경들이 활성화하는 것을 보았습니다. " * 10,
        "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 15,
    ):
        assert speakable(text) == text
