"""`skysy init`: a project of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skysy.cli.options import say


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where it goes; made if need be.")] = Path(),
    example: Annotated[
        bool, typer.Option("--example/--no-example", help="With a worked example: flares of red dwarfs.")
    ] = True,
) -> None:
    """Begin a project: a commented skysy.toml, parameters of your own, and a folder for models of your own.

    Commands that are run in that directory use them; `skysy build` builds your models with skysy's, in one graph.

    Example: skysy init flares
    """
    from skysy.own import make_own

    for path in make_own(directory, example=example):
        say(str(path), bold=True)
    typer.echo("Run `skysy build` in that directory; a model of yours is a table of the warehouse like any other.")
