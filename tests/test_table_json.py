"""Addresses come into JSON as if its writer had put them there: nothing else in the file moves."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.table import Table, read_table, text_of, updated

KEYS = st.text(alphabet='abc. "\\é猫\n\ud83d', max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet='ab"\\/é猫{}[],:\n\u2028', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(KEYS, VALUES, max_size=4), min_size=1, max_size=4)
LAYOUTS = st.fixed_dictionaries(
    {
        "indent": st.sampled_from([None, 0, 1, 2, 4, "\t"]),
        "ensure_ascii": st.booleans(),
        "separators": st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : "), (",", ": ")]),
    }
)
ADDRESS = 'https://example.org/noun/猫 "1"/word.mp3'


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("tables")


def read(folder: Path, text: str, name: str = "words.json") -> Table:
    (folder / name).write_bytes(text.encode())
    return read_table(str(folder / name))


def same(one: Any, other: Any) -> bool:
    """Equal, in the same order; what is not a number is itself here."""
    return repr(one) == repr(other)


@settings(max_examples=200, deadline=None)
@given(rows=ROWS, layout=LAYOUTS, typed=st.booleans(), data=st.data())
def test_one_address_is_one_insertion(folder, rows, layout, typed, data):
    """The file with the address cut out again is the file that was; read, it holds the address and all it held."""
    number = data.draw(st.integers(0, len(rows) - 1))
    whole = {"version": 1.50, "noun": rows, "tags": ["x", 1]} if typed else rows
    text = (
        data.draw(st.sampled_from(["", "\ufeff"]))
        + json.dumps(whole, **layout)
        + data.draw(st.sampled_from(["", "\n"]))
    )
    text = text.replace("\ud83d", "\\ud83d")  # half a character is written as an escape, or not at all
    words = read(folder, text)
    after = updated(words, {number: {"word": ADDRESS}}).decode()
    added = len(after) - len(text)
    start = next((place for place, (old, new) in enumerate(zip(text, after, strict=False)) if old != new), len(text))
    assert after[:start] + after[start + added :] == text
    rows[number]["audio"] = {"word": ADDRESS}
    assert same(json.loads(after.removeprefix("\ufeff")), whole)


@settings(max_examples=200, deadline=None)
@given(rows=ROWS, layout=LAYOUTS, data=st.data())
def test_the_layout_is_the_files_own(folder, rows, layout, data):
    """What json.dumps has written comes back as json.dumps would write it with the addresses."""
    rows = [{"a": "b", **row} for row in rows]
    told = data.draw(st.dictionaries(st.integers(0, len(rows) - 1), st.sampled_from([("word",), ("b", "a")])))
    addresses = {number: {field: f"{field}.mp3" for field in fields} for number, fields in told.items()}
    comma, colon = ("," if layout["indent"] is not None else ", "), ": "
    separators = data.draw(st.sampled_from([(comma, colon), (",", ":")]))
    layout = {"indent": layout["indent"], "separators": separators}
    words = read(folder, json.dumps(rows, **layout))
    for number, fields in addresses.items():
        rows[number]["audio"] = fields
    assert updated(words, addresses).decode() == json.dumps(rows, **layout)


@settings(max_examples=100, deadline=None)
@given(rows=ROWS, data=st.data())
def test_json_lines_stay_lines(folder, rows, data):
    """Each row keeps its line, and blank lines stay blank."""
    lines = [json.dumps(row) + data.draw(st.sampled_from(["\n", "\r\n", "\n\n", " \n"])) for row in rows]
    text = "".join(lines).rstrip("\n")
    words = read(folder, text, "words.jsonl")
    assert len(words.rows) == len(rows)
    after = updated(words, {number: {"a": "a.mp3"} for number in range(len(rows))}).decode()
    assert len(after.splitlines()) == len(text.splitlines())
    for row in rows:
        row["audio"] = {"a": "a.mp3"}
    assert same([json.loads(line) for line in after.splitlines() if line.strip()], rows)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('[{"w": "a"}]', '[{"w": "a", "audio": {"w": "1", "d": "2"}}]'),
        ('[{"w":"a"}]', '[{"w":"a","audio":{"w":"1","d":"2"}}]'),
        ('[{ "w": "a" }]', '[{ "w": "a", "audio": {"w": "1", "d": "2"} }]'),
        (
            '[\n\t{"w": "a",\n\t "x": 1}\n]',
            '[\n\t{"w": "a",\n\t "x": 1,\n\t "audio": {\n\t  "w": "1",\n\t  "d": "2"\n\t }}\n]',
        ),
        (
            '[{\n "x": 1,\n "w": "a", "y": 2}]',
            '[{\n "x": 1,\n "w": "a", "y": 2,\n "audio": {\n  "w": "1",\n  "d": "2"\n }}]',
        ),
        ('[{"audio": null, "w": "a"}]', '[{"audio": {"w": "1", "d": "2"}, "w": "a"}]'),
        ('[{"w": "a", "audio" : ""}]', '[{"w": "a", "audio" : {"w" : "1", "d" : "2"}}]'),
        ('[{"w": "a", "audio": {}}]', '[{"w": "a", "audio": {"w": "1", "d": "2"}}]'),
        ('[{"w": "a", "audio": {"x":"0","w":"9"}}]', '[{"w": "a", "audio": {"x":"0","w":"1","d":"2"}}]'),
        ('[{"w": "a", "audio": {"d": null}}]', '[{"w": "a", "audio": {"d": "2", "w": "1"}}]'),
        (
            '[\r\n  {\r\n    "w": "a"\r\n  }\r\n]\r\n',
            '[\r\n  {\r\n    "w": "a",\r\n    "audio": {\r\n      "w": "1",\r\n      "d": "2"\r\n    }\r\n  }\r\n]\r\n',
        ),
        (
            '[{\n  "w": "a",\n  "audio": {\n    "x": "0"\n  }\n}]',
            '[{\n  "w": "a",\n  "audio": {\n    "x": "0",\n    "w": "1",\n    "d": "2"\n  }\n}]',
        ),
    ],
)
def test_addresses_stand_as_the_writer_would_have_put_them(tmp_path, before, after):
    """In one line or in many; an object that is there keeps what it has; a second time changes nothing."""
    addresses = {0: {"w": "1", "d": "2"}}
    assert updated(read(tmp_path, before), addresses).decode() == after
    assert updated(read(tmp_path, after), addresses).decode() == after


def test_what_is_written_in_escapes_stays_in_them(tmp_path):
    """A file in plain ASCII stays so; numbers keep their spelling, and keys their escapes."""
    text = '[{"w\\u006frd": "\\u732b", "n": 1.50, "e": 1E+2, "s": "a\\/b"}]'
    words = read(tmp_path, text)
    assert text_of(words.rows[0], "word") == "猫"
    assert updated(words, {0: {"word": "猫.mp3"}}).decode() == f'{text[:-2]}, "audio": {{"word": "\\u732b.mp3"}}}}]'
    assert "é.mp3" in updated(read(tmp_path, text.replace("a\\/b", "é")), {0: {"word": "é.mp3"}}).decode()
