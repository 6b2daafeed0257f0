"""Arrays made into tables of a contract's columns and types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from skysy.columns import Column
from skysy.contract import TableContract
from skysy.formats.values import arrow_type

# numpy arrays (masked where NULL) or Arrow arrays; decimals as whole numbers of their last digit
Values = Mapping[str, Any]


def shaped(contract: TableContract, values: Values, rows: npt.NDArray[np.generic] | None = None) -> pa.Table:
    """All columns of the contract, in its order, of all values or of `rows`; NULL where there are none."""
    if strangers := set(values) - {column.name for column in contract.columns}:
        raise KeyError(f"{contract.name} has no columns {sorted(strangers)}")
    chosen = values if rows is None else {name: _rows(value, rows) for name, value in values.items()}
    length = len(next(iter(chosen.values())))
    arrays = [_array(column, chosen.get(column.name), length) for column in contract.columns]
    return pa.table(arrays, names=[column.name for column in contract.columns])


def _rows(value: Any, rows: npt.NDArray[np.generic]) -> Any:
    return value.take(pa.array(rows)) if isinstance(value, pa.Array) else value[rows]


def _array(column: Column, value: Any, length: int) -> pa.Array:
    kind = arrow_type(column)
    if value is None:
        return pa.nulls(length, kind)
    if isinstance(value, pa.Array):
        return value.cast(kind)
    data, mask = np.ma.getdata(value), np.ma.getmask(value)
    absent = None if mask is np.ma.nomask else np.broadcast_to(mask, data.shape)
    if pa.types.is_decimal(kind):
        return _decimals(data, absent, kind)
    if pa.types.is_string(kind):
        return pa.array(data, kind, mask=absent)
    wanted = kind.to_pandas_dtype()
    return pa.array(data.astype(wanted, copy=False), kind, mask=absent)


def _decimals(data: npt.NDArray[np.int64], absent: npt.NDArray[np.bool_] | None, kind: pa.DataType) -> pa.Array:
    """Decimal128 of whole numbers of the last digit: two 64-bit words, the high one the sign."""
    words = np.stack([data.astype("<i8"), -(data < 0).astype("<i8")], axis=1)
    validity = None if absent is None else pa.array(~absent).buffers()[1]
    return pa.Array.from_buffers(kind, len(data), [validity, pa.py_buffer(np.ascontiguousarray(words))])


def choose(names: tuple[str, ...], codes: npt.NDArray[np.int64]) -> pa.Array:
    """Text of codes that point into a few names."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(names)).cast(pa.string())


def designations(
    ra_deg: npt.NDArray[np.float64], dec_deg: npt.NDArray[np.float64], *, points: bool, prefix: str = ""
) -> pa.Array:
    """Names made of positions, cut and not rounded: Jhhmmss.ss-ddmmss.s, hhmmssss-ddmmsss without points."""
    second = np.floor(ra_deg / 15 * 360_000).astype(np.int64)  # hundredths of a second of time
    arc = np.floor(np.abs(dec_deg) * 36_000 + 1e-6).astype(np.int64)  # tenths of an arcsecond
    sign = np.where(dec_deg < 0, ord("-"), ord("+"))
    dot = [np.full(len(second), ord("."))] if points else []
    parts = [np.full(len(second), ord(letter)) for letter in prefix]
    parts += [
        *_digits(second // 360_000, 2),
        *_digits(second // 6_000 % 60, 2),
        *_digits(second // 100 % 60, 2),
    ]
    parts += [*dot, *_digits(second % 100, 2), sign]
    parts += [*_digits(arc // 36_000, 2), *_digits(arc // 600 % 60, 2), *_digits(arc // 10 % 60, 2)]
    parts += [*dot, *_digits(arc % 10, 1)]
    text = np.stack(parts, axis=1).astype("u1")
    return pa.array(text.view(f"S{text.shape[1]}").ravel(), pa.binary()).cast(pa.string())


def _digits(number: npt.NDArray[np.int64], width: int) -> list[npt.NDArray[np.int64]]:
    return [number // 10**place % 10 + ord("0") for place in range(width - 1, -1, -1)]
