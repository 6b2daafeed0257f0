"""Derived tables as HATS catalogues: rows cut by their place on the sky, light curves inside if asked for; LSDB reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from skysy.columns import Column
from skysy.errors import NotFound, UsageError
from skysy.export import Exported, chosen, described_columns, purpose_of
from skysy.formats.hats import HEALPIX, ORDER_MAX, Catalogue, cells_of, refuse_other, write_catalogue
from skysy.formats.values import arrow_type
from skysy.formats.whole import whole_directory
from skysy.sides import PLACES, quoted
from skysy.store import Warehouse

if TYPE_CHECKING:
    from collections.abc import Iterable

ROWS_MAX = 1_000_000
"""Rows that a file of a catalogue holds at most, as hats-import has it."""
LIGHT_CURVES = "measurements"
"""The table whose rows go into each object's list, and the name of that column."""
_KEY = "object_id"
_BATCH = 50_000
_ROWS = "hats_rows"


def export_hats(
    warehouse: Warehouse,
    directory: Path,
    tables: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
    *,
    rows_max: int = ROWS_MAX,
    light_curves: bool = False,
) -> list[Exported]:
    """One HATS catalogue per table, `directory`/<table>; all results that have a position and rows where none is named.

    A file holds at most `rows_max` rows, unless they all lie in one cell of order 10. With `light_curves`, an object comes
    with its measurements, ordered in time, as lists in one column. Rows without a position are left out, which is noted.
    Raises NotFound for a table that there is not, UsageError for one without position or rows.
    """
    written = []
    for table in chosen(warehouse, directory, tables):
        columns = described_columns(warehouse, table)
        place = _place(columns)
        if place is None or not warehouse.value(f"SELECT count(*) FROM {quoted(table)}"):
            if tables:
                lacks = "has no position" if place is None else "has no rows"
                raise UsageError(
                    f"{table} {lacks}, and a HATS catalogue is cut by the places of its rows.",
                    "Nothing was written of it. Write it as Parquet, or its object's catalogue with --light-curves.",
                )
            continue
        if progress:
            progress(table)
        refuse_other(directory / table)
        written.append(
            _export_table(warehouse, directory / table, table, columns, place, rows_max, light_curves=light_curves)
        )
    if not written:
        raise NotFound("No result has both positions and rows.", "Run `skysy build` first.")
    return written


def _place(columns: Sequence[Column]) -> tuple[str, str] | None:
    names = {column.name for column in columns}
    return next(((ra, dec) for ra, dec in PLACES if ra in names and dec in names), None)


def _export_table(
    warehouse: Warehouse,
    path: Path,
    table: str,
    columns: Sequence[Column],
    place: tuple[str, str],
    rows_max: int,
    *,
    light_curves: bool,
) -> Exported:
    curves = _light_curve_fields(warehouse, columns) if light_curves else []
    about = {"description": purpose_of(warehouse, LIGHT_CURVES)}
    nested = [pa.field(LIGHT_CURVES, pa.struct(curves), metadata=about)] if curves else []
    made_at = warehouse.value("SELECT max(built_at) FROM meta.model WHERE model = ?", [table])
    catalogue = Catalogue(
        table, purpose_of(warehouse, table), (HEALPIX, *columns), nested, *place, rows_max,
        f"{made_at:%Y-%m-%dT%H:%MUTC}" if made_at else "",
    )  # fmt: skip
    with _placed(warehouse, table, place):
        shift = 2 * (29 - ORDER_MAX)
        full = warehouse.con.sql(
            f"SELECT {HEALPIX.name} >> {shift} AS cell, count(*) AS n FROM {_ROWS} GROUP BY cell ORDER BY cell"
        ).to_arrow_table()
        cells = cells_of(full.column("cell").to_numpy(), full.column("n").to_numpy(), rows_max)
        if not cells:
            raise UsageError(f"No row of {table} has a position.", "Write it as Parquet.")
        with whole_directory(path) as fresh:
            rows = write_catalogue(fresh, catalogue, cells, _sorted_rows(warehouse, curves))
    left_out = warehouse.value(f"SELECT count(*) FROM {quoted(table)}") - rows
    notes = (f"{left_out:,} rows without a position are left out",) if left_out else ()
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return Exported(table, path, rows, size, (f"{len(cells)} files", *notes))


def _light_curve_fields(warehouse: Warehouse, columns: Sequence[Column]) -> list[pa.Field]:
    """A list for each column of the measurements, with its unit, UCD and description."""
    inner = [column for column in described_columns(warehouse, LIGHT_CURVES) if column.name != _KEY]
    if not inner or _KEY not in {column.name for column in columns}:
        raise UsageError(f"Light curves belong to tables with {_KEY}, of a warehouse that has {LIGHT_CURVES}.")
    fields = []
    for column in inner:
        notes = {"unit": column.unit, "ucd": column.ucd, "description": column.description}
        told = {key: text for key, text in notes.items() if text}
        fields.append(pa.field(column.name, pa.list_(arrow_type(column)), metadata=told))
    return fields


def _sorted_rows(warehouse: Warehouse, curves: Sequence[pa.Field]) -> Iterator[pa.RecordBatch]:
    """The rows of hats_rows by HEALPix cell, some at a time, each with its light curve where there are fields for one."""
    for start in range(0, warehouse.value(f"SELECT count(*) FROM {_ROWS}"), _BATCH):
        within = f"place >= {start} AND place < {start + _BATCH}"
        rows = warehouse.con.sql(f"SELECT * FROM {_ROWS} WHERE {within} ORDER BY place").to_arrow_table()
        if curves:
            names = ", ".join(f"m.{quoted(field.name)}" for field in curves)
            # DuckDB sorts rows much faster, and in less memory, than it makes sorted lists of them.
            found = warehouse.con.sql(
                f"SELECT place, {names} FROM {LIGHT_CURVES} AS m JOIN {_ROWS} AS r USING ({_KEY}) WHERE {within} "
                "ORDER BY place, m.date, m.image_id"
            ).to_arrow_table()
            rows = rows.append_column(LIGHT_CURVES, _as_lists(found, curves, start, rows.num_rows))
        yield from rows.drop_columns("place").combine_chunks().to_batches()


def _as_lists(found: pa.Table, curves: Sequence[pa.Field], start: int, rows: int) -> pa.Array:
    """Measurements sorted by the place of their row as one struct of lists per row, NULL where there are none.

    LSDB and nested-pandas keep light curves so.
    """
    counts = np.bincount(found.column("place").to_numpy() - start, minlength=rows)
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    none = pa.array(counts == 0)
    lists = [
        pa.ListArray.from_arrays(offsets, found.column(field.name).combine_chunks().cast(field.type.value_type))
        for field in curves
    ]
    return pa.StructArray.from_arrays(lists, fields=list(curves), mask=none)


@contextmanager
def _placed(warehouse: Warehouse, table: str, place: tuple[str, str]) -> Iterator[None]:
    """Inside, the temporary table hats_rows holds the table's rows that have a position, with their HEALPix cell and their place in order."""
    import hpgeom

    def with_cells(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            ra, dec = (batch.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False) for name in place)
            there = np.isfinite(ra) & np.isfinite(dec)
            there &= np.abs(np.where(there, dec, 0)) <= 90
            kept = batch.filter(pa.array(there))
            numbers = hpgeom.angle_to_pixel(2**29, ra[there] % 360, dec[there], nest=True, lonlat=True, degrees=True)
            yield pa.RecordBatch.from_arrays([pa.array(numbers, pa.int64()), *kept.columns], schema=schema)

    with warehouse.con.cursor() as other:
        reader = other.sql(f"SELECT * FROM {quoted(table)}").to_arrow_reader(_BATCH)
        schema = pa.schema([pa.field(HEALPIX.name, pa.int64()), *reader.schema])
        names = ", ".join(quoted(name) for name in schema.names)
        warehouse.con.register("hats_source", pa.RecordBatchReader.from_batches(schema, with_cells(reader)))
        try:
            warehouse.run(
                f"CREATE OR REPLACE TEMP TABLE {_ROWS} AS "
                f"SELECT *, row_number() OVER (ORDER BY {names}) - 1 AS place FROM hats_source ORDER BY place"
            )
        finally:
            warehouse.con.unregister("hats_source")
    try:
        yield
    finally:
        warehouse.run(f"DROP TABLE {_ROWS}")
