"""What every kind of file is turned into before its rows are checked: named, typed columns and a relation to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import duckdb
import pyarrow as pa

from skysy.errors import SkysyError

Kind = Literal["integer", "float32", "float64", "decimal", "boolean", "text", "other"]


@dataclass(frozen=True)
class Received:
    """A column as a file sends it: its name there, what kind of value it holds, and its unit where the file tells it."""

    name: str
    kind: Kind
    unit: str | None = None


@dataclass(frozen=True)
class Source:
    """A file opened: its columns, and a function that makes DuckDB see its rows and returns the relation's SQL.

    The relation is read once. `expected_rows` is what the file itself says it holds, None where it does not say.
    `failures` keeps what a reader raised while DuckDB pulled its rows, since DuckDB passes on the words alone.
    """

    columns: tuple[Received, ...]
    relation: Callable[[duckdb.DuckDBPyConnection], str]
    expected_rows: int | None = None
    failures: list[SkysyError] = field(default_factory=list)


def kind_of(data_type: pa.DataType) -> Kind:
    """The kind of an Arrow type."""
    if pa.types.is_dictionary(data_type):
        return kind_of(data_type.value_type)
    if pa.types.is_integer(data_type):
        return "integer"
    if pa.types.is_float64(data_type):
        return "float64"
    if pa.types.is_floating(data_type):
        return "float32"
    if pa.types.is_decimal(data_type):
        return "decimal"
    if pa.types.is_boolean(data_type):
        return "boolean"
    if pa.types.is_string(data_type) or pa.types.is_large_string(data_type):
        return "text"
    return "other"


def arrow_source(
    columns: tuple[Received, ...],
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    expected_rows: int | None = None,
) -> Source:
    """A Source whose rows come as Arrow batches."""
    failures: list[SkysyError] = []

    def watched() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except SkysyError as error:
            failures.append(error)
            raise

    def relation(con: duckdb.DuckDBPyConnection) -> str:
        con.register("_arrow_rows", pa.RecordBatchReader.from_batches(schema, watched()))
        return "_arrow_rows"

    return Source(columns, relation, expected_rows, failures)
