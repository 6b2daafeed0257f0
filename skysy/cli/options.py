"""Options that many commands share, and how they print."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

WarehouseOption = Annotated[
    Path | None,
    typer.Option(
        "--warehouse",
        metavar="DIR",
        envvar="SKYSY_WAREHOUSE",
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
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress lines.")]


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, indent=2, default=str))


def interactive() -> bool:
    """Whether progress bars make sense: standard error is a terminal."""
    return sys.stderr.isatty()
