"""What happens on this machine while archives are asked: threads that break, Ctrl-C, kill -9, two at once, a wrong skysy.toml."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from archive_client import RELEASE, TABLES, Client, a_user, little, little_simbad, little_tables, user, whole
from faulty_archive import FaultyArchive
from faulty_archive.faults import ALWAYS
from skysy.loaders.archive import fetch, keep
from skysy.loaders.archive.wire import disk_trouble

from skysy import ledger
from skysy.errors import SkysyError, UsageError, WarehouseFull, WarehouseLocked
from skysy.store import open_warehouse

__all__ = ["little", "user", "whole"]
pytestmark = pytest.mark.slow


def child(client: Client, *words: str, command: str = "load") -> subprocess.Popen[str]:
    """The command in a process of its own, the leader of its group."""
    config = ("--config", str(client.directory / "skysy.toml"), "--warehouse", str(client.settings.warehouse))
    return subprocess.Popen(
        [sys.executable, "-m", "skysy", command, *RELEASE, *words, *config],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


# threads


def test_a_fault_of_skysy_itself_in_a_thread_ends_the_load(user: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("as if by a mistake of ours")

    monkeypatch.setattr(fetch.Crew, "_answer", broken)
    result = user.run("load", "--route", "sample")
    assert isinstance(result.exception, ZeroDivisionError)
    monkeypatch.undo()
    user.load("--route", "images")


def test_a_full_disk_in_a_thread_is_told_in_words(user: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep.Keep, "part", lambda self, ask: Path("/dev/full"))
    error = user.fails("--route", "images", code=3)
    assert isinstance(error, WarehouseFull)
    assert "The disk is full" in error.message


def test_another_trouble_of_the_disk_is_told_in_words() -> None:
    error = disk_trouble(PermissionError(13, "Permission denied"), Path("somewhere/1.part"))
    assert "could not be written to somewhere: Permission denied" in error.message


# Ctrl-C, kill -9, two at once


@pytest.mark.parametrize("route", ["images", "sample"])
def test_ctrl_c_while_an_answer_is_waited_for_is_130_and_the_load_goes_on(
    user: Client, whole: dict[str, str], route: str
) -> None:
    user.configure(timeout_s=60.0)
    user.archive.fault("hang", r"uws\.(job|result)|tap\.sync", matching=r"^SELECT [mx]\.", seconds=60.0, times=ALWAYS)
    process = child(user, "--route", route)
    until = time.monotonic() + 120
    while not any("hang" in one.faults for one in user.archive.requests) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=50)  # the answer would hang for longer
    assert process.returncode == 130, told
    assert "Interrupted. What was committed stays" in told
    assert "Traceback" not in told
    user.archive.heal()
    user.load("--route", route)
    assert user.hashes(route).items() <= whole.items()


def kill_at_random_moments(client: Client, whole: dict[str, str], kills: int, seed: int, longest_s: float) -> None:
    """Loads killed with -9 after a while, then one that is not: the same rows, and no part asked again once committed."""
    chance = random.Random(seed)
    client.configure(max_rows=12, in_list=2, parallel=2)
    for _ in range(kills):
        process = child(client)
        try:
            process.communicate(timeout=chance.uniform(0.8, longest_s))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        if client.settings.database.exists():
            check_committed(client)
    client.load()
    assert client.hashes(*TABLES) == whole
    check_committed(client)
    client.settings.database.unlink()
    client.load("--offline")
    assert client.hashes(*TABLES) == whole


def check_committed(client: Client) -> None:
    """Parts that are loaded now must never be asked for again: the log forgets all else, and they must not come back."""
    asked = Counter(client.asked_rows())
    again = getattr(client, "done", set()) & set(asked)
    assert not again, again
    with open_warehouse(client.settings) as house:
        if house.columns("meta", "chunk"):
            done = {row[0] for row in house.rows("SELECT query FROM meta.chunk WHERE state = 'loaded' AND NOT upload")}
            client.done = done  # type: ignore[attr-defined]
    client.archive.forget()


def test_loads_killed_at_random_moments_end_like_an_undisturbed_one(user: Client, whole: dict[str, str]) -> None:
    kill_at_random_moments(user, whole, kills=3, seed=5, longest_s=5.0)


@pytest.mark.slow
def test_100_killed_loads_end_like_undisturbed_ones(
    tmp_path: Path, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for round_ in range(10):
        directory = tmp_path / str(round_)
        directory.mkdir()
        with FaultyArchive(little_tables(), simbad=little_simbad()) as archive:
            for client in a_user(archive, directory, monkeypatch):
                kill_at_random_moments(client, whole, kills=10, seed=round_, longest_s=6.0)


def test_a_kill_between_the_answer_and_the_ledger_or_the_commit_loses_nothing(
    user: Client, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from skysy.loaders.archive import book, run

    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> Any:
        raise Killed

    for place, name in ((keep.Keep, "keep"), (book.Book, "fetched"), (run, "commit"), (book.Book, "loaded")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, killed)
            with pytest.raises(Killed):
                user.run("load", "--route", "images")
        assert user.rows("SELECT count(*) AS n FROM dr2.images") == [{"n": 0}]
    user.archive.forget()
    user.load("--route", "images")
    assert user.asked_rows() == []  # the answer was whole on disk
    assert user.hashes("images").items() <= whole.items()


def test_a_raw_answer_that_changed_on_disk_is_asked_for_again(
    user: Client, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from skysy.loaders.archive import run

    def killed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "commit", killed)
        user.run("load", "--route", "images")
    [answer] = (user.settings.warehouse / "raw").glob("*.vot")
    answer.write_bytes(answer.read_bytes()[:-100])
    user.load("--route", "images")
    assert user.hashes("images").items() <= whole.items()


def test_a_failed_answer_is_not_kept(user: Client) -> None:
    user.archive.fault("error_after_rows", "tap.sync", matching=r"^SELECT x\.", times=ALWAYS)
    user.fails("--route", "images")
    assert list((user.settings.warehouse / "raw" / "asks").iterdir()) == []
    user.archive.heal()
    user.load("--route", "images")
    assert len(list((user.settings.warehouse / "raw").glob("*.vot"))) == 1


def test_two_loads_at_once_are_one_load_and_a_sentence(user: Client) -> None:
    user.load("--route", "images")
    script = "import sys, duckdb; con = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(user.settings.database)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        for command in ("load", "refresh", "plan"):
            error = user.fails(command=command, code=3)
            assert isinstance(error, WarehouseLocked)
            assert str(holder.pid) in error.message
    finally:
        holder.communicate("")


def test_a_clock_that_goes_back_changes_nothing_but_times(
    user: Client, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = count()
    monkeypatch.setattr(ledger, "now", lambda: datetime(2026, 1, 1, tzinfo=UTC) - timedelta(hours=next(times)))
    user.load("--route", "sample")
    user.load()
    assert user.hashes(*TABLES) == whole
    assert user.load().stdout.count("nothing new at") == len(TABLES)
    user.settings.database.unlink()
    user.load("--offline")
    assert user.hashes(*TABLES) == whole


def test_the_bar_of_a_terminal_tells_rows_rate_and_time_left(user: Client) -> None:
    shown, terminal = os.openpty()
    words = ["load", *RELEASE, "--route", "sample", "--warehouse", str(user.settings.warehouse)]
    words += ["--config", str(user.directory / "skysy.toml")]
    plain = os.environ | {"TERM": "xterm", "COLUMNS": "120", "NO_COLOR": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "skysy", *words], stdout=terminal, stderr=terminal, stdin=terminal, env=plain
    ) as process:
        os.close(terminal)
        told = b""
        with suppress(OSError):  # the terminal is gone when the load has ended
            while block := os.read(shown, 1 << 16):
                told += block
    os.close(shown)
    assert process.returncode == 0, told
    rows = sum(int(row["n"]) for row in user.rows("SELECT received_rows AS n FROM meta.chunk WHERE state = 'loaded'"))
    assert f"{rows}/{rows} rows".encode() in told
    assert re.search(rb"rows [\d,]+/s", told)
    assert re.search(rb"\d:\d\d:\d\d", told)


# commands


def test_a_plan_leaves_nothing_but_the_plan_and_a_load_does_not_count_again(user: Client) -> None:
    result = user.run("plan", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    told = json.loads(result.stdout)
    rows = {one["table"]: one["rows"] for one in told["tables"]}
    assert rows == {"dr2.master": 8, "ext.twomass_psc": 8, "ext.allwise": 8, "ext.gaia_dr2": 8, "dr2.images": 60}
    assert told["fits"] is True
    for table in ("dr2.master", "dr2.images", "meta.asked", "meta.job"):
        assert user.rows(f"SELECT count(*) AS n FROM {table}") == [{"n": 0}]
    assert user.asked_rows() == []
    assert [path.name for path in (user.settings.warehouse / "raw").rglob("*") if path.is_file()] == []
    user.archive.forget()
    user.load("--route", "sample")
    assert [one.query for one in user.archive.requests if "COUNT(" in one.query] == []


def test_json_of_every_command_is_one_document(user: Client) -> None:
    loaded = json.loads(user.load("--json").stdout)
    assert [one["route"] for one in loaded] == list(TABLES)
    assert all(one["asked"] == one["got"] for one in loaded if one["counted"])
    refreshed = json.loads(user.run("refresh", "--json").stdout)
    assert set(refreshed) == {"plan", "routes"}
    found = json.loads(user.run("doctor", "--json").stdout)
    assert {one["service"] for one in found} == {"skymapper", "ari", "cds_xmatch"}


def test_the_doctor_finds_nothing_wrong_with_a_healthy_service(user: Client) -> None:
    result = user.run("doctor")
    assert result.exit_code == 0, result.output
    assert "BAD" not in result.stdout
    assert "dr2.images: " in result.stdout


@pytest.mark.parametrize(
    ("kind", "details", "words"),
    [
        ("reset", {}, "Is the network up?"),
        ("status", {"code": 503}, "Is the network up?"),
        ("clock_skew", {"seconds": 4000}, "set the clock"),
        ("not_found", {"on": r"tap\.sync"}, "could not answer"),
    ],
)
def test_the_doctor_tells_what_is_wrong_and_what_to_do(
    user: Client, kind: str, details: dict[str, Any], words: str
) -> None:
    user.archive.fault(kind, times=ALWAYS, **details)
    result = user.run("doctor")
    assert result.exit_code == 7
    assert "BAD" in result.stdout
    assert words in result.stdout


def test_a_service_gets_no_more_requests_at_once_and_no_faster_than_its_profile_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive of its own: another test's request may still be open at the shared one."""
    with FaultyArchive(little_tables(), simbad=little_simbad()) as archive:
        for client in a_user(archive, tmp_path, monkeypatch):
            client.configure(parallel=2, pause_s=0.2, max_rows=20)
            client.load("--route", "images")
            assert archive.most_at_once() <= 2
            assert archive.least_gap_s() >= 0.1  # they arrive a little later than they start


def test_a_route_is_sent_to_a_url(user: Client, whole: dict[str, str]) -> None:
    user.load("--route", "sample", "--route", "distances", "--service", f"distances={user.archive.tap_url}")
    assert user.hashes("distances").items() <= whole.items()
    assert user.rows("SELECT DISTINCT service FROM meta.chunk WHERE route = 'distances'") == [
        {"service": f"distances@{user.archive.tap_url}"}
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[services.skymapper]\ncolour = 1\nurl = 'http://x'", "unknown setting 'colour'"),
        ("[services.skymapper]\nparallel = 'two'", "parallel is a whole number, not 'two'"),
        ("[services.skymapper]\nparallel = 1.5", "parallel is a whole number, not 1.5"),
        ("[services.skymapper]\nparallel = 0", "at least 1"),
        ("[services.skymapper]\npause_s = -1", "pause_s is not below 0"),
        ("[services.skymapper]\ntimeout_s = nan", "timeout_s, job_s and poll_s are above it"),
        ("[services.skymapper]\nuploads = 'no'", "uploads is true or false"),
        ("[services.skymapper]\nformat = 3", "format is a text"),
        ("[services.skymapper]\nkind = 'ftp'", "kind is 'ftp'"),
        ("[services.mine]\ntitle = 'Mine'", "Service mine has no url"),
        ("[services.skymapper]\ntables = 'all'", "tables is a section"),
        ("[services.skymapper.tables.\"dr2.master\"]\ncolumns = 'all'", "is not understood"),
        ("services = 1", "services is a section"),
        ("[service.skymapper]\nurl = 'http://x'", "unknown section 'service'"),
        ("[routes.skymapper_dr2]\nphotometry = 'skymaper'", "a service 'skymaper', which is not known"),
        ("[routes.skymapper_dr2]\nphotometry = 3", "a service 3, which is not known"),
        ("[routes.skymapper_dr2]\nspectra = 'skymapper'", "there is no route 'spectra'"),
        ("[routes.skymapper_dr2]\nimages = 'skymapper_cone'", "Route images cannot ask skymapper_cone"),
        ("[services.skymapper\n", "is not TOML"),
    ],
)  # fmt: skip
def test_a_mistake_in_skysy_toml_is_told_with_its_place(user: Client, text: str, words: str) -> None:
    (user.directory / "skysy.toml").write_text(text)
    error = user.fails("--route", "images", code=2)
    assert isinstance(error, UsageError)
    assert words in error.message
    assert not user.settings.database.exists()


def test_a_configuration_that_is_not_there_is_told(user: Client) -> None:
    (user.directory / "skysy.toml").unlink()
    assert "cannot be read" in user.fails("--route", "images", code=2).message


@pytest.mark.parametrize(
    "word", ["distances", "distances=", "=ari", "distance=ari", "distances=arri", "images=cds_xmatch"]
)
def test_a_mistake_in_service_is_told(user: Client, word: str) -> None:
    error = user.fails("--service", word, code=2)
    assert isinstance(error, SkysyError)
    assert error.remedy
