"""Parquet with what each column means inside: VOParquet 1.0 (IVOA Note "Parquet in the VO") and Arrow field metadata."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from skysy.columns import Column
from skysy.formats.values import arrow_type, conform
from skysy.formats.votable import dataless_votable
from skysy.formats.whole import whole_file

_VERSION = b"IVOA.VOTable-Parquet.version"
_CONTENT = b"IVOA.VOTable-Parquet.content"


def described_schema(columns: Sequence[Column], name: str, description: str) -> pa.Schema:
    """The Arrow schema of a table with unit, ucd and description per field and the VOTable that tells them all."""
    empty = conform(pa.table({column.name: pa.array([], arrow_type(column)) for column in columns}), columns)
    notes = {_VERSION: b"1.0", _CONTENT: dataless_votable(columns, name, description).encode()}
    return empty.schema.with_metadata(notes)


class ParquetStream:
    """A Parquet file written batch by batch, so that memory does not grow with the table; whole or not there at all."""

    def __init__(self, path: Path, columns: Sequence[Column], *, name: str, description: str = "") -> None:
        self._path = path
        self._columns = columns
        self._schema = described_schema(columns, name, description)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        out = self._open.enter_context(whole_file(self._path))
        self._writer = self._open.enter_context(pq.ParquetWriter(out, self._schema, compression="zstd"))
        return self

    def write(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Add rows that have these columns; raises UsageError where one does not fit its type."""
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
        self._writer.write_table(conform(table, self._columns).replace_schema_metadata(self._schema.metadata))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)
