"""Injection and recovery: flickering put into the measurements of quiet stars, and found again by the same SQL.

The answers are those of the models themselves: measurements with changed magnitudes stand, for a while and for this
connection only, in the place of the real ones, and rapid_variability and effective_sigma are run on them unedited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from skysy.analysis.flicker import damped_walk

from skysy.errors import ModelError, UsageError
from skysy.store import Warehouse

AMPLITUDES_MAG = (0.02, 0.05, 0.1, 0.2, 0.4)
TWINS = 20
"""Quiet stars that are made to flicker for each star of a population."""

MODELS = ("rapid_variability", "int_rapid__sequences", "effective_sigma")
"""The models that are run on the changed measurements."""

_MINUTE_D = 1 / 1440
_STARS = """
    SELECT e.object_id, e.u_mag, r.n_sequences, e.is_outlier OR k.object_id IS NOT NULL AS is_special
    FROM effective_sigma AS e
    JOIN rapid_variability AS r ON e.object_id = r.object_id
    LEFT JOIN stg_known__objects AS k ON e.object_id = k.object_id
    ORDER BY e.object_id
"""

Row = Mapping[str, Any]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Injection:
    """What was found of what was put in.

    `efficiency` has the rows of sql/inject/efficiency.sql, `fraction` those of sql/inject/fraction.sql; amplitudes are rms in u,
    magnitudes. `stars` quiet stars were made to flicker with each amplitude.
    """

    stars: int
    timescale_min: float
    efficiency: list[Row]
    population: str
    fraction: list[Row]


def inject(
    warehouse: Warehouse,
    models: Mapping[str, str],
    *,
    amplitudes_mag: Sequence[float] = AMPLITUDES_MAG,
    timescale_min: float = 10.0,
    stars: int = 20_000,
    seed: int = 1,
) -> Injection:
    """Make quiet stars of the sample flicker, find them again, and say what share of the known objects flickers.

    `models` holds the SQL of MODELS by name; parameters must be set on the
    connection. Flickering is a damped random walk of the given rms [mag] and time scale [min] in the filter that is compared.
    The same seed gives the same answer. Raises UsageError for amplitudes, time scales or numbers that are none, ModelError where
    the sample has no quiet star with a colour sequence.
    """
    if not amplitudes_mag or min(amplitudes_mag) <= 0 or timescale_min <= 0 or stars < 1:
        raise UsageError(
            "Amplitudes, time scale and number of stars must be above zero.",
            "Example: --amplitude 0.1 --timescale-min 10 --stars 20000.",
        )
    quiet = warehouse.con.sql(f"SELECT * EXCLUDE (is_special) FROM ({_STARS}) WHERE NOT is_special").fetchnumpy()
    if not len(quiet["object_id"]):
        raise ModelError(
            "No quiet star of the sample has a colour sequence, so nothing can be made to flicker.",
            "Nothing was written. Load photometry with Main Survey sequences, then `skysy build`.",
        )
    chance = np.random.default_rng(seed)
    ids = np.asarray(quiet["object_id"], dtype=np.int64)
    chosen = np.sort(chance.choice(ids, min(stars, len(ids)), replace=False))
    _flicker(warehouse, models, chosen, amplitudes_mag, timescale_min, chance)
    efficiency = _rows(warehouse, _sql("efficiency"))
    fraction = _fraction(warehouse, models, quiet, amplitudes_mag, timescale_min, chance)
    return Injection(len(chosen), timescale_min, efficiency, "known objects", fraction)


def _flicker(
    warehouse: Warehouse,
    models: Mapping[str, str],
    objects: Integers,
    amplitudes_mag: Sequence[float],
    timescale_min: float,
    chance: np.random.Generator,
) -> None:
    """The temporary table `injected`: each object made to flicker with each amplitude, as the models then see it."""
    con, house = warehouse.con, f"{warehouse.value('SELECT current_database()')}.main"
    con.register("_chosen", pa.table({"object_id": objects}))
    exposures: pa.Table = con.sql(
        f"""
        SELECT object_id, image_id, filter, date, sequence_id, mag_psf, e_mag_psf
        FROM {house}.measurements SEMI JOIN _chosen USING (object_id)
        WHERE filter = getvariable('rapid_filter') AND sequence_id IS NOT NULL
        ORDER BY object_id, date, image_id
        """
    ).to_arrow_table()
    con.unregister("_chosen")
    star, date_mjd = (exposures[name].to_numpy() for name in ("object_id", "date"))
    warehouse.run(
        "CREATE OR REPLACE TEMP TABLE injected (amplitude_mag DOUBLE, object_id BIGINT, u_mag DOUBLE, "
        "n_sequences INTEGER, rapid_u_sigma DOUBLE, p_scatter DOUBLE)"
    )
    place = exposures.column_names.index("mag_psf")
    try:
        for amplitude_mag in amplitudes_mag:
            change = amplitude_mag * damped_walk(star, date_mjd, timescale_min * _MINUTE_D, chance)
            mags = np.round(exposures["mag_psf"].to_numpy() + change, 6)
            con.register("_exposures", exposures.set_column(place, "mag_psf", pa.array(mags)))
            warehouse.run("CREATE OR REPLACE TEMP TABLE measurements AS FROM _exposures")
            con.unregister("_exposures")
            for name in ("int_rapid__sequences", "rapid_variability"):
                warehouse.run(f"CREATE OR REPLACE TEMP TABLE {name} AS {models[name]}")
            warehouse.run(
                f"CREATE OR REPLACE TEMP TABLE int_effective__bins AS SELECT b.* REPLACE (r.rapid_u_sigma AS rapid_u_sigma) "
                f"FROM {house}.int_effective__bins AS b JOIN rapid_variability AS r ON b.object_id = r.object_id"
            )
            warehouse.run(
                f"INSERT INTO injected SELECT {amplitude_mag}, e.object_id, e.u_mag, r.n_sequences, e.rapid_u_sigma, e.p_scatter "
                f"FROM ({models['effective_sigma']}) AS e JOIN rapid_variability AS r ON e.object_id = r.object_id"
            )
    finally:
        for name in ("measurements", "int_rapid__sequences", "rapid_variability", "int_effective__bins"):
            warehouse.run(f"DROP TABLE IF EXISTS temp.main.{name}")


def _fraction(
    warehouse: Warehouse,
    models: Mapping[str, str],
    quiet: Mapping[str, NDArray[Any]],
    amplitudes_mag: Sequence[float],
    timescale_min: float,
    chance: np.random.Generator,
) -> list[Row]:
    """What share of the known objects flickers, from those that stand out and from quiet stars like them made to flicker."""
    warehouse.run(
        f"""
        CREATE OR REPLACE TEMP TABLE population AS
        SELECT
            e.object_id, e.u_mag, least(r.n_sequences, 3) AS n_sequences,
            {_found("e")} AS is_found,
            greatest(e.p_limit, getvariable('rapid_p_max')) AS p_false
        FROM effective_sigma AS e
        JOIN rapid_variability AS r ON e.object_id = r.object_id
        SEMI JOIN stg_known__objects AS k ON e.object_id = k.object_id
        """
    )
    members = warehouse.con.sql("FROM population ORDER BY object_id").fetchnumpy()
    if not len(members["object_id"]):
        return []
    twins = _twins(members, quiet)
    if not len(twins):
        return []
    _flicker(warehouse, models, np.unique(twins), amplitudes_mag, timescale_min, chance)
    warehouse.con.register("_twins", pa.table({"object_id": twins}))
    warehouse.run(
        "CREATE OR REPLACE TEMP TABLE weights AS SELECT object_id, count(*) AS n FROM _twins GROUP BY object_id"
    )
    warehouse.con.unregister("_twins")
    warehouse.run(
        f"""
        CREATE OR REPLACE TEMP TABLE population_efficiency AS
        SELECT
            i.amplitude_mag, sum(w.n) AS n_injected,
            coalesce(sum(w.n) FILTER (
                WHERE {_found("i")}
            ), 0) AS n_found
        FROM injected AS i
        JOIN weights AS w ON i.object_id = w.object_id
        GROUP BY i.amplitude_mag
        """
    )
    return _rows(warehouse, _sql("fraction"))


def _twins(members: Mapping[str, NDArray[Any]], quiet: Mapping[str, NDArray[Any]]) -> Integers:
    """The quiet stars nearest in mean u to each member with as many sequences, TWINS of them, object_ids with repeats."""
    numbers = np.minimum(quiet["n_sequences"], 3)
    found: list[Integers] = []
    for number in np.unique(members["n_sequences"]):
        alike = np.flatnonzero(numbers == number)
        alike = alike[np.argsort(quiet["u_mag"][alike], kind="stable")]
        for u_mag in members["u_mag"][members["n_sequences"] == number]:
            middle = int(np.searchsorted(quiet["u_mag"][alike], u_mag))
            first = max(0, min(middle - TWINS // 2, len(alike) - TWINS))
            found.append(np.asarray(quiet["object_id"][alike[first : first + TWINS]], dtype=np.int64))
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def _found(rows: str) -> str:
    """Whether a star stands out by the limits of candidates, as sql/inject/efficiency.sql asks it."""
    return (
        f"({rows}.rapid_u_sigma >= getvariable('rapid_u_sigma_min') "
        f"OR (getvariable('rapid_p_max') > 0 AND {rows}.p_scatter <= getvariable('rapid_p_max')))"
    )


def _sql(name: str) -> str:
    return (files("skysy.sql") / "inject" / f"{name}.sql").read_text(encoding="utf-8")


def _rows(warehouse: Warehouse, query: str) -> list[Row]:
    found = warehouse.con.execute(query)
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
