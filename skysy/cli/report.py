"""`skysy report`: the results as HTML pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skysy.cli.options import JsonOption, MemoryOption, ThreadsOption, WarehouseOption, print_json


def report(
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The folder to write.", show_default="WAREHOUSE/export/report"),
    ] = None,
    pages: Annotated[
        int, typer.Option("--pages", metavar="N", min=0, help="Pages of their own for the first N candidates.")
    ] = 5000,
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=0, max=100, help="Light curves of the first N on the index, too.")
    ] = 5,
    as_json: JsonOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Write a folder of HTML pages: cut flow, figures, every candidate with its reason, and a page for each candidate.

    Open index.html in it. The pages need no network and nothing outside their folder. The folder is made aside and takes
    the place of the old one when it is whole.

    Example: skysy report --out candidates --pages 500
    """
    from dataclasses import asdict

    from skysy.analysis.report import write_report
    from skysy.config import settings
    from skysy.store import open_warehouse

    chosen = settings(warehouse, memory_limit, threads)
    with open_warehouse(chosen) as house:
        written = write_report(house, out or chosen.warehouse / "export" / "report", pages, top)
    if as_json:
        print_json(asdict(written))
        return
    typer.echo(
        f"{written.path}  {written.candidates:,} candidates, {written.pages:,} with a page, {written.bytes / 1e6:.1f} MB"
    )
