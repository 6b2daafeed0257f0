"""Detections from CSV.gz and Parquet into the warehouse: `skysy load` against DuckDB's bare CREATE TABLE AS of the same file.

    python benchmarks/load_vs_duckdb.py

Both start with the files on disk and end with the rows committed. DuckDB is told the columns' types and takes the file as it is;
skysy's time has contract, values, duplicate keys, checksums and ledger in it.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path

import bench
import duckdb
import pyarrow as pa
from skysy.loaders.load import load_directory
from skysy.loaders.raw import prepare
from votable_readers import TABLE, detections

from skysy.config import Settings
from skysy.contract import load_contract
from skysy.formats.write import write_table
from skysy.store import create, open_warehouse

FORMS = {"csv.gz": ".csv.gz", "parquet": ".parquet"}
SKYSY, DUCKDB = "skysy load", "CREATE TABLE AS"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with bench.workplace() as place:
        empty = Settings(place / "empty", "4GB", 2)
        create(empty)
        with open_warehouse(empty, write=True) as house:
            prepare(house, load_contract(bench.RELEASE))
        content = detections(place, given.rows)
        lines = [compare(place, empty, content, form, given.rounds) for form in FORMS]
        head = ("format", "MB", "skysy s", "CREATE TABLE AS s", "skysy's time over it")
        about = f"{content.num_rows:,} rows of {content.num_columns} columns, {given.rounds} rounds."
        bench.publish("load_vs_duckdb", [about, "", *bench.table(head, lines)])


def compare(place: Path, empty: Settings, content: pa.Table, form: str, rounds: int) -> tuple[str, ...]:
    """One line of the table."""
    files = place / form
    files.mkdir()
    path = files / f"dr2.photometry{FORMS[form]}"
    write_table(path, form, content, TABLE.columns, name=TABLE.name)
    rows: dict[str, int] = {}

    def ours() -> float:
        where = Settings(place / "warehouse", "4GB", 2)
        shutil.rmtree(where.warehouse, ignore_errors=True)
        shutil.copytree(empty.warehouse, where.warehouse)

        def load() -> None:
            with open_warehouse(where, write=True) as house:
                load_directory(house, bench.RELEASE, files)

        took = bench.seconds(load)
        with open_warehouse(where) as house:
            rows[SKYSY] = int(house.value(f"SELECT count(*) FROM {TABLE.name}"))
        return took

    def theirs() -> float:
        database = place / "bare.duckdb"
        database.unlink(missing_ok=True)
        took = bench.seconds(lambda: bare(database, path, form))
        with duckdb.connect(str(database)) as con:
            rows[DUCKDB] = int(con.execute("SELECT count(*) FROM t").fetchall()[0][0])
        return took

    sides: dict[str, Callable[[], float]] = {SKYSY: ours, DUCKDB: theirs}
    found = bench.by_turns(sides, rounds)
    if rows[SKYSY] != rows[DUCKDB]:
        raise SystemExit(f"{form}: the sides differ: {rows}")
    return (
        form, f"{path.stat().st_size / 1e6:.0f}", bench.told(found[SKYSY]), bench.told(found[DUCKDB]),
        bench.ratios(found[SKYSY], found[DUCKDB], 2),
    )  # fmt: skip


def bare(database: Path, path: Path, form: str) -> None:
    """DuckDB alone, in a process that has it imported already."""
    types = ", ".join(f"'{column.name}': '{column.type}'" for column in TABLE.columns)
    source = (
        f"read_parquet('{path}')" if form == "parquet" else f"read_csv('{path}', columns = {{{types}}}, header = true)"
    )
    with duckdb.connect(str(database), config={"threads": 2}) as con:
        con.execute(f"CREATE TABLE t AS SELECT * FROM {source}")


if __name__ == "__main__":
    main()
