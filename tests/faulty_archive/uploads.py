"""Tables that come with a query, read by astropy, so that a client's writer is not judged by its own reader."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.csv

from faulty_archive.adql import QueryError


def tables(told: str, files: Mapping[str, bytes]) -> dict[str, pa.Table]:
    """The tables that UPLOAD names (`name,param:field;...`), names in small letters; raises QueryError."""
    found = {}
    for one in filter(None, told.split(";")):
        name, _, where = one.partition(",")
        field = where.removeprefix("param:")
        if field == where or field not in files:
            raise QueryError(f"Field UPLOAD: Upload '{where}' cannot be retrieved")
        found[name.strip().lower()] = table(name, files[field])
    return found


def table(name: str, content: bytes) -> pa.Table:
    """A VOTable, or CSV where it is no XML, as Arrow; raises QueryError for one that cannot be read."""
    try:
        if content.lstrip()[:1] == b"<":
            return _votable(content)
        return pyarrow.csv.read_csv(io.BytesIO(content))
    except (ValueError, IndexError, OSError) as error:
        raise QueryError(f"While ingesting upload {name}: {error}") from error


def _votable(content: bytes) -> pa.Table:
    from astropy.io.votable import parse_single_table

    held = parse_single_table(io.BytesIO(content))
    arrays, names = [], []
    for field in held.fields:
        values = held.array[field.ID]
        if values.dtype.kind == "O":
            arrays.append(pa.array([None if value is None else str(value) for value in values.tolist()]))
        else:
            native = values.data.astype(values.dtype.newbyteorder("="))
            arrays.append(pa.array(native, mask=values.mask))
        names.append(field.name)
    return pa.table(arrays, names=names)
