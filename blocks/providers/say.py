"""The voices of macOS, through its program `say`: a process for each text, one at a time."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import tempfile
import unicodedata
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from blocks.blame import Receipt, check_text, told
from blocks.choices import by_language, canonical, check_spoken, named, speed_of, without_markup
from blocks.plans import Plan
from blocks.sound import audio, unpacked
from blocks.speech import Audio, BadInput, BadVoice, Billed, EngineFailed, Limits, NotSpeech, Offer, Voice

_RATE = 22_050
_WORDS_A_MINUTE = 175
"""At a speed of 1."""
_SLOWEST, _FASTEST = 0.5, 2.5
_DEADLINE_S = 60.0
_DEADLINE_S_PER_CHARACTER = 0.2
_FREE = Receipt(Billed.NO)
_DEFAULT = "en-US"
_LISTED = re.compile(r"(?P<name>\S.*?)\s+(?P<language>[a-z]{2,3}([_-][A-Za-z0-9]+)*)\s+#(?P<example>.*)")
_UNKNOWN = re.compile(r"voice .* not found", re.IGNORECASE)
_ODD = re.compile(
    "(Albert|Bad News|Bahh|Bells|Boing|Bubbles|Cellos|Deranged|Eddy|Flo|Fred|Good News|Grandma|Grandpa|Hysterical|"
    "Jester|Junior|Kathy|Organ|Pipe Organ|Princess|Ralph|Reed|Rocko|Sandy|Shelley|Superstar|Trinoids|Whisper|Wobble|"
    r"Zarvox)( \(.*)?"
)
"""Jokes and robots, which stand before or among the others of their language: nobody's default."""


class Say:
    """A Provider. Belongs to the event loop that it is first used on."""

    name = "say"
    limits = Limits(characters=600, bytes=2400)
    call_s = 1.0

    def __init__(self) -> None:
        program = shutil.which("say")
        if program is None:
            raise BadInput("say is a macOS program, and not on this machine: use --provider espeak here.")
        self.plan = Plan(self.name, "local", 1)
        self._program = program
        self._turn = asyncio.Semaphore(self.plan.in_flight)
        self._running: asyncio.subprocess.Process | None = None
        self._offers: list[Offer] = []
        self._closed = False

    async def voices(self) -> Sequence[Offer]:
        """Raises BadInput where another program bears the name."""
        if not self._offers:
            try:
                listing = await self._run("-v", "?", within_s=_DEADLINE_S)
            except EngineFailed as error:
                raise BadInput(f"{self._program} lists no voices: {error}") from error
            self._offers = _parsed(listing)
        if not self._offers:
            raise BadInput(f"{self._program} lists no voices as macOS's say does: use --provider espeak here.")
        return self._offers

    async def resolve(self, voice: Voice) -> Voice:
        """English (America) where neither voice nor language is asked for."""
        for what, value in (("model", voice.model), ("style", voice.style)):
            if value:
                raise BadVoice(f"say takes no {what} ({value!r} was asked for): leave it empty.")
        speed = speed_of(self.name, voice.speed, _SLOWEST, _FASTEST)
        offers = await self.voices()
        if voice.name:
            name = named(self.name, "voice", voice.name, (offer.name for offer in offers))
            offer = next(offer for offer in offers if offer.name == name)
            check_spoken(voice.language, offer)
        else:
            offer = _preferred(voice.language, offers)
        return replace(voice, provider=self.name, name=offer.name, language=offer.language, speed=speed)

    async def synthesise(self, text: str, voice: Voice) -> Audio:
        """A WAV file, 22,050 samples a second, 16 bits, mono."""
        check_text(self.name, text, self.limits)
        with tempfile.TemporaryDirectory(prefix="say-") as folder:
            source, target = Path(folder, "in.txt"), Path(folder, "out.wav")
            _write(source, text)
            await self._run(
                *("-v", voice.name, "-r", str(round(_WORDS_A_MINUTE * voice.speed)), "-o", str(target)),
                *(f"--data-format=LEI16@{_RATE}", "--file-format=WAVE", "-f", str(source)),
                within_s=_DEADLINE_S + _DEADLINE_S_PER_CHARACTER * len(text),
            )
            return _heard(target)

    async def close(self) -> None:
        """End what runs; calls that still wait, or come later, fail."""
        self._closed = True
        if self._running:
            _kill(self._running)
        async with self._turn:
            pass  # Then no call is left.

    async def _run(self, *arguments: str, within_s: float) -> bytes:
        """What it prints. Raises EngineFailed or BadVoice."""
        async with self._turn:
            if self._closed:
                raise EngineFailed("say was closed before it could speak.")
            try:
                process = await asyncio.create_subprocess_exec(
                    *(self._program, *arguments),
                    stdin=DEVNULL,
                    stdout=PIPE,
                    stderr=PIPE,
                    process_group=0,  # Its own: one kill reaches all that it started, and Ctrl-C does not reach it.
                )
            except OSError as error:
                raise EngineFailed(f"say did not start: {error.strerror}.") from error
            self._running = process
            try:
                async with asyncio.timeout(within_s):
                    if self._closed:  # While it started.
                        _kill(process)
                    printed, complaints = await process.communicate()
            except TimeoutError as error:
                raise EngineFailed("say did not finish before its deadline.") from error
            finally:
                self._running = None
                _kill(process)
                await process.wait()
        if status := process.returncode:
            raise _failure(status, complaints.decode(errors="replace"))
        return printed


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _failure(status: int, complaints: str) -> EngineFailed | BadVoice:
    if status < 0:
        return EngineFailed(f"say was ended by {signal.Signals(-status).name}.")
    lines = [told(line.removeprefix("say: ")) for line in complaints.splitlines() if line.strip()]
    if lines and _UNKNOWN.match(lines[-1]):
        return BadVoice(f"say: {lines[-1]} List them with `speech voices say`.")
    return EngineFailed(f"say: {lines[-1]}" if lines else f"say ended with status {status}.")


def _parsed(listing: bytes) -> list[Offer]:
    """Of lines such as `Samantha   en_US    # Hello! My name is Samantha.`; a name may have blanks and brackets."""
    rows = (_LISTED.fullmatch(line.rstrip()) for line in listing.decode(errors="replace").splitlines())
    offers = (Offer(row["name"], canonical(row["language"])) for row in rows if row)
    return list({offer.name: offer for offer in offers}.values())


def _preferred(language: str, offers: Sequence[Offer]) -> Offer:
    """Raises BadVoice."""
    ranked = sorted(offers, key=lambda offer: _ODD.fullmatch(offer.name) is not None)
    try:
        return by_language("say", language or _DEFAULT, ranked)
    except BadVoice:
        if language:
            raise
        return ranked[0]


def _write(source: Path, text: str) -> None:
    """`[[…]]` would be a command to say."""
    source.write_text(without_markup(unicodedata.normalize("NFC", text), "[]"), encoding="utf-8")


def _heard(target: Path) -> Audio:
    """Raises NotSpeech."""
    if not target.exists():
        raise NotSpeech("say wrote no file.")
    spoken = audio(target.read_bytes(), _FREE)
    if not any(unpacked(spoken.data)[1]):
        raise NotSpeech("say made no sound of the text.")
    return spoken
