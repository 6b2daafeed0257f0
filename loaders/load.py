"""Files of a directory into the warehouse: each checked against the contract and committed with its ledger row."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from skysy.loaders import csv, raw
from skysy.loaders.files import ArchiveFile, discover, holder_of, part_of, sha256_of
from skysy.loaders.rows import KEPT, bring_in, column_notes, inspect
from skysy.loaders.source import Source
from skysy.loaders.verify import select_columns

from skysy import __version__, ledger
from skysy.contract import Contract, load_contract
from skysy.errors import FileDamaged, LoadError, SourceChanged
from skysy.store import Warehouse, is_damage, is_full


@dataclass(frozen=True)
class LoadedFile:
    """What became of one file: outcome is loaded, unchanged, replaced or (in a plan) the same words as intended."""

    table: str
    source: str
    format: str
    outcome: str
    rows: int
    bytes: int
    seconds: float
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadSummary:
    """What a load did, file by file, and the names that it left alone."""

    release: str
    files: tuple[LoadedFile, ...]
    ignored: tuple[str, ...]


Progress = Callable[[ArchiveFile, LoadedFile | None], None]
"""Told each file as it starts (None) and when it is done."""


def count_files(release: str, directory: Path) -> int:
    """How many archive files of the release a directory holds."""
    return len(discover(directory, load_contract(release)).files)


def plan_directory(warehouse: Warehouse | None, release: str, directory: Path) -> LoadSummary:
    """What `load_directory` would do, without doing it; `warehouse` is None where there is none yet.

    Columns of files that would be loaded are checked against the contract; their values are not read. Raises a LoadError
    at the first file that would be refused for what can be seen so.
    """
    contract = load_contract(release)
    found = discover(directory, contract)
    planned = []
    for file in found.files:
        with _reading(file):
            known = ledger.loaded_chunk(warehouse.con, release, file.name) if warehouse else None
            outcome = "load" if known is None else "unchanged" if known[1] == sha256_of(file.path) else "changed"
            rows, notes = 0, {}
            if outcome != "unchanged":
                with _open(file) as source:
                    notes = column_notes(select_columns(file.name, file.table, source))
                    rows = source.expected_rows or 0
            size = file.path.stat().st_size
        planned.append(LoadedFile(file.table.name, file.name, file.format, outcome, rows, size, 0.0, notes))
    return LoadSummary(release, tuple(planned), found.ignored)


def load_directory(
    warehouse: Warehouse,
    release: str,
    directory: Path,
    *,
    replace: bool = False,
    progress: Progress | None = None,
    origin: str | None = None,
) -> LoadSummary:
    """Load every archive file of a directory; a file that is in already, unchanged, is passed over.

    `origin` is what the ledger keeps as the place of the files, where that is not the directory.

    Each file is one transaction: rows, checksums and ledger row are kept together or not at all. Raises a LoadError of
    some kind at the first file that is refused (SourceChanged where its content differs from what was loaded under its name
    and `replace` is not given); the files before it stay.
    """
    contract = load_contract(release)
    found = discover(directory, contract)
    arguments = {"release": release, "from": origin or str(directory), "replace": replace}
    with _engine(warehouse, "The load"):
        raw.prepare(warehouse, contract)
        _refuse_beside_answers(warehouse, contract, found.files)
        _drop_gone(warehouse, contract, found.files, replace=replace)
        results = []
        with ledger.noted(warehouse.con, "load", arguments, __version__) as run_id:
            for file in found.files:
                if progress:
                    progress(file, None)
                results.append(_load_file(warehouse, contract, file, run_id, replace=replace))
                if progress:
                    progress(file, results[-1])
    return LoadSummary(release, tuple(results), found.ignored)


def _refuse_beside_answers(warehouse: Warehouse, contract: Contract, files: Sequence[ArchiveFile]) -> None:
    """Raise LoadError where a table of the files holds rows that an archive was asked for: they would be there twice."""
    found = warehouse.rows(
        "SELECT table_name, service FROM meta.chunk WHERE release = ? AND service <> 'file' AND state = 'loaded' "
        "AND received_rows > 0 AND list_contains(?, table_name) ORDER BY chunk_id LIMIT 1",
        [contract.release, [file.table.name for file in files]],
    )
    if found:
        table, service = found[0]
        raise LoadError(
            f"{table} holds rows that {service} was asked for; those of the files would be there beside them.",
            "Nothing was changed. Take its files out of the directory, or load into another warehouse with --warehouse DIR.",
        )


def _load_file(
    warehouse: Warehouse, contract: Contract, file: ArchiveFile, run_id: int, *, replace: bool
) -> LoadedFile:
    started, began = time.perf_counter(), ledger.now()
    with _reading(file):
        version = _version(file.path)
        sha256, size = sha256_of(file.path), file.path.stat().st_size
    known = ledger.loaded_chunk(warehouse.con, contract.release, file.name)
    if known is not None and known[1] == sha256:
        seconds = time.perf_counter() - started
        return LoadedFile(file.table.name, file.name, file.format, "unchanged", 0, size, seconds)
    if known is not None and not replace:
        raise SourceChanged(
            f"{file.name} is loaded already, and the file now has other content (sha256 {sha256[:12]}, loaded {known[1][:12]}).",
            "Nothing was changed. If the new file is right, give the command again with --replace.",
        )
    _refuse_copy(warehouse, contract, file, sha256)
    gone = [known[0]] if known else _same_part(warehouse, contract, file, replace=replace)

    def commit() -> tuple[int, dict[str, Any]]:
        with _open(file) as source, warehouse.transaction():
            selection = select_columns(file.name, file.table, source)
            for one in gone:
                ledger.drop_chunk(warehouse.con, one, file.table.name)
            chunk_id = ledger.next_chunk_id(warehouse.con)
            bring_in(warehouse, file.name, file.table, source, selection, chunk_id)
            rows, notes = inspect(warehouse, file.table, selection, chunk_id)
            if source.expected_rows is not None and source.expected_rows != rows:
                raise FileDamaged(f"{file.name} says that it holds {source.expected_rows:,} rows; {rows:,} came.", KEPT)
            notes |= source.notes
            names = [column.name for column in file.table.columns]
            where = f"WHERE {ledger.CHUNK_COLUMN} = {chunk_id:d}"
            content = ledger.content_hash(warehouse.con, file.table.name, names, where)
            if rows:
                _refuse_same_rows(warehouse, contract, file, content, rows)
            chunk = ledger.Chunk(
                chunk_id=chunk_id, release=contract.release, table_name=file.table.name, service="file",
                source=file.name, format=file.format, expected_rows=source.expected_rows, received_rows=rows,
                bytes=size, sha256=sha256, content_hash=content, notes=notes, started_at=began,
            )  # fmt: skip
            ledger.write_chunk(warehouse.con, run_id, chunk)
            if _version(file.path) != version:
                raise FileDamaged(
                    f"{file.name} was changed while it was read.", f"{KEPT} Wait until whatever writes it is done."
                )
        return rows, notes

    with _reading(file), _engine(warehouse, file.name):
        rows, notes = warehouse.sparingly(commit)
    outcome = "replaced" if gone else "loaded"
    seconds = time.perf_counter() - started
    return LoadedFile(file.table.name, file.name, file.format, outcome, rows, size, seconds, notes)


def _version(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


@contextmanager
def _reading(file: ArchiveFile) -> Iterator[None]:
    """A file that the system does not let us read is a FileDamaged in words."""
    try:
        yield
    except OSError as error:
        raise FileDamaged(f"{file.name} cannot be read: {error.strerror or error}.", KEPT) from error


@contextmanager
def _engine(warehouse: Warehouse, what: str) -> Iterator[None]:
    """What DuckDB says when memory is too small or it fails otherwise, in words."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        limit = warehouse.settings.memory_limit
        raise LoadError(
            f"{what} needs more memory than {limit}, or more room in {warehouse.settings.temp_directory}.",
            f"{KEPT} Raise it, as with --memory-limit 8GB.",
        ) from error
    except (duckdb.IOException, duckdb.FatalException, duckdb.InternalException) as error:
        if is_full(error) or is_damage(error):  # the warehouse's own trouble, told by who opened it
            raise
        raise LoadError(f"{what} could not be brought in: {str(error).splitlines()[0]}", KEPT) from error


def _refuse_copy(warehouse: Warehouse, contract: Contract, file: ArchiveFile, sha256: str) -> None:
    other = warehouse.value(
        "SELECT source FROM meta.chunk WHERE release = ? AND table_name = ? AND sha256 = ? AND source <> ? "
        "AND state = 'loaded' AND received_rows > 0",
        [contract.release, file.table.name, sha256, file.name],
    )
    if other is not None:
        raise LoadError(
            f"{file.name} has the same content as {other}, which is loaded: its rows would be there twice.",
            "Nothing was changed. Take one of the two out of the directory.",
        )


def _refuse_same_rows(warehouse: Warehouse, contract: Contract, file: ArchiveFile, content: str, rows: int) -> None:
    other = warehouse.value(
        "SELECT source FROM meta.chunk WHERE release = ? AND table_name = ? AND content_hash = ? AND state = 'loaded'",
        [contract.release, file.table.name, content],
    )
    if other is not None:
        raise LoadError(
            f"{file.name} holds the same {rows:,} rows as {other}, which is loaded: they would be there twice.",
            "Nothing was changed. Take one of the two out of the directory.",
        )


def _same_part(warehouse: Warehouse, contract: Contract, file: ArchiveFile, *, replace: bool) -> list[int]:
    """The chunks of the same part of the table that came from a file of another format, or from a HATS catalogue or a file."""
    loaded = warehouse.rows(
        "SELECT source, chunk_id FROM meta.chunk WHERE release = ? AND table_name = ? AND service = 'file' "
        "AND state = 'loaded' AND split_part(source, '/', 1) <> ? ORDER BY chunk_id",
        [contract.release, file.table.name, file.holder],
    )
    found = [(source, id) for source, id in loaded if part_of(source, contract) == (file.table.name, file.part)]
    if found and not replace:
        raise SourceChanged(
            f"{file.holder} would be the same part of {file.table.name} as {holder_of(found[0][0])}, which is loaded.",
            "Nothing was changed. Give the command again with --replace to have this file instead, or another part name.",
        )
    return [int(id) for _, id in found]


def _drop_gone(warehouse: Warehouse, contract: Contract, files: Sequence[ArchiveFile], *, replace: bool) -> None:
    """Take out files that the HATS catalogues of `files` no longer have: after new cuts, the same rows are in others.

    Raises SourceChanged where there are some and `replace` is not given.
    """
    there = {file.name for file in files}
    holders = sorted({file.holder for file in files if file.format == "hats"})
    loaded = warehouse.rows(
        "SELECT source, chunk_id, table_name FROM meta.chunk WHERE release = ? AND service = 'file' AND format = 'hats' "
        "AND state = 'loaded' AND list_contains(?, split_part(source, '/', 1)) ORDER BY chunk_id",
        [contract.release, holders],
    )
    gone = [row for row in loaded if row[0] not in there]
    if gone and not replace:
        raise SourceChanged(
            f"{gone[0][0]} is loaded, and the catalogue has no such file any more: it was cut anew.",
            "Nothing was changed. If the new catalogue is right, give the command again with --replace.",
        )
    with warehouse.transaction():
        for _, chunk_id, table in gone:
            ledger.drop_chunk(warehouse.con, chunk_id, table)


def _open(file: ArchiveFile) -> Source:
    if file.format in ("parquet", "hats"):
        from skysy.loaders.parquet import open_parquet

        return open_parquet(file.path)
    if file.format == "csv":
        return csv.open_csv(file.path, file.table)
    if file.format == "fits":
        from skysy.loaders.fits import open_fits

        return open_fits(file.path, file.table)
    from skysy.loaders.votable import open_votable

    return open_votable(file.path)
