"""Two builds compared: what differs in their making, which objects entered or left the candidates and why, which values changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skysy.builds import Build, Builds, InputChange, ParameterChange, SqlChange, open_builds
from skysy.config import Settings
from skysy.identity import SameIds, count_same
from skysy.moves import Move, find_moves

TOLERANCE = 1e-9
"""Numbers that differ by no more than this are the same, as mag, sigma, pc or ln of a density."""

COMPARED = ("sample", "colours", "density_score", "rapid_variability", "candidates")
"""Tables whose values are compared, object by object."""

_MEASURED = ("DOUBLE", "FLOAT", "DECIMAL", "INTEGER", "SMALLINT", "TINYINT")


@dataclass(frozen=True)
class ColumnChange:
    """A column in which objects of both builds differ.

    Of `objects` in both, `changed` differ; `nulls` of these have a value in one build only. `largest` is the greatest
    difference of numbers, with the lowest object_id that has it and its values; None where a difference says nothing.
    """

    table: str
    column: str
    objects: int
    changed: int
    nulls: int
    largest: float | None
    object_id: int | None
    a: Any
    b: Any


@dataclass(frozen=True)
class Difference:
    """All in which two builds differ."""

    a: Build
    b: Build
    parameters: list[ParameterChange]
    sql: list[SqlChange]
    inputs: list[InputChange]
    same_ids: SameIds
    moves: list[Move]
    columns: list[ColumnChange]

    @property
    def entered(self) -> list[Move]:
        """Candidates of B that are none in A."""
        return [move for move in self.moves if move.change == "entered"]

    @property
    def left(self) -> list[Move]:
        """Candidates of A that are none in B."""
        return [move for move in self.moves if move.change == "left"]

    @property
    def empty(self) -> bool:
        """Whether nothing differs at all."""
        return not (self.parameters or self.sql or self.inputs or self.moves or self.columns)


def compare(a: Settings, b: Settings) -> Difference:
    """The difference of two built warehouses, which are only read; raises as `open_builds`."""
    with open_builds(a, b) as builds:
        moves = find_moves(builds)
        columns = [change for table in COMPARED for change in _changed_columns(builds, table)]
        return Difference(
            *builds.sides, builds.parameters, builds.sql, builds.inputs, count_same(builds), moves, columns
        )


def _changed_columns(builds: Builds, table: str) -> list[ColumnChange]:
    """The columns of a table in which objects that both builds have there differ."""
    there = [builds.columns(side, table) for side in ("a", "b")]
    types = {name: kind for name, kind in there[0].items() if name in there[1] and name != "object_id"}
    if not types:
        return []
    measured = {name: _is_measured(kind) and _is_measured(there[1][name]) for name, kind in types.items()}
    counts = ", ".join(_counts(name, measured[name]) for name in types)
    [(objects, *found)] = builds.house.rows(
        f"SELECT count(*), {counts} FROM a.main.{table} AS x JOIN b.main.{table} AS y USING (object_id)"
    )
    return [
        ColumnChange(table, name, objects, one["changed"], one["nulls"], *_worst(one["worst"]))
        for name, one in zip(types, found, strict=True)
        if one["changed"]
    ]


def _is_measured(kind: str) -> bool:
    return kind.split("(")[0] in _MEASURED


def _counts(name: str, measured: bool) -> str:
    """A struct of how many differ in a column, and the worst of them; of equal ones that of the lowest object_id."""
    x, y = f'x."{name}"', f'y."{name}"'
    apart, worst = f"{x} IS DISTINCT FROM {y}", "NULL"
    if measured:
        difference = f"abs(CAST({x} AS DOUBLE) - CAST({y} AS DOUBLE))"
        # Infinity less infinity is no number, and greater than any limit to DuckDB; equal values never differ.
        apart = f"({apart} AND coalesce({difference} > {TOLERANCE!r}, TRUE))"
        worst = (
            f"max(struct_pack(largest := {difference}, minus_id := -object_id, a := {x}, b := {y})) "
            f"FILTER ({apart} AND {difference} IS NOT NULL)"
        )
    nulls = f"({x} IS NULL) <> ({y} IS NULL)"
    return f"struct_pack(changed := count(*) FILTER ({apart}), nulls := count(*) FILTER ({nulls}), worst := {worst})"


def _worst(found: Mapping[str, Any] | None) -> tuple[float | None, int | None, Any, Any]:
    if found is None:
        return None, None, None, None
    return found["largest"], -found["minus_id"], found["a"], found["b"]
