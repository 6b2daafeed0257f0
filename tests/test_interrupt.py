"""Ctrl-C, at any moment and as often as one likes, is a KeyboardInterrupt; the warehouse is closed and as it was committed."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from skysy import ledger
from skysy.config import Settings, settings
from skysy.store import Warehouse, create, open_warehouse

ENDLESS = "SELECT count(*) FROM range(1000000) AS a(i), range(1000000) AS b(j) WHERE hash(i, j) = 1"


@pytest.fixture(autouse=True)
def _heed() -> Iterator[None]:
    """Python's own answer to Ctrl-C, also where a shell had the tests ignore it; after the test nothing watches for it.

    A Ctrl-C that comes between the last step inside a `with` and the first of its end skips that end. What it would have released
    goes with the exception, so it is looked at here, where the exception is forgotten.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    descriptor = signal.set_wakeup_fd(-1)  # of what a fixture of the session holds open
    threads = set(threading.enumerate())
    yield
    signal.signal(signal.SIGINT, before)
    if watched():
        gc.collect()
    for thread in set(threading.enumerate()) - threads:
        thread.join(10)
    assert set(threading.enumerate()) <= threads
    assert not watched()
    signal.set_wakeup_fd(descriptor)


@pytest.fixture
def place(tmp_path: Path) -> Settings:
    found = settings(tmp_path / "warehouse", "200MB", 2)
    create(found)
    return found


def watched() -> bool:
    """Whether something is told of signals at once."""
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    return descriptor != -1


def press(after_s: float) -> threading.Timer:
    """Ctrl-C after a time."""
    timer = threading.Timer(after_s, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    return timer


@contextmanager
def pressed(after_s: float) -> Iterator[None]:
    """Inside, Ctrl-C is pressed after a time."""
    timer = press(after_s)
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def endless_build(house: Warehouse) -> None:
    with house.transaction():
        house.run("CREATE TABLE x AS SELECT 1 AS a")
        house.run(ENDLESS)


def test_a_running_query_is_stopped_and_its_transaction_undone(place: Settings) -> None:
    with pressed(0.3), pytest.raises(KeyboardInterrupt), open_warehouse(place, write=True) as house:
        endless_build(house)
    with open_warehouse(place) as house:
        assert house.columns("main", "x") == []


@pytest.mark.parametrize("write", [True, False])
def test_python_between_two_queries_is_stopped_too(place: Settings, write: bool) -> None:
    with pressed(0.3), pytest.raises(KeyboardInterrupt), open_warehouse(place, write=write) as house:
        while True:
            assert house.value("SELECT 1") == 1


def test_a_second_and_third_ctrl_c_work_like_the_first_and_the_connection_lives_on(place: Settings) -> None:
    with open_warehouse(place, write=True) as house:
        for _ in range(3):
            timer = press(0.2)
            with pytest.raises(KeyboardInterrupt):
                try:
                    endless_build(house)
                except (RuntimeError, duckdb.Error) as error:  # what DuckDB makes of it may come first
                    time.sleep(0.2)
                    raise KeyboardInterrupt from error
            timer.join()
            assert house.value("SELECT 1") == 1
            assert house.columns("main", "x") == []


def test_an_error_that_only_came_of_it_is_told_as_ctrl_c(place: Settings) -> None:
    with pressed(0.3), pytest.raises(KeyboardInterrupt), open_warehouse(place) as house:
        try:
            house.run(ENDLESS)
        except BaseException as error:
            raise ValueError("a value cannot be what the contract says") from error


def test_an_error_without_ctrl_c_is_told_as_itself(place: Settings) -> None:
    with pytest.raises(ZeroDivisionError), open_warehouse(place) as house:
        assert house.value("SELECT 1") == 1
        raise ZeroDivisionError


def test_a_warehouse_opened_within_another_leaves_its_watch_as_it_was(place: Settings, tmp_path: Path) -> None:
    other = settings(tmp_path / "other", "200MB", 1)
    with pressed(0.4), pytest.raises(KeyboardInterrupt), open_warehouse(place, write=True) as house:
        with open_warehouse(other, write=True, make=True) as inner:
            assert inner.value("SELECT 1") == 1
        endless_build(house)


def test_a_warehouse_being_made_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, make = settings(tmp_path / "new", "200MB", 1), ledger.create

    def interrupted(con: duckdb.DuckDBPyConnection, *versions: str) -> None:
        make(con, *versions)
        os.kill(os.getpid(), signal.SIGINT)
        con.execute("SELECT 1")

    monkeypatch.setattr(ledger, "create", interrupted)
    with pytest.raises(KeyboardInterrupt), open_warehouse(place, write=True, make=True):
        pass
    assert list(place.warehouse.iterdir()) == []


def test_a_warehouse_whose_end_a_ctrl_c_skipped_is_closed_as_soon_as_it_is_forgotten(place: Settings) -> None:
    def skipped() -> None:
        entered = open_warehouse(place, write=True)
        house = entered.__enter__()
        house.con.execute("BEGIN TRANSACTION; CREATE TABLE x AS SELECT 1 AS a")
        assert watched()

    skipped()
    assert not watched()
    with open_warehouse(settings(place.warehouse, "100MB", 1)) as house:  # refused while it is open with other bounds
        assert house.columns("main", "x") == []


def test_another_thread_may_open_the_warehouse_and_no_signal_is_its_business(place: Settings) -> None:
    found = []

    def work() -> None:
        with open_warehouse(place) as house:
            found.append(house.value("SELECT 1"))

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert found == [1]


def test_closing_does_not_wait_for_a_forked_child(place: Settings) -> None:
    reader, writer = os.pipe()
    with open_warehouse(place):
        child = os.fork()
        if child == 0:  # it holds copies of all that is open, and waits to be told
            os.read(reader, 1)
            os._exit(0)
    os.write(writer, b"x")
    assert os.waitpid(child, 0)[1] == 0
    os.close(reader)
    os.close(writer)
