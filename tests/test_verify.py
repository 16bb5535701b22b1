"""What counts as speech, and what a provider may answer that does not."""

import contextlib
import io
import math

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.sound import audio
from blocks.speech import NotSpeech
from tasks.verify import KEEP_HEAD_S, KEEP_TAIL_S, check_pace, measure

RATE = 24_000


def babble(seconds: float, level: float = 0.3, rate: int = RATE) -> np.ndarray:
    """Noise that swells and ebbs as syllables do."""
    time = np.arange(round(seconds * rate)) / rate
    return level * np.sin(2 * np.pi * 4 * time) ** 2 * np.random.default_rng(7).uniform(-1, 1, len(time))


def file_of(sound: np.ndarray, rate: int = RATE, container: str = "WAV") -> bytes:
    data = io.BytesIO()
    soundfile.write(data, sound, rate, format=container)
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "no sound file"),
        (b"<html>busy</html>", "no sound file"),
        (b'{"error": "quota"}', "no sound file"),
        (file_of(np.zeros(0)), "no sample"),
        (file_of(np.zeros(RATE)), "silence"),
        (file_of(np.full(RATE, 0.5)), "silence"),
        (file_of(babble(1.0, level=0.0005)), "silence"),
    ],
    ids=["nothing", "html", "json", "header only", "digital silence", "constant offset", "hiss"],
)
def test_refused(data: bytes, told: str) -> None:
    """What is no speech is refused, and the message says what was measured."""
    with pytest.raises(NotSpeech, match=told):
        measure(data)


@settings(deadline=None)
@given(
    head=st.floats(0, 1), tail=st.floats(0, 1), rate=st.sampled_from([8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
)
def test_silent_edges_are_found(head: float, tail: float, rate: int) -> None:
    """The speech is found between its silent edges, and none of it is cut."""
    speech = np.maximum(np.abs(babble(0.5, rate=rate)), 0.1)
    sound = np.concatenate([np.zeros(round(head * rate)), speech, np.zeros(round(tail * rate))])
    measured = measure(file_of(sound, rate))
    assert measured.samples == len(sound)
    first, last = round(head * rate), round(head * rate) + len(speech)
    assert first - round(KEEP_HEAD_S * rate) - rate // 100 <= measured.speech_start <= first
    assert last <= measured.speech_end <= last + round(KEEP_TAIL_S * rate) + rate // 100


@settings(deadline=None)
@given(
    head=st.integers(0, 20_000),
    soft=st.integers(0, 400),
    level=st.floats(0.02, 0.5),
    rate=st.sampled_from([8_000, 22_050, 24_000, 48_000]),
)
def test_the_first_sound_is_found_to_the_sample(head: int, soft: int, level: float, rate: int) -> None:
    """However long the silence, and whatever softer than a hundredth goes before: the first sample above it."""
    breath = level * 0.005 * (-1.0) ** np.arange(soft)
    speech = level * (-1.0) ** np.arange(rate // 2)
    measured = measure(file_of(np.concatenate([np.zeros(head), breath, speech, np.zeros(rate // 10)]), rate))
    assert measured.onset == head + soft
    assert measured.speech_start <= measured.onset < measured.speech_end


def test_inner_pauses_stay() -> None:
    """A long pause inside the speech is part of it."""
    sound = np.concatenate([babble(0.5), np.zeros(2 * RATE), babble(0.5)])
    assert measure(file_of(sound)).speech_s > 2.9


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3"])
def test_any_container(container: str) -> None:
    """Facts come out alike from every container."""
    measured = measure(file_of(babble(2.0), container=container))
    assert measured.sample_rate == RATE
    assert measured.speech_s == pytest.approx(2.0, abs=0.15)
    assert measured.rms_dbfs == pytest.approx(-20, abs=3)


def test_a_file_of_floats() -> None:
    """A float file has the facts of the same sound in 16 bits."""
    data = io.BytesIO()
    soundfile.write(data, babble(2.0), RATE, format="WAV", subtype="FLOAT")
    floats, integers = measure(data.getvalue()), measure(file_of(babble(2.0)))
    assert (floats.speech_start, floats.speech_end) == (integers.speech_start, integers.speech_end)
    assert floats.rms_dbfs == pytest.approx(integers.rms_dbfs, abs=0.05)


def test_stereo_counts_once() -> None:
    """Two channels are folded: the length is that of one."""
    measured = measure(file_of(np.column_stack([babble(1.0), babble(1.0)])))
    assert measured.samples == RATE


SENTENCE = "The keeper climbed the stairs again, counting each of them under his breath."


@pytest.mark.parametrize(("seconds", "whole"), [(5.0, True), (0.3, False), (200.0, False)])
def test_pace(seconds: float, *, whole: bool) -> None:
    """A sentence cut to a third of a second, or babbled for three minutes, is not that sentence."""
    measured = measure(file_of(babble(seconds)))
    if whole:
        check_pace(measured, SENTENCE, 1.0)
    else:
        with pytest.raises(NotSpeech, match="a second at normal speed"):
            check_pace(measured, SENTENCE, 1.0)


def test_pace_knows_the_speed() -> None:
    """Speech asked for at triple speed may be three times as short."""
    measured = measure(file_of(babble(0.9)))
    with pytest.raises(NotSpeech):
        check_pace(measured, SENTENCE, 1.0)
    check_pace(measured, SENTENCE, 3.0)


def flac(total: int, sound: np.ndarray | None = None) -> bytes:
    """A FLAC file whose head tells of so many samples; 0 stands for `not known`."""
    whole = file_of(babble(2.0) if sound is None else sound, container="FLAC")
    bits = int.from_bytes(whole[21:26], "big")
    return whole[:21] + (bits - bits % 2**36 + total).to_bytes(5, "big") + whole[26:]


def test_a_stream_of_flac() -> None:
    """A head that leaves the length open is no fault: the samples are counted."""
    assert measure(flac(0)) == measure(file_of(babble(2.0), container="FLAC"))


@pytest.mark.parametrize("total", [2**36 - 1, 10**9, 60 * RATE, 2 * RATE + 1])
def test_flac_that_promises_more(total: int) -> None:
    """A length that the samples do not reach is a cut file, and an absurd one is not even looked for."""
    with pytest.raises(NotSpeech, match=r"no clip is so long|is cut"):
        measure(flac(total))


def test_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that holds more than any clip is refused before it fills the memory."""
    monkeypatch.setattr("blocks.decoder.MOST_VALUES", RATE)
    monkeypatch.setattr("blocks.decoder._BLOCK", 4_096)
    for total in (0, 2 * RATE):
        with pytest.raises(NotSpeech, match="no clip is so long"):
            measure(flac(total))


@pytest.mark.parametrize("rate", [1, 250, 499, 3_999, 192_001, 2**31 - 1])
def test_an_absurd_rate(rate: int) -> None:
    """Nobody speaks at 250 samples a second; the message says what the head says."""
    plain = bytearray(file_of(babble(2.0)))
    plain[24:28] = rate.to_bytes(4, "little")
    with pytest.raises(NotSpeech, match=f"not {rate}|no sound file"):
        measure(bytes(plain))


@pytest.mark.parametrize("level", [101.0, 1e38, -1e38, np.inf, np.nan])
@pytest.mark.parametrize("channels", [1, 2])
def test_floats_that_are_no_sound(level: float, channels: int) -> None:
    """Neither what is no number nor what is far beyond full scale is measured, nor warned of."""
    sound = np.column_stack([babble(1.0).astype(np.float32)] * channels)
    sound[RATE // 2] = level
    data = io.BytesIO()
    soundfile.write(data, sound, RATE, format="WAV", subtype="FLOAT")
    with pytest.raises(NotSpeech, match=r"no numbers|full scale"):
        measure(data.getvalue())


WHOLE = {
    **{container: file_of(babble(0.5), container=container) for container in ("WAV", "FLAC", "OGG", "MP3")},
    "stereo": file_of(np.column_stack([babble(0.3)] * 2)),
    "streamed": flac(0, babble(0.5)),
}
for subtype in ("FLOAT", "DOUBLE", "PCM_24", "PCM_U8"):
    written = io.BytesIO()
    soundfile.write(written, babble(0.3), RATE, format="WAV", subtype=subtype)
    WHOLE[subtype] = written.getvalue()
EDITS = st.lists(st.tuples(st.integers(0, 120), st.binary(min_size=1, max_size=5)), max_size=4)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), EDITS, st.integers(0, 300), st.sampled_from([0, 24_000, 1, 999_999]))
def test_any_answer_is_measured_or_refused(kind: str, edits: list[tuple[int, bytes]], cut: int, pcm_rate: int) -> None:
    """Whatever stands in its head, an answer gives facts or is NotSpeech: no other error, and no warning."""
    body = bytearray(WHOLE[kind])
    for place, new in edits:
        body[place : place + len(new)] = new
    for data in (bytes(body), bytes(body[: len(body) - cut])):
        with contextlib.suppress(NotSpeech):
            facts = measure(audio(data, pcm_rate=pcm_rate).data)
            assert 0 <= facts.speech_start <= facts.onset < facts.speech_end <= facts.samples
            assert all(map(math.isfinite, (facts.peak_dbfs, facts.rms_dbfs, facts.pitch_hz)))
        with contextlib.suppress(NotSpeech):
            measure(data)
