"""One fault in one call of five: a run through the whole of `narrate`, and what came of it."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd

import tasks.attempts
import tasks.synthesise
from blocks.key_pool import throttle
from blocks.providers import gemini_blame, opened
from blocks.speech import Audio, SpeechError, Voice
from blocks.wire import Wire
from flows.narrate import narrate
from tasks.recording import Incomplete, Recording
from tasks.verify import measure
from tests.emulator.faults import GOOD
from tests.emulator.fixture import Emulator

SHARE = 0.2
HANGS, DEADLINE_S = {"hang", "hang_midway"}, 1.0
RUN_S = 240.0
ODD = {*GOOD, "mp3_as_wav"}
"""Whole speech in an odd form, which is not heard byte for byte as usual."""
ODD_S = 0.1
"""It may differ by so much in length."""
HOW: dict[str, dict[str, Any]] = {"drip": {"at": 100_000, "seconds": 0.01}}
VOICES = {"f5": "anna"}  # an F5 voice tells its language by nothing but its name


@dataclass(frozen=True, slots=True)
class Cell:
    """What one fault did to one run."""

    provider: str
    fault: str
    units: int
    spoken: int = 0
    """Units that are heard whole."""
    calls: int = 0
    played: int = 0
    """Calls that the fault was played on."""
    retries: int = 0
    false: tuple[str, ...] = ()
    """Texts that are heard from a wrong answer, without a flag."""
    flagged: int = 0
    alarms: tuple[str, ...] = ()
    """Flags on good speech."""
    wasted: Counter[str] = field(default_factory=Counter)
    """Billed answers that are not heard, by what they were; `ok` stands for all good ones."""
    stopped: str = ""
    elapsed_s: float = 0.0

    @property
    def passed(self) -> bool:
        return self.spoken == self.units and not self.false and not self.wasted["ok"] and not self.stopped


class Bench:
    """The emulator, and what its voices say when nothing goes wrong."""

    def __init__(self, place: Path, emulator: Emulator, texts: Sequence[str]) -> None:
        self._place = place
        self._emulator = emulator
        self._units = len(texts)
        self._good: dict[tuple[str, str], Audio] = {}
        self._source = place / "story.txt"
        self._source.write_text("\n\n".join(texts))

    async def cell(self, provider: str, fault: str) -> Cell:
        began = time.monotonic()
        self._emulator.reset()
        seed = zlib.crc32(f"{provider} {fault}".encode())  # other calls in each cell, the same in each run
        rule = {"fault": fault, "probability": SHARE, "seed": seed, "seconds": 0.05} | HOW.get(fault, {})
        self._emulator.script(provider, *([rule] if fault else []))
        os.environ["SPEECH_HOME"] = str(self._place / "homes" / f"{provider}-{fault}")
        with impatient(fault):
            recording, stopped = await self._narrated(provider)
        ledger = self._emulator.ledger(provider)
        self._emulator.script(provider)
        shutil.rmtree(self._place / "homes")
        cell = Cell(
            provider,
            fault,
            units=self._units,
            calls=len(ledger),
            played=sum(entry["outcome"] == fault for entry in ledger),
            stopped=stopped,
            elapsed_s=time.monotonic() - began,
        )
        return await self._judged(cell, recording, ledger) if recording else cell

    async def _judged(self, cell: Cell, recording: Recording, ledger: Sequence[dict[str, Any]]) -> Cell:
        rows = recording.manifest
        heard = rows[rows["status"] == "ok"]
        good = await self._are_good(cell, heard)
        flagged = [isinstance(flags, str) for flags in heard["flags"]]
        clips = list(zip(heard["text"], good, flagged, strict=True))
        return replace(
            cell,
            spoken=len(set(heard["segment"]) - set(rows.loc[rows["status"] != "ok", "segment"])),
            retries=recording.retries,
            false=tuple(text for text, true, told in clips if not true and not told),
            flagged=sum(flagged),
            alarms=tuple(text for text, true, told in clips if true and told),
            wasted=wasted(ledger, set(heard["text"])),
        )

    async def _narrated(self, provider: str) -> tuple[Recording | None, str]:
        """The recording, even an unfinished one; and what stopped the run, if anything did."""
        try:
            async with asyncio.timeout(RUN_S):
                recording = await narrate(
                    str(self._source),
                    output=str(self._place / "out"),
                    format="wav",
                    provider=provider,
                    server=self._emulator.server(provider),
                    voice=VOICES.get(provider, ""),
                )
        except Incomplete as error:
            return error.recording, ""
        except (SpeechError, TimeoutError) as error:
            return None, f"{type(error).__name__}: {error}"
        return recording, ""

    async def _are_good(self, cell: Cell, heard: pd.DataFrame) -> list[bool]:
        """Of each clip, whether it is what the provider answers when nothing goes wrong.

        Byte for byte: the emulator says a text the same each time. An odd form of good speech is as long.
        """
        provider = cell.provider
        async with opened(provider, self._emulator.server(provider)) as speaker:
            voice = await speaker.resolve(Voice(provider, VOICES.get(provider, "")))
            good = []
            for row in heard.itertuples():
                if (provider, row.text) not in self._good:
                    self._good[provider, row.text] = await speaker.synthesise(row.text, voice)
                data = self._good[provider, row.text].data
                alike = cell.fault in ODD and abs(length_s(data) - row.samples / row.sample_rate) < ODD_S
                good.append(alike or hashlib.sha256(data).hexdigest() == row.sha256)
        return good


def length_s(data: bytes) -> float:
    measured = measure(data)
    return measured.samples / measured.sample_rate


def wasted(ledger: Sequence[dict[str, Any]], heard: set[str]) -> Counter[str]:
    """Billed answers beside the one that is heard of each text, by what they were."""
    billed = [
        (entry["text"], "ok" if entry["outcome"] in GOOD else entry["outcome"]) for entry in ledger if entry["billed"]
    ]
    spare = Counter(billed)
    for text in heard:
        kinds = [kind for said, kind in billed if said == text]
        if kinds:
            spare[text, "ok" if "ok" in kinds else kinds[-1]] -= 1
    found: Counter[str] = Counter()
    for (_, kind), count in spare.items():
        found[kind] += count
    return +found


def hurry() -> None:
    """Shorten what a bench need not wait for: pauses before a retry, and one task run of Prefect for each call."""
    tasks.attempts.BACKOFF_S = 0.01
    throttle._RATE_S = 0.05
    gemini_blame._UNTOLD_S = 0.05
    tasks.synthesise.TASK_RUNS_PER_S = 0.02


@contextlib.contextmanager
def impatient(fault: str) -> Iterator[None]:
    """Calls that hang are given up after a second instead of minutes; others have all their time."""
    ask = Wire.ask

    async def hurried(self: Wire, *where: str, deadline_s: float, **rest: Any) -> Any:
        return await ask(self, *where, deadline_s=min(deadline_s, DEADLINE_S), **rest)

    with patch.object(Wire, "ask", hurried) if fault in HANGS else contextlib.nullcontext():
        yield
