"""Figure 4: how large rapid delta-u sigma is for ordinary stars at each brightness, and who stands out."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from skysy.analysis.figures.marks import SMALLEST_SIGMA, dot_size, log_sigma_axis
from skysy.analysis.figures.marts import Frame, Reals, arrays, draw_crowd, limit
from skysy.analysis.figures.style import LIGHT, Theme, canvas, legend_below, say_empty

from skysy.store import Warehouse

PERCENTILES = (95.5, 99.7)
"""Percentages within 2 and 3 standard deviations of a Gaussian: the lines of "effective sigma" (Lucy 2021)."""

_FEWEST = 400
"""Objects in a running bin: one in 300 lies above the upper line."""

_STARS = f"""
    (SELECT
        e.object_id,
        e.u_mag,
        log10(greatest(e.rapid_u_sigma, {SMALLEST_SIGMA})) AS log_sigma,
        log10(greatest(r.rapid_u_sigma_floored, {SMALLEST_SIGMA})) AS log_floored,
        CAST(e.is_outlier AS INTEGER) AS is_outlier
    FROM effective_sigma AS e
    JOIN rapid_variability AS r ON e.object_id = r.object_id)
"""


def figure_variability(warehouse: Warehouse, theme: Theme = LIGHT) -> Figure:
    """Rapid delta-u sigma against mean u of the sequences, with the archive's errors and with the error floor.

    The lines are empirical percentiles of the sample in running bins, outliers (is_outlier) left out: what serves as
    two and three sigma, because the archive's errors are smaller than the survey's reproducibility and the largest of
    three pairs is no single Gaussian draw. On the left they are sigma_955 and sigma_997 of effective_sigma, bin by
    bin; on the right running_percentiles of the floored values. Dots in both panels are the objects at or above
    rapid_u_sigma_min with the archive's errors. Values below 0.1 are drawn at 0.1.
    """
    threshold = limit(warehouse, "rapid_u_sigma_min")
    floor_mag = limit(warehouse, "rapid_error_floor_mag")
    stars = arrays(warehouse, f"SELECT u_mag, log_sigma, log_floored, is_outlier FROM {_STARS} ORDER BY ALL")
    with canvas(theme, height_in=4.2) as figure:
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        left.set_ylabel(r"rapid $\Delta u\,\sigma$")
        left.set_title("archive errors")
        right.set_title("with error floor" if floor_mag is None else f"{floor_mag:g} mag added in quadrature")
        for axes in (left, right):
            axes.set_xlabel("mean $u$  (mag, AB)")
        log_sigma_axis(left.yaxis)
        if not len(stars["u_mag"]):
            for axes in (left, right):
                say_empty(axes, theme, "no rows: no sample object\nhas a colour sequence")
            return figure
        view = _view(stars, threshold)
        for axes, column in ((left, "log_sigma"), (right, "log_floored")):
            draw_crowd(axes, warehouse, _STARS, "u_mag", column, view, theme, across=44, rows=26)
            if threshold is not None:
                above = stars["log_sigma"] >= math.log10(threshold)
                _draw_outliers(axes, stars["u_mag"][above], stars[column][above], theme)
        bins = arrays(
            warehouse,
            "SELECT median(u_mag) AS u_mag, min(sigma_955) AS sigma_955, min(sigma_997) AS sigma_997 "
            "FROM int_effective__bins GROUP BY bin ORDER BY ALL",
        )
        lines = np.maximum([bins["sigma_955"], bins["sigma_997"]], SMALLEST_SIGMA)
        _draw_lines(left, bins["u_mag"], np.log10(lines), theme)
        ordinary = stars["is_outlier"] == 0
        _draw_lines(right, *running_percentiles(stars["u_mag"][ordinary], stars["log_floored"][ordinary]), theme)
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
    return Frame(x, (math.log10(SMALLEST_SIGMA), highest + 0.15))


def _draw_lines(axes: Axes, u_mag: Reals, lines: Reals, theme: Theme) -> None:
    """One line for each of PERCENTILES, its bins marked where they are few."""
    marker = "." if len(u_mag) <= 5 else ""
    for line, percentile, dashes in zip(lines, PERCENTILES, ("-", "--"), strict=True):
        label = f"{percentile:g} % lie below"
        axes.plot(u_mag, line, color=theme.bands[0], ls=dashes, marker=marker, zorder=3, label=label)


def _draw_outliers(axes: Axes, u_mag: Reals, values: Reals, theme: Theme) -> None:
    label = f"outliers ({len(u_mag):,})"
    axes.plot(u_mag, values, "o", ms=dot_size(len(u_mag)), mfc=theme.candidate, mec=theme.paper, mew=0.4, label=label)
