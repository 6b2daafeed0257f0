"""Which detections count, and the colours and rapid sigma made of them: any small set of rows against plain numpy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import independent
import numpy as np
import pytest
from conftest import COLOUR_SEQUENCE, Laboratory, Row, detection, exposures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

IMAGES: list[dict[str, Any]] = [
    *exposures(20150101100000, COLOUR_SEQUENCE, 57000.45),
    *exposures(20150101110000, COLOUR_SEQUENCE, 57000.99, night_mjd=57000),
    *exposures(20150103100000, "uvgruv", 57002.45, field_id=2),
    *exposures(20150104100000, "uvgriz", 57003.45, image_type="fs", exp_time=40.0),
    *exposures(20150105100000, "uvg", 57004.45, image_type="bad"),
    *exposures(20150106100000, "uvg", 57005.45, image_type=None),
]
UNKNOWN = exposures(20160101100000, "uvg", 57400.4)
IMAGE_TYPES = {image["image_id"]: image["image_type"] for image in IMAGES}
BY_ID = {image["image_id"]: image for image in IMAGES}
NAN, INF = float("nan"), float("inf")

magnitudes = st.one_of(
    st.integers(0, 40).map(lambda k: round(15.0 + 0.04 * k, 6)),
    st.integers(9_000_000, 21_000_000).map(lambda k: k / 1e6),
    st.sampled_from([None, NAN, INF, -INF, -99.0, 99.0, 0.0, 30.0, 29.999]),
)
errors = st.one_of(
    st.sampled_from([0.0033, 0.0033, 0.004, 0.01, 0.0528, 0.9999]),
    st.integers(33, 2000).map(lambda k: k / 1e4),
    st.sampled_from([None, NAN, INF, 0.0, -0.01, 1.0, 99.0]),
)


@st.composite
def detections(draw: st.DrawFn) -> dict[str, Any]:
    """A row of dr2.photometry, good or with something wrong."""
    image = draw(st.sampled_from(IMAGES + UNKNOWN))
    faulty = draw(st.integers(0, 5)) == 0
    others: dict[str, Any] = {"used_in_clip": draw(st.booleans()), "ccd": draw(st.sampled_from([1, 2, 9]))}
    if faulty:
        others["used_in_clip"] = draw(st.sampled_from([True, False, None]))
        others["flags"] = draw(st.sampled_from([None, 0, 3, 4, 16]))
        others["nimaflags"] = draw(st.sampled_from([None, 0, 4, 5]))
    star = draw(st.sampled_from([11, 12, 13, 4611686018427387905, None]))
    return detection(star, image, draw(magnitudes), draw(errors), **others)


def rows_that_count(rows: Sequence[Row]) -> list[independent.Kept]:
    """The independent choice among raw rows, magnitudes and errors as printed."""
    printed = [
        independent.Detection(
            image_id=row["image_id"], ccd=row["ccd"], object_id=row["object_id"], filter=row["filter"],
            mag_psf=None if row["mag_psf"] is None else float(independent.decimals(row["mag_psf"], 6)),
            e_mag_psf=None if row["e_mag_psf"] is None else float(independent.decimals(row["e_mag_psf"], 4)),
            flags=row["flags"], nimaflags=row["nimaflags"], used_in_clip=row["used_in_clip"],
        )
        for row in rows
    ]  # fmt: skip
    kept = independent.quality(printed, IMAGE_TYPES)
    return [kept[key] for key in sorted(kept)]


def check_colours(laboratory: Laboratory, kept: Sequence[independent.Kept]) -> None:
    """nightly_colours and colours equal plain numpy on the rows that count, to 1e-9, NULL for NULL."""
    columns = (
        [row.object_id for row in kept],
        [BY_ID[row.image_id]["night_mjd"] for row in kept],
        [row.filter for row in kept],
        [row.mag_psf for row in kept],
        [row.e_mag_psf for row in kept],
    )
    ours = independent.colours(*columns)
    theirs = laboratory.rows("FROM colours ORDER BY object_id")
    compare(ours, theirs, ("ug_mag", "ug_err", "uv_mag", "uv_err"), ("object_id", "n_nights_ug", "n_nights_uv"))
    nights = independent.nights(*columns)
    listed = laboratory.rows("FROM nightly_colours ORDER BY object_id, night_mjd")
    reals = ("u_mag", "v_mag", "g_mag", "ug_mag", "ug_var", "uv_mag", "uv_var")
    compare(nights, listed, reals, ("object_id", "night_mjd"))


def compare(ours: Any, theirs: list[dict[str, Any]], reals: Sequence[str], whole: Sequence[str]) -> None:
    for name in whole:
        assert getattr(ours, name).tolist() == [row[name] for row in theirs], name
    for name in reals:
        column = [np.nan if row[name] is None else row[name] for row in theirs]
        assert independent.worst(getattr(ours, name), column) <= 1e-9, name


def check_rapid(laboratory: Laboratory, kept: Sequence[independent.Kept]) -> None:
    """rapid_variability equals the loop over pairs: winner, counts, both sigmas."""
    names = ("image_id", "field_id", "date", "filter", "image_type", "exp_time")
    sequence = independent.sequences(*([image[name] for image in IMAGES] for name in names))
    ours = independent.rapid_variability(
        [row.object_id for row in kept],
        [sequence.get(row.image_id) for row in kept],
        [row.image_id for row in kept],
        [BY_ID[row.image_id]["date"] for row in kept],
        [row.mag_psf for row in kept],
        [row.e_mag_psf for row in kept],
        [row.filter for row in kept],
    )
    theirs = {row["object_id"]: row for row in laboratory.rows("FROM rapid_variability")}
    assert set(theirs) == set(ours)
    for star, best in ours.items():
        for name, value in vars(best).items():
            wanted = pytest.approx(value, abs=1e-9) if isinstance(value, float) else value
            assert theirs[star][name] == wanted, (star, name)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(detections(), min_size=1, max_size=60), copies=st.lists(st.integers(0, 59), max_size=6))
def test_statistics_of_any_detections_equal_plain_numpy(
    laboratory: Laboratory, rows: list[dict[str, Any]], copies: list[int]
) -> None:
    rows = rows + [rows[place] for place in copies if place < len(rows)]
    laboratory.put({"dr2.images": IMAGES, "dr2.photometry": rows})
    kept = rows_that_count(rows)
    theirs = laboratory.rows("FROM measurements ORDER BY object_id, image_id")
    assert [(row["object_id"], row["image_id"], row["filter"], row["mag_psf"], row["e_mag_psf"]) for row in theirs] == [
        (row.object_id, row.image_id, row.filter, row.mag_psf, row.e_mag_psf) for row in kept
    ]
    check_colours(laboratory, kept)
    check_rapid(laboratory, kept)
    flow = laboratory.rows("FROM measurement_flow ORDER BY step")
    assert (flow[0]["n_in"], flow[-1]["n_pass"]) == (len(rows), len(kept))
    for before, after in pairwise(flow):
        assert before["n_pass"] == after["n_in"] == after["n_pass"] + after["n_fail"] + after["n_null"]


# One row that counts, changed in one way -> does it still count?
QUALITY: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"used_in_clip": False}, True),
    ({"used_in_clip": None}, False),
    ({"mag_psf": None}, False),
    ({"mag_psf": NAN}, False),
    ({"mag_psf": INF}, False),
    ({"mag_psf": -99.0}, False),
    ({"mag_psf": 99.0}, False),
    ({"mag_psf": 0.0}, False),
    ({"mag_psf": 30.0}, False),
    ({"mag_psf": 29.99}, True),
    ({"e_mag_psf": None}, False),
    ({"e_mag_psf": NAN}, False),
    ({"e_mag_psf": 0.0}, False),
    ({"e_mag_psf": -0.01}, False),
    ({"e_mag_psf": 1.0}, False),
    ({"e_mag_psf": 0.9999}, True),
    ({"flags": 3}, True),
    ({"flags": 4}, False),
    ({"flags": None}, False),
    ({"nimaflags": 4}, True),
    ({"nimaflags": 5}, False),
    ({"nimaflags": None}, False),
    ({"object_id": None}, False),
    ({"image_id": UNKNOWN[0]["image_id"]}, False),
    ({"image_id": 20150105100000}, False),
]


def test_each_quality_cut_takes_what_it_names_and_nothing_else(laboratory: Laboratory) -> None:
    good = detection(0, IMAGES[0], 15.0, 0.01)
    rows = [{**good, "object_id": 100 + place, **change} for place, (change, _) in enumerate(QUALITY)]
    laboratory.put({"dr2.images": IMAGES, "dr2.photometry": rows})
    kept = {row["object_id"] for row in laboratory.rows("FROM measurements")}
    assert kept == {100 + place for place, (_, counts) in enumerate(QUALITY) if counts}
    assert {row.object_id for row in rows_that_count(rows)} == kept


def test_of_several_rows_in_one_exposure_the_best_one_counts(laboratory: Laboratory) -> None:
    """In the mean before clipped, then the smaller error, then the brighter."""
    one = detection(7, IMAGES[0], 15.0, 0.010, used_in_clip=True, ccd=3)
    better = [
        detection(8, IMAGES[0], 15.0, 0.005, used_in_clip=False), detection(8, IMAGES[0], 15.1, 0.010),
        detection(9, IMAGES[0], 15.0, 0.010), detection(9, IMAGES[0], 15.1, 0.005),
        detection(10, IMAGES[0], 15.1, 0.010), detection(10, IMAGES[0], 15.0, 0.010),
    ]  # fmt: skip
    laboratory.put({"dr2.images": IMAGES, "dr2.photometry": [one, one, *better]})
    kept = {row["object_id"]: row["mag_psf"] for row in laboratory.rows("FROM measurements")}
    assert kept == {7: 15.0, 8: 15.1, 9: 15.1, 10: 15.0}


def test_of_rows_that_differ_in_their_filter_alone_the_same_is_kept_whatever_their_order(
    laboratory: Laboratory,
) -> None:
    rows = [detection(7, IMAGES[0], 15.0, 0.01), detection(7, IMAGES[0], 15.0, 0.01, filter="g")]
    kept = []
    for some in (rows, rows[::-1]):
        laboratory.put({"dr2.images": IMAGES, "dr2.photometry": some})
        kept.append([row["filter"] for row in laboratory.rows("FROM measurements")])
    assert kept[0] == kept[1]


def test_of_equal_pairs_the_earlier_first_then_the_earlier_second_exposure_is_named(
    laboratory: Laboratory,
) -> None:
    """15.25, 15, 15.25, 15 are exact in binary, so four pairs are equal to the last bit, in two sequences."""
    first, second = IMAGES[:10], IMAGES[10:20]
    rows = []
    for images in (second, first):
        u = [image for image in images if image["filter"] == "u"]
        rows += [detection(7, image, mag, 0.0625) for image, mag in zip(u, (15.25, 15.0, 15.25), strict=True)]
    laboratory.put({"dr2.images": IMAGES, "dr2.photometry": rows})
    [rapid] = laboratory.rows("FROM rapid_variability")
    assert (rapid["image_id_i"], rapid["image_id_j"]) == (first[0]["image_id"], first[4]["image_id"])
    assert (rapid["sequence_id"], rapid["n_sequences"]) == (first[0]["image_id"], 2)


def test_the_largest_of_all_sequences_wins_and_exposures_of_two_sequences_are_not_compared(
    laboratory: Laboratory,
) -> None:
    quiet = [image for image in IMAGES[:10] if image["filter"] == "u"]
    lively = [image for image in IMAGES[10:20] if image["filter"] == "u"]
    rows = [detection(7, image, 14.0, 0.01) for image in quiet]
    rows += [detection(7, image, mag, 0.01) for image, mag in zip(lively, (15.0, 15.05, 15.01), strict=True)]
    laboratory.put({"dr2.images": IMAGES, "dr2.photometry": rows})
    [rapid] = laboratory.rows("FROM rapid_variability")
    assert rapid["rapid_u_sigma"] == pytest.approx(0.05 / (0.01 * 2**0.5), abs=1e-9)
    assert rapid["rapid_u_sigma_floored"] == pytest.approx(0.05 / 0.02, abs=1e-9)
    assert (rapid["sequence_id"], rapid["n_sequences"], rapid["n_u"]) == (lively[0]["image_id"], 2, 3)


def test_shallow_survey_nights_make_colours_but_no_rapid_sigma(laboratory: Laboratory) -> None:
    shallow = [image for image in IMAGES if image["image_type"] == "fs" and image["filter"] in "uvg"]
    again = [{**image, "image_id": image["image_id"] + 50, "date": image["date"] + 0.01} for image in shallow]
    rows = [detection(7, image, 15.0, 0.01) for image in shallow + again]
    laboratory.put({"dr2.images": IMAGES + again, "dr2.photometry": rows})
    assert len(laboratory.rows("FROM colours WHERE ug_mag = 0 AND uv_mag = 0")) == 1
    assert laboratory.rows("FROM rapid_variability") == []


THREE_U = {"u": (15.00, 15.10, 15.04), "v": (14.70, 14.72, 14.60), "g": (13.0,)}
THREE_U_ERRORS = {"u": (0.01, 0.02, 0.03), "v": (0.01, 0.01, 0.02), "g": (0.01,)}


@pytest.fixture
def sequence(laboratory: Laboratory) -> Laboratory:
    """The laboratory with one object that has three u, three v and a g in one sequence."""
    mags = {band: iter(values) for band, values in THREE_U.items()}
    errs = {band: iter(values) for band, values in THREE_U_ERRORS.items()}
    images = [image for image in IMAGES[:10] if image["filter"] in mags]
    rows = [detection(7, image, next(mags[image["filter"]]), next(errs[image["filter"]])) for image in images]
    laboratory.put({"dr2.images": IMAGES, "dr2.photometry": rows})
    return laboratory


def test_the_strict_inverse_variance_of_a_night_is_an_option(sequence: Laboratory) -> None:
    e2 = [e * e + 0.01**2 for e in THREE_U_ERRORS["u"]]
    [plain] = sequence.rows("FROM nightly_colours")
    with sequence.under("nightly_variance=weighted"):
        [weighted] = sequence.rows("FROM nightly_colours")
    assert plain["u_var"] == pytest.approx(sum(e2) / 9, abs=1e-15)
    assert weighted["u_var"] == pytest.approx(1 / sum(1 / one for one in e2), abs=1e-15)
    assert weighted["u_mag"] == plain["u_mag"]


def test_the_filter_the_number_of_exposures_and_the_floors_are_parameters(sequence: Laboratory) -> None:
    with sequence.under("rapid_filter=v"):
        [of_v] = sequence.rows("FROM rapid_variability")
    assert of_v["rapid_u_sigma"] == pytest.approx(0.12 / 0.0005**0.5, abs=1e-9)
    with sequence.under("rapid_min_exposures=3"):
        assert [row["n_u"] for row in sequence.rows("FROM rapid_variability")] == [3]
    with sequence.under("rapid_min_exposures=4"):
        assert sequence.rows("FROM rapid_variability") == []
    with sequence.under("rapid_error_floor_mag=0.02"):
        [floored] = sequence.rows("FROM rapid_variability")
    assert floored["rapid_u_sigma_floored"] == pytest.approx(0.1 / (0.0005 + 2 * 0.0004) ** 0.5, abs=1e-9)
    assert floored["rapid_u_sigma"] == pytest.approx(0.1 / 0.0005**0.5, abs=1e-9)
    with sequence.under("error_floor_mag=0.0"):
        [bare] = sequence.rows("FROM nightly_colours")
    assert bare["u_var"] == pytest.approx((0.01**2 + 0.02**2 + 0.03**2) / 9, abs=1e-15)
