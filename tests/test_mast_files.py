"""Files of MAST's observations: where they are, and those of the public bucket on this disk, whole and checked."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mast_archive import MastArchive
from mast_client import User, a_user, empty, mast
from skysy.loaders.archive import wire
from skysy.loaders.archive.download import Product
from test_examples import OF_MAST
from test_examples import run as run_line

from skysy.models import parameters
from skysy.models.project import load_project
from skysy.store import open_warehouse

__all__ = ["empty", "mast"]

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
    for made in a_user(mast, empty, tmp_path_factory.mktemp("observed")):
        made.done("load", "mast")
        project = load_project("skymapper_dr2")
        with open_warehouse(made.settings, write=True) as house:
            parameters.apply(house.con, project.parameters)
            for model in project.models:
                if model.name in ("stg_mast__observations", "stg_mast__products"):
                    house.run(f"CREATE VIEW {model.name} AS {model.sql}")
            [sql] = [model.sql for model in project.models if model.name == "mast_observation"]
            house.run(f"CREATE TABLE mast_observation AS {sql}")
            house.run("INSERT INTO meta.model (model, release) VALUES ('mast_observation', 'skymapper_dr2')")
    return made.settings.warehouse


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
    assert "nothing new at MAST; it asks for files of observations, which" in observer.done("load", "products")
    assert observer.archive.requests == []
    error = observer.fails("products", "--mission", "TES", code=6)
    assert "Did you mean TESS" in error.remedy


@pytest.mark.parametrize("parent", [2003585980, None])
def test_a_file_of_a_member_belongs_to_the_observation_that_was_asked_about(observer: User, parent: int | None) -> None:
    member = {**PRODUCTS[2003585980][0], "obsID": 777, "parent_obsid": parent}
    observer.archive.products = {**PRODUCTS, 2003585980: [member]}
    observer.archive.bare = True
    observer.done("load", "products")
    [swift] = [row for row in listed(observer)["products"] if row["mission"] == "Swift UVOT"]
    assert swift["obsid"] == 2003585980
    assert observer.rows("SELECT obsID FROM mast.product WHERE asked_obsid = 2003585980") == [{"obsID": 777}]
    assert (len(observer.archive.asked("Mast.Caom.Products")) > 1) == (parent is None)  # not told whose: one by one


def test_a_look_up_that_tells_nothing_is_an_error(observer: User) -> None:
    observer.archive.faults += [("lookup", "empty")] * 9
    error = observer.fails("load", "products")
    assert "the look-up of paths does not tell of" in error.message
    assert observer.rows("SELECT count(*) AS n FROM mast.product") == [{"n": 0}]


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_download_killed_with_9_goes_on_where_it_was(observer: User) -> None:
    observer.done("load", "products")
    observer.archive.faults += [("file", "stall")]
    words = observer.words("products", "--download", str(observer.directory / "files"))
    process = subprocess.Popen([sys.executable, "-m", "skysy", *words], start_new_session=True)
    [place] = [observer.directory / "files" / "TESS" / "27403835"]
    until = time.monotonic() + 60
    while not (place / "tess_s_lc.fits.part").exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    observer.archive.requests.clear()
    [one] = listed(observer, "--download", str(observer.directory / "files"))["downloaded"]
    assert Path(one["path"]).read_bytes() == LIGHT_CURVE
    assert [left.name for left in place.iterdir()] == ["tess_s_lc.fits"]
    assert [request["range"] is None for request in observer.archive.requests] == [False]


def test_the_examples_of_the_help_run_as_written(observer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(observer.directory)
    for line in OF_MAST:
        if line.startswith("skysy products"):
            observer.done("load", "products")
        run_line(line)
    assert {path.name for path in Path("tess").rglob("*.fits")} == {"tess_s_lc.fits"}
