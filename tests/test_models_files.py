"""A model file is what its header says, or it is refused with the line and the reason."""

from __future__ import annotations

from pathlib import Path

import models_toy as toy
import pytest
import sqlglot

from skysy.errors import ModelError, SqlError
from skysy.models.files import Model, read_audit, read_model, tables_read


def model_from(directory: Path, text: str, name: str = "means") -> Model:
    path = directory / f"{name}.sql"
    path.write_text(text, encoding="utf-8")
    return read_model(path)


def changed(old: str, new: str, text: str = toy.MEANS) -> str:
    assert old in text
    return text.replace(old, new)


def test_a_header_is_read_in_full_with_its_continued_lines(tmp_path: Path) -> None:
    path = tmp_path / "means.sql"
    path.write_text(toy.MEANS, encoding="utf-8")
    model = read_model(path)
    assert model.purpose == "mean magnitude and largest step of each object."
    assert model.grain == "one row per object_id"
    assert model.key == ("object_id",)
    assert (model.scope, model.kind, model.engine) == ("object", "table", None)
    assert model.inputs == ("int_kept",)
    assert model.parameters == ("floor_mag",)
    assert model.source == (
        "a weighted mean in whole numbers of 1e-9, so that the order of rows does not matter; its weights are made up"
    )


def test_output_columns_have_type_unit_ucd_and_words_even_when_the_expression_spans_lines(
    tmp_path: Path,
) -> None:
    path = tmp_path / "means.sql"
    path.write_text(toy.MEANS, encoding="utf-8")
    columns = {column.name: column for column in read_model(path).columns}
    assert list(columns) == ["object_id", "mean_mag", "step_mag", "n"]
    mean = columns["mean_mag"]
    assert (mean.type, mean.unit, mean.ucd) == ("DOUBLE", "mag", "phot.mag;stat.mean")
    assert mean.description == "weighted mean"
    assert columns["n"].comment == "detections {meta.number}"


def test_types_with_arguments_and_lists_are_read_as_written(tmp_path: Path) -> None:
    model = model_from(
        tmp_path,
        "-- x: y.\n--\n-- grain:  one row\n\nSELECT\n"
        "    CAST(1 AS DECIMAL(6, 3)) AS a, -- one [mag]\n"
        "    CAST([1] AS INTEGER[]) AS b    -- two\n",
        "x",
    )
    assert [column.type for column in model.columns] == ["DECIMAL(6,3)", "INTEGER[]"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("-- means: mean", "-- mean: mean", "must begin with"),
        ("-- inputs: int_kept", "-- inputs: stg_obs", "the SQL reads int_kept"),
        ("-- inputs: int_kept", "-- inputs: int_kept, stg_obs", "name stg_obs, which the SQL does not read"),
        ("-- inputs: int_kept\n", "", "the SQL reads int_kept"),
        ("-- grain:", "-- grian:", "unknown header field 'grian'"),
        ("-- grain:  one row per object_id\n", "", "no grain"),
        ("-- scope:  object", "-- scope:  galaxy", "scope is global, object or chunk"),
        ("-- key:    object_id", "-- key:    image_id", "image_id"),
        ("-- key:    object_id", "-- key:    object_id\n-- key:    n", "stands twice"),
        ("-- key:    object_id", "-- key:    object_id\n-- broadcast: images", "broadcast names images"),
        ("-- detections {meta.number}", "", "output column n has no comment"),
        ("CAST(count(*) AS INTEGER) AS n ", "count(*) AS n ", "is not CAST"),
        ("AS step_mag,           --", "AS object_id,          --", "object_id stands twice"),
        ("-- grain:", "--grain", "neither a header field"),
        ("FROM int_kept", "FROM int_kept, read_csv('x.csv')", "not a table"),
        ("FROM int_kept", "FROM meta.chunk", "reads meta.chunk"),
        ("getvariable('floor_mag')", "getvariable(mag)", "one parameter in quotes"),
    ],
)
def test_a_header_or_a_column_that_is_not_true_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        model_from(tmp_path, changed(old, new))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (changed("GROUP BY", "GROUPED BY"), "syntax error"),
        (toy.MEANS + ";\nSELECT 1", "not one SELECT"),
        ("-- means: x.\nDROP TABLE means", "not one SELECT"),
    ],
)
def test_what_is_not_one_select_is_refused_with_the_files_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SqlError, match=said):
        model_from(tmp_path, text)


def test_the_line_of_a_syntax_error_is_the_files_line(tmp_path: Path) -> None:
    broken = changed("GROUP BY object_id", "GROUP object_id")
    line = broken.splitlines().index("GROUP object_id") + 1
    with pytest.raises(SqlError, match=f"LINE {line}:"):
        model_from(tmp_path, broken)


def test_a_view_that_reads_a_parameter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a view reads the parameter floor_mag"):
        model_from(tmp_path, changed("-- scope:  object", "-- kind:   view"))


def test_a_final_union_is_refused_for_a_model_and_allowed_for_an_audit(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="one SELECT"):
        model_from(tmp_path, toy.MEANS + "UNION ALL SELECT 1, 2, 3, 4")
    path = tmp_path / "aud_two.sql"
    header = "-- aud_two: nothing.\n-- severity: warn\n-- inputs: a, b\n"
    path.write_text(header + "SELECT 1 FROM a UNION ALL SELECT 2 FROM b;\n")
    audit = read_audit(path)
    assert (audit.severity, audit.inputs, audit.sentence) == ("warn", ("a", "b"), "nothing.")
    assert audit.query.rstrip(")\n").endswith("FROM b")


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("WITH a AS (SELECT * FROM x) SELECT * FROM a", {"x"}),
        ("WITH a AS (SELECT * FROM a) SELECT * FROM a", {"a"}),
        ("WITH RECURSIVE a AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM a) SELECT * FROM a", set()),
        ("WITH a AS (SELECT * FROM b), b AS (SELECT * FROM y) SELECT * FROM a, b", {"b", "y"}),
        ("SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a) JOIN a ON TRUE", {"a"}),
        ("WITH a AS (SELECT 1) SELECT (SELECT max(n) FROM (SELECT 1 AS n FROM a)) FROM dr.t", {"dr.t"}),
        ("WITH a AS (SELECT 1) SELECT * FROM s.a", {"s.a"}),
        ("SELECT * FROM T, range(3), unnest([1]) WHERE x IN (SELECT y FROM U)", {"t", "u"}),
    ],
)
def test_tables_are_told_from_ctes_by_where_they_stand(sql: str, tables: set[str]) -> None:
    assert tables_read(Path("x.sql"), sqlglot.parse_one(sql, dialect="duckdb")) == tables
