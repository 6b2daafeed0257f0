"""Whether one object_id is one object in two builds: ids at other places, and objects that have another id at the same place."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from skysy.builds import Builds

DISPLACED_ARCSEC = 5.0
"""One object_id whose positions in two builds lie farther apart than this may be two objects."""

_SEPARATION = (
    "3600 * 2 * degrees(asin(least(1, sqrt(pow(sin(radians(y.dej2000 - x.dej2000) / 2), 2) "
    "+ cos(radians(x.dej2000)) * cos(radians(y.dej2000)) * pow(sin(radians(y.raj2000 - x.raj2000) / 2), 2)))))"
)


@dataclass(frozen=True)
class SameIds:
    """Objects whose object_id both builds have, and how many of them lie more than DISPLACED_ARCSEC apart [arcsec]."""

    objects: int
    displaced: int


@dataclass(frozen=True)
class Elsewhere:
    """The object at the place of one whose object_id the other build lacks: its id there, and the distance [arcsec]."""

    object_id: int
    sep_arcsec: float


def count_same(builds: Builds) -> SameIds:
    """How many objects both builds have, by their ids, and how many of these are not at one place."""
    [(objects, displaced)] = builds.house.rows(
        f"SELECT count(*), count(*) FILTER ({_SEPARATION} > {DISPLACED_ARCSEC!r}) "
        "FROM a.main.int_selection__matched AS x JOIN b.main.int_selection__matched AS y USING (object_id)"
    )
    return SameIds(objects, displaced)


def find_elsewhere(builds: Builds) -> dict[tuple[str, int], Elsewhere]:
    """By change (entered or left) and object_id: what sql/diff/elsewhere.sql finds for candidates that the other build lacks."""
    sql = (files("skysy.sql") / "diff" / "elsewhere.sql").read_text(encoding="utf-8")
    return {
        ("entered" if entered else "left", object_id): Elsewhere(other_id, sep_arcsec)
        for entered, object_id, other_id, sep_arcsec in builds.house.rows(sql)
    }
