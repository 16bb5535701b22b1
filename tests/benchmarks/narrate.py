"""What `narrate` costs beside the engine and beside Prefect themselves: ratios from one run, printed as a table.

Run from the checkout: `uv run python tests/benchmarks/narrate.py`. Exit code 1 when a bound is broken.
"""

import asyncio
import ctypes
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
import wave
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHARACTERS = 100_000
SPEAKING_BOUND, START_BOUND = 1.5, 1.3
SENTENCE = "The keeper of the light climbed stair {}, counted it under his breath, and looked out at the sea. "
BARE_FLOW = "from prefect import flow\n@flow\ndef nothing(): open('started', 'w').close()\nnothing()"


def text() -> str:
    """Paragraphs of four sentences, all different."""
    sentences = [SENTENCE.format(number) for number in range(CHARACTERS // len(SENTENCE))]
    return "\n\n".join("".join(sentences[start : start + 4]) for start in range(0, len(sentences), 4))


def speak_bare(texts: list[str], folder: str) -> None:
    """The engine and nothing else: one process, one file for each text."""
    import espeakng_loader

    engine = ctypes.CDLL(espeakng_loader.get_library_path())
    heard = bytearray()

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    def collect(samples: int | None, count: int, _events: object) -> int:
        if samples:
            heard.extend(ctypes.string_at(samples, 2 * count))
        return 0

    rate = engine.espeak_Initialize(2, 10_000, os.fsencode(espeakng_loader.get_data_path()), 0x8000)
    engine.espeak_SetSynthCallback(collect)
    engine.espeak_SetVoiceByName(b"en-us")
    for number, said in enumerate(texts):
        heard.clear()
        data = said.encode() + b"\0"
        engine.espeak_Synth(data, ctypes.c_size_t(len(data)), 0, 0, 0, 1, None, None)
        with wave.open(f"{folder}/{os.getpid()}-{number}.wav", "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(heard)


def bare_s(texts: list[str], folder: Path) -> float:
    """Two processes, the texts dealt out between them; start-up of the interpreters apart."""
    gate = multiprocessing.get_context("fork").Barrier(3)

    def run(share: list[str]) -> None:
        speak_bare(["Ready."], str(folder))
        gate.wait()
        speak_bare(share, str(folder))

    processes = [multiprocessing.get_context("fork").Process(target=run, args=(texts[part::2],)) for part in range(2)]
    for process in processes:
        process.start()
    gate.wait()
    began = time.perf_counter()
    for process in processes:
        process.join()
    return time.perf_counter() - began


def narrate_s(source: Path, output: Path) -> tuple[float, float, int]:
    """From the first call to the last clip, and to the finished recording; and how many chunks."""
    from deployments.server import connect
    from flows.narrate import narrate
    from tasks.progress import WATCHED, Progress

    server = connect()
    if server:
        server.wait_until_healthy()
    progress = Progress()
    WATCHED.set(progress)
    spoken: list[float] = []

    def watch() -> None:
        while not spoken:
            if progress.total and progress.done == progress.total:
                spoken.append(time.monotonic())
            time.sleep(0.005)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    recording = asyncio.run(narrate(str(source), output=str(output)))
    done = time.monotonic()
    watcher.join()
    assert progress.first_call
    return spoken[0] - progress.first_call, done - progress.first_call, recording.chunks


def until_s(command: list[str], appears: tuple[Path, str], environment: dict[str, str]) -> float:
    """From the start of a command until a file appears."""
    folder, pattern = appears
    began = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while not any(folder.glob(pattern)):
            assert process.poll() is None or any(folder.glob(pattern)), "ended without the file"
            time.sleep(0.01)
        return time.perf_counter() - began


def start_s(place: Path) -> tuple[float, float]:
    """Our start-up to the first clip, and that of a bare flow, each on its second run: the first makes the database."""
    ours = bare = 0.0
    for again in range(2):
        for name in ["ours", "bare"]:
            folder = place / f"{name}{again}"
            folder.mkdir()
            (place / name).mkdir(exist_ok=True)
            home = {
                "HOME": str(place / name),
                "PREFECT_HOME": str(place / name / "prefect"),
                "SPEECH_HOME": str(folder),
            }
            environment = {**os.environ, **home, "PYTHONPATH": str(ROOT)}
            environment.pop("PREFECT_API_URL", None)  # each starts its own temporary server
            if name == "ours":
                (folder / "hello.txt").write_text(f"Hello for the time number {again}.")
                command = [sys.executable, "-m", "deployments.terminal", "narrate", "hello.txt"]
                ours = until_s(command, (folder, "shelf/*/*.json"), environment)
            else:
                bare = until_s([sys.executable, "-c", BARE_FLOW], (folder, "started"), environment)
    return ours, bare


def row(name: str, ours: float, other: float, bound: float | None) -> bool:
    kept = bound is None or ours / other <= bound
    verdict = "" if bound is None else f"<= {bound}: {'PASS' if kept else 'FAIL'}"
    print(f"{name:44} {ours:8.2f} s {other:8.2f} s {ours / other:7.2f}  {verdict}")
    return kept


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ.update(PREFECT_HOME=f"{place}/prefect", SPEECH_HOME=f"{place}/speech")
        os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
        source = place / "long.txt"
        source.write_text(text())
        from blocks.speech import Limits
        from tasks.chunk import chunk_document
        from tasks.parse import read_document

        texts = [chunk.text for chunk in chunk_document(read_document(str(source)), Limits(600, 2400), "en")]
        (place / "bare").mkdir()
        bare = bare_s(texts, place / "bare")
        spoken, whole, chunks = narrate_s(source, place / "out")
        started, bare_started = start_s(place)
    print(f"{CHARACTERS} characters, {chunks} chunks\n{'':44} {'ours':>10} {'bare':>10} {'ratio':>7}")
    kept = [
        row("speaking, against two espeak processes", spoken, bare, SPEAKING_BOUND),
        row("the same with merge, mp3 and manifest", whole, bare, None),
        row("start to first clip, against a bare flow", started, bare_started, START_BOUND),
    ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
