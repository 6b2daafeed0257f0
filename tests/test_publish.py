"""A published snapshot is whole, stands while the warehouse is written, and survives whatever stops the next one."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import duckdb
import models_toy as toy
import pytest
from test_full_disk import no_file_beyond
from typer.testing import CliRunner

from skysy.cli.commands import app
from skysy.config import Settings, settings
from skysy.errors import NotFound, WarehouseError, WarehouseFull, WarehouseLocked, WarehouseMissing
from skysy.models.build import run_build
from skysy.models.project import load_project
from skysy.publish import publish
from skysy.store import open_warehouse


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("built")
    place = toy.make_warehouse(where / "w")
    with open_warehouse(place, write=True) as house:
        run_build(house, load_project("toy", toy.write_science(where / "sql")))
    return place.warehouse


@pytest.fixture
def place(built: Path, tmp_path: Path) -> Settings:
    """A copy of a built toy."""
    shutil.copytree(built, tmp_path / "w")
    return toy.toy_settings(tmp_path / "w")


def add(place: Settings) -> None:
    with open_warehouse(place, write=True) as house:
        house.run("CREATE TABLE added AS SELECT range AS a FROM range(10)")


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def has_added(place: Settings) -> bool:
    with open_warehouse(place) as house:
        return bool(house.columns("main", "added"))


@pytest.fixture
def writer(place: Settings) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes to the warehouse until its standard input is closed."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom skysy.config import settings\nfrom skysy.store import open_warehouse\n"
        f"with open_warehouse(settings(Path({str(place.warehouse)!r}), '200MB', 1), write=True) as house, house.transaction():\n"
        "    house.run('CREATE TABLE added AS SELECT 1 AS a')\n    print('writing', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "writing\n"
        yield child


def close(pipe: IO[str] | None) -> None:
    assert pipe is not None
    pipe.close()


def test_a_snapshot_is_the_warehouse_and_stays_while_that_goes_on(place: Settings) -> None:
    done = publish(place)
    assert done.path.read_bytes() == place.database.read_bytes()
    assert done.bytes == place.database.stat().st_size
    add(place)
    assert has_added(place)
    assert not has_added(place.published)
    publish(place)
    assert has_added(place.published)
    assert names(place.published.warehouse) == ["skysy.duckdb"]


def test_what_a_killed_writer_had_committed_is_in_the_snapshot(place: Settings) -> None:
    code = (
        "import os, duckdb\n"
        f"con = duckdb.connect({str(place.database)!r})\ncon.execute('CREATE TABLE added AS SELECT 1 AS a')\nos.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert Path(f"{place.database}.wal").stat().st_size
    publish(place)
    assert has_added(place.published)
    assert names(place.published.warehouse) == ["skysy.duckdb"]


def test_no_state_that_a_writer_has_not_committed_is_published(place: Settings, writer: subprocess.Popen[str]) -> None:
    with pytest.raises(WarehouseLocked, match="is in use by") as caught:
        publish(place)
    assert "--wait" in caught.value.remedy
    assert not place.published.database.exists()
    said: list[str] = []
    waiting = threading.Timer(0.2, close, [writer.stdin])
    waiting.start()
    publish(place, wait=True, say=said.append)
    assert [words.endswith("Waiting.") for words in said] == [True]
    assert has_added(place.published)


def test_sql_is_answered_by_the_snapshot_while_a_writer_is_at_work_and_says_so(
    built: Path, place: Settings, writer: subprocess.Popen[str]
) -> None:
    there = ["--warehouse", str(place.warehouse)]
    ask = ["sql", "SELECT count(*) AS n FROM means", "--json", *there]
    locked = CliRunner().invoke(app, ask).exception
    assert isinstance(locked, WarehouseLocked)
    shutil.copytree(built, place.published.warehouse)
    answer = CliRunner().invoke(app, ask)
    assert json.loads(answer.stdout) == [{"n": 50}]
    assert "is in use by" in answer.stderr
    assert "The snapshot of 2" in answer.stderr
    quiet = CliRunner().invoke(app, [*ask, "--published"])
    assert (quiet.stdout, quiet.stderr) == (answer.stdout, "")
    with pytest.raises(WarehouseLocked) as caught, open_warehouse(place):
        pass
    assert f"--warehouse {place.published.warehouse}" in caught.value.remedy


def test_without_a_snapshot_or_a_warehouse_the_way_to_one_is_told(place: Settings, tmp_path: Path) -> None:
    missing = CliRunner().invoke(app, ["sql", "SELECT 1", "--published", "--warehouse", str(place.warehouse)]).exception
    assert isinstance(missing, NotFound)
    assert "skysy publish" in missing.remedy
    with pytest.raises(WarehouseMissing):
        publish(settings(tmp_path / "none"))


def test_a_killed_publish_leaves_the_old_snapshot_and_the_next_one_clears_away(place: Settings) -> None:
    publish(place)
    before = place.published.database.read_bytes()
    add(place)
    for only_results in (False, True):
        code = (
            "import os\nfrom pathlib import Path\nfrom skysy import publish\nfrom skysy.config import settings\n"
            "publish._copy = lambda source, fresh: (fresh.write_bytes(b'half'), os.kill(os.getpid(), 9))\n"
            "publish.quoted = lambda name: os.kill(os.getpid(), 9)\n"
            f"publish.publish(settings(Path({str(place.warehouse)!r}), '200MB', 1), only_results={only_results})\n"
        )
        died = subprocess.run([sys.executable, "-c", code], check=False)
        assert died.returncode == -signal.SIGKILL
        assert len(names(place.published.warehouse)) > 1
        assert place.published.database.read_bytes() == before
    publish(place)
    assert has_added(place.published)
    assert names(place.published.warehouse) == ["skysy.duckdb"]


@pytest.mark.parametrize("only_results", [False, True])
def test_on_a_full_disk_the_old_snapshot_stands(place: Settings, only_results: bool) -> None:
    publish(place)
    before = place.published.database.read_bytes()
    add(place)
    full = pytest.raises(WarehouseFull, match="snapshot")
    with no_file_beyond(100_000), full as caught:
        publish(place, only_results=only_results)
    assert "stands" in caught.value.remedy
    assert place.published.database.read_bytes() == before
    assert names(place.published.warehouse) == ["skysy.duckdb"]


def test_blocks_are_shared_where_the_file_system_can_and_copied_where_it_cannot(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "no")

    def share(out: int, request: int, source: int) -> int:
        assert request == 0x40049409
        os.pwrite(out, os.pread(source, 1 << 30, 0), 0)
        return 0

    wanted = place.database.read_bytes()
    monkeypatch.setattr(fcntl, "ioctl", share)
    assert publish(place).how == "reflink"
    assert place.published.database.read_bytes() == wanted
    monkeypatch.setattr(fcntl, "ioctl", refuse)
    assert publish(place).how == "copy_file_range"
    assert place.published.database.read_bytes() == wanted
    for cannot in (refuse, lambda *_: 0):
        monkeypatch.setattr(os, "copy_file_range", cannot)
        assert publish(place).how == "copy"
        assert place.published.database.read_bytes() == wanted


def test_the_warehouse_is_still_locked_for_writers_when_all_is_copied(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, told = Path.replace, []

    def look(self: Path, target: Path) -> Path:
        code = f"import duckdb; duckdb.connect({str(place.database)!r})"
        told.append(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", look)
    publish(place)
    assert "lock" in told[0]


def test_only_results_holds_results_and_bookkeeping_with_what_they_mean(place: Settings) -> None:
    done = publish(place, only_results=True)
    assert done.tables == ("means", "totals")
    with duckdb.connect(str(place.database), read_only=True) as con:
        described = "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE schema_name = 'main' AND table_name IN ('means', 'totals') ORDER BY ALL"
        wanted = con.execute(described).fetchall()
        rows = con.execute("FROM means ORDER BY ALL").fetchall()
        purposes = (
            "SELECT table_name, comment FROM duckdb_tables() WHERE table_name IN ('means', 'totals') ORDER BY ALL"
        )
        told = con.execute(purposes).fetchall()
        models = con.execute("FROM meta.model ORDER BY ALL").fetchall()
    assert all(row[3] for row in wanted)
    with open_warehouse(place.published) as house:
        assert house.rows(described) == wanted
        assert house.rows(purposes) == told
        assert all(words for _, words in told)
        assert house.rows("FROM means ORDER BY ALL") == rows
        assert house.rows("FROM meta.model ORDER BY ALL") == models
        assert house.columns("toy", "obs") == house.columns("main", "int_kept") == []
        assert house.value("SELECT storage_version FROM meta.warehouse") == "v1.5.0"
    asked = CliRunner().invoke(
        app, ["sql", "SELECT getvariable('mag_max') AS m", "--json", "--published", "--warehouse", str(place.warehouse)]
    )
    assert json.loads(asked.stdout) == [{"m": "20.0"}]


def test_what_a_snapshot_of_results_cannot_answer_is_said_in_words(place: Settings) -> None:
    publish(place, only_results=True)
    with pytest.raises(WarehouseError, match="holds results only"), open_warehouse(place.published) as house:
        house.rows("FROM int_kept")
    publish(place)
    with pytest.raises(duckdb.CatalogException), open_warehouse(place.published) as house:
        house.rows("FROM int_gone")


def test_nothing_to_publish_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no results"):
        publish(toy.make_warehouse(tmp_path / "w"), only_results=True)


def test_a_shell_that_forgets_to_be_read_only_cannot_write_and_its_log_harms_nothing(place: Settings) -> None:
    publish(place)
    assert place.published.database.stat().st_mode & 0o777 == 0o444
    Path(f"{place.published.database}.wal").write_bytes(b"of another file")
    publish(place)
    assert not has_added(place.published)
    assert names(place.published.warehouse) == ["skysy.duckdb"]
