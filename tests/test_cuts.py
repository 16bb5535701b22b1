"""A text that is too long is cut where a reader would breathe."""

# ruff: noqa: RUF001 - letters and marks that look like others are what these tests are about

import unicodedata

import pytest

from blocks.speech import Limits
from tasks.chunk import split_text
from tasks.cuts import tiny
from tasks.document import Boundary, fingerprint
from tests.scripts import FAMILY, pieces, spoken


def boundaries(text: str, characters: int, language: str = "en") -> list[Boundary]:
    return [end for _, end in split_text(text, Limits(characters, 10_000), language, Boundary.PARAGRAPH)]


def test_what_fits_is_one_chunk():
    """A paragraph within both limits is never cut, even with many sentences in it."""
    text = "One is here. Two is there. Three is gone."
    assert pieces(text, len(text)) == [text]


def test_cuts_stand_after_sentences():
    """While sentences fit, chunks end where sentences end."""
    text = "Dr. Smith paid $3.50 in St. Louis. “Was it so?” he asked, and waited. Nobody in the whole house knew it."
    assert pieces(text, 80) == [
        "Dr. Smith paid $3.50 in St. Louis. “Was it so?” he asked, and waited.",
        "Nobody in the whole house knew it.",
    ]
    assert boundaries(text, 80) == [Boundary.SENTENCE, Boundary.PARAGRAPH]


def test_a_long_speech_is_cut_after_its_inner_sentences():
    """Quotation marks keep a speech whole only while it fits."""
    text = "“The lamp was lit in the hall. Nobody had come down the stairs. The clock had stopped at noon,” she said."
    assert pieces(text, 70) == [
        "“The lamp was lit in the hall. Nobody had come down the stairs.",
        "The clock had stopped at noon,” she said.",
    ]


@pytest.mark.parametrize(
    ("language", "text", "size", "told"),
    [
        ("en", "when the rain came at last; nobody who was there ran", 40, ["when the rain came at last;", None]),
        ("en", "the old house stood—as it always did—on the hill", 35, ["the old house stood—", None]),
        ("en", "It cost 1,000,000 at 10:05 – and no more than that", 40, ["It cost 1,000,000 at 10:05 –", None]),
        ("zh", "满纸荒唐言，一把辛酸泪；都云作者痴，谁解其中味", 14, ["满纸荒唐言，一把辛酸泪；", None]),
        ("ja", "山路を登りながら、こう考えたのである、と彼は言う", 15, ["山路を登りながら、", None]),
        ("ar", "كان الرجل يمشي في الطريق، وكانت السماء تمطر بشدة", 40, ["كان الرجل يمشي في الطريق،", None]),
        ("fa", "مردی در راه می‌رفت؛ و باران سخت می‌بارید بر او", 35, ["مردی در راه می‌رفت؛", None]),
    ],
)
def test_an_over_long_sentence_is_cut_after_a_clause(language, text, size, told):
    """The mark stays with the piece before it, and numbers stay whole."""
    found = pieces(text, size, language)
    assert found[:-1] == told[:-1]
    assert set(boundaries(text, size, language)[:-1]) == {Boundary.CLAUSE}


def test_without_marks_it_is_cut_between_words():
    """Words stay whole, and the pieces are balanced: neither of two is under a third."""
    text = "seven big red birds sat upon that very old stone wall by the sea"
    for size in range(48, len(text)):
        found = pieces(text, size)
        assert " ".join(found) == text
        assert boundaries(text, size) == [Boundary.WORD, Boundary.PARAGRAPH]
        assert min(map(len, found)) >= len(text) // 3 - 1


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("٣،٥ " * 30, "٣،٥"),
        ("aa, \u0301bb, " * 20, "aa,\u0301bb,"),
        ("aa \u0301bb " * 20, "aa\u0301bb"),
        ("1,5: " * 30, "1,5:"),
    ],
)
def test_no_limit_cuts_where_a_cut_only_seems_to_stand(text, whole):
    """A number with its own comma, and a mark that combines with white space before it, stay whole at every limit."""
    for size in range(12, 60):
        for piece in pieces(text.strip(), size):
            assert set("".join(piece.split()).split(whole)) == {""}


@pytest.mark.parametrize(
    ("unit", "language"),
    [
        ("a", "en"),
        ("漢", "zh"),
        ("ที่", "th"),
        ("ស្ត្រី", "km"),
        ("ຢູ່", "lo"),
        ("क्षि", "hi"),
        (FAMILY, "en"),
        ("🇻🇳", "vi"),
        ("👍🏽", "en"),
        ("1️⃣", "en"),
        ("ẹ̀", "yo"),
    ],
)
@pytest.mark.parametrize("limits", [Limits(100, 10_000), Limits(10_000, 100)])
def test_without_spaces_it_is_cut_between_graphemes(unit, language, limits):
    """A word of 600 graphemes keeps the limits, and each of its graphemes is whole."""
    unit = unicodedata.normalize("NFC", unit)
    found = list(split_text(unit * 600, limits, language, Boundary.SECTION))
    assert "".join(piece for piece, _ in found) == unit * 600
    for piece, _ in found:
        assert len(piece) <= limits.characters
        assert len(piece.encode()) <= limits.bytes
        assert piece == unit * (len(piece) // len(unit))
    assert [end for _, end in found] == [Boundary.GRAPHEME] * (len(found) - 1) + [Boundary.SECTION]


def test_a_grapheme_over_the_limit_is_cut_at_last():
    """500 marks on one letter break the grapheme rather than the limit."""
    zalgo = unicodedata.normalize("NFC", "z" + "\u0300\u0323" * 250)
    found = pieces(f"before {zalgo} after", 1_000, octets=100)
    assert max(len(piece.encode()) for piece in found) <= 100
    assert fingerprint(found) == fingerprint([f"before {zalgo} after"])
    assert (found[0][:6], found[-1][-5:]) == ("before", "after")


@pytest.mark.parametrize(
    "said", ["Yes.", "No.", "Why?", "So be it.", "Oh, that.", "Never!", "He knew.", "Not yet.", "Maybe."]
)
def test_tiny_sentences_are_joined(said):
    """“Yes.” is said together with its neighbour where the limits allow, be it before or behind."""
    long = "the old man who lived up in the tower by the sea had never once left it for a night"
    text = (
        f"It had rained all day long upon the house and on the sea. {said} Nobody but {long}. {said} Then they slept."
    )
    assert min(map(len, pieces(text, 100))) >= 20


@pytest.mark.parametrize(
    ("text", "told"), [("Yes, sir.", True), ("他走了。", True), ("他昨天已经走了。", False), ("a" * 20, False)]
)
def test_tiny_is_counted_by_script(text, told):
    """Twenty letters are enough to stand alone, and six where a letter is a syllable or a word."""
    assert tiny(text) is told


def test_a_tiny_sentence_beside_a_full_one_shares_its_clauses():
    """Rather than say “Yes, sir.” alone, the next sentence is cut at a clause."""
    text = "Yes, sir. The old man who lived there, in the tower, had never left it, not even for one single night."
    assert pieces(text, 98)[0].startswith("Yes, sir. The old man")


@pytest.mark.parametrize("mark", ["…", "”", "* * *", "🙂", "— —"])
def test_nothing_unspeakable_stands_alone(mark):
    """A mark without letter or digit goes with its neighbour, though a sentence must be cut for it."""
    full = "a" * 30 + " " + "b" * 30 + " " + "c" * 30 + "."
    for text in (f"{full} {mark}", f"{mark} {full}", f"{full} {mark} {full}"):
        assert all(spoken(piece) for piece in pieces(text, len(full)))


def test_limits_that_hold_no_character_are_refused():
    """A limit below one character of UTF-8 is a fault of the caller, not an endless loop."""
    with pytest.raises(ValueError, match="no character fits"):
        pieces("text", 10, octets=3)
