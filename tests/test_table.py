"""A table of words is read as it stands, or refused with its remedy; its fields are found by their names."""

import json
import re
import time
from pathlib import Path

import pytest

from blocks.speech import BadInput
from tasks import table_text
from tasks.table import Table, check_fields, check_update, read_table, text_of, updated

NESTED = """[
  {"word": "cat", "translations": {"ja": {"word": "猫"}}, "examples": ["The cat sat.", "A cat!"], "a.b": "dotted"},
  {"word": "dog", "count": 1.0, "big": 1e3, "long": 123456789012345678901234567890, "a": {"b": "below"}},
  {"word": null, "kept": true, "examples": []}
]"""


def table(folder: Path, name: str, data: str | bytes) -> Table:
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_table(str(folder / name))


def refused(folder: Path, name: str, data: str | bytes) -> str:
    """The one line that refuses a table; it begins with the source."""
    with pytest.raises(BadInput) as refusal:
        table(folder, name, data)
    told = str(refusal.value)
    assert re.fullmatch(r"[^\n]{10,700}", told)
    assert told.startswith(str(folder / name))
    return told.removeprefix(str(folder / name))


def test_a_dotted_path_leads_to_a_text(tmp_path):
    """Fields lie below objects and lists; a key that holds dots itself goes before; what is not there is empty."""
    cat, dog, none = table(tmp_path, "words.json", NESTED).rows
    assert text_of(cat, "translations.ja.word") == "猫"
    assert [text_of(cat, f"examples.{index}") for index in range(3)] == ["The cat sat.", "A cat!", ""]
    assert [text_of(row, "a.b") for row in (cat, dog, none)] == ["dotted", "below", ""]
    assert [text_of(none, field) for field in ("word", "examples.0", "word.x", "nothing")] == [""] * 4


def test_numbers_are_spoken_as_they_are_spelt(tmp_path):
    dog = table(tmp_path, "words.json", NESTED).rows[1]
    assert [text_of(dog, field) for field in ("count", "big", "long")] == [
        "1.0",
        "1e3",
        "123456789012345678901234567890",
    ]


@pytest.mark.parametrize(
    ("row", "field", "told"),
    [
        (0, "examples", "line 2: the field 'examples' is a list: name an item of it, such as examples.0"),
        (
            0,
            "translations",
            "line 2: the field 'translations' is an object: name a text in it, such as translations.ja",
        ),
        (2, "kept", "line 4: the field 'kept' is True, which is no text"),
    ],
)
def test_what_is_no_text_is_refused_with_its_line(tmp_path, row, field, told):
    with pytest.raises(BadInput, match=re.escape(told)):
        text_of(table(tmp_path, "words.json", NESTED).rows[row], field)


def test_fields_come_in_the_order_of_their_first_appearance(tmp_path):
    fields = table(tmp_path, "words.json", NESTED).fields
    assert fields == (
        *("word", "translations.ja.word", "examples.0", "examples.1", "a.b"),
        *("count", "big", "long"),
    )
    many = table(tmp_path, "many.json", json.dumps([{"all": ["x"] * 5000}]))
    assert len(many.fields) == 1000
    check_fields(many, ["all.4999"])
    deep = table(tmp_path, "deep.json", '[{"a": ' + "[" * 700 + '"b"' + "]" * 700 + ', "c": "d"}]')
    assert deep.fields == ("c",)
    with pytest.raises(BadInput, match="is a list"):
        text_of(deep.rows[0], "a" + ".0" * 30)


@pytest.mark.parametrize("name", ["words.csv", "words.json"])
def test_a_misspelt_field_is_named_with_its_near_match(tmp_path, name):
    data = "Word,definition\ncat,a pet\n" if name == "words.csv" else '[{"Word": "cat", "definition": "a pet"}]'
    words = table(tmp_path, name, data)
    check_fields(words, ["Word", "definition"])
    told = {"defintion": "is 'definition' meant", "word": "is 'Word' meant", "xyz": "It has Word, definition"}
    for field, expected in told.items():
        with pytest.raises(BadInput, match=re.escape(expected)) as refusal:
            check_fields(words, [field])
        assert f"{name} has no field {field!r}" in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("words.txt", "cat", " is no table: save it as one of .csv, .tsv, .json, .jsonl"),
        ("words.xlsx", b"PK\3\4", " is no table: save it as one of .csv"),
        ("words", "cat", " is no table: save it as one of .csv"),
        ("words.csv", "", " is empty"),
        ("words.csv", "\n\n", " is blank: write a header"),
        ("words.csv", "word,definition\n", " has a header and no rows"),
        ("words.csv", "word,a,word\nx,y,z\n", ", line 1: columns 1 and 3 are both named 'word'"),
        ("words.csv", "word,,b\nx,y,z\n", ", line 1: column 2 of 3 has no name"),
        ("words.csv", 'a,b\nx,y\nx,"y\nz\n', ", line 3: the quote that opens a cell there is never closed"),
        (
            "words.csv",
            "a,b\nx\n1,2\nx,y,z\n",
            ": 2 of 3 rows have not as many cells as the header, which has 2 (a, b): ",
        ),
        ("words.csv", "a,b\nx\n1,2\nx,y,z\n", "line 2 has 1, line 4 has 3. Give each row as many, and put a cell "),
        ("words.csv", 'a,b\n"x,y\nz,"\n', "line 2 has 1 (and goes on to line 3: is a quote not closed?)"),
        ("words.csv", "word\nHello, world\n", "has 1 (word): line 2 has 2"),
        ("words.csv", b"a,b\nx,\xff\xfe\n", " is not UTF-8"),
        ("words.json", '{"word": "cat"}', " has no rows: write a list of objects"),
        ("words.json", "[]", " has no rows: write a list of objects"),
        ("words.json", '["cat", "dog"]', ', line 1: is no object, as rows are: write a list of objects, as [{"word"'),
        ("words.json", ' "cat"', ", line 1: is JSON, but no table"),
        ("words.json", "12", ", line 1: is JSON, but no table"),
        ("words.json", '[{"a": "b"},\n "c"]', ", line 2: is no object"),
        ("words.json", '{"noun": [\n{"a": "b"},\n 1]}', ", line 3: is no object"),
        (
            "words.json",
            '[\n{"a": 1,\n "b": {"c": 2, "\\u0063": 3}}]',
            ", line 3, column 16: is no JSON (An object has the",
        ),
        (
            "words.json",
            '{"noun": [{"a": 1}],\n"noun": []}',
            ", line 2, column 1: is no JSON (An object has the key 'noun'",
        ),
        ("words.json", '[\n{"a": }]', ", line 2, column 7: is no JSON (Expecting value): mend it there"),
        ("words.json", '\ufeff[{"a": }]', ", line 1, column 8: is no JSON"),
        ("words.json", '[{"a": 1}', ", line 1, column 10: is no JSON (Expecting ',' or ']')"),
        ("words.json", '[{"a": 1},]', ", line 1, column 11: is no JSON (Expecting value)"),
        ("words.json", '{"a": [{"a": 1}]', ", line 1, column 17: is no JSON (Expecting ',' or '}')"),
        ("words.json", '{"a": 1,}', ", line 1, column 9: is no JSON (Expecting property name"),
        ("words.json", '{"a" 1}', ", line 1, column 6: is no JSON (Expecting ':'"),
        ("words.json", "", " is empty"),
        ("words.json", "  \n", ", line 2, column 1: is no JSON (Expecting value)"),
        ("words.json", "[" * 100_000, "Lists and objects lie too deep in one another"),
        (
            "words.json",
            '{"a": 1}\n{"a": 2}',
            ", line 2, column 1: is no JSON (Extra data): mend it there, or name the file .jsonl",
        ),
        (
            "words.jsonl",
            '{"a": 1}\n\n{"a": \n2}',
            ", line 3, column 7: is no JSON (Expecting value): each line of JSON Lines",
        ),
        ("words.jsonl", '{"a": 1} {"a": 2}', ", line 1, column 10: is no JSON (Extra data)"),
        ("words.jsonl", '{"a": 1}\r\n["b"]\r\n', ", line 2: is no object, as rows are: each line of JSON Lines"),
        ("words.jsonl", "\n \n", " has no rows: each line"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_table_is_refused(tmp_path, name, data, told):
    """One line names what is wrong, where it stands, and the remedy."""
    assert told in refused(tmp_path, name, data)


@pytest.mark.parametrize(
    ("name", "head", "row", "tail"),
    [
        ("words.csv", "word,definition\n", "cat,a pet\n", ""),
        ("words.jsonl", "", '{"word":"cat"}\n', ""),
        ("words.json", "[", '{"word":"cat"},', '{"word":"dog"}]'),
    ],
)
def test_more_rows_than_anybody_speaks_are_refused(tmp_path, name, head, row, tail):
    """A million rows are told from a table within seconds."""
    started = time.monotonic()
    told = refused(tmp_path, name, head + row * 1_000_000 + tail)
    assert told == f" has more than {table_text.MOST_ROWS:,} rows: split it into several tables"
    assert time.monotonic() - started < 60


def test_types_are_the_keys_of_lists_and_all_else_is_left_alone(tmp_path):
    data = '{"n": 2, "noun": [{"word": "cat"}], "tags": ["a"], "verb": [\n{"word": "go"}, {"word": "be"}], "none": []}'
    words = table(tmp_path, "words.json", data)
    assert [(row.kind, row.line, row.values) for row in words.rows] == [
        ("noun", 1, {"word": "cat"}),
        ("verb", 2, {"word": "go"}),
        ("verb", 2, {"word": "be"}),
    ]
    assert updated(words, {1: {"word": "go.mp3"}}).decode() == data.replace('"go"', '"go", "audio": {"word": "go.mp3"}')


def test_json_lines_know_their_lines(tmp_path):
    words = table(tmp_path, "words.ndjson", '\n{"word": "cat"}\r\n\r\n  {"word": "dog", "n": NaN} \n')
    assert [(row.line, text_of(row, "word")) for row in words.rows] == [(2, "cat"), (4, "dog")]
    with pytest.raises(BadInput, match="line 4: the field 'n' is nan"):
        text_of(words.rows[1], "n")


def test_an_audio_that_is_something_else_is_refused_before_anything_is_spoken(tmp_path):
    """The line is named, and no row counts that has nothing to speak."""
    rows = '[{"word": "cat", "audio": null},\n{"word": "dog", "audio": "dog.mp3"}]'
    words = table(tmp_path, "words.json", rows)
    with pytest.raises(BadInput, match=r"line 2: 'audio' holds 'dog.mp3', where the addresses would stand: rename it"):
        check_update(words, ["word"])
    check_update(words, ["nothing"])
    check_update(table(tmp_path, "other.json", rows.replace('"dog.mp3"', '{"word": "a"}')), ["word"])


def test_what_a_code_page_has_not_is_refused(tmp_path):
    """An address that cannot be written into the table's code page says so; in JSON it is escaped."""
    sentences = ["Кот сидел на окне и смотрел на улицу.", "Дом стоял на холме близ реки.", "Мы пили чай."]
    text = "слово;фраза\n" + "".join(f"дом;{sentence}\n" for sentence in sentences)
    words = table(tmp_path, "words.csv", text.encode("cp1251"))
    check_update(words, ["слово"])
    assert updated(words, {0: {"слово": "дом.mp3"}}).decode("cp1251").splitlines()[1].endswith("улицу.;дом.mp3")
    with pytest.raises(BadInput, match="save it as UTF-8"):
        updated(words, {0: {"слово": "猫.mp3"}})
    rows = [{"фраза": sentence} for sentence in sentences]
    legacy = table(tmp_path, "words.json", json.dumps(rows, ensure_ascii=False).encode("cp1251"))
    written = updated(legacy, {0: {"фраза": "猫.mp3"}}).decode("cp1251")
    assert json.loads(written) == [{**rows[0], "audio": {"фраза": "猫.mp3"}}, *rows[1:]]


@pytest.mark.parametrize("name", ["words.csv", "words.json"])
def test_ten_thousand_rows_take_a_moment(tmp_path, name):
    """10,000 rows of five cells are read in a second and written back in another, on a machine of our own."""
    rows = [{f"field{column}": f"text {row}, {column}" for column in range(5)} for row in range(10_000)]
    lines = [",".join(rows[0]), *(",".join(f'"{cell}"' for cell in row.values()) for row in rows)]
    started = time.monotonic()
    words = table(tmp_path, name, json.dumps(rows, indent=2) if name == "words.json" else "\n".join(lines))
    written = updated(words, {row: {"field0": f"{row}.mp3", "field1": f"{row}.mp3"} for row in range(10_000)})
    assert time.monotonic() - started < 10
    again = table(tmp_path, f"again{Path(name).suffix}", written)
    assert [row.values["field4"] for row in again.rows] == [row["field4"] for row in rows]
    assert text_of(again.rows[9_999], "audio.field1") == "9999.mp3"
