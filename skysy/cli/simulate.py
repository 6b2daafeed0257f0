"""`skysy simulate`: a seeded sky in the archives' own files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skysy.cli import complete
from skysy.cli.options import JsonOption, QuietOption, interactive, print_json


def simulate(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the files go; made if need be, must be empty.")
    ],
    objects: Annotated[
        int, typer.Option("--objects", metavar="N", help="Objects in the sky, 1,000 to 1,000,000.")
    ] = 20_000,
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="S", min=0, help="The same seed gives the same sky, byte for byte."),
    ] = 1,
    release: Annotated[
        str,
        typer.Option(
            "--release",
            metavar="R",
            help="Whose tables and columns: skymapper_dr2 or skymapper_dr4.",
            autocompletion=complete.releases,
        ),
    ] = "skymapper_dr2",
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="F",
            help="One format for all tables: parquet, csv, csv.gz, fits, votable-binary2, -binary or -tabledata.",
            show_default="a mix, as archives deliver",
            autocompletion=complete.archive_formats,
        ),
    ] = None,
    known: Annotated[
        Path | None,
        typer.Option("--known", metavar="FILE", help="Also write the list of known symbiotic stars (CSV) here."),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a sky of red giants, flickering symbiotic stars and every known trap, as archive files with truth.

    Example: skysy simulate demo/archive --objects 20000 --seed 1
    """
    from contextlib import nullcontext
    from dataclasses import asdict

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from skysy.analysis.simulate.write import simulate as make_sky
    from skysy.formats.whole import whole_file

    columns = (TextColumn("objects"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = interactive() and not quiet and not as_json
    bar = Progress(*columns, console=Console(stderr=True), transient=True) if shown else None
    with bar or nullcontext():
        task = bar.add_task("", total=objects) if bar else None

        def advance(done: int, total: int) -> None:
            if bar and task is not None:
                bar.update(task, completed=done, total=total)

        made = make_sky(directory, objects, seed, release=release, format=format, progress=advance)
    if known:
        listed = next(file.path for file in made.files if file.table == "known.objects")
        with whole_file(known) as out:
            out.write(listed.read_bytes())
    if as_json:
        print_json(asdict(made) | {"rows": made.rows})
        return
    if quiet:
        return
    sizes: dict[str, int] = {}
    for file in made.files:
        sizes[file.table] = sizes.get(file.table, 0) + file.bytes
    for table, rows in made.rows.items():
        parts = sum(file.table == table for file in made.files)
        typer.echo(f"  {table:40} {rows:>12,} rows {sizes[table] / 1e6:>9.1f} MB  {parts} file{'s' * (parts > 1)}")
    typer.echo(
        f"{made.objects:,} objects in {directory}, {made.seconds:.1f} s. "
        f"{made.expected_in_sample:,} belong in the sample, {made.flickerers:,} flicker, "
        f"{made.known_symbiotics:,} are known symbiotic stars, {made.bad_rows:,} faults are planted; "
        f"the truth is in {directory / 'truth'}."
    )
