"""Figure 11: whether the three probabilities of effective_sigma are probabilities, and the scatter that they take in."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from skysy.analysis.figures.marts import Reals, arrays
from skysy.analysis.figures.style import LIGHT, Theme, canvas, legend_below, say_empty

from skysy.store import Warehouse

SMALLEST_P = 1e-16
"""Smaller probabilities, down to 0, are drawn here."""

_ALL_DRAWN = 500
"""The smallest probabilities are all drawn, of the others one in each hundredth of a decade of rank."""

_LABELS = {
    "p_analytic": "archive errors",
    "p_empirical": "rank among stars as bright",
    "p_scatter": "errors and scatter",
}


def quantiles(p: Reals) -> tuple[Reals, Reals]:
    """-log10 of what the sorted probabilities would be if uniform, (i - 1/2)/n, and of what they are; thinned beyond _ALL_DRAWN.

    Plotting positions of Hazen 1914. NaN is left out.
    """
    p = np.sort(p[np.isfinite(p)])
    ranks = np.arange(1, len(p) + 1)
    step = np.floor(100 * np.log10(ranks))
    kept = (ranks <= _ALL_DRAWN) | (np.diff(step, prepend=-1) > 0)
    return -np.log10((ranks[kept] - 0.5) / max(len(p), 1)), -np.log10(np.maximum(p[kept], SMALLEST_P))


def figure_effective(warehouse: Warehouse, theme: Theme = LIGHT) -> Figure:
    """Observed against expected -log10 p for p_analytic, p_empirical and p_scatter; scatter_mag against mean u.

    Where nothing varies and the model is right, points lie on the line; above it are more small probabilities than
    chance gives: variables, or errors that the model does not know.
    """
    p = arrays(warehouse, f"SELECT {', '.join(_LABELS)} FROM effective_sigma ORDER BY ALL")
    bins = arrays(
        warehouse,
        "SELECT median(u_mag) AS u_mag, min(scatter_mag) AS scatter_mag FROM int_effective__bins GROUP BY bin ORDER BY ALL",
    )
    with canvas(theme, height_in=4.2) as figure:
        left, right = figure.subplots(1, 2)
        left.set_xlabel(r"expected $-\log_{10} p$")
        left.set_ylabel(r"observed $-\log_{10} p$")
        right.set_xlabel("mean $u$  (mag, AB)")
        right.set_ylabel("scatter beyond the errors  (mag)")
        n = len(p["p_scatter"])
        if not n:
            for axes in (left, right):
                say_empty(axes, theme, "no rows: no sample object\nhas a colour sequence")
            return figure
        left.set_title(f"{n:,} objects")
        far = float(np.log10(2 * n))
        left.plot([0, far], [0, far], color=theme.limit, lw=1.0, ls="--", label="uniform")
        for (name, label), colour, marker in zip(_LABELS.items(), theme.bands, ("^", "s", "o"), strict=True):
            left.plot(*quantiles(p[name]), marker, ms=3, mfc="none", mec=colour, mew=0.8, label=label)
        right.plot(
            bins["u_mag"], bins["scatter_mag"], "o-", ms=3.5, lw=0.9, color=theme.bands[2], mec=theme.paper, mew=0.3
        )
        right.set_ylim(0, 1.15 * max(float(bins["scatter_mag"].max()), 0.001))
        right.set_title("running bins of the sample")
        legend_below(figure, left, columns=4)
    return figure
