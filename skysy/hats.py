"""Derived tables as HATS catalogues: rows cut by their place on the sky, light curves inside and margins beside if asked for."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from skysy.columns import Column
from skysy.errors import NotFound, UsageError
from skysy.export import Exported, chosen, described_columns, purpose_of
from skysy.formats.hats import (
    HEALPIX,
    ORDER_MAX,
    Catalogue,
    Cell,
    by_cell,
    by_column,
    cells_of,
    read_properties,
    refuse_other,
    write_catalogue,
)
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
MARGIN = "_margin"
"""What the name of a margin catalogue has behind that of its own."""
MARGIN_ARCSEC_MAX = 3600.0
"""A wider margin would be a second catalogue."""
_KEY = "object_id"
_BATCH = 50_000
_ROWS = "hats_rows"
_NEAR = "hats_near"
_MARGIN_ROWS = "hats_margin_rows"


def export_hats(
    warehouse: Warehouse,
    directory: Path,
    tables: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
    *,
    rows_max: int = ROWS_MAX,
    light_curves: bool = False,
    margin_arcsec: float | None = None,
) -> list[Exported]:
    """One HATS catalogue per table, `directory`/<table>; all results that have a position and rows where none is named.

    A file holds at most `rows_max` rows, unless they all lie in one cell of order 10. With `light_curves`, an object comes
    with its measurements, ordered in time, as lists in one column. With `margin_arcsec`, a catalogue <table>_margin beside
    each holds, for every cell, the rows that lie as near to it without being in it; without, one that is there of an older
    export is taken away, since its rows are not these. Rows without a position are left out, which is noted.
    Raises NotFound for a table that there is not, UsageError for one without position or rows.
    """
    if margin_arcsec is not None and not 0 < margin_arcsec <= MARGIN_ARCSEC_MAX:
        raise UsageError(
            f"A margin of {margin_arcsec:g} arcsec cannot be; it is above 0 and at most {MARGIN_ARCSEC_MAX:g}.",
            "Take the largest radius that you will match with.",
        )
    written: list[Exported] = []
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
        curves = _light_curve_fields(warehouse, columns) if light_curves else []
        written += _export_table(warehouse, directory / table, table, columns, place, rows_max, curves, margin_arcsec)
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
    curves: Sequence[pa.Field],
    margin_arcsec: float | None,
) -> list[Exported]:
    about = {"description": purpose_of(warehouse, LIGHT_CURVES)}
    nested = [pa.field(LIGHT_CURVES, pa.struct(curves), metadata=about)] if curves else []
    made_at = warehouse.value("SELECT max(built_at) FROM meta.model WHERE model = ?", [table])
    catalogue = Catalogue(
        table, purpose_of(warehouse, table), (HEALPIX, *columns), nested, *place, rows_max,
        f"{made_at:%Y-%m-%dT%H:%MUTC}" if made_at else "",
    )  # fmt: skip
    beside = path.with_name(path.name + MARGIN)
    old_margin = _is_margin(beside, path.name)
    if margin_arcsec is not None and not old_margin and beside.exists():
        raise UsageError(
            f"{beside} is there already and is no margin of {table}.", "Nothing was changed. Name another directory."
        )
    with _placed(warehouse, table, place), ExitStack() as held:
        cells = _cells(warehouse, rows_max)
        if not cells:
            raise UsageError(f"No row of {table} has a position.", "Write it as Parquet.")
        # What is entered last takes its name first. A margin of other rows must never lie beside a catalogue.
        fresh_margin = held.enter_context(whole_directory(beside)) if margin_arcsec is not None else None
        fresh = held.enter_context(whole_directory(path))
        rows = write_catalogue(fresh, catalogue, cells, by_cell(_sorted_rows(warehouse, curves, _ROWS), cells))
        if fresh_margin is not None and margin_arcsec is not None:
            margin = replace(catalogue, name=table + MARGIN, primary=table, threshold_arcsec=margin_arcsec)
            margin_cells, margin_rows = _write_margin(warehouse, fresh_margin, margin, cells, curves)
        if old_margin:
            shutil.rmtree(beside)
    left_out = warehouse.value(f"SELECT count(*) FROM {quoted(table)}") - rows
    notes = [f"{len(cells)} files"]
    if left_out:
        notes.append(f"{left_out:,} rows without a position are left out")
    if old_margin and margin_arcsec is None:
        notes.append(f"{beside.name}, the margin of the rows before these, is taken away; --margin writes one")
    written = [Exported(table, path, rows, _size(path), tuple(notes))]
    if margin_arcsec is not None:
        words = f"{margin_cells} files: rows within {margin_arcsec:g} arcsec of a cell that they are not in"
        written.append(Exported(table + MARGIN, beside, margin_rows, _size(beside), (words,)))
    return written


def _cells(warehouse: Warehouse, rows_max: int) -> list[Cell]:
    shift = 2 * (29 - ORDER_MAX)
    full = warehouse.con.sql(
        f"SELECT {HEALPIX.name} >> {shift} AS cell, count(*) AS n FROM {_ROWS} GROUP BY cell ORDER BY cell"
    ).to_arrow_table()
    return cells_of(full.column("cell").to_numpy(), full.column("n").to_numpy(), rows_max)


def _is_margin(directory: Path, primary: str) -> bool:
    told = read_properties(directory) or {}
    return (told.get("dataproduct_type"), told.get("hats_primary_table_url")) == ("margin", primary)


def _size(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def _write_margin(
    warehouse: Warehouse, fresh: Path, margin: Catalogue, cells: Sequence[Cell], curves: Sequence[pa.Field]
) -> tuple[int, int]:
    """The margin of the catalogue in hats_rows that is cut into these cells; returns its files and rows."""
    from skysy.formats.margin import cover, near_cells

    whole_sky = cover(cells)
    warehouse.run(f"CREATE OR REPLACE TEMP TABLE {_NEAR} (cell BIGINT, place BIGINT)")
    try:
        for start in range(0, warehouse.value(f"SELECT count(*) FROM {_ROWS}"), _BATCH):
            found = warehouse.con.sql(
                f"SELECT CAST({quoted(margin.ra)} AS DOUBLE) AS ra, CAST({quoted(margin.dec)} AS DOUBLE) AS dec, "
                f"{HEALPIX.name} FROM {_ROWS} WHERE place >= {start} AND place < {start + _BATCH} ORDER BY place"
            ).to_arrow_table()
            ra, dec, numbers = (column.to_numpy() for column in found.columns)
            rows, near = near_cells(ra, dec, numbers, whole_sky, margin.threshold_arcsec)
            pairs = pa.table({"cell": near, "place": rows + start})
            warehouse.con.register("hats_pairs", pairs)
            warehouse.run(f"INSERT INTO {_NEAR} SELECT cell, place FROM hats_pairs")
            warehouse.con.unregister("hats_pairs")
        filled = [int(row[0]) for row in warehouse.rows(f"SELECT DISTINCT cell FROM {_NEAR} ORDER BY cell")]
        # A cell's number becomes its index among those that have a margin, `place` the order of writing.
        warehouse.run(
            f"CREATE OR REPLACE TEMP TABLE {_MARGIN_ROWS} AS "
            "SELECT dense_rank() OVER (ORDER BY n.cell) - 1 AS _margin_cell, r.* EXCLUDE (place), "
            "row_number() OVER (ORDER BY n.cell, r.place) - 1 AS place "
            f"FROM {_NEAR} AS n JOIN {_ROWS} AS r USING (place) ORDER BY place"
        )
        pieces = by_column(_sorted_rows(warehouse, curves, _MARGIN_ROWS), "_margin_cell")
        return len(filled), write_catalogue(fresh, margin, [whole_sky[cell] for cell in filled], pieces)
    finally:
        for one in (_NEAR, _MARGIN_ROWS):
            warehouse.run(f"DROP TABLE IF EXISTS {one}")


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


def _sorted_rows(warehouse: Warehouse, curves: Sequence[pa.Field], table: str) -> Iterator[pa.RecordBatch]:
    """The rows of a table by its column `place`, some at a time, each with its light curve where there are fields for one."""
    for start in range(0, warehouse.value(f"SELECT count(*) FROM {table}"), _BATCH):
        within = f"place >= {start} AND place < {start + _BATCH}"
        rows = warehouse.con.sql(f"SELECT * FROM {table} WHERE {within} ORDER BY place").to_arrow_table()
        if curves:
            names = ", ".join(f"m.{quoted(field.name)}" for field in curves)
            # DuckDB sorts rows much faster, and in less memory, than it makes sorted lists of them.
            found = warehouse.con.sql(
                f"SELECT place, {names} FROM {LIGHT_CURVES} AS m JOIN {table} AS r USING ({_KEY}) WHERE {within} "
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
