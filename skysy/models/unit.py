"""Unit tests of models: each case of `skysy.models.cases` run by itself, in memory, without a warehouse.

The inputs of a model are made as empty tables with their real columns and types, the archive's from the contract and
models' from the casts of their SQL; a case's rows go in, the model's SQL runs as it stands, and what comes out is compared
column by column. A model that has an engine is run both ways: its SQL is the definition, the engine must give the same.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from skysy import ledger
from skysy.columns import Column
from skysy.config import Settings
from skysy.contract import load_contract
from skysy.errors import SkysyError, did_you_mean
from skysy.models import parameters
from skysy.models.cases import Case
from skysy.models.files import Model
from skysy.models.plan import Engine
from skysy.models.project import Project
from skysy.store import Warehouse

_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
_REALS = {"FLOAT", "REAL", "DOUBLE"}
_DECIMAL = re.compile(r"DECIMAL\(\d+,(?P<scale>\d+)\)")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How a case went: no problems, or one line for each; `engine` names what took the place of the SQL."""

    case: Case
    engine: str
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every row came out as expected."""
        return not self.problems


class Bench:
    """A database in memory on which the cases of one project run, one after the other."""

    def __init__(self, project: Project, engines: Mapping[str, Engine] | None = None) -> None:
        self.project = project
        self.engines = dict(engines or {})
        self.con = duckdb.connect(":memory:", config={"threads": 1, "autoinstall_known_extensions": False})

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.con.close()

    def run(self, case: Case) -> Iterator[Outcome]:
        """The outcome of the model's SQL, then that of its engine where there is one.

        Raises NotFound for a model or parameter that is not there, ModelError for a table, column or value that does
        not fit, each with file and case.
        """
        model = self.project.model(case.model)
        self._prepare(case, model)
        yield Outcome(case, "", tuple(self._problems(case, model, None)))
        if model.engine in self.engines:
            yield Outcome(
                case, model.engine or "", tuple(self._problems(case, model, self.engines[model.engine or ""]))
            )

    def _prepare(self, case: Case, model: Model) -> None:
        """The parameters of the case and its inputs, filled."""
        words = [f"{name}={_literal(value)}" for name, value in case.parameters.items()]
        known = self.project.parameters
        try:
            values = parameters.override(known, parameters.parse_settings(words, known))
        except SkysyError as error:
            raise case.wrong(error.message, error.remedy) from error
        parameters.apply(self.con, values)
        for table in case.given:
            if table not in model.inputs:
                raise case.wrong(f"{model.name} does not read {table}.", did_you_mean(table, model.inputs))
        for table in model.inputs:
            self._fill(case, table, case.given.get(table, ()))

    def _fill(self, case: Case, table: str, rows: Sequence[Row]) -> None:
        columns = self._columns(table)
        for row in rows:
            _check_row(case, table, row, columns)
        if "." in table:
            self.con.execute(f"CREATE SCHEMA IF NOT EXISTS {table.split('.')[0]}")
        defined = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        self.con.execute(f"CREATE OR REPLACE TABLE {table} ({defined})")
        if rows:
            names = list(dict.fromkeys(name for row in rows for name in row))
            marks = ", ".join(f"({', '.join('?' for _ in names)})" for _ in rows)
            quoted = ", ".join(f'"{name}"' for name in names)
            values = [row.get(name) for row in rows for name in names]
            try:
                self.con.execute(f"INSERT INTO {table} ({quoted}) VALUES {marks}", values)
            except duckdb.Error as error:
                raise case.wrong(f"these rows do not fit {table}: {error}") from error

    def _columns(self, table: str) -> dict[str, str]:
        """Type of each column of a model or an archive table."""
        if "." not in table:
            return _types(self.project.model(table).columns)
        types = _types(load_contract(self.project.release).table(table).columns)
        return {**types, ledger.CHUNK_COLUMN: "INTEGER"}

    def _problems(self, case: Case, model: Model, engine: Engine | None) -> Iterator[str]:
        try:
            columns, found = self._result(model, engine)
        except (duckdb.Error, SkysyError) as error:
            told = str(error)
            if case.error is None:
                yield f"error    {told.splitlines()[0]}"
            elif case.error not in told:
                yield f"error    {told.splitlines()[0]}; expected one with {case.error!r}"
            return
        if case.error is not None:
            yield f"no error; expected one with {case.error!r}"
            return
        expect = []
        for row in case.expect:
            _check_row(case, f"the result of {model.name}", row, columns)
            expect.append({name: _as(columns[name], value) for name, value in row.items()})
        key = case.key or (model.key if set(model.key) <= set(case.columns) else ())
        if unknown := set(key) - set(case.columns):
            raise case.wrong(f"key names {', '.join(sorted(unknown))}, which no expected row has.")
        yield from compare(expect, found, key=key, tolerance=case.tolerance, ordered=case.ordered)

    def _result(self, model: Model, engine: Engine | None) -> tuple[dict[str, str], list[dict[str, Any]]]:
        """Type of each column that the model gives, and its rows."""
        source = model.sql
        if engine is not None:
            self.con.register(
                "_engine_rows", engine(Warehouse(self.con, Settings(Path("none"), "1GB", 1), read_only=False))
            )
            source = "SELECT * FROM _engine_rows"
        cursor = self.con.execute(source)
        columns = {str(column[0]): str(column[1]) for column in cursor.description or []}
        rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        if engine is not None:
            self.con.unregister("_engine_rows")
        return columns, rows


def compare(
    expect: Sequence[Row], found: Sequence[Row], *, key: Sequence[str], tolerance: float, ordered: bool
) -> Iterator[str]:
    """A line for each row that is missing, surplus or differs, and one if the order is another; none if all is well.

    Only the columns of `expect` are looked at. Rows are equal where each value is: floats within the tolerance, NaN to NaN,
    NULL to NULL.
    """
    left = list(range(len(found)))
    places, missing = [], []
    for row in expect:
        place = next((one for one in left if _row_equal(row, found[one], tolerance)), None)
        if place is None:
            missing.append(row)
        else:
            left.remove(place)
            places.append(place)
    for row in missing:
        same = [one for one in left if key and all(_equal(row[name], found[one][name], tolerance) for name in key)]
        if same:
            left.remove(same[0])
            yield _differs(row, found[same[0]], key, tolerance)
        else:
            yield f"missing  {_words(row, row)}"
    names = list(expect[0]) if expect else None
    for one in left:
        yield f"surplus  {_words(found[one], names or found[one])}"
    if ordered and not missing and places != sorted(places):
        yield f"order    the rows come as {', '.join(_words(found[one], key or names or ()) for one in sorted(places))}"


def _differs(row: Row, found: Row, key: Sequence[str], tolerance: float) -> str:
    odd = [
        f"{name} is {_text(found[name])}, expected {_text(value)}"
        for name, value in row.items()
        if not _equal(value, found[name], tolerance)
    ]
    return f"differs  {_words(row, key)}: {'; '.join(odd)}"


def _row_equal(row: Row, found: Row, tolerance: float) -> bool:
    return all(_equal(value, found[name], tolerance) for name, value in row.items())


def _equal(expected: Any, found: Any, tolerance: float) -> bool:
    if expected is None or found is None:
        return expected is found
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, float) or isinstance(found, float | Decimal):
        wanted, real = float(expected), float(found)
        if math.isnan(wanted) or math.isnan(real):
            return math.isnan(wanted) and math.isnan(real)
        return wanted == real or abs(wanted - real) <= tolerance
    return bool(expected == found)


def _check_row(case: Case, table: str, row: Row, columns: Mapping[str, str]) -> None:
    """Raise the case's error for a column that is not there and for a value that its type would change."""
    for name, value in row.items():
        if name not in columns:
            raise case.wrong(f"{table} has no column {name!r}.", did_you_mean(str(name), columns))
        if not _fits(columns[name], value):
            raise case.wrong(
                f"{table}: {name} is {columns[name]}, and {value!r} is not.",
                "Ids are whole numbers, flags such as '000' texts in quotes, 1e-9 is written 1.0e-9.",
            )


def _fits(kind: str, value: Any) -> bool:
    if value is None:
        return True
    if kind in _INTEGERS:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "BOOLEAN":
        return isinstance(value, bool)
    if kind == "VARCHAR":
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return kind not in _REALS and not _DECIMAL.fullmatch(kind)
    found = _DECIMAL.fullmatch(kind)
    return found is None or round(value, int(found["scale"])) == value


def _as(kind: str, value: Any) -> Any:
    """A value as the column's type holds it: a FLOAT has 32 bits."""
    if kind in ("FLOAT", "REAL") and value is not None:
        return struct.unpack("f", struct.pack("f", value))[0]
    return value


def _types(columns: Sequence[Column]) -> dict[str, str]:
    return {column.name: column.type for column in columns}


def _literal(value: Any) -> str:
    """A parameter's value as SQL."""
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).upper() if isinstance(value, bool) else repr(value)


def _words(row: Row, names: Sequence[str] | Row) -> str:
    return ", ".join(f"{name} {_text(row[name])}" for name in names)


def _text(value: Any) -> str:
    return "NULL" if value is None else str(value)
