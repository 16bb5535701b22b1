"""Parquet goes in and out where pyarrow is installed; where it is not, the message says so."""

import datetime as dt
import importlib.util
from pathlib import Path

import pytest

from blocks.speech import BadInput
from tasks.table import check_update, read_table, text_of, updated

INSTALLED = importlib.util.find_spec("pyarrow") is not None
needs_pyarrow = pytest.mark.skipif(not INSTALLED, reason="pyarrow is not installed")


@pytest.mark.skipif(INSTALLED, reason="pyarrow is installed")
def test_without_pyarrow_the_remedy_is_named(tmp_path):
    (tmp_path / "words.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadInput, match="takes pyarrow to read: install it, or save the table as CSV"):
        read_table(str(tmp_path / "words.parquet"))


def words(folder: Path) -> str:
    import pandas as pd

    columns = {
        "word": ["cat", "犬", None],
        "count": [1, 2, 3],
        "share": [1.5, float("nan"), 2.0],
        "day": [dt.date(2026, 1, 2)] * 3,
        "more": [{"ja": "猫"}, {"ja": None}, None],
        "examples": [["a", "b"], [], None],
    }
    pd.DataFrame(columns).to_parquet(folder / "words.parquet", compression="gzip")
    return str(folder / "words.parquet")


@needs_pyarrow
def test_cells_are_texts(tmp_path):
    """Numbers and dates are read as they are written; nested values have dotted paths; what is not there is empty."""
    table = read_table(words(tmp_path))
    assert table.fields[:6] == ("word", "count", "share", "day", "more.ja", "examples.0")
    assert [[text_of(row, field) for field in table.fields] for row in table.rows] == [
        ["cat", "1", "1.5", "2026-01-02", "猫", "a", "b"],
        ["犬", "2", "", "2026-01-02", "", "", ""],
        ["", "3", "2.0", "2026-01-02", "", "", ""],
    ]
    assert [row.line for row in table.rows] == [1, 2, 3]


@needs_pyarrow
def test_addresses_come_in_columns_of_their_own(tmp_path):
    """All other columns keep their order, types and values; an address that is there stays where none is given."""
    from pyarrow import parquet

    table = read_table(words(tmp_path))
    check_update(table, ["word"])
    (tmp_path / "once.parquet").write_bytes(updated(table, {0: {"word": "cat.mp3"}, 1: {"more.ja": "x.mp3"}}))
    once = read_table(str(tmp_path / "once.parquet"))
    (tmp_path / "twice.parquet").write_bytes(updated(once, {1: {"word": "犬.mp3"}}))
    before, after = (parquet.read_table(tmp_path / name) for name in ("words.parquet", "twice.parquet"))
    assert after.select(before.schema.names).equals(before)
    assert after.schema.names == [*before.schema.names, "audio.word", "audio.more.ja"]
    assert after.column("audio.word").to_pylist() == ["cat.mp3", "犬.mp3", None]
    assert after.column("audio.more.ja").to_pylist() == [None, "x.mp3", None]
    assert parquet.ParquetFile(tmp_path / "twice.parquet").metadata.row_group(0).column(0).compression == "GZIP"


@needs_pyarrow
@pytest.mark.parametrize(("data", "told"), [(b"PAR1" * 9, "cannot be read as Parquet"), (b"word", "cannot be read as")])
def test_what_is_no_parquet_is_refused(tmp_path, data, told):
    (tmp_path / "words.parquet").write_bytes(data)
    with pytest.raises(BadInput, match=told):
        read_table(str(tmp_path / "words.parquet"))
