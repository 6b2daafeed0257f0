"""After new rows came, only the objects and loads that they touch are made anew; the other rows of a table stand.

A model of `scope: object` makes an object's rows from that object's rows alone, and from whole `broadcast` tables. So what
new detections leave untouched is as a whole build would make it. The model's SQL runs unchanged over all rows of the touched
objects, and what it gives takes their place in the standing table; with `scope: chunk` the same goes for what was loaded
together. An audit of such a scope that found nothing need look only there. What cannot be shown to be so is done whole:
see `reach`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from skysy import ledger
from skysy.models.files import Audit, Model
from skysy.models.plan import AuditStep, Built, Plan, State, Step
from skysy.models.scope import CHUNK, OBJECT
from skysy.store import Warehouse

MOST = 0.5
"""Where the touched objects have a greater part of the rows, whole tables cost no more, and have no holes."""

NOWHERE, NEW_ROWS, EVERYWHERE = "", "new rows", "everywhere"
"""How far a change reaches in a relation, beside `object` and `chunk`: in the rows of those that are touched.

NEW_ROWS is a view in which rows of new chunks came, no other row changed, and each tells its chunk and its object.
"""

_IDS = "_touched"


@dataclass(frozen=True)
class Renewed:
    """A table of which some rows were made anew: its rows and their hash as they are now, and how many are new."""

    rows: int
    content_hash: str
    anew: int


class Touched:
    """The objects and chunks that new rows touch, and what can be made of these alone.

    To be made and used in the build's transaction, whose end or failure takes away what it keeps.
    """

    def __init__(self, warehouse: Warehouse, plan: Plan) -> None:
        self._warehouse = warehouse
        self._home = f'"{warehouse.value("SELECT current_database()")}".main'
        self._chunks = sorted({chunk for step in plan.stale for chunk in _new_chunks(step)})
        self._deep = _views_of_models(plan.steps)
        self._without_object = False
        sound = {step.model.name for step in plan.stale if self._stands(step)}
        self._reaches = reach(plan.steps, sound)
        if "object" in self._reaches.values() and not self._find_objects(plan):
            self._reaches = reach(
                plan.steps, sound - {step.model.name for step in plan.stale if step.model.scope == "object"}
            )
        self.models = frozenset(
            step.model.name
            for step in plan.stale
            if step.model.kind == "table" and self._reaches[step.model.name] != EVERYWHERE
        )
        """The tables that `renew` makes."""

    def renew(self, step: Step, base: Built) -> Renewed:
        """Make the touched rows of a table anew, from the last build of it."""
        model, warehouse = step.model, self._warehouse
        names = [column.name for column in model.columns]
        new, standing = f'temp."{_kept(model.name)}"', f'{self._home}."{model.name}"'
        with self.only(model):
            # The file follows on the same line, so that the line number in DuckDB's message is the file's.
            warehouse.run(f"CREATE TEMP TABLE {new} AS {model.sql}")
        content = base.content_hash or ledger.NO_ROWS
        for touched in self._conditions(model.scope):
            gone = ledger.content_hash(warehouse.con, standing, names, f"WHERE {touched}")
            content = ledger.changed_hash(content, gone=gone, come=ledger.NO_ROWS)
            warehouse.run(f"DELETE FROM {standing} WHERE {touched}")
        warehouse.run(f"INSERT INTO {standing} BY NAME FROM {new}")
        come = ledger.content_hash(warehouse.con, new, names)
        rows, anew = (int(warehouse.value(f"SELECT count(*) FROM {table}")) for table in (standing, new))
        return Renewed(rows, ledger.changed_hash(content, gone=ledger.NO_ROWS, come=come), anew)

    def covers(self, step: AuditStep) -> bool:
        """Whether an audit finds the same if it looks at what is touched alone."""
        audit = step.audit
        return step.kept and self._deep.isdisjoint(audit.inputs) and _reach(audit, self._reaches) != EVERYWHERE

    @contextmanager
    def only(self, item: Model | Audit) -> Iterator[None]:
        """Inside, what a model or audit reads has the touched rows alone; what is broadcast is whole."""
        shadows = {name: self._restricted(name, item.scope) for name in _cut_up(item)}
        for name, relation in shadows.items():
            self._warehouse.run(f'CREATE TEMP VIEW "{name}" AS {relation}')
        yield
        for name in shadows:  # where something fails inside, the transaction takes them away
            self._warehouse.run(f'DROP VIEW temp."{name}"')

    def forget(self) -> None:
        """Drop what is kept of touched rows."""
        found = self._warehouse.rows(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'temp' AND starts_with(table_name, ?)", [_IDS]
        )
        for (name,) in found:
            self._warehouse.run(f'DROP TABLE temp."{name}"')

    def _restricted(self, name: str, scope: str) -> str:
        """A relation's touched rows, as a query; those of objects are kept, since several models and audits read them."""
        query = " UNION ALL ".join(
            f'SELECT * FROM {self._home}."{name}" WHERE {touched}' for touched in self._conditions(scope)
        )
        if scope != "object":
            return query
        self._warehouse.run(f'CREATE TEMP TABLE IF NOT EXISTS "{_kept(name)}" AS {query}')
        return f'FROM temp."{_kept(name)}"'

    def _conditions(self, scope: str) -> list[str]:
        """What touched rows fulfil: each one of these. Rows without an object are one object more."""
        if scope == "chunk":
            return [f"{CHUNK} IN ({', '.join(map(str, self._chunks))})"]
        return [f"{OBJECT} IN (FROM temp.{_IDS})", *([f"{OBJECT} IS NULL"] if self._without_object else [])]

    def _find_objects(self, plan: Plan) -> bool:
        """Keep the ids of touched objects; False where these have most of the rows."""
        house, conditions = self._warehouse, self._conditions("chunk")
        views = [
            f'{self._home}."{step.model.name}"' for step in plan.stale if self._reaches[step.model.name] == NEW_ROWS
        ]
        new = " UNION ALL ".join(f"SELECT {OBJECT} FROM {view} WHERE {conditions[0]}" for view in views)
        house.run(f"CREATE TEMP TABLE {_IDS} AS SELECT DISTINCT {OBJECT} FROM ({new})")
        self._without_object = bool(house.value(f"SELECT count(*) FROM temp.{_IDS} WHERE {OBJECT} IS NULL"))
        rows = sum(int(house.value(f"SELECT count(*) FROM {view}")) for view in views)
        touched = sum(
            int(house.value(f"SELECT count(*) FROM {view} WHERE {one}"))
            for view in views
            for one in self._conditions("object")
        )
        return touched <= MOST * rows

    def _stands(self, step: Step) -> bool:
        """Whether a model's table has as many rows as the last build gave it."""
        if step.base is None or step.model.kind == "view":
            return True
        return bool(
            self._warehouse.value(f'SELECT count(*) = ? FROM {self._home}."{step.model.name}"', [step.base.rows])
        )


def reach(steps: Sequence[Step], sound: Collection[str]) -> dict[str, str]:
    """How far what changed reaches in each model: NOWHERE, NEW_ROWS, `chunk` or `object` for touched ones alone, or EVERYWHERE.

    It is EVERYWHERE in what has no base, is of no such scope, is an engine's, reads a broadcast table that changed, or is not
    `sound`; where rows went or were replaced, since it is not known any more whose they were; and in all that reads it so.
    """
    found: dict[str, str] = {}
    deep = _views_of_models(steps)
    for step in steps:
        model, base = step.model, step.base
        archive = {name: _archive_reach(step.state, base, name) for name in model.archive_inputs}
        if base is None:
            found[model.name] = EVERYWHERE
        elif not step.stale:
            found[model.name] = NOWHERE if set(archive.values()) <= {NOWHERE} else EVERYWHERE
        elif model.name not in sound or step.state.engine or not deep.isdisjoint(model.inputs):
            found[model.name] = EVERYWHERE
        else:
            found[model.name] = _reach(model, found | archive)
    return found


def _reach(item: Model | Audit, reaches: Mapping[str, str]) -> str:
    """How far a change of what it reads reaches in a model or audit that stands on its last state."""
    cut = _cut_up(item)
    changes = {reaches.get(name, EVERYWHERE) for name in cut} - {NOWHERE}
    if any(reaches.get(name) != NOWHERE for name in item.broadcast):
        return EVERYWHERE
    if isinstance(item, Model) and item.kind == "view" and item.scope == "chunk" and not item.model_inputs:
        if changes <= {NEW_ROWS}:
            return NEW_ROWS if any(column.name.lower() == OBJECT for column in item.columns) else "chunk"
    elif any("." in name for name in cut):  # an archive's own schema cannot be hidden behind views of touched rows
        return EVERYWHERE
    elif changes <= {item.scope, NEW_ROWS} and item.scope != "global":
        return item.scope
    return EVERYWHERE


def _archive_reach(state: State, base: Built | None, table: str) -> str:
    """NEW_ROWS where chunks were added to an archive table and those of the last build are there as they were."""
    if base is None:
        return EVERYWHERE
    before, now = _chunks(base.inputs, table), _chunks(state.inputs, table)
    if before == now:
        return NOWHERE
    return NEW_ROWS if before < now else EVERYWHERE


def _chunks(inputs: Mapping[str, Any], table: str) -> set[tuple[str, int]]:
    return set(zip(inputs["archive"][table], inputs["chunks"][table], strict=True))


def _new_chunks(step: Step) -> set[int]:
    if step.base is None:
        return set()
    tables = step.model.archive_inputs
    return {
        chunk_id
        for name in tables
        for _, chunk_id in _chunks(step.state.inputs, name) - _chunks(step.base.inputs, name)
    }


def _views_of_models(steps: Sequence[Step]) -> set[str]:
    """Views that would read touched rows alone, too, while those stand in the place of the models that they read."""
    return {step.model.name for step in steps if step.model.kind == "view" and step.model.model_inputs}


def _cut_up(item: Model | Audit) -> list[str]:
    return [name for name in item.inputs if name not in item.broadcast]


def _kept(name: str) -> str:
    return f"{_IDS} {name}"
