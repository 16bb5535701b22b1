"""What a run of `voice_wordlist` returns: where the clips are, what they took, and a face for notebooks."""

import base64
import html
import os
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, PrivateAttr

from blocks.speech import RunFailed
from blocks.storage import Storage, is_remote
from blocks.storage.places import storage_at
from tasks.cell_output import FAILURES, CellOutput
from tasks.cell_rows import read_cell_table
from tasks.recording import MEDIA

SHOWN = 20
"""Rows that a notebook shows with players: each holds its sound."""


class Unvoiced(BaseModel):
    """A cell that failed for good."""

    model_config = ConfigDict(frozen=True)

    row: int
    """From 1."""
    line: int
    field: str
    text: str
    error: str
    """The name of the error's class."""
    reason: str


class WordList(BaseModel):
    """The clips of one table. Places are absolute paths, or URIs."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    source: str
    folder: str
    format: str
    manifest_json: str
    manifest_csv: str
    failures_csv: str | None
    """The list of what failed, for `only`; None where nothing did."""
    table: str | None
    """The table that was written back, where that was asked for."""
    rows: int
    cells: int
    """That hold something to speak."""
    empty: int
    duplicates: int
    """Cells that say what another one says, in the same voice."""
    files: int
    standing: int
    """Files that an earlier run has made, and that are as they shall be."""
    chunks: int
    """Pieces of text that had to be looked up or spoken."""
    synthesised: int
    reused: int
    """Pieces of text whose speech stood on the shelf, or that another cell says, too."""
    failures: tuple[Unvoiced, ...]
    flagged: int
    """Clips that are odd, and there all the same."""
    duration_s: float
    """Of all files."""
    calls: int
    retries: int
    cost_usd: float | None
    """Billed for certain in this run, at list prices; None where no price is known."""
    wasted_usd: float | None
    """Of that, for answers that are in no file."""
    unknown_usd: float | None
    """At most so much more, for calls that nobody answered."""
    elapsed_s: float
    _storage: Storage | None = PrivateAttr(default=None)
    _frame: pd.DataFrame | None = PrivateAttr(default=None)

    @property
    def manifest(self) -> pd.DataFrame:
        """A row for each cell."""
        return read_cell_table(self._read(self.manifest_csv))

    @property
    def frame(self) -> pd.DataFrame:
        """The table that went in, with a column `audio.FIELD` of addresses for each field; else the bare rows of it."""
        spoken = self.manifest[["row", "key", "field", "text", "address"]]
        wide = spoken.pivot_table(index="row", columns="field", values="address", aggfunc="first", sort=False)
        audio = wide.add_prefix("audio.")
        if self._frame is None:
            texts = spoken.pivot_table(index="row", columns="field", values="text", aggfunc="first", sort=False)
            return texts.join(audio)
        added = audio.reindex(pd.RangeIndex(1, len(self._frame) + 1))
        whole = self._frame.drop(columns=[name for name in added if name in self._frame])
        return whole.assign(**{str(name): added[name].to_numpy() for name in added})

    def _read(self, place: str) -> bytes:
        folder, name = place.rsplit("/", 1) if is_remote(place) else os.path.split(place)
        return (self._storage or storage_at(folder)).read(name)

    def _repr_html_(self) -> str:
        """The first rows, each cell with its player."""
        table = self.manifest
        rows = table["row"].drop_duplicates()
        fields = list(table["field"].drop_duplicates())
        head = "".join(f"<th>{html.escape(name)}</th>" for name in fields)
        body = "".join(self._html_row(table[table["row"] == row], fields) for row in rows[:SHOWN])
        more = f"; {len(rows) - SHOWN} more rows are in the manifest" if len(rows) > SHOWN else ""
        told = f"{self.files} clips of {self.cells} cells in {html.escape(self.folder)}{more}"
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{told}.</p>"

    def _html_row(self, cells: pd.DataFrame, fields: Sequence[str]) -> str:
        return f"<tr>{''.join(self._html_cells(cells, fields))}</tr>"

    def _html_cells(self, cells: pd.DataFrame, fields: Sequence[str]) -> Iterator[str]:
        by_field = {row["field"]: row for row in cells.to_dict("records")}
        for field in fields:
            row = by_field.get(field, {})
            text = row.get("text")
            told = html.escape(text) if isinstance(text, str) else ""
            yield f"<td>{told}{self._player(str(row['file'])) if row.get('status') == 'ok' else ''}</td>"

    def _player(self, file: str) -> str:
        storage = self._storage or storage_at(self.folder)
        try:
            data = base64.b64encode(storage.read(file)).decode()
        except FileNotFoundError:  # somebody has moved it since
            return ""
        return f'<br><audio controls preload="none" src="data:{MEDIA[self.format]};base64,{data}"></audio>'

    def as_json(self) -> dict[str, Any]:
        """For programs that read the terminal's output."""
        facts = self.model_dump(mode="json")
        facts["manifest"] = facts.pop("manifest_json")
        facts["failed"] = len(self.failures)
        return facts


def word_list(
    facts: dict[str, Any], rows: pd.DataFrame, output: CellOutput, *, failed: bool, table: str | None, elapsed_s: float
) -> WordList:
    """What the manifest says, as the flow's result; `failed` tells whether there is a list of failures."""
    totals, storage = facts["totals"], output.storage
    lost = rows[rows["status"] == "failed"].astype(object).fillna("")
    counts = {name: totals[name] for name in WordList.model_fields if name in totals}
    words = WordList(
        **counts,
        run_id=facts["run_id"],
        source=facts["source"]["path"],
        folder=storage.address,
        format=output.suffix,
        manifest_json=storage.place(output.manifest_json),
        manifest_csv=storage.place(output.manifest_csv),
        failures_csv=storage.place(FAILURES) if failed else None,
        table=table,
        failures=tuple(
            Unvoiced(
                row=row["row"],
                line=row["source_line"],
                field=row["field"],
                text=row["text"],
                error=row["error"],
                reason=row["reason"],
            )
            for row in lost.to_dict("records")
        ),
        cost_usd=facts["spend"]["cost_usd"],
        wasted_usd=facts["spend"]["wasted_usd"],
        unknown_usd=facts["spend"]["unknown_usd"],
        elapsed_s=round(elapsed_s, 2),
    )
    words._storage = storage  # noqa: SLF001 - no field: it holds credentials
    return words


class Unfinished(RunFailed):
    """Some cells failed for good; all others have their clips, and the manifest is written."""

    def __init__(self, words: WordList) -> None:
        first = words.failures[0]
        super().__init__(
            f"{len(words.failures)} of {words.cells} cells failed, the first in line {first.line}, field {first.field} "
            f"({first.text[:40]!r}): {first.reason}. The others are there; run the same command again, or with "
            f"--only {words.failures_csv}, to try only these"
        )
        self.words = words
