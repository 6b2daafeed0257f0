"""Figures 3, 5 and 7 to 11: every number drawn is one that a query of its own finds in the tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from conftest import MakeArchive, Sky, red_giant
from figure_parts import Reals, counted_by_hand, crowd, drawn_counts, line, parameter, table, words
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from skysy.analysis.figures import (
    figure_attrition,
    figure_catalogue,
    figure_coverage,
    figure_effective,
    figure_infrared,
    figure_quadrants,
    figure_sky,
)
from skysy.analysis.figures.effective import quantiles
from skysy.analysis.figures.sky import COLUMNS, ROWS, galactic_plane, on_map

from skysy.store import Warehouse, open_warehouse


@pytest.fixture
def sky(simulated: Sky) -> Iterator[Warehouse]:
    with open_warehouse(simulated.settings) as warehouse:
        yield warehouse


def placed(axes: Axes, label: str) -> Reals:
    """The finite points of a mark, sorted."""
    return as_points(np.asarray(line(axes, label).get_xydata(), dtype=float))


def as_points(rows: Reals) -> Reals:
    return np.array(sorted(map(tuple, np.round(rows[np.isfinite(rows).all(axis=1)], 9))))


def tied(axes: Axes, points: Reals) -> int:
    """How many points lie as near to one hexagon's centre as to another's, so that either may count them."""
    centres = np.asarray(crowd(axes).get_offsets(), dtype=float)
    corners = crowd(axes).get_paths()[0].vertices
    scale = np.array([np.ptp(corners[:, 0]), 1.5 * np.ptp(corners[:, 1]) / math.sqrt(3)])
    distance = (((points[:, None, :] - centres[None, :, :]) / scale) ** 2).sum(axis=2)
    nearest = np.partition(distance, 1, axis=1)[:, :2]
    return int((nearest[:, 1] - nearest[:, 0] < 1e-9).sum())


def bars(axes: Axes, label: str) -> list[tuple[float, float]]:
    """Middle and length of each bar of a mark."""
    [found] = [part for part in axes.containers if part.get_label() == label]
    return [
        (one.get_y() + one.get_height() / 2, one.get_width())
        if found.orientation == "horizontal"
        else (one.get_x() + one.get_width() / 2, one.get_height())
        for one in found
    ]


def test_figure_three_sets_catalogue_colours_against_snapshots_and_counts_those_that_are_off(sky: Warehouse) -> None:
    left, right = figure_catalogue(sky).axes
    colours = table(sky, "SELECT ug_mag, u_psf - g_psf FROM sample JOIN colours USING (object_id)")
    assert drawn_counts(left) == counted_by_hand(left, np.round(colours, 9))
    ranges: dict[int, list[float]] = {}
    for object_id, u_mag in sky.rows("SELECT object_id, u_mag FROM nightly_colours WHERE u_mag IS NOT NULL"):
        ranges.setdefault(object_id, []).append(u_mag)
    residuals: dict[int, float] = dict(
        sky.rows(
            "SELECT object_id, u_psf - g_psf - ug_mag FROM sample JOIN colours USING (object_id) WHERE ug_mag IS NOT NULL"
        )
    )
    points = [(max(u) - min(u), residuals[star]) for star, u in ranges.items() if star in residuals and len(u) > 1]
    assert drawn_counts(right) == counted_by_hand(right, np.round(points, 9))
    off = sum(abs(residual) > parameter(sky, "kde_bandwidth_mag") for residual in residuals.values())
    assert right.get_title(loc="left") == f"{off:,} of {len(residuals):,} are off by over 0.1 mag"
    assert 0 < off < len(residuals) / 2
    chosen = table(sky, "SELECT ug_mag, u_psf - g_psf FROM candidates JOIN sample USING (object_id)")
    assert placed(left, "candidates") == pytest.approx(as_points(chosen), abs=1e-9)
    chosen = np.array([(max(u) - min(u), residuals[star]) for star, u in ranges.items() if star in residuals and len(u) > 1
                       and sky.value("SELECT count(*) FROM candidates WHERE object_id = ?", [star])])  # fmt: skip
    assert placed(right, "candidates") == pytest.approx(as_points(chosen), abs=1e-9)


def test_figure_five_counts_each_quadrant_and_marks_candidates_and_known_stars(sky: Warehouse) -> None:
    figure = figure_quadrants(sky)
    axes = figure.axes[0]
    rare, rapid = parameter(sky, "density_ln_max"), parameter(sky, "rapid_u_sigma_min")
    both = (
        "FROM density_score JOIN rapid_variability USING (object_id) WHERE object_id IN (SELECT object_id FROM sample"
    )
    stars = table(sky, f"SELECT ln_density, rapid_u_sigma {both})")
    counts = Counter((bool(x <= rare), bool(y >= rapid)) for x, y in stars)
    shown = {
        (text.get_position()[0] < 0.5, text.get_position()[1] > 0.5): int(text.get_text().replace(",", ""))
        for text in axes.texts
    }
    assert shown == counts
    assert len(counts) == 4
    assert line(axes, "ln density").get_xdata()[0] == rare
    assert line(axes, "limit").get_ydata()[0] == math.log10(rapid)
    for label, names in (("candidates", "candidates"), ("known", "known.objects")):
        rows = table(
            sky, f"SELECT ln_density, log10(rapid_u_sigma) {both}) AND object_id IN (SELECT object_id FROM {names})"
        )
        assert placed(axes, label) == pytest.approx(as_points(rows))
        assert f"({len(rows):,})" in str(line(axes, label).get_label())
    absent = sky.value("SELECT count(*) FROM candidates WHERE ln_density IS NULL OR rapid_u_sigma IS NULL")
    assert axes.get_title(loc="left").startswith(f"{absent:,} candidate")


def test_the_sky_map_counts_the_sample_in_equal_areas_with_right_ascension_to_the_left(sky: Warehouse) -> None:
    axes = figure_sky(sky).axes[0]
    [mesh] = [part for part in axes.collections if isinstance(part, QuadMesh)]
    corners = np.asarray(mesh.get_coordinates())
    assert np.diff(np.sin(corners[:, 0, 1])) == pytest.approx(2 / ROWS), "cells of one area"
    counts = Counter()
    for ra, dec in sky.rows("SELECT raj2000, dej2000 FROM sample"):
        x = -math.radians(ra if ra < 180 else ra - 360)
        counts[int(np.searchsorted(np.sin(corners[:, 0, 1]), math.sin(math.radians(dec)))) - 1,
               int(np.searchsorted(corners[0, :, 0], x)) - 1] += 1  # fmt: skip
    drawn = np.ma.filled(np.ma.asarray(mesh.get_array()).reshape(ROWS, COLUMNS), 0)
    assert {place: int(drawn[place]) for place in zip(*np.nonzero(drawn), strict=True)} == counts
    chosen = table(sky, "SELECT raj2000, dej2000 FROM candidates")
    expected = np.array([(-math.radians(ra if ra < 180 else ra - 360), math.radians(dec)) for ra, dec in chosen])
    assert placed(axes, "candidates") == pytest.approx(as_points(expected), abs=1e-8)


def test_fields_of_the_sky_map_stand_amid_the_stars_whose_best_sequence_is_there(sky: Warehouse) -> None:
    rows = sky.rows(
        "SELECT field_id, raj2000, dej2000 FROM sample JOIN rapid_variability USING (object_id) JOIN sequences USING (sequence_id)"
    )
    fields: dict[int, list[list[float]]] = {}
    for field_id, ra, dec in rows:
        fields.setdefault(field_id, []).append(SkyCoord(ra, dec, unit="deg").cartesian.xyz.value)
    x, y, z = np.array([sum(one) for one in fields.values()]).T
    expected = np.column_stack([-np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))])
    assert placed(figure_sky(sky).axes[0], "fields") == pytest.approx(as_points(expected), abs=1e-7)


def test_the_galactic_plane_is_that_of_astropy() -> None:
    ra = np.array([0.0, 90.0, 192.0, 266.405, 300.0])
    places = SkyCoord(ra, galactic_plane(ra), unit="deg").galactic
    assert places.b.deg == pytest.approx(0, abs=1e-5)
    assert on_map(np.array([0.0, 90.0, 270.0]), np.zeros(3))[0] == pytest.approx([0, -math.pi / 2, math.pi / 2])


def test_figure_eight_shows_infrared_colours_of_every_sample_star(sky: Warehouse) -> None:
    left, right = figure_infrared(sky).axes
    for axes, colour in ((left, "w1mpro - w2mpro"), (right, "k_m - w2mpro")):
        stars = np.round(table(sky, f"SELECT {colour}, j_m - h_m FROM sample"), 3)
        drawn, counted = drawn_counts(axes), counted_by_hand(axes, stars)
        moved = sum(abs(drawn[place] - counted.get(place, 0)) for place in drawn)
        assert moved <= 2 * tied(axes, stars), "thousandths of a magnitude lie on the edges of hexagons"
        assert sum(drawn.values()) == sum(counted.values()) > 0.99 * len(stars)
        for label, names in (("candidates", "candidates"), ("known", "known.objects")):
            rows = table(
                sky, f"SELECT {colour}, j_m - h_m FROM sample WHERE object_id IN (SELECT object_id FROM {names})"
            )
            assert placed(axes, label) == pytest.approx(as_points(rows), abs=1e-9)


def test_figure_nine_has_the_numbers_of_cut_flow_and_known_recovery(sky: Warehouse) -> None:
    left, lost, known = figure_attrition(sky).axes
    flow = sky.rows("SELECT cut, n_in, n_pass, n_fail, n_null FROM cut_flow ORDER BY step")
    assert [text.get_text() for text in left.get_yticklabels()] == [
        "catalogue",
        *(row[0] for row in flow),
        "candidates",
    ]
    candidates = sky.value("SELECT count(*) FROM candidates")
    assert [length for _, length in bars(left, "objects left")] == [flow[0][1], *(row[2] for row in flow), candidates]
    assert [length for _, length in bars(lost, "fails the cut")] == [0, *(row[3] for row in flow), 0]
    assert [length for _, length in bars(lost, "value is missing (NULL)")] == [0, *(row[4] for row in flow), 0]
    assert any(row[4] for row in flow), "some value is missing, so the two bars differ"
    ends = Counter(sky.rows("SELECT lost_at, coalesce(is_value_missing, false) FROM known_recovery"))
    names = ["not in the catalogue", *(row[0] for row in flow), "no outlier"]
    assert [length for _, length in bars(known, "fails the cut")] == [ends[name, False] for name in names]
    assert [length for _, length in bars(known, "value is missing (NULL)")] == [ends[name, True] for name in names]
    assert bars(known, "recovered") == [(len(names) - 1, ends[None, False])]
    assert sum(ends.values()) == sky.value("SELECT count(DISTINCT object_id) FROM known.objects")


def test_figure_ten_counts_nights_and_sequences_of_the_whole_sample(sky: Warehouse) -> None:
    panels = figure_coverage(sky).axes
    for axes, name, column in zip(panels, ("colours", "colours", "rapid_variability"),
                                  ("n_nights_ug", "n_nights_uv", "n_sequences"), strict=True):  # fmt: skip
        found = dict(sky.rows(f"SELECT object_id, {column} FROM {name}"))
        for label, members in (("sample", "sample"), ("candidates", "candidates")):
            counts = Counter(found.get(star, 0) for (star,) in sky.rows(f"SELECT object_id FROM {members}"))
            drawn = {round(middle): height for middle, height in bars(axes, label) if height}
            assert drawn == {min(number, 25): n for number, n in counts.items()}


def test_figure_eleven_sets_sorted_probabilities_against_uniform_ones(sky: Warehouse) -> None:
    left, right = figure_effective(sky).axes
    for label, name in (("archive", "p_analytic"), ("rank", "p_empirical"), ("errors and", "p_scatter")):
        p = sorted(row[0] for row in sky.rows(f"SELECT {name} FROM effective_sigma"))
        shown = [tuple(point) for point in line(left, label).get_xydata()]
        for x, y in shown:
            place = 10**-x * len(p) - 0.5
            assert place == pytest.approx(round(place), abs=1e-6)
            assert y == pytest.approx(-math.log10(max(p[round(place)], 1e-16)))
        assert len(shown) > 500
        assert shown[0][0] == pytest.approx(math.log10(2 * len(p)))
    bins = sky.rows("SELECT list(u_mag), list(DISTINCT scatter_mag) FROM int_effective__bins GROUP BY bin")
    expected = np.array([(float(np.median(u_mags)), *scatter) for u_mags, scatter in bins])
    assert as_points(np.asarray(right.lines[0].get_xydata())) == pytest.approx(as_points(expected), abs=1e-8)


def test_uniform_probabilities_lie_on_the_line() -> None:
    n = 100_000
    expected, observed = quantiles((np.arange(n) + 0.5) / n)
    assert observed == pytest.approx(expected)
    assert len(expected) < 1_500 < n
    assert len(quantiles(np.array([math.nan]))[0]) == 0


def test_an_empty_sample_is_said_in_words(make_archive: MakeArchive) -> None:
    with open_warehouse(make_archive(red_giant(1000, no=("ext.twomass_psc",)))) as warehouse:
        assert warehouse.rows("FROM sample") == []
        for draw, said in ((figure_catalogue, 2), (figure_quadrants, 1), (figure_sky, 1), (figure_infrared, 2),
                           (figure_coverage, 3), (figure_effective, 2)):  # fmt: skip
            assert words(draw(warehouse)).count("no rows:") == said, draw.__name__
        assert "none is listed" in words(figure_attrition(warehouse))
