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
# Means of u are summed in whole 1e-9 mag, so that they do not depend on the order of rows.
_STARS = f"""
    (SELECT
        r.object_id,
        CAST(sum(CAST(round(m.mag_psf * 1e9) AS HUGEINT)) AS DOUBLE) / count(*) / 1e9 AS u_mag,
        log10(greatest(r.rapid_u_sigma, {_SMALLEST_SIGMA})) AS log_sigma,
        log10(greatest(r.rapid_u_sigma_floored, {_SMALLEST_SIGMA})) AS log_floored
    FROM rapid_variability AS r
    SEMI JOIN sample AS s ON r.object_id = s.object_id
    JOIN measurements AS m ON r.object_id = m.object_id AND m.filter = 'u' AND m.sequence_id IS NOT NULL
    GROUP BY r.object_id, r.rapid_u_sigma, r.rapid_u_sigma_floored)
"""


def figure_variability(warehouse: Warehouse, theme: Theme = LIGHT) -> Figure:
    """Rapid delta-u sigma against mean u of the sequences, with the archive's errors and with the error floor.

    The lines are the empirical 95.5 and 99.7 percentiles of the sample in running bins of u: what serves as two
    and three sigma, because the archive's errors are smaller than the survey's reproducibility and the largest of
    three pairs is no single Gaussian draw. Dots in both panels are the objects at or above rapid_u_sigma_min with
    the archive's errors. Values below 0.1 are drawn at 0.1.
    """
    threshold = limit(warehouse, "rapid_u_sigma_min")
    floor_mag = limit(warehouse, "rapid_error_floor_mag")
    stars = arrays(warehouse, f"SELECT u_mag, log_sigma, log_floored FROM {_STARS} ORDER BY ALL")
    with canvas(theme, height_in=4.2) as figure:
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        left.set_ylabel(r"rapid $\Delta u\,\sigma$")
        left.set_title("archive errors")
        right.set_title("with error floor" if floor_mag is None else f"{floor_mag:g} mag added in quadrature")
        for axes in (left, right):
            axes.set_xlabel("mean $u$  (mag, AB)")
            axes.yaxis.set_major_locator(FixedLocator([math.log10(tick) for tick in _TICKS]))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{10**value:g}"))
        if not len(stars["u_mag"]):
            for axes in (left, right):
                say_empty(axes, theme, "no rows: no sample object\nhas a colour sequence")
            return figure
        view = _view(stars, threshold)
        for axes, column in ((left, "log_sigma"), (right, "log_floored")):
            draw_crowd(axes, warehouse, _STARS, "u_mag", column, view, theme, across=44, rows=26)
            _draw_percentiles(axes, stars["u_mag"], stars[column], theme)
            if threshold is not None:
                above = stars["log_sigma"] >= math.log10(threshold)
                _draw_outliers(axes, stars["u_mag"][above], stars[column][above], theme)
        if threshold is not None:
            left.axhline(math.log10(threshold), color=theme.limit, ls=":", label=f"limit {threshold:g}")
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


def _view(stars: dict[str, Reals], threshold: float | None) -> Frame:
    """Round all stars in u, and from the smallest sigma drawn to above the largest and the limit."""
    u_mag, highest = stars["u_mag"], float(stars["log_sigma"].max())
    if threshold is not None:
        highest = max(highest, math.log10(threshold))
    x = (math.floor(u_mag.min() * 5) / 5, math.ceil(u_mag.max() * 5) / 5)
    return Frame(x, (math.log10(_SMALLEST_SIGMA), highest + 0.15))


def _draw_percentiles(axes: Axes, u_mag: Reals, values: Reals, theme: Theme) -> None:
    centres, lines = running_percentiles(u_mag, values)
    for line, percentile, dashes in zip(lines, PERCENTILES, ("-", "--"), strict=True):
        axes.plot(centres, line, color=theme.bands[0], ls=dashes, label=f"{percentile:g} % lie below")


def _draw_outliers(axes: Axes, u_mag: Reals, values: Reals, theme: Theme) -> None:
    label = f"outliers ({len(u_mag):,})"
    axes.plot(u_mag, values, "o", ms=4, mfc=theme.candidate, mec=theme.paper, mew=0.4, label=label)
