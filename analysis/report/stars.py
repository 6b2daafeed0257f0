"""All that a candidate's own page tells, read for many candidates at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from skysy.analysis.report.curve import Pair, Point
from skysy.analysis.report.facts import Candidate
from skysy.analysis.report.flickering import Sector, flickering_of
from skysy.analysis.report.neighbours import Colours, Neighbour, neighbours_of

from skysy.store import Warehouse
from skysy.why import Cut, CutTeller, cut_teller

AT_A_TIME = 500
"""Candidates read together: enough that a scan of the measurements is worth it, few enough for little memory."""

_POINTS = """
    SELECT m.object_id, m.filter, m.date, m.mag_psf, m.e_mag_psf, m.image_id, m.night_mjd, m.exp_time, m.image_type,
           m.sequence_id, m.used_in_clip
    FROM measurements AS m
    SEMI JOIN asked AS a ON m.object_id = a.object_id
    WHERE isfinite(m.date)
    ORDER BY m.object_id, m.date, m.image_id
"""


@dataclass(frozen=True)
class Night:
    """A colour snapshot: numbers of measurements, mean magnitudes (AB), colours and their errors in mag."""

    night_mjd: int
    n_u: int
    n_v: int
    n_g: int
    u_mag: float | None
    v_mag: float | None
    g_mag: float | None
    ug_mag: float | None
    ug_err: float | None
    uv_mag: float | None
    uv_err: float | None


@dataclass(frozen=True)
class Mission:
    """What MAST has of a candidate by one mission; `state` is matched, none or not asked, times are MJD."""

    name: str
    state: str
    n_observations: int | None
    exposure_s: float | None
    first_mjd: float | None
    last_mjd: float | None
    has_cloud_copy: bool | None


@dataclass(frozen=True)
class Star:
    """A candidate with all its rows; `sample`, `effective`, `followup` and `row` (of candidates) are columns of those tables."""

    candidate: Candidate
    row: dict[str, Any]
    sample: dict[str, Any]
    effective: dict[str, Any]
    simbad_distance_arcsec: float | None
    points: list[Point]
    nights: list[Night]
    pair: Pair | None
    cuts: list[Cut]
    neighbours: list[Neighbour]
    followup: dict[str, Any]
    flickering: list[Sector]
    missions: list[Mission]

    @property
    def by_night(self) -> list[tuple[int, list[Point]]]:
        """The measurements of each night, in order."""
        nights: dict[int, list[Point]] = {}
        for point in self.points:
            nights.setdefault(point.night_mjd, []).append(point)
        return sorted(nights.items())

    @property
    def sequence_numbers(self) -> dict[int, int]:
        """Its colour sequences, numbered from 1 in order of time."""
        found = dict.fromkeys(point.sequence_id for point in self.points if point.sequence_id is not None)
        return {sequence_id: number for number, sequence_id in enumerate(found, start=1)}


def read_stars(warehouse: Warehouse, candidates: Sequence[Candidate]) -> Iterator[Star]:
    """The candidates as stars, in their order."""
    if not candidates:
        return
    teller, colours = cut_teller(warehouse), Colours(warehouse)
    for first in range(0, len(candidates), AT_A_TIME):
        yield from _read_some(warehouse, candidates[first : first + AT_A_TIME], teller, colours)


def _read_some(
    warehouse: Warehouse, candidates: Sequence[Candidate], teller: CutTeller, colours: Colours
) -> Iterator[Star]:
    ids = [one.object_id for one in candidates]
    rows, sample, effective, matched, verdicts, simbad, rapid, followup = (
        _rows_of(warehouse, table, ids)
        for table in (
            "candidates", "sample", "effective_sigma", "int_selection__matched", "int_selection__cuts", "simbad_status",
            "rapid_variability", "followup",
        )
    )  # fmt: skip
    points, nights, missions = _points(warehouse, ids), _nights(warehouse, ids), _missions(warehouse, ids)
    flickering = flickering_of(warehouse, ids)
    neighbours = neighbours_of(warehouse, colours, [(one.object_id, one.ug_mag, one.uv_mag) for one in candidates])
    for candidate in candidates:
        star = candidate.object_id
        yield Star(
            candidate=candidate,
            row=rows[star],
            sample=sample[star],
            effective=effective.get(star, {}),
            simbad_distance_arcsec=simbad.get(star, {}).get("ang_dist_arcsec"),
            points=points[star],
            nights=nights[star],
            pair=_pair(rapid.get(star)),
            cuts=teller.tell(matched[star], verdicts[star]),
            neighbours=neighbours.get(star, []),
            followup=followup.get(star, {}),
            flickering=flickering.get(star, []),
            missions=missions[star],
        )


def _rows_of(warehouse: Warehouse, table: str, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The row of each object in a table with one row an object, as a dictionary; none where an earlier skysy built no such table."""
    names = warehouse.columns("main", table)
    if not names:
        return {}
    found = warehouse.rows(
        f"SELECT t.* FROM {table} AS t SEMI JOIN (SELECT unnest(CAST(? AS BIGINT[])) AS object_id) AS a "
        "ON t.object_id = a.object_id",
        [ids],
    )
    place = names.index("object_id")
    return {row[place]: dict(zip(names, row, strict=True)) for row in found}


def _points(warehouse: Warehouse, ids: Sequence[int]) -> dict[int, list[Point]]:
    found = defaultdict(list)
    for object_id, *values in warehouse.rows(
        f"WITH asked AS (SELECT unnest(CAST(? AS BIGINT[])) AS object_id) {_POINTS}", [ids]
    ):
        found[object_id].append(Point(*values))
    return found


def _nights(warehouse: Warehouse, ids: Sequence[int]) -> dict[int, list[Night]]:
    found = defaultdict(list)
    for object_id, *values in warehouse.rows(
        "SELECT n.object_id, n.night_mjd, n.n_u, n.n_v, n.n_g, n.u_mag, n.v_mag, n.g_mag, n.ug_mag, sqrt(n.ug_var), "
        "n.uv_mag, sqrt(n.uv_var) FROM nightly_colours AS n "
        "SEMI JOIN (SELECT unnest(CAST(? AS BIGINT[])) AS object_id) AS a ON n.object_id = a.object_id "
        "ORDER BY n.object_id, n.night_mjd",
        [ids],
    ):
        found[object_id].append(Night(*values))
    return found


def _missions(warehouse: Warehouse, ids: Sequence[int]) -> dict[int, list[Mission]]:
    """By object; nothing where a build of an earlier skysy has no such table."""
    found: dict[int, list[Mission]] = defaultdict(list)
    if not warehouse.columns("main", "mast_missions"):
        return found
    for object_id, *values in warehouse.rows(
        "SELECT m.object_id, m.mission, m.state, m.n_observations, m.exposure_s, m.first_mjd, m.last_mjd, m.has_cloud_copy "
        "FROM mast_missions AS m SEMI JOIN (SELECT unnest(CAST(? AS BIGINT[])) AS object_id) AS a "
        "ON m.object_id = a.object_id ORDER BY m.object_id, m.mission",
        [ids],
    ):
        found[object_id].append(Mission(*values))
    return found


def _pair(rapid: dict[str, Any] | None) -> Pair | None:
    if rapid is None:
        return None
    images = (rapid["image_id_i"], rapid["image_id_j"])
    return Pair(rapid["sequence_id"], images, rapid["rapid_u_sigma"], rapid["delta_u_mag"])
