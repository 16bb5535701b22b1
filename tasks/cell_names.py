"""The names of a word list's files: stable, safe everywhere, and never one name for two texts."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import regex

LONGEST_BYTES = 80
"""Of a text's part of a name, in UTF-8: three of them and what is added fit every file system and any bucket's key."""
HASH_DIGITS = 8
_UNSAFE = regex.compile(
    # What is seen of letters and digits stays, and marks on top of them.
    r"""(?V1)(?x)(?:
        [^\p{L}\p{N}\p{M}]
        | \p{Default_Ignorable_Code_Point}
        | (?<![\p{L}\p{N}\p{M}--\p{Default_Ignorable_Code_Point}])\p{M}+
    )+"""
)
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))]
)
"""Windows knows these as devices, whatever comes after a dot."""


def slug(text: str) -> str:
    """The name of a text, by the text alone: `ice cream` is `ice-cream`.

    Letters and digits of any script stay, in small letters; all else becomes `-`. Where the text cannot be told from
    that, the name ends in a dot and a part of its SHA-256: `ice-cream` is `ice-cream.34c5ac59`. Texts that differ have
    names that differ, also where a file system ignores case, or composes and decomposes letters.
    """
    return _named(" ".join(unicodedata.normalize("NFC", text).split()), " ")


def folders(keys: Sequence[tuple[str, str]]) -> list[str]:
    """`type/key` for the type and the key of each row. Rows that repeat an earlier one get `.2`, `.3` and so on."""
    return _numbered(f"{slug(kind)}/{slug(key)}" for kind, key in keys)


def file_names(fields: Sequence[str], suffix: str) -> dict[str, str]:
    """The file of each field: `translations.ja.word` is `translations-ja-word.mp3`."""
    unlike = list(dict.fromkeys(fields))
    stems = _numbered(_named(field, ".") for field in unlike)
    return {field: f"{stem}.{suffix}" for field, stem in zip(unlike, stems, strict=True)}


def _named(text: str, joint: str) -> str:
    """`joint` is what becomes `-` without a loss."""
    base = _cut(_UNSAFE.sub("-", _folded(text))).strip("-")
    device = unicodedata.normalize("NFKC", base) in _RESERVED
    if base and not device and "-" not in text and base.replace("-", joint) == text:
        return base
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{base}{'_' if device or not base else ''}.{digest[:HASH_DIGITS]}"


def _folded(text: str) -> str:
    """The same for all texts that some file system takes for one; folded again, it stays."""
    before, after = "", text
    while after != before:
        # Upper case first: systems that compare by it take dotless i for i.
        before, after = after, unicodedata.normalize("NFC", unicodedata.normalize("NFD", after).upper().casefold())
    return after


def _cut(base: str) -> str:
    """As much as fits, and no half of what a reader sees as one letter; of one that alone is too long, its start."""
    if len(base.encode()) <= LONGEST_BYTES:
        return base
    kept = ""
    for letter in regex.findall(r"\X", base[: LONGEST_BYTES + 1]):
        if len((kept + letter).encode()) > LONGEST_BYTES:
            break
        kept += letter
    return kept or base.encode()[:LONGEST_BYTES].decode(errors="ignore")


def _numbered(names: Iterable[str]) -> list[str]:
    """No name twice; that of a hash is longer than any number here."""
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return numbered
