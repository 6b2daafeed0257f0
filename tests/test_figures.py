"""Figures show what the tables hold: every point counted once, lines where independent sums put them, the same bytes each time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import typer
from conftest import MakeArchive, Sky, detection, exposures, fill, red_giant, together
from figure_parts import Reals, counted_by_hand, dots, drawn_counts, line, parameter, table, words
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from skysy.analysis import figures
from skysy.analysis.figures import (
    DARK,
    FIGURES,
    LIGHT,
    figure_colours,
    figure_light_curve,
    figure_selection,
    figure_variability,
    save_figures,
)
from skysy.analysis.figures.variability import running_percentiles
from typer.testing import CliRunner

from skysy.cli import figures as command
from skysy.config import Settings
from skysy.errors import ModelError, UsageError
from skysy.store import Warehouse, create, open_warehouse

NIGHT = 57000.5
COLOURS_OF_SAMPLE = "FROM colours SEMI JOIN sample USING (object_id) WHERE ug_mag IS NOT NULL AND uv_mag IS NOT NULL"


@pytest.fixture
def sky(simulated: Sky) -> Iterator[Warehouse]:
    with open_warehouse(simulated.settings) as warehouse:
        yield warehouse


def test_hexagons_count_every_star_of_the_frame_once_and_in_the_nearest_place(sky: Warehouse) -> None:
    stars = table(sky, "SELECT jk0_mag, abs_j_mag FROM int_selection__matched WHERE isfinite(jk0_mag + abs_j_mag)")
    axes = figure_selection(sky).axes[0]
    assert drawn_counts(axes) == counted_by_hand(axes, stars)
    assert sum(drawn_counts(axes).values()) >= 0.997 * len(stars) > 2_000
    stars = table(sky, f"SELECT ug_mag, uv_mag {COLOURS_OF_SAMPLE}")
    axes = figure_colours(sky).axes[0]
    assert drawn_counts(axes) == counted_by_hand(axes, stars)
    assert sum(drawn_counts(axes).values()) >= 0.997 * len(stars) > 1_000


def test_lines_of_figure_one_stand_at_the_cuts_and_every_candidate_lies_beyond_them(sky: Warehouse) -> None:
    axes = figure_selection(sky).axes[0]
    assert line(axes, "$(J-K_s)_0").get_xdata()[0] == parameter(sky, "jk0_mag_min")
    assert line(axes, "$M_J").get_ydata()[0] == parameter(sky, "abs_j_mag_max")
    shown = line(axes, "candidates")
    expected = table(sky, "SELECT jk0_mag, abs_j_mag FROM candidates ORDER BY rank")
    assert np.array_equal(shown.get_xydata(), expected)
    assert shown.get_label() == f"candidates ({len(expected):,})"
    assert (expected[:, 0] > parameter(sky, "jk0_mag_min")).all()
    assert (expected[:, 1] < parameter(sky, "abs_j_mag_max")).all()
    assert axes.yaxis_inverted(), "bright stars are at the top"


def test_the_limit_contour_runs_where_the_kernel_density_has_the_limit(sky: Warehouse) -> None:
    """The sum over all stars is made here at each vertex; the figure counts in cells and smooths them."""
    stars, bandwidth = table(sky, f"SELECT ug_mag, uv_mag {COLOURS_OF_SAMPLE}"), parameter(sky, "kde_bandwidth_mag")
    contours = [part for part in figure_colours(sky).axes[0].collections if isinstance(part, QuadContourSet)]
    assert parameter(sky, "density_ln_max") in [level for part in contours for level in part.levels]
    for part in contours:
        for level, path in zip(part.levels, part.get_paths(), strict=True):
            vertices = path.vertices[:: max(1, len(path.vertices) // 50)]
            square = ((vertices[:, None, :] - stars[None, :, :]) ** 2).sum(axis=2)
            density = np.exp(-square / (2 * bandwidth**2)).sum(axis=1) / (len(stars) * 2 * math.pi * bandwidth**2)
            assert np.abs(np.log(density) - level).max(initial=0) < 0.03


def test_figure_two_shows_every_candidate_in_the_colour_of_its_sigma_and_every_known_star(sky: Warehouse) -> None:
    axes = figure_colours(sky).axes[0]
    rows = table(sky, "SELECT ug_mag, uv_mag, rapid_u_sigma FROM candidates ORDER BY rank")
    rows = rows[np.isfinite(rows[:, :2]).all(axis=1)]
    quiet = np.isnan(rows[:, 2])
    assert quiet.any()
    assert np.array_equal(dots(axes, "candidates without").get_offsets(), rows[quiet, :2])
    coloured = dots(axes, "candidates, coloured")
    assert np.array_equal(coloured.get_offsets(), rows[~quiet, :2])
    assert np.array_equal(np.asarray(coloured.get_array()), np.maximum(rows[~quiet, 2], 1))
    known = table(
        sky, f"SELECT ug_mag, uv_mag {COLOURS_OF_SAMPLE} AND object_id IN (SELECT object_id FROM known.objects)"
    )
    assert sorted(map(tuple, dots(axes, "known").get_offsets())) == sorted(map(tuple, known))


def stars_with_sequences(warehouse: Warehouse) -> Reals:
    """Mean u of the sequences that are compared, sigma, floored sigma, and whether it is left out; averaged here."""
    seen: dict[tuple[int, int], list[float]] = {}
    for object_id, sequence_id, mag in warehouse.rows(
        "SELECT object_id, sequence_id, mag_psf FROM measurements WHERE filter = 'u' AND sequence_id IS NOT NULL"
    ):
        seen.setdefault((object_id, sequence_id), []).append(mag)
    mags: dict[int, list[float]] = {}
    for (object_id, _), found in seen.items():
        if len(found) >= 2:
            mags.setdefault(object_id, []).extend(found)
    rows = warehouse.rows(
        "SELECT object_id, rapid_u_sigma, rapid_u_sigma_floored, is_outlier FROM rapid_variability "
        "SEMI JOIN sample USING (object_id) JOIN effective_sigma USING (object_id, rapid_u_sigma)"
    )
    return np.array([(math.fsum(mags[star]) / len(mags[star]), *others) for star, *others in rows])


def test_lines_of_figure_four_are_those_of_effective_sigma_at_the_middle_of_each_bin(sky: Warehouse) -> None:
    left, _ = figure_variability(sky).axes
    bins = sky.rows(
        "SELECT list(u_mag), list(DISTINCT sigma_955), list(DISTINCT sigma_997) FROM int_effective__bins GROUP BY bin"
    )
    stars = stars_with_sequences(sky)
    assert sum(len(u_mags) for u_mags, *_ in bins) == len(stars)
    for place, label in ((1, "95.5 %"), (2, "99.7 %")):
        expected = np.array(sorted((float(np.median(one[0])), math.log10(one[place][0])) for one in bins))
        assert np.array(line(left, label).get_xydata()) == pytest.approx(expected, abs=1e-9)
    for sigma_955, sigma_997 in sky.rows("SELECT sigma_955, sigma_997 FROM effective_sigma"):
        assert math.log10(sigma_955) in line(left, "95.5 %").get_ydata()
        assert math.log10(sigma_997) in line(left, "99.7 %").get_ydata()


def test_lines_of_the_floored_panel_leave_the_promised_share_of_ordinary_stars_below(sky: Warehouse) -> None:
    stars = stars_with_sequences(sky)
    assert stars[:, 3].any(), "the sky has outliers to leave out"
    stars = stars[stars[:, 3] == 0]
    stars = stars[np.argsort(stars[:, 0], kind="stable")]
    size = max(400, len(stars) // 20)
    for percent in (95.5, 99.7):
        shown = line(figure_variability(sky).axes[1], f"{percent:g} %")
        starts = [*range(0, len(stars) - size, size // 2), len(stars) - size]
        assert len(shown.get_xdata()) == len(starts)
        for start, x, log_sigma in zip(starts, shown.get_xdata(), shown.get_ydata(), strict=True):
            members = stars[start : start + size]
            assert x == pytest.approx(np.median(members[:, 0]), abs=1e-9)
            below = int((np.log10(members[:, 2]) < log_sigma).sum())
            assert below == math.ceil(percent / 100 * (size - 1))


def test_running_percentiles_of_pure_noise_are_two_and_three_sigma() -> None:
    noise = np.random.default_rng(5)
    u_mag = noise.uniform(14, 18, 40_000)
    centres, lines = running_percentiles(u_mag, np.abs(noise.normal(size=40_000)))
    assert lines.shape == (2, len(centres))
    assert (np.diff(centres) > 0).all()
    assert lines[0].mean() == pytest.approx(2.005, abs=0.03)
    assert lines[1].mean() == pytest.approx(2.968, abs=0.05)
    alone, single = running_percentiles(np.array([15.0]), np.array([4.0]))
    assert (alone.tolist(), single.tolist()) == ([15.0], [[4.0], [4.0]])


def test_figure_four_marks_the_same_outliers_in_both_panels(sky: Warehouse) -> None:
    stars, threshold = stars_with_sequences(sky), parameter(sky, "rapid_u_sigma_min")
    outliers = stars[stars[:, 1] >= threshold]
    assert len(outliers) == sky.value("SELECT count(*) FROM candidates WHERE criteria LIKE '%variability'") > 5
    for axes, column in zip(figure_variability(sky).axes, (1, 2), strict=True):
        shown = np.array(sorted(map(tuple, line(axes, "outliers").get_xydata())))
        assert shown == pytest.approx(
            np.array(sorted(zip(outliers[:, 0], np.log10(outliers[:, column]), strict=True))), abs=1e-9
        )
        assert sum(drawn_counts(axes).values()) == len(stars)


def test_a_light_curve_shows_every_measurement_and_joins_the_winning_pair(sky: Warehouse) -> None:
    object_id, image_i, image_j = sky.rows(
        "SELECT object_id, image_id_i, image_id_j FROM candidates WHERE criteria LIKE '%variability' ORDER BY rank LIMIT 1"
    )[0]
    panels = np.array(figure_light_curve(sky, object_id).axes).reshape(3, -1)
    spans = []
    for band, axes in zip("uvg", panels[:, 0], strict=True):
        drawn = sorted(y for part in axes.lines for y in part.get_ydata())
        expected = sky.rows(
            "SELECT mag_psf FROM measurements WHERE object_id = ? AND filter = ? ORDER BY mag_psf", [object_id, band]
        )
        assert drawn == [mag for (mag,) in expected]
        if drawn:
            assert axes.yaxis_inverted(), "bright is at the top"
            spans.append(abs(np.subtract(*axes.get_ylim())))
    assert spans == pytest.approx([spans[0]] * len(spans)), "one scale for all bands"
    ends = [
        sky.value("SELECT mag_psf FROM measurements WHERE object_id = ? AND image_id = ?", [object_id, image])
        for image in (image_i, image_j)
    ]
    assert ends in [list(part.get_ydata()) for part in panels[0, 1].lines]


def small_picture(figure: Figure) -> bytes:
    """A PNG file of few pixels, which takes a fraction of the time of a whole one."""
    drawn = BytesIO()
    figure.set_layout_engine("none")  # the layout takes half of that time
    figure.savefig(drawn, format="png", dpi=40)
    return drawn.getvalue()


@pytest.mark.slow
def test_the_same_warehouse_gives_the_same_pictures_whatever_the_threads(simulated: Sky) -> None:
    pictures = []
    for threads in (1, 2):
        with open_warehouse(Settings(simulated.settings.warehouse, "1GB", threads)) as warehouse:
            first = warehouse.value("SELECT object_id FROM candidates ORDER BY rank LIMIT 1")
            drawn = {name: draw(warehouse, LIGHT) for name, draw in FIGURES.items()}
            drawn["figure6"] = figure_light_curve(warehouse, first)
            pictures.append({name: small_picture(figure) for name, figure in drawn.items()})
    for name, one in pictures[0].items():
        assert one == pictures[1][name], name


@pytest.mark.slow
@pytest.mark.parametrize("dpi", [30, pytest.param(figures.DPI, marks=pytest.mark.slow)])
def test_all_figures_are_written_as_small_files(
    sky: Warehouse, tmp_path: Path, dpi: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "DPI", dpi)
    paths = save_figures(sky, tmp_path / "plots", light_curves=1)
    numbers = [int(path.name.removeprefix("figure").split("_")[0]) for path in paths]
    assert numbers == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 6]
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {path.name for path in paths}
    assert all(1_000 < path.stat().st_size < 200_000 for path in paths)


def test_a_dark_figure_shows_the_same_stars_on_another_paper(sky: Warehouse) -> None:
    light, dark = (figure_variability(sky, theme) for theme in (LIGHT, DARK))
    assert light.get_facecolor() != dark.get_facecolor()
    assert drawn_counts(light.axes[0]) == drawn_counts(dark.axes[0])


def test_what_cannot_be_drawn_is_said_in_words(make_archive: MakeArchive) -> None:
    with open_warehouse(make_archive(red_giant(1000, no=("ext.twomass_psc",)))) as warehouse:
        assert warehouse.rows("FROM sample") == []
        assert "no object has both a colour and a distance" in words(figure_selection(warehouse))
        assert "no sample object has both colours" in words(figure_colours(warehouse))
        assert words(figure_variability(warehouse)).count("no sample object\nhas a colour sequence") == 2
        assert "no u, v or g measurement" in words(figure_light_curve(warehouse, 1000))


def test_a_candidate_without_colours_is_left_out_of_figure_two_and_not_counted(make_archive: MakeArchive) -> None:
    """1000 flickers and was never seen in v; 2000 has both colours, and no change."""
    images = exposures(20150101120000, "uvgruvizuv", NIGHT)
    mags = {"u": iter([15.1, 14.6, 15.1]), "v": iter([14.9] * 3)}
    flicker = [detection(1000, image, next(mags["u"]), 0.004) for image in images if image["filter"] == "u"]
    steady = [
        detection(2000, image, {"u": 15.0, "v": 14.8, "g": 13.3}.get(image["filter"], 12.0), 0.01) for image in images
    ]
    settings = make_archive(
        together(red_giant(1000), red_giant(2000), {"dr2.images": images, "dr2.photometry": [*flicker, *steady]})
    )
    with open_warehouse(settings) as warehouse:
        assert warehouse.rows("SELECT object_id, uv_mag FROM candidates") == [(1000, None)]
        axes = figure_colours(warehouse).axes[0]
        assert dots(axes, "candidates without").get_label() == "candidates without rapid $\\Delta u\\,\\sigma$ (0)"
        assert not [one for one in axes.collections if str(one.get_label()).startswith("candidates, coloured")]
        assert sum(drawn_counts(axes).values()) == 1


def run(settings: Settings, *arguments: str) -> object:
    app = typer.Typer()
    app.command()(command.figures)
    return CliRunner().invoke(app, [*arguments, "--warehouse", str(settings.warehouse)])


def test_the_command_refuses_in_words_where_nothing_is_built_or_nothing_can_be_written(
    simulated: Sky, tmp_path: Path
) -> None:
    loaded = Settings(tmp_path / "loaded", "1GB", 1)
    create(loaded)
    with open_warehouse(loaded, write=True) as warehouse:
        fill(warehouse, "skymapper_dr2", red_giant(1000))
    failed = run(loaded, str(tmp_path / "plots")).exception  # type: ignore[attr-defined]
    assert isinstance(failed, ModelError)
    assert "has not been built yet" in failed.message
    assert "skysy build" in failed.remedy
    assert not (tmp_path / "plots").exists()
    (tmp_path / "file").touch()
    failed = run(simulated.settings, str(tmp_path / "file"), "--top", "0").exception  # type: ignore[attr-defined]
    assert isinstance(failed, UsageError)
    assert str(tmp_path / "file") in failed.message
