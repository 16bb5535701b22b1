"""Runs, for a terminal and for programs."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.runs import RunRow

WIDE = 250
"""Columns where nobody looks at a screen: no line is broken."""
_RIGHT = {"progress", "failed", "cost, USD", "age"}


def show_table(rows: "Sequence[RunRow]") -> None:
    """A table on stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    lines = [_line(row) for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in lines[0]:
        # An id that is cut cannot be copied.
        table.add_column(column, justify="right" if column in _RIGHT else "left", overflow="fold")
    for line in lines:
        table.add_row(*(Text(cell) for cell in line.values()))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def _line(row: "RunRow") -> dict[str, str]:
    from tasks.runs import SPEAKING

    spoken = row.flow in SPEAKING
    return {
        "id": row.short,
        "state": row.state,
        "progress": f"{row.percent:.0f} %" if spoken else "",
        "failed": str(row.failed or ""),
        "cost, USD": f"{row.cost_usd:.4f}" if row.cost_usd else "",
        "age": told_age(row.age_s),
        "source → recording": f"{row.source or '?'} → {row.where or '?'}" if spoken else row.flow,
    }


def told_age(age_s: float) -> str:
    """In its two largest units."""
    whole = timedelta(seconds=round(age_s))
    hours, minutes, seconds = whole.seconds // 3600, whole.seconds // 60 % 60, whole.seconds % 60
    if whole.days:
        return f"{whole.days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def facts(rows: "Sequence[RunRow]") -> list[dict[str, Any]]:
    rounded = ("age_s", "ended_s", "heard_s")
    return [
        asdict(row) | {name: round(value, 1) for name in rounded if (value := getattr(row, name)) is not None}
        for row in rows
    ]
