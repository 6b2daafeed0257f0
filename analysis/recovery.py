"""How much of a simulated sky's truth the build found: sample, sequences, flickerers by amplitude, planted bad rows.

The truth lies in a subdirectory `truth` of the simulated archive; nothing of it enters the build. What is expected is taken from
the truth and the raw tables alone, what was found from the models alone, so that neither can excuse the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from skysy.errors import NotFound, did_you_mean
from skysy.store import Warehouse, sql_text

# The last part of a raw table's name -> its key, the staging view that keeps one row of each key, the column of the
# release's master that leads to it
_KEYS = {
    "images": ("image_id", "stg_survey__images", ""),
    "master": ("object_id", "stg_survey__master", "object_id"),
    "twomass_psc": ("pts_key", "stg_twomass__psc", "twomass_key"),
    "allwise": ("cntr", "stg_allwise__source", "allwise_cntr"),
    "gaia_dr2": ("source_id", "stg_gaia__source", "gaia_dr2_id1"),
    "gaia_dr3": ("source_id", "stg_gaia__source", "gaia_dr3_id1"),
    "geometric_distance": ("source_id", "stg_distance__geometric", "gaia_dr2_id1"),
    "main": ("source_id", "stg_distance__geometric", "gaia_dr3_id1"),
}
# release -> schema of its master, photometry and images, and its spelling of used_in_clip
_SURVEYS = {"skymapper_dr2": ("dr2", "used_in_clip"), "skymapper_dr4": ("dr4", "use_in_clipped")}
_ONE_PER_IMAGE = "one_per_image"


@dataclass(frozen=True)
class SampleRecovery:
    """Objects expected in the sample, objects found in it, both; and single answers of cuts that differ from the truth."""

    expected: int
    found: int
    both: int
    cuts_differ: int

    @property
    def completeness(self) -> float:
        """Fraction of the expected objects that are in the sample; NaN where none is expected."""
        return self.both / self.expected if self.expected else math.nan

    @property
    def purity(self) -> float:
        """Fraction of the sample that was expected; NaN for an empty sample."""
        return self.both / self.found if self.found else math.nan


@dataclass(frozen=True)
class SequenceRecovery:
    """Colour sequences as they were taken, as found, and those of both with the very same u exposures."""

    expected: int
    found: int
    both: int


@dataclass(frozen=True)
class FlickerRecovery:
    """Flickerers of one injected amplitude (0 = none injected): how many could be and were found.

    `sampled` belong in the sample, `measured` of these have two good u detections in one sequence as it was taken, `detected`
    of these are in the sample and reach the limit of the build, `candidates` are candidates for whatever reason.
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
    """Planted rows of one kind, what should take them, how many it took, and how many something else took or nothing did."""

    kind: str
    taken_by: str
    planted: int
    taken: int
    elsewhere: int
    left: int

    @property
    def accounted(self) -> bool:
        """Whether what should take them took each of them, and nothing else any."""
        return self.taken == self.planted and not self.elsewhere and not self.left


@dataclass(frozen=True)
class Recovery:
    """The whole comparison with the truth."""

    sample: SampleRecovery
    sequences: SequenceRecovery
    flickerers: list[FlickerRecovery]
    bad_rows: list[BadRows]


def compare(warehouse: Warehouse, archive: Path, flow: Sequence[str], release: str = "skymapper_dr2") -> Recovery:
    """The build held against `archive`/truth; raises NotFound where there is no truth table, or none can be for the release.

    The truth is that of the sky. What a release cannot express shows as objects in the sample that were not expected.

    `flow` is the SQL of the models skysy.why.FLOW: it is run again over the planted detections alone, so that the cut
    that takes each of them is named by the same SQL that made the build. Parameters must be set on the connection.
    """
    if release not in _SURVEYS:
        raise NotFound(f"There is no truth of release {release}.", did_you_mean(release, _SURVEYS))
    schema, used = _SURVEYS[release]
    for name in ("objects", "bad_rows", "sequences"):
        path = archive / "truth" / f"{name}.parquet"
        if not path.is_file():
            raise NotFound(f"There is no truth table {path}.", "Name a directory that `skysy simulate` made.")
        warehouse.run(f"CREATE OR REPLACE TEMP VIEW truth_{name} AS FROM read_parquet({sql_text(path)})")
    return Recovery(
        _sample(warehouse),
        _sequences(warehouse, schema),
        _flickerers(warehouse, schema, used),
        _bad_rows(warehouse, schema, flow),
    )


def _sample(warehouse: Warehouse) -> SampleRecovery:
    row = warehouse.rows(
        """
        SELECT count(*) FILTER (WHERE t.expected_in_sample), count(s.object_id),
               count(s.object_id) FILTER (WHERE t.expected_in_sample)
        FROM truth_objects AS t FULL JOIN sample AS s ON t.object_id = s.object_id
        """
    )[0]
    # No object has an answer of a cut that the release cannot make.
    unavailable = warehouse.value("SELECT coalesce(getvariable('cuts_not_available'), [])")
    cuts = [name for name in warehouse.columns("main", "int_selection__cuts")[1:] if name not in unavailable]
    differ = " + ".join(
        f"CAST((c.{cut} IS TRUE) = list_contains(string_split(t.fails, ';'), '{cut}') AS INTEGER)" for cut in cuts
    )
    differing = warehouse.value(
        f"SELECT coalesce(sum(CASE WHEN c.object_id IS NULL OR t.object_id IS NULL THEN {len(cuts)} ELSE {differ} END), 0) "
        "FROM truth_objects AS t FULL JOIN int_selection__cuts AS c ON t.object_id = c.object_id"
    )
    return SampleRecovery(*(int(n) for n in (*row, differing)))


def _sequences(warehouse: Warehouse, schema: str) -> SequenceRecovery:
    row = warehouse.rows(
        f"""
        WITH found AS (
            SELECT string_agg(e.image_id, ';' ORDER BY e.image_id) AS u_image_ids
            FROM int_sequences__exposures AS e
            SEMI JOIN (SELECT * FROM {schema}.images WHERE filter = 'u') AS i ON e.image_id = i.image_id
            GROUP BY e.sequence_id
        )
        SELECT count(t.u_image_ids), count(f.u_image_ids), count(*) FILTER (WHERE t.u_image_ids = f.u_image_ids)
        FROM truth_sequences AS t FULL JOIN found AS f ON t.u_image_ids = f.u_image_ids
        """
    )[0]
    return SequenceRecovery(*(int(n) for n in row))


def _flickerers(warehouse: Warehouse, schema: str, used: str) -> list[FlickerRecovery]:
    found = warehouse.rows(
        f"""
        WITH u_exposures AS (
            SELECT first_image_id, CAST(unnest(string_split(u_image_ids, ';')) AS BIGINT) AS image_id FROM truth_sequences
        ),
        good AS (
            SELECT p.object_id, e.first_image_id, count(DISTINCT p.image_id) AS n_u
            FROM {schema}.photometry AS p
            JOIN u_exposures AS e ON p.image_id = e.image_id
            ANTI JOIN (
                SELECT * FROM truth_bad_rows
                WHERE taken_by LIKE 'measurements.%' AND taken_by <> 'measurements.one_per_image'
            ) AS b ON p.object_id = b.object_id AND p.image_id = b.image_id
            WHERE p.{used} IS NOT NULL
            GROUP BY p.object_id, e.first_image_id
        ),
        measured AS (
            SELECT DISTINCT object_id FROM good WHERE n_u >= getvariable('rapid_min_exposures')
        )
        SELECT
            round(coalesce(t.flicker_amplitude_mag, 0), 3) AS amplitude_mag, count(*), count(m.object_id),
            count(m.object_id) FILTER (
                WHERE s.object_id IS NOT NULL AND r.rapid_u_sigma >= getvariable('rapid_u_sigma_min')),
            count(c.object_id)
        FROM truth_objects AS t
        LEFT JOIN measured AS m ON t.object_id = m.object_id
        LEFT JOIN sample AS s ON t.object_id = s.object_id
        LEFT JOIN rapid_variability AS r ON t.object_id = r.object_id
        LEFT JOIN candidates AS c ON t.object_id = c.object_id
        WHERE t.expected_in_sample
        GROUP BY amplitude_mag ORDER BY amplitude_mag
        """
    )
    return [FlickerRecovery(float(row[0]), *(int(n) for n in row[1:])) for row in found]


def _bad_rows(warehouse: Warehouse, schema: str, flow: Sequence[str]) -> list[BadRows]:
    warehouse.run(
        """
        CREATE OR REPLACE TEMP TABLE planted_detections AS
        SELECT b.kind, p.*
        FROM main.stg_survey__photometry AS p
        JOIN (
            SELECT DISTINCT kind, object_id, image_id FROM truth_bad_rows WHERE taken_by LIKE 'measurements.%'
        ) AS b ON p.image_id = b.image_id AND p.object_id IS NOT DISTINCT FROM b.object_id
        """.replace("main.", f"{warehouse.value('SELECT current_database()')}.main.")
    )
    kinds = warehouse.rows(
        "SELECT kind, taken_by, sum(count) FROM truth_bad_rows GROUP BY kind, taken_by ORDER BY taken_by, kind"
    )
    return [BadRows(kind, by, int(n), *_fate(warehouse, schema, kind, by, int(n), flow)) for kind, by, n in kinds]


def _fate(
    warehouse: Warehouse, schema: str, kind: str, taken_by: str, planted: int, flow: Sequence[str]
) -> tuple[int, int, int]:
    """Of the rows of a kind: those taken by what should take them, those taken by something else, those not taken."""
    what, _, name = taken_by.replace(":", ".").partition(".")
    if what == "measurements":
        return _fate_in_measurements(warehouse, kind, name, planted, flow)
    if what == "cut":
        return _fate_in_cuts(warehouse, kind, name)
    if what == "staging":
        return _fate_in_staging(warehouse, schema, kind)
    stand = _left_alone(warehouse, kind)
    return stand, planted - stand, 0


def _fate_in_cuts(warehouse: Warehouse, kind: str, cut: str) -> tuple[int, int, int]:
    """Objects that the named cut took, that only others took, and that are in the sample all the same."""
    row = warehouse.rows(
        f"""
        SELECT count(*) FILTER (WHERE c.object_id IS NOT NULL AND c.{cut} IS NOT TRUE AND s.object_id IS NULL),
               count(*) FILTER (WHERE (c.object_id IS NULL OR c.{cut}) AND s.object_id IS NULL), count(s.object_id)
        FROM truth_bad_rows AS t
        LEFT JOIN int_selection__cuts AS c ON t.object_id = c.object_id
        LEFT JOIN sample AS s ON t.object_id = s.object_id
        WHERE t.kind = ?
        """,
        [kind],
    )[0]
    return int(row[0]), int(row[1]), int(row[2])


def _fate_in_measurements(
    warehouse: Warehouse, kind: str, cut: str, planted: int, flow: Sequence[str]
) -> tuple[int, int, int]:
    """Detections that the named quality cut took, by measurement_flow over them alone; and what measurements holds of them."""
    patterns_sql, flow_sql = flow
    with _only(warehouse, kind, patterns_sql):
        took = {row[0]: int(row[1]) for row in warehouse.rows(f"SELECT cut, n_fail + n_null FROM ({flow_sql})")}
        seen = int(warehouse.value("SELECT count(*) FROM temp.main.stg_survey__photometry"))
        kept = int(warehouse.value("SELECT count(*) FROM temp.main.measurements"))
    taken = took.pop(cut, 0)
    others = sum(n for n in took.values() if n > 0)  # one_per_image counts a row that slipped past an earlier cut as -1
    if cut != _ONE_PER_IMAGE:
        # A row that did not come, or came more than once, was not taken as it should be.
        return taken, others + abs(planted - seen), kept
    # Of a detection and its planted copies one stands, and it is not the copy, where that was made a magnitude fainter.
    spoiled = int(
        warehouse.value(
            """
            WITH settled AS (
                SELECT p.object_id, p.image_id, min(p.mag_psf) AS brightest, max(m.mag_psf) AS kept,
                       count(m.image_id) AS n_kept, count(*) AS n_came
                FROM planted_detections AS p
                LEFT JOIN measurements AS m ON p.object_id = m.object_id AND p.image_id = m.image_id
                WHERE p.kind = ?
                GROUP BY p.object_id, p.image_id
            )
            SELECT count(*) FROM settled WHERE n_kept <> n_came OR kept > brightest + 0.5
            """,
            [kind],
        )
    )
    return taken, others, spoiled


@contextmanager
def _only(warehouse: Warehouse, kind: str, patterns_sql: str) -> Iterator[None]:
    """Inside, stg_survey__photometry, measurements and int_detections__patterns hold the planted detections of one kind alone."""
    database = warehouse.value("SELECT current_database()")
    views = {
        "stg_survey__photometry": f"SELECT * EXCLUDE (kind) FROM planted_detections WHERE kind = '{kind}'",
        "measurements": f"SELECT m.* FROM {database}.main.measurements AS m SEMI JOIN "
        f"(FROM planted_detections WHERE kind = '{kind}') AS p ON m.object_id = p.object_id AND m.image_id = p.image_id",
        "int_detections__patterns": patterns_sql,
    }
    for name, query in views.items():
        warehouse.run(f"CREATE TEMP VIEW {name} AS {query}")
    try:
        yield
    finally:
        for name in views:
            warehouse.run(f"DROP VIEW temp.main.{name}")


def _fate_in_staging(warehouse: Warehouse, schema: str, kind: str) -> tuple[int, int, int]:
    """Second rows of a key that staging does not have, keys that it lost, and second rows that it has."""
    table = str(warehouse.value("SELECT min(table_name) FROM truth_bad_rows WHERE kind = ?", [kind]))
    key, staging, link = _KEYS[table.split(".")[1]]
    keys = "SELECT image_id AS key FROM truth_bad_rows WHERE kind = ?"
    if link:
        keys = (
            f"SELECT DISTINCT m.{link} AS key FROM {schema}.master AS m "
            "SEMI JOIN (SELECT * FROM truth_bad_rows WHERE kind = ?) AS t ON m.object_id = t.object_id"
        )
    # Staging calls the key of Gaia, 2MASS and the others as the archive does.
    row = warehouse.rows(
        f"""
        WITH keys AS ({keys}),
        came AS (SELECT {key} AS key, count(*) AS n FROM {table} GROUP BY {key}),
        kept AS (SELECT {key} AS key, count(*) AS n FROM {staging} GROUP BY {key})
        SELECT coalesce(sum(came.n - kept.n), 0), count(*) - count(kept.n), coalesce(sum(kept.n - 1), 0)
        FROM keys LEFT JOIN came ON keys.key = came.key LEFT JOIN kept ON keys.key = kept.key
        """,
        [kind],
    )[0]
    return int(row[0]), int(row[1]), int(row[2])


def _left_alone(warehouse: Warehouse, kind: str) -> int:
    """Planted traps that must not be taken and were not: objects that stand in the sample, or measurements that stand."""
    if warehouse.value("SELECT count(image_id) FROM truth_bad_rows WHERE kind = ?", [kind]):
        stand = "measurements AS m ON t.object_id = m.object_id AND t.image_id = m.image_id"
    else:
        stand = "sample AS s ON t.object_id = s.object_id"
    return int(warehouse.value(f"SELECT count(*) FROM truth_bad_rows AS t SEMI JOIN {stand} WHERE t.kind = ?", [kind]))
