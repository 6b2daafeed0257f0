"""`skysy build` and `skysy status` say what was done, what would be done, and what is wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import models_toy as toy
import pytest
import typer
from typer.testing import CliRunner, Result

from skysy import ledger
from skysy.cli.build import build, status
from skysy.config import Settings
from skysy.errors import ModelError, NotFound, UsageError, WarehouseDamaged, WarehouseMissing
from skysy.models import project
from skysy.store import open_warehouse

app = typer.Typer()
app.command("build")(build)
app.command("status")(status)


@pytest.fixture
def science(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy's sql/ in the place of skysy's own."""
    directory = toy.write_science(tmp_path / "sql")
    monkeypatch.setattr(project, "files", lambda package: directory)
    return directory


@pytest.fixture
def place(tmp_path: Path, science: Path) -> Settings:
    return toy.make_warehouse(tmp_path / "w")


def run(place: Settings, *words: str) -> Result:
    arguments = [*words, "--warehouse", str(place.warehouse), "--threads", "1"]
    return CliRunner().invoke(app, arguments)


def done(place: Settings, *words: str) -> str:
    result = run(place, *words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_build_tells_each_model_its_rows_and_an_end_line(place: Settings) -> None:
    lines = done(place, "build").splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["stg_obs", "int_kept", "means", "totals"]
    assert lines[0].split()[1] == "view"
    assert " 50 rows " in lines[2]
    assert lines[-1].startswith("4 models of toy built in ")
    assert lines[-1].endswith("0 were fresh; 2 audits run, 0 with warnings.")


def test_a_second_build_says_that_nothing_is_stale_and_writes_nothing(place: Settings) -> None:
    done(place, "build")
    before = place.database.read_bytes()
    assert done(place, "build") == "Nothing is stale: all 4 models of toy are fresh.\n"
    assert place.database.read_bytes() == before


def test_a_build_after_new_rows_says_how_many_were_made_anew(place: Settings, science: Path) -> None:
    toy.tell_loads(science)
    done(place, "build")
    with open_warehouse(place, write=True) as house:
        toy.load_rows(house, "obs-2.csv", "SELECT 99, 58000.0, 'u', 17.0")
    lines = {line.split()[0]: line for line in done(place, "build").splitlines()}
    assert lines["means"].endswith(" s  1 of them made anew")
    assert lines["totals"].endswith(" s")


def test_explain_says_what_and_why_and_writes_nothing(place: Settings) -> None:
    done(place, "build")
    before = place.database.read_bytes()
    lines = done(place, "build", "--explain", "--set", "floor_mag=0.02").splitlines()
    assert lines[0].split(maxsplit=1) == ["means", "parameter floor_mag: 0.01 -> 0.02"]
    assert lines[1].split(maxsplit=1) == ["totals", "input means is rebuilt"]
    assert lines[2] == "2 of 4 models of toy would be built, 2 audits run."
    told = json.loads(done(place, "build", "--explain", "--json"))
    assert told == {"release": "toy", "stale": {}, "dropped": [], "audits": []}
    assert place.database.read_bytes() == before


def test_explain_tells_what_would_be_dropped(place: Settings, science: Path) -> None:
    done(place, "build")
    (science / "30_marts/totals.sql").unlink()
    assert "would be dropped" in done(place, "build", "--explain")
    assert "dropped totals" in done(place, "build")


def test_quiet_prints_the_end_line_only_and_warnings(place: Settings, science: Path) -> None:
    toy.edit(science, "aud_few.sql", "n < 3", "n < 30")
    lines = done(place, "build", "-q").splitlines()
    assert lines[0] == "warning: every object has three detections. 50 rows differ (aud_few)."
    assert lines[1].endswith("2 audits run, 1 with warnings.")
    assert len(lines) == 2


def test_json_is_one_document_with_models_and_audits(place: Settings) -> None:
    told = json.loads(done(place, "build", "--json", "--force"))
    assert [model["name"] for model in told["models"]] == ["stg_obs", "int_kept", "means", "totals"]
    assert told["models"][2]["rows"] == 50
    assert {audit["name"]: audit["offenders"] for audit in told["audits"]} == {"aud_keys": 0, "aud_few": 0}


def test_parameters_come_from_a_file_and_from_words(place: Settings, tmp_path: Path) -> None:
    mine = tmp_path / "mine.sql"
    mine.write_text("SET VARIABLE mag_max = 19;\n")
    done(place, "build", "--parameters", str(mine), "--set", "floor_mag=0.5", "--set", "bands=['u']")
    with open_warehouse(place) as house:
        found = dict(house.rows("SELECT name, value FROM meta.parameter"))
        assert house.value("SELECT arguments->>'set' FROM meta.run WHERE command = 'build'") == (
            '["floor_mag=0.5","bands=[\'u\']"]'
        )
    assert found == {"mag_max": "19", "floor_mag": "0.5", "bands": "['u']"}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--set", "flor_mag=1"), NotFound),
        (("--set", "floor_mag=bright"), UsageError),
        (("--set", "floor_mag"), UsageError),
        (("--parameters", "none.sql"), UsageError),
        (("--release", "dr99"), NotFound),
    ],
)
def test_words_that_do_not_fit_are_errors_and_no_run(
    place: Settings, words: tuple[str, ...], error: type[Exception]
) -> None:
    assert isinstance(run(place, "build", *words).exception, error)
    with open_warehouse(place) as house:
        assert house.value("SELECT count(*) FROM meta.run WHERE command = 'build'") == 0


def test_ctrl_c_is_told_in_words_with_exit_code_130(place: Settings, science: Path) -> None:
    toy.edit(science, "totals.sql", "FROM means", "FROM means, range(100000) AS a, range(1000000) AS b")
    code = (
        "from pathlib import Path\nimport typer\nfrom skysy.cli.build import build\n"
        f"from skysy.models import project\nproject.files = lambda package: Path({str(science)!r})\n"
        "app = typer.Typer()\napp.command()(build)\napp()"
    )
    words = [sys.executable, "-c", code, "--warehouse", str(place.warehouse)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("means"):
            assert process.poll() is None
        time.sleep(0.5)  # well inside the query that would never end
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert told == "Interrupted. The tables of the last build stand; run `skysy build` again.\n"
    with open_warehouse(place) as house:
        assert not house.columns("main", "means")


def test_errors_of_an_empty_or_missing_warehouse_say_what_to_type(tmp_path: Path, science: Path) -> None:
    nowhere = toy.toy_settings(tmp_path / "none")
    assert isinstance(run(nowhere, "build").exception, WarehouseMissing)
    assert isinstance(run(nowhere, "status").exception, WarehouseMissing)
    with open_warehouse(nowhere, write=True, make=True):
        pass
    failed = run(nowhere, "build").exception
    assert isinstance(failed, ModelError)
    assert "skysy load" in failed.remedy
    assert "Nothing is loaded" in done(nowhere, "status")


def test_status_tells_tables_models_and_the_last_run(place: Settings) -> None:
    before = done(place, "status")
    assert "toy.obs" in before
    assert "1,000 rows  1 file" in before
    assert "Models: 0 fresh, 4 stale." in before
    assert "never built" in before
    done(place, "build")
    after = done(place, "status")
    assert "Models: 4 fresh, 0 stale." in after
    assert "Last run: skysy build, done" in after
    assert "interrupted" not in after


def test_status_tells_why_a_model_is_stale_and_what_audits_warn_of(place: Settings, science: Path) -> None:
    toy.edit(science, "aud_few.sql", "n < 3", "n < 30")
    done(place, "build")
    toy.edit(science, "means.sql", "largest", "biggest")
    told = json.loads(done(place, "status", "--json"))
    reasons = {model["name"]: model["reason"] for model in told["models"]}
    assert reasons == {
        "stg_obs": "",
        "int_kept": "",
        "means": "its SQL changed",
        "totals": "input means is rebuilt",
    }
    assert told["tables"] == [{"name": "toy.obs", "release": "toy", "files": 1, "rows": 1000, "loaded_rows": 1000}]
    assert "warning: every object has three detections. 50 rows differ (aud_few)." in done(place, "status")
    assert told["release"] == "toy"


def test_a_killed_run_is_told_until_the_command_is_run_again(place: Settings) -> None:
    with open_warehouse(place, write=True) as house:
        ledger.begin_run(house.con, "build", {}, "test")
    told = done(place, "status")
    assert "A run of skysy build begun" in told
    assert "was interrupted" in told
    assert "Run it again" in told
    done(place, "build")
    assert "interrupted" not in done(place, "status")


def test_checksums_find_rows_that_were_changed_behind_the_ledger(place: Settings) -> None:
    done(place, "build")
    assert "Checksums: 4 compared, 0 differ." in done(place, "status", "--checksums")
    with open_warehouse(place, write=True) as house:
        house.run("UPDATE means SET n = n + 1 WHERE object_id = 7")
        house.run("DELETE FROM toy.obs WHERE object_id = 7 AND t = 58000")
    told = done(place, "status")
    assert "999 rows" in told
    assert "(the ledger says 1,000)" in told
    failed = run(place, "status", "--checksums").exception
    assert isinstance(failed, WarehouseDamaged)
    assert "toy.obs: the rows of obs-1.csv are not those that were loaded." in failed.message
    assert "means: its rows are not those that were built." in failed.message


def test_status_still_works_when_an_archive_table_is_gone(place: Settings) -> None:
    done(place, "build")
    with open_warehouse(place, write=True) as house:
        house.run("DROP TABLE toy.obs")
    told = done(place, "status")
    assert "note: Release toy needs toy.obs" in told
    assert "(the ledger says 1,000)" in told


def test_help_starts_without_the_heavy_libraries() -> None:
    code = (
        "import sys\nimport skysy.cli.build, skysy.cli.query\n"
        "heavy = {'duckdb', 'sqlglot', 'numpy', 'pyarrow', 'astropy'} & set(sys.modules)\n"
        "print(*sorted(heavy))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "\n")
