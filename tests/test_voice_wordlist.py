"""Word lists through the whole flow: real speech, a file for each cell, and the table back with their addresses."""

import asyncio
import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
import soundfile

from blocks.speech import BadInput
from blocks.storage.s3 import S3
from flows.voice_wordlist import voice_frame, voice_wordlist
from tasks.word_list import Unfinished
from tests.emulator.fixture import Emulator
from tests.s3_servers import S3Server
from tests.until import until

pytestmark = pytest.mark.usefixtures("prefect_server")

EXAMPLE = Path(__file__).parent.parent / "examples" / "vocabulary.json"
LANGUAGES = "word, definition, ja.word@ja, ja.sentence@ja, vi.word@vi, vi.sentence@vi"
SIX = "word,meaning\ncat,an animal\ndog,an animal\n7,seven\na,=1+1\nno,?\ncat,a pet\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shelf of the test's own."""
    monkeypatch.setenv("SPEECH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def out(tmp_path: Path) -> str:
    return str(tmp_path / "out")


def cartesia(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, *rules: dict[str, object]) -> dict[str, str]:
    """The parameters of a run through the emulator, with these faults."""
    monkeypatch.setenv("CARTESIA_API_KEYS", "test-key-1")
    emulator.settings(fast=True)
    emulator.script("cartesia", *rules)
    return {"provider": "cartesia", "server": emulator.server("cartesia"), "plan": "scale", "format": "wav"}


def saved(tmp_path: Path, text: str, name: str = "words.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, "utf-8", newline="")
    return path


async def test_three_languages_in_nested_json(tmp_path: Path, out: str) -> None:
    """The example comes back as it was, with an address for each cell that can be spoken, and each address plays."""
    path = tmp_path / "vocabulary.json"
    before = EXAMPLE.read_bytes()
    path.write_bytes(before)
    words = await voice_wordlist(str(path), LANGUAGES, out, update=True)
    assert (words.rows, words.cells, words.empty, words.files) == (4, 22, 2, 22)
    after = json.loads(path.read_text("utf-8"))
    rows = [row for kind in ("noun", "verb") for row in after[kind]]
    addresses = [address for row in rows for address in row.pop("audio").values()]
    assert after == json.loads(before)
    for address in addresses:
        sound, rate = soundfile.read(address)
        assert 0.3 < len(sound) / rate < 8, address
        assert abs(sound[: rate // 20]).max() < 0.01, address  # 100 ms of silence, as far as mp3 can keep it
    voices = words.manifest.groupby("field")["voice"].first()
    assert voices["ja.word"] == "ja"
    assert voices["vi.sentence"].startswith("vi")


async def test_the_same_list_again(tmp_path: Path, out: str) -> None:
    """No call, no new file; an edited cell costs one call, and so does a file that somebody has damaged none."""
    path = saved(tmp_path, SIX)
    first = await voice_wordlist(str(path), "word,meaning", out, update=True)
    assert (first.cells, first.duplicates, first.calls, first.standing) == (11, 2, 9, 0)
    times = {file: file.stat().st_mtime_ns for file in Path(out).rglob("*.mp3")}
    again = await voice_wordlist(str(path), "word,meaning", out, update=True)
    assert (again.calls, again.standing, again.files, again.chunks) == (0, 11, 11, 0)
    assert {file: file.stat().st_mtime_ns for file in Path(out).rglob("*.mp3")} == times
    assert set(again.manifest["reused"].dropna()) == {True}
    saved(tmp_path, path.read_text("utf-8").replace("seven", "the seventh"))
    Path(out, "words/dog/word.mp3").write_bytes(b"")
    edited = await voice_wordlist(str(path), "word,meaning", out)
    assert (edited.calls, edited.standing, edited.files) == (1, 9, 11)
    soundfile.read(Path(out, "words/dog/word.mp3"))


async def test_formulas_and_empty_cells(tmp_path: Path, out: str) -> None:
    """What a spreadsheet would run is harmless in the manifest, and unharmed in the table; empty cells are told."""
    path = saved(tmp_path, SIX)
    words = await voice_wordlist(str(path), "word,meaning", out, update=True, base_url="https://cdn.example.org/a/")
    assert "\na,=1+1,https://cdn.example.org/a/words/a/word.mp3," in path.read_text("utf-8")
    assert ",'=1+1," in Path(words.manifest_csv).read_text("utf-8")
    table = words.manifest.set_index("text")
    assert table.loc["=1+1", "disposition"] == "spoken"
    assert table.loc["?", "disposition"] == "empty"
    assert "no,?,https://cdn.example.org/a/words/no/word.mp3,\n" in path.read_text("utf-8")


async def test_failures_are_each_cell_s_own(
    tmp_path: Path, out: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All others are made and have their addresses; what failed is listed, and by its list asked for alone."""
    path = saved(tmp_path, SIX)
    through = cartesia(emulator, monkeypatch, {"fault": "silence", "contains": "dog"})
    with pytest.raises(Unfinished, match="1 of 11 cells failed, the first in line 3, field word") as failed:
        await voice_wordlist(str(path), "word,meaning", out, update=True, **through)
    words = failed.value.words
    assert (words.files, len(words.failures)) == (10, 1)
    assert "dog,an animal,," in path.read_text("utf-8")
    listed = pd.read_csv(str(words.failures_csv))
    assert list(listed["file"]) == ["words/dog/word.wav"]
    calls = len(emulator.ledger("cartesia"))
    emulator.script("cartesia")
    mended = await voice_wordlist(str(path), "word,meaning", out, update=True, only=str(words.failures_csv), **through)
    assert (mended.cells, mended.files, mended.failures_csv) == (1, 1, None)
    assert len(emulator.ledger("cartesia")) == calls + 1
    assert not Path(out, "failures.csv").exists()
    assert len(mended.manifest) == 12  # those of the other cells are kept
    assert "words/dog/word.wav" in path.read_text("utf-8")
    whole = await voice_wordlist(str(path), "word,meaning", out, **through)
    assert (whole.calls, whole.standing) == (0, 11)


async def test_gaps_may_be_allowed(
    tmp_path: Path, out: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run counts as done then, and tells them all the same."""
    through = cartesia(emulator, monkeypatch, {"fault": "silence", "contains": "dog"})
    words = await voice_wordlist(str(saved(tmp_path, SIX)), "word", out, allow_gaps=True, **through)
    assert [failure.text for failure in words.failures] == ["dog"]


async def test_another_voice_goes_on(
    tmp_path: Path, out: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first will not say is said by the fallback, flagged, and tried with the first again in the next run."""
    path = saved(tmp_path, SIX)
    through = cartesia(emulator, monkeypatch, {"fault": "silence", "contains": "dog"})
    words = await voice_wordlist(str(path), "word", out, fallback="espeak", **through)
    row = words.manifest.set_index("text").loc["dog"]
    assert (row["provider"], row["flags"]) == ("espeak", "in another voice")
    emulator.script("cartesia")
    again = await voice_wordlist(str(path), "word", out, fallback="espeak", **through)
    assert (again.calls, again.standing) == (1, 5)
    assert set(again.manifest["provider"].dropna()) == {"cartesia"}


async def test_two_tables_in_one_output(tmp_path: Path, out: str) -> None:
    """Neither takes the place of the other's clips: that is refused before anything is spoken."""
    await voice_wordlist(str(saved(tmp_path, "word,type\ncat,noun\n", "one.csv")), "word", out)
    made = Path(out, "noun/cat/word.mp3").read_bytes()
    with pytest.raises(BadInput, match=r"holds the clips of .*one\.csv"):
        await voice_wordlist(str(saved(tmp_path, "word,type\ncat,noun\n", "two.csv")), "word", out, language="vi")
    assert Path(out, "noun/cat/word.mp3").read_bytes() == made
    await voice_wordlist(str(saved(tmp_path, "word,type\nrun,verb\n", "two.csv")), "word", out)


async def test_fields_and_types_one_after_another(tmp_path: Path, out: str) -> None:
    """The manifest keeps what earlier runs made of other fields, and forgets rows that the table has no more."""
    path = saved(tmp_path, SIX)
    await voice_wordlist(str(path), "word", out)
    both = await voice_wordlist(str(path), "meaning", out, named_by="word", update=True)
    assert set(both.manifest["field"]) == {"word", "meaning"}
    assert path.read_text("utf-8").startswith("word,meaning,audio.word,audio.meaning\n")
    saved(tmp_path, "word,meaning\ncat,an animal\n")
    fewer = await voice_wordlist(str(path), "meaning", out, named_by="word")
    assert set(fewer.manifest["key"]) == {"cat"}


async def test_an_address_leaves_with_its_text(
    tmp_path: Path, out: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is edited and fails, or is emptied, has none any more; nor what another field's run cannot vouch for."""
    path = saved(tmp_path, "word,meaning\nfig,a fruit\nlime,green\nrye,a grain\n")
    through = cartesia(emulator, monkeypatch, {"fault": "silence", "contains": "figs"})
    await voice_wordlist(str(path), "word,meaning", out, update=True, **through)
    edited = (
        path.read_text("utf-8")
        .replace("fig,a fruit", "figs,a fruit")
        .replace("lime,", ",")
        .replace("a grain", "a corn")
    )
    saved(tmp_path, edited)
    Path(out, "words/fig/meaning.wav").unlink()
    with pytest.raises(Unfinished):
        await voice_wordlist(str(path), "word", out, named_by="meaning", update=True, **through)
    rows = [line.split(",") for line in path.read_text("utf-8").splitlines()[1:]]
    assert [row[2] for row in rows] == ["", "", f"{out}/words/a-corn/word.wav"]
    saved(tmp_path, "word,meaning\nbank,a river\n", "b.csv")
    await voice_wordlist(str(tmp_path / "b.csv"), "word,meaning", out, **through)
    saved(tmp_path, "word,meaning\nbank,a house\nbank,a river\n", "b.csv")
    words = await voice_wordlist(str(tmp_path / "b.csv"), "word", out, update=True, **through)
    assert list(words.manifest["field"]) == ["word", "word"]
    assert (tmp_path / "b.csv").read_text("utf-8").startswith("word,meaning,audio.word\n")


async def test_a_list_and_its_clips_move_together(tmp_path: Path) -> None:
    """To another folder: nothing is made anew, and the addresses are those of the new place."""
    (tmp_path / "here").mkdir()
    saved(tmp_path / "here", SIX)
    await voice_wordlist(str(tmp_path / "here" / "words.csv"), "word", str(tmp_path / "here" / "out"))
    moved = (tmp_path / "here").rename(tmp_path / "there")
    words = await voice_wordlist(str(moved / "words.csv"), "word", str(moved / "out"), update=True)
    assert (words.calls, words.standing) == (0, 6)
    assert f"{moved}/out/words/cat/word.mp3" in (moved / "words.csv").read_text("utf-8")


async def test_a_table_that_is_named_by_its_url(tmp_path: Path, out: str) -> None:
    """It is written back where it stands."""
    path = saved(tmp_path, "word\ncat\n", "two words.csv")
    await voice_wordlist(path.as_uri(), "word", out, update=True)
    header, row = path.read_text("utf-8").splitlines()
    assert (header, row.partition(",")[0]) == ("word,audio.word", "cat")
    assert Path(row.partition(",")[2]).is_file()


async def test_files_come_while_the_rest_is_spoken(
    tmp_path: Path, out: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first are there, whole, long before the last call; of a run that is stopped they stay, and the same run again
    makes only the calls that are missing."""
    path = saved(tmp_path, "word\n" + "".join(f"word number {number}\n" for number in range(40)))
    through = cartesia(emulator, monkeypatch)
    emulator.settings(fast=True, latency_s=1.0)
    running = asyncio.create_task(voice_wordlist(str(path), "word", out, workers=2, **through))
    await until(lambda: len(list(Path(out).rglob("word.wav"))) >= 4)
    assert len(emulator.ledger("cartesia")) < 20
    assert all(soundfile.info(str(file)).duration > 0.3 for file in Path(out).rglob("word.wav"))
    running.cancel()
    await asyncio.wait([running])
    paid = len(emulator.ledger("cartesia"))
    emulator.settings(latency_s=0.0)
    again = await voice_wordlist(str(path), "word", out, workers=2, **through)
    assert (again.files, again.calls, len(emulator.ledger("cartesia"))) == (40, 40 - paid, 40)


async def test_a_manifest_that_is_cut_or_damaged(tmp_path: Path, out: str) -> None:
    """A run that was killed between its files, or a row that somebody spoilt, costs no call and stops nobody."""
    path = saved(tmp_path, SIX)
    words = await voice_wordlist(str(path), "word", out)
    Path(words.manifest_json).unlink()
    assert (await voice_wordlist(str(path), "word", out)).standing == 6
    table = pd.read_csv(words.manifest_csv, dtype=str)
    table.loc[0, "bytes"] = None
    table.to_csv(words.manifest_csv, index=False)
    again = await voice_wordlist(str(path), "word", out)
    assert (again.calls, again.standing, again.files) == (0, 5, 6)


async def test_a_table_that_cannot_be_written_costs_nothing(tmp_path: Path, out: str) -> None:
    """One that is marked as read-only, or that lies where nothing can be put, is refused before any call."""
    path = saved(tmp_path, SIX)
    path.chmod(0o444)
    with pytest.raises(BadInput, match="marked as read-only"):
        await voice_wordlist(str(path), "word", out, update=True)
    assert not list(Path(out).rglob("*.mp3"))


async def test_a_table_that_changes_meanwhile_is_left(
    tmp_path: Path, out: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's edit is not lost, and what was spoken is there for the next run."""
    path = saved(tmp_path, SIX)
    through = cartesia(emulator, monkeypatch)
    emulator.settings(fast=True, latency_s=2.0)
    running = asyncio.create_task(voice_wordlist(str(path), "word", out, update=True, **through))
    await until(lambda: bool(emulator.state()["accounts"].get("cartesia")))
    saved(tmp_path, SIX + "bird,an animal\n")
    with pytest.raises(Exception, match="was changed while it was spoken"):
        await running
    assert path.read_text("utf-8") == SIX + "bird,an animal\n"
    emulator.settings(latency_s=0.0)
    again = await voice_wordlist(str(path), "word", out, update=True, **through)
    assert again.calls == 1


@pytest.mark.parametrize(
    ("name", "text", "fields", "told"),
    [
        ("w.csv", "word,word\na,b\n", "word", "word"),
        ("w.csv", "word\n", "word", "no rows"),
        ("w.csv", "word,meaning\na,b,c\n", "word", "line 2"),
        ("w.csv", "word,meaning\na,b\n", "wrod", "is 'word' meant"),
        ("w.json", '["a", "b"]', "word", "write a list of objects"),
        ("w.txt", "word\na\n", "word", "no table"),
    ],
)
async def test_bad_tables_are_refused(tmp_path: Path, out: str, name: str, text: str, fields: str, told: str) -> None:
    """With what is wrong and where, and nothing is written."""
    with pytest.raises(BadInput, match=told):
        await voice_wordlist(str(saved(tmp_path, text, name)), fields, out)
    assert not list(Path(out).rglob("*.mp3"))


async def test_long_cells_and_controls(tmp_path: Path, out: str) -> None:
    """A cell of 20,000 characters is one file, said in many pieces; controls and line ends in cells are not spoken."""
    long = " ".join(f"This is sentence number {number} of a very long cell." for number in range(420))
    path = saved(tmp_path, json.dumps([{"word": long}, {"word": "bell\x07\nring\x00s"}]), "w.json")
    words = await voice_wordlist(str(path), "word", out, format="opus", provider="espeak", speed=3.0)
    table = words.manifest
    assert list(table["text"])[1] == "bell rings"
    assert table["chars"][0] >= 19_000
    assert table["duration_s"][0] > 300
    assert words.chunks > 20


async def test_a_dataframe(out: str) -> None:
    """Comes back as it was, with an address for each cell; the list shows itself with players."""
    frame = pd.DataFrame({"word": ["cat", None, "ngựa"], "n": [1, 2, 3]}, index=["x", "y", "z"])
    words = await voice_frame(frame, "word", output=out, format="wav")
    back = words.frame
    pd.testing.assert_frame_equal(back[["word", "n"]], frame, check_column_type=False)
    assert [isinstance(place, str) for place in back["audio.word"]] == [True, False, True]
    soundfile.read(back.loc["z", "audio.word"])
    shown = words._repr_html_()
    assert len(re.findall("<audio controls", shown)) == 2
    assert "ngựa" in shown
    edited = back.assign(word=["cats", None, "ngựa"])
    again = await voice_frame(edited, "word", output=out, format="wav")  # an edit, and the same list
    assert (again.calls, again.standing) == (1, 1)
    assert set(again.frame.columns) == set(back.columns)


async def test_odd_dataframes(out: str) -> None:
    """Repeated indices keep their rows, values are said as they are written; what has no one name for each column is
    refused."""
    frame = pd.DataFrame(
        {"n": [1, None], "day": pd.to_datetime(["2024-01-02", None]), "w": ["one", "two"]}, index=[0, 0]
    )
    words = await voice_frame(frame, "n, day, w", output=out, format="wav")
    assert set(words.manifest["text"].dropna()) == {"1", "2024-01-02", "one", "two"}
    assert list(words.frame["audio.w"].str.contains("two")) == [False, True]
    for wrong in (pd.DataFrame([[1, 2]], columns=["a", "a"]), pd.DataFrame({("a", "b"): ["x"]}), frame[:0]):
        with pytest.raises(BadInput, match="DataFrame"):
            await voice_frame(wrong, "a", output=out)


async def test_the_bill_of_a_list(
    tmp_path: Path, out: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the emulator bills is what the manifest says, and what retries wasted stands apart."""
    through = cartesia(emulator, monkeypatch, {"fault": "silence", "contains": "cat", "times": 1})
    words = await voice_wordlist(str(saved(tmp_path, SIX)), "word,meaning", out, **through)
    billed = sum(float(entry["units"]) for entry in emulator.ledger("cartesia"))
    assert words.cost_usd == pytest.approx(billed * 50e-6)
    assert words.wasted_usd == pytest.approx(3 * 50e-6)
    assert words.manifest["cost_usd"].sum() == pytest.approx(words.cost_usd)


async def test_in_a_bucket(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table in a bucket is spoken into a bucket, and written back there; the same again makes no file."""
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    bucket = S3(moto.bucket_address("words"), moto.access)
    bucket.write("in/words.csv", SIX.encode())
    source, target = f"{bucket.address}/in/words.csv", f"{bucket.address}/out"
    words = await voice_wordlist(source, "word", target, update=True)
    assert words.table == source
    row = bucket.read("in/words.csv").decode().splitlines()[1]
    assert row == f"cat,an animal,{target}/words/cat/word.mp3"
    soundfile.read(io.BytesIO(bucket.read("out/words/cat/word.mp3")))
    before = {entry.name: entry.tag for entry in bucket.entries("out/words/")}
    again = await voice_wordlist(source, "word", target, update=True)
    assert (again.calls, again.standing) == (0, 6)
    assert {entry.name: entry.tag for entry in bucket.entries("out/words/")} == before
    assert len(again.manifest) == 6
