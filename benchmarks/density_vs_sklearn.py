"""The density score against scikit-learn's KernelDensity: same bandwidth, its default tolerances; and how it grows.

    python benchmarks/density_vs_sklearn.py

The points are a sample's colours as the simulator makes them: one dense locus, a tail, and stars far from everything.
"""

from __future__ import annotations

import argparse
import math

import bench
import numpy as np
import numpy.typing as npt
from sklearn.neighbors import KernelDensity
from skysy.analysis.density import log_density

BANDWIDTH_MAG = 0.1
SKYSY, SKLEARN = "skysy", "scikit-learn"
GROWTH = (62_500, 125_000, 250_000, 500_000, 1_000_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    x, y = colours(given.points)
    scores: dict[str, npt.NDArray[np.float64]] = {}

    def ours() -> float:
        def score() -> None:
            scores[SKYSY] = log_density(x, y, BANDWIDTH_MAG)

        return bench.seconds(score)

    def theirs() -> float:
        def score() -> None:
            points = np.column_stack([x, y])
            scores[SKLEARN] = KernelDensity(bandwidth=BANDWIDTH_MAG).fit(points).score_samples(points)

        return bench.seconds(score)

    found = bench.by_turns({SKYSY: ours, SKLEARN: theirs}, given.rounds)
    off = float(np.abs(scores[SKYSY] - scores[SKLEARN]).max())
    head = ("points", "skysy s", "scikit-learn s", "its time over skysy's", "greatest difference in ln")
    lines = [
        (f"{given.points:,}", bench.told(found[SKYSY]), bench.told(found[SKLEARN]),
         bench.ratios(found[SKLEARN], found[SKYSY], 0), f"{off:.1e}")
    ]  # fmt: skip
    grown = growth(given.rounds)
    bench.publish(
        "density_vs_sklearn",
        [f"{given.rounds} rounds.", "", *bench.table(head, lines), "", *grown],
    )


def growth(rounds: int) -> list[str]:
    """Seconds at growing numbers of points, and the exponent between the first and the last."""
    skies = {n: colours(n) for n in GROWTH}
    sides = {
        f"{n:,}": lambda sky=sky: bench.seconds(lambda: log_density(*sky, BANDWIDTH_MAG)) for n, sky in skies.items()
    }
    found = bench.by_turns(sides, rounds)
    middle = [sorted(values)[len(values) // 2] for values in found.values()]
    exponent = math.log(middle[-1] / middle[0]) / math.log(GROWTH[-1] / GROWTH[0])
    lines = [(name, bench.told(values)) for name, values in found.items()]
    return [
        *bench.table(("points", "skysy s"), lines),
        "",
        f"Exponent of growth from {GROWTH[0]:,} to {GROWTH[-1]:,} points: {exponent:.2f}.",
    ]


def colours(n: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """u - g and u - v of n stars [mag]: a narrow locus, a broad tail of 3 in 100, and 20 that are alone."""
    dice = np.random.default_rng(11)
    along = dice.normal(0.0, 0.35, n)
    ug, uv = 2.6 + along + dice.normal(0.0, 0.08, n), 0.25 * along + dice.normal(0.0, 0.07, n)
    tail = n * 3 // 100
    ug[:tail], uv[:tail] = dice.normal(1.5, 0.9, tail), dice.normal(-0.2, 0.6, tail)
    ug[:20], uv[:20] = dice.uniform(-8, 12, 20), dice.uniform(-8, 8, 20)
    return ug, uv


if __name__ == "__main__":
    main()
