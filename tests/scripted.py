"""A voice that does as it is told: its calls take a given time, and go wrong as a script says."""

import asyncio
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import soundfile

from blocks.callers import Alone
from blocks.plans import Plan
from blocks.speech import Audio, Limits, Offer, Voice
from tasks.attempts import Unit
from tasks.claims import NO_CLAIMS
from tasks.clips import Clip, Failure
from tasks.document import Boundary, Chunk
from tasks.ledger import Ledger
from tasks.progress import Progress
from tasks.shelf import Shelf
from tasks.speak import Speaker, speak
from tasks.turns import Permits

VOICE = Voice("scripted", "v", "en")


def spoken(text: str) -> bytes:
    """A sound as long as the text would take to say: noise, by turns bright and dull, for a steady one is no speech."""
    noise = np.random.default_rng(len(text)).uniform(-0.3, 0.3, 16_000 * max(4, len(text)) // 15)
    dull = np.convolve(noise, np.full(16, 0.2), "same")
    data = io.BytesIO()
    soundfile.write(data, np.where(np.arange(len(noise)) // 1_000 % 2, noise, dull), 16_000, format="WAV")
    return data.getvalue()


class Scripted:
    """A provider whose calls take a given time and go wrong as a script says."""

    name = "scripted"
    limits = Limits(600, 2400)

    def __init__(
        self,
        in_flight: int = 2,
        call_s: float = 0.05,
        script: Callable[[str, int], Audio | None] | None = None,
        together: int = 0,
    ) -> None:
        self.plan = Plan("scripted", f"test-{time.monotonic_ns()}", in_flight)
        self.call_s = call_s
        self.script = script or (lambda _text, _attempt: None)
        self.calls: list[str] = []
        self.now = self.most = 0
        self.together = together
        """The first calls wait until there are so many: a slow machine grants the lanes late."""
        self.gathered = asyncio.Event()

    async def voices(self) -> Sequence[Offer]:
        return [Offer("v", "en")]

    async def resolve(self, voice: Voice) -> Voice:
        return voice

    async def synthesise(self, text: str, voice: Voice) -> Audio:
        assert voice == VOICE
        self.calls.append(text)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if self.now >= self.together:
                self.gathered.set()
            await asyncio.wait_for(self.gathered.wait(), 60)
            await asyncio.sleep(self.call_s)
            return self.script(text, self.calls.count(text)) or Audio(spoken(text), "wav")
        finally:
            self.now -= 1

    async def close(self) -> None:
        pass


def chunks_of(*texts: str) -> list[Chunk]:
    return [Chunk(text, 0, Boundary.SENTENCE) for text in texts]


def sentences(count: int) -> list[Chunk]:
    return chunks_of(*(f"This is the sentence with the number {number} in it." for number in range(count)))


def speaker_of(
    provider: Scripted, shelf: Shelf, permits: Permits, progress: Progress | None = None, slots: int = 0
) -> Speaker:
    """With a ledger beside the shelf, and no keys."""
    ledger = Ledger(shelf.root.parent / "ledger.jsonl")
    speaker = Speaker(provider, VOICE, Alone(provider), shelf, NO_CLAIMS, progress or Progress(), ledger)
    return replace(speaker, permits=permits, slots=slots or provider.plan.in_flight)


async def speak_alone(provider: Scripted, shelf: Shelf, text: str = "Here is one sentence to say.") -> Clip | Failure:
    """One text, tried again and again without anybody else in the queue."""
    speaker, outcome = speaker_of(provider, shelf, Permits({provider.plan.tag: 1})), Unit(chunks_of(text)[0])
    while isinstance(outcome, Unit):
        await asyncio.sleep(max(outcome.not_before - time.monotonic(), speaker.permits.rest_s))
        outcome = await speak(outcome, speaker)
    return outcome.outcome


def fails_until(attempt: int, error: Exception) -> Callable[[str, int], Audio | None]:
    def script(_text: str, count: int) -> None:
        if count < attempt:
            raise error

    return script
