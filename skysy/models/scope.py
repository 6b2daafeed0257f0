"""The check behind `scope: object`: such a model gives the same rows when the sky is cut up by object_id.

Each object's rows lie together in one part of the sky; tables declared `broadcast` lie whole in every part.
So groups and windows keep to one object_id, joins are on object_id or to a broadcast table, and nothing looks
at all objects at once: no LIMIT, no bare aggregate, no subquery over another object's rows.

`scope: chunk` says the same of what was loaded together, by chunk_id; an audit says by its scope
that whether an object or a load breaks its promise is seen from the rows of that object or load.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from sqlglot import exp

from skysy.errors import ModelError
from skysy.ledger import CHUNK_COLUMN
from skysy.models.files import Audit, Model, cte_of

OBJECT, CHUNK = "object_id", "chunk_id"
"""The columns that parts are cut by."""

COLUMNS = {"object": OBJECT, "chunk": CHUNK}
"""Scope to its column."""


@lru_cache(maxsize=512)
def check_scope(item: Model | Audit) -> None:
    """Raise ModelError where a model or audit of `scope: object` looks beyond one object, or of `chunk` beyond one load."""
    if item.scope not in COLUMNS:
        return
    column = COLUMNS[item.scope]
    for problem in _problems(item, column):
        raise ModelError(
            f"{item.path.name} says scope: {item.scope}, but {problem}.",
            f"Keep to one {column}, declare a small table with `-- broadcast:`, or say scope: global.",
        )


def _problems(item: Model | Audit, column: str) -> Iterator[str]:
    if isinstance(item, Model):
        if item.scope == "object" and column not in item.key:
            yield f"its key has no {column}"
        if column not in {one.name.lower() for one in item.columns}:
            yield f"it has no column {column}"
    if item.tree.args.get("order"):
        yield "it ends with ORDER BY"
    broadcast = set(item.broadcast)
    for operation in item.tree.find_all(exp.SetOperation):
        yield from _set_operation(operation, broadcast, column)
    yield from _renames(item, column)
    for select in item.tree.find_all(exp.Select):
        if _reads(select) <= broadcast:
            continue
        if not _is_relation(select):
            yield f"a subquery in an expression reads {', '.join(sorted(_reads(select) - broadcast))}"
        yield from _sources(select, broadcast, column)
        yield from _groups(select, column)
        yield from _windows(select, column)
        yield from _projections(select, column)
        yield from _of_others(select, broadcast, column)


def _sources(select: exp.Select, broadcast: set[str], column: str) -> Iterator[str]:
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
        elif not _on_column(join, column):
            yield f"`{text}` is not on {column}"
    if select.args.get("limit") or select.args.get("offset") or select.find(exp.TableSample):
        yield "it takes only some rows (LIMIT, OFFSET or a sample)"


def _groups(select: exp.Select, column: str) -> Iterator[str]:
    group = select.args.get("group")
    if group is None:
        for aggregate in select.find_all(exp.AggFunc):
            if _belongs(aggregate, select) and not _is_windowed(aggregate, select):
                yield f"`{aggregate.sql(dialect='duckdb')}` is over all rows, without GROUP BY {column}"
                break
    elif not _has(column, select.expressions if group.args.get("all") else group.expressions):
        yield f"`{group.sql(dialect='duckdb').strip()}` has no {column}"
    distinct = select.args.get("distinct")
    if distinct is not None:
        on = distinct.args.get("on")
        if not _has(column, on.expressions if on is not None else select.expressions):
            yield f"a DISTINCT has no {column}"


def _windows(select: exp.Select, column: str) -> Iterator[str]:
    named = {window.name.lower(): window for window in select.args.get("windows") or []}
    for window in select.find_all(exp.Window):
        if not _belongs(window, select) or window.arg_key == "windows":
            continue
        partition = window.args.get("partition_by") or []
        base = named.get((window.args.get("alias") or exp.Identifier(this="")).name.lower())
        if not partition and base is not None:
            partition = base.args.get("partition_by") or []
        if not _has(column, partition):
            yield f"the window of `{window.sql(dialect='duckdb')}` is not PARTITION BY {column}"


def _projections(select: exp.Select, column: str) -> Iterator[str]:
    for projection in select.expressions:
        if isinstance(projection, exp.Alias) and projection.alias.lower() == column and not _is(column, projection):
            yield f"`{projection.sql(dialect='duckdb')}` makes {column} of something else"


def _renames(item: Model | Audit, column: str) -> Iterator[str]:
    """Names given elsewhere than in a projection: `WITH t (object_id) AS`, `* REPLACE (x AS object_id)`, `* RENAME`."""
    for alias in item.tree.find_all(exp.TableAlias):
        if any(name.name.lower() == column for name in alias.args.get("columns") or []):
            yield f"`{alias.sql(dialect='duckdb')}` may give the name {column} to something else"
    for star in item.tree.find_all(exp.Star):
        for given in [*(star.args.get("replace") or []), *(star.args.get("rename") or [])]:
            if given.alias.lower() == column:
                yield f"`{star.sql(dialect='duckdb')}` makes {column} of something else"


def _of_others(select: exp.Select, broadcast: set[str], column: str) -> Iterator[str]:
    """The column of a broadcast table in the place of the item's own; in a condition it does no harm."""
    start = select.args.get("from_") or select.args.get("from")
    sources = [one.this for one in (start, *(select.args.get("joins") or [])) if one is not None]
    whole = {one.alias_or_name.lower() for one in sources if _reads(one) and _reads(one) <= broadcast}
    for found in select.find_all(exp.Column):
        if found.name.lower() == column and found.table.lower() in whole and _belongs(found, select):
            condition = found.find_ancestor(exp.Join, exp.Where, exp.Select)
            if isinstance(condition, exp.Select):
                yield f"`{found.sql(dialect='duckdb')}` is of a table that lies whole in every part"


def _set_operation(operation: exp.SetOperation, broadcast: set[str], column: str) -> Iterator[str]:
    if _reads(operation) <= broadcast:
        return
    if not isinstance(operation, exp.Union) or operation.args.get("distinct"):
        yield f"{type(operation).__name__.upper()} compares rows of all objects; only UNION ALL keeps to one"
    for side in (operation.left, operation.right):
        if _reads(side) <= broadcast:
            yield "a UNION adds rows of a broadcast table in every part"
    if (
        not operation.args.get("by_name")
        and len({_place(side, column) for side in (operation.left, operation.right)}) > 1
    ):
        yield f"a UNION has {column} in another place on each side"


def _place(side: exp.Expr, column: str) -> str:
    """Where in the list of a query's columns one stands; `*` where a star hides it."""
    while isinstance(side, exp.Subquery | exp.SetOperation):
        side = side.this
    selects = side.selects if isinstance(side, exp.Query) else []
    if any(one.is_star for one in selects):
        return "*"
    return ", ".join(str(place) for place, one in enumerate(selects) if one.alias_or_name.lower() == column)


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


def _on_column(join: exp.Join, name: str) -> bool:
    if any(column.name.lower() == name for column in join.args.get("using") or []):
        return True
    condition = join.args.get("on")
    if condition is None:
        return False
    for part in condition.flatten() if isinstance(condition, exp.And) else [condition]:
        if isinstance(part, exp.EQ) and _is(name, part.left) and _is(name, part.right):
            tables = {side.table.lower() for side in part.find_all(exp.Column)}
            if len(tables) == 2:
                return True
    return False


def _has(column: str, expressions: list[exp.Expr]) -> bool:
    return any(_is(column, expression) for expression in expressions)


def _is(column: str, node: exp.Expr) -> bool:
    """Whether it is that column itself, cast or renamed to its own name at most; _chunk_id is what raw tables call chunk_id."""
    while isinstance(node, exp.Alias | exp.Cast | exp.Paren):
        node = node.this
    return isinstance(node, exp.Column) and node.name.lower() in (column, CHUNK_COLUMN if column == CHUNK else column)


def _belongs(node: exp.Expr, select: exp.Select) -> bool:
    return node.find_ancestor(exp.Select) is select


def _is_windowed(aggregate: exp.Expr, select: exp.Select) -> bool:
    node = aggregate.parent
    while node is not None and node is not select:
        if isinstance(node, exp.Window):
            return True
        node = node.parent
    return False
