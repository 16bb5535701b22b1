"""Texts of many scripts, and what every piece of them must keep."""

# ruff: noqa: RUF001 - letters and marks that look like others are what these tests are about

import unicodedata

import regex
from hypothesis import strategies as st

from blocks.speech import Limits
from tasks.chunk import split_text
from tasks.document import Boundary

FAMILY = "👨‍👩‍👧‍👦"

WORDS = st.sampled_from(
    (
        *("Dr.", "e.g.", "St.", "J.", "TP.", "Rp.", "No.", "fox", "house", "it's", "well-known", "naïve", "II-"),
        *("3.50", "1,000", "10:05", "$5", "½", "https://example.com/a?b=c&d=e", "a@b.org", "x" * 90, "Donau" * 12),
        *("汉字", "你好", "坊っちゃん", "カタカナ", "한국어", "हिन्दी", "क्षत्रिय", "தமிழ்", "Việt", "Đặng", "Ω̂"),
        *("สวัสดีครับ", "ភាសាខ្មែរ", "ພາສາລາວ", "မြန်မာ", "བོད་ཡིག", "…", "*", "—"),
        *("العربية", "مَدْرَسَة", "שלום", "עִבְרִית", "\u200fab\u200e"),
        *(FAMILY, "🇻🇳🇫🇷", "👍🏽", "1️⃣", "⁉️", "🙂", "e\u0301\u0302\u0323", "Z̴͚̿a̸", "\u1112\u1161\u11ab"),
    )
)
SEPARATORS = st.sampled_from(
    (
        *[" "] * 8,
        *("", ", ", ". ", "! ", "? ", "; ", ": ", "—", " – ", "…", "。", "，", "、", "！”", "؟ ", "، ", "। ", "။"),
        *(" “", "” ", " ‘", "’ ", ' "', '" ', " «", "» ", "「", "」", "『", "』"),
        *(" (", ") ", ".) ", ".” ", "\u200b", "་"),
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


def pieces(text: str, characters: int, language: str = "en", octets: int = 10_000) -> list[str]:
    return [piece for piece, _ in split_text(text, Limits(characters, octets), language, Boundary.PARAGRAPH)]
