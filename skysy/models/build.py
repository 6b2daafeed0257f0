"""Build what is stale, audit it and swap it in one transaction: old tables stand until the new ones do."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any

import duckdb

from skysy import __version__, ledger
from skysy.errors import AuditFailed, ModelError
from skysy.models import parameters
from skysy.models.files import Audit, Model
from skysy.models.plan import Built, Engine, Plan, Step, plan_build, relations
from skysy.models.project import Project
from skysy.models.told import STAND, AuditResult, BuildSummary, BuiltModel, Made, Progress, explained
from skysy.models.touched import Touched
from skysy.store import Warehouse, sql_text

if TYPE_CHECKING:
    from skysy.models.cluster import Cluster

SAMPLE_ROWS = 5
"""Offending rows that meta.audit keeps of an audit."""


def run_build(
    warehouse: Warehouse,
    project: Project,
    *,
    engines: Mapping[str, Engine] | None = None,
    force: bool = False,
    progress: Progress | None = None,
    arguments: Mapping[str, Any] | None = None,
    cluster: Cluster | None = None,
) -> BuildSummary:
    """`build`, noted in meta.run as begun, then done or failed; where nothing is stale nothing is written."""
    plan = plan_build(warehouse, project, engines, force=force)
    if plan.empty:
        return _nothing(project, plan)
    told = {"release": project.release, "force": force, **(arguments or {})}
    with ledger.noted(warehouse.con, "build", told, __version__) as run_id:
        return build(
            warehouse, project, run_id=run_id, engines=engines, force=force, progress=progress, cluster=cluster
        )


def build(
    warehouse: Warehouse,
    project: Project,
    *,
    run_id: int,
    engines: Mapping[str, Engine] | None = None,
    force: bool = False,
    progress: Progress | None = None,
    cluster: Cluster | None = None,
) -> BuildSummary:
    """Build every stale model and run every audit that is due, in one transaction.

    Where new rows are all that changed, only what they touch is made anew (skysy.models.touched). A cluster makes the rows of
    models of `scope: object` that are made whole, this process those of the rest. Raises ModelError (no data, an engine of
    other columns), SqlError (a model that does not run) or AuditFailed (a promise broken); the warehouse is then as it was before.
    """
    started = time.perf_counter()
    tell = progress or (lambda _: None)
    plan = plan_build(warehouse, project, engines, force=force)
    if plan.empty:
        return _nothing(project, plan)
    with explained("The build", warehouse), warehouse.transaction():
        parameters.apply(warehouse.con, project.parameters)
        _drop(warehouse, plan.dropped)
        standing = _standing(warehouse)
        touched = Touched(warehouse, plan)
        built: list[tuple[Step, BuiltModel]] = []
        turns: Generator[tuple[Step, Made | None]] = ((step, None) for step in plan.stale)
        if cluster is not None:
            turns = cluster.turns(warehouse, project.parameters, plan.stale, engines or {}, tell, here=touched.models)
        with closing(turns):
            for step, made in turns:
                tell(step)
                if step.base is not None and step.model.name in touched.models:
                    result = _renew_model(warehouse, step, step.base, touched)
                else:
                    engine = (engines or {}).get(step.model.engine or "")
                    result = _build_model(warehouse, step, engine, made, standing)
                built.append((step, result))
                tell(result)
        _record_models(warehouse, project, built, run_id)
        _record_parameters(warehouse, project, run_id)
        audits = _audit(warehouse, plan, touched, run_id, tell)
        touched.forget()
    fresh = tuple(step.model.name for step in plan.steps if not step.stale)
    seconds = time.perf_counter() - started
    return BuildSummary(
        project.release, tuple(result for _, result in built), fresh, plan.dropped, audits, seconds, plan.kept
    )


def _nothing(project: Project, plan: Plan) -> BuildSummary:
    fresh = tuple(step.model.name for step in plan.steps)
    return BuildSummary(project.release, (), fresh, (), (), 0.0, plan.kept)


def _build_model(
    warehouse: Warehouse, step: Step, engine: Engine | None, made: Made | None, standing: Mapping[str, tuple[str, bool]]
) -> BuiltModel:
    model, started = step.model, time.perf_counter()
    _make_room(warehouse, model, *standing.get(model.name, ("", True)))
    with explained(f"The model {model.path.name}", warehouse):
        if made is not None:
            _take(warehouse, model, _types(warehouse, model), made.relation)
        elif engine is None:
            # The file follows on the same line, so that the line number in DuckDB's message is the file's.
            warehouse.run(f'CREATE OR REPLACE {model.kind} main."{model.name}" AS {model.sql}')
        else:
            _from_engine(warehouse, model, engine)
        _comment(warehouse, model)
        rows = content = None
        if model.kind == "table":
            names = [column.name for column in model.columns]
            content = ledger.content_hash(warehouse.con, f'main."{model.name}"', names)
            rows = ledger.rows_of(content)
    seconds = time.perf_counter() - started + (made.seconds if made is not None else 0.0)
    used = (model.engine or "") if engine is not None else ""
    return BuiltModel(model.name, model.kind, step.reason, rows, content, seconds, used)


def _renew_model(warehouse: Warehouse, step: Step, base: Built, touched: Touched) -> BuiltModel:
    model, started = step.model, time.perf_counter()
    with explained(f"The model {model.path.name}", warehouse):
        now = touched.renew(step, base)
    seconds = time.perf_counter() - started
    return BuiltModel(model.name, model.kind, step.reason, now.rows, now.content_hash, seconds, "", now.anew)


def _standing(warehouse: Warehouse) -> dict[str, tuple[str, bool]]:
    """What stands in schema main: its kind, and whether skysy built it."""
    built = {row[0] for row in warehouse.rows("SELECT model FROM meta.model")}
    return {name: (kind, name in built) for name, kind in relations(warehouse).items()}


def _make_room(warehouse: Warehouse, model: Model, kind: str, is_ours: bool) -> None:
    """Take away a view where a table comes and the reverse; what skysy did not build is not touched."""
    if not is_ours:
        raise ModelError(
            f"The warehouse has a {kind} main.{model.name} that skysy did not build. {STAND}",
            "Rename or drop it in a DuckDB shell, then run `skysy build` again.",
        )
    if kind and kind != model.kind:
        warehouse.run(f'DROP {kind} main."{model.name}"')


def _from_engine(warehouse: Warehouse, model: Model, engine: Engine) -> None:
    """The model's table from its engine's rows; ModelError where these have other columns than its SQL."""
    types = _types(warehouse, model)
    result = engine(warehouse)
    if sorted(result.column_names) != sorted(types):
        raise ModelError(
            f"The engine {model.engine} gives the columns {', '.join(result.column_names)}; "
            f"{model.path.name} has {', '.join(types)}. {STAND}"
        )
    warehouse.con.register("_engine_rows", result)
    try:
        _take(warehouse, model, types, "_engine_rows")
    finally:
        warehouse.con.unregister("_engine_rows")


def _types(warehouse: Warehouse, model: Model) -> dict[str, str]:
    """Type of each column that the model's SQL gives, in order."""
    return {row[0]: row[1] for row in warehouse.rows(f"DESCRIBE {model.sql}")}


def _take(warehouse: Warehouse, model: Model, types: Mapping[str, str], relation: str) -> None:
    """The model's table from a relation's rows, with the columns and types of its SQL."""
    cast = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in types.items())
    warehouse.run(f'CREATE OR REPLACE TABLE main."{model.name}" AS SELECT {cast} FROM {relation}')


def _comment(warehouse: Warehouse, model: Model) -> None:
    relation = f'main."{model.name}"'
    warehouse.run(f"COMMENT ON {model.kind} {relation} IS {sql_text(model.comment)}")
    for column in model.columns:
        warehouse.run(f'COMMENT ON COLUMN {relation}."{column.name}" IS {sql_text(column.comment)}')


def _record_models(
    warehouse: Warehouse, project: Project, made: Sequence[tuple[Step, BuiltModel]], run_id: int
) -> None:
    """Replace the rows of these models in meta.model."""
    rows, at = [], ledger.now()
    for step, built in made:
        versions = {"skysy": __version__, "duckdb": duckdb.__version__}
        inputs = step.state.inputs | {"anew": built.anew, "own": built.name in (project.own or ())}
        if built.engine:
            versions["engine"] = step.state.engine
        rows.append((
            built.name, project.release, built.kind, step.state.sql, json.dumps(inputs),
            json.dumps(dict(step.state.parameters)), step.state.fingerprint, built.rows, built.content_hash,
            built.seconds, json.dumps(versions), run_id, at,
        ))  # fmt: skip
    warehouse.run("DELETE FROM meta.model WHERE list_contains(?, model)", [[built.name for _, built in made]])
    ledger.write_rows(warehouse.con, "meta.model", rows)


def _drop(warehouse: Warehouse, names: tuple[str, ...]) -> None:
    """Take away the tables of models that no file makes any more."""
    kinds = relations(warehouse)
    for name in names:
        if name in kinds:
            warehouse.run(f'DROP {kinds[name]} main."{name}"')
        warehouse.run("DELETE FROM meta.model WHERE model = ?", [name])


def _record_parameters(warehouse: Warehouse, project: Project, run_id: int) -> None:
    rows = [
        (one.name, one.value_sql, one.type, one.unit, one.description, one.origin, run_id)
        for one in project.parameters.values()
    ]
    warehouse.run("DELETE FROM meta.parameter")
    ledger.write_rows(warehouse.con, "meta.parameter", rows)


def _audit(warehouse: Warehouse, plan: Plan, touched: Touched, run_id: int, tell: Progress) -> tuple[AuditResult, ...]:
    """Run the audits that are due and note what they find; AuditFailed if one that is an error finds rows."""
    due = [step for step in plan.audits if step.due]
    results = []
    for step in due:
        results.append(_run_audit(warehouse, step.audit, touched if touched.covers(step) else None))
        tell(results[-1])
    failed = [result for result in results if result.severity == "error" and result.offenders]
    if failed:
        told = "\n".join(
            f"  {result.name}: {result.sentence} {result.offenders:,} rows break it, such as "
            f"{json.dumps(result.sample[0], default=str)}"
            for result in failed
        )
        raise AuditFailed(
            f"{len(failed)} audit{'s' if len(failed) > 1 else ''} failed:\n{told}",
            f"{STAND} Look at those rows in the archive's tables, or at the change that brought them.",
        )
    rows, at = [], ledger.now()
    for step, result in zip(due, results, strict=True):
        sample = json.dumps(result.sample, default=str)
        rows.append(
            (result.name, result.severity, result.sentence, result.offenders, sample, run_id, at, step.fingerprint)
        )
    standing = [step.audit.name for step in plan.audits if not step.due]
    warehouse.run("DELETE FROM meta.audit WHERE NOT list_contains(?, audit)", [standing])
    ledger.write_rows(warehouse.con, "meta.audit", rows)
    return tuple(results)


def _run_audit(warehouse: Warehouse, audit: Audit, touched: Touched | None) -> AuditResult:
    with (
        explained(f"The audit {audit.path.name}", warehouse),
        touched.only(audit) if touched is not None else nullcontext(),
    ):
        count, sample = 0, []
        # Most audits find nothing, and to ask is quicker than to make a table.
        if warehouse.rows(f"FROM {audit.query} LIMIT 1"):
            warehouse.run(f"CREATE TEMP TABLE _offenders AS FROM {audit.query}")
            count = int(warehouse.value("SELECT count(*) FROM temp._offenders"))
            found = warehouse.con.execute(f"FROM temp._offenders ORDER BY ALL LIMIT {SAMPLE_ROWS}")
            names = [column[0] for column in found.description or []]
            sample = [dict(zip(names, map(plain, row), strict=True)) for row in found.fetchall()]
            warehouse.run("DROP TABLE temp._offenders")
    return AuditResult(audit.name, audit.severity, audit.sentence, count, sample, touched is not None)


def plain(value: Any) -> Any:
    """A value that JSON can hold: NaN and infinities become their names."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
