"""A stand-in for macOS's `say`, to be put on PATH: it insists on the arguments that `say` has, and really speaks.

SAY_FAULT tells it to fail, and SAY_LOG names a file to which it adds the arguments and the text of each call.
"""

import json
import os
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # It runs without other packages.
    import pytest

WORKER = Path(__file__).parent.parent / "blocks" / "providers" / "espeak_worker.py"
LISTING = """\
Albert              en_US    # Hello! My name is Albert.
Daniel              en_GB    # Hello! My name is Daniel.
Eddy (English (UK)) en_GB    # Hello! My name is Eddy.
Eddy (Deutsch (Deutschland)) de_DE    # Hallo! Ich heiße Eddy.
Anna                de_DE    # Hallo! Ich heiße Anna.
Fiona               en-scotland # Hello, my name is Fiona.
Linh                vi_VN    # Xin chào! Tên tôi là Linh.
Majed               ar_001   # مرحبًا! اسمي ماجد.
Mónica              es_ES    # ¡Hola! Me llamo Mónica.
Samantha            en_US    # Hello! My name is Samantha.
Tingting            zh_CN    # 你好, 我叫婷婷。
"""
VOICES = {
    "Albert": "en-us+m3",
    "Daniel": "en",
    "Eddy (English (UK))": "en",
    "Eddy (Deutsch (Deutschland))": "de",
    "Anna": "de",
    "Fiona": "en-gb-scotland",
    "Linh": "vi",
    "Majed": "ar",
    "Mónica": "es",
    "Samantha": "en-us",
    "Tingting": "cmn",
}


def install(folder: Path) -> Path:
    """The folder, for PATH."""
    import espeakng_loader

    folder.mkdir(parents=True, exist_ok=True)
    engine = (espeakng_loader.get_library_path(), espeakng_loader.get_data_path())
    command = shlex.join((sys.executable, "-I", "-S", __file__, *engine))
    program = folder / "say"
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return folder


def put_on_path(environment: "pytest.MonkeyPatch", folder: Path) -> None:
    environment.setenv("PATH", f"{install(folder)}{os.pathsep}{os.environ['PATH']}")


def main(engine: Sequence[str], arguments: list[str], fault: str) -> None:
    if fault == "stranger":
        print("I am the say of another system.")
    elif arguments == ["-v", "?"]:
        sys.stdout.buffer.write(LISTING.encode())
    else:
        speak(engine, arguments, fault)


def speak(engine: Sequence[str], arguments: list[str], fault: str) -> None:
    names, values = arguments[:6:2] + arguments[8::2], arguments[1:6:2] + arguments[9::2]
    formats = ["--data-format=LEI16@22050", "--file-format=WAVE"]
    if names != ["-v", "-r", "-o", "-f"] or arguments[6:8] != formats or len(values) != 4:
        sys.exit(f"say: wrong arguments {arguments}")
    voice, words, target, source = values
    text = Path(source).read_bytes().decode()
    if log := os.environ.get("SAY_LOG"):
        with Path(log).open("a", encoding="utf-8") as file:
            print(json.dumps([arguments, text]), file=file)
    if fault == "unknown" or voice not in VOICES:
        sys.exit(f"Voice `{voice}' not found.")
    if "[[" in text:
        sys.exit("say: obeyed a command")
    samples = b"" if fault == "header" else b"".join(sound(engine, VOICES[voice], words, text))
    misbehave(fault)
    if fault == "silence":
        samples = bytes(len(samples))
    Path(target).write_bytes(wav(samples))


def misbehave(fault: str) -> None:
    if fault == "child":
        subprocess.Popen(["sleep", "600"])
        time.sleep(600)
    if fault == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "complaint":
        sys.exit("starting\nsay: something is broken\n")
    if fault == "no file":
        sys.exit()


def sound(engine: Sequence[str], voice: str, words: str, text: str) -> Iterator[bytes]:
    """Samples of the embedded voice: of short pieces, as its own buffers overflow where macOS's do not."""
    step = 80 if text.isascii() else 20
    with tempfile.TemporaryFile() as file:
        command = (sys.executable, "-I", "-S", str(WORKER), *engine, str(file.fileno()))
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[file.fileno()])
        worker.stdout.read(int.from_bytes(worker.stdout.read(4), "little"))  # The list of voices.
        for start in range(0, len(text), step):
            request = "\0".join((voice, words, "30", text[start : start + step])).encode()
            worker.stdin.write(len(request).to_bytes(4, "little") + request)
            worker.stdin.flush()
            size = int.from_bytes(worker.stdout.read(4), "little")
            yield os.pread(file.fileno(), size, 0)[44:] if size else b""
        worker.stdin.close()
        worker.wait()


def wav(samples: bytes) -> bytes:
    """As Apple's library writes it, with the sound at 4,096 bytes from the start."""
    filler = struct.pack("<4sI4044x", b"FLLR", 4044)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 22050, 44100, 2, 16)
    body = b"WAVE" + form + filler + struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI", b"RIFF", len(body)) + body


if __name__ == "__main__":
    main(sys.argv[1:3], sys.argv[3:], os.environ.get("SAY_FAULT", ""))
