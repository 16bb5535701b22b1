"""Running the ffmpeg that pip brought: bounded in time, stopped on request, and its complaints in plain words."""

import contextlib
import errno
import re
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import IO, TypeVar, cast

import imageio_ffmpeg

from blocks.speech import RunFailed

Heard = TypeVar("Heard")

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""The errors of a disk, a quota or a file that cannot grow."""
TURN_S = 0.05


class DiskFull(RunFailed):
    pass


def ffmpeg(
    arguments: Sequence[str], limit_s: float, stop: Event, listen: Callable[[IO[bytes]], Heard], feed: bytes = b""
) -> tuple[Heard, str]:
    """What `listen` made of ffmpeg's standard output, and ffmpeg's log. `feed` is its standard input.

    Raises DiskFull, or RunFailed when ffmpeg fails, takes longer than `limit_s`, or `stop` is set meanwhile.
    """
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-nostats", *arguments]
    ended = Event()
    with (
        ThreadPoolExecutor(3) as threads,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Ctrl-C in a terminal is for us, and we decide what it means for ffmpeg.
            start_new_session=True,
            # Python ignores the signal of a file that may not grow; so must ffmpeg, to tell of it as of a full disk.
            restore_signals=False,
        ) as process,
    ):
        log = threads.submit(cast("IO[bytes]", process.stderr).read)
        late = threads.submit(_watch, process, ended, limit_s, stop)
        fed = threads.submit(_feed, process.stdin, feed)
        try:
            heard = listen(cast("IO[bytes]", process.stdout))
            process.wait()
        finally:
            process.kill()
            ended.set()
            fed.result()
            said = log.result().decode(errors="replace")
    if process.returncode:
        raise _failure(process.returncode, said, late=late.result(), stopped=stop.is_set())
    return heard, said


def _feed(stream: IO[bytes] | None, data: bytes) -> None:
    if stream:
        with contextlib.suppress(BrokenPipeError), stream:  # its exit code tells why it wanted no more
            stream.write(data)


def _watch(process: subprocess.Popen[bytes], ended: Event, limit_s: float, stop: Event) -> bool:
    """End it when asked to or when it is late; tells whether it was late."""
    # Time is counted in turns, not by the clock: Ctrl-Z or a sleeping laptop makes nothing late.
    for _ in range(round(limit_s / TURN_S)):
        if ended.wait(TURN_S):
            return False
        if stop.is_set():
            break
    process.kill()
    return not stop.is_set()


def _failure(code: int, said: str, *, late: bool, stopped: bool) -> RunFailed:
    if stopped:
        return RunFailed("stopped; finished clips are kept")
    # ffmpeg ends with the low byte of its negative error number.
    if 256 - code in FULL or "No space left on device" in said:
        return DiskFull("there is no room for the recording")
    if late:
        return RunFailed("ffmpeg hung and was ended; run the same command again: finished clips are kept")
    lines = [line for line in said.splitlines() if re.search(r"error|invalid|fail|not ", line, re.IGNORECASE)]
    return RunFailed(f"ffmpeg failed (exit code {code}): {'; '.join(lines[-2:]) or said[-200:].strip()}")


def loudness(log: str) -> float | None:
    """Integrated loudness in LUFS from the summary of ebur128; None for silence and for less than 400 ms."""
    with contextlib.suppress(ValueError, IndexError):
        lufs = float(re.findall(r"I:\s+(\S+) LUFS", log)[-1])
        return lufs if lufs > -70 else None
    return None
