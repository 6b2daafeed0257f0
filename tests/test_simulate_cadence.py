"""The simulated survey keeps the cadence of the real one: patterns, gaps, nights, one telescope, fields."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
from skysy.analysis.simulate.cadence import FILTERS, IMAGE_TYPES, ODDITIES, Images, Sequence, observe
from skysy.analysis.simulate.fields import HALF_WIDTH_DEG, Fields, make_fields, to_vectors

Survey = tuple[Fields, Images, list[Sequence]]
SURVEY_START, SURVEY_END = 56717, 58208  # MJD of 2014-03-01 and 2018-04-05


@pytest.fixture(scope="module", params=[1_000, 40_000])
def survey(request: pytest.FixtureRequest) -> Survey:
    fields = make_fields(request.param)
    images, sequences = observe(fields, np.random.default_rng(11))
    return fields, images, sequences


def utc(mjd: float) -> datetime.datetime:
    return datetime.datetime(1858, 11, 17) + datetime.timedelta(days=mjd)


def test_image_ids_are_unique_and_tell_the_start_to_the_second(
    survey: Survey,
) -> None:
    images = survey[1]
    assert len(np.unique(images.image_id)) == len(images.image_id)
    for image_id, date in zip(images.image_id, images.date_mjd, strict=True):
        told = datetime.datetime.strptime(str(image_id), "%Y%m%d%H%M%S")
        assert 0 <= (utc(date) - told).total_seconds() < 1


def test_exposures_never_overlap(survey: Survey) -> None:
    images = survey[1]
    order = np.argsort(images.date_mjd)
    start_s = images.date_mjd[order] * 86400
    free_s = start_s[1:] - (start_s[:-1] + images.exp_time_s[order][:-1])
    assert free_s.min() > 5


def test_nights_lie_in_the_survey_and_between_8_and_20_h_ut_but_for_the_planted_ones(
    survey: Survey,
) -> None:
    _, images, sequences = survey
    planted = {i for s in sequences if s.kind == "across_0h_ut" for i in s.image_ids}
    usual = ~np.isin(images.image_id, list(planted))
    hour = images.date_mjd[usual] % 1 * 24
    assert SURVEY_START < images.night_mjd.min() <= images.night_mjd.max() < SURVEY_END
    assert hour.min() > 8
    assert hour.max() < 20
    assert np.array_equal(np.floor(images.date_mjd[usual]), images.night_mjd[usual])


def test_a_sequence_across_0h_ut_stays_one_night(survey: Survey) -> None:
    _, images, sequences = survey
    place = {int(image_id): row for row, image_id in enumerate(images.image_id)}
    across = [sequence for sequence in sequences if sequence.kind == "across_0h_ut"]
    assert across
    for sequence in across:
        rows = [place[i] for i in sequence.image_ids]
        assert len(set(np.floor(images.date_mjd[rows]))) == 2
        assert set(images.night_mjd[rows]) == {sequence.night_mjd}


def test_whole_sequences_are_uvgruvizuv_of_100_s_every_2_minutes(
    survey: Survey,
) -> None:
    _, images, sequences = survey
    place = {int(image_id): row for row, image_id in enumerate(images.image_id)}
    whole = [s for s in sequences if s.kind in ("plain", "across_0h_ut", "back_to_back", "repeated_same_night")]
    assert len(whole) > 0.6 * len(sequences)
    for sequence in whole:
        rows = [place[i] for i in sequence.image_ids]
        assert sequence.filters == "uvgruvizuv" == "".join(FILTERS[f] for f in images.filter[rows])
        assert set(images.exp_time_s[rows]) == {100.0}
        assert {IMAGE_TYPES[t] for t in images.image_type[rows]} == {"ms"}
        assert np.allclose(np.diff(images.date_mjd[rows]) * 86400, 120, atol=1.1)
        assert len(set(images.field_index[rows])) == 1


def test_every_oddity_is_there_and_is_what_its_name_says(
    survey: Survey,
) -> None:
    _, images, sequences = survey
    date = dict(zip(images.image_id.tolist(), images.date_mjd.tolist(), strict=True))
    by_kind: dict[str, list[Sequence]] = {}
    for sequence in sequences:
        by_kind.setdefault(sequence.kind, []).append(sequence)
    assert set(ODDITIES) <= set(by_kind)
    assert all(s.filters.count("u") == 4 for s in by_kind["four_u"])
    assert all(s.filters.count("u") == 1 for s in by_kind["one_u"])
    assert all("g" not in s.filters and "u" in s.filters for s in by_kind["no_g_that_night"])
    assert all("v" not in s.filters and "u" in s.filters for s in by_kind["no_v_that_night"])
    assert all(len(s.filters) < 10 and "uvgruvizuv".startswith(s.filters) for s in by_kind["cut_short"])
    for sequence in by_kind["missing_exposure"]:
        gaps_s = np.diff([date[i] for i in sequence.image_ids]) * 86400
        assert sum(gaps_s > 200) == 1
    for first, second in zip(by_kind["repeated_same_night"][::2], by_kind["repeated_same_night"][1::2], strict=True):
        pause_min = (date[second.image_ids[0]] - date[first.image_ids[-1]]) * 1440
        assert first.night_mjd == second.night_mjd
        assert 39 < pause_min < 151
    for first, second in zip(
        by_kind["aborted_and_restarted"][::2], by_kind["aborted_and_restarted"][1::2], strict=True
    ):
        assert (first.filters, second.filters) == ("uvgr", "uvgruvizuv")
        assert (date[second.image_ids[0]] - date[first.image_ids[-1]]) * 1440 == pytest.approx(2, abs=0.05)


def test_a_field_is_visited_once_a_night_at_most(survey: Survey) -> None:
    _, images, _ = survey
    for field in np.unique(images.field_index):
        mine = images.field_index == field
        for night in np.unique(images.night_mjd[mine]):
            minutes = np.diff(np.sort(images.date_mjd[mine & (images.night_mjd == night)])) * 1440
            assert np.sum(minutes > 10) <= 1  # one pause: a sequence repeated the same night


def test_shallow_visits_are_six_filters_within_five_minutes(
    survey: Survey,
) -> None:
    _, images, _ = survey
    shallow = images.image_type == IMAGE_TYPES.index("fs")
    exposure = dict(zip(FILTERS, (40, 20, 5, 5, 10, 20), strict=True))
    assert all(
        t == exposure[FILTERS[f]] for f, t in zip(images.filter[shallow], images.exp_time_s[shallow], strict=True)
    )
    for field in np.unique(images.field_index):
        mine = shallow & (images.field_index == field)
        for night in np.unique(images.night_mjd[mine]):
            dates = images.date_mjd[mine & (images.night_mjd == night)]
            assert len(dates) == 6
            assert np.ptp(dates) * 1440 < 5


def test_fields_meet_around_ra_0_and_the_pole() -> None:
    fields = make_fields(3_000)
    rng = np.random.default_rng(5)
    for ra, dec in ((0.0, -33.0), (359.9999, -33.0), (10.0, -89.9), (200.0, -89.0)):
        ra_deg, dec_deg = np.array([ra]), np.array([dec])
        nearest = np.argmax(to_vectors(fields.ra_deg, fields.dec_deg) @ to_vectors(ra_deg, dec_deg)[0])
        objects, _, east, north = fields.members(ra_deg, dec_deg, np.array([nearest]))
        assert len(objects) >= 1
        assert np.abs([east, north]).max() < HALF_WIDTH_DEG
    home = rng.integers(0, len(fields), 5_000)
    ra_deg, dec_deg = fields.place(home, *rng.uniform(-1.2, 1.2, (2, 5_000)))
    objects, found, _, _ = fields.members(ra_deg, dec_deg, home)
    assert np.all(np.isin(np.arange(5_000) * 10_000 + home, objects * 10_000 + found))
    assert np.bincount(objects, minlength=5_000).min() >= 1
    assert np.bincount(objects).max() >= 2


def test_fields_cover_the_southern_sky_when_all_are_wanted() -> None:
    fields = make_fields(1_000_000)
    assert len(fields) > 3_500
    rng = np.random.default_rng(6)
    dec_deg = np.degrees(np.arcsin(rng.uniform(-1, np.sin(np.radians(2.0)), 2_000)))
    ra_deg = rng.uniform(0, 360, 2_000)
    nearest = np.argmax(to_vectors(ra_deg, dec_deg) @ to_vectors(fields.ra_deg, fields.dec_deg).T, axis=1)
    objects, _, _, _ = fields.members(ra_deg, dec_deg, nearest)
    assert len(np.unique(objects)) >= 1_995  # squares of sky leave slivers between rings
