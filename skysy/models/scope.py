"""The check behind `scope: object`: such a model gives the same rows when the sky is cut up by object_id.

Each object's rows lie together in one part of the sky; tables declared `broadcast` lie whole in every part.
So groups and windows keep to one object_id, joins are on object_id or to a broadcast table, and nothing looks
at all objects at once: no LIMIT, no bare aggregate, no subquery over another object's rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from skysy.errors import ModelError
from skysy.models.files import Model, cte_of

OBJECT = "object_id"
"""The column that parts are cut by."""


def check_scope(model: Model) -> None:
    """Raise ModelError where a model of `scope: object` looks beyond one object; others pass."""
    if model.scope != "object":
        return
    for problem in _problems(model):
        raise ModelError(
            f"{model.path.name} says scope: object, but {problem}.",
            "Keep to one object_id, declare a small table with `-- broadcast:`, or say scope: global.",
        )


def _problems(model: Model) -> Iterator[str]:
    if OBJECT not in model.key:
        yield f"its key has no {OBJECT}"
    if model.tree.args.get("order"):
        yield "it ends with ORDER BY"
    broadcast = set(model.broadcast)
    for operation in model.tree.find_all(exp.SetOperation):
        yield from _set_operation(operation, broadcast)
    for select in model.tree.find_all(exp.Select):
        if _reads(select) <= broadcast:
            continue
        if not _is_relation(select):
            yield f"a subquery in an expression reads {', '.join(sorted(_reads(select) - broadcast))}"
        yield from _sources(select, broadcast)
        yield from _groups(select)
        yield from _windows(select)
        yield from _projections(select)


def _sources(select: exp.Select, broadcast: set[str]) -> Iterator[str]:
    """FROM and the joins of one SELECT."""
    start = select.args.get("from_") or select.args.get("from")
    if start is not None and _reads(start) <= broadcast:
        yield f"it starts from {start.this.sql(dialect='duckdb')}, which lies whole in every part"
    for join in select.args.get("joins") or []:
        text = join.sql(dialect="duckdb")
        if isinstance(join.this, exp.Unnest | exp.Lateral):
            continue
        if _reads(join.this) <= broadcast:
            if join.side in ("RIGHT", "FULL"):
                yield f"`{text}` keeps rows of a broadcast table in every part"
        elif not _on_object(join):
            yield f"`{text}` is not on {OBJECT}"
    if select.args.get("limit") or select.args.get("offset") or select.find(exp.TableSample):
        yield "it takes only some rows (LIMIT, OFFSET or a sample)"


def _groups(select: exp.Select) -> Iterator[str]:
    group = select.args.get("group")
    if group is None:
        for aggregate in select.find_all(exp.AggFunc):
            if _belongs(aggregate, select) and not _is_windowed(aggregate, select):
                yield f"`{aggregate.sql(dialect='duckdb')}` is over all objects, without GROUP BY {OBJECT}"
                break
    elif not _has_object(select.expressions if group.args.get("all") else group.expressions):
        yield f"`{group.sql(dialect='duckdb').strip()}` has no {OBJECT}"
    distinct = select.args.get("distinct")
    if distinct is not None:
        on = distinct.args.get("on")
        if not _has_object(on.expressions if on is not None else select.expressions):
            yield f"a DISTINCT has no {OBJECT}"


def _windows(select: exp.Select) -> Iterator[str]:
    named = {window.name.lower(): window for window in select.args.get("windows") or []}
    for window in select.find_all(exp.Window):
        if not _belongs(window, select) or window.arg_key == "windows":
            continue
        partition = window.args.get("partition_by") or []
        base = named.get((window.args.get("alias") or exp.Identifier(this="")).name.lower())
        if not partition and base is not None:
            partition = base.args.get("partition_by") or []
        if not _has_object(partition):
            yield f"the window of `{window.sql(dialect='duckdb')}` is not PARTITION BY {OBJECT}"


def _projections(select: exp.Select) -> Iterator[str]:
    for projection in select.expressions:
        if isinstance(projection, exp.Alias) and projection.alias.lower() == OBJECT and not _is_object(projection):
            yield f"`{projection.sql(dialect='duckdb')}` makes an {OBJECT} of something else"


def _set_operation(operation: exp.SetOperation, broadcast: set[str]) -> Iterator[str]:
    if _reads(operation) <= broadcast:
        return
    if not isinstance(operation, exp.Union) or operation.args.get("distinct"):
        yield f"{type(operation).__name__.upper()} compares rows of all objects; only UNION ALL keeps to one"
    for side in (operation.left, operation.right):
        if _reads(side) <= broadcast:
            yield "a UNION adds rows of a broadcast table in every part"


def _reads(node: exp.Expr, seen: frozenset[int] = frozenset()) -> set[str]:
    """The tables that a piece of SQL stands on, through its CTEs."""
    names: set[str] = set()
    for table in node.find_all(exp.Table):
        cte = cte_of(table)
        if cte is not None:
            if id(cte) not in seen:
                names |= _reads(cte.this, seen | {id(cte)})
        elif isinstance(table.this, exp.Identifier):
            names.add(f"{table.db}.{table.name}".lower().lstrip("."))
    return names


def _is_relation(select: exp.Select) -> bool:
    """Whether a SELECT stands where a table could: the file's own, a CTE's, or in FROM or JOIN."""
    parent = select.parent
    while isinstance(parent, exp.Subquery | exp.SetOperation):
        parent = parent.parent
    return parent is None or isinstance(parent, exp.From | exp.Join | exp.CTE)


def _on_object(join: exp.Join) -> bool:
    if any(column.name.lower() == OBJECT for column in join.args.get("using") or []):
        return True
    condition = join.args.get("on")
    if condition is None:
        return False
    for part in condition.flatten() if isinstance(condition, exp.And) else [condition]:
        if isinstance(part, exp.EQ) and _is_object(part.left) and _is_object(part.right):
            tables = {side.table.lower() for side in part.find_all(exp.Column)}
            if len(tables) == 2:
                return True
    return False


def _has_object(expressions: list[exp.Expr]) -> bool:
    return any(_is_object(expression) for expression in expressions)


def _is_object(node: exp.Expr) -> bool:
    """Whether it is the column object_id itself, cast or renamed to its own name at most."""
    while isinstance(node, exp.Alias | exp.Cast | exp.Paren):
        node = node.this
    return isinstance(node, exp.Column) and node.name.lower() == OBJECT


def _belongs(node: exp.Expr, select: exp.Select) -> bool:
    return node.find_ancestor(exp.Select) is select


def _is_windowed(aggregate: exp.Expr, select: exp.Select) -> bool:
    node = aggregate.parent
    while node is not None and node is not select:
        if isinstance(node, exp.Window):
            return True
        node = node.parent
    return False
