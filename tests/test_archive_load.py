"""From a healthy archive: the same candidates as from files, nothing asked twice, and the same again without a connection."""

from __future__ import annotations

import shutil

import pytest
from archive_client import BINARY2, Client, client, raw_hashes, results, served, sky
from conftest import Sky

__all__ = ["client", "served", "sky"]

RAW = (
    "dr2.master", "ext.twomass_psc", "ext.allwise", "ext.gaia_dr2", "dr2.images",
    "gaiadr2_complements.geometric_distance", "dr2.photometry", "simbad.matches",
)  # fmt: skip


@pytest.mark.parametrize(("uploads", "form"), [(True, BINARY2), pytest.param(False, "votable", marks=pytest.mark.slow)])
def test_every_route_brings_what_gives_the_same_results_as_the_files(
    client: Client, sky: Sky, uploads: bool, form: str
) -> None:
    client.configure(uploads=uploads, format=form)
    client.load()
    client.build()
    assert results(client.settings) == results(sky.settings)


@pytest.mark.slow
def test_what_is_in_is_not_asked_for_again(client: Client) -> None:
    client.load()
    assert [query for query in client.archive.repeated() if "TAP_SCHEMA" not in query] == []
    before = raw_hashes(client.settings, RAW)
    client.archive.forget()
    told = client.load().stdout
    assert told.count("nothing new at") == 5
    assert [one.query for one in client.archive.requests if "FROM dr2." in one.query and "MIN(" not in one.query] == []
    assert raw_hashes(client.settings, RAW) == before


@pytest.mark.slow
def test_a_warehouse_is_rebuilt_from_its_raw_answers_without_a_connection(client: Client) -> None:
    client.load()
    before = raw_hashes(client.settings, RAW)
    asked = client.rows("SELECT route, key, found FROM meta.asked ORDER BY ALL")
    client.settings.database.unlink()
    client.archive.forget()
    client.load("--offline")
    assert client.archive.requests == []
    assert raw_hashes(client.settings, RAW) == before
    assert client.rows("SELECT route, key, found FROM meta.asked ORDER BY ALL") == asked
    client.load("--offline")
    assert raw_hashes(client.settings, RAW) == before


@pytest.mark.slow
def test_a_raw_answer_that_changed_is_not_loaded(client: Client) -> None:
    client.load("--route", "images")
    client.settings.database.unlink()
    [answer] = (client.settings.warehouse / "raw").glob("*.vot")
    answer.write_bytes(answer.read_bytes()[:-10])
    refused = client.run("load", "--offline")
    assert refused.exit_code != 0
    assert "missing or changed" in str(refused.exception)
    shutil.rmtree(client.settings.warehouse / "raw")


@pytest.mark.slow
def test_an_object_that_was_asked_about_and_has_nothing_is_told_from_one_never_asked(client: Client) -> None:
    client.load()
    counts = {row["found"]: row["n"] for row in client.rows(COUNTS)}
    assert counts[0] > 0
    assert None not in counts
    client.build()
    states = {row["state"] for row in client.rows("SELECT DISTINCT state FROM simbad_status")}
    assert states == {"matched", "none"}
    known = client.rows("SELECT * FROM stg_known__objects")
    assert known
    assert {row["source"] for row in known} == {"SIMBAD"}


COUNTS = "SELECT found, count(*) AS n FROM meta.asked WHERE route = 'distances' GROUP BY found"
