"""`skysy bundle`, `skysy verify`, `skysy cite`: what goes with a paper, and whether it holds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skysy.cli.options import (
    JsonOption,
    MemoryOption,
    PublishedOption,
    QuietOption,
    ThreadsOption,
    WarehouseOption,
    print_json,
)

if TYPE_CHECKING:
    from skysy.store import Warehouse


def bundle(
    file: Annotated[Path, typer.Argument(metavar="FILE.tar", help="The archive to write; .tar.gz is compressed.")],
    raw: Annotated[bool, typer.Option("--raw", help="Put in the answers of the archives as they came, too.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Write over a file of that name.")] = False,
    published: PublishedOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Put all that a paper rests on into one archive: the warehouse, the SQL and parameters behind it, the ledger, checksums,
    figures, and what to cite.

    `skysy verify FILE.tar` rebuilds and compares it anywhere, without network.

    Example: skysy bundle paper.tar
    """
    from dataclasses import asdict

    from skysy.analysis.figures import save_figures
    from skysy.bundle import bundle as write_bundle
    from skysy.cli.build import known_engines
    from skysy.config import settings
    from skysy.own import find_own

    where = settings(warehouse, memory_limit, threads)
    done = write_bundle(
        where.published if published else where,
        file,
        draw=save_figures,
        engines=known_engines(),
        own=find_own(),
        raw=raw,
        replace=replace,
        say=_teller(quiet or as_json),
    )
    if as_json:
        print_json(asdict(done))
        return
    typer.echo(f"{done.path}  {done.bytes / 1e6:.1f} MB, {done.files} files, {done.seconds:.1f} s")
    typer.echo(f"sha256 {done.sha256}")


def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A file of `skysy bundle`, or it unpacked.")],
    into: Annotated[
        Path | None,
        typer.Option(
            "--into",
            metavar="DIR",
            help="Keep what was unpacked and rebuilt here.",
            show_default="a directory that goes",
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Check a bundle: its files against their checksums, its archive rows against the ledger, and every result against one that
    is built anew from them.

    Nobody is asked and the bundle is not changed. Exit code 4 for files that are damaged, 5 for results that differ.

    Example: skysy verify paper.tar
    """
    from dataclasses import asdict

    from skysy.cli.build import known_engines
    from skysy.config import settings
    from skysy.errors import UsageError
    from skysy.verify import verify as verify_bundle

    if into is not None and into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise UsageError(f"{into} is there and no empty directory.", "Nothing was written. Name a new one.")
    if into is not None and into.resolve().is_relative_to(bundle.resolve()):
        raise UsageError(f"{into} lies in the bundle.", "Nothing was written. Name a directory outside of it.")
    with tempfile.TemporaryDirectory(prefix="skysy-verify-") as scratch:
        work = into or Path(scratch)
        bounds = settings(work, memory_limit, threads)
        work.mkdir(parents=True, exist_ok=True)
        done = verify_bundle(
            bundle,
            work,
            bounds,
            engines=known_engines(),
            from_raw=_from_raw,
            say=_teller(quiet or as_json),
        )
    if as_json:
        print_json(asdict(done))
        return
    made, here = (f"skysy {one['skysy']}, DuckDB {one['duckdb']}" for one in (done.made_with, done.here))
    typer.echo(f"made with  {made}" + ("" if made == here else f"; here {here}"))
    typer.echo(f"files      {done.files} as SHA256SUMS says")
    rows = (
        "not compared: this DuckDB hashes otherwise" if done.checksums is None else f"{done.checksums} checksums agree"
    )
    typer.echo(f"rows       {rows}")
    typer.echo(f"results    {len(done.models)} tables built anew, all identical")
    if done.raw is not None:
        typer.echo(f"raw        {len(done.raw)} archive tables loaded anew from the kept answers, all identical")
    typer.echo(f"The bundle holds. {done.seconds:.1f} s" + (f"; its warehouse is {into}/warehouse." if into else ""))


def cite(
    bibtex: Annotated[bool, typer.Option("--bibtex", help="Print the references as BibTeX.")] = False,
    as_json: JsonOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Print what a paper that rests on this warehouse should cite, and the words in which the archives ask to be thanked.

    It is told by the tables that have rows, the services that sent them, and the parameters of the build.

    Example: skysy cite --bibtex
    """
    from dataclasses import asdict

    from skysy.cite import citations
    from skysy.config import settings
    from skysy.store import open_warehouse

    with open_warehouse(settings(warehouse, memory_limit, threads)) as house:
        found = citations(house)
    if as_json:
        print_json(asdict(found))
    else:
        typer.echo(found.bibtex if bibtex else found.markdown, nl=False)


def _from_raw(house: Warehouse, release: str) -> object:
    from skysy.contract import load_contract
    from skysy.loaders.archive.load import rebuild

    return rebuild(house, load_contract(release))


def _teller(quiet: bool) -> Callable[[str], None]:
    def say(words: str) -> None:
        if not quiet:
            typer.echo(words, err=True)

    return say
