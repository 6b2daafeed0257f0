"""What services do to a question: other columns, other ids, caps and uploads that they do not tell of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_client import GIANTS, TABLES, Client, a_user, little, little_simbad, little_tables, user, whole
from conftest import red_giant, together
from faulty_archive import FaultyArchive
from faulty_archive.faults import ALWAYS

from skysy.errors import ContractError, Mismatch

__all__ = ["little", "user", "whole"]
pytestmark = pytest.mark.slow

IMAGES = r"^SELECT x\.[^;]*FROM dr2\.images"
MASTER = r"^SELECT m\."
TWOMASS = r"^SELECT x\.[^;]*FROM ext\.twomass"
DISTANCES = r"^SELECT x\.[^;]*geometric_distance"
PHOTOMETRY = r"^SELECT x\.[^;]*FROM dr2\.photometry"
IN_SAMPLE = len(GIANTS) - 1  # one has no distance
BEFORE = ("--route", "sample", "--route", "images", "--route", "distances")

OTHER_ROWS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("images", IMAGES, "silent_cap", {"rows": 50}),
    ("images", IMAGES, "drop_row", {}),
    ("images", IMAGES, "drop_row", {"row": -1}),
    ("images", IMAGES, "duplicate_row", {}),
    ("images", IMAGES, "fewer_ids", {}),
    ("images", IMAGES, "wrong_ids", {}),
    ("images", IMAGES, "error_after_rows", {}),
    ("sample", MASTER, "silent_cap", {"rows": 5}),
    ("sample", MASTER, "drop_row", {"row": 3}),
    ("sample", TWOMASS, "duplicate_row", {"row": 2}),
    ("sample", TWOMASS, "wrong_ids", {"column": "pts_key"}),
    ("sample", MASTER, "error_after_rows", {}),
    ("distances", DISTANCES, "drop_row", {}),
    ("distances", DISTANCES, "fewer_ids", {}),
    ("distances", DISTANCES, "wrong_ids", {}),
    ("distances", DISTANCES, "silent_cap", {"rows": 2}),
    ("photometry", PHOTOMETRY, "drop_row", {}),
    ("photometry", PHOTOMETRY, "duplicate_row", {}),
    ("photometry", PHOTOMETRY, "wrong_ids", {"column": "object_id"}),
    ("photometry", PHOTOMETRY, "fewer_ids", {"column": "object_id"}),
]


@pytest.mark.parametrize(("route", "matching", "kind", "details"), OTHER_ROWS)
def test_other_rows_than_were_asked_for_are_never_kept(
    user: Client, whole: dict[str, str], route: str, matching: str, kind: str, details: dict[str, Any]
) -> None:
    before = {"distances": ["--route", "sample"], "photometry": [*BEFORE]}.get(route)
    if before:
        user.load(*before)
    routes = ("--route", route)
    on = r"uws\.result|tap\.sync"
    fault = user.archive.fault(kind, on, matching=matching, times=ALWAYS, **details)
    error = user.fails(*routes)
    assert fault.fired
    assert any(table in error.message for table in TABLES[route])
    assert " to " in error.message
    user.archive.heal()
    user.load(*routes)
    assert user.hashes(route).items() <= whole.items()


def test_a_row_dropped_and_another_doubled_do_not_make_a_right_count(user: Client, whole: dict[str, str]) -> None:
    user.archive.fault("drop_row", "tap.sync", matching=IMAGES, row=3)
    user.archive.fault("duplicate_row", "tap.sync", matching=IMAGES, row=7)
    user.load("--route", "images")
    assert user.hashes("images").items() <= whole.items()
    user.archive.fault("drop_row", "tap.sync", matching=IMAGES, row=3, times=ALWAYS)
    user.archive.fault("duplicate_row", "tap.sync", matching=IMAGES, row=7, times=ALWAYS)
    fresh = Client(user.directory / "fresh", user.archive)
    fresh.directory.mkdir()
    fresh.configure()
    assert "some of them twice" in fresh.fails("--route", "images").message


def test_rows_that_the_archive_itself_has_twice_are_kept_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = little_tables()
    for table in ("dr2.images", "dr2.photometry", "gaiadr2_complements.geometric_distance"):
        tables[table] += tables[table][:2]
    with FaultyArchive(tables, simbad=little_simbad()) as archive:
        for client in a_user(archive, tmp_path, monkeypatch):
            client.load()
            without_distance = GIANTS[-1][0]  # is not in the sample, so its detections are not asked for
            for table, rows in tables.items():
                wanted = [row for row in rows if table != "dr2.photometry" or row["object_id"] != without_distance]
                assert client.rows(f"SELECT count(*) AS n FROM {table}") == [{"n": len(wanted)}], table
            assert [query for query in archive.repeated() if "TAP_SCHEMA" not in query] == []


@pytest.mark.parametrize("kind", ["silent_cap", "drop_row"])
def test_the_command_says_how_many_rows_were_asked_for_and_came(user: Client, kind: str) -> None:
    details = {"rows": 50} if kind == "silent_cap" else {}
    user.archive.fault(kind, "tap.sync", matching=IMAGES, times=ALWAYS, **details)
    error = user.fails("--route", "images")
    assert isinstance(error, Mismatch)
    left = 50 if kind == "silent_cap" else 59
    assert f"skymapper: dr2.images, image_id 100 to 159: 60 rows were counted, {left} came" in error.message


def test_rows_in_another_order_are_the_same_rows(user: Client, whole: dict[str, str]) -> None:
    user.archive.fault("reversed_rows", matching=".", times=ALWAYS)
    user.load()
    assert user.hashes(*TABLES) == whole


def test_an_object_without_a_distance_is_asked_once_and_noted(user: Client) -> None:
    user.load("--route", "sample", "--route", "distances")
    asked = user.rows("SELECT key, found FROM meta.asked WHERE route = 'distances' ORDER BY key")
    assert [row["found"] for row in asked] == [1] * 7 + [0]
    user.archive.forget()
    user.load("--route", "distances")
    assert user.asked_rows() == []


# columns


def test_a_column_of_an_accepted_spelling_and_other_capitals_is_taken(user: Client, whole: dict[str, str]) -> None:
    user.archive.fault("case_change", matching=r"SELECT [mx]\.", times=ALWAYS)
    user.archive.fault("add_column", matching=r"SELECT [mx]\.", times=ALWAYS)
    user.load("--route", "sample", "--route", "images")
    assert user.hashes("sample", "images").items() <= whole.items()
    notes = user.rows("SELECT notes->>'ignored_columns' AS told FROM meta.chunk WHERE route = 'images'")
    assert notes == [{"told": '["surprise"]'}]


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("rename_column", {"column": "exp_time", "to": "exposure"}),
        ("drop_column", {"column": "date"}),
        ("retype_column", {"column": "image_id", "to": "DOUBLE"}),
    ],
)
def test_an_answer_with_other_columns_is_refused_by_name(
    user: Client, whole: dict[str, str], kind: str, details: dict[str, Any]
) -> None:
    user.archive.fault(kind, matching=IMAGES, times=ALWAYS, **details)
    result = user.run("load", "--route", "images")
    needed = user.rows("SELECT required FROM meta.contract WHERE table_name = 'dr2.images' AND column_name = "
                       f"'{details['column']}'")[0]["required"]  # fmt: skip
    if needed or kind == "retype_column":
        assert isinstance(result.exception, ContractError), result.output
        assert f"skymapper: dr2.images, image_id 100 to 159: column {details['column']}" in result.exception.message
        assert user.rows("SELECT count(*) AS n FROM dr2.images") == [{"n": 0}]
        user.archive.heal()
        user.load("--route", "images")
        assert user.hashes("images").items() <= whole.items()
    else:
        assert result.exit_code == 0
        notes = user.rows("SELECT notes->>'absent_columns' AS told FROM meta.chunk WHERE route = 'images'")
        assert details["column"] in notes[0]["told"]


@pytest.fixture
def renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A function: old and new name of a column of dr2.images -> a Client of an archive that has it so."""
    open_ = []

    def make(old: str, new: str) -> Client:
        images = [
            {new if name == old else name: value for name, value in row.items()}
            for row in little_tables()["dr2.images"]
        ]
        tables: dict[str, Any] = {**little_tables()}
        import pyarrow as pa

        tables["dr2.images"] = pa.Table.from_pylist(images)
        archive = FaultyArchive(tables)
        archive.__enter__()
        open_.append(archive)
        return next(a_user(archive, tmp_path, monkeypatch))

    yield make
    for archive in open_:
        archive.__exit__(None)


def test_a_column_that_was_renamed_is_an_error_before_anything_is_asked(renamed: Any) -> None:
    client = renamed("image_id", "picture")
    error = client.fails("--route", "images")
    assert isinstance(error, ContractError) or "image_id" in error.message
    assert client.asked_rows() == []


def test_a_required_column_that_is_gone_is_named_with_its_spellings(renamed: Any) -> None:
    client = renamed("filter", "passband")
    error = client.fails("--route", "images", code=4)
    assert isinstance(error, ContractError)
    assert "has no column filter" in error.message
    assert "under `accept`" in error.remedy
    assert client.asked_rows() == []


def test_columns_that_are_reserved_words_or_no_plain_names_go_in_quotes() -> None:
    from skysy.loaders.archive.tap import quoted

    assert [quoted(name) for name in ("date", "Date", "ra", "e(B-V)", "2mass", "size")] == [
        '"date"', '"Date"', "ra", '"e(B-V)"', '"2mass"', '"size"',
    ]  # fmt: skip


def test_no_comment_is_ever_sent(user: Client) -> None:
    user.load()
    queries = [one.query for one in user.archive.requests if one.query]
    assert queries
    assert [query for query in queries if "--" in query or "/*" in query] == []


# uploads


@pytest.mark.parametrize("kind", ["refuse_upload", "upload_too_large"])
def test_uploads_that_are_refused_or_too_large_are_asked_in_another_way(
    user: Client, whole: dict[str, str], kind: str
) -> None:
    user.load("--route", "sample")
    user.configure(text="")
    times = 2 if kind == "upload_too_large" else ALWAYS
    user.archive.fault(kind, "tap.sync", times=times)
    user.load("--route", "distances")
    assert user.hashes("distances").items() <= whole.items()
    assert user.rows("SELECT count(*) AS n FROM meta.asked WHERE route = 'distances'") == [{"n": 8}]


def test_a_limit_on_uploads_is_kept_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyArchive(little_tables(), upload_rows=3) as archive:
        for client in a_user(archive, tmp_path, monkeypatch):
            client.load("--route", "sample", "--route", "distances")
            assert {one.status for one in archive.requests} <= {200, 303}
            chunks = client.rows("SELECT part->>'ids' AS n FROM meta.chunk WHERE route = 'distances' ORDER BY chunk_id")
            assert [row["n"] for row in chunks] == ["3", "3", "2"]


@pytest.mark.parametrize("times", [1, ALWAYS])
def test_an_upload_that_is_read_as_empty_does_not_pass_for_no_match(
    user: Client, whole: dict[str, str], times: int | None
) -> None:
    user.load("--route", "sample")
    user.archive.fault("empty_upload", "tap.sync", times=times, matching=".")
    if times is None:
        error = user.fails("--route", "distances")
        assert "of an uploaded table of 8 rows it reads 0" in error.message
        assert "uploads = false" in error.remedy
        user.archive.heal()
    user.load("--route", "distances")
    assert user.hashes("distances").items() <= whole.items()


@pytest.mark.parametrize(("service", "on"), [("simbad", r"simbad\.sync"), ("cds_xmatch", "xmatch")])
def test_simbad_that_reads_an_upload_as_empty_does_not_pass_for_having_nothing(
    user: Client, whole: dict[str, str], service: str, on: str
) -> None:
    user.load(*BEFORE)
    fault = user.archive.fault(
        "drop_row" if on == "xmatch" else "empty_upload", on, times=ALWAYS, matching="." if on != "xmatch" else None
    )
    if on == "xmatch":
        user.archive.fault("drop_row", on, times=ALWAYS)
    error = user.fails("--route", "simbad", "--service", f"simbad={service}")
    assert fault.fired
    assert "R Aqr" in error.message or "it reads 0" in error.message
    assert user.rows("SELECT count(*) AS n FROM simbad.matches") == [{"n": 0}]
    user.archive.heal()
    user.load("--route", "simbad", "--service", f"simbad={service}")
    assert user.rows("SELECT count(*) AS n FROM simbad.matches WHERE main_id IS NOT NULL") == [{"n": 1}]
    assert user.rows("SELECT count(*) AS n FROM simbad.matches") == [{"n": IN_SAMPLE}]


def test_simbad_by_tap_is_simbad_by_x_match(user: Client) -> None:
    user.load(*BEFORE)
    user.load("--route", "simbad")
    told = "SELECT object_id, main_id, main_type, round(ang_dist, 6) AS d FROM simbad.matches ORDER BY 1"
    by_xmatch = user.rows(told)
    assert user.rows("SELECT count(*) AS n FROM simbad.matches") == [{"n": IN_SAMPLE}]
    other = Client(user.directory / "other", user.archive)
    other.directory.mkdir()
    other.configure()
    other.load(*BEFORE, "--route", "simbad", "--service", "simbad=simbad")
    assert other.rows(told) == by_xmatch


def test_a_neighbour_that_two_objects_share_comes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = together(
        red_giant(1000, raj2000=10.0), red_giant(2000, raj2000=200.0, gaia_dr2_id1=1003, no=("ext.gaia_dr2",))
    )
    with FaultyArchive(tables) as archive:
        for client in a_user(archive, tmp_path, monkeypatch):
            client.configure(max_rows=1)
            client.load("--route", "sample")
            assert client.rows("SELECT source_id FROM ext.gaia_dr2") == [{"source_id": 1003}]
            assert client.rows("SELECT count(*) AS n FROM dr2.master") == [{"n": 2}]
