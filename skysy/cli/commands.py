"""The application: every command of skysy, in the order of its help."""

from __future__ import annotations

from typing import Annotated

import typer

from skysy import __version__
from skysy.cli.archive import doctor, plan, refresh
from skysy.cli.build import build, status
from skysy.cli.candidates import candidates
from skysy.cli.demo import demo
from skysy.cli.export import export
from skysy.cli.figures import figures
from skysy.cli.load import load
from skysy.cli.match import match
from skysy.cli.query import shell, sql
from skysy.cli.recover import recover
from skysy.cli.report import report
from skysy.cli.simulate import simulate
from skysy.cli.why import why

_PANELS = {
    "Start": (demo, simulate),
    "Build": (plan, load, refresh, doctor, build, status),
    "Ask": (candidates, why, match, sql, shell),
    "Show": (report, figures, export, recover),
}

app = typer.Typer(
    name="skysy",
    no_args_is_help=True,
    rich_markup_mode=None,
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
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that belong to no command."""


for _panel, _functions in _PANELS.items():
    for _function in _functions:
        # A position may begin with a minus, and is no option then.
        words = {"ignore_unknown_options": True} if _function is why else None
        app.command(rich_help_panel=_panel, context_settings=words)(_function)
