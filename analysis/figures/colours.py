"""Figure 2: the colours of the sample, the density that makes an outlier, and the candidates among them."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from skysy.analysis.figures.marts import Frame, Reals, arrays, draw_crowd, frame, has, limit
from skysy.analysis.figures.style import LIGHT, Theme, canvas, legend_below, plain_counts, say_beyond, say_empty

from skysy.store import Warehouse

_POINTS = "(SELECT c.* FROM colours AS c SEMI JOIN sample AS s ON c.object_id = s.object_id)"
_CELL_MAG, _STEP_MAG = 0.005, 0.02
"""Cells in which stars are counted for the contours, and the grid of these; the usual bandwidth is 0.1 mag."""


def figure_colours(warehouse: Warehouse, theme: Theme = LIGHT) -> Figure:
    """Density of (u-g, u-v) in hexagons with contours of its logarithm, candidates and known objects over it.

    Candidates with both colours are coloured by rapid delta-u sigma, hollow where they have none. The dashed contour
    is the limit of colour outliers, density_ln_max; bandwidth kde_bandwidth_mag.
    """
    candidates = arrays(warehouse, "SELECT ug_mag, uv_mag, rapid_u_sigma FROM candidates ORDER BY rank")
    placed = np.isfinite(candidates["ug_mag"]) & np.isfinite(candidates["uv_mag"])
    candidates = {name: values[placed] for name, values in candidates.items()}
    x, y = candidates["ug_mag"], candidates["uv_mag"]
    corners = [tuple(np.quantile([x, y], edge, axis=1)) for edge in (0.01, 0.99)] if placed.any() else []
    view = frame(warehouse, _POINTS, "ug_mag", "uv_mag", corners)
    with canvas(theme, height_in=5.0) as figure:
        axes = figure.add_subplot()
        axes.set_xlabel("$u-g$  (mag)")
        axes.set_ylabel("$u-v$  (mag)")
        if view is None:
            say_empty(axes, theme, "no rows: no sample object has both colours")
            return figure
        draw_crowd(axes, warehouse, _POINTS, "ug_mag", "uv_mag", view, theme)
        _draw_contours(axes, warehouse, view, theme)
        _draw_known(axes, warehouse, theme)
        _draw_candidates(figure, axes, warehouse, candidates, theme)
        say_beyond(axes, theme, view.beyond(x, y))
        legend_below(figure, axes, columns=2)
    return figure


def _draw_candidates(
    figure: Figure, axes: Axes, warehouse: Warehouse, candidates: dict[str, Reals], theme: Theme
) -> None:
    x, y, sigma = (candidates[name] for name in ("ug_mag", "uv_mag", "rapid_u_sigma"))
    quiet = np.isnan(sigma)
    size = 34 if len(x) <= 300 else 14
    axes.scatter(
        x[quiet],
        y[quiet],
        s=size * 0.8,
        facecolors=theme.paper,
        edgecolors=theme.ink,
        linewidths=0.9,
        zorder=4,
        label=f"candidates without rapid $\\Delta u\\,\\sigma$ ({int(quiet.sum()):,})",
    )
    if quiet.all():
        return
    shown = axes.scatter(
        x[~quiet],
        y[~quiet],
        c=np.maximum(sigma[~quiet], 1),
        s=size,
        cmap=theme.scale,
        norm=LogNorm(1, max(100.0, float(np.nanmax(sigma)))),
        edgecolors=theme.ink,
        linewidths=0.6,
        zorder=5,
        label=f"candidates, coloured by it ({int((~quiet).sum()):,})",
    )
    bar = figure.colorbar(shown, ax=axes, label=r"rapid $\Delta u\,\sigma$", pad=0.02, format=plain_counts)
    threshold = limit(warehouse, "rapid_u_sigma_min")
    if threshold is not None:
        bar.ax.axhline(threshold, color=theme.limit, lw=2)


def _draw_known(axes: Axes, warehouse: Warehouse, theme: Theme) -> None:
    if not has(warehouse, "stg_known__objects"):
        return
    known = arrays(
        warehouse,
        f"SELECT c.ug_mag, c.uv_mag FROM {_POINTS} AS c SEMI JOIN stg_known__objects AS k ON c.object_id = k.object_id "
        "WHERE c.ug_mag IS NOT NULL AND c.uv_mag IS NOT NULL ORDER BY ALL",
    )
    axes.scatter(
        known["ug_mag"],
        known["uv_mag"],
        s=80 if len(known["ug_mag"]) <= 30 else 45,
        marker="D",
        facecolors="none",
        edgecolors=theme.candidate,
        linewidths=1.0,
        zorder=3,
        label=f"known objects ({len(known['ug_mag']):,})",
    )


def _draw_contours(axes: Axes, warehouse: Warehouse, view: Frame, theme: Theme) -> None:
    bandwidth_mag, threshold = limit(warehouse, "kde_bandwidth_mag"), limit(warehouse, "density_ln_max")
    if bandwidth_mag is None:
        return
    x, y, ln_density = _density_on_grid(warehouse, view, bandwidth_mag)
    peak = float(ln_density.max())
    lowest = -9.0 if threshold is None else math.ceil(threshold + 0.5)
    levels = np.arange(lowest, max(peak, lowest + 0.5), 1 if peak - lowest < 5 else 2)
    thin = axes.contour(x, y, ln_density, levels, colors=theme.muted, linewidths=0.6, linestyles="solid", zorder=2)
    axes.clabel(thin, fmt=lambda level: f"{level:g}".replace("-", "−"), fontsize=7)
    if threshold is not None and ln_density.min() < threshold < peak:
        axes.contour(x, y, ln_density, [threshold], colors=theme.limit, linewidths=1.4, linestyles="dashed", zorder=2)
        axes.plot([], [], color=theme.limit, lw=1.4, ls="--", label=f"ln density = ${threshold:g}$ (limit)")


def _density_on_grid(warehouse: Warehouse, view: Frame, bandwidth_mag: float) -> tuple[Reals, Reals, Reals]:
    """Places along x and y, and ln of the kernel density of all points there, each point moved to the middle of a cell."""
    low = [edge - 5 * bandwidth_mag for edge in (view.x[0], view.y[0])]
    cells = arrays(
        warehouse,
        f"SELECT floor((ug_mag - $x) / $cell) AS i, floor((uv_mag - $y) / $cell) AS j, count(*) AS n FROM {_POINTS} "
        "WHERE ug_mag IS NOT NULL AND uv_mag IS NOT NULL GROUP BY ALL ORDER BY ALL",
        {"x": low[0], "y": low[1], "cell": _CELL_MAG},
    )
    counts = [
        math.ceil((edge + 5 * bandwidth_mag - start) / _CELL_MAG)
        for edge, start in zip((view.x[1], view.y[1]), low, strict=True)
    ]
    inside = (cells["i"] >= 0) & (cells["i"] < counts[0]) & (cells["j"] >= 0) & (cells["j"] < counts[1])
    field = np.zeros((counts[1], counts[0]))
    field[cells["j"][inside].astype(int), cells["i"][inside].astype(int)] = cells["n"][inside]
    places = [np.arange(edge[0], edge[1] + _STEP_MAG, _STEP_MAG) for edge in (view.x, view.y)]
    along_x, along_y = (
        np.exp(-(((at[:, None] - start - _CELL_MAG * (np.arange(count) + 0.5)) / bandwidth_mag) ** 2) / 2)
        for at, start, count in zip(places, low, counts, strict=True)
    )
    scale = cells["n"].sum() * 2 * math.pi * bandwidth_mag**2
    with np.errstate(divide="ignore"):
        ln_density = np.log(along_y @ field @ along_x.T / scale)
    return places[0], places[1], np.maximum(ln_density, -30)
