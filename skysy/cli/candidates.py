"""`skysy candidates`: the ranked list, each star with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from skysy.cli.options import JsonOption, MemoryOption, ThreadsOption, WarehouseOption, print_json, say

if TYPE_CHECKING:
    from skysy.store import Warehouse


def candidates(
    top: Annotated[int, typer.Option("--top", metavar="N", min=1, help="How many to list.")] = 10,
    as_json: JsonOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """List the candidates, the most outlying first, with the reason in words, and what follow-up made of it.

    Example: skysy candidates --top 20
    """
    from skysy.config import settings
    from skysy.models.plan import built_release
    from skysy.store import open_warehouse

    with open_warehouse(settings(warehouse, memory_limit, threads)) as house:
        built_release(house)
        found = house.con.execute(_query(house), [top])
        names = [column[0] for column in found.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        total = house.value("SELECT count(*) FROM candidates")
        sample = house.value("SELECT count(*) FROM sample")
    if as_json:
        print_json(rows)
        return
    for row in rows:
        known = f"  {row['known_name']} ({row['known_type']})" if row["known_name"] else ""
        if row.get("main_id") not in (None, row["known_name"]):
            known += f"  SIMBAD: {row['main_id']} ({row['main_type']})"
        say(f"{row['rank']:>3}  {row['object_id']}", bold=True, nl=False)
        typer.echo(f"  {row['raj2000']:.6f} {row['dej2000']:+.6f}{known}")
        for reason in row["reason"].split("; "):
            typer.echo(f"     {reason}")
        if row.get("cautions"):
            typer.echo(f"     caution: {row['cautions']}")
        if row["verdict"]:
            typer.echo(f"     follow-up: {row['verdict']}: {row['verdict_reason']}")
    typer.echo(f"{len(rows):,} of {total:,} candidates, from a sample of {sample:,} luminous red objects.")
    if rows:
        typer.echo(f"`skysy why {rows[0]['object_id']}` tells the whole story of one.")


def _query(house: Warehouse) -> str:
    """The list with its verdicts, which a build of an earlier skysy has not."""
    if not house.columns("main", "followup"):
        return "SELECT *, NULL AS verdict, NULL AS verdict_reason FROM candidates ORDER BY rank LIMIT ?"
    return (
        "SELECT c.*, f.verdict, f.verdict_reason FROM candidates AS c LEFT JOIN followup AS f USING (object_id) "
        "ORDER BY rank LIMIT ?"
    )
