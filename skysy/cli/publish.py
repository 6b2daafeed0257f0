"""`skysy publish`: a snapshot of the warehouse for readers, swapped in whole."""

from __future__ import annotations

from typing import Annotated

import typer

from skysy.cli.options import (
    JsonOption,
    MemoryOption,
    QuietOption,
    ThreadsOption,
    WarehouseOption,
    print_json,
)


def publish(
    only_results: Annotated[
        bool,
        typer.Option(
            "--only-results", help="The results and the bookkeeping; no archive rows, staging or intermediate."
        ),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Where a load or build is at work, wait until it is done.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Publish a snapshot of the warehouse, which any number of shells may keep open while the next load or build runs.

    It is DIR/published/skysy.duckdb, a warehouse of its own: `skysy sql --published`, `skysy shell --published`, or any
    command that reads with --warehouse DIR/published. Shells that have the one before open keep that until they are closed.

    Example: skysy build && skysy publish
    """
    from dataclasses import asdict

    from skysy.config import settings
    from skysy.publish import publish as publish_snapshot

    def say(words: str) -> None:
        if not quiet:
            typer.echo(words, err=True)

    done = publish_snapshot(settings(warehouse, memory_limit, threads), only_results=only_results, wait=wait, say=say)
    if as_json:
        print_json(asdict(done))
        return
    held = f", {len(done.tables)} results" if done.tables else ""
    typer.echo(f"{done.path}  {done.bytes / 1e6:.1f} MB{held}  {done.how}, {done.seconds:.2f} s")
