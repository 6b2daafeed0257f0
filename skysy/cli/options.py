"""Options that many commands share, and how they print."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from skysy.cli import complete
from skysy.log import verbose

if TYPE_CHECKING:
    from rich.console import Console

WarehouseOption = Annotated[
    Path | None,
    typer.Option(
        "--warehouse",
        metavar="DIR",
        envvar="SKYSY_WAREHOUSE",
        readable=False,  # opening it tells more, with the exit code of warehouses
        help="The warehouse directory.",
        show_default="warehouse",
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory-limit",
        metavar="SIZE",
        envvar="SKYSY_MEMORY_LIMIT",
        help="DuckDB's memory bound, as 600MB or 4GB.",
        show_default="4GB",
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", envvar="SKYSY_THREADS", help="DuckDB's threads.", show_default="all cores"),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Another value for a parameter; may be repeated.",
        autocompletion=complete.parameters,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
PublishedOption = Annotated[
    bool, typer.Option("--published", help="Read the snapshot of `skysy publish`; loads and builds go on meanwhile.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress lines.")]


def print_json(value: Any) -> None:
    """One JSON document on standard output; NaN and infinities, which JSON has not, become their names."""
    typer.echo(json.dumps(_plain(value), indent=2, default=str, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def say(text: str, *, err: bool = False, nl: bool = True, **style: Any) -> None:
    """A line in colour or bold, without either where `plain`."""
    if plain():
        typer.echo(text, err=err, nl=nl)  # secho would put the end of a style behind it
    else:
        typer.secho(text, err=err, nl=nl, **style)


def plain() -> bool:
    """Whether to print neither colour nor bold: NO_COLOR is set (https://no-color.org), or the terminal knows none."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def console(**words: Any) -> Console:
    """rich's console on standard output, which says and does nothing of its own."""
    from rich.console import Console

    return Console(highlight=False, color_system=None if plain() else "auto", **words)


def interactive() -> bool:
    """Whether progress bars make sense: standard error is a terminal, and nothing else is told there line by line."""
    return sys.stderr.isatty() and not verbose()
