"""Exports carry every value, unit, UCD and description, and appear whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import duckdb
import models_toy as toy
import pyarrow.parquet as pq
import pytest
from astropy.io.votable import parse_single_table
from conftest import MakeArchive, detection, exposures, red_giant, together

from skysy.config import Settings
from skysy.errors import NotFound, UsageError
from skysy.export import described_columns, export, marts
from skysy.formats.parquet import ParquetStream
from skysy.formats.write import write_table
from skysy.store import open_warehouse


@pytest.fixture
def built(make_archive: MakeArchive) -> Settings:
    images = exposures(20150101120000, "uvgruvizuv", 57000.5)
    rows = [detection(1000, image, 15.0 + place / 7, 0.0041) for place, image in enumerate(images)]
    return make_archive(together(red_giant(1000), red_giant(2000), {"dr2.images": images, "dr2.photometry": rows}))


def test_every_result_becomes_one_file_with_the_same_rows(built: Settings, tmp_path: Path) -> None:
    with open_warehouse(built) as warehouse:
        written = export(warehouse, tmp_path / "out")
        assert [one.table for one in written] == marts(warehouse)
        assert {"sample", "measurements", "colours", "candidates"} <= {one.table for one in written}
        for one in written:
            there = warehouse.rows(f"SELECT * FROM {one.table} ORDER BY ALL")
            assert duckdb.sql(f"FROM '{one.path}'").fetchall() == there
            assert one.rows == len(there)


def test_units_ucds_and_descriptions_survive_for_pyarrow_and_for_the_virtual_observatory(
    built: Settings, tmp_path: Path
) -> None:
    with open_warehouse(built) as warehouse:
        export(warehouse, tmp_path, ["colours"])
        expected = described_columns(warehouse, "colours")
    assert all(column.description and column.ucd for column in expected)
    schema = pq.read_schema(tmp_path / "colours.parquet")
    header = schema.metadata[b"IVOA.VOTable-Parquet.content"]
    fields = {field.name: field for field in parse_single_table(io.BytesIO(header)).fields}
    for column in expected:
        notes = {key.decode(): text.decode() for key, text in (schema.field(column.name).metadata or {}).items()}
        assert notes.get("unit") == column.unit
        assert notes.get("ucd") == column.ucd
        assert notes.get("description") == column.description
        field = fields[column.name]
        assert (str(field.unit) if field.unit else None) == column.unit
        assert field.ucd == column.ucd
        assert field.description == column.description


def test_the_same_warehouse_gives_the_same_bytes(built: Settings, tmp_path: Path) -> None:
    for name in ("one", "two"):
        with open_warehouse(built) as warehouse:
            export(warehouse, tmp_path / name, ["measurements"])
    first, second = ((tmp_path / name / "measurements.parquet").read_bytes() for name in ("one", "two"))
    assert first == second


def test_an_unknown_table_is_refused_with_the_names_there_are(built: Settings, tmp_path: Path) -> None:
    with (
        open_warehouse(built) as warehouse,
        pytest.raises(NotFound, match="no derived table colour") as caught,
    ):
        export(warehouse, tmp_path, ["colour"])
    assert "colours" in caught.value.remedy
    assert list(tmp_path.glob("*.parquet")) == []


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(built: Settings, tmp_path: Path) -> None:
    with open_warehouse(built) as warehouse:
        export(warehouse, tmp_path, ["colours"])
        before = (tmp_path / "colours.parquet").read_bytes()
        columns = described_columns(warehouse, "colours")
        with (
            pytest.raises(UsageError, match="no column"),
            ParquetStream(tmp_path / "colours.parquet", columns, name="colours") as out,
        ):
            out.write(pq.read_table(tmp_path / "colours.parquet").drop_columns(["ug_mag"]))
    assert (tmp_path / "colours.parquet").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("form", ["csv", "votable"])
def test_a_table_is_written_batch_by_batch_as_if_it_were_whole(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = toy.toy_settings(tmp_path / "w", threads=1)
    with open_warehouse(where, write=True, make=True) as house:
        house.run(
            "CREATE TABLE words AS SELECT i, CASE i % 3 WHEN 0 THEN 'é' || i WHEN 1 THEN 'e' || i END AS word FROM range(5000) AS r(i)"
        )
        house.run("CREATE TABLE plain AS SELECT i, 'e' || i AS word FROM range(10) AS r(i)")
        monkeypatch.setattr("skysy.export._BATCH", 2048)
        kind = {"votable": "votable-binary2"}.get(form, form)
        for table in ("words", "plain"):
            [done] = export(house, tmp_path, [table], form=form)
            rows = house.con.sql(f"FROM {table} ORDER BY ALL").to_arrow_table()
            write_table(tmp_path / "whole", kind, rows, described_columns(house, table), name=table)
            assert done.path.read_bytes() == (tmp_path / "whole").read_bytes()
            assert done.rows == len(rows)
