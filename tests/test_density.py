"""The density score is the exact sum over all pairs, to 1e-9 in its logarithm, whatever the points."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from skysy.analysis import density
from skysy.analysis.density import log_density

from skysy import config, store
from skysy.errors import ModelError

Reals = NDArray[np.float64]
Points = tuple[Reals, Reals]

LIMIT = 1e-9
N_LUCY = 366_721
"""Objects in the published sample (Lucy et al. 2024, abstract)."""


def by_pairs(x: Reals, y: Reals, h: float, which: NDArray[np.int64] | None = None) -> Reals:
    """The definition: every point (or those of `which`) compared with every other."""
    chosen = np.arange(len(x)) if which is None else which
    sums = np.array([np.exp(-((x - x[i]) ** 2 + (y - y[i]) ** 2) / (2 * h**2)).sum() for i in chosen])
    score: Reals = np.log(sums) - math.log(len(x)) - math.log(2 * math.pi * h**2)
    return score


def giants(n: int, seed: int = 1) -> Points:
    """A locus of 0.3 x 0.15 mag with a tail of three per cent towards the blue, in random order."""
    random = np.random.default_rng(seed)
    tail = n * 3 // 100
    x = np.concatenate([random.normal(2.9, 0.3, n - tail), 2.9 - random.exponential(0.5, tail)])
    y = np.concatenate([random.normal(0.6, 0.15, n - tail), random.normal(0.6, 0.35, tail)])
    order = random.permutation(n)
    return x[order], y[order]


def uniform(n: int, width_mag: float) -> Points:
    random = np.random.default_rng(2)
    return random.uniform(-width_mag / 2, width_mag / 2, n), random.uniform(-width_mag / 2, width_mag / 2, n)


def lattice(step_mag: float, shift_mag: float) -> Points:
    x, y = np.meshgrid(np.arange(50) * step_mag + shift_mag, np.arange(50) * step_mag - 2.5)
    return x.ravel(), y.ravel()


def far_outliers() -> Points:
    x, y = giants(2000)
    far = np.array([-50.0, 50.0, -50.0, 50.0, 1e6, 1e15])
    return np.concatenate([x, far]), np.concatenate([y, far[::-1]])


def cluster_and_sentinels() -> Points:
    """A tight clump, where sums are greatest, beside single points at every distance from it."""
    random = np.random.default_rng(3)
    clump = random.normal(0, 0.01, (2, 3000))
    ring = np.linspace(0, 1.2, 400)
    angle = np.linspace(0, 20, 400)
    return (
        np.concatenate([clump[0], ring * np.cos(angle)]),
        np.concatenate([clump[1], ring * np.sin(angle)]),
    )


SHAPES: dict[str, Callable[[], Points]] = {
    "a locus with a tail": lambda: giants(5000),
    "uniform, crowded": lambda: uniform(5000, 2),
    "uniform, about one a box": lambda: uniform(3000, 6),
    "uniform, isolated": lambda: uniform(2000, 100),
    "all the same": lambda: (np.full(3000, 1.23456), np.full(3000, -0.1)),
    "a lattice on the borders of boxes": lambda: lattice(0.1, 0.0),
    "a lattice astride the borders": lambda: lattice(0.05, 0.025),
    "a line": lambda: (np.linspace(-3, 3, 3000), np.zeros(3000)),
    "far outliers": far_outliers,
    "a clump beside single points": cluster_and_sentinels,
    "two clumps just beyond the cut-off": lambda: (np.repeat([0.0, 1.0], 2000), np.repeat([0.0, 0.3], 2000)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_sum_over_all_pairs(shape: str) -> None:
    x, y = SHAPES[shape]()
    assert np.max(np.abs(log_density(x, y) - by_pairs(x, y, 0.1))) <= LIMIT


@pytest.mark.parametrize("bandwidth_mag", [0.003, 0.1, 0.25, 7.0])
def test_equals_the_sum_over_all_pairs_at_any_bandwidth(bandwidth_mag: float) -> None:
    x, y = giants(2000)
    difference = log_density(x, y, bandwidth_mag) - by_pairs(x, y, bandwidth_mag)
    assert np.max(np.abs(difference)) <= LIMIT


def test_equals_the_kernel_density_of_scikit_learn() -> None:
    neighbors = pytest.importorskip("sklearn.neighbors", reason="scikit-learn is not installed")
    x, y = giants(5000)
    points = np.column_stack([x, y])
    estimate = neighbors.KernelDensity(kernel="gaussian", bandwidth=0.1, atol=0, rtol=0).fit(points)
    assert np.max(np.abs(log_density(x, y) - estimate.score_samples(points))) <= LIMIT


@settings(max_examples=200, deadline=None)
@given(
    arrays.arrays(np.float64, st.tuples(st.just(2), st.integers(1, 60)), elements=st.floats(-3, 3, allow_nan=False)),
    st.sampled_from([0.02, 0.1, 1.0]),
)
def test_equals_the_sum_over_all_pairs_for_any_few_points(points: Reals, bandwidth_mag: float) -> None:
    x, y = points
    expected = by_pairs(x, y, bandwidth_mag)
    assert np.max(np.abs(log_density(x, y, bandwidth_mag) - expected)) <= LIMIT


def test_equals_the_sum_over_all_pairs_for_a_whole_survey() -> None:
    x, y = giants(N_LUCY)
    score = log_density(x, y)
    random = np.random.default_rng(4).integers(0, N_LUCY, 100)
    chosen = np.unique(np.concatenate([random, np.argsort(score)[:50], np.argsort(score)[-50:]]))
    assert np.max(np.abs(score[chosen] - by_pairs(x, y, 0.1, chosen))) <= LIMIT


def test_an_isolated_point_of_the_published_sample_has_the_published_floor() -> None:
    x, y = giants(N_LUCY)
    x[17], y[17] = -20, 20
    floor = log_density(x, y)[17]
    assert floor == pytest.approx(-math.log(N_LUCY) - math.log(2 * math.pi * 0.01), abs=1e-12)
    assert round(floor, 6) == -10.045064


def test_n_points_in_one_place_have_the_density_of_one() -> None:
    score = log_density(np.full(N_LUCY, 2.9), np.full(N_LUCY, 0.6))
    assert np.max(np.abs(score + math.log(2 * math.pi * 0.01))) <= LIMIT


def test_is_the_same_when_memory_is_taken_in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = uniform(6000, 5)
    expected = by_pairs(x, y, 0.1)
    for name, value in (("_BOXES", 300), ("_BLOCK", 128), ("_PAIRS", 1000)):
        monkeypatch.setattr(density, name, value)
    assert np.max(np.abs(log_density(x, y) - expected)) <= LIMIT


@pytest.mark.parametrize("dense", [1, 10**9])
def test_expansions_alone_and_pairs_alone_agree(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(density, "_DENSE", dense)
    x, y = giants(3000)
    assert np.max(np.abs(log_density(x, y) - by_pairs(x, y, 0.1))) <= LIMIT


@pytest.mark.parametrize("n", [2, 1000, N_LUCY, 10**7])
def test_the_matrices_keep_within_the_bound_that_they_are_chosen_by(n: int) -> None:
    q, reach = density._nodes(n), density._reach(n)
    u = np.linspace(-1, 1, 101)
    polynomials = np.polynomial.chebyshev.chebvander(u, q - 1)
    for k, matrix in density._matrices(reach, q).items():
        kernel = np.exp(-((k + (u[:, None] - u[None, :]) / 2) ** 2) / 2)
        error = np.max(np.abs(polynomials @ matrix @ polynomials.T - kernel))
        assert error <= density.TOLERANCE / 3 / (2 * n) + 1e-14 * np.max(kernel)
    assert n * math.exp(-(reach**2) / 2) <= density.TOLERANCE / 3


def test_gives_the_same_bits_with_one_thread_and_with_two() -> None:
    program = (
        "import hashlib, numpy as np; from skysy.analysis.density import log_density;"
        "r = np.random.default_rng(5); points = r.normal(2.9, 0.3, 20000), r.normal(0.6, 0.15, 20000);"
        "print(hashlib.sha256(log_density(*points).tobytes()).hexdigest())"
    )
    digests = set()
    for threads in ("1", "2"):
        counts = {f"{name}_NUM_THREADS": threads for name in ("OMP", "OPENBLAS", "MKL")}
        run = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **counts},
        )
        digests.add(run.stdout.strip())
    random = np.random.default_rng(5)
    here = log_density(random.normal(2.9, 0.3, 20000), random.normal(0.6, 0.15, 20000))
    assert digests == {hashlib.sha256(here.tobytes()).hexdigest()}


def test_no_points_have_no_scores() -> None:
    assert log_density([], []).shape == (0,)


def test_leaves_its_input_alone() -> None:
    x, y = giants(500)
    before = x.copy(), y.copy()
    log_density(x, y)
    assert np.array_equal(x, before[0]) and np.array_equal(y, before[1])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e308])
def test_refuses_what_is_not_finite_and_says_where(bad: float) -> None:
    with pytest.raises(ModelError, match=r"1 of 3 points .* point 1 with"):
        log_density([1.0, bad, 2.0], [0.0, 0.0, 0.0])


@pytest.mark.parametrize("bandwidth_mag", [0.0, -0.1, math.nan, math.inf])
def test_refuses_a_bandwidth_that_is_none(bandwidth_mag: float) -> None:
    with pytest.raises(ModelError, match="bandwidth"):
        log_density([1.0], [1.0], bandwidth_mag)


def test_refuses_colours_that_do_not_belong_together() -> None:
    with pytest.raises(ModelError, match="shapes"):
        log_density([1.0, 2.0], [1.0])


def test_the_engine_scores_every_point_of_the_warehouse_in_order_of_object(tmp_path: Path) -> None:
    x, y = giants(300)
    objects = np.arange(300, dtype=np.int64)[::-1] + 9_007_199_254_740_993
    house_settings = config.settings(tmp_path, "500MB", 1)
    with store.open_warehouse(house_settings, write=True, make=True) as house:
        house.run("CREATE TABLE int_density__points (object_id BIGINT, ug_mag DOUBLE, uv_mag DOUBLE)")
        rows = list(zip(objects.tolist(), x.tolist(), y.tolist(), strict=True))
        house.con.executemany("INSERT INTO int_density__points VALUES (?, ?, ?)", rows)
        house.run("SET VARIABLE kde_bandwidth_mag = 0.2")
        scored = density.engine(house)
    assert scored.schema.names == ["object_id", "ln_density"]
    assert [str(kind) for kind in scored.schema.types] == ["int64", "double"]
    assert scored["object_id"].to_pylist() == sorted(objects.tolist())
    assert np.max(np.abs(scored["ln_density"].to_numpy()[::-1] - by_pairs(x, y, 0.2))) <= LIMIT


def test_the_engine_asks_for_its_bandwidth(tmp_path: Path) -> None:
    with store.open_warehouse(config.settings(tmp_path, "500MB", 1), write=True, make=True) as house:
        house.run("CREATE TABLE int_density__points (object_id BIGINT, ug_mag DOUBLE, uv_mag DOUBLE)")
        with pytest.raises(ModelError, match="kde_bandwidth_mag"):
            density.engine(house)
        house.run("SET VARIABLE kde_bandwidth_mag = 0.1")
        assert density.engine(house).num_rows == 0
        house.run("INSERT INTO int_density__points VALUES (1, 1.0, NULL)")
        with pytest.raises(ModelError, match="not a usable number"):
            density.engine(house)
