"""Every call has a row before it is made, and one that tells what became of it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from blocks.speech import (
    Audio,
    BadVoice,
    Billed,
    CallFailed,
    NotSpeech,
    ProviderFailed,
    Unanswered,
    Usage,
    Voice,
)
from tasks.ledger import Ledger
from tasks.spend import Spend, costs_usd
from tests.scripted import Scripted, speak_alone, spoken

GEMINI = Voice("gemini", "Kore", "en-US", "gemini-3.8-flash-tts")
CARTESIA = Voice("cartesia", "katie", "en", "sonic-3.5")
OWN = Voice("openai", "af_bella", "en", "kokoro", server="127.0.0.1:8880")
TEXT = "Ten letters."


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger" / "run.jsonl")


def lines(ledger: Ledger) -> list[dict[str, object]]:
    return [json.loads(line) for line in ledger.path.read_text().splitlines()]


def answer(usage: Usage | None = None) -> Audio:
    return Audio(b"RIFF", "wav", "req-1", usage)


def fail(ledger: Ledger, error: Exception, voice: Voice = CARTESIA, audio: Audio | None = None) -> None:
    def calling() -> None:
        with ledger.call(TEXT, voice) as call:
            if audio:
                call.answered(audio)
            raise error

    with pytest.raises(type(error)):
        calling()


def test_a_row_before_and_a_row_after(ledger: Ledger) -> None:
    """While a call is under way its row says `sent`; then what it brought, and what it cost."""
    with ledger.call(TEXT, GEMINI) as call:
        [sent] = lines(ledger)
        assert (sent["status"], sent["billed"], sent["characters"]) == ("sent", "unknown", len(TEXT))
        call.answered(answer(Usage(12, 400)))
    told = lines(ledger)[1]
    assert (told["id"], told["status"], told["billed"], told["request_id"]) == (sent["id"], "ok", "yes", "req-1")
    assert (told["input"], told["output"], told["unit"], told["told"]) == (12, 400, "token", True)
    assert told["cost_usd"] == pytest.approx((12 * 0.5 + 400 * 9.0) / 1e6)
    assert TEXT not in ledger.path.read_text()


@pytest.mark.parametrize(
    ("error", "status", "billed"),
    [
        (ProviderFailed("busy"), "failed", "no"),
        (NotSpeech("silence", billed=Billed.YES), "failed", "yes"),
        (Unanswered("cut", billed=Billed.UNKNOWN), "unknown", "unknown"),
        (BadVoice("no such voice"), "failed", "no"),
        (asyncio.CancelledError(), "unknown", "unknown"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)
def test_what_became_of_it(ledger: Ledger, error: Exception, status: str, billed: str) -> None:
    """Whether money was spent is the provider's word; a call that was broken off may have been billed."""
    fail(ledger, error)
    told = lines(ledger)[-1]
    assert (told["status"], told["billed"]) == (status, billed)
    assert told["input"] == (0 if billed == "no" else len(TEXT))


def test_an_answer_that_is_no_speech_was_billed(ledger: Ledger) -> None:
    """What was refused by its sound is paid all the same: the money is wasted, and told so."""
    fail(ledger, NotSpeech("silence"), audio=answer())
    with ledger.call(TEXT, CARTESIA) as call:
        call.answered(answer())
    fail(ledger, Unanswered("cut", billed=Billed.UNKNOWN))
    spend, price = Spend.of(ledger.entries, CARTESIA), len(TEXT) * 50 / 1e6
    assert (spend.calls, spend.units, spend.unit, spend.told) == (3, 2 * len(TEXT), "credit", False)
    assert spend.cost_usd == pytest.approx(2 * price)
    assert (spend.wasted_usd, spend.unknown_usd) == (pytest.approx(price), pytest.approx(price))
    assert list(costs_usd(ledger.entries).values()) == [pytest.approx(2 * price)]


def test_only_one_answer_for_a_text_is_of_use(ledger: Ledger) -> None:
    """A second take is paid for whichever of the two is kept, and so is what was no speech: all but one answer of each
    voice is wasted. Two voices that say the same text are both of use.
    """
    other = replace(CARTESIA, name="brooke")
    fail(ledger, NotSpeech("a third of the speech"), audio=answer())
    for voice in (CARTESIA, CARTESIA, other):
        with ledger.call(TEXT, voice) as call:
            call.answered(answer())
    fail(ledger, ProviderFailed("busy"))
    spend, price = Spend.of(ledger.entries, CARTESIA), len(TEXT) * 50 / 1e6
    assert spend.cost_usd == pytest.approx(4 * price)
    assert spend.wasted_usd == pytest.approx(2 * price)
    assert (spend.by_provider, spend.calls) == ((), 5)


def test_each_provider_has_its_share(ledger: Ledger) -> None:
    """Where several speak, the summary tells for each model what it cost, by its own price; they add up."""
    for voice in (CARTESIA, GEMINI, GEMINI, Voice("espeak", "en-us", "en-US")):
        with ledger.call(TEXT, voice) as call:
            call.answered(answer(Usage(10, 100) if voice is GEMINI else None))
    fail(ledger, Unanswered("cut", billed=Billed.UNKNOWN))
    spend = Spend.of(ledger.entries, CARTESIA)
    assert [(share.provider, share.model, share.calls, share.unit) for share in spend.by_provider] == [
        ("cartesia", CARTESIA.model, 2, "credit"),
        ("gemini", GEMINI.model, 2, "token"),
        ("espeak", "", 1, "character"),
    ]
    for name in ("calls", "units", "cost_usd", "wasted_usd", "unknown_usd"):
        assert sum(getattr(share, name) for share in spend.by_provider) == pytest.approx(getattr(spend, name)), name
    assert spend.by_provider[1].wasted_usd == pytest.approx((spend.by_provider[1].cost_usd or 0) / 2)
    assert "LiteLLM" in spend.by_provider[1].prices


def test_a_share_of_an_unknown_price_is_unknown(ledger: Ledger) -> None:
    """Somebody's own server beside a voice with a price: the one share has a sum, the other and the whole have none."""
    for voice in (CARTESIA, OWN):
        with ledger.call(TEXT, voice) as call:
            call.answered(answer())
    spend = Spend.of(ledger.entries, CARTESIA)
    assert (spend.cost_usd, [share.cost_usd is None for share in spend.by_provider]) == (None, [False, True])
    assert spend.by_provider[1].prices == ""


def test_what_nobody_knows_the_price_of(ledger: Ledger) -> None:
    """A server without a price list makes the sum unknown, not nothing; the embedded voice costs nothing."""
    with ledger.call(TEXT, OWN) as call:
        call.answered(answer())
    assert Spend.of(ledger.entries, OWN).cost_usd is None
    assert costs_usd(ledger.entries) == {ledger.entries[0].text: None}
    free = Ledger(ledger.path.with_name("free.jsonl"))
    with free.call(TEXT, Voice("espeak", "en-us", "en-US")) as call:
        call.answered(answer())
    assert Spend.of(free.entries, Voice("espeak")).cost_usd == 0.0


def test_a_retried_run_goes_on_with_its_ledger(ledger: Ledger) -> None:
    """The calls of a run that is started again count, once each; no two have one number, also of two at once."""
    with ledger.call(TEXT, CARTESIA) as call:
        call.answered(answer())
    again, beside = Ledger(ledger.path), Ledger(ledger.path)
    assert again.entries == ledger.entries
    for other in (again, beside):
        with other.call(TEXT, CARTESIA) as call:
            call.answered(answer())
    assert len({entry.id for entry in Ledger(ledger.path).entries}) == 3


@pytest.mark.parametrize("voices", [(), (CARTESIA,), (CARTESIA, GEMINI, CARTESIA), (CARTESIA, OWN)])
def test_what_is_billed_is_known_at_any_time(ledger: Ledger, voices: tuple[Voice, ...]) -> None:
    """Without a look at every call: the same as the summary's cost, also of a ledger that is opened again."""
    fail(ledger, ProviderFailed("busy"))
    fail(ledger, Unanswered("cut", billed=Billed.UNKNOWN))
    for voice in voices:
        with ledger.call(TEXT, voice) as call:
            call.answered(answer())
        fail(ledger, NotSpeech("a third of the speech"), voice, answer())
    for one in (ledger, Ledger(ledger.path)):
        assert one.billed_usd == Spend.of(ledger.entries, CARTESIA).cost_usd


def test_a_torn_line_spoils_no_other(ledger: Ledger) -> None:
    """What a full disk has cut, in the middle too, or a newer version has written, is passed over: the rest counts."""
    with ledger.call(TEXT, CARTESIA) as call:
        call.answered(answer())
    lines = ledger.path.read_bytes()
    ledger.path.write_bytes(b'{"id": "0-1", "te\n' + lines + b'{"id": "0-2", "new": 1}\n')
    again = Ledger(ledger.path)
    assert again.entries == ledger.entries
    assert again.has_said(TEXT)
    assert not again.has_said("Something else.")


def test_a_killed_process_leaves_its_call_unknown(tmp_path: Path) -> None:
    """kill -9 in the middle of a call: the call is in the ledger, as one that may have been billed."""
    path = tmp_path / "run.jsonl"
    code = (
        "import sys, time; from pathlib import Path; from blocks.speech import Voice; from tasks.ledger import Ledger\n"
        "with Ledger(Path(sys.argv[1])).call('Hello.', Voice('cartesia')): print('sent', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    [entry] = Ledger(path).entries
    assert (entry.status, entry.billed, entry.characters) == ("unknown", Billed.UNKNOWN, 6)
    assert entry.cost_usd == pytest.approx(6 * 50 / 1e6)


async def test_calls_are_in_the_ledger_before_they_are_made(tmp_path: Path) -> None:
    """The attempt loop itself keeps the ledger: a failed and a good call, each `sent` before the provider was asked."""
    path, seen = tmp_path / "ledger.jsonl", list[str]()
    (tmp_path / "shelf").mkdir()

    def script(text: str, count: int) -> Audio:
        seen.append(json.loads(path.read_text().splitlines()[-1])["status"])
        if count == 1:
            raise CallFailed("odd")
        return Audio(spoken(text), "wav")

    from tasks.clips import Clip
    from tasks.shelf import Shelf

    clip = await speak_alone(Scripted(script=script), Shelf(tmp_path / "shelf"))
    assert isinstance(clip, Clip)
    assert seen == ["sent", "sent"]
    assert [json.loads(line)["status"] for line in path.read_text().splitlines()] == ["sent", "failed", "sent", "ok"]
