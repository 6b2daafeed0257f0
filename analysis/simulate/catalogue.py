"""Rows of the catalogues: the survey's objects, and what 2MASS, AllWISE, Gaia and the distance catalogue say.

Each function gives arrays over all stars of a batch, keyed by the archive's column names; `present` says
which stars have a row at all. Masked values are NULL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import hpgeom
import numpy as np
import numpy.typing as npt
from skysy.analysis.simulate.cadence import FILTERS, Images
from skysy.analysis.simulate.photometry import CLIPPED, ERROR_FLOOR_MAG, NOT_CONSIDERED, USED, Detections
from skysy.analysis.simulate.shape import choose, designations
from skysy.analysis.simulate.sky import Stars

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Columns = dict[str, Any]

_LEVEL_12 = 4096  # nside of the HEALPix pixel that leads a Gaia source_id


@dataclass
class Rows:
    """The columns of one table over all stars of a batch, and which stars have a row in it."""

    columns: Columns
    present: Bools


def means(stars: Stars, found: Detections, images: Images, rng: np.random.Generator) -> Columns:
    """The columns of dr2.master that average detections; to be taken before faults are planted."""
    count = len(stars)
    cells = 6 * count
    cell = found.star * 6 + found.filter
    good = found.used != NOT_CONSIDERED
    weight = np.where(found.used == USED, 1 / (found.e_mag**2 + 1e-4), 0.0)
    total = np.bincount(cell, weights=weight, minlength=cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(cell, weights=weight * found.mag, minlength=cells) / total
        error = np.maximum(total**-0.5, ERROR_FLOOR_MAG)
        deviation = np.where(good, (found.mag - mean[cell]) / found.e_mag, 0.0)
        degrees = np.bincount(cell, weights=good, minlength=cells) - 1
        chi2 = np.bincount(cell, weights=np.nan_to_num(deviation) ** 2, minlength=cells) / degrees
    unseen = ~(total > 0)
    grid = {
        "psf": np.ma.masked_where(unseen, np.round(mean, 4)),
        "e_psf": np.ma.masked_where(unseen, np.round(error, 4)),
        "rchi2var": np.ma.masked_where(~(degrees > 0) | unseen, np.round(np.minimum(chi2, 1e6), 3)),
        "petro": np.ma.masked_where(unseen, np.round(mean + rng.normal(0, 0.02, cells), 4)),
        "e_petro": np.ma.masked_where(unseen, np.round(2 * error, 4)),
    }
    dates = images.date_mjd[found.image]
    seen = np.maximum(np.bincount(found.star, minlength=count), 1)
    epoch = np.bincount(found.star, weights=dates, minlength=count) / seen
    spread = np.bincount(found.star, weights=(dates - epoch[found.star]) ** 2, minlength=count) / seen
    return _by_band(grid) | {"mean_epoch": np.round(epoch, 6), "rms_epoch": np.round(np.sqrt(spread), 3)}


def counts(stars: Stars, found: Detections) -> Columns:
    """The columns of dr2.master that count detections; to be taken after faults, but without copies."""
    cells = 6 * len(stars)
    considered = found.used != NOT_CONSIDERED
    cell = found.star * 6 + found.filter
    flags = np.zeros(cells, dtype=np.int64)
    np.bitwise_or.at(flags, cell[considered], found.flags[considered])
    ngood = np.bincount(cell[found.used == USED], minlength=cells)
    pixels = np.bincount(cell[considered], weights=found.nimaflags[considered], minlength=cells)
    grid = {
        "flags": flags,
        "nimaflags": pixels.astype(np.int64),
        "ngood": ngood,
        "nch": np.where(ngood > 0, 1 + np.repeat(stars.has("two_children"), 6), 0),
        "nclip": np.bincount(cell[found.used == CLIPPED], minlength=cells),
    }
    by_object = {name: values.reshape(-1, 6) for name, values in grid.items()}
    least = np.where(by_object["ngood"] > 0, by_object["ngood"], by_object["ngood"].max(axis=1)[:, None])
    return _by_band(grid) | {
        "flags": np.bitwise_or.reduce(by_object["flags"], axis=1),
        "nimaflags": by_object["nimaflags"].sum(axis=1),
        "ngood": by_object["ngood"].sum(axis=1),
        "ngood_min": least.min(axis=1),
    }


def _by_band(grid: dict[str, Any]) -> Columns:
    """Columns u_psf, e_u_psf, ... of values for each star and filter."""
    columns: Columns = {}
    for name, values in grid.items():
        for number, band in enumerate(FILTERS):
            column = f"e_{band}_{name[2:]}" if name.startswith("e_") else f"{band}_{name}"
            columns[column] = values.reshape(-1, 6)[:, number]
    return columns


def master(stars: Stars, photometry: Columns, rng: np.random.Generator) -> Rows:
    """dr2.master; `photometry` is what `means` and `counts` give."""
    count = len(stars)
    stellarity = np.round(rng.uniform(0.93, 1, count), 4)
    galaxies = stars.has("class_star_low")
    stellarity[galaxies] = np.round(rng.uniform(0, 0.85, int(galaxies.sum())), 4)
    stellarity[stars.has("class_star_exactly_09")] = 0.9
    stellarity[stars.has("class_star_just_over_09")] = 0.900001
    columns: Columns = {
        "object_id": stars.object_id,
        "raj2000": stars.ra_deg,
        "dej2000": stars.dec_deg,
        "e_raj2000": rng.integers(15, 120, count),
        "e_dej2000": rng.integers(15, 120, count),
        "smss_j": designations(stars.ra_deg, stars.dec_deg, points=True, prefix="J"),
        "glon": np.round(stars.glon_deg, 4),
        "glat": np.round(stars.glat_deg, 4),
        "nch_max": np.where(stars.has("two_children"), 2, 1),
        "density": np.where(stars.prox_arcsec < 15, 2.0, 1.0),
        "class_star": stellarity,
        "flags_psf": np.where(stars.has("blended"), rng.integers(1, 64, count), 0),
        "radius_petro": np.round(rng.uniform(6, 9, count), 2),
        "ebmv_sfd": stars.ebmv * 1e-4,
        "prox": stars.prox_arcsec,
        "prox_id": np.ma.masked_where(stars.prox_arcsec >= 15, stars.prox_id),
    }
    return Rows(columns | photometry | _neighbours(stars, rng), np.ones(count, dtype=bool))


def _neighbours(stars: Stars, rng: np.random.Generator) -> Columns:
    """Keys of the nearest sources in other catalogues and their distances (arcsec, 5 decimals)."""
    columns: Columns = {}
    for name, key, column, keys, limit in (
        ("twomass", "twomass_key", "twomass_dist", pts_keys(stars), 2.0),
        ("allwise", "allwise_cntr", "allwise_dist", cntrs(stars), 3.0),
        ("gaia", "gaia_dr2_id1", "gaia_dr2_dist1", gaia_ids(stars), 2.0),
    ):
        distance = np.minimum(rng.rayleigh(0.15, len(stars)), 0.9 * limit)
        far = stars.has(f"{name}_far")
        distance[far] = rng.uniform(limit * 1.02, 14, int(far.sum()))
        distance[stars.has(f"{name}_dist_exactly_{limit:.0f}")] = limit
        missing = stars.has(f"{name}_missing")
        columns[key] = np.ma.masked_where(missing, keys)
        columns[column] = np.ma.masked_where(missing, np.round(distance, 5))
    return columns


def pts_keys(stars: Stars) -> npt.NDArray[np.int64]:
    """2MASS keys: whole numbers below 2^31."""
    return 20_000_003 + stars.index * 401 + stars.object_id % 397


def cntrs(stars: Stars) -> npt.NDArray[np.int64]:
    """AllWISE keys of 19 digits, beyond what a float64 can hold."""
    tile = 1_000 + (stars.ra_deg * 10).astype(np.int64)
    keys: npt.NDArray[np.int64] = tile * 10**15 + 351_000_000_000_001 + stars.index * 1_009
    return keys


def gaia_ids(stars: Stars) -> npt.NDArray[np.int64]:
    """Gaia source_ids of 19 digits: the level-12 HEALPix pixel of the position, then a running number."""
    pixel = hpgeom.angle_to_pixel(_LEVEL_12, stars.ra_deg, stars.dec_deg, nest=True).astype(np.int64)
    ids: npt.NDArray[np.int64] = pixel * 2**35 + stars.index * 128 + stars.object_id % 127
    return ids


def twomass(stars: Stars, master_rows: Rows, rng: np.random.Generator) -> Rows:
    """ext.twomass_psc."""
    count = len(stars)
    ra, dec = _offset(stars, master_rows.columns["twomass_dist"], rng)
    quality = np.zeros(count, dtype=np.int64)
    quality[stars.has("ph_qual_poor")] = rng.integers(1, 4, int(stars.has("ph_qual_poor").sum()))
    quality[stars.has("ph_qual_upper_limit")] = rng.integers(4, 6, int(stars.has("ph_qual_upper_limit").sum()))
    confusion = np.zeros(count, dtype=np.int64)
    confusion[stars.has("cc_flg_confused")] = rng.integers(1, 5, int(stars.has("cc_flg_confused").sum()))
    extended = stars.has("extended") | stars.has("ext_key_zero")
    ext_key = np.where(stars.has("extended"), 1_000_000 + stars.index, 0)
    columns: Columns = {
        "ra": ra,
        "decl": dec,
        "err_maj": np.full(count, 0.06),
        "err_min": np.full(count, 0.06),
        "err_ang": np.full(count, 90),
        "designation": designations(ra, dec, points=False),
    }
    grades = ("AAA", "AAB", "BAA", "EAA", "AAU", "UUA")
    for place, (name, magnitude) in enumerate((("j", stars.j), ("h", stars.h), ("k", stars.k))):
        error = np.round(0.02 + 0.004 * rng.random(count) + 0.0004 * (magnitude / 1000) ** 1.2, 3)
        limit = np.array([grade[place] == "U" for grade in grades])[quality]
        columns[f"{name}_m"] = magnitude
        columns[f"{name}_cmsig"] = np.ma.masked_where(limit, error - 0.002)
        columns[f"{name}_msigcom"] = np.ma.masked_where(limit, error)
        columns[f"{name}_snr"] = np.ma.masked_where(limit, np.round(1.0857 / error, 1))
        columns[f"{name}_psfchi"] = np.ma.masked_where(limit, np.round(rng.uniform(0.7, 1.4, count), 2))
    columns |= {
        "ph_qual": choose(grades, quality),
        "rd_flg": choose(("222", "111"), (stars.j < 8_500).astype(np.int64)),
        "bl_flg": choose(("111",), np.zeros(count, dtype=np.int64)),
        "cc_flg": choose(("000", "0c0", "c00", "00d", "ddd"), confusion),
        "ndet": choose(("666666", "060606"), np.zeros(count, dtype=np.int64)),
        "prox": np.round(rng.uniform(6, 60, count), 1),
        "pxpa": rng.integers(0, 360, count),
        "pxcntr": pts_keys(stars) + 7,
        "gal_contam": np.where(stars.has("gal_contam"), rng.integers(1, 3, count), 0),
        "mp_flg": np.zeros(count, dtype=np.int64),
        "pts_key": pts_keys(stars),
        "hemis": choose(("s",), np.zeros(count, dtype=np.int64)),
        "date": choose(("1999-08-02", "2000-03-17"), rng.integers(0, 2, count)),
        "scan": rng.integers(1, 200, count),
        "glon": np.round(stars.glon_deg, 3),
        "glat": np.round(stars.glat_deg, 3),
        "jdate": np.round(rng.uniform(2_451_200, 2_451_900, count), 4),
        "dup_src": np.zeros(count, dtype=np.int64),
        "use_src": np.ones(count, dtype=np.int64),
        "nopt_mchs": np.ones(count, dtype=np.int64),
        "ext_key": np.ma.masked_where(~extended, ext_key),
        "scan_key": rng.integers(10_000, 70_000, count),
    }
    return Rows(columns, ~stars.has("twomass_missing"))


def allwise(stars: Stars, master_rows: Rows, rng: np.random.Generator) -> Rows:
    """ext.allwise: W1 and W2 for all, some upper limits in W3 and W4."""
    count = len(stars)
    ra, dec = _offset(stars, master_rows.columns["allwise_dist"], rng)
    columns: Columns = {
        "designation": designations(ra, dec, points=True, prefix="J"),
        "ra": ra,
        "dec": dec,
        "sigra": np.full(count, 0.04),
        "sigdec": np.full(count, 0.04),
        "cntr": cntrs(stars),
    }
    magnitude = stars.k - rng.integers(30, 200, count)
    for band, (step, limits) in enumerate(((0, 0.002), (-80, 0.002), (60, 0.02), (40, 0.15)), start=1):
        magnitude = np.maximum(magnitude - step + rng.integers(-30, 31, count), -2_000)
        limit = rng.random(count) < limits
        error = rng.integers(20, 60 * band, count)
        columns[f"w{band}mpro"] = magnitude
        columns[f"w{band}sigmpro"] = np.ma.masked_where(limit, error)
        columns[f"w{band}snr"] = np.round(np.where(limit, 1.2, 1085.7 / error), 1)
        columns[f"w{band}rchi2"] = np.round(rng.uniform(0.6, 2.5, count), 3)
    zeros = np.zeros(count, dtype=np.int64)
    columns |= {
        "cc_flags": choose(("0000", "000h", "dd00"), (rng.random(count) < 0.05).astype(np.int64)),
        "ext_flg": zeros,
        "var_flg": choose(("0000", "11nn", "98nn"), np.where(stars.pulsation_mag > 0, 2, zeros)),
        "ph_qual": choose(("AAAA", "AAAB"), zeros),
        "tmass_key": np.ma.masked_where(stars.has("twomass_missing"), pts_keys(stars)),
        "r_2mass": np.ma.masked_where(stars.has("twomass_missing"), np.round(rng.rayleigh(0.12, count), 3)),
    }
    return Rows(columns, ~stars.has("allwise_missing"))


def gaia(stars: Stars, master_rows: Rows, rng: np.random.Generator) -> Rows:
    """ext.gaia_dr2: a few sources with two parameters only, a few that move arcseconds a year."""
    count = len(stars)
    ra, dec = _offset(stars, master_rows.columns["gaia_dr2_dist1"], rng)
    fast = stars.has("high_proper_motion")
    motion = np.where(
        fast, rng.uniform(800, 2_500, count), rng.gamma(1.5, 4, count) * 1_000 / np.sqrt(stars.r_est_pc) / 30
    )
    angle = rng.uniform(0, 2 * np.pi, count)
    error = np.round(rng.uniform(0.02, 0.08, count), 6)
    parallax = np.round(1_000 / stars.r_est_pc + rng.normal(0, 1, count) * error, 6)
    partial = stars.has("distance_missing") & (rng.random(count) < 0.5)
    bp_rp = np.round(1.2 + (stars.mags[:, 2] - stars.mags[:, 4]) * 0.6, 4)
    green = np.round(stars.mags[:, 3] - 0.1, 4)

    def solved(values: Floats) -> np.ma.MaskedArray[Any, Any]:
        return np.ma.masked_where(partial, values)

    columns: Columns = {
        "source_id": gaia_ids(stars),
        "ref_epoch": np.full(count, 2015.5),
        "ra": ra,
        "ra_error": error,
        "dec": dec,
        "dec_error": error,
        "parallax": solved(parallax),
        "parallax_error": solved(error),
        "parallax_over_error": solved(np.round(parallax / error, 4)),
        "pmra": solved(np.round(motion * np.sin(angle), 6)),
        "pmra_error": solved(np.round(1.8 * error, 6)),
        "pmdec": solved(np.round(motion * np.cos(angle), 6)),
        "pmdec_error": solved(np.round(1.7 * error, 6)),
        "astrometric_excess_noise": np.round(rng.exponential(0.1, count), 6),
        "astrometric_excess_noise_sig": np.round(rng.exponential(2, count), 4),
        "astrometric_params_solved": np.where(partial, 3, 31),
        "visibility_periods_used": rng.integers(6, 18, count),
        "duplicated_source": rng.random(count) < 0.02,
        "phot_g_mean_mag": green,
        "phot_bp_mean_mag": green + np.round(0.4 * bp_rp, 4),
        "phot_rp_mean_mag": green - np.round(0.6 * bp_rp, 4),
        "bp_rp": bp_rp,
        "phot_bp_rp_excess_factor": np.round(1.2 + 0.03 * bp_rp**2, 4),
        "phot_variable_flag": choose(("NOT_AVAILABLE", "VARIABLE"), (stars.pulsation_mag > 0.8).astype(np.int64)),
        "radial_velocity": np.ma.masked_where((green > 12.5) | partial, np.round(rng.normal(0, 60, count), 3)),
        "l": stars.glon_deg,
        "b": stars.glat_deg,
    }
    return Rows(columns, ~stars.has("gaia_missing"))


def distances(stars: Stars, gaia_rows: Rows, rng: np.random.Generator) -> Rows:
    """gaiadr2_complements.geometric_distance: failed solutions have flag 0 and no distance."""
    count = len(stars)
    failed, doubtful = stars.has("distance_failed"), stars.has("distance_doubtful")
    flag = np.where(rng.random(count) < 0.01, 2, 1)
    flag[failed | doubtful] = 0
    below, above = rng.uniform(0.05, 0.2, count), rng.uniform(0.06, 0.3, count)
    columns: Columns = {
        "source_id": gaia_rows.columns["source_id"],
        "r_est": np.ma.masked_where(failed, stars.r_est_pc),
        "r_lo": np.ma.masked_where(failed, np.round(stars.r_est_pc * (1 - below), 4)),
        "r_hi": np.ma.masked_where(failed, np.round(stars.r_est_pc * (1 + above), 4)),
        "r_len": np.round(rng.uniform(600, 2_400, count), 4),
        "result_flag": flag,
        "modality_flag": np.where(rng.random(count) < 0.01, 2, 1),
    }
    return Rows(columns, gaia_rows.present & ~stars.has("distance_missing"))


def _offset(stars: Stars, distance_arcsec: Any, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Positions at the given distance in a random direction, 7 decimals."""
    angle = rng.uniform(0, 2 * np.pi, len(stars))
    step_deg = np.ma.filled(distance_arcsec, 0.0) / 3600
    narrow = np.maximum(np.cos(np.radians(stars.dec_deg)), 1e-6)
    ra = np.round((stars.ra_deg + step_deg * np.sin(angle) / narrow) % 360, 7) % 360
    dec = np.round(stars.dec_deg + step_deg * np.cos(angle), 7)
    return ra, np.maximum(dec, -90.0)
