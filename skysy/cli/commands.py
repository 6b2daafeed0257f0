"""The application: every command of skysy, in the order of its help.

`skysy --help` names them without loading any; the module of a command, and with it typer's reading of its options, comes
when the command is called or its own help or completion is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from inspect import cleandoc
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from skysy import __version__

COMMANDS: Mapping[str, tuple[str, str, tuple[int, ...]]] = {
    "demo": ("demo", "A simulated sky from files to report, in a minute.", (3, 4, 5)),
    "init": ("init", "A project of your own: parameters and models.", ()),
    "simulate": ("simulate", "A sky of archive files whose truth is known.", ()),
    "plan": ("archive", "What the archives would send, before any row moves.", (3, 6, 7)),
    "load": ("load", "Archive files, or the live archives, into the warehouse.", (3, 4, 6, 7)),
    "lightcurve": ("lightcurve", "TESS light curves of an object, to check flickering.", (3, 4, 5, 6, 7)),
    "refresh": ("archive", "Ask the archives for what is new or changed.", (3, 6, 7)),
    "doctor": ("archive", "Which archives answer, and what is wrong.", (6, 7)),
    "build": ("build", "Build what is stale of the science.", (3, 5, 6)),
    "status": ("build", "What is loaded, built, stale, and why.", (3,)),
    "candidates": ("candidates", "The candidates, most outlying first, with reasons.", (3, 5)),
    "why": ("why", "The story of one star.", (3, 5, 6)),
    "diff": ("diff", "Two builds compared: who entered, who left, and why.", (3, 5)),
    "match": ("match", "Pairs of two tables by position.", (3, 4, 6)),
    "products": ("products", "Files of the space archive MAST, listed or downloaded.", (3, 4, 6, 7)),
    "sql": ("query", "Ask the warehouse in SQL.", (3, 6)),
    "shell": ("query", "A DuckDB shell on the warehouse, read only.", (3, 6)),
    "publish": ("publish", "A snapshot for shells that stay open.", (3,)),
    "report": ("report", "HTML pages: everything, and each candidate.", (3, 5)),
    "figures": ("figures", "The figures as PNG files.", (3, 5, 6)),
    "export": ("export", "The results as files: Parquet, VOTable, FITS, CSV, HATS.", (3, 5, 6)),
    "bundle": ("bundle", "All that a paper rests on, in one archive.", (3, 5)),
    "verify": ("bundle", "A bundle rebuilt and compared, without network.", (4, 5, 6)),
    "cite": ("bundle", "What to cite, and whom to thank.", (3,)),
    "inject": ("inject", "How much flickering would be found, and what share of stars flickers.", (3, 5)),
    "recover": ("recover", "The build held against a simulated truth.", (3, 5, 6)),
    "test": ("unit", "The models on rows written by hand.", (5, 6)),
}
"""Command -> the module of skysy.cli that has the function of its name, its line in the help of skysy, and the exit codes of
skysy.errors that it may end with besides those that any command has: 0, 1, 2 and 130."""


_TOLD = {3, 7}
"""Exit codes of commands that open a warehouse or ask an archive, and so have something to tell of with --verbose."""
_POSITION = re.compile(r"-[\d.]\S*,")


class _Positions(TyperCommand):
    """A command whose argument may be a position, which may begin with a minus and is no option then."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        positions = [word for word in args if _POSITION.match(word)]
        if positions and "--" not in args:
            args = [*(word for word in args if word not in positions), "--", *positions]
        return super().parse_args(ctx, args)


class _Lazy(TyperGroup):
    """A group whose commands are name and short help until one of them is meant."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, short, _) in COMMANDS.items():
            self.add_command(TyperCommand(name, short_help=short))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, found, rest = super().resolve_command(ctx, args)
        return name, found and command(str(name)), rest


def command(name: str) -> TyperCommand:
    """The command of a name in COMMANDS, its module loaded."""
    module, short, codes = COMMANDS[name]
    function = getattr(import_module(f"skysy.cli.{module}"), name)
    # A line of backspace keeps a paragraph as it is: an example that is broken in two could not be copied.
    words = cleandoc(function.__doc__).replace("\n\nExample: ", "\n\n\b\nExample: ")
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command(name, cls=_Positions if name == "why" else None, help=words, short_help=short)(function)
    made = typer.main.get_command(alone)
    assert isinstance(made, TyperCommand)
    if _TOLD & set(codes):
        from skysy.cli.verbose import option

        made.params.append(option())
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
