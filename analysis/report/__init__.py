"""One HTML page of a built warehouse: numbers, cut flow, figures, candidates, origin; it needs no other file."""

from __future__ import annotations

import base64
import errno
import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup
from skysy.analysis.report.facts import Facts, read_facts
from skysy.analysis.report.plates import Plate, light_curve_plates, sample_plates

from skysy.errors import UsageError
from skysy.store import Warehouse

__all__ = ["Report", "write_report"]


@dataclass(frozen=True)
class Report:
    """A page that was written."""

    path: Path
    bytes: int
    candidates: int
    light_curves: int


def write_report(warehouse: Warehouse, path: Path, light_curves: int = 5) -> Report:
    """Write the page, with the light curves of the first candidates, in place of what `path` held.

    The same warehouse gives the same bytes. A page that cannot be finished leaves the old one as it was. Raises
    ModelError where the warehouse has not been built, UsageError where the file cannot be written.
    """
    facts = read_facts(warehouse)
    with _replacing(path) as part:
        curves = light_curve_plates(warehouse, facts.candidates[:light_curves])
        page = render(facts, sample_plates(warehouse, facts), curves)
        part.write_text(page, encoding="utf-8")
    return Report(path, len(page.encode("utf-8")), len(facts.candidates), len(curves))


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file beside `path`, made at once, that takes its place when all went well."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        part.touch()
        yield part
        part.replace(path)
    except OSError as error:
        raise UsageError(
            f"The report cannot be written to {path}: {error.strerror}.", "Name another file with --out FILE.html."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def render(facts: Facts, plates: list[Plate], light_curves: list[Plate]) -> str:
    """The page as text; every name in it is escaped, and its policy allows no script but its own."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    script = _asset("page.js").strip()
    page = environment.from_string(_asset("page.html")).render(
        facts=facts,
        figures=plates,
        light_curves=light_curves,
        drawn={candidate.object_id for candidate in facts.candidates[: len(light_curves)]},
        style=Markup(_asset("page.css")),
        script=Markup(script),
        script_sha256=base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii"),
        number=_number,
        fixed=_fixed,
        share=_share,
    )
    return page.strip() + "\n"


def _asset(name: str) -> str:
    return files("skysy.analysis.report").joinpath(name).read_text(encoding="utf-8")


def _number(value: float | None, decimals: int = 0) -> str:
    """A number as text has it, thousands apart; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:,.{decimals}f}"


def _fixed(value: float | None, decimals: int) -> str:
    """A number as a table has it, to be sorted and copied; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{decimals}f}"


def _share(part: int, whole: int) -> str:
    """The percentage of a bar."""
    return f"{100 * part / whole:.3f}" if whole else "0"
