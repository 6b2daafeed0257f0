"""What killed processes leave behind is swept by the next writer, and two writers never overwrite each other."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from conftest import Sky
from test_kill import holdings, is_tidy, loading

from skysy import ledger
from skysy.config import Settings, settings
from skysy.formats.whole import whole_file
from skysy.store import create, open_warehouse


@pytest.fixture
def place(tmp_path: Path) -> Settings:
    return settings(tmp_path / "warehouse", "40MB", 1)


def names(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


SPILLS = "CREATE TABLE x AS SELECT range AS a, hash(range) AS b, repeat('x', 50) AS c FROM range(1200000) ORDER BY b"


def test_rows_spilled_by_a_killed_process_are_swept_by_the_next_writer_who_may_spill_again(place: Settings) -> None:
    create(place)
    code = (
        "import os, threading, time\nfrom pathlib import Path\nfrom skysy.config import settings\n"
        "from skysy.store import open_warehouse\n"
        "def watch():\n"
        f"    while not list(Path({str(place.temp_directory)!r}).glob('*storage*')):\n        time.sleep(0.001)\n"
        "    os.kill(os.getpid(), 9)\n"
        f"with open_warehouse(settings(Path({str(place.warehouse)!r}), '40MB', 1), write=True) as house:\n"
        f"    threading.Thread(target=watch).start()\n    house.run({SPILLS!r})\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert [name for name in names(place.warehouse) if "storage" in name]
    with open_warehouse(place) as house:
        assert house.columns("main", "x") == []
    assert [name for name in names(place.warehouse) if "storage" in name]
    with open_warehouse(place, write=True) as house:
        assert not [name for name in names(place.warehouse) if "storage" in name]
        house.run(SPILLS.replace("1200000", "1000000"))
        assert house.value("SELECT count(*) FROM x") == 1_000_000
    assert names(place.warehouse) == ["skysy.duckdb"]


def test_a_warehouse_half_made_by_a_killed_process_is_swept_and_other_files_are_left_alone(place: Settings) -> None:
    create(place)
    place.temp_directory.mkdir()
    for name in ("new.4711.duckdb", "new.4711.duckdb.wal", "tmp/duckdb_temp_4711_0_owner", "notes.txt", "tmp/mine"):
        (place.warehouse / name).touch()
    with open_warehouse(place):
        assert len(names(place.warehouse)) == 7
    with open_warehouse(place, write=True):
        assert names(place.warehouse) == ["notes.txt", "skysy.duckdb", "tmp", "tmp/mine"]


def test_a_warehouse_that_another_process_made_meanwhile_is_not_replaced(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = ledger.create

    def slow(con: duckdb.DuckDBPyConnection, *versions: str) -> None:
        with monkeypatch.context() as patch:  # the other process, faster
            patch.setattr(ledger, "create", make)
            patch.setattr(os, "getpid", lambda: 4711)
            with open_warehouse(place, write=True, make=True) as house:
                house.run("CREATE TABLE x AS SELECT 1 AS a")
        make(con, *versions)

    monkeypatch.setattr(ledger, "create", slow)
    create(place)
    with open_warehouse(place) as house:
        assert house.rows("FROM x") == [(1,)]
    assert names(place.warehouse) == ["skysy.duckdb"]


def test_a_file_system_without_links_will_do(place: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    create(place)
    with open_warehouse(place) as house:
        assert house.value("SELECT count(*) FROM meta.run") == 0
    assert names(place.warehouse) == ["skysy.duckdb"]


def test_the_beginning_of_a_file_is_swept_once_its_process_is_no_more(tmp_path: Path) -> None:
    host = socket.gethostname()
    with subprocess.Popen([sys.executable, "-c", "pass"]) as dead:
        pass
    swept = tmp_path / f".x.parquet.{host}-{dead.pid}.part"
    kept = [
        tmp_path / f".x.parquet.{host}-{os.getppid()}.part",
        tmp_path / f".x.parquet.elsewhere-{dead.pid}.part",
        tmp_path / f".y.parquet.{host}-{dead.pid}.part",
    ]
    for path in (swept, *kept):
        path.touch()
    with whole_file(tmp_path / "x.parquet") as out:
        out.write(b"whole")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "x.parquet", *kept])


@pytest.mark.slow
def test_loads_begun_at_once_into_a_new_warehouse_end_like_one(simulated: Sky, tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse"
    words = loading(simulated.files, warehouse)
    crowd = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    told = [(process.communicate()[1], process.returncode) for process in crowd]
    assert {code for _, code in told} <= {0, 3}
    assert any(code == 0 for _, code in told)
    assert all("is in use by" in words for words, code in told if code == 3)
    whole = {name: value for name, value in holdings(simulated.settings.warehouse).items() if name != "meta.audit"}
    found = holdings(warehouse)
    assert found["meta.chunk"] == whole["meta.chunk"]
    assert found["dr2.photometry"] == whole["dr2.photometry"]
    assert is_tidy(warehouse)
