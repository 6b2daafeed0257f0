"""A build is all or nothing: new tables with their comments and ledger, or the old ones untouched."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import models_toy as toy
import pyarrow as pa
import pytest

from skysy import ledger
from skysy.config import Settings, settings
from skysy.errors import AuditFailed, ModelError, SqlError
from skysy.models.build import run_build
from skysy.models.plan import Engine, Step
from skysy.models.project import load_project
from skysy.models.told import AuditResult, BuildSummary, BuiltModel
from skysy.store import Warehouse, open_warehouse


@pytest.fixture
def science(tmp_path: Path) -> Path:
    return toy.write_science(tmp_path / "sql")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Warehouse]:
    with open_warehouse(toy.make_warehouse(tmp_path / "w"), write=True) as opened:
        yield opened


def build(house: Warehouse, science: Path, *words: str, engines: dict[str, Engine] | None = None) -> BuildSummary:
    return run_build(house, load_project("toy", science, settings=words), engines=engines)


def test_a_build_gives_what_plain_python_gives(house: Warehouse, science: Path) -> None:
    build(house, science)
    seen: dict[tuple[int, float], float] = {}
    for object_id, t, band, mag in house.rows("SELECT object_id, t, band, mag FROM toy.obs ORDER BY band, mag"):
        if mag < 20.0 and band in ("u", "v"):
            seen.setdefault((object_id, t), mag)
    expected = []
    for star in sorted({object_id for object_id, _ in seen}):
        mags = [mag for (object_id, _), mag in sorted(seen.items()) if object_id == star]
        weights = [1 / (mag * 1e-3 + 0.01) for mag in mags]
        mean = sum(m * w for m, w in zip(mags, weights, strict=True)) / sum(weights)
        steps = [abs(b - a) for a, b in pairwise(mags)]
        expected.append((star, pytest.approx(mean, abs=1e-9), pytest.approx(max(steps), abs=1e-12), len(mags)))
    assert house.rows("FROM means ORDER BY object_id") == expected


def test_the_ledger_tells_what_was_built_from_what(house: Warehouse, science: Path) -> None:
    summary = build(house, science)
    assert [model.name for model in summary.models] == ["stg_obs", "int_kept", "means", "totals"]
    rows = {row[0]: row[1:] for row in house.rows("SELECT model, release, kind, rows, content_hash FROM meta.model")}
    assert rows["stg_obs"] == ("toy", "view", None, None)
    columns = house.columns("main", "means")
    assert rows["means"] == ("toy", "table", 50, ledger.content_hash(house.con, "means", columns))
    parameters, inputs, versions = house.rows(
        "SELECT parameters, inputs, versions FROM meta.model WHERE model = 'int_kept'"
    )[0]
    assert json.loads(parameters) == {"bands": "['u', 'v']", "mag_max": "20.0"}
    assert list(json.loads(inputs)["models"]) == ["stg_obs"]
    assert set(json.loads(versions)) == {"skysy", "duckdb"}
    assert house.rows("SELECT name, value, type, unit, origin FROM meta.parameter ORDER BY name") == [
        ("bands", "['u', 'v']", "VARCHAR[]", None, "sql/00_parameters.sql"),
        ("floor_mag", "0.01", "DECIMAL", "mag", "sql/00_parameters.sql"),
        ("mag_max", "20.0", "DECIMAL", "mag", "sql/00_parameters.sql"),
    ]
    last = house.rows("SELECT command, state, ended_at IS NOT NULL FROM meta.run ORDER BY run_id DESC LIMIT 1")
    assert last == [("build", "done", True)]


def test_every_column_and_table_has_its_comment_views_too(house: Warehouse, science: Path) -> None:
    build(house, science)
    found = {
        (table, column): comment
        for table, column, comment in house.rows(
            "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal"
        )
    }
    assert len(found) == 4 + 3 + 4 + 2
    assert all(found.values())
    assert found["means", "mean_mag"] == "weighted mean [mag] {phot.mag;stat.mean}"
    assert found["stg_obs", "t"] == "time, MJD [d] {time.epoch}"
    [(comment,)] = house.rows("SELECT comment FROM duckdb_tables() WHERE table_name = 'means'")
    assert comment == "mean magnitude and largest step of each object. Grain: one row per object_id."


def test_a_parameter_for_one_build_changes_the_rows_and_is_written_down(house: Warehouse, science: Path) -> None:
    build(house, science)
    before = house.value("SELECT sum(n) FROM means")
    summary = build(house, science, "mag_max=18")
    assert [model.name for model in summary.models] == ["int_kept", "means", "totals"]
    kept = house.value("SELECT count(*) FROM toy.obs WHERE mag < 18")
    assert house.value("SELECT sum(n) FROM means") == kept < before
    assert house.rows("SELECT value, origin FROM meta.parameter WHERE name = 'mag_max'") == [("18", "--set mag_max")]


def test_a_build_there_and_back_gives_the_same_rows(house: Warehouse, science: Path) -> None:
    build(house, science)
    hashes = house.rows("SELECT model, content_hash, fingerprint FROM meta.model ORDER BY model")
    build(house, science, "mag_max=18")
    assert house.rows("SELECT model, content_hash, fingerprint FROM meta.model ORDER BY model") != hashes
    build(house, science)
    assert house.rows("SELECT model, content_hash, fingerprint FROM meta.model ORDER BY model") == hashes


def break_last_model(science: Path) -> None:
    toy.edit(science, "means.sql", "1e-3", "2e-3")
    toy.edit(science, "totals.sql", "max(mean_mag)", "max(CAST('x' || mean_mag AS DOUBLE))")


def break_audit(science: Path) -> None:
    toy.edit(science, "means.sql", "GROUP BY object_id", "GROUP BY object_id, n_per_row")
    toy.edit(science, "means.sql", "object_id, mag,", "object_id, mag, t AS n_per_row,")


def break_engine(science: Path) -> None:
    toy.edit(science, "totals.sql", "-- inputs: means", "-- inputs: means\n-- engine: fast")


@pytest.mark.parametrize(
    ("break_it", "error"),
    [(break_last_model, SqlError), (break_audit, AuditFailed), (break_engine, ModelError)],
)
def test_a_failure_at_the_end_leaves_tables_and_ledger_as_they_were(
    house: Warehouse, science: Path, break_it: object, error: type[ModelError]
) -> None:
    build(house, science)
    before = toy.state_of(house)
    assert callable(break_it)
    break_it(science)
    with pytest.raises(error):
        build(house, science, "mag_max=19", engines={"fast": lambda _: pa.table({"n_objects": [1]})})
    assert toy.state_of(house) == before
    assert house.value("SELECT state FROM meta.run ORDER BY run_id DESC LIMIT 1") == "failed"
    assert house.rows("SELECT 1 + 1") == [(2,)]


def test_a_failed_audit_names_promise_count_and_a_row_and_says_what_stands(house: Warehouse, science: Path) -> None:
    break_audit(science)
    with pytest.raises(AuditFailed) as caught:
        build(house, science)
    assert "aud_keys: means has one row per object. 50 rows break it" in caught.value.message
    assert '{"object_id": 0, "n": ' in caught.value.message
    assert "The tables of the last build stand" in caught.value.remedy


def test_a_warning_keeps_its_count_and_its_first_rows_in_order(house: Warehouse, science: Path) -> None:
    toy.edit(science, "aud_few.sql", "n < 3", "n < 30 ORDER BY object_id DESC")
    results = [one for one in build(house, science).audits if one.name == "aud_few"]
    assert results[0].offenders == 50
    [(offenders, sample)] = house.rows("SELECT offenders, sample FROM meta.audit WHERE audit = 'aud_few'")
    assert offenders == 50
    first = json.loads(sample)
    assert [row["object_id"] for row in first] == [0, 1, 2, 3, 4]
    assert {row["odd"] for row in first} == {"nan"}


def test_an_audit_without_a_file_is_forgotten(house: Warehouse, science: Path) -> None:
    build(house, science)
    (science / "audits/aud_few.sql").unlink()
    toy.edit(science, "means.sql", "largest", "biggest")
    build(house, science)
    assert house.rows("SELECT audit FROM meta.audit") == [("aud_keys",)]


def test_the_line_in_a_binder_error_is_the_files_line(house: Warehouse, science: Path) -> None:
    toy.edit(science, "means.sql", "FROM int_kept", "FROM int_kept WHERE no_such_column > 0")
    lines = (science / "30_marts/means.sql").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, start=1) if "no_such_column" in text)
    with pytest.raises(SqlError, match=r"means\.sql failed") as caught:
        build(house, science)
    assert f"LINE {line}:" in caught.value.message


def test_too_little_memory_is_told_with_the_option_to_raise(tmp_path: Path, science: Path) -> None:
    place = toy.make_warehouse(tmp_path / "w")
    toy.edit(science, "totals.sql", "count(*)", "len(list(repeat(CAST(object_id AS VARCHAR), 3000000)))")
    with open_warehouse(settings(place.warehouse, "60MB", 1), write=True) as house:
        with pytest.raises(SqlError, match=r"totals\.sql needs more memory than 60MB") as caught:
            build(house, science)
        assert "--memory-limit" in caught.value.remedy


def test_a_full_temp_directory_is_told_in_words(tmp_path: Path, science: Path) -> None:
    place = toy.make_warehouse(tmp_path / "w")
    (science / "30_marts/big.sql").write_text(
        "-- big: rows that do not fit.\n--\n-- grain:  one row per i\n-- inputs: totals\nSELECT\n"
        "    CAST(repeat(CAST(hash(i) AS VARCHAR), 4) AS VARCHAR) AS text -- text\n"
        "FROM range(3000000) AS r(i), totals\nORDER BY hash(i)"
    )
    with open_warehouse(settings(place.warehouse, "60MB", 1), write=True) as house:
        house.run("SET max_temp_directory_size = '1MB'")
        with pytest.raises(SqlError, match="ran out of disk for its intermediate rows"):
            build(house, science)


def test_a_renamed_model_takes_its_old_table_away(house: Warehouse, science: Path) -> None:
    build(house, science)
    text = (science / "30_marts/totals.sql").read_text().replace("-- totals:", "-- sums:")
    (science / "30_marts/totals.sql").unlink()
    (science / "30_marts/sums.sql").write_text(text)
    summary = build(house, science)
    assert (summary.dropped, [model.name for model in summary.models]) == (("totals",), ["sums"])
    assert not house.columns("main", "totals")
    assert house.rows("SELECT model FROM meta.model WHERE model IN ('totals', 'sums')") == [("sums",)]


def test_a_table_may_become_a_view_and_the_reverse(house: Warehouse, science: Path) -> None:
    build(house, science)
    rows = house.rows("FROM totals")
    toy.edit(science, "totals.sql", "-- inputs:", "-- kind:   view\n-- inputs:")
    build(house, science)
    assert house.rows("SELECT view_name FROM duckdb_views() WHERE view_name = 'totals'") == [("totals",)]
    assert house.rows("FROM totals") == rows
    toy.edit(science, "totals.sql", "-- kind:   view\n", "")
    build(house, science)
    assert house.rows("SELECT table_name FROM duckdb_tables() WHERE table_name = 'totals'") == [("totals",)]


def test_a_table_that_skysy_did_not_build_is_never_overwritten(house: Warehouse, science: Path) -> None:
    house.run("CREATE TABLE totals AS SELECT 'mine' AS note")
    with pytest.raises(ModelError, match=r"main\.totals that skysy did not build"):
        build(house, science)
    assert house.rows("FROM totals") == [("mine",)]


def test_an_engine_takes_the_place_of_sql_with_the_types_of_sql(house: Warehouse, science: Path) -> None:
    build(house, science)
    expected = house.rows("FROM totals")
    types = house.rows("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'totals'")
    toy.edit(science, "totals.sql", "-- inputs: means", "-- inputs: means\n-- engine: fast")

    def fast(warehouse: Warehouse) -> pa.Table:
        n, faintest = warehouse.rows("SELECT count(*), max(mean_mag) FROM means")[0]
        return pa.table({"faintest": [faintest], "n_objects": pa.array([n], pa.int16())})

    [built] = build(house, science, engines={"fast": fast}).models
    assert (built.name, built.engine) == ("totals", "fast")
    assert house.rows("FROM totals") == expected
    assert house.rows("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'totals'") == types
    assert house.value("SELECT versions FROM meta.model WHERE model = 'totals'").count("fast") == 1
    assert house.columns("main", "totals") == ["n_objects", "faintest"]


def test_progress_tells_each_model_as_it_starts_and_ends_and_each_audit(house: Warehouse, science: Path) -> None:
    told: list[str] = []

    def progress(event: Step | BuiltModel | AuditResult) -> None:
        told.append(f"{type(event).__name__} {event.model.name if isinstance(event, Step) else event.name}")

    run_build(house, load_project("toy", science), progress=progress)
    assert told[:4] == ["Step stg_obs", "BuiltModel stg_obs", "Step int_kept", "BuiltModel int_kept"]
    assert told[-2:] == ["AuditResult aud_few", "AuditResult aud_keys"]


def test_threads_and_memory_do_not_change_a_bit(tmp_path: Path, science: Path) -> None:
    hashes = set()
    for threads, memory in ((1, "1GB"), (2, "1GB"), (2, "120MB")):
        place = settings(tmp_path / f"w{threads}{memory}", memory, threads)
        with open_warehouse(place, write=True, make=True) as house:
            rows = (
                "SELECT i % 5000 AS object_id, 58000 + i // 5000 AS t, 'u' AS band, "
                "15 + (hash(i) % 6000) / 1000.0 AS mag FROM range(400000) AS r(i)"
            )
            toy.load_rows(house, "obs.csv", rows)
            build(house, science)
            hashes.add(tuple(house.rows("SELECT model, content_hash FROM meta.model ORDER BY model")))
            assert house.value("SELECT count(*) FROM means") == 5000
    assert len(hashes) == 1


def test_ctrl_c_rolls_back_and_is_a_keyboard_interrupt(tmp_path: Path, science: Path) -> None:
    place = toy.make_warehouse(tmp_path / "w")
    with open_warehouse(place, write=True) as house:
        build(house, science)
        before = toy.state_of(house)
    toy.edit(science, "totals.sql", "FROM means", "FROM means, range(100000) AS a, range(1000000) AS b")
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    project = load_project("toy", science, settings=("mag_max=19",))

    def press(event: object) -> None:
        if isinstance(event, Step) and event.model.name == "totals":
            timer.start()

    with pytest.raises(KeyboardInterrupt), open_warehouse(place, write=True) as house:
        run_build(house, project, progress=press)
    with open_warehouse(place) as house:
        assert toy.state_of(house) == before
        assert house.value("SELECT state FROM meta.run ORDER BY run_id DESC LIMIT 1") == "failed"


_CHILD = """\
import os, signal, sys, threading
from pathlib import Path
sys.path.insert(0, {tests!r})
import models_toy as toy
from skysy.models.build import run_build
from skysy.models.plan import Step
from skysy.models.project import load_project
from skysy.store import open_warehouse

left = {events}

def progress(event):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

project = load_project("toy", Path({science!r}), settings=[{setting!r}])
with open_warehouse(toy.toy_settings(Path({warehouse!r})), write=True) as house:
    if {after_s}:
        threading.Timer({after_s}, os.kill, (os.getpid(), signal.SIGKILL)).start()
    run_build(house, project, force=True, progress=progress)
"""


def killed_build(place: Settings, science: Path, setting: str, *, events: int = 0, after_s: float = 0.0) -> bool:
    """Build in a child that kills itself at an event of its progress or after a time; whether it did."""
    code = _CHILD.format(
        tests=str(Path(__file__).parent),
        science=str(science),
        setting=setting,
        warehouse=str(place.warehouse),
        events=events,
        after_s=after_s,
    )
    return subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL


@pytest.mark.slow
def test_kill_9_at_any_moment_leaves_one_whole_build_and_the_next_one_heals(tmp_path: Path, science: Path) -> None:
    place = toy.toy_settings(tmp_path / "w")
    rows = toy.ROWS.replace("range(1000)", "range(60000)")
    with open_warehouse(place, write=True, make=True) as house:
        toy.load_rows(house, "obs-1.csv", rows)
        whole = {}
        for setting in ("mag_max=19", "mag_max=20.0"):
            build(house, science, setting)
            whole[setting] = content(house)
    assert whole["mag_max=19"] != whole["mag_max=20.0"]
    chance = random.Random(5)
    moments: list[dict[str, Any]] = [{"events": events} for events in (1, 4, 6, 8, 10)]
    moments += [{"after_s": chance.uniform(0.002, 0.15)} for _ in range(5)]
    last, killed = "mag_max=20.0", 0
    for moment in moments:
        setting = "mag_max=19" if last == "mag_max=20.0" else "mag_max=20.0"
        was_killed = killed_build(place, science, setting, **moment)
        killed += was_killed
        with open_warehouse(place) as house:
            found = content(house)
        assert found in (whole[last], whole[setting])
        assert was_killed or found == whole[setting]
        last = setting if found == whole[setting] else last
    assert killed >= 5
    with open_warehouse(place, write=True) as house:
        assert house.value("SELECT count(*) FROM meta.run WHERE state = 'running'") >= 5
        build(house, science)
        assert content(house) == whole["mag_max=20.0"]


def content(house: Warehouse) -> dict[str, object]:
    """The hash of each table's rows as they are, beside what the ledger says of it."""
    found: dict[str, object] = {}
    for name, said in house.rows("SELECT model, content_hash FROM meta.model WHERE kind = 'table'"):
        actual = ledger.content_hash(house.con, name, house.columns("main", name))
        assert actual == said
        found[name] = actual
    return found
