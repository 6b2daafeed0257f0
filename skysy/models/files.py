"""One SQL file read: its header in words, its SELECT as a tree, its output columns with type, unit and sense.

A model file is one SELECT under a header of comment lines; an audit file is one query of offending rows. What
the header claims (name, key, inputs) is held against what the SQL does, so that the header can be believed.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from skysy.columns import Column, from_comment
from skysy.errors import ModelError, SqlError, did_you_mean

_MODEL_FIELDS = {"grain", "key", "scope", "kind", "inputs", "broadcast", "source", "nulls", "rule", "engine"}
_AUDIT_FIELDS = {"severity", "scope", "inputs", "broadcast", "source", "rule"}
_SCOPES = ("global", "object", "chunk")
_NAME_LINE = re.compile(r"^-- (?P<name>\w+): (?P<text>\S.*)$")
_FIELD_LINE = re.compile(r"^-- (?P<name>\w+):\s*(?P<text>.*)$")
_MORE_LINE = re.compile(r"^--\s{3,}(?P<text>\S.*)$")
_COLUMN_COMMENT = re.compile(r"^\s*,?[ \t]*--[ \t]*(?P<text>\S.*?)[ \t]*$")
_CAST_TYPE = re.compile(r"\bAS\s+(?P<type>[A-Z]\w*(?:\s*\([\d\s,]+\))?(?:\[\])*)\s*\)\s*AS\s*$", re.IGNORECASE)
_NOT_ARCHIVE = {"main", "meta", "temp", "information_schema", "pg_catalog"}
_KEPT = 512
"""Files that are kept as they were read: a process that loads a release again, as the demo does, parses none twice."""
_TABLE_FUNCTIONS = (exp.GenerateSeries, exp.Unnest)


@dataclass(frozen=True)
class Model:
    """One table or view of the science: what its header says, and what its SQL was found to read."""

    name: str
    path: Path
    sql: str
    tree: exp.Query = field(repr=False, compare=False)
    purpose: str
    kind: str
    scope: str
    grain: str
    key: tuple[str, ...]
    inputs: tuple[str, ...]
    broadcast: tuple[str, ...]
    columns: tuple[Column, ...]
    parameters: tuple[str, ...]
    engine: str | None = None
    source: str = ""
    nulls: str = ""
    rule: str = ""

    @property
    def archive_inputs(self) -> tuple[str, ...]:
        """The archive's tables that it reads, as `schema.table`."""
        return tuple(name for name in self.inputs if "." in name)

    @property
    def model_inputs(self) -> tuple[str, ...]:
        """The models that it reads."""
        return tuple(name for name in self.inputs if "." not in name)

    @property
    def comment(self) -> str:
        """The COMMENT of its table: purpose, then grain."""
        return f"{self.purpose} Grain: {self.grain}."


@dataclass(frozen=True)
class Audit:
    """A promise about the models: a query that returns the rows which break it."""

    name: str
    path: Path
    sql: str
    sentence: str
    severity: str
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    tree: exp.Query = field(repr=False, compare=False)
    scope: str = "global"
    broadcast: tuple[str, ...] = ()

    @property
    def query(self) -> str:
        """Its SQL in a form that fits inside brackets."""
        return f"(\n{self.sql.rstrip().rstrip(';')}\n)"


def read_model(path: Path) -> Model:
    """The model of a file; raises SqlError if it does not parse, ModelError if its header is not true."""
    return _model(path, path.read_text(encoding="utf-8"))


@lru_cache(maxsize=_KEPT)
def _model(path: Path, sql: str) -> Model:
    purpose, fields = _header(path, sql, _MODEL_FIELDS)
    tree = _parse(path.name, sql)
    if not isinstance(tree, exp.Select):
        raise ModelError(f"{path.name}: the last step of a model is one SELECT, with a comment on each column.")
    columns = _columns(path, sql, tree)
    model = Model(
        name=path.stem,
        path=path,
        sql=sql,
        tree=tree,
        purpose=purpose,
        kind=_choice(path, fields, "kind", ("table", "view")),
        scope=_choice(path, fields, "scope", _SCOPES),
        grain=fields.get("grain", ""),
        key=_names(re.sub(r"\(.*\)", "", fields.get("key", ""))),
        inputs=_checked_inputs(path, fields, tree),
        broadcast=_names(fields.get("broadcast", "")),
        columns=columns,
        parameters=parameters_read(path, tree),
        engine=fields.get("engine") or None,
        source=fields.get("source", ""),
        nulls=fields.get("nulls", ""),
        rule=fields.get("rule", ""),
    )
    _check_model(model)
    return model


def read_audit(path: Path) -> Audit:
    """The audit of a file; raises as `read_model` does."""
    return _audit(path, path.read_text(encoding="utf-8"))


@lru_cache(maxsize=_KEPT)
def _audit(path: Path, sql: str) -> Audit:
    sentence, fields = _header(path, sql, _AUDIT_FIELDS)
    tree = _parse(path.name, sql)
    audit = Audit(
        name=path.stem,
        path=path,
        sql=sql,
        sentence=sentence,
        severity=_choice(path, fields, "severity", ("error", "warn")),
        inputs=_checked_inputs(path, fields, tree),
        parameters=parameters_read(path, tree),
        tree=tree,
        scope=_choice(path, fields, "scope", _SCOPES),
        broadcast=_names(fields.get("broadcast", "")),
    )
    _check_broadcast(audit)
    return audit


def parameters_read(path: Path, tree: exp.Expr) -> tuple[str, ...]:
    """Names of the parameters that SQL reads through getvariable, sorted."""
    names = set()
    for call in tree.find_all(exp.Anonymous):
        if call.name.lower() == "getvariable":
            argument = call.expressions[0] if call.expressions else None
            if not (isinstance(argument, exp.Literal) and argument.is_string):
                raise ModelError(f"{path.name}: getvariable takes the name of one parameter in quotes.")
            names.add(argument.name)
    return tuple(sorted(names))


def tables_read(path: Path, tree: exp.Expr) -> set[str]:
    """Tables that SQL reads, lower case: `schema.table` for the archive's, bare for models, no CTEs.

    Raises ModelError for a table function other than range, generate_series and unnest: a file read that way
    could change without being noticed.
    """
    names = set()
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, _TABLE_FUNCTIONS):
            continue
        if not isinstance(table.this, exp.Identifier):
            raise ModelError(f"{path.name}: reads {table.this.sql(dialect='duckdb')}, which is not a table.")
        schema = table.db.lower()
        if cte_of(table) is not None:
            continue
        if schema in _NOT_ARCHIVE:
            raise ModelError(
                f"{path.name}: reads {schema}.{table.name}.",
                "Models are named bare; no SQL of the science reads the bookkeeping.",
            )
        names.add(f"{schema}.{table.name.lower()}" if schema else table.name.lower())
    return names


def cte_of(table: exp.Table) -> exp.CTE | None:
    """The CTE that a table name means from where it stands, or None; a CTE sees only those before it."""
    if table.db:
        return None
    name = table.name.lower()
    inside = {id(table)}
    ancestor = table.parent
    while ancestor is not None:
        inside.add(id(ancestor))
        if isinstance(ancestor, exp.Query):
            visible = None
            for cte in ancestor.ctes:
                own = id(cte) in inside
                recursive = cte.parent is not None and bool(cte.parent.args.get("recursive"))
                if cte.alias.lower() == name and (recursive or not own):
                    visible = cte
                if own:
                    break
            if visible is not None:
                return visible
        ancestor = ancestor.parent
    return None


@lru_cache(maxsize=_KEPT)
def _parse(name: str, sql: str) -> exp.Query:
    """The tree of the one query in a file, after DuckDB's own parser has passed it."""
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise SqlError(f"{name} does not parse: {error}") from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise SqlError(f"{name} is not one SELECT.")
    try:
        tree = sqlglot.parse_one(sql, dialect="duckdb")
    except SqlglotError as error:
        raise SqlError(f"{name}: sqlglot cannot read this SQL: {error}") from error
    if not isinstance(tree, exp.Query):
        raise SqlError(f"{name} is not one SELECT that sqlglot can read.")
    return tree


def _header(path: Path, sql: str, allowed: Collection[str]) -> tuple[str, dict[str, str]]:
    """The sentence after the name, and the fields; continued lines are joined with a space."""
    lines = []
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.rstrip())
    first = _NAME_LINE.match(lines[0]) if lines else None
    if first is None or first["name"] != path.stem:
        raise ModelError(f"{path.name} must begin with the line `-- {path.stem}: what it is.`.")
    texts: dict[str, list[str]] = {"": [first["text"]]}
    current = ""
    for number, line in enumerate(lines[1:], start=2):
        if line == "--":
            continue
        if found := _FIELD_LINE.match(line):
            current = found["name"]
            if current not in allowed:
                raise ModelError(
                    f"{path.name}, line {number}: unknown header field {current!r}.",
                    did_you_mean(current, allowed),
                )
            if current in texts:
                raise ModelError(f"{path.name}, line {number}: header field {current!r} stands twice.")
            texts[current] = [found["text"]]
        elif found := _MORE_LINE.match(line):
            texts[current].append(found["text"])
        else:
            raise ModelError(
                f"{path.name}, line {number}: neither a header field nor a continued one: {line!r}.",
                "Write `-- field: text`; indent what continues it by three spaces or more.",
            )
    joined = {name: " ".join(parts).strip() for name, parts in texts.items()}
    return joined.pop(""), joined


def _choice(path: Path, fields: dict[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = fields.get(name, allowed[0])
    if value not in allowed:
        raise ModelError(f"{path.name}: {name} is {', '.join(allowed[:-1])} or {allowed[-1]}, not {value!r}.")
    return value


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip().lower() for part in text.split(",") if part.strip())


def _checked_inputs(path: Path, fields: dict[str, str], tree: exp.Query) -> tuple[str, ...]:
    """The header's inputs, which must be exactly the tables that the SQL reads."""
    said, read = set(_names(fields.get("inputs", ""))), tables_read(path, tree)
    problems = []
    if read - said:
        problems.append(f"the SQL reads {', '.join(sorted(read - said))}, which the header's inputs do not name")
    if said - read:
        problems.append(f"the header's inputs name {', '.join(sorted(said - read))}, which the SQL does not read")
    if problems:
        raise ModelError(f"{path.name}: {'; '.join(problems)}.", "Correct the line `-- inputs:` of that file.")
    return tuple(sorted(read))


def _columns(path: Path, sql: str, tree: exp.Select) -> tuple[Column, ...]:
    """Output columns of the final SELECT: each `CAST(... AS TYPE) AS name,  -- description [unit] {ucd}`."""
    columns: list[Column] = []
    for projection in tree.expressions:
        alias = projection.args.get("alias")
        if alias is None or not isinstance(projection.this, exp.Cast):
            text = projection.sql(dialect="duckdb")
            raise ModelError(f"{path.name}: the output column `{text}` is not CAST(... AS TYPE) AS name.")
        before, after = sql[: alias.meta["start"]], sql[alias.meta["end"] + 1 :].split("\n", 1)[0]
        cast, comment = _CAST_TYPE.search(before), _COLUMN_COMMENT.match(after)
        if cast is None:
            raise ModelError(f"{path.name}: the type of output column {alias.name} cannot be read.")
        if comment is None:
            raise ModelError(
                f"{path.name}, line {alias.meta['line']}: output column {alias.name} has no comment.",
                "Write `CAST(... AS TYPE) AS name,  -- description [unit] {ucd}` on a line of its own.",
            )
        if any(column.name.lower() == alias.name.lower() for column in columns):
            raise ModelError(f"{path.name}: output column {alias.name} stands twice.")
        description, unit, ucd = from_comment(comment["text"])
        kind = re.sub(r"\s+", "", cast["type"]).upper()
        columns.append(Column(name=alias.name, type=kind, unit=unit, ucd=ucd, description=description))
    return tuple(columns)


def _check_model(model: Model) -> None:
    """What a model's header and SQL must agree on, beyond the inputs."""
    where = model.path.name
    if not model.grain:
        raise ModelError(f"{where}: the header has no grain.", "Add `-- grain:  one row per ...`.")
    if unknown := set(model.key) - {column.name.lower() for column in model.columns}:
        raise ModelError(f"{where}: key columns that are not in its output: {', '.join(sorted(unknown))}.")
    _check_broadcast(model)
    if model.kind == "view" and model.parameters:
        raise ModelError(
            f"{where}: a view reads the parameter {model.parameters[0]}.",
            "A shell that has not set it would silently get NULLs; make it a table, or move the cut to one.",
        )
    if model.kind == "view" and model.engine:
        raise ModelError(f"{where}: a view has no engine.")


def _check_broadcast(item: Model | Audit) -> None:
    if unknown := set(item.broadcast) - set(item.inputs):
        raise ModelError(f"{item.path.name}: broadcast names {', '.join(sorted(unknown))}, which is no input.")
