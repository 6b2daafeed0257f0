"""Which rows belong together: tiles, cones, splits, resumed loads, refreshed ones; nothing twice, nothing lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from archive_client import GIANTS, RAW, TABLES, Client, a_user, little, little_simbad, little_tables, user, whole
from conftest import detection, exposures, red_giant, together
from faulty_archive import FaultyArchive
from faulty_archive.faults import ALWAYS
from hypothesis import given
from hypothesis import strategies as st
from skysy.loaders.archive.asks import Ask, halved_keys, halves

from skysy.errors import UsageError

__all__ = ["little", "user", "whole"]
pytestmark = pytest.mark.slow

CONE = ("--service", "photometry=skymapper_cone")
BEFORE = ("--route", "sample", "--route", "images", "--route", "distances")
EDGE = st.floats(-360, 360, allow_nan=False)


def an_ask(part: Mapping[str, Any], keys: tuple[int, ...] = ()) -> Ask:
    return Ask("r", "t", "s", "sync", part, "q", keys=keys)


# splitting


@given(a=EDGE, b=EDGE, c=EDGE, d=EDGE)
def test_the_halves_of_a_tile_are_the_tile_and_do_not_overlap(a: float, b: float, c: float, d: float) -> None:
    (west, east), (south, north) = sorted((a, b)), sorted((c, d))
    parts = halves(an_ask({"ra": [west, east], "dec": [south, north]}))
    if parts:
        axis = "ra" if parts[0]["dec"] == [south, north] else "dec"
        other = "dec" if axis == "ra" else "ra"
        low, high = ([west, east], [south, north])[axis == "dec"]
        assert [part[other] for part in parts] == [[south, north] if other == "dec" else [west, east]] * 2
        assert parts[0][axis][0] == low < parts[0][axis][1] == parts[1][axis][0] < parts[1][axis][1] == high
    else:
        assert max(east - west, north - south) < 0.1


@given(first=st.integers(-(2**62), 2**62), n=st.integers(1, 10**9))
def test_the_halves_of_a_range_are_the_range_and_do_not_overlap(first: int, n: int) -> None:
    parts = halves(an_ask({"column": "k", "key": [first, first + n]}))
    if n == 1:
        assert parts == []
    else:
        (low, middle), (again, high) = (part["key"] for part in parts)
        assert low == first < middle == again < high == first + n


@given(keys=st.sets(st.integers(-(2**62), 2**62), min_size=1, max_size=50))
def test_the_halves_of_a_set_of_ids_are_the_set(keys: set[int]) -> None:
    ordered = tuple(sorted(keys))
    ask = an_ask({"ids": len(ordered), "first": ordered[0], "last": ordered[-1]}, ordered)
    one, other = halved_keys(ask)
    assert one + other == ordered
    parts = halves(ask)
    assert [part["ids"] for part in parts] == ([] if len(ordered) == 1 else [len(one), len(other)])


@pytest.mark.parametrize("max_rows", [1, 3])
def test_any_number_of_tiles_brings_the_same_objects_once(user: Client, whole: dict[str, str], max_rows: int) -> None:
    user.configure(max_rows=max_rows)
    user.load("--route", "sample")
    assert user.hashes("sample").items() <= whole.items()
    assert user.rows("SELECT count(*) AS n FROM meta.chunk WHERE table_name = 'dr2.master'")[0]["n"] > 2


def test_objects_at_right_ascension_0_and_360_and_at_the_poles_are_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [(0.0, -90.0), (0.0, 90.0), (360.0, 0.0), (359.9999999, 10.0), (0.0, 0.0), (180.0, 0.0)]
    giants = [red_giant(1000 * (n + 1), raj2000=ra, dej2000=dec) for n, (ra, dec) in enumerate(places)]
    with FaultyArchive(together(*giants)) as archive:
        for client in a_user(archive, tmp_path, monkeypatch):
            client.configure(max_rows=1)
            client.load("--route", "sample", "--set", "archive_dec_deg=[-90,90]")
            assert client.rows("SELECT count(*) AS n FROM dr2.master") == [{"n": len(places)}]


def test_right_ascensions_across_0_are_both_sides_of_it(user: Client) -> None:
    user.load("--route", "sample", "--set", "archive_ra_deg=[350,5]")
    assert user.rows("SELECT object_id FROM dr2.master ORDER BY 1") == [{"object_id": 1000}, {"object_id": 2000}]


@pytest.mark.parametrize("value", ["archive_dec_deg=[-30,-40]", "archive_ra_deg=[0,400]", "archive_ra_deg=[1,2,3]"])
def test_a_part_of_the_sky_that_is_none_is_refused(user: Client, value: str) -> None:
    error = user.fails("--route", "sample", "--set", value, code=2)
    assert isinstance(error, UsageError)
    assert value.split("=")[0] in error.message


# cones


def test_cones_bring_the_same_rows_as_tap(user: Client, whole: dict[str, str]) -> None:
    user.load(*BEFORE)
    user.load("--route", "photometry", *CONE)
    assert user.hashes("photometry").items() <= whole.items()
    assert len(user.archive.asked("cone")) == len(GIANTS) - 1  # one has no distance


def test_overlapping_cones_give_each_detection_once_and_to_its_own_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = [red_giant(1000, raj2000=180.0), red_giant(2000, raj2000=180.0001)]  # 0.3 arcsec
    images = exposures(10, "uvg", 57000.5)
    seen = [
        detection(key, image, 15.0, 0.02, ra_img=ra, decl_img=-30.0)
        for key, ra in ((1000, 180.0), (2000, 180.0001), (9999, 180.00005), (None, 180.0))
        for image in images
    ]
    with FaultyArchive(together(*near, {"dr2.images": images, "dr2.photometry": seen})) as archive:
        for client in a_user(archive, tmp_path, monkeypatch):
            client.load(*BEFORE)
            client.load("--route", "photometry", *CONE)
            found = client.rows("SELECT object_id, count(*) AS n FROM dr2.photometry GROUP BY ALL ORDER BY 1")
            assert found == [{"object_id": 1000, "n": 3}, {"object_id": 2000, "n": 3}]
            assert client.rows("SELECT sum(found) AS n FROM meta.asked WHERE route = 'photometry'") == [{"n": 6}]


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("html_200", {}), ("status", {"code": 404}), ("timeout", {}), ("empty_body", {}), ("not_found", {}),
        ("cut_without_length", {"fraction": 0.7}), ("drop_column", {"column": "object_id"}), ("reset", {}),
    ],
)  # fmt: skip
def test_a_failed_cone_is_an_error_and_never_no_match(
    user: Client, whole: dict[str, str], kind: str, details: dict[str, Any]
) -> None:
    user.load(*BEFORE)
    user.archive.fault(kind, "cone", after=3, times=ALWAYS, **details)
    # Asked again, every cone lacks the column: the service is at odds with the contract, which is no fault of one answer.
    error = user.fails("--route", "photometry", *CONE, code=4 if kind == "drop_column" else None)
    assert "cone" in error.message.lower()
    assert user.rows("SELECT count(*) AS n FROM dr2.photometry") == [{"n": 0}]
    assert user.rows("SELECT count(*) AS n FROM meta.asked WHERE route = 'photometry' AND found IS NOT NULL") == [
        {"n": 0}
    ]
    user.archive.heal()
    user.load("--route", "photometry", *CONE)
    assert user.hashes("photometry").items() <= whole.items()


def test_the_word_null_in_the_csv_of_cones_is_null(user: Client, whole: dict[str, str]) -> None:
    user.load(*BEFORE)
    user.archive.fault("null_text", "cone", times=ALWAYS, text="NULL")
    user.load("--route", "photometry", *CONE)
    assert user.hashes("photometry").items() <= whole.items()


def test_a_route_can_be_finished_at_another_service(user: Client, whole: dict[str, str]) -> None:
    user.load(*BEFORE)
    user.archive.fault("status", "tap.sync", matching=r"^SELECT x\.[^;]*photometry", code=500, times=ALWAYS)
    user.configure(in_list=3)
    user.fails("--route", "photometry")
    user.load("--route", "photometry", *CONE)
    assert user.hashes("photometry").items() <= whole.items()


# loads that stop, go on, are refreshed


def test_parts_that_were_committed_are_not_asked_again(user: Client, whole: dict[str, str]) -> None:
    user.configure(max_rows=8, parallel=1)
    user.archive.fault("ban_403", "tap.sync", matching=r"^SELECT x\.", after=4, times=ALWAYS)
    user.fails("--route", "images")
    done = user.rows("SELECT query FROM meta.chunk WHERE state = 'loaded'")
    assert len(done) == 4
    user.archive.heal()
    user.archive.forget()
    user.load("--route", "images")
    assert not {row["query"] for row in done} & set(user.asked_rows())
    assert user.hashes("images").items() <= whole.items()


def test_a_changed_query_is_planned_anew_and_the_older_rows_go(user: Client, whole: dict[str, str]) -> None:
    user.load("--route", "sample")
    user.load("--route", "sample", "--set", "archive_dec_deg=[-89,10]")
    assert user.rows("SELECT count(*) AS n FROM dr2.master") == [{"n": len(GIANTS) - 1}]
    assert user.rows("SELECT count(*) AS n FROM ext.allwise") == [{"n": len(GIANTS) - 1}]
    user.load("--route", "sample")
    assert user.hashes("sample").items() <= whole.items()
    before = user.hashes("sample")
    user.settings.database.unlink()
    user.load("--offline")
    assert user.hashes("sample") == before


def test_after_a_rebuild_from_raw_answers_nothing_is_asked_again(user: Client, whole: dict[str, str]) -> None:
    user.load()
    user.settings.database.unlink()
    user.load("--offline")
    user.archive.forget()
    user.load()
    assert user.asked_rows() == []
    assert user.archive.asked("xmatch") == []
    assert user.hashes(*TABLES) == whole


@pytest.fixture
def growing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Client, FaultyArchive]]:
    """A loaded Client and its archive, whose tables a test may change."""
    with FaultyArchive(little_tables(), simbad=little_simbad()) as archive:
        for client in a_user(archive, tmp_path, monkeypatch):
            client.load()
            archive.forget()
            yield client, archive


def change(archive: FaultyArchive, statement: str) -> None:
    with archive._catalogues[0]._con.cursor() as con:
        con.execute(statement)


def test_a_refresh_of_what_did_not_change_asks_for_no_rows(
    growing: tuple[Client, FaultyArchive], whole: dict[str, str]
) -> None:
    client, archive = growing
    result = client.run("refresh")
    assert result.exit_code == 0, result.output
    assert client.asked_rows() == []
    assert archive.asked("xmatch") == []
    assert client.hashes(*TABLES) == whole


def test_a_refresh_brings_new_images_below_between_and_above(growing: tuple[Client, FaultyArchive]) -> None:
    client, archive = growing
    for image_id in (1, 117, 999):
        change(
            archive,
            f"INSERT INTO dr2.images BY NAME SELECT * REPLACE ({image_id} AS image_id) FROM dr2.images WHERE image_id = 100",
        )
    change(archive, "DELETE FROM dr2.images WHERE image_id = 118")
    told = client.run("refresh", "--dry-run")
    assert told.exit_code == 0, told.output
    assert client.rows("SELECT count(*) AS n FROM dr2.images") == [{"n": 60}]
    result = client.run("refresh", "--route", "images")
    assert result.exit_code == 0, (result.output, result.exception)
    assert client.rows("SELECT count(*) AS n FROM dr2.images") == [{"n": 62}]
    assert client.rows("SELECT count(*) AS n FROM dr2.images WHERE image_id IN (1, 999)") == [{"n": 2}]


def test_a_refresh_asks_for_changed_counts_and_new_objects_only(growing: tuple[Client, FaultyArchive]) -> None:
    client, archive = growing
    new = red_giant(9000, raj2000=20.0, dej2000=-20.0)
    for table, rows in new.items():
        names = ", ".join(rows[0])
        values = ", ".join(
            "NULL" if v is None else f"'{v}'" if isinstance(v, str) else str(v) for v in rows[0].values()
        )
        change(archive, f"INSERT INTO {table} ({names}) VALUES ({values})")
    change(
        archive,
        "INSERT INTO dr2.photometry BY NAME SELECT * REPLACE (9000 AS object_id) FROM dr2.photometry WHERE object_id = 1000",
    )
    change(archive, "DELETE FROM dr2.photometry WHERE object_id = 4000 AND image_id = 120")
    result = client.run("refresh")
    assert result.exit_code == 0, (result.output, result.exception)
    for table in RAW:
        if table != "simbad.matches":
            where = " WHERE object_id <> 8000" if table == "dr2.photometry" else ""  # it has no distance
            query = f"SELECT COUNT(*) AS n FROM {table}{where}"
            theirs = archive._catalogues[0].answer(query, {}, 10, block_comments=False)
            assert client.rows(f"SELECT count(*) AS n FROM {table}") == theirs.table.to_pylist(), table
    assert client.rows("SELECT count(*) AS n FROM simbad.matches") == [{"n": len(GIANTS)}]
    assert client.rows("SELECT count(*) AS n FROM meta.asked WHERE route = 'simbad'") == [{"n": len(GIANTS)}]


def test_a_refresh_that_must_split_leaves_no_row_twice(growing: tuple[Client, FaultyArchive]) -> None:
    client, archive = growing
    change(
        archive,
        "INSERT INTO dr2.images BY NAME SELECT * REPLACE (105 AS image_id) FROM dr2.images WHERE image_id = 100",
    )
    archive.fault("overflow", "tap.sync", matching=r"^SELECT x\.", times=1)
    result = client.run("refresh", "--route", "images")
    assert result.exit_code == 0, (result.output, result.exception)
    assert client.rows("SELECT count(*) AS n FROM dr2.images") == [{"n": 61}]
    client.settings.database.unlink()
    client.load("--offline")
    assert client.rows("SELECT count(*) AS n FROM dr2.images") == [{"n": 61}]


def test_empty_tables_and_empty_parts_are_loaded_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables: dict[str, Any] = {table: rows[:0] for table, rows in little_tables().items()}
    with FaultyArchive(tables, simbad=little_simbad()) as archive:
        for client in a_user(archive, tmp_path, monkeypatch):
            client.load()
            assert {client.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in RAW} == {0}


def test_rows_from_files_and_from_the_archive_do_not_mix(user: Client, tmp_path: Path) -> None:
    directory = tmp_path / "files"
    directory.mkdir()
    names = "image_id,night_mjd,filter,date,exp_time,field_id,image_type"
    (directory / "dr2.images.csv").write_text(f"{names}\n1,57000,u,57000.5,100,1,ms\n")
    from skysy.loaders.load import load_directory

    from skysy.store import open_warehouse

    with open_warehouse(user.settings, write=True, make=True) as house:
        load_directory(house, "skymapper_dr2", directory)
    error = user.fails("--route", "images", code=4)
    assert "dr2.images holds rows of the file dr2.images.csv" in error.message
    assert user.asked_rows() == []
    user.load("--route", "sample")
