"""Words and letters alone: what is refused in their place, what is suspected, and what never is."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.providers.espeak import Espeak
from blocks.speech import NotSpeech, Voice
from flows.narrate import narrate
from tasks.clips import Clip, Take
from tasks.pace import spoken_length
from tasks.short import BRIEFEST, HELD_LETTER_S, HELD_S, check_short
from tasks.suspects import LEAST, suspects
from tasks.variation import variation_db
from tasks.verify import check_pace, measure
from tests.emulator.fixture import Emulator
from tests.emulator.sound import Format, Sound, babble, encoded
from tests.noises import NOISES, noise
from tests.scripted import chunks_of

RATE = 24_000
WORDS = ("lamp", "harbour", "seven", "the stairs", "yes", "window", "keeper", "evening", "bread", "quiet")


def file_of(sound: np.ndarray, rate: int = RATE) -> bytes:
    return encoded(Sound((np.clip(sound, -1, 1) * 32_000).astype(np.int16), rate), Format("wav", rate))


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("edge_s", [0.0, 0.2])
def test_noise_is_no_word(kind: str, rate: int, edge_s: float) -> None:
    """What lasts 1.2 s or more and never changes its colour is refused, at every rate, with silent edges or none."""
    for seconds in (1.2, 1.5, 4.0):
        with pytest.raises(NotSpeech, match="one steady sound"):
            check_pace(measure(file_of(noise(kind, seconds, rate, edge_s), rate)), "lamp", 1.0)


@pytest.mark.parametrize("text", ["a", "7", "\u6c34", "shh", "psst"])
def test_one_sound_is_not_held_for_two_seconds(text: str) -> None:
    """`shh` may be half a second of noise, and a sign may stand for any sound; neither is two seconds of it."""
    check_pace(measure(file_of(noise("white noise", 0.5, RATE, 0.1))), text, 1.0)
    with pytest.raises(NotSpeech, match="one steady sound"):
        check_pace(measure(file_of(noise("white noise", 2.0, RATE, 0.1))), text, 1.0)


@pytest.mark.parametrize(("text", "most_s"), [("a", 4.2), ("lamp", 5.0), ("1984", 7.7), ("\u263a\u263a", 7.0)])
def test_a_word_that_runs_away(text: str, most_s: float) -> None:
    """A word with seconds of babble behind it is refused; a number and a symbol, said by name, have their time."""
    sound = babble("far longer than a word, on and on and on, " * 9, 1.0, RATE).samples
    check_pace(measure(encoded(Sound(sound[: round((most_s - 0.3) * RATE)], RATE), Format("wav", RATE))), text, 1.0)
    long = measure(encoded(Sound(sound[: round((most_s + 0.4) * RATE)], RATE), Format("wav", RATE)))
    with pytest.raises(NotSpeech, match=f"for {len(text)} characters: at most"):
        check_pace(long, text, 1.0)
    check_pace(long, text, 0.5)


def test_a_blip_is_no_word() -> None:
    """A twentieth of a second for `harbour` is refused; for a letter it is not."""
    blip = measure(file_of(np.pad(noise("a tone", 0.03, RATE), RATE // 5)))
    with pytest.raises(NotSpeech, match="a blip"):
        check_pace(blip, "harbour", 1.0)
    check_pace(blip, "a", 1.0)


ORDINARY_S = st.floats(BRIEFEST + 0.01, 3.0)


@given(st.text(min_size=1, max_size=19), ORDINARY_S, st.floats(2.5, 20) | st.just(float("inf")))
def test_what_changes_as_speech_does_has_its_time(text: str, by: float, variation: float) -> None:
    """From a fifth of the ordinary time to three times as long, whatever the characters are."""
    check_short(text, by * spoken_length(text) / 13, variation)


@given(st.characters(categories=["L"]), st.integers(1, 12), st.floats(0, 20))
def test_a_sound_may_be_held(letter: str, times: int, variation: float) -> None:
    """`mmmm` is one steady sound, as long as it has letters."""
    check_short(letter * times, HELD_S + HELD_LETTER_S * times - 0.01, variation)


def test_too_little_sound_is_not_judged() -> None:
    """Where there are no looks to compare, no variation is told, and none refused."""
    assert variation_db(np.ones(10, np.float32), RATE) == float("inf")
    assert variation_db(noise("a tone", 0.1, RATE).astype(np.float32), RATE) == float("inf")
    assert variation_db(np.zeros(RATE, np.float32), RATE) == float("inf")


SAID = {
    "en-US": ("a", "Hi", "42", "1984", "3.14159", "psst", "shh", "hmm", "OK", "W", "incomprehensibility", "\u263a"),
    "de": ("Donaudampfschiff", "zwei", "\u00f6"),
    "vi": ("\u01a1i", "tr\u0103ng", "ngh\u0129"),
    "ar": ("\u0628\u062d\u0631", "\u0645\u0646"),
    "ja": ("\u6c34", "\u3042", "\u306d\u3053"),
    "cmn": ("\u6d77", "\u4e00"),
    "ru": ("\u044f", "\u0434\u043e\u043c"),
}


async def test_real_words_pass() -> None:
    """Letters, digits, syllables, signs and compounds of seven languages, whispered, croaked, slow and fast."""
    speaker = Espeak()
    try:
        for language, texts in SAID.items():
            base = await speaker.resolve(Voice("espeak", language=language))
            for variant, speed in (("", 1.0), ("+whisper", 1.0), ("+croak", 1.0), ("+f2", 0.5), ("", 3.0)):
                voice = Voice("espeak", f"{base.name}{variant}", base.language, speed=speed)
                for text in texts:
                    check_pace(measure((await speaker.synthesise(text, voice)).data), text, speed)
    finally:
        await speaker.close()


def take_of(text: str, seconds: float) -> Take:
    samples = round(seconds * RATE)
    return Take(chunks_of(text)[0], Clip("", "", 0, RATE, samples, 0, samples, -3.0, -20.0))


def said(count: int) -> list[Take]:
    return [take_of(word, spoken_length(word) / 16) for word in WORDS[:count]]


@pytest.mark.parametrize("count", [LEAST, len(WORDS)])
def test_a_word_said_five_times_is_suspected(count: int) -> None:
    """In a list of words, the one that takes five times as long as its voice takes for words."""
    takes = [*said(count - 1), take_of("elephant", 5 * spoken_length("elephant") / 16)]
    assert list(suspects(takes)) == ["elephant"]


@pytest.mark.parametrize("count", [1, 2])
def test_among_three_words_too(count: int) -> None:
    """Where a voice is not known yet, a word that takes four seconds is suspected all the same, and no brief one is."""
    assert list(suspects([*said(count), take_of("lantern", 4.0)])) == ["lantern"]
    assert suspects([*said(count), take_of("lantern", 0.2)]) == {}


@pytest.mark.parametrize("text", ["w", "\u05d0", "&", "TV"])
def test_a_name_is_no_suspect(text: str) -> None:
    """A letter or a sign that is said by its name may take a second and a half, in a list of any length."""
    for count in (2, len(WORDS)):
        assert suspects([*said(count), take_of(text, 1.4)]) == {}


@pytest.mark.usefixtures("prefect_server")
async def test_noise_for_a_word_is_asked_for_again(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that answers a word with noise, once, is asked a second time, and its word is the recording."""
    monkeypatch.setenv("OPENAI_API_KEYS", "test-key-1")
    monkeypatch.setattr("tasks.attempts.BACKOFF_S", 0.01)
    emulator.script("openai", {"fault": "noise", "times": 1})
    (tmp_path / "word.txt").write_text("Incomprehensible.")
    recording = await narrate(
        str(tmp_path / "word.txt"), output=str(tmp_path), provider="openai", server=emulator.server("openai")
    )
    assert [entry["outcome"] for entry in emulator.ledger("openai")] == ["noise", "ok"]
    assert recording.calls == 2
