"""HATS catalogues as archive tables: which Parquet files one holds, each there and all their rows counted before any is loaded."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from skysy.errors import FileDamaged
from skysy.formats.hats import read_collection, read_properties

TABLES = ("object", "source")
"""Kinds of catalogue that hold each row once; margins repeat rows, indexes and maps have none."""
PARTITIONS, METADATA = "partition_info.csv", "dataset/_metadata"
LEAF = re.compile(r"Norder=\d+/Dir=\d+/Npix=\d+(?:/[\w.-]+)?\.parquet")
"""What the path of a file below dataset/ looks like."""
_PER_DIRECTORY = 10_000
_AGAIN = "Nothing of it was kept. Get the catalogue again."


@dataclass(frozen=True)
class Cells:
    """The cells that a catalogue lists, as paths below dataset/; `rows` of each where they are told, `suffix` as in HATS."""

    paths: tuple[str, ...]
    rows: tuple[int | None, ...]
    suffix: str


def is_hats(directory: Path) -> bool:
    """Whether a directory says that it is a HATS catalogue or a collection of them."""
    return read_collection(directory) is not None or "obs_collection" in (read_properties(directory) or {})


def is_half_hats(directory: Path) -> bool:
    """Whether a directory looks like a HATS catalogue without its properties."""
    return not is_hats(directory) and any((directory / name).exists() for name in (PARTITIONS, "dataset"))


def holds_rows(directory: Path) -> bool:
    """Whether a catalogue is one of rows: neither a margin nor an index of another."""
    if read_collection(directory) is not None:
        return True
    return (read_properties(directory) or {}).get("dataproduct_type", "object") in TABLES


def leaves(directory: Path, label: str) -> Iterator[tuple[str, Path]]:
    """(path below dataset/, file) of all Parquet files of a catalogue that errors call `label`; of a collection, of its main one.

    Raises FileDamaged where one that is listed is not there or one that is there is not listed, and where their rows are not
    as many as the catalogue says.
    """
    primary = read_collection(directory)
    root = directory if primary is None else directory / primary
    told = read_properties(root)
    if told is None:
        raise FileDamaged(f"{label}: its main catalogue {primary} has no hats.properties.", _AGAIN)
    cells = listed_cells(root, told, label)
    files = [_files_of(root / "dataset", cell, cells.suffix, label) for cell in cells.paths]
    _refuse_unlisted(root / "dataset", [name for some in files for name in some], label)
    total = 0
    for cell, some, wanted in zip(cells.paths, files, cells.rows, strict=True):
        rows = sum(_rows(root / "dataset" / name, f"{label}/{name}") for name in some)
        if wanted is not None and wanted != rows:
            raise FileDamaged(f"{label}/{cell} holds {rows:,} rows, and {PARTITIONS} says {wanted:,}.", _AGAIN)
        total += rows
    wanted_total = told.get("hats_nrows", "").replace("_", "")
    if wanted_total and wanted_total != str(total):
        raise FileDamaged(
            f"{label} holds {total:,} rows in {sum(map(len, files)):,} files, and its hats_nrows says {wanted_total}.",
            _AGAIN,
        )
    for some in files:
        for name in some:
            yield name, root / "dataset" / name


def listed_cells(root: Path, told: dict[str, str], label: str) -> Cells:
    """The cells of a catalogue by its partition_info.csv, else by its dataset/_metadata; raises FileDamaged without either."""
    suffix = told.get("hats_npix_suffix", ".parquet")
    if (root / PARTITIONS).is_file():
        return _from_partitions(root / PARTITIONS, suffix, label)
    if (root / METADATA).is_file():
        rows = metadata_rows(root / METADATA, label)
        return Cells(tuple(rows), tuple(rows.values()), ".parquet")
    raise FileDamaged(
        f"{label} has neither {PARTITIONS} nor {METADATA}: which files belong to it cannot be told.", _AGAIN
    )


def metadata_rows(path: Path, label: str) -> dict[str, int]:
    """Rows of each file, by its path below dataset/, as the footers that a catalogue keeps together say."""
    try:
        footer = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise FileDamaged(f"{label}/{METADATA} does not read: {str(error).splitlines()[0]}", _AGAIN) from error
    found: dict[str, int] = {}
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        name = group.column(0).file_path
        if not LEAF.fullmatch(name):
            raise FileDamaged(f"{label}/{METADATA} names a file {name!r}, which no HATS catalogue has.", _AGAIN)
        found[name] = found.get(name, 0) + group.num_rows
    return found


def _from_partitions(path: Path, suffix: str, label: str) -> Cells:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        listed = list(csv.DictReader(lines, skipinitialspace=True))
    paths, rows = [], []
    try:
        for one in listed:
            order, pixel = int(one["Norder"]), int(one["Npix"])
            name = f"Norder={order}/Dir={pixel // _PER_DIRECTORY * _PER_DIRECTORY}/Npix={pixel}"
            paths.append(name if suffix == "/" else name + suffix)
            rows.append(int(one["num_rows"]) if one.get("num_rows") else None)
    except (KeyError, TypeError, ValueError) as error:
        raise FileDamaged(f"{label}/{PARTITIONS} is no list of Norder and Npix.", _AGAIN) from error
    if twice := next((name for name, times in Counter(paths).items() if times > 1), None):
        raise FileDamaged(f"{label}/{PARTITIONS} lists {twice} twice.", _AGAIN)
    return Cells(tuple(paths), tuple(rows), suffix)


def _files_of(dataset: Path, cell: str, suffix: str, label: str) -> list[str]:
    """The files of a cell: itself, or what lies in it where cells are directories."""
    place = dataset / cell
    if suffix == "/":
        inside = sorted(path.name for path in place.glob("*.parquet") if not path.name.startswith((".", "_")))
        if inside:
            return [f"{cell}/{name}" for name in inside]
    elif place.is_file():
        return [cell]
    raise FileDamaged(f"{label}/{cell} is missing; the catalogue lists it.", _AGAIN)


def _refuse_unlisted(dataset: Path, names: Iterable[str], label: str) -> None:
    there = {path.relative_to(dataset).as_posix() for path in dataset.glob("Norder=*/**/*.parquet")}
    if surplus := sorted(there.difference(names)):
        raise FileDamaged(
            f"{label}/{surplus[0]} is there, and the catalogue does not list it{f', nor {len(surplus) - 1} more' * (len(surplus) > 1)}.",
            f"{_AGAIN[:-1]}, or take the file away.",
        )


def _rows(path: Path, name: str) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise FileDamaged(f"{name} is not a whole Parquet file: {str(error).splitlines()[0]}", _AGAIN) from error
