"""What a build would do, and why: a model is stale when its fingerprint is not the one of the last build.

A fingerprint is the sha256 of a model's SQL file, the values of the parameters it reads, its engine's code,
the fingerprints of the models it reads and, for archive tables, the sources and content of what was loaded.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from skysy import __version__
from skysy.errors import ModelError, UsageError
from skysy.models.files import Audit, Model
from skysy.models.project import Project
from skysy.store import Warehouse

Engine = Callable[[Warehouse], Any]
"""Gives the rows of one model as a pyarrow Table, in place of its SQL and equal to it."""


@dataclass(frozen=True)
class State:
    """What a fingerprint is made of, in parts that can be compared and told in words."""

    sql: str
    parameters: Mapping[str, str]
    models: Mapping[str, str]
    archive: Mapping[str, list[str]]
    engine: str = ""
    chunks: Mapping[str, list[int]] = field(default_factory=dict)
    """The chunk_id behind each digest of `archive`; a number says nothing of the content, so no fingerprint has it."""

    @property
    def fingerprint(self) -> str:
        """sha256 of all the parts."""
        parts = [self.sql, dict(self.parameters), dict(self.models), dict(self.archive), self.engine]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def inputs(self) -> dict[str, Any]:
        """The parts that meta.model keeps as `inputs`."""
        parts = {"models": self.models, "archive": self.archive, "chunks": self.chunks}
        return {name: dict(part) for name, part in parts.items()} | {"engine": self.engine}


@dataclass(frozen=True)
class Built:
    """A model as meta.model has it from the last build."""

    release: str
    sql: str
    parameters: Mapping[str, str]
    inputs: Mapping[str, Any]
    fingerprint: str
    rows: int | None
    content_hash: str | None
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Step:
    """One model of a plan; `reason` says in words why it is stale, and is empty where it is not.

    `base` is the last build of the model, where that stands and only rows that it read can have changed since.
    """

    model: Model
    state: State
    stale: bool
    reason: str
    base: Built | None = None


@dataclass(frozen=True)
class AuditStep:
    """One audit of a plan; it is due when it, its parameters or its inputs changed since it last ran.

    `kept` is whether it ran over the tables of the last build, as it stands and with these parameters, and found nothing.
    """

    audit: Audit
    fingerprint: str
    due: bool
    kept: bool = False


@dataclass(frozen=True)
class Plan:
    """Every model in order, every audit, and the models of the last build that no file makes any more.

    `kept` are models of a user's own project that is not here: they are left standing as they are.
    """

    steps: tuple[Step, ...]
    audits: tuple[AuditStep, ...]
    dropped: tuple[str, ...]
    kept: tuple[str, ...] = ()

    @property
    def stale(self) -> tuple[Step, ...]:
        """The models that a build would make."""
        return tuple(step for step in self.steps if step.stale)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.stale or self.dropped or any(step.due for step in self.audits))


def choose_release(warehouse: Warehouse, asked: str | None = None) -> str:
    """The release asked for, or the only one loaded; ModelError if none is, UsageError if several are."""
    if asked:
        return asked
    loaded = loaded_releases(warehouse)
    if not loaded:
        raise ModelError(
            f"Nothing is loaded in {warehouse.settings.warehouse}.",
            "Load archive files first: `skysy load --release skymapper_dr2 --from DIR`.",
        )
    if len(loaded) > 1:
        raise UsageError(
            f"This warehouse holds several releases: {', '.join(loaded)}.", "Choose one with --release NAME."
        )
    return loaded[0]


def built_release(warehouse: Warehouse) -> str:
    """The release that the warehouse's models were built for; raises ModelError if nothing is built."""
    found = warehouse.value("SELECT max(release) FROM meta.model")
    if found is None:
        raise ModelError("Nothing is built in this warehouse.", "Run `skysy build`.")
    return str(found)


def loaded_releases(warehouse: Warehouse) -> list[str]:
    """Releases that have loaded files, or else those whose tables were made, sorted."""
    for query in (
        "SELECT DISTINCT release FROM meta.chunk WHERE state = 'loaded' ORDER BY release",
        "SELECT DISTINCT release FROM meta.contract ORDER BY release",
    ):
        if found := warehouse.rows(query):
            return [row[0] for row in found]
    return []


def plan_build(
    warehouse: Warehouse,
    project: Project,
    engines: Mapping[str, Engine] | None = None,
    *,
    force: bool = False,
) -> Plan:
    """What a build of the project would do to the warehouse now; nothing is written.

    Raises ModelError where the archive's tables are not there.
    """
    archive = archive_state(warehouse, project)
    built, existing = _built(warehouse), relations(warehouse)
    fingerprints: dict[str, str] = {}
    steps: list[Step] = []
    for model in project.models:
        state = _state(model, project, fingerprints, archive, engines or {})
        fingerprints[model.name] = state.fingerprint
        last = built.get(model.name)
        reason = _reason(model, state, last, project.release, existing)
        if force and not reason:
            reason = "forced"
        base = None if force else _base(model, state, last, project.release, existing)
        steps.append(Step(model, state, bool(reason), reason, base))
    before = {name: last.fingerprint for name, last in built.items()}
    ran = {row[0]: row[1:] for row in warehouse.rows("SELECT audit, fingerprint, offenders FROM meta.audit")}
    audits = []
    for audit in project.audits:
        fingerprint, last_time = (
            _state(audit, project, known, archive, {}).fingerprint for known in (fingerprints, before)
        )
        due = force or ran.get(audit.name, ("",))[0] != fingerprint
        audits.append(AuditStep(audit, fingerprint, due, ran.get(audit.name) == (last_time, 0)))
    gone = sorted(set(built) - {model.name for model in project.models})
    kept = tuple(name for name in gone if project.own is None and built[name].inputs.get("own"))
    return Plan(tuple(steps), tuple(audits), tuple(name for name in gone if name not in kept), kept)


def relations(warehouse: Warehouse) -> dict[str, str]:
    """Tables and views in schema main: name to 'table' or 'view'."""
    found = warehouse.rows(
        "SELECT table_name, 'table' FROM duckdb_tables() "
        "WHERE database_name = current_database() AND schema_name = 'main' "
        "UNION ALL SELECT view_name, 'view' FROM duckdb_views() "
        "WHERE database_name = current_database() AND schema_name = 'main' AND NOT internal"
    )
    return dict(found)


def archive_state(warehouse: Warehouse, project: Project) -> dict[str, list[tuple[str, int]]]:
    """For each archive table that the project reads, a digest of every loaded source and its content, sorted, with its chunk_id.

    Raises ModelError where nothing is loaded, or a table is not there.
    """
    wanted = project.archive_tables
    state: dict[str, list[tuple[str, int]]] = {name: [] for name in wanted}
    chunks = warehouse.rows("SELECT table_name, source, content_hash, chunk_id FROM meta.chunk WHERE state = 'loaded'")
    for table, source, content, chunk_id in chunks:
        if table.lower() in state:
            digest = hashlib.sha256(f"{source}\n{content}".encode()).hexdigest()[:16]
            state[table.lower()].append((digest, chunk_id))
    if wanted and not any(state.values()):
        others = [name for name in loaded_releases(warehouse) if name != project.release]
        raise ModelError(
            f"Nothing is loaded for release {project.release}.",
            f"Run `skysy load --release {project.release} --from DIR`"
            + (f", or build what is loaded with --release {others[0]}." if others else " first."),
        )
    there = warehouse.rows(
        "SELECT lower(schema_name || '.' || table_name) FROM duckdb_tables() WHERE database_name = current_database()"
    )
    if missing := sorted(set(wanted) - {row[0] for row in there}):
        raise ModelError(
            f"Release {project.release} needs {', '.join(missing)}, which this warehouse does not have.",
            f"Load those files with `skysy load --release {project.release} --from DIR`; where a table may be missing, the load of "
            "any file makes it, empty.",
        )
    return {name: sorted(digests) for name, digests in state.items()}


def sha256(text: str) -> str:
    """Hexadecimal sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _state(
    item: Model | Audit,
    project: Project,
    fingerprints: Mapping[str, str],
    archive: Mapping[str, list[tuple[str, int]]],
    engines: Mapping[str, Engine],
) -> State:
    engine = (item.engine if isinstance(item, Model) else None) or ""
    return State(
        sql=sha256(item.sql),
        parameters={name: project.parameters[name].value_sql for name in item.parameters},
        models={name: fingerprints[name] for name in item.inputs if name in fingerprints},
        archive={name: [digest for digest, _ in archive[name]] for name in item.inputs if name in archive},
        engine=_code_of(engine, engines[engine]) if engine in engines else "",
        chunks={name: [chunk_id for _, chunk_id in archive[name]] for name in item.inputs if name in archive},
    )


def _code_of(name: str, engine: Engine) -> str:
    """An engine's name with its code: the sha256 of the module that defines it, and skysy's version."""
    source = inspect.getsourcefile(engine)
    code = Path(source).read_text(encoding="utf-8") if source and Path(source).is_file() else ""
    return f"{name} {__version__} {sha256(code)[:16]}"


def _built(warehouse: Warehouse) -> dict[str, Built]:
    found = warehouse.rows(
        "SELECT model, release, sql_sha256, parameters, inputs, fingerprint, rows, content_hash, versions FROM meta.model"
    )
    return {
        row[0]: Built(
            row[1], row[2], json.loads(row[3] or "{}"), json.loads(row[4] or "{}"), row[5], row[6], row[7],
            json.loads(row[8] or "{}"),
        )
        for row in found
    }  # fmt: skip


def _base(model: Model, state: State, last: Built | None, release: str, existing: Mapping[str, str]) -> Built | None:
    """The last build, if the same SQL made it of the same inputs, with the same parameters and versions, and it is there."""
    if last is None or existing.get(model.name) != model.kind:
        return None
    versions = {"skysy": __version__, "duckdb": duckdb.__version__}
    made_by = {name: last.versions.get(name) for name in versions}
    then = (last.release, last.sql, last.parameters, last.inputs.get("engine"), made_by)
    now = (release, state.sql, state.parameters, state.engine, versions)
    names = [set(last.inputs.get(part, {})) for part in ("models", "archive", "chunks")]
    return last if then == now and names == [set(state.models), set(state.archive), set(state.chunks)] else None


def _reason(model: Model, state: State, last: Built | None, release: str, existing: Mapping[str, str]) -> str:
    """Why a model must be built, in words; empty where it stands as it is."""
    if last is None:
        return "never built"
    if last.release != release:
        return f"another release was built before ({last.release})"
    if existing.get(model.name) != model.kind:
        return f"{model.kind} is missing from the warehouse"
    if last.fingerprint == state.fingerprint:
        return ""
    reasons = ["its SQL changed"] if last.sql != state.sql else []
    for name, value in state.parameters.items():
        if (before := last.parameters.get(name, value)) != value:
            reasons.append(f"parameter {name}: {before} -> {value}")
    for name, digests in state.archive.items():
        reasons += _archive_reason(name, last.inputs.get("archive", {}).get(name), digests)
    if last.sql == state.sql and last.inputs.get("engine", "") != state.engine:
        reasons.append(f"engine {model.engine} changed")
    before_models = last.inputs.get("models", {})
    for name, fingerprint in state.models.items():
        if before_models.get(name, fingerprint) != fingerprint:
            reasons.append(f"input {name} is rebuilt")
    return "; ".join(reasons) or "its inputs changed"


def _archive_reason(name: str, before: list[str] | None, digests: list[str]) -> list[str]:
    if before is None or before == digests:
        return []
    added, gone = set(digests) - set(before), set(before) - set(digests)
    if added and not gone:
        return [f"{name} has new rows ({len(added)} file{'s' if len(added) > 1 else ''})"]
    if gone and not added:
        return [f"{name} has lost {len(gone)} file{'s' if len(gone) > 1 else ''}"]
    return [f"{name} changed"]
