"""The application: every command of skysy, in the order of its help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from skysy import __version__
from skysy.cli.archive import doctor, plan, refresh
from skysy.cli.build import build, status
from skysy.cli.candidates import candidates
from skysy.cli.demo import demo
from skysy.cli.diff import diff
from skysy.cli.export import export
from skysy.cli.figures import figures
from skysy.cli.init import init
from skysy.cli.inject import inject
from skysy.cli.load import load
from skysy.cli.match import match
from skysy.cli.products import products
from skysy.cli.publish import publish
from skysy.cli.query import shell, sql
from skysy.cli.recover import recover
from skysy.cli.report import report
from skysy.cli.simulate import simulate
from skysy.cli.unit import test
from skysy.cli.why import why

_COMMANDS: Mapping[Callable[..., None], str] = {
    demo: "A simulated sky from files to report, in a minute.",
    init: "A project of your own: parameters and models.",
    simulate: "A sky of archive files whose truth is known.",
    plan: "What the archives would send, before any row moves.",
    load: "Archive files, or the live archives, into the warehouse.",
    refresh: "Ask the archives for what is new or changed.",
    doctor: "Which archives answer, and what is wrong.",
    build: "Build what is stale of the science.",
    status: "What is loaded, built, stale, and why.",
    candidates: "The candidates, most outlying first, with reasons.",
    why: "The story of one star.",
    diff: "Two builds compared: who entered, who left, and why.",
    match: "Pairs of two tables by position.",
    products: "Files of the space archive MAST, listed or downloaded.",
    sql: "Ask the warehouse in SQL.",
    shell: "A DuckDB shell on the warehouse, read only.",
    publish: "A snapshot for shells that stay open.",
    report: "HTML pages: everything, and each candidate.",
    figures: "The figures as PNG files.",
    export: "The results as files: Parquet, VOTable, FITS, CSV, HATS.",
    inject: "How much flickering would be found, and what share of stars flickers.",
    recover: "The build held against a simulated truth.",
    test: "The models on rows written by hand.",
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


for _function, _short in _COMMANDS.items():
    # A position may begin with a minus, and is no option then.
    words = {"ignore_unknown_options": True} if _function is why else None
    app.command(short_help=_short, context_settings=words)(_function)
