"""What every kind of file is turned into before its rows are checked: named, typed columns and a relation to read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

import duckdb
import pyarrow as pa

from skysy.errors import SkysyError

Kind = Literal["integer", "float32", "float64", "decimal", "boolean", "bit", "text", "other"]
FLOAT32_SLACK = 4e-6
"""A 32-bit float carries seven digits: what it lies off a decimal number of magnitude 20 is below this."""

ARROW_ROWS = "_arrow_rows"
"""The name under which DuckDB sees rows that come as Arrow batches."""


@dataclass(frozen=True)
class Received:
    """A column as a file sends it: its name there, what kind of value it holds, its unit and UCD where the file tells them.

    `label` is its name in the relation, where that is another: two columns of a file may have one name.
    """

    name: str
    kind: Kind
    unit: str | None = None
    label: str = ""
    ucd: str | None = None

    @property
    def sql(self) -> str:
        """The column in a SELECT from the relation."""
        return '"' + (self.label or self.name).replace('"', '""') + '"'


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Source:
    """A file opened: its columns, and a function that makes DuckDB see its rows and returns the relation's SQL.

    The relation is read once. `expected_rows` is what the file itself says it holds, None where it does not say.
    `failures` keeps what a reader raised while DuckDB pulled its rows, since DuckDB passes on the words alone.
    `find` looks for the place of a value that a query could not take, where the file's reader can tell it; `notes` is
    filled while rows are read. Leaving the context closes the file.
    """

    columns: tuple[Received, ...]
    relation: Callable[[duckdb.DuckDBPyConnection], str]
    expected_rows: int | None = None
    failures: list[SkysyError] = field(default_factory=list)
    find: Callable[[], SkysyError | None] = _nothing
    notes: dict[str, str] = field(default_factory=dict)
    close: Callable[[], None] = _nothing

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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
    if pa.types.is_string(data_type) or pa.types.is_large_string(data_type) or pa.types.is_string_view(data_type):
        return "text"
    return "other"


def labels(names: Iterable[str]) -> list[str]:
    """The names, changed where DuckDB would not tell two of them apart."""
    taken: set[str] = set()
    found = []
    for place, name in enumerate(names):
        label = name if name and name.lower() not in taken else f"{name} #{place + 1}"
        taken.add(label.lower())
        found.append(label)
    return found


def arrow_source(
    columns: tuple[Received, ...],
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    expected_rows: int | None = None,
    *,
    find: Callable[[], SkysyError | None] = _nothing,
    notes: dict[str, str] | None = None,
    close: Callable[[], None] = _nothing,
) -> Source:
    """A Source whose rows come as Arrow batches, each of the schema, whose names are the columns' labels."""
    failures: list[SkysyError] = []

    def watched() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except SkysyError as error:
            failures.append(error)
            raise

    def relation(con: duckdb.DuckDBPyConnection) -> str:
        con.register(ARROW_ROWS, pa.RecordBatchReader.from_batches(schema, watched()))
        return ARROW_ROWS

    return Source(columns, relation, expected_rows, failures, find, {} if notes is None else notes, close)
