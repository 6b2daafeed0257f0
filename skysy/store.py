"""The warehouse file: made with a pinned storage version, opened with bounds, written in whole transactions."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from skysy import __version__, ledger
from skysy.config import Settings
from skysy.errors import (
    SkysyError,
    WarehouseDamaged,
    WarehouseError,
    WarehouseFull,
    WarehouseLocked,
    WarehouseMissing,
    WarehouseReadOnly,
    WarehouseVersion,
)
from skysy.interrupt import ctrl_c_stops
from skysy.log import timed

STORAGE_VERSION = "v1.5.0"
"""Storage format of new warehouses: DuckDB shells from 1.5 on open it."""

_SPARING_BYTES = 32_000_000
"""What `Warehouse.sparingly` leaves DuckDB, for each thread and once more.

A thread that writes rows holds a block of 256 KiB for each column, which makes 26 MB for dr2.master's hundred columns.
"""

_T = TypeVar("_T")


class Warehouse:
    """An open warehouse: `con` is its DuckDB connection, the other names are shorthand that always fetches."""

    def __init__(self, con: duckdb.DuckDBPyConnection, settings: Settings, read_only: bool) -> None:
        self.con = con
        self.settings = settings
        self.read_only = read_only

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with timed(query):
            return self.con.execute(query, list(parameters)).fetchall()

    def value(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or None where there is no row."""
        rows = self.rows(query, parameters)
        return rows[0][0] if rows else None

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement for its effect."""
        with timed(statement):
            self.con.execute(statement, list(parameters)).fetchall()

    def columns(self, schema: str, table: str) -> list[str]:
        """Column names of a table or view in order; empty where it does not exist."""
        found = self.rows(
            "SELECT column_name FROM duckdb_columns() WHERE database_name = current_database() "
            "AND schema_name = ? AND table_name = ? ORDER BY column_index",
            [schema, table],
        )
        return [row[0] for row in found]

    def all_columns(self) -> dict[str, list[str]]:
        """Column names, in order, of every table and view, by `schema.table`."""
        found: dict[str, list[str]] = {}
        for table, column in self.rows(
            "SELECT schema_name || '.' || table_name, column_name FROM duckdb_columns() "
            "WHERE database_name = current_database() ORDER BY schema_name, table_name, column_index"
        ):
            found.setdefault(table, []).append(column)
        return found

    def sparingly(self, work: Callable[[], _T]) -> _T:
        """Do work that passes through many rows once, and within less memory than the limit, so that it does not grow with them.

        DuckDB keeps every block that it reads or writes, and rows that it could write already, until they reach its limit: a
        large file would take all that the user allows, and hardly be done sooner. What needs more after all is done again
        from its start with the whole limit; so `work` must be a transaction, or harmless to repeat.
        """
        if not self._limit_memory_to_the_least():
            return work()
        try:
            return work()
        except duckdb.OutOfMemoryException:
            self._limit_memory(self.settings.memory_limit)
            return work()
        finally:
            self._limit_memory(self.settings.memory_limit)

    def _limit_memory_to_the_least(self) -> bool:
        least = _SPARING_BYTES * (self.settings.threads + 1)
        return least < self.settings.memory_bytes and self._limit_memory(f"{least}B")

    def _limit_memory(self, limit: str) -> bool:
        """Whether DuckDB keeps to the limit from now on; a cursor's word, since a transaction that failed takes none."""
        try:
            with self.con.cursor() as other:
                other.execute(f"SET memory_limit = '{limit}'")
        except duckdb.Error:  # it holds more than that and cannot let go, or it failed for good
            return False
        return True

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that happens inside is kept together or not at all."""
        self.con.execute("BEGIN TRANSACTION")
        try:
            yield
            # COMMIT after an error that was caught inside keeps nothing and says nothing; this says it.
            self.con.execute("SELECT 1").fetchall()
            self.con.execute("COMMIT")
        except BaseException:
            # A Ctrl-C reaches DuckDB and Python one after the other, so that the later one may break the first or second try.
            for _ in (1, 2, 3):
                try:
                    self.con.execute("ROLLBACK")
                    break
                except duckdb.TransactionException:
                    break  # nothing to undo: COMMIT failed, or an earlier try was done all the same
                except (duckdb.Error, RuntimeError, KeyboardInterrupt):
                    continue
            raise


def create(settings: Settings) -> None:
    """Make an empty warehouse with its ledger; a file that is there already is left alone."""
    if settings.database.exists():
        return
    try:
        settings.warehouse.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WarehouseReadOnly(
            f"The directory {settings.warehouse} cannot be made: {error.strerror}.",
            "Choose a directory that you may write, with --warehouse DIR.",
        ) from error
    _check_writable(settings.warehouse)
    fresh = settings.warehouse / f"new.{os.getpid()}.duckdb"
    try:
        with duckdb.connect(":memory:") as con:
            con.execute(f"ATTACH {sql_text(fresh)} AS fresh (STORAGE_VERSION '{STORAGE_VERSION}')")
            con.execute("USE fresh")
            ledger.create(con, __version__, STORAGE_VERSION)
            con.execute("USE memory")
            con.execute("DETACH fresh")
        os.link(fresh, settings.database)  # unlike a rename it never replaces one that another process made meanwhile
    except duckdb.Error as error:
        if is_full(error):
            raise explain(error, settings) from error
        raise
    except OSError:
        if not settings.database.exists():
            fresh.replace(settings.database)  # a file system without links
    finally:
        fresh.unlink(missing_ok=True)
        Path(f"{fresh}.wal").unlink(missing_ok=True)


def _sweep(settings: Settings) -> None:
    """Take away what killed processes left; to be called by the one writer, beside whom nobody has the warehouse open."""
    left = [*settings.warehouse.glob("new.*.duckdb*"), *settings.temp_directory.glob("duckdb_temp_*")]
    for path in left:
        with suppress(OSError):
            path.unlink()
    for buckets in settings.warehouse.glob("cluster.*"):
        shutil.rmtree(buckets, ignore_errors=True)
    with suppress(OSError):  # not there, or not empty
        settings.temp_directory.rmdir()


def has_results_only(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the intermediate tables of its build are not there, as in a snapshot of results."""
    try:
        with con.cursor() as other:
            found = other.execute(
                "SELECT count(*) > 0 AND count(*) FILTER (model IN (SELECT table_name FROM duckdb_tables())) = 0 "
                "FROM meta.model WHERE starts_with(model, 'int_')"
            ).fetchone()
    except duckdb.Error:
        return False
    return found is not None and bool(found[0])


@contextmanager
def open_warehouse(settings: Settings, *, write: bool = False, make: bool = False) -> Iterator[Warehouse]:
    """The warehouse of `settings`, closed at the end; `make` creates it first where there is none.

    Raises WarehouseMissing, WarehouseLocked, WarehouseReadOnly, WarehouseVersion or WarehouseDamaged.
    """
    with ctrl_c_stops() as running:
        if make:
            create(settings)
        _check_there(settings)
        if write:
            _check_writable(settings.warehouse)
        con = _connect(settings, read_only=not write)
        try:
            _check_layout(con, settings)
            if write:
                _sweep(settings)
            running.append(con)
            yield Warehouse(con, settings, read_only=not write)
        except duckdb.OutOfMemoryException as error:
            raise SkysyError(
                f"The question needs more memory than {settings.memory_limit}.",
                "What was committed before stands. Raise it, as with --memory-limit 8GB.",
            ) from error
        except duckdb.Error as error:
            if is_damage(error) or is_full(error):
                raise explain(error, settings) from error
            if isinstance(error, duckdb.CatalogException) and has_results_only(con):
                raise WarehouseError(
                    f"The warehouse in {settings.warehouse} holds results only, and this needs more than those.",
                    "Ask the warehouse that it was made of, or publish that whole, without --only-results.",
                ) from error
            raise
        finally:
            running.clear()
            con.close()


@contextmanager
def open_nowhere(settings: Settings) -> Iterator[Warehouse]:
    """DuckDB without a warehouse, for work on files alone, in the same bounds; nothing of it stays."""
    with ctrl_c_stops() as running, tempfile.TemporaryDirectory(prefix="skysy-") as spill:
        con = duckdb.connect(":memory:", config=bounds(settings) | {"temp_directory": spill})
        running.append(con)
        try:
            yield Warehouse(con, settings, read_only=False)
        finally:
            running.clear()
            con.close()


def bounds(settings: Settings) -> dict[str, str | bool | int | float | list[str]]:
    """DuckDB's configuration: bounded memory, threads and place to spill, nothing downloaded."""
    return {
        "memory_limit": settings.memory_limit,
        "threads": settings.threads,
        "temp_directory": str(settings.temp_directory),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "preserve_insertion_order": False,
    }


def _connect(settings: Settings, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(str(settings.database), read_only=read_only, config=bounds(settings))
    except duckdb.Error as error:
        raise explain(error, settings) from error


def explain(error: duckdb.Error, settings: Settings) -> WarehouseError:
    """The plain sentence for what DuckDB says when it cannot open or read the file."""
    text = str(error)
    if is_full(error):
        return WarehouseFull(
            f"The disk is full: the warehouse {settings.database} could not be written.",
            "What was committed before stands. Make room beside it, then give the same command again.",
        )
    if "lock on file" in text:
        holder = text.split("held in ")[1].split(")")[0] + ")" if "held in " in text else "another process"
        snapshot = settings.published
        return WarehouseLocked(
            f"The warehouse {settings.database} is in use by {holder}.",
            "Nothing was changed. Close that program (a DuckDB shell, another skysy) and run the command again."
            + (f" To read, take its snapshot: --warehouse {snapshot.warehouse}." if snapshot.database.exists() else ""),
        )
    if "different configuration" in text:
        return WarehouseLocked(
            f"This Python process has {settings.database} open already, with other settings.",
            "Nothing was changed. Close that connection first, or open both with the same memory limit and threads.",
        )
    if "version number" in text or "serialization version" in text.lower():
        return WarehouseVersion(
            f"The warehouse {settings.database} was written by another version of DuckDB than {duckdb.__version__}.",
            "Nothing was changed. Upgrade skysy, or load your files into a new warehouse with --warehouse DIR.",
        )
    if not is_damage(error) and ("Permission denied" in text or "read-only" in text.lower()):
        return WarehouseReadOnly(
            f"The warehouse {settings.database} cannot be opened: permission denied.",
            "Nothing was changed. Give yourself the rights, or name another directory with --warehouse DIR.",
        )
    return WarehouseDamaged(
        f"The warehouse {settings.database} is damaged or is not a DuckDB file: {text.splitlines()[0]}",
        "Your archive files are untouched. Move the warehouse aside and load them again into a new one.",
    )


def is_damage(error: duckdb.Error) -> bool:
    """Whether DuckDB found the file cut short or its checksums wrong; that may come at any read."""
    text = str(error)
    return "Could not read enough bytes" in text or "Corrupt database file" in text


def is_full(error: duckdb.Error) -> bool:
    """Whether the disk or a quota on it left no room for the warehouse or for DuckDB's intermediate rows."""
    text = str(error)
    return any(words in text for words in ("No space left", "File too large", "Disk quota"))


def _check_layout(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    try:
        layout = ledger.layout(con)
    except duckdb.CatalogException as error:
        raise WarehouseDamaged(
            f"{settings.database} is a DuckDB file, but not a warehouse of skysy: it has no meta.warehouse.",
            "Name another directory with --warehouse DIR.",
        ) from error
    except duckdb.Error as error:
        raise explain(error, settings) from error
    if layout != ledger.LAYOUT:
        raise WarehouseVersion(
            f"The warehouse {settings.database} has layout {layout}; this skysy reads layout {ledger.LAYOUT}.",
            "Nothing was changed. Load your files into a new warehouse with --warehouse DIR.",
        )


def _check_there(settings: Settings) -> None:
    where = settings.warehouse
    try:
        if settings.database.exists():
            return
        is_file = where.is_file()
    except PermissionError as error:
        raise WarehouseReadOnly(
            f"The directory {where} cannot be entered: permission denied.",
            "Nothing was changed. Give yourself the rights, or name another directory with --warehouse DIR.",
        ) from error
    if is_file:
        meant = where.parent if where.name == settings.database.name else "DIR"
        raise WarehouseMissing(f"{where} is a file; a warehouse is a directory.", f"Write --warehouse {meant}.")
    raise WarehouseMissing(
        f"There is no warehouse in {where.absolute() if where == Path() else where}.",
        "Make one with `skysy load --release skymapper_dr2 --from DIR`, or name another with --warehouse DIR.",
    )


def _check_writable(directory: Path) -> None:
    database = directory / "skysy.duckdb"
    if not os.access(directory, os.W_OK) or (database.exists() and not os.access(database, os.W_OK)):
        raise WarehouseReadOnly(
            f"The warehouse in {directory} is read-only.",
            "Nothing was changed. Give yourself the rights, or name another directory with --warehouse DIR.",
        )


def sql_text(value: object) -> str:
    """A text or a path as a literal of SQL."""
    return "'" + str(value).replace("'", "''") + "'"
