"""Parquet that is a table; the reader, pyarrow, need not be installed."""

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from blocks.speech import BadInput
from tasks.table_text import MOST_ROWS, Found


def read_parquet(data: bytes, source: str) -> list[Found]:
    """The rows, the first of which is on line 1. Raises BadInput."""
    try:
        import pyarrow as pa  # noqa: PLC0415  only such a table needs it
        from pyarrow import parquet  # noqa: PLC0415  the same
    except ImportError as error:
        raise BadInput(
            f"{source} is Parquet, which takes pyarrow to read: install it, or save the table as CSV"
        ) from error
    try:
        file = parquet.ParquetFile(BytesIO(data))
        columns = file.schema_arrow.names
        if repeated := next((name for name in columns if columns.count(name) > 1), None):
            raise BadInput(f"{source}: two columns are named {repeated!r}: rename one of them")
        if file.metadata.num_rows > MOST_ROWS:
            return [Found(number, "", {}) for number in range(MOST_ROWS + 1)]
        rows = file.read().to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{source} cannot be read as Parquet ({error}): write it again, or save it as CSV") from error
    if not rows:
        raise BadInput(f"{source} has no rows: write the words into it")
    return [Found(number, "", _plain(row)) for number, row in enumerate(rows, 1)]


def _plain(value: Any) -> Any:
    """Texts, and what is one once it is written down: numbers, dates. What is not a number is nothing."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return value if isinstance(value, bool | bytes) else str(value)


def addressed_parquet(data: bytes, fields: Sequence[str], addresses: Mapping[int, Mapping[str, str]]) -> bytes:
    """The table with columns `audio.<field>`: those that are there, or new ones at the end."""
    import pyarrow as pa  # noqa: PLC0415  the table was read with it
    from pyarrow import parquet  # noqa: PLC0415  the same

    file = parquet.ParquetFile(BytesIO(data))
    table = file.read()
    for field in fields:
        name = f"audio.{field}"
        there = table.schema.names.index(name) if name in table.schema.names else -1
        old = table.column(there).to_pylist() if there >= 0 else [None] * table.num_rows
        told = [addresses.get(number, {}).get(field, kept) or None for number, kept in enumerate(old)]
        column = pa.array(told, pa.string())
        table = table.append_column(name, column) if there < 0 else table.set_column(there, name, column)
    out = BytesIO()
    parquet.write_table(table, out, compression=file.metadata.row_group(0).column(0).compression)
    return out.getvalue()
