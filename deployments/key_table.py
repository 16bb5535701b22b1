"""How keys are, for a terminal and for programs."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blocks.held_keys import Held
    from blocks.key_pool import Row

WIDE = 250
"""Columns where nobody looks at a screen: no line is broken."""


def show_table(held: "Sequence[Held]", rows: "Sequence[Row]") -> None:
    """A table on stdout, without the columns that are empty."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tasks.health import table_row

    lines = [{**table_row(row), "kept in": known.place} for known, row in zip(held, rows, strict=True)]
    columns = [column for column in lines[0] if any(line[column] != "" for line in lines)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")  # a name that is cut cannot be copied
    for line in lines:
        table.add_row(*(Text(str(line[column])) for column in columns))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def facts(held: "Sequence[Held]", rows: "Sequence[Row]") -> list[dict[str, Any]]:
    from tasks.health import moment

    return [
        {
            "provider": known.provider,
            "kept_in": known.place,
            **asdict(row),
            "until": moment(row.until),
            "last_used": moment(row.last_used),
        }
        for known, row in zip(held, rows, strict=True)
    ]
