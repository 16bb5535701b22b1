"""The whole flow, in this process, against a real Prefect server and the embedded voice."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
import soundfile
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry

from blocks.plans import Plan
from blocks.providers import PROVIDERS
from blocks.providers.espeak import Espeak
from blocks.speech import Audio, BadInput, BadText, BadVoice, Limits, Offer, SpeechError, Voice
from blocks.storage.places import storage_at
from flows.narrate import narrate
from tasks.encode import FORMATS
from tasks.progress import WATCHED, Progress
from tasks.recording import Incomplete, Recording
from tests.emulator.fixture import Emulator
from tests.s3_servers import S3Server

pytestmark = pytest.mark.usefixtures("prefect_server")

DATA = Path(__file__).parent / "data"
EXAMPLE = Path(__file__).parent.parent / "examples" / "the-lighthouse-post.md"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shelf of the test's own."""
    monkeypatch.setenv("SPEECH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize(("name", "language"), [("vietnamese", "vi"), ("chinese", "cmn"), ("arabic", "ar")])
async def test_languages(name: str, language: str, tmp_path: Path) -> None:
    """A text in another script goes through whole: conserved, every chunk spoken, none over the voice's limits."""
    recording = await narrate(str(DATA / f"{name}.txt"), output=str(tmp_path), language=language)
    facts = json.loads(Path(recording.manifest_json).read_text())
    assert facts["conservation"]["equal"]
    table = recording.manifest
    assert set(table["status"]) == {"ok"}
    assert table["chars"].max() <= Espeak.limits.characters
    assert max(len(text.encode()) for text in table["text"]) <= Espeak.limits.bytes
    assert recording.duration_s > 20
    assert recording.loudness_lufs == pytest.approx(-16, abs=0.7)


async def test_formats(tmp_path: Path) -> None:
    """The example becomes a recording in every format, from one synthesis."""
    for number, suffix in enumerate(FORMATS):
        recording = await narrate(str(EXAMPLE), output=str(tmp_path), format=suffix)
        assert recording.audio == str(tmp_path / f"the-lighthouse-post.{suffix}")
        assert recording.duration_s > 300
        assert bool(recording.calls) is (number == 0)


async def test_the_wrong_script_is_refused(tmp_path: Path) -> None:
    """Chinese is not read out in English as `Chinese letter, Chinese letter`."""
    with pytest.raises(BadVoice, match="--language"):
        await narrate(str(DATA / "chinese.txt"), output=str(tmp_path / "out"))


async def test_a_notebook_shows_it(tmp_path: Path) -> None:
    """The result shows itself with a player, and its manifest is a table."""
    (tmp_path / "hello.txt").write_text("Hello, and good night.")
    recording = await narrate(str(tmp_path / "hello.txt"), output=str(tmp_path))
    assert "<audio controls" in recording._repr_html_()
    assert list(recording.manifest["text"]) == ["Hello, and good night."]


async def test_results_are_small_json(tmp_path: Path) -> None:
    """What Prefect keeps of the flow and of each synthesis is readable JSON of places and facts, never audio."""
    (tmp_path / "hello.txt").write_text("Hello, results.")
    recording = await narrate(str(tmp_path / "hello.txt"), output=str(tmp_path))
    async with get_client() as client:
        run = await client.read_flow_run(recording.run_id)
        assert run.state
        assert Recording.model_validate(await run.state.result()) == recording
    from prefect.settings import get_current_settings

    records = sorted(get_current_settings().results.local_storage_path.iterdir(), key=lambda path: path.stat().st_mtime)
    for record in records[-2:]:
        assert record.stat().st_size < 10_000
        assert isinstance(json.loads(record.read_bytes()), dict)
        assert b"pickle" not in record.read_bytes()


class Stubborn:
    """The embedded voice, but for one word that it will not say."""

    name = "stubborn"
    limits = Limits(600, 2400)
    call_s = 0.03

    def __init__(self) -> None:
        self._inner = Espeak()
        self.plan = Plan("stubborn", "test", 2)

    async def voices(self) -> Sequence[Offer]:
        return await self._inner.voices()

    async def resolve(self, voice: Voice) -> Voice:
        return await self._inner.resolve(voice)

    async def synthesise(self, text: str, voice: Voice) -> Audio:
        if "Macbeth" in text:
            raise BadText("will not say that name")
        return await self._inner.synthesise(text, voice)

    async def close(self) -> None:
        await self._inner.close()


async def incomplete(source: Path, output: Path) -> Recording:
    with pytest.raises(Incomplete) as failed:
        await narrate(str(source), output=str(output), provider="stubborn")
    return failed.value.recording


async def test_what_fails_for_good_is_named_and_the_rest_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One word that nobody says: no recording with a hole, a manifest that names it, and all else on the shelf."""
    monkeypatch.setitem(PROVIDERS, "stubborn", lambda _server, _key: Stubborn())
    play = tmp_path / "play.txt"
    play.write_text("The curtain rises. Macbeth enters alone, at night.\n\nThe witches wait for him.")
    recording = await incomplete(play, tmp_path)
    assert (recording.audio, len(recording.failures)) == (None, 1)
    assert "Macbeth" in recording.failures[0].text
    assert len(recording.failures[0].text) < 40
    assert not (tmp_path / "play.mp3").exists()
    table = recording.manifest
    assert list(table["status"]).count("failed") == 1
    assert "will not say that name" in Path(recording.report).read_text()

    play.write_text(play.read_text().replace("Macbeth", "The thane"))
    mended = await narrate(str(play), output=str(tmp_path), provider="stubborn")
    assert mended.audio
    assert mended.synthesised <= 1
    assert mended.reused >= 1


async def test_gaps_may_be_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who allows gaps gets a recording with silence, about as long as the text, where nobody spoke; it is marked in the
    manifest, the subtitles and the report. Said later, only that is called for, and the gap is gone.
    """
    monkeypatch.setitem(PROVIDERS, "stubborn", lambda _server, _key: Stubborn())
    play = tmp_path / "play.txt"
    play.write_text("The curtain rises.\n\nMacbeth.\n\nThe witches wait for him.")
    recording = await narrate(str(play), output=str(tmp_path), provider="stubborn", format="wav", allow_gaps=True)
    assert recording.audio
    assert [failure.text for failure in recording.failures] == ["Macbeth."]
    table = recording.manifest
    assert list(table["status"]) == ["ok", "failed", "ok"]
    gap = table.iloc[1]
    sound, rate = soundfile.read(recording.audio, dtype="int16")
    silent = sound[round(gap["start_s"] * rate) : round(gap["end_s"] * rate)]
    assert not silent.any()
    assert 0.3 < len(silent) / rate < 3
    assert "[not spoken] Macbeth." in Path(recording.subtitles or "").read_text()
    assert "will not say that name" in Path(recording.report).read_text()

    monkeypatch.setitem(PROVIDERS, "stubborn", lambda _server, _key: Espeak())
    whole = await narrate(str(play), output=str(tmp_path), provider="stubborn", format="wav", allow_gaps=True)
    assert (whole.failures, whole.calls, whole.reused) == ((), 1, 2)


async def test_gaps_alone_are_no_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing at all was spoken, allowed gaps make no recording of silence."""
    monkeypatch.setitem(PROVIDERS, "stubborn", lambda _server, _key: Stubborn())
    (tmp_path / "play.txt").write_text("Macbeth.")
    with pytest.raises(Incomplete):
        await narrate(str(tmp_path / "play.txt"), output=str(tmp_path), provider="stubborn", allow_gaps=True)
    assert not (tmp_path / "play.mp3").exists()


async def test_what_a_fresh_run_has_said_it_does_not_say_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`fresh` speaks what is on the shelf anew; but the same run, retried, keeps what it has said itself."""
    monkeypatch.setitem(PROVIDERS, "stubborn", lambda _server, _key: Stubborn())
    play = tmp_path / "play.txt"
    play.write_text("The curtain rises.\n\nMacbeth.\n\nThe witches wait.")
    await incomplete(play, tmp_path)
    with pytest.raises(Incomplete) as failed:
        await narrate(str(play), output=str(tmp_path), provider="stubborn", fresh=True)
    first = failed.value.recording
    assert (first.synthesised, first.reused) == (2, 0)
    async with get_client() as client:
        run = await client.read_flow_run(first.run_id)
        await client.set_flow_run_state(run.id, AwaitingRetry(), force=True)
        run = await client.read_flow_run(run.id)
    monkeypatch.setitem(PROVIDERS, "stubborn", lambda _server, _key: Espeak())
    again = await run_flow(narrate, flow_run=run)
    assert (again.run_id, again.synthesised, again.reused) == (first.run_id, 1, 2)


@pytest.mark.parametrize("bucket", ["moto", "rclone"])
async def test_all_of_it_on_s3(
    bucket: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    """Source, shelf and recording in a bucket: all that a folder would hold is there, whole, and nothing else; another
    machine says nothing again.
    """
    server = request.getfixturevalue(bucket)
    address = f"{server.bucket_address(f'books-{tmp_path.name.lower().replace(chr(95), chr(45))[-30:]}')}/shop"
    store = storage_at(address, server.access)
    store.write("in/story.txt", b"Hello, bucket.\n\nAnd good night.")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    options = {"output": f"{address}/out", "shelf": f"{address}/shelf", "format": "flac"}
    recording = await narrate(f"{address}/in/story.txt", **options)
    assert recording.audio == f"{address}/out/story.flac"
    names = {f"story.{ending}" for ending in ("flac", "manifest.csv", "manifest.json", "report.html", "srt")}
    assert {entry.name for entry in store.entries("out/")} == {f"out/{name}" for name in names}
    facts = json.loads(store.read("out/story.manifest.json"))
    assert hashlib.sha256(store.read("out/story.flac")).hexdigest() == facts["audio"]["sha256"]
    assert list(recording.manifest["text"]) == ["Hello, bucket.", "And good night."]
    assert set(recording.manifest["clip"].str.startswith(f"{address}/shelf/")) == {True}
    assert "<audio controls" in recording._repr_html_()
    assert not list(home.glob("outputs/*"))

    monkeypatch.setenv("SPEECH_HOME", str(tmp_path / "elsewhere"))
    again = await narrate(f"{address}/in/story.txt", **options)
    assert (again.calls, again.reused) == (0, 2)
    assert hashlib.sha256(store.read("out/story.flac")).hexdigest() == facts["audio"]["sha256"]


async def test_a_bucket_that_is_not_there_costs_nothing(
    moto: S3Server, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong shelf or output is refused before the first call, with its name and what to do."""
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CARTESIA_API_KEYS", "test-key-1")
    (tmp_path / "story.txt").write_text("Hello.")
    options = {"provider": "cartesia", "server": emulator.server("cartesia")}
    for wrong in (
        {"shelf": "s3://no-such-bucket/shelf", "output": str(tmp_path)},
        {"output": "s3://no-such-bucket/out"},
    ):
        with pytest.raises(BadInput, match="no-such-bucket"):
            await narrate(str(tmp_path / "story.txt"), **options, **wrong)
    assert emulator.ledger("cartesia") == []


async def test_the_source_in_the_bucket_stays(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file that a run makes takes its source's place in a bucket, either."""
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    address = moto.bucket_address("stays")
    with pytest.raises(BadInput, match="overwritten"):
        await narrate(f"{address}/story.srt", output=address)


async def test_what_was_said_in_pieces_costs_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that goes well only in pieces is remembered so: the second run makes no call, and counts to the end."""

    async def breathless(self: Espeak, text: str, voice: Voice) -> Audio:
        if len(text) > 60:
            raise BadText("too long for one breath")
        return await spoken(self, text, voice)

    spoken = Espeak.synthesise
    monkeypatch.setattr(Espeak, "synthesise", breathless)
    paragraph = "The keeper climbed the stairs again. He counted each of them under his breath: one, two, three."
    (tmp_path / "story.txt").write_text(f"{paragraph}\n\nHello.\n\n{paragraph}\n\nHello.")
    progress = Progress()
    WATCHED.set(progress)
    first = await narrate(str(tmp_path / "story.txt"), output=str(tmp_path))
    assert first.failures == ()
    assert (progress.failed, progress.done) == (0, progress.total)
    WATCHED.set(None)
    again = await narrate(str(tmp_path / "story.txt"), output=str(tmp_path))
    assert (again.calls, again.synthesised, again.duration_s) == (0, 0, first.duration_s)


async def test_the_source_stays(tmp_path: Path) -> None:
    """No file that a run makes takes its source's place."""
    source = tmp_path / "story.manifest.json"
    source.write_text("A story in an odd file.")
    with pytest.raises(BadInput, match="overwritten"):
        await narrate(str(tmp_path / "story.mp3"), output=str(tmp_path))
    assert source.read_text() == "A story in an odd file."


async def test_the_table_comes_back_as_it_was(tmp_path: Path) -> None:
    """Texts that look like nothing or like a formula are in the table as they were spoken."""
    (tmp_path / "odd.txt").write_text("None.\n\n-5 degrees.\n\nNA")
    recording = await narrate(str(tmp_path / "odd.txt"), output=str(tmp_path))
    assert list(recording.manifest["text"]) == ["None.", "-5 degrees.", "NA"]
    assert str(recording.manifest["reused"].dtype) == "boolean"


VENDORS = ["openai", "gemini", "cartesia", "elevenlabs", "f5", "piper"]
MIXED = [
    "internal",
    "empty",
    "html",
    "json",
    "header_only",
    "silence",
    "cut_length",
    "cut_chunked",
    "cut_close",
    "reset",
]
STORY = "\n\n".join(f"This is paragraph number {number}, and the keeper climbs on." for number in range(30))


@pytest.mark.parametrize("provider", VENDORS)
async def test_whole_under_faults(
    provider: str, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every fifth call going wrong nothing is heard: each text is spoken, and each clip was billed."""
    # An F5 server tells of an unknown voice by a bare 500 as well: that one stops a run.
    played = [
        fault for fault in MIXED if fault in emulator.faults(provider) and (provider, fault) != ("f5", "internal")
    ]
    emulator.script(provider, *({"fault": fault, "probability": 0.02, "seed": 7 * i} for i, fault in enumerate(played)))
    recording = await narrated(provider, emulator, tmp_path, monkeypatch)
    assert recording.failures == ()
    assert recording.calls > 30
    good = [entry["text"] for entry in emulator.ledger(provider) if entry["billed"]]
    assert "".join(recording.manifest["text"]) == STORY.replace("\n\n", "")
    assert set(recording.manifest["text"]) <= set(good)


async def narrated(
    provider: str, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str = STORY
) -> Recording:
    """The story by the emulator's provider of this name."""
    monkeypatch.setenv(f"{provider.upper()}_API_KEYS", "test-key-1")
    monkeypatch.setattr("tasks.attempts.BACKOFF_S", 0.01)
    (tmp_path / "story.txt").write_text(text)
    return await narrate(
        str(tmp_path / "story.txt"),
        output=str(tmp_path),
        provider=provider,
        server=emulator.server(provider),
        voice="anna" if provider == "f5" else "",
    )


LESS = ["third", "wrong_rate", "fallback_voice"]


@pytest.mark.parametrize("provider", VENDORS)
async def test_less_than_was_asked_for_is_said_again(
    provider: str, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every fifth answer that is whole speech, but a third of it, too fast, or another voice's, nothing is heard."""
    emulator.script(provider, *({"fault": fault, "every": 15} for fault in LESS))
    recording = await narrated(provider, emulator, tmp_path, monkeypatch)
    bill = emulator.ledger(provider)
    assert {entry["outcome"] for entry in bill} == {"ok", *LESS}
    last = {entry["text"]: entry["outcome"] for entry in bill}
    wrong = {text for text, outcome in last.items() if outcome != "ok"}
    table = recording.manifest
    assert set(table[table["flags"].fillna("") != ""]["text"]) == wrong
    assert len(wrong) <= 2
    assert recording.calls > 30


@pytest.mark.parametrize("provider", VENDORS)
async def test_the_ledger_equals_the_bill(
    provider: str, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the manifest says was spent is what the provider bills; calls that nobody answered are told apart."""
    faults = ["internal", "header_only", "silence", "third", "cut_length", "reset"]
    known = emulator.faults(provider)
    played = [fault for fault in faults if fault in known and (provider, fault) != ("f5", "internal")]
    emulator.script(provider, *({"fault": fault, "probability": 0.04, "seed": i} for i, fault in enumerate(played)))
    recording = await narrated(provider, emulator, tmp_path, monkeypatch)
    spend = json.loads(Path(recording.manifest_json).read_text())["spend"]
    rows = pd.read_json(spend["ledger"], lines=True).drop_duplicates("id", keep="last")
    bill = emulator.ledger(provider)
    assert len(rows) == spend["calls"] == recording.calls == len(bill)
    answered = [entry for entry in bill if entry["outcome"] not in {"cut_length", "reset"}]
    assert 0 < (rows["billed"] == "unknown").sum() == len(bill) - len(answered)
    if provider not in {"f5", "piper"}:  # those are nobody's service
        assert (rows["billed"] == "yes").sum() == sum(entry["billed"] for entry in answered)
    if provider in {"gemini", "cartesia", "elevenlabs"}:  # OpenAI does not tell the tokens
        units = rows[rows["billed"] == "yes"]["output" if provider == "gemini" else "input"].sum()
        assert units == sum(entry["units"] for entry in answered)
    assert recording.manifest["cost_usd"].sum() == pytest.approx(recording.cost_usd or 0, abs=1e-6)


async def test_a_price_that_is_not_known_is_told_so(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's server that speaks OpenAI's API may cost anything: the sum is unknown, not nothing."""
    recording = await narrated("openai", emulator, tmp_path, monkeypatch, "Hello.")
    assert recording.cost_usd is None
    assert recording.manifest["cost_usd"].isna().all()


async def test_suspects_may_fail(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for no doubtful clip gets no recording, and the text and its measurement by name."""
    monkeypatch.setenv("CARTESIA_API_KEYS", "test-key-1")
    emulator.script("cartesia", {"fault": "third", "contains": "number 7,"})
    (tmp_path / "story.txt").write_text(STORY)
    with pytest.raises(Incomplete, match=r"number 7.*where this voice takes about"):
        await narrate(
            str(tmp_path / "story.txt"),
            output=str(tmp_path),
            provider="cartesia",
            server=emulator.server("cartesia"),
            suspects="fail",
        )


async def test_a_wrong_key_stops_the_run_at_once(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A revoked key costs no more calls than were in flight, is told in one line, and is itself nowhere told."""
    monkeypatch.setenv("CARTESIA_API_KEYS", "sk-secret-that-nobody-sees")
    (tmp_path / "story.txt").write_text(STORY)
    with pytest.raises(SpeechError) as stopped:
        await narrate(
            str(tmp_path / "story.txt"),
            output=str(tmp_path),
            provider="cartesia",
            server=emulator.server("cartesia"),
        )
    assert len(str(stopped.value).splitlines()) == 1
    assert len(emulator.ledger("cartesia")) <= 3
    assert "sk-secret" not in f"{stopped.value!r} {caplog.text}"
