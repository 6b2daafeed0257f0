"""A VOTable of 250,000 detections to a DuckDB table: `skysy load`'s reader against astropy's.

    python benchmarks/votable_readers.py

Both start with the file on disk and end with the rows committed in a warehouse that had the empty table; the contents must be
equal. skysy's time has all its checks in it (checksum, contract, values). The other side is
`parse_single_table(...).to_table()`, its columns as Arrow arrays with their masks, and one INSERT.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench
import duckdb
import numpy as np
import pyarrow as pa
from astropy.io.votable import parse_single_table
from skysy.analysis.simulate.write import simulate
from skysy.loaders.load import load_directory
from skysy.loaders.raw import prepare

from skysy import ledger
from skysy.config import Settings
from skysy.contract import load_contract
from skysy.formats.write import write_table
from skysy.store import create, open_warehouse

TABLE = load_contract(bench.RELEASE).table("dr2.photometry")
FORMS = ("votable-binary2", "votable-binary", "votable-tabledata")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=250_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with bench.workplace() as place:
        empty = Settings(place / "empty", "2GB", 2)
        create(empty)
        with open_warehouse(empty, write=True) as house:
            prepare(house, load_contract(bench.RELEASE))
        content = detections(place, given.rows)
        lines = []
        for form in FORMS:
            files = place / form
            files.mkdir()
            path = files / "dr2.photometry.vot"
            write_table(path, form, content, TABLE.columns, name=TABLE.name)
            lines.append(compare(place, files, empty, form, given.rounds))
        head = ("serialization", "MB", "skysy s", "astropy s", "astropy's time over skysy's", "skysy rows/s")
        bench.publish(
            "votable_readers",
            [f"{content.num_rows:,} rows of {content.num_columns} columns, {given.rounds} rounds.", "", *bench.table(head, lines)],
        )  # fmt: skip


def detections(place: Path, rows: int) -> pa.Table:
    """So many rows of the photometry of a simulated sky."""
    simulate(place / "sky", objects=rows // 30, seed=11)
    photometry = place / "photometry"
    photometry.mkdir()
    for path in (place / "sky").glob("dr2.photometry*"):
        path.rename(photometry / path.name)
    where = Settings(place / "source", "2GB", 2)
    create(where)
    names = ", ".join(f'"{column.name}"' for column in TABLE.columns)
    with open_warehouse(where, write=True) as house:
        load_directory(house, bench.RELEASE, photometry)
        found: pa.Table = house.con.sql(f"SELECT {names} FROM {TABLE.name} LIMIT {rows}").to_arrow_table()
    return found


def compare(place: Path, files: Path, empty: Settings, form: str, rounds: int) -> tuple[str, ...]:
    """One line of the table."""
    hashes: dict[str, str] = {}
    path = files / "dr2.photometry.vot"

    def side(name: str, read: Callable[[Path, Settings], None]) -> Callable[[], float]:
        def once() -> float:
            where = Settings(place / "warehouse", "2GB", 2)
            shutil.rmtree(where.warehouse, ignore_errors=True)
            shutil.copytree(empty.warehouse, where.warehouse)
            took = bench.seconds(lambda: read(path, where))
            with open_warehouse(where) as house:
                names = [column.name for column in TABLE.columns]
                hashes[name] = ledger.content_hash(house.con, TABLE.name, names)
            return took

        return once

    found = bench.by_turns({"skysy": side("skysy", with_skysy), "astropy": side("astropy", with_astropy)}, rounds)
    if hashes["skysy"] != hashes["astropy"]:
        raise SystemExit(f"{form}: the sides differ: {hashes}")
    rows = int(hashes["skysy"].split("-")[0], 16)
    return (
        form.removeprefix("votable-").upper(), f"{path.stat().st_size / 1e6:.0f}", bench.told(found["skysy"]),
        bench.told(found["astropy"]), bench.ratios(found["astropy"], found["skysy"]),
        f"{rows / sorted(found['skysy'])[rounds // 2]:,.0f}",
    )  # fmt: skip


def with_skysy(path: Path, where: Settings) -> None:
    """As `skysy load --from` does it."""
    with open_warehouse(where, write=True) as house:
        load_directory(house, bench.RELEASE, path.parent)


def with_astropy(path: Path, where: Settings) -> None:
    """As a script would do it."""
    found = parse_single_table(path, verify="ignore").to_table()
    arrays = {name: arrow(found[name]) for name in found.colnames}
    arrays[ledger.CHUNK_COLUMN] = pa.array(np.ones(len(found), dtype=np.int32))
    rows = pa.table(arrays)
    with duckdb.connect(str(where.database), config={"threads": where.threads}) as con:
        con.register("_rows", rows)
        con.execute(f"INSERT INTO {TABLE.name} BY NAME SELECT * FROM _rows")


def arrow(column: Any) -> pa.Array:
    """A column of astropy's as an Arrow array; what is masked is null."""
    values = np.ma.asarray(column)
    mask = np.ma.getmaskarray(values)
    if values.dtype.kind in "OSU":
        return pa.array([None if gone else str(one) for one, gone in zip(values.data, mask, strict=True)])
    return pa.array(values.data, mask=mask)


if __name__ == "__main__":
    main()
