"""One contract, every provider: a new one is one row of the table."""

import asyncio
import contextlib
import io
import os
import re
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from blocks.providers import PROVIDERS, open_provider, place_of
from blocks.speech import Audio, BadInput, BadVoice, CallFailed, Provider, RateLimited, Voice
from tests import kokoro_model, stand_in_say
from tests.emulator.fixture import Emulator
from tests.processes import begun, children, gone
from tests.until import until

PLAIN = "The quick brown fox jumps over the lazy dog, and nobody minds."
CHINESE = "春天来了花园里的花都开了孩子们在草地上跑来跑去"
VIETNAMESE = "Tiếng Việt có sáu thanh điệu, và chữ viết có nhiều dấu."


@dataclass(frozen=True, slots=True)
class Row:
    """What the contract needs to know of a provider."""

    name: str
    english: Voice
    chinese: Voice | None
    """None where it speaks no such language."""
    vietnamese: Voice | None
    emulated: bool = True
    local: Callable[[pytest.MonkeyPatch, Path], None] | None = None
    """What it stands on, on this machine."""
    speed: float = 1.1
    """One that it has."""
    styled: bool = False
    """It takes a style in words."""


def by_language(name: str, **more: object) -> Row:
    """A row for a provider that finds a voice by its language."""
    english, chinese, vietnamese = (Voice(name, language=language) for language in ("en-US", "zh-CN", "vi"))
    return Row(name, english, chinese, vietnamese, **more)


ROWS = (
    by_language("espeak", emulated=False),
    by_language("openai", styled=True),
    by_language("gemini", speed=1.0, styled=True),
    by_language("piper"),
    by_language("cartesia"),
    by_language("elevenlabs"),
    Row("f5", Voice("f5", "anna"), Voice("f5", "mei"), Voice("f5", "linh")),
    Row("kokoro", Voice("kokoro", language="en-US"), None, None, emulated=False, local=kokoro_model.put_home),
    by_language("say", emulated=False, local=stand_in_say.put_on_path),
)


@pytest.fixture(scope="module", params=ROWS, ids=lambda row: row.name)
def row(request) -> Row:
    return request.param


@pytest.fixture(scope="module")
def server(row, emulator_process, tmp_path_factory) -> Iterator[str]:
    """The emulator speaks for whoever is not on this machine."""
    with pytest.MonkeyPatch.context() as environment:
        if row.local:
            row.local(environment, tmp_path_factory.mktemp(row.name))
        environment.setenv(f"{row.name.upper()}_API_KEYS", "test-key-1")
        yield f"{emulator_process.url}/{row.name}" if row.emulated else ""


@pytest.fixture(scope="module")
async def provider(row, server) -> AsyncIterator[Provider]:
    provider = open_provider(row.name, server)
    yield provider
    await provider.close()


def sound(audio: Audio) -> tuple[np.ndarray, float]:
    """Samples from -1 to 1, and seconds. The head's count of frames must be the true one."""
    with soundfile.SoundFile(io.BytesIO(audio.data)) as file:
        samples = file.read(dtype="float32", always_2d=True)
        assert file.frames == len(samples)
        assert {"wav": "WAV", "flac": "FLAC", "mp3": "MP3", "ogg": "OGG"}[audio.format] == file.format
        return samples, len(samples) / file.samplerate


async def seconds(provider: Provider, text: str, voice: Voice) -> float:
    return sound(await provider.synthesise(text, await provider.resolve(voice)))[1]


async def within_plan(provider: Provider, texts: Sequence[str], voice: Voice) -> list[float]:
    """The seconds of each, with no more calls at one time than the plan allows.

    A vendor counts a call that we cancelled until it notices: it may ask us to wait.
    """
    permits = asyncio.Semaphore(provider.plan.in_flight)

    async def patiently(text: str) -> float:
        async with permits, asyncio.timeout(60):
            while True:
                with contextlib.suppress(RateLimited):
                    return await seconds(provider, text, voice)
                await asyncio.sleep(0.05)

    return await asyncio.gather(*map(patiently, texts))


def exactly(size: int, sentence: str) -> str:
    return (sentence * (size // len(sentence) + 1))[:size]


def test_every_provider_is_in_the_table():
    """No provider escapes the contract."""
    assert {row.name for row in ROWS} == set(PROVIDERS)


def test_an_unknown_provider_is_refused_with_the_known_names():
    """A wrong provider name is told which names are right."""
    with pytest.raises(BadInput, match=r"'espaek'.*espeak"):
        open_provider("espaek")


async def test_it_introduces_itself(row, provider):
    """Name, plan and limits are what the lanes and the chunker can build on."""
    assert provider.name == provider.plan.provider == row.name
    assert provider.plan.in_flight >= 1
    assert provider.limits.bytes >= provider.limits.characters >= 50
    assert provider.call_s > 0


async def test_each_offered_voice_resolves_to_itself(row, provider):
    """A name from the list of voices is a name that works, and keeps its language."""
    offers = await provider.voices()
    assert offers
    assert len({offer.name for offer in offers}) == len(offers)
    for offer in offers:
        voice = await provider.resolve(Voice(row.name, name=offer.name))
        assert (voice.name, voice.language) == (offer.name, offer.language)


async def test_resolving_twice_changes_nothing(row, provider):
    """Equal speech has an equal Voice, so that a clip on the shelf is found again."""
    for asked in (
        Voice(row.name),
        row.english,
        row.chinese or row.english,
        row.vietnamese or row.english,
        replace(row.english, speed=row.speed + 1e-9),
    ):
        voice = await provider.resolve(asked)
        assert voice.name
        assert voice.language
        assert voice == await provider.resolve(voice)
        assert voice == await provider.resolve(replace(voice, speed=voice.speed + 1e-9))


async def test_a_plain_sentence_is_spoken(row, provider):
    """Text in, a whole and audible sound file out."""
    samples, length = sound(await provider.synthesise(PLAIN, await provider.resolve(row.english)))
    assert 1.5 < length < 15
    assert np.abs(samples).max() > 0.1


async def test_markup_characters_are_text(row, provider):
    """Nothing in a text is taken for the provider's markup: it is read aloud, to the end."""
    plain = await seconds(provider, 'a b "c" and that is all', row.english)
    for text in ('a < b & "c" and that is all', "<b>a</b> b <!-- c and that is all", "a b &amp; c and that is all ]]>"):
        assert await seconds(provider, text, row.english) > plain


async def test_chinese_without_blanks_is_spoken(row, provider):
    """A script that parts no words gets its full time."""
    if not row.chinese:
        pytest.skip("it speaks no Chinese")
    assert await seconds(provider, CHINESE, row.chinese) > 0.1 * len(CHINESE)


async def test_composed_and_decomposed_letters_sound_the_same(row, provider):
    """How an accent is stored does not change how it is read."""
    if not row.vietnamese:
        pytest.skip("it speaks no Vietnamese")
    composed, decomposed = (unicodedata.normalize(form, VIETNAMESE) for form in ("NFC", "NFD"))
    assert await seconds(provider, composed, row.vietnamese) == await seconds(provider, decomposed, row.vietnamese)


async def test_a_text_at_the_limit_is_spoken_whole(row, provider):
    """The provider keeps the limit that it states: nothing of such a text is dropped, even without punctuation."""
    size = min(provider.limits.characters, provider.limits.bytes // 3)
    for sentence, voice in (
        (PLAIN + " ", row.english),
        ("some words that no mark ever parts ", row.english),
        *([(CHINESE, row.chinese)] if row.chinese else []),
    ):
        text = exactly(size, sentence)
        parts = [text[start : start + size // 6] for start in range(0, size, size // 6)]
        whole, *pieces = await within_plan(provider, (text, *parts), voice)
        assert whole > 0.85 * sum(pieces)


@pytest.mark.parametrize(
    "text", ["", "   ", "😀", "👨‍👩‍👧‍👦🎉", "***", "…", "—", "\0", "a\0b", "a\ud800b", "\u200b\ufeff"]
)
async def test_a_text_of_nothing_fails_or_speaks(row, provider, text):
    """What cannot be spoken is a failure of the call within its time; silence is never a success."""
    voice = await provider.resolve(row.english)
    async with asyncio.timeout(60):
        (answer,) = await asyncio.gather(provider.synthesise(text, voice), return_exceptions=True)
    if isinstance(answer, Audio):
        assert np.abs(sound(answer)[0]).max() > 0.01
    else:
        assert isinstance(answer, CallFailed)
        assert re.fullmatch(r"[^\n]+", str(answer))
    assert (await within_plan(provider, [PLAIN], voice))[0] > 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "no-such-voice"},
        {"name": "../../etc/passwd"},
        {"language": "xx-XX"},
        {"model": "no-such-model"},
        {"style": "sings like nobody"},
        {"speed": 0.0},
        {"speed": -1.0},
        {"speed": 100.0},
        {"speed": float("nan")},
    ],
    ids=str,
)
async def test_what_the_provider_has_not_is_refused_before_any_call(row, provider, wrong):
    """A wrong choice is one line that names it, before anything is spoken or paid."""
    if "style" in wrong and row.styled:
        pytest.skip("it takes any style")
    with pytest.raises(BadVoice) as refusal:
        await provider.resolve(replace(Voice(row.name), **wrong))
    assert str(next(iter(wrong.values()))) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@contextlib.asynccontextmanager
async def long_calls(provider: Provider, voice: Voice, count: int) -> AsyncIterator[list[asyncio.Task[Audio]]]:
    """So many, begun; cancelled at the end, which takes effect soon."""
    long = exactly(provider.limits.characters, PLAIN + " ")
    calls = [asyncio.create_task(provider.synthesise(long, voice)) for _ in range(count)]
    await asyncio.sleep(0)
    try:
        yield calls
    finally:
        for call in calls:
            call.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait(calls)


def hold_long_calls(emulator: Emulator, name: str) -> None:
    """From now on the emulator takes them and never answers."""
    emulator.settings(fast=True)
    emulator.script(name, {"fault": "hang", "contains": PLAIN})


def in_flight(emulator: Emulator, name: str) -> int:
    """By the emulator's own count."""
    return sum(account["in_flight"] for account in emulator.state()["accounts"].get(name, {}).values())


async def test_calls_in_flight_run_beside_each_other(row, provider, emulator):
    """A short text does not wait behind long ones while the plan has room."""
    if provider.plan.in_flight < 2:
        pytest.skip("this plan allows one call at a time")
    voice, longs = await provider.resolve(row.english), provider.plan.in_flight - 1
    async with asyncio.timeout(60):
        if row.emulated:
            hold_long_calls(emulator, row.name)
            async with long_calls(provider, voice, longs) as calls:
                await until(lambda: in_flight(emulator, row.name) == longs)
                await provider.synthesise("Yes.", voice)
                assert not any(call.done() for call in calls)
            return
        passed = False
        while not passed:  # Once proves it: calls in a row would never let the short one through.
            async with long_calls(provider, voice, longs) as calls:
                await provider.synthesise("Yes.", voice)
                passed = not any(call.done() for call in calls)


async def test_a_cancelled_call_leaves_the_provider_sound(row, provider, emulator):
    """Cancelling takes effect soon, whenever it comes, and the next call gets its own answer."""
    voice = await provider.resolve(row.english)
    expected = await seconds(provider, PLAIN, voice)
    if row.emulated:
        hold_long_calls(emulator, row.name)
        async with long_calls(provider, voice, 1) as calls:
            await until(lambda: in_flight(emulator, row.name) == 1)
        assert calls[0].cancelled()
        emulator.reset()
    for delay_s in (0, 0.001, 0.01, 0.02, 0.04):
        async with long_calls(provider, voice, 1):
            await asyncio.sleep(delay_s)
        again = await within_plan(provider, [PLAIN] * provider.plan.in_flight, voice)
        assert again == pytest.approx([expected] * provider.plan.in_flight, rel=0.1)


async def test_nothing_is_left_running_after_close(row, server):
    """Closing ends every process of the provider, for calls that run and calls that wait; closing again is harmless."""
    before = set(children(os.getpid()))
    provider = open_provider(row.name, server)
    voice = await provider.resolve(row.english)
    long = exactly(provider.limits.characters, PLAIN)
    calls = [asyncio.create_task(provider.synthesise(long, voice)) for _ in range(5 * provider.plan.in_flight)]
    await asyncio.sleep(0.005)
    running = begun(before)
    async with asyncio.timeout(20):
        await provider.close()
        await asyncio.wait(calls)
    assert any(call.exception() for call in calls)
    assert all(call.exception() is None or isinstance(call.exception(), CallFailed) for call in calls)
    assert gone([*running, *begun(before)])
    await provider.close()


@pytest.mark.parametrize(
    ("name", "server", "place"),
    [
        ("cartesia", "", ""),
        ("cartesia", "https://api.cartesia.ai/", ""),
        ("openai", "https://api.openai.com/v1", ""),
        ("openai", "http://GPU:8880/v1/", "gpu:8880"),
        ("openai", "http://gpu:8880", "gpu:8880"),
        ("kokoro", "http://gpu:8880/v1", "gpu:8880"),
        ("piper", "https://voices.example:443", "voices.example"),
        ("f5", "http://gpu/synthesize", "gpu"),
        ("f5", "http://gpu/vietnamese", "gpu/vietnamese"),
        ("f5", "http://gpu/english?text=gen_text", "gpu/english"),
    ],
)
def test_a_server_is_known_by_its_place(name: str, server: str, place: str) -> None:
    """Two spellings of one server share their clips; two services on one host do not."""
    assert place_of(name, server) == place
