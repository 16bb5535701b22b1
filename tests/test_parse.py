"""What a source becomes: every piece of it is spoken or told of, on the line where an editor shows it."""

# ruff: noqa: RUF001 - texts in several scripts are what a parser is for

import asyncio
import os
import re
import string
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.speech import BadInput
from tasks.document import Boundary, Document
from tasks.parse import normalise, parse, read_document
from tasks.source import LARGEST
from tasks.source_place import name_of

EXAMPLE = Path(__file__).parents[1] / "examples" / "the-lighthouse-post.md"

Reader = Callable[..., Document]


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Reads a text, or bytes as they are, from a file of that name."""
    folder = tmp_path_factory.mktemp("sources")

    def read_text(text: str | bytes, name: str = "text.txt") -> Document:
        path = folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_document(str(path))

    return read_text


def texts(document: Document) -> list[str]:
    return [segment.text for segment in document.segments]


def by_line(document: Document) -> list[tuple[int, str]]:
    return sorted([(piece.line, piece.text) for piece in (*document.segments, *document.omissions)])


# --- plain text


def test_paragraphs(read: Reader):
    """Blank lines part paragraphs, and the lines of one are joined."""
    document = read("One line\nand another.\n\n \t\nA second\n  paragraph.")
    assert texts(document) == ["One line and another.", "A second paragraph."]
    assert [segment.line for segment in document.segments] == [1, 5]
    assert {segment.boundary for segment in document.segments} == {Boundary.PARAGRAPH}


@pytest.mark.parametrize(
    ("source", "spoken"),
    [
        ("a\u00a0b\u3000c\u2028d\te", "a b c d e"),
        ("e\u0301t\u00e9", "\u00e9t\u00e9"),
        ("light\u00adhouse and light\u00ad\n  house, light-\nhouse", "lighthouse and lighthouse, light- house"),
        ("\ufeffa\u200bb \u202bשלום\u202c\u200f \u2066c\u2069\x07", "ab שלום c"),
        ("می\u200cخواهم 👩\u200d🚀 x", "می\u200cخواهم 👩\u200d🚀 x"),
        ("第一行，\n  接着说。\nおわ\nり", "第一行，接着说。おわり"),
        ("한 줄\n다음 줄", "한 줄 다음 줄"),
        ("\u06dd 5", "\u06dd 5"),
    ],
)
def test_normalised(read: Reader, source: str, spoken: str):
    """A segment is NFC without controls, with single spaces, and without a space where a script has none."""
    assert texts(read(source)) == [spoken]


def test_unwrapped_lines_are_paragraphs(read: Reader):
    """Where lines are wider than anybody wraps them, each line is a paragraph."""
    long = "word " * 40 + "end."
    assert len(texts(read(f"{long}\nShort one.\n{long}"))) == 3
    assert len(texts(read("字" * 70 + "。\n" + "「はい。」"))) == 2
    assert len(texts(read("字" * 40 + "\n" + "字" * 40))) == 1


@pytest.mark.parametrize("mark", ["* * *", "***", "---", "#", "⁂", "  — — —", "• • •", "_____"])
def test_scene_breaks(read: Reader, mark: str):
    """A scene break ends a section, is told of, and needs no blank lines."""
    for gap in ("\n", "\n\n"):
        document = read(f"Before.{gap}{mark}{gap}After.")
        assert texts(document) == ["Before.", "After."]
        assert [segment.boundary for segment in document.segments] == [Boundary.SECTION, Boundary.PARAGRAPH]
        [omission] = document.omissions
        assert (omission.line, omission.disposition, omission.reason) == (1 + len(gap), "empty", "scene break")


def test_what_nobody_can_speak(read: Reader):
    """A paragraph without a letter or digit is told of, and ends no section."""
    document = read("One.\n\n♪ 🙂 …?!\n\nTwo.")
    assert texts(document) == ["One.", "Two."]
    assert document.segments[0].boundary is Boundary.PARAGRAPH
    assert [(o.line, o.text, o.disposition) for o in document.omissions] == [(3, "♪ 🙂 …?!", "empty")]


@pytest.mark.parametrize(
    "heading",
    [
        "CHAPTER IV",
        "Chapter 12. The Storm",
        "CHAPTER 1. Loomings.",
        "  Chapter Twenty-One: In Which It Rains",
        "CHAPTER I.\nDown the Rabbit-Hole",
        "Part One",
        "PROLOGUE",
        "Epilogue.",
        "Kapitel 3",
        "Chapitre XII — La mer",
        "Глава 5",
        "Chương 5 Người gác đèn",
        "第三章 风暴",
        "第十二回：海上",
        "제3장 바다",
        "บทที่ ๓",
        "الفصل 7",
    ],
)
def test_plain_headings(read: Reader, heading: str):
    """A chapter's heading in plain text has level 1, opens its section and ends the one before."""
    document = read(f"Before.\n\n{heading}\n\nAfter.")
    assert [segment.level for segment in document.segments] == [0, 1, 0]
    title = " ".join(heading.split())
    assert [segment.section for segment in document.segments] == ["", title, title]
    assert document.segments[0].boundary is Boundary.SECTION
    assert document.title == "text"


@pytest.mark.parametrize(
    "paragraph",
    [
        "Part one of the plan was simple.",
        "Chapter 5 John went home.",
        "Chapter and verse",
        "Book club",
        "The Introduction",
        "Act 2, he said, was the worst of all.",
        "Chapter 3\n" + "is where she stopped reading, for it had grown late and the lamp was low.\n" * 2,
        "Teil der Lösung",
        "第三者 说",
        "I",
    ],
)
def test_no_headings(read: Reader, paragraph: str):
    """What only begins like a heading is a paragraph."""
    assert {segment.level for segment in read(f"{paragraph}\n\nAfter.").segments} == {0}


def test_table_of_contents(read: Reader):
    """A table of contents is read, but heads no chapters."""
    entries = "Chapter 1. Sea\n\nChapter 2. Sky\n\nChapter 3. End\n\n"
    document = read(
        f"Contents\n\n{entries}Chapter 1. Sea\n\nIt was deep.\n\nPart Two\n\nChapter 2. Sky\n\nIt was high."
    )
    assert [s.text for s in document.segments if s.level] == ["Chapter 1. Sea", "Part Two", "Chapter 2. Sky"]
    assert texts(document).count("Chapter 2. Sky") == 2


def test_gutenberg(read: Reader):
    """Project Gutenberg's header and footer are cut, whole and on their lines; the title is taken from them."""
    head = (
        "The Project Gutenberg eBook\n\nTitle: A Sea Tale\n\n*** START OF THE PROJECT GUTENBERG EBOOK A SEA TALE ***\n"
    )
    foot = (
        "End of Project Gutenberg's A Sea\nTale, by Me\n\n*** END OF THIS PROJECT GUTENBERG EBOOK A SEA TALE ***\nLaw"
    )
    document = read(f"{head}\n\nCHAPTER I\n\nThe sea.\n\n{foot}")
    assert [(s.line, s.text) for s in document.segments] == [(8, "CHAPTER I"), (10, "The sea.")]
    assert document.title == "A Sea Tale"
    assert [(o.line, o.disposition, o.text) for o in document.omissions] == [
        (1, "omitted", normalise(head)),
        (12, "omitted", normalise(foot)),
    ]


def test_gutenberg_marks_inside_a_text(read: Reader):
    """A line that only mentions Project Gutenberg cuts nothing."""
    text = "The *** START OF THE PROJECT GUTENBERG EBOOK mark.\n\nEnd of Project Gutenberg's day, I wrote on.\n\nMore."
    assert len(texts(read(text))) == 3


def test_form_feed(read: Reader):
    """A form feed ends a paragraph, but no line."""
    document = read("one\ntwo\fthree\n\n\ffour")
    assert [(s.line, s.text) for s in document.segments] == [(1, "one two"), (2, "three"), (4, "four")]


LINE = st.text(
    st.sampled_from(
        "ab Zé7.,!?“”-*#_~ \t\u00a0\u3000\u2028中か한กعש\u0301\u0323\u200b\u200d\u200e\u00ad\ufeff\u202e🙂👩\x01\x85"
    ),
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(LINE, max_size=20), st.sampled_from(["\n", "\r\n", "\r"]))
def test_nothing_is_lost(read: Reader, lines: list[str], newline: str):
    """All that is visible in a source stands in its segments and omissions, in order, however its lines end."""
    document = read(newline.join([*lines, "", "end"]))
    assert document.segments == read("\n".join([*lines, "", "end"])).segments
    # Spelt out, and not by the parser's own pattern.
    visible = [
        character
        for line in lines
        for character in line
        if not character.isspace()
        and (unicodedata.category(character) not in {"Cc", "Cf"} or character in "\u200c\u200d")
    ]
    kept = "".join(text for _, text in by_line(document)).replace(" ", "")
    assert unicodedata.normalize("NFC", kept) == unicodedata.normalize("NFC", "".join(visible) + "end")


@settings(max_examples=100, deadline=None)
@given(st.lists(LINE, max_size=20))
def test_segments_are_clean(read: Reader, lines: list[str]):
    """A segment holds something to speak, on one line, without controls, and lines only go up."""
    document = read("\n".join([*lines, "", "end"]))
    for segment in document.segments:
        assert any(unicodedata.category(character)[0] in "LN" for character in segment.text)
        assert segment.text == " ".join(segment.text.split()) == unicodedata.normalize("NFC", segment.text)
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\ufffd]", segment.text)
    numbers = [segment.line for segment in document.segments]
    assert numbers == sorted(set(numbers))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=12),
    st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=60, max_size=60),
)
def test_line_numbers(read: Reader, shape: list[tuple[int, int]], newlines: list[str]):
    """Each paragraph stands on its line of the file, whatever ends the lines, even mixed."""
    lines: list[str] = []
    expected = []
    for index, (height, gap) in enumerate(shape):
        expected.append(len(lines) + 1)
        # The space keeps a CR and an LF after it from being one line end, as they would be in an editor too.
        lines += [f"paragraph {index}"] * height + [" "] * gap
    document = read("".join(line + end for line, end in zip(lines, newlines * 2, strict=False)))
    assert [segment.line for segment in document.segments] == expected


# --- Markdown

MARKDOWN = [
    # text, spoken, not spoken
    ("A [link](https://e.org 'title') here", ["A link here"], []),
    ("A [link][r] here\n\n[r]: https://e.org\n[r]: twice", ["A link here"], ["[r]: https://e.org", "[r]: twice"]),
    ("See <https://e.org/a_b> now", ["See https://e.org/a_b now"], []),
    ("An ![old lamp](lamp.png) shone", ["An shone"], ["old lamp"]),
    ("![](lamp.png)\n\nx", ["x"], ["lamp.png"]),
    ("un*frigging*believable, **so** _it_ ~~was~~ is", ["unfriggingbelievable, so it was is"], []),
    ("snake_case_name and 2 * 3 * 4", ["snake_case_name and 2 * 3 * 4"], []),
    ("Press `Ctrl_C` now", ["Press Ctrl_C now"], []),
    ("Say:\n\n```py\nprint(1)\n\nx\n```\n\nDone", ["Say:", "Done"], ["print(1) x"]),
    ("Say:\n\n    indented()\n\nDone", ["Say:", "Done"], ["indented()"]),
    ("A\n\n<div>\nhidden\n</div>\n\nB", ["A", "B"], ["<div> hidden </div>"]),
    ("w<b>or</b>d<br>two <!-- note -->", ["word two"], ["<b>", "</b>", "<br>", "<!-- note -->"]),
    ("soft\nbreak and hard\\\nbreak and  \nspaces", ["soft break and hard break and spaces"], []),
    (r"\*not\* \# escaped &amp; &eacute; &#8203;x", ["*not* # escaped & é x"], []),
    (
        "- one\n- two\n  - inner\n    text\n\n  more\n1. first\n2. second",
        ["one", "two", "inner text", "more", "first", "second"],
        [],
    ),
    ("> quoted\n> line\n>\n> > deeper", ["quoted line", "deeper"], []),
    ("| a | b |\n|:--|--:|\n| c *d* | `e` \\| f |\n| g | |", ["a, b", "c d, e | f", "g"], []),
    ("before\n\n***\n\nafter\n\n\\* \\* \\*\n\nend", ["before", "after", "end"], ["***", "* * *"]),
    ("1. one\n2. ***\n\n> two\n> ___", ["one", "two"], ["***", "___"]),
    ("# ![logo](x.png)\n\ntext", ["text"], ["logo"]),
    ("第一行\n第二行", ["第一行第二行"], []),
]


@pytest.mark.parametrize(("text", "spoken", "unspoken"), MARKDOWN)
def test_markdown(read: Reader, text: str, spoken: list[str], unspoken: list[str]):
    """Text is spoken, marks are not, and what is left out is told of."""
    document = read(text, "text.md")
    assert texts(document) == spoken
    assert [omission.text for omission in document.omissions] == unspoken


def test_markdown_structure(read: Reader):
    """Headings of both kinds give levels, sections and boundaries; every line number is the editor's."""
    text = (
        "Intro.\n\nTitle\n=====\n\nOne.\n\n## Sub *two* ##\n\n- a\n- b\n\n---\n\nTwo\nlines.\n\n| h |\n|---|\n| c |\n"
    )
    document = read(text, "text.markdown")
    assert [(s.line, s.level, s.section, s.text) for s in document.segments] == [
        (1, 0, "", "Intro."),
        (3, 1, "Title", "Title"),
        (6, 0, "Title", "One."),
        (8, 2, "Sub two", "Sub two"),
        (10, 0, "Sub two", "a"),
        (11, 0, "Sub two", "b"),
        (15, 0, "Sub two", "Two lines."),
        (18, 0, "Sub two", "h"),
        (20, 0, "Sub two", "c"),
    ]
    assert [s.line for s in document.segments if s.boundary is Boundary.SECTION] == [1, 6, 11]
    assert document.title == "Title"
    assert read(text.replace("\n", "\r\n"), "text.md").segments == document.segments


@pytest.mark.parametrize(
    ("front", "title"),
    [
        ("---\ntitle: 'A: tale'\nauthor: x\n---\n", "A: tale"),
        ("---\n# a comment\n\nauthor: x\ntags:\n  - title: no\n...\n", "Head"),
        ('+++\ntitle = "A tale"\n+++\n', "A tale"),
    ],
)
def test_front_matter(read: Reader, front: str, title: str):
    """Front matter is not spoken, may give the title, and moves no line."""
    document = read(f"{front}\n# Head\n\ntitle: not this\n\n---\n\nEnd.", "text.md")
    height = front.count("\n")
    assert [(s.line, s.text) for s in document.segments] == [
        (height + 2, "Head"),
        (height + 4, "title: not this"),
        (height + 8, "End."),
    ]
    cut = document.omissions[0]
    assert (cut.line, cut.reason, cut.text) == (1, "front matter", normalise(front))
    assert document.title == title


def test_no_front_matter(read: Reader):
    """A thematic break at the head of a text hides nothing."""
    assert texts(read("---\n\nHello there\n\n---\n\nEnd.", "text.md")) == ["Hello there", "End."]


WORD = st.text(st.sampled_from(string.ascii_lowercase), min_size=4, max_size=4).map("w{}".format)
BLOCKS = ["{}", "# {}", "- {}\n- {}", "> {}\n{}", "1. {}\n\n   > {}", "*{}* **{}**", "[{}](u) `{}`", "```\n{}\n```"]
TABLES = [
    "| {} | {} |\n|---|---|\n| {} | {} |",
    "<p>\n{}\n</p>",
    "![{}](u) {}",
    "{}\n===",
    "***\n\n{}",
    "~~{}~~ <i>{}</i>",
]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(BLOCKS + TABLES), min_size=1, max_size=12), st.data())
def test_markdown_loses_nothing(read: Reader, blocks: list[str], data: st.DataObject):
    """Every word of a Markdown text is spoken or told of, once."""
    markdown = "\n\n".join(blocks)
    words = data.draw(st.lists(WORD, min_size=markdown.count("{}"), max_size=markdown.count("{}"), unique=True))
    document = read("Hi.\n\n" + markdown.format(*words), "text.md")
    found = re.findall("w[a-z]{4}", " ".join(text for _, text in by_line(document)))
    assert sorted(found) == sorted(words)


def test_deep_markdown(read: Reader):
    """Nesting that would lose text is refused; less is read."""
    assert texts(read(">" * 60 + " deep", "text.md")) == ["deep"]
    with pytest.raises(BadInput, match=r"text\.md, line 3: .* nest too deep"):
        read("Hi.\n\n" + ">" * 2000 + " deep", "text.md")


def test_example():
    """The example is heard whole: its title, chapters and scene break, and only the front matter is left out."""
    document = read_document(str(EXAMPLE))
    assert document.title == "The Lighthouse Post"
    assert [segment.level for segment in document.segments if segment.level] == [1, 2, 2, 2, 2]
    assert [omission.reason for omission in document.omissions] == ["front matter", "scene break"]
    assert 1300 < sum(len(text.split()) for text in texts(document)) < 1700
    assert asyncio.run(parse.fn(str(EXAMPLE))) == document


# --- encodings

FRENCH = (
    "Le vieux gardien monta l’escalier du phare, une lampe à la main. « Où êtes-vous ? » cria-t-il, mais le vent "
    "emporta sa voix. À Noël, la mer était calme et les bateaux rentraient à l’aube. Sa sœur préparait du café fort."
)
RUSSIAN = (
    "Старый смотритель поднялся по лестнице маяка с лампой в руке. «Где вы?» — крикнул он, но ветер унёс его голос. "
    "На Рождество море было спокойным, и лодки возвращались на рассвете, полные рыбы."
)
CHINESE = "老守塔人提着灯走上灯塔的楼梯。“你们在哪里？”他喊道，可是风带走了他的声音。他的妹妹煮了很浓的咖啡。"
JAPANESE = "年老いた灯台守はランプを手に階段を上った。「どこにいるんだ」と彼は叫んだが、風が声を運び去った。"
VIETNAMESE = (
    "Người gác hải đăng già bước lên cầu thang, tay cầm một ngọn đèn. Vào dịp Giáng sinh, biển lặng và thuyền trở về."
)
THAI = "คนเฝ้าประภาคารชราเดินขึ้นบันไดพร้อมตะเกียงในมือ เขาตะโกนว่าอยู่ที่ไหนกัน แต่ลมพัดเสียงของเขาหายไป"


def in_cp1258(text: str) -> bytes:
    """The page has letters, and the five tones as marks that follow them."""
    split = []
    for letter in text:
        parts = unicodedata.normalize("NFD", letter)
        tones = "".join(mark for mark in parts if mark in "\u0300\u0301\u0303\u0309\u0323")
        split.append(unicodedata.normalize("NFC", "".join(mark for mark in parts if mark not in tones)) + tones)
    return "".join(split).encode("cp1258")


@pytest.mark.parametrize(
    ("text", "data", "encoding"),
    [
        (FRENCH, FRENCH.encode(), "utf-8"),
        (FRENCH, FRENCH.encode("utf-8-sig"), "utf-8"),
        (FRENCH, FRENCH.encode("utf-16"), "utf-16-le"),
        (FRENCH, b"\xfe\xff" + FRENCH.encode("utf-16-be"), "utf-16-be"),
        (FRENCH, FRENCH.encode("utf-32"), "utf-32-le"),
        (FRENCH, FRENCH.encode("utf-16-le"), "utf-16-le"),
        (RUSSIAN, RUSSIAN.encode("utf-16-be"), "utf-16-be"),
        (CHINESE + " A", (CHINESE + " A").encode("utf-16-le"), "utf-16-le"),
        (THAI, THAI.encode("utf-16-be"), "utf-16-be"),
        (FRENCH, FRENCH.encode("cp1252"), "cp1252"),
        (FRENCH.replace("œ", "oe"), FRENCH.replace("œ", "oe").encode("mac_roman"), "mac-roman"),
        (RUSSIAN, RUSSIAN.encode("cp1251"), "cp1251"),
        (RUSSIAN, RUSSIAN.encode("koi8_r", "replace"), "koi8-r"),
        (CHINESE, CHINESE.encode("gbk"), "gb18030"),
        (JAPANESE, JAPANESE.encode("shift_jis"), "cp932"),
        (JAPANESE, JAPANESE.encode("euc_jp"), "euc_jis_2004"),
        (VIETNAMESE, in_cp1258(VIETNAMESE), "cp1258"),
        (THAI, THAI.encode("tis_620"), "cp874"),
    ],
)
def test_encodings(read: Reader, text: str, data: bytes, encoding: str):
    """Unicode with or without its mark is read, and so is an old code page that can be told."""
    document = read(data)
    assert texts(document) == [normalise(data.decode("koi8_r") if encoding == "koi8-r" else text)]
    assert document.encoding == encoding


def test_late_accent(read: Reader):
    """A code page is told from the lines that show it, however late they come."""
    plain = "Nothing to see on this line.\n" * 20_000
    assert FRENCH[:40] in texts(read((plain + "\n" + FRENCH).encode("cp1252")))[-1]


@pytest.mark.parametrize(
    ("data", "guess"),
    [
        (b"The price was \xa33.50 for caf\xe9 au lait.", "cp1252"),
        (b"na\xefve", "save it as UTF-8"),
        (bytes(range(128, 256)) * 9, "save it as UTF-8"),
        ("Žluťoučký kůň úpěl ďábelské ódy, a příšerně žádal žábu.".encode("iso8859_2"), "iso8859-2"),
    ],
)
def test_uncertain_encodings(read: Reader, data: bytes, guess: str):
    """A code page that cannot be told for certain is refused with the guess and the remedy."""
    with pytest.raises(BadInput, match=f"is not UTF-8 .*{guess}") as refused:
        read(data)
    assert "save it as UTF-8" in str(refused.value)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ("fine\r\rhere \ufffd".encode(), "line 3: holds U+FFFD"),
        ("Déjà vu, très loin.\n".encode() * 9 + b"caf\xc3", "line 10: the UTF-8 is damaged"),
        ("été\n".encode() * 9 + b"caf\xe9 " + "été\n".encode() * 9, "line 10: the UTF-8 is damaged"),
        (b"\xff\xfea\0\n\0\x00\xd8b\0", "line 2: is not the utf-16-le it seems to be"),
        (b"\xef\xbb\xbfok\nno\xff", "line 2: is not the utf-8 it seems to be"),
        (b"\xff\xfea\0\0\0b\0", "line 1: holds U+0000"),
        (b"red \x1b[31mtext\x1b[0m", "line 1: holds U+001B"),
        (b"\xed\xa0\x80 lone", "is not UTF-8"),
    ],
)
def test_lost_characters(read: Reader, data: bytes, complaint: str):
    """A character that is lost or was never one is refused on its line."""
    with pytest.raises(BadInput, match=re.escape(complaint)):
        read(data)


def test_lost_characters_in_entities(read: Reader):
    """Markdown's entities cannot bring back what is refused."""
    for entity in ("&#0;", "&#xFFFD;", "&#xD800;"):
        with pytest.raises(BadInput, match="line 3: holds U\\+FFFD"):
            read(f"Hi.\n\nbad {entity}\n", "text.md")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(read: Reader, data: bytes):
    """Whatever the bytes, there is a Document without a lost character, or one line that refuses them."""
    try:
        outcome = by_line(read(data))
    except BadInput as refused:
        outcome = [(0, str(refused))]
    assert outcome
    assert not re.search("[\n\0\ufffd\ud800-\udfff]", "".join(text for _, text in outcome))


# --- bad input


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is empty (0 bytes)"),
        (b" \n\t\r\n\xe2\x80\x83\xef\xbb\xbf", "holds only white space"),
        ("🙂 ♪\n\n***".encode(), "nothing to speak (line 1: no letter or digit to speak)"),
        (b"%PDF-1.7\n", "is a PDF: convert it"),
        (b"{\\rtf1 hello}", "is an RTF document"),
        (b"\n<!DOCTYPE html>\n<p>hi", "is an HTML page"),
        (b"PK\x03\x04\x14\0", "is a ZIP archive"),
        (b"\x89PNG\r\n\x1a\n\0", "is a picture"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "is a sound file"),
        (b"ID3\x04\0\0", "is a sound file"),
        (b"\x7fELF\x02\x01", "is a program"),
        (b"text\0text with a NUL in the middle of it", "holds NUL bytes"),
        (bytes(range(256)), "holds NUL bytes"),
    ],
)
def test_no_text(read: Reader, data: bytes, complaint: str):
    """What is no text, or has nothing to speak, is refused in one line that says what it is."""
    with pytest.raises(BadInput, match=re.escape(complaint)) as refused:
        read(data)
    assert "text.txt" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_only_code(read: Reader):
    """Markdown of which nothing is spoken is refused with the reason."""
    with pytest.raises(BadInput, match=r"nothing to speak \(line 2: code\)"):
        read("\n```\ncode\n```\n", "text.md")


def test_too_large(tmp_path: Path):
    """More than 100 MB is refused, before it is decoded."""
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(BadInput, match=r"large\.txt is larger than 100 MB: split it"):
        read_document(str(path))


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A path that cannot be read is refused by name; `~` is the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "here.txt").write_text("Here.")
    assert texts(read_document("~/here.txt")) == ["Here."]
    for source, complaint in {
        str(tmp_path / "nowhere.txt"): "was not found",
        str(tmp_path): "is a folder",
        str(tmp_path / "here.txt" / "below"): r"cannot be read \(Not a directory\)",
        "~no-such-user/text.txt": "cannot be read",
        "a\0b": "cannot be read",
        "": "no source is named",
    }.items():
        with pytest.raises(BadInput, match=complaint):
            read_document(source)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are POSIX's")
def test_permission(tmp_path: Path):
    """A file that may not be read is refused by name. Root reads everything, so it becomes nobody for a moment."""
    path = tmp_path / "private.txt"
    path.write_text("Secret.")
    path.chmod(0)
    with nobody(), pytest.raises(BadInput, match=r"private\.txt may not be read: check its permissions"):
        read_document(str(path))


@contextmanager
def nobody() -> Iterator[None]:
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


# --- URLs


class Bucket(BaseHTTPRequestHandler):
    """As much of a web server, and of S3, as reading one object takes."""

    objects: ClassVar = {"/bucket/tale.md": b"# Tale\n\nThe sea.\n"}
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        body = self.objects.get(self.path.split("?")[0], b"")
        status = 403 if "private" in self.path else 200 if body else 404
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.objects.get(self.path.split("?")[0], b""))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as httpd:
        Thread(target=httpd.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{httpd.server_port}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        yield address
        httpd.shutdown()


def test_urls(server: str, tmp_path: Path):
    """A text is read from file://, memory://, http:// and s3://, and its suffix counts there too."""
    (tmp_path / "ein Märchen.md").write_text("# Tale\n\nThe sea.\n")
    fsspec.filesystem("memory").pipe("/tale.md", b"# Tale\n\nThe sea.\n")
    for source in (
        (tmp_path / "ein Märchen.md").as_uri(),
        "memory://tale.md",
        f"{server}/bucket/tale.md?version=1",
        "s3://bucket/tale.md",
    ):
        document = read_document(source)
        assert (document.source, document.title, texts(document)) == (source, "Tale", ["Tale", "The sea."])


def test_unreadable_urls(server: str, tmp_path: Path):
    """A URL that cannot be read is refused in one line with the reason."""
    for source, complaint in {
        (tmp_path / "nowhere.txt").as_uri(): "was not found",
        tmp_path.as_uri(): "is a folder",
        "memory://nowhere.txt": "was not found",
        f"{server}/bucket/nowhere.txt": "was not found",
        "s3://bucket/nowhere.txt": "was not found",
        "s3://bucket/private.txt": "may not be read: check its permissions, or the credentials",
        "s3://": "cannot be read",
        "ftps-but-not-really://host/text.txt": "Protocol not known: ftps-but-not-really",
    }.items():
        with pytest.raises(BadInput, match=complaint) as refused:
            read_document(source)
        assert "\n" not in str(refused.value)


def test_s3_without_credentials(server: str, monkeypatch: pytest.MonkeyPatch):
    """Missing credentials are told in one line."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(BadInput, match=r"locate credentials\): check the address, the network and the credentials"):
        read_document("s3://bucket/tale.md")
    assert server


# --- size


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    ["word, " * 400_000, "\n" * 1_000_000, " " * 2_000_000, "* " * 1_000_000, "a\u00ad  " * 500_000, "中  " * 500_000],
    ids=["one line", "blank lines", "spaces", "marks", "soft hyphens", "ideographs"],
)
def test_large_texts(read: Reader, text: str):
    """Megabytes of one thing take seconds: no rule goes over them twice for each character."""
    assert texts(read(f"Begin.\n\n{text}\n\nend"))[-1] == "end"
    assert texts(read(f"Begin.\n\n{text}\n\nend", "text.md"))[-1] == "end"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("s3://books/Chapter #1.txt", "Chapter #1.txt"),
        ("s3://books/what?.md", "what?.md"),
        ("https://host/a/book.md?download=1#top", "book.md"),
        ("a#b.txt", "a#b.txt"),
    ],
)
def test_the_name_of_a_source(source: str, name: str) -> None:
    """Only a page on the web has a query and a fragment: elsewhere two names that differ in them are two names."""
    assert name_of(source).name == name
