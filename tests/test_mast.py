"""MAST asked about candidates: what came is what MAST has, once, with its types; what is no whole answer is an error in words."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mast_archive
import pytest
from archive_client import raw_hashes
from conftest import Sky, create, shared_sky, table_rows
from faulty_archive import FaultyArchive, catalogue
from faulty_archive.adql import MACROS
from mast_archive import MastArchive
from skysy.loaders.archive import wire
from skysy.loaders.archive.cone import CONTROL_DEG
from skysy.loaders.archive.download import Product
from skysy.loaders.raw import prepare
from typer.testing import CliRunner, Result

from skysy.cli.commands import app
from skysy.config import Settings
from skysy.contract import load_contract
from skysy.errors import SkysyError
from skysy.models import parameters
from skysy.models.project import load_project
from skysy.store import open_warehouse

CANDIDATES = {101: (10.0, -30.0), 102: (40.0, -35.0), 103: (200.0, -40.0), 104: (200.01, -40.0)}
"""The last two lie in one footprint of GALEX; the second has nothing."""


def observation(obsid: int, collection: str, ra: float, dec: float, **others: Any) -> dict[str, Any]:
    return {
        "obsid": obsid, "obs_collection": collection, "s_ra": ra, "s_dec": dec, "calib_level": 2, "obs_id": f"o{obsid}",
        "intentType": "science", "t_min": 58000.5, "t_max": 58000.75, "t_exptime": 100, **others,
    }  # fmt: skip


R_AQR = [observation(900 + place, "IUE", *CONTROL_DEG, instrument_name="SWP", reach=0.001) for place in range(2)]
HELD = [
    *R_AQR,
    observation(2003585980, "SWIFT", 10.0, -30.0, instrument_name="UVOT", filters="UVW1", reach=0.1, t_exptime=511.25),
    observation(2003585981, "SWIFT", 10.0, -30.0, instrument_name="XRT", reach=0.1),
    observation(27403835, "TESS", 10.0, -30.0, instrument_name="Photometer", target_name="38846515", t_exptime=120),
    observation(27403836, "TESS", 12.0, -31.0, target_name="TESS FFI", reach=5.0, t_exptime=1425.6),
    observation(
        1000016660, "GALEX", 200.1, -40.1, obs_id=6374469411427844097, reach=0.6, t_exptime=None, srcDen=58000.5
    ),
]  # fmt: skip


@dataclass
class User:
    """Someone with a warehouse that has candidates, and a skysy.toml that points at the served archive."""

    directory: Path
    archive: MastArchive

    @property
    def settings(self) -> Settings:
        return Settings(self.directory / "warehouse", "1GB", 2)

    def configure(self, **mast: Any) -> None:
        quick = {"pause_s": 0.0, "poll_s": 0.01, "tries": 3, "timeout_s": 5.0}
        profiles = {
            "mast": {"url": self.archive.url, **quick, **mast},
            "stpubdata": {"url": f"{self.archive.url}/stpubdata", **quick},
        }
        text = "".join(
            f"[services.{key}]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in profile.items())
            for key, profile in profiles.items()
        )
        (self.directory / "skysy.toml").write_text(text)

    def words(self, command: str, *words: str) -> list[str]:
        release = [] if command == "products" else ["--release", "skymapper_dr2"]
        config = [] if "--offline" in words else ["--config", str(self.directory / "skysy.toml")]
        return [command, *words, *release, *config, "--warehouse", str(self.settings.warehouse)]

    def run(self, command: str, *words: str) -> Result:
        return CliRunner().invoke(app, self.words(command, *words))

    def done(self, command: str, *words: str) -> str:
        result = self.run(command, *words)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    def fails(self, command: str, *words: str, code: int = 7) -> SkysyError:
        result = self.run(command, *words)
        assert isinstance(result.exception, SkysyError), (result.output, result.exception)
        assert result.exception.exit_code == code, result.exception
        return result.exception

    def rows(self, query: str) -> list[dict[str, Any]]:
        return table_rows(self.settings, query)

    def held(self) -> list[tuple[int, int | None]]:
        return [
            (row["object_id"], row["obsid"]) for row in self.rows("FROM mast.observation ORDER BY object_id, obsid")
        ]

    def hashes(self) -> dict[str, str]:
        return raw_hashes(self.settings, ["mast.observation", "mast.product"])


TRUTH = [
    (101, 27403835), (101, 27403836), (101, 2003585980), (101, 2003585981), (102, None), (103, 1000016660), (104, 1000016660),
]  # fmt: skip


@pytest.fixture(scope="module")
def mast() -> Iterator[MastArchive]:
    with MastArchive(HELD) as archive:
        yield archive


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse that has four candidates and was never told of MAST."""
    made = User(tmp_path_factory.mktemp("empty"), MastArchive([]))
    create(made.settings)
    with open_warehouse(made.settings, write=True) as house:
        prepare(house, load_contract("skymapper_dr2"))
        house.run("CREATE TABLE candidates (object_id BIGINT, raj2000 DOUBLE, dej2000 DOUBLE)")
        for key, (ra, dec) in CANDIDATES.items():
            house.run("INSERT INTO candidates VALUES (?, ?, ?)", [key, ra, dec])
    return made.settings.warehouse


@pytest.fixture
def user(mast: MastArchive, empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """A User of that warehouse; the archive is healthy before and after."""
    monkeypatch.setattr(wire, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(wire, "_HOSTS", {})
    yield from a_user(mast, empty, tmp_path)


def a_user(mast: MastArchive, warehouse: Path, directory: Path) -> Iterator[User]:
    mast.heal()
    made = User(directory, mast)
    made.configure()
    shutil.copytree(warehouse, made.settings.warehouse)
    yield made
    mast.heal()


def test_each_candidate_gets_what_mast_has_and_a_row_that_says_so_where_it_has_nothing(user: User) -> None:
    told = user.done("load", "mast")
    assert user.held() == TRUTH
    assert "asked            4 objects" in told
    assert len(user.archive.requests) == 1
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
        name for name in mast_archive.FIELDS if name not in ("_selected_", "distance", "srcDen", "project", "dataURL")
    ]
    rows = [
        {**{name: one.get(name) for name in names}, "obs_id": str(one["obs_id"]), "provenance_name": None,
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
    assert "2 observations of R Aqr, 19 of 25 columns are there" in told.stdout
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


# products, and files of the public bucket

LIGHT_CURVE = b"SIMPLE  =                    T" + bytes(range(256)) * 4000
"""About a megabyte, so that a cut leaves a part behind."""

KEY = "tess/public/tid/s0001/0000/0000/3884/6515/tess_s_lc.fits"
PRODUCTS = {
    27403835: [
        {"obsID": 27403835, "obs_collection": "TESS", "dataURI": "mast:TESS/product/tess_s_lc.fits", "productType": "SCIENCE",
         "productFilename": "tess_s_lc.fits", "productSubGroupDescription": "LC", "size": len(LIGHT_CURVE)},
        {"obsID": 27403835, "obs_collection": "TESS", "dataURI": "mast:TESS/product/tess_dvr.pdf", "productType": "INFO",
         "productFilename": "tess_dvr.pdf", "size": 11},
        {"obsID": 27403835, "obs_collection": "TESS", "dataURI": "mast:TESS/product/gone.fits", "productType": "AUXILIARY",
         "productFilename": "gone.fits", "size": 12},
    ],
    2003585980: [
        {"obsID": 2003585980, "obs_collection": "SWIFT", "dataURI": "mast:SWIFT/sw00031000001uw1_sk.img.gz", "productType": "SCIENCE",
         "productFilename": "sw00031000001uw1_sk.img.gz", "size": 400},
    ],
}  # fmt: skip
PATHS = {"mast:TESS/product/tess_s_lc.fits": f"/{KEY}", "mast:TESS/product/tess_dvr.pdf": "/tess/public/tess_dvr.pdf"}


@pytest.fixture(scope="module")
def observed(mast: MastArchive, empty: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse after `skysy load mast` and a build's tables of it."""
    for user in a_user(mast, empty, tmp_path_factory.mktemp("observed")):
        user.done("load", "mast")
        project = load_project("skymapper_dr2")
        with open_warehouse(user.settings, write=True) as house:
            parameters.apply(house.con, project.parameters)
            for model in project.models:
                if model.name in ("stg_mast__observations", "stg_mast__products"):
                    house.run(f"CREATE VIEW {model.name} AS {model.sql}")
            [sql] = [model.sql for model in project.models if model.name == "mast_observation"]
            house.run(f"CREATE TABLE mast_observation AS {sql}")
            house.run("INSERT INTO meta.model (model, release) VALUES ('mast_observation', 'skymapper_dr2')")
    return user.settings.warehouse


@pytest.fixture
def files(mast: MastArchive) -> Iterator[None]:
    """MAST has files of two observations, one of them in the bucket."""
    mast.products, mast.paths, mast.files = PRODUCTS, PATHS, {KEY: LIGHT_CURVE}
    yield
    mast.products, mast.paths, mast.files = {}, {}, {}


@pytest.fixture
def observer(
    files: None, mast: MastArchive, observed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[User]:
    """A User of that warehouse, who has not asked for files."""
    monkeypatch.setattr(wire, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(wire, "_HOSTS", {})
    yield from a_user(mast, observed, tmp_path)


def listed(user: User, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(user.done("products", "--json", *words))
    return found


def test_products_have_their_place_in_the_bucket_and_missions_without_a_copy_are_named(observer: User) -> None:
    assert listed(observer)["observations_not_asked"] == 4
    observer.done("load", "products")
    looked_up = [uri for one in observer.archive.asked("path_lookup") for uri in one["uris"]]
    assert sorted(looked_up) == sorted(one["dataURI"] for one in PRODUCTS[27403835])
    found = {row["filename"]: row["cloud_uri"] for row in listed(observer, "--type", "all")["products"]}
    assert found == {
        "tess_s_lc.fits": f"s3://stpubdata/{KEY}", "tess_dvr.pdf": "s3://stpubdata/tess/public/tess_dvr.pdf",
        "gone.fits": None, "sw00031000001uw1_sk.img.gz": None,
    }  # fmt: skip
    told = observer.done("products")
    assert f"s3://stpubdata/{KEY}" in told
    assert "Files without a copy there: Swift UVOT." in told
    assert "never asked for" not in told
    observer.archive.requests.clear()
    assert "nothing new at MAST" in observer.done("load", "products")
    assert observer.archive.requests == []
    error = observer.fails("products", "--mission", "TES", code=6)
    assert "Did you mean TESS" in error.remedy


def test_a_look_up_that_tells_nothing_is_an_error(observer: User) -> None:
    observer.archive.faults += [("lookup", "empty")] * 9
    error = observer.fails("load", "products")
    assert "the look-up of paths does not tell of" in error.message
    assert observer.rows("SELECT count(*) AS n FROM mast.product") == [{"n": 0}]


def test_kept_answers_give_the_same_products_without_a_connection(observer: User) -> None:
    observer.done("load", "products")
    before = observer.hashes()
    observer.settings.database.unlink()
    observer.done("load", "--offline")
    assert observer.hashes() == before


def test_a_file_is_downloaded_once_with_its_checksum_in_the_ledger(observer: User) -> None:
    observer.done("load", "products")
    place = observer.directory / "files"
    [one] = listed(observer, "--download", str(place))["downloaded"]
    path = Path(one["path"])
    assert path == place / "TESS" / "27403835" / "tess_s_lc.fits"
    assert path.read_bytes() == LIGHT_CURVE
    assert one["sha256"] == hashlib.sha256(LIGHT_CURVE).hexdigest()
    [row] = observer.rows("SELECT sha256, bytes, source, service FROM meta.chunk WHERE state = 'downloaded'")
    assert row == {"sha256": one["sha256"], "bytes": len(LIGHT_CURVE), "source": one["url"], "service": "stpubdata"}
    assert one["url"] == f"{observer.archive.url}/stpubdata/{KEY}"
    assert [left.name for left in path.parent.iterdir()] == ["tess_s_lc.fits"]
    observer.archive.requests.clear()
    [again] = listed(observer, "--download", str(place))["downloaded"]
    assert again["outcome"] == "already there"
    assert observer.archive.requests == []


def test_a_body_that_breaks_off_is_gone_on_with_where_it_ended(observer: User) -> None:
    observer.done("load", "products")
    observer.archive.requests.clear()
    observer.archive.faults += [("file", "cut")] * 2
    [one] = listed(observer, "--download", str(observer.directory / "files"))["downloaded"]
    assert Path(one["path"]).read_bytes() == LIGHT_CURVE
    ranges = [request["range"] for request in observer.archive.requests]
    assert ranges[0] is None
    assert len(ranges) == 3
    assert 0 < int(ranges[1][6:-1]) < int(ranges[2][6:-1]) < len(LIGHT_CURVE)


def test_a_file_that_never_comes_whole_is_an_error_and_the_next_call_goes_on(observer: User) -> None:
    observer.done("load", "products")
    observer.archive.faults += [("file", "cut")] * 3
    place = observer.directory / "files"
    observer.fails("products", "--download", str(place))
    assert not (place / "TESS" / "27403835" / "tess_s_lc.fits").exists()
    observer.archive.requests.clear()
    [one] = listed(observer, "--download", str(place))["downloaded"]
    assert Path(one["path"]).read_bytes() == LIGHT_CURVE
    assert [request["range"] is None for request in observer.archive.requests] == [False]


def test_the_part_of_a_file_that_changed_there_is_not_gone_on_with(observer: User) -> None:
    observer.done("load", "products")
    observer.archive.faults += [("file", "cut")] * 3
    place = observer.directory / "files"
    observer.fails("products", "--download", str(place))
    changed = LIGHT_CURVE[::-1]
    observer.archive.files[KEY], observer.archive.etags[KEY] = changed, f'"{hashlib.md5(changed).hexdigest()}"'
    [one] = listed(observer, "--download", str(place))["downloaded"]
    assert Path(one["path"]).read_bytes() == changed


def test_a_body_that_is_not_what_the_bucket_says_is_an_error(observer: User) -> None:
    observer.done("load", "products")
    observer.archive.etags[KEY] = f'"{hashlib.md5(b"something else").hexdigest()}"'
    place = observer.directory / "files"
    error = observer.fails("products", "--download", str(place))
    assert "its MD5 is" in error.message
    assert list(place.rglob("*.fits*")) == []


def test_a_file_that_changed_on_this_disk_is_left_and_told(observer: User) -> None:
    observer.done("load", "products")
    place = observer.directory / "files"
    [one] = listed(observer, "--download", str(place))["downloaded"]
    Path(one["path"]).write_bytes(b"mine")
    error = observer.fails("products", "--download", str(place), code=4)
    assert "other bytes than were downloaded" in error.message
    assert Path(one["path"]).read_bytes() == b"mine"


def test_a_file_that_the_bucket_lacks_is_told_and_the_others_come(observer: User) -> None:
    observer.done("load", "products")
    place = observer.directory / "files"
    error = observer.fails("products", "--type", "all", "--download", str(place))
    assert "has no file" in error.message
    assert (place / "TESS" / "27403835" / "tess_s_lc.fits").read_bytes() == LIGHT_CURVE


def test_names_from_an_archive_do_not_lead_out_of_the_directory() -> None:
    product = Product(5, "mast:TESS/product/x", "../../etc/passwd", "..", None, "k")
    assert product.place == Path("_/5/_.._etc_passwd")
