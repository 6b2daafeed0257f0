"""`skysy load --from DIR`: what it prints, and to whom."""

from __future__ import annotations

import json
import re

import pytest
from load_bench import DISTANCE, KNOWN, PHOTOMETRY, Bench, row_of
from typer.testing import CliRunner, Result

from skysy.cli.commands import app
from skysy.errors import ContractError, LoadError, SourceChanged, UsageError
from skysy.store import open_warehouse

pytest_plugins = ("load_fixtures",)


def run(bench: Bench, *words: str, release: str = "skymapper_dr2", source: str = "") -> Result:
    where = ["--from", source or str(bench.files), "--warehouse", str(bench.settings.warehouse), "--threads", "1"]
    return CliRunner().invoke(app, ["load", "--release", release, *where, *words])


@pytest.fixture
def filled(bench: Bench) -> Bench:
    """Two parts of a table, another table, and a file that is none."""
    for part in (1, 2):
        bench.write(f"dr2.photometry.{part}.csv", PHOTOMETRY, "csv", [row_of(PHOTOMETRY, image_id=part)] * part)
    bench.write("known.objects.csv", KNOWN, "csv", [row_of(KNOWN)])
    bench.text("notes.txt", "x")
    return bench


def test_a_load_tells_each_file_on_standard_error_and_each_table_at_the_end(filled: Bench) -> None:
    result = run(filled)
    assert result.exit_code == 0, result.output
    told = result.stderr.splitlines()
    assert [line.split()[:4] for line in told] == [
        ["loaded", "dr2.photometry.1.csv", "1", "rows"], ["loaded", "dr2.photometry.2.csv", "2", "rows"],
        ["loaded", "known.objects.csv", "1", "rows"],
    ]  # fmt: skip
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines == ["dr2.photometry 3 rows 2 loaded", "known.objects 1 rows 1 loaded", "left alone: notes.txt"]


def test_a_second_load_says_that_nothing_changed_and_changes_nothing(filled: Bench) -> None:
    run(filled)
    before = filled.hashes()
    result = run(filled)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[:2] == ["dr2.photometry 2 unchanged", "known.objects 1 unchanged"]
    assert filled.hashes() == before


def test_what_of_a_file_was_left_out_or_looks_cut_is_told(bench: Bench) -> None:
    path = bench.write("known.objects.csv", KNOWN, "csv", [row_of(KNOWN)])
    head, row = path.read_text().splitlines()
    path.write_text(f"{head},colour of the door\n{row},red")
    told = [" ".join(line.split()) for line in run(bench).stdout.splitlines()]
    assert told[1:] == [
        "note: known.objects.csv: columns that the contract does not have are left out: colour of the door",
        "note: known.objects.csv: its last line has no end; if it was cut there, get it again",
    ]


def test_files_are_not_loaded_beside_rows_that_an_archive_was_asked_for(filled: Bench) -> None:
    run(filled)
    with open_warehouse(filled.settings, write=True) as house:
        house.run(f"UPDATE meta.chunk SET service = 'skymapper' WHERE table_name = '{PHOTOMETRY}'")
    before = filled.hashes()
    filled.write("dr2.photometry.3.csv", PHOTOMETRY, "csv", [row_of(PHOTOMETRY, image_id=9)])
    result = run(filled)
    assert isinstance(result.exception, LoadError)
    assert "dr2.photometry holds rows that skymapper was asked for" in result.exception.message
    assert filled.hashes() == before


def test_quiet_tells_tables_only(filled: Bench) -> None:
    result = run(filled, "--quiet")
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 3


def test_json_is_one_document_with_every_file_and_its_notes(filled: Bench) -> None:
    result = run(filled, "--json")
    assert result.stderr == ""
    told = json.loads(result.stdout)
    assert told["release"] == "skymapper_dr2"
    assert told["ignored"] == ["notes.txt"]
    assert [(one["table"], one["source"], one["outcome"], one["rows"]) for one in told["files"]] == [
        (PHOTOMETRY, "dr2.photometry.1.csv", "loaded", 1), (PHOTOMETRY, "dr2.photometry.2.csv", "loaded", 2),
        (KNOWN, "known.objects.csv", "loaded", 1),
    ]  # fmt: skip
    assert told["files"][1]["notes"]["duplicate_keys"] == 1
    assert "ra_img" in told["files"][0]["notes"]["absent_columns"]


def test_a_dry_run_says_what_it_would_load_and_makes_no_warehouse(filled: Bench) -> None:
    nowhere = filled.files / "new"
    result = run(filled, "--dry-run", "--warehouse", str(nowhere))
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines == ["dr2.photometry 2 load", "known.objects 1 load", "left alone: notes.txt"]
    assert not nowhere.exists()
    before = filled.hashes()
    told = json.loads(run(filled, "--dry-run", "--json").stdout)
    assert {one["outcome"] for one in told["files"]} == {"load"}
    assert filled.hashes() == before


def test_a_dry_run_finds_a_file_whose_columns_do_not_fit(filled: Bench) -> None:
    filled.text(f"{DISTANCE}.csv", "source_id\n1\n")
    error = run(filled, "--dry-run").exception
    assert isinstance(error, ContractError)
    assert "r_est" in error.message


def test_replace_takes_what_changed(filled: Bench) -> None:
    run(filled)
    filled.write("known.objects.csv", KNOWN, "csv", [row_of(KNOWN, name="R Aqr")])
    error = run(filled).exception
    assert isinstance(error, SourceChanged)
    assert "--replace" in error.remedy
    lines = [" ".join(line.split()) for line in run(filled, "--replace").stdout.splitlines()]
    assert lines[:2] == ["dr2.photometry 2 unchanged", "known.objects 1 rows 1 replaced"]
    assert filled.values(KNOWN, "name") == ["R Aqr"]


def test_a_new_warehouse_is_made_where_there_is_none(filled: Bench) -> None:
    result = run(filled, "--quiet", "--warehouse", str(filled.files / "a" / "b"))
    assert result.exit_code == 0, result.output
    assert (filled.files / "a" / "b" / "skysy.duckdb").exists()


def test_a_directory_or_release_that_is_not_there_makes_nothing(filled: Bench) -> None:
    nowhere = filled.files / "new"
    for words in (
        {"source": str(filled.files / "none")},
        {"release": "dr17"},
        {"source": str(nowhere.parent / "new2")},
    ):
        result = run(filled, "--warehouse", str(nowhere), **words)
        assert result.exit_code != 0
        assert not nowhere.exists()
    assert isinstance(run(filled, source=str(filled.files / "none")).exception, UsageError)


def test_a_bad_file_is_exit_code_4_and_says_where_on_standard_error_even_with_json(filled: Bench) -> None:
    filled.text("dr2.photometry.3.csv", "object_id\n1\n")
    result = run(filled, "--json")
    assert isinstance(result.exception, LoadError)
    assert result.exception.exit_code == 4
    assert result.stdout == ""


def test_help_has_an_example(filled: Bench) -> None:
    shown = CliRunner().invoke(app, ["load", "--help"])
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.output)
    assert "Example: skysy load --release skymapper_dr2 --from archive" in " ".join(plain.split())
    for option in ("--from", "--replace", "--dry-run", "--json", "--quiet"):
        assert option in plain
