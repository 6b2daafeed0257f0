"""SIGKILL at any moment, then the same command again: the warehouse is what an undisturbed run gives, and nothing is left over.

Each child is the real command line in a process of its own. The moments are drawn from a seeded stream over the whole time
that an undisturbed run took; where a child was done before its moment, it is done over with an earlier one.
`pytest -m slow -s tests/test_kill.py` kills 50 loads, 50 builds, 10 replacing loads, 8 exports and 10 simulations.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import DR2, Sky
from skysy.analysis.simulate.write import simulate

from skysy import ledger
from skysy.config import Settings, settings
from skysy.contract import load_contract
from skysy.store import open_warehouse

SEED = 20211118


def command(*words: object) -> list[str]:
    """The command line of `skysy` with these words."""
    return [sys.executable, "-m", "skysy", *map(str, words)]


def loading(archive: Path, warehouse: Path, *more: str) -> list[str]:
    return command("load", "--release", DR2, "--from", archive, "--warehouse", warehouse, "-q", *more)


def building(warehouse: Path, *more: str) -> list[str]:
    return command("build", "--warehouse", warehouse, "-q", *more)


def run(words: Sequence[str]) -> float:
    """Run to the end; the seconds that it took. It must succeed."""
    started = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - started


def killed(words: Sequence[str], after_s: float, lines: int = 0, by: signal.Signals = signal.SIGKILL) -> bool:
    """Run and kill -9 (or press Ctrl-C) a time after so many lines of output; whether the child was still there."""
    # Where the tests run in the background, a shell may have had them ignore Ctrl-C, and children inherit that.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL) if by == signal.SIGINT else None
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=heed) as child:
        assert child.stdout is not None
        for _ in range(lines):
            child.stdout.readline()
        try:
            child.wait(after_s)
        except subprocess.TimeoutExpired:
            child.send_signal(by)
        told = child.stdout.read()
    if by == signal.SIGINT and lines and child.returncode:
        assert child.returncode == 130, told
        assert "Interrupted" in told
        assert "Traceback" not in told
    else:  # 130, -2: as Python itself starts up or ends
        assert child.returncode in (0, -by, 130 if by == signal.SIGINT else 0), told
    return child.returncode != 0


def moments(count: int, seconds: float, name: str) -> list[float]:
    """Moments over the whole of a run, one in each of `count` equal parts of it, in random order."""
    chance = random.Random(f"{SEED} {name}")
    drawn = [(part + chance.random()) / count * seconds for part in range(count)]
    chance.shuffle(drawn)
    print(f"\n{name}: {seconds:.2f} s undisturbed; killed after {', '.join(f'{moment:.2f}' for moment in drawn)} s")
    return drawn


def together(do: Callable[[int, float], int], at: Sequence[float], name: str) -> int:
    """`do` for every numbered moment, in as many lanes as there are cores; the sum of what they return."""
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 4)) as pool:
        total = sum(pool.map(do, range(len(at)), at))
    print(f"{name}: {total} processes killed")
    return total


@dataclass(frozen=True)
class Undisturbed:
    """An archive, warehouses loaded and built from it without disturbance, and what these hold and took."""

    archive: Path
    loaded: Path
    built: Path
    load_s: float
    build_s: float
    loaded_holds: dict[str, Any]
    built_holds: dict[str, Any]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    base = tmp_path_factory.mktemp("undisturbed")
    archive, loaded, built = base / "archive", base / "loaded", base / "built"
    simulate(archive, 1_000, 7, batch=400)
    load_s = run(loading(archive, loaded))
    shutil.copytree(loaded, built)
    build_s = run(building(built))
    return Undisturbed(archive, loaded, built, load_s, build_s, holdings(loaded), holdings(built))


def place(warehouse: Path) -> Settings:
    return settings(warehouse, "500MB", 2)


def holdings(warehouse: Path) -> dict[str, Any]:
    """Everything that must not depend on what happened on the way: rows by content hash, and the ledger of chunks and models.

    Each row must belong to a chunk that the ledger has, chunk by chunk as many as it says; no source may be there twice.
    """
    found: dict[str, Any] = {}
    with open_warehouse(place(warehouse)) as house:
        for table in load_contract(DR2).tables:
            names = [column.name for column in table.columns]
            found[table.name] = ledger.content_hash(house.con, table.name, names)
            counted = house.rows(f"SELECT {ledger.CHUNK_COLUMN}, count(*) FROM {table.name} GROUP BY ALL ORDER BY ALL")
            said = (
                "SELECT chunk_id, received_rows FROM meta.chunk WHERE table_name = ? AND received_rows > 0 ORDER BY ALL"
            )
            assert counted == house.rows(said, [table.name])
        found["meta.chunk"] = house.rows(
            "SELECT release, table_name, source, format, state, expected_rows, received_rows, bytes, sha256, content_hash, "
            "notes FROM meta.chunk ORDER BY ALL"
        )
        sources = [row[2] for row in found["meta.chunk"]]
        assert len(set(sources)) == len(sources)
        found["meta.model"] = house.rows(
            "SELECT model, kind, sql_sha256, parameters, rows, content_hash FROM meta.model ORDER BY ALL"
        )
        found["meta.audit"] = house.rows("SELECT audit, severity, offenders, sample FROM meta.audit ORDER BY ALL")
        for model, kind, _, _, _, said in found["meta.model"]:
            if kind == "table":
                assert ledger.content_hash(house.con, f'main."{model}"', house.columns("main", model)) == said
    return found


def is_tidy(warehouse: Path) -> bool:
    return [entry.name for entry in warehouse.iterdir()] == ["skysy.duckdb"]


@dataclass(frozen=True)
class Case:
    """A command to be killed: its words, the warehouse before it (None: there is none), what it holds at the end."""

    name: str
    words: Callable[[Path], list[str]]
    before: Path | None
    seconds: float
    holds: dict[str, Any]

    def fresh(self, warehouse: Path) -> None:
        """The warehouse as it is before the command."""
        shutil.rmtree(warehouse, ignore_errors=True)
        if self.before:
            shutil.copytree(self.before, warehouse)

    def survive(self, warehouse: Path, after_s: float, times: int = 1, by: signal.Signals = signal.SIGKILL) -> int:
        """Kill the command, once or several times in a row, and give it again; how often it was killed."""
        words = self.words(warehouse)
        self.fresh(warehouse)
        earlier_s = after_s
        while not killed(words, earlier_s, by=by):
            earlier_s *= 0.8
            assert earlier_s > 0.02, "never killed"
            self.fresh(warehouse)
        died = 1 + sum(killed(words, self.seconds * 0.6) for _ in range(times - 1))
        run(words)
        assert holdings(warehouse) == self.holds, f"killed after {earlier_s} s"
        assert is_tidy(warehouse)
        shutil.rmtree(warehouse)
        return died


def survive(cases: Sequence[Case], base: Path, count: int, by: signal.Signals = signal.SIGKILL) -> int:
    """Kill at `count` moments, by turns of the cases and every fifth three times in a row; how many were killed."""

    def one(number: int, after_s: float) -> int:
        case = cases[number % len(cases)]
        return case.survive(base / f"warehouse-{number}", after_s, 3 if number % 5 == 4 else 1, by)

    name = f"{cases[0].name}, {by.name}"
    return together(one, moments(count, min(case.seconds for case in cases), name), name)


def kill_exports(sky: Undisturbed, base: Path, count: int) -> int:
    """Exports killed in each of the first `count` tables: a final name has a whole file or none, and the next run makes all."""
    whole = base / "whole"
    run(command("export", whole, "--warehouse", sky.built))
    wanted = {path.name: path.read_bytes() for path in whole.iterdir()}
    assert len(wanted) >= count

    def one(number: int, after_s: float) -> int:
        directory = base / f"export-{number}"
        again = command("export", directory, "--warehouse", sky.built)
        died = killed(again, after_s, lines=number + 1)
        for path in directory.glob("[!.]*") if directory.exists() else ():
            assert path.read_bytes() == wanted[path.name], f"killed after {after_s} s of table {number + 1}"
        run(again)
        assert {path.name: path.read_bytes() for path in directory.iterdir()} == wanted
        shutil.rmtree(directory)
        return died

    return together(one, moments(count, 0.03, "export"), "export")


def kill_simulations(base: Path, count: int) -> int:
    """Simulations killed likewise: no half file has a final name, and what says that the sky is whole comes last."""
    whole = base / "whole-sky"
    seconds = run(command("simulate", whole, "--objects", 1_000, "--seed", 7, "--format", "parquet", "-q"))
    wanted = {path.relative_to(whole): path.read_bytes() for path in whole.rglob("*") if path.is_file()}

    def one(number: int, after_s: float) -> int:
        directory = base / f"sky-{number}"
        again = command("simulate", directory, "--objects", 1_000, "--seed", 7, "--format", "parquet", "-q")
        died = killed(again, after_s)
        there = [path for path in directory.rglob("[!.]*") if path.is_file()] if directory.exists() else []
        for path in there:
            assert path.read_bytes() == wanted[path.relative_to(directory)], f"{path.name}, killed after {after_s} s"
        if directory / "truth" / "simulation.json" in there:
            assert len(there) == len(wanted)
        if there:
            refused = subprocess.run(again, capture_output=True, text=True, check=False)
            assert refused.returncode == 2
            assert "not empty" in refused.stderr
        return died

    return together(one, moments(count, seconds, "simulate"), "simulate")


def test_load_and_build_killed_and_interrupted_end_like_undisturbed_ones(simulated: Sky, tmp_path: Path) -> None:
    warehouse, chance = tmp_path / "warehouse", random.Random(SEED)
    load = command("load", "--release", DR2, "--from", simulated.files, "--warehouse", warehouse)
    build = command("build", "--warehouse", warehouse)
    for words, lines in ((load, (1, 2, 3)), (build, (9, 14))):
        for by, line in zip((signal.SIGKILL, signal.SIGINT, signal.SIGKILL), lines, strict=False):
            assert killed(words, chance.uniform(0, 0.1), line, by)
        run(words)
    assert holdings(warehouse) == holdings(simulated.settings.warehouse)
    assert is_tidy(warehouse)


@pytest.mark.slow
def test_50_killed_loads_end_like_an_undisturbed_one(undisturbed: Undisturbed, tmp_path: Path) -> None:
    case = Case(
        "load", lambda place: loading(undisturbed.archive, place), None, undisturbed.load_s, undisturbed.loaded_holds
    )
    assert survive([case], tmp_path, 50) >= 50


@pytest.mark.slow
def test_50_killed_builds_leave_the_last_build_or_the_new_one_and_end_like_an_undisturbed_one(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(undisturbed.built, other)
    run(building(other, "--set", "flags_limit=3", "--set", "class_star_min=0.95"))
    assert holdings(other) != undisturbed.built_holds
    cases = [
        Case("build", building, before, undisturbed.build_s, undisturbed.built_holds)
        for before in (undisturbed.loaded, other)
    ]
    assert survive(cases, tmp_path, 50) >= 50
    last, new = holdings(other)["meta.model"], undisturbed.built_holds["meta.model"]
    for number, after_s in enumerate(moments(4, undisturbed.build_s * 0.9, "build over another")):
        warehouse = tmp_path / f"between-{number}"
        cases[1].fresh(warehouse)
        killed(building(warehouse), after_s)
        assert holdings(warehouse)["meta.model"] in (last, new)


@pytest.mark.slow
def test_ctrl_c_at_10_random_moments_each_ends_like_an_undisturbed_run(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    sky = undisturbed
    load = Case("load", lambda place: loading(sky.archive, place), None, sky.load_s, sky.loaded_holds)
    build = Case("build", building, sky.loaded, sky.build_s, sky.built_holds)
    for case in (load, build):
        assert survive([case], tmp_path, 10, signal.SIGINT) >= 10


@pytest.mark.slow
def test_10_killed_replacing_loads_end_like_an_undisturbed_one(undisturbed: Undisturbed, tmp_path: Path) -> None:
    archive, before = tmp_path / "other-archive", tmp_path / "before"
    simulate(archive, 1_000, 8, batch=400)
    run(loading(archive, before))
    assert holdings(before)["meta.chunk"] != undisturbed.loaded_holds["meta.chunk"]
    case = Case(
        "load --replace",
        lambda place: loading(undisturbed.archive, place, "--replace"),
        before, undisturbed.load_s, undisturbed.loaded_holds,
    )  # fmt: skip
    assert survive([case], tmp_path, 10) >= 10


@pytest.mark.slow
def test_8_killed_exports_leave_whole_files_only(undisturbed: Undisturbed, tmp_path: Path) -> None:
    assert kill_exports(undisturbed, tmp_path, 8) >= 6


@pytest.mark.slow
def test_10_killed_simulations_leave_whole_files_only(tmp_path: Path) -> None:
    assert kill_simulations(tmp_path, 10) >= 5
