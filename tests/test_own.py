"""A project of one's own: models, audits and parameters of a user are built and checked with skysy's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import COLOUR_SEQUENCE, DR2, MakeArchive, Row, Sky, detection, exposures, red_giant, table_rows, together
from typer.testing import CliRunner, Result

from skysy.cli.commands import app
from skysy.config import Settings
from skysy.errors import ModelError, NotFound, UsageError
from skysy.models.project import load_project
from skysy.own import Own, find_own, make_own

IMAGES = exposures(20150101100000, COLOUR_SEQUENCE, 57000.45)
U = [image for image in IMAGES if image["filter"] == "u"]
MODEL = """\
-- bright_sample: sample objects brighter than a limit of one's own.
--
-- grain:  one row per object_id
-- key:    object_id
-- inputs: sample
-- source: a test
-- nulls:  none

SELECT CAST(object_id AS BIGINT) AS object_id -- survey object {meta.id;meta.main}
FROM sample
WHERE j_m < getvariable('bright_j_mag')
"""


def build(where: Settings, *words: str) -> Result:
    return CliRunner().invoke(app, ["build", *words, "--warehouse", str(where.warehouse.absolute())])


@pytest.fixture
def sky(simulated: Sky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A built warehouse of one's own in a directory with a new project, which is the current one."""
    shutil.copytree(simulated.settings.warehouse, tmp_path / "warehouse")
    make_own(tmp_path, example=False)
    monkeypatch.chdir(tmp_path)
    return Settings(tmp_path / "warehouse", "1GB", 1)


def stars(u_mags: dict[int, list[float]], abs_j_faint: dict[int, bool]) -> dict[str, list[Row]]:
    parts: list[Any] = [{"dr2.images": list(IMAGES)}]
    for star, mags in u_mags.items():
        parts.append(red_giant(star, r_est=20.0 if abs_j_faint[star] else 4350.0))
        parts.append(
            {"dr2.photometry": [detection(star, image, mag, 0.01) for image, mag in zip(U, mags, strict=True)]}
        )
    return together(*parts)


def test_the_example_finds_dwarfs_that_brighten_and_no_others(
    make_archive: MakeArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = make_archive(
        stars(
            {1000: [15.0, 14.0, 14.5], 2000: [14.0, 15.0, 15.0], 3000: [15.0, 14.0, 14.5], 4000: [15.0, 14.99, 15.0]},
            {1000: True, 2000: True, 3000: False, 4000: True},
        )
    )
    make_own(tmp_path / "project", example=True)
    monkeypatch.chdir(tmp_path / "project")
    done = build(where)
    assert done.exit_code == 0, done.output
    found = table_rows(where, "SELECT object_id, rise_mag FROM dwarf_flares")
    assert [(row["object_id"], round(row["rise_mag"], 6)) for row in found] == [(1000, 1.0)]
    comments = table_rows(
        where, "SELECT comment FROM duckdb_columns() WHERE table_name = 'dwarf_flares' AND column_name = 'rise_mag'"
    )
    assert "[mag]" in comments[0]["comment"]


def test_a_model_of_ones_own_is_built_once_and_again_when_its_parameter_changes(sky: Settings) -> None:
    Path("models/bright_sample.sql").write_text(MODEL, encoding="utf-8")
    with Path("00_parameters.sql").open("a", encoding="utf-8") as file:
        file.write("SET VARIABLE bright_j_mag = 9.0; -- [mag] a limit of one's own\n")
    assert "1 model of" in build(sky).output
    expected = table_rows(sky, "SELECT count(*) AS n FROM sample WHERE j_m < 9")
    assert table_rows(sky, "SELECT count(*) AS n FROM bright_sample") == expected != [{"n": 0}]
    assert "Nothing" in build(sky).output or "0 models" in build(sky).output
    assert "1 model of" in build(sky, "--set", "bright_j_mag=10.0").output


def test_an_audit_of_ones_own_stops_a_build(sky: Settings) -> None:
    before = table_rows(sky, "SELECT model, content_hash FROM meta.model ORDER BY ALL")
    Path("models/bright_sample.sql").write_text(MODEL.replace("getvariable('bright_j_mag')", "99"), encoding="utf-8")
    Path("models/audits/aud_bright.sql").write_text(
        "-- aud_bright: nothing is bright.\n-- severity: error\n-- inputs: bright_sample\n\nSELECT object_id FROM bright_sample\n",
        encoding="utf-8",
    )
    done = build(sky)
    assert done.exit_code != 0
    assert "aud_bright" in str(done.exception)
    assert table_rows(sky, "SELECT model, content_hash FROM meta.model ORDER BY ALL") == before


def test_other_values_of_skysys_parameters_come_from_the_project(sky: Settings) -> None:
    with Path("00_parameters.sql").open("a", encoding="utf-8") as file:
        file.write("SET VARIABLE j_mag_max = 12.0;\n")
    assert build(sky).exit_code == 0
    assert table_rows(sky, "SELECT max(j_m) < 12 AS ok FROM sample") == [{"ok": True}]


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        ("SET VARIABLE my_limit = 3;\n", ModelError, "has no comment"),
        ("SET VARIABLE j_mag_max = 'faint';\n", UsageError, "must be a number"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(tmp_path: Path, line: str, error: type[Exception], words: str) -> None:
    path = tmp_path / "00_parameters.sql"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(error, match=words):
        load_project(DR2, own=Own(parameters=path))


def test_a_model_may_not_take_the_name_of_one_of_skysys(tmp_path: Path) -> None:
    (tmp_path / "sample.sql").write_text(MODEL.replace("bright_sample", "sample"), encoding="utf-8")
    with pytest.raises(ModelError, match="Two files are named sample"):
        load_project(DR2, own=Own(models=tmp_path))


def test_a_model_that_reads_what_is_not_there_is_told_of_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "bright_sample.sql").write_text(
        MODEL.replace("inputs: sample", "inputs: samples")
        .replace("FROM sample", "FROM samples")
        .replace("getvariable('bright_j_mag')", "9"),
        encoding="utf-8",
    )
    with pytest.raises((ModelError, NotFound), match="samples") as told:
        load_project(DR2, own=Own(models=tmp_path))
    assert "sample" in str(told.value.remedy)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[project]\nmodel = 'models'\n", "unknown word 'model'"),
        ("[project]\nmodels = 'nowhere'\n", "not there"),
        ("[project\n", "is not TOML"),
        ("project = 3\n", "is a section"),
    ],
)
def test_a_configuration_that_does_not_fit_is_told(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "skysy.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=words):
        find_own(path)


def test_init_writes_a_project_and_never_over_one(tmp_path: Path) -> None:
    first = CliRunner().invoke(app, ["init", str(tmp_path / "mine")])
    assert first.exit_code == 0, first.output
    assert (tmp_path / "mine/models/dwarf_flares.sql").is_file()
    own = find_own(tmp_path / "mine/skysy.toml")
    assert own == Own(tmp_path / "mine/models", tmp_path / "mine/00_parameters.sql")
    (tmp_path / "mine/00_parameters.sql").write_text("-- mine\n", encoding="utf-8")
    again = CliRunner().invoke(app, ["init", str(tmp_path / "mine")])
    assert again.exit_code != 0
    assert (tmp_path / "mine/00_parameters.sql").read_text(encoding="utf-8") == "-- mine\n"


def test_a_build_where_the_project_is_not_leaves_its_models_standing(
    sky: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "bright_sample.sql").write_text(MODEL)
    with (tmp_path / "00_parameters.sql").open("a") as out:
        out.write("SET VARIABLE bright_j_mag = 11.0;  -- [mag] a limit of one's own\n")
    assert build(sky).exit_code == 0
    before = table_rows(sky, "FROM bright_sample ORDER BY ALL")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for words in (["--explain"], [], ["--force"]):
        told = build(sky, *words)
        assert told.exit_code == 0, told.output
        assert "left as it is: bright_sample" in told.stdout
    assert table_rows(sky, "FROM bright_sample ORDER BY ALL") == before != []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "bright_sample.sql").unlink()
    assert "dropped bright_sample" in build(sky).stdout
