"""What a word or a letter alone may sound like: its pace tells little, so it is judged by its bounds and its colour.

Providers answer a single word with noise, with a blip, or with seconds of babble behind it. Only what no voice says is
refused here; what is merely odd for its voice is a suspect. Bounds by `tests/benchmarks/alarms.py`.
"""

import unicodedata

from blocks.speech import NotSpeech
from tasks.pace import PER_S, spoken_length

LONGEST_S, LONGEST = 3.0, 3.0
"""So much, and so many times what ordinary speech takes: an engine that reads by name what it cannot say takes 2.5 s
and 3 times as long."""
NAME_S = 1.25
"""A symbol is said by its name: `☺` is a smiling face."""
BRIEFEST, LEAST_LETTERS = 0.18, 4
"""The share of what ordinary speech takes, for so many letters: `haut`, said at triple speed, has 0.24."""
STEADY_DB, STEADY_S = 2.3, 1.2
"""A sound of this length that changes less is noise; a shorter one has to change less still, and one of half this
length is not judged."""
HELD_S, HELD_LETTER_S = 1.0, 0.2
"""How long one sound may be held, and how much longer for each letter: `a`, `shh`, `mmmm` do not change."""


def check_short(text: str, seconds: float, variation_db: float) -> None:
    """Raise NotSpeech for what cannot be this word, said in so many seconds at normal speed."""
    usual_s, count = spoken_length(text) / PER_S, len(text.strip())
    if seconds > (most := LONGEST_S + LONGEST * usual_s + NAME_S * _symbols(text)):
        raise NotSpeech(f"{seconds:.1f} s of sound for {count} characters: at most {most:.1f} s is speech")
    if _letters(text) >= LEAST_LETTERS and seconds < BRIEFEST * usual_s:
        raise NotSpeech(f"{seconds:.2f} s of sound for {count} characters: a blip, no speech")
    least_s = HELD_S + HELD_LETTER_S * count if _holds(text) else STEADY_S / 2
    if seconds >= least_s and variation_db < STEADY_DB - max(0.0, STEADY_S - seconds):
        raise NotSpeech(
            f"{seconds:.1f} s of one steady sound, noise or a hum: it varies by {variation_db:.1f} dB, "
            f"where speech has {STEADY_DB:.1f} and more"
        )


def _letters(text: str) -> int:
    return sum(character.isalpha() for character in text)


def _symbols(text: str) -> int:
    return sum(unicodedata.category(character).startswith("S") for character in text)


def _holds(text: str) -> bool:
    """Whether it may be one sound: `a`, `psst`, `ha ha`, and a sign or a digit alone, which may stand for any."""
    kinds = {character for character in text.casefold() if character.isalnum()}
    if sum(character.isdigit() for character in text) > 1:
        return False
    return len(kinds) <= 2 or (text.isascii() and kinds.isdisjoint("aeiouy"))
