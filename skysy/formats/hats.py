"""HATS catalogues on disk: Parquet files of a sky cut into HEALPix cells (IVOA Note "HATS", 2025; hats-import's layout)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from skysy import __version__
from skysy.columns import Column
from skysy.errors import UsageError
from skysy.formats.parquet import described_schema
from skysy.formats.values import conform

HEALPIX = Column("_healpix_29", "BIGINT", None, "pos.healpix", "HEALPix cell of its position, order 29, nested, ICRS")
"""The column by which the rows of a catalogue are sorted and cut into files."""
PROPERTIES, COLLECTION = ("hats.properties", "properties"), "collection.properties"
"""The files that make a directory a catalogue (the second is of older ones), and a collection of catalogues."""
ORDER_MAX = 10
"""The smallest cells that a catalogue is cut into, 3.4 arcmin wide; a cell of this order is one file however full it is."""
_ORDER = 29
_PER_DIRECTORY = 10_000


@dataclass(frozen=True, order=True)
class Cell:
    """A HEALPix cell, nested; cells sort as their rows do."""

    first: int
    order: int

    @property
    def pixel(self) -> int:
        """Its number within its order."""
        return self.first >> 2 * (_ORDER - self.order)

    @property
    def end(self) -> int:
        """The first order-29 cell behind it."""
        return (self.pixel + 1) << 2 * (_ORDER - self.order)

    @property
    def path(self) -> str:
        """Its file below dataset/."""
        directory = self.pixel // _PER_DIRECTORY * _PER_DIRECTORY
        return f"Norder={self.order}/Dir={directory}/Npix={self.pixel}.parquet"


@dataclass(frozen=True)
class Catalogue:
    """What is written: its name, columns with HEALPIX first, those that hold lists, and which columns are the position.

    A margin catalogue, of rows near the cells of another one, names that as its `primary` and how near [arcsec].
    """

    name: str
    description: str
    columns: Sequence[Column]
    nested: Sequence[pa.Field]
    ra: str
    dec: str
    rows_max: int
    made_at: str
    primary: str = ""
    threshold_arcsec: float = 0.0

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of every file; the VOTable in it tells of the plain columns, lists have theirs in the fields."""
        schema = described_schema(self.columns, self.name, self.description)
        for field in self.nested:
            schema = schema.append(field)
        return schema


def cells_of(numbers: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], rows_max: int) -> list[Cell]:
    """The largest cells that hold at most `rows_max` rows each, sorted, empty ones left out.

    `numbers` are cells of ORDER_MAX with rows, and `counts` says how many; a cell of ORDER_MAX may hold more.
    """
    found: list[Cell] = []
    for order in range(ORDER_MAX + 1):
        parents, place = np.unique(numbers >> 2 * (ORDER_MAX - order), return_inverse=True)
        rows = np.zeros(len(parents), dtype="i8")
        np.add.at(rows, place, counts)
        small = (rows <= rows_max) | (order == ORDER_MAX)
        found += [Cell(int(parent) << 2 * (_ORDER - order), order) for parent in parents[small]]
        numbers, counts = numbers[~small[place]], counts[~small[place]]
    return sorted(found)


def write_catalogue(
    directory: Path, catalogue: Catalogue, cells: Sequence[Cell], pieces: Iterable[tuple[int, pa.RecordBatch]]
) -> int:
    """The catalogue in an empty directory, from pieces of its rows; returns how many rows these are.

    Each piece comes with the index of its cell; they come cell by cell, those of a cell in the order of HEALPIX. One file
    is open at a time, so memory does not grow with the table.
    """
    dataset = directory / "dataset"
    dataset.mkdir()
    schema = catalogue.schema
    footers: list[pq.FileMetaData] = []
    now = -1
    writer: pq.ParquetWriter | None = None
    rows = 0
    try:
        for place, piece in pieces:
            if place != now:
                if writer:
                    writer.close()
                now = place
                path = dataset / cells[now].path
                path.parent.mkdir(parents=True, exist_ok=True)
                writer = pq.ParquetWriter(path, schema, compression="zstd", metadata_collector=footers)
            assert writer is not None
            writer.write_table(_shaped(piece, catalogue, schema))
            rows += piece.num_rows
    finally:
        if writer:
            writer.close()
    _write_metadata(dataset, schema, cells, footers)
    lines = ["Norder,Npix", *(f"{one.order},{one.pixel}" for one in _by_order(cells))]
    (directory / "partition_info.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _write_properties(directory, catalogue, cells, rows)
    return rows


def by_cell(batches: Iterable[pa.RecordBatch], cells: Sequence[Cell]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Rows sorted by HEALPIX cut at the borders of the cells that they lie in, each piece with the index of its cell."""
    ends = np.array([cell.end for cell in cells])
    for batch in batches:
        borders = np.searchsorted(batch.column(HEALPIX.name).to_numpy(), ends)
        yield from _cut(batch, borders)


def by_column(batches: Iterable[pa.RecordBatch], column: str) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Rows sorted by a column that says the index of their cell cut where it changes; the column is taken off."""
    for batch in batches:
        places = batch.column(column).to_numpy()
        borders = np.searchsorted(places, np.arange(places.max(initial=-1) + 1), side="right")
        yield from _cut(batch.drop_columns(column), borders)


def _cut(batch: pa.RecordBatch, borders: npt.NDArray[np.int64]) -> Iterator[tuple[int, pa.RecordBatch]]:
    starts = np.concatenate([[0], borders[:-1]])
    for place in np.flatnonzero(borders > starts):
        yield int(place), batch.slice(starts[place], borders[place] - starts[place])


def _shaped(batch: pa.RecordBatch, catalogue: Catalogue, schema: pa.Schema) -> pa.Table:
    table = pa.Table.from_batches([batch])
    shaped = conform(table, catalogue.columns)
    for field in catalogue.nested:
        shaped = shaped.append_column(field, table.column(field.name).cast(field.type))
    return shaped.replace_schema_metadata(schema.metadata)


def _by_order(cells: Iterable[Cell]) -> list[Cell]:
    return sorted(cells, key=lambda cell: (cell.order, cell.pixel))


def _write_metadata(
    dataset: Path, schema: pa.Schema, cells: Sequence[Cell], footers: Sequence[pq.FileMetaData]
) -> None:
    for cell, footer in zip(cells, footers, strict=True):
        footer.set_file_path(cell.path)
    pq.write_metadata(schema, dataset / "_common_metadata")
    pq.write_metadata(schema, dataset / "_metadata", metadata_collector=list(footers))


def _write_properties(directory: Path, catalogue: Catalogue, cells: Sequence[Cell], rows: int) -> None:
    covered = sum(4.0**-cell.order for cell in cells) / 12
    size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    told = {
        "obs_collection": catalogue.name,
        "obs_title": catalogue.description,
        "dataproduct_type": "margin" if catalogue.primary else "object",
        "hats_primary_table_url": catalogue.primary,
        "hats_margin_threshold": catalogue.threshold_arcsec if catalogue.primary else "",
        "hats_nrows": rows,
        "hats_col_ra": catalogue.ra,
        "hats_col_dec": catalogue.dec,
        "hats_col_healpix": HEALPIX.name,
        "hats_col_healpix_order": _ORDER,
        "hats_npix_suffix": ".parquet",
        "hats_order": max((cell.order for cell in cells), default=0),
        "hats_max_rows": "" if catalogue.primary else catalogue.rows_max,
        "hats_estsize": size // 1024,
        "moc_sky_fraction": f"{covered:.6f}",
        "hats_builder": f"skysy v{__version__}",
        "hats_creation_date": catalogue.made_at,
        "hats_version": "v1.0",
    }
    text = "#HATS catalog\n" + "".join(f"{key}={_escaped(str(value))}\n" for key, value in told.items() if value != "")
    for name in PROPERTIES:
        (directory / name).write_text(text, encoding="utf-8")


def _escaped(text: str) -> str:
    """A value as .properties files hold it: backslashes doubled, on one line."""
    return " ".join(text.replace("\\", "\\\\").split())


def read_properties(directory: Path) -> dict[str, str] | None:
    """What hats.properties, or in older catalogues properties, tells; None where the directory is no HATS catalogue."""
    for name in PROPERTIES:
        if (directory / name).is_file():
            return _told(directory / name)
    return None


def read_collection(directory: Path) -> str | None:
    """The name of the main catalogue of a collection, a directory in it; None where the directory is no collection."""
    path = directory / COLLECTION
    return _told(path).get("hats_primary_table_url", "") if path.is_file() else None


def _told(path: Path) -> dict[str, str]:
    pairs = (
        line.partition("=") for line in path.read_text("utf-8", "replace").splitlines() if line[:1] not in ("#", "!")
    )
    return {key.strip(): value.strip() for key, found, value in pairs if found}


def refuse_other(directory: Path) -> None:
    """Raises UsageError where the directory is there and is no HATS catalogue: nothing else is ever replaced."""
    if directory.exists() and read_properties(directory) is None and (directory.is_file() or any(directory.iterdir())):
        raise UsageError(
            f"{directory} is there already and is no HATS catalogue.", "Nothing was changed. Name another directory."
        )
