"""Two built warehouses opened beside each other, and in what they differ as a whole: parameters, SQL, what was loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import duckdb

from skysy import ledger
from skysy.config import Settings
from skysy.errors import ModelError, SkysyError, UsageError, WarehouseDamaged, WarehouseMissing
from skysy.models.plan import built_release
from skysy.store import Warehouse, explain, is_damage, is_full, open_nowhere, open_warehouse, sql_text

SIDES = ("a", "b")

NOT_AVAILABLE = "cuts_not_available"
"""The parameter that names the cuts which a release cannot make."""

_NEEDED = {
    "int_selection__matched": ("object_id", "raj2000", "dej2000"),
    "int_selection__cuts": ("object_id",),
    "sample": ("object_id",),
    "measurements": ("object_id", "image_id", "filter", "mag_psf", "e_mag_psf", "night_mjd", "date", "sequence_id"),
    "colours": ("object_id", "ug_mag", "uv_mag"),
    "density_score": ("object_id", "ln_density"),
    "rapid_variability": ("object_id", "rapid_u_sigma"),
    "candidates": ("object_id", "criteria"),
}
"""The tables and columns that the SQL of sql/diff reads."""


@dataclass(frozen=True)
class Build:
    """One of the two: its directory, release, time of the last build [UTC] and versions, candidates and sample objects."""

    directory: str
    release: str
    built_at: str
    skysy_version: str
    engine_version: str
    candidates: int
    sample: int


@dataclass(frozen=True)
class Model:
    """A model as a build has it: hashes of its SQL and engine, the parameters and models that it read."""

    sql: str
    engine: str
    parameters: tuple[str, ...]
    models: tuple[str, ...]
    archive: tuple[str, ...]


@dataclass(frozen=True)
class ParameterChange:
    """A parameter whose value is not the same; None where a build has no such parameter."""

    name: str
    a: str | None
    b: str | None
    unit: str | None


@dataclass(frozen=True)
class SqlChange:
    """A model whose SQL (`what` = sql) or engine (`what` = engine) is not the same; hashes, None where a build lacks it."""

    model: str
    what: str
    a: str | None
    b: str | None


@dataclass(frozen=True)
class InputChange:
    """An archive table whose loaded rows are not the same: their number, and the hash of their content."""

    table: str
    rows_a: int
    rows_b: int
    content_a: str
    content_b: str


@dataclass(frozen=True)
class Behind:
    """Something that differs among what a table is made from: `kind` is parameter, sql or input."""

    kind: str
    name: str
    a: str | None
    b: str | None


@dataclass
class Builds:
    """Both builds, attached read-only as a and b; `house` is the connection that sees them."""

    house: Warehouse
    directories: tuple[Path, Path]

    @cached_property
    def sides(self) -> tuple[Build, Build]:
        """What each is."""
        return self._side("a", self.directories[0]), self._side("b", self.directories[1])

    @property
    def release(self) -> str:
        """The release of A; a cut is looked up in its SQL."""
        return self.sides[0].release

    @cached_property
    def models(self) -> tuple[dict[str, Model], dict[str, Model]]:
        """The models of each by name."""
        found: list[dict[str, Model]] = []
        for side in SIDES:
            of_side = {}
            for name, sql, parameters, text in self.house.rows(
                f"SELECT model, sql_sha256, parameters, inputs FROM {side}.meta.model"
            ):
                inputs = json.loads(text or "{}")
                of_side[str(name)] = Model(
                    str(sql), inputs.get("engine", ""), tuple(json.loads(parameters or "{}")),
                    tuple(inputs.get("models", {})), tuple(inputs.get("archive", {})),
                )  # fmt: skip
            found.append(of_side)
        return found[0], found[1]

    @cached_property
    def parameters(self) -> list[ParameterChange]:
        """Parameters whose values differ, by name; 14 and 14.0 are one value."""
        rows = self.house.rows(
            "SELECT name, x.value, y.value, coalesce(y.unit, x.unit) "
            "FROM a.meta.parameter AS x FULL JOIN b.meta.parameter AS y USING (name) "
            "WHERE x.value IS DISTINCT FROM y.value ORDER BY name"
        )
        return [ParameterChange(*row) for row in rows if not self._same(row[1], row[2])]

    @cached_property
    def changed_parameters(self) -> frozenset[str]:
        """Their names."""
        return frozenset(one.name for one in self.parameters)

    @cached_property
    def sql(self) -> list[SqlChange]:
        """Models whose SQL or engine differs, by name."""
        a, b = self.models
        changes = []
        for name in sorted(a.keys() | b.keys()):
            x, y = a.get(name), b.get(name)
            if x is None or y is None or x.sql != y.sql:
                changes.append(SqlChange(name, "sql", x.sql if x else None, y.sql if y else None))
            elif x.engine != y.engine:
                changes.append(SqlChange(name, "engine", x.engine, y.engine))
        return changes

    @cached_property
    def inputs(self) -> list[InputChange]:
        """Archive tables whose loaded rows differ, by name; in how many files they came does not matter."""
        loaded = [self._loaded(side) for side in SIDES]
        changes = []
        for table in sorted(loaded[0].keys() | loaded[1].keys()):
            (rows_a, content_a), (rows_b, content_b) = (one.get(table, (0, "")) for one in loaded)
            if (rows_a, content_a) != (rows_b, content_b):
                changes.append(InputChange(table, rows_a, rows_b, content_a, content_b))
        return changes

    def parameter(self, name: str) -> tuple[str | None, str | None]:
        """The values of a parameter in A and B, as SQL literals."""
        return self._values[0].get(name), self._values[1].get(name)

    @cached_property
    def not_available(self) -> tuple[frozenset[str], frozenset[str]]:
        """Cuts that the release of A and that of B cannot make; a build of an earlier skysy makes them all."""
        lists = [self.house.value(f"SELECT {value or '[]'}") for value in self.parameter(NOT_AVAILABLE)]
        return frozenset(lists[0]), frozenset(lists[1])

    @cached_property
    def asked(self) -> tuple[bool, bool]:
        """Whether the objects of A and of B were asked of an archive, which has made cuts on them, or came from files."""
        found = [
            self.house.value(f"SELECT count(*) > 0 FROM {side}.meta.chunk WHERE route = 'sample' AND state = 'loaded'")
            for side in SIDES
        ]
        return bool(found[0]), bool(found[1])

    def unit(self, parameter: str) -> str:
        """The unit of a parameter, or ''."""
        return self._parameter_units.get(parameter) or ""

    def same_sql(self, model: str) -> bool:
        """Whether both builds have the model, made by the same SQL."""
        return not any(one.model == model for one in self.sql)

    def columns(self, side: str, table: str) -> dict[str, str]:
        """Type by name of a derived table's columns in their order; empty where there is no such table."""
        found = self.house.rows(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = ? AND schema_name = 'main' "
            "AND table_name = ? ORDER BY column_index",
            [side, table],
        )
        return dict(found)

    def set_parameters(self, side: int) -> None:
        """Set the parameters of A (0) or B (1) on the connection."""
        for name, value in self._values[side].items():
            self.house.run(f"SET VARIABLE {name} = {value}")

    def behind(self, model: str) -> tuple[Behind, ...]:
        """What differs of a model and of all that it is made from: parameters, then SQL, then loaded tables."""
        names, parameters, tables = {model}, set[str](), set[str]()
        for models in self.models:
            waiting, seen = [model], {model}
            while waiting:
                one = models.get(waiting.pop())
                if one is None:
                    continue
                parameters |= set(one.parameters)
                tables |= set(one.archive)
                waiting += [name for name in one.models if name not in seen]
                seen |= set(one.models)
            names |= seen
        return (
            *(Behind("parameter", p.name, p.a, p.b) for p in self.parameters if p.name in parameters),
            *(Behind("sql", s.model, s.a, s.b) for s in self.sql if s.model in names),
            *(Behind("input", i.table, i.content_a, i.content_b) for i in self.inputs if i.table in tables),
        )

    @cached_property
    def _values(self) -> tuple[dict[str, str], dict[str, str]]:
        found = [dict(self.house.rows(f"SELECT name, value FROM {side}.meta.parameter")) for side in SIDES]
        return found[0], found[1]

    @cached_property
    def _parameter_units(self) -> Mapping[str, str | None]:
        return dict(
            self.house.rows("SELECT name, unit FROM a.meta.parameter UNION SELECT name, unit FROM b.meta.parameter")
        )

    def _side(self, side: str, directory: Path) -> Build:
        [row] = self.house.rows(
            f"SELECT max(release), max(built_at), max_by(versions ->> 'skysy', built_at), max_by(versions ->> 'duckdb', built_at) "
            f"FROM {side}.meta.model"
        )
        counts = [self.house.value(f"SELECT count(*) FROM {side}.main.{table}") for table in ("candidates", "sample")]
        return Build(str(directory), row[0], f"{row[1]:%Y-%m-%d %H:%M:%S}", row[2], row[3], *counts)

    def _loaded(self, side: str) -> dict[str, tuple[int, str]]:
        """(rows, hash of their content) of each table."""
        found = ledger.loaded_hashes(self.house.con, f"{side}.meta")
        return {table: (ledger.rows_of(content), content) for table, content in found.items()}

    def _same(self, a: str | None, b: str | None) -> bool:
        if a is None or b is None:
            return False
        try:
            return bool(self.house.value(f"SELECT ({a}) IS NOT DISTINCT FROM ({b})"))
        except duckdb.Error:  # a text and a number
            return False


@contextmanager
def open_builds(a: Settings, b: Settings) -> Iterator[Builds]:
    """Both warehouses, opened read-only beside each other in the bounds of `a`.

    Raises UsageError where they are one, WarehouseError as `open_warehouse` does, ModelError for one that is not built.
    """
    for one in (a, b):
        _check(one)
    if a.database.samefile(b.database):
        raise UsageError(
            f"{a.warehouse} and {b.warehouse} are the same warehouse.",
            "Copy the directory before you build it with other parameters, then compare the two.",
        )
    with open_nowhere(a) as house:
        for name, one in zip(SIDES, (a, b), strict=True):
            try:
                house.run(f"ATTACH {sql_text(one.database)} AS {name} (READ_ONLY)")
            except duckdb.Error as error:
                raise explain(error, one) from error
        try:
            yield Builds(house, (a.warehouse, b.warehouse))
        except duckdb.OutOfMemoryException as error:
            raise SkysyError(
                f"The comparison needs more memory than {a.memory_limit}.", "Raise it, as with --memory-limit 8GB."
            ) from error
        except duckdb.Error as error:
            if is_full(error) or not is_damage(error):
                raise
            raise _damaged(error, a, b) from error


def _check(one: Settings) -> None:
    """A warehouse that is there, whole as far as a first look goes, and built with the tables that are compared."""
    if not one.database.is_file():
        exported = any(one.warehouse.glob("*.parquet"))
        raise WarehouseMissing(
            f"There is no warehouse in {one.warehouse}.",
            "Exported tables do not tell the cuts; name the warehouse that they came from."
            if exported
            else "Name two directories that hold a built skysy.duckdb each.",
        )
    with open_warehouse(one) as house:
        try:
            built_release(house)
        except ModelError as error:
            raise ModelError(
                f"Nothing is built in the warehouse {one.warehouse}.",
                f"Run `skysy build --warehouse {one.warehouse}`.",
            ) from error
        standing = house.all_columns()
        for table, columns in _NEEDED.items():
            if missing := set(columns) - set(standing.get(f"main.{table}", ())):
                raise ModelError(
                    f"The build in {one.warehouse} has no {table}.{min(missing)}: its SQL is not that of a search for candidates.",
                    "Build it with the SQL of skysy, or compare two others.",
                )


def _damaged(error: duckdb.Error, a: Settings, b: Settings) -> WarehouseDamaged:
    """The damage in words; DuckDB does not always say in which file it found it."""
    text = str(error)
    named = [str(one.database) for one in (a, b) if str(one.database) in text]
    where = named[0] if len(named) == 1 else f"{a.database} or {b.database}"
    return WarehouseDamaged(
        f"The warehouse {where} is damaged: {text.splitlines()[0]}",
        "`skysy status --checksums` of each tells which. Your archive files are untouched: load them again into a new one.",
    )
