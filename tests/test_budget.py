"""A run spends no more than it may: it stops before the call that might go beyond, and what was spoken is kept."""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect import flow

from blocks.callers import Alone, Lease
from blocks.prices import PRICES, Price
from blocks.speech import Audio, BadInput, Billed, NotSpeech, ProviderFailed, Unanswered, Usage, Voice
from deployments.answers import DONE, FAILED, WRONG
from flows.narrate import narrate
from tasks.budget import BudgetSpent
from tasks.clips import Clip, Take
from tasks.ledger import Ledger
from tasks.pace import expected_s
from tasks.retake import doubtful, retake
from tasks.shelf import Shelf
from tasks.speak import Speaker
from tasks.synthesise import synthesise_chunks
from tasks.turns import Permits
from tests.emulator.fixture import Emulator
from tests.scripted import VOICE, Scripted, sentences, speaker_of, spoken

PER_CHARACTER = {Voice("cartesia", "katie", "en", "sonic-3.5"): 50e-6, Voice("openai", "nova", "en", "tts-1"): 15e-6}
GEMINI = Voice("gemini", "Kore", "en-US", "gemini-3.8-flash-tts")
FREE = Voice("espeak", "en-us", "en-US")

CALLS = st.lists(
    st.tuples(
        st.sampled_from(sorted(PER_CHARACTER, key=str)),
        st.integers(1, 600),
        st.sampled_from(["ok", "no speech", "refused", "unanswered", "cancelled", "killed"]),
        st.integers(0, 5),
    ),
    max_size=60,
)
"""Who says how many characters, how that ends, and which of the calls under way ends before the next."""


class Bench:
    """Calls that begin and end in any order, and what they cost at the worst."""

    def __init__(self, path: Path, budget_usd: float) -> None:
        self.path, self.budget_usd = path, budget_usd
        self.ledger = Ledger(path, budget_usd)
        self.under_way: list[tuple[ExitStack, Any, float, str]] = []
        self.billed_usd = 0.0
        self.dead: list[ExitStack] = []
        """Rows of a process that was killed: nobody closes them."""

    def begin(self, voice: Voice, characters: int, ending: str) -> None:
        cost_usd = characters * PER_CHARACTER[voice]
        with ExitStack() as row:
            try:
                call = row.enter_context(self.ledger.call("x" * characters, voice))
            except BudgetSpent:
                open_usd = sum(cost for _, _, cost, _ in self.under_way)
                assert self.billed_usd + open_usd + cost_usd > self.budget_usd - 1e-6
                return
            self.under_way.append((row.pop_all(), call, cost_usd, ending))

    def end(self, number: int) -> None:
        row, call, cost_usd, ending = self.under_way.pop(number % len(self.under_way))
        self.billed_usd += 0.0 if ending == "refused" else cost_usd
        error: BaseException | None = {
            "no speech": NotSpeech("silence"),
            "refused": ProviderFailed("busy"),
            "unanswered": Unanswered("cut", billed=Billed.UNKNOWN),
            "cancelled": KeyboardInterrupt(),
        }.get(ending)
        if ending in {"ok", "no speech"}:
            call.answered(Audio(b"RIFF", "wav"))
        if ending == "killed":
            self.ledger = Ledger(self.path, self.budget_usd)  # of a process that knows only the file
            self.billed_usd += sum(cost for _, _, cost, _ in self.under_way)
            self.dead += [row, *(row for row, _, _, _ in self.under_way)]
            self.under_way.clear()
        else:
            row.__exit__(type(error) if error else None, error, None)

    def close(self) -> None:
        for row in [*self.dead, *(row for row, _, _, _ in self.under_way)]:
            row.close()


@given(st.floats(0.001, 0.3), CALLS)
def test_whatever_comes_no_more_is_billed(budget_usd: float, calls: list[tuple[Voice, int, str, int]]) -> None:
    """Calls that go well, fail, are cut or killed, in any order and at any time: with all that may have been billed,
    and all that is under way, they never cost more than the budget; and none is refused that would have fitted.
    """
    with tempfile.TemporaryDirectory() as folder, closing(Bench(Path(folder) / "run.jsonl", budget_usd)) as bench:
        for voice, characters, ending, number in calls:
            bench.begin(voice, characters, ending)
            if bench.under_way and number:
                bench.end(number)
            open_usd = sum(cost for _, _, cost, _ in bench.under_way)
            assert bench.billed_usd + open_usd <= budget_usd + 1e-6
        while bench.under_way:
            bench.end(0)
        assert bench.billed_usd <= budget_usd + 1e-6


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger" / "run.jsonl", 0.01)


def say(ledger: Ledger, voice: Voice, text: str, usage: Usage | None = None) -> None:
    with ledger.call(text, voice) as call:
        call.answered(Audio(b"RIFF", "wav", usage=usage))


@pytest.mark.parametrize("usd", [-0.01, float("nan"), float("inf")])
def test_what_is_no_sum_is_refused(usd: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is read, with exit code 2 and one line that names it, of a dry run too."""
    with pytest.raises(BadInput, match=str(usd)):
        Ledger(tmp_path / "run.jsonl", usd)
    from deployments.terminal import run

    (tmp_path / "story.txt").write_text("A story.")
    assert run(["narrate", str(tmp_path / "story.txt"), f"--budget={usd}", "--dry-run"]) == WRONG
    assert str(usd) in capsys.readouterr().err


def test_the_message_tells_what_to_do(ledger: Ledger) -> None:
    """What was spent, what may be on its way, what the next call may cost, and how to go on; no row is left of it."""
    [cartesia, _] = PER_CHARACTER
    say(ledger, cartesia, "x" * 100)
    with ledger.call("x" * 60, cartesia), pytest.raises(BudgetSpent) as met, ledger.call("x" * 50, cartesia):
        pass
    told = str(met.value)
    assert "the budget of 0.01 USD is met: 0.0050 spent, up to 0.0030 for calls" in told
    assert "the next call may cost 0.0025" in told
    assert "--budget" in told
    assert len(ledger.entries) == 2
    say(ledger, cartesia, "x" * 40)


def test_what_costs_nothing_meets_no_budget(ledger: Ledger) -> None:
    """A voice of this machine goes on where a dear one may not, even if a bill was higher than foreseen."""
    [cartesia, _] = PER_CHARACTER
    say(ledger, GEMINI, "Hello.", Usage(2, 5_000))
    with pytest.raises(BudgetSpent):
        say(ledger, cartesia, "x")
    say(ledger, FREE, "x" * 600)


def test_what_nobody_knows_the_price_of_is_not_called(ledger: Ledger) -> None:
    """With a budget, that is; without one it is nobody's business."""
    own = Voice("openai", "af_bella", "en", "kokoro", server="127.0.0.1:8880")
    with pytest.raises(BadInput, match="listed for openai kokoro at 127"):
        say(ledger, own, "Hello.")
    assert ledger.entries == []
    say(Ledger(ledger.path), own, "Hello.")


def test_speech_that_is_billed_may_take_its_time(tmp_path: Path) -> None:
    """Of a model that bills by the second twice the expected length is set aside, and given back when it took less."""
    text, price = "Here is one sentence to say." * 10, PRICES["gemini"][GEMINI.model]
    slow = price.usd(Usage(len(text), round(40 * 1.9 * expected_s([text]))))
    ledger = Ledger(tmp_path / "run.jsonl", 2.5 * slow)
    with ledger.call(text, GEMINI) as call:
        assert (ledger.entries[0].cost_usd or 0) >= slow
        with ledger.call(text, GEMINI) as other:
            other.answered(Audio(b"RIFF", "wav", usage=Usage(84, 100)))
        with pytest.raises(BudgetSpent), ledger.call(text, GEMINI), ledger.call(text, GEMINI):
            pass
        call.answered(Audio(b"RIFF", "wav", usage=Usage(84, 100)))
    say(ledger, GEMINI, text)
    assert ledger.entries[-1].cost_usd == pytest.approx(price.usd(price.estimate(text, expected_s([text]))))


class Counted(Alone):
    """Counts the rights to call that are out."""

    out = 0

    async def lease(self, *about: Any) -> Any:
        lease = await super().lease(*about)
        self.out += isinstance(lease, Lease)
        return lease

    async def settle(self, *about: Any, **told: Any) -> None:
        self.out -= 1
        await super().settle(*about, **told)

    async def give_back(self, lease: Lease, /) -> None:
        self.out -= 1
        await super().give_back(lease)


@pytest.fixture
def priced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripted voice takes a cent for a character."""
    monkeypatch.setitem(PRICES, VOICE.provider, {"": Price("character", 10_000.0)})


def budgeted(provider: Scripted, folder: Path, usd: float) -> Speaker:
    (folder / "shelf").mkdir(exist_ok=True)
    speaker = speaker_of(provider, Shelf(folder / "shelf"), Permits({provider.plan.tag: 2}))
    return replace(speaker, callers=Counted(provider), ledger=Ledger(folder / "budgeted.jsonl", usd))


@flow(name="budget-test")
async def said_within(speaker: Any, count: int) -> list[Take]:
    takes = await synthesise_chunks(sentences(count), {}, speaker)
    return await retake(takes, speaker, "keep") if doubtful(takes, "keep") else takes


@pytest.mark.usefixtures("prefect_server", "priced")
async def test_nobody_is_called_beyond_and_the_others_come_home(tmp_path: Path) -> None:
    """The run fails before the call that would break the budget; those under way are kept, and every key and permit is
    given back. A resumed run counts what was spent before; one with more room says the rest, and nothing twice.
    """
    texts = [chunk.text for chunk in sentences(20)]
    provider, usd = Scripted(call_s=0.02), sum(map(len, texts[:9])) / 100
    speaker = budgeted(provider, tmp_path, usd)
    with pytest.raises(BudgetSpent):
        await said_within(speaker, 20)
    billed = sum(map(len, provider.calls)) / 100
    assert usd - max(map(len, texts)) / 100 < billed <= usd + 1e-9
    assert len(speaker.shelf.find_all(texts, VOICE)) == len(provider.calls)
    assert isinstance(speaker.callers, Counted)
    assert speaker.callers.out == 0
    assert [await speaker.permits.take() for _ in range(2)] == [provider.plan.tag] * 2

    resumed = budgeted(Scripted(), tmp_path, usd)
    with pytest.raises(BudgetSpent):
        await said_within(resumed, 20)
    again = Scripted(call_s=0.01)
    await said_within(budgeted(again, tmp_path, 2 * usd + 9), 20)
    assert sorted([*provider.calls, *again.calls]) == sorted(texts)


@pytest.mark.usefixtures("prefect_server", "priced")
async def test_second_takes_count_too_and_the_first_ones_stand(tmp_path: Path) -> None:
    """Where there is money for every text but not for another take, the run is whole; what stands out is flagged."""
    texts = [chunk.text for chunk in sentences(20)]

    def script(text: str, _count: int) -> Audio | None:
        return Audio(spoken(text[: len(text) // 3]), "wav") if text == texts[4] else None

    provider = Scripted(call_s=0.01, script=script)
    takes = await said_within(budgeted(provider, tmp_path, sum(map(len, texts)) / 100 + 0.1), 20)
    assert sorted(provider.calls) == sorted(texts)
    flagged = [take.chunk.text for take in takes if isinstance(take.outcome, Clip) and take.outcome.flags]
    assert (len(takes), flagged) == (20, [texts[4]])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State of the test's own, and a key that the emulator knows."""
    monkeypatch.setenv("SPEECH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CARTESIA_API_KEYS", "test-key-1")
    return tmp_path


def bill_usd(emulator: Emulator) -> float:
    """Of Cartesia, who takes 50 USD for a million characters."""
    return sum(float(entry["units"]) for entry in emulator.ledger("cartesia") if entry["billed"]) * 50e-6


PARAGRAPHS = [f"This is paragraph number {number:02}, and the keeper climbs on." for number in range(20)]
EACH_USD = len(PARAGRAPHS[0]) * 50e-6


@pytest.mark.usefixtures("prefect_server")
async def test_what_is_said_faster_counts_too(home: Path, emulator: Emulator) -> None:
    """A cue that is too long is not said again where there is no money for it: it is stretched; the run is whole."""
    lines = ["This line is far too long for the window that it has.", "And so is this one, which nobody can follow."]
    cues = (f"{n}\n00:00:0{2 * n},000 --> 00:00:0{2 * n + 1},900\n{line}\n" for n, line in enumerate(lines, 1))
    (home / "film.srt").write_text("\n".join(cues))
    options = {"output": str(home / "out"), "provider": "cartesia", "server": emulator.server("cartesia")}
    recording = await narrate(str(home / "film.srt"), **options, budget=(sum(map(len, lines)) + 10) * 50e-6)
    assert recording.audio
    assert recording.failures == ()
    assert sorted(entry["text"] for entry in emulator.ledger("cartesia")) == sorted(lines)
    assert recording.cues
    assert recording.cues["sped_up"] > 0
    assert (await narrate(str(home / "film.srt"), **options)).calls > 0


@pytest.mark.usefixtures("prefect_server")
async def test_a_fallback_that_costs_nothing_says_the_rest(home: Path, emulator: Emulator) -> None:
    """As where an account runs out: whole paragraphs in the other voice, and marked."""
    (home / "story.txt").write_text("\n\n".join(PARAGRAPHS))
    recording = await narrate(
        str(home / "story.txt"),
        output=str(home),
        provider="cartesia",
        server=emulator.server("cartesia"),
        fallback=f"piper={emulator.server('piper')}",
        budget=5.5 * EACH_USD,
    )
    assert recording.failures == ()
    assert dict(recording.manifest["provider"].value_counts()) == {"piper": 15, "cartesia": 5}
    assert bill_usd(emulator) == pytest.approx(5 * EACH_USD) == recording.cost_usd
    spend = json.loads(Path(recording.manifest_json).read_text())["spend"]
    assert [(share["provider"], share["calls"]) for share in spend["by_provider"]] == [("cartesia", 5), ("piper", 15)]
    assert [share["cost_usd"] for share in spend["by_provider"]] == [recording.cost_usd, 0.0]


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("where", ["voice", "fallback", "speakers"])
async def test_an_unknown_price_is_refused_first(
    where: str, home: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A voice whose price nobody knows, wherever it stands, is refused before anything is spoken."""
    monkeypatch.setenv("OPENAI_API_KEYS", "test-key-1")
    own = emulator.server("openai")
    (home / "film.srt").write_text(
        "1\n00:00:01,000 --> 00:00:03,000\nANNA: Hello.\n\n2\n00:00:04,000 --> 00:00:06,000\nBye.\n"
    )
    first = {"provider": "cartesia", "server": emulator.server("cartesia")}
    told: dict[str, dict[str, str]] = {
        "voice": {"provider": "openai", "server": own},
        "fallback": {**first, "fallback": f"openai={own}"},
        "speakers": {**first, "speakers": f"ANNA=openai:nova={own}"},
    }
    with pytest.raises(BadInput, match="no price is listed for openai"):
        await narrate(str(home / "film.srt"), output=str(home / "out"), budget=5.0, **told[where])
    assert emulator.ledger() == []


@pytest.mark.timeout(600)  # four commands
def test_the_same_command_with_more_goes_on(prefect_server: str, home: Path, emulator: Emulator) -> None:
    """`--budget` stops the command with exit code 1, before the provider has billed more. `speech runs resume` stops
    again at once; the same command with more makes only the calls that are missing, and tells what it spent.
    """
    emulator.settings(fast=True)
    (home / "story.txt").write_text("\n\n".join(PARAGRAPHS))
    narrates = ["narrate", "story.txt", "--provider", "cartesia", "--server", emulator.server("cartesia"), "--json"]
    environment = {**os.environ, "PREFECT_API_URL": prefect_server}

    def speech(*arguments: str) -> tuple[int, dict[str, Any]]:
        command = [sys.executable, "-m", "deployments.terminal", *arguments]
        done = subprocess.run(
            command, cwd=home, env=environment, capture_output=True, text=True, timeout=200, check=False
        )
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    code, told = speech(*narrates, f"--budget={7.5 * EACH_USD}")
    assert code == FAILED
    assert "a --budget for the rest" in told["error"]
    assert bill_usd(emulator) == pytest.approx(7 * EACH_USD)

    [run] = list((home / "home" / "ledger").iterdir())
    code, told = speech("runs", "resume", run.stem, "--json")
    assert code == FAILED
    assert f"the budget of {7.5 * EACH_USD:g} USD is met" in told["error"]

    code, told = speech(*narrates, "--budget=1")
    assert (code, told["calls"], told["reused"]) == (DONE, 13, 7)
    assert told["cost_usd"] == pytest.approx(13 * EACH_USD)
    assert sorted(entry["text"] for entry in emulator.ledger("cartesia")) == PARAGRAPHS
