"""FITS binary tables, in batches (FITS Standard 4.0, section 7.3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from astropy.io import fits
from skysy.loaders.source import Received, Source, arrow_source, kind_of

from skysy.contract import TableContract
from skysy.errors import ContractError, FileDamaged

_BATCH = 65_536
_ARROW = {
    "i2": pa.int16(),
    "i4": pa.int32(),
    "i8": pa.int64(),
    "u1": pa.int16(),
    "f4": pa.float32(),
    "f8": pa.float64(),
}


def open_fits(path: Path, table: TableContract) -> Source:
    """The rows of a FITS file's first binary table.

    A logical column holds NULL as the byte 0, which readers give as False, so a column that the contract calls BOOLEAN is
    refused as logical and taken as an integer column with TNULL. Raises ContractError for that, FileDamaged for a file
    that is cut or is none.
    """
    try:
        hdus = fits.open(path, memmap=not path.name.lower().endswith(".gz"), character_as_bytes=True)
        hdu = next(one for one in hdus if isinstance(one, fits.BinTableHDU))
        rows, definitions = hdu.data, list(hdu.columns)
        whole = path.name.lower().endswith(".gz") or path.stat().st_size >= hdu.fileinfo()["datLoc"] + hdu.size
    except StopIteration as error:
        raise FileDamaged(f"{path.name} holds no binary table.", "Nothing of it was kept.") from error
    except (OSError, TypeError, ValueError, EOFError) as error:
        raise FileDamaged(
            f"{path.name} is not a whole FITS file: {error}.", "Nothing of it was kept. Get it again."
        ) from error
    if not whole:
        raise FileDamaged(f"{path.name} is cut: rows are missing at its end.", "Nothing of it was kept. Get it again.")
    types = [_arrow_type(path, table, one) for one in definitions]
    kept = [(one, kind) for one, kind in zip(definitions, types, strict=True) if kind is not None]
    schema = pa.schema([(one.name, kind) for one, kind in kept])
    received = tuple(Received(one.name, kind_of(kind), one.unit) for one, kind in kept)
    return arrow_source(received, schema, _batches(rows, kept, schema), len(rows))


def _arrow_type(path: Path, table: TableContract, definition: Any) -> pa.DataType | None:
    """The Arrow type of a column, None for one that is not of the contract and cannot be read."""
    column = table.column(definition.name)
    code = definition.dtype.base.str.lstrip("<>|=")
    if definition.format.strip("0123456789").startswith("L"):
        if column is not None and column.type == "BOOLEAN":
            raise ContractError(
                f"{path.name}, column {definition.name}: a FITS logical column cannot tell NULL from False, and for "
                f"{column.name} of {table.name} that difference decides which rows count.",
                "Nothing of it was kept. Send this table as Parquet, CSV or VOTable, or the column as an integer with TNULL.",
            )
        return None
    if code.startswith("S"):
        return pa.string()
    if definition.dtype.shape not in ((), (1,)) or code not in _ARROW:
        if column is None:
            return None
        raise ContractError(
            f"{path.name}, column {definition.name}: format {definition.format} is not one value a row.",
            "Nothing of it was kept. Send the column as a plain number or text.",
        )
    return _ARROW[code]


def _batches(rows: Any, kept: list[tuple[Any, pa.DataType]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        yield pa.RecordBatch.from_arrays([_array(part, one, kind) for one, kind in kept], schema=schema)


def _array(part: Any, definition: Any, kind: pa.DataType) -> pa.Array:
    values = np.asarray(part.field(definition.name))
    if kind == pa.string():
        texts = [bytes(value).rstrip(b" \0").decode("ascii", "replace") or None for value in values.tolist()]
        return pa.array(texts, kind)
    native = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="))).reshape(len(part))
    missing = None
    if definition.null is not None and native.dtype.kind in "iu":
        missing = native == int(definition.null)
    return pa.array(native.astype(kind.to_pandas_dtype(), copy=False), kind, mask=missing)
