"""Readers of other people find in every exported file what the warehouse holds: values, NULLs, types, units, UCDs, descriptions."""

from __future__ import annotations

from pathlib import Path

import exports
import pytest
from exports import Tally

from skysy.export import export
from skysy.store import Warehouse

pytest_plugins = ("export_fixtures",)

TEXTS = [("candidates", name) for name in ("known_name", "known_type", "main_id", "main_type")]
TEXTS += [("edges", "word"), ("simbad_status", "main_id"), ("simbad_status", "main_type")]
"""Columns of text that hold NULLs in this sky."""
Tallies = dict[tuple[str, str], Tally]


@pytest.fixture(scope="module")
def tallies(small_house: Warehouse, exported: Path) -> Tallies:
    """What each reader found of all tables."""
    return {
        (form, name): exports.compared(small_house, exported, form, read)
        for (form, name), read in exports.READERS.items()
    }


def test_parquet_hats_and_csv_with_its_json_lose_nothing(tallies: Tallies) -> None:
    whole = [tally for (form, name), tally in tallies.items() if form in ("parquet", "hats") or "JSON" in name]
    assert len(whole) == 4
    for tally in whole:
        assert tally.columns > 60
        assert min(tally.units, tally.ucds, tally.nulls) > 10
        assert not any(tally.lost.values()), tally.lost


def test_votable_loses_in_astropy_what_is_written_on_the_page_and_nothing_else(tallies: Tallies) -> None:
    lost = tallies["votable", "astropy.io.votable"].lost
    dates = ["edges.day", "followup.first_observed_on", "followup.last_observed_on"]
    assert lost["dtype"] == dates
    assert {"candidates.known_name", "edges.word", "edges.day"} <= set(lost["nulls"])
    texts = {f"{table}.{name}" for table, name in TEXTS}
    assert set(lost["nulls"]) <= texts | set(dates)
    assert [aspect for aspect in exports.ASPECTS if lost[aspect]] == ["dtype", "nulls"]


def test_fits_loses_what_is_written_on_the_page_and_nothing_else(tallies: Tallies) -> None:
    lost = tallies["fits", "astropy.table, with its `meta`"].lost
    with_nulls, dates = (
        {"edges.flag", "mast_missions.has_cloud_copy"},
        {"edges.day", "followup.first_observed_on", "followup.last_observed_on"},
    )
    assert set(lost["description"]) == with_nulls
    assert set(lost["dtype"]) == with_nulls | dates
    assert lost["nulls"] == ["edges.word"]
    assert [aspect for aspect in exports.ASPECTS if lost[aspect]] == ["description", "dtype", "nulls"]


def test_csv_alone_has_no_units_and_guesses_types(tallies: Tallies) -> None:
    tally = tallies["csv", "astropy.table, alone"]
    assert len(tally.lost["unit"]) == tally.units
    assert len(tally.lost["ucd"]) == tally.ucds
    assert "edges.flag" in tally.lost["dtype"]


def test_what_a_format_cannot_hold_is_said_when_it_is_written(small_house: Warehouse, tmp_path: Path) -> None:
    [done] = export(small_house, tmp_path, ["edges"], form="fits")
    assert [words.split(" ", 1)[0] for words in done.notes] == ["flag", "word:", "day:"]
    [done] = export(small_house, tmp_path, ["edges"], form="votable")
    assert done.notes == ()


def test_the_table_on_the_page_is_what_was_found(tallies: Tallies) -> None:
    exports.check_page("tests/test_exports.py", tallies)
