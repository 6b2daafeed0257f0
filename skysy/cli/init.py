"""`skysy init`: a project of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skysy.cli.options import JsonOption, print_json, say


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where it goes; made if need be.")] = Path(),
    example: Annotated[
        bool, typer.Option("--example/--no-example", help="With a worked example: flares of red dwarfs.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Begin a project: a commented skysy.toml, parameters of your own, and a folder for models of your own.

    Commands that are run in that directory use them; `skysy build` builds your models with skysy's, in one graph.

    Example: skysy init flares
    """
    from skysy.own import make_own

    made = make_own(directory, example=example)
    if as_json:
        print_json([str(path) for path in made])
        return
    for path in made:
        say(str(path), bold=True)
    typer.echo("Run `skysy build` in that directory; a model of yours is a table of the warehouse like any other.")
