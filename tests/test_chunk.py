"""chunk: whatever the script, every piece fits, none is lost, and a cut stands where a reader would breathe."""

# ruff: noqa: RUF001 - letters and marks that look like others are what these tests are about

import random
import time
import unicodedata
from dataclasses import replace
from itertools import pairwise

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.speech import Limits, SpeechError
from tasks.chunk import TextLost, chunk, chunk_document, conserve, smaller, split_text
from tasks.cuts import tiny
from tasks.document import Boundary, Chunk, Document, Segment, fingerprint
from tasks.sentences import quoted_ends, sentence_ends

FAMILY = "👨‍👩‍👧‍👦"


def document(*texts: str) -> Document:
    segments = tuple(Segment(text, line=10 * index + 1) for index, text in enumerate(texts))
    return Document("tale.txt", "", "utf-8", "tale", segments)


def pieces(text: str, characters: int, language: str = "en", octets: int = 10_000) -> list[str]:
    return [piece for piece, _ in split_text(text, Limits(characters, octets), language, Boundary.PARAGRAPH)]


def boundaries(text: str, characters: int, language: str = "en") -> list[Boundary]:
    return [end for _, end in split_text(text, Limits(characters, 10_000), language, Boundary.PARAGRAPH)]


def sentences(text: str, language: str, ends=sentence_ends) -> list[str]:
    return [text[start:end].strip() for start, end in pairwise((0, *ends(text, language), len(text)))]


# sentences


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Dr. Smith paid $3.50 at 10:05 in St. Louis."),
        ("en", "J. R. R. Tolkien wrote it, e.g. this page, see p. 12 or No. 5 of Vol. 3, ch. Four, ed. Brown."),
        ("en", "He said it was so, i.e. Nothing, approx. Ten, at 6 a.m. Monday."),
        ("vi", "TP. Hồ Chí Minh có GS. Nguyễn Văn A, PGS.TS. Hà, ThS. Lan, tr. 12 và Q. Ba."),
        ("id", "Jl. Sudirman di Kec. Menteng, harganya Rp. 5.000, kata Ir. Soekarno, hlm. 6."),
        ("ms", "En. Ali dan Pn. Siti di Kg. Baru."),
        ("de", "Im 19. Jahrhundert, am 3. Oktober, z. B. Goethe, Nr. 5, vgl. Bd. 2."),
        ("fr", "M. Dupont, Mme. Rose et Dr. Petit lisent J.-J. Rousseau, n. 5, à St. Denis."),
        ("es", "El Sr. López y Dña. Ana, pág. 5."),
        ("pl", "Na ul. Długiej św. Jan, ks. Piotr, m.in. Kraków, r. Pańskiego."),
        ("ru", "Собор св. Пётр, им. Пушкина, А. С. Пушкин, т. е. Так, рис. 5."),
        ("tr", "Doç. Ali, Cad. Beş, Sn. Yılmaz, 3. Ahmet."),
        ("tl", "Si Gng. Reyes sa Sta. Cruz, Brgy. Uno."),
        ("hi", "डॉ. शर्मा और श्री. वर्मा आए।"),
        ("ja", "「そうです。」と言った。"),
    ],
)
def test_abbreviations_do_not_end_a_sentence(language, text):
    """A full stop that shortens a title, an address, a number or a name is no end."""
    assert sentences(text, language) == [text]


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ["It was John's.", "He saw it.", "“So?” he asked.", "Wait… what?", "No!", "Yes."]),
        ("en-GB", ["Mr. Brown left.", "She stayed."]),
        ("", ["It rained.", "Nobody came."]),
        ("xx-unknown", ["It rained.", "Nobody came."]),
        ("vi", ["Trời mưa.", "Không ai đến."]),
        ("de", ["Er war 19 Jahre alt.", "Sie auch."]),
        ("ar", ["مرحبا.", "كيف حالك؟", "جيد!"]),
        ("hi", ["यह है।", "वह था।", "क्या?"]),
        ("ko", ["비가 왔다.", "아무도 오지 않았다."]),
    ],
)
def test_sentences_are_found_where_words_are_spaced(language, told):
    """Each language's own sentences are found; an unknown language is read like English."""
    assert sentences(" ".join(told), language) == told


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("zh", ["他说：“你好。我走了。”", "然后走了。", "真的吗？", "是的！"]),
        ("ja", ["『坊っちゃん』は本です。", "行く？", "はい！"]),
    ],
)
def test_sentences_are_found_where_words_are_not_spaced(language, told):
    """A quotation stays whole and its closing mark stays with it."""
    assert sentences("".join(told), language) == told


@pytest.mark.parametrize(
    ("language", "text", "told"),
    [
        (
            "en",
            "“Come in. Sit down!” he said. “Mr. Fox left.”",
            ["“Come in.", "Sit down!” he said.", "“Mr. Fox left.”"],
        ),
        ("zh", "他说：“你好。我走了。”然后走了。", ["他说：“你好。", "我走了。”", "然后走了。"]),
        ("ja", "「行く。そうです。」と言った。", ["「行く。", "そうです。」と言った。"]),
        ("ru", "«Привет. Как дела?» — сказал он.", ["«Привет.", "Как дела?» — сказал он."]),
    ],
)
def test_sentences_within_quotations_can_be_found(language, text, told):
    """A speech that is too long for one request has ends inside, each quotation mark on its own side."""
    assert sentences(text, language, quoted_ends) == told


def test_a_stray_closing_mark_stays_with_its_sentence():
    """A bracket that was opened in another paragraph closes the sentence before it."""
    assert sentences("He left.) She stayed.", "en") == ["He left.)", "She stayed."]


@pytest.mark.parametrize("white", ["\u00a0", "\u3000", "\u2028"])
def test_no_white_space_breaks_the_search_for_sentences(white):
    """White space of several bytes between a capital and its full stop, where sentencex panics, is a space."""
    assert list(sentence_ends(f"He came{white}. Plan A{white}. It rained.", "en")) == [10, 19]


# the places of cuts


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


# promises over many scripts

WORDS = st.sampled_from(
    (
        *(
            "Dr.",
            "e.g.",
            "St.",
            "J.",
            "TP.",
            "Rp.",
            "No.",
            "fox",
            "house",
            "it's",
            "well-known",
            "naïve",
            "Việt",
            "II-",
        ),
        *("3.50", "1,000", "10:05", "$5", "½", "https://example.com/a?b=c&d=e", "a@b.org", "x" * 90, "Donau" * 12),
        *(
            "汉字",
            "你好",
            "坊っちゃん",
            "カタカナ",
            "한국어",
            "สวัสดีครับ",
            "ភាសាខ្មែរ",
            "ພາສາລາວ",
            "हिन्दी",
            "क्षत्रिय",
            "தமிழ்",
        ),
        *("العربية", "مَدْرَسَة", "שלום", "עִבְרִית", "\u200fab\u200e", "မြန်မာ", "བོད་ཡིག", "Đặng", "Ω̂", "…", "*", "—"),
        *(FAMILY, "🇻🇳🇫🇷", "👍🏽", "1️⃣", "⁉️", "🙂", "e\u0301\u0302\u0323", "Z̴͚̿a̸", "\u1112\u1161\u11ab"),
    )
)
SEPARATORS = st.sampled_from(
    (
        *[" "] * 8,
        *("", ", ", ". ", "! ", "? ", "; ", ": ", "—", " – ", "…", "。", "，", "、", "！”", "؟ ", "، ", "। ", "။"),
        *(
            " “",
            "” ",
            " ‘",
            "’ ",
            "「",
            "」",
            "『",
            "』",
            ' "',
            '" ',
            " (",
            ") ",
            ".) ",
            ".” ",
            " «",
            "» ",
            "\u200b",
            "་",
        ),
    )
)
WILD = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@st.composite
def texts(draw) -> str:
    parts = draw(st.lists(st.one_of(st.tuples(WORDS, SEPARATORS).map("".join), WILD), max_size=50))
    return " ".join(unicodedata.normalize("NFC", "".join(parts)).split())


LANGUAGES = st.sampled_from(
    ["en", "en-US", "vi", "id", "zh", "ja", "ar", "he", "hi", "th", "km", "de", "ru", "hy", "my", ""]
)
LIMITS = st.builds(
    Limits,
    characters=st.one_of(st.integers(1, 60), st.integers(60, 400)),
    bytes=st.one_of(st.integers(4, 150), st.integers(150, 900)),
)


def spoken(piece: str) -> bool:
    return regex.search(r"[\p{L}\p{N}]", piece) is not None


def kept(piece: str, limits: Limits) -> bool:
    return len(piece) <= limits.characters and len(piece.encode()) <= limits.bytes


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


# smaller pieces


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("It rained all day long. Nobody came.", ["It rained all day long.", "Nobody came."]),
        ("when it rained, nobody at all came", ["when it rained,", "nobody at all came"]),
        ("你好吗？我很好。", ["你好吗？", "我很好。"]),
        ("seven birds", ["seven", "birds"]),
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
    assert max(len(piece.text) for piece in remaining) < 12


# edits and time


def prose(draw: random.Random, characters: int) -> str:
    told: list[str] = []
    while characters > 0:
        words = ["".join(draw.choices("aeioustrnml", k=draw.randint(1, 9))) for _ in range(draw.randint(3, 25))]
        told.append(" ".join(words).capitalize() + draw.choice([".", ".", ".", "?", "!"]))
        characters -= len(told[-1])
    return " ".join(told)


def test_an_edit_changes_the_chunks_beside_it():
    """A sentence added anywhere to an endless paragraph costs one or two chunks on average, and no other paragraph's."""
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
    assert seconds(120_000) < 9 * max(seconds(30_000), 0.01)


# conservation

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
