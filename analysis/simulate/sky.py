"""The stars of the simulated sky: positions, distances, reddening, magnitudes, pulsation.

Red giants lie on a locus in (u-g, u-v); symbiotic stars are bluer than it in both, by the light of their hot
component. Colours are as observed, reddening included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from skysy.analysis.simulate.fields import Fields, to_sky, to_vectors
from skysy.analysis.simulate.plan import Plan, feature_code, kind_code

EXTINCTION_JK = 0.413  # E(J-Ks) per E(B-V) of Schlegel et al. 1998 (Schlafly & Finkbeiner 2011 coefficients)
_FIRST_OBJECT_ID = 100_000_001
_ID_STRIDE = 397
_DIM_MAG = 25.0  # too faint for any exposure
# Rows: the Galactic x, y, z axes in ICRS (Hipparcos catalogue, vol. 1, section 1.5.3).
_GALACTIC = np.array(
    [
        [-0.0548755604, -0.8734370902, -0.4838350155],
        [0.4941094279, -0.4448296300, 0.7469822445],
        [-0.8676661490, -0.1980763734, 0.4559837762],
    ]
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass
class Stars:
    """One batch of objects. `mags` has shape (n, 6), filters u v g r i z, AB.

    `j`, `h`, `k` count 0.001 mag, `ebmv` counts 1e-4 mag; `r_est_pc` is the distance that the distance
    catalogue gives.
    """

    index: Ints
    object_id: Ints
    kind: Ints
    feature: Ints
    flicker_mag: Floats
    is_known: Bools
    home: Ints
    ra_deg: Floats
    dec_deg: Floats
    glon_deg: Floats
    glat_deg: Floats
    ebmv: Ints
    j: Ints
    h: Ints
    k: Ints
    r_est_pc: Floats
    mags: Floats
    pulsation_mag: Floats
    period_d: Floats
    phase: Floats
    prox_arcsec: Floats
    prox_id: Ints

    def __len__(self) -> int:
        return len(self.object_id)

    def has(self, feature: str) -> Bools:
        """Which objects have the feature."""
        found: Bools = self.feature == feature_code(feature)
        return found

    def is_kind(self, *kinds: str) -> Bools:
        """Which objects are of any of the kinds."""
        return np.isin(self.kind, [kind_code(kind) for kind in kinds])


def make_stars(plan: Plan, start: int, stop: int, fields: Fields, rng: np.random.Generator) -> Stars:
    """Objects `start` to `stop` of the plan."""
    count = stop - start
    codes = plan.codes[start:stop]
    entries = plan.entries
    index = np.arange(start, stop)
    hidden = np.array([entry.is_hidden for entry in entries])[codes]
    blank = np.zeros(count)
    home = rng.integers(0, len(fields), count)
    stars = Stars(
        index=index,
        object_id=_FIRST_OBJECT_ID + index * _ID_STRIDE + rng.integers(0, _ID_STRIDE, count),
        kind=np.array([entry.kind for entry in entries])[codes],
        feature=np.array([entry.feature for entry in entries])[codes],
        flicker_mag=np.array([entry.amplitude_mag for entry in entries])[codes],
        is_known=np.array([entry.is_known for entry in entries])[codes],
        home=home,
        ra_deg=blank,
        dec_deg=blank,
        glon_deg=blank,
        glat_deg=blank,
        ebmv=home,
        j=home,
        h=home,
        k=home,
        r_est_pc=blank,
        mags=np.empty((count, 6)),
        pulsation_mag=blank,
        period_d=rng.uniform(100, 500, count),
        phase=rng.random(count),
        prox_arcsec=blank,
        prox_id=home,
    )
    _place(stars, fields, rng)
    _set_neighbours(stars, rng)
    _paint(stars, hidden, rng)
    _set_features(stars, rng)
    return stars


def _place(stars: Stars, fields: Fields, rng: np.random.Generator) -> None:
    count = len(stars)
    across, polar = stars.has("across_ra_0"), stars.has("at_the_pole")
    stars.home[across] = np.flatnonzero(fields.ra_deg == 0)[-1]
    stars.home[polar] = 0
    offsets = rng.uniform(-1.2, 1.2, (2, count))
    stars.ra_deg, stars.dec_deg = fields.place(stars.home, offsets[0], offsets[1])
    # arcseconds to either side of RA 0, arcminutes from the pole
    stars.ra_deg[across] = (rng.uniform(-0.001, 0.001, across.sum())) % 360
    stars.dec_deg[across] = fields.dec_deg[stars.home[across]] + rng.uniform(-1, 1, across.sum())
    stars.dec_deg[polar] = -90 + rng.uniform(0, 0.1, polar.sum())
    stars.ra_deg, stars.dec_deg = np.round(stars.ra_deg, 7) % 360, np.round(stars.dec_deg, 7)
    lon, lat = to_sky(to_vectors(stars.ra_deg, stars.dec_deg) @ _GALACTIC.T)
    stars.glon_deg, stars.glat_deg = lon, lat
    column = 0.05 / np.maximum(np.sin(np.radians(np.abs(lat))), 0.15) * rng.lognormal(0, 0.4, count)
    stars.ebmv = np.round(np.clip(column, 0.0005, 0.45) * 1e4).astype(np.int64)


def _set_neighbours(stars: Stars, rng: np.random.Generator) -> None:
    """The next survey source: none within 15 arcsec for most; close ones are neighbours in pairs."""
    count = len(stars)
    stars.prox_arcsec = np.where(rng.random(count) < 0.7, 15.0, rng.uniform(6.2, 15.0, count))
    stars.prox_id = stars.object_id + rng.integers(1, 40, count) * _ID_STRIDE
    close = np.flatnonzero(stars.has("close_neighbour"))
    stars.prox_arcsec[close] = rng.uniform(1.5, 5.9, close.size)
    first, second = close[0 : close.size - 1 : 2], close[1::2]
    angle = rng.uniform(0, 2 * np.pi, first.size)
    step_deg = stars.prox_arcsec[first] / 3600
    north, east = (
        step_deg * np.cos(angle),
        step_deg * np.sin(angle) / np.cos(np.radians(stars.dec_deg[first])),
    )
    stars.ra_deg[second] = np.round((stars.ra_deg[first] + east) % 360, 7) % 360
    stars.dec_deg[second] = np.round(stars.dec_deg[first] + north, 7)
    stars.home[second] = stars.home[first]
    stars.prox_arcsec[second] = stars.prox_arcsec[first]
    stars.prox_id[first], stars.prox_id[second] = stars.object_id[second], stars.object_id[first]
    stars.prox_arcsec = np.round(stars.prox_arcsec, 5)


def _paint(stars: Stars, hidden: Bools, rng: np.random.Generator) -> None:
    """Magnitudes and distances of each kind, from its own colours and luminosities."""
    count = len(stars)
    jk0, j_mag, abs_j, gj, ug, uv = _giants(count, rng)

    def put(kind: str, **values: Floats) -> None:
        rows = stars.is_kind(kind)
        for name, value in values.items():
            arrays[name][rows] = value[rows]

    def between(low: float, high: float) -> Floats:
        return rng.uniform(low, high, count)

    arrays = {"jk0": jk0, "j": j_mag, "abs_j": abs_j, "gj": gj, "ug": ug, "uv": uv}
    put(
        "pulsating_giant",
        jk0=between(1.0, 1.4),
        j=between(6.8, 9.8),
        abs_j=between(-7.5, -5),
        ug=between(2.2, 3.2),
    )
    put("carbon_star", jk0=between(1.1, 1.8), j=between(6.8, 9.0), ug=between(3.2, 4.6), uv=between(-0.2, 1.2))
    put("m_dwarf", jk0=between(0.86, 0.92), j=between(8.5, 11.0), abs_j=between(5, 8.5), gj=between(3.8, 4.4))
    put("m_dwarf", ug=between(2.6, 3.2))
    put(
        "reddened_giant",
        jk0=between(0.6, 0.84),
        j=between(6.8, 9.5),
        abs_j=between(-5, -1.5),
        ug=between(2.2, 2.8),
    )
    put("bluer_star", jk0=between(0.3, 0.8), j=between(8, 12.5), abs_j=between(-3, 5), gj=between(1.2, 2.4))
    put("bluer_star", ug=between(0.8, 2.2), uv=between(0.0, 0.5))
    put("faint_giant", j=between(14.05, 15.2), abs_j=between(-5, -2.5))
    bright, hot = between(-6, -3), between(7.2, 10.6)
    put("flickerer", j=hot, abs_j=bright)
    put("quiet_symbiotic", j=hot, abs_j=bright)
    shining = stars.is_kind("flickerer", "quiet_symbiotic") & ~hidden
    ug[shining], uv[shining] = between(0.2, 2.0)[shining], between(-0.5, 0.3)[shining]

    stars.ebmv[stars.is_kind("m_dwarf")] %= 100
    reddened = stars.is_kind("reddened_giant")
    wanted = (0.862 + between(0, 0.15) - jk0) / EXTINCTION_JK
    stars.ebmv[reddened] = np.ceil(wanted[reddened] * 1e4).astype(np.int64)
    stars.pulsation_mag = np.where(stars.is_kind("pulsating_giant"), between(0.3, 1.2), 0.0)

    ebmv = stars.ebmv * 1e-4
    stars.j = np.round(j_mag * 1000).astype(np.int64)
    jk = np.ceil((jk0 + EXTINCTION_JK * ebmv) * 1000).astype(np.int64)
    jk[stars.is_kind("bluer_star")] = np.minimum(jk, 845)[stars.is_kind("bluer_star")]
    stars.k = stars.j - jk
    stars.h = stars.j - np.round(0.78 * jk + rng.normal(0, 20, count)).astype(np.int64)
    stars.r_est_pc = 10 ** ((stars.j / 1000 - abs_j) / 5 + 1)
    _set_optical(stars, j_mag + gj + 1.5 * ebmv, ug + 0.3 * ebmv, uv, jk0, rng)


def _giants(count: int, rng: np.random.Generator) -> tuple[Floats, ...]:
    """(J-Ks)0, J, M_J, g-J, u-g, u-v of red giants: the ridge of the sample."""
    jk0 = 0.861 + 0.42 * rng.beta(1.3, 3, count)
    abs_j = -2.6 - 5 * (jk0 - 0.86) - 2.5 * rng.beta(1.5, 2, count)
    j_mag = 6.6 + 4.6 * rng.beta(2.2, 1.3, count)
    gj = 3.3 + 2.2 * (jk0 - 0.86) + rng.normal(0, 0.1, count)
    ug = np.clip(2.55 + 1.2 * (jk0 - 0.86) + rng.normal(0, 0.13, count), 2.2, 3.25)
    uv = np.clip(0.25 + 0.35 * (ug - 2.55) + rng.normal(0, 0.06, count), 0.05, 0.6)
    return jk0, j_mag, abs_j, gj, ug, uv


def _set_optical(stars: Stars, g: Floats, ug: Floats, uv: Floats, jk0: Floats, rng: np.random.Generator) -> None:
    count = len(stars)
    cool = jk0 - 0.86
    u = g + ug
    r = g - 1.1 - 0.5 * cool - rng.normal(0, 0.05, count)
    i = r - 0.55 - 0.6 * cool - rng.normal(0, 0.03, count)
    z = i - 0.3 - 0.25 * cool - rng.normal(0, 0.02, count)
    mags: Floats = np.stack([u, u - uv, g, r, i, z], axis=1)
    stars.mags = mags.round(4)


def _set_features(stars: Stars, rng: np.random.Generator) -> None:
    """Properties at the very edge of a cut, and stars that some filter does not see."""

    def put(feature: str, j: int, jk: int, ebmv: int | None = None) -> None:
        rows = stars.has(feature)
        stars.j[rows], stars.k[rows], stars.h[rows] = j, j - jk, j - round(0.78 * jk)
        if ebmv is not None:
            stars.ebmv[rows] = ebmv

    put("jk_exactly_0850", 9_500, 850, 10)
    put("jk_0850_from_9050_8200", 9_050, 850, 10)  # 9.05 - 8.2 > 0.85 in binary
    put("jk_0851", 9_500, 851, 10)
    put("j_exactly_14000", 14_000, 1_000, 500)
    put("j_13999", 13_999, 1_000, 500)
    put("mj_exactly_0", 10_000, 1_000, 500)
    faint = stars.has("j_faint")
    stars.k[faint] += 4_500  # both shift, the colour stays
    stars.h[faint] += 4_500
    stars.j[faint] += 4_500
    low = faint & (stars.j < 14_050)
    shift = 14_050 - stars.j[low] + rng.integers(0, 400, low.sum())
    stars.j[low], stars.h[low], stars.k[low] = (
        stars.j[low] + shift,
        stars.h[low] + shift,
        stars.k[low] + shift,
    )
    distant = faint | stars.has("j_exactly_14000") | stars.has("j_13999")
    edges = distant | stars.has("jk_exactly_0850") | stars.has("jk_0850_from_9050_8200") | stars.has("jk_0851")
    stars.r_est_pc[edges] = 10 ** ((stars.j[edges] / 1000 + 4) / 5 + 1)
    np.round(stars.r_est_pc, 4, out=stars.r_est_pc)
    stars.r_est_pc[stars.has("mj_exactly_0")] = 1_000.0
    stars.prox_arcsec[stars.has("prox_exactly_6")] = 6.0
    stars.prox_arcsec[stars.has("prox_just_over_6")] = 6.00001
    stars.mags[stars.has("no_u"), 0] = _DIM_MAG
    # so bright that g saturates in the shortest exposure too
    rows = stars.has("no_g")
    stars.mags[rows] += (8.5 - stars.mags[rows, 2])[:, None]
