"""Figure: how much flickering of each amplitude is found, for all stars and by brightness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from skysy.analysis.figures import picture
from skysy.analysis.figures.style import LIGHT, Theme, canvas, legend_below, say_empty

from skysy.errors import UsageError

_FEWEST = 30
"""Stars of a magnitude bin that are worth a line."""

Row = Mapping[str, Any]


def figure_efficiency(rows: Sequence[Row], theme: Theme = LIGHT) -> Figure:
    """Detection efficiency against rms of the flickering, with 95 % intervals.

    `rows` are those of `skysy inject` (sql/inject/efficiency.sql): all stars in one line, each bin of one magnitude in mean u
    in another, from the bright end darkest.
    """
    with canvas(theme, width_in=5.4, height_in=4.2) as figure:
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_xlabel("rms of the flickering in $u$  (mag)")
        axes.set_ylabel("share that is found")
        axes.set_ylim(-0.03, 1.03)
        axes.xaxis.set_major_locator(FixedLocator(sorted({row["amplitude_mag"] for row in rows})))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        every = [row for row in rows if row["u_from_mag"] is None and row["n_sequences"] is None]
        if not every:
            say_empty(axes, theme, "no rows: nothing was injected")
            return figure
        bins = sorted({row["u_from_mag"] for row in rows if row["u_from_mag"] is not None})
        for number, u_from in enumerate(bins):
            of_bin = [row for row in rows if row["u_from_mag"] == u_from and row["n_injected"] >= _FEWEST]
            if of_bin:
                colour = theme.crowd_map(1 - number / max(len(bins), 1))
                _draw(axes, of_bin, f"$u$ {u_from:.0f} to {u_from + 1:.0f}", color=colour, lw=1.0, marker=".", ms=4)
        _draw(axes, every, "all", color=theme.candidate, lw=1.8, marker="o", ms=4)
        legend_below(figure, axes, columns=4)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file; UsageError where that cannot be."""
    try:
        path.write_bytes(picture(figure))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.", "Name a file that you may write.") from error


def _draw(axes: Axes, rows: Sequence[Row], label: str, **style: Any) -> None:
    ordered = sorted(rows, key=lambda row: float(row["amplitude_mag"]))
    x, y, lo, hi = (
        np.array([row[name] for row in ordered], dtype=np.float64)
        for name in ("amplitude_mag", "efficiency", "efficiency_lo", "efficiency_hi")
    )
    axes.errorbar(x, y, yerr=np.maximum([y - lo, hi - y], 0), label=label, capsize=2, **style)
