"""What becomes of subtitles: every cue is spoken in its window or told of, and a time is never spoken."""

# ruff: noqa: RUF001 - several scripts are what is read

import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path

import pysrt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.speech import BadInput
from tasks.document import Boundary, Document, Omission, Segment
from tasks.parse import read_document
from tasks.subtitles import check_apart, check_strict, read_subtitles

T, U = "00:00:01,000 --> 00:00:02,000", "00:00:04,000 --> 00:00:06,000"
Reader = Callable[..., Document]


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Reads a text, or bytes as they are, from a file of that name."""
    folder = tmp_path_factory.mktemp("subtitles")

    def read_file(text: str | bytes, name: str = "film.srt", speakers: tuple[str, ...] = ()) -> Document:
        path = folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_document(str(path), None, speakers)

    return read_file


def told(document: Document) -> list[tuple[int, str, str]]:
    """Each piece: its line, its text, and what becomes of it."""
    spoken = [(s.line, s.text, "repaired" if s.repair else "spoken") for s in document.segments]
    return sorted([*spoken, *((o.line, o.text, o.disposition) for o in document.omissions)])


def windows(document: Document) -> list[tuple[int, int, int]]:
    return [(s.window.start_ms, s.window.end_ms, s.window.index) for s in document.segments if s.window]


def test_cues(read: Reader):
    """Each cue is a segment with its window, on the line of its number; the title is the file's name."""
    document = read(f"1\n{T}\nHello\nthere\n\n2\n{U}\n第一行\n第二行\n")
    assert told(document) == [(1, "Hello there", "spoken"), (6, "第一行第二行", "spoken")]
    assert windows(document) == [(1000, 2000, 1), (4000, 6000, 2)]
    assert {segment.boundary for segment in document.segments} == {Boundary.PARAGRAPH}
    assert document.title == "film"
    assert document.timed


FAULTS = {
    "no newline at the end": (f"1\n{T}\nA\n\n2\n{U}\nB", [(1, "A", "spoken"), (5, "B", "spoken")]),
    "no numbers": (f"{T}\nA\n\n{U}\nB", [(1, "A", "spoken"), (4, "B", "spoken")]),
    "one number twice": (f"7\n{T}\nA\n\n7\n{U}\nB", [(1, "A", "spoken"), (5, "B", "spoken")]),
    "a word for a number": (f"x1\n{T}\nA", [(1, "A", "spoken"), (1, "x1", "omitted")]),
    "out of order": (f"2\n{U}\nB\n\n1\n{T}\nA", [(1, "B", "spoken"), (5, "A", "spoken")]),
    "numbers as text": (
        f"1\n{T}\n1984\n\n2\n{U}\n3\n\n3\n{U}\n42",
        [(1, "1984", "spoken"), (5, "3", "spoken"), (9, "42", "spoken")],
    ),
    "no blank line": (f"1\n{T}\nA\n2\n{U}\nB", [(1, "A", "spoken"), (4, "B", "repaired")]),
    "no blank line, no text": (f"1\n{T}\n2\n{U}\nB", [(1, "", "empty"), (3, "B", "repaired")]),
    "no blank line, no numbers": (f"{T}\n42\n{U}\nB", [(1, "42", "spoken"), (3, "B", "repaired")]),
    "a blank line inside": (f"1\n{T}\nA\n\nB\n\n2\n{U}\nC", [(1, "A B", "repaired"), (7, "C", "spoken")]),
    "a blank line below each": (f"1\n\n{T}\n\nA\n\n2\n\n{U}\n\nB\n", [(1, "A", "repaired"), (7, "B", "repaired")]),
    "a line of spaces": (f"1\n{T}\n \nA\n \n2\n{U}\nB", [(1, "A", "spoken"), (6, "B", "spoken")]),
    "empty": (f"1\n{T}\n\n2\n{U}\nB", [(1, "", "empty"), (4, "B", "spoken")]),
    "settings": (f"1\n{T} X1:10 X2:20\nA", [(1, "A", "spoken")]),
    "words on the line of time": (f"1\n{T} Hello\nA", [(1, "Hello A", "repaired")]),
    "text before the first": (f"By me\n\n1\n{T}\nA", [(1, "By me", "omitted"), (3, "A", "spoken")]),
    "a time that cannot be read": (
        f"1\n{T}\nA\n\n2\n00:00:xx --> 00:00:04,000\nB\n\n3\n{U}\nC",
        [(1, "A", "spoken"), (5, "B", "refused"), (9, "C", "spoken")],
    ),
    "one time": (f"1\n{T}\nA\n\n2\n00:00:02,000 -->\nB", [(1, "A", "spoken"), (5, "B", "refused")]),
    "no line of time": (
        f"1\n{T}\nA\n\n2\nB\n\n3\n{U}\nC",
        [(1, "A", "spoken"), (5, "B", "refused"), (8, "C", "spoken")],
    ),
    "the same twice": (
        f"1\n{T}\nA\n\n2\n{T}\n<i>A</i>\n\n3\n{U}\nA",
        [(1, "A", "spoken"), (5, "<i>A</i>", "merged"), (9, "A", "spoken")],
    ),
}


@pytest.mark.parametrize(("source", "pieces"), FAULTS.values(), ids=FAULTS)
def test_faults_of_a_file(read: Reader, source: str, pieces: list[tuple[int, str, str]]):
    """However a file is written, each cue is spoken, or told of with its line, and none is glued to another."""
    document = read(source)
    assert told(document) == pieces
    assert not any("-->" in segment.text for segment in document.segments)


@pytest.mark.parametrize(
    ("time", "window"),
    [
        ("00:00:01.000 --> 00:00:02.500", (1000, 2500)),
        ("0:00:01,5-->0:00:02,25", (1500, 2250)),
        ("100:00:01,000 --> 100:00:02,000", (360_001_000, 360_002_000)),
        ("25:00:01,000 -> 25:00:02,000", (90_001_000, 90_002_000)),
        ("00: 00: 01, 000 --> 00: 00: 02, 000", (1000, 2000)),
        ("00:01.000 --> 00:02.000 align:start position:0%", (1000, 2000)),
        ("00:00:01:000 –> 00:00:02:000", (1000, 2000)),
        ("\u200e00:00:01,000 --> 00:00:02,000", (1000, 2000)),
    ],
)
def test_times(read: Reader, time: str, window: tuple[int, int]):
    """Other ways to write a time are read, and are no fault."""
    document = read(f"1\n{time}\nA")
    assert windows(document) == [(*window, 1)]
    assert told(document) == [(1, "A", "spoken")]


@pytest.mark.parametrize(
    ("time", "window", "repair"),
    [
        ("00:00:03,000 --> 00:00:03,000", (3000, 4000), "ended before"),
        ("00:00:03,000 --> 00:00:01,000", (3000, 4000), "ended before"),
        ("00:00:09,000 --> 00:00:01,000", (9000, 14000), "ended before"),
        ("00:00:03,5 --> 00:00:05,000", (3500, 5000), "fewer digits"),
        ("00:00:61,000 --> 00:00:62,000", (61000, 62000), "above 59"),
        ("00:00:01,000 00:00:02,000", (1000, 2000), "no arrow"),
        ("-00:00:01,000 --> 00:00:02,000", (0, 2000), "before 0"),
    ],
)
def test_mended_windows(read: Reader, time: str, window: tuple[int, int], repair: str):
    """A window that was guessed is told as a repair: one without an end lasts to the next start, at most 5 s."""
    document = read(f"1\n{time}\nA\n\n2\n{U}\nB")
    assert windows(document)[0] == (*window, 1)
    assert repair in document.segments[0].repair
    with pytest.raises(BadInput, match=rf"film.srt, line 1: .*{repair}.*; 1 cue is .*--strict"):
        check_strict(document)


def test_strict_counts_what_is_refused(read: Reader):
    """Strictness lets pass what needs no repair, and nothing that could not be read."""
    check_strict(read(f"9\n{T}\nA\n\n{U}\n[music]"))
    with pytest.raises(BadInput, match=r"line 5: .*'00:00:0x --> 1'.*; 1 cue is"):
        check_strict(read(f"1\n{T}\nA\n\n2\n00:00:0x --> 1\nB"))


def test_overlaps(read: Reader):
    """Cues at one time are found wherever they stand; two speakers of one cue are none, nor is a cue without words."""
    check_apart(read(f"1\n{T}\nANNA: A\nBOB: B\n\n2\n{T}\n[music]\n\n3\n{U}\nC"))
    with pytest.raises(BadInput, match="lines 1 and 9 are shown at the same time"):
        check_apart(read(f"1\n00:00:00,000 --> 00:01:00,000\nA\n\n2\n00:02:00,000 --> 00:02:01,000\nB\n\n3\n{U}\nC"))


def test_empty_cues(read: Reader):
    """A cue with nothing to say is told of, with its window and why."""
    texts = {"♪": "music", "[music]": "brackets", "…": "no letter", "🙂": "no letter", "<i> </i>": "no words"}
    document = read("".join(f"{U}\n{text}\n\n" for text in texts) + f"{T}\nHello")
    for index, (omission, reason) in enumerate(zip(document.omissions, texts.values(), strict=True), start=1):
        assert omission.disposition == "empty"
        assert reason in omission.reason
        assert omission.window
        assert omission.window.index == index


def test_webvtt(read: Reader):
    """Notes, styles and headers are told of; names of cues, settings and hours left out are no matter."""
    source = (
        "WEBVTT - A film\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:9\n\nSTYLE\n::cue { color: red }\n\n"
        "NOTE by me\n\nthe first\n00:01.000 --> 00:02.000 line:0\n<v.loud Anna>Hi</v>\n<v Bob>Hello</v>\n\n"
        "NOTE\nnothing\n\n00:03.000 --> 00:04.000\nNOTE well"
    )
    document = read(source, "film.vtt")
    assert [(s.line, s.text, s.speaker, s.repair) for s in document.segments] == [
        (9, "Hi", "Anna", ""),
        (9, "Hello", "Bob", ""),
        (17, "NOTE well", "", ""),
    ]
    assert windows(document) == [(1000, 2000, 1), (1000, 2000, 1), (3000, 4000, 2)]
    assert [(o.line, o.reason) for o in document.omissions] == [(1, "header"), (4, "style"), (7, "note"), (14, "note")]


ROLLING = [
    ("hello<00:00:00.500><c> world</c>", "hello world", "spoken"),
    ("hello world\n ", "", "merged"),
    ("hello world\nthis<00:00:01.500><c> is</c> new", "this is new", "spoken"),
    ("this is new", "", "merged"),
]


@pytest.mark.parametrize("timed", [True, False])
def test_captions_that_roll(read: Reader, *, timed: bool):
    """Words that a cue repeats from the one before are said once, with times in them or without."""
    raws = [raw if timed else re.sub("<[^>]*>", "", raw) for raw, *_ in ROLLING]
    document = read(
        "WEBVTT\n\n" + "".join(f"00:0{n}.000 --> 00:0{n + 1}.000\n{raw}\n\n" for n, raw in enumerate(raws)), "a.vtt"
    )
    assert [s.text for s in document.segments] == [text for _, text, _ in ROLLING if text]
    assert [o.disposition for o in document.omissions] == ["omitted", "merged", "merged"]
    assert bool(document.segments[1].repair) is not timed


def test_a_refrain_stays(read: Reader):
    """What is sung again is spoken again."""
    song = ["La la", "La la", "Home again", "Home again", "La la", "La la"]
    document = read("".join(f"00:00:0{n},000 --> 00:00:0{n + 1},000\n{line}\n\n" for n, line in enumerate(song)))
    assert [segment.text for segment in document.segments] == song


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("Once upon a time.", "holds no cue .line 1 is 'Once.*name the file .txt"),
        ("{1}{25}Hello", "MicroDVD"),
        ("[Script Info]\nTitle: x", "ASS"),
        ("\n\n \n", "only white space"),
        (f"1\n{T}\n[music]", r"nothing to speak .line 1: only what nobody says"),
        (b"\0\0\0\x20ftypisom" + bytes(100), "a video or sound file"),
        (b"ID3\x04" + bytes(100), "a sound file"),
    ],
)
def test_no_subtitles(read: Reader, source: str | bytes, said: str):
    """What holds no cue is named, with what to do."""
    with pytest.raises(BadInput, match=said):
        read(source)


@pytest.mark.parametrize(
    "junk", ["\n", " \n", "\r\n", "word word\n", "-->\n", "1\n\n", "<" * 79 + "\n", "-" * 79 + "\n"]
)
def test_junk_is_read_in_linear_time(junk: str):
    """1 MB of anything around a cue takes at most a few times as long as a quarter of it."""
    took = []
    for size in (250_000, 1_000_000):
        text = f"1\n{T}\nA\n\n" + junk * (size // len(junk))
        began = time.process_time()
        read_subtitles(text, "film.srt")
        took.append(time.process_time() - began)
    assert took[1] < 8 * took[0] + 0.5


VIETNAMESE = ["Tôi đi ra biên", "Anh có nghe không", "Cám on anh nhiêu", "Đêm qua rât lanh"]
CHINESE = [
    "你昨天晚上去哪儿了",
    "我到处找你",
    "灯塔在半夜熄灭了",
    "已经太晚了",
    "别担心，一切都会好的",
    "我们收到了你的信",
]


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-le", "cp1258", "gbk"])
def test_encodings(read: Reader, codec: str):
    """Among times and numbers in ASCII the code page is still told."""
    lines = VIETNAMESE if codec == "cp1258" else CHINESE
    source = "".join(
        f"{n}\r\n00:00:{n:02},000 --> 00:00:{n:02},900\r\n{lines[n % len(lines)]}\r\n\r\n" for n in range(1, 30)
    )
    document = read(source.encode(codec))
    assert [segment.text for segment in document.segments] == [lines[n % len(lines)] for n in range(1, 30)]


WORDS = st.text(st.sampled_from("abcĐéя字"), min_size=1, max_size=5)
TEXTS = st.lists(st.one_of(WORDS, st.sampled_from(["♪", "[bang]", "1984", "<i>", "- so", "42"])), max_size=4)
NUMBERS = st.sampled_from(["{}\n", "", "7\n", "{}\n", "\n{}\n"])
TIMES = st.sampled_from(
    [T, U, "0:1:2.5 --> 00:01:03.25", "00:00:05,000 --> 00:00:05,000", "00:xx:01,000 --> 00:00:02,000"]
)
ENDS = st.sampled_from(["\n\n", "\n", "\n\n\n", "\n \n"])
CUES = st.lists(st.tuples(NUMBERS, TIMES, TEXTS, st.sampled_from([" ", "\n"]), ENDS), min_size=1, max_size=8)


def written(cues: list[tuple[str, str, list[str], str, str]]) -> str:
    return "".join(
        f"{number.format(place)}{timing}\n{between.join(words)}{end}"
        for place, (number, timing, words, between, end) in enumerate(cues, start=1)
    )


@given(CUES)
def test_no_cue_is_lost(cues: list[tuple[str, str, list[str], str, str]]):
    """Each cue of a file with any faults is spoken or told of, once, and so is each of its letters."""
    pieces = read_subtitles(written(cues), "film.srt")
    refused = [piece for piece in pieces if isinstance(piece, Omission) and piece.disposition == "refused"]
    indices = [piece.window.index for piece in pieces if piece.window]
    assert len(set(indices)) + len(refused) == len(cues)
    assert indices == sorted(set(indices))
    said = "".join(f"{piece.text}{piece.unsaid}" if isinstance(piece, Segment) else piece.text for piece in pieces)
    letters = "".join(word for _, _, words, _, _ in cues for word in words).replace("<i>", "")
    assert sorted(filter(str.isalpha, said.replace("<i>", ""))) == sorted(filter(str.isalpha, letters))


@given(CUES, st.sampled_from(["\r\n", "\r"]))
def test_line_ends(
    tmp_path_factory: pytest.TempPathFactory, cues: list[tuple[str, str, list[str], str, str]], end: str
):
    """CRLF and CR give what LF gives, on the same lines."""
    text = f"{T}\nA\n\n{written(cues)}"
    path = Path(tmp_path_factory.mktemp("ends")) / "film.srt"
    path.write_bytes(text.encode())
    document = read_document(str(path))
    path.write_bytes(text.replace("\n", end).encode())
    other = read_document(str(path))
    assert (document.segments, document.omissions) == (other.segments, other.omissions)


@given(st.text(st.sampled_from("1 0:,.->\nab[]<{♪WEBVTT"), max_size=80), st.sampled_from(["a.srt", "a.vtt"]))
def test_any_text_is_read_or_refused(text: str, name: str):
    """No text breaks the reader."""
    assert read_subtitles(f"{T}\nA\n\n{text}", name)
    with contextlib.suppress(BadInput):
        read_subtitles(text, name)


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 9999), WORDS), min_size=1, max_size=9))
def test_pysrt_agrees(cues: list[tuple[int, int, str]]):
    """A file that pysrt writes is read as pysrt reads it."""
    items = [
        pysrt.SubRipItem(
            place, pysrt.SubRipTime.from_ordinal(start), pysrt.SubRipTime.from_ordinal(start + length), text
        )
        for place, (start, length, text) in enumerate(cues, start=1)
    ]
    text = "\n".join(map(str, items))
    pieces = read_subtitles(text, "film.srt")
    read = {piece.window.index: (piece.window.start_ms, piece.window.end_ms) for piece in pieces if piece.window}
    assert read == {item.index: (item.start.ordinal, item.end.ordinal) for item in pysrt.from_string(text)}
