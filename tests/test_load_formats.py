"""Every format brings the same rows, bit for bit, as a stream."""

from __future__ import annotations

import tracemalloc
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from conftest import Sky
from load_bench import (
    CONTRACT,
    DISTANCE,
    IMAGES,
    KNOWN,
    PHOTOMETRY,
    VOTABLES,
    Bench,
    contract_columns,
    row_of,
    table_of,
)
from skysy.loaders import csv, packed, votable_rows
from skysy.loaders.csv import open_csv
from skysy.loaders.votable import open_votable

from skysy import ledger
from skysy.config import Settings
from skysy.formats.fits import booleans_as_numbers
from skysy.formats.write import SUFFIX, write_table
from skysy.store import open_warehouse

pytest_plugins = ("load_fixtures",)

TABLES = [table.name for table in CONTRACT.tables]
SAMPLE = 250


@cache
def sample_of(sky: Settings, table: str) -> tuple[pa.Table, str]:
    """Rows of a table of the simulated sky, as the archive would send them, and their content hash."""
    names = [one.name for one in CONTRACT.table(table).columns]
    listed = ", ".join(f'"{name}"' for name in names)
    with open_warehouse(sky) as warehouse:
        # the first rows by hash: a sample with faults of all kinds in it
        warehouse.run(f"CREATE TEMP TABLE sample AS SELECT {listed} FROM {table} t ORDER BY hash(t) LIMIT {SAMPLE}")
        return warehouse.con.sql("FROM sample").to_arrow_table(), ledger.content_hash(warehouse.con, "sample", names)


@pytest.mark.parametrize("form", ["parquet", "csv.gz", *VOTABLES, "fits"])
def test_every_format_brings_the_same_rows_of_every_table(simulated: Sky, bench: Bench, form: str) -> None:
    wanted = {}
    for table in TABLES:
        rows, content = sample_of(simulated.settings, table)
        if len(rows):
            about = CONTRACT.table(table).columns
            columns = booleans_as_numbers(about) if form == "fits" else about
            write_table(bench.files / f"{table}{SUFFIX[form]}", form, rows, columns, name=table)
            wanted[table] = content
    assert {one.table: one.rows for one in bench.load().files} == {
        table: len(sample_of(simulated.settings, table)[0]) for table in wanted
    }
    found = bench.hashes()
    assert {table: found[table] for table in wanted} == wanted


@pytest.mark.parametrize("form", ["parquet", "csv", "csv.gz", *VOTABLES, "fits"])
def test_a_table_without_rows_is_loaded_as_such(bench: Bench, form: str) -> None:
    path = bench.write(f"{DISTANCE}{SUFFIX[form]}", DISTANCE, form, table_of(DISTANCE, []))
    done = bench.one()
    assert (done.outcome, done.rows) == ("loaded", 0)
    assert bench.outcomes() == {path.name: "unchanged"}


def test_parts_without_rows_are_not_taken_for_copies_of_each_other(bench: Bench) -> None:
    for part in "ab":
        bench.write(f"{DISTANCE}.{part}.csv", DISTANCE, "csv", table_of(DISTANCE, []))
    assert set(bench.outcomes().values()) == {"loaded"}


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_csv_of_a_header_alone_has_no_rows(bench: Bench, ending: str) -> None:
    bench.text("known.objects.csv", f"object_id,name{ending}")
    assert bench.one().rows == 0


@pytest.mark.parametrize("form", ["parquet", "csv", *VOTABLES, "fits"])
def test_columns_come_in_any_order_and_others_are_noted_and_left_out(bench: Bench, form: str) -> None:
    row = row_of(DISTANCE, r_lo=4000.25)
    names = [*reversed(row), "mood", "weight"]
    bench.write(f"{DISTANCE}{SUFFIX[form]}", DISTANCE, form, table_of(DISTANCE, [{**row, "mood": "x"}], names))
    assert bench.one().notes["ignored_columns"] == ["mood", "weight"]
    assert bench.rows(f"SELECT source_id, r_est, r_lo, r_hi, result_flag FROM {DISTANCE}") == [
        (4075332117418593537, 4350.5, 4000.25, None, 1)
    ]


@pytest.mark.parametrize("form", ["parquet", "csv.gz", *VOTABLES])
def test_ids_of_19_digits_are_exact_also_next_to_nulls(bench: Bench, form: str) -> None:
    ids = [9223372036854775807, 4075332117418593537, None, 6015507731384081665, -9223372036854775807, None]
    rows = [row_of(PHOTOMETRY, image_id=number, object_id=value) for number, value in enumerate(ids)]
    bench.write(f"dr2.photometry{SUFFIX[form]}", PHOTOMETRY, form, rows)
    assert bench.one().notes["nulls"] == {"object_id": 2}
    assert bench.values(PHOTOMETRY, "object_id") == ids


def test_ids_of_19_digits_are_exact_in_fits_also_next_to_nulls(bench: Bench) -> None:
    ids = [9223372036854775807, None, 4075332117418593537]
    rows = [row_of(IMAGES, image_id=value, night_mjd=number) for number, value in enumerate(ids)]
    bench.write("dr2.images.fits", IMAGES, "fits", rows)
    bench.one()
    assert [row[0] for row in bench.rows("SELECT image_id FROM dr2.images ORDER BY night_mjd")] == ids


def big_known(rows: int) -> pa.Table:
    """Many rows of some length."""
    numbers = range(rows)
    return pa.table({"object_id": numbers, "name": [f"star number {n:08d} of a long list" for n in numbers]})


class Listener:
    """Stands where DuckDB does and takes the reader that it would be given."""

    reader: pa.RecordBatchReader

    def register(self, name: str, reader: pa.RecordBatchReader) -> None:
        self.reader = reader


@pytest.mark.parametrize("form", ["csv.gz", "votable-binary2", "votable-tabledata"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    for module, name, value in (
        (csv, "BLOCK", 1 << 14), (packed, "BLOCK", 1 << 14), (votable_rows, "_BYTES", 1 << 14), (votable_rows, "_BATCH", 1024),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)

    def peak(rows: int) -> int:
        path = tmp_path / f"known.objects.{rows}{SUFFIX[form]}"
        table = big_known(rows)
        write_table(path, form, table, contract_columns(KNOWN, table.column_names), name=KNOWN)
        del table
        before = pa.total_allocated_bytes()
        listener: Any = Listener()
        most = count = 0
        tracemalloc.start()
        with open_csv(path, CONTRACT.table(KNOWN)) if form == "csv.gz" else open_votable(path) as source:
            source.relation(listener)
            for batch in listener.reader:
                count += batch.num_rows
                most = max(most, pa.total_allocated_bytes() - before + tracemalloc.get_traced_memory()[1])
                tracemalloc.reset_peak()
                del batch
        tracemalloc.stop()
        assert count == rows
        return most

    peak(1_000)
    small, large = (80_000, 400_000) if form == "csv.gz" else (10_000, 50_000)
    # Arrow reads ahead as fast as it is let: how far it is when asked is chance, by a factor that stays below two.
    assert peak(large) < 2 * peak(small)
