"""A full disk is one plain sentence; what was committed stands, and the same command goes on when there is room."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import models_toy as toy
import pytest
from conftest import Sky
from test_kill import building, command, holdings, is_tidy, loading, run

from skysy.config import settings
from skysy.errors import SqlError, WarehouseFull
from skysy.models.build import run_build
from skysy.models.project import load_project
from skysy.store import open_warehouse


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Inside, no file of this process may grow beyond a size, as on a full disk or under a quota."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_build_that_meets_a_full_disk_leaves_the_last_one_and_works_when_there_is_room(tmp_path: Path) -> None:
    science = toy.write_science(tmp_path / "sql")
    place = toy.toy_settings(tmp_path / "w")
    with open_warehouse(place, write=True, make=True) as house:
        toy.load_rows(house, "obs-1.csv", toy.ROWS.replace("range(1000)", "range(200000)"))
        run_build(house, load_project("toy", science))
        before = toy.state_of(house)
    other = load_project("toy", science, settings=["mag_max=20.5"])
    full = pytest.raises(SqlError, match=r"the disk is full\. The tables of the last build stand")
    with no_file_beyond(place.database.stat().st_size), full, open_warehouse(place, write=True) as house:
        run_build(house, other)
    with open_warehouse(place, write=True) as house:
        assert toy.state_of(house) == before
        run_build(house, other)
        assert toy.state_of(house) != before
    assert is_tidy(place.warehouse)


def test_any_other_writing_on_a_full_disk_is_told_in_words_and_undone(tmp_path: Path) -> None:
    place = toy.make_warehouse(tmp_path / "w")
    limit = place.database.stat().st_size
    full = pytest.raises(WarehouseFull)
    with no_file_beyond(limit), full as caught, open_warehouse(place, write=True) as house, house.transaction():
        house.run("CREATE TABLE x AS SELECT hash(range) AS a FROM range(1000000)")
    assert str(place.database) in caught.value.message
    assert "same command again" in caught.value.remedy
    with open_warehouse(place) as house:
        assert house.columns("main", "x") == []
        assert house.value("SELECT count(*) FROM toy.obs") == 1000


def test_a_warehouse_that_cannot_be_made_for_want_of_room_is_not_half_made(tmp_path: Path) -> None:
    place = settings(tmp_path / "w", "200MB", 1)
    with no_file_beyond(20_000), pytest.raises(WarehouseFull), open_warehouse(place, write=True, make=True):
        pass
    assert list(place.warehouse.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, in memory."""
    where = tmp_path / "disk"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", where], capture_output=True, check=False
    )
    if os.geteuid() != 0 or mounted.returncode != 0:
        pytest.skip("only root may mount a small disk, and only where the system lets it")
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", where], check=True)


def resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def refused(words: list[str]) -> str:
    """What is told on standard error by a command that must fail."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode in (3, 4, 5), done.stderr
    return done.stderr


@pytest.mark.slow
def test_load_and_build_on_a_disk_that_grows_end_like_undisturbed_ones(simulated: Sky, small_disk: Path) -> None:
    warehouse = small_disk / "warehouse"
    load, build = loading(simulated.files, warehouse), building(warehouse)
    for megabytes in (1, 2, 4, 8, 12):
        resize(small_disk, megabytes << 20)
        assert "The disk is full" in refused(load)
        run(command("status", "--checksums", "--warehouse", warehouse))
    resize(small_disk, 1 << 30)
    run(load)
    loaded = holdings(warehouse)
    size = sum(path.stat().st_size for path in warehouse.iterdir())
    for more in (0, 1, 2, 4):
        resize(small_disk, size + (more << 20))
        assert "the disk is full" in refused(build).lower()
        assert holdings(warehouse) == loaded
    resize(small_disk, 1 << 30)
    run(build)
    assert holdings(warehouse) == holdings(simulated.settings.warehouse)
    assert is_tidy(warehouse)


@pytest.mark.slow
def test_a_disk_too_small_for_spilled_rows_is_told_in_words(simulated: Sky, small_disk: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse"
    shutil.copytree(simulated.settings.warehouse, warehouse)
    (warehouse / "tmp").symlink_to(small_disk)
    told = refused(building(warehouse, "--force", "--memory-limit", "30MB", "--threads", "2"))
    assert "The tables of the last build stand" in told
    assert "ran out of disk for its intermediate rows" in told
    (warehouse / "tmp").unlink()
    assert holdings(warehouse) == holdings(simulated.settings.warehouse)
