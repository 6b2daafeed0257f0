"""A snapshot of the warehouse beside it, for shells that stay open while the next load or build runs."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import duckdb

from skysy.config import Settings
from skysy.errors import NotFound, WarehouseFull, WarehouseLocked, WarehouseReadOnly
from skysy.export import marts
from skysy.formats.whole import FULL, whole_path
from skysy.sides import quoted
from skysy.store import STORAGE_VERSION, Warehouse, is_full, open_warehouse, sql_text

_FICLONE = 0x40049409
"""The ioctl by which btrfs, XFS and others let two files share their blocks (Linux, ioctl_ficlone(2))."""
_CANNOT = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EBADF}
_PIECE = 1 << 30
_POLL_S = 0.5


@dataclass(frozen=True)
class Published:
    """A snapshot: its file, its bytes, how they came there, the seconds that took, and the tables where only results are in it."""

    path: Path
    bytes: int
    how: str
    seconds: float
    tables: tuple[str, ...] = ()


def publish(
    settings: Settings,
    *,
    only_results: bool = False,
    wait: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Published:
    """The warehouse as it was last committed, as `published/skysy.duckdb` in it; shells that have the one before keep that.

    The file is written aside and takes its name when it is whole and on disk. No writer can be at work meanwhile: the
    warehouse is held open for reading. With `wait`, a writer that is at work is waited for. `only_results` takes the results
    and the bookkeeping alone.

    Raises WarehouseLocked while a writer is at work, WarehouseFull where the disk has no room (the snapshot before stands),
    and as `open_warehouse`.
    """
    begun = time.monotonic()
    target = settings.published.database
    while True:
        try:
            how, tables = _publish(settings, only_results)
            break
        except WarehouseLocked as error:
            if not wait:
                raise WarehouseLocked(
                    error.message,
                    "Nothing was changed, the snapshot before stands. Try again when it is done, or let `skysy publish --wait` do so.",
                ) from error
            say(f"{error.message} Waiting.")
            _until_free(settings)
    return Published(target, target.stat().st_size, how, time.monotonic() - begun, tables)


def _until_free(settings: Settings) -> None:
    while True:
        time.sleep(_POLL_S)
        try:
            with open_warehouse(settings):
                return
        except WarehouseLocked:
            continue


@contextmanager
def held(settings: Settings) -> Iterator[tuple[Warehouse, BinaryIO]]:
    """The warehouse open for reading and its one file open to be copied: inside, no writer can be at work.

    What was committed is all in the file. Raises as `open_warehouse`.
    """
    _merge_log(settings)
    # Closing any handle on a file gives up the locks that this process has on it (POSIX), DuckDB's too: so the handle
    # that is copied from is closed last.
    with ExitStack() as last, open_warehouse(settings) as house:
        yield house, last.enter_context(settings.database.open("rb"))


def _publish(settings: Settings, only_results: bool) -> tuple[str, tuple[str, ...]]:
    target = settings.published.database
    try:
        with held(settings) as (house, source):
            target.parent.mkdir(exist_ok=True)
            with whole_path(target) as fresh:
                if only_results:
                    how, tables = "results written anew", _write_results(house, fresh, target)
                else:
                    how, tables = _copy(source, fresh), ()
                fresh.chmod(0o444)  # a shell that forgets -readonly shall not write to it
                # Where one did all the same, its log would be taken for that of the new snapshot.
                Path(f"{target}.wal").unlink(missing_ok=True)
        return how, tables
    except OSError as error:
        if error.errno in FULL:
            raise _full(target) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise WarehouseReadOnly(
                f"The snapshot {target} cannot be written: {error.strerror}.",
                "Nothing was changed. Give yourself the rights on its directory.",
            ) from error
        raise


def _full(target: Path) -> WarehouseFull:
    return WarehouseFull(
        f"The disk is full: the snapshot {target} could not be written.",
        "The snapshot before stands. Make room, or take less with `skysy publish --only-results`.",
    )


def _merge_log(settings: Settings) -> None:
    """What a killed writer committed lies in its log; the one file to be copied must hold it."""
    log = Path(f"{settings.database}.wal")
    if log.exists():
        with open_warehouse(settings, write=True) as house:
            house.run("CHECKPOINT")


def _copy(source: BinaryIO, fresh: Path) -> str:
    """All bytes of an open file in a new one, by the cheapest way there is; says which."""
    with fresh.open("wb") as out:
        try:
            fcntl.ioctl(out.fileno(), _FICLONE, source.fileno())
            return "reflink"
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
        try:
            while os.copy_file_range(source.fileno(), out.fileno(), _PIECE):
                pass
            # Some file systems copy nothing and name no error.
            if os.fstat(out.fileno()).st_size == os.fstat(source.fileno()).st_size:
                return "copy_file_range"
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
        source.seek(0)
        out.seek(0)
        shutil.copyfileobj(source, out, 1 << 20)
        return "copy"


def _write_results(house: Warehouse, fresh: Path, target: Path) -> tuple[str, ...]:
    """The results with their COMMENTs and all of `meta` as a DuckDB file of its own; the names of the results."""
    results = marts(house)
    if not results:
        raise NotFound(
            "There are no results to publish.", "Run `skysy build` first, or publish without --only-results."
        )
    there = house.rows(
        "SELECT schema_name, table_name, comment FROM duckdb_tables() WHERE database_name = current_database() "
        "AND (schema_name = 'meta' OR schema_name = 'main' AND list_contains(?, table_name)) ORDER BY ALL",
        [results],
    )
    house.run(f"ATTACH {sql_text(fresh)} AS snapshot (READ_WRITE, STORAGE_VERSION '{STORAGE_VERSION}')")
    try:
        house.run("CREATE SCHEMA snapshot.meta")
        for schema, table, comment in there:
            name = f"{quoted(schema)}.{quoted(table)}"
            house.run(f"CREATE TABLE snapshot.{name} AS FROM {name}")
            if comment:
                house.run(f"COMMENT ON TABLE snapshot.{name} IS {sql_text(comment)}")
            for column, words in house.rows(
                "SELECT column_name, comment FROM duckdb_columns() WHERE database_name = current_database() "
                "AND schema_name = ? AND table_name = ? AND comment IS NOT NULL ORDER BY column_index",
                [schema, table],
            ):
                house.run(f"COMMENT ON COLUMN snapshot.{name}.{quoted(column)} IS {sql_text(words)}")
        house.run("CHECKPOINT snapshot")
        house.run("DETACH snapshot")
    except duckdb.Error as error:
        with suppress(duckdb.Error):  # where it failed for good, closing the warehouse lets go of it
            house.run("DETACH snapshot")
        if is_full(error):
            raise _full(target) from error
        raise
    return tuple(results)
