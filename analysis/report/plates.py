"""The figures as the page shows them: picture files for a light and for a dark page, alternative text and caption."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from skysy.analysis import figures
from skysy.analysis.figures import DARK, FIGURES, LIGHT
from skysy.analysis.report.facts import Facts

from skysy.store import Warehouse


@dataclass(frozen=True)
class Plate:
    """A figure in the page; `light` and `dark` are paths of PNG files from the page, sizes in CSS pixels."""

    anchor: str
    light: str
    dark: str
    width: int
    height: int
    alt: str
    title: str
    caption: str


def write_plates(warehouse: Warehouse, facts: Facts, folder: Path) -> list[Plate]:
    """Draw every figure of the sample into the folder `figures` of a report, for light and dark pages."""
    directory = folder / "figures"
    directory.mkdir()
    words = words_of_figures(facts)
    plates = []
    for name, draw in FIGURES.items():
        drawn = {f"{name}.png": draw(warehouse, LIGHT), f"{name}-dark.png": draw(warehouse, DARK)}
        for file, figure in drawn.items():
            (directory / file).write_bytes(figures.picture(figure))
        light, dark = (f"figures/{file}" for file in drawn)
        width_in, height_in = drawn[f"{name}.png"].get_size_inches()
        number = name.removeprefix("figure").partition("_")[0]
        alt, title, caption = words[name]
        size = round(100 * width_in), round(100 * height_in)
        plates.append(Plate(f"figure-{number}", light, dark, *size, alt, f"Figure {number}. {title}", caption))
    return plates


def words_of_figures(facts: Facts) -> dict[str, tuple[str, str, str]]:
    """Alternative text, title and caption of each of FIGURES."""
    return {**_words_of_colours(facts), **_words_of_variability(facts), **_words_of_sample(facts)}


def _words_of_colours(facts: Facts) -> dict[str, tuple[str, str, str]]:
    """Alternative text, title and caption of the figures of colours."""
    red, luminous, rare = (_limit(facts, name) for name in ("jk0_mag_min", "abs_j_mag_max", "density_ln_max"))
    numbers = facts.headline
    return {
        "figure1_selection": (
            "Density plot of the colour J−Ks against absolute J magnitude, bright stars at the top. Lines mark the "
            f"cuts at {red} and {luminous}; the {numbers.candidates:,} candidates lie to the right and above.",
            "Selection of luminous red objects.",
            "All objects loaded, counted in hexagons, and the two cuts that set the sample apart: J−Ks, corrected for "
            f"reddening, above {red} mag, and absolute J magnitude, not corrected for extinction, below {luminous} mag. "
            "Bright stars are at the top. Dots are the candidates.",
        ),
        "figure2_colours": (
            f"Density plot of u−g against u−v for {numbers.with_colours:,} objects, with contours of ln density. The "
            f"candidates lie outside the contour {rare}, or inside it if they vary.",
            "Colours of the sample.",
            f"Mean nightly colours of {numbers.with_colours:,} objects, not corrected for reddening. Contours: ln of the "
            f"kernel density per mag²; the dashed one, {rare}, is the limit of colour outliers. Candidates are coloured "
            "by rapid Δu σ, hollow where they have no colour sequence; the mark on the bar is the limit. Diamonds are "
            f"known objects.{_without_colours(facts)}",
        ),
        "figure3_catalogue": (
            "Two density plots: the catalogue's u−g against the snapshot u−g, and the difference of the two against the "
            "range of nightly u. The scatter of the difference grows with the range.",
            "Why colours are taken night by night.",
            "The catalogue's u and g are means over different nights, so a star that changes gets a colour that it never "
            "had. Left: that colour against the mean of the snapshots; the line is equality. Right: the difference against "
            "the range of the star's nightly u, for stars seen in u in two nights at least.",
        ),
        "figure8_infrared": (
            "Two density plots of J−H, against W1−W2 and against Ks−W2, with candidates and known objects.",
            "Infrared colours.",
            "2MASS and AllWISE colours of the sample, not corrected for reddening, on axes of the infrared search of Akras "
            "et al. (2019, MNRAS 483, 5077). Dots are the candidates, diamonds known objects. Warm dust moves an object to "
            "the right.",
        ),
    }  # fmt: skip


def _words_of_variability(facts: Facts) -> dict[str, tuple[str, str, str]]:
    """Alternative text, title and caption of the figures of rapid variability."""
    rare, rapid = _limit(facts, "density_ln_max"), _limit(facts, "rapid_u_sigma_min")
    return {
        "figure4_rapid_variability": (
            "Two density plots of rapid Δu σ against mean u, with the archive's errors and with an error floor, each "
            f"with lines of the 95.5 and 99.7 percentiles. Outliers lie at or above {rapid} in the first.",
            "Rapid variability against brightness.",
            "The largest |Δu| of two exposures within a colour sequence, in units of its error √(σ₁² + σ₂²). Lines: "
            "95.5 and 99.7 % of the stars as bright lie below, outliers left out: effective two and three sigma. Dots: "
            f"the objects at or above {rapid} with the archive’s errors; the right panel shows the same objects. Values "
            "below 0.1 are drawn at 0.1.",
        ),
        "figure5_quadrants": (
            "Density plot of ln density of the colours against rapid Δu σ, parted in four by the two limits, with the "
            "number of objects in each part.",
            "The two ways to be an outlier.",
            f"Rarity of the colours against rapid Δu σ. The lines are the limits, {rare} and {rapid}; the numbers count the "
            "objects of each quadrant. Dots are the candidates, diamonds known objects. Ordinary stars fill the lower right.",
        ),
        "figure11_effective": (
            "Left: observed against expected −log p of three probabilities, with the line of equality. Right: scatter "
            "beyond the errors against mean u.",
            "Effective sigma.",
            "Left: how small the probabilities of rapid Δu σ are if nothing varies, sorted, against those of chance alone; "
            "points above the line are variables, or errors that a model does not know. With the archive’s errors alone "
            "almost every star would vary. Right: the scatter that the third probability adds to each error, in running "
            "bins of stars as bright.",
        ),
    }  # fmt: skip


def _words_of_sample(facts: Facts) -> dict[str, tuple[str, str, str]]:
    """Alternative text, title and caption of the map, the cuts and the histograms."""
    numbers = facts.headline
    recovered = sum(one.rank is not None for one in facts.known)
    return {
        "figure7_sky": (
            f"Map of the whole sky: {numbers.in_sample:,} sample objects in cells, fields with Main Survey sequences as "
            f"squares, {numbers.candidates:,} candidates as dots.",
            "The sample on the sky.",
            "Mollweide projection, right ascension growing to the left from 0 h in the middle. Cells of one area are shaded "
            "by the number of sample objects; squares mark fields with a Main Survey colour sequence, where rapid changes "
            "can be seen; dots are the candidates.",
        ),
        "figure9_cuts": (
            f"Bars for each of {len(facts.cuts)} cuts: objects left, objects lost by failing and by a missing value, and "
            f"known objects lost. {recovered} of {len(facts.known)} known objects are recovered.",
            "What each cut leaves and takes.",
            "Cuts in their order, on logarithmic scales. An object whose value is missing does not pass, and is counted "
            "apart from those that fail. Right: where known objects are lost; those that pass every cut end as ordinary, "
            "or are recovered as candidates. The tables below have the numbers.",
        ),
        "figure10_coverage": (
            "Three histograms of the sample and the candidates: nights with u and g, nights with u and v, colour sequences.",
            "Nights and sequences.",
            "In how many nights the sample was seen in u and g, and in u and v, and in how many colour sequences with two u "
            "exposures at least. Objects without any stand at 0.",
        ),
    }  # fmt: skip


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
