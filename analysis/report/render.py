"""The pages as text: templates filled with what was read, every name escaped, no script but the index's own."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from skysy.analysis.report.curve import MOST_SEQUENCES, Drawing, draw_nights, draw_sequence, sequences_of
from skysy.analysis.report.facts import Candidate, Facts
from skysy.analysis.report.flickering import MOST_DRAWN, draw_sector
from skysy.analysis.report.folder import MARK
from skysy.analysis.report.places import services, sexagesimal
from skysy.analysis.report.plates import Plate
from skysy.analysis.report.stars import Star

_SURVEYS = {"fs": "Shallow", "ms": "Main", "std": "standard", "3ps": "third-party"}


def _asset(name: str) -> str:
    return files("skysy.analysis.report").joinpath(name).read_text(encoding="utf-8")


STYLE = _asset("report.css")
"""The style sheet of all pages."""


@dataclass(frozen=True)
class Curve:
    """A light curve: all nights, some sequences, and how many more there are."""

    nights: Drawing
    sequences: list[Drawing]
    undrawn: int


def curve_of(star: Star) -> Curve:
    """The drawings of a star's measurements."""
    found = sequences_of(star.points, star.pair)
    drawn = [draw_sequence(star.points, one, star.pair) for one in found[:MOST_SEQUENCES]]
    return Curve(draw_nights(star.points), drawn, len(found) - len(drawn))


class Pages:
    """The pages of one report; `chosen` are the candidates that have a page of their own, in order."""

    def __init__(self, facts: Facts, chosen: Sequence[Candidate]) -> None:
        environment = jinja2.Environment(
            autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
            loader=jinja2.FunctionLoader(_asset),
        )  # fmt: skip
        environment.globals.update(
            facts=facts, mark=Markup(MARK), number=_number, fixed=_fixed, share=_share, short=_short, probability=_probability, services=_services,
            linked={one.object_id for one in chosen},
        )  # fmt: skip
        self._facts, self._chosen = facts, chosen
        self._index = environment.get_template("index.html")
        self._star = environment.get_template("candidate.html")

    def index(self, plates: Sequence[Plate], curves: Sequence[tuple[Candidate, Curve]]) -> str:
        """The first page."""
        script = _asset("index.js").strip()
        digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
        page = self._index.render(
            figures=plates, light_curves=curves, pages=len(self._chosen), script=Markup(script), script_sha256=digest
        )
        return page.strip() + "\n"

    def star(self, place: int, star: Star, curve: Curve) -> str:
        """The page of the candidate at this place among the chosen ones, from 0."""
        before = self._chosen[place - 1] if place else None
        after = self._chosen[place + 1] if place + 1 < len(self._chosen) else None
        page = self._star.render(
            c=star.candidate, star=star, curve=curve, before=before, after=after, row=star.row, sample=star.sample,
            effective=star.effective, surveys=_SURVEYS, place=_place(star.candidate), difference=_difference,
            sectors=star.flickering, sectors_drawn=[draw_sector(one) for one in star.flickering if one.bins][:MOST_DRAWN],
        )  # fmt: skip
        return page.strip() + "\n"

    def write_star(self, path: Path, place: int, star: Star, curve: Curve) -> None:
        """Write that page to a file."""
        path.write_text(self.star(place, star, curve), encoding="utf-8")


def _services(candidate: Candidate) -> dict[str, str]:
    """Addresses of other services for a candidate; none without a position."""
    if candidate.raj2000 is None or candidate.dej2000 is None:
        return {}
    return services(candidate.raj2000, candidate.dej2000)


def _place(candidate: Candidate) -> str | None:
    if candidate.raj2000 is None or candidate.dej2000 is None:
        return None
    return sexagesimal(candidate.raj2000, candidate.dej2000)


def _number(value: float | None, decimals: int = 0) -> str:
    """A number as text has it, thousands apart; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:,.{decimals}f}".replace("-", "−")


def _fixed(value: float | None, decimals: int) -> str:
    """A number as a table has it, to be sorted and copied; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{decimals}f}"


def _short(value: Any) -> str:
    """A value of any kind in few digits: `0.0012`, `3.4e-09`; a dash where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _probability(value: float | None) -> str:
    """A probability in two digits, a small one in its power of ten: `0.00068`, `7e-09`; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.2g}" if value >= 0.0001 or value == 0 else f"{value:.0e}"


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _share(part: int, whole: int) -> str:
    """The percentage of a bar."""
    return f"{100 * part / whole:.3f}" if whole else "0"
