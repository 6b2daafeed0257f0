"""`skysy figures`: the figures of the report as files of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skysy.cli import complete
from skysy.cli.options import JsonOption, MemoryOption, ThreadsOption, WarehouseOption, print_json


def figures(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the PNG files go; made if need be.")],
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="NAME", help="Only this figure; may be given again.", autocompletion=complete.figures
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            "--top",
            metavar="N",
            min=0,
            max=100,
            help="Draw light curves of the first N candidates.",
            show_default="5; none with --only",
        ),
    ] = None,
    as_json: JsonOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Draw the eleven figures, and the light curves of the first candidates, as PNG files.

    Example: skysy figures plots --top 10

    Example: skysy figures plots --only figure2_colours
    """
    from skysy.analysis.figures import save_figures
    from skysy.config import settings
    from skysy.store import open_warehouse

    with open_warehouse(settings(warehouse, memory_limit, threads)) as house:
        light_curves = top if top is not None else 0 if only else 5
        written = save_figures(house, directory, light_curves, only=only or ())
    if as_json:
        print_json([str(path) for path in written])
        return
    for path in written:
        typer.echo(f"{path}  {path.stat().st_size / 1e3:,.0f} kB")
