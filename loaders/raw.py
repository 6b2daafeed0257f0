"""The archive's own tables in the warehouse, empty, with what each column means as a COMMENT."""

from __future__ import annotations

from skysy import ledger
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
        standing = warehouse.all_columns()
        for table in contract.tables:
            _make(warehouse, table, standing.get(table.name, []))
        warehouse.run("DELETE FROM meta.contract WHERE release = ?", [contract.release])
        rows = [
            (contract.release, table.name, place, one.name, one.type, one.unit, one.ucd, one.description, one.required, contract.sha256)
            for table in contract.tables
            for place, one in enumerate(table.columns)
        ]  # fmt: skip
        ledger.write_rows(warehouse.con, "meta.contract", rows)


def _make(warehouse: Warehouse, table: TableContract, there: list[str]) -> None:
    wanted = [column.name for column in table.columns] + [CHUNK_COLUMN]
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
