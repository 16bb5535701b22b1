"""Names of files: by the text alone, safe everywhere, never one for two texts."""

import re
import unicodedata
from collections.abc import Callable

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from tasks.cell_names import LONGEST_BYTES, file_names, folders, slug

MARKED = st.text(
    "aAbß\u017fI\u0131iİ\u03c3ςΣﬁǅ\u0301\u0307\u0308\u0323\u0345\u200d\ufe0f\u202e -_./한하ᄒ\u1161\u11ab😀日が\u3099",
    max_size=8,
)
TEXTS = st.one_of(st.text(st.characters(), max_size=12), MARKED, st.text("aA- ", max_size=400))
HASHED = re.compile(r"\.[0-9a-f]{8}$")


def said(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cat", "cat"),
        ("ice cream", "ice-cream"),
        ("  ice\n cream ", "ice-cream"),
        ("42", "42"),
        ("cafe\u0301", "caf\u00e9"),
        ("tiếng Việt".casefold(), "tiếng-việt"),
        ("日本語", "日本語"),
        ("\u1112\u1161\u11ab", "한"),
        ("น้ำ", "น้ำ"),
        ("हिन्दी", "हिन्दी"),
        ("مرحبا", "مرحبا"),
    ],
)
def test_plain_texts_are_their_own_names(text: str, name: str) -> None:
    """Small letters and digits of any script stay, composed; a space is a hyphen."""
    assert slug(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ice-cream", "ice-cream."),
        ("Polish", "polish."),
        ("don't", "don-t."),
        ("a / b", "a-b."),
        ("\u0131", "i."),
        ("ß", "ss."),
        ("λόγος", "λόγοσ."),
        ("\u202eabc", "abc."),
        ("\u0301a", "a."),
        ("😀", "_."),
        ("\u0301", "_."),
        ("\u3164", "_."),
        ("", "_."),
        (".", "_."),
        ("..", "_."),
        ("CON", "con_."),
        ("nul", "nul_."),
        ("com1", "com1_."),
        ("com¹", "com¹_."),
        ("\ud800", "_."),
    ],
)
def test_lossy_names_tell_whose_they_are(text: str, name: str) -> None:
    """What a name cannot hold, or holds only in part, is told apart by a hash; no device of Windows has its name."""
    assert HASHED.sub(".", slug(text)) == name


def test_names_do_not_change() -> None:
    """The addresses of a list that was voiced last year are those of today."""
    assert [slug(text) for text in ("Polish", "ice-cream", "😀")] == [
        "polish.770341d6",
        "ice-cream.34c5ac59",
        "_.f0443a34",
    ]


@pytest.mark.parametrize("letter", ["x", "日", "e\u0301", "e\u0323\u0301\u0308", "👩‍👩‍👧"])
def test_long_texts_are_cut(letter: str) -> None:
    """Between two letters as a reader sees them; texts that differ only in what is cut off have two names."""
    one, other = slug(letter * 300), slug(letter * 300 + "a")
    assert one != other
    base = HASHED.sub("", one)
    assert len(base.encode()) <= LONGEST_BYTES
    assert unicodedata.normalize("NFC", letter * 300).startswith(base.rstrip("_"))
    assert len(base) % len(unicodedata.normalize("NFC", letter)) == 0 or base == "_"


@given(TEXTS)
def test_names_are_safe(text: str) -> None:
    """For a file system, a shell, a bucket: letters, digits and marks, `-`, `_`, and one dot before a hash."""
    name = slug(text)
    base, _, digest = name.partition(".")
    assert 0 < len(name.encode()) <= LONGEST_BYTES + 10
    assert not digest or re.fullmatch(r"[0-9a-f]{8}", digest)
    assert regex.fullmatch(r"[\p{L}\p{N}_][\p{L}\p{N}\p{M}_-]*", base)
    assert base[0] != "-" != base[-1]
    assert unicodedata.is_normalized("NFC", name)


@given(TEXTS)
def test_white_space_and_composition_do_not_matter(text: str) -> None:
    """A table saved by another program gives the same names."""
    assert slug(said(text)) == slug(unicodedata.normalize("NFD", f" {text}\t")) == slug(text)


def decomposed(name: str) -> str:
    return unicodedata.normalize("NFD", name)


@pytest.mark.parametrize("seen", [str, str.casefold, str.upper, str.lower, decomposed])
@given(one=TEXTS, other=TEXTS)
def test_two_texts_have_two_names(seen: Callable[[str], str], one: str, other: str) -> None:
    """Also where a file system ignores case, or composes and decomposes letters."""
    for variant in (other, one.upper(), one.casefold(), slug(one), f"{one}-", one.replace(" ", "-"), said(one)):
        alike = said(variant) == said(one)
        assert (decomposed(seen(decomposed(slug(variant)))) == decomposed(seen(decomposed(slug(one))))) == alike


def test_every_letter_has_its_own_name() -> None:
    """No two characters that Unicode knows as letters share a name, whatever the file system does to it."""
    letters = [chr(code) for code in range(0x30000) if unicodedata.category(chr(code))[0] in "LN"]
    texts = {said(letter) for letter in letters}
    names = {decomposed(decomposed(slug(text).upper()).casefold()) for text in texts}
    assert len(names) == len(texts)


def test_rows_that_repeat_have_folders_of_their_own() -> None:
    """By type and key; the first keeps the plain one, the others are numbered in the order of the table."""
    keys = [("noun", "cat"), ("verb", "cat"), ("noun", "cat"), ("noun", "Cat"), ("noun", " cat")]
    assert folders(keys) == ["noun/cat", "verb/cat", "noun/cat.2", f"noun/{slug('Cat')}", "noun/cat.3"]


@given(st.lists(st.tuples(st.sampled_from(["noun", "Noun", ""]), MARKED), max_size=30))
def test_no_folder_twice(keys: list[tuple[str, str]]) -> None:
    """One row, one folder; and it depends on no row that comes later."""
    found = folders(keys)
    assert len({folder.casefold() for folder in found}) == len(keys)
    assert folders(keys[:10]) == found[:10]


def test_fields_that_are_paths() -> None:
    """A dotted path has a plain name; what could be taken for it has a hash."""
    names = file_names(["definition", "translations.ja.word", "translations-ja-word", "translations ja word"], "mp3")
    assert names["definition"] == "definition.mp3"
    assert names["translations.ja.word"] == "translations-ja-word.mp3"
    assert all(HASHED.search(names[field].removesuffix(".mp3")) for field in list(names)[2:])


@given(st.lists(MARKED, max_size=12))
def test_no_file_twice(fields: list[str]) -> None:
    """Each field its own file, by its exact name; the same field the same."""
    names = file_names(fields, "opus")
    assert set(names) == set(fields)
    assert len({name.casefold() for name in names.values()}) == len(names)
    assert all(name.endswith(".opus") and "/" not in name and len(name.encode()) <= 255 for name in names.values())
