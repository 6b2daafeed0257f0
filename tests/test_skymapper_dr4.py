"""SkyMapper DR4: the same sky gives the same sample as DR2, apart from what DR4 cannot express, and everything says what that is."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from archive_client import Client, results, simbad_rows
from conftest import DR2, ENGINES, Laboratory, Row, Sky, exposures, shared_sky, table_rows
from faulty_archive.archive import FaultyArchive
from skysy.analysis import recovery
from skysy.analysis.report.facts import read_facts
from skysy.analysis.report.render import Pages
from skysy.analysis.simulate.releases import RELEASES
from skysy.analysis.simulate.write import simulate
from skysy.loaders.archive.routes import tables_of
from skysy.loaders.load import load_directory
from skysy.sql import __file__ as sql_init
from typer.testing import CliRunner

from skysy.cli.commands import app
from skysy.config import Settings
from skysy.contract import load_contract
from skysy.diff import compare
from skysy.errors import NotFound
from skysy.models.build import run_build
from skysy.models.parameters import apply, apply_built, override, parse_settings
from skysy.models.project import Project, load_project
from skysy.store import create, open_warehouse
from skysy.why import FLOW

DR4 = "skymapper_dr4"
SQL = Path(sql_init).parent
DOCS = Path(__file__).parents[1] / "docs"
# Every object with both colours is a candidate, so that whoever enters the sample enters the list.
ALL = "density_ln_max=99.0"


@cache
def science(release: str, *settings: str) -> Project:
    """The science of a release, read once, under ALL and these `name=value` words."""
    if settings:
        base = science(release)
        return replace(base, parameters=override(base.parameters, parse_settings(settings, base.parameters)))
    return load_project(release, settings=[ALL])


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sky]:
    """One sky of 1,000 objects as DR2 and as DR4; to be read only."""
    return {release: shared_sky(tmp_path_factory, 1_000, release=release, settings=(ALL,)) for release in (DR2, DR4)}


@pytest.fixture(scope="module")
def dr4(twins: dict[str, Sky]) -> Settings:
    return twins[DR4].settings


@pytest.fixture(scope="module")
def not_expressed(twins: dict[str, Sky]) -> dict[str, set[int]]:
    """Objects that only a cut takes that DR4 cannot make, or not on the same value, by the name of the cut."""
    truth = pq.read_table(twins[DR2].files / "truth" / "objects.parquet").to_pylist()
    found = {
        "single_child": {row["object_id"] for row in truth if row["fails"] == "single_child"},
        # r_est is there, but result_flag says that it is worth nothing: DR4's distances have no such flag.
        "distance_converged": {
            row["object_id"]
            for row in truth
            if row["fails"] == "distance_converged" and row["feature"] == "distance_doubtful"
        },
    }
    assert all(found.values())
    return found


@pytest.fixture(scope="module")
def bench() -> Iterator[Laboratory]:
    """A Laboratory of DR4."""
    made = Laboratory(science(DR4))
    yield made
    made.con.close()


def ids(settings: Settings, table: str) -> set[int]:
    return {row["object_id"] for row in table_rows(settings, f"SELECT object_id FROM {table}")}


def run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


# The simulated archive


def test_the_truth_is_that_of_the_same_sky_and_the_files_are_the_contracts(twins: dict[str, Sky]) -> None:
    for name in ("objects.parquet", "sequences.parquet"):
        assert (twins[DR2].files / "truth" / name).read_bytes() == (twins[DR4].files / "truth" / name).read_bytes()
    planted = [pq.read_table(twins[one].files / "truth" / "bad_rows.parquet") for one in (DR2, DR4)]
    assert planted[0].drop(["table_name"]).equals(planted[1].drop(["table_name"]))
    names = [set(table["table_name"].to_pylist()) for table in planted]
    assert {RELEASES[DR4].table(name) for name in names[0]} == names[1]
    there = {path.name.split(".part")[0] for path in twins[DR4].files.iterdir() if path.is_file()}
    assert {".".join(name.split(".")[:2]) for name in there} <= {table.name for table in load_contract(DR4).tables}
    counts = [
        dict(
            map(
                tuple,
                (
                    row.values()
                    for row in table_rows(twins[one].settings, "SELECT table_name, received_rows FROM meta.chunk")
                ),
            )
        )
        for one in (DR2, DR4)
    ]
    assert {RELEASES[DR4].table(name): n for name, n in counts[0].items()} == counts[1]


def test_a_sky_of_an_unknown_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="skymapper_dr3"):
        simulate(tmp_path / "sky", 1_000, 1, release="skymapper_dr3")


def test_some_exposures_have_no_field_and_are_of_another_programme(dr4: Settings) -> None:
    [row] = table_rows(
        dr4,
        "SELECT count(*) FILTER (WHERE field_id IS NULL) AS n_without, count(*) FILTER (WHERE image_type = '3ps') AS n_3ps, "
        "count(*) FILTER (WHERE image_type = '3ps' AND field_id IS NOT NULL) AS n_odd FROM dr4.images",
    )
    assert row["n_without"] >= row["n_3ps"] > 50
    assert row["n_odd"] == 0


# The same science


def test_the_sample_is_that_of_dr2_and_what_dr4_cannot_express(
    twins: dict[str, Sky], not_expressed: dict[str, set[int]]
) -> None:
    extra = not_expressed["single_child"] | not_expressed["distance_converged"]
    for table in ("sample", "candidates"):
        before, now = (ids(twins[one].settings, table) for one in (DR2, DR4))
        assert before
        assert now - before == (extra if table == "sample" else extra & ids(twins[DR4].settings, "density_score"))
        assert before - now == set()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * EXCLUDE (single_child, distance_converged) FROM int_selection__cuts ORDER BY object_id",
        "SELECT * EXCLUDE (field_id) FROM int_sequences__exposures ORDER BY image_id",
        "SELECT * EXCLUDE (chunk_id, image_type) FROM measurements ORDER BY object_id, image_id",
        "FROM nightly_colours ORDER BY ALL",
        "FROM colours ORDER BY object_id",
        "FROM rapid_variability ORDER BY object_id",
        "SELECT object_id, jk0_mag, abs_j_mag, r_est, r_lo, r_hi, prox, nch_max IS NULL OR nch_max > 0 FROM int_selection__matched ORDER BY object_id",
    ],
)
def test_all_else_is_the_same_row_by_row(twins: dict[str, Sky], query: str) -> None:
    before, now = (table_rows(twins[one].settings, query) for one in (DR2, DR4))
    assert len(before) > 300
    assert before == now


def test_cut_flow_says_which_cut_is_not_made_and_loses_nobody_by_it(dr4: Settings) -> None:
    flow = table_rows(dr4, "FROM cut_flow ORDER BY step")
    assert [row["cut"] for row in flow if not row["is_available"]] == ["single_child"]
    [row] = [row for row in flow if row["cut"] == "single_child"]
    assert row["n_in"] == row["n_pass"] > 600
    assert [row[name] for name in ("n_fail", "n_null", "alone_pass", "alone_fail", "alone_null", "known_fail")] == [
        None
    ] * 6
    assert table_rows(dr4, "SELECT DISTINCT single_child FROM int_selection__cuts") == [{"single_child": None}]
    assert table_rows(dr4, "SELECT DISTINCT is_available FROM cut_flow WHERE step <> 14") == [{"is_available": True}]


@pytest.mark.parametrize(("cut", "objects"), [("red_jk", 1), ("no_such_cut", None), ("single_child", 0)])
def test_a_cut_that_has_values_cannot_be_called_not_available(bench: Laboratory, cut: str, objects: int | None) -> None:
    [audit] = [one for one in science(DR4).audits if one.name == "aud_cuts__not_available"]
    assert audit.severity == "error"
    bench.put(
        {
            "dr4.master": [{"object_id": 1, "twomass_key": 2}],
            "ext.twomass_psc": [{"pts_key": 2, "j_m": Decimal(9), "k_m": Decimal(8)}],
        }
    )
    apply(bench.con, science(DR4, f"cuts_not_available=['{cut}']").parameters)
    try:
        found = bench.rows(audit.sql)
    finally:
        apply(bench.con, science(DR4).parameters)
    assert found == ([] if objects == 0 else [{"cut": cut, "n_objects_with_a_value": objects}])


def test_recovery_knows_what_dr4_cannot_take(twins: dict[str, Sky], not_expressed: dict[str, set[int]]) -> None:
    flow = [science(DR4).model(name).sql for name in FLOW]
    with open_warehouse(twins[DR4].settings) as warehouse:
        apply_built(warehouse)
        found = recovery.compare(warehouse, twins[DR4].files, flow, DR4)
        with pytest.raises(NotFound, match="sdss_s82"):
            recovery.compare(warehouse, twins[DR4].files, flow, "sdss_s82")
    extra = sum(map(len, not_expressed.values()))
    assert (found.sample.both, found.sample.found - found.sample.both) == (found.sample.expected, extra)
    assert found.sample.cuts_differ == len(not_expressed["distance_converged"])
    assert found.sequences.expected == found.sequences.found == found.sequences.both > 20
    assert {row.kind for row in found.bad_rows if not row.accounted} == {"two_children", "distance_doubtful"}


# What is told of it


def test_why_says_that_the_cut_is_not_available(dr4: Settings, not_expressed: dict[str, set[int]]) -> None:
    star = min(not_expressed["single_child"])
    told = run("why", str(star), "--warehouse", str(dr4.warehouse))
    assert "single_child never split into several detections: not available in this release" in told
    assert "Not in the sample" not in told
    [row] = table_rows(
        dr4, "SELECT min(object_id) AS star FROM int_selection__cuts WHERE g_observed AND NOT red_jk AND isolated"
    )
    told = run("why", str(row["star"]), "--warehouse", str(dr4.warehouse))
    assert "the first cut that it does not pass is red_jk (it fails)" in told


def test_the_report_says_it_and_loses_no_known_object_there(dr4: Settings) -> None:
    with open_warehouse(dr4) as warehouse:
        facts = read_facts(warehouse)
    [cut] = [cut for cut in facts.cuts if cut.n_fail is None]
    assert (cut.name, cut.lost_names) == ("single_child", ())
    lost = table_rows(
        dr4,
        "SELECT lost_at, count(*) AS n FROM known_recovery WHERE lost_at IN (SELECT cut FROM cut_flow) GROUP BY ALL",
    )
    assert {cut.name: len(cut.lost_names) for cut in facts.cuts if cut.lost_names} == {
        row["lost_at"]: row["n"] for row in lost
    }
    assert Pages(facts, []).index([], []).count("not available in this release") == 1


def test_diff_names_the_rule_by_which_objects_enter(twins: dict[str, Sky], not_expressed: dict[str, set[int]]) -> None:
    scored = ids(twins[DR4].settings, "density_score")
    for order in ((DR2, DR4), (DR4, DR2)):
        found = compare(*(twins[one].settings for one in order))
        moved, none = (found.entered, found.left) if order[0] == DR2 else (found.left, found.entered)
        assert none == []
        of_cut = {name: {move.object_id for move in moved if move.cut == name} for name in not_expressed}
        assert of_cut == {name: objects & scored for name, objects in not_expressed.items()}
        assert len(moved) == sum(map(len, of_cut.values()))
        where = "B" if order[0] == DR2 else "A"
        for move in moved:
            if move.cut == "single_child":
                assert move.cause == "rule"
                assert [(one.kind, one.name) for one in move.behind] == [("parameter", "cuts_not_available")]
                assert move.reason.endswith(f"not available in {where}")
                assert set(move.values["nch_max"]) == {2, None}
            else:
                assert move.cause == "value"
                assert ("sql", "stg_distance__geometric") in {(one.kind, one.name) for one in move.behind}
        assert {one.name for one in found.parameters} >= {"cuts_not_available", "sequence_image_types"}


def test_diff_never_says_that_a_cut_took_an_object_that_was_not_made(twins: dict[str, Sky], tmp_path: Path) -> None:
    changed = Settings(tmp_path, "1GB", 1)
    shutil.copy(twins[DR4].settings.database, changed.database)
    star = min(ids(twins[DR2].settings, "candidates"))
    with duckdb.connect(str(changed.database)) as house:
        house.execute(f"UPDATE int_selection__cuts SET bright_j = FALSE WHERE object_id = {star}")
        for table in ("sample", "candidates"):
            house.execute(f"DELETE FROM {table} WHERE object_id = {star}")
    [left] = compare(twins[DR2].settings, changed).left
    assert (left.object_id, left.cut) == (star, "bright_j")


# Staging


def placed(bench: Laboratory, images: list[Row]) -> dict[int, int | None]:
    """field_id of each exposure in staging."""
    bench.put({"dr4.images": images})
    return {row["image_id"]: row["field_id"] for row in bench.rows("SELECT image_id, field_id FROM stg_survey__images")}


def pointed(
    images: list[dict[str, Any]], ra: float | None, decl: float | None, *, radians: bool = False
) -> list[dict[str, Any]]:
    place = [None if one is None else math.radians(one) if radians else one for one in (ra, decl)]
    return [{**image, "ra": place[0], "decl": place[1]} for image in images]


@pytest.mark.parametrize("radians", [False, True])
def test_exposures_without_a_field_are_of_one_as_long_as_the_telescope_stays(bench: Laboratory, radians: bool) -> None:
    first = exposures(100, "uvgruvizuv", 57000.5, field_id=None, image_type="3ps")
    beside = exposures(200, "uv", 57000.52, field_id=None)
    rows = [
        *pointed(first[:5], 359.9, -60.0, radians=radians),
        *pointed(first[5:], 0.1, -60.1, radians=radians),  # 0.14 deg from there: a dither across RA 0
        *pointed(beside, 0.1, -61.0, radians=radians),  # 0.9 deg: another field
        *pointed(exposures(300, "uv", 57000.53, field_id=7), 200.0, 10.0, radians=radians),
        *pointed(exposures(400, "uv", 57000.54, field_id=None), None, None),
    ]
    found = placed(bench, rows)
    assert {found[image] for image in range(100, 110)} == {-100}
    assert {found[image] for image in (200, 201)} == {-200}
    assert {found[image] for image in (300, 301)} == {7}
    assert {found[image] for image in (400, 401)} == {None}
    sequences = bench.rows("SELECT sequence_id, count(*) AS n FROM int_sequences__exposures GROUP BY ALL ORDER BY ALL")
    assert sequences == [{"sequence_id": 100, "n": 10}, {"sequence_id": 200, "n": 2}, {"sequence_id": 300, "n": 2}]


def test_sequences_of_other_programmes_are_found_by_pause_and_exposure_time(bench: Laboratory) -> None:
    rows = [
        *exposures(100, "uvgruvizuv", 57000.5, image_type="ms"),
        *exposures(200, "uvgruvizuv", 57001.5, image_type="3ps"),
        *exposures(300, "uvuv", 57002.5, image_type="3ps", exp_time=400.0, step_min=7.0),
        *exposures(400, "uvgriz", 57003.5, image_type="fs", exp_time=40.0),
        *exposures(500, "uvgruvizuv", 57004.5, image_type="bad"),
    ]
    placed(bench, pointed(rows, 10.0, -20.0))
    found = bench.rows("SELECT DISTINCT sequence_id FROM int_sequences__exposures ORDER BY sequence_id")
    assert [row["sequence_id"] for row in found] == [100, 200]


def test_no_next_source_is_15_arcsec_and_a_null_that_contradicts_itself_is_an_error(
    bench: Laboratory,
) -> None:
    bench.put({"dr4.master": [{"object_id": 1, "self_dist1": None}, {"object_id": 2, "self_dist1": 7.5}]})
    found = bench.rows("SELECT object_id, prox, nch_max FROM stg_survey__master ORDER BY object_id")
    assert found == [{"object_id": 1, "prox": 15.0, "nch_max": None}, {"object_id": 2, "prox": 7.5, "nch_max": None}]
    [audit] = [one for one in science(DR4).audits if one.name == "aud_master__neighbours"]
    assert audit.severity == "error"
    assert bench.rows(audit.sql) == []
    rows = [{"object_id": 3, "cnt_self_15": 1}, {"object_id": 4, "cnt_self_15": 2}, {"object_id": 5, "self_id1": 9}]
    bench.put({"dr4.master": rows})
    assert {row["object_id"] for row in bench.rows(audit.sql)} == {4, 5}


def test_a_distance_that_is_there_has_converged(bench: Laboratory) -> None:
    rows = [
        {"source_id": 1, "r_med_geo": 900.5, "r_lo_geo": 800.0, "r_hi_geo": 1000.0},
        {"source_id": 2, "r_med_geo": None, "r_lo_geo": None, "r_hi_geo": None},
    ]
    bench.put({"gedr3dist.main": rows})
    found = bench.rows("SELECT r_est, r_lo, r_hi, result_flag FROM stg_distance__geometric ORDER BY source_id")
    assert [tuple(row.values()) for row in found] == [(900.5, 800.0, 1000.0, 2), (None, None, None, 0)]


@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("true", "false"), ("t", "f")])
@pytest.mark.parametrize("name", ["use_in_clipped", "used_in_clip"])
def test_use_in_clipped_is_read_in_every_spelling(tmp_path: Path, name: str, yes: str, no: str) -> None:
    header = f"image_id,ccd,object_id,filter,mag_psf,e_mag_psf,flags,nimaflags,{name}\n"
    lines = "".join(f"{n},1,5,u,15.25,0.0125,0,0,{word}\n" for n, word in enumerate((yes, no, "")))
    (tmp_path / "dr4.photometry.csv").write_text(header + lines, encoding="utf-8")
    settings = Settings(tmp_path / "warehouse", "1GB", 1)
    create(settings)
    with open_warehouse(settings, write=True) as warehouse:
        load_directory(warehouse, DR4, tmp_path)
    found = table_rows(settings, "SELECT use_in_clipped AS used FROM dr4.photometry ORDER BY image_id")
    assert [row["used"] for row in found] == [True, False, None]


# The archive


@pytest.mark.slow
def test_every_route_brings_from_the_archive_what_the_files_gave(dr4: Settings, tmp_path: Path) -> None:
    with FaultyArchive(dr4.database, simbad=simbad_rows(dr4), release=DR4) as archive:
        client = Client(tmp_path, archive, DR4)
        client.configure()
        told = " ".join(client.run("doctor").stdout.split())
        assert "gedr3dist.main" in told
        assert "dr4.photometry" in told
        client.load()
        with open_warehouse(client.settings, write=True) as warehouse:
            run_build(warehouse, science(DR4), engines=ENGINES)
        queries = [one.query for one in archive.requests]
    assert results(client.settings) == results(dr4)
    assert any("m.self_dist1 IS NULL OR m.self_dist1 > 5.4" in query for query in queries)
    assert not any("dr2." in query or "nch_max" in query or "gaia_dr2" in query for query in queries)


def test_a_release_that_no_archive_serves_is_refused_in_words() -> None:
    with pytest.raises(NotFound, match="sdss_s82 cannot be asked for"):
        tables_of("sdss_s82", "sample")


# The files


def names_of(folder: str, release: str) -> dict[str, Path]:
    return {path.name: path for path in (SQL / folder / release).iterdir() if path.suffix in (".sql", ".adql")}


def test_what_is_asked_of_the_archive_names_columns_of_the_contract() -> None:
    contract = load_contract(DR4)
    tables = {"m": "dr4.master", "t": "ext.twomass_psc", "g": "ext.gaia_dr3", "w": "ext.allwise"}
    for name in ("selection.adql", "sample.adql"):
        text = "\n".join(
            line
            for line in names_of("archive", DR4)[name].read_text(encoding="utf-8").splitlines()
            if not line.startswith("--")
        )
        used = set(re.findall(r"\b([mtgw])\.(\w+)", text))
        assert len(used) > 15
        for alias, column in used:
            assert contract.table(tables[alias]).column(column) is not None, f"{name}: {alias}.{column}"
        assert "nch_max" not in text
    asked = {name.removesuffix(".adql") for name in names_of("archive", DR4)} - {"sample", "selection"}
    assert asked <= {table.name for table in contract.tables}
    unasked = {"known.objects", "followup.observations", "mast.product", "tess.light_curve"}
    assert asked >= set(science(DR4).archive_tables) - unasked


def test_the_sample_query_gives_on_the_local_copy_what_the_cuts_of_the_archive_leave(dr4: Settings) -> None:
    query = names_of("archive", DR4)["sample.adql"].read_text(encoding="utf-8")
    flow = table_rows(dr4, "SELECT cut FROM cut_flow WHERE is_available AND step <= 16")
    passed = " AND ".join(f"c.{row['cut']}" for row in flow)
    expected = table_rows(
        dr4,
        f"SELECT object_id FROM int_selection__cuts AS c JOIN int_selection__matched USING (object_id) WHERE {passed} "
        "AND pts_key NOT IN (SELECT pts_key FROM ext.twomass_psc WHERE ext_key = 0) ORDER BY object_id",
    )
    found = table_rows(dr4, f"SELECT DISTINCT object_id FROM ({query}) ORDER BY object_id")
    assert found == expected
    assert len(found) > 600


def test_the_page_lists_every_file_that_differs_between_the_releases() -> None:
    """Contract, archive queries, staging and audits differ; docs/releases.md names each file, and no other.

    Files that are the same in both stand once, in 10_staging itself.
    """
    differ = {f"contract/{release}.yaml" for release in (DR2, DR4)}
    for folder in ("archive", "10_staging", "audits"):
        before, now = names_of(folder, DR2), names_of(folder, DR4)
        for name in before.keys() | now.keys():
            if name in before and name in now and before[name].read_bytes() == now[name].read_bytes():
                continue
            differ |= {f"{folder}/{release}/{name}" for release, there in ((DR2, before), (DR4, now)) if name in there}
    page = (DOCS / "releases.md").read_text(encoding="utf-8")
    listed = re.findall(r"^    (\S+/\S+)$", page.split("## The files that differ")[1], re.MULTILINE)
    assert listed == sorted(differ)
    assert not any(part in name for name in differ for part in ("20_intermediate", "30_marts"))
