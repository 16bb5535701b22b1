"""What the four files of the manifest promise."""

import dataclasses
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pysrt
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.speech import RunFailed
from blocks.storage import folder
from tasks.captions import LINE_COLUMNS, Cue, columns, readable
from tasks.clips import Failure
from tasks.document import Omission
from tasks.manifest import write_manifest
from tasks.rows import COLUMNS, compose_csv, rows
from tests.recordings import GAP, RATE, SPEECH, run

FAILURE = Failure("NotSpeech", "silence: -71 dBFS over 2.10 s", attempts=3)
ROWS = ("document", "voice", "takes", "timeline")


def table(made: dict[str, Any]) -> pd.DataFrame:
    return rows(*(made[name] for name in ROWS), {})


def no_constants(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def test_the_columns_are_the_agreed_ones(tmp_path: Path) -> None:
    """Names and order of the columns are those that people and programs were promised."""
    agreed = """segment, chunk, source_line, section, speaker, text, chars, text_sha256, disposition, reason, status,
    error, flags, provider, model, voice, language, speed, key, attempts, reused, request_id, latency_s, cost_usd,
    clip, bytes, sha256, sample_rate, samples, start_s, end_s, cue_start_s, cue_end_s, start_error_ms, rate_applied,
    overrun_ms, peak_dbfs, rms_dbfs, cps, source_index, need_s"""
    made = table(run(tmp_path, ["# One", "Two."]))
    assert [name.strip() for name in agreed.split(",")] == list(made.columns)
    assert {name: str(kind) for name, kind in made.dtypes.items()} == COLUMNS


@given(st.lists(st.booleans(), max_size=12), st.lists(st.integers(1, 30), max_size=6).map(sorted))
@settings(max_examples=25, deadline=None)
def test_every_chunk_and_omission_has_its_row(tmp_path_factory: Any, fails: list[bool], lines: list[int]) -> None:
    """Chunks stand in order, each once, each omission once, all sorted by the line they came from."""
    omissions = [Omission(line, "***", "empty", "no letter or digit") for line in lines]
    failures = {number: FAILURE for number, failed in enumerate(fails) if failed}
    made = table(run(tmp_path_factory.getbasetemp(), ["Said."] * len(fails), failures=failures, omissions=omissions))
    chunks, others = made[made["chunk"].notna()], made[made["chunk"].isna()]
    assert list(range(len(fails))) == list(chunks["chunk"])
    assert ["failed" if failed else "ok" for failed in fails] == list(chunks["status"])
    assert ["refused" if failed else "spoken" for failed in fails] == list(chunks["disposition"])
    assert lines == list(others["source_line"])
    assert made["source_line"].is_monotonic_increasing
    assert set(others["status"]) <= {"none"}


def test_times_come_from_integer_samples(tmp_path: Path) -> None:
    """Seconds are the samples' to the microsecond, of a gap and of what comes after it, too."""
    made = table(run(tmp_path, ["One.", "Two.", "Three."], failures={1: FAILURE}))
    assert [round((GAP + number * (SPEECH + GAP)) / RATE, 6) for number in range(3)] == list(made["start_s"])
    assert round((GAP + 2 * (SPEECH + GAP) + SPEECH) / RATE, 6) == made["end_s"].iloc[2]
    assert round(6 / (SPEECH / RATE), 2) == made["cps"].iloc[2]
    assert (3, "NotSpeech", FAILURE.reason) == tuple(made.loc[1, ["attempts", "error", "reason"]])


def test_a_failed_run_has_a_manifest(tmp_path: Path) -> None:
    """Without a recording the table, the summary and the report are written, and no subtitles."""
    made = write_manifest(**run(tmp_path, ["One.", "Two."], failures={1: FAILURE}, recorded=False))
    assert made.rows[["start_s", "end_s"]].isna().all(axis=None)
    assert made.srt is None
    assert {"book.manifest.csv", "book.manifest.json", "book.report.html"} == {path.name for path in tmp_path.iterdir()}
    facts = json.loads(made.json.read_text("utf-8"))
    assert (facts["audio"], facts["loudness"], facts["totals"]["failed"]) == (None, None, 1)


def test_the_summary_counts(tmp_path: Path) -> None:
    """Calls and retries are the run's own count; every chunk is synthesised, reused or failed."""
    made = write_manifest(**run(tmp_path, ["One.", "Two.", "Three."], failures={2: FAILURE}, flags={0: ("slow",)}))
    wanted = {"chunks": 3, "characters": 14, "synthesised": 1, "reused": 1, "failed": 1, "flagged": 1, "calls": 4}
    assert wanted | {"retries": 2, "omissions": 0} == {
        name: count for name, count in made.summary["totals"].items() if isinstance(count, int)
    }


def test_conservation_is_told(tmp_path: Path) -> None:
    """Chunks that hold the whole text in other pieces are equal to it; a lost word is seen."""
    made = run(tmp_path, ["# Title", "One sentence.|And another."])
    assert write_manifest(**made).summary["conservation"]["equal"] is True
    made["takes"] = made["takes"][:-1]
    assert write_manifest(**made).summary["conservation"]["equal"] is False


def test_the_json_is_strict_and_its_path_relative(tmp_path: Path) -> None:
    """The JSON holds no NaN, also for silence, which has no loudness; the recording is named from the JSON's folder."""
    made = run(tmp_path, ["One."])
    made["sound"] = dataclasses.replace(made["sound"], loudness_lufs=None, true_peak_dbfs=None)
    made["target"] = tmp_path / "deep" / "book.wav"
    written = write_manifest(**made)
    facts = json.loads(written.json.read_text("utf-8"), parse_constant=no_constants)
    assert facts["loudness"]["measured_lufs"] is facts["loudness"]["true_peak_dbfs"] is None
    assert facts["audio"]["path"] == "../book.wav"
    assert {"speech-flows", "python", "prefect", "ffmpeg", "espeak-ng"} == facts["versions"].keys()
    assert "not measured" in written.report.read_text("utf-8")


def test_a_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    """A source whose name is no UTF-8 is told in valid files, and in the JSON without loss."""
    made = run(tmp_path, ["One."])
    made["document"] = dataclasses.replace(made["document"], source="/texts/b\udcffk.txt")
    written = write_manifest(**made)
    assert json.loads(written.json.read_text("utf-8"))["source"]["path"] == "/texts/b\udcffk.txt"


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_formulas_are_only_text_in_the_csv(tmp_path: Path, first: str) -> None:
    """A spreadsheet runs no cell of the CSV; numbers below zero stay numbers, and the table itself stays as it is."""
    said = f'{first}HYPERLINK("x"), he said'
    made = table(run(tmp_path, [said, f"# {said}", "1 = 1"]))
    (tmp_path / "table.csv").write_text(compose_csv(made), "utf-8", newline="")
    read = pd.read_csv(tmp_path / "table.csv", keep_default_na=False)
    assert [f"'{said}", f"'{said}", "1 = 1"] == list(read["text"])
    assert f"'{said}" == read["section"][1]
    assert read["peak_dbfs"][0] == -3.25
    assert said == made["text"].iloc[0]


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file may grow past this many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """When the disk is full, the file of the last run stands, nothing lies beside it, and one line says what to do."""
    target = tmp_path / ("x" * 250 + ".csv")
    folder.replace(target, b"old")
    with (
        full_disk(10_000),
        pytest.raises(RunFailed, match=r"^cannot write .*csv: File too large\. Make room") as caught,
    ):
        folder.replace(target, b"new" * 10_000)
    assert "\n" not in str(caught.value)
    assert [target] == list(tmp_path.iterdir())
    assert target.read_bytes() == b"old"


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    """An output folder that cannot be one is a one-line error, not a traceback."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunFailed, match=r"^cannot write .*file/book\.srt: "):
        folder.replace(tmp_path / "file" / "book.srt", b"")


def test_the_srt_says_what_is_said_when(tmp_path: Path) -> None:
    """pysrt reads it; the cues follow each other, stay inside their chunk's speech, and hold all its words; a gap is
    told to be one.
    """
    long = "It was the best of times, it was the worst of times; “never again,” he said. " * 8
    made = write_manifest(
        **run(tmp_path, ["# 第一章　包裹", long.strip(), "لم يُجب أحد.", "Gone."], failures={3: FAILURE})
    )
    assert made.srt
    cues = pysrt.open(str(made.srt), encoding="utf-8", error_handling=pysrt.SubRipFile.ERROR_RAISE)
    ordinals = [at for cue in cues for at in (cue.start.ordinal, cue.end.ordinal)]
    assert sorted(ordinals) == ordinals
    assert list(range(1, len(cues) + 1)) == [cue.index for cue in cues]
    for chunk in made.rows[made.rows["start_s"].notna()].itertuples():
        start, end = round(1000 * chunk.start_s), round(1000 * chunk.end_s)
        mine = [cue for cue in cues if start <= cue.start.ordinal < end]
        assert (start, end) == (mine[0].start.ordinal, mine[-1].end.ordinal)
        said = chunk.text if chunk.status == "ok" else f"[not spoken] {chunk.text}"
        assert said.split() == " ".join(cue.text for cue in mine).split()


def graphemes(text: str) -> list[str]:
    return [one for one in regex.findall(r"\X", text) if not one.isspace()]


SCRIPTS = st.text(
    st.one_of(st.sampled_from(" .,!?“”-…。、"), st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])),
    min_size=60,
    max_size=300,
)


@given(SCRIPTS.map(lambda text: " ".join(text.split())).filter(bool), st.floats(0.05, 60))
@settings(max_examples=100, deadline=None)
def test_cues_are_readable(text: str, seconds: float) -> None:
    """In any script: two lines at most, each fits, none is blank, no grapheme is cut, nothing is lost, time goes on."""
    cues = list(readable(Cue(10.0, 10.0 + seconds, text)))
    lines = [line for cue in cues for line in cue.text.split("\n")]
    assert max(cue.text.count("\n") for cue in cues) <= 1
    assert all(columns(line) <= LINE_COLUMNS or len(regex.findall(r"\X", line)) == 1 for line in lines)
    assert all(line.strip() for line in lines)
    assert graphemes(text) == [one for line in lines for one in graphemes(line)]
    times = [at for cue in cues for at in (cue.start_s, cue.end_s)]
    assert sorted(times) == times
    assert (10.0, 10.0 + seconds) == (times[0], pytest.approx(times[-1]))


def test_cues_end_where_a_reader_would_pause() -> None:
    """A cut falls after a sentence or a clause rather than in the middle of one."""
    said = "The lamps along the quay were out. She had been waiting since half past six, and she did not care to wait."
    assert [cue.text for cue in readable(Cue(0, 9, said))] == [
        "The lamps along the quay were out.",
        "She had been waiting since half past six,\nand she did not care to wait.",
    ]
