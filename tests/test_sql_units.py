"""Every model on rows written by hand (tests/unit), and the tool that runs them: what it reports and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import DR2, ENGINES, Laboratory
from skysy.sql import __file__ as sql_package
from typer.testing import CliRunner

from skysy.cli.commands import app
from skysy.errors import ModelError, NotFound
from skysy.models.cases import Case, find_cases, read_cases
from skysy.models.project import load_project
from skysy.models.unit import Bench

UNIT = Path(__file__).parent / "unit"
SQL = Path(sql_package).parent
CASES = find_cases(UNIT)


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    with Bench(load_project(DR2), ENGINES) as found:
        yield found


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.model}: {case.name}")
def test_model_gives_the_expected_rows(bench: Bench, case: Case) -> None:
    for outcome in bench.run(case):
        assert outcome.problems == (), outcome.engine or "SQL"


def test_every_model_has_cases_and_every_file_of_cases_a_model(bench: Bench) -> None:
    assert {path.stem for path in UNIT.iterdir()} == {model.name for model in bench.project.models}


def test_inputs_are_made_with_the_types_that_models_really_give(laboratory: Laboratory, bench: Bench) -> None:
    for model in bench.project.models:
        described = {row["column_name"]: row["column_type"] for row in laboratory.rows(f"DESCRIBE {model.name}")}
        assert {column.name: column.type for column in model.columns} == described, model.name


# model: (piece of its SQL, what is put in its place)
SLIPS = {
    "stg_allwise__source": ("ORDER BY w1mpro", "ORDER BY w1mpro DESC"),
    "stg_distance__geometric": ("ORDER BY r_est", "ORDER BY r_est DESC"),
    "stg_gaia__source": ("ORDER BY parallax,", "ORDER BY parallax NULLS FIRST,"),
    "stg_known__objects": ("'Symbiotic*_Candidate'", "'Sy1'"),
    "stg_simbad__matches": ("ORDER BY ang_dist,", "ORDER BY main_id,"),
    "stg_survey__photometry": ("* 1e4 + 0.5e0) / 1e4", "* 1e3 + 0.5e0) / 1e3"),
    "int_density__points": ("AND c.uv_mag IS NOT NULL", ""),
    "sequences": ("= 'uvgruvizuv'", "LIKE '%gruvizuv'"),
    "stg_twomass__psc": ("nullif(ext_key, 0)", "ext_key"),
    "stg_survey__master": ("round(CAST(ebmv_sfd AS DOUBLE), 4)", "CAST(ebmv_sfd AS DOUBLE)"),
    "stg_survey__images": ("ORDER BY date,", "ORDER BY date DESC,"),
    "int_selection__matched": ("r_est / 10", "r_est"),
    "int_selection__cuts": ("j_m < getvariable", "j_m <= getvariable"),
    "int_sequences__exposures": ("since_previous_min > getvariable('sequence_gap_min_max')", "FALSE"),
    "sample": ("  AND coalesce(c.luminous_mj, list_contains(getvariable('cuts_not_available'), 'luminous_mj'))\n", "\n"),
    "measurements": ("used_in_clip IS NOT NULL", "used_in_clip"),
    "nightly_colours": ("u_sum_e2 / (n_u * n_u)", "u_sum_e2 / n_u"),
    "colours": ("1 / sqrt(ug_weight / 1e12)", "sqrt(ug_weight / 1e12)"),
    "rapid_variability": ("UNBOUNDED PRECEDING AND 1 PRECEDING", "1 PRECEDING AND 1 PRECEDING"),
    "density_score": ("(2 * CAST(", "(1 * CAST("),
    "cut_flow": ("ends_at >= step), 0) AS BIGINT) AS n_in", "ends_at > step), 0) AS BIGINT) AS n_in"),
    "int_detections__patterns": ("p.flags < getvariable", "p.flags <= getvariable"),
    "measurement_flow": ("n_pass - n_kept AS n_fail", "n_pass AS n_fail"),
    "candidates": ("rapid_u_sigma >= getvariable", "rapid_u_sigma > getvariable"),
    "int_rapid__sequences": ("date := date, image_id := image_id,", "image_id := image_id, date := date,"),
    "int_photometry__brightest": ("list_contains(getvariable('sequence_image_types'), image_type)", "TRUE"),
    "int_reddening__zero_points": ("m.ebmv_sfd >= t.ebmv_from", "m.ebmv_sfd > t.ebmv_from"),
    "int_effective__bins": ("CAST(r.n_as_high + 1 AS DOUBLE)", "CAST(r.n_as_high AS DOUBLE)"),
    "effective_sigma": ("WHEN 'analytic' THEN 0", "WHEN 'scatter' THEN 0"),
    "false_alarms": ("rapid_u_sigma > sigma_955", "rapid_u_sigma >= sigma_955"),
    "int_candidates__cautions": ("m.prox < getvariable", "m.prox <= getvariable"),
    "known_recovery": ("failure.passed IS NULL END", "FALSE END"),
    "stg_followup__observations": ("SELECT DISTINCT", "SELECT"),
    "followup": ("ionisation_potential_ev > getvariable", "ionisation_potential_ev >= getvariable"),
    "stg_tess__light_curve": ("coalesce(quality, 0)", "quality"),
    "int_flickering__bins": ("slope * CAST(n * time_ud", "0 * CAST(n * time_ud"),
    "int_flickering__spectra": ("2 * bin_s * 1e-6 / n", "bin_s * 1e-6 / n"),
    "int_flickering__sectors": ("noise_p / n_noise AS white", "noise_p / n_band AS white"),
    "flickering": ("AND r.object_id <> g.object_id", ""),
    "stg_mast__observations": ("calib_level DESC NULLS LAST", "calib_level"),
    "stg_mast__products": ("'^/mast/'", "'^/'"),
    "mast_observation": ("AND o.target_name = 'TESS FFI' THEN", "THEN"),
    "mast_missions": ("WHEN s.object_id IS NULL THEN 'none'", "WHEN s.object_id IS NULL THEN 'not asked'"),
    "simbad_status": ("WHEN m.main_id IS NULL THEN 'none'", "WHEN m.main_id IS NULL THEN 'not asked'"),
}  # fmt: skip


def test_a_slip_in_any_model_fails_one_of_its_cases(tmp_path: Path) -> None:
    changed = Path(shutil.copytree(SQL, tmp_path / "sql", ignore=shutil.ignore_patterns("__pycache__")))
    for model, (piece, other) in SLIPS.items():
        [path] = [
            found
            for found in changed.rglob(f"{model}.sql")
            if found.parent.name == DR2 or found.parent.parent.name == "sql"
        ]
        text = path.read_text(encoding="utf-8")
        assert piece in text, model
        path.write_text(text.replace(piece, other), encoding="utf-8")
    with Bench(load_project(DR2, changed)) as spoiled:
        assert set(SLIPS) == {model.name for model in spoiled.project.models}
        unseen = {
            model: [case.name for case in read_cases(UNIT / f"{model}.yaml")]
            for model in SLIPS
            if all(outcome.passed for case in read_cases(UNIT / f"{model}.yaml") for outcome in spoiled.run(case))
        }
    assert unseen == {}


def problems(bench: Bench, directory: Path, model: str, text: str) -> list[str]:
    """What the only case of a file written on the spot is told."""
    path = directory / f"{model}.yaml"
    path.write_text(text, encoding="utf-8")
    [case] = read_cases(path)
    return [problem for outcome in bench.run(case) for problem in outcome.problems]


COLOURS = """\
- name: a promise
  given:
    nightly_colours:
      - {object_id: 1, night_mjd: 57000, ug_mag: 1.0, ug_var: 0.0001}
      - {object_id: 2, night_mjd: 57000, ug_mag: 2.0, ug_var: 0.0001}
"""


def test_missing_surplus_and_different_rows_are_told_apart(bench: Bench, tmp_path: Path) -> None:
    text = (
        COLOURS
        + "  expect:\n    - {object_id: 1, ug_mag: 1.1, uv_mag: .nan}\n    - {object_id: 3, ug_mag: null, uv_mag: null}\n"
    )
    assert problems(bench, tmp_path, "colours", text) == [
        "differs  object_id 1: ug_mag is 1.0, expected 1.1; uv_mag is NULL, expected nan",
        "missing  object_id 3, ug_mag NULL, uv_mag NULL",
        "surplus  object_id 2, ug_mag 2.0, uv_mag NULL",
    ]


def test_without_the_key_a_row_that_differs_is_missing_and_surplus(bench: Bench, tmp_path: Path) -> None:
    found = problems(bench, tmp_path, "colours", COLOURS + "  expect: [{ug_mag: 1.0}, {ug_mag: 2.5}]\n")
    assert found == ["missing  ug_mag 2.5", "surplus  ug_mag 2.0"]


def test_a_copy_too_many_is_surplus_and_no_rows_expected_means_none(bench: Bench, tmp_path: Path) -> None:
    given = "- name: a\n  given: {stg_survey__photometry: []}\n"
    assert problems(bench, tmp_path, "measurements", given + "  expect: []\n") == []
    copies = "- name: a\n  given:\n    dr2.photometry: [{image_id: 1}, {image_id: 1}]\n  expect: [{image_id: 1}]\n"
    assert problems(bench, tmp_path, "stg_survey__photometry", copies) == ["surplus  image_id 1"]


def test_floats_may_be_off_by_the_tolerance_and_no_more(bench: Bench, tmp_path: Path) -> None:
    near = "  expect: [{object_id: 1, ug_mag: 1.0000000009}, {object_id: 2, ug_mag: 2.0}]\n"
    assert problems(bench, tmp_path, "colours", COLOURS + near) == []
    assert len(problems(bench, tmp_path, "colours", COLOURS + near.replace("09}", "11}"))) == 1
    assert problems(bench, tmp_path, "colours", COLOURS + "  tolerance: 0.2\n" + near.replace("2.0}", "2.1}")) == []


def test_rows_in_another_order_are_told_only_where_the_order_is_promised(bench: Bench, tmp_path: Path) -> None:
    text = """\
- name: a
  given:
    sample: [{object_id: 1}, {object_id: 2}]
    colours: [{object_id: 1, ug_mag: 1.0, uv_mag: 0.1}, {object_id: 2, ug_mag: 1.0, uv_mag: 0.1}]
    density_score: [{object_id: 1, ln_density: -9.0}, {object_id: 2, ln_density: -8.0}]
  expect: [{object_id: 2, rank: 2}, {object_id: 1, rank: 1}]
"""
    assert problems(bench, tmp_path, "candidates", text) == []
    assert problems(bench, tmp_path, "candidates", text + "  ordered: true\n") == [
        "order    the rows come as object_id 1, object_id 2"
    ]


def test_a_model_that_fails_or_should_have_failed_is_told(bench: Bench, tmp_path: Path) -> None:
    text = "- name: a\n  parameters: {nightly_variance: median}\n  given:\n    measurements: [{object_id: 1, night_mjd: 1, filter: u, mag_psf: 15.0, e_mag_psf: 0.1}]\n"
    [told] = problems(bench, tmp_path, "nightly_colours", text + "  expect: []\n")
    assert told.startswith("error    ")
    assert "nightly_variance is plain or weighted" in told
    [told] = problems(bench, tmp_path, "nightly_colours", text + "  error: another word\n")
    assert "expected one with 'another word'" in told
    [told] = problems(bench, tmp_path, "nightly_colours", text.replace("median", "plain") + "  error: refused\n")
    assert told == "no error; expected one with 'refused'"


def test_an_engine_that_gives_other_numbers_than_the_sql_fails(tmp_path: Path) -> None:
    import pyarrow as pa

    def shifted(_: object) -> pa.Table:
        return pa.table({"object_id": pa.array([147403802], pa.int64()), "ln_density": [2.767]})

    case = read_cases(UNIT / "density_score.yaml")[0]
    with Bench(load_project(DR2), {"density_score": shifted}) as other:
        by_sql, by_engine = other.run(case)
    assert by_sql.passed
    assert by_engine.engine == "density_score"
    assert by_engine.problems == ("differs  object_id 147403802: ln_density is 2.767, expected 2.767293119578746",)


# What is wrong in a file: (model, text, words of the error)
REFUSED = {
    "no such input column": ("colours", COLOURS.replace("ug_var", "ug_varr") + "  expect: []\n", ["colours.yaml, case 'a promise'", "nightly_colours has no column 'ug_varr'", "Did you mean ug_var"]),
    "no such result column": ("colours", COLOURS + "  expect: [{object_id: 1, ugmag: 1.0}]\n", ["case 'a promise'", "the result of colours has no column 'ugmag'", "Did you mean ug_mag"]),
    "no such input": ("colours", COLOURS.replace("nightly_colours:", "nightly_colors:") + "  expect: []\n", ["colours does not read nightly_colors", "Did you mean nightly_colours"]),
    "no such parameter": ("colours", COLOURS + "  parameters: {mag_mx: 1.0}\n  expect: []\n", ["there is no parameter mag_mx", "Did you mean mag_max"]),
    "a parameter of another kind": ("colours", COLOURS + "  parameters: {mag_max: bright}\n  expect: []\n", ["mag_max"]),
    "an id through a float": ("colours", COLOURS.replace("object_id: 1,", "object_id: 6.015e+18,") + "  expect: []\n", ["object_id is BIGINT, and 6.015e+18 is not"]),
    "digits that the type would lose": ("stg_twomass__psc", "- name: a\n  given:\n    ext.twomass_psc: [{pts_key: 1, j_m: 9.0501}]\n  expect: []\n", ["j_m is DECIMAL(6,3), and 9.0501 is not"]),
    "zeros without quotes": ("stg_twomass__psc", "- name: a\n  given:\n    ext.twomass_psc: [{pts_key: 1, cc_flg: 000}]\n  expect: []\n", ["cc_flg is VARCHAR, and 0 is not"]),
    "a word for TRUE": ("stg_survey__photometry", "- name: a\n  given:\n    dr2.photometry: [{image_id: 1, used_in_clip: 't'}]\n  expect: []\n", ["used_in_clip is BOOLEAN, and 't' is not"]),
    "a field that is not known": ("colours", COLOURS + "  expected: []\n", ["unknown field 'expected'", "Did you mean expect"]),
    "a column twice in a row": ("colours", COLOURS + "  expect: [{object_id: 1, object_id: 2}]\n", ["'object_id' stands twice"]),
    "rows of different columns": ("colours", COLOURS + "  expect: [{object_id: 1, ug_mag: 1.0}, {object_id: 2}]\n", ["row 2 differs from the first in its columns: ug_mag"]),
    "nothing expected": ("colours", COLOURS, ["give either rows to expect or an error"]),
    "no name": ("colours", "- given: {}\n  expect: []\n", ["case 1 has no name"]),
    "two of one name": ("colours", "- {name: a, expect: []}\n- {name: a, expect: []}\n", ["two cases have this name"]),
    "no list": ("colours", "name: a\n", ["is not a list of cases"]),
    "rows that are no rows": ("colours", "- name: a\n  given: {nightly_colours: 7}\n  expect: []\n", ["not a list of rows"]),
    "an unknown key": ("colours", COLOURS + "  key: [night_mjd]\n  expect: [{object_id: 1}]\n", ["key names night_mjd"]),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_a_case_that_does_not_fit_is_an_error_that_names_it(bench: Bench, tmp_path: Path, fault: str) -> None:
    model, text, words = REFUSED[fault]
    with pytest.raises(ModelError) as error:
        problems(bench, tmp_path, model, text)
    told = f"{error.value.message} {error.value.remedy}"
    assert f"{model}.yaml" in told
    assert [word for word in words if word not in told] == []


def test_a_model_without_cases_is_not_passed_over() -> None:
    with pytest.raises(NotFound, match=r"has no colors\.yaml"):
        find_cases(UNIT, ["colors"])
    with pytest.raises(NotFound, match="no cases"):
        find_cases(UNIT / "nowhere")


def test_the_command_prints_a_line_per_case_and_fails_where_one_does(tmp_path: Path) -> None:
    (tmp_path / "colours.yaml").write_text(
        COLOURS + "  expect: [{object_id: 1, ug_mag: 1.0}]\n- {name: no nights, expect: []}\n", encoding="utf-8"
    )
    told = CliRunner().invoke(app, ["test", "colours", "--cases", str(tmp_path)])
    assert told.exit_code == 1
    assert told.stdout.splitlines() == [
        "FAIL  colours: a promise",
        "        surplus  object_id 2, ug_mag 2.0",
        "ok    colours: no nights",
        "2 cases run, 1 failed.",
    ]
    told = CliRunner().invoke(app, ["test", "density_score", "--cases", str(UNIT), "--json"])
    assert told.exit_code == 0
    listed = json.loads(told.stdout)
    assert {one["engine"] for one in listed} == {"", "density_score"}
    assert all(one["problems"] == [] for one in listed)
