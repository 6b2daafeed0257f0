"""The warehouse file: opened in bounds, written in whole transactions, every trouble told in words."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from skysy import ledger
from skysy.config import Settings, settings
from skysy.errors import (
    SkysyError,
    UsageError,
    WarehouseDamaged,
    WarehouseLocked,
    WarehouseMissing,
    WarehouseReadOnly,
    WarehouseVersion,
)
from skysy.store import STORAGE_VERSION, create, explain, open_warehouse


@pytest.fixture
def place(tmp_path: Path) -> Settings:
    """Settings of an empty warehouse that is there."""
    found = settings(tmp_path / "warehouse", "200MB", 2)
    create(found)
    return found


@contextmanager
def child(place: Settings, body: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process that has the warehouse open for writing as `house` and runs these lines."""
    code = (
        "import os, signal, sys, time\nfrom pathlib import Path\n"
        "from skysy.config import settings\nfrom skysy.store import open_warehouse\n"
        f"with open_warehouse(settings(Path({str(place.warehouse)!r}), '200MB', 1), write=True) as house:\n"
        + "".join(f"    {line}\n" for line in body.splitlines())
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("write", [True, False])
def test_a_warehouse_that_another_process_writes_is_locked_and_the_process_is_named(
    place: Settings, write: bool
) -> None:
    with child(place, "print('open', flush=True)\nsys.stdin.read()") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(WarehouseLocked) as caught, open_warehouse(place, write=write):
            pass
        assert f"PID {holder.pid}" in caught.value.message
        assert "Nothing was changed" in caught.value.remedy


def test_two_readers_may_open_it_together(place: Settings) -> None:
    with open_warehouse(place) as one, open_warehouse(place) as two:
        assert one.value("SELECT 1") == two.value("SELECT 1") == 1


def test_two_bounds_in_one_process_are_refused_in_words(place: Settings) -> None:
    other = replace(place, memory_limit="321MB")
    told = pytest.raises(WarehouseLocked, match="open already, with other settings")
    with open_warehouse(place), told, open_warehouse(other):
        pass


def test_a_path_with_a_question_mark_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="question mark"):
        settings(tmp_path / "why?" / "warehouse")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_warehouse_is_told_with_the_command_that_makes_one(tmp_path: Path) -> None:
    nowhere = settings(tmp_path / "none", "200MB", 1)
    with pytest.raises(WarehouseMissing, match=r"no warehouse in .*none") as caught, open_warehouse(nowhere):
        pass
    assert "skysy load" in caught.value.remedy
    assert not nowhere.warehouse.exists()


def test_make_makes_it_once_and_leaves_an_existing_one_alone(tmp_path: Path) -> None:
    place = settings(tmp_path / "new", "200MB", 1)
    with open_warehouse(place, write=True, make=True) as house:
        made_at = house.value("SELECT created_at FROM meta.warehouse")
        house.run("CREATE TABLE x AS SELECT 1 AS a")
    with open_warehouse(place, write=True, make=True) as house:
        assert house.value("SELECT created_at FROM meta.warehouse") == made_at
        assert house.rows("FROM x") == [(1,)]
    assert sorted(entry.name for entry in place.warehouse.iterdir() if entry.name != "tmp") == ["skysy.duckdb"]


def test_a_directory_without_rights_is_read_only_in_words(place: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    # As root every directory can be written, so the answer of the system is put in its place.
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(WarehouseReadOnly, match="read-only"), open_warehouse(place, write=True):
        pass
    with pytest.raises(WarehouseReadOnly), open_warehouse(settings(place.warehouse.parent / "x"), make=True):
        pass
    with open_warehouse(place) as house:
        assert house.read_only


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written_still_opens_for_reading(place: Settings) -> None:
    place.database.chmod(0o400)
    place.warehouse.chmod(0o500)
    try:
        with open_warehouse(place) as house:
            assert house.value("SELECT count(*) FROM meta.run") == 0
        with pytest.raises(WarehouseReadOnly), open_warehouse(place, write=True):
            pass
    finally:
        place.warehouse.chmod(0o700)


def test_a_parent_that_is_a_file_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(WarehouseReadOnly, match="cannot be made"):
        create(settings(tmp_path / "file" / "warehouse"))


def test_a_file_of_duckdbs_newest_storage_opens_but_another_layout_does_not(tmp_path: Path) -> None:
    place = settings(tmp_path, "200MB", 1)
    with duckdb.connect(str(place.database)) as con:  # DuckDB's own default, not STORAGE_VERSION
        ledger.create(con, "0.0", "default")
    with open_warehouse(place) as house:
        assert house.value("SELECT storage_version FROM meta.warehouse") == "default"
    with duckdb.connect(str(place.database)) as con:
        con.execute("UPDATE meta.warehouse SET layout = 99")
    with (
        pytest.raises(WarehouseVersion, match=f"layout 99; this skysy reads layout {ledger.LAYOUT}"),
        open_warehouse(place),
    ):
        pass


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (
            "IO Error: Trying to read a database file with version number 69, but we can only read versions "
            "between 64 and 68.\nThe database file was created with a newer version of DuckDB.",
            WarehouseVersion,
        ),
        (
            'IO Error: Could not set lock on file "/w/skysy.duckdb": Conflicting lock is held in '
            "/usr/bin/python3.11 (PID 321) by user me.",
            WarehouseLocked,
        ),
        ('IO Error: Cannot open file "/w/skysy.duckdb": Permission denied', WarehouseReadOnly),
        (
            "Corrupt database file: computed checksum 1 does not match stored checksum 2 in block at 0",
            WarehouseDamaged,
        ),
        (
            'IO Error: Could not read enough bytes from file "/w/read-only.duckdb": attempted',
            WarehouseDamaged,
        ),
    ],
)
def test_each_sentence_of_duckdb_is_told_as_what_it_means(said: str, error: type[SkysyError]) -> None:
    found = explain(duckdb.IOException(said), settings(Path("/w")))
    assert type(found) is error
    assert "/w/skysy.duckdb" in found.message
    assert found.remedy


def cut_to_a_stub(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 20)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def garbled_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)


def sqlite(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as con:
        con.execute("CREATE TABLE x (a)")


def other_duckdb(path: Path) -> None:
    path.unlink()
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE TABLE x (a INTEGER)")


@pytest.mark.parametrize("damage", [cut_to_a_stub, empty, garbage, garbled_header, sqlite, other_duckdb])
@pytest.mark.parametrize("write", [True, False])
def test_a_damaged_or_foreign_file_is_named_and_never_a_traceback(place: Settings, damage: object, write: bool) -> None:
    assert callable(damage)
    with open_warehouse(place, write=True) as house:
        house.run("CREATE TABLE x AS SELECT range AS a, hash(range) AS b FROM range(200000)")
    damage(place.database)
    with pytest.raises(WarehouseDamaged) as caught, open_warehouse(place, write=write):
        pass
    assert str(place.database) in caught.value.message
    assert caught.value.remedy


def test_a_file_cut_short_is_damage_when_its_missing_rows_are_read(place: Settings) -> None:
    with open_warehouse(place, write=True) as house:
        house.run("CREATE TABLE x AS SELECT range AS a, hash(range) AS b FROM range(200000)")
    os.truncate(place.database, place.database.stat().st_size * 9 // 10)
    with pytest.raises(WarehouseDamaged), open_warehouse(place) as house:
        house.value("SELECT bit_xor(b) FROM x")


def test_the_file_opens_in_the_duckdb_shell_of_the_storage_version(place: Settings) -> None:
    assert STORAGE_VERSION == "v1.5.0"
    shell = shutil.which("duckdb", path=str(Path(sys.executable).parent)) or shutil.which("duckdb")
    if shell is None:
        pytest.skip("no duckdb shell: pip install 'skysy[shell]'")
    with open_warehouse(place, write=True) as house:
        house.run("CREATE VIEW v AS SELECT layout FROM meta.warehouse")
        house.run("COMMENT ON COLUMN v.layout IS 'words'")
    answer = subprocess.run(
        [shell, "-readonly", "-csv", str(place.database), "SELECT layout FROM v"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.split() == ["layout", str(ledger.LAYOUT)]


def test_bounds_are_set_and_extensions_are_never_fetched(tmp_path: Path) -> None:
    place = settings(tmp_path, "300MB", 2)
    with open_warehouse(place, write=True, make=True) as house:
        found = dict(house.rows("SELECT name, value FROM duckdb_settings()"))
    assert found["memory_limit"] == "286.1 MiB"
    assert found["threads"] == "2"
    assert found["temp_directory"] == str(place.temp_directory)
    assert found["autoinstall_known_extensions"] == found["autoload_known_extensions"] == "false"


@pytest.mark.parametrize("limit", ["600MB", "1.5gib", "4 GB", "100000KiB"])
def test_work_is_done_sparingly_and_the_limit_is_back_after_it(tmp_path: Path, limit: str) -> None:
    with open_warehouse(settings(tmp_path, limit, 2), write=True, make=True) as house:
        query = "SELECT current_setting('memory_limit')"
        usual = house.value(query)

        def fail() -> None:
            with house.transaction():
                assert house.value(query) == "91.5 MiB"
                house.value("SELECT error('some trouble')")

        assert house.sparingly(lambda: house.value(query)) == "91.5 MiB"
        assert house.value(query) == usual
        with pytest.raises(duckdb.Error, match="some trouble"):
            house.sparingly(fail)
        assert house.value(query) == usual


def test_work_that_is_done_sparingly_never_has_more_than_was_allowed(tmp_path: Path) -> None:
    with open_warehouse(settings(tmp_path, "90MB", 2), write=True, make=True) as house:
        assert house.sparingly(lambda: house.value("SELECT current_setting('memory_limit')")) == "85.8 MiB"


def test_work_that_needs_more_than_little_is_done_again_with_all_that_is_allowed(tmp_path: Path) -> None:
    tries = []

    with open_warehouse(settings(tmp_path, "1GB", 1), write=True, make=True) as house:

        def work() -> int:
            tries.append(house.value("SELECT current_setting('memory_limit')"))
            with house.transaction():
                house.run("CREATE TABLE kept AS SELECT 1 AS n")
                return int(house.value("SELECT length(string_agg(repeat('x', 1000), '')) FROM range(50_000)"))

        assert house.sparingly(work) == 50_000_000
        assert tries == ["61.0 MiB", "953.6 MiB"]
        assert house.rows("SELECT n FROM kept") == [(1,)]
        assert house.value("SELECT current_setting('memory_limit')") == "953.6 MiB"


def test_bounds_come_from_arguments_then_environment_then_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYSY_MEMORY_LIMIT", "700MB")
    monkeypatch.setenv("SKYSY_THREADS", "3")
    monkeypatch.setenv("SKYSY_WAREHOUSE", "elsewhere")
    assert settings() == Settings(Path("elsewhere"), "700MB", 3)
    assert settings(Path("here"), "1GB", 1) == Settings(Path("here"), "1GB", 1)
    for limit, threads in (("lots", 1), ("1GB", 0), ("1", 1)):
        with pytest.raises(UsageError):
            settings(Path("here"), limit, threads)


def test_a_transaction_is_kept_whole_or_not_at_all(place: Settings) -> None:
    with open_warehouse(place, write=True) as house:
        with house.transaction():
            house.run("CREATE TABLE x AS SELECT 1 AS a")
            house.run("INSERT INTO x VALUES (2)")
        with pytest.raises(ZeroDivisionError), house.transaction():
            house.run("INSERT INTO x VALUES (3)")
            house.run("CREATE OR REPLACE TABLE y AS SELECT 1 AS a")
            raise ZeroDivisionError
        with pytest.raises(duckdb.CatalogException), house.transaction():
            house.run("DROP TABLE x")
            house.run("SELECT * FROM no_such_table")
        assert house.rows("FROM x ORDER BY a") == [(1,), (2,)]
        assert house.columns("main", "y") == []
    with open_warehouse(place) as house:
        assert house.rows("FROM x ORDER BY a") == [(1,), (2,)]


def test_an_error_that_is_swallowed_inside_a_transaction_does_not_pass_for_a_commit(place: Settings) -> None:
    with open_warehouse(place, write=True) as house:
        house.run("CREATE TABLE x AS SELECT 1 AS a")
        with pytest.raises(duckdb.Error), house.transaction():
            house.run("INSERT INTO x VALUES (2)")
            with suppress(duckdb.Error):  # DuckDB's COMMIT would now say nothing and keep nothing
                house.run("SELECT * FROM no_such_table")
        assert house.rows("FROM x") == [(1,)]


def test_a_read_only_warehouse_refuses_to_write(place: Settings) -> None:
    with open_warehouse(place) as house, pytest.raises(duckdb.Error, match="read-only"):
        house.run("CREATE TABLE x (a INTEGER)")


@pytest.mark.parametrize("committed", [True, False])
def test_kill_9_loses_what_was_not_committed_and_nothing_else(place: Settings, committed: bool) -> None:
    with open_warehouse(place, write=True) as house:
        house.run("CREATE TABLE x AS SELECT range AS a FROM range(1000)")
    body = (
        "import contextlib\nmanager = house.transaction()\nmanager.__enter__()\n"
        "house.run('INSERT INTO x SELECT range FROM range(100000)')\n"
        "house.run('CREATE TABLE y AS SELECT 1 AS a')\n"
        + ("manager.__exit__(None, None, None)\n" if committed else "")
        + "os.kill(os.getpid(), signal.SIGKILL)"
    )
    with child(place, body) as process:
        assert process.wait(30) == -signal.SIGKILL
    with open_warehouse(place, write=True) as house:
        assert house.value("SELECT count(*) FROM x") == (101_000 if committed else 1000)
        assert bool(house.columns("main", "y")) is committed


def test_rows_value_and_columns_are_what_they_say(place: Settings) -> None:
    with open_warehouse(place, write=True) as house:
        house.run("CREATE SCHEMA s")
        house.run("CREATE TABLE s.t (b INTEGER, a VARCHAR)")
        house.run("INSERT INTO s.t VALUES (?, ?)", [1, "x"])
        assert house.columns("s", "t") == ["b", "a"]
        assert house.columns("s", "none") == []
        assert house.rows("SELECT a FROM s.t WHERE b = ?", [1]) == [("x",)]
        assert house.value("SELECT a FROM s.t WHERE b = 2") is None
        house.run("CREATE TEMP TABLE t (z INTEGER)")
        assert house.columns("main", "t") == []
