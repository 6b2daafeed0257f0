"""What a paper that rests on a warehouse should cite, and whom it should thank: told by what was loaded and from where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from skysy.store import Warehouse

_ENTRY = re.compile(r"^@\w+\{(?P<key>[^,\s]+),.*?^\}$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Acknowledgement:
    """The words that an archive asks authors to print, and the page where the present ones stand."""

    title: str
    page: str
    text: str


@dataclass(frozen=True)
class Citations:
    """What to cite: each reference with why (`used_by`), the thanks, and tables whose source only their owner knows."""

    references: tuple[str, ...]
    used_by: dict[str, tuple[str, ...]]
    acknowledgements: tuple[Acknowledgement, ...]
    unsourced: tuple[str, ...]

    @property
    def bibtex(self) -> str:
        """The references as BibTeX entries, in order."""
        known = bibliography()
        return "\n".join(known[key] for key in self.references) + "\n"

    @property
    def markdown(self) -> str:
        """Everything as a page to read, the references by key."""
        lines = ["# What to cite, and whom to thank", ""]
        lines += [f"* `{key}` for {', '.join(self.used_by[key])}" for key in self.references]
        if self.unsourced:
            lines += ["", f"Tables of your own, whose source you know: {', '.join(self.unsourced)}."]
        lines += ["", "The archives ask for these words; their pages have the present ones.", ""]
        for one in self.acknowledgements:
            lines += [f"**{one.title}** (<{one.page}>)", "", f"> {one.text}", ""]
        return "\n".join(lines)


def citations(warehouse: Warehouse) -> Citations:
    """What the rows of this warehouse, the services that sent them and the parameters of its build ask to be cited.

    Tables without rows are no source. References and thanks stand in the order in which they are first needed.
    """
    said = sources()
    used_by: dict[str, list[str]] = {key: ["the method and the tools"] for key in said["always"]}
    thanks: dict[str, None] = {}
    unsourced = []
    for table in _tables(warehouse):
        entry = said["tables"].get(table) or said["tables"].get(table.split(".")[0])
        if entry is None or not (entry["references"] or entry["acknowledgements"]):
            unsourced.append(table)
            continue
        for key in entry["references"]:
            used_by.setdefault(key, []).append(table)
        thanks |= dict.fromkeys(entry["acknowledgements"])
    for name, value in warehouse.rows("SELECT name, value FROM meta.parameter ORDER BY name"):
        for key in said["parameters"].get(name, []) if value != "'none'" else []:
            used_by.setdefault(key, []).append(f"{name} = {value}")
    for [service] in warehouse.rows("SELECT DISTINCT service FROM meta.chunk WHERE state = 'loaded' ORDER BY service"):
        thanks |= dict.fromkeys(said["services"].get(service, []))
    return Citations(
        references=tuple(used_by),
        used_by={key: tuple(tables) for key, tables in used_by.items()},
        acknowledgements=tuple(Acknowledgement(**said["acknowledgements"][key]) for key in thanks),
        unsourced=tuple(unsourced),
    )


@cache
def sources() -> dict[str, Any]:
    """sql/cite/sources.yaml: what is to be cited for which table, service and parameter."""
    found: dict[str, Any] = yaml.safe_load(files("skysy.sql").joinpath("cite", "sources.yaml").read_text("utf-8"))
    return found


@cache
def bibliography() -> dict[str, str]:
    """The BibTeX entries of sql/cite/references.bib by key."""
    text = files("skysy.sql").joinpath("cite", "references.bib").read_text("utf-8")
    return {found["key"]: found[0] for found in _ENTRY.finditer(text)}


def _tables(warehouse: Warehouse) -> list[str]:
    found = warehouse.rows(
        "SELECT lower(table_name) FROM meta.chunk WHERE state = 'loaded' GROUP BY ALL "
        "HAVING sum(received_rows) > 0 ORDER BY min(chunk_id)"
    )
    return [row[0] for row in found]
