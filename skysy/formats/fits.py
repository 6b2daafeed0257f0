"""FITS binary tables with units, UCDs and descriptions (FITS Standard 4.0, section 7.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from astropy.io import fits

from skysy.columns import Column
from skysy.errors import UsageError
from skysy.formats.values import (
    arrow_type,
    char_length,
    conform,
    conformed,
    free_integer,
    has_non_ascii,
    numbers,
    plain,
    plain_type,
)

_BLOCK = 2880
"""Bytes that the parts of a file are filled up to (FITS Standard 4.0, section 3.1)."""
_PIECE = 100_000
"""Rows that are made into bytes at a time."""
_FORMATS = {
    pa.bool_(): "L",
    pa.uint8(): "B",
    pa.int16(): "I",
    pa.int32(): "J",
    pa.int64(): "K",
    pa.float32(): "E",
    pa.float64(): "D",
}


def booleans_as_numbers(columns: Sequence[Column]) -> list[Column]:
    """The columns with each BOOLEAN as a 16-bit 0 and 1, which its description says; NULL is then a TNULL.

    A FITS logical column holds NULL as the byte 0, which readers take for False (FITS Standard 4.0, section 7.3.3.1).
    """
    return [
        replace(one, type="SMALLINT", description=f"{one.description} (0 false, 1 true)")
        if one.type == "BOOLEAN"
        else one
        for one in columns
    ]


@dataclass(frozen=True)
class Extent:
    """What the head of a file tells of a column's values.

    `null` is an integer that none of them is, for a column of integers with NULLs; `longest` is the bytes of the longest text.
    """

    nulls: int
    null: int | None = None
    longest: int = 0
    is_ascii: bool = True


def write_fits(out: BinaryIO, table: pa.Table, columns: Sequence[Column], name: str, description: str) -> None:
    """A FITS file whose first extension is the table: TNULL for integers, NaN for floats, blank for strings.

    Raises UsageError for text beyond ASCII and for a BOOLEAN column with NULLs: readers take them for False.
    """
    table = conform(table, columns)
    extents = [_extent(table.column(column.name)) for column in columns]
    stream_fits(out, table, columns, name, description, extents=extents, rows=table.num_rows)


def stream_fits(
    out: BinaryIO,
    parts: pa.Table | Iterable[pa.RecordBatch],
    columns: Sequence[Column],
    name: str,
    description: str,
    *,
    extents: Sequence[Extent],
    rows: int,
) -> None:
    """`write_fits` of rows as they come, whose number and columns' extents are known before; raises UsageError as that does."""
    made = [_column(column, extent) for column, extent in zip(columns, extents, strict=True)]
    primary = fits.PrimaryHDU().header
    primary["EXTEND"] = True
    out.write(primary.tostring().encode("ascii"))
    header = fits.BinTableHDU.from_columns(made, name=name).header
    header["NAXIS2"] = rows
    for number, column in enumerate(columns, start=1):
        if column.ucd:
            header[f"TUCD{number}"] = column.ucd
        if column.description:
            header[f"TCOMM{number}"] = column.description.encode("ascii", "replace").decode()
    if description:
        header["COMMENT"] = description.encode("ascii", "replace").decode()
    out.write(header.tostring().encode("ascii"))
    layout = np.dtype([(f"{number}", _bytes_of(one.format)) for number, one in enumerate(made)])
    written = 0
    for batch in conformed(parts, columns, _PIECE):
        written += out.write(_records(batch, layout, extents).tobytes())
    out.write(bytes(-written % _BLOCK))


def _extent(values: pa.ChunkedArray) -> Extent:
    array = plain(values.combine_chunks())
    if pa.types.is_string(array.type):
        longest = pc.max(pc.binary_length(array)).as_py() or 0
        return Extent(array.null_count, None, longest, not has_non_ascii(pa.chunked_array([array.fill_null("")])))
    if pa.types.is_integer(array.type) and array.null_count:
        return Extent(array.null_count, free_integer(pa.chunked_array([array])))
    return Extent(array.null_count)


def _column(column: Column, extent: Extent) -> fits.Column:
    """The column without values."""
    kind = plain_type(arrow_type(column))
    if pa.types.is_string(kind):
        if not extent.is_ascii:
            raise UsageError(f"Column {column.name} holds text beyond ASCII, which FITS cannot.", "Write Parquet.")
        width = max(char_length(column) or 1, extent.longest)
        return fits.Column(name=column.name, format=f"{width}A", unit=column.unit)
    if pa.types.is_boolean(kind) and extent.nulls:
        raise UsageError(
            f"Column {column.name} is a BOOLEAN with NULLs, and FITS readers take those for False.",
            "Write Parquet or VOTable BINARY2, or make the column an INTEGER.",
        )
    return fits.Column(name=column.name, format=_FORMATS[kind], unit=column.unit, null=extent.null)


def _bytes_of(form: str) -> str:
    """numpy's name of the bytes that a value takes in a row (FITS Standard 4.0, table 18)."""
    if form.endswith("A"):
        return f"S{form[:-1]}"
    return {"L": "u1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}[form]


def _records(batch: pa.RecordBatch, layout: np.dtype[np.void], extents: Sequence[Extent]) -> npt.NDArray[np.void]:
    records = np.zeros(batch.num_rows, layout)
    for number, extent in enumerate(extents):
        array = plain(batch.column(number))
        values: npt.NDArray[np.generic]
        if pa.types.is_string(array.type):
            values = np.array(array.fill_null("").to_pylist(), dtype=layout[number])
        elif pa.types.is_boolean(array.type):
            values = np.where(array.to_numpy(zero_copy_only=False), ord("T"), ord("F"))
        else:
            values = numbers(array, np.nan if pa.types.is_floating(array.type) else extent.null or 0)
        records[f"{number}"] = values
    return records
