"""Parameters: read from lines, overridden in order, refused in words where they do not fit."""

from __future__ import annotations

from pathlib import Path

import duckdb
import models_toy as toy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skysy.errors import ModelError, NotFound, UsageError
from skysy.models import parameters
from skysy.models.project import load_project


def known(directory: Path) -> dict[str, parameters.Parameter]:
    path = directory / "p.sql"
    path.write_text(toy.PARAMETERS)
    return parameters.read_parameters(path, "p.sql")


def one(name: str, value: str) -> dict[str, parameters.Parameter]:
    kind = parameters.literal_type(value)
    assert kind is not None
    return {name: parameters.Parameter(name, value, kind, None, "words", "p.sql")}


def test_a_line_gives_value_type_unit_and_words(tmp_path: Path) -> None:
    found = known(tmp_path)
    assert list(found) == ["mag_max", "floor_mag", "bands"]
    limit = found["mag_max"]
    assert (limit.value_sql, limit.type, limit.unit) == ("20.0", "DECIMAL", "mag")
    assert limit.description == "fainter detections do not count"
    assert (found["bands"].type, found["bands"].unit) == ("VARCHAR[]", None)


def test_a_semicolon_and_dashes_inside_a_text_are_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "p.sql"
    path.write_text("SET VARIABLE note = 'a; -- b';  -- words\n")
    assert parameters.read_parameters(path, "p.sql")["note"].value_sql == "'a; -- b'"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("SELECT 1;", "line 2: not a parameter"),
        ("SET VARIABLE a = (SELECT 1);", "line 2: '.SELECT 1.' is no value"),
        ("SET VARIABLE a = now();", "is no value for a"),
        ("SET VARIABLE a = [1, 'x'];", "is no value for a"),
        ("SET VARIABLE a = 1;\nSET VARIABLE a = 2;", "line 3: a is set twice"),
    ],
)
def test_a_line_that_is_no_parameter_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "p.sql"
    path.write_text(f"-- head\n{line}\n")
    with pytest.raises(ModelError, match=said):
        parameters.read_parameters(path, "p.sql")


@pytest.mark.parametrize(
    ("default", "value", "set_to"),
    [
        ("20.0", "13.5", "13.5"),
        ("20.0", "14", "14"),
        ("20.0", "-1e-3", "-1e-3"),
        ("4", "5", "5"),
        ("'AAA'", "AAB", "'AAB'"),
        ("'AAA'", "'A B'", "'A B'"),
        ("'000'", "012", "'012'"),
        ("'AAA'", "it's", "'it''s'"),
        ("['ms']", "['fs', 'ms']", "['fs', 'ms']"),
        ("['ms']", "[]", "CAST([] AS VARCHAR[])"),
        ("[1, 2]", "[1]", "[1]"),
        ("TRUE", "false", "false"),
    ],
)
def test_a_setting_of_the_defaults_kind_takes_its_place(default: str, value: str, set_to: str) -> None:
    base = one("p", default)
    found = parameters.override(base, parameters.parse_settings([f"p={value}"], base))
    assert found["p"].value_sql == set_to
    assert (found["p"].origin, found["p"].description) == ("--set p", "words")


@pytest.mark.parametrize(
    ("default", "value"),
    [
        ("4", "4.5"),
        ("4", "'4'"),
        ("20.0", "bright"),
        ("20.0", "NULL"),
        ("20.0", "(SELECT 1)"),
        ("20.0", "1; DROP TABLE x"),
        ("['ms']", "ms"),
        ("['ms']", "[1]"),
        ("[1]", "[1.5]"),
        ("TRUE", "1"),
    ],
)
def test_a_setting_of_another_kind_is_refused(default: str, value: str) -> None:
    base = one("p", default)
    with pytest.raises(UsageError, match="p"):
        parameters.override(base, parameters.parse_settings([f"p={value}"], base))


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    base = known(tmp_path)
    with pytest.raises(NotFound, match="no parameter mag_mx") as caught:
        parameters.override(base, parameters.parse_settings(["mag_mx=3"], base))
    assert caught.value.remedy == "Did you mean mag_max?"
    with pytest.raises(UsageError, match="not name=value"):
        parameters.parse_settings(["mag_max"], base)


@given(
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1).map(str.strip).filter(bool)
)
def test_any_text_given_without_quotes_reaches_sql_as_it_is(text: str) -> None:
    base = one("p", "'x'")
    if parameters.literal_type(text) == "VARCHAR":
        return  # quoted by the user: it is SQL already
    found = parameters.override(base, parameters.parse_settings([f"p={text}"], base))
    with duckdb.connect() as con:
        parameters.apply(con, found)
        assert con.execute("SELECT getvariable('p')").fetchall() == [(text,)]


@given(st.one_of(st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False)))
def test_any_number_reaches_sql_as_it_is(number: float) -> None:
    base = one("p", "1e0")
    found = parameters.override(base, parameters.parse_settings([f"p={number!r}"], base))
    with duckdb.connect() as con:
        parameters.apply(con, found)
        assert con.execute("SELECT getvariable('p')::DOUBLE").fetchall() == [(float(number),)]


def test_release_file_then_users_file_then_settings_win_in_that_order(tmp_path: Path) -> None:
    science = toy.write_science(tmp_path / "sql")
    (science / "10_staging/toy/00_parameters.sql").write_text(
        "SET VARIABLE mag_max = 19.0; -- [mag] a shallower survey\nSET VARIABLE floor_mag = 0.02;\n"
    )
    mine = tmp_path / "mine.sql"
    mine.write_text("SET VARIABLE floor_mag = 0.03;\nSET VARIABLE bands = ['u'];\n")
    project = load_project("toy", science, parameters_file=mine, settings=["bands=['v']"])
    told = {name: (one.value_sql, one.origin) for name, one in project.parameters.items()}
    assert told == {
        "mag_max": ("19.0", "sql/10_staging/toy/00_parameters.sql"),
        "floor_mag": ("0.03", str(mine)),
        "bands": ("['v']", "--set bands"),
    }
    assert project.parameters["mag_max"].description == "a shallower survey"
    assert project.parameters["floor_mag"].description == "added to each error in quadrature"


def test_a_unit_that_is_not_the_defaults_is_refused(tmp_path: Path) -> None:
    science = toy.write_science(tmp_path / "sql")
    (science / "10_staging/toy/00_parameters.sql").write_text("SET VARIABLE mag_max = 19.0; -- [arcsec] odd\n")
    with pytest.raises(ModelError, match=r"mag_max is in \[mag\], not in \[arcsec\]"):
        load_project("toy", science)


def test_a_parameter_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.sql cannot be read"):
        load_project("toy", toy.write_science(tmp_path / "sql"), parameters_file=tmp_path / "none.sql")
