"""What of a cue's text is spoken, and by whom: no markup, no sounds, no names of speakers."""

# ruff: noqa: RUF001 - dashes, brackets and colons of several scripts are what the patterns are about

import html
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

# While a text is read, what nobody says of it stands between these two; decoding lets no text have them.
_ASIDE: Final = re.compile(r"\x01([^\x02]*)\x02")
_BEFORE_STOP: Final = re.compile(r" ?\x01[^\x02\x03]*\x02(?=[.,!?;:…])")
_WRAPPERS: Final = str.maketrans("", "", "\x01\x02\x03")
_RUBY: Final = "\x03"
"""Marks an aside inside a word: the reading of the characters before it."""

_VOICE: Final = re.compile(r"<v(?:\.[^\s<>]*)?\s+([^<>]*)>|</v>", re.IGNORECASE)
_ATTRIBUTES: Final = r"(?:\s+[\w-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s<>\"']+))*"
_KNOWN: Final = "i|b|u|s|em|strong|font|span|c|v|lang|ruby|rp|rt|br|p|div|big|small|sub|sup"
_MARKUP: Final = re.compile(
    r"(?P<drawing>\{[^{}\n]*\\p[1-9][^{}\n]*\}(?s:.*?)(?:\{[^{}\n]*\\p0[^{}\n]*\}|\Z))"
    r"|(?P<code>\{\\[^{}\n]*\}|\{[yYcCfFsSpPoO]:[^{}\n]*\})"
    r"|(?P<ruby><rt[^<>]*>[^<]*(?:</rt>)?)"
    rf"|(?P<known></?(?:{_KNOWN})(?:\.[^\s<>]*)?{_ATTRIBUTES}\s*/?>|<(?:lang|font|c|v)\b[^<>\n]*>"
    rf"|<\s*/\s*(?:{_KNOWN})\s*>|<\d+:[\d:.,]+>)"
    rf"|(?P<other></?[A-Za-z][\w-]*{_ATTRIBUTES}\s*/?>)",
    re.IGNORECASE,
)
_UNSEEN: Final = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Marks of direction, which often stand before a name or a dash."""
_ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_UNSAID: Final = re.compile(
    # The colon belongs to a name that stands before the bracket: ANNA [on the phone]: Yes.
    r"(?<!\w )(?<!\w)\[[^\[\]]*\]:|\[[^\[\]]*\]|［[^［］]*］"
    r"|(?:^|(?<=^-)|(?<=^- ))\((?=[^()\n]*[A-ZÀ-ÖØ-Þ]{2})[^()a-zß-öø-ÿ\n]+\)"
    r"|^#(?=\s)|(?<=\s)#$"
    r"|[♩♪♫♬🎵🎶🎼]\ufe0f?"
    # No line of time comes this far; what is left of one is not said either.
    r"|\d{1,3}:\d\d:\d\d[.,]\d{3}(?:\s*-{1,2}>\s*\d{1,3}:\d\d:\d\d[.,]\d{3})?",
    re.MULTILINE,
)
_LEAD: Final = r"(?:\s|\x01[^\x02]*\x02)*"
_LINE: Final = re.compile(rf"(?P<before>{_LEAD})(?P<mark>(?:>{{2,3}}|[-‐‑–—―]+(?!\d))\s*)?(?P<after>{_LEAD})")
_PREFIX: Final = re.compile(
    r"(?P<name>[^\W\d_][^:：\n\x01\x02(),!?;\"“”„«»…]{1,29}?)\s*"
    r"(?P<how>(?:\([^()\n]{1,40}\)|\x01[^\x02]*\x02)\s*)?[:：](?![\d/:])"
)
_NO_NAMES: Final = frozenset(
    {"NOTE", "NB", "PS", "WARNING", "CAUTION", "DANGER", "ATTENTION", "IMPORTANT", "TIME", "DATE"}
)
"""What stands before a colon in capitals and is nobody."""
_NUMBERED: Final = re.compile(
    r"(?!(?:PART|CHAPTER|SCENE|ACT|STEP|RULE|LEVEL|ROUND|DAY|LESSON|UNIT|EPISODE|SEASON|SECTION|QUESTION|VERSE|BOOK|PHASE)\b)"
    r".*[^\W\d_] (?:#\d{1,2}|\d{1,2})"
)
"""MAN 2 is somebody, CHAPTER 2 is not."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one speaker says in a cue, a line for each of the cue's."""

    text: str
    speaker: str = ""
    unsaid: str = ""

    @property
    def speakable(self) -> bool:
        return any(map(str.isalnum, self.text))


def read_cue(raw: str, speakers: Collection[str] = ()) -> list[Part]:
    """The parts of a cue, one unless it names several speakers.

    A speaker is named by `<v Anna>`, or at the start of a line: ANNA: in capitals, Anna: only if she is among
    `speakers`.
    """
    known = {speaker.casefold() for speaker in speakers}
    said = [
        (speaker, line)
        for voice, text in _voices(raw.translate(_WRAPPERS))
        for speaker, line in _speakers(_marked(text), voice, known)
    ]
    parts = [_part(speaker, [line for _, line in lines]) for speaker, lines in groupby(said, key=lambda pair: pair[0])]
    return [part for part in parts if part.text or part.unsaid]


def _voices(raw: str) -> Iterator[tuple[str, str]]:
    """The text between two tags of WebVTT's voices, each with its voice."""
    voice, start = "", 0
    for tag in _VOICE.finditer(raw):
        yield voice, raw[start : tag.start()]
        voice, start = " ".join(_decoded(tag[1] or "").split()), tag.end()
    yield voice, raw[start:]


def _decoded(text: str) -> str:
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def _marked(text: str) -> str:
    """The text without its markup, its sounds wrapped as asides."""
    text = _MARKUP.sub(_without_markup, text)
    text = _UNSEEN.sub("", _decoded(text)).replace("\\N", "\n").replace("\\h", " ")
    return _UNSAID.sub(lambda match: _aside(match[0]), text)


def _without_markup(tag: re.Match[str]) -> str:
    if tag["drawing"]:
        return _aside("a drawing")
    if tag["ruby"]:
        return _aside(_RUBY + re.sub("<[^<>]*>", "", tag[0]))
    if tag["other"]:  # <laughs>: whoever wrote it meant it to be seen
        return _aside(tag[0])
    return "\n" if tag[0].lower().startswith("<br") else ""


def _aside(text: str) -> str:
    return "\x01{}\x02".format(" ".join(re.sub("[\x01\x02]", " ", text).split()))


def _speakers(text: str, voice: str, known: Collection[str]) -> Iterator[tuple[str, str]]:
    """The lines without their dashes and names, each with who says it.

    A dash below a named line is somebody else, who has no name.
    """
    speaker = voice
    lines = text.split("\n")
    filled = max((place for place, line in enumerate(lines) if line.strip()), default=0)
    for place, line in enumerate(lines):
        lead = _LINE.match(line)
        rest = line[lead.end() :] if lead else line
        prefix = _PREFIX.match(rest)
        if prefix and _is_name(prefix["name"], known) and (rest[prefix.end() :].strip() or place < filled):
            speaker = " ".join(prefix["name"].split())
            rest = f"{_how(prefix['how'])}{rest[prefix.end() :]}"
        elif lead and lead["mark"]:
            speaker = voice
        yield speaker, f"{lead['before']}{lead['after']}{rest}" if lead else rest


def _how(written: str | None) -> str:
    """(whispering) behind a name is as little said as the name is."""
    return _aside(written) if written else ""


def _is_name(name: str, known: Collection[str]) -> bool:
    name = " ".join(name.split())
    if name.casefold() in known:
        return True
    shouted = name == name.upper() != name.lower() and name not in _NO_NAMES
    return (
        shouted
        and sum(map(str.isalpha, name)) >= 2
        and len(name.split()) <= 4
        and (not name[-1].isdigit() or bool(_NUMBERED.fullmatch(name)))
    )


def _part(speaker: str, lines: list[str]) -> Part:
    unsaid = " ".join(aside.strip(_RUBY) for line in lines for aside in _ASIDE.findall(line))
    said = (_ASIDE.sub(_gap, _BEFORE_STOP.sub("", line)).strip() for line in lines)
    return Part("\n".join(filter(None, said)), speaker, unsaid)


def _gap(aside: re.Match[str]) -> str:
    return "" if aside[1].startswith(_RUBY) else " "
