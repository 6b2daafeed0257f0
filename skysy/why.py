"""The story of one star: its joins and cuts, its measurements, and where its rows came from.

Everything is read from the warehouse as it was last built: the cuts and their limits from the SQL of
int_selection__cuts and the parameters of that build, the counts by running measurement_flow over this star alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from skysy.columns import from_comment
from skysy.contract import Contract
from skysy.errors import NotFound, UsageError
from skysy.ledger import CHUNK_COLUMN
from skysy.models.lineage import CutTerm, cut_terms
from skysy.models.plan import built_release
from skysy.models.project import load_project
from skysy.store import Warehouse

FLOW = ("int_detections__patterns", "measurement_flow")
"""The models that count detections cut by cut, in order."""

# key column of a raw table -> the column of int_selection__matched that leads there
_NEIGHBOUR_KEYS = {"pts_key": "twomass_key", "cntr": "allwise_cntr", "source_id": "gaia_id1"}
_VERDICTS = {True: "passes", False: "fails", None: "missing"}
NOT_AVAILABLE = "not available"


@dataclass(frozen=True)
class Cut:
    """One cut for one star: `verdict` is passes, fails, missing, or not available where the release cannot make it.

    Values and limits by name, with units beside them.
    """

    name: str
    sentence: str
    verdict: str
    values: dict[str, Any]
    limits: dict[str, Any]
    units: dict[str, str]


@dataclass(frozen=True)
class Origin:
    """A load that brought rows of this star."""

    table_name: str
    rows: int
    chunk_id: int
    source: str
    format: str
    sha256: str
    loaded_at: str
    query: str | None


@dataclass(frozen=True)
class Story:
    """All that the warehouse knows of one star; a part that does not exist is empty or None."""

    object_id: int
    raj2000: float | None
    dej2000: float | None
    separation_arcsec: float | None
    in_sample: bool
    rapid_filter: str
    cuts: list[Cut]
    measurements: list[dict[str, Any]]
    filters: dict[str, int]
    nights: int
    colours: dict[str, Any]
    variability: dict[str, Any]
    ln_density: float | None
    candidate: dict[str, Any]
    known: dict[str, Any]
    followup: dict[str, Any]
    origins: list[Origin] = field(default_factory=list)
    missions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def first_failure(self) -> Cut | None:
        """The first cut that the star does not pass, or None."""
        return next((cut for cut in self.cuts if cut.verdict not in ("passes", NOT_AVAILABLE)), None)


def find_object(warehouse: Warehouse, target: str, radius_arcsec: float) -> tuple[int, float | None]:
    """(object_id, separation in arcsec) of the star that `target` names: an object_id, or `ra,dec` in degrees.

    Raises UsageError for what is neither, NotFound where the warehouse holds no such object, or none within the radius.
    """
    parts = target.replace(",", " ").split()
    if len(parts) == 1 and parts[0].removeprefix("-").isdigit():
        return int(parts[0]), None
    try:
        ra, dec = (float(part) for part in parts)
    except ValueError as error:
        raise UsageError(
            f"{target!r} is neither an object_id nor a position.",
            "Write 147403802, or right ascension and declination in degrees: 249.5326,-28.7021.",
        ) from error
    if not (math.isfinite(ra) and 0 <= ra <= 360 and -90 <= dec <= 90):
        raise UsageError(
            f"{target!r} is not on the sky.",
            "Right ascension runs from 0 to 360 degrees, declination from -90 to 90.",
        )
    nearest = warehouse.rows(
        """
        SELECT object_id, 3600 * degrees(2 * asin(sqrt(least(1, sin(radians(dej2000 - ?) / 2) ** 2
               + cos(radians(dej2000)) * cos(radians(?)) * sin(radians(raj2000 - ?) / 2) ** 2)))) AS separation_arcsec
        FROM stg_survey__master
        ORDER BY separation_arcsec, object_id
        LIMIT 1
        """,
        [dec, dec, ra],
    )
    if not nearest:
        raise NotFound("The warehouse holds no objects yet.", "Load some with `skysy load`.")
    object_id, separation = nearest[0]
    if not separation <= radius_arcsec:
        raise NotFound(
            f"No survey object lies within {radius_arcsec:g} arcsec of {ra:.6f},{dec:.6f}.",
            f"The nearest in the warehouse is {object_id}, {separation:.1f} arcsec away; that part of the sky may never have been asked for.",
        )
    return int(object_id), float(separation)


def tell(
    warehouse: Warehouse,
    flow: Sequence[str],
    terms: list[CutTerm],
    contract: Contract,
    target: str,
    radius_arcsec: float = 5.0,
) -> Story:
    """The story of the star that `target` names, from the last build; raises NotFound.

    `flow` is the SQL of the models FLOW, run again over the star's own detections.
    """
    object_id, separation = find_object(warehouse, target, radius_arcsec)
    matched = _row(warehouse, "int_selection__matched", object_id)
    counts = warehouse.rows(
        "SELECT filter, count(*) FROM measurements WHERE object_id = ? GROUP BY filter ORDER BY filter", [object_id]
    )
    if not matched and not counts:
        raise NotFound(
            f"Object {object_id} is not in the warehouse.",
            "It was never asked for, or the survey has no such object; `skysy status` shows what is loaded.",
        )
    verdicts = _row(warehouse, "int_selection__cuts", object_id)
    nights = warehouse.value("SELECT count(DISTINCT night_mjd) FROM measurements WHERE object_id = ?", [object_id])
    density = _row(warehouse, "density_score", object_id)
    return Story(
        object_id=object_id,
        raj2000=matched.get("raj2000"),
        dej2000=matched.get("dej2000"),
        separation_arcsec=separation,
        in_sample=bool(_row(warehouse, "sample", object_id)),
        rapid_filter=str(warehouse.value("SELECT getvariable('rapid_filter')")),
        cuts=CutTeller(warehouse, terms).tell(matched, verdicts),
        measurements=_measurement_flow(warehouse, flow, object_id),
        filters={str(name): int(n) for name, n in counts},
        nights=int(nights or 0),
        colours=_row(warehouse, "colours", object_id),
        variability=_row(warehouse, "rapid_variability", object_id),
        ln_density=density.get("ln_density"),
        candidate=_row(warehouse, "candidates", object_id),
        known=_row(warehouse, "stg_known__objects", object_id),
        followup=_row(warehouse, "followup", object_id),
        origins=_origins(warehouse, contract, object_id, matched),
        missions=_rows(warehouse, "mast_missions", object_id, "mission"),
    )


def _row(warehouse: Warehouse, table: str, object_id: int) -> dict[str, Any]:
    return next(iter(_rows(warehouse, table, object_id, "object_id")), {})


def _rows(warehouse: Warehouse, table: str, object_id: int, order: str) -> list[dict[str, Any]]:
    try:
        found = warehouse.con.execute(f"SELECT * FROM {table} WHERE object_id = ? ORDER BY {order}", [object_id])
    except duckdb.CatalogException:  # a build of an earlier skysy
        return []
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


class CutTeller:
    """Tells of each cut how single stars do in it; limits are read once, from the build's own table."""

    def __init__(self, warehouse: Warehouse, terms: Sequence[CutTerm]) -> None:
        self._terms = [term for term in terms if term.name != "object_id"]
        self._parameters: dict[str, tuple[str, str | None]] = {
            name: (value, unit) for name, value, unit in warehouse.rows("SELECT name, value, unit FROM meta.parameter")
        }
        # A list of quoted names; a build of an earlier skysy has no such parameter.
        self._unavailable = self._parameters.get("cuts_not_available", ("[]", None))[0]

    def tell(self, matched: Mapping[str, Any], verdicts: Mapping[str, bool | None]) -> list[Cut]:
        """The cuts in their order for the star with these rows of int_selection__matched and int_selection__cuts."""
        return [self._cut(term, matched, verdicts) for term in self._terms]

    def _cut(self, term: CutTerm, matched: Mapping[str, Any], verdicts: Mapping[str, bool | None]) -> Cut:
        limits = {name: self._parameters[name] for name in term.parameters if name in self._parameters}
        units = {**term.units, **{name: unit or "" for name, (_, unit) in limits.items()}}
        return Cut(
            name=term.name,
            sentence=from_comment(term.comment)[0],
            verdict=NOT_AVAILABLE if f"'{term.name}'" in self._unavailable else _VERDICTS[verdicts.get(term.name)],
            values={name: matched.get(name) for name in term.columns},
            limits={name: value for name, (value, _) in limits.items()},
            units=units,
        )


def cut_teller(warehouse: Warehouse) -> CutTeller:
    """A CutTeller of the cuts of the release that the warehouse was built for; raises ModelError before the first build."""
    project = load_project(built_release(warehouse), only=("int_selection__cuts",))
    return CutTeller(warehouse, cut_terms(project, "int_selection__cuts"))


def _measurement_flow(warehouse: Warehouse, flow: Sequence[str], object_id: int) -> list[dict[str, Any]]:
    """measurement_flow for this star alone: its own SQL, with views of the one star in the place of its inputs."""
    database = warehouse.value("SELECT current_database()")
    patterns_sql, flow_sql = flow
    stars = {
        name: f"SELECT * FROM {database}.main.{name} WHERE object_id = {object_id:d}"
        for name in ("stg_survey__photometry", "measurements")
    } | {"int_detections__patterns": patterns_sql}
    for name, query in stars.items():
        warehouse.run(f"CREATE TEMP VIEW {name} AS {query}")
    try:
        found = warehouse.con.execute(flow_sql)
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    finally:
        for name in stars:
            warehouse.run(f"DROP VIEW temp.main.{name}")


def _origins(warehouse: Warehouse, contract: Contract, object_id: int, matched: dict[str, Any]) -> list[Origin]:
    origins: list[Origin] = []
    value: Any
    standing = warehouse.all_columns()
    for table in contract.tables:
        if table.name not in standing:  # loaded by an earlier skysy
            continue
        names = [column.name for column in table.columns]
        if "object_id" in names:
            where, value = "object_id = ?", object_id
        elif table.key and table.key[0] in _NEIGHBOUR_KEYS:
            where, value = f"{table.key[0]} = ?", matched.get(_NEIGHBOUR_KEYS[table.key[0]])
        elif table.key == ("image_id",):
            where, value = "image_id IN (SELECT image_id FROM measurements WHERE object_id = ?)", object_id
        else:
            continue
        found = warehouse.rows(
            f"""
            SELECT c.table_name, r.n, c.chunk_id, c.source, c.format, c.sha256, c.ended_at, c.query
            FROM (SELECT {CHUNK_COLUMN} AS chunk_id, count(*) AS n FROM {table.name} WHERE {where} GROUP BY ALL) AS r
            JOIN meta.chunk AS c USING (chunk_id)
            ORDER BY c.chunk_id
            """,
            [value],
        )
        origins.extend(
            Origin(name, int(n), int(chunk), source, form, sha256, f"{at:%Y-%m-%d %H:%M:%S}", query)
            for name, n, chunk, source, form, sha256, at, query in found
        )
    return origins
