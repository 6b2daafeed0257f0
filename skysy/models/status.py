"""What a warehouse holds, told from its ledger: archive tables, models fresh or stale, audits, runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import duckdb

from skysy import ledger
from skysy.models.plan import Engine, plan_build
from skysy.models.project import Project
from skysy.store import Warehouse


@dataclass(frozen=True)
class ArchiveTable:
    """One table of an archive: `rows` are in it now, `loaded_rows` is what the ledger says came in."""

    name: str
    release: str
    files: int
    rows: int
    loaded_rows: int


@dataclass(frozen=True)
class ModelState:
    """One model: `reason` says why it is stale, and is empty where it is fresh; `rows` is None for a view."""

    name: str
    kind: str
    rows: int | None
    built_at: datetime | None
    reason: str


@dataclass(frozen=True)
class AuditState:
    """What an audit found when it last ran."""

    name: str
    severity: str
    sentence: str
    offenders: int


@dataclass(frozen=True)
class RunState:
    """One command that wrote."""

    run_id: int
    command: str
    state: str
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class Status:
    """All of it; `interrupted` are the commands whose last run never ended."""

    tables: tuple[ArchiveTable, ...]
    models: tuple[ModelState, ...]
    audits: tuple[AuditState, ...]
    last_run: RunState | None
    interrupted: tuple[RunState, ...]


def read_status(warehouse: Warehouse, project: Project | None, engines: Mapping[str, Engine] | None = None) -> Status:
    """The state of a warehouse; models are held against `project`, or taken as built if it is None."""
    runs = _runs(warehouse)
    latest = {run.command: run for run in runs}
    return Status(
        tables=tuple(_tables(warehouse)),
        models=tuple(_models(warehouse, project, engines)),
        audits=tuple(_audits(warehouse)),
        last_run=runs[-1] if runs else None,
        interrupted=tuple(run for run in latest.values() if run.state == "running"),
    )


def check_contents(warehouse: Warehouse) -> tuple[int, list[str]]:
    """(how many tables and chunks were hashed again, sentences on those that are not as the ledger says).

    What was hashed by another version of DuckDB is not compared: its hashes differ without harm.
    """
    checked, problems = 0, []
    standing = warehouse.all_columns()
    chunks = warehouse.rows(
        "SELECT c.chunk_id, c.table_name, c.source, c.content_hash FROM meta.chunk AS c "
        "JOIN meta.run AS r ON c.run_id = r.run_id "
        "WHERE c.state = 'loaded' AND r.engine_version = ? ORDER BY c.chunk_id",
        [duckdb.__version__],
    )
    for chunk_id, table, source, expected in chunks:
        columns = [name for name in standing.get(table, []) if name != ledger.CHUNK_COLUMN]
        where = f"WHERE {ledger.CHUNK_COLUMN} = {chunk_id}"
        checked += 1
        if not columns:
            problems.append(f"{table} is gone.")
        elif ledger.content_hash(warehouse.con, table, columns, where) != expected:
            problems.append(f"{table}: the rows of {source} are not those that were loaded.")
    for model, versions, expected in warehouse.rows(
        "SELECT model, versions, content_hash FROM meta.model WHERE content_hash IS NOT NULL ORDER BY model"
    ):
        if json.loads(versions).get("duckdb") != duckdb.__version__ or f"main.{model}" not in standing:
            continue
        checked += 1
        if ledger.content_hash(warehouse.con, f'main."{model}"', standing[f"main.{model}"]) != expected:
            problems.append(f"{model}: its rows are not those that were built.")
    return checked, problems


def _tables(warehouse: Warehouse) -> list[ArchiveTable]:
    found = warehouse.rows(
        "SELECT table_name, release, count(*), sum(received_rows)::BIGINT FROM meta.chunk "
        "WHERE state = 'loaded' GROUP BY table_name, release ORDER BY release, table_name"
    )
    tables, standing = [], warehouse.all_columns()
    for name, release, files, loaded in found:
        rows = int(warehouse.value(f"SELECT count(*) FROM {name}")) if name in standing else 0
        tables.append(ArchiveTable(name, release, files, rows, loaded))
    return tables


def _models(warehouse: Warehouse, project: Project | None, engines: Mapping[str, Engine] | None) -> list[ModelState]:
    built = {
        row[0]: ModelState(row[0], row[1], row[2], row[3], "")
        for row in warehouse.rows("SELECT model, kind, rows, built_at FROM meta.model ORDER BY model")
    }
    if project is None:
        return list(built.values())
    states = []
    for step in plan_build(warehouse, project, engines).steps:
        last = built.pop(step.model.name, None)
        rows, at = (last.rows, last.built_at) if last else (None, None)
        states.append(ModelState(step.model.name, step.model.kind, rows, at, step.reason))
    gone = [ModelState(m.name, m.kind, m.rows, m.built_at, "no file makes it any more") for m in built.values()]
    return states + gone


def _audits(warehouse: Warehouse) -> list[AuditState]:
    found = warehouse.rows("SELECT audit, severity, description, offenders FROM meta.audit ORDER BY audit")
    return [AuditState(*row) for row in found]


def _runs(warehouse: Warehouse) -> list[RunState]:
    found = warehouse.rows("SELECT run_id, command, state, started_at, ended_at FROM meta.run ORDER BY run_id")
    return [RunState(*row) for row in found]
