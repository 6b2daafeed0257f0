"""Marks that several figures share: candidates, known objects, and the logarithmic axis of sigma."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from skysy.analysis.figures.marts import Reals
from skysy.analysis.figures.style import Theme

SMALLEST_SIGMA = 0.1
"""Smaller sigmas are drawn here: a pair of equal magnitudes has no logarithm."""

_TICKS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)


def draw_candidates(axes: Axes, x: Reals, y: Reals, theme: Theme) -> None:
    """Candidates as dots, smaller where they are many; one that misses a coordinate is drawn nowhere and not counted."""
    axes.plot(
        x,
        y,
        "o",
        ms=dot_size(len(x)),
        mfc=theme.candidate,
        mec=theme.paper,
        mew=0.3 if len(x) <= 1000 else 0,
        zorder=4,
        label=f"candidates ({_placed(x, y):,})",
    )


def draw_known(axes: Axes, x: Reals, y: Reals, theme: Theme) -> None:
    """Known objects as open diamonds."""
    axes.plot(
        x,
        y,
        "D",
        ms=1.75 * dot_size(len(x)),
        mfc="none",
        mec=theme.ink,
        mew=0.9 if len(x) <= 100 else 0.5,
        zorder=5,
        label=f"known objects ({_placed(x, y):,})",
    )


def log_sigma_axis(axis: Axis) -> None:
    """Label an axis of log10 of sigma by the sigmas themselves."""
    axis.set_major_locator(FixedLocator([math.log10(tick) for tick in _TICKS]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{10**value:g}"))


def dot_size(n: int) -> float:
    """Diameter of dots in points: the more there are, the smaller, so that they hide less of each other."""
    return 4.0 if n <= 100 else 2.5 if n <= 1000 else 1.6


def _placed(x: Reals, y: Reals) -> int:
    return sum(math.isfinite(one + other) for one, other in zip(x, y, strict=True))
