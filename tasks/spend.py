"""What a run cost: the sums of its ledger, in all and by who was called."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from blocks.prices import Price, price_of
from blocks.speech import Billed, Voice
from tasks.ledger import Entry


@dataclass(frozen=True, slots=True)
class Sums:
    """In USD; None where no price is known for a call that was, or may have been, billed."""

    calls: int
    cost_usd: float | None
    """Billed for certain."""
    wasted_usd: float | None
    """Of that, for answers that are not in the recording."""
    unknown_usd: float | None
    """At most so much more: calls that nobody answered."""
    units: int
    """Billed for certain; see `unit`."""
    unit: str
    told: bool
    """Whether every unit was told by the provider; else some are estimated."""
    prices: str
    """Date and source of the price."""

    @classmethod
    def over(cls, entries: Sequence[Entry], price: Price | None) -> "Sums":
        billed = [entry for entry in entries if entry.billed is Billed.YES]
        kept = {_said(entry): entry.id for entry in billed if entry.status == "ok"}
        return cls(
            calls=len(entries),
            cost_usd=_sum(billed),
            wasted_usd=_sum(entry for entry in billed if kept.get(_said(entry)) != entry.id),
            unknown_usd=_sum(entry for entry in entries if entry.billed is Billed.UNKNOWN),
            units=sum(entry.input + entry.output for entry in billed),
            unit=price.unit if price else "",
            told=all(entry.told for entry in billed),
            prices=price.listed if price else "",
        )


@dataclass(frozen=True, slots=True)
class Share(Sums):
    """What one model of one provider cost."""

    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class Spend(Sums):
    """What the run cost; unit, units and prices mean little where several were called."""

    by_provider: tuple[Share, ...]
    """Of each provider and model, where several were called."""

    @classmethod
    def of(cls, entries: Sequence[Entry], voice: Voice) -> "Spend":
        return cls(**asdict(Sums.over(entries, price_of(voice))), by_provider=_shares(entries))


def _shares(entries: Sequence[Entry]) -> tuple[Share, ...]:
    called: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        called.setdefault((entry.provider, entry.model), []).append(entry)
    if len(called) < 2:
        return ()
    return tuple(
        Share(**asdict(Sums.over(made, _price(made))), provider=provider, model=model)
        for (provider, model), made in called.items()
    )


def _price(entries: Sequence[Entry]) -> Price | None:
    """The ledger does not tell servers: where one of one's own was called, no cost is known."""
    known = all(entry.cost_usd is not None for entry in entries)
    return price_of(Voice(entries[0].provider, model=entries[0].model)) if known else None


def _said(entry: Entry) -> tuple[str, ...]:
    """What is wanted of one voice once."""
    return entry.text, entry.provider, entry.model, entry.voice


def costs_usd(entries: Iterable[Entry]) -> dict[str, float | None]:
    """What was billed for certain for each text, by its SHA-256."""
    by_text: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.billed is Billed.YES:
            by_text.setdefault(entry.text, []).append(entry)
    return {text: _sum(billed) for text, billed in by_text.items()}


def _sum(entries: Iterable[Entry]) -> float | None:
    costs = [entry.cost_usd for entry in entries]
    known = [cost for cost in costs if cost is not None]
    return round(sum(known), 8) if len(known) == len(costs) else None
