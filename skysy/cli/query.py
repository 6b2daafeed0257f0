"""`skysy sql`: one query, read only; `skysy shell`: a DuckDB shell on the warehouse, read only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from skysy.cli.options import JsonOption, MemoryOption, PublishedOption, ThreadsOption, WarehouseOption, console

if TYPE_CHECKING:
    from skysy.config import Settings
    from skysy.store import Warehouse

_TABLE_ROWS = 40
"""Rows that a printed table shows unless --limit says otherwise."""


def sql(
    query: Annotated[str | None, typer.Argument(metavar="SQL", help="A query, as 'FROM cut_flow'.")] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="Take the query from a file; - is standard input."),
    ] = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header line.")] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="Rows to print.", show_default="40 in a table, else all"),
    ] = None,
    published: PublishedOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Ask the warehouse in SQL; it is never changed. getvariable gives the parameters of the last build.

    While a load or build is at work, the snapshot of `skysy publish` answers, where there is one.

    Example: skysy sql "SELECT rank, object_id, known_name, ug_mag, uv_mag FROM candidates ORDER BY rank" --limit 10
    """
    import duckdb

    from skysy.config import settings
    from skysy.errors import UsageError
    from skysy.log import timed
    from skysy.models.parameters import apply_built
    from skysy.store import is_damage

    if as_json and as_csv:
        raise UsageError("--json and --csv together are two forms.", "Choose one.")
    text = _query(query, file)
    most = limit if as_json or as_csv else limit or _TABLE_ROWS
    with _for_reading(settings(warehouse, memory_limit, threads), published) as house:
        apply_built(house)
        # A table name must never mean a variable of this program.
        house.run("SET python_enable_replacements = false")
        try:
            with timed(text):
                found = house.con.execute(text)
                if found is None:
                    raise UsageError("There is no query.", "Give one, as skysy sql 'FROM cut_flow'.")
                names = [column[0] for column in found.description or []]
                types = [str(column[1]) for column in found.description or []]
                rows = found.fetchall() if most is None else found.fetchmany(most + 1)
        except duckdb.Error as error:
            if is_damage(error) or isinstance(error, duckdb.InterruptException | duckdb.OutOfMemoryException):
                raise
            told = str(error).strip()
            remedy = ""
            if "read-only mode" in told:
                remedy = "It is open for reading only; tables are made by `skysy build` from sql/."
            raise UsageError(told, remedy) from error
    more = most is not None and len(rows) > most
    rows = rows[:most]
    if as_json:
        _print_json(names, rows)
    elif as_csv:
        _print_csv(names, rows)
    else:
        _print_table(names, types, rows)
    if more:
        first = "The first row" if most == 1 else f"The first {most} rows"
        typer.echo(f"{first}; there are more: use --limit N.", err=True)


def shell(
    published: PublishedOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Open a DuckDB shell on the warehouse, read only, with the parameters of the last build set.

    While a load or build is at work, it opens the snapshot of `skysy publish`, where there is one.

    Example: skysy shell
    """
    import os

    from skysy.config import settings
    from skysy.errors import UsageError
    from skysy.models.parameters import built_statements

    program = find_shell()
    if program is None:
        raise UsageError("There is no `duckdb` shell on this machine.", "Install it: pip install 'skysy[shell]'")
    where = settings(warehouse, memory_limit, threads)
    with _for_reading(where, published) as house:
        bounds = house.settings
        statements = [
            f"SET memory_limit = '{bounds.memory_limit}';",
            f"SET threads = {bounds.threads};",
            *built_statements(house),
        ]
    if bounds.database == where.published.database:
        typer.echo(
            "Read only; this snapshot stays as it is, whatever is loaded, built or published meanwhile.", err=True
        )
    else:
        typer.echo(
            "Read only; `skysy load` and `skysy build` wait until this shell is closed. One with --published is in nobody's way.",
            err=True,
        )
    sys.stdout.flush()
    os.execv(program, [program, "-readonly", "-cmd", " ".join(statements), str(bounds.database)])


@contextmanager
def _for_reading(where: Settings, published: bool) -> Iterator[Warehouse]:
    """The warehouse, or the snapshot where that is asked for, or where a writer is at work; the latter is said."""
    from skysy.errors import NotFound, WarehouseLocked
    from skysy.store import open_warehouse

    if published and not where.published.database.exists():
        raise NotFound(f"There is no snapshot in {where.published.warehouse}.", "Make one with `skysy publish`.")
    with ExitStack() as opened:
        try:
            house = opened.enter_context(open_warehouse(where.published if published else where))
        except WarehouseLocked as error:
            if published or not where.published.database.exists():
                raise
            house = opened.enter_context(open_warehouse(where.published))
            made = datetime.fromtimestamp(where.published.database.stat().st_mtime)
            typer.echo(f"{error.message} The snapshot of {made:%Y-%m-%d %H:%M} answers.", err=True)
        yield house


def _query(query: str | None, file: Path | None) -> str:
    """The query, from the command line, a file or standard input."""
    from skysy.errors import UsageError

    if (query is None) == (file is None):
        raise UsageError("Give a query, or a file with --file.", "As skysy sql 'FROM cut_flow'.")
    if query is not None:
        if not query.isprintable() and any("\udc80" <= letter <= "\udcff" for letter in query):
            raise UsageError(
                "The query is not UTF-8.", "Write it in the character set of the terminal, or in a file of UTF-8."
            )
        return query
    try:
        return sys.stdin.read() if str(file) == "-" else Path(str(file)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}.") from error


def find_shell() -> str | None:
    """The `duckdb` shell: beside this Python first, where `skysy[shell]` puts it, then on PATH."""
    import shutil

    return shutil.which("duckdb", path=str(Path(sys.executable).parent)) or shutil.which("duckdb")


def _print_table(names: list[str], types: list[str], rows: list[tuple[Any, ...]]) -> None:
    """A table; where it is wider than the terminal, one line per value and a blank line per row."""
    from rich import box
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    numbers = ("INT", "DOUBLE", "FLOAT", "DECIMAL", "HUGEINT", "NUMBER")
    for name, kind in zip(names, types, strict=True):
        right = any(word in kind.upper() for word in numbers) and "[" not in kind
        table.add_column(Text(name), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("NULL", style="dim") if value is None else Text(str(value)) for value in row))
    to = console(width=None if sys.stdout.isatty() else 10_000)
    if Measurement.get(to, to.options.update(max_width=1_000_000), table).maximum <= to.width:
        to.print(table)
        return
    width = max(map(len, names))
    for row in rows:
        for name, value in zip(names, row, strict=True):
            to.print(f"{name:<{width}}  ", Text("NULL", style="dim") if value is None else Text(str(value)), sep="")
        to.print()


def _print_json(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    from skysy.cli.options import print_json
    from skysy.errors import UsageError

    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"Two columns are named {twice[0]}; JSON keeps one of a name.", "Rename one with AS.")
    print_json([dict(zip(names, row, strict=True)) for row in rows])


def _print_csv(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
