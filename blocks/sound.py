"""Sound files by their bytes: what they are, whether they are whole, and WAV heads that tell the truth.

Servers label MP3 as WAV, answer JSON with status 200, and stream WAV whose sizes are placeholders.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from blocks.answers import parsed
from blocks.blame import PAID, Receipt
from blocks.speech import Audio, NotSpeech, ProviderFailed

Kind = Literal["wav", "flac", "mp3", "ogg", "json", "markup", ""]
_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"RIFF", "wav"),
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (b"ID3", "mp3"),
    (b"{", "json"),
    (b"[", "json"),
    (b"<", "markup"),
)
_FORMATS: dict[str, Literal["wav", "flac", "mp3", "ogg"]] = {"wav": "wav", "flac": "flac", "mp3": "mp3", "ogg": "ogg"}
SLOWEST_RATE, FASTEST_RATE = 4_000, 192_000
"""Samples a second: outside of these nobody speaks, and a head says so by mistake."""
_MOST_CHANNELS = 8
_BITS = {1: (8, 16, 24, 32), 3: (32, 64)}
"""That samples have, by the tag of a WAV file."""
_PLACEHOLDER = 0x7FFF0000
"""WAV sizes from here on say `not known yet`: 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000 and the like; so does 0."""

_FLAC_LENGTH = slice(21, 26)
"""Its last 36 bits are the number of samples; 0 says `not known`."""


def sniff(body: bytes) -> Kind:
    """What the bytes are; empty for none of these. Headerless PCM can look like anything."""
    for magic, kind in _MAGIC:
        if body.startswith(magic):
            return kind
    # MPEG's sync is eleven bits; then version and layer, of which one value each is reserved.
    if len(body) > 2 and body[0] == 0xFF and body[1] >= 0xE0 and body[1] & 0x18 != 0x08 and body[1] & 0x06:
        return "mp3"
    return "json" if body[:64].lstrip()[:1] in (b"{", b"[") else "markup" if body[:64].lstrip()[:1] == b"<" else ""


def audio(body: bytes, receipt: Receipt = PAID, *, pcm_rate: int = 0) -> Audio:
    """One whole sound file. Raises NotSpeech, and ProviderFailed for a page: no text brings that, but a broken server.

    `pcm_rate` is for bodies that were declared as headerless PCM (16 bits, little-endian, mono): samples a second.
    """
    kind = sniff(body)
    if kind == "wav":
        body = true_wav(body, receipt)
    elif kind == "flac" and not pcm_rate:
        body = true_flac(body, receipt)
    elif pcm_rate and parsed(body) is None:
        kind, body = "wav", wav(body, Shape(pcm_rate), receipt)
    form = _FORMATS.get(kind)
    if kind == "markup":
        told = f"the answer of {len(body)} bytes is a page of markup"
        raise ProviderFailed(told, billed=receipt.billed, request_id=receipt.request_id)
    if form is None:
        raise _unsound(
            f"the answer of {len(body)} bytes is {'JSON' if kind == 'json' else 'no known sound file'}", receipt
        )
    return Audio(body, form, receipt.request_id, receipt.usage, receipt.in_flight)


@dataclass(frozen=True, slots=True)
class Shape:
    """How the samples of a WAV file are written."""

    rate: int
    channels: int = 1
    bits: int = 16
    tag: int = 1
    """1 for integers, 3 for floats."""

    @property
    def frame(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * (self.bits // 8)


def wav(samples: bytes, shape: Shape, receipt: Receipt = PAID) -> bytes:
    """A WAV file around raw samples. Raises NotSpeech for none, for half of one, or for an absurd rate."""
    if not SLOWEST_RATE <= shape.rate <= FASTEST_RATE:
        raise _unsound(f"speech has {SLOWEST_RATE} to {FASTEST_RATE} samples a second, not {shape.rate}", receipt)
    if not samples or len(samples) % shape.frame:
        raise _unsound(f"{len(samples)} bytes are no whole number of {shape.bits}-bit samples", receipt)
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", len(samples) + 36, b"WAVE", b"fmt ", 16, shape.tag, shape.channels, shape.rate),
        *(shape.rate * shape.frame, shape.frame, shape.bits, b"data", len(samples)),
    )
    return head + samples


def true_wav(body: bytes, receipt: Receipt = PAID) -> bytes:
    """The same sound under a head with true sizes. Raises NotSpeech when it is cut, empty or no PCM."""
    shape, samples, stated = unpacked(body)
    if shape is None or not samples:
        raise _unsound(f"the WAV file of {len(body)} bytes holds no sound", receipt)
    if stated > len(samples):
        raise _unsound(f"the WAV file is cut: {len(samples)} of {stated} bytes of sound came", receipt)
    return wav(samples, shape, receipt)


def true_flac(body: bytes, receipt: Receipt = PAID) -> bytes:
    """The same sound under a head that tells its length, which an encoder that streams leaves open. Raises NotSpeech.

    Nothing but the length is looked at where there is one.
    """
    bits = int.from_bytes(body[_FLAC_LENGTH], "big")
    if len(body) < _FLAC_LENGTH.stop or bits % 2**36:
        return body
    from blocks.decoder import counted  # noqa: PLC0415 - it takes numpy, and few servers stream FLAC

    try:
        length = counted(body)
    except NotSpeech as error:
        raise _unsound(str(error), receipt) from error
    return body[: _FLAC_LENGTH.start] + (bits + length).to_bytes(5, "big") + body[_FLAC_LENGTH.stop :]


def joined(parts: Sequence[bytes], pcm_rate: int, receipt: Receipt = PAID) -> bytes:
    """One WAV file out of several WAV or PCM pieces of one stream. Raises NotSpeech."""
    if len(parts) == 1 and sniff(parts[0]) == "wav":
        return true_wav(parts[0], receipt)
    shape, samples = Shape(pcm_rate), b""
    for part in parts:
        if sniff(part) == "wav":
            own, part = unpacked(true_wav(part, receipt))[:2]  # noqa: PLW2901 - the sound is what it is for
            shape = own or shape
        samples += part
    return wav(samples, shape, receipt)


def _unsound(reason: str, receipt: Receipt) -> NotSpeech:
    return NotSpeech(reason, billed=receipt.billed, request_id=receipt.request_id, usage=receipt.usage)


def unpacked(body: bytes) -> tuple[Shape | None, bytes, int]:
    """Shape, samples, and how many bytes of them the head promises, of a WAV file; no shape where it is none."""
    shape, position = None, 12
    while position + 8 <= len(body) and body[8:12] == b"WAVE":
        name, size = struct.unpack_from("<4sI", body, position)
        position += 8
        if name == b"fmt " and size >= 16 and position + 16 <= len(body):
            shape = _shape(body[position : position + min(size, 40)])
        elif name == b"data":
            known = 0 < size < _PLACEHOLDER and _ends_well(body, position + size + size % 2)
            return shape, body[position : position + size] if known else body[position:], size if known else 0
        position += size + size % 2
    return shape, b"", 0


def _ends_well(body: bytes, position: int) -> bool:
    """Whether the sound can end there: at or past the last byte, or before a chunk that fits. Else the size is off."""
    if position + 8 > len(body):
        return True
    name, size = struct.unpack_from("<4sI", body, position)
    return bool(name.isascii() and name.decode("ascii").isprintable() and position + 8 + size <= len(body) + 1)


def _shape(head: bytes) -> Shape | None:
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head)
    if tag == 0xFFFE and len(head) >= 26:  # The extensible form: the true tag opens its GUID.
        (tag,) = struct.unpack_from("<H", head, 24)
    known = bits in _BITS.get(tag, ()) and 0 < channels <= _MOST_CHANNELS
    return Shape(rate, channels, bits, tag) if known else None
