"""`skysy export`: results as Parquet files for TOPCAT, astropy, pandas or another DuckDB."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skysy.cli.options import (
    JsonOption,
    MemoryOption,
    QuietOption,
    ThreadsOption,
    WarehouseOption,
    print_json,
)


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go; made if need be.")],
    table: Annotated[
        list[str] | None, typer.Option("--table", metavar="NAME", help="Only this table; may be given again.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Write the results to DIR, one Parquet file a table, with units, UCDs and descriptions inside.

    A file of that name is replaced once the new one is whole.

    Example: skysy export results --table candidates --table colours
    """
    from skysy.config import settings
    from skysy.export import export as export_tables
    from skysy.models.build import built_release
    from skysy.store import open_warehouse

    def say(name: str) -> None:
        if not (quiet or as_json):
            typer.echo(f"writing {name}", err=True)

    with open_warehouse(settings(warehouse, memory_limit, threads)) as house:
        built_release(house)
        written = export_tables(house, directory, table or (), say)
    if as_json:
        print_json(
            [{"table": one.table, "path": str(one.path), "rows": one.rows, "bytes": one.bytes} for one in written]
        )
        return
    for one in written:
        typer.echo(f"{one.path}  {one.rows:,} rows  {one.bytes / 1e6:.1f} MB")
