"""Whether a voice can read the script of a text: an English one reads Chinese as `Chinese letter, Chinese letter`."""

from collections import Counter
from collections.abc import Iterable

import regex

from blocks.speech import BadVoice
from tasks.document import Document

SCRIPTS = {
    "Arabic": ("ar", "fa", "ur", "ug", "ps", "sd", "ckb"),
    "Armenian": ("hy", "hyw"),
    "Bengali": ("bn", "as", "bpy"),
    "Cyrillic": ("ru", "uk", "be", "bg", "sr", "mk", "kk", "ky", "tt", "ba", "cv", "mn", "uz", "tg", "bs", "nog"),
    "Devanagari": ("hi", "mr", "ne", "kok", "sa", "bho"),
    "Ethiopic": ("am", "ti"),
    "Georgian": ("ka",),
    "Greek": ("el", "grc"),
    "Gujarati": ("gu",),
    "Gurmukhi": ("pa",),
    "Han": ("zh", "cmn", "yue", "hak", "nan", "ja", "ko"),
    "Hangul": ("ko",),
    "Hebrew": ("he", "yi"),
    "Hiragana": ("ja",),
    "Kannada": ("kn",),
    "Katakana": ("ja",),
    "Khmer": ("km",),
    "Lao": ("lo",),
    "Malayalam": ("ml",),
    "Myanmar": ("my", "shn"),
    "Oriya": ("or",),
    "Sinhala": ("si",),
    "Tamil": ("ta",),
    "Telugu": ("te",),
    "Thai": ("th",),
}
"""Scripts that only the voices of these languages read. Latin is not here: every voice makes something of it."""

_LETTERS = regex.compile("|".join(rf"(?P<{script}>\p{{Script={script}}}+)" for script in SCRIPTS) + r"|\p{L}+")
ENOUGH = 2000
"""Letters that tell a document's script."""


def check_script(document: Document, language: str, remedy: str = "--language {}") -> None:
    """Raise BadVoice when most of the document is in a script that voices of this language do not read.

    A voice of language `mul` follows the text. `remedy` is how a language is named.
    """
    script, share = _main_script(segment.text for segment in document.segments)
    readers = SCRIPTS.get(script)
    if readers and share > 0.5 and language.split("-", 1)[0].lower() not in (*readers, "mul"):
        raise BadVoice(
            f"{document.source} is written in {script} script, and a voice of language {language} cannot read that: "
            f"name the language, for example {remedy.format(readers[0])}"
        )


def _main_script(texts: Iterable[str]) -> tuple[str, float]:
    counts: Counter[str] = Counter()
    for text in texts:
        for run in _LETTERS.finditer(text):
            counts[run.lastgroup or ""] += len(run[0])
        if counts.total() >= ENOUGH:
            break
    if not counts:
        return "", 0.0
    script, letters = counts.most_common(1)[0]
    return script, letters / counts.total()
