"""Separated values are read as the csv module reads them, and come back unharmed."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.table import Table, read_table, text_of, updated
from tasks.table_csv import UnclosedQuote, records, separator_of

MESSY = st.text(alphabet='ab ,;\t|"\r\n é猫\u2028\x0b\x07', max_size=40)
NAMES = st.lists(st.text(alphabet="abcé猫_", min_size=1, max_size=5), min_size=1, max_size=4, unique=True)
CELLS = st.text(alphabet='ab ,;\t|"\r\n é猫=\x07', max_size=8)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]], str, str]:
    """A header, its rows, their separator, and the text as a spreadsheet or a person may have written it."""
    names = draw(NAMES)
    rows = draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), min_size=1, max_size=5))
    separator, end = draw(st.sampled_from(",;\t|")), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    # Alone on its line, a cell of spaces or none is written so that it is a row.
    quoted = len(names) == 1 or draw(st.booleans())
    lines = [separator.join(written(cell, separator, quoted=quoted) for cell in record) for record in (names, *rows)]
    text = "".join(line + end * draw(st.integers(1, 3)) for line in lines)
    text = draw(st.sampled_from(["", "\ufeff"])) + draw(st.sampled_from([text, text.rstrip(end)]))
    return names, rows, separator, text


def written(cell: str, separator: str, *, quoted: bool) -> str:
    if quoted or any(sign in cell for sign in f'{separator}"\r\n'):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def read(folder: Path, text: str) -> Table:
    (folder / "words.csv").write_bytes(text.encode())
    return read_table(str(folder / "words.csv"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("tables")


@settings(max_examples=500, deadline=None)
@given(text=MESSY, separator=st.sampled_from(",;\t|"))
def test_cells_are_those_of_the_csv_module(text, separator):
    """Whatever the text, the cells are the same; but an unclosed quote is told, not closed at the end."""
    expected = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row]
    followed = list(csv.reader(io.StringIO(f"{text}\nlast", newline=""), delimiter=separator))
    if followed[-1] != ["last"]:
        with pytest.raises(UnclosedQuote) as unclosed:
            list(records(text, separator))
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        assert '"' in lines[unclosed.value.args[0] - 1]
        return
    found = list(records(text, separator))
    assert [[cell.text for cell in record.cells] for record in found] == expected
    for cell in (cell for record in found for cell in record.cells):
        alone = io.StringIO(f"{text[cell.start : cell.end]}{separator}x", newline="")
        assert next(csv.reader(alone, delimiter=separator)) == [cell.text, "x"]


@settings(max_examples=200, deadline=None)
@given(made=tables())
def test_a_table_is_read_whole_and_comes_back_as_it_was(folder, made):
    """Separator, quotes, line ends, blank lines and byte order mark are told, and stay when addresses are added."""
    names, rows, separator, text = made
    words = read(folder, text)
    assert (words.fields, words.data) == (tuple(names), text.encode())
    assert [list(row.values.values()) for row in words.rows] == rows
    assert words.separator == separator or len(names) == 1
    before = text.encode()
    assert updated(words, {}) == before
    addresses = {0: {names[0]: 'noun/a, "b";c|d\t.mp3'}}
    after = updated(words, addresses)
    again = read_table(str(rewritten(folder, after)))
    assert again.fields == (*names, f"audio.{names[0]}")
    assert [list(row.values.values())[:-1] for row in again.rows] == rows
    assert text_of(again.rows[0], f"audio.{names[0]}") == addresses[0][names[0]]
    assert without_last_column(after.decode(), again.separator) == text


def rewritten(folder: Path, data: bytes) -> Path:
    path = folder / "again.csv"
    path.write_bytes(data)
    return path


def without_last_column(text: str, separator: str) -> str:
    """The text without the last cell of each record and the separator before it."""
    for record in reversed(list(records(text, separator))):
        last = record.cells[-1]
        text = text[: last.start - 1] + text[last.end :]
    return text


@settings(max_examples=100, deadline=None)
@given(made=tables())
def test_addresses_that_are_there_are_replaced_in_place(folder, made):
    """Written again, with one address changed, all else is the same to the byte; what is not given anew stays."""
    names, rows, _, text = made
    first = {row: {name: f"{row}/{name}.mp3" for name in names} for row in range(len(rows))}
    once = updated(read(folder, text), first)
    (folder / "words.csv").write_bytes(once)
    twice = read_table(str(folder / "words.csv"))
    assert updated(twice, first) == once
    assert updated(twice, {0: {}}) == once
    changed = updated(twice, {0: {names[0]: "other.mp3"}})
    assert changed.replace(b"other.mp3", f"0/{names[0]}.mp3".encode()) == once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("word;definition, long\na;b, c\n", ";"),
        ("word,definition\na;b;c,d\n", ","),
        ("word\tdefinition\na, b\tc, d\n", "\t"),
        ("a|b,c\n1|2,3\n1|4\n", "|"),
        ('"a;b";c\n1;2\n', ";"),
        ("word\nHello\n", ","),
        ("word,definition\n5;6;7\n", ","),
    ],
)
def test_the_separator_is_told_from_header_and_rows(text, expected):
    assert separator_of(text, ",") == expected


def test_what_people_write_in_cells_is_kept(tmp_path):
    """Newlines, quotes, formulas, control characters and long cells are the user's own."""
    long = "word " * 5_000
    text = (
        f'\ufeffword;note\r\n"say ""hi""";=1+1\r\n  cat ;"two\nlines; one cell"\r\n\r\n   \r\nbell\x07;{long}\r\n;\r\n'
    )
    words = read(tmp_path, text)
    assert [(row.line, text_of(row, "word"), text_of(row, "note")) for row in words.rows] == [
        (2, 'say "hi"', "=1+1"),
        (3, "  cat ", "two\nlines; one cell"),
        (7, "bell\x07", long),
        (8, "", ""),
    ]
    written = updated(words, {0: {"word": "a.mp3"}, 2: {"note": "b;c.mp3"}}).decode()
    assert written == (
        '\ufeffword;note;audio.word;audio.note\r\n"say ""hi""";=1+1;a.mp3;\r\n  cat ;"two\nlines; one cell";;\r\n'
        f'\r\n   \r\nbell\x07;{long};;"b;c.mp3"\r\n;;;\r\n'
    )


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_other_encodings_come_back_as_they_were(tmp_path, codec):
    text = "word,meaning\ncát,猫\n"
    (tmp_path / "words.tsv").write_bytes(text.encode(codec))
    words = read_table(str(tmp_path / "words.tsv"))
    assert updated(words, {0: {"word": "cát.mp3"}}) == "word,meaning,audio.word\ncát,猫,cát.mp3\n".encode(codec)
