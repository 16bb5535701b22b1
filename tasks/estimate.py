"""What speaking takes, told before any call: how much of it is new, how long it is, its price, and how soon it ends."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

from blocks.prices import Price, price_of
from blocks.speech import Voice
from tasks.document import Chunk
from tasks.pace import expected_s
from tasks.retry import find_known
from tasks.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Asked:
    """What one voice is to say, and how soon its provider says it."""

    chunks: Sequence[Chunk]
    voice: Voice
    call_s: float
    """How long an ordinary call takes, seconds."""
    in_flight: int
    """Calls that go at one time."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one model of one provider is asked for."""

    provider: str
    model: str
    chunks: int
    """Duplicates, those on the shelf, and those to be called for."""
    duplicates: int
    """Chunks that say in one voice what another one says before."""
    on_shelf: int
    calls: int
    """Distinct chunks that are not on the shelf. Cues that turn out too long may take one more each."""
    characters: int
    expected_s: float
    """Of speech, also that of the shelf; estimated."""
    cost_usd: tuple[float, float] | None
    """What the calls cost, at least and at most, when all go well; None where no price is known."""
    prices: str
    """Source and date of the price."""
    in_flight: int
    """Calls that go at one time."""
    wall_s: float
    """How long the calls take, if they are as long as the provider's ordinary ones."""


@dataclass(frozen=True, slots=True)
class Estimate:
    shares: tuple[Share, ...]

    @property
    def chunks(self) -> int:
        return sum(share.chunks for share in self.shares)

    @property
    def duplicates(self) -> int:
        return sum(share.duplicates for share in self.shares)

    @property
    def on_shelf(self) -> int:
        return sum(share.on_shelf for share in self.shares)

    @property
    def calls(self) -> int:
        return sum(share.calls for share in self.shares)

    @property
    def characters(self) -> int:
        return sum(share.characters for share in self.shares)

    @property
    def expected_s(self) -> float:
        return sum(share.expected_s for share in self.shares)

    @property
    def cost_usd(self) -> tuple[float, float] | None:
        return _range(share.cost_usd for share in self.shares)

    @property
    def wall_s(self) -> float:
        """One provider is called after another."""
        return sum(share.wall_s for share in self.shares)


def estimate(asked: Iterable[Asked], shelf: Shelf | None) -> Estimate:
    """Without a shelf all is to be spoken."""
    voices: dict[Voice, Asked] = {}
    for one in asked:
        before = voices[one.voice].chunks if one.voice in voices else ()
        voices[one.voice] = replace(one, chunks=[*before, *one.chunks])
    models: dict[tuple[str, str, str], list[_Known]] = {}
    for voice, one in voices.items():
        models.setdefault((voice.provider, voice.model, voice.server), []).append(_looked_up(one, shelf))
    return Estimate(tuple(map(_share, models.values())))


def as_json(told: Estimate) -> dict[str, Any]:
    """For programs."""
    return {
        "chunks": told.chunks,
        "duplicates": told.duplicates,
        "on_shelf": told.on_shelf,
        "characters": told.characters,
        "calls": told.calls,
        "expected_minutes": round(told.expected_s / 60, 1),
        "calls_minutes": round(told.wall_s / 60, 1),
        "cost_usd": _rounded(told.cost_usd),
        "providers": [_facts(share) for share in told.shares],
    }


def summed_up(told: Estimate, by: str) -> str:
    """In one line, of the voice that is named."""
    return (
        f"{told.chunks} chunks, {told.characters:,} characters, about {_time(told.expected_s)} of speech by {by}; "
        + ", ".join(filter(None, (f"{told.calls} calls to make", cost_in_words(told.cost_usd))))
    )


def describe(told: Estimate) -> list[str]:
    """A line for each provider and model: what is asked of it, at what price, and how soon it is done."""
    return [_line(share) for share in told.shares]


def cost_in_words(usd: tuple[float, float] | None) -> str:
    """Empty for what nobody charges for."""
    if usd is None:
        return "at a price that is not known here"
    least, most = (f"{bound:.{2 if usd[1] >= 1 else 4}f}" for bound in usd)
    bounds = most if least == most else f"{least} to {most}"
    return f"for {bounds} USD at list prices" if usd[1] else ""


@dataclass(frozen=True, slots=True)
class _Known:
    """What one voice is to say, as the shelf knows it."""

    asked: Asked
    said: Sequence[Chunk]
    """The chunks, those that an earlier run could say only in pieces as these."""
    missing: frozenset[str]

    @property
    def price(self) -> Price | None:
        return price_of(self.asked.voice)

    @property
    def texts(self) -> set[str]:
        return {chunk.text for chunk in self.said}

    @property
    def cost_usd(self) -> tuple[float, float] | None:
        if not self.missing:
            return 0.0, 0.0
        speech_s = expected_s(self.missing) / self.asked.voice.speed
        return self.price.range_usd(sum(map(len, self.missing)), speech_s) if self.price else None

    @property
    def expected_s(self) -> float:
        return expected_s(chunk.text for chunk in self.said) / self.asked.voice.speed


def _looked_up(asked: Asked, shelf: Shelf | None) -> _Known:
    said, found = find_known(asked.chunks, asked.voice, shelf) if shelf else (asked.chunks, {})
    return _Known(asked, said, frozenset({chunk.text for chunk in said} - found.keys()))


def _share(voices: Sequence[_Known]) -> Share:
    """Of several voices of one model, which share its calls at one time."""
    asked, price = voices[0].asked, voices[0].price
    chunks = sum(len(voice.said) for voice in voices)
    texts = sum(len(voice.texts) for voice in voices)
    calls = sum(len(voice.missing) for voice in voices)
    in_flight = max(1, min(asked.in_flight, calls))
    return Share(
        provider=asked.voice.provider,
        model=asked.voice.model,
        chunks=chunks,
        duplicates=chunks - texts,
        on_shelf=texts - calls,
        calls=calls,
        characters=sum(len(chunk.text) for voice in voices for chunk in voice.said),
        expected_s=sum(voice.expected_s for voice in voices),
        cost_usd=_range(voice.cost_usd for voice in voices),
        prices=price.listed if price else "",
        in_flight=in_flight,
        wall_s=math.ceil(calls / in_flight) * asked.call_s,
    )


def _line(share: Share) -> str:
    name = f"{share.provider} {share.model}".strip()
    sizes = f"{share.chunks} chunks ({share.duplicates} said already, {share.on_shelf} on the shelf)"
    told = [f"{sizes}, {share.characters:,} characters, about {_time(share.expected_s)} of speech"]
    if share.calls:
        cost = cost_in_words(share.cost_usd)
        told.append(f"{share.calls} calls, about {_time(share.wall_s)} with {share.in_flight} at one time")
        told.append(f"{cost} ({share.prices})" if cost and share.prices else cost or share.prices)
    return f"{name}: {'; '.join(told)}"


def _time(seconds: float) -> timedelta:
    return timedelta(seconds=math.ceil(seconds))


def _facts(share: Share) -> dict[str, Any]:
    seconds = {name: round(getattr(share, name), 1) for name in ("expected_s", "wall_s")}
    return asdict(share) | seconds | {"cost_usd": _rounded(share.cost_usd)}


def _rounded(usd: tuple[float, float] | None) -> list[float] | None:
    return usd and [round(bound, 4) for bound in usd]


def _range(costs: Iterable[tuple[float, float] | None]) -> tuple[float, float] | None:
    least, most = 0.0, 0.0
    for cost in costs:
        if cost is None:
            return None
        least, most = least + cost[0], most + cost[1]
    return least, most
