"""The bookkeeping in schema `meta`: what was loaded from where, what was built from what, and when.

    meta.warehouse   layout and versions this file was made with
    meta.run         one row per command that wrote
    meta.chunk       one row per file or request: source, checksum, rows asked and received, state
    meta.plan        the plan that each route of a release is loaded by
    meta.asked       each id that was asked for, and how many rows it brought: none is told from never asked
    meta.job         jobs at services, until they are deleted there
    meta.contract    the columns that each raw table promises
    meta.model       one row per built model: checksum of SQL and inputs, parameters, rows, seconds, versions
    meta.parameter   the parameters of the last build
    meta.audit       what each audit of the last build found

Times are UTC. Rows of `meta.chunk` are written in the transaction that commits the rows they tell of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

LAYOUT = 2
"""Version of this layout; a warehouse of another one is not opened."""

CHUNK_COLUMN = "_chunk_id"
"""Column of every raw table that leads from a row to its meta.chunk."""

_TABLES = """
CREATE SCHEMA IF NOT EXISTS meta;
CREATE TABLE meta.warehouse (
    layout INTEGER, skysy_version VARCHAR, engine_version VARCHAR, storage_version VARCHAR, created_at TIMESTAMP);
CREATE TABLE meta.run (
    run_id BIGINT, command VARCHAR, arguments JSON, started_at TIMESTAMP, ended_at TIMESTAMP, state VARCHAR,
    skysy_version VARCHAR, engine_version VARCHAR);
CREATE TABLE meta.chunk (
    chunk_id INTEGER, run_id BIGINT, release VARCHAR, table_name VARCHAR, service VARCHAR, source VARCHAR,
    format VARCHAR, query VARCHAR, query_sha256 VARCHAR, expected_rows BIGINT, received_rows BIGINT, bytes BIGINT,
    sha256 VARCHAR, content_hash VARCHAR, job_url VARCHAR, state VARCHAR, tries INTEGER, notes JSON,
    started_at TIMESTAMP, ended_at TIMESTAMP, route VARCHAR, part JSON, count_query VARCHAR, how VARCHAR,
    upload BOOLEAN, column_set INTEGER, plan_sha256 VARCHAR);
CREATE TABLE meta.plan (release VARCHAR, route VARCHAR, plan_sha256 VARCHAR, planned_at TIMESTAMP);
CREATE TABLE meta.asked (
    release VARCHAR, route VARCHAR, table_name VARCHAR, key BIGINT, found BIGINT, chunk_id INTEGER);
CREATE TABLE meta.job (job_url VARCHAR, service VARCHAR, created_at TIMESTAMP, deleted_at TIMESTAMP);
CREATE TABLE meta.contract (
    release VARCHAR, table_name VARCHAR, column_index INTEGER, column_name VARCHAR, type VARCHAR, unit VARCHAR,
    ucd VARCHAR, description VARCHAR, required BOOLEAN, contract_sha256 VARCHAR);
CREATE TABLE meta.model (
    model VARCHAR, release VARCHAR, kind VARCHAR, sql_sha256 VARCHAR, inputs JSON, parameters JSON,
    fingerprint VARCHAR, rows BIGINT, content_hash VARCHAR, seconds DOUBLE, versions JSON, run_id BIGINT,
    built_at TIMESTAMP);
CREATE TABLE meta.parameter (
    name VARCHAR, value VARCHAR, type VARCHAR, unit VARCHAR, description VARCHAR, origin VARCHAR, run_id BIGINT);
CREATE TABLE meta.audit (
    audit VARCHAR, severity VARCHAR, description VARCHAR, offenders BIGINT, sample JSON, run_id BIGINT,
    ran_at TIMESTAMP, fingerprint VARCHAR);
"""


@dataclass(frozen=True)
class Chunk:
    """One file or request, as meta.chunk tells it; `notes` holds counts such as NaN turned into NULL per column."""

    chunk_id: int
    release: str
    table_name: str
    service: str
    source: str
    format: str
    expected_rows: int | None
    received_rows: int
    bytes: int
    sha256: str
    content_hash: str
    notes: Mapping[str, Any]
    started_at: datetime
    query: str | None = None
    query_sha256: str | None = None
    job_url: str | None = None
    state: str = "loaded"
    tries: int = 1


def now() -> datetime:
    """The present, UTC, without a zone, as the ledger keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


def create(con: duckdb.DuckDBPyConnection, skysy_version: str, storage_version: str) -> None:
    """Make the empty ledger in the connection's current database."""
    con.execute(_TABLES)
    con.execute(
        "INSERT INTO meta.warehouse VALUES (?, ?, ?, ?, ?)",
        [LAYOUT, skysy_version, duckdb.__version__, storage_version, now()],
    )


def layout(con: duckdb.DuckDBPyConnection) -> int:
    """The layout version of an open warehouse."""
    return int(con.execute("SELECT layout FROM meta.warehouse").fetchall()[0][0])


def begin_run(con: duckdb.DuckDBPyConnection, command: str, arguments: Mapping[str, Any], version: str) -> int:
    """Note that a command starts; returns its run_id. A run that never ends was killed."""
    run_id = int(con.execute("SELECT coalesce(max(run_id), 0) + 1 FROM meta.run").fetchall()[0][0])
    con.execute(
        "INSERT INTO meta.run VALUES (?, ?, ?, ?, NULL, 'running', ?, ?)",
        [run_id, command, json.dumps(arguments, default=str), now(), version, duckdb.__version__],
    )
    return run_id


def end_run(con: duckdb.DuckDBPyConnection, run_id: int, state: str) -> None:
    """Note how a run ended: 'done' or 'failed'."""
    con.execute("UPDATE meta.run SET ended_at = ?, state = ? WHERE run_id = ?", [now(), state, run_id])


@contextmanager
def noted(con: duckdb.DuckDBPyConnection, command: str, arguments: Mapping[str, Any], version: str) -> Iterator[int]:
    """A run that is noted as begun, then as done or failed; gives its run_id."""
    run_id = begin_run(con, command, arguments, version)
    try:
        yield run_id
    except BaseException:
        # A Ctrl-C reaches DuckDB and Python one after the other, so that the later one may break the first or second try; a
        # connection that failed for good cannot say anything.
        for _ in (1, 2, 3):
            with suppress(duckdb.Error, KeyboardInterrupt):
                end_run(con, run_id, "failed")
                break
        raise
    end_run(con, run_id, "done")


def write_rows(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Sequence[Any]]) -> None:
    """Add rows to a table of the ledger in one statement; each row has a value for every column."""
    if rows:
        columns = ", ".join(["unnest(?)"] * len(rows[0]))
        con.execute(f"INSERT INTO {table} SELECT {columns}", [list(column) for column in zip(*rows, strict=True)])


def next_chunk_id(con: duckdb.DuckDBPyConnection) -> int:
    """The id for a new chunk; there is one writer, so it is free until the transaction ends."""
    return int(con.execute("SELECT coalesce(max(chunk_id), 0) + 1 FROM meta.chunk").fetchall()[0][0])


def loaded_chunk(con: duckdb.DuckDBPyConnection, release: str, source: str) -> tuple[int, str] | None:
    """(chunk_id, sha256) of the chunk loaded from a source (a file's name), or None."""
    found = con.execute(
        "SELECT chunk_id, sha256 FROM meta.chunk WHERE release = ? AND source = ? AND state = 'loaded'",
        [release, source],
    ).fetchall()
    return (int(found[0][0]), str(found[0][1])) if found else None


def write_chunk(con: duckdb.DuckDBPyConnection, run_id: int, chunk: Chunk) -> None:
    """Add a chunk's row, in the transaction that brings its data."""
    con.execute(
        "INSERT INTO meta.chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
        "NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
        [
            chunk.chunk_id, run_id, chunk.release, chunk.table_name, chunk.service, chunk.source, chunk.format,
            chunk.query, chunk.query_sha256, chunk.expected_rows, chunk.received_rows, chunk.bytes, chunk.sha256,
            chunk.content_hash, chunk.job_url, chunk.state, chunk.tries, json.dumps(chunk.notes), chunk.started_at,
            now(),
        ],
    )  # fmt: skip


def drop_chunk(con: duckdb.DuckDBPyConnection, chunk_id: int, table_name: str) -> None:
    """Take a chunk's rows and its ledger row away, before a replacement comes in the same transaction."""
    con.execute(f"DELETE FROM {table_name} WHERE {CHUNK_COLUMN} = ?", [chunk_id])
    con.execute("DELETE FROM meta.chunk WHERE chunk_id = ?", [chunk_id])


def content_hash(con: duckdb.DuckDBPyConnection, relation: str, columns: Iterable[str], where: str = "") -> str:
    """A hash of a relation's rows that does not depend on their order, on threads or on memory.

    Count, sum and exclusive-or of DuckDB's 64-bit row hashes, as hexadecimal text; it is the same for the same
    rows in one version of DuckDB (the ledger keeps the version beside it).
    """
    listed = ", ".join(f'"{name}"' for name in columns)
    row = con.execute(
        f"SELECT count(*), coalesce(sum(h::HUGEINT), 0) % 18446744073709551616, coalesce(bit_xor(h), 0) "
        f"FROM (SELECT hash({listed}) AS h FROM {relation} {where})"
    ).fetchall()[0]
    return f"{int(row[0]):x}-{int(row[1]):016x}-{int(row[2]):016x}"


def rows_of(content: str) -> int:
    """How many rows a content hash is of."""
    return int(content.split("-")[0], 16)


NO_ROWS = "0-0-0"
"""The content hash of no rows, as `changed_hash` takes it."""


def changed_hash(content: str, gone: str, come: str) -> str:
    """The content hash of rows of which some went and others came, from the hashes of all three."""
    (n, total, xor), (n_gone, total_gone, xor_gone), (n_come, total_come, xor_come) = (
        [int(part, 16) for part in one.split("-")] for one in (content, gone, come)
    )
    total = (total - total_gone + total_come) % 18446744073709551616
    return f"{n - n_gone + n_come:x}-{total:016x}-{xor ^ xor_gone ^ xor_come:016x}"


def loaded_hashes(con: duckdb.DuckDBPyConnection, schema: str = "meta") -> dict[str, str]:
    """The content hash of each archive table as the ledger has it: those of its files and answers add up to that of all rows."""
    found: dict[str, str] = {}
    for table, content in con.execute(
        f"SELECT lower(table_name), content_hash FROM {schema}.chunk WHERE state = 'loaded' AND content_hash IS NOT NULL"
    ).fetchall():
        found[table] = changed_hash(found.get(table, NO_ROWS), gone=NO_ROWS, come=content)
    return dict(sorted(found.items()))
