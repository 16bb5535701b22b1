"""Text as espeak-ng reads all of it: its buffers are finite, and what overflows them is left unspoken without a word.

espeak-ng 1.52 keeps 200 phonemes of a word, 1,000 of a clause and 800 bytes of a clause's working copy (which holds
three letters for each Hangul syllable); the rest of the word or clause is dropped (its issues 1860 and 1898). Prose in
an alphabet stays far below. A Korean sentence of 90 syllables, a Thai phrase of 70 letters, a row of numbers or emoji
does not, and gets a space or a comma where the engine would otherwise stop.
"""

import unicodedata
from collections.abc import Iterator
from functools import cache

import regex

from blocks.speech import BadText

_CLAUSE = 1000
"""What the costs of a clause may add up to."""
_WORD = 150
"""The same for a word; below 200, since stress marks count among the phonemes."""

_CLAUSE_ENDS = regex.compile(r"(?<=[.,;:!?]\s|\n\n)|(?<=[。，、；：！？؟،؛।])")  # noqa: RUF001 - they are full-width.
_WORDS = regex.compile(r"[^\s\p{Han}]+")  # Each Han character is a word to the engine.
_COSTS = tuple(
    (regex.compile(pattern), cost)
    for pattern, cost in (
        (r"\s|\p{M}|\p{Cf}", 1.0),
        (r"[\p{Han}\p{Hangul}]", 12.0),  # Han is read by code or as "Chinese letter" outside Chinese.
        (r"[\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Ethiopic}]", 3.0),
        (r"\p{Lu}", 4.0),  # Capitals may be spelt.
        (r"(?!\p{Common})\p{L}", 1.6),
        (r"\p{Nd}", 13.0),
        (r"\p{P}", 6.0),
        (r".", 20.0),  # A symbol is read by its name, an emoji by several words.
    )
)
_COMMANDS = dict.fromkeys((*range(1, 9), *range(14, 32), 127), " ")
"""Control characters: U+0001 would start a command to the engine ("\\x01500S" changes the speed)."""


def speakable(text: str) -> str:
    """The text with breaks where it needs them, in NFC: of a decomposed letter espeak-ng reads the parts.

    Raises BadText for what cannot be handed to the engine at all.
    """
    if "\0" in text:
        raise BadText(
            f"The text has a NUL character, at position {text.index(chr(0))}; espeak would stop reading there."
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadText(
            f"The text has a lone surrogate, U+{ord(text[error.start]):04X}, at position {error.start}."
        ) from error
    clauses = _CLAUSE_ENDS.split(unicodedata.normalize("NFC", text).translate(_COMMANDS))
    return "".join(clause if _fits(clause) else "".join(map(_ended, _breaths(clause))) for clause in clauses)


def _fits(clause: str) -> bool:
    return _cost(clause) <= _CLAUSE and all(_cost(word) <= _WORD for word in _WORDS.findall(clause))


def _breaths(clause: str) -> Iterator[str]:
    """The clause in pieces that each fit."""
    pieces = [piece for word in clause.split() for piece in _packed(regex.findall(r"\X", word), "", _WORD)]
    return _packed(pieces, " ", _CLAUSE - _cost(", "))


def _ended(piece: str) -> str:
    """With the lightest mark that the engine takes for a clause's end; after symbols alone it passes over a comma."""
    return piece + (", " if any(map(str.isalnum, piece)) else "\n\n")


def _packed(parts: list[str], joint: str, budget: float) -> Iterator[str]:
    """The parts joined into as few as keep the budget; a part over it stands alone."""
    packed, spent = "", 0.0
    for part in parts:
        cost = _cost(part)
        if packed and spent + cost > budget:
            yield packed
            packed, spent = "", 0.0
        packed, spent = packed + joint + part if packed else part, spent + cost + len(joint)
    if packed:
        yield packed


def _cost(text: str) -> float:
    return sum(map(_price, text))


@cache
def _price(character: str) -> float:
    """Phonemes that the engine may make of one character, generously, or its share of the working copy."""
    return next(cost for pattern, cost in _COSTS if pattern.match(character))
