"""Where an output column comes from: the columns and parameters that it stands on, through every CTE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from sqlglot import Token, TokenType, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

from skysy.errors import ModelError, NotFound, did_you_mean
from skysy.models.files import Model
from skysy.models.project import Project

_HOME = "main"


@dataclass(frozen=True)
class CutTerm:
    """One named cut: its expression in SQL, the input columns it looks at with their units, the parameters it compares with.

    `columns` and `parameters` are in the order of the expression; `comment` says in words what the cut asks.
    """

    name: str
    expression_sql: str
    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    comment: str
    units: Mapping[str, str]


def cut_terms(project: Project, model_name: str) -> list[CutTerm]:
    """The cuts of a model in their order: its output columns but for the key."""
    model = project.model(model_name)
    scope = _scope(project, model)
    tokens = Dialect.get_or_raise("duckdb").tokenize(model.sql)
    units_of = {one: {each.name: each.unit or "" for each in project.model(one).columns} for one in model.model_inputs}
    terms = []
    for column, projection in zip(model.columns, model.tree.selects, strict=True):
        if column.name.lower() in model.key:
            continue
        sources, parameters = _sources(scope, column.name)
        text = _text_of(model.sql, tokens, projection.args["alias"])
        names = tuple(dict.fromkeys(name for _, name in sources))
        units = {name: units_of[table].get(name, "") for table, name in sources if table in units_of}
        terms.append(CutTerm(column.name, text, names, parameters, column.comment, units))
    return terms


def column_lineage(
    project: Project, model_name: str, column: str, *, to_archive: bool = False
) -> list[tuple[str, str]]:
    """(table, column) of each input column that an output column stands on, sorted.

    One model back, or with `to_archive` through all models to the archive's own columns. Raises NotFound for
    an unknown model or column.
    """
    model = project.model(model_name)
    names = [one.name for one in model.columns]
    if column.lower() not in {name.lower() for name in names}:
        raise NotFound(f"{model_name} has no column {column}.", did_you_mean(column, names))
    sources, _ = _sources(_scope(project, model), column)
    if not to_archive:
        return sorted(sources)
    found: set[tuple[str, str]] = set()
    for table, name in sources:
        if "." in table:
            found.add((table, name))
        else:
            found.update(column_lineage(project, table, name, to_archive=True))
    return sorted(found)


def _scope(project: Project, model: Model) -> Scope:
    """The model's SQL with every star written out and every column bearing its table."""
    models = {name: {one.name: one.type for one in project.model(name).columns} for name in model.model_inputs}
    schema: dict[str, object] = {_HOME: models} if models else {}
    tree = qualify(
        model.tree.copy(),
        db=_HOME,
        schema=schema,
        dialect="duckdb",
        expand_alias_refs=bool(models),
        validate_qualify_columns=False,
        quote_identifiers=False,
    )
    scope = build_scope(tree)
    if scope is None:
        raise ModelError(f"{model.path.name}: sqlglot finds no SELECT in it.")
    return scope


def _sources(scope: Scope, column: str) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    columns: dict[tuple[str, str], None] = {}
    parameters: dict[str, None] = {}
    _follow(scope, column, columns, parameters, set())
    return tuple(columns), tuple(parameters)


def _follow(
    scope: Scope,
    name: str,
    columns: dict[tuple[str, str], None],
    parameters: dict[str, None],
    seen: set[tuple[int, str]],
) -> None:
    """Collect what one output column of a scope stands on."""
    if (id(scope), name.lower()) in seen:
        return
    seen.add((id(scope), name.lower()))
    if isinstance(scope.expression, exp.SetOperation):
        place = _place(scope.expression, name)
        for part in scope.set_operation_scopes:
            if place is None or scope.expression.args.get("by_name"):
                _follow(part, name, columns, parameters, seen)
            elif isinstance(part.expression, exp.Query):
                _follow(part, part.expression.named_selects[place], columns, parameters, seen)
    if not isinstance(scope.expression, exp.Select):
        return
    for projection in scope.expression.selects:
        if projection.alias_or_name.lower() != name.lower():
            continue
        for node in _nodes(scope.expression, projection):
            if isinstance(node, exp.Anonymous) and node.name.lower() == "getvariable":
                parameters[node.expressions[0].name] = None
            elif isinstance(node, exp.Column):
                # The archive's columns are not known here; a SELECT from one table needs no table name.
                source = scope.sources.get(node.table or next(iter(scope.selected_sources), ""))
                if isinstance(source, Scope):
                    _follow(source, node.name, columns, parameters, seen)
                elif isinstance(source, exp.Table):
                    columns[_table_name(source), node.name.lower()] = None


def _place(operation: exp.SetOperation, name: str) -> int | None:
    """Which column of a UNION that is, from 0: its parts are matched by place unless it says BY NAME."""
    names = [one.lower() for one in operation.named_selects]
    return names.index(name.lower()) if name.lower() in names else None


def _nodes(select: exp.Select, projection: exp.Expr) -> Iterator[exp.Expr]:
    """All nodes of a projection, and of the named windows that it uses."""
    yield from projection.dfs()
    named = {window.name.lower(): window for window in select.args.get("windows") or []}
    for window in projection.find_all(exp.Window):
        alias = window.args.get("alias")
        if alias is not None and alias.name.lower() in named:
            yield from named[alias.name.lower()].dfs()


def _table_name(table: exp.Table) -> str:
    schema = table.db.lower()
    return table.name.lower() if schema in ("", _HOME) else f"{schema}.{table.name.lower()}"


def _text_of(sql: str, tokens: list[Token], alias: exp.Expr) -> str:
    """What stands in the CAST(... AS TYPE) before an output name, as the file writes it, on one line."""
    last = next(index for index, token in enumerate(tokens) if token.start == alias.meta["start"]) - 2
    depth, stop, first = 0, last, last
    while first >= 0:
        kind = tokens[first].token_type
        if kind == TokenType.R_PAREN:
            depth += 1
        elif kind == TokenType.L_PAREN:
            depth -= 1
            if depth == 0:
                break
        elif kind == TokenType.ALIAS and depth == 1 and stop == last:
            stop = first
        first -= 1
    text = ""
    for before, token in pairwise(tokens[first:stop]):
        gap = " " if text and token.start > before.end + 1 else ""
        text += gap + sql[token.start : token.end + 1]
    return text
