"""What Tab offers for the values of options and arguments.

A completer gets what is typed so far and gives values, or pairs of value and short help; typer keeps those that begin with it.
It never fails and never writes: a warehouse that is missing, locked or damaged offers nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeAlias

import typer

Offer: TypeAlias = "str | tuple[str, str]"
_P = ParamSpec("_P")

OBJECTS = 50
"""Objects that are offered at once."""

_BARE = re.compile(r"[\w.+-]+")
"""A value that no shell reads as anything else."""

_DIGITS = 19
"""Decimal digits of the largest object_id, which has 64 bits."""


def silent(completer: Callable[_P, Iterable[Offer]]) -> Callable[_P, list[Offer]]:
    """The completer with nothing to offer where it fails: an error's words would stand in the middle of a command line."""

    @wraps(completer)
    def offer(*args: _P.args, **kwargs: _P.kwargs) -> list[Offer]:
        try:
            return list(completer(*args, **kwargs))
        except Exception:
            return []

    return offer


@silent
def releases(incomplete: str) -> Iterable[Offer]:
    """Releases that have a contract."""
    from skysy.contract import releases as known

    return known()


@silent
def routes(incomplete: str) -> Iterable[Offer]:
    """Routes of the live archives."""
    from skysy.loaders.archive.services import ROUTES

    return ROUTES


@silent
def export_formats(incomplete: str) -> Iterable[Offer]:
    """Formats of `skysy export`."""
    from skysy.export import FORMATS

    return FORMATS


@silent
def archive_formats(incomplete: str) -> Iterable[Offer]:
    """Formats that all tables of a simulated archive can have."""
    from skysy.formats.write import FORMATS

    return (name for name in FORMATS if name != "fits")


@silent
def parameters(ctx: typer.Context, incomplete: str) -> Iterable[Offer]:
    """Parameters of the release and of the user's project, each with its value where a shell takes that without quotes."""
    from skysy.models.project import default_parameters
    from skysy.own import find_own

    for one in default_parameters(ctx.params.get("release"), find_own()).values():
        value = one.value_sql.strip("'")  # the option takes a text without its quotes
        yield f"{one.name}={value if _BARE.fullmatch(value) else ''}", one.description


@silent
def finds(incomplete: str) -> Iterable[Offer]:
    """What `skysy match` may look for."""
    return "best", "all"


@silent
def figures(incomplete: str) -> Iterable[Offer]:
    """Figures of the sample as a whole."""
    from skysy.analysis.figures import FIGURES

    return FIGURES


@silent
def models(ctx: typer.Context, incomplete: str) -> Iterable[Offer]:
    """Models that have cases for `skysy test`."""
    return sorted(path.stem for path in Path(ctx.params.get("cases") or "tests/unit").glob("*.yaml"))


@silent
def results(ctx: typer.Context, incomplete: str) -> Iterable[Offer]:
    """Derived tables and views of the warehouse, with what they are."""
    return ((name, words) for schema, name, words in _relations(ctx) if schema == "main")


@silent
def relations(ctx: typer.Context, incomplete: str) -> Iterable[Offer]:
    """Every table and view of the warehouse but the bookkeeping, as SQL names it."""
    return (
        (name if schema == "main" else f"{schema}.{name}", words)
        for schema, name, words in _relations(ctx)
        if schema != "meta"
    )


@silent
def objects(ctx: typer.Context, incomplete: str) -> Iterable[Offer]:
    """Object ids: candidates in their order, then, once a digit is typed, others of the sample."""
    if incomplete and not incomplete.isdecimal():
        return []
    # All numbers that begin with these digits, as ranges, for which DuckDB need not read every block.
    ranges = [
        f"object_id BETWEEN {int(incomplete) * 10**more} AND {(int(incomplete) + 1) * 10**more - 1}"
        for more in range(_DIGITS - len(incomplete) + 1)
        if incomplete
    ]
    found = _ask(
        ctx,
        "SELECT object_id, coalesce('candidate, rank ' || rank, 'in the sample') FROM sample LEFT JOIN candidates "
        f"USING (object_id) WHERE {' OR '.join(ranges) or 'rank IS NOT NULL'} ORDER BY rank, object_id LIMIT {OBJECTS}",
    )
    return [(str(object_id), words) for object_id, words in found]


def _relations(ctx: typer.Context) -> Iterator[tuple[str, str, str]]:
    """Schema, name and purpose of each table and view."""
    from skysy.columns import from_comment

    found = _ask(
        ctx,
        "SELECT schema_name, table_name, comment FROM duckdb_tables() WHERE database_name = current_database() UNION ALL "
        "SELECT schema_name, view_name, comment FROM duckdb_views() WHERE database_name = current_database() AND NOT internal "
        "ORDER BY ALL",
    )
    for schema, name, comment in found:
        yield schema, name, from_comment(comment)[0].split("Grain: ")[0].strip()


def _ask(ctx: typer.Context, query: str) -> list[tuple[str, ...]]:
    """The rows of a query on the warehouse that the command line names, or on its snapshot while another has it."""
    from skysy.config import settings
    from skysy.errors import WarehouseLocked
    from skysy.store import open_warehouse

    where = settings(ctx.params.get("warehouse"), "200MB", 1)
    try:
        with open_warehouse(where) as house:
            return house.rows(query)
    except WarehouseLocked:
        with open_warehouse(where.published) as house:
            return house.rows(query)
