"""Parquet files: types and NULLs are in the file, DuckDB reads it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from skysy.loaders.source import Kind, Received, Source, kind_of

from skysy.errors import FileDamaged


def open_parquet(path: Path) -> Source:
    """The rows of a Parquet file; raises FileDamaged where it is cut or is none."""
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise FileDamaged(
            f"{path.name} is not a whole Parquet file: {str(error).splitlines()[0]}",
            "Nothing of it was kept. Get it again.",
        ) from error
    columns = tuple(
        Received(
            field.name, _kind(field.type), (field.metadata or {}).get(b"unit", b"").decode("utf-8", "replace") or None
        )
        for field in schema
    )

    def relation(con: duckdb.DuckDBPyConnection) -> str:
        # A directory named like `ra=5` would give a column, and one with brackets or stars would be a pattern.
        return f"read_parquet({literal_path(path)}, hive_partitioning = false, binary_as_string = true)"

    return Source(columns, relation, rows)


def literal_path(path: Path) -> str:
    """A path as an SQL string that DuckDB takes for this one file, whatever characters its name has."""
    plain = "".join(f"[{letter}]" if letter in "[*?" else letter for letter in str(path))
    return "'" + plain.replace("'", "''") + "'"


def _kind(data_type: pa.DataType) -> Kind:
    """Some writers leave out that bytes are text."""
    if pa.types.is_binary(data_type) or pa.types.is_fixed_size_binary(data_type):
        return "text"
    return kind_of(data_type)
