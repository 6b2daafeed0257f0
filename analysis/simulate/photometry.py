"""Single detections: what each exposure makes of each star, with the survey's noise and its quality flags.

Errors follow log10(e) = a mag + c (relation of the public SkyMapper DR4 light-curve code) with the
catalogue's floor of 0.0033 mag; the true scatter is larger, sqrt(e^2 + 0.01^2) in u and v, since the
survey reproduces to 1 % and no better.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from skysy.analysis.flicker import damped_walk
from skysy.analysis.simulate.cadence import FILTERS, IMAGE_TYPES, Images
from skysy.analysis.simulate.fields import HALF_WIDTH_DEG, Fields
from skysy.analysis.simulate.shape import choose
from skysy.analysis.simulate.sky import Stars

ERROR_FLOOR_MAG = 0.0033
# per filter u v g r i z
_ERROR_SLOPE = np.array([0.19, 0.21, 0.24, 0.24, 0.21, 0.21])
_ERROR_OFFSET = np.array([-5.1, -5.55, -6.78, -6.61, -5.9, -5.65])
_SATURATION_100S_MAG = np.array([10.0, 10.5, 13.0, 13.0, 11.0, 10.5])
_DEPTH_100S_MAG = np.array([19.5, 19.5, 21.0, 21.0, 20.0, 19.0])
# the part of the reproducibility that is not common to the image (see cadence.ZERO_POINT_SIGMA_MAG)
_SCATTER_MAG = np.array([0.0071, 0.0071, 0.005, 0.005, 0.005, 0.005])
_PULSATION_SCALE = np.array([1.0, 1.0, 1.0, 0.8, 0.6, 0.5])
_FLICKER_SCALE = np.array([1.0, 0.6, 0.2, 0.05, 0.03, 0.02])
FLICKER_TIMESCALE_D = 10 / 1440
_SATURATED = 4  # SExtractor flag
_CLIP_SIGMA = 3.0
CCD_COLUMNS, CCD_ROWS = 8, 4

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NOT_CONSIDERED, CLIPPED, USED = -1, 0, 1  # used_in_clip as NULL, FALSE, TRUE


@dataclass
class Detections:
    """Rows of dr2.photometry. `star` and `image` are row numbers in the batch and in the images.

    `object_id` is 0 for a detection merged into no object, `used` is -1, 0, 1 for NULL, FALSE, TRUE;
    `mag_null` and `error_null` mark values that are not there.
    """

    star: Ints
    image: Ints
    image_id: Ints
    object_id: Ints
    ccd: Ints
    filter: Ints
    x_img: Floats
    y_img: Floats
    mag: Floats
    e_mag: Floats
    mag_null: npt.NDArray[np.bool_]
    error_null: npt.NDArray[np.bool_]
    flags: Ints
    nimaflags: Ints
    used: Ints

    def __len__(self) -> int:
        return len(self.star)

    def rows(self, chosen: npt.NDArray[np.generic]) -> Detections:
        """A copy of some rows."""
        return Detections(**{item.name: getattr(self, item.name)[chosen].copy() for item in fields(self)})

    def with_rows(self, *others: Detections) -> Detections:
        """These rows and then the others."""
        names = [item.name for item in fields(self)]
        return Detections(**{n: np.concatenate([getattr(d, n) for d in (self, *others)]) for n in names})


def detect(stars: Stars, sky: Fields, images: Images, rng: np.random.Generator) -> Detections:
    """Every detection of the stars, in order of star, field and time."""
    member, field, east_deg, north_deg = sky.members(stars.ra_deg, stars.dec_deg, stars.home)
    count = images.first[field + 1] - images.first[field]
    visit = np.repeat(np.arange(member.size), count)
    image = np.arange(visit.size) - np.repeat(np.cumsum(count) - count - images.first[field], count)
    star = member[visit]
    band = images.filter[image]
    depth_mag = 1.25 * np.log10(images.exp_time_s[image] / 100)
    mag = stars.mags[star, band] + _PULSATION_SCALE[band] * stars.pulsation_mag[star] * np.sin(
        2 * np.pi * (images.date_mjd[image] / stars.period_d[star] + stars.phase[star])
    )
    seen = mag < _DEPTH_100S_MAG[band] + depth_mag + rng.normal(0, 0.1, mag.size)
    visit, image, star, band, depth_mag, mag = (a[seen] for a in (visit, image, star, band, depth_mag, mag))
    mag += _FLICKER_SCALE[band] * _flicker(stars, star, images.date_mjd[image], rng)
    ccd, x_img, y_img = _on_the_mosaic(east_deg, north_deg)
    flags, nimaflags = _quality(stars, star, band, mag, 2 * depth_mag, rng)
    error = _errors(mag, band, depth_mag, rng)
    mag += images.zero_point_mag[image] + rng.normal(0, 1, mag.size) * np.hypot(error, _SCATTER_MAG[band])
    found = Detections(
        star=star.astype(np.int32),
        image=image.astype(np.int32),
        image_id=images.image_id[image],
        object_id=stars.object_id[star],
        ccd=ccd[visit].astype(np.int8),
        filter=band.astype(np.int8),
        x_img=(x_img[visit] + rng.uniform(-20, 20, mag.size)).astype(np.float32),
        y_img=(y_img[visit] + rng.uniform(-20, 20, mag.size)).astype(np.float32),
        mag=np.round(mag, 6),
        e_mag=error,
        mag_null=np.zeros(mag.size, dtype=bool),
        error_null=np.zeros(mag.size, dtype=bool),
        flags=flags.astype(np.int16),
        nimaflags=nimaflags.astype(np.int32),
        used=np.full(mag.size, USED, dtype=np.int8),
    )
    _clip(found, images)
    return found


def _errors(mag: Floats, band: Ints, depth_mag: Floats, rng: np.random.Generator) -> Floats:
    """Catalogue errors, 4 decimals; a shorter exposure sees a star as a long one sees a fainter star."""
    exponent = _ERROR_SLOPE[band] * (mag - 2 * depth_mag) + _ERROR_OFFSET[band]
    spread = rng.normal(0, 0.04, mag.size)
    errors: Floats = np.round(np.maximum(ERROR_FLOOR_MAG, 10 ** (exponent + spread)), 4)
    return errors


def _flicker(stars: Stars, star: Ints, date_mjd: Floats, rng: np.random.Generator) -> Floats:
    """Change in u of each flickerer: a damped random walk of its rms, with a memory of FLICKER_TIMESCALE_D."""
    flicker = np.zeros(star.size)
    rows = np.flatnonzero(stars.flicker_mag[star] > 0)
    if rows.size == 0:
        return flicker
    walk = damped_walk(star[rows], date_mjd[rows], FLICKER_TIMESCALE_D, rng)
    flicker[rows] = walk * stars.flicker_mag[star[rows]]
    return flicker


def _on_the_mosaic(east_deg: Floats, north_deg: Floats) -> tuple[Ints, Floats, Floats]:
    """CCD 1 to 32 and pixel of tangent-plane offsets: 8 columns of 2048 by 4 rows of 4096 pixels."""
    across = (0.5 - east_deg / (2 * HALF_WIDTH_DEG)) * CCD_COLUMNS
    up = (0.5 + north_deg / (2 * HALF_WIDTH_DEG)) * CCD_ROWS
    column = np.clip(across.astype(np.int64), 0, CCD_COLUMNS - 1)
    row = np.clip(up.astype(np.int64), 0, CCD_ROWS - 1)
    return 1 + row * CCD_COLUMNS + column, (across - column) * 2048, (up - row) * 4096


def _quality(
    stars: Stars, star: Ints, band: Ints, mag: Floats, shift_mag: Floats, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """SExtractor flags and number of flagged pixels."""
    flags = np.where(rng.random(star.size) < 0.04, rng.integers(1, 4, star.size), 0)
    flags[stars.has("blended")[star]] |= 2
    flags[mag < _SATURATION_100S_MAG[band] + shift_mag] |= _SATURATED
    luck = rng.random(star.size)
    nimaflags = np.where(luck < 0.03, rng.integers(1, 5, star.size), 0)
    spoilt = (luck > 0.99) | (stars.has("no_v")[star] & (band == 1))
    nimaflags[spoilt] = rng.integers(5, 400, int(spoilt.sum()))
    return flags, nimaflags


def _clip(found: Detections, images: Images) -> None:
    """Decide used_in_clip: NULL unless good (flags < 4, nimaflags < 5, image not bad), FALSE for outliers."""
    good = (found.flags < 4) & (found.nimaflags < 5)
    good &= images.image_type[found.image] != IMAGE_TYPES.index("bad")
    found.used[~good] = NOT_CONSIDERED
    rows = np.flatnonzero(good)
    group = found.star[rows] * 6 + found.filter[rows]
    deviation = found.mag[rows] - _median_of_group(group, found.mag[rows])
    spread = 1.4826 * _median_of_group(group, np.abs(deviation))
    sigma = np.maximum(np.hypot(found.e_mag[rows], 0.01), spread)
    members = np.bincount(group)[group]
    found.used[rows[(np.abs(deviation) > _CLIP_SIGMA * sigma) & (members > 2)]] = CLIPPED


def _median_of_group(group: Ints, values: Floats) -> Floats:
    """For each row the (upper) median of its group."""
    order = np.lexsort((values, group))
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    counts = np.diff(starts, append=group.size)
    middle = values[order[starts + counts // 2]]
    medians = np.empty(values.size)
    medians[order] = np.repeat(middle, counts)
    return medians


def detection_columns(found: Detections, stars: Stars, rng: np.random.Generator) -> dict[str, Any]:
    """Columns of dr2.photometry; shapes and fluxes follow from magnitude and chance."""
    count = len(found)
    east_deg, north_deg = rng.normal(0, 0.08 / 3600, (2, count))
    narrow = np.maximum(np.cos(np.radians(stars.dec_deg)), 1e-6)[found.star]
    decl = np.maximum(stars.dec_deg[found.star] + north_deg, -90)
    flux = np.round(10 ** (-0.4 * (stars.mags[found.star, found.filter] - 25)), 1)
    width = np.round(rng.normal(2.2, 0.2, count), 2)
    elong = np.round(1 + rng.exponential(0.05, count), 2)
    relative = np.where((found.e_mag > 0) & (found.e_mag < 1), found.e_mag, 0.01)
    return {
        "image_id": found.image_id,
        "ccd": found.ccd,
        "object_id": np.ma.masked_where(found.object_id == 0, found.object_id),
        "filter": choose(tuple(FILTERS), found.filter),
        "ra_img": np.round((stars.ra_deg[found.star] + east_deg / narrow) % 360, 6) % 360,
        "decl_img": np.round(decl, 6),
        "x_img": np.round(found.x_img, 1),
        "y_img": np.round(found.y_img, 1),
        "mag_psf": np.ma.masked_where(found.mag_null, found.mag),
        "e_mag_psf": np.ma.masked_where(found.error_null, found.e_mag),
        "flux_psf": flux,
        "e_flux_psf": np.round(flux * relative, 1),
        "flux_kron": np.round(flux * 1.01, 1),
        "e_flux_kron": np.round(flux * relative * 1.2, 1),
        "chi2_psf": np.round(rng.gamma(4, 0.25, count), 2),
        "flags": found.flags,
        "nimaflags": found.nimaflags,
        "imaflags": np.where(found.nimaflags > 0, 1, 0),
        "class_star": np.where(stars.has("class_star_low")[found.star], 0.4, 0.98),
        "a": width,
        "b": np.round(width / elong, 2),
        "elong": elong,
        "radius_petro": np.round(3.4 * width, 2),
        "radius_kron": np.round(2.5 * width, 2),
        "used_in_clip": np.ma.masked_where(found.used == NOT_CONSIDERED, found.used == USED),
    }
