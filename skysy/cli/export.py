"""`skysy export`: results as files for TOPCAT, astropy, pandas, LSDB or another DuckDB."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skysy.cli import complete
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
        list[str] | None,
        typer.Option(
            "--table", metavar="NAME", help="Only this table; may be given again.", autocompletion=complete.results
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="F",
            help="parquet, votable, fits, csv or hats (a catalogue for LSDB).",
            autocompletion=complete.export_formats,
        ),
    ] = "parquet",
    hats_threshold: Annotated[
        int | None,
        typer.Option(
            "--hats-threshold",
            metavar="ROWS",
            min=1,
            help="Rows in a file of a HATS catalogue.",
            show_default="1000000",
        ),
    ] = None,
    light_curves: Annotated[
        bool, typer.Option("--light-curves", help="HATS: each object with its measurements as lists.")
    ] = False,
    margin: Annotated[
        float | None,
        typer.Option(
            "--margin",
            metavar="ARCSEC",
            help="HATS: beside each catalogue, the rows so near to a cell that they are not in.",
            show_default="none",
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Write the results to DIR, one file a table, with units, UCDs and descriptions inside (CSV: in a JSON file beside it).

    A file of that name is replaced once the new one is whole. HATS is written for tables that have a position, each a
    directory of Parquet files cut by HEALPix cells; what a format cannot hold as it is, is said.

    Example: skysy export results --table candidates --table colours

    Example: skysy export catalogues --format hats --table sample --light-curves --margin 10
    """
    from dataclasses import asdict

    from skysy.config import settings
    from skysy.errors import UsageError, did_you_mean
    from skysy.export import FORMATS
    from skysy.export import export as export_tables
    from skysy.hats import ROWS_MAX, export_hats
    from skysy.models.plan import built_release
    from skysy.store import open_warehouse

    if form not in FORMATS:
        raise UsageError(f"There is no format {form!r}.", did_you_mean(form, FORMATS))
    if form != "hats" and (hats_threshold or light_curves or margin is not None):
        raise UsageError("--hats-threshold, --light-curves and --margin go with --format hats.")

    def say(name: str) -> None:
        if not (quiet or as_json):
            typer.echo(f"writing {name}", err=True)

    with open_warehouse(settings(warehouse, memory_limit, threads)) as house:
        built_release(house)
        if form == "hats":
            written = export_hats(
                house,
                directory,
                table or (),
                say,
                rows_max=hats_threshold or ROWS_MAX,
                light_curves=light_curves,
                margin_arcsec=margin,
            )
        else:
            written = export_tables(house, directory, table or (), say, form)
    if as_json:
        print_json([asdict(one) for one in written])
        return
    for one in written:
        typer.echo(f"{one.path}  {one.rows:,} rows  {one.bytes / 1e6:.1f} MB")
        for words in one.notes:
            typer.echo(f"  {words}")
