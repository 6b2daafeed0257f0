"""The option --verbose, which commands that open a warehouse or ask an archive get without a word in their functions."""

from __future__ import annotations

import logging
from typing import Annotated

import typer
from typer.core import TyperOption

from skysy.log import LOG


def option() -> TyperOption:
    """The option as typer makes it, to be added to the parameters of a command."""
    alone = typer.Typer(add_completion=False)
    alone.command()(_with_verbose)
    [made] = typer.main.get_command(alone).params
    assert isinstance(made, TyperOption)
    return made


def _tell(ctx: typer.Context, wanted: bool) -> None:
    """Statements and requests go to standard error until the command ends."""
    if not wanted:
        return
    handler = logging.StreamHandler()
    LOG.addHandler(handler)
    LOG.setLevel(logging.DEBUG)

    def stop() -> None:
        LOG.removeHandler(handler)
        LOG.setLevel(logging.NOTSET)

    ctx.call_on_close(stop)


def _with_verbose(
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            callback=_tell,
            expose_value=False,
            help="Tell each SQL statement and each request as it ends, with its seconds.",
        ),
    ] = False,
) -> None:
    """Never run."""
