"""The figures as the page shows them: pictures for a light and for a dark page, alternative text and caption."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure
from skysy.analysis import figures
from skysy.analysis.figures import DARK, LIGHT, Theme
from skysy.analysis.report.facts import Candidate, Facts

from skysy.store import Warehouse


@dataclass(frozen=True)
class Plate:
    """A figure in the page; `light` and `dark` are PNG pictures as data addresses, sizes in CSS pixels."""

    anchor: str
    light: str
    dark: str
    width: int
    height: int
    alt: str
    title: str
    caption: str


def sample_plates(warehouse: Warehouse, facts: Facts) -> list[Plate]:
    """Figures 1, 2 and 4."""
    red, luminous, rare, rapid = (
        _limit(facts, name) for name in ("jk0_mag_min", "abs_j_mag_max", "density_ln_max", "rapid_u_sigma_min")
    )
    numbers = facts.headline
    return [
        _plate(
            "figure-1",
            lambda theme: figures.figure_selection(warehouse, theme),
            "Density plot of the colour J−Ks against absolute J magnitude, bright stars at the top. Lines mark the "
            f"cuts at {red} and {luminous}; the {numbers.candidates:,} candidates lie to the right and above.",
            "Figure 1. Selection of luminous red objects.",
            "All objects loaded, counted in hexagons, and the two cuts that set the sample apart: J−Ks, corrected for "
            f"reddening, above {red} mag, and absolute J magnitude, not corrected for extinction, below {luminous} mag. "
            "Bright stars are at the top. Dots are the candidates.",
        ),
        _plate(
            "figure-2",
            lambda theme: figures.figure_colours(warehouse, theme),
            f"Density plot of u−g against u−v for {numbers.with_colours:,} objects, with contours of ln density. The "
            f"candidates lie outside the contour {rare}, or inside it if they vary.",
            "Figure 2. Colours of the sample.",
            f"Mean nightly colours of {numbers.with_colours:,} objects, not corrected for reddening. Contours: ln of the "
            f"kernel density per mag²; the dashed one, {rare}, is the limit of colour outliers. Candidates are coloured "
            "by rapid Δu σ, hollow where they have no colour sequence; the mark on the bar is the limit. Diamonds are "
            f"known objects.{_without_colours(facts)}",
        ),
        _plate(
            "figure-4",
            lambda theme: figures.figure_variability(warehouse, theme),
            "Two density plots of rapid Δu σ against mean u, with the archive's errors and with an error floor, each "
            f"with lines of the 95.5 and 99.7 percentiles. Outliers lie at or above {rapid} in the first.",
            "Figure 4. Rapid variability against brightness.",
            "The largest |Δu| of two exposures within a colour sequence, in units of its error √(σ₁² + σ₂²). Lines: "
            "95.5 and 99.7 % of the sample lie below, its effective two and three sigma, in running bins of a twentieth "
            f"of the objects, 400 at least. Dots: the outliers, at or above {rapid} with the archive’s errors; the right "
            "panel shows the same objects. Values below 0.1 are drawn at 0.1.",
        ),
    ]


def light_curve_plates(warehouse: Warehouse, candidates: list[Candidate]) -> list[Plate]:
    """Figure 6 of each of these candidates."""
    return [_light_curve(warehouse, candidate) for candidate in candidates]


def _limit(facts: Facts, name: str) -> str:
    """A parameter of the build as words have it."""
    value = next((row["value"] for row in facts.built.parameters if row["name"] == name), None)
    return "an unknown limit" if value is None else f"{float(value):g}".replace("-", "−")


def _without_colours(facts: Facts) -> str:
    """What figure 2 cannot show."""
    missing = sum(candidate.ug_mag is None or candidate.uv_mag is None for candidate in facts.candidates)
    if not missing:
        return ""
    return f" {missing:,} {'candidate lacks' if missing == 1 else 'candidates lack'} a colour and cannot be shown."


def _light_curve(warehouse: Warehouse, candidate: Candidate) -> Plate:
    object_id = candidate.object_id
    known = f", {candidate.known_name}" if candidate.known_name else ""
    return _plate(
        f"object-{object_id}",
        lambda theme: figures.figure_light_curve(warehouse, object_id, theme),
        f"Light curve of object {object_id} in u, v and g: all nights, and minutes within its colour sequences.",
        f"Rank {candidate.rank}: object {object_id}{known}.",
        f"{candidate.reason[:1].upper()}{candidate.reason[1:]}.",
    )


def _plate(anchor: str, draw: Callable[[Theme], Figure], alt: str, title: str, caption: str) -> Plate:
    light, dark = draw(LIGHT), draw(DARK)
    width_in, height_in = light.get_size_inches()
    return Plate(
        anchor, _address(light), _address(dark), round(100 * width_in), round(100 * height_in), alt, title, caption
    )


def _address(figure: Figure) -> str:
    return "data:image/png;base64," + base64.b64encode(figures.picture(figure)).decode("ascii")
