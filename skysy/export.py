"""Derived tables written to files that carry their units, UCDs and descriptions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from skysy.columns import Column, from_comment
from skysy.errors import NotFound, UsageError, did_you_mean
from skysy.formats.parquet import ParquetStream
from skysy.formats.sidecar import write_sidecar
from skysy.formats.text import write_csv
from skysy.formats.values import arrow_type, free_integer, iso_width, plain_type
from skysy.formats.votable import stream_votable
from skysy.formats.whole import whole_file
from skysy.sides import quoted
from skysy.store import Warehouse

if TYPE_CHECKING:
    from skysy.formats.fits import Extent

FORMATS = {"parquet": ".parquet", "votable": ".vot", "fits": ".fits", "csv": ".csv", "hats": ""}
"""What can be written, and how a table's file is then named; a HATS catalogue is a directory."""
_BATCH = 100_000


@dataclass(frozen=True)
class Exported:
    """One file or catalogue written: its table, rows and bytes, and what the format could not hold as it was, in words."""

    table: str
    path: Path
    rows: int
    bytes: int
    notes: tuple[str, ...] = ()


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
    form: str = "parquet",
) -> list[Exported]:
    """One file per table in `directory`, rows in the order of all their columns; all marts where none is named.

    `form` is one of FORMATS but hats, for which there is `skysy.hats`. A file appears under its name only when it is whole.
    Raises NotFound for a table that there is not, UsageError for a value that the format cannot hold.
    """
    written = []
    for table in chosen(warehouse, directory, tables):
        if progress:
            progress(table)
        path = directory / f"{table}{FORMATS[form]}"
        written.append(
            _export_fits(warehouse, path, table) if form == "fits" else _export_stream(warehouse, path, table, form)
        )
    return written


def chosen(warehouse: Warehouse, directory: Path, tables: Sequence[str]) -> list[str]:
    """The tables named, all marts where none is; the directory is made. Raises NotFound for one that there is not."""
    known, standing = marts(warehouse), warehouse.all_columns()
    if unknown := [name for name in tables if f"main.{name}" not in standing]:
        raise NotFound(
            f"There is no derived table {unknown[0]}.",
            did_you_mean(unknown[0], known) if known else "Run `skysy build` first.",
        )
    if not known and not tables:
        raise NotFound("There is nothing to export.", "Run `skysy build` first.")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The directory {directory} cannot be made: {error.strerror}.", "Name another one.") from error
    return list(dict.fromkeys(tables or known))


def purpose_of(warehouse: Warehouse, table: str) -> str:
    """The COMMENT of a derived table."""
    return (
        warehouse.value(
            "SELECT comment FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = 'main' AND table_name = ?",
            [table],
        )
        or ""
    )


def _export_stream(warehouse: Warehouse, path: Path, table: str, form: str) -> Exported:
    """A file written batch by batch, so that memory does not grow with the table."""
    columns = described_columns(warehouse, table)
    purpose = purpose_of(warehouse, table)
    rows = int(warehouse.value(f"SELECT count(*) FROM {table}"))
    wide = _wide_texts(warehouse, table, columns) if form == "votable" else set()
    batches = warehouse.con.sql(f"SELECT * FROM {table} ORDER BY ALL").to_arrow_reader(_BATCH)
    if form == "parquet":
        with ParquetStream(path, columns, name=table, description=purpose) as out:
            for batch in batches:
                out.write(batch)
    elif form == "csv":
        with whole_file(path) as file:
            write_csv(file, batches, columns)
        write_sidecar(path, columns, table, purpose, rows)
    else:
        with whole_file(path) as file:
            stream_votable(file, batches, columns, table, purpose, rows=rows, wide=wide)
    return Exported(table, path, rows, path.stat().st_size)


def _wide_texts(warehouse: Warehouse, table: str, columns: Sequence[Column]) -> set[str]:
    """The columns that hold text beyond ASCII."""
    texts = [column.name for column in columns if column.type == "VARCHAR"]
    if not texts:
        return set()
    asked = ", ".join(map(_is_wide, texts))
    return {name for name, wide in zip(texts, warehouse.rows(f"SELECT {asked} FROM {table}")[0], strict=True) if wide}


def _is_wide(column: str) -> str:
    """SQL for whether a column holds text beyond ASCII: some value has more bytes than characters."""
    name = quoted(column)
    return f"coalesce(bool_or(strlen({name}) <> length({name})), false)"


def _export_fits(warehouse: Warehouse, path: Path, table: str) -> Exported:
    """A file written batch by batch too, after a look at its values: FITS tells the widths of texts before its first row."""
    from skysy.formats.fits import stream_fits

    columns = described_columns(warehouse, table)
    rows, extents = _extents(warehouse, table, columns)
    columns, notes = _as_fits_can(columns, extents)
    purpose = purpose_of(warehouse, table)
    batches = warehouse.con.sql(f"SELECT * FROM {table} ORDER BY ALL").to_arrow_reader(_BATCH)
    with whole_file(path) as file:
        stream_fits(file, batches, columns, table, purpose, extents=extents, rows=rows)
    return Exported(table, path, rows, path.stat().st_size, notes)


def _extents(warehouse: Warehouse, table: str, columns: Sequence[Column]) -> tuple[int, list[Extent]]:
    """How many rows a table has, and what FITS tells of each column's values before them."""
    from skysy.formats.fits import Extent

    asked = ["count(*)"]
    for column in columns:
        name, is_text = quoted(column.name), column.type == "VARCHAR"
        asked += [
            f"count(*) - count({name})",
            f"max(strlen({name}))" if is_text else "NULL",
            _is_wide(column.name) if is_text else "false",
            f"min({name})" if pa.types.is_integer(arrow_type(column)) else "NULL",
        ]
    rows, *told = warehouse.rows(f"SELECT {', '.join(asked)} FROM {table}")[0]
    found = []
    for place, column in enumerate(columns):
        nulls, longest, wide, least = told[4 * place : 4 * place + 4]
        kind, null = arrow_type(column), None
        if nulls and (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
            null = _free_integer(warehouse, table, column, least)
        if pa.types.is_temporal(kind) and nulls < rows:
            longest = iso_width(kind)
        found.append(Extent(nulls, null, longest or 0, not wide))
    return rows, found


def _free_integer(warehouse: Warehouse, table: str, column: Column, least: int | None) -> int:
    """What stands for NULL: the least integer that FITS holds where the column's least is above, else one found among all values."""
    kind = pa.int16() if column.type == "BOOLEAN" else plain_type(arrow_type(column))
    lowest = int(np.iinfo(kind.to_pandas_dtype()).min)
    if lowest < 0 and (least is None or least > lowest):
        return lowest
    values = warehouse.con.sql(f"SELECT DISTINCT {quoted(column.name)} AS x FROM {table}").to_arrow_table()
    return free_integer(values.column("x").cast(kind))


def _as_fits_can(columns: Sequence[Column], extents: Sequence[Extent]) -> tuple[list[Column], tuple[str, ...]]:
    """Booleans with NULLs as numbers, and what a reader of the file must know."""
    from skysy.formats.fits import booleans_as_numbers

    found, notes = [], []
    for column, extent in zip(columns, extents, strict=True):
        if column.type == "BOOLEAN" and extent.nulls:
            found += booleans_as_numbers([column])
            notes.append(f"{column.name} is written as 0 and 1: readers of FITS take a boolean's NULL for false")
            continue
        if column.type in ("VARCHAR", "DATE") and extent.nulls:
            notes.append(f"{column.name}: FITS cannot tell its {extent.nulls:,} NULLs from empty texts")
        found.append(column)
    return found, tuple(notes)
