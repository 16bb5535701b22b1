"""Where the sentences of a text end.

`sentencex` finds them. What stands here is what measuring it asked for: plain spaces, bounded windows, and a hand with
the abbreviations that it lacks. Only places are taken from it, so no answer of its can lose or alter a character.
"""

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache

import regex
import sentencex

# Characters that sentencex sees at a time. It takes the square of the quotations: 37 s for 400,000 of Chinese dialogue.
WINDOW = 2_000

# 1.0.32 panics where white space of several bytes stands between a capital and a full stop ("A\u00a0.").
_WHITE = regex.compile(r"\s")
_QUOTES = regex.compile(r"[\"'\p{Ps}\p{Pe}\p{Pi}\p{Pf}]")
_CLOSERS = regex.compile(r"(?<!\s)[\p{Pe}\p{Pf}]++\s*+")
_PARTICLE = r"(?<=[」』])[とっはがをにもでのな]"  # 「そうです。」と言った。
_NARRATED = regex.compile(rf"\p{{Pd}}?\s*+\p{{Ll}}|{_PARTICLE}")  # "Now!" he said.

# Only what sentencex splits, and only what hardly ever ends a sentence (so no "etc."); initials and numbers have rules.
_ABBREVIATIONS = {
    "cs": "nám|ul|sv",
    "da": "f.eks|kl|skt",
    "el": "αγ|δηλ",  # noqa: RUF001 - Greek
    "en": "approx|chap|chs?|eds?|vols?",
    "es": "dña",
    "fi": "hra|klo|ks|ns|tri",
    "fr": "dr|mgr|mlles?|mmes?|mr|ste?",
    "hi": "डॉ|प्रो|श्री",
    "hr": "gđa|npr|sv|tj|ul",
    "hu": "kb|szt",
    "id": "cv|ds|gg|hj|ir|jl|jln|kab|kec|kel|kh|kp|ny|prov|rp|sdr|tn|yth",
    "ms": "bhd|en|hj|jln|kg|pn|rm|sdn|tn",
    "nb": "dvs|f.eks|kl|skt",
    "nl": "mevr",
    "pl": "al|gen|im|inż|ks|m.in|św|tj|ul",
    "pt": "av|exa",
    "ro": "bd|dl|dna|ex|sf|str",
    "ru": "им|млн|рис|св",
    "sk": "nám|ul|sv",
    "sv": "kl|t.ex",
    "tl": "atty|bb|brgy|engr|gng|sta|sto",
    "tr": "av|cad|doç|mah|sn|sok|örn",
    "vi": "bs|cn|đg|gs|ks|ng|nxb|pgs|tp|ts|ths|tx",
}
# Where a full stop makes an ordinal: am 3. Oktober.
_ORDINALS = frozenset(("cs", "da", "de", "et", "fi", "hr", "hu", "nb", "nn", "no", "pl", "sk", "sl", "sr", "tr"))


def sentence_ends(text: str, language: str) -> Iterator[int]:
    """Offsets after each sentence and the white space that follows, ascending; the end of the text is not among them.

    `language` is a BCP 47 tag; one that sentencex does not know is read as a relative, at last as English.
    """
    primary = language.partition("-")[0].lower()
    goes_on = _goes_on(primary)
    last = 0
    for found in _raw_ends(text, primary):
        end = _past_closers(text, found)
        if last < end < len(text) and not goes_on.search(text[max(0, end - 24) : end + 1]):
            yield end
            last = end


def quoted_ends(text: str, language: str) -> Iterator[int]:
    """The same as if the text had no quotation marks or brackets: sentencex leaves whole what stands within them."""
    quotes = [mark.start() for mark in _QUOTES.finditer(text)]
    bare = [place - count for count, place in enumerate(quotes)]
    for end in sentence_ends(_QUOTES.sub("", text), language):
        place = _past_closers(text, end + bisect_right(bare, end - 1))
        if not _NARRATED.match(text, place):
            yield place


def _past_closers(text: str, place: int) -> int:
    closers = _CLOSERS.match(text, place)
    return closers.end() if closers else place


def _raw_ends(text: str, primary: str) -> Iterator[int]:
    plain = _WHITE.sub(" ", text)
    start = 0
    while start < len(plain):
        window = plain[start : start + WINDOW]
        sentences = sentencex.segment(primary, window)
        stop = start + len(window)
        if stop < len(plain):
            # The window may cut its last sentence; one that fills the window is gone through without an end.
            sentences.pop()
            stop = start + (sum(map(len, sentences)) or window.rfind(" ") + 1 or WINDOW)
        for sentence in sentences:
            start += len(sentence)
            yield start
        start = stop


@lru_cache
def _goes_on(primary: str) -> regex.Pattern[str]:
    """What, up to the first character after an end that sentencex found, shows that the sentence goes on."""
    word = r"(?<![\p{L}\p{M}\p{N}'\u2019])"
    ways = [
        rf"{word}(?:\p{{L}}\p{{M}}*+|{_ABBREVIATIONS.get(primary, 'no')})\.\s+\S",  # an initial, a known abbreviation
        rf"{word}[\p{{L}}\p{{M}}]{{1,3}}\.\s+\p{{N}}",  # p. 12
        r"\.[\p{L}\p{N}-]",  # GS.TS. Lan, J.-C. Martin
        _PARTICLE,
        r"[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]",  # ⁉️
    ]
    if primary in _ORDINALS:
        ways.append(r"(?<![\p{N}.,])\p{N}{1,2}\.\s+\p{L}")
    return regex.compile(rf"(?:{'|'.join(ways)})\Z", regex.IGNORECASE)
