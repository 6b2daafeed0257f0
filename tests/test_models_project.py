"""The real sql/: every file is what its header says, and runs unedited in a DuckDB shell."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import MakeArchive, detection, exposures, red_giant, together
from sqlglot import exp

from skysy.config import Settings
from skysy.contract import load_contract, releases
from skysy.models.lineage import column_lineage, cut_terms
from skysy.models.project import PARAMETER_FILE, STAGING, Project, load_project
from skysy.store import open_warehouse

RELEASES = releases()
SQL = load_project(RELEASES[0]).models[0].path.parents[2]
PER_OBJECT = {"measurements", "nightly_colours", "colours", "rapid_variability"}
UNREPEATABLE = {
    "any_value",
    "first",
    "last",
    "arbitrary",
    "random",
    "uuid",
    "now",
    "current_timestamp",
    "today",
}


@pytest.fixture(params=RELEASES)
def project(request: pytest.FixtureRequest) -> Project:
    """The science of each release in turn."""
    return load_project(request.param)


def test_every_file_of_sql_belongs_to_a_release() -> None:
    projects = [load_project(name) for name in RELEASES]
    used = {model.path for one in projects for model in one.models} | {
        audit.path for one in projects for audit in one.audits
    }
    files = {
        path
        for path in SQL.rglob("*.sql")
        if path.name != PARAMETER_FILE and path.parent.name not in ("match", "diff", "inject")
    }
    assert files - used == set()


def test_every_release_gives_the_same_models(project: Project) -> None:
    other = load_project(RELEASES[0])
    assert {model.name for model in project.models} == {model.name for model in other.models}
    staging = [model for model in project.models if model.name.startswith("stg_")]
    for model in staging:
        twin = other.model(model.name)
        assert [(column.name, column.type) for column in model.columns] == [
            (column.name, column.type) for column in twin.columns
        ], model.name


def test_no_parameter_is_unused_and_each_says_what_it_does(project: Project) -> None:
    read = {name for model in project.models for name in model.parameters}
    read |= {name for audit in project.audits for name in audit.parameters}
    read |= {name for name in project.parameters if name.startswith("archive_")}  # of queries, not of models
    assert set(project.parameters) - read == set()
    assert all(one.description for one in project.parameters.values())


def test_staging_are_views_and_the_rest_are_tables(project: Project) -> None:
    for model in project.models:
        assert (model.kind == "view") == model.name.startswith("stg_"), model.name
        assert bool(model.archive_inputs) <= model.name.startswith("stg_"), model.name


def test_models_that_follow_single_objects_say_so(project: Project) -> None:
    assert {model.name for model in project.models if model.scope == "object"} >= PER_OBJECT


def test_every_archive_column_that_a_model_reads_is_in_the_contract(project: Project) -> None:
    contract = load_contract(project.release)
    promised = {(table.name, column.name.lower()) for table in contract.tables for column in table.columns} | {
        (table.name, "_chunk_id") for table in contract.tables
    }
    for model in project.models:
        if model.archive_inputs:
            read = {found for one in model.columns for found in column_lineage(project, model.name, one.name)}
            assert read <= promised, model.name
    assert set(project.archive_tables) <= {table.name for table in contract.tables}


@pytest.mark.slow
def test_every_output_column_leads_back_to_the_archive_or_counts_rows_or_is_published(project: Project) -> None:
    if project.release != "skymapper_dr2":
        pytest.skip("only this release has all the archive's tables")
    for model in project.models:
        for column in model.columns:
            found = column_lineage(project, model.name, column.name, to_archive=True)
            assert found or "count" in model.sql or "VALUES" in model.sql, (model.name, column.name)


def test_every_cut_names_a_column_and_its_limit_is_a_parameter_or_a_missing_value(project: Project) -> None:
    terms = cut_terms(project, "int_selection__cuts")
    assert len(terms) == len(project.model("int_selection__cuts").columns) - 1
    for term in terms:
        assert term.columns, term.name
        assert term.parameters or "IS NULL" in term.expression_sql, term.name
    assert {name for term in terms for name in term.parameters} <= set(project.parameters)


def test_nothing_in_sql_depends_on_chance_or_on_the_order_of_rows(project: Project) -> None:
    for model in project.models:
        for call in model.tree.find_all(exp.Func):
            name = call.name if isinstance(call, exp.Anonymous) else call.sql_name()
            assert name.lower() not in UNREPEATABLE, (model.name, name)
        for window in model.tree.find_all(exp.Window):
            ranked = isinstance(window.this, exp.RowNumber | exp.Lag | exp.Lead | exp.FirstValue)
            named = window.args.get("alias") is not None
            assert not ranked or named or window.args.get("order"), (model.name, window.sql())


@pytest.fixture(scope="module")
def shell() -> str:
    """The DuckDB shell of the lowest version that the warehouse is kept for."""
    found = shutil.which("duckdb", path=str(Path(sys.executable).parent)) or shutil.which("duckdb")
    if found is None:
        pytest.skip("no duckdb shell: pip install 'skysy[shell]'")
    return found


@pytest.fixture
def built(make_archive: MakeArchive) -> Settings:
    """A small built warehouse of SkyMapper DR2: three giants with a colour sequence each."""
    images = exposures(20150101120000, "uvgruvizuv", 57000.5)
    rows = [
        detection(star, image, 15.0 + 0.01 * place + star / 1e4, 0.0033)
        for star in (1000, 2000, 3000)
        for place, image in enumerate(images)
    ]
    stars = [red_giant(star) for star in (1000, 2000, 3000)]
    known = [{"object_id": 2000, "name": "V* Test", "object_type": "Sy*", "source": "test"}]
    tables = {"dr2.images": images, "dr2.photometry": rows, "known.objects": known}
    return make_archive(together(*stars, tables))


def ask(
    shell: str, built: Settings, project: Project, questions: Mapping[str, str], answers: Path
) -> dict[str, list[str]]:
    """The sorted CSV lines that a shell gives to each question, after the parameter files as they are."""
    parameters = [SQL / PARAMETER_FILE, SQL / STAGING / project.release / PARAMETER_FILE]
    script = [f".read {path}" for path in parameters if path.exists()]
    for name, question in questions.items():
        script += [f".once {answers / name}.csv", question]
    (answers / "script").write_text("\n".join([*script, ""]))
    words = [shell, "-readonly", "-csv", "-bail", "-f", str(answers / "script"), str(built.database)]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert not answer.stderr
    return {name: sorted((answers / f"{name}.csv").read_text().splitlines()) for name in questions}


def test_every_model_file_runs_unedited_in_the_shell_and_gives_the_rows_that_were_built(
    shell: str, built: Settings, tmp_path: Path
) -> None:
    project = load_project("skymapper_dr2")
    of_files = {f"{model.name}.file": f".read {model.path}" for model in project.models}
    of_tables = {f"{model.name}.built": f'FROM "{model.name}";' for model in project.models if model.engine is None}
    found = ask(shell, built, project, of_files | of_tables, tmp_path)
    for name in of_tables:
        model = name.removesuffix(".built")
        assert found[f"{model}.file"] == found[name], model
    assert sum(len(found[name]) - 1 for name in of_files) > 100


def test_every_audit_file_runs_unedited_in_the_shell(shell: str, built: Settings, tmp_path: Path) -> None:
    project = load_project("skymapper_dr2")
    found = ask(shell, built, project, {one.name: f".read {one.path}" for one in project.audits}, tmp_path)
    for audit in project.audits:
        assert audit.severity == "warn" or len(found[audit.name]) <= 1, audit.name


def test_built_columns_have_the_types_and_comments_of_their_files(built: Settings) -> None:
    project = load_project("skymapper_dr2")
    with open_warehouse(built) as house:
        for model in project.models:
            found = house.rows(
                "SELECT column_name, data_type, comment FROM duckdb_columns() "
                "WHERE schema_name = 'main' AND table_name = ? ORDER BY column_index",
                [model.name],
            )
            assert found == [(column.name, column.type, column.comment) for column in model.columns]
