"""The figures of a built warehouse: matplotlib figure objects, and PNG files of them.

Numbers follow the list in the documentation: 1 selection, 2 colours, 4 rapid variability, 6 light curves.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from skysy.analysis.figures.colours import figure_colours
from skysy.analysis.figures.lightcurve import figure_light_curve
from skysy.analysis.figures.selection import figure_selection
from skysy.analysis.figures.style import DARK, LIGHT, Theme
from skysy.analysis.figures.variability import figure_variability

from skysy.store import Warehouse

__all__ = [
    "DARK",
    "DPI",
    "LIGHT",
    "Theme",
    "figure_colours",
    "figure_light_curve",
    "figure_selection",
    "figure_variability",
    "save_figures",
]

DPI = 150
"""Dots per inch of the PNG files."""


def save_figures(warehouse: Warehouse, directory: Path, light_curves: int = 5, theme: Theme = LIGHT) -> list[Path]:
    """Write figures 1, 2 and 4, and figure 6 of the first candidates, as PNG files; returns their paths.

    The directory is made if need be; files of these names are replaced.
    """
    directory.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Figure] = {
        "figure1_selection": figure_selection(warehouse, theme),
        "figure2_colours": figure_colours(warehouse, theme),
        "figure4_rapid_variability": figure_variability(warehouse, theme),
    }
    first = warehouse.rows("SELECT object_id FROM candidates ORDER BY rank LIMIT ?", [light_curves])
    for (object_id,) in first:
        figures[f"figure6_{object_id}"] = figure_light_curve(warehouse, object_id, theme)
    paths = []
    for name, figure in figures.items():
        paths.append(directory / f"{name}.png")
        figure.savefig(paths[-1], dpi=DPI, facecolor=figure.get_facecolor())
    return paths
