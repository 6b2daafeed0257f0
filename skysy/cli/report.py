"""`skysy report`: one HTML page of the results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skysy.cli.options import JsonOption, MemoryOption, ThreadsOption, WarehouseOption, print_json


def report(
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The page to write.", show_default="WAREHOUSE/export/report.html"),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=0, max=100, help="Draw light curves of the first N candidates.")
    ] = 5,
    as_json: JsonOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Write one HTML page: cut flow, figures, every candidate with its reason, audits and origin.

    The page needs no network and no other file, so it can be mailed or archived as it is.

    Example: skysy report --out candidates.html --top 10
    """
    from dataclasses import asdict

    from skysy.analysis.report import write_report
    from skysy.config import settings
    from skysy.store import open_warehouse

    chosen = settings(warehouse, memory_limit, threads)
    with open_warehouse(chosen) as house:
        written = write_report(house, out or chosen.warehouse / "export" / "report.html", top)
    if as_json:
        print_json(asdict(written))
        return
    typer.echo(
        f"{written.path}  {written.candidates:,} candidates, {written.light_curves} light curves, "
        f"{written.bytes / 1e6:.1f} MB"
    )
