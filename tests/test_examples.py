"""Every example that a command's help shows runs as it stands, and every exit code that a command names is met."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from archive_client import Client, little, user
from conftest import ENGINES, FIGURES, REPORT_FIGURES, Sky, table_rows
from pyarrow import parquet
from skysy.analysis.report import plates
from tess_curves import curve, write_spoc
from typer.testing import CliRunner

from skysy.bundle import bundle
from skysy.cli.commands import COMMANDS, app, command
from skysy.cli.query import find_shell
from skysy.config import Settings
from skysy.store import open_warehouse

__all__ = ["little", "user"]

ROOT = Path(__file__).parent.parent
EXAMPLES = [
    (name, line) for name in COMMANDS for line in re.findall(r"^Example: (.+)$", command(name).help or "", re.MULTILINE)
]
DEAR = ("demo", "simulate", "build --cluster", "recover", "report", "figures plots --top", "bundle", "verify")
"""Examples that take seconds, by how they begin."""
LIVE = ("plan", "refresh", "doctor")
"""Commands that ask archives: here those of a server on the loopback, by the skysy.toml of the directory."""
OF_MAST = [line for name, line in EXAMPLES if name == "products" or "mast" in line.split()]
"""Examples that ask the space archive MAST: the tests of those run them."""


def marked(name: str, line: str) -> object:
    dear = any(line.startswith(f"skysy {words}") for words in DEAR)
    return pytest.param(name, line, id=line[:60], marks=[pytest.mark.slow] if dear else [])


@pytest.fixture
def at_home(simulated: Sky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with what examples name: archive files, a warehouse of one's own and one of a demo, cases, a file of Gaia."""
    place = tmp_path / "home"
    shutil.copytree(simulated.settings.warehouse, place / "warehouse")
    (place / "demo").mkdir()
    for name, target in {
        "archive": simulated.files, "stricter": simulated.settings.warehouse, "demo/warehouse": simulated.settings.warehouse,
        "demo/archive": simulated.files, "tests": ROOT / "tests",
    }.items():  # fmt: skip
        (place / name).symlink_to(target)
    stars = table_rows(simulated.settings, "SELECT object_id, raj2000, dej2000 FROM sample LIMIT 9")
    columns = {"source_id": "object_id", "ra": "raj2000", "dec": "dej2000"}
    gaia = {name: [star[column] for star in stars] for name, column in columns.items()}
    parquet.write_table(pa.table(gaia | {"pmra": [5.0] * 9, "pmdec": [-5.0] * 9}), place / "gaia.parquet")
    monkeypatch.chdir(place)
    for name in ("SKYSY_WAREHOUSE", "SKYSY_THREADS", "SKYSY_MEMORY_LIMIT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(plates, "FIGURES", dict(list(FIGURES.items())[:REPORT_FIGURES]))  # each takes half a second
    return place


def run(line: str) -> str:
    """What a command line of the help prints, by its parts between &&; each must succeed."""
    told = ""
    for part in line.split(" && "):
        program, *words = shlex.split(part)
        assert program == "skysy"
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (part, done.output, done.exception)
        told += done.stdout
    return told


def test_every_command_has_an_example() -> None:
    assert {name for name, _ in EXAMPLES} == set(COMMANDS)
    assert [line for name, line in EXAMPLES if f"skysy {name}" not in line] == []


@pytest.mark.parametrize(("name", "line"), EXAMPLES)
def test_an_example_stands_on_one_line_however_narrow_the_terminal(name: str, line: str) -> None:
    told = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "40"}, terminal_width=40)
    assert f"  Example: {line}" in told.stdout.splitlines()


@pytest.mark.parametrize(
    ("name", "line"),
    [marked(name, line) for name, line in EXAMPLES if name not in (*LIVE, "why", "shell") and line not in OF_MAST],
)
def test_an_example_runs_as_written(name: str, line: str, at_home: Path) -> None:
    if line.startswith(("skysy demo", "skysy simulate")):
        (at_home / "demo" / "archive").unlink()
        (at_home / "demo" / "warehouse").unlink()
    if name == "load":
        shutil.rmtree(at_home / "warehouse")
    here = Settings(at_home / "warehouse", "1GB", 2)
    if name == "verify":
        bundle(here, at_home / "paper.tar", draw=lambda *_: None, engines=ENGINES)
    if name == "lightcurve":
        with open_warehouse(here, write=True) as house:
            house.run(
                "UPDATE dr2.master SET object_id = 147403802 WHERE object_id = (FROM (SELECT min(object_id) FROM sample))"
            )
            [(ra, dec)] = house.rows("SELECT raj2000, dej2000 FROM dr2.master WHERE object_id = 147403802")
        write_spoc(at_home / line.split()[2], curve(1, days=2.0), RA_OBJ=ra, DEC_OBJ=dec)
    run(line)


@pytest.mark.parametrize(
    ("name", "line"), [marked(name, line) for name, line in EXAMPLES if name in LIVE and line not in OF_MAST]
)
def test_an_example_that_asks_archives_runs_as_written(
    name: str, line: str, user: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "refresh":
        user.load("--route", "images")
    monkeypatch.chdir(user.directory)
    run(line)


def test_the_examples_of_why_tell_of_the_star_of_that_name_and_place(at_home: Path) -> None:
    with open_warehouse(Settings(at_home / "warehouse", "1GB", 2), write=True) as house:
        star = house.value("SELECT object_id FROM candidates WHERE rank = 1")
        tables = house.rows(
            "SELECT schema_name || '.' || table_name, list(column_name) FROM duckdb_columns() "
            "SEMI JOIN duckdb_tables() USING (schema_name, table_name) GROUP BY ALL"
        )
        for table, columns in tables:
            if "object_id" in columns:
                place = ", raj2000 = 249.5326, dej2000 = -28.7021" if "raj2000" in columns else ""
                house.run(f"UPDATE {table} SET object_id = 147403802{place} WHERE object_id = ?", [star])
    lines = [line for name, line in EXAMPLES if name == "why"]
    assert [run(line).split()[1] for line in lines] == ["147403802"] * 2


def test_the_example_of_the_shell_opens_one(at_home: Path) -> None:
    if find_shell() is None:
        pytest.skip("no duckdb shell: pip install 'skysy[shell]'")
    [line] = [line for name, line in EXAMPLES if name == "shell"]
    program = Path(sys.executable).with_name("skysy")
    done = subprocess.run([program, *shlex.split(line)[1:]], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
