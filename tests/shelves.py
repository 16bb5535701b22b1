"""Speech for shelves: a sound of its own for each text and take."""

import hashlib

from blocks.speech import Audio, Voice
from tasks.clips import Clip
from tasks.shelf import Shelf

VOICE = Voice("espeak", "en-us", "en-us")


def said(text: str, take: int = 1) -> tuple[Audio, Clip]:
    data = f"RIFF {text} {take}".encode() * 9
    clip = Clip("", hashlib.sha256(data).hexdigest(), len(data), 22_050, 6, 1, 5, -3.0, -20.0, attempts=2)
    return Audio(data, "wav"), clip


def put(shelf: Shelf, text: str, take: int = 1) -> Clip:
    return shelf.put(text, VOICE, *said(text, take))


def texts(count: int) -> list[str]:
    return [f"This is text number {number}." for number in range(count)]
