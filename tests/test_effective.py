"""Effective sigma: probabilities of quiet stars are uniform, exact where they can be, and not misled by variables."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from conftest import DR2
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from skysy.models import parameters
from skysy.models.project import Project, load_project

Reals = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stars:
    """Sequences of one to three u exposures each: object, true u, error in the table, magnitudes; NaN where none was taken."""

    object_id: Integers
    errors: Reals
    mags: Reals


def quiet(n_objects: int, seed: int, *, scatter_mag: float = 0.0, smallest_error_mag: float = 0.0033) -> Stars:
    """Stars that do not vary: one to three sequences of two or three exposures, errors of every exposure their own."""
    chance = np.random.default_rng(seed)
    object_id = np.repeat(np.arange(n_objects) + 1_000_000, chance.integers(1, 4, n_objects))
    u_mag = chance.uniform(12.0, 18.0, n_objects)[object_id - 1_000_000, None]
    typical = 0.002 * 10 ** (0.25 * (u_mag - 14.0)) * chance.lognormal(0.0, 0.3, (len(object_id), 3))
    errors = np.round(np.maximum(typical, smallest_error_mag), 4)
    mags = u_mag + np.hypot(errors, scatter_mag) * chance.standard_normal(errors.shape)
    errors[chance.random(len(errors)) < 0.1, 2] = np.nan
    return Stars(object_id, errors, np.where(np.isnan(errors), np.nan, mags))


def with_flickerers(stars: Stars, share: float, amplitude_mag: float, seed: int) -> tuple[Stars, Integers]:
    """Some of the objects change by so much at random; which ones they are."""
    chance = np.random.default_rng(seed)
    every = np.unique(stars.object_id)
    chosen = np.sort(chance.choice(every, int(share * len(every)), replace=False))
    change = amplitude_mag * chance.standard_normal(stars.mags.shape)
    mags = stars.mags + np.where(np.isin(stars.object_id, chosen)[:, None], change, 0.0)
    return Stars(stars.object_id, stars.errors, mags), chosen


def greatest_sigma(stars: Stars) -> dict[int, float]:
    """The statistic by plain numpy: the most significant pair of any sequence of an object."""
    best: Reals = np.full(len(stars.object_id), -np.inf)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        change = np.abs(stars.mags[:, i] - stars.mags[:, j]) / np.hypot(stars.errors[:, i], stars.errors[:, j])
        best = np.fmax(best, change)
    objects, place = np.unique(stars.object_id, return_inverse=True)
    top = np.full(len(objects), -np.inf)
    np.maximum.at(top, place, best)
    return dict(zip(objects.tolist(), top.tolist(), strict=True))


@cache
def project_with(settings: tuple[str, ...] = ()) -> Project:
    return load_project(DR2, settings=settings)


def lists(exposures: Reals) -> pa.ListArray:
    """Each row's values that are there, as a list."""
    there = ~np.isnan(exposures)
    return pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype("i4"), exposures[there])


def effective_sigma(stars: Stars, *, settings: tuple[str, ...] = (), threads: int = 2) -> dict[str, npt.NDArray[Any]]:
    """Columns of effective_sigma in order of object_id, by the project's SQL on these exposures."""
    project = project_with(settings)
    text = {model.name: model.sql for model in project.models}
    sigma = greatest_sigma(stars)
    with duckdb.connect(config={"threads": threads}) as con:
        parameters.apply(con, project.parameters)
        rows = pa.table(
            {
                "object_id": stars.object_id,
                "sequence_id": np.arange(len(stars.object_id)),
                "n_u": np.sum(~np.isnan(stars.errors), axis=1),
                "mags": lists(stars.mags),
                "errors": lists(stars.errors),
            }
        )
        objects = pa.table({"object_id": list(sigma), "rapid_u_sigma": list(sigma.values())})
        con.register("given_rows", rows)
        con.register("given_objects", objects)
        con.execute("CREATE TABLE int_rapid__sequences AS FROM given_rows")
        con.execute("CREATE TABLE rapid_variability AS FROM given_objects")
        con.execute("CREATE TABLE sample AS SELECT object_id FROM given_objects")
        for name in ("int_effective__bins", "effective_sigma", "false_alarms"):
            con.execute(f"CREATE TABLE {name} AS {text[name]}")
        found: dict[str, npt.NDArray[Any]] = con.sql("FROM effective_sigma ORDER BY object_id").fetchnumpy()
        found["n_expected"] = con.sql("SELECT n_expected FROM false_alarms ORDER BY step").fetchnumpy()["n_expected"]
        found["n_found"] = con.sql("SELECT n_found FROM false_alarms ORDER BY step").fetchnumpy()["n_found"]
    return found


@pytest.fixture(scope="module")
def right_errors() -> dict[str, npt.NDArray[Any]]:
    return effective_sigma(quiet(100_000, seed=1))


@pytest.fixture(scope="module")
def small_errors() -> dict[str, npt.NDArray[Any]]:
    """Errors that leave out a scatter of 1 %."""
    return effective_sigma(quiet(100_000, seed=2, scatter_mag=0.01))


def test_analytic_probabilities_are_uniform_where_errors_are_right(right_errors: dict[str, npt.NDArray[Any]]) -> None:
    assert len(right_errors["object_id"]) == 100_000
    assert stats.kstest(right_errors["p_analytic"], "uniform").pvalue > 0.01


@pytest.mark.parametrize("column", ["p_empirical", "p_scatter"])
def test_probabilities_are_uniform_though_errors_are_too_small(
    small_errors: dict[str, npt.NDArray[Any]], column: str
) -> None:
    assert stats.kstest(small_errors[column], "uniform").pvalue > 0.01
    assert stats.kstest(small_errors["p_analytic"], "uniform").pvalue < 1e-6


def test_scatter_beyond_the_errors_is_found(small_errors: dict[str, npt.NDArray[Any]]) -> None:
    bright = small_errors["u_mag"] < 15.0
    assert np.median(small_errors["scatter_mag"][bright]) == pytest.approx(0.01, rel=0.03)


def test_false_objects_are_as_many_as_expected(small_errors: dict[str, npt.NDArray[Any]]) -> None:
    expected, found = small_errors["n_expected"], small_errors["n_found"]
    for row in (0, 1):  # the limit of the build; p_scatter of 0.003
        assert expected[row] > 30
        assert abs(found[row] - expected[row]) < 4 * math.sqrt(expected[row])


@pytest.mark.slow
def test_variables_do_not_lift_the_lines_of_quiet_stars() -> None:
    stars = quiet(30_000, seed=3, scatter_mag=0.01)
    mixed, chosen = with_flickerers(stars, 0.03, 0.5, seed=4)
    alone, among = effective_sigma(stars), effective_sigma(mixed)
    assert np.median(np.abs(among["sigma_997"] / alone["sigma_997"] - 1)) < 0.03
    varies = np.isin(among["object_id"], chosen)
    assert among["is_outlier"][varies].mean() > 0.9
    assert among["is_outlier"][~varies].mean() < 0.001
    assert np.median(among["p_empirical"][varies]) < 0.002


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=4)
def test_analytic_probability_is_the_integral(seed: int) -> None:
    chance = np.random.default_rng(seed)
    errors = np.round(10 ** chance.uniform(-2.5, -0.5, (60, 3)), 4)
    errors[::4, 2] = np.nan
    change = chance.uniform(0.0, 4.0, 60) * np.nanmin(errors, axis=1)
    mags = np.where(np.isnan(errors), np.nan, 15.0) + change[:, None] * np.array([1.0, 0.0, 0.0])
    stars = Stars(np.arange(60), errors, mags)
    sigma = greatest_sigma(stars)
    found = effective_sigma(stars)["p_analytic"]
    expected = [exceeding(row[~np.isnan(row)].tolist(), sigma[n]) for n, row in enumerate(errors)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def exceeding(errors: list[float], sigma: float) -> float:
    """Probability that a pair of two or three Gaussians differs by more, by adaptive quadrature over the first difference."""
    width = [sigma * math.hypot(errors[i], errors[j]) for i, j in ((0, 1), (0, -1), (1, -1))]
    if len(errors) == 2:
        return math.erfc(sigma / math.sqrt(2))
    a, b, c = (e * e for e in errors)
    spread, slope = math.sqrt(a + b), b / (a + b)
    left = math.sqrt(c + a * b / (a + b))

    def outside(d: float) -> float:
        upper, lower = min(width[2], d + width[1]), max(-width[2], d - width[1])
        tails = special.ndtr((slope * d - upper) / left) + special.ndtr((lower - slope * d) / left)
        return math.exp(-0.5 * (d / spread) ** 2) / spread / math.sqrt(2 * math.pi) * float(tails)

    turns = sorted({min(max(t, -width[0]), width[0]) for t in (width[2] - width[1], width[1] - width[2])})
    edges = [-width[0], *turns, width[0]]
    inside = sum(
        integrate.quad(outside, lo, hi, epsabs=0, epsrel=1e-9)[0] for lo, hi in itertools.pairwise(edges) if hi > lo
    )
    return math.erfc(width[0] / spread / math.sqrt(2)) + inside


def test_four_exposures_get_a_probability_that_is_not_too_small() -> None:
    chance = np.random.default_rng(5)
    errors = np.array([0.004, 0.005, 0.004, 0.007])
    drawn = errors * chance.standard_normal((400_000, 4))
    best = np.zeros(len(drawn))
    for i in range(4):
        for j in range(i + 1, 4):
            best = np.maximum(best, np.abs(drawn[:, i] - drawn[:, j]) / math.hypot(errors[i], errors[j]))
    project = project_with()
    text = {model.name: model.sql for model in project.models}
    for sigma in (2.0, 3.0):
        with duckdb.connect() as con:
            parameters.apply(con, project.parameters)
            con.execute(
                "CREATE TABLE int_rapid__sequences AS SELECT 1 AS object_id, 1 AS sequence_id, 4 AS n_u, [15e0, 15, 15, 15] AS mags, ? AS errors",
                [errors.tolist()],
            )
            con.execute("CREATE TABLE rapid_variability AS SELECT 1 AS object_id, ? AS rapid_u_sigma", [sigma])
            con.execute("CREATE TABLE sample AS SELECT 1 AS object_id")
            con.execute(f"CREATE TABLE int_effective__bins AS {text['int_effective__bins']}")
            p = con.sql(f"SELECT p_analytic FROM ({text['effective_sigma']})").fetchall()[0][0]
        true = (best >= sigma).mean()
        assert true * 0.98 <= p <= true * 1.35


def test_bins_and_ranks_are_those_of_plain_numpy() -> None:
    stars = quiet(700, seed=6, scatter_mag=0.01)
    found = effective_sigma(stars, settings=("effective_bin_objects=90",))
    order = np.lexsort((found["object_id"], found["u_mag"]))
    sigma = found["rapid_u_sigma"][order]
    n, blocks = len(sigma), len(sigma) * 3 // 90
    block = np.arange(n) * blocks // n
    kept = np.ones(n, dtype=bool)

    def around(b: int) -> npt.NDArray[np.bool_]:
        return np.asarray(np.abs(block - b) <= 1)

    def lines(percent: float) -> Reals:
        return np.array([np.percentile(sigma[around(b) & kept], percent) for b in range(blocks)])

    for _ in range(3):
        kept = sigma <= 2.2 * lines(95.5)[block]
    np.testing.assert_allclose(found["sigma_955"][order], lines(95.5)[block], rtol=1e-12)
    np.testing.assert_allclose(found["sigma_997"][order], lines(99.7)[block], rtol=1e-12)
    for place in range(0, n, 7):
        others = sigma[around(block[place]) & kept]
        as_high = (others >= sigma[place]).sum()
        share = as_high / len(others) if kept[place] else (as_high + 1) / (len(others) + 1)
        assert found["p_empirical"][order][place] == pytest.approx(share, rel=1e-12)
    assert (found["is_outlier"][order] == ~kept).all()


def test_results_do_not_depend_on_threads() -> None:
    stars = quiet(5_000, seed=7, scatter_mag=0.01)
    one, three = (effective_sigma(stars, threads=threads) for threads in (1, 3))
    for name, values in one.items():
        np.testing.assert_array_equal(values, three[name])


@pytest.mark.parametrize("axis", ["error", "colour"])
def test_the_axis_is_one_that_there_is(axis: str) -> None:
    ask: Callable[[], object] = lambda: effective_sigma(  # noqa: E731
        quiet(500, seed=8), settings=(f"effective_axis='{axis}'",)
    )
    if axis == "error":
        ask()
    else:
        with pytest.raises(duckdb.Error, match="effective_axis is u_mag or error"):
            ask()
