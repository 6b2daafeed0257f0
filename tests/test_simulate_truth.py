"""The truth of a simulated sky is what its files say: cuts, noise, flickering, planted rows."""

from __future__ import annotations

import csv
import gzip
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.io.votable import parse
from skysy.analysis.simulate.cadence import observe
from skysy.analysis.simulate.faults import COPIES, EDITS, STAGING
from skysy.analysis.simulate.fields import make_fields
from skysy.analysis.simulate.photometry import USED, Detections, detect
from skysy.analysis.simulate.plan import CUTS, FEATURES, FLICKER_AMPLITUDES_MAG, make_plan
from skysy.analysis.simulate.sky import Stars, make_stars
from skysy.analysis.simulate.write import simulate

Row = dict[str, Any]
Sample = tuple[Stars, Detections, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Sky:
    """Everything in a simulated directory, each file read by a reader that is not skysy's."""

    master: list[Row]
    photometry: list[dict[str, str]]
    images: list[dict[str, str]]
    twomass: dict[int, Row]
    allwise: set[int]
    gaia: dict[int, Row]
    distances: dict[int, Row]
    known: list[dict[str, str]]
    truth: dict[int, Row]
    bad_rows: list[Row]


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Sky:
    directory = tmp_path_factory.mktemp("sky") / "archive"
    simulate(directory, 1_000, 3)
    gaia = parse(directory / "ext.gaia_dr2.vot").get_first_table().array
    with fits.open(directory / "gaiadr2_complements.geometric_distance.fits") as hdus:
        distances = {
            int(row["source_id"]): {"r_est": float(row["r_est"]), "result_flag": int(row["result_flag"])}
            for row in hdus[1].data
        }
    return Sky(
        master=pq.read_table(directory / "dr2.master.parquet").to_pylist(),
        photometry=csv_rows(directory / "dr2.photometry.csv.gz"),
        images=csv_rows(directory / "dr2.images.csv.gz"),
        twomass={row["pts_key"]: row for row in pq.read_table(directory / "ext.twomass_psc.parquet").to_pylist()},
        allwise={int(row["cntr"]) for row in csv_rows(directory / "ext.allwise.csv.gz")},
        gaia={int(row["source_id"]): {"pmra": row["pmra"], "pmdec": row["pmdec"]} for row in gaia},
        distances=distances,
        known=csv_rows(directory / "known.objects.csv"),
        truth={row["object_id"]: row for row in pq.read_table(directory / "truth" / "objects.parquet").to_pylist()},
        bad_rows=pq.read_table(directory / "truth" / "bad_rows.parquet").to_pylist(),
    )


def csv_rows(path: Path) -> list[dict[str, str]]:
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return list(csv.DictReader(text.decode().splitlines()))


def decimals(value: float, places: int) -> Decimal:
    """The number that the archive prints."""
    return Decimal(f"{value:.{places}f}")


def failed(sky: Sky, row: Row) -> set[str]:
    """The cuts of the talk's ADQL (Lucy 2021), then distance and luminosity, in decimal arithmetic."""
    t = sky.twomass.get(row["twomass_key"])
    d = sky.distances.get(row["gaia_dr2_id1"], {"r_est": math.nan, "result_flag": 0})
    known = not math.isnan(d["r_est"])
    passes = {
        "twomass_match": t is not None and decimals(row["twomass_dist"], 5) < 2,
        "gaia_match": row["gaia_dr2_id1"] in sky.gaia and decimals(row["gaia_dr2_dist1"], 5) < 2,
        "allwise_match": row["allwise_cntr"] in sky.allwise and decimals(row["allwise_dist"], 5) < 3,
        "isolated": decimals(row["prox"], 5) > 6,
        "ph_qual_aaa": t is not None and t["ph_qual"] == "AAA",
        "gal_contam_none": t is not None and t["gal_contam"] == 0,
        "not_extended": t is not None and t["ext_key"] in (None, 0),
        "cc_flg_clean": t is not None and t["cc_flg"] == "000",
        "class_star": decimals(row["class_star"], 6) > Decimal("0.9"),
        "flags_psf_clean": row["flags_psf"] == 0,
        "u_observed": row["u_ngood"] > 0,
        "v_observed": row["v_ngood"] > 0,
        "g_observed": row["g_ngood"] > 0,
        "single_child": row["nch_max"] == 1,
        "red_jk": t is not None and t["j_m"] - t["k_m"] > Decimal("0.85"),
        "bright_j": t is not None and t["j_m"] < 14,
        "distance_converged": known and d["result_flag"] != 0,
        "red_jk0": t is not None
        and t["j_m"] - t["k_m"] - Decimal("0.413") * decimals(row["ebmv_sfd"], 4) > Decimal("0.85"),
        "luminous_mj": t is not None and known and float(t["j_m"]) - 5 * math.log10(d["r_est"] / 10) < 0,
    }
    return {cut for cut, passed in passes.items() if not passed}


def test_truth_names_exactly_the_cuts_that_the_written_catalogues_fail(sky: Sky) -> None:
    assert set(sky.truth) == {row["object_id"] for row in sky.master}
    for row in sky.master:
        truth = sky.truth[row["object_id"]]
        found = failed(sky, row)
        assert set(filter(None, truth["fails"].split(";"))) == found, row["object_id"]
        assert truth["expected_in_sample"] == (not found)


def test_each_cut_is_failed_alone_by_some_object_where_that_is_possible(sky: Sky) -> None:
    alone = Counter(row["fails"] for row in sky.truth.values())
    # a star too blue as observed is too blue without reddening as well
    assert alone["red_jk;red_jk0"] >= 3
    assert all(alone[cut] >= 3 for cut in CUTS if cut != "red_jk"), alone


def test_between_60_and_75_percent_belong_in_the_sample(sky: Sky) -> None:
    assert 600 <= sum(row["expected_in_sample"] for row in sky.truth.values()) <= 750


def test_traps_that_no_cut_may_take_are_in_the_sample(sky: Sky) -> None:
    traps = {feature.name for feature in FEATURES if feature.taken_by == "none"}
    for trap in traps:
        members = [row for row in sky.truth.values() if row["feature"] == trap]
        assert len(members) >= 3, trap
        assert all(row["expected_in_sample"] for row in members), trap
    fast = [row for row in sky.master if sky.truth[row["object_id"]]["feature"] == "high_proper_motion"]
    speeds = [math.hypot(*sky.gaia[row["gaia_dr2_id1"]].values()) for row in fast]
    assert min(speeds) > 500  # mas a year


def test_boundary_cases_stand_exactly_on_their_limits(sky: Sky) -> None:
    def values(feature: str, pick: Callable[[Row, Row], Any]) -> set[Any]:
        mine = [row for row in sky.master if sky.truth[row["object_id"]]["feature"] == feature]
        return {pick(row, sky.twomass[row["twomass_key"]]) for row in mine}

    assert values("jk_exactly_0850", lambda m, t: t["j_m"] - t["k_m"]) == {Decimal("0.850")}
    assert values("jk_0851", lambda m, t: t["j_m"] - t["k_m"]) == {Decimal("0.851")}
    assert values("jk_0850_from_9050_8200", lambda m, t: (t["j_m"], t["k_m"])) == {(Decimal("9.050"), Decimal("8.200"))}
    assert 9.050 - 8.200 > 0.85  # what a binary cut would do
    assert values("j_exactly_14000", lambda m, t: t["j_m"]) == {Decimal("14.000")}
    assert values("j_13999", lambda m, t: t["j_m"]) == {Decimal("13.999")}
    assert values("prox_exactly_6", lambda m, t: m["prox"]) == {6.0}
    assert values("twomass_dist_exactly_2", lambda m, t: m["twomass_dist"]) == {2.0}
    assert values("class_star_exactly_09", lambda m, t: m["class_star"]) == {float(np.float32(0.9))}


def test_the_sky_reaches_across_ra_0_and_to_the_pole(sky: Sky) -> None:
    near = [(row["raj2000"] + 180) % 360 - 180 for row in sky.master if row["dej2000"] > -80]
    assert min(abs(ra) for ra in near) < 5 / 3600
    assert any(-1 < ra < 0 for ra in near)
    assert any(0 < ra < 1 for ra in near)
    assert sum(row["dej2000"] < -89 for row in sky.master) >= 5
    assert all(0 <= row["raj2000"] < 360 and -90 <= row["dej2000"] < 3 for row in sky.master)


def test_upper_limits_have_no_error(sky: Sky) -> None:
    limits = [row for row in sky.twomass.values() if "U" in row["ph_qual"]]
    assert limits
    for row in limits:
        for grade, band in zip(row["ph_qual"], "jhk", strict=True):
            assert (row[f"{band}_msigcom"] is None) == (grade == "U")


def test_the_master_counts_what_the_photometry_sends(sky: Sky) -> None:
    copies = {(row["object_id"], row["image_id"]) for row in sky.bad_rows if row["taken_by"].endswith("one_per_image")}
    unknown = {row["image_id"] for row in sky.bad_rows if row["kind"] == "image_unknown"}
    counts: Counter[tuple[int, str, str]] = Counter()
    seen = set()
    for row in sky.photometry:
        if not row["object_id"] or int(row["image_id"]) in unknown:
            continue
        key = (int(row["object_id"]), int(row["image_id"]))
        if key in copies and key in seen:
            continue
        seen.add(key)
        counts[key[0], row["filter"], row["used_in_clip"]] += 1
    for entry in sky.master:
        for band in "uvgriz":
            assert entry[f"{band}_ngood"] == counts[entry["object_id"], band, "true"]
            assert entry[f"{band}_nclip"] == counts[entry["object_id"], band, "false"]
            assert (entry[f"{band}_psf"] is None) <= (entry[f"{band}_ngood"] <= 1)


def test_known_symbiotics_are_listed_and_some_fail_a_cut(sky: Sky) -> None:
    listed = {int(row["object_id"]) for row in sky.known}
    assert listed == {row["object_id"] for row in sky.truth.values() if row["is_known_symbiotic"]}
    assert {row["object_type"] for row in sky.known} == {"Sy*"}
    fates = Counter(sky.truth[object_id]["expected_in_sample"] for object_id in listed)
    assert fates[True] >= 10
    assert fates[False] >= 5


def test_flickerers_come_in_every_amplitude(sky: Sky) -> None:
    amplitudes = Counter(row["flicker_amplitude_mag"] for row in sky.truth.values() if row["kind"] == "flickerer")
    assert amplitudes == dict.fromkeys(FLICKER_AMPLITUDES_MAG, 4)


# what a planted row must look like in the file
LOOKS: dict[str, Callable[[dict[str, str]], bool]] = {
    "clip_null": lambda row: row["used_in_clip"] == "",
    "mag_null": lambda row: row["mag_psf"] == "",
    "mag_nan": lambda row: row["mag_psf"] == "nan",
    "mag_inf": lambda row: row["mag_psf"] == "inf",
    "mag_minus_99": lambda row: float(row["mag_psf"]) == -99,
    "mag_99": lambda row: float(row["mag_psf"]) == 99,
    "mag_zero": lambda row: float(row["mag_psf"]) == 0,
    "error_null": lambda row: row["e_mag_psf"] == "",
    "error_nan": lambda row: row["e_mag_psf"] == "nan",
    "error_inf": lambda row: row["e_mag_psf"] == "inf",
    "error_zero": lambda row: float(row["e_mag_psf"]) == 0,
    "error_negative": lambda row: float(row["e_mag_psf"]) < 0,
    "error_huge": lambda row: float(row["e_mag_psf"]) == float(np.float32(9.99)) or row["e_mag_psf"] == "9.99",
    "flags_saturated": lambda row: row["flags"] == "4",
    "flags_truncated": lambda row: row["flags"] == "8",
    "nimaflags_at_limit": lambda row: row["nimaflags"] == "5",
    "nimaflags_many": lambda row: row["nimaflags"] == "300",
}


def test_every_kind_of_bad_row_is_planted_in_the_smallest_sky(sky: Sky) -> None:
    kinds = {row["kind"] for row in sky.bad_rows}
    wanted = {*EDITS, *COPIES, *STAGING, "image_bad", "image_unknown", "object_null", "image_row_twice"}
    wanted |= {"used_in_clip_false", "sequence_four_u", "sequence_one_u", "sequence_across_0h_ut"}
    wanted |= {"sequence_no_g_that_night", "sequence_no_v_that_night"}
    wanted |= {feature.name for feature in FEATURES if feature.taken_by}
    assert wanted <= kinds
    assert set(LOOKS) == set(EDITS)


def test_planted_measurements_are_in_the_file_and_fail_one_quality_cut_only(sky: Sky) -> None:
    rows: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in sky.photometry:
        rows.setdefault((row["object_id"], row["image_id"]), []).append(row)
    types = {row["image_id"]: row["image_type"] for row in sky.images}

    def faults(row: dict[str, str]) -> set[str]:
        mag, error = (float(row[name] or "nan") for name in ("mag_psf", "e_mag_psf"))
        quality = {
            "object_known": row["object_id"] != "",
            "clip_considered": row["used_in_clip"] != "",
            "mag_finite": math.isfinite(mag),
            "mag_range": 0 < mag < 30 or not math.isfinite(mag),
            "error_finite": math.isfinite(error),
            "error_range": 0 < error < 1 or not math.isfinite(error),
            "flags": int(row["flags"]) < 4,
            "nimaflags": int(row["nimaflags"]) < 5,
            "image_known": row["image_id"] in types,
            "image_type": types.get(row["image_id"]) != "bad",
        }
        return {cut for cut, good in quality.items() if not good}

    for bad in sky.bad_rows:
        stage, _, cut = bad["taken_by"].partition(".")
        if stage != "measurements":
            continue
        planted = rows[str(bad["object_id"] or ""), str(bad["image_id"])]
        if cut == "one_per_image":
            assert len(planted) == 2
            assert all(not faults(row) for row in planted)
        else:
            assert [faults(row) for row in planted] == [{cut}], bad
            looks = LOOKS.get(bad["kind"])
            assert looks is None or looks(planted[0])


def test_planted_measurements_belong_to_objects_whose_place_they_do_not_change(sky: Sky) -> None:
    for bad in sky.bad_rows:
        if bad["taken_by"].startswith("measurements") and bad["object_id"]:
            truth = sky.truth[bad["object_id"]]
            assert (truth["kind"], truth["feature"]) == ("red_giant", "plain")


@pytest.fixture(scope="module")
def detections() -> Sample:
    """4,000 stars, the first half quiet and the others flickering by 0.2 mag; each detection and its date."""
    plan = make_plan(4_000, np.random.default_rng(1))
    fields = make_fields(4_000)
    images, _ = observe(fields, np.random.default_rng(2))
    stars = make_stars(plan, 0, 4_000, fields, np.random.default_rng(3))
    stars.flicker_mag = np.where(np.arange(4_000) < 2_000, np.nan, 0.2)
    stars.pulsation_mag[:] = 0
    found = detect(stars, fields, images, np.random.default_rng(4))
    return stars, found, images.date_mjd[found.image]


def test_errors_have_their_floor_and_decimals_and_understate_the_scatter(
    detections: Sample,
) -> None:
    stars, found, _ = detections
    assert found.e_mag.min() == 0.0033
    assert np.array_equal(np.round(found.e_mag, 4), found.e_mag)
    assert np.array_equal(np.round(found.mag, 6), found.mag)
    quiet = (found.star < 2_000) & (found.flags < 4)
    for band, reproducibility in enumerate((0.01, 0.01, 0.007, 0.007, 0.007, 0.007)):
        floor = quiet & (found.filter == band) & (found.e_mag == 0.0033)
        residual = found.mag[floor] - stars.mags[found.star[floor], band]
        assert floor.sum() > 1_000
        assert residual.std() == pytest.approx(math.hypot(0.0033, reproducibility), rel=0.12)


def test_half_of_the_reproducibility_is_common_to_an_image(
    detections: Sample,
) -> None:
    stars, found, _ = detections
    good = (found.star < 2_000) & (found.filter == 0) & (found.e_mag < 0.006) & (found.used == USED)
    residual = found.mag[good] - stars.mags[found.star[good], 0]
    _, image = np.unique(found.image[good], return_inverse=True)
    members = np.bincount(image)
    means = np.bincount(image, weights=residual)[members >= 15] / members[members >= 15]
    assert means.std() == pytest.approx(0.0071, rel=0.2)


def test_flickering_has_its_amplitude_and_forgets_within_minutes(
    detections: Sample,
) -> None:
    stars, found, date_mjd = detections
    rows = np.flatnonzero((found.star >= 2_000) & (found.filter == 0) & (found.e_mag < 0.01))
    rows = rows[np.lexsort((date_mjd[rows], found.star[rows]))]
    excursion = found.mag[rows] - stars.mags[found.star[rows], 0]
    assert excursion.std() == pytest.approx(0.2, rel=0.05)
    same = np.diff(found.star[rows]) == 0
    minutes = np.diff(date_mjd[rows]) * 1440
    soon, late = same & (minutes > 7.5) & (minutes < 8.5), same & (minutes > 1_000)
    for pairs, expected in ((soon, math.exp(-0.8)), (late, 0.0)):
        assert pairs.sum() > 300
        assert np.corrcoef(excursion[:-1][pairs], excursion[1:][pairs])[0, 1] == pytest.approx(expected, abs=0.08)


def test_bright_stars_saturate_and_faint_ones_are_not_seen(
    detections: Sample,
) -> None:
    stars, found, _ = detections
    true = stars.mags[found.star, found.filter]
    green = (found.filter == 2) & (found.star < 2_000)
    assert np.all(found.flags[green & (true < 8.5)] >= 4)
    assert np.all(found.flags[green & (true > 13.2)] < 4)
    assert np.all(found.used[found.flags >= 4] == -1)
    assert true[found.filter == 0].max() < 20.2
