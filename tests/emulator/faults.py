"""What can go wrong with any provider, by name. A vendor's own error rows and shapes add to these."""

import email.utils
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tests.emulator.sound import Format, Sound, at, encoded
from tests.emulator.wire import Answer

_ENDLESS = b"\xff\xff\xff\xff"
_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in to this network.</body></html>"


def _hiss(count: int) -> NDArray[np.int16]:
    return np.random.default_rng(count).integers(-8_000, 8_000, count, np.int16)


SOUND: Mapping[str, Callable[[Sound], Sound]] = {
    "header_only": lambda sound: replace(sound, samples=sound.samples[:0]),
    "third": lambda sound: replace(sound, samples=sound.samples[: len(sound.samples) // 3]),
    "silence": lambda sound: replace(sound, samples=np.zeros_like(sound.samples)),
    "noise": lambda sound: replace(sound, samples=_hiss(len(sound.samples))),
    "looped": lambda sound: replace(sound, samples=np.tile(sound.samples, 5)),
    "other_rate": lambda sound: at(sound, 16_000),
    "wrong_rate": lambda sound: replace(at(sound, round(sound.rate * 2 / 3)), rate=sound.rate),
}

FALLBACK = "fallback_voice"
"""Played before the engine speaks."""


def _endless(_sound: Sound, data: bytes) -> bytes:
    if not data.startswith(b"RIFF"):
        return data
    place = data.index(b"data") + 4
    return data[:4] + _ENDLESS + data[8:place] + _ENDLESS + data[place + 4 :]


BYTES: Mapping[str, Callable[[Sound, bytes], bytes]] = {
    "streamed_sizes": _endless,
    "mp3_as_wav": lambda sound, _data: encoded(sound, Format("mp3", sound.rate)),
}


def _half(answer: Answer, place: int | None) -> int:
    return len(answer.body) // 2 if place is None else place


ANSWER: Mapping[str, Callable[[Answer, int | None, float], Answer]] = {
    "empty": lambda answer, _at, _s: replace(answer, body=b"", framing="length"),
    "json": lambda answer, _at, _s: replace(answer, body=b'{"status": "queued"}', headers=_typed("application/json")),
    "html": lambda answer, _at, _s: replace(answer, body=_PAGE, headers=_typed("text/html; charset=utf-8")),
    "cut_length": lambda answer, at, _s: replace(answer, framing="length", stop=_half(answer, at)),
    "cut_chunked": lambda answer, at, _s: replace(answer, framing="chunked", stop=_half(answer, at)),
    "cut_close": lambda answer, at, _s: replace(answer, framing="close", stop=_half(answer, at)),
    "drip": lambda answer, at, seconds: replace(answer, piece=at or 1_000, pause_s=seconds),
    "hang": lambda answer, _at, _s: replace(answer, stop=-1, stopped="hang"),
    "hang_midway": lambda answer, at, _s: replace(answer, stop=_half(answer, at), stopped="hang"),
    "no_reply": lambda answer, _at, _s: replace(answer, stop=-1),
    "reset": lambda answer, _at, _s: replace(answer, stop=-1, stopped="reset"),
    "reset_midway": lambda answer, at, _s: replace(answer, stop=_half(answer, at), stopped="reset"),
}

UNBILLED = {"reset", "no_reply"}
GOOD = {"streamed_sizes", "drip", "other_rate", "two_parts"}
"""No faults, but the whole speech in an odd form; `other_rate` only where the container tells its rate."""

MEANINGS = {
    "header_only": "200, and a WAV header without samples (44 bytes)",
    "third": "200, a third of the speech",
    "silence": "200, silence as long as the speech",
    "noise": "200, white noise as long as the speech: what cloning models make of a word alone",
    "looped": "200, the speech five times over",
    "other_rate": "good speech at 16,000 samples a second: not as asked for, but as the header says",
    "wrong_rate": "the samples' rate is two thirds of what the answer says: fast and shrill",
    "fallback_voice": "200, the text in another voice than asked for",
    "streamed_sizes": "good speech in a WAV whose sizes are 0xFFFFFFFF",
    "mp3_as_wav": "good speech in MP3, declared as what was asked for",
    "empty": "200 without a body",
    "json": "200, JSON instead of sound",
    "html": "200, a page of HTML",
    "cut_length": "cut after `at` bytes (half), Content-Length promises more",
    "cut_chunked": "cut after `at` bytes (half), no last chunk",
    "cut_close": "cut after `at` bytes (half), and nothing on the wire tells",
    "drip": "the whole answer, `at` bytes (1,000) each `seconds`",
    "hang": "accepts the request and never answers",
    "hang_midway": "stops after `at` bytes (half) and keeps the connection open",
    "no_reply": "closes the connection without an answer",
    "reset": "resets the connection without an answer",
    "reset_midway": "resets the connection after `at` bytes (half)",
}


def _typed(kind: str) -> dict[str, str]:
    return {"Content-Type": kind}


RETRY_AFTER = ("", "int", "decimal", "date", "ms")


def retry_after(form: str, seconds: float) -> dict[str, str]:
    """Headers that ask to wait, in each of the ways that vendors and proxies write it."""
    until = email.utils.formatdate(time.time() + seconds, usegmt=True)
    return {
        "int": {"Retry-After": str(round(seconds))},
        "decimal": {"Retry-After": f"{seconds:.3f}"},
        "date": {"Retry-After": until},
        "ms": {"retry-after-ms": str(round(seconds * 1000))},
        "": {},
    }[form]
