"""`skysy figures`: the figures of the report as files of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skysy.cli.options import JsonOption, MemoryOption, ThreadsOption, WarehouseOption, print_json


def figures(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the PNG files go; made if need be.")],
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=0, max=100, help="Draw light curves of the first N candidates.")
    ] = 5,
    as_json: JsonOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Draw the eleven figures, and the light curves of the first candidates, as PNG files.

    Example: skysy figures plots --top 10
    """
    from skysy.analysis.figures import save_figures
    from skysy.config import settings
    from skysy.store import open_warehouse

    with open_warehouse(settings(warehouse, memory_limit, threads)) as house:
        written = save_figures(house, directory, light_curves=top)
    if as_json:
        print_json([str(path) for path in written])
        return
    for path in written:
        typer.echo(f"{path}  {path.stat().st_size / 1e3:,.0f} kB")
