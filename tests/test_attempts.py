"""What follows from a failed call: once more, later, or never; and what it may cost."""

import time
from itertools import pairwise
from pathlib import Path

import pytest

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
    Unanswered,
)
from tasks.attempts import PATIENCE_S, Pause, Unit, after, rest_s
from tasks.clips import Clip, Failure, Shelf
from tests.scripted import Scripted, chunks_of, fails_until, speak_alone, spoken

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


def test_patience_ends() -> None:
    """A chunk that was told to wait for ten minutes in all begins to use up attempts; one long wait ends the run."""
    tired = Unit(UNIT.chunk, waited_s=PATIENCE_S)
    later = after(tired, RateLimited("too many", wait_s=1), "cartesia")
    assert isinstance(later, Unit)
    assert later.attempt == 2
    with pytest.raises(RunFailed, match=r"left alone for 5:00:00.*finished speech is kept"):
        after(UNIT, RateLimited("too many", wait_s=18_000), "cartesia")


@pytest.mark.parametrize(
    "error", [BadKey("revoked"), Forbidden("no such model for you"), AccountExhausted("no credit")]
)
def test_what_no_other_text_changes_ends_the_run(error: CallFailed) -> None:
    """A wrong key or an empty account is told once, with the remedy, and not tried with the next text."""
    with pytest.raises(RunFailed, match="run the same command again"):
        after(UNIT, error, "cartesia")


async def test_a_wrong_voice_ends_the_run_at_its_first_proof(shelf: Shelf) -> None:
    """A voice that the provider disowns is not asked for again."""
    provider = Scripted(script=fails_until(99, BadVoice("no such voice")))
    with pytest.raises(BadVoice):
        await speak_alone(provider, shelf)
    assert len(provider.calls) == 1


def test_who_has_to_rest() -> None:
    """A wait that a limit or a busy provider asks for holds for every call; one for this text alone does not."""
    assert rest_s(RateLimited("slow down", wait_s=3)) == 3
    assert rest_s(ProviderFailed("busy", wait_s=2)) == 2
    assert rest_s(RateLimited("too many at a time")) == 0
    assert rest_s(Unanswered("cut", wait_s=9)) == 0


def test_a_pause_only_moves_later() -> None:
    """A shorter wish does not shorten a longer one."""
    pause = Pause()
    pause.extend(10)
    pause.extend(1)
    assert 9 < pause.left_s <= 10
