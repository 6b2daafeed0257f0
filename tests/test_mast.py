"""MAST asked about candidates: what came is what MAST has, once, with its types; what is no whole answer is an error in words."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import astroquery.mast
import duckdb
import mast_archive
import pytest
from conftest import Sky, shared_sky, table_rows
from faulty_archive import FaultyArchive, catalogue
from faulty_archive.adql import MACROS
from mast_archive import MastArchive
from mast_client import CANDIDATES, HELD, R_AQR, TRUTH, User, empty, mast, observation, user
from skysy.loaders.archive.mast_reply import open_answer
from skysy.loaders.verify import select_columns
from typer.testing import CliRunner

from skysy.cli import complete
from skysy.cli.commands import app
from skysy.contract import load_contract
from skysy.store import open_warehouse

__all__ = ["empty", "mast", "user"]


def test_each_candidate_gets_what_mast_has_and_a_row_that_says_so_where_it_has_nothing(user: User) -> None:
    told = user.done("load", "mast")
    assert user.held() == TRUTH
    assert "asked            4 objects" in told
    assert len(user.archive.requests) == 1
    found = {row["key"]: row["found"] for row in user.rows("SELECT key, found FROM meta.asked WHERE route = 'mast'")}
    assert found == {101: 4, 102: 0, 103: 1, 104: 1}
    user.archive.requests.clear()
    assert "nothing new at MAST" in user.done("load", "mast")
    assert user.archive.requests == []


def test_numbers_keep_their_digits_and_nulls_stay_null(user: User) -> None:
    user.archive.types.update({"t_min": "number", "t_exptime": "number", "obsid": "number", "calib_level": "number"})
    user.done("load", "mast")
    [galex] = user.rows("FROM mast.observation WHERE object_id = 103")
    assert galex["obs_id"] == "6374469411427844097"
    assert galex["t_exptime"] is None
    [uvot] = user.rows("FROM mast.observation WHERE obsid = 2003585980")
    assert (uvot["t_min"], uvot["t_exptime"], uvot["calib_level"], uvot["filters"]) == (58000.5, 511.25, 2, "UVW1")


def test_an_id_that_came_through_a_fraction_is_refused(user: User) -> None:
    user.archive.types.update({"obsid": "float"})
    error = user.fails("load", "mast", code=4)
    assert "obsid" in error.message
    assert "floating point" in error.message
    assert user.held() == []


@pytest.mark.parametrize("page_rows", [1, 3])
def test_all_pages_are_asked_for(user: User, page_rows: int) -> None:
    user.configure(page_rows=page_rows)
    user.done("load", "mast")
    assert user.held() == TRUTH
    assert [one["page"] for one in user.archive.requests] == list(range(1, len(user.archive.requests) + 1))
    assert len(user.archive.requests) == -(-10 // page_rows)
    assert len({one["cacheBreaker"] for one in user.archive.requests}) == 1


def test_a_request_is_sent_again_while_it_is_executing(user: User) -> None:
    user.archive.faults += [("invoke", "executing")] * 3
    user.done("load", "mast")
    assert user.held() == TRUTH
    assert [one == user.archive.requests[0] for one in user.archive.requests] == [True] * 4


@pytest.mark.parametrize(
    "fault", ["error", "busy", *(pytest.param(one, marks=pytest.mark.slow) for one in ("cut", "html"))]
)
def test_a_passing_fault_is_asked_over_and_changes_nothing(user: User, fault: str) -> None:
    user.configure(page_rows=4)
    user.archive.faults += [("invoke", fault)] * 2
    user.done("load", "mast")
    assert user.held() == TRUTH


SLOW = ("error", "fewer rows", "busy")
"""Faults that are tried with the slow tests."""

WORDS = {
    "cut": "no JSON, or cut", "html": "a web page came in the place of rows: We are down",
    "error": "answers ERROR: Error converting data type", "same page": "that say they are 2",
    "fewer rows": "11 rows were told and 10 came", "busy": "HTTP 429",
}  # fmt: skip


@pytest.mark.parametrize("fault", [pytest.param(one, marks=pytest.mark.slow) if one in SLOW else one for one in WORDS])
def test_a_lasting_fault_is_an_error_in_words_and_nobody_passes_for_having_nothing(user: User, fault: str) -> None:
    user.archive.faults += [("invoke", fault)] * 9
    error = user.fails("load", "mast")
    assert WORDS[fault] in error.message
    assert "mast: mast.observation" in error.message or fault == "busy"
    assert user.held() == []
    user.archive.heal()
    user.done("load", "mast")
    assert user.held() == TRUTH


@pytest.mark.parametrize("how", [{"echo": False}, {"once": True}])
def test_a_cross_match_that_does_not_tell_whose_rows_it_gives_is_asked_one_by_one(
    user: User, how: dict[str, bool]
) -> None:
    for name, value in how.items():
        setattr(user.archive, name, value)
    user.done("load", "mast")
    assert user.held() == TRUTH
    assert len(user.archive.asked("Mast.Caom.Crossmatch")) == 1
    assert len(user.archive.asked("Mast.Caom.Cone")) == len(CANDIDATES)


def test_an_answer_without_rows_and_without_columns_is_nothing_there(user: User) -> None:
    user.archive.bare = True
    user.configure(in_list=1)
    user.done("load", "mast")
    assert user.held() == TRUTH


def test_lists_are_sent_in_pieces_and_the_rows_are_the_same(user: User) -> None:
    user.configure(in_list=2)
    user.done("load", "mast")
    assert user.held() == TRUTH
    assert len(user.archive.asked("Mast.Caom.Crossmatch")) == 2


def test_a_refresh_asks_again_takes_what_is_new_and_drops_who_is_no_candidate_any_more(user: User) -> None:
    user.configure(in_list=2)
    user.done("load", "mast")
    with open_warehouse(user.settings, write=True) as house:
        house.run("DELETE FROM candidates WHERE object_id = 101")
    user.archive.observations = [*HELD, observation(77, "HST", 40.0, -35.0)]
    try:
        user.done("refresh", "--route", "mast")
    finally:
        user.archive.observations = HELD
    assert user.held() == [(102, 77), *TRUTH[-2:]]
    user.done("refresh", "--route", "mast")
    raw = user.settings.warehouse / "raw"
    needed = {json.loads(note.read_text())["sha256"] for note in (raw / "asks").glob("*.json")}
    user.done("load", "mast")
    assert {body.stem for body in raw.glob("*.json")} == needed


def test_the_kept_answers_alone_give_the_same_table(user: User) -> None:
    user.configure(in_list=3, page_rows=2)
    user.done("load", "mast")
    before = user.hashes()
    user.settings.database.unlink()
    user.archive.requests.clear()
    user.done("load", "--offline")
    assert user.archive.requests == []
    assert user.hashes() == before
    [answer, *_] = sorted((user.settings.warehouse / "raw").glob("*.json"))
    answer.write_bytes(answer.read_bytes()[:-1])
    user.settings.database.unlink()
    assert "missing or changed" in user.fails("load", "--offline", code=4).message


def test_without_candidates_it_is_said_what_is_missing(user: User) -> None:
    with open_warehouse(user.settings, write=True) as house:
        house.run("DROP TABLE candidates")
    error = user.fails("load", "mast", code=6)
    assert "candidates" in error.message
    assert "skysy build" in error.remedy


@pytest.mark.slow
def test_a_load_killed_with_9_goes_on_to_the_same_rows(user: User) -> None:
    user.configure(in_list=1, poll_s=0.3)
    user.done("load", "mast")
    whole = user.hashes()
    shutil.rmtree(user.settings.warehouse / "raw")
    with open_warehouse(user.settings, write=True) as house:
        for table in ("mast.observation", "meta.chunk", "meta.asked", "meta.plan"):
            house.run(f"DELETE FROM {table}")
    user.archive.heal()
    user.archive.faults += [("invoke", "executing")] * 3  # so that it is still at it
    process = subprocess.Popen([sys.executable, "-m", "skysy", *user.words("load", "mast")], start_new_session=True)
    until = time.monotonic() + 60
    while len(user.archive.requests) < 6 and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    user.done("load", "mast")
    assert user.held() == TRUTH
    assert user.hashes() == whole


def test_caom_by_tap_gives_the_same_observations_as_the_portal(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    within = "haversine_deg(p['ra'], p['decl'], split_part(c, ' ', 3)::DOUBLE, split_part(c, ' ', 4)::DOUBLE)"
    contains = f"CREATE MACRO adql_contains(p, c) AS CAST({within} <= split_part(c, ' ', 5)::DOUBLE AS INTEGER)"
    monkeypatch.setattr(catalogue, "MACROS", (*(one for one in MACROS if "contains" not in one), contains))
    names = [
        name
        for name in mast_archive.FIELDS
        if name not in ("_selected_", "distance", "srcDen", "project", "provenance_name", "dataURL")
    ]
    rows = [
        {**{name: one.get(name) for name in names}, "obs_id": str(one["obs_id"]), "project": None,
         "s_region": f"CIRCLE ICRS {one['s_ra']} {one['s_dec']} {one.get('reach', 1e-6):f}"}
        for one in HELD
    ]  # fmt: skip
    user.done("load", "mast")
    compared = "SELECT object_id, obsid, instrument_name, obs_id, t_min, t_exptime FROM mast.observation ORDER BY ALL"
    portal = user.rows(compared)
    with FaultyArchive({"obspointing": rows}) as archive:
        quick = 'pause_s = 0.0\ntries = 3\nformat = "application/x-votable+xml;serialization=BINARY2"'
        with (user.directory / "skysy.toml").open("a") as config:
            config.write(f'[services.mast_tap]\nurl = "{archive.tap_url}"\n{quick}\n')
        told = user.done("load", "mast", "--service", "mast=mast_tap")
    assert "asked            6 rows" in told
    assert user.rows(compared) == portal


def test_doctor_looks_at_mast_where_it_is_named(user: User) -> None:
    told = CliRunner().invoke(
        app, ["doctor", "--release", "skymapper_dr2", "--route", "mast", "--config", str(user.directory / "skysy.toml")]
    )
    assert told.exit_code == 0, told.output
    assert "2 observations of R Aqr, 20 of 26 columns are there" in told.stdout
    user.archive.observations = []
    silent = CliRunner().invoke(
        app, ["doctor", "--release", "skymapper_dr2", "--route", "mast", "--config", str(user.directory / "skysy.toml")]
    )
    user.archive.observations = HELD
    assert silent.exit_code == 7
    assert "0 observations of R Aqr" in silent.stdout
    user.archive.faults += [("invoke", "html")]
    told = CliRunner().invoke(
        app, ["doctor", "--release", "skymapper_dr2", "--route", "mast", "--config", str(user.directory / "skysy.toml")]
    )
    assert told.exit_code == 7
    assert "a web page came" in told.stdout


def test_astroquery_at_the_same_server_finds_the_same_observations(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    from astropy.coordinates import SkyCoord
    from astroquery.mast import Observations
    from astroquery.mast.discovery_portal import PortalAPI

    monkeypatch.setattr(PortalAPI, "MAST_REQUEST_URL", f"{user.archive.url}/api/v0/invoke")
    monkeypatch.setattr(PortalAPI, "COLUMNS_CONFIG_URL", f"{user.archive.url}/portal/Mashup/Mashup.asmx/columnsconfig")
    user.done("load", "mast")
    theirs = Observations.query_region(SkyCoord(10.0, -30.0, unit="deg"), radius=7.2 / 3600)
    ours = user.rows("FROM mast.observation WHERE object_id = 101 ORDER BY obsid")
    found = sorted(
        (int(row["obsid"]), str(row["instrument_name"]), float(row["t_min"]), float(row["t_exptime"])) for row in theirs
    )
    assert found == [(row["obsid"], row["instrument_name"] or "--", row["t_min"], row["t_exptime"]) for row in ours]
    # What is lost through astroquery and not here: a number with a fraction under the type `number`.
    user.archive.types.update({"t_min": "number"})
    assert {float(row["t_min"]) for row in Observations.query_region(SkyCoord(10.0, -30.0, unit="deg"))} == {58000.0}


def test_a_built_sky_tells_of_each_candidate_what_missions_saw_it(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sky: Sky = shared_sky(tmp_path_factory, 1_000)
    shutil.copytree(sky.settings.warehouse, tmp_path / "warehouse")
    places = table_rows(sky.settings, "SELECT object_id, raj2000, dej2000 FROM candidates ORDER BY rank")
    first, last = places[0], places[-1]
    held = [
        *R_AQR,
        observation(11, "SWIFT", first["raj2000"], first["dej2000"], instrument_name="UVOT", t_exptime=100.5),
        observation(12, "SWIFT", first["raj2000"], first["dej2000"], instrument_name="UVOT", t_exptime=0.25, t_min=57000.0),
    ]  # fmt: skip
    with MastArchive(held) as archive:
        user = User(tmp_path, archive)
        user.configure()
        states = "SELECT DISTINCT state FROM mast_missions"
        assert user.rows(states) == [{"state": "not asked"}]
        user.done("load", "mast")
        result = CliRunner().invoke(app, ["build", "-q", "--warehouse", str(user.settings.warehouse)])
        assert result.exit_code == 0, (result.output, result.exception)
    [uvot] = user.rows(f"FROM mast_missions WHERE object_id = {first['object_id']} AND mission = 'Swift UVOT'")
    assert (uvot["state"], uvot["n_observations"], uvot["exposure_s"]) == ("matched", 2, 100.75)
    assert (uvot["first_mjd"], uvot["last_mjd"], uvot["has_cloud_copy"]) == (57000.0, 58000.75, False)
    assert {row["state"] for row in user.rows(f"FROM mast_missions WHERE object_id = {last['object_id']}")} == {"none"}
    assert first["object_id"] != last["object_id"]
    for key, words in (
        (first, "MAST): Swift UVOT 2 (101 s, MJD 57000.0 to 58000.8); nothing of"),
        (last, "MAST): asked, nothing there."),
    ):
        told = CliRunner().invoke(app, ["why", str(key["object_id"]), "--warehouse", str(user.settings.warehouse)])
        assert words in told.stdout
    told = CliRunner().invoke(app, ["why", str(first["object_id"]), "--warehouse", str(sky.settings.warehouse)])
    assert "Space archives (MAST): never asked." in told.stdout


def test_a_plan_says_how_many_requests_it_will_be_and_sends_none(user: User) -> None:
    user.configure(in_list=2)
    told = user.done("plan", "--route", "mast")
    assert "mast.observation" in told
    assert "uncounted" in told
    assert "        2  mast at MAST" in told
    assert user.archive.requests == []


def test_routes_are_named_without_an_option_completed_and_guessed(user: User) -> None:
    assert "mast" in complete.routes("ma")
    error = user.fails("load", "mats", code=2)
    assert "Did you mean mast?" in error.remedy


CAPTURED = {
    "caom.json": ("mast.observation", 19, {"object_id": 5, "obsid": 2003585980, "obs_id": "U27XCS01T", "t_min": 49756.25506,
                                           "t_exptime": 1500.0, "dataURL": None, "provenance_name": None}),
    "products.json": ("mast.product", 22, {"asked_obsid": 5, "obsID": 2003738726, "size": 207360, "path": None}),
}  # fmt: skip
"""Answers of MAST that astroquery keeps with its own tests: the table, its rows, values of the first."""


@pytest.mark.parametrize("name", CAPTURED)
def test_answers_that_were_captured_from_mast_are_read_whole(name: str) -> None:
    path = Path(astroquery.mast.__file__).parent / "tests" / "data" / name
    if not path.exists():
        pytest.skip("this astroquery comes without the answers of its tests")
    table_name, n_rows, values = CAPTURED[name]
    table = load_contract("skymapper_dr2").table(table_name)
    with duckdb.connect(":memory:") as con, open_answer(path, table, (5,)) as source:
        selection = select_columns(name, table, source)
        rows = con.sql(f"SELECT {selection.select_list} FROM {source.relation(con)}").fetchall()
    first = dict(zip((column.name for column in table.columns), rows[0], strict=True))
    assert len(rows) == n_rows
    assert {column: first[column] for column in values} == values
