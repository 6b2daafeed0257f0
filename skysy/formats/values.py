"""A table made to fit its columns, and its values as files hold them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from skysy.columns import Column
from skysy.errors import UsageError

_DECIMAL = re.compile(r"^(?:DECIMAL|NUMERIC)\((\d+),\s*(\d+)\)$")
_CHAR = re.compile(r"^(?:CHAR|BPCHAR)\((\d+)\)$")
_STRING = re.compile(r"^(?:VARCHAR|TEXT|STRING)(?:\(\d+\))?$")
_ARROW = {
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "UTINYINT": pa.uint8(),
    "USMALLINT": pa.uint16(),
    "UINTEGER": pa.uint32(),
    "UBIGINT": pa.int64(),
    "HUGEINT": pa.int64(),
    "REAL": pa.float32(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", tz="UTC"),
}
_WIDENED = {pa.int8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64()}
# Rounding a float64 gives every decimal of 15 digits back, and powers of ten up to 1e22 are exact.
_EXACT_DIGITS = 15


def arrow_type(column: Column) -> pa.DataType:
    """The Arrow type that holds a column's DuckDB type; raises UsageError for nested and unknown types."""
    text = column.type.upper().strip()
    if found := _DECIMAL.match(text):
        return pa.decimal128(int(found[1]), int(found[2]))
    if _CHAR.match(text) or _STRING.match(text):
        return pa.string()
    if text in _ARROW:
        return _ARROW[text]
    raise UsageError(
        f"Column {column.name} is of type {column.type}, which no archive format holds.",
        "Cast it to a number, a BOOLEAN or a VARCHAR, or leave it out.",
    )


def char_length(column: Column) -> int | None:
    """The n of CHAR(n), else None."""
    found = _CHAR.match(column.type.upper().strip())
    return int(found[1]) if found else None


def conform(table: pa.Table, columns: Sequence[Column]) -> pa.Table:
    """The table with these columns, in this order, of their types; field metadata unit, ucd, description.

    Raises UsageError naming the column that is missing or does not fit its type.
    """
    arrays, fields = [], []
    for column in columns:
        if column.name not in table.column_names:
            raise UsageError(f"The table has no column {column.name}.", f"It has: {', '.join(table.column_names)}.")
        wanted = arrow_type(column)
        try:
            arrays.append(table.column(column.name).cast(wanted))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise UsageError(f"Column {column.name} does not fit {column.type}: {error}") from error
        notes = {"unit": column.unit, "ucd": column.ucd, "description": column.description}
        metadata = {key: text for key, text in notes.items() if text}
        fields.append(pa.field(column.name, wanted, metadata=metadata or None))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def batches(table: pa.Table, rows: int) -> Iterator[pa.RecordBatch]:
    """The table in pieces of `rows` rows, however it was chunked."""
    for start in range(0, table.num_rows, rows):
        yield from table.slice(start, rows).combine_chunks().to_batches()


def conformed(
    rows: pa.Table | Iterable[pa.RecordBatch], columns: Sequence[Column], size: int
) -> Iterator[pa.RecordBatch]:
    """Rows, all there or as they come, made to fit their columns in pieces of at most `size` rows."""
    for part in [rows] if isinstance(rows, pa.Table) else rows:
        table = part if isinstance(part, pa.Table) else pa.Table.from_batches([part])
        yield from batches(conform(table, columns), size)


def plain(array: pa.Array) -> pa.Array:
    """The array as bool, uint8, int16, int32, int64, float32, float64 or string: what VOTable and FITS hold.

    A DECIMAL becomes the nearest DOUBLE, so that rounding to its scale gives it back; times become ISO text.
    """
    kind = array.type
    if pa.types.is_decimal(kind):
        return pa.array(_decimal_to_float(array), mask=~valid(array))
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return iso_text(array)
    return array.cast(_WIDENED.get(kind, kind))


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type that `plain` gives."""
    return plain(pa.array([], kind)).type


def iso_text(array: pa.Array) -> pa.Array:
    """Dates and timestamps (UTC) as ISO 8601 text with a T, as VOTable wants them."""
    return pc.strftime(array, format="%Y-%m-%d" if pa.types.is_date(array.type) else "%Y-%m-%dT%H:%M:%S")


def iso_width(kind: pa.DataType) -> int:
    """Characters of `iso_text` of a date or timestamp before the year 10000."""
    return len(iso_text(pa.array([datetime(2000, 1, 1, tzinfo=UTC)], kind))[0].as_py())


def _decimal_to_float(array: pa.Array) -> npt.NDArray[np.float64]:
    if array.type.precision > _EXACT_DIGITS:
        return np.array([np.nan if value is None else float(value) for value in array.to_pylist()], dtype="f8")
    # Decimal128 is two little-endian 64-bit words; the low one holds all of 15 digits. Dividing two exact
    # numbers rounds once, where Arrow's own cast multiplies by a rounded power of ten.
    words = np.frombuffer(array.buffers()[1], dtype="<i8").reshape(-1, 2)[array.offset : array.offset + len(array), 0]
    return words / np.float64(10**array.type.scale)


def valid(array: pa.Array) -> npt.NDArray[np.bool_]:
    """True where a value is there (NaN is a value)."""
    if array.null_count == 0:
        return np.ones(len(array), dtype=bool)
    return np.asarray(array.is_valid().to_numpy(zero_copy_only=False), dtype=bool)


def numbers(array: pa.Array, null: int | float) -> npt.NDArray[np.generic]:
    """A plain number array as numpy of its own width, with `null` where nothing is."""
    filled = array.fill_null(pa.scalar(null, array.type)) if array.null_count else array
    result: npt.NDArray[np.generic] = filled.to_numpy(zero_copy_only=False)
    return result


def free_integer(array: pa.ChunkedArray) -> int:
    """An integer of the array's own type that is none of its values, to stand for NULL."""
    limits = np.iinfo(array.type.to_pandas_dtype())
    candidates = range(limits.min, 0) if limits.min < 0 else range(limits.max, 0, -1)
    for candidate in candidates:
        if not pc.any(pc.equal(array, candidate)).as_py():
            return candidate
    raise UsageError("No integer is free to stand for NULL.", "Write Parquet or VOTable BINARY2 instead.")


def has_non_ascii(array: pa.ChunkedArray) -> bool:
    """Whether any string needs more than ASCII."""
    return bool(pc.any(pc.invert(pc.string_is_ascii(array))).as_py())
