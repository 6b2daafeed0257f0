"""FITS binary tables with units, UCDs and descriptions (FITS Standard 4.0, section 7.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.io import fits

from skysy.columns import Column
from skysy.errors import UsageError
from skysy.formats.values import char_length, conform, free_integer, has_non_ascii, numbers, plain

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


def write_fits(out: BinaryIO, table: pa.Table, columns: Sequence[Column], name: str, description: str) -> None:
    """A FITS file whose first extension is the table: TNULL for integers, NaN for floats, blank for strings.

    Raises UsageError for text beyond ASCII and for a BOOLEAN column with NULLs: readers take them for False.
    """
    table = conform(table, columns).combine_chunks()
    made = [_column(column, table.column(column.name)) for column in columns]
    extension = fits.BinTableHDU.from_columns(made, name=name)
    for number, column in enumerate(columns, start=1):
        if column.ucd:
            extension.header[f"TUCD{number}"] = column.ucd
        if column.description:
            extension.header[f"TCOMM{number}"] = column.description.encode("ascii", "replace").decode()
    if description:
        extension.header["COMMENT"] = description.encode("ascii", "replace").decode()
    fits.HDUList([fits.PrimaryHDU(), extension]).writeto(out)


def _column(column: Column, chunks: pa.ChunkedArray) -> fits.Column:
    array = plain(chunks.combine_chunks())
    kind = array.type
    if pa.types.is_string(kind):
        return _text(column, array)
    if pa.types.is_boolean(kind):
        if array.null_count:
            raise UsageError(
                f"Column {column.name} is a BOOLEAN with NULLs, and FITS readers take those for False.",
                "Write Parquet or VOTable BINARY2, or make the column an INTEGER.",
            )
        values = array.to_numpy(zero_copy_only=False)
        return fits.Column(name=column.name, format="L", unit=column.unit, array=values)
    null = None
    if pa.types.is_integer(kind) and array.null_count:
        null = free_integer(pa.chunked_array([array]))
    values = numbers(array, np.nan if pa.types.is_floating(kind) else null or 0)
    return fits.Column(name=column.name, format=_FORMATS[kind], unit=column.unit, null=null, array=values)


def _text(column: Column, array: pa.Array) -> fits.Column:
    if has_non_ascii(pa.chunked_array([array])):
        raise UsageError(f"Column {column.name} holds text beyond ASCII, which FITS cannot.", "Write Parquet.")
    filled = array.fill_null("")
    longest = pc.max(pc.binary_length(filled)).as_py() or 0
    width = max(char_length(column) or 1, longest)
    values = np.array(filled.to_pylist(), dtype=f"S{width}")
    return fits.Column(name=column.name, format=f"{width}A", unit=column.unit, array=values)
