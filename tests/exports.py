"""What readers other than skysy find in exported files, and a table of it: one line per format and reader.

`SKYSY_WRITE_DOCS=1 .venv/bin/pytest tests/test_exports.py` writes the table into docs/exports.md.
"""

from __future__ import annotations

import datetime
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
from astropy.io.votable import parse_single_table
from astropy.table import Column as AstropyColumn
from astropy.table import Table

from skysy.columns import Column
from skysy.export import FORMATS, described_columns, marts
from skysy.formats.sidecar import sidecar_of
from skysy.store import Warehouse

PAGE = Path(__file__).parent.parent / "docs" / "exports.md"

TYPES = {
    "BIGINT": "int64", "INTEGER": "int32", "SMALLINT": "int16", "DOUBLE": "float64", "FLOAT": "float32",
    "BOOLEAN": "bool", "VARCHAR": "text", "DATE": "date",
}  # fmt: skip
ASPECTS = ("unit", "ucd", "description", "dtype", "nulls", "values")


@dataclass(frozen=True)
class Read:
    """A column as a reader gives it: None where it gives nothing; values with None for NULL."""

    dtype: str
    unit: str | None
    ucd: str | None
    description: str | None
    values: Sequence[Any]


@dataclass
class Tally:
    """Columns compared, and for each aspect the `table.column` that did not come back as they were."""

    columns: int = 0
    units: int = 0
    ucds: int = 0
    nulls: int = 0
    lost: dict[str, list[str]] = field(default_factory=lambda: {aspect: [] for aspect in ASPECTS})


def from_parquet_by_pyarrow(path: Path) -> dict[str, Read]:
    """By the fields' own metadata."""
    table = pq.read_table(path)
    found = {}
    for one in table.schema:
        notes = {key.decode(): text.decode() for key, text in (one.metadata or {}).items()}
        found[one.name] = Read(
            arrow_name(one.type), notes.get("unit"), notes.get("ucd"), notes.get("description"),
            table.column(one.name).to_pylist(),
        )  # fmt: skip
    return found


def from_parquet_by_voparquet(path: Path) -> dict[str, Read]:
    """By the VOTable without rows in the file's metadata; the values are pyarrow's."""
    notes = pq.read_metadata(path).metadata
    assert notes[b"IVOA.VOTable-Parquet.version"] == b"1.0"
    told = parse_single_table(io.BytesIO(notes[b"IVOA.VOTable-Parquet.content"]))
    empty, rows = _astropy(told.to_table()), from_parquet_by_pyarrow(path)
    dates = {name: one.dtype for name, one in rows.items() if one.dtype == "date" and empty[name].dtype == "text"}
    return {
        name: Read(dates.get(name, one.dtype), one.unit, one.ucd, one.description, rows[name].values)
        for name, one in empty.items()
    }


def from_votable_by_astropy(path: Path) -> dict[str, Read]:
    """As `parse_single_table` has it."""
    return _astropy(parse_single_table(path).to_table())


def from_fits_by_astropy(path: Path) -> dict[str, Read]:
    """As `Table.read` has it; UCD and description are in its meta, as TUCDn and TCOMMn."""
    table = Table.read(path)
    found = _astropy(table)
    for number, name in enumerate(table.colnames, start=1):
        ucd, words = table.meta.get(f"TUCD{number}"), table.meta.get(f"TCOMM{number}")
        found[name] = Read(found[name].dtype, found[name].unit, ucd, words, found[name].values)
    return found


def from_csv_with_sidecar(path: Path) -> dict[str, Read]:
    """By pyarrow, told the types by the JSON file beside it."""
    told = json.loads(sidecar_of(path).read_text(encoding="utf-8"))
    arrow = {"int64": pa.int64(), "int32": pa.int32(), "int16": pa.int16(), "float64": pa.float64(),
             "float32": pa.float32(), "bool": pa.bool_(), "text": pa.string(), "date": pa.date32()}  # fmt: skip
    types = {one["name"]: arrow[TYPES[one["type"]]] for one in told["columns"]}
    options = pcsv.ConvertOptions(
        column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
    )
    table = pcsv.read_csv(path, convert_options=options)
    return {
        one["name"]: Read(
            arrow_name(table.schema.field(one["name"]).type), one["unit"], one["ucd"], one["description"],
            table.column(one["name"]).to_pylist(),
        )
        for one in told["columns"]
    }  # fmt: skip


def from_csv_alone(path: Path) -> dict[str, Read]:
    """By astropy, which guesses."""
    return _astropy(Table.read(path, format="ascii.csv"))


def from_hats_by_pyarrow(path: Path) -> dict[str, Read]:
    """The files of a catalogue together, without the column of cells."""
    schema = pq.read_schema(path / "dataset" / "_common_metadata")
    table = pa.concat_tables([pq.ParquetFile(one).read() for one in sorted(path.rglob("Npix=*.parquet"))])
    table = table.sort_by([(name, "ascending") for name in table.column_names[1:]])
    found = {}
    for one in list(schema)[1:]:
        notes = {key.decode(): text.decode() for key, text in (one.metadata or {}).items()}
        found[one.name] = Read(
            arrow_name(one.type), notes.get("unit"), notes.get("ucd"), notes.get("description"),
            table.column(one.name).to_pylist(),
        )  # fmt: skip
    return found


def by_stilts(path: Path) -> dict[str, Read]:
    """By STILTS, which copies the file to a VOTable first; this tells what TOPCAT would see. Debian's reads no Parquet."""
    copy = path.with_name(f"{path.name}.stilts.vot")
    ifmt = {".fits": "fits", ".vot": "votable"}[path.suffix]
    # The table's own COMMENT is longer than a line, and STILTS then writes a PARAM that astropy does not read.
    words = [
        "stilts",
        "tpipe",
        f"in={path}",
        f"ifmt={ifmt}",
        "cmd=clearparams *",
        f"out={copy}",
        "ofmt=votable-binary2-inline",
    ]
    subprocess.run(words, check=True, capture_output=True)
    return from_votable_by_astropy(copy)


Reader = Callable[[Path], dict[str, Read]]
READERS: dict[tuple[str, str], Reader] = {
    ("parquet", "pyarrow"): from_parquet_by_pyarrow,
    ("parquet", "astropy.io.votable, the VOTable inside"): from_parquet_by_voparquet,
    ("votable", "astropy.io.votable"): from_votable_by_astropy,
    ("fits", "astropy.table, with its `meta`"): from_fits_by_astropy,
    ("csv", "pyarrow, with the JSON file"): from_csv_with_sidecar,
    ("csv", "astropy.table, alone"): from_csv_alone,
    ("hats", "pyarrow"): from_hats_by_pyarrow,
}
STILTS: dict[tuple[str, str], Reader] = {
    (form, "STILTS"): by_stilts for form in ("votable", "fits") if shutil.which("stilts")
}


def compare(
    columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], read: Mapping[str, Read], tally: Tally
) -> None:
    """Add to a tally what a reader found of a table whose columns and rows, in order, are these."""
    for column in columns:
        one, name = read[column.name], column.name
        wanted = [row[column.name] for row in rows]
        tally.columns += 1
        tally.units += column.unit is not None
        tally.ucds += column.ucd is not None
        tally.nulls += wanted.count(None)
        got = {
            "unit": same_unit(one.unit, column.unit),
            "ucd": (one.ucd or None) == column.ucd,
            "description": (one.description or "") == column.description,
            "dtype": one.dtype == TYPES[column.type],
            "nulls": [value is None for value in one.values] == [value is None for value in wanted],
            "values": all(
                same_value(a, b) for a, b in zip(one.values, wanted, strict=True) if a is not None and b is not None
            ),
        }
        for aspect, well in got.items():
            if not well:
                tally.lost[aspect].append(name)


def same_unit(got: str | None, wanted: str | None) -> bool:
    """Whether two spellings are one unit."""
    from astropy.units import Unit

    return got == wanted or (got is not None and wanted is not None and Unit(got) == Unit(wanted))


def same_value(got: Any, wanted: Any) -> bool:
    """Whether they are one value, bit for bit; an ISO date counts as the date."""
    if isinstance(wanted, datetime.date) and isinstance(got, str):
        return got == wanted.isoformat()
    return bool(got == wanted)


def compared(house: Warehouse, files: Path, form: str, reader: Reader, tables: Sequence[str] = ()) -> Tally:
    """What a reader found of these tables, of all where none is named."""
    tally = Tally()
    for table in tables or marts(house):
        path = files / form / f"{table}{FORMATS[form]}"
        if not path.exists():  # HATS is written for tables with a position
            continue
        columns = described_columns(house, table)
        names = [column.name for column in columns]
        rows = [dict(zip(names, row, strict=True)) for row in house.rows(f"FROM {table} ORDER BY ALL")]
        one = Tally()
        compare(columns, rows, reader(path), one)
        for aspect, lost in one.lost.items():
            tally.lost[aspect] += [f"{table}.{name}" for name in lost]
        tally.columns += one.columns
        tally.units += one.units
        tally.ucds += one.ucds
        tally.nulls += one.nulls
    return tally


def check_page(writer: str, tallies: Mapping[tuple[str, str], Tally]) -> None:
    """The table of docs/exports.md that a test file is the writer of is what was found; with SKYSY_WRITE_DOCS it is written."""
    text = PAGE.read_text(encoding="utf-8")
    block = re.compile(rf"(?<=<!-- written by {re.escape(writer)} -->\n).*?(?=\n<!-- end -->)", re.DOTALL)
    found = lines(tallies)
    if os.environ.get("SKYSY_WRITE_DOCS"):
        PAGE.write_text(block.sub(lambda _: found, text), encoding="utf-8")
        return
    assert block.findall(text) == [found], f"run SKYSY_WRITE_DOCS=1 .venv/bin/pytest {writer}"


def lines(tallies: Mapping[tuple[str, str], Tally]) -> str:
    """The table of docs/exports.md: for each aspect how many columns came back as they were, of those that had it."""
    out = ["| format | read by | units | UCDs | descriptions | types | NULLs in their places | values |"]
    out.append("|--|--|--:|--:|--:|--:|--:|--:|")
    for (form, reader), tally in tallies.items():
        of = {"unit": tally.units, "ucd": tally.ucds}
        cells = [f"{(n := of.get(one, tally.columns)) - len(tally.lost[one])} / {n}" for one in ASPECTS]
        out.append(f"| {form} | {reader} | {' | '.join(cells)} |")
    return "\n".join(out)


def arrow_name(kind: pa.DataType) -> str:
    return {"double": "float64", "float": "float32", "string": "text", "date32[day]": "date"}.get(str(kind), str(kind))


def _astropy(table: Table) -> dict[str, Read]:
    return {name: _astropy_column(table[name]) for name in table.colnames}


def _astropy_column(column: AstropyColumn) -> Read:
    kind = column.dtype
    text = kind.kind in "OSU"
    unit = column.unit.to_string() if column.unit is not None else None
    values = [None if value is np.ma.masked or value is None else value for value in column.tolist()]
    if hasattr(column, "mask"):
        values = [
            None if hidden else value
            for value, hidden in zip(values, np.broadcast_to(column.mask, len(column)), strict=True)
        ]
    values = [value.decode() if isinstance(value, bytes) else value for value in values]
    return Read(
        "text" if text else kind.newbyteorder("=").name, unit, column.meta.get("ucd"), column.description, values
    )
