"""The process that holds the espeak-ng engine: `python -I -S espeak_worker.py LIBRARY DATA SOUND`.

On stdout first the voices, in a frame of four bytes of length and as many bytes of content. A request on stdin is such
a frame too: voice, words a minute, deadline in seconds and text, parted by NUL. For each, a WAV file overwrites the
file that is open under the number SOUND, and stdout tells its length in four bytes; 0 says that the engine made no
sound. (Read from a pipe, the sound would cost the one process that serves all workers twice as much.) Anything that
goes wrong ends the process, with the reason as its last line on stderr; the end of stdin ends it too.

Each text is spoken by a fork of the unused engine. The engine keeps state from one text to the next that nothing resets
(not even loading it anew), so that only a fork gives the same samples for the same text; and a crash or an endless loop
ends there. Hence the standard library alone, and little of it: the smaller the process, the faster it forks.
"""

import ctypes
import gc
import os
import signal
import struct
import sys
from collections.abc import Iterator

_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_BUFFER_MS = 0
"""The engine's own choice, 60. A longer buffer saves a twentieth of the time, but the samples depend on its length."""
_UTF8 = 1
_RATE = 1
"""The number of espeak-ng's parameter for words a minute."""
_HEAD = struct.Struct("<4sI4s4sIHHIIHH4sI")
"""Of a WAV file."""

_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class _VoiceRecord(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("rest", ctypes.c_byte * 16),
        ("spare", ctypes.c_void_p),
    )


def _load(library: str, data: str) -> tuple[ctypes.CDLL, int]:
    engine = ctypes.CDLL(library)
    engine.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_VoiceRecord))
    engine.espeak_GetCurrentVoice.restype = ctypes.POINTER(_VoiceRecord)
    rate = engine.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, os.fsencode(data), _DONT_EXIT)
    if rate <= 0:
        sys.exit(f"espeak-ng did not start with the data in {data}.")
    engine.espeak_ng_SetRandSeed(1)  # Breath and flutter are random, by default from the second of the start.
    return engine, rate


def _voices(engine: ctypes.CDLL) -> Iterator[str]:
    """A line for each voice and variant: identifier, name, and each language as priority and tag; parted by tabs."""
    variants = _VoiceRecord(languages=ctypes.cast(ctypes.c_char_p(b"variant"), ctypes.c_void_p))
    for wanted in (None, ctypes.byref(variants)):
        records = engine.espeak_ListVoices(wanted)
        index = 0
        while records[index]:
            record = records[index].contents
            yield "\t".join((record.identifier.decode(), record.name.decode(), *_languages(record.languages)))
            index += 1


def _languages(address: int) -> Iterator[str]:
    """Each a byte of priority and a NUL-ended tag; a priority of 0 ends them."""
    while priority := ctypes.string_at(address, 1)[0]:
        tag = ctypes.string_at(address + 1)
        yield f"{priority} {tag.decode()}"
        address += len(tag) + 2


def _speak(engine: ctypes.CDLL, rate: int, request: bytes) -> bytearray:
    """A WAV file, or nothing where the engine made no sound."""
    voice, words_a_minute, seconds, text = request.split(b"\0")
    # The kernel ends us with SIGALRM, even if the engine never comes back to Python and nobody is left to do it.
    signal.setitimer(signal.ITIMER_REAL, float(seconds))
    _choose(engine, voice)
    engine.espeak_SetParameter(_RATE, int(words_a_minute), 0)
    file = bytearray(_HEAD.size)

    def collect(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            file.extend((ctypes.c_char * (2 * count)).from_address(samples))
        return 0

    callback = _CALLBACK(collect)
    engine.espeak_SetSynthCallback(callback)
    if error := engine.espeak_Synth(text, len(text) + 1, 0, 0, 0, _UTF8, None, None):
        sys.exit(f"espeak-ng refused the text with error {error}.")
    size = len(file) - _HEAD.size
    _HEAD.pack_into(file, 0, *(b"RIFF", size + 36, b"WAVE"), *(b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16), b"data", size)
    return file if any(memoryview(file)[_HEAD.size :]) else bytearray()


def _choose(engine: ctypes.CDLL, voice: bytes) -> None:
    """Set the voice, and see that it is the one: an unknown variant is passed over with a success."""
    error = engine.espeak_SetVoiceByName(voice)
    chosen = engine.espeak_GetCurrentVoice().contents.identifier or b""
    if error or chosen.rpartition(b"/")[2].lower() != voice.lower():
        sys.exit(f"espeak-ng did not load the voice {voice.decode()}.")


def _save(sound: int, file: bytearray) -> None:
    done = 0
    while done < len(file):
        done += os.pwrite(sound, memoryview(file)[done:], done)


def _requests() -> Iterator[bytes]:
    while head := sys.stdin.buffer.read(4):
        yield sys.stdin.buffer.read(int.from_bytes(head, "little"))


def _tell(size: int, content: bytes = b"") -> None:
    sys.stdout.buffer.write(size.to_bytes(4, "little") + content)
    sys.stdout.buffer.flush()


def main(library: str, data: str, sound: str) -> None:
    engine, rate = _load(library, data)
    voices = "\n".join(_voices(engine)).encode()
    _tell(len(voices), voices)
    gc.freeze()  # A collection in a fork would copy every page it marks.
    gc.disable()
    for request in _requests():
        if not (child := os.fork()):
            file = _speak(engine, rate, request)
            _save(int(sound), file)
            _tell(len(file))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == -signal.SIGALRM:
            sys.exit("espeak-ng did not finish before its deadline.")
        if status < 0:
            sys.exit(f"espeak-ng was ended by {signal.Signals(-status).name}.")
        if status:
            sys.exit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
