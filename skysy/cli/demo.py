"""`skysy demo`: the whole way once, on a simulated sky."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def demo(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Everything goes here; made if need be.")] = Path(
        "demo"
    ),
    objects: Annotated[
        int, typer.Option("--objects", metavar="N", min=1000, max=1_000_000, help="Objects in the sky.")
    ] = 20_000,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="The same seed gives the same sky.")] = 1,
) -> None:
    """Simulate a sky, load it, build the science, and show the candidates with their reasons.

    Example: skysy demo demo --objects 20000
    """
    from skysy.cli.build import build
    from skysy.cli.load import load
    from skysy.cli.query import sql
    from skysy.cli.recover import recover
    from skysy.cli.report import report
    from skysy.cli.simulate import simulate
    from skysy.cli.why import why
    from skysy.config import settings
    from skysy.store import open_warehouse

    archive, warehouse = directory / "archive", directory / "warehouse"
    place = f"--warehouse {warehouse}"

    def step(words: str) -> None:
        typer.secho(f"\n$ skysy {words}", bold=True)

    step(f"simulate {archive} --objects {objects} --seed {seed}")
    simulate(archive, objects=objects, seed=seed)
    step(f"load --release skymapper_dr2 --from {archive} {place}")
    load(release="skymapper_dr2", source=archive, warehouse=warehouse)
    step(f"build {place}")
    build(warehouse=warehouse)
    step(f"recover {archive} {place}")
    recover(archive, warehouse=warehouse)
    query = "SELECT rank, object_id, known_name, round(ln_density, 2) AS ln_density, round(rapid_u_sigma, 1) AS sigma, reason FROM candidates ORDER BY rank LIMIT 5"
    step(f'sql "{query}" {place}')
    sql(query, warehouse=warehouse)
    with open_warehouse(settings(warehouse)) as house:
        first = house.value("SELECT object_id FROM candidates ORDER BY rank LIMIT 1")
    if first is not None:
        step(f"why {first} {place}")
        why(str(first), warehouse=warehouse)
    step(f"report {place}")
    report(warehouse=warehouse)
    typer.echo(
        f'\nThe sky is in {archive}, the warehouse in {warehouse}{os.sep}. Ask it more: skysy sql "FROM cut_flow" {place}'
    )
