"""The figures of a built warehouse: matplotlib figure objects, and PNG files of them.

Numbers: 1 selection, 2 colours, 3 catalogue against snapshot colours, 4 rapid variability, 5 quadrants, 6 light curves,
7 sky, 8 infrared colours, 9 cuts and known objects, 10 nights and sequences, 11 effective sigma.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image
from skysy.analysis.figures.attrition import figure_attrition
from skysy.analysis.figures.catalogue import figure_catalogue
from skysy.analysis.figures.colours import figure_colours
from skysy.analysis.figures.coverage import figure_coverage
from skysy.analysis.figures.effective import figure_effective
from skysy.analysis.figures.infrared import figure_infrared
from skysy.analysis.figures.lightcurve import figure_light_curve
from skysy.analysis.figures.marts import require_build
from skysy.analysis.figures.quadrants import figure_quadrants
from skysy.analysis.figures.selection import figure_selection
from skysy.analysis.figures.sky import figure_sky
from skysy.analysis.figures.style import DARK, LIGHT, Theme
from skysy.analysis.figures.variability import figure_variability

from skysy.errors import NotFound, UsageError, did_you_mean
from skysy.store import Warehouse

__all__ = [
    "DARK",
    "DPI",
    "FIGURES",
    "LIGHT",
    "Theme",
    "figure_attrition",
    "figure_catalogue",
    "figure_colours",
    "figure_coverage",
    "figure_effective",
    "figure_infrared",
    "figure_light_curve",
    "figure_quadrants",
    "figure_selection",
    "figure_sky",
    "figure_variability",
    "picture",
    "require_build",
    "save_figures",
]

DPI = 150
"""Dots per inch of the PNG files."""

FIGURES: Mapping[str, Callable[[Warehouse, Theme], Figure]] = {
    "figure1_selection": figure_selection,
    "figure2_colours": figure_colours,
    "figure3_catalogue": figure_catalogue,
    "figure4_rapid_variability": figure_variability,
    "figure5_quadrants": figure_quadrants,
    "figure7_sky": figure_sky,
    "figure8_infrared": figure_infrared,
    "figure9_cuts": figure_attrition,
    "figure10_coverage": figure_coverage,
    "figure11_effective": figure_effective,
}
"""The figures of the sample as a whole, by the names of their files; figure 6 is drawn for one object."""


def picture(figure: Figure) -> bytes:
    """The figure as a PNG file of 256 colours, a third of the size that full colour takes; the same bytes each time."""
    drawn, file = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, facecolor=figure.get_facecolor(), pil_kwargs={"compress_level": 1})
    few_colours = (
        Image.open(drawn).convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    )
    few_colours.save(file, "PNG", optimize=True, dpi=(DPI, DPI))
    return file.getvalue()


def save_figures(
    warehouse: Warehouse, directory: Path, light_curves: int = 5, theme: Theme = LIGHT, only: Collection[str] = ()
) -> list[Path]:
    """Write FIGURES, or `only` these, and figure 6 of the first candidates, as PNG files; returns their paths.

    The directory is made if need be; files of these names are replaced. Raises ModelError where the warehouse has not
    been built, NotFound for an unknown name, UsageError where the directory cannot be written.
    """
    require_build(warehouse)
    for name in only:
        if name not in FIGURES:
            raise NotFound(f"There is no figure {name!r}.", did_you_mean(name, FIGURES))
    figures = {name: draw(warehouse, theme) for name, draw in FIGURES.items() if name in (only or FIGURES)}
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
