"""Derived tables written to Parquet files that carry their units, UCDs and descriptions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from skysy.columns import Column, from_comment
from skysy.errors import NotFound, WarehouseReadOnly, did_you_mean
from skysy.formats.parquet import ParquetStream
from skysy.store import Warehouse


@dataclass(frozen=True)
class Exported:
    """One file written: its table, rows and bytes."""

    table: str
    path: Path
    rows: int
    bytes: int


def marts(warehouse: Warehouse) -> list[str]:
    """The names of the derived tables that are results, sorted: neither staging nor intermediate."""
    found = warehouse.rows(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main' AND NOT temporary "
        "AND NOT starts_with(table_name, 'int_') ORDER BY table_name"
    )
    return [row[0] for row in found]


def described_columns(warehouse: Warehouse, table: str) -> list[Column]:
    """The columns of a derived table with the type, unit, UCD and description that its COMMENTs tell."""
    found = warehouse.rows(
        "SELECT column_name, data_type, comment FROM duckdb_columns() WHERE database_name = current_database() "
        "AND schema_name = 'main' AND table_name = ? ORDER BY column_index",
        [table],
    )
    columns = []
    for name, data_type, comment in found:
        description, unit, ucd = from_comment(comment)
        columns.append(Column(name, data_type, unit, ucd, description))
    return columns


def export(
    warehouse: Warehouse,
    directory: Path,
    tables: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
) -> list[Exported]:
    """One Parquet file per table in `directory`, rows in the order of all their columns; all marts where none is named.

    A file appears under its name only when it is whole. Raises NotFound for a table that there is not.
    """
    known = marts(warehouse)
    if unknown := [name for name in tables if not warehouse.columns("main", name)]:
        raise NotFound(
            f"There is no derived table {unknown[0]}.",
            did_you_mean(unknown[0], known) if known else "Run `skysy build` first.",
        )
    if not known and not tables:
        raise NotFound("There is nothing to export.", "Run `skysy build` first.")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WarehouseReadOnly(
            f"The directory {directory} cannot be made: {error.strerror}.", "Name another one."
        ) from error
    written = []
    for table in dict.fromkeys(tables or known):
        if progress:
            progress(table)
        written.append(_export_table(warehouse, directory / f"{table}.parquet", table))
    return written


def _export_table(warehouse: Warehouse, path: Path, table: str) -> Exported:
    columns = described_columns(warehouse, table)
    purpose = warehouse.value(
        "SELECT comment FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = 'main' AND table_name = ?",
        [table],
    )
    reader = warehouse.con.sql(f"SELECT * FROM {table} ORDER BY ALL").to_arrow_reader(100_000)
    rows = 0
    with ParquetStream(path, columns, name=table, description=purpose or "") as out:
        for batch in reader:
            rows += batch.num_rows
            out.write(batch)
    return Exported(table, path, rows, path.stat().st_size)
