"""`skysy inject`: flickering put into quiet stars and found again; what share of the known objects flickers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skysy.cli.options import JsonOption, MemoryOption, ThreadsOption, WarehouseOption, print_json, say

if TYPE_CHECKING:
    from skysy.analysis.injection import Injection, Row


def inject(
    amplitude: Annotated[
        list[float] | None,
        typer.Option(
            "--amplitude",
            metavar="MAG",
            help="Rms of the flickering in u; may be repeated.",
            show_default="0.02, 0.05, 0.1, 0.2 and 0.4",
        ),
    ] = None,
    timescale_min: Annotated[
        float, typer.Option("--timescale-min", metavar="MIN", help="Minutes after which it forgets itself.")
    ] = 10.0,
    stars: Annotated[int, typer.Option("--stars", metavar="N", help="Quiet stars that are made to flicker.")] = 20_000,
    seed: Annotated[int, typer.Option("--seed", metavar="S", min=0, help="The same seed, the same answer.")] = 1,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Also write the efficiencies: .csv or .json.")
    ] = None,
    figure: Annotated[Path | None, typer.Option("--figure", metavar="FILE.png", help="Also draw them.")] = None,
    as_json: JsonOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Make quiet stars of the sample flicker and find them again by the build's own SQL and limits.

    The warehouse is not changed. The second table turns the known objects that stand out into the share that flickers.

    Example: skysy inject --amplitude 0.05 --amplitude 0.2 --stars 5000 --warehouse demo/warehouse
    """
    from dataclasses import asdict

    from skysy.analysis.injection import AMPLITUDES_MAG, MODELS
    from skysy.analysis.injection import inject as run
    from skysy.config import settings
    from skysy.models.parameters import apply_built
    from skysy.models.plan import built_release
    from skysy.models.project import sql_of
    from skysy.store import open_warehouse

    with open_warehouse(settings(warehouse, memory_limit, threads)) as house:
        release = built_release(house)
        apply_built(house)
        found = run(
            house,
            {name: sql_of(release, name) for name in MODELS},
            amplitudes_mag=amplitude or AMPLITUDES_MAG,
            timescale_min=timescale_min,
            stars=stars,
            seed=seed,
        )
    if out is not None:
        _write(out, found)
    if figure is not None:
        from skysy.analysis.figures.efficiency import figure_efficiency, save_figure

        save_figure(figure_efficiency(found.efficiency), figure)
    if as_json:
        print_json(asdict(found))
        return
    _tell(found)


def _tell(found: Injection) -> None:
    say(
        f"{found.stars:,} quiet stars flicker with a memory of {found.timescale_min:g} min and are found, "
        "with 95 % intervals:",
        bold=True,
    )
    typer.echo("  rms in u   mean u    sequences   injected   found   efficiency")
    for row in found.efficiency:
        u_from = row["u_from_mag"]
        u_mag = "all" if u_from is None else f"{u_from:.0f} to {u_from + 1:.0f}"
        number = row["n_sequences"]
        sequences = "all" if number is None else "3 or more" if number == 3 else str(number)
        typer.echo(
            f"  {row['amplitude_mag']:8.3g}   {u_mag:8}  {sequences:9}   {row['n_injected']:8,}   {row['n_found']:5,}   "
            f"{_interval(row, 'efficiency')}"
        )
    if not found.fraction:
        typer.echo("None of the known objects has a colour sequence, so there is no share to tell.")
        return
    first = found.fraction[0]
    say(
        f"{first['n_found']} of {first['n_stars']} {found.population} with a colour sequence stand out: "
        f"{_interval(first, 'fraction')} of them at least.",
        bold=True,
    )
    typer.echo("  if all flicker with rms   efficiency   false alarms   share that flickers")
    for row in found.fraction[1:]:
        typer.echo(
            f"  {row['amplitude_mag']:23.3g}   {row['efficiency']:10.3f}   {row['false_alarms']:12.2g}   "
            f"{_interval(row, 'fraction')}"
        )


def _interval(row: Row, name: str) -> str:
    if row[name] is None:
        return "cannot be told"
    return f"{row[name]:.3f} ({row[f'{name}_lo']:.3f} to {row[f'{name}_hi']:.3f})"


def _write(path: Path, found: Injection) -> None:
    import csv
    import json

    from skysy.errors import UsageError

    rows = [dict(row) for row in found.efficiency]
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            if path.suffix == ".json":
                json.dump(rows, file, indent=1)
            elif path.suffix == ".csv":
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
            else:
                raise UsageError(f"{path} ends neither in .csv nor in .json.", "Name another file.")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.", "Name a file that you may write.") from error
