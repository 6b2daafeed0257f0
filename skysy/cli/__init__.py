"""The `skysy` command: each command lives in a module of its own and imports what is heavy only when it runs."""

from __future__ import annotations

import sys

import typer

from skysy import __version__
from skysy.errors import SkysyError

app = typer.Typer(
    name="skysy",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="From sky archives to a ranked, explained list of accreting symbiotic-star candidates, "
    "in one local DuckDB warehouse.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"skysy {__version__}")
        raise typer.Exit


@app.callback()
def _frame(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Options that belong to no command."""


def main() -> None:
    """Run the command line; a SkysyError becomes its sentence, its remedy and its exit code."""
    from skysy.cli import commands

    commands.register(app)
    try:
        app()
    except SkysyError as error:
        typer.secho(f"error: {error.message}", fg=typer.colors.RED, err=True)
        if error.remedy:
            typer.echo(f"  {error.remedy}", err=True)
        sys.exit(error.exit_code)
