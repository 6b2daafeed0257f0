"""The survey's fields: where they lie, and which of them an object falls in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SPACING_DEG = 2.4
HALF_WIDTH_DEG = 1.22  # of the camera's square; a little more than half the spacing, so that neighbours overlap
_OBJECTS_PER_FIELD = 150
_MIN_FIELDS = 24
_NORTHERN_LIMIT_DEG = 2.0
# Patches of sky that fill first: the pole, RA 0, the bulge, the disc.
_PATCHES_DEG = ((0.0, -90.0), (0.0, -33.0), (270.0, -30.0), (130.0, -50.0))
_REACH_DEG = 3.6  # fields farther apart than this have no object in common

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fields:
    """Field centres (deg), their ids, and each one's neighbours as indices, padded with -1."""

    field_id: Ints
    ra_deg: Floats
    dec_deg: Floats
    neighbours: Ints

    def __len__(self) -> int:
        return len(self.field_id)

    def place(self, index: Ints, east_deg: Floats, north_deg: Floats) -> tuple[Floats, Floats]:
        """RA and Dec (deg) at tangent-plane offsets from the centres of the fields `index`."""
        centre, east, north = _axes(self.ra_deg[index], self.dec_deg[index])
        x, y = np.radians(east_deg)[:, None], np.radians(north_deg)[:, None]
        return to_sky(centre + x * east + y * north)

    def members(self, ra_deg: Floats, dec_deg: Floats, home: Ints) -> tuple[Ints, Ints, Floats, Floats]:
        """(object, field, east, north) for every field that an object lies in; offsets in deg.

        `home` is a field that each object is near. Rows are sorted by object.
        """
        near = self.neighbours[home]
        rows, slots = np.nonzero(near >= 0)
        index = near[rows, slots]
        star = to_vectors(ra_deg, dec_deg)[rows]
        centre, east, north = _axes(self.ra_deg[index], self.dec_deg[index])
        depth = np.einsum("ij,ij->i", star, centre)
        x = np.degrees(np.einsum("ij,ij->i", star, east) / depth)
        y = np.degrees(np.einsum("ij,ij->i", star, north) / depth)
        inside = (np.abs(x) < HALF_WIDTH_DEG) & (np.abs(y) < HALF_WIDTH_DEG)
        return rows[inside], index[inside], x[inside], y[inside]


def make_fields(objects: int) -> Fields:
    """As many fields as the objects need, filling patches of the southern sky outwards from their middles."""
    ra, dec = _all_centres()
    vectors = to_vectors(ra, dec)
    middles = to_vectors(*(np.array(side) for side in zip(*_PATCHES_DEG, strict=True)))
    closeness = (vectors @ middles.T).max(axis=1)
    wanted = max(_MIN_FIELDS, objects // _OBJECTS_PER_FIELD)
    chosen = np.sort(np.argsort(-closeness, kind="stable")[:wanted])
    return Fields(chosen + 1, ra[chosen], dec[chosen], _neighbours(vectors[chosen]))


def _all_centres() -> tuple[Floats, Floats]:
    """Rings of constant declination from the pole northwards, each with the fields that it needs to close."""
    ra, dec = [], []
    for ring in range(int((_NORTHERN_LIMIT_DEG + 90) / SPACING_DEG) + 1):
        height = -90 + ring * SPACING_DEG
        count = max(1, int(np.ceil(360 * np.cos(np.radians(height)) / SPACING_DEG - 1e-9)))
        ra += [360 * step / count for step in range(count)]
        dec += [height] * count
    return np.array(ra), np.array(dec)


def _neighbours(vectors: Floats) -> Ints:
    """For each field those within reach, itself among them."""
    rows, columns = np.nonzero(vectors @ vectors.T > np.cos(np.radians(_REACH_DEG)))
    counts = np.bincount(rows)
    slots = np.arange(rows.size) - np.repeat(np.cumsum(counts) - counts, counts)
    neighbours = np.full((len(vectors), counts.max()), -1)
    neighbours[rows, slots] = columns
    return neighbours


def to_vectors(ra_deg: Floats, dec_deg: Floats) -> Floats:
    """Unit vectors, shape (n, 3)."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def to_sky(vectors: Floats) -> tuple[Floats, Floats]:
    """RA in [0, 360) and Dec (deg) of vectors of any length."""
    x, y, z = vectors.T
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def _axes(ra_deg: Floats, dec_deg: Floats) -> tuple[Floats, Floats, Floats]:
    """Unit vectors to the centre and, in its tangent plane, to the east and to the north."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    centre = to_vectors(ra_deg, dec_deg)
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
    return centre, east, north
