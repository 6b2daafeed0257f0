"""Figure 4: how large rapid delta-u sigma is for ordinary stars at each brightness, and who stands out."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from skysy.analysis.figures.marts import Frame, Reals, arrays, draw_crowd, limit
from skysy.analysis.figures.style import LIGHT, Theme, canvas, legend_below, say_empty

from skysy.store import Warehouse

PERCENTILES = (95.5, 99.7)
"""Percentages within 2 and 3 standard deviations of a Gaussian: the lines of "effective sigma" (Lucy 2021)."""

_FEWEST = 400
"""Objects in a running bin: one in 300 lies above the upper line."""

_SMALLEST_SIGMA = 0.1
_TICKS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
_STARS = """
    (SELECT
        r.object_id, avg(m.mag_psf) AS u_mag,
        log10(greatest(any_value(r.{column}), {smallest})) AS log_sigma
    FROM rapid_variability AS r
    SEMI JOIN sample AS s ON r.object_id = s.object_id
    JOIN measurements AS m ON r.object_id = m.object_id AND m.filter = 'u' AND m.sequence_id IS NOT NULL
    WHERE r.{column} IS NOT NULL
    GROUP BY r.object_id)
"""


def figure_variability(warehouse: Warehouse, theme: Theme = LIGHT) -> Figure:
    """Rapid delta-u sigma against mean u of the sequences, with the archive's errors and with the error floor.

    The lines are the empirical 95.5 and 99.7 percentiles of the sample in running bins of u: what serves as two
    and three sigma, because the archive's errors are smaller than the survey's reproducibility and the largest of
    three pairs is no single Gaussian draw. Dots lie at or above rapid_u_sigma_min.
    """
    threshold = limit(warehouse, "rapid_u_sigma_min")
    with canvas(theme, height_in=4.0) as figure:
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        left.set_ylabel(r"rapid $\Delta u\,\sigma$")
        _draw(left, warehouse, "rapid_u_sigma", threshold, theme)
        left.set_title("archive errors")
        _draw(right, warehouse, "rapid_u_sigma_floored", None, theme)
        floor_mag = limit(warehouse, "rapid_error_floor_mag")
        right.set_title("with error floor" if floor_mag is None else f"{floor_mag:g} mag added in quadrature")
        for axes in (left, right):
            axes.set_xlabel("mean $u$  (mag, AB)")
        legend_below(figure, left, columns=4)
    return figure


def running_percentiles(u_mag: Reals, values: Reals) -> tuple[Reals, Reals]:
    """Median u of running bins, shape (n,), and PERCENTILES of the values in each, shape (2, n).

    A bin holds a twentieth of the objects or _FEWEST, or all where there are fewer; neighbours overlap by half.
    """
    order = np.argsort(u_mag, kind="stable")
    u_mag, values = u_mag[order], values[order]
    size = min(len(u_mag), max(_FEWEST, len(u_mag) // 20))
    starts = [*range(0, len(u_mag) - size, max(size // 2, 1)), len(u_mag) - size]
    centres = np.array([np.median(u_mag[start : start + size]) for start in starts])
    lines = [np.percentile(values[start : start + size], PERCENTILES) for start in starts]
    return centres, np.array(lines).T


def _draw(axes: Axes, warehouse: Warehouse, column: str, threshold: float | None, theme: Theme) -> None:
    stars = _STARS.format(column=column, smallest=_SMALLEST_SIGMA)
    found = arrays(warehouse, f"SELECT u_mag, log_sigma FROM {stars} ORDER BY ALL")
    axes.yaxis.set_major_locator(FixedLocator([math.log10(tick) for tick in _TICKS]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{10**value:g}"))
    lowest = math.log10(_SMALLEST_SIGMA)
    highest = max(math.log10(threshold or 10) + 0.5, float(np.max(found["log_sigma"], initial=lowest)) + 0.2)
    if not len(found["u_mag"]):
        axes.set_ylim(lowest, highest)
        say_empty(axes, theme, "no rows: no sample object\nhas a colour sequence")
        return
    u_mag = found["u_mag"]
    view = Frame((math.floor(u_mag.min() * 5) / 5, math.ceil(u_mag.max() * 5) / 5), (lowest, highest))
    draw_crowd(axes, warehouse, stars, "u_mag", "log_sigma", view, theme, across=44, rows=26)
    centres, lines = running_percentiles(found["u_mag"], found["log_sigma"])
    for line, percentile, dashes in zip(lines, PERCENTILES, ("-", "--"), strict=True):
        axes.plot(centres, line, color=theme.bands[0], ls=dashes, marker="", label=f"{percentile:g} % of the sample")
    if threshold is not None:
        above = found["log_sigma"] >= math.log10(threshold)
        axes.plot(
            found["u_mag"][above],
            found["log_sigma"][above],
            "o",
            ms=4,
            mfc=theme.candidate,
            mec=theme.paper,
            mew=0.4,
            label=f"outliers ({int(above.sum()):,})",
        )
        axes.axhline(math.log10(threshold), color=theme.limit, ls=":", label=f"limit {threshold:g}")
