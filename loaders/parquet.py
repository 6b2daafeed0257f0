"""Parquet files: types and NULLs are in the file, DuckDB reads it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from skysy.loaders.source import Received, Source, kind_of

from skysy.errors import FileDamaged


def open_parquet(path: Path) -> Source:
    """The rows of a Parquet file; raises FileDamaged where it is cut or is none."""
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise FileDamaged(
            f"{path.name} is not a whole Parquet file: {str(error).splitlines()[0]}",
            "Nothing of it was kept. Get it again.",
        ) from error
    columns = tuple(
        Received(field.name, kind_of(field.type), (field.metadata or {}).get(b"unit", b"").decode() or None)
        for field in schema
    )
    quoted = str(path).replace("'", "''")

    def relation(con: duckdb.DuckDBPyConnection) -> str:
        return f"read_parquet('{quoted}')"

    return Source(columns, relation, rows)
