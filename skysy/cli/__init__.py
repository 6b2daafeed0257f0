"""The `skysy` command: each command lives in a module of its own and imports what is heavy only when it runs."""

from __future__ import annotations

import io
import sys

import typer

from skysy.errors import SkysyError


def main() -> None:
    """Run the command line; a SkysyError becomes its sentence, its remedy and its exit code."""
    from skysy.cli.commands import app
    from skysy.cli.options import say

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # a terminal of ASCII can show a name with an accent all the same
    try:
        app()
    except SkysyError as error:
        say(f"error: {error.message}", fg=typer.colors.RED, err=True)
        if error.remedy:
            typer.echo(f"  {error.remedy}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        say(f"error: {error.filename or 'the disk'}: {error.strerror or error}.", fg=typer.colors.RED, err=True)
        sys.exit(1)
