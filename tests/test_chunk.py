"""chunk: whatever the script, every piece fits, nothing is lost, and what is lost is told."""

# ruff: noqa: RUF001 - letters and marks that look like others are what these tests are about

import random
import time
from dataclasses import replace
from itertools import pairwise

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.speech import Limits, SpeechError
from tasks.chunk import UNBREAKABLE, TextLost, chunk, chunk_document, conserve, smaller, split_text
from tasks.document import Boundary, Chunk, Document, Segment, fingerprint
from tests.scripts import FAMILY, LANGUAGES, LIMITS, kept, pieces, spoken, texts


def document(*texts: str) -> Document:
    segments = tuple(Segment(text, line=10 * index + 1) for index, text in enumerate(texts))
    return Document("tale.txt", "", "utf-8", "tale", segments)


@settings(max_examples=100, deadline=None)
@given(st.lists(texts(), max_size=4), LIMITS, LANGUAGES)
def test_every_document_is_conserved_within_the_limits(told, limits, language):
    """Both limits are kept, nothing is lost, no chunk is empty or has outer white space, the order is the source's."""
    source = document(*told)
    chunks = chunk_document(source, limits, language)
    assert all(kept(piece.text, limits) for piece in chunks)
    assert all(piece.text and piece.text == piece.text.strip() for piece in chunks)
    assert fingerprint(piece.text for piece in chunks) == fingerprint(told) == conserve(source, chunks)
    for index, text in enumerate(told):
        own = [piece for piece in chunks if piece.segment == index]
        assert fingerprint(piece.text for piece in own) == fingerprint([text])
        assert [piece.boundary for piece in own[-1:]] == [Boundary.PARAGRAPH] * bool(text)
        assert not {Boundary.PARAGRAPH, Boundary.SECTION} & {piece.boundary for piece in own[:-1]}
    assert chunks == chunk_document(source, limits, language)


@settings(max_examples=100, deadline=None)
@given(texts(), LIMITS, LANGUAGES)
def test_no_grapheme_is_cut_that_fits(text, limits, language):
    """Where every grapheme fits the limits, every piece begins where a grapheme begins."""
    graphemes = list(regex.finditer(r"\X", text))
    begins = {grapheme.start() for grapheme in graphemes if kept(grapheme[0], limits)}
    if len(begins) < len(graphemes):
        return
    place = 0
    for piece, _ in split_text(text, limits, language, Boundary.PARAGRAPH):
        place = text.index(piece, place)
        assert place in begins or text[place - 1].isspace()
        place += len(piece)


@settings(max_examples=100, deadline=None)
@given(texts(), LIMITS, LANGUAGES)
def test_what_is_tiny_or_unspeakable_has_no_room_beside_it(text, limits, language):
    """A chunk under 6 characters, or without letter and digit, is there only if neither neighbour could take it in."""
    place, spans = 0, []
    for piece in pieces(text, limits.characters, language, limits.bytes):
        place = text.index(piece, place)
        spans.append((place, place + len(piece)))
        place += len(piece)
    for (start, middle), (after, end) in pairwise(spans):
        poor = [len(piece) < 6 or not spoken(piece) for piece in (text[start:middle], text[after:end])]
        assert not any(poor) or not kept(text[start:end], limits)


@settings(max_examples=100, deadline=None)
@given(texts().filter(bool), LIMITS, LANGUAGES, st.sampled_from(Boundary))
def test_smaller_conserves_and_shrinks(text, limits, language, last):
    """Each piece is shorter than the whole and keeps the limits; together they hold it, and end as it ended."""
    for piece, _ in split_text(text, limits, language, last):
        whole = Chunk(piece, 3, last)
        cut = smaller(whole, limits, language)
        assert fingerprint(part.text for part in cut) == fingerprint([piece])
        assert all(part.segment == 3 and kept(part.text, limits) for part in cut)
        assert cut[-1].boundary is last
        assert cut == (whole,) or max(len(part.text) for part in cut) < len(piece)
        assert len(cut) == 1 or all(spoken(part.text) for part in cut)


def test_segments_end_in_their_own_boundary():
    """The last chunk of a segment ends as the segment does, and no chunk spans two."""
    told = document("A heading", "A first sentence here. A second sentence here.")
    told = replace(told, segments=(replace(told.segments[0], boundary=Boundary.SECTION), told.segments[1]))
    assert chunk_document(told, Limits(30, 100), "en") == (
        Chunk("A heading", 0, Boundary.SECTION),
        Chunk("A first sentence here.", 1, Boundary.SENTENCE),
        Chunk("A second sentence here.", 1, Boundary.PARAGRAPH),
    )


def test_the_task_is_the_function():
    """The Prefect task gives what the pure function gives."""
    told = document("One is here. Two is there.", "Three.")
    assert chunk.fn(told, Limits(20, 20), "en") == chunk_document(told, Limits(20, 20), "en")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("It rained all day long. Nobody came.", ["It rained all day long.", "Nobody came."]),
        ("when it rained, nobody at all came", ["when it rained,", "nobody at all came"]),
        ("你好吗？我很好。", ["你好吗？", "我很好。"]),
        ("seven birds", ["seven birds"]),
        ("word", ["word"]),
        ("a", ["a"]),
        ("ที่", ["ที่"]),
        (FAMILY, [FAMILY]),
        ("Hi! …", ["Hi! …"]),
        ("क्षत्रिय", ["क्षत्रिय"]),
    ],
)
def test_smaller_says_it_in_two_at_the_best_place(text, told):
    """About half, at a sentence, a clause or a word; a short word, one grapheme or a mere mark is left as it is."""
    cut = smaller(Chunk(text, 0, Boundary.SECTION), Limits(1_000, 1_000), "en")
    assert [piece.text for piece in cut] == told
    assert cut[-1].boundary is Boundary.SECTION


def test_smaller_comes_to_an_end():
    """Cut again and again, a text ends in pieces that cannot be cut, with nothing lost."""
    text = "It rained, as ever; nobody came to Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch. 你好世界！"
    remaining = (Chunk(text, 0, Boundary.PARAGRAPH),)
    for _ in range(12):
        remaining = tuple(part for piece in remaining for part in smaller(piece, Limits(1_000, 1_000), "en"))
    assert remaining == tuple(part for piece in remaining for part in smaller(piece, Limits(1_000, 1_000), "en"))
    assert fingerprint(piece.text for piece in remaining) == fingerprint([text])
    assert max(len(piece.text) for piece in remaining) < UNBREAKABLE


def prose(draw: random.Random, characters: int) -> str:
    told: list[str] = []
    while characters > 0:
        words = ["".join(draw.choices("aeioustrnml", k=draw.randint(1, 9))) for _ in range(draw.randint(3, 25))]
        told.append(" ".join(words).capitalize() + draw.choice([".", ".", ".", "?", "!"]))
        characters -= len(told[-1])
    return " ".join(told)


def test_an_edit_changes_the_chunks_beside_it():
    """A sentence added anywhere to an endless paragraph costs one or two chunks on average, all of that paragraph."""
    draw = random.Random(22)
    told = [prose(draw, 60_000), prose(draw, 2_000)]
    changes = []
    for limits in (Limits(700, 9_000), Limits(1_500, 9_000), Limits(3_000, 9_000)):
        before = {piece.text for piece in chunk_document(document(*told), limits, "en")}
        for _ in range(12):
            place = told[0].index(". ", draw.randrange(30_000)) + 2
            edited = told[0][:place] + "A new sentence stands here now. " + told[0][place:]
            after = chunk_document(document(edited, told[1]), limits, "en")
            changes.append(sum(piece.text not in before for piece in after))
            assert all(piece.text in before for piece in after if piece.segment == 1)
    assert sum(changes) <= 2 * len(changes)


@pytest.mark.parametrize(
    ("unit", "language"),
    [
        ("a", "en"),
        ("漢", "zh"),
        ("word ", "en"),
        ("— ", "en"),
        ("他说：“你好。”然后走了。", "zh"),
        ("“Aa bb cc.” ", "en"),
        (FAMILY, "en"),
        ("\u0301", "en"),
    ],
)
def test_the_time_grows_with_the_text(unit, language):
    """Four times as long a paragraph takes about four times as long, whatever it is made of."""

    def seconds(characters: int) -> float:
        told = document((unit * (characters // len(unit))).strip())
        start = time.process_time()
        chunk_document(told, Limits(500, 1_500), language)
        return time.process_time() - start

    seconds(2_000)
    assert seconds(120_000) < 10 * max(seconds(30_000), 0.01)


TOLD = document("The first paragraph stays.", "One sentence is here. Another sentence is here.", "The last words.")
CHUNKS = chunk_document(TOLD, Limits(30, 100), "en")


@pytest.mark.parametrize(
    ("chunks", "line", "named"),
    [
        (CHUNKS[:1] + CHUNKS[2:], 11, "'Anothersentenceisher'"),
        (CHUNKS[:2] + CHUNKS[1:], 11, "'nceishere.Onesentenceishere.An'"),
        ((CHUNKS[1], CHUNKS[0], *CHUNKS[2:]), 1, "'Thefirst"),
        ((CHUNKS[0], CHUNKS[2], CHUNKS[1], CHUNKS[3]), 11, "'Another"),
        ((*CHUNKS[:2], replace(CHUNKS[2], text="Another sentence is hare."), CHUNKS[3]), 11, "'entenceishare.'"),
        ((*CHUNKS[:2], replace(CHUNKS[2], text="Another sentence is her."), CHUNKS[3]), 11, "'tenceisher.'"),
        ((*CHUNKS[:2], replace(CHUNKS[2], segment=2), CHUNKS[3]), 11, "'nceishere.'"),
        (CHUNKS[:3], 21, "'Thelastwords.' where its chunks have ''"),
        ((), 1, "''"),
    ],
)
def test_what_is_lost_is_named(chunks, line, named):
    """A chunk dropped, doubled, swapped, altered or moved is an error that names the line and both sides."""
    with pytest.raises(TextLost, match=rf"^tale\.txt, line {line}: the text has '") as lost:
        conserve(TOLD, chunks)
    assert named in str(lost.value)
    assert isinstance(lost.value, SpeechError)


def test_a_chunk_of_no_segment_is_named():
    """More chunks than the document has text for are an error."""
    with pytest.raises(TextLost, match=r"chunk 4 of 5, 'More\.', is out of place"):
        conserve(TOLD, (*CHUNKS, Chunk("More.", 3, Boundary.PARAGRAPH)))


def test_conserve_gives_the_fingerprint_of_both_sides():
    """The hash in the manifest is that of the segments, and equally that of the chunks."""
    assert conserve(TOLD, CHUNKS) == fingerprint(segment.text for segment in TOLD.segments)
    assert conserve(TOLD, CHUNKS) == fingerprint(piece.text for piece in CHUNKS)
    assert conserve(document(), ()) == fingerprint([])
