"""How much of a simulated sky's truth the build found: sample, flickerers by amplitude, planted bad rows.

The truth table lies in a subdirectory `truth` of the simulated archive; nothing of it enters the build.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skysy.errors import NotFound
from skysy.store import Warehouse


@dataclass(frozen=True)
class SampleRecovery:
    """Objects expected in the sample, objects found in it, and both."""

    expected: int
    found: int
    both: int

    @property
    def completeness(self) -> float:
        """Fraction of the expected objects that are in the sample; NaN where none is expected."""
        return self.both / self.expected if self.expected else math.nan

    @property
    def purity(self) -> float:
        """Fraction of the sample that was expected; NaN for an empty sample."""
        return self.both / self.found if self.found else math.nan


@dataclass(frozen=True)
class FlickerRecovery:
    """Flickerers of one injected amplitude (0 = none injected): how many could be and were found.

    `sampled` are in the sample, `measured` have a rapid delta-u sigma, `detected` reach the limit of the build,
    `candidates` are candidates for whatever reason.
    """

    amplitude_mag: float
    sampled: int
    measured: int
    detected: int
    candidates: int

    @property
    def recall(self) -> float:
        """detected / measured; NaN where none was measured."""
        return self.detected / self.measured if self.measured else math.nan


@dataclass(frozen=True)
class BadRows:
    """Planted rows of one kind, what should take them, and how many it took."""

    kind: str
    taken_by: str
    planted: int
    taken: int

    @property
    def accounted(self) -> bool:
        """Whether every planted row was taken by what should take it."""
        return self.planted == self.taken


@dataclass(frozen=True)
class Recovery:
    """The whole comparison with the truth."""

    sample: SampleRecovery
    flickerers: list[FlickerRecovery]
    bad_rows: list[BadRows]


def compare(warehouse: Warehouse, archive: Path, measurement_flow_sql: str) -> Recovery:
    """The build held against `archive`/truth; raises NotFound where there is no truth table.

    `measurement_flow_sql` is the text of that model: it is run again over the planted detections alone, so that the cut
    that takes each of them is named by the same SQL that made the build. Parameters must be set on the connection.
    """
    objects, bad_rows = archive / "truth" / "objects.parquet", archive / "truth" / "bad_rows.parquet"
    for path in (objects, bad_rows):
        if not path.is_file():
            raise NotFound(f"There is no truth table {path}.", "Name a directory that `skysy simulate` made.")
    warehouse.run(f"CREATE OR REPLACE TEMP VIEW truth_objects AS FROM read_parquet('{_quoted(objects)}')")
    warehouse.run(f"CREATE OR REPLACE TEMP VIEW truth_bad_rows AS FROM read_parquet('{_quoted(bad_rows)}')")
    return Recovery(_sample(warehouse), _flickerers(warehouse), _bad_rows(warehouse, measurement_flow_sql))


def _sample(warehouse: Warehouse) -> SampleRecovery:
    row = warehouse.rows(
        """
        SELECT count(*) FILTER (WHERE t.expected_in_sample), count(s.object_id),
               count(s.object_id) FILTER (WHERE t.expected_in_sample)
        FROM truth_objects AS t FULL JOIN sample AS s ON t.object_id = s.object_id
        """
    )[0]
    return SampleRecovery(*(int(n) for n in row))


def _flickerers(warehouse: Warehouse) -> list[FlickerRecovery]:
    found = warehouse.rows(
        """
        SELECT round(coalesce(t.flicker_amplitude_mag, 0), 3) AS amplitude_mag, count(*), count(r.object_id),
               count(*) FILTER (WHERE r.rapid_u_sigma >= getvariable('rapid_u_sigma_min')), count(c.object_id)
        FROM truth_objects AS t
        JOIN sample AS s ON t.object_id = s.object_id
        LEFT JOIN rapid_variability AS r ON t.object_id = r.object_id
        LEFT JOIN candidates AS c ON t.object_id = c.object_id
        GROUP BY amplitude_mag ORDER BY amplitude_mag
        """
    )
    return [FlickerRecovery(float(row[0]), *(int(n) for n in row[1:])) for row in found]


def _bad_rows(warehouse: Warehouse, measurement_flow_sql: str) -> list[BadRows]:
    kinds = warehouse.rows(
        "SELECT kind, taken_by, sum(count) FROM truth_bad_rows GROUP BY kind, taken_by ORDER BY taken_by, kind"
    )
    return [BadRows(kind, by, int(n), _taken(warehouse, kind, by, measurement_flow_sql)) for kind, by, n in kinds]


def _taken(warehouse: Warehouse, kind: str, taken_by: str, measurement_flow_sql: str) -> int:
    what, _, name = taken_by.replace(":", ".").partition(".")
    if what == "measurements":
        return _taken_by_measurements(warehouse, kind, name, measurement_flow_sql)
    if what == "cut":
        return _count(
            warehouse,
            f"SELECT count(*) FROM int_selection__cuts WHERE {name} IS NOT TRUE AND object_id IN "
            "(SELECT object_id FROM truth_bad_rows WHERE kind = ?)",
            kind,
        )
    if what == "staging":
        return _taken_by_staging(warehouse, kind)
    return _left_alone(warehouse, kind)


def _taken_by_measurements(warehouse: Warehouse, kind: str, cut: str, measurement_flow_sql: str) -> int:
    """Planted detections of a kind that the named quality cut took, by measurement_flow over them alone."""
    database = warehouse.value("SELECT current_database()")
    planted = f"SELECT object_id, image_id FROM truth_bad_rows WHERE kind = '{kind}'"
    for table in ("stg_survey__photometry", "measurements"):
        warehouse.run(
            f"CREATE TEMP VIEW {table} AS SELECT t.* FROM {database}.main.{table} AS t SEMI JOIN ({planted}) AS p "
            "ON t.image_id = p.image_id AND t.object_id IS NOT DISTINCT FROM p.object_id"
        )
    try:
        return _count(
            warehouse,
            f"SELECT coalesce(sum(n_fail + n_null), 0) FROM ({measurement_flow_sql}) WHERE cut = ?",
            cut,
        )
    finally:
        for table in ("stg_survey__photometry", "measurements"):
            warehouse.run(f"DROP VIEW temp.main.{table}")


def _taken_by_staging(warehouse: Warehouse, kind: str) -> int:
    """Copies of raw rows of a kind beyond the first of each key: staging keeps one."""
    table = warehouse.value("SELECT min(table_name) FROM truth_bad_rows WHERE kind = ?", [kind])
    key, column = {
        "dr2.images": ("image_id", "image_id"),
        "ext.twomass_psc": ("pts_key", "twomass_key"),
        "ext.allwise": ("cntr", "allwise_cntr"),
        "ext.gaia_dr2": ("source_id", "gaia_id1"),
        "gaiadr2_complements.geometric_distance": ("source_id", "gaia_id1"),
    }.get(str(table), ("object_id", "object_id"))
    if column == "image_id":
        keys = "SELECT image_id FROM truth_bad_rows WHERE kind = ?"
    else:
        keys = f"SELECT {column} FROM int_selection__matched WHERE object_id IN (SELECT object_id FROM truth_bad_rows WHERE kind = ?)"
    return _count(warehouse, f"SELECT count(*) - count(DISTINCT {key}) FROM {table} WHERE {key} IN ({keys})", kind)


def _left_alone(warehouse: Warehouse, kind: str) -> int:
    """Planted traps that must not be taken: objects that stand in the sample, or measurements that stand."""
    per_image = warehouse.value("SELECT count(image_id) FROM truth_bad_rows WHERE kind = ?", [kind])
    if per_image:
        return _count(
            warehouse,
            "SELECT count(*) FROM truth_bad_rows AS t SEMI JOIN measurements AS m "
            "ON t.object_id = m.object_id AND t.image_id = m.image_id WHERE t.kind = ?",
            kind,
        )
    return _count(
        warehouse,
        "SELECT count(*) FROM truth_bad_rows AS t SEMI JOIN sample AS s ON t.object_id = s.object_id WHERE t.kind = ?",
        kind,
    )


def _count(warehouse: Warehouse, query: str, value: Any) -> int:
    return int(warehouse.value(query, [value]))


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
