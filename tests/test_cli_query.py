"""`skysy sql` asks one question and changes nothing; `skysy shell` opens a shell that cannot either."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import models_toy as toy
import pytest
import typer
from typer.testing import CliRunner, Result

from skysy.cli import query
from skysy.cli.query import shell, sql
from skysy.config import Settings
from skysy.errors import UsageError, WarehouseDamaged, WarehouseMissing
from skysy.models.build import run_build
from skysy.models.project import load_project
from skysy.store import open_warehouse

app = typer.Typer()
app.command("sql")(sql)
app.command("shell")(shell)


@pytest.fixture
def place(tmp_path: Path) -> Settings:
    """A built toy with mag_max = 19."""
    science = toy.write_science(tmp_path / "sql")
    found = toy.make_warehouse(tmp_path / "w")
    with open_warehouse(found, write=True) as house:
        run_build(house, load_project("toy", science, settings=["mag_max=19"]))
    return found


def run(place: Settings, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--warehouse", str(place.warehouse)])


def ask(place: Settings, *words: str) -> str:
    result = run(place, "sql", *words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_table_has_a_line_per_row_and_null_is_told_from_a_text(place: Settings) -> None:
    told = ask(place, "SELECT 147403802::BIGINT AS object_id, NULL AS name, 'NULL ' || 1 AS reason")
    lines = [line.split() for line in told.splitlines() if line.strip()]
    assert lines[0] == ["object_id", "name", "reason"]
    assert lines[-1] == ["147403802", "NULL", "NULL", "1"]


def test_a_wide_row_is_not_folded_where_there_is_no_terminal(place: Settings) -> None:
    columns = ", ".join(f"'{'x' * 30}' AS column_{i}" for i in range(12))
    lines = [line for line in ask(place, f"SELECT {columns}").splitlines() if line.strip()]
    assert lines[-1].count("x" * 30) == 12


def test_a_long_answer_stops_at_forty_rows_and_says_so(place: Settings) -> None:
    result = run(place, "sql", "FROM means ORDER BY object_id")
    assert len([line for line in result.stdout.splitlines() if line.strip()[:1].isdigit()]) == 40
    assert "The first 40 rows; there are more: use --limit N." in result.stderr
    result = run(place, "sql", "FROM means", "--limit", "100")
    assert len([line for line in result.stdout.splitlines() if line.strip()[:1].isdigit()]) == 50
    assert result.stderr == ""


def test_json_and_csv_give_every_row_with_whole_numbers_whole(place: Settings) -> None:
    query_text = "SELECT object_id + 9007199254740993 AS id, n, CAST('nan' AS DOUBLE) AS odd, NULL AS none FROM means"
    rows = json.loads(ask(place, query_text + " ORDER BY id", "--json"))
    assert len(rows) == 50
    assert rows[0] == {"id": 9007199254740993, "n": rows[0]["n"], "odd": "nan", "none": None}
    lines = list(csv.DictReader(io.StringIO(ask(place, query_text + " ORDER BY id", "--csv"))))
    assert len(lines) == 50
    assert (lines[0]["id"], lines[0]["none"]) == ("9007199254740993", "")
    assert len(json.loads(ask(place, query_text, "--json", "--limit", "3"))) == 3
    assert isinstance(run(place, "sql", "SELECT 1", "--json", "--csv").exception, UsageError)


def test_getvariable_gives_the_parameters_of_the_last_build(place: Settings) -> None:
    answer = ask(place, "SELECT getvariable('mag_max') AS a, getvariable('bands')[2] AS b", "--json")
    assert json.loads(answer) == [{"a": 19, "b": "v"}]


@pytest.mark.parametrize(
    "words", ["DROP TABLE means", "INSERT INTO toy.obs SELECT * FROM toy.obs", "CREATE TABLE x (a INT)"]
)
def test_nothing_can_be_written(place: Settings, words: str) -> None:
    before = place.database.read_bytes()
    failed = run(place, "sql", words).exception
    assert isinstance(failed, UsageError)
    assert "reading only" in failed.remedy
    assert place.database.read_bytes() == before


def test_faulty_sql_is_told_as_duckdb_says_it(place: Settings) -> None:
    failed = run(place, "sql", "SELECT mean_mg FROM means").exception
    assert isinstance(failed, UsageError)
    assert "mean_mg" in failed.message
    assert "mean_mag" in failed.message  # DuckDB's own proposal
    late = run(place, "sql", "SELECT CAST(band AS INTEGER) FROM toy.obs").exception
    assert isinstance(late, UsageError)  # it comes only while rows are read
    shadow = run(place, "sql", "FROM most").exception
    assert isinstance(shadow, UsageError)  # a table's name is never taken for a variable of this program
    assert "does not exist" in shadow.message


def test_a_query_may_stand_in_a_file_or_on_standard_input(place: Settings, tmp_path: Path) -> None:
    file = tmp_path / "question.sql"
    file.write_text("-- how many\nSELECT count(*) AS n FROM means")
    expected = ask(place, "SELECT count(*) AS n FROM means", "--json")
    assert ask(place, "--file", str(file), "--json") == expected
    words = ["sql", "--file", "-", "--json", "--warehouse", str(place.warehouse)]
    assert CliRunner().invoke(app, words, input=file.read_text()).stdout == expected


@pytest.mark.parametrize("words", [[], [""], [";"], ["SELECT 1", "--file", "x.sql"], ["--file", "nowhere.sql"]])
def test_no_query_and_two_queries_are_refused_in_words(place: Settings, words: list[str]) -> None:
    assert isinstance(run(place, "sql", *words).exception, UsageError)


def test_times_with_a_zone_can_be_shown(place: Settings) -> None:
    assert ask(place, "SELECT TIMESTAMPTZ '2026-11-24 00:00:00+00' AS t").strip()


def test_json_has_no_bare_nan_and_no_two_columns_of_a_name(place: Settings) -> None:
    told = ask(place, "SELECT [1.5, 'nan'::DOUBLE] AS list, {'a': 'inf'::DOUBLE} AS struct", "--json")
    assert json.loads(told, parse_constant=lambda word: pytest.fail(word)) == [
        {"list": [1.5, "nan"], "struct": {"a": "inf"}}
    ]
    refused = run(place, "sql", "SELECT 1 AS a, 2 AS a", "--json").exception
    assert isinstance(refused, UsageError)
    assert "JSON" in refused.message


def test_a_row_wider_than_the_terminal_is_a_line_per_value(
    place: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    names = [f"column_{n:02d}" for n in range(12)]
    query._print_table(names, ["VARCHAR"] * 12, [("x" * 20,) * 11 + (None,)])
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines == [[name, "x" * 20] for name in names[:11]] + [[names[11], "NULL"]]


def test_a_missing_or_damaged_warehouse_is_told_in_words(place: Settings, tmp_path: Path) -> None:
    assert isinstance(run(toy.toy_settings(tmp_path / "none"), "sql", "SELECT 1").exception, WarehouseMissing)
    with open_warehouse(place, write=True) as house:
        house.run("CREATE TABLE big AS SELECT hash(range) AS h FROM range(200000)")
    os.truncate(place.database, place.database.stat().st_size * 9 // 10)
    assert isinstance(run(place, "sql", "SELECT bit_xor(h) FROM big").exception, WarehouseDamaged)


def test_the_shell_is_read_only_and_knows_the_parameters(place: Settings) -> None:
    if query.find_shell() is None:
        pytest.skip("no duckdb shell: pip install 'skysy[shell]'")
    code = (
        "from pathlib import Path\nfrom skysy.cli.query import shell\n"
        f"shell(warehouse=Path({str(place.warehouse)!r}), memory_limit='300MB', threads=1)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        input=".mode csv\nSELECT getvariable('mag_max'), getvariable('bands')[1], count(*) FROM means;\n"
        "SELECT current_setting('memory_limit'), current_setting('threads');\nDROP TABLE means;\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "19,u,50" in answer.stdout
    assert "286.1 MiB,1" in answer.stdout
    assert "read-only" in answer.stderr
    with open_warehouse(place) as house:
        assert house.value("SELECT count(*) FROM means") == 50


def test_without_a_shell_the_way_to_install_one_is_told(place: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    failed = run(place, "shell").exception
    assert isinstance(failed, UsageError)
    assert "pip install 'skysy[shell]'" in failed.remedy
