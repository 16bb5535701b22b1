"""What follows from a failed call: once more, later, or never; and what it may cost."""

import re
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from blocks.callers import Alone, Lease
from blocks.speech import (
    AccountExhausted,
    Audio,
    BadKey,
    BadText,
    BadVoice,
    CallFailed,
    EngineFailed,
    Forbidden,
    NotSpeech,
    ProviderFailed,
    RateLimited,
    RunFailed,
)
from tasks.attempts import Unit, after
from tasks.clips import Clip, Failure
from tasks.progress import Progress
from tasks.shelf import Shelf
from tasks.speak import speak
from tasks.turns import Permits
from tests.scripted import VOICE, Scripted, chunks_of, fails_until, speak_alone, speaker_of, spoken

UNIT = Unit(chunks_of("Here is one sentence to say.")[0])


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


async def test_an_engine_that_fails_is_asked_again(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three failures of the engine are forgiven, and the clip tells its four attempts."""
    monkeypatch.setattr("tasks.attempts.BACKOFF_S", 0.001)
    clip = await speak_alone(Scripted(script=fails_until(4, EngineFailed("signal 11"))), shelf)
    assert isinstance(clip, Clip)
    assert clip.attempts == 4


@pytest.mark.parametrize(
    ("error", "calls"),
    [(EngineFailed("signal 11"), 4), (NotSpeech("silence"), 2), (BadText("no words"), 1)],
    ids=lambda value: type(value).__name__,
)
async def test_attempts_are_bounded(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, error: Exception, calls: int
) -> None:
    """Each kind of failure has its number of calls, and the failure names its kind, reason and attempts."""
    monkeypatch.setattr("tasks.attempts.BACKOFF_S", 0.001)
    provider = Scripted(script=fails_until(99, error))
    failure = await speak_alone(provider, shelf)
    assert failure == Failure(type(error).__name__, str(error), calls)
    assert len(provider.calls) == calls


@pytest.mark.parametrize("data", [b"", b"<html>", spoken("x")[:44]], ids=["nothing", "html", "header only"])
async def test_no_answer_is_believed_unseen(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """An answer that is no speech is not a clip, and nothing of it is on the shelf."""
    monkeypatch.setattr("tasks.attempts.BACKOFF_S", 0.001)
    failure = await speak_alone(Scripted(script=lambda _text, _count: Audio(data, "wav")), shelf)
    assert isinstance(failure, Failure)
    assert not list(shelf.root.rglob("*.*"))


async def test_waits_are_no_attempts(shelf: Shelf) -> None:
    """To be told to wait, ten times, costs no attempt; nobody is asked before the wait is over."""
    asked: list[float] = []

    def script(_text: str, count: int) -> None:
        asked.append(time.monotonic())
        if count <= 10:
            raise RateLimited("too many", wait_s=0.02)

    clip = await speak_alone(Scripted(call_s=0.0, script=script), shelf)
    assert isinstance(clip, Clip)
    assert (clip.attempts, len(asked)) == (1, 11)
    assert min(later - earlier for earlier, later in pairwise(asked)) >= 0.02


@pytest.mark.parametrize(
    "error", [BadKey("revoked"), Forbidden("no such model for you"), AccountExhausted("no credit"), RateLimited("busy")]
)
def test_anothers_fault_costs_the_text_nothing(error: CallFailed) -> None:
    """What is the fault of a key or an account is no attempt of the text: another key says it, or the same later."""
    again = after(UNIT, error)
    assert isinstance(again, Unit)
    assert again.attempt == UNIT.attempt


@pytest.mark.parametrize(
    "error", [BadKey("revoked"), Forbidden("no such model for you"), AccountExhausted("no credit")]
)
async def test_without_another_key_it_ends_the_run(shelf: Shelf, error: CallFailed) -> None:
    """A wrong key or an empty account is told once, with the remedy, and not tried with the next text."""
    provider = Scripted(script=fails_until(99, error))
    with pytest.raises(RunFailed, match="run the same command again"):
        await speak_alone(provider, shelf)
    assert len(provider.calls) == 1


async def test_a_wait_past_the_deadline_ends_the_run(shelf: Shelf) -> None:
    """A busy provider may ask for a day; who has no day is told so at once, and what is spoken is kept."""
    provider = Scripted(script=fails_until(2, ProviderFailed("down for maintenance", wait_s=50_000)))
    permits = Permits({provider.plan.tag: 1})
    speaker = replace(speaker_of(provider, shelf, permits), deadline=time.monotonic() + 3600)
    await speak(UNIT, speaker)
    with pytest.raises(RunFailed, match=r"in 13:53:.*past the deadline .*maintenance.*finished speech is kept"):
        await speak(UNIT, speaker)
    assert permits.using(provider.plan.tag) == 1


async def test_a_long_rest_is_told(shelf: Shelf) -> None:
    """Whoever watches reads until when nothing can be done, and why; nobody is asked meanwhile."""
    provider, progress = Scripted(script=fails_until(2, RateLimited("slow down", wait_s=50))), Progress()
    speaker = speaker_of(provider, shelf, Permits({provider.plan.tag: 1}), progress)
    for _ in range(2):
        await speak(UNIT, speaker)
    assert len(provider.calls) == 1
    assert re.search(r"waiting until \d\d:\d\d:\d\d: slow down", progress.describe())


async def test_a_provider_that_stays_down_ends_the_run(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes without one good answer are enough: each text would only fail alike."""
    provider, progress = Scripted(script=fails_until(99, ProviderFailed("answered 500"))), Progress()
    speaker = speaker_of(provider, shelf, Permits({provider.plan.tag: 1}), progress)
    assert isinstance(await speak(UNIT, speaker), Unit)
    assert progress.failing_since
    monkeypatch.setattr("tasks.speak.PATIENCE_S", 0.0)
    with pytest.raises(RunFailed, match="no good answer for 0:00:00: answered 500"):
        await speak(UNIT, speaker)


async def test_a_wrong_voice_ends_the_run_at_its_first_proof(shelf: Shelf) -> None:
    """A voice that the provider disowns is not asked for again."""
    provider = Scripted(script=fails_until(99, BadVoice("no such voice")))
    with pytest.raises(BadVoice):
        await speak_alone(provider, shelf)
    assert len(provider.calls) == 1


class Lost(Alone):
    """Its state is lost when a call has ended well."""

    async def settle(self, _: Lease, _error: CallFailed | None, /, **_told: object) -> None:
        raise RunFailed("the state of the keys is lost")


async def test_paid_speech_is_kept_when_the_state_is_lost(shelf: Shelf) -> None:
    """The run ends, but not before the speech that was paid for stands on the shelf, and in the ledger as good."""
    provider = Scripted()
    speaker = speaker_of(provider, shelf, Permits({provider.plan.tag: 1}))
    speaker = replace(speaker, callers=Lost(provider))
    with pytest.raises(RunFailed, match="lost"):
        await speak(UNIT, speaker)
    assert shelf.find(UNIT.chunk.text, VOICE)
    assert [entry.status for entry in speaker.ledger.entries] == ["ok"]
