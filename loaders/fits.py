"""FITS binary tables, in batches (FITS Standard 4.0, section 7.3)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from astropy.io import fits
from skysy.loaders.packed import blocks, is_packed
from skysy.loaders.source import Received, Source, arrow_source, kind_of, labels

from skysy.contract import TableContract
from skysy.errors import ContractError, FileDamaged

_BATCH = 65_536
_KEPT = "Nothing of it was kept."
_AGAIN = f"{_KEPT} Get it again."
_ARROW = {
    "u1": pa.int16(),
    "i2": pa.int16(),
    "u2": pa.int32(),
    "i4": pa.int32(),
    "u4": pa.int64(),
    "i8": pa.int64(),
    "u8": pa.uint64(),
    "f4": pa.float32(),
    "f8": pa.float64(),
}


@dataclass(frozen=True)
class _Column:
    """A column that is read: its place in the file, its Arrow type, and the number that stands for NULL."""

    place: int
    name: str
    unit: str | None
    type: pa.DataType
    null: int | None


def open_fits(path: Path, table: TableContract) -> Source:
    """The rows of a FITS file's first binary table.

    A logical column holds NULL as the byte 0, which readers give as False, so a column that the contract calls BOOLEAN is
    refused as logical and taken as an integer column with TNULL. Raises ContractError for that, FileDamaged for a file
    that is cut, is none, or does not have the checksum that it tells. A packed file is unpacked in memory.
    """
    with ExitStack() as held:
        rows, definitions = _open(path, held)
        empty = rows[:0]  # slow to make, as each slice is
        found = [_column(path, table, place, one, empty) for place, one in enumerate(definitions)]
        kept = [one for one in found if one is not None]
        schema = pa.schema(list(zip(labels(one.name for one in kept), (one.type for one in kept), strict=True)))
        received = tuple(
            Received(one.name, kind_of(one.type), one.unit, field.name) for one, field in zip(kept, schema, strict=True)
        )
        batches = _batches(path.name, rows, kept, schema)
        return arrow_source(received, schema, batches, len(rows), close=held.pop_all().close)
    raise AssertionError("not reached")


def _open(path: Path, held: ExitStack) -> tuple[Any, list[Any]]:
    """The rows and column definitions of the first binary table."""
    _, hdu = first_table(path, held)
    return hdu.data, list(hdu.columns)


def first_table(path: Path, held: ExitStack) -> tuple[Any, Any]:
    """(HDUs of a FITS file, its first binary table), open until `held` closes; the table's data are read and whole.

    astropy's warnings of damage are errors here: raises FileDamaged for a file that is cut, has no table, or not its checksum.
    """
    packed = is_packed(path)
    if packed:
        with path.open("rb") as content:
            for _ in blocks(path.name, content, packed=True):
                pass  # astropy does not read to the end, where the checksum is
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message=".*(truncated|Checksum|Datasum).*")
        try:
            raw = held.enter_context(path.open("rb"))  # astropy leaves a file open that it cannot read
            hdus = held.enter_context(fits.open(raw, memmap=not packed, character_as_bytes=True, checksum=True))
            hdu = next((one for one in hdus if isinstance(one, fits.BinTableHDU)), None)
            if hdu is not None:
                hdu.data  # noqa: B018  read here, so that damage is told here
                whole = packed or path.stat().st_size >= hdu.fileinfo()["datLoc"] + hdu.size
        except Exception as error:  # astropy raises many kinds; each means that the file cannot be read
            raise FileDamaged(f"{path.name} is not a whole FITS file: {_sentence(error)}.", _AGAIN) from error
    if hdu is None:
        raise FileDamaged(f"{path.name} holds no binary table.", _KEPT)
    if not whole:
        raise FileDamaged(f"{path.name} is cut: rows are missing at its end.", _AGAIN)
    return hdus, hdu


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.rstrip(".")


def _column(path: Path, table: TableContract, place: int, definition: Any, empty: Any) -> _Column | None:
    """How a column is read, None for one that is not of the contract and cannot be."""
    column = table.column(definition.name)
    form = definition.format.strip("0123456789")
    if form.startswith("L") and column is not None and column.type == "BOOLEAN":
        raise ContractError(
            f"{path.name}, column {definition.name}: a FITS logical column cannot tell NULL from False, and "
            f"{column.name} of {table.name} may be either.",
            f"{_KEPT} Send this table as Parquet, CSV or VOTable, or the column as an integer with TNULL.",
        )
    if form[:1] == "A":
        return _Column(place, definition.name, definition.unit, pa.string(), None)
    sample = np.asarray(empty.field(place))  # as it is after TSCAL and TZERO
    kind = _ARROW.get(sample.dtype.str.lstrip("<>|="))
    if kind is None or sample.shape[1:] not in ((), (1,)) or form[:1] in "LXPQ":
        if column is None:
            return None
        raise ContractError(
            f"{path.name}, column {definition.name}: format {definition.format} is not one number or text a row.",
            f"{_KEPT} Send the column as a plain number or text.",
        )
    null = _null(definition) if pa.types.is_integer(kind) else None
    return _Column(place, definition.name, definition.unit, kind, null)


def _null(definition: Any) -> int | None:
    """TNULL as it is after TZERO; astropy gives unsigned integers that FITS stores with an offset."""
    if definition.null in (None, ""):
        return None
    return int(definition.null) + int(definition.bzero or 0)


def _batches(name: str, rows: Any, kept: list[_Column], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        yield pa.RecordBatch.from_arrays([_array(name, part, start, one) for one in kept], schema=schema)


def _array(name: str, part: Any, start: int, column: _Column) -> pa.Array:
    if column.type == pa.string():
        raw: npt.NDArray[Any] = part.view(np.ndarray)
        cells = raw[part.dtype.names[column.place]].astype(bytes).ravel().tolist()
        return pa.array([_text(name, column, start + n, cell) for n, cell in enumerate(cells, 1)], pa.string())
    values: npt.NDArray[Any] = np.asarray(part.field(column.place))
    native = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="))).reshape(len(part))
    missing = None if column.null is None else native == column.null
    return pa.array(native.astype(column.type.to_pandas_dtype(), copy=False), column.type, mask=missing)


def _text(name: str, column: _Column, row: int, value: bytes) -> str | None:
    text = value.split(b"\0", 1)[0].rstrip(b" ")
    if not text.isascii():
        raise FileDamaged(
            f"{name}, row {row}, column {column.name}: {text!r} is not ASCII, as text in FITS must be.", _KEPT
        )
    return text.decode("ascii") or None
