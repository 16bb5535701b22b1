"""How long a text takes to say, before anybody has said it."""

import re
from collections.abc import Iterable

PER_S = 13.0
"""What ordinary speech says in a second, in the lengths below."""
_DIGIT, _SPELT, _DENSE, _BREATH = 4, 3, 3, 4
_PIECES = re.compile(
    r"(?P<digit>\d)"
    r"|(?P<spelt>\b[A-Z]{2,5}\b)"
    r"|(?P<dense>[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3])"
    r"|(?P<other>\S)"
)


def spoken_length(text: str) -> int:
    """The length of a text in letters as they are said.

    A digit is a word of four (`7` is seven), an acronym among words is spelt out, a syllable sign stands for three
    letters, and every text takes the breath of four. Speech of 20 characters and more is then within 0.55 to 2 times
    its voice's ordinary pace: `tests/benchmarks/alarms.py`.
    """
    length = _BREATH
    spelt = 1 if text == text.upper() else _SPELT  # a shouted heading is no row of acronyms
    for piece in _PIECES.finditer(text):
        match piece.lastgroup:
            case "digit":
                length += _DIGIT
            case "spelt":
                length += spelt * len(piece[0])
            case "dense":
                length += _DENSE
            case _:
                length += 1
    return length


def expected_s(texts: Iterable[str]) -> float:
    """How long these texts take to say at normal speed, roughly; the manifest has the true time."""
    return sum(map(spoken_length, texts)) / PER_S
