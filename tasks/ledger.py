"""The ledger: a row for each call before it is made, and what became of it, so that no money is spent in silence.

Nor any beyond the run's budget: the row sets aside what its call may come to.

A file of JSON lines for each run, under `SPEECH_HOME/ledger`. A call's first line says `sent`; its last says `ok`,
`failed` or `unknown`. A call whose last line is `sent` was under way when the process was killed: unknown, too.
"""

import errno
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import uuid4

from blocks.prices import Price, price_of
from blocks.speech import Audio, BadInput, Billed, CallFailed, RunFailed, Usage, Voice
from tasks.budget import BudgetSpent, check_budget, check_priced
from tasks.pace import expected_s


@dataclass(slots=True)
class Entry:
    """One call. Its money is an upper bound where the provider told no usage."""

    id: str
    """Of the process that made it, and its number there."""
    text: str
    """The SHA-256 of what was to be said."""
    characters: int
    provider: str
    model: str
    voice: str
    key: str
    """The key's name for people; empty for what needs none."""
    at: str
    status: Literal["sent", "ok", "failed", "unknown"] = "sent"
    billed: Billed = Billed.UNKNOWN
    error: str = ""
    request_id: str = ""
    latency_s: float = 0.0
    input: int = 0
    output: int = 0
    """Units of the price list; 0 for what is not billed."""
    unit: str = ""
    told: bool = False
    """By the provider; else estimated."""
    cost_usd: float | None = None
    """None where no price is known. Of a call that nobody has answered, the most that it may come to."""

    @property
    def committed_usd(self) -> float:
        """What is spent on it, or may be."""
        return 0.0 if self.billed is Billed.NO else self.cost_usd or 0.0


class Ledger:
    """The calls of one run, those before it was retried too. Opened and settled from one event loop only."""

    def __init__(self, path: Path, budget_usd: float = 0.0) -> None:
        """The run may spend so much; 0 is no bound. Raises BadInput for what is no sum."""
        check_budget(budget_usd)
        self.path, self.budget_usd = path, budget_usd
        self.entries = _earlier(path)
        self._committed_usd = sum(entry.committed_usd for entry in self.entries)
        billed = [entry for entry in self.entries if entry.billed is Billed.YES]
        self._billed_usd = sum(entry.committed_usd for entry in billed)
        self._unpriced = sum(entry.cost_usd is None for entry in billed)
        self._process = uuid4().hex[:8]
        self._said = {entry.text for entry in self.entries if entry.status == "ok"}
        path.parent.mkdir(parents=True, exist_ok=True)

    @property
    def billed_usd(self) -> float | None:
        """What the calls so far have cost for certain; None where one of them has no known price."""
        return None if self._unpriced else round(self._billed_usd, 8)

    def has_said(self, text: str) -> bool:
        """Whether a call for it went well before this run was retried."""
        return hashlib.sha256(text.encode()).hexdigest() in self._said

    @contextmanager
    def call(self, text: str, voice: Voice, key: str = "") -> Iterator["Call"]:
        """Holds while a call is made and proved: `ok` if the body ends well, and never left open.

        Raises BudgetSpent where it might cost more than is left; what it may come to is set aside until it has ended.
        """
        entry = Entry(
            id=f"{self._process}-{len(self.entries) + 1}",
            text=hashlib.sha256(text.encode()).hexdigest(),
            characters=len(text),
            provider=voice.provider,
            model=voice.model,
            voice=voice.name,
            key=key,
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        call = Call(entry, text, voice)
        entry.cost_usd = self._affordable(call.most_usd, voice)
        self._write(entry)
        self.entries.append(entry)
        most_usd = entry.committed_usd
        self._committed_usd += most_usd
        try:
            yield call
            call.settle("ok", Billed.YES)
        except CallFailed as error:
            call.failed(error)
            raise
        except BadInput as error:
            entry.error = type(error).__name__
            call.settle("failed", Billed.NO)
            raise
        finally:
            if entry.status == "sent":  # cancelled, or the disk is full
                call.abandoned()
            self._committed_usd += entry.committed_usd - most_usd
            if entry.billed is Billed.YES:
                self._billed_usd += entry.committed_usd
                self._unpriced += entry.cost_usd is None
            self._write(entry)

    def check_priced(self, voice: Voice) -> None:
        """Raises BadInput where there is a budget, and nobody could say what this voice takes of it."""
        check_priced(voice, self.budget_usd)

    def _affordable(self, most_usd: float | None, voice: Voice) -> float | None:
        """What the call may come to. Raises BudgetSpent; what costs nothing meets no budget."""
        self.check_priced(voice)
        if self.budget_usd and most_usd and round(self._committed_usd + most_usd, 8) > self.budget_usd:
            open_usd = round(self._committed_usd - self._billed_usd, 8)
            raise BudgetSpent(self.budget_usd, self._billed_usd, open_usd, most_usd)
        return most_usd

    def _write(self, entry: Entry) -> None:
        """One line in one write: lines of two processes cannot mix. Raises RunFailed where it cannot be written."""
        fields = {name: getattr(entry, name) for name in entry.__slots__}  # asdict would copy each, twice a call
        line = (json.dumps(fields, ensure_ascii=False) + "\n").encode()
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                if os.write(file, line) < len(line):
                    os.write(file, b"\n")  # so that no other line is spoilt, if there is room for as much
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(file)
        except OSError as error:
            raise RunFailed(
                f"cannot write {self.path}: {error.strerror}. No call is made without its row: make room, then run the "
                "same command again; finished speech is kept"
            ) from error


class Call:
    """One call under way."""

    def __init__(self, entry: Entry, text: str, voice: Voice) -> None:
        self._entry, self._text = entry, text
        self._expected_s = expected_s([text]) / voice.speed
        self._price: Price | None = price_of(voice)
        self._began = time.monotonic()
        self._audio: Audio | None = None

    @property
    def latency_s(self) -> float:
        return self._entry.latency_s

    @property
    def most_usd(self) -> float | None:
        """What it may come to; None where no price is known."""
        return round(self._price.most_usd(self._text, self._expected_s), 8) if self._price else None

    def answered(self, audio: Audio) -> None:
        """The answer is here, and so is its bill, whatever the answer is worth."""
        self._audio = audio
        self._entry.latency_s = round(time.monotonic() - self._began, 4)
        self._entry.request_id = audio.request_id

    def abandoned(self) -> None:
        """Nobody will use its answer, which may still be on its way."""
        if self._audio:
            self.settle("failed", Billed.YES)
        else:
            self.settle("unknown", Billed.UNKNOWN)

    def cost_usd(self, usage: Usage | None) -> float:
        """Of a call that was billed, by what the provider told or else by the text; 0 where no price is known."""
        return self._price.usd(usage or self._estimate(self._price)) if self._price else 0.0

    def failed(self, error: CallFailed) -> None:
        billed = Billed.YES if self._audio else error.billed
        self._entry.error = type(error).__name__
        self._entry.request_id = self._entry.request_id or error.request_id
        self.settle("unknown" if billed is Billed.UNKNOWN else "failed", billed, error.usage)

    def settle(self, status: Literal["ok", "failed", "unknown"], billed: Billed, usage: Usage | None = None) -> None:
        entry = self._entry
        entry.status, entry.billed = status, billed
        entry.latency_s = entry.latency_s or round(time.monotonic() - self._began, 4)
        told = self._audio.usage if self._audio else usage
        if self._price is None or billed is Billed.NO:
            entry.cost_usd = None if self._price is None and billed is not Billed.NO else 0.0
            return
        spent = told or self._estimate(self._price)
        entry.input, entry.output, entry.unit, entry.told = (
            spent.input,
            spent.output,
            self._price.unit,
            told is not None,
        )
        if told or billed is Billed.YES:  # else it may still come to the most
            entry.cost_usd = round(self._price.usd(spent), 8)

    def _estimate(self, price: Price) -> Usage:
        return price.estimate(self._text, self._expected_s)


def _earlier(path: Path) -> list[Entry]:
    """The last word on each call in a ledger that stands here already; what is only `sent` became of nobody knows."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    if lines and not lines[-1].endswith(b"\n"):  # a full disk or a power cut left half of it
        os.truncate(path, sum(map(len, lines[:-1])))
        lines.pop()
    entries = {entry.id: entry for line in lines if (entry := _read(line))}
    for entry in entries.values():
        entry.billed = Billed(entry.billed)
        entry.status = "unknown" if entry.status == "sent" else entry.status
    return list(entries.values())


def _read(line: bytes) -> Entry | None:
    """None for what a full disk has cut, or a newer version has written: it is not ours to judge."""
    try:
        return Entry(**json.loads(line))
    except (ValueError, TypeError):
        return None
