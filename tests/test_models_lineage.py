"""Where columns come from: cuts with their own words and limits, columns back to the archive."""

from __future__ import annotations

from pathlib import Path

import models_toy as toy
import pytest
from sqlglot import exp
from sqlglot.lineage import lineage

from skysy.errors import NotFound
from skysy.models.lineage import column_lineage, cut_terms
from skysy.models.project import Project, load_project

CUTS = """\
-- int_cuts: cuts of the toy.
--
-- grain:  one row per object_id
-- key:    object_id
-- inputs: means

WITH m AS (
    SELECT * FROM means
)

SELECT
    CAST(m.object_id AS BIGINT) AS object_id,                          -- object {meta.id}
    CAST(m.mean_mag < getvariable('mag_max') AS BOOLEAN) AS is_bright, -- bright enough
    CAST(
        -- a step that is larger than the floor
        CASE WHEN n > 1 -- (two at least)
             THEN step_mag > getvariable('floor_mag') AND 'a)' <> 'b' END
    AS BOOLEAN) AS varies                                              -- it varies {meta.code}
FROM m
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    science = toy.write_science(tmp_path / "sql")
    (science / "20_intermediate/int_cuts.sql").write_text(CUTS)
    return load_project("toy", science)


def test_each_cut_is_told_in_the_files_own_text_with_columns_limits_and_words(project: Project) -> None:
    bright, varies = cut_terms(project, "int_cuts")
    assert (bright.name, bright.expression_sql) == ("is_bright", "m.mean_mag < getvariable('mag_max')")
    assert (bright.columns, bright.parameters) == (("mean_mag",), ("mag_max",))
    assert bright.comment == "bright enough"
    assert varies.expression_sql == ("CASE WHEN n > 1 THEN step_mag > getvariable('floor_mag') AND 'a)' <> 'b' END")
    assert (varies.columns, varies.parameters) == (("n", "step_mag"), ("floor_mag",))


def test_a_column_is_followed_one_model_back_and_to_the_archive(project: Project) -> None:
    assert column_lineage(project, "int_cuts", "varies") == [("means", "n"), ("means", "step_mag")]
    assert column_lineage(project, "totals", "faintest", to_archive=True) == [("toy.obs", "mag")]
    # The step is between neighbours in time of one object, so its window's columns count too.
    assert column_lineage(project, "means", "step_mag", to_archive=True) == [
        ("toy.obs", "mag"),
        ("toy.obs", "object_id"),
        ("toy.obs", "t"),
    ]


def test_lineage_agrees_with_sqlglots_own_wherever_that_looks(project: Project) -> None:
    for model in project.models:
        if not model.model_inputs:
            continue
        schema = {
            name: {column.name: column.type for column in project.model(name).columns} for name in model.model_inputs
        }
        for column in model.columns:
            nodes = lineage(column.name, model.tree.copy(), schema=schema, dialect="duckdb").walk()
            theirs = {
                (node.expression.name, node.name.rpartition(".")[2])
                for node in nodes
                if isinstance(node.expression, exp.Table)
            }
            assert set(column_lineage(project, model.name, column.name)) == theirs, (model.name, column.name)


def test_a_union_is_followed_by_place_and_a_named_window_is_looked_into(tmp_path: Path) -> None:
    science = toy.write_science(tmp_path / "sql")
    (science / "30_marts/both.sql").write_text(
        "-- both: two kinds of number.\n--\n-- grain:  any\n-- inputs: means, totals\n\n"
        "WITH u AS (SELECT object_id AS a, n AS b FROM means UNION ALL SELECT n_objects, 0 FROM totals)\n"
        "SELECT\n    CAST(a AS BIGINT) AS a, -- one\n"
        "    CAST(row_number() OVER w AS BIGINT) AS place -- two\n"
        "FROM u WINDOW w AS (ORDER BY b)\n"
    )
    project = load_project("toy", science)
    assert column_lineage(project, "both", "a") == [("means", "object_id"), ("totals", "n_objects")]
    assert column_lineage(project, "both", "place") == [("means", "n")]


def test_an_unknown_model_or_column_is_answered_with_the_nearest(project: Project) -> None:
    with pytest.raises(NotFound, match="no model int_cut"):
        cut_terms(project, "int_cut")
    with pytest.raises(NotFound) as caught:
        column_lineage(project, "means", "mean_mg")
    assert caught.value.remedy == "Did you mean mean_mag?"
