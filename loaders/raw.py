"""The archive's own tables in the warehouse, empty, with what each column means as a COMMENT."""

from __future__ import annotations

from skysy.contract import Contract, TableContract
from skysy.errors import ContractError
from skysy.ledger import CHUNK_COLUMN
from skysy.store import Warehouse, sql_text


def prepare(warehouse: Warehouse, contract: Contract) -> None:
    """Make every table of the release that is not there yet, so that the SQL always finds them, loaded or not.

    Raises ContractError where a table of that name has other columns (another release, or an older contract).
    """
    recorded = warehouse.rows(
        "SELECT DISTINCT contract_sha256 FROM meta.contract WHERE release = ?", [contract.release]
    )
    if recorded == [(contract.sha256,)]:
        return
    with warehouse.transaction():
        for table in contract.tables:
            _make(warehouse, table)
        warehouse.run("DELETE FROM meta.contract WHERE release = ?", [contract.release])
        rows = [
            (contract.release, table.name, place, one.name, one.type, one.unit, one.ucd, one.description, one.required, contract.sha256)
            for table in contract.tables
            for place, one in enumerate(table.columns)
        ]  # fmt: skip
        columns = ", ".join(["unnest(?)"] * len(rows[0]))
        warehouse.run(
            f"INSERT INTO meta.contract SELECT {columns}", [list(column) for column in zip(*rows, strict=True)]
        )


def _make(warehouse: Warehouse, table: TableContract) -> None:
    wanted = [column.name for column in table.columns] + [CHUNK_COLUMN]
    there = warehouse.columns(table.schema, table.table)
    if there and there != wanted:
        differing = sorted(set(wanted) ^ set(there)) or ["their order"]
        raise ContractError(
            f"The warehouse has a table {table.name} with other columns than this contract: {', '.join(differing[:5])}.",
            "Nothing was changed. Load this release into a warehouse of its own, with --warehouse DIR.",
        )
    if not there:
        columns = ", ".join(f'"{column.name}" {column.type}' for column in table.columns)
        warehouse.run(f"CREATE SCHEMA IF NOT EXISTS {table.schema}")
        warehouse.run(f"CREATE TABLE {table.name} ({columns}, {CHUNK_COLUMN} INTEGER)")
    warehouse.run(f"COMMENT ON TABLE {table.name} IS {sql_text(f'{table.description}. Grain: {table.grain}.')}")
    for column in table.columns:
        warehouse.run(f'COMMENT ON COLUMN {table.name}."{column.name}" IS {sql_text(column.comment)}')
    warehouse.run(
        f"COMMENT ON COLUMN {table.name}.{CHUNK_COLUMN} IS 'the load that brought the row, see meta.chunk {{meta.id}}'"
    )
