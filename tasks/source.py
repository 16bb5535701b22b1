"""A source's bytes become text: nothing is guessed in silence, and nothing unreadable is passed on."""

import re
from codecs import getincrementaldecoder
from typing import Final

import chardet
import regex

from blocks.speech import BadInput
from blocks.storage import Storage, StorageFailed
from tasks.source_place import is_elsewhere, path_of

LARGEST: Final = 100_000_000
"""Bytes."""

_FORMATS: Final = (
    (rb"%PDF-", "a PDF"),
    (rb"\{\\rtf", "an RTF document"),
    (rb"(?i)\s*<(!doctype )?html\b", "an HTML page"),
    (rb"PK\x03\x04", "a ZIP archive (EPUB, DOCX and ODT are such)"),
    (rb"\xd0\xcf\x11\xe0", "an old Word document"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP", "a picture"),
    (rb"ID3[\x02-\x04]|\xff[\xf2\xf3\xfa\xfb]|RIFF....WAVE|OggS\0|fLaC\0", "a sound file"),
    (rb"\0\0\0.ftyp|\x1a\x45\xdf\xa3|RIFF....AVI ", "a video or sound file"),
    (rb"\x7fELF|MZ.\0", "a program"),
    (rb"\x1f\x8b|7z\xbc\xaf|\xfd7zXZ|Rar!\x1a|BZh[1-9]1AY", "a compressed archive"),
    (rb"SQLite format 3\0", "a database"),
)

# The marks of UTF-32 begin with those of UTF-16: they are looked for first.
_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)

_SAMPLE: Final = 200_000  # bytes: chardet looks at no more
_CONFIDENT: Final = 0.2
"""Of 3,900 texts of 60 to 1,500 characters, in 30 languages and 25 code pages, 2,400 were read and none wrong."""
_AHEAD: Final = 1.03
"""How far the best guess must stand before the next that reads differently."""
_ODD: Final = 0.02
"""The share of its characters beyond ASCII that may stand where no writer puts them."""
_FEWEST: Final = 3
"""Characters beyond ASCII, or oddities among them: one or two tell nothing."""

# What a wrong code page leaves: controls and unassigned characters, a capital inside a word, a sign after a letter, an
# accented letter right after a comma, two alphabets in one word. These tell Windows' pages from those of DOS and the
# Macintosh, which chardet's frequencies hardly do.
_OUT_OF_PLACE: Final = regex.compile(
    r"[\p{Cc}--[\s]]|[\x80-\x9f\p{Co}\p{Cn}]"
    r"|\p{Ll}[\p{Lu}--[A-Z]]|[\p{Ll}--[a-z]]\p{Lu}"
    r"|\p{L}[\p{S}--[\x00-\x7f®©™°]]"
    r"|[.,!?;:][\p{Latin}--[A-Za-z]]"
    r"|\p{Latin}[\p{Greek}\p{Cyrillic}\p{Hebrew}\p{Arabic}\p{Thai}]"
    r"|[\p{Greek}\p{Cyrillic}\p{Hebrew}\p{Arabic}\p{Thai}]\p{Latin}",
    regex.VERSION1,
)
_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]")
# Escape introduces colours of a terminal, or the characters of ISO-2022-JP.
_LOST: Final = re.compile("[\0\x1b\ufffd\ud800-\udfff]")


def read_bytes(source: str, storage: Storage | None = None) -> bytes:
    """The bytes of a path (`~` is the home folder) or of any URL that fsspec reads, at most LARGEST.

    With a storage, of the file that stands in it at this address. Raises BadInput.
    """
    if not source.strip():
        raise BadInput("no source is named: give the path or URL of a text")
    try:
        data = _fetch(source) if storage is None else _stored(source, storage)
    except FileNotFoundError as error:
        # fsspec says so of a server that does not answer, too.
        remedy = "check the address, and that its server answers" if is_elsewhere(source) else "check how it is spelt"
        raise BadInput(f"{source} was not found: {remedy}") from error
    except IsADirectoryError as error:
        raise BadInput(f"{source} is a folder: name a file in it") from error
    except PermissionError as error:
        raise BadInput(f"{source} may not be read: check its permissions, or the credentials for it") from error
    except StorageFailed as error:
        reason = error.reason or str(error)
        raise BadInput(f"{source} cannot be read ({reason}): check the address and the credentials") from error
    except _unreadable(source) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        remedy = "check the address, the network and the credentials" if is_elsewhere(source) else "check the path"
        raise BadInput(f"{source} cannot be read ({reason}): {remedy}") from error
    if not data:
        raise BadInput(f"{source} is empty (0 bytes): nothing to speak")
    if len(data) > LARGEST:
        raise _too_large(source)
    return data


def _too_large(source: str) -> BadInput:
    return BadInput(f"{source} is larger than {LARGEST // 1_000_000} MB: split it into several files")


def _stored(source: str, storage: Storage) -> bytes:
    name = source.removeprefix(storage.address).strip("/")
    if not name:
        raise IsADirectoryError
    for entry in storage.entries(name):  # a bucket lists the name itself before what lies below it
        if entry.name == name:
            if entry.bytes > LARGEST:
                raise _too_large(source)
            return storage.read(name)
        if entry.name.startswith(f"{name}/"):
            raise IsADirectoryError
    raise FileNotFoundError


def _fetch(source: str) -> bytes:
    if not is_elsewhere(source):
        path = path_of(source)
        if path.exists() and not path.is_file() and not path.is_dir():
            raise BadInput(f"{source} is no file: write the text into one first")
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    import fsspec  # noqa: PLC0415 - its import takes longer than reading most files

    with fsspec.open(source, "rb") as stream:
        data: bytes = stream.read(LARGEST + 1)
        return data


def _unreadable(source: str) -> tuple[type[Exception], ...]:
    """What a path or a URL's driver raises; evaluated only once something was raised."""
    # ValueError: an unknown protocol, a NUL in a path; ImportError: a protocol's driver; RuntimeError: ~nobody.
    common = (OSError, ValueError, ImportError, RuntimeError)
    if not is_elsewhere(source):
        return common
    from aiohttp import ClientError  # noqa: PLC0415 - only when a source failed
    from botocore import exceptions as s3  # noqa: PLC0415 - the same

    return (*common, ClientError, s3.BotoCoreError, s3.ClientError)


def decode(data: bytes, source: str) -> tuple[str, str]:
    r"""The text, with each line ended by `\n`, and the codec that it was in.

    Raises BadInput for what is no text, for a code page that cannot be told, and for characters that were lost before.
    """
    kind = next((kind for pattern, kind in _FORMATS if re.match(pattern, data, re.DOTALL)), None)
    if kind:
        raise BadInput(f"{source} is {kind}: convert it to text first")
    mark, codec = next(((mark, codec) for mark, codec in _MARKS if data.startswith(mark)), (b"", ""))
    codec = codec or _unmarked(data, source)
    data = data[len(mark) :]
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        line = _line(data[: error.start].decode(codec, "replace"))
        raise BadInput(f"{source}, line {line}: is not the {codec} it seems to be: save it as UTF-8") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if lost := _LOST.search(text):
        raise BadInput(
            f"{source}, line {_line(text[: lost.start()])}: holds U+{ord(lost[0]):04X}, which is no character: "
            "mend it in the original and save it as UTF-8"
        )
    return text, codec


def _line(before: str) -> int:
    return before.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1


def _unmarked(data: bytes, source: str) -> str:
    """The codec of a text that does not begin with a byte order mark."""
    if b"\0" in data:
        return _utf16(data, source)
    try:
        data.decode()
    except UnicodeDecodeError as error:
        beyond_ascii = len(data.translate(None, bytes(range(128))))
        lost = len(data) - len(data.decode(errors="ignore").encode())
        if lost * 4 < beyond_ascii:
            line = _line(data[: error.start].decode(errors="replace"))
            raise BadInput(f"{source}, line {line}: the UTF-8 is damaged: save it again as UTF-8") from error
        return _legacy(data, source)
    return "utf-8"


def _utf16(data: bytes, source: str) -> str:
    # Of the two bytes of a character the high one varies less, in every script: right for all texts of 20 characters.
    even, odd = len(set(data[0::2])), len(set(data[1::2]))
    codec = "utf-16-be" if even < odd else "utf-16-le"
    # Pairs of ASCII letters are Chinese characters: a text in ASCII with a few stray NULs would pass for one in UTF-16.
    stray = data.isascii() and data.count(0) * 4 < len(data) and not re.search(rb"[\x01-\x08\x0e-\x1f]", data)
    text = None if stray else _reading(data, codec)
    if text is None or "\0" in text:
        raise BadInput(f"{source} is no text (it holds NUL bytes): convert it to text first, saved as UTF-8")
    return codec


def _legacy(data: bytes, source: str) -> str:
    """The code page of a text from before UTF-8."""
    # Lines in plain ASCII tell nothing, and there may be megabytes of them before the first that does.
    sample = b"\n".join(line for line in data.splitlines() if not line.isascii())[:_SAMPLE]
    guesses = chardet.detect_all(
        sample,
        ignore_threshold=True,
        encoding_era=chardet.EncodingEra.ALL & ~chardet.EncodingEra.MAINFRAME,
        compat_names=False,
        prefer_superset=False,
    )
    confidence = {guess["encoding"]: guess["confidence"] for guess in guesses if guess["encoding"]}
    readings = {codec: text for codec in confidence if (text := _reading(sample, codec)) is not None}
    # Nobody writes the controls that ISO's pages have where Windows' have dashes, quotes and the French oe.
    plain = {codec: text for codec, text in readings.items() if not re.search("[\x80-\x9f]", text)} or readings
    oddities = {codec: _oddities(text) for codec, text in plain.items() if _marks(text) >= _FEWEST}
    cleanest = min(oddities.values(), default=0) + _FEWEST
    codecs = [codec for codec, odd in oddities.items() if odd < cleanest]
    best = codecs[0] if codecs else ""
    others = [codec for codec in codecs if readings[codec] != readings[best]]
    certain = best and confidence[best] >= max([_CONFIDENT, *(_AHEAD * confidence[other] for other in others)])
    if not certain:
        names = " or ".join(([best, *others] if best else [*confidence])[:2])
        guessed = f"may be in {names}, but that is not certain" if names else "is in no code page that can be told"
        raise BadInput(f"{source} is not UTF-8 and {guessed}: save it as UTF-8")
    # Windows' pages hold ISO's and more, and the sample may end before the first sign that only they have.
    return next((codec for codec in codecs if codec.startswith("cp") and codec not in others), best)


def _reading(data: bytes, codec: str) -> str | None:
    """The text in that codec, without a character cut at its end; None if it has none, or nobody writes so."""
    try:
        text = getincrementaldecoder(codec)().decode(data)
    except UnicodeDecodeError:
        return None
    return text if _oddities(text) <= _ODD * _marks(text) else None


def _marks(text: str) -> int:
    return len(_BEYOND_ASCII.findall(text[:_SAMPLE]))


def _oddities(text: str) -> int:
    return len(_OUT_OF_PLACE.findall(text[:_SAMPLE]))
