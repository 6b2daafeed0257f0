"""`skysy load`: archive files into the warehouse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from skysy.cli import complete
from skysy.cli.archive import ConfigOption, RouteOption, ServiceOption
from skysy.cli.options import (
    JsonOption,
    MemoryOption,
    QuietOption,
    SetOption,
    ThreadsOption,
    WarehouseOption,
    interactive,
    print_json,
)

if TYPE_CHECKING:
    from skysy.loaders.files import ArchiveFile
    from skysy.loaders.load import LoadedFile, LoadSummary, Progress


def load(
    routes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ROUTE]...",
            autocompletion=complete.routes,
            show_default="the first five",
            help="What to ask the live archives for: sample, images, distances, photometry, simbad, mast, products.",
        ),
    ] = None,
    *,
    release: Annotated[
        str,
        typer.Option(
            "--release",
            metavar="R",
            help="The release the files belong to, as skymapper_dr2.",
            autocompletion=complete.releases,
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="DIR",
            help="A directory of archive files and HATS catalogues, or the URL of such catalogues.",
            show_default="ask the live archives",
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take files that changed since they were loaded.")] = False,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Load again what archives answered before, from WAREHOUSE/raw; ask nobody."),
    ] = False,
    route: RouteOption = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be loaded from DIR; write nothing.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Load archive files, or ask the live archives; what is in already is passed over.

    Everything is checked against the release's contract and kept with its ledger row or not at all, so the same command
    goes on after any end. `skysy plan` says what the archives would send.

    Example: skysy load --release skymapper_dr2 --from archive

    Example: skysy load mast --release skymapper_dr2
    """
    from dataclasses import asdict

    from skysy.cli import archive
    from skysy.config import settings
    from skysy.errors import UsageError
    from skysy.loaders.load import count_files, load_directory, plan_directory
    from skysy.loaders.mirror import fetch_catalogues, local_directory
    from skysy.store import open_warehouse

    where = settings(warehouse, memory_limit, threads)
    route = [*(routes or ()), *(route or ())]
    if source is None:
        if replace or dry_run:
            raise UsageError(
                "--replace and --dry-run go with --from DIR.",
                "For the live archives: `skysy refresh` takes what changed, `skysy plan` says what would come.",
            )
        if offline:
            archive.load_offline(release, where, as_json=as_json)
        else:
            request = archive.request_of(release, route, service, config, set_)
            archive.load_live(*request, where, as_json=as_json, quiet=quiet)
        return
    if offline or route or service or config or set_:
        raise UsageError(
            "--from DIR asks no archive: --offline, routes, --service, --config and --set do not go with it."
        )
    directory = local_directory(source)
    if dry_run:
        if directory is None:
            raise UsageError(
                "--dry-run looks at files that are on this machine.",
                "A load from a URL copies them into the warehouse's raw directory first, and goes on after any end.",
            )
        if where.database.exists():
            with open_warehouse(where) as house:
                summary = plan_directory(house, release, directory)
        else:
            summary = plan_directory(None, release, directory)
    else:
        files = count_files(release, directory) if directory else 0  # what cannot be loaded makes no warehouse
        try:
            with open_warehouse(where, write=True, make=True) as house:
                if directory is None:
                    directory = fetch_catalogues(source, release, where.warehouse, _fetching(quiet or as_json))
                    files = count_files(release, directory)
                with _progress(files, quiet or as_json) as tell:
                    summary = load_directory(house, release, directory, replace=replace, progress=tell, origin=source)
        except KeyboardInterrupt:
            typer.echo("Interrupted. Files that were in whole stay; run `skysy load` again to go on.", err=True)
            raise typer.Exit(130) from None
    if as_json:
        print_json(asdict(summary))
        return
    _print(summary)


@contextmanager
def _progress(files: int, quiet: bool) -> Iterator[Progress]:
    """What tells of each file as it is loaded: a bar on a terminal, a line a file elsewhere, nothing when quiet."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    if quiet or not interactive():
        yield lambda file, done: None if quiet or done is None else typer.echo(_line(done), err=True)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
    )
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("loading", total=files, speed="")

        def tell(file: ArchiveFile, done: LoadedFile | None) -> None:
            if done is None:
                bar.update(task, description=file.name)
            else:
                bar.update(task, advance=1, speed=_speed(done))

        yield tell


def _fetching(quiet: bool) -> Callable[[str, int, int], None]:
    """What tells how many files of a catalogue have come: some lines at most."""

    def tell(name: str, done: int, files: int) -> None:
        if not quiet and (done == files or done % max(files // 10, 1) == 0):
            typer.echo(f"fetched    {name}  {done:,} of {files:,} files", err=True)

    return tell


def _speed(done: LoadedFile) -> str:
    return f"{done.rows / done.seconds:,.0f} rows/s" if done.rows and done.seconds else ""


def _line(done: LoadedFile) -> str:
    rows = f"{done.rows:,} rows in {done.seconds:.2f} s" if done.rows else f"{done.bytes / 1e6:.1f} MB"
    return f"{done.outcome:<9}  {done.source}  {rows}"


def _print(summary: LoadSummary) -> None:
    """One line a table: files by outcome, and rows."""
    from skysy.loaders.files import holder_of

    tables: dict[str, list[LoadedFile]] = {}
    for one in summary.files:
        tables.setdefault(one.table, []).append(one)
    for table, parts in tables.items():
        outcomes = Counter(one.outcome for one in parts)
        told = ", ".join(f"{n} {outcome}" for outcome, n in sorted(outcomes.items()))
        rows = sum(one.rows for one in parts)
        typer.echo(f"{table:<38}  {f'{rows:,} rows' if rows else '':>17}  {told}")
    told_of: dict[tuple[str, str], int] = {}
    for one in summary.files:
        for words in _notes(one):
            # All files of a HATS catalogue have the same to say.
            said = holder_of(one.source), words
            told_of[said] = told_of.get(said, 0) + 1
    for (source, words), files in told_of.items():
        typer.echo(f"note: {source}{f' ({files:,} files)' * (files > 1)}: {words}")
    if summary.ignored:
        typer.echo(f"left alone: {', '.join(summary.ignored)}")


def _notes(done: LoadedFile) -> Iterator[str]:
    """What is worth knowing of a file that was taken."""
    if ignored := done.notes.get("ignored_columns"):
        yield f"columns that the contract does not have are left out: {', '.join(ignored)}"
    if "unfinished_last_line" in done.notes:
        yield "its last line has no end; if it was cut there, get it again"
    if tables := done.notes.get("tables_passed_over"):
        yield f"tables passed over: {tables}"
