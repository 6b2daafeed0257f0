"""Figure 1: where the luminous red objects lie among all stars, and the two cuts that set them apart."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from skysy.analysis.figures.marts import Frame, arrays, draw_crowd, frame, has, limit
from skysy.analysis.figures.style import LIGHT, Theme, canvas, legend_below, plain_counts, say_beyond, say_empty

from skysy.store import Warehouse

_X, _Y = "jk0_mag", "abs_j_mag"


def figure_selection(warehouse: Warehouse, theme: Theme = LIGHT) -> Figure:
    """Density of (J-Ks)0 against M_J with the two cuts, candidates over it; bright stars are at the top.

    All objects of int_selection__matched where it is, else those of sample. Lucy 2021, slides "building a sample
    of luminous red objects".
    """
    relation = "int_selection__matched" if has(warehouse, "int_selection__matched", _X, _Y) else "sample"
    red, luminous = limit(warehouse, "jk0_mag_min"), limit(warehouse, "abs_j_mag_max")
    view = frame(warehouse, relation, _X, _Y, [(red, luminous)])
    with canvas(theme) as figure:
        axes = figure.add_subplot()
        axes.set_xlabel("$(J-K_s)_0$  (mag)")
        axes.set_ylabel("$M_J$  (mag)")
        if view is None:
            say_empty(axes, theme, "no rows: no object has both a colour and a distance")
            return figure
        crowd = draw_crowd(axes, warehouse, relation, _X, _Y, view, theme)
        if crowd is not None:
            figure.colorbar(crowd, ax=axes, label="objects per hexagon", pad=0.02, format=plain_counts)
        _draw_cuts(axes, view, red, luminous, theme)
        candidates = arrays(warehouse, f"SELECT {_X}, {_Y} FROM candidates ORDER BY rank")
        axes.plot(
            candidates[_X],
            candidates[_Y],
            "o",
            ms=4 if len(candidates[_X]) <= 100 else 2.5,
            mfc=theme.candidate,
            mec=theme.paper,
            mew=0.3,
            label=f"candidates ({len(candidates[_X]):,})",
        )
        say_beyond(axes, theme, view.beyond(candidates[_X], candidates[_Y]))
        axes.invert_yaxis()
        legend_below(figure, axes, columns=4)
    return figure


def _draw_cuts(axes: Axes, view: Frame, red: float | None, luminous: float | None, theme: Theme) -> None:
    """The cuts as lines, and a shade under what they take; y still runs upwards here."""

    def shade(x: tuple[float, float], y: tuple[float, float], label: str) -> None:
        box = Rectangle((x[0], y[0]), x[1] - x[0], y[1] - y[0])
        box.set(facecolor=theme.shade, edgecolor=theme.muted, lw=0.3, zorder=0, label=label)
        axes.add_patch(box)

    left = view.x[0] if red is None else red
    if red is not None:
        shade((view.x[0], red), view.y, "not selected")
        axes.axvline(red, color=theme.limit, lw=1.1, ls="--", label=f"$(J-K_s)_0 > {red:g}$")
    if luminous is not None:
        shade((left, view.x[1]), (luminous, view.y[1]), "_" if red is not None else "not selected")
        axes.axhline(luminous, color=theme.limit, lw=1.1, ls=":", label=f"$M_J < {luminous:g}$")
