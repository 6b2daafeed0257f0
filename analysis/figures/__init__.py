"""The figures of a built warehouse: matplotlib figure objects, and PNG files of them.

Numbers follow the list in the documentation: 1 selection, 2 colours, 4 rapid variability, 6 light curves.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image
from skysy.analysis.figures.colours import figure_colours
from skysy.analysis.figures.lightcurve import figure_light_curve
from skysy.analysis.figures.marts import require_build
from skysy.analysis.figures.selection import figure_selection
from skysy.analysis.figures.style import DARK, LIGHT, Theme
from skysy.analysis.figures.variability import figure_variability

from skysy.errors import UsageError
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
    "picture",
    "require_build",
    "save_figures",
]

DPI = 150
"""Dots per inch of the PNG files."""


def picture(figure: Figure) -> bytes:
    """The figure as a PNG file of 256 colours, a third of the size that full colour takes; the same bytes each time."""
    drawn, file = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, facecolor=figure.get_facecolor(), pil_kwargs={"compress_level": 1})
    few_colours = (
        Image.open(drawn).convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    )
    few_colours.save(file, "PNG", optimize=True, dpi=(DPI, DPI))
    return file.getvalue()


def save_figures(warehouse: Warehouse, directory: Path, light_curves: int = 5, theme: Theme = LIGHT) -> list[Path]:
    """Write figures 1, 2 and 4, and figure 6 of the first candidates, as PNG files; returns their paths.

    The directory is made if need be; files of these names are replaced. Raises ModelError where the warehouse has not
    been built, UsageError where the directory cannot be written.
    """
    require_build(warehouse)
    figures: dict[str, Figure] = {
        "figure1_selection": figure_selection(warehouse, theme),
        "figure2_colours": figure_colours(warehouse, theme),
        "figure4_rapid_variability": figure_variability(warehouse, theme),
    }
    first = warehouse.rows("SELECT object_id FROM candidates ORDER BY rank LIMIT ?", [light_curves])
    for (object_id,) in first:
        figures[f"figure6_{object_id}"] = figure_light_curve(warehouse, object_id, theme)
    paths = [directory / f"{name}.png" for name in figures]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, figure in zip(paths, figures.values(), strict=True):
            path.write_bytes(picture(figure))
    except OSError as error:
        raise UsageError(
            f"The figures cannot be written to {directory}: {error.strerror}.", "Name a directory that you may write."
        ) from error
    return paths
