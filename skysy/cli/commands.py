"""The application: every command of skysy, in the order of its help.

`skysy --help` names them without loading any; the module of a command, and with it typer's reading of its options, comes
when the command is called or its own help or completion is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from skysy import __version__

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("demo", "A simulated sky from files to report, in a minute."),
    "init": ("init", "A project of your own: parameters and models."),
    "simulate": ("simulate", "A sky of archive files whose truth is known."),
    "plan": ("archive", "What the archives would send, before any row moves."),
    "load": ("load", "Archive files, or the live archives, into the warehouse."),
    "refresh": ("archive", "Ask the archives for what is new or changed."),
    "doctor": ("archive", "Which archives answer, and what is wrong."),
    "build": ("build", "Build what is stale of the science."),
    "status": ("build", "What is loaded, built, stale, and why."),
    "candidates": ("candidates", "The candidates, most outlying first, with reasons."),
    "why": ("why", "The story of one star."),
    "diff": ("diff", "Two builds compared: who entered, who left, and why."),
    "match": ("match", "Pairs of two tables by position."),
    "sql": ("query", "Ask the warehouse in SQL."),
    "shell": ("query", "A DuckDB shell on the warehouse, read only."),
    "publish": ("publish", "A snapshot for shells that stay open."),
    "report": ("report", "HTML pages: everything, and each candidate."),
    "figures": ("figures", "The figures as PNG files."),
    "export": ("export", "The results as files: Parquet, VOTable, FITS, CSV, HATS."),
    "inject": ("inject", "How much flickering would be found, and what share of stars flickers."),
    "recover": ("recover", "The build held against a simulated truth."),
    "test": ("unit", "The models on rows written by hand."),
}
"""Command -> the module of skysy.cli that has the function of its name, and its line in the help of skysy."""


class _Lazy(TyperGroup):
    """A group whose commands are name and short help until one of them is meant."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, short) in COMMANDS.items():
            self.add_command(TyperCommand(name, short_help=short))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, found, rest = super().resolve_command(ctx, args)
        return name, found and command(str(name)), rest


def command(name: str) -> TyperCommand:
    """The command of a name in COMMANDS, its module loaded."""
    module, short = COMMANDS[name]
    function = getattr(import_module(f"skysy.cli.{module}"), name)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    # A position may begin with a minus, and is no option then.
    words = {"ignore_unknown_options": True} if name == "why" else None
    alone.command(name, short_help=short, context_settings=words)(function)
    made = typer.main.get_command(alone)
    assert isinstance(made, TyperCommand)
    return made


app = typer.Typer(
    name="skysy",
    cls=_Lazy,
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
