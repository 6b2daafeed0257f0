"""The sample objects whose snapshot colours are nearest to an object's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skysy.store import Warehouse

HOW_MANY = 10
_FIRST_REACH_MAG = 0.02


@dataclass(frozen=True)
class Neighbour:
    """A sample object and how far off it is in the plane of u-g and u-v, in mag."""

    object_id: int
    distance_mag: float
    ug_mag: float
    uv_mag: float
    ln_density: float | None
    rapid_u_sigma: float | None
    rank: int | None


class Colours:
    """The colours of all sample objects that have both, sorted so that the nearest of a point are found without all distances."""

    def __init__(self, warehouse: Warehouse) -> None:
        found = warehouse.con.execute(
            "SELECT s.object_id, c.ug_mag, c.uv_mag FROM sample AS s JOIN colours AS c ON s.object_id = c.object_id "
            "WHERE isfinite(c.ug_mag) AND isfinite(c.uv_mag) ORDER BY c.ug_mag, s.object_id"
        ).fetchnumpy()
        self._object_id: NDArray[np.int64] = np.asarray(found["object_id"], dtype=np.int64)
        self._ug, self._uv = (np.asarray(found[name], dtype=np.float64) for name in ("ug_mag", "uv_mag"))

    def nearest(self, object_id: int, ug_mag: float, uv_mag: float, n: int = HOW_MANY) -> list[tuple[int, float]]:
        """The `n` nearest objects but this one, with their distances in mag, the nearest first; of equal ones the lower object_id.

        A strip of u-g holds them if the last of them is no farther than its edges; else the strip is widened.
        """
        reach = _FIRST_REACH_MAG
        while True:
            first, last = np.searchsorted(self._ug, (ug_mag - reach, ug_mag + reach))
            strip = slice(int(first), int(last))
            distance = np.hypot(self._ug[strip] - ug_mag, self._uv[strip] - uv_mag)
            ids = self._object_id[strip]
            inside = (distance < reach) & (ids != object_id)
            whole = last - first == len(self._ug)
            if inside.sum() >= n or whole:
                kept = inside if inside.sum() >= n else ids != object_id
                order = np.lexsort((ids[kept], distance[kept]))[:n]
                return [(int(ids[kept][place]), float(distance[kept][place])) for place in order]
            reach *= 2


def neighbours_of(
    warehouse: Warehouse, colours: Colours, asked: Iterable[tuple[int, float | None, float | None]]
) -> dict[int, list[Neighbour]]:
    """The neighbours of each object, given as (object_id, u-g, u-v); an object without both colours has none."""
    nearest = dict(_all_nearest(colours, asked))
    wanted = sorted({one for found in nearest.values() for one, _ in found})
    values = {
        row[0]: row[1:]
        for row in warehouse.rows(
            "SELECT c.object_id, c.ug_mag, c.uv_mag, d.ln_density, r.rapid_u_sigma, a.rank "
            "FROM (SELECT unnest(CAST(? AS BIGINT[])) AS object_id) AS w "
            "JOIN colours AS c ON w.object_id = c.object_id "
            "LEFT JOIN density_score AS d ON w.object_id = d.object_id "
            "LEFT JOIN rapid_variability AS r ON w.object_id = r.object_id "
            "LEFT JOIN candidates AS a ON w.object_id = a.object_id",
            [wanted],
        )
    }
    return {
        star: [Neighbour(one, distance, *values[one]) for one, distance in found] for star, found in nearest.items()
    }


def _all_nearest(
    colours: Colours, asked: Iterable[tuple[int, float | None, float | None]]
) -> Iterator[tuple[int, list[tuple[int, float]]]]:
    for object_id, ug_mag, uv_mag in asked:
        if ug_mag is not None and uv_mag is not None and np.isfinite(ug_mag + uv_mag):
            yield object_id, colours.nearest(object_id, ug_mag, uv_mag)
