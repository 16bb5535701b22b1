"""What became of all cues of a source, in numbers and in a few words."""

from collections.abc import Sequence

from tasks.clips import Failure, Take
from tasks.document import Document
from tasks.rows import ON_TIME_MS, SPED
from tasks.timeline import Timeline


def cue_totals(document: Document, takes: Sequence[Take], timeline: Timeline | None) -> dict[str, float]:
    """Of all cues of the source, and of what had to be done so that they come on time."""
    indices = {segment.window.index for segment in document.segments if segment.window}
    indices |= {omission.index for omission in document.omissions if omission.index}
    failed = {take.chunk.segment for take in takes if isinstance(take.outcome, Failure)}
    totals: dict[str, float] = {
        "cues": len(indices),
        "repaired": len({segment.window for segment in document.segments if segment.repair}),
        "empty": sum(omission.disposition == "empty" for omission in document.omissions if omission.index),
        "merged": sum(omission.disposition == "merged" for omission in document.omissions if omission.index),
        "refused": len({document.segments[segment].window for segment in failed})
        + sum(omission.disposition == "refused" for omission in document.omissions),
    }
    if not timeline or not timeline.fits:
        return totals
    # Where two speakers share a cue, both have its fit.
    fits = {document.segments[segment].window: fit for segment, fit in timeline.fits.items()}.values()
    late = [1000 * fit.late / timeline.rate for fit in fits]
    return totals | {
        "sped_up": sum(fit.rate > SPED for fit in fits),
        "fastest": round(max(fit.rate for fit in fits), 4),
        "shifted": sum(milliseconds > ON_TIME_MS for milliseconds in late),
        "worst_start_error_ms": round(max(late), 3),
        "overrun": sum(fit.overrun > 0 for fit in fits),
        "worst_overrun_ms": round(max(1000 * fit.overrun / timeline.rate for fit in fits), 3),
        "trimmed": sum(fit.cut > 0 for fit in fits),
    }


def describe(cues: float, **totals: float) -> list[str]:
    """The totals for people; what did not happen is left out."""
    told = [
        f"{cues:,}",
        *(f"{totals[name]:,} {name}" for name in ("repaired", "merged", "empty", "refused") if totals[name]),
    ]
    if totals.get("sped_up"):
        told.append(f"{totals['sped_up']:,} sped up (at most {totals['fastest']:.2f} times)")
    if totals.get("shifted"):
        told.append(f"{totals['shifted']:,} late (at most {totals['worst_start_error_ms'] / 1000:.2f} s)")
    if totals.get("overrun"):
        told.append(f"{totals['overrun']:,} too long (at most by {totals['worst_overrun_ms'] / 1000:.2f} s)")
    if totals.get("trimmed"):
        told.append(f"{totals['trimmed']:,} trimmed")
    return told
