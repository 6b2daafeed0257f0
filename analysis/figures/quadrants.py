"""Figure 5: rarity of colour against rapid variability, and the two limits that part ordinary stars from outliers."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from skysy.analysis.figures.marks import SMALLEST_SIGMA, draw_candidates, draw_known, log_sigma_axis
from skysy.analysis.figures.marts import Frame, arrays, draw_crowd, limit
from skysy.analysis.figures.style import LIGHT, Theme, canvas, legend_below, plain_counts, say_empty

from skysy.store import Warehouse

_STARS = f"""
    (SELECT d.object_id, d.ln_density, log10(greatest(r.rapid_u_sigma, {SMALLEST_SIGMA})) AS log_sigma
    FROM density_score AS d
    JOIN rapid_variability AS r ON d.object_id = r.object_id
    SEMI JOIN sample AS s ON d.object_id = s.object_id)
"""


def figure_quadrants(warehouse: Warehouse, theme: Theme = LIGHT) -> Figure:
    """ln density of the colours against rapid delta-u sigma, limits as lines, the number of objects in each quadrant.

    Shows objects that have both; candidates with only one of them are counted above the axes. A quadrant beyond a
    limit may hold objects that are no candidates: those outside the colour box.
    """
    rare, rapid = limit(warehouse, "density_ln_max"), limit(warehouse, "rapid_u_sigma_min")
    stars = arrays(warehouse, f"SELECT ln_density, log_sigma FROM {_STARS} ORDER BY ALL")
    chosen, known = (
        arrays(
            warehouse,
            f"SELECT s.ln_density, s.log_sigma FROM {_STARS} AS s "
            f"SEMI JOIN {names} AS c ON s.object_id = c.object_id ORDER BY ALL",
        )
        for names in ("candidates", "stg_known__objects")
    )
    with canvas(theme) as figure:
        axes = figure.add_subplot()
        axes.set_xlabel("ln density of the colours  (mag$^{-2}$)")
        axes.set_ylabel(r"rapid $\Delta u\,\sigma$")
        log_sigma_axis(axes.yaxis)
        if not len(stars["log_sigma"]):
            say_empty(axes, theme, "no rows: no sample object has both\ncolours and a colour sequence")
            return figure
        low, high = float(stars["ln_density"].min()), float(stars["ln_density"].max())
        low = low if rare is None else min(low, rare)
        top = float(stars["log_sigma"].max())
        top = top if rapid is None else max(top, math.log10(rapid))
        view = Frame((math.floor(low * 2) / 2, math.ceil(high * 2) / 2), (math.log10(SMALLEST_SIGMA), top + 0.2))
        crowd = draw_crowd(axes, warehouse, _STARS, "ln_density", "log_sigma", view, theme)
        if crowd is not None:
            figure.colorbar(crowd, ax=axes, label="objects per hexagon", pad=0.02, format=plain_counts)
        if rare is not None:
            axes.axvline(rare, color=theme.limit, lw=1.1, ls="--", label=f"ln density = ${rare:g}$")
        if rapid is not None:
            axes.axhline(math.log10(rapid), color=theme.limit, lw=1.1, ls=":", label=f"limit {rapid:g} σ")
        draw_candidates(axes, chosen["ln_density"], chosen["log_sigma"], theme)
        draw_known(axes, known["ln_density"], known["log_sigma"], theme)
        _say_counts(axes, warehouse, rare, rapid, theme)
        _say_absent(axes, warehouse, len(chosen["log_sigma"]), theme)
        legend_below(figure, axes, columns=4)
    return figure


def _say_counts(axes: Axes, warehouse: Warehouse, rare: float | None, rapid: float | None, theme: Theme) -> None:
    """The number of objects in each quadrant, in its corner; counted by the limits themselves, not by what is drawn."""
    if rare is None or rapid is None:
        return
    counts: dict[tuple[bool, bool], int] = {
        (is_rare, is_rapid): n
        for is_rare, is_rapid, n in warehouse.rows(
            "SELECT d.ln_density <= ? AS rare, r.rapid_u_sigma >= ? AS rapid, count(*) FROM density_score AS d "
            "JOIN rapid_variability AS r ON d.object_id = r.object_id "
            "SEMI JOIN sample AS s ON d.object_id = s.object_id GROUP BY ALL",
            [rare, rapid],
        )
    }
    for is_rare, x, align in ((True, 0.015, "left"), (False, 0.985, "right")):
        for is_rapid, y, base in ((True, 0.975, "top"), (False, 0.025, "bottom")):
            axes.text(
                x,
                y,
                f"{counts.get((is_rare, is_rapid), 0):,}",
                ha=align,
                va=base,
                color=theme.ink,
                fontweight="bold",
                transform=axes.transAxes,
                bbox={"facecolor": theme.paper, "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
                zorder=6,
            )


def _say_absent(axes: Axes, warehouse: Warehouse, shown: int, theme: Theme) -> None:
    absent = int(warehouse.value("SELECT count(*) FROM candidates")) - shown
    if absent:
        words = "candidate has" if absent == 1 else "candidates have"
        axes.set_title(f"{absent:,} {words} only one of the two and cannot be shown", color=theme.muted)
