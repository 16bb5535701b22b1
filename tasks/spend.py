"""What a run cost: the sums of its ledger."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from blocks.prices import price_of
from blocks.speech import Billed, Voice
from tasks.ledger import Entry


@dataclass(frozen=True, slots=True)
class Spend:
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
    def of(cls, entries: Sequence[Entry], voice: Voice) -> "Spend":
        billed = [entry for entry in entries if entry.billed is Billed.YES]
        kept = {entry.text: entry.id for entry in billed if entry.status == "ok"}
        price = price_of(voice)
        return cls(
            calls=len(entries),
            cost_usd=_sum(billed),
            wasted_usd=_sum(entry for entry in billed if kept.get(entry.text) != entry.id),
            unknown_usd=_sum(entry for entry in entries if entry.billed is Billed.UNKNOWN),
            units=sum(entry.input + entry.output for entry in billed),
            unit=price.unit if price else "",
            told=all(entry.told for entry in billed),
            prices=f"{price.source} {price.dated}".strip() if price else "",
        )


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
