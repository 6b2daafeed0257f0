"""The science a second time, in plain numpy and Python loops, written from its formulas and not from the SQL.

Nothing here reads the project's SQL or code. Magnitudes and errors are float64; what an archive's REAL means
is given back by `decimals`. Sources: A. B. Lucy, "archival data retrieval and analysis in the time domain"
(talk, 2021); Lucy et al. 2024, arXiv:2412.00855; the SkyMapper Southern Sky Survey's page and DR2 page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations, pairwise
from math import log10, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Tri = bool | None
"""A cut's answer: passes, fails, or cannot be said."""

FLOOR_MAG = 0.01
E_JK_PER_EBMV = Decimal("0.413")


def decimals(values: ArrayLike, places: int) -> Floats:
    """The decimal numbers that single-precision values were written as: magnitudes 6 places, errors 4."""
    scaled = np.asarray(values, dtype=np.float32).astype(np.float64) * 10.0**places
    return np.floor(scaled + 0.5) / 10.0**places


def _groups(*keys: NDArray[np.int64]) -> tuple[Ints, Ints]:
    """(index of the first row of each group, group number of every row), groups in order of the keys."""
    order = np.lexsort(keys[::-1])
    fresh = np.zeros(len(order), dtype=bool)
    if len(order):
        fresh[0] = True
    for key in keys:
        fresh[1:] |= key[order][1:] != key[order][:-1]
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(fresh) - 1
    return order[fresh].astype(np.int64), number


@dataclass(frozen=True)
class Nights:
    """Snapshots, one row per object and night with a u, v or g measurement; NaN where a band is missing."""

    object_id: Ints
    night_mjd: Ints
    u_mag: Floats
    v_mag: Floats
    g_mag: Floats
    ug_mag: Floats
    ug_var: Floats
    uv_mag: Floats
    uv_var: Floats


@dataclass(frozen=True)
class Colours:
    """Mean snapshot colours, one row per object with a u, v or g measurement; NaN where no night has both."""

    object_id: Ints
    ug_mag: Floats
    ug_err: Floats
    n_nights_ug: Ints
    uv_mag: Floats
    uv_err: Floats
    n_nights_uv: Ints


def nights(
    object_id: ArrayLike,
    night_mjd: ArrayLike,
    filter: Sequence[str] | NDArray[np.str_],
    mag: ArrayLike,
    err: ArrayLike,
    *,
    weighted_variance: bool = False,
) -> Nights:
    """Nightly u, v, g and their colours (mag) and variances (mag^2).

    e'^2 = e^2 + 0.01^2; m = sum(m/e'^2) / sum(1/e'^2); var = sum(e'^2) / N^2, or 1 / sum(1/e'^2) if
    `weighted_variance`; variances of two bands are added.
    """
    band = np.asarray(filter, dtype=str)
    wanted = np.isin(band, ["u", "v", "g"])
    band = band[wanted]
    objects = np.asarray(object_id, dtype=np.int64)[wanted]
    night = np.asarray(night_mjd, dtype=np.int64)[wanted]
    m = np.asarray(mag, dtype=np.float64)[wanted]
    e2 = np.asarray(err, dtype=np.float64)[wanted] ** 2 + FLOOR_MAG**2
    first, number = _groups(objects, night)
    size = len(first)
    mean: dict[str, Floats] = {}
    variance: dict[str, Floats] = {}
    for name in ("u", "v", "g"):
        of = band == name
        n = np.bincount(number[of], minlength=size)
        total = np.bincount(number[of], weights=m[of] / e2[of], minlength=size)
        weight = np.bincount(number[of], weights=1.0 / e2[of], minlength=size)
        spread = np.bincount(number[of], weights=e2[of], minlength=size)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean[name] = total / weight
            variance[name] = 1.0 / weight if weighted_variance else spread / n.astype(np.float64) ** 2
    return Nights(
        objects[first],
        night[first],
        mean["u"],
        mean["v"],
        mean["g"],
        mean["u"] - mean["g"],
        variance["u"] + variance["g"],
        mean["u"] - mean["v"],
        variance["u"] + variance["v"],
    )


def colours(
    object_id: ArrayLike,
    night_mjd: ArrayLike,
    filter: Sequence[str] | NDArray[np.str_],
    mag: ArrayLike,
    err: ArrayLike,
) -> Colours:
    """u-g and u-v of each object (mag): nights weighted by 1/var, each colour by itself; error (sum 1/var)^-1/2."""
    of_night = nights(object_id, night_mjd, filter, mag, err)
    first, number = _groups(of_night.object_id)
    size = len(first)

    def mean(colour: Floats, variance: Floats) -> tuple[Floats, Floats, Ints]:
        has = np.isfinite(colour)
        weight = np.bincount(number[has], weights=1.0 / variance[has], minlength=size)
        total = np.bincount(number[has], weights=colour[has] / variance[has], minlength=size)
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.where(weight > 0, 1.0 / np.sqrt(weight), np.nan)
            return total / weight, error, np.bincount(number[has], minlength=size).astype(np.int64)

    ug, ug_err, n_ug = mean(of_night.ug_mag, of_night.ug_var)
    uv, uv_err, n_uv = mean(of_night.uv_mag, of_night.uv_var)
    return Colours(of_night.object_id[first], ug, ug_err, n_ug, uv, uv_err, n_uv)


@dataclass(frozen=True)
class Rapid:
    """The most significant pair of an object, and what else its sequences say."""

    object_id: int
    rapid_u_sigma: float
    delta_u_mag: float
    image_id_i: int
    image_id_j: int
    sequence_id: int
    e_mag_i: float
    e_mag_j: float
    n_u: int
    n_sequences: int
    rapid_u_sigma_floored: float


def rapid_variability(
    object_id: ArrayLike,
    sequence_id: Sequence[int | None],
    image_id: ArrayLike,
    date: ArrayLike,
    mag: ArrayLike,
    err: ArrayLike,
    filter: Sequence[str] | NDArray[np.str_],
    rapid_filter: str = "u",
) -> dict[int, Rapid]:
    """Per object: max |u_i - u_j| / sqrt(e_i^2 + e_j^2) over all pairs of a sequence, then over its sequences.

    Errors as they are; the floored figure adds 0.01 mag in quadrature to each. `delta_u_mag` is |u_i - u_j|,
    i the earlier exposure. Of equal pairs the one with the earlier i, then the earlier j. Sequences of one u
    do not count.
    """
    objects, images = np.asarray(object_id).tolist(), np.asarray(image_id).tolist()
    dates, mags, errs = np.asarray(date).tolist(), np.asarray(mag).tolist(), np.asarray(err).tolist()
    grouped: dict[tuple[int, int], list[tuple[float, int, float, float]]] = {}
    for row, sequence in enumerate(sequence_id):
        if sequence is not None and filter[row] == rapid_filter:
            exposure = (dates[row], images[row], mags[row], errs[row])
            grouped.setdefault((objects[row], int(sequence)), []).append(exposure)
    pairs: dict[int, list[tuple[float, int, int, float, int, float, float, int]]] = {}
    floored: dict[int, float] = {}
    counted: dict[int, int] = {}
    for (star, sequence), exposures in grouped.items():
        if len(exposures) < 2:
            continue
        counted[star] = counted.get(star, 0) + 1
        for i, j in combinations(sorted(exposures), 2):
            change = abs(i[2] - j[2])
            sigma = change / sqrt(i[3] * i[3] + j[3] * j[3])
            soft = change / sqrt(i[3] * i[3] + j[3] * j[3] + 2.0 * FLOOR_MAG * FLOOR_MAG)
            floored[star] = max(floored.get(star, 0.0), soft)
            pairs.setdefault(star, []).append((sigma, i[1], j[1], change, sequence, i[3], j[3], len(exposures)))
    found = {}
    for star, listed in pairs.items():
        best = min(listed, key=lambda pair: (-pair[0], pair[1], pair[2]))
        sigma, image_i, image_j, change, sequence, e_i, e_j, n_u = best
        found[star] = Rapid(
            star, sigma, change, image_i, image_j, sequence, e_i, e_j, n_u, counted[star], floored[star]
        )  # fmt: skip
    return found


def sequences(
    image_id: Sequence[int],
    field_id: Sequence[int | None],
    date: Sequence[float | None],
    filter: Sequence[str],
    image_type: Sequence[str | None],
    exp_time: Sequence[float | None],
    *,
    gap_min: float = 10.0,
    adjacent_min: float = 3.0,
    exposures_max: int = 10,
    exp_time_max_s: float = 101.0,
) -> dict[int, int]:
    """image_id -> sequence_id of every exposure that belongs to a Main Survey colour sequence.

    Exposures of one field in order of time, broken (1) after a pause, (2) at a u directly after a v, (3) at a u
    directly before v and g (unless it is directly after v i z and no v g r u v i follows), (4) after ten exposures; groups without u are dropped. The id is the first
    exposure's. "Directly" is within `adjacent_min` minutes from start to start; exposures longer than
    `exp_time_max_s` seconds do not take part.
    """
    of_field: dict[int, list[tuple[float, int, str]]] = {}
    for image, where, when, band, kind, seconds in zip(
        image_id, field_id, date, filter, image_type, exp_time, strict=True
    ):
        if seconds is not None and seconds > exp_time_max_s:
            continue
        if where is not None and when is not None and kind == "ms":
            of_field.setdefault(where, []).append((when, image, band))
    found: dict[int, int] = {}
    for exposures in of_field.values():
        exposures.sort()
        groups: list[list[tuple[float, int, str]]] = []

        bands = [band for _, _, band in exposures]
        pauses = [0.0] + [(b[0] - a[0]) * 1440.0 for a, b in pairwise(exposures)]
        directly = [False] + [pause <= adjacent_min for pause in pauses[1:]]
        for place, exposure in enumerate(exposures):
            begins = place == 0 or pauses[place] > gap_min
            if bands[place] == "u" and not begins:
                after_v = bands[place - 1] == "v" and directly[place]
                before_vg = bands[place + 1 : place + 3] == ["v", "g"] and all(directly[place + 1 : place + 3])
                third_u = bands[max(place - 3, 0) : place] == ["v", "i", "z"]
                third_u = third_u and directly[place]
                third_u = third_u and (exposure[0] - exposures[place - 3][0]) * 1440.0 <= 3 * adjacent_min
                if bands[place + 1 : place + 7] == list("vgruvi"):
                    anew = (exposures[place + 6][0] - exposure[0]) * 1440.0 <= 6 * adjacent_min
                    third_u = third_u and not anew
                begins = after_v or (before_vg and not third_u)
            if begins or len(groups[-1]) == exposures_max:
                groups.append([])
            groups[-1].append(exposure)
        for group in groups:
            if any(band == "u" for _, _, band in group):
                found.update({image: group[0][1] for _, image, _ in group})
    return found


@dataclass(frozen=True)
class Star:
    """One catalogue object with its neighbours' rows as they are stored; None = missing. arcsec, mag, r_est in pc.

    `twomass`, `gaia`, `allwise`, `distance` say whether the row that the key points at is there at all.
    """

    twomass: bool
    gaia: bool
    allwise: bool
    distance: bool
    twomass_dist: float | None
    gaia_dist: float | None
    allwise_dist: float | None
    prox: float | None
    class_star: float | None
    flags_psf: int | None
    nch_max: int | None
    u_ngood: int | None
    v_ngood: int | None
    g_ngood: int | None
    ebmv_sfd: float | None
    ph_qual: str | None = None
    cc_flg: str | None = None
    gal_contam: int | None = None
    ext_key: int | None = None
    j_m: Decimal | None = None
    k_m: Decimal | None = None
    r_est: float | None = None
    result_flag: int | None = None


def _over(value: float | Decimal | None, limit: float | Decimal) -> Tri:
    return None if value is None else bool(value > limit)


def _under(value: float | Decimal | None, limit: float | Decimal) -> Tri:
    return None if value is None else bool(value < limit)


def _equal(value: int | str | None, wanted: int | str) -> Tri:
    return None if value is None else value == wanted


def jk0(star: Star) -> float | None:
    """(J - Ks) - 0.413 E(B-V), mag, summed in decimals; E(B-V) has four."""
    if star.j_m is None or star.k_m is None or star.ebmv_sfd is None:
        return None
    reddening = Decimal(repr(float(decimals(star.ebmv_sfd, 4))))
    return float(star.j_m - star.k_m - E_JK_PER_EBMV * reddening)


def abs_j(star: Star) -> float | None:
    """M_J = J - 5 log10(r_est / 10 pc), mag, no extinction."""
    if star.j_m is None or star.r_est is None or star.r_est <= 0:
        return None
    return float(star.j_m) - 5.0 * log10(star.r_est / 10.0)


def cuts(star: Star) -> dict[str, Tri]:
    """Every cut of the selection (Lucy 2021, ADQL and slide), in its order: passes, fails or value missing."""
    colour = None if star.j_m is None or star.k_m is None else star.j_m - star.k_m
    return {
        "twomass": _under(star.twomass_dist, 2.0) if star.twomass else None,
        "gaia": _under(star.gaia_dist, 2.0) if star.gaia else None,
        "allwise": _under(star.allwise_dist, 3.0) if star.allwise else None,
        "prox": _over(star.prox, 6.0),
        "ph_qual": _equal(star.ph_qual, "AAA"),
        "gal_contam": _equal(star.gal_contam, 0),
        "ext_key": (star.ext_key is None or star.ext_key == 0) if star.twomass else None,
        "cc_flg": _equal(star.cc_flg, "000"),
        "class_star": _over(star.class_star, 0.9),
        "flags_psf": _equal(star.flags_psf, 0),
        "u_ngood": _over(star.u_ngood, 0),
        "v_ngood": _over(star.v_ngood, 0),
        "g_ngood": _over(star.g_ngood, 0),
        "nch_max": _equal(star.nch_max, 1),
        "jk": _over(colour, Decimal("0.85")),
        "j": _under(star.j_m, Decimal("14")),
        "distance": converged(star),
        "jk0": _over(jk0(star), 0.85),
        "abs_j": _under(abs_j(star), 0.0),
    }


def converged(star: Star) -> Tri:
    """Whether the distance converged: r_est is not NULL and result_flag is 1 or 2; None without a distance row."""
    if not star.distance:
        return None
    if star.r_est is None:
        return False
    return None if star.result_flag is None else star.result_flag in (1, 2)


def passes(answers: Iterable[Tri]) -> bool:
    """Whether every cut is passed; a value that is missing passes nothing."""
    return all(answer is True for answer in answers)


@dataclass(frozen=True)
class Detection:
    """One row of photometry as it is stored (None = NULL)."""

    image_id: int
    ccd: int | None
    object_id: int | None
    filter: str | None
    mag_psf: float | None
    e_mag_psf: float | None
    flags: int | None
    nimaflags: int | None
    used_in_clip: bool | None


@dataclass(frozen=True)
class Kept:
    """A detection that counts."""

    object_id: int
    image_id: int
    filter: str
    mag_psf: float
    e_mag_psf: float


def quality(detections: Iterable[Detection], image_type: Mapping[int, str | None]) -> dict[tuple[int, int], Kept]:
    """The detections that count, by (object_id, image_id).

    In the clip or clipped, never NULL; 0 < mag < 30 and 0 < error < 1, finite; flags < 4; nimaflags < 5; a known
    image that is not bad. Of several the one that entered the mean, then the smaller error, then the brighter,
    then the lower CCD.
    """
    best: dict[tuple[int, int], tuple[tuple[bool, float, float, float], Kept]] = {}
    for row in detections:
        if row.object_id is None or row.used_in_clip is None or row.mag_psf is None or row.e_mag_psf is None:
            continue
        if row.flags is None or row.nimaflags is None:
            continue
        if row.image_id not in image_type or image_type[row.image_id] == "bad":
            continue
        if not (0.0 < row.mag_psf < 30.0 and 0.0 < row.e_mag_psf < 1.0):
            continue
        if row.flags >= 4 or row.nimaflags >= 5:
            continue
        ccd = float("inf") if row.ccd is None else float(row.ccd)
        rank = (not row.used_in_clip, row.e_mag_psf, row.mag_psf, ccd)
        key = (row.object_id, row.image_id)
        if key not in best or rank < best[key][0]:
            best[key] = (rank, Kept(*key, str(row.filter), row.mag_psf, row.e_mag_psf))
    return {key: kept for key, (_, kept) in best.items()}


def worst(ours: ArrayLike, theirs: ArrayLike) -> float:
    """The largest |difference| of two columns; infinite where one is NaN and the other is not, or lengths differ."""
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if a.shape != b.shape or bool(np.any(np.isnan(a) != np.isnan(b))):
        return float("inf")
    differences = np.abs(a - b)[~np.isnan(a)]
    return float(differences.max()) if differences.size else 0.0


def _single(value: Any) -> float | None:
    """A value as a 32-bit float holds it."""
    return None if value is None else float(np.float32(value))


def catalogue(
    master: Iterable[Mapping[str, Any]],
    twomass: Iterable[Mapping[str, Any]],
    gaia: Iterable[Mapping[str, Any]],
    allwise: Iterable[Mapping[str, Any]],
    distance: Iterable[Mapping[str, Any]],
) -> dict[int, Star]:
    """Stars by object_id from the raw rows of five tables, joined by key in dictionaries.

    Distances on the sky and stellarity are 32-bit floats; E(B-V) means the four decimals that archives print.
    """
    psc = {row["pts_key"]: row for row in twomass}
    gaia_ids = {row["source_id"] for row in gaia}
    wise_ids = {row["cntr"] for row in allwise}
    parsec = {row["source_id"]: row for row in distance}
    none: Mapping[str, Any] = {}
    found = {}
    for row in master:
        near, far = psc.get(row["twomass_key"], none), parsec.get(row["gaia_dr2_id1"], none)
        found[row["object_id"]] = Star(
            twomass=bool(near),
            gaia=row["gaia_dr2_id1"] in gaia_ids,
            allwise=row["allwise_cntr"] in wise_ids,
            distance=bool(far),
            twomass_dist=_single(row["twomass_dist"]),
            gaia_dist=_single(row["gaia_dr2_dist1"]),
            allwise_dist=_single(row["allwise_dist"]),
            prox=_single(row["prox"]),
            class_star=_single(row["class_star"]),
            ebmv_sfd=row["ebmv_sfd"],
            **{name: row[name] for name in ("flags_psf", "nch_max", "u_ngood", "v_ngood", "g_ngood")},
            **{name: near.get(name) for name in ("ph_qual", "cc_flg", "gal_contam", "ext_key", "j_m", "k_m")},
            r_est=far.get("r_est"),
            result_flag=far.get("result_flag"),
        )
    return found


@dataclass(frozen=True)
class FlowStep:
    """One line of the attrition table: in order, then over all objects."""

    n_in: int
    n_pass: int
    n_fail: int
    n_null: int
    alone_pass: int
    alone_fail: int
    alone_null: int


def flow(answers: Sequence[Sequence[Tri]]) -> list[FlowStep]:
    """How many objects each cut takes: `answers` holds one object's cuts in order per entry."""
    steps, left = [], list(answers)
    for step in range(len(answers[0]) if answers else 0):
        now, alone = [row[step] for row in left], [row[step] for row in answers]
        steps.append(
            FlowStep(
                len(now), now.count(True), now.count(False), now.count(None),
                alone.count(True), alone.count(False), alone.count(None),
            )
        )  # fmt: skip
        left = [row for row in left if row[step] is True]
    return steps


@dataclass(frozen=True)
class Ranked:
    """A candidate: its place from 1, and the fractions of the sample that are as outlying as it or more."""

    object_id: int
    rank: int
    density_fraction: float | None
    variability_fraction: float | None


def candidates(
    object_id: Sequence[int],
    ln_density: Sequence[float | None],
    rapid_u_sigma: Sequence[float | None],
    *,
    density_max: float = -4.496,
    sigma_min: float = 10.65,
) -> list[Ranked]:
    """Sample objects beyond a limit, by the rarer of their two fractions, then the other, then object_id."""
    scores = np.sort([score for score in ln_density if score is not None])
    sigmas = np.sort([sigma for sigma in rapid_u_sigma if sigma is not None])
    listed = []
    for star, score, sigma in zip(object_id, ln_density, rapid_u_sigma, strict=True):
        if (score is not None and score <= density_max) or (sigma is not None and sigma >= sigma_min):
            rare = None if score is None else float(np.searchsorted(scores, score, "right")) / len(scores)
            lively = None if sigma is None else float(np.sum(sigmas >= sigma)) / len(sigmas)
            both = sorted(1.0 if fraction is None else fraction for fraction in (rare, lively))
            listed.append((both, star, rare, lively))
    listed.sort()
    return [Ranked(star, place, rare, lively) for place, (_, star, rare, lively) in enumerate(listed, start=1)]
