"""Rows of a source into their table, and what is worth noting of them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import duckdb
from skysy.loaders.source import ARROW_ROWS, Source
from skysy.loaders.verify import Selection

from skysy import ledger
from skysy.contract import TableContract
from skysy.errors import FileDamaged, ValueDamaged
from skysy.store import Warehouse, is_damage, is_full

KEPT = "Nothing of it was kept; files loaded before it stay. Mend it and give the same command again."


def bring_in(
    warehouse: Warehouse, name: str, table: TableContract, source: Source, selection: Selection, chunk_id: int
) -> None:
    """Add the rows of a source, called `name`, to its table; raises what its reader found wrong, else ValueDamaged."""
    relation = source.relation(warehouse.con)
    try:
        warehouse.run(f"INSERT INTO {table.name} SELECT {selection.select_list}, {chunk_id:d} FROM {relation}")
    except (duckdb.OutOfMemoryException, duckdb.FatalException, duckdb.InternalException, duckdb.InterruptException):
        raise
    except duckdb.Error as error:
        if source.failures:
            raise source.failures[0] from error
        text = str(error).splitlines()[0]
        if isinstance(error, duckdb.IOException):
            if is_full(error) or is_damage(error):
                raise
            raise FileDamaged(f"{name} cannot be read: {text}", KEPT) from error
        raise source.find() or ValueDamaged(
            f"{name}, table {table.name}: {text.split('Error: ', 1)[-1]}", KEPT
        ) from error
    finally:
        if relation == ARROW_ROWS:
            with suppress(duckdb.Error):
                warehouse.con.unregister(relation)


def inspect(
    warehouse: Warehouse, table: TableContract, selection: Selection, chunk_id: int
) -> tuple[int, dict[str, Any]]:
    """Rows of a chunk and what is worth noting of them; NaN becomes NULL on the way."""
    where = f"{ledger.CHUNK_COLUMN} = {chunk_id:d}"
    reals = [column.name for column in table.columns if column.type in ("REAL", "FLOAT", "DOUBLE")]
    needed = [column.name for column in table.columns if column.required]
    counts = [f'count(*) FILTER (WHERE isnan("{name}"))' for name in reals]
    counts += [f'count(*) - count("{name}")' for name in needed]
    found = warehouse.rows(f"SELECT count(*), {', '.join(counts)} FROM {table.name} WHERE {where}")[0]
    rows = int(found[0])
    nans = {name: int(n) for name, n in zip(reals, found[1 : len(reals) + 1], strict=True) if n}
    for name in nans:
        warehouse.run(f'UPDATE {table.name} SET "{name}" = NULL WHERE {where} AND isnan("{name}")')
    nulls = {
        name: int(n) + nans.get(name, 0)
        for name, n in zip(needed, found[len(reals) + 1 :], strict=True)
        if n or name in nans
    }
    notes: dict[str, Any] = {"nulls": nulls, **column_notes(selection)}
    if nans:
        notes["nan_to_null"] = nans
    if table.key and (copies := _duplicate_keys(warehouse, table, where)):
        notes["duplicate_keys"] = copies
    return rows, notes


def column_notes(selection: Selection) -> dict[str, Any]:
    """Columns that were left aside, and those of the contract that did not come."""
    notes = {}
    if selection.ignored:
        notes["ignored_columns"] = list(selection.ignored)
    if selection.absent:
        notes["absent_columns"] = list(selection.absent)
    return notes


def _duplicate_keys(warehouse: Warehouse, table: TableContract, where: str) -> int:
    """Rows of a chunk beyond the first of their key."""
    key = ", ".join(table.key)
    whole = " AND ".join(f"{name} IS NOT NULL" for name in table.key)
    return int(
        warehouse.value(
            f"SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM {table.name} WHERE {where} AND {whole} "
            f"GROUP BY {key} HAVING count(*) > 1)"
        )
    )
