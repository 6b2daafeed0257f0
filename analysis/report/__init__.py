"""A built warehouse as a folder of HTML pages, one for everything and one for each candidate, that opens without a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from skysy.analysis.report.facts import Candidate, read_facts
from skysy.analysis.report.folder import replacing
from skysy.analysis.report.plates import write_plates
from skysy.analysis.report.render import STYLE, Curve, Pages, curve_of
from skysy.analysis.report.stars import read_stars

from skysy.store import Warehouse

__all__ = ["PAGES", "Report", "write_report"]

PAGES = 5_000
"""Candidates that get a page of their own where nobody says how many."""


@dataclass(frozen=True)
class Report:
    """A report that was written: its first page, bytes of all files, and what it holds."""

    path: Path
    bytes: int
    files: int
    candidates: int
    pages: int
    light_curves: int


def write_report(warehouse: Warehouse, folder: Path, pages: int = PAGES, light_curves: int = 5) -> Report:
    """Write index.html, its figures, and a page for each of the first `pages` candidates, in place of the report in `folder`.

    The first `light_curves` of these stand on the index, too. The same warehouse gives the same bytes. A report that
    cannot be finished leaves the old one as it was. Raises ModelError where the warehouse has not been built,
    UsageError where the folder cannot be written or holds something else than a report.
    """
    facts = read_facts(warehouse)
    chosen = facts.candidates[:pages]
    with replacing(folder) as part:
        plates = write_plates(warehouse, facts, part)
        (part / "report.css").write_text(STYLE, encoding="utf-8")
        making = Pages(facts, chosen)
        curves: list[tuple[Candidate, Curve]] = []
        (part / "candidate").mkdir()
        for place, star in enumerate(read_stars(warehouse, chosen)):
            curve = curve_of(star)
            if place < light_curves:
                curves.append((star.candidate, curve))
            making.write_star(part / "candidate" / f"{star.candidate.object_id}.html", place, star, curve)
        (part / "index.html").write_text(making.index(plates, curves), encoding="utf-8")
        sizes = [file.stat().st_size for file in part.rglob("*") if file.is_file()]
    return Report(folder / "index.html", sum(sizes), len(sizes), len(facts.candidates), len(chosen), len(curves))
