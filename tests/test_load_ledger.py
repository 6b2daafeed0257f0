"""Each file is loaded exactly once, and the ledger says from where."""

from __future__ import annotations

import hashlib
import json
import random

import pytest
from conftest import DR2, Sky
from load_bench import CONTRACT, DISTANCE, KNOWN, PHOTOMETRY, VOTABLES, Bench, row_of
from skysy.loaders.load import load_directory, plan_directory

from skysy import ledger
from skysy.config import Settings
from skysy.errors import LoadError, SourceChanged
from skysy.formats.write import SUFFIX
from skysy.store import open_warehouse

pytest_plugins = ("load_fixtures",)


def detections(first: int, count: int = 3) -> list[dict[str, object]]:
    return [row_of(PHOTOMETRY, image_id=first + n) for n in range(count)]


def test_the_same_file_again_changes_nothing(bench: Bench) -> None:
    bench.write("dr2.photometry.csv", PHOTOMETRY, "csv", detections(1))
    assert bench.outcomes() == {"dr2.photometry.csv": "loaded"}
    before = bench.hashes()
    for _ in range(2):
        assert bench.outcomes() == {"dr2.photometry.csv": "unchanged"}
    assert bench.outcomes(replace=True) == {"dr2.photometry.csv": "unchanged"}
    assert bench.hashes() == before


def test_other_content_under_a_loaded_name_is_refused_and_replace_takes_it(bench: Bench) -> None:
    bench.write("dr2.photometry.a.csv", PHOTOMETRY, "csv", detections(1))
    bench.write("dr2.photometry.b.csv", PHOTOMETRY, "csv", detections(10))
    bench.load()
    bench.write("dr2.photometry.a.csv", PHOTOMETRY, "csv", detections(20, 2))
    error = bench.refused(SourceChanged, "dr2.photometry.a.csv is loaded already", "other content")
    assert "--replace" in error.remedy
    assert bench.outcomes(replace=True) == {"dr2.photometry.a.csv": "replaced", "dr2.photometry.b.csv": "unchanged"}
    assert bench.values(PHOTOMETRY, "image_id") == [10, 11, 12, 20, 21]
    assert bench.rows("SELECT count(*) FROM meta.chunk") == [(2,)]


def test_a_replacement_that_is_refused_leaves_the_old_rows(bench: Bench) -> None:
    path = bench.write("dr2.photometry.csv", PHOTOMETRY, "csv", detections(1))
    bench.load()
    good = path.read_text()
    for bad in (good + "9,7,1,u,bright,0.1,0,0,t\n", good.replace("used_in_clip", "clipped"), ""):
        path.write_text(bad)
        bench.refused(bench_kind(bench), "dr2.photometry.csv", replace=True)
    path.write_text(good + "9,7,1,u,15.5,0.1,0,0,t\n")
    assert bench.outcomes(replace=True) == {"dr2.photometry.csv": "replaced"}
    assert bench.values(PHOTOMETRY, "image_id") == [1, 2, 3, 9]


def bench_kind(bench: Bench) -> type[LoadError]:
    """The kind of error that a replacing load meets now."""
    with pytest.raises(LoadError) as caught:
        bench.load(replace=True)
    return type(caught.value)


def test_the_same_content_under_another_name_is_refused(bench: Bench) -> None:
    path = bench.write("dr2.photometry.part1.csv", PHOTOMETRY, "csv", detections(1))
    bench.load()
    copy = bench.text("dr2.photometry.part01.csv", path.read_bytes())
    bench.refused(LoadError, copy.name, "the same content as dr2.photometry.part1.csv", "twice")
    copy.unlink()
    assert bench.outcomes() == {path.name: "unchanged"}


def test_the_same_rows_in_other_bytes_are_refused(bench: Bench) -> None:
    bench.write("dr2.photometry.a.csv", PHOTOMETRY, "csv", detections(1))
    bench.load()
    again = list(reversed(detections(1)))
    path = bench.write("dr2.photometry.b.parquet", PHOTOMETRY, "parquet", again)
    bench.refused(LoadError, path.name, "the same 3 rows as dr2.photometry.a.csv")
    path.unlink()
    bench.write(path.name, PHOTOMETRY, "parquet", detections(2))
    assert bench.outcomes()[path.name] == "loaded"


def test_a_part_that_is_loaded_is_not_loaded_again_from_another_format_but_replaced_when_asked(bench: Bench) -> None:
    old = bench.write("dr2.photometry.part1.csv", PHOTOMETRY, "csv", detections(1))
    bench.load()
    old.unlink()
    new = bench.write("dr2.photometry.part1.parquet", PHOTOMETRY, "parquet", detections(5))
    error = bench.refused(SourceChanged, new.name, "the same part of dr2.photometry as dr2.photometry.part1.csv")
    assert "--replace" in error.remedy
    assert bench.outcomes(replace=True) == {new.name: "replaced"}
    assert bench.values(PHOTOMETRY, "image_id") == [5, 6, 7]
    assert bench.outcomes() == {new.name: "unchanged"}


@pytest.mark.parametrize("form", ["parquet", "csv.gz", *VOTABLES, "fits"])
def test_the_ledger_tells_file_checksum_rows_and_run_of_each_row(bench: Bench, form: str) -> None:
    rows = [row_of(DISTANCE, source_id=1), row_of(DISTANCE, source_id=1, r_est=5.0)]
    path = bench.write(f"{DISTANCE}{SUFFIX[form]}", DISTANCE, form, rows)
    bench.load()
    [found] = bench.rows(
        "SELECT release, table_name, service, source, format, expected_rows, received_rows, bytes, sha256, state, notes, "
        "content_hash, started_at <= ended_at FROM meta.chunk"
    )
    counted = None if form == "csv.gz" else 2  # CSV does not say how many rows it has
    family = {"csv.gz": "csv"}.get(form, form.split("-")[0])
    content = path.read_bytes()
    assert found[:10] == (
        DR2, DISTANCE, "file", path.name, family, counted, 2, len(content), hashlib.sha256(content).hexdigest(), "loaded",
    )  # fmt: skip
    notes = json.loads(found[10])
    assert notes["duplicate_keys"] == 1
    assert notes["absent_columns"] == ["r_lo", "r_hi", "r_len"]
    assert found[11] == bench.hash(DISTANCE)
    assert found[12]
    joined = f"JOIN meta.chunk c ON c.chunk_id = t.{ledger.CHUNK_COLUMN} JOIN meta.run r USING (run_id)"
    told = bench.rows(f"SELECT c.source, r.command, r.state FROM {DISTANCE} t {joined}")
    assert told == [(path.name, "load", "done")] * 2


def test_runs_are_noted_with_their_end(bench: Bench) -> None:
    bench.write("known.objects.csv", KNOWN, "csv", [row_of(KNOWN)])
    bench.load()
    bench.text("known.objects.2.csv", "x\n")
    with pytest.raises(LoadError):
        bench.load()
    assert bench.rows("SELECT command, state, ended_at IS NOT NULL FROM meta.run ORDER BY run_id") == [
        ("load", "done", True), ("load", "failed", True),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["loaded_chunk", "next_chunk_id", "content_hash", "write_chunk"])
def test_an_end_at_any_moment_within_a_file_keeps_none_of_it_and_the_next_load_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for part in range(3):
        bench.write(f"dr2.photometry.{part}.csv", PHOTOMETRY, "csv", detections(part * 10))
    real, calls = getattr(ledger, name), 0

    def stop(*words: object, **others: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return real(*words, **others)

    with monkeypatch.context() as patch:
        patch.setattr(ledger, name, stop)
        with pytest.raises(KeyboardInterrupt):
            bench.load()
    assert bench.rows("SELECT count(*) FROM meta.chunk") == [(1,)]
    assert bench.values(PHOTOMETRY, "image_id") == [0, 1, 2]
    assert list(bench.outcomes().values()) == ["unchanged", "loaded", "loaded"]
    assert bench.values(PHOTOMETRY, "image_id") == [0, 1, 2, 10, 11, 12, 20, 21, 22]


def test_a_plan_says_what_a_load_would_do_and_checks_columns_without_writing(bench: Bench) -> None:
    bench.write("known.objects.csv", KNOWN, "csv", [row_of(KNOWN)])
    bench.write(f"{DISTANCE}.vot", DISTANCE, "votable-binary2", [row_of(DISTANCE)])
    bench.load()
    bench.write(f"{DISTANCE}.vot", DISTANCE, "votable-binary2", [row_of(DISTANCE, r_est=1.0)] * 2)
    bench.write("dr2.photometry.csv", PHOTOMETRY, "csv", detections(1))
    before = bench.hashes()
    with open_warehouse(bench.settings) as warehouse:
        planned = plan_directory(warehouse, DR2, bench.files)
        assert [(one.source, one.outcome, one.rows) for one in planned.files] == [
            ("dr2.photometry.csv", "load", 0), (f"{DISTANCE}.vot", "changed", 2), ("known.objects.csv", "unchanged", 0),
        ]  # fmt: skip
        bench.text("dr2.photometry.csv", "object_id\n1\n")
        with pytest.raises(LoadError, match=r"image_id of dr2\.photometry is missing"):
            plan_directory(warehouse, DR2, bench.files)
    assert bench.hashes() == before


def test_many_parts_in_any_order_give_the_rows_of_one_file(bench: Bench, prepared: Settings) -> None:
    rows = detections(100, 60)
    random.Random(3).shuffle(rows)
    forms = ("parquet", "csv", "csv.gz", *VOTABLES)
    for part, form in enumerate(forms):
        bench.write(f"dr2.photometry.{part}{SUFFIX[form]}", PHOTOMETRY, form, rows[part * 10 : part * 10 + 10])
    bench.load()
    apart = bench.hash(PHOTOMETRY)
    for path in bench.files.iterdir():
        path.unlink()
    bench.write("dr2.photometry.parquet", PHOTOMETRY, "parquet", sorted(rows, key=lambda row: str(row["image_id"])))
    with open_warehouse(bench.settings, write=True) as warehouse:
        warehouse.run("DELETE FROM dr2.photometry")
        warehouse.run("DELETE FROM meta.chunk")
        load_directory(warehouse, DR2, bench.files)
    assert bench.hash(PHOTOMETRY) == apart


def test_comments_of_every_column_stand_in_the_warehouse(bench: Bench) -> None:
    found = {
        (f"{schema}.{table}", name): comment
        for schema, table, name, comment in bench.rows(
            "SELECT schema_name, table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"
        )
    }
    for table in CONTRACT.tables:
        for column in table.columns:
            assert found[table.name, column.name] == column.comment


def test_the_simulated_sky_was_loaded_exactly_once(simulated: Sky) -> None:
    with open_warehouse(simulated.settings) as warehouse:
        rows = warehouse.rows("SELECT table_name, source, received_rows, content_hash, chunk_id FROM meta.chunk")
        assert sorted(row[1] for row in rows) == sorted(p.name for p in simulated.files.iterdir() if p.is_file())
        for table, _, received, content, chunk_id in rows:
            names = warehouse.columns(*table.split("."))[:-1]
            where = f"WHERE {ledger.CHUNK_COLUMN} = {chunk_id}"
            assert ledger.content_hash(warehouse.con, table, names, where) == content
            assert warehouse.value(f"SELECT count(*) FROM {table} {where}") == received
