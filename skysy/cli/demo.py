"""`skysy demo`: the whole way once, on a simulated sky."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skysy.cli.options import say


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
    from skysy.cli.candidates import candidates
    from skysy.cli.figures import figures
    from skysy.cli.load import load
    from skysy.cli.recover import recover
    from skysy.cli.report import report
    from skysy.cli.simulate import simulate
    from skysy.cli.why import why
    from skysy.config import settings
    from skysy.store import open_warehouse

    archive, warehouse = directory / "archive", directory / "warehouse"
    place = f"--warehouse {warehouse}"

    def step(words: str) -> None:
        say(f"\n$ skysy {words}", bold=True)

    step(f"simulate {archive} --objects {objects} --seed {seed}")
    if _is_there(archive, objects, seed):
        typer.echo("This sky is there already.")
    else:
        simulate(archive, objects=objects, seed=seed)
    step(f"load --release skymapper_dr2 --from {archive} {place}")
    load(release="skymapper_dr2", source=str(archive), warehouse=warehouse)
    step(f"build {place}")
    build(warehouse=warehouse)
    step(f"recover {archive} {place}")
    recover(archive, warehouse=warehouse)
    step(f"candidates --top 5 {place}")
    candidates(top=5, warehouse=warehouse)
    with open_warehouse(settings(warehouse)) as house:
        first = house.value("SELECT object_id FROM candidates ORDER BY rank LIMIT 1")
    if first is not None:
        step(f"why {first} {place}")
        why(str(first), warehouse=warehouse)
    step(f"figures {directory / 'figures'} --top 2 {place}")
    figures(directory / "figures", top=2, warehouse=warehouse)
    step(f"report {place}")
    report(warehouse=warehouse)
    typer.echo(f"\nThe sky is in {archive}, the warehouse in {warehouse}; open the report in a browser, or ask on:")
    typer.echo(f'  skysy sql "FROM cut_flow" {place}')


def _is_there(archive: Path, objects: int, seed: int) -> bool:
    """Whether an earlier demo made this very sky; another one is in the way."""
    import json

    from skysy.errors import UsageError

    told = archive / "truth" / "simulation.json"
    if not told.is_file():
        return False
    made = json.loads(told.read_text(encoding="utf-8"))
    if (made["objects"], made["seed"]) != (objects, seed):
        raise UsageError(
            f"{archive} holds another sky: {made['objects']:,} objects, seed {made['seed']}.",
            "Name another directory, or remove that one.",
        )
    return True
