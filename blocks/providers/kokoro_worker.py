"""The process that holds a Kokoro model: `python -P kokoro_worker.py MODEL VOICES THREADS SECONDS`.

It keeps to the frames of `blocks.workers`, and has SECONDS to start. A request is JSON: text, language (as espeak-ng
calls it), voice, speed, and the seconds to do it in: `seconds`, and `each` for a phoneme. The answer is `s` and the
samples (16 bits, 24,000 a second, mono), or `n` and the reason why there is no speech.

The phonemes are made here and handed to kokoro-onnx, since its own way from text to phonemes (0.6.1) reads "(en)" and
"(fr)" aloud around each foreign word, runs lines together, and leaves a copy of espeak-ng on the disk for each call.
"""

import json
import os
import signal
import sys
import tempfile
import unicodedata
from functools import cache
from types import TracebackType
from typing import Any

import numpy as np
import onnxruntime
from kokoro_onnx import Kokoro
from phonemizer.backend import EspeakBackend

_ERRORS_ONLY = 3
_INPUTS = ({"tokens", "style", "speed"}, {"input_ids", "style", "speed"})
"""Of older and of newer exports of the model."""


class _Silent(Exception):
    """The text came to no speech, or not to all of it."""


class _Checked:
    """A session whose samples are numbers. What is none, kokoro-onnx would cut off as if it were silence."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session

    def run(self, names: list[str] | None, inputs: dict[str, Any]) -> Any:
        """Raises _Silent."""
        outputs = self._session.run(names, inputs)
        if not np.isfinite(outputs[0]).all():
            raise _Silent("kokoro's samples are not all numbers")
        return outputs


def _load(model: str, voices: str, threads: int) -> Kokoro:
    onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    inputs = {tensor.name for tensor in session.get_inputs()}
    if inputs not in _INPUTS:
        sys.exit(f"It is no Kokoro model: it takes {', '.join(sorted(inputs))}.")
    kokoro = Kokoro.from_session(session, voices)
    kokoro.sess = _Checked(session)
    return kokoro


@cache
def _reader(language: str) -> EspeakBackend:
    # Each has a copy of the library to itself, in a folder that a killed process would leave behind; once it is
    # loaded, the copy is not needed.
    with tempfile.TemporaryDirectory() as place:
        tempfile.tempdir = place
        reader = EspeakBackend(
            language,
            preserve_punctuation=True,
            with_stress=True,
            language_switch="remove-flags",
            words_mismatch="ignore",
        )
        reader.phonemize(["a"])
        tempfile.tempdir = None
    return reader


def _phonemes(kokoro: Kokoro, text: str, language: str) -> str:
    """In the letters of the model. Raises _Silent where a word has none."""
    words = " ".join(_reader(language).phonemize([text])).split()
    spoken = [kokoro.tokenizer.known(word) for word in words]
    for word, heard in zip(words, spoken, strict=True):
        if _sounds(word) and not _sounds(heard):
            raise _Silent(f"kokoro has no sound for {word!r}")
    if not any(map(_sounds, spoken)):
        raise _Silent("kokoro found nothing to say in the text")
    return " ".join(filter(None, spoken))


def _sounds(word: str) -> bool:
    """Stress and length are letters to Unicode (Lm), but they only modify others."""
    return any(letter.isalpha() and unicodedata.category(letter) != "Lm" for letter in word)


def _answer(kokoro: Kokoro, order: dict[str, Any]) -> bytes:
    _end_in(order["seconds"])
    try:
        phonemes = _phonemes(kokoro, order["text"], order["language"])
        _end_in(order["seconds"] + order["each"] * len(phonemes))
        # More than 510 phonemes it speaks in pieces, and joins them.
        samples, _ = kokoro.create(phonemes, order["voice"], order["speed"], is_phonemes=True)
    except _Silent as reason:
        return b"n" + str(reason).encode()
    sound = (np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes()
    return b"s" + sound if any(sound) else b"nkokoro made no sound of the text"


def _end_in(seconds: float) -> None:
    """The kernel ends us, whatever a library is doing; 0 takes it back."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """At once: phonemizer would look for its copies, and complain after the last word."""
    sys.__excepthook__(kind, error, trace)
    os._exit(1)


def main(model: str, voices: str, threads: str, seconds: str) -> None:
    # What a library prints goes to stderr, away from the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.excepthook = _end
    _end_in(float(seconds))
    kokoro = _load(model, voices, int(threads))
    answer = b"r"
    while True:
        _end_in(0)
        answers.write(len(answer).to_bytes(4, "little") + answer)
        answers.flush()
        if not (head := sys.stdin.buffer.read(4)):
            os._exit(0)
        answer = _answer(kokoro, json.loads(sys.stdin.buffer.read(int.from_bytes(head, "little"))))


if __name__ == "__main__":
    main(*sys.argv[1:])
