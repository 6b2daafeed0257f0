"""`skysy diff`: two builds compared, with the reason of every candidate that entered or left."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skysy.cli.options import JsonOption, MemoryOption, ThreadsOption, print_json, say

if TYPE_CHECKING:
    from skysy.builds import Behind
    from skysy.diff import ColumnChange, Difference
    from skysy.moves import Move


def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="The directory of a built warehouse.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another, built otherwise.")],
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=0, help="How many that entered, and that left, to list.")
    ] = 20,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 if a candidate entered or left, with 0 if none did.")
    ] = False,
    as_json: JsonOption = False,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Compare the candidates of two builds: who entered, who left, and which value, limit or rule did it.

    Both are only read. Objects are the same where their object_id is. The exit code is 0 whether or not they differ, unless
    --exit-code is given.

    Example: skysy diff warehouse stricter
    """
    from dataclasses import asdict

    from skysy.config import settings
    from skysy.diff import compare

    found = compare(settings(a, memory_limit, threads), settings(b, memory_limit, threads))
    if as_json:
        print_json(asdict(found))
    else:
        _tell(found, top)
    if exit_code and found.moves:
        raise typer.Exit(1)


def _tell(found: Difference, top: int) -> None:
    from skysy.identity import DISPLACED_ARCSEC

    for name, side in (("A", found.a), ("B", found.b)):
        say(f"{name}  {side.directory}", bold=True, nl=False)
        typer.echo(
            f"  {side.release}, built {side.built_at} UTC: {side.candidates:,} candidates, sample of {side.sample:,}"
        )
    _tell_making(found)
    if found.same_ids.displaced:
        typer.echo(
            f"caution: {found.same_ids.displaced:,} of {found.same_ids.objects:,} object_ids of both lie more than "
            f"{DISPLACED_ARCSEC:g} arcsec apart in A and B; fast stars do, but where they are many, an id is not one object"
        )
    for title, moves in (("entered", found.entered), ("left", found.left)):
        say(f"{len(moves):,} {title}", bold=True)
        for words, n in Counter(_cause(move) for move in moves).most_common():
            typer.echo(f"  {n:,} by {words}")
        for move in moves[:top]:
            typer.echo(f"    {move.object_id}  {move.reason}")
        if len(moves) > top:
            typer.echo(f"    and {len(moves) - top:,} more: --top N, or --json for all")
    if not found.columns:
        typer.echo("Objects in both have the same values.")
    else:
        typer.echo("Values of objects in both that changed by more than 1e-9")
        for column in found.columns:
            typer.echo(f"  {column.table + '.' + column.column:<40} {_column(column)}")


def _tell_making(found: Difference) -> None:
    """What differs in the making: releases, parameters, SQL, rows."""
    if found.a.release != found.b.release:
        typer.echo(f"releases: {found.a.release} -> {found.b.release}; objects are the same where their object_id is")
    if found.a.engine_version != found.b.engine_version:
        typer.echo(
            f"DuckDB: {found.a.engine_version} -> {found.b.engine_version}; hashes of content may differ for that"
        )
    for one in found.parameters:
        unit = f" {one.unit}" if one.unit else ""
        typer.echo(f"parameter {one.name}: {one.a or 'none'} -> {one.b or 'none'}{unit}")
    for change in found.sql:
        where = "differs" if change.a and change.b else "is in A only" if change.a else "is in B only"
        typer.echo(f"{'engine' if change.what == 'engine' else 'SQL'} of {change.model} {where}")
    for table in found.inputs:
        same = "as many rows of other content" if table.rows_a == table.rows_b else ""
        typer.echo(f"input {table.table}: {same or f'{table.rows_a:,} -> {table.rows_b:,} rows'}")
    if not (found.parameters or found.sql or found.inputs):
        typer.echo("Parameters, SQL and loaded rows are the same.")


def _cause(move: Move) -> str:
    """What did it, without the object's own values: moves of one cause are counted together."""
    told = f"cut {move.cut}" if move.cut else move.lost_at
    limits = ", ".join(f"{name} {a} -> {b}" for name, (a, b) in move.limits.items() if a != b)
    causes = {
        "limit": f"limit {limits}",
        "value": "value" if move.cut else f"value, first in {move.model}",
        "rule": f"rule of {move.model}",
    }
    if "object_id" in move.values:
        told += ": another object_id at its place"
    if move.cause != "object":
        told += ": " + " and ".join(causes[word] for word in move.cause.split(" and "))
    behind = ", ".join(_behind(one) for one in move.behind)
    return told + (f"; behind it {behind}" if behind else "")


def _behind(one: Behind) -> str:
    if one.kind == "parameter":
        return f"{one.name} {one.a or 'none'} -> {one.b or 'none'}"
    return f"SQL of {one.name}" if one.kind == "sql" else f"rows of {one.name}"


def _column(column: ColumnChange) -> str:
    told = f"{column.changed:,} of {column.objects:,}"
    if column.nulls:
        told += f", {column.nulls:,} with a value in one only"
    if column.largest is not None:
        told += f"; most in {column.object_id}: {_value(column.a)} -> {_value(column.b)}"
    return told


def _value(value: object) -> str:
    return f"{value:.7g}" if isinstance(value, float) else str(value)
