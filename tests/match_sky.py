"""Skies that are hard to match, and tables of them."""

from __future__ import annotations

from collections.abc import Sequence

import astropy.units as u
import numpy as np
import pyarrow as pa
from astropy.coordinates import SkyCoord

from skysy.store import Warehouse

Place = tuple[int | None, float | None, float | None]

CENTRES = [
    (0.0, 0.0),
    (360.0, -45.0),
    (0.0, 89.9999),
    (123.0, 90.0),
    (200.0, -90.0),
    (77.0, -89.99),
    (180.0, 60.0),
    (5, 89),
]


def put(house: Warehouse, table: str, places: Sequence[Place]) -> None:
    """A table of id, ra, dec."""
    names = ("id", "ra", "dec")
    kinds = (pa.int64(), pa.float64(), pa.float64())
    columns = {
        name: pa.array([place[i] for place in places], kind)
        for i, (name, kind) in enumerate(zip(names, kinds, strict=True))
    }
    house.con.register("_places", pa.table(columns))
    house.run(f"CREATE OR REPLACE TABLE {table} AS FROM _places")
    house.con.unregister("_places")


def sky(seed: int, centre: tuple[float, float], radius: float, rows: int) -> list[Place]:
    """Places within some radii of a centre, in any turn of right ascension, some of them twice or exactly at a pole."""
    random = np.random.default_rng(seed)
    middle = SkyCoord(*centre, unit="deg")
    # To the power of 3, so that many are close together whatever the radius.
    far = np.minimum(radius * 4 * random.random(rows) ** 3, 170 * 3600)
    there = middle.directional_offset_by(random.uniform(0, 360, rows) * u.deg, far * u.arcsec)
    ra = there.ra.deg + 360.0 * random.integers(-1, 2, rows)
    dec = there.dec.deg.copy()
    if abs(centre[1]) == 90:
        dec[: rows // 8] = centre[1]
    again = random.integers(0, rows, rows // 5)
    ra, dec = np.concatenate([ra, ra[again]]), np.concatenate([dec, dec[again]])
    return [(number, float(a), float(d)) for number, (a, d) in enumerate(zip(ra, dec, strict=True))]
