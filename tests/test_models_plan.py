"""A model is built only when something it stands on changed, and the reason is told in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models_toy as toy
import pyarrow as pa
import pytest

from skysy.errors import ModelError, NotFound, UsageError
from skysy.models.build import run_build
from skysy.models.plan import Plan, built_release, choose_release, plan_build
from skysy.models.project import load_project
from skysy.store import Warehouse, open_warehouse


class Bench:
    """A built toy; `plan` says what a build would do now."""

    def __init__(self, house: Warehouse, science: Path) -> None:
        self.house, self.science = house, science

    def plan(self, *settings: str, **keywords: Any) -> Plan:
        return plan_build(self.house, load_project("toy", self.science, settings=settings), **keywords)

    def build(self, *settings: str, **keywords: Any) -> None:
        run_build(self.house, load_project("toy", self.science, settings=settings), **keywords)

    def stale(self, *settings: str, **keywords: Any) -> dict[str, str]:
        return {step.model.name: step.reason for step in self.plan(*settings, **keywords).stale}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    science = toy.write_science(tmp_path / "sql")
    with open_warehouse(toy.make_warehouse(tmp_path / "w"), write=True) as house:
        made = Bench(house, science)
        made.build()
        yield made


def test_nothing_is_stale_after_a_build_and_nothing_is_written(bench: Bench) -> None:
    assert bench.plan().empty
    runs = bench.house.rows("FROM meta.run")
    bench.build()
    assert bench.house.rows("FROM meta.run") == runs


def test_before_the_first_build_all_was_never_built(tmp_path: Path) -> None:
    science = toy.write_science(tmp_path / "sql")
    with open_warehouse(toy.make_warehouse(tmp_path / "w")) as house:
        plan = plan_build(house, load_project("toy", science))
    assert [step.reason for step in plan.steps] == ["never built"] * 4
    assert all(step.due for step in plan.audits)


def test_inputs_are_built_before_what_reads_them(bench: Bench) -> None:
    assert [step.model.name for step in bench.plan().steps] == ["stg_obs", "int_kept", "means", "totals"]


def test_changed_sql_makes_only_its_descendants_stale(bench: Bench) -> None:
    toy.edit(bench.science, "means.sql", "largest step", "biggest step")
    assert bench.stale() == {"means": "its SQL changed", "totals": "input means is rebuilt"}


def test_a_parameter_makes_only_its_readers_and_their_descendants_stale(bench: Bench) -> None:
    assert bench.stale("floor_mag=0.02") == {
        "means": "parameter floor_mag: 0.01 -> 0.02",
        "totals": "input means is rebuilt",
    }
    bench.build("floor_mag=0.02")
    assert bench.stale("floor_mag=0.02") == {}
    assert bench.stale()["means"] == "parameter floor_mag: 0.02 -> 0.01"


def test_new_rows_and_replaced_rows_are_told_apart(bench: Bench) -> None:
    toy.load_rows(bench.house, "obs-2.csv", "SELECT 99, 58000.0, 'u', 17.0")
    toy.load_rows(bench.house, "obs-3.csv", "SELECT 98, 58000.0, 'u', 17.0")
    stale = bench.stale()
    assert stale["stg_obs"] == "toy.obs has new rows (2 files)"
    assert stale["int_kept"] == "input stg_obs is rebuilt"
    bench.build()
    bench.house.run("UPDATE meta.chunk SET content_hash = 'other' WHERE source = 'obs-3.csv'")
    assert bench.stale()["stg_obs"] == "toy.obs changed"
    bench.house.run("DELETE FROM meta.chunk WHERE source = 'obs-3.csv'")
    assert bench.stale()["stg_obs"] == "toy.obs has lost 1 file"


def test_renumbered_chunks_of_the_same_content_change_nothing(bench: Bench) -> None:
    bench.house.run("UPDATE meta.chunk SET chunk_id = 77, run_id = 78")
    assert bench.stale() == {}


def test_a_table_that_is_gone_is_built_again_alone(bench: Bench) -> None:
    bench.house.run("DROP TABLE means")
    assert bench.stale() == {"means": "table is missing from the warehouse"}
    bench.house.run("DROP VIEW stg_obs")
    assert bench.stale()["stg_obs"] == "view is missing from the warehouse"


def test_another_release_makes_everything_stale(bench: Bench) -> None:
    bench.house.run("UPDATE meta.model SET release = 'older'")
    assert set(bench.stale().values()) == {"another release was built before (older)"}
    assert len(bench.stale()) == 4


def test_force_builds_what_is_fresh(bench: Bench) -> None:
    assert set(bench.stale(force=True).values()) == {"forced"}
    assert all(step.due for step in bench.plan(force=True).audits)


def test_an_edited_audit_is_due_alone_and_a_new_one_too(bench: Bench) -> None:
    toy.edit(bench.science, "aud_few.sql", "n < 3", "n < 4")
    (bench.science / "audits/aud_new.sql").write_text(
        "-- aud_new: means are finite.\n-- severity: error\n-- inputs: means\n"
        "SELECT * FROM means WHERE NOT isfinite(mean_mag)"
    )
    plan = bench.plan()
    assert not plan.stale
    assert [step.audit.name for step in plan.audits if step.due] == ["aud_few", "aud_new"]
    bench.build()
    assert bench.plan().empty


def test_a_model_without_a_file_is_to_be_dropped(bench: Bench) -> None:
    (bench.science / "30_marts/totals.sql").unlink()
    plan = bench.plan()
    assert (plan.dropped, plan.stale, plan.empty) == (("totals",), (), False)


def test_an_engines_code_is_part_of_its_model(bench: Bench, tmp_path: Path) -> None:
    toy.edit(bench.science, "totals.sql", "-- inputs: means", "-- inputs: means\n-- engine: fast")

    def fast(house: Warehouse) -> pa.Table:
        return pa.table({"n_objects": [1], "faintest": [2.0]})

    bench.build(engines={"fast": fast})
    assert bench.stale(engines={"fast": fast}) == {}
    assert bench.stale() == {"totals": "engine fast changed"}


def test_nothing_loaded_is_said_with_the_command_to_type(tmp_path: Path) -> None:
    science = toy.write_science(tmp_path / "sql")
    with open_warehouse(toy.toy_settings(tmp_path / "w"), write=True, make=True) as house:
        with pytest.raises(ModelError, match="Nothing is loaded for release toy") as caught:
            plan_build(house, load_project("toy", science))
        assert "skysy load --release toy" in caught.value.remedy
        with pytest.raises(ModelError, match="Nothing is loaded in"):
            choose_release(house)
        with pytest.raises(ModelError, match="Nothing is built"):
            built_release(house)


def test_a_missing_archive_table_is_named(bench: Bench) -> None:
    (bench.science / "10_staging/toy/stg_other.sql").write_text(
        "-- stg_other: x.\n--\n-- grain:  one row\n-- kind:   view\n-- inputs: toy.other\n"
        "SELECT\n    CAST(a AS INTEGER) AS a -- a\nFROM toy.other"
    )
    with pytest.raises(ModelError, match=r"Release toy needs toy\.other"):
        bench.plan()


def test_the_only_release_is_chosen_and_several_are_a_question(bench: Bench) -> None:
    assert choose_release(bench.house) == "toy"
    assert built_release(bench.house) == "toy"
    bench.house.run("INSERT INTO meta.chunk (release, state) VALUES ('dr9', 'loaded')")
    with pytest.raises(UsageError, match="several releases: dr9, toy"):
        choose_release(bench.house)
    assert choose_release(bench.house, "dr9") == "dr9"


ITSELF = "-- x: x.\n--\n-- grain:  x\n-- inputs: x\nSELECT\n CAST(a AS INTEGER) AS a -- a\nFROM x"
MISSPELT = toy.TOTALS.replace("-- totals", "-- x").replace("max(mean_mag)", "getvariable('mag_mx')")
NO_INPUT = toy.MEANS.replace("-- means:", "-- means2:").replace("int_kept", "int_kep")
STRANGER = "-- aud_x: x.\n-- inputs: y\nSELECT * FROM y"
FATAL = "-- aud_x: x.\n-- severity: fatal\n-- inputs: means\nSELECT * FROM means"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("30_marts/means2.sql", NO_INPUT, "reads int_kep, which is no model"),
        ("10_staging/toy/means.sql", toy.MEANS, "Two files are named means"),
        ("30_marts/x.sql", ITSELF, "in a circle: x -> x"),
        ("30_marts/x.sql", MISSPELT, "the parameter mag_mx, which is not set"),
        ("audits/aud_x.sql", STRANGER, "reads y, which is not of this release"),
        ("audits/aud_x.sql", FATAL, "severity is error or warn"),
    ],
)
def test_a_project_that_does_not_hang_together_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    science = toy.write_science(tmp_path / "sql")
    (science / name).write_text(text)
    with pytest.raises(ModelError, match=said):
        load_project("toy", science)


def test_staging_of_all_releases_serves_one_that_has_none_of_its_own(tmp_path: Path) -> None:
    science = toy.write_science(tmp_path / "sql")
    shared, own = science / "10_staging" / "stg_obs.sql", science / "10_staging" / "toy" / "stg_obs.sql"
    shared.write_text(toy.STG_OBS.replace("toy.obs", "toy.other"))
    assert load_project("toy", science).model("stg_obs").archive_inputs == ("toy.obs",)
    own.unlink()
    assert load_project("toy", science).model("stg_obs").archive_inputs == ("toy.other",)
    with pytest.raises(NotFound, match="no release"):
        load_project("stg_obs.sql", science)


def test_two_models_that_read_each_other_are_shown_as_a_circle(tmp_path: Path) -> None:
    science = toy.write_science(tmp_path / "sql")
    for name, other in (("a", "b"), ("b", "a")):
        (science / f"30_marts/{name}.sql").write_text(
            f"-- {name}: x.\n--\n-- grain:  x\n-- inputs: {other}\nSELECT\n CAST(n AS INTEGER) AS n -- n\nFROM {other}"
        )
    with pytest.raises(ModelError, match=r"circle: (a -> b -> a|b -> a -> b)\."):
        load_project("toy", science)


def test_an_unknown_release_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no release 'toys'") as caught:
        load_project("toys", toy.write_science(tmp_path / "sql"))
    assert caught.value.remedy == "Did you mean toy?"
