"""`skysy test`: models against rows written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skysy.cli import complete
from skysy.cli.options import JsonOption, print_json, say


def test(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL", help="Models to test.", show_default="all with cases", autocompletion=complete.models
        ),
    ] = None,
    cases: Annotated[
        Path, typer.Option("--cases", metavar="DIR", help="Where MODEL.yaml is, one file for each model.")
    ] = Path("tests/unit"),
    release: Annotated[
        str, typer.Option("--release", metavar="NAME", help="Whose staging is meant.", autocompletion=complete.releases)
    ] = "skymapper_dr2",
    sql: Annotated[
        Path | None,
        typer.Option("--sql", metavar="DIR", help="Another sql/ than skysy's own.", show_default="skysy's own"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run models on a few rows written by hand and compare what comes out; no warehouse is read or written.

    Each case prints a line, each row that is missing, surplus or different another one. Exit code 1 if a case fails.

    Example: skysy test colours nightly_colours
    """
    from skysy.cli.build import known_engines
    from skysy.models.cases import find_cases
    from skysy.models.project import load_project
    from skysy.models.unit import Bench

    found = find_cases(cases, models or ())
    with Bench(load_project(release, sql), known_engines()) as bench:
        outcomes = []
        for case in found:
            for outcome in bench.run(case):
                outcomes.append(outcome)
                if not as_json:
                    by = f" (engine {outcome.engine})" if outcome.engine else ""
                    say(f"{'ok  ' if outcome.passed else 'FAIL'}  {case.model}: {case.name}{by}")
                    for problem in outcome.problems:
                        typer.echo(f"        {problem}")
    failed = sum(not outcome.passed for outcome in outcomes)
    if as_json:
        print_json(
            [
                {"model": one.case.model, "case": one.case.name, "engine": one.engine, "problems": list(one.problems)}
                for one in outcomes
            ]
        )
    else:
        typer.echo(f"{len(outcomes)} cases run, {failed} failed.")
    if failed:
        raise typer.Exit(1)
