"""ADQL from the templates in sql/archive: columns as the service spells them, limits from the parameters, one part filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib.resources import files

from skysy.loaders.archive.asks import Part
from skysy.loaders.archive.services import Service
from skysy.loaders.archive.tap import RemoteColumn, quoted

from skysy.contract import TableContract
from skysy.errors import ContractError, ModelError, NotFound, UsageError

Limits = Mapping[str, str]
"""Parameters of the science by name, as SQL literals."""

_ENDS = {"ra": 360.0, "dec": 90.0}
_HOLE = re.compile(r"\{(?P<kind>\w+)(?::(?P<name>\w+))?\}")


@dataclass(frozen=True)
class Columns:
    """What of a table is asked for, as the service spells it; `indexed` are those that it has an index on."""

    names: tuple[str, ...]
    indexed: tuple[str, ...] = ()


def template(release: str, name: str) -> str:
    """The ADQL of a file without its comments; raises NotFound where the release has none of that name."""
    return _template(release, name)


@cache
def _template(release: str, name: str) -> str:
    path = files("skysy.sql").joinpath("archive", release, f"{name}.adql")
    if not path.is_file():
        raise NotFound(
            f"{release} has no sql/archive/{release}/{name}.adql.", "Load that table from files, with --from."
        )
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("--")).strip()


def columns_of(table: TableContract, service: Service, there: Sequence[RemoteColumn], column_set: int = 0) -> Columns:
    """The columns to ask for: the contract's in the spelling that the service lists, or a set that its profile names.

    Raises ContractError where the service lists the table without a required column. A service that lists nothing is
    asked under the contract's own names.
    """
    sets = service.table(table.name).columns
    wanted = set(sets[column_set]) if sets else {column.name for column in table.columns}
    listed = {one.name.lower(): one for one in there}
    names, indexed = [], []
    for column in table.columns:
        if column.name not in wanted:
            continue
        found = next((listed[spelling] for spelling in column.spellings if spelling in listed), None)
        if found is not None:
            names.append(quoted(found.name))
            indexed += [found.name] if found.indexed else []
        elif not listed:
            names.append(quoted(column.name))
        elif column.required:
            raise ContractError(
                f"{service.title}: {service.table(table.name).name} has no column {column.name} "
                f"(known spellings: {', '.join(column.spellings)}).",
                "Nothing was asked. If the archive renamed it, add its new name under `accept` in the contract.",
            )
    return Columns(tuple(names), tuple(indexed))


def counts(text: str) -> bool:
    """Whether a template can count its rows: it names no columns of its own."""
    return "{columns:" in text


def fill(
    text: str,
    *,
    release: str,
    columns: Columns | None,
    limits: Limits,
    part: Part,
    remote: str,
    ids: str = "",
) -> str:
    """A template as a query; without `columns` it counts the rows instead. `ids` is the SQL that picks the keys."""

    def value(hole: re.Match[str]) -> str:
        kind, name = hole["kind"], hole["name"] or ""
        if kind == "selection":
            return _HOLE.sub(value, template(release, "selection"))
        if kind == "columns":
            return "COUNT(*) AS n" if columns is None else ", ".join(f"{name}.{one}" for one in columns.names)
        if kind == "table":
            return remote
        if kind == "ids":
            return ids.replace("{column}", f"x.{name}")
        if kind in ("ra_min", "ra_max", "dec_min", "dec_max"):
            axis = "ra" if kind.startswith("ra") else "dec"
            low, high = part[axis]
            if kind.endswith("max") and high >= _ENDS[axis]:
                high += 1  # the pole itself, and a right ascension that is written as 360
            return _number(low if kind.endswith("min") else high)
        if kind in ("key_min", "key_max"):
            return str(part["key"][0 if kind == "key_min" else 1])
        return _limit(kind, name, limits)

    return _HOLE.sub(value, text)


def _limit(kind: str, name: str, limits: Limits) -> str:
    if name not in limits or kind not in ("below", "above", "equal", "degrees"):
        raise ModelError(f"sql/archive: {{{kind}:{name}}} is no parameter's limit.")
    text = limits[name]
    if kind == "equal":
        return text
    if kind == "degrees":
        return format(Decimal(text) / 3600, ".12f")
    try:
        limit, margin = Decimal(text), Decimal(limits["archive_margin"])
    except InvalidOperation as error:
        raise UsageError(
            f"The parameter {name} is {text}, and archive_margin {limits['archive_margin']}: no numbers."
        ) from error
    loosened = limit + abs(limit) * margin * (1 if kind == "below" else -1)
    return format(loosened.normalize(), "f")


def _number(value: float) -> str:
    """A coordinate without an exponent, which some services do not read."""
    return format(Decimal(repr(value)), "f")
