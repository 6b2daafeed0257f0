"""A warehouse with one archive table and a science of four models, small enough to reason about."""

from __future__ import annotations

import hashlib
from pathlib import Path

from skysy import ledger
from skysy.config import Settings, settings
from skysy.store import Warehouse, open_warehouse

PARAMETERS = """\
-- Limits of the toy.
SET VARIABLE mag_max = 20.0;     -- [mag] fainter detections do not count
SET VARIABLE floor_mag = 0.01;   -- [mag] added to each error in quadrature
SET VARIABLE bands = ['u', 'v']; -- bands that count
"""

STG_OBS = """\
-- stg_obs: detections as they came.
--
-- grain:  one row per detection
-- key:    object_id, t (not unique: copies may come)
-- kind:   view
-- inputs: toy.obs

SELECT
    CAST(object_id AS BIGINT) AS object_id,  -- object {meta.id;meta.main}
    CAST(t AS DOUBLE) AS t,                  -- time, MJD [d] {time.epoch}
    CAST(band AS VARCHAR) AS band,           -- band {meta.id;instr.filter}
    CAST(mag AS DOUBLE) AS mag               -- magnitude [mag] {phot.mag}
FROM toy.obs
"""

INT_KEPT = """\
-- int_kept: detections that count.
--
-- grain:  one row per object_id and t
-- key:    object_id, t
-- scope:  object
-- inputs: stg_obs
-- nulls:  a missing magnitude does not count

WITH numbered AS (
    SELECT *, row_number() OVER (PARTITION BY object_id, t ORDER BY band, mag) AS place
    FROM stg_obs
    WHERE mag < getvariable('mag_max') AND list_contains(getvariable('bands'), band)
)

SELECT
    CAST(object_id AS BIGINT) AS object_id,  -- object {meta.id;meta.main}
    CAST(t AS DOUBLE) AS t,                  -- time, MJD [d] {time.epoch}
    CAST(mag AS DOUBLE) AS mag               -- magnitude [mag] {phot.mag}
FROM numbered
WHERE place = 1
"""

MEANS = """\
-- means: mean magnitude and largest step of each object.
--
-- grain:  one row per object_id
-- key:    object_id
-- scope:  object
-- inputs: int_kept
-- source: a weighted mean in whole numbers of 1e-9, so that the order of rows does not matter;
--         its weights are made up

WITH stepped AS (
    SELECT
        object_id, mag,
        1 / (mag * 1e-3 + CAST(getvariable('floor_mag') AS DOUBLE)) AS weight,
        abs(mag - lag(mag) OVER (PARTITION BY object_id ORDER BY t)) AS step_mag
    FROM int_kept
)

SELECT
    CAST(object_id AS BIGINT) AS object_id,              -- object {meta.id;meta.main}
    CAST(
        CAST(sum(CAST(floor(mag * weight * 1e9 + 0.5e0) AS BIGINT)) AS DOUBLE)
        / CAST(sum(CAST(floor(weight * 1e9 + 0.5e0) AS BIGINT)) AS DOUBLE)
    AS DOUBLE) AS mean_mag,                              -- weighted mean [mag] {phot.mag;stat.mean}
    CAST(max(step_mag) AS DOUBLE) AS step_mag,           -- largest change [mag] {phot.mag;arith.diff}
    CAST(count(*) AS INTEGER) AS n                       -- detections {meta.number}
FROM stepped
GROUP BY object_id
"""

TOTALS = """\
-- totals: the toy in one line.
--
-- grain:  one row
-- inputs: means

SELECT
    CAST(count(*) AS BIGINT) AS n_objects,    -- objects {meta.number}
    CAST(max(mean_mag) AS DOUBLE) AS faintest -- faintest mean [mag] {phot.mag;stat.max}
FROM means
"""

AUD_KEYS = """\
-- aud_keys: means has one row per object.
-- severity: error
-- inputs: means

SELECT object_id, count(*) AS n FROM means GROUP BY object_id HAVING count(*) > 1
"""

AUD_FEW = """\
-- aud_few: every object has three detections.
-- severity: warn
-- inputs: means

SELECT object_id, n, CAST('nan' AS DOUBLE) AS odd FROM means WHERE n < 3
"""


def write_science(directory: Path) -> Path:
    """The toy's sql/ in a directory; returns it."""
    for name, text in {
        "00_parameters.sql": PARAMETERS,
        "10_staging/toy/stg_obs.sql": STG_OBS,
        "20_intermediate/int_kept.sql": INT_KEPT,
        "30_marts/means.sql": MEANS,
        "30_marts/totals.sql": TOTALS,
        "audits/aud_keys.sql": AUD_KEYS,
        "audits/aud_few.sql": AUD_FEW,
    }.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return directory


def tell_loads(directory: Path) -> Path:
    """Change the toy so that its staging tells the load of each row, as models that are made in parts need; returns it."""
    edit(directory, "stg_obs.sql", "-- kind:   view", "-- scope:  chunk\n-- kind:   view")
    mag = "AS mag               -- magnitude [mag] {phot.mag}"
    chunk = "    CAST(_chunk_id AS INTEGER) AS chunk_id   -- the load {meta.id}"
    edit(directory, "stg_obs.sql", mag, f"{mag.replace('mag  ', 'mag, ', 1)}\n{chunk}")
    return directory


def edit(directory: Path, name: str, old: str, new: str) -> None:
    """Replace a piece of one of the toy's files, which must be there."""
    path = next(directory.rglob(name))
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def toy_settings(directory: Path, threads: int = 1) -> Settings:
    """Bounds for a toy warehouse in a directory."""
    return settings(directory, "200MB", threads)


def load_rows(house: Warehouse, source: str, query: str) -> None:
    """Bring the rows of a query (object_id, t, band, mag) into toy.obs as one loaded file."""
    con = house.con
    with house.transaction():
        con.execute("CREATE SCHEMA IF NOT EXISTS toy")
        con.execute(
            "CREATE TABLE IF NOT EXISTS toy.obs "
            "(object_id BIGINT, t DOUBLE, band VARCHAR, mag DOUBLE, _chunk_id INTEGER)"
        )
        run_id = ledger.begin_run(con, "load", {"source": source}, "test")
        chunk_id = ledger.next_chunk_id(con)
        con.execute(f"INSERT INTO toy.obs SELECT *, {chunk_id} FROM ({query})")
        where = f"WHERE _chunk_id = {chunk_id}"
        content = ledger.content_hash(con, "toy.obs", ["object_id", "t", "band", "mag"], where)
        rows = house.value(f"SELECT count(*) FROM toy.obs {where}")
        ledger.write_chunk(
            con,
            run_id,
            ledger.Chunk(
                chunk_id=chunk_id,
                release="toy",
                table_name="toy.obs",
                service="file",
                source=source,
                format="csv",
                expected_rows=None,
                received_rows=rows,
                bytes=0,
                sha256=hashlib.sha256(query.encode()).hexdigest(),
                content_hash=content,
                notes={},
                started_at=ledger.now(),
            ),
        )
        ledger.end_run(con, run_id, "done")


ROWS = (
    "SELECT i % 50 AS object_id, 58000 + i // 50 AS t, CASE WHEN i % 7 = 0 THEN 'v' ELSE 'u' END AS band, "
    "15 + (hash(i) % 6000) / 1000.0 AS mag FROM range(1000) AS r(i)"
)
"""A thousand detections of fifty objects, some fainter than 20 mag."""


def make_warehouse(directory: Path) -> Settings:
    """A warehouse with ROWS loaded as one file; returns its settings."""
    found = toy_settings(directory)
    with open_warehouse(found, write=True, make=True) as house:
        load_rows(house, "obs-1.csv", ROWS)
    return found


def state_of(house: Warehouse) -> dict[str, object]:
    """All that a failed build must leave as it was: relations, rows, meta.model, parameters, audits."""
    relations = house.rows(
        "SELECT table_name, 'table' FROM duckdb_tables() WHERE schema_name = 'main' "
        "UNION ALL SELECT view_name, sql FROM duckdb_views() WHERE schema_name = 'main' AND NOT internal "
        "ORDER BY ALL"
    )
    found: dict[str, object] = {"relations": relations}
    for name in (*(row[0] for row in relations), "meta.model", "meta.parameter", "meta.audit"):
        schema, _, table = name.rpartition(".")
        columns = house.columns(schema or "main", table)
        found[name] = ledger.content_hash(house.con, name, columns)
    return found
