"""Readers of other people find in every exported file what the warehouse holds: values, NULLs, types, units, UCDs, descriptions."""

from __future__ import annotations

from pathlib import Path

import astropy.io.fits
import exports
import pytest
from exports import Tally

from skysy.config import Settings
from skysy.errors import UsageError
from skysy.export import described_columns, export
from skysy.formats import fits
from skysy.formats.fits import booleans_as_numbers
from skysy.formats.write import write_table
from skysy.store import Warehouse, open_nowhere

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


EVERY = """
CREATE TABLE every (taken SMALLINT, small UTINYINT, id BIGINT, flag BOOLEAN, word VARCHAR, never VARCHAR, day DATE, no_day DATE,
    moment TIMESTAMP, single FLOAT, real DOUBLE, tri BOOLEAN, price DECIMAL(6, 2));
INSERT INTO every VALUES
    (-32768, 255, 7, true, 'long text', NULL, '2015-01-02', NULL, '2015-01-02 03:04:05.678', 1.5, 0.1, NULL, 2.50),
    (-32767, 254, -9223372036854775808, false, '', NULL, '1999-12-31', NULL, NULL, NULL, 'nan', true, NULL),
    (NULL, NULL, NULL, true, NULL, NULL, NULL, NULL, '1999-12-31 00:00:00', 2.5, NULL, false, -1.25),
    (3, 0, 9007199254740993, true, 'x', NULL, '2026-11-27', NULL, NULL, 'inf', 1e300, NULL, 0.01);
"""


def test_fits_in_pieces_is_byte_for_byte_that_of_the_whole_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, columns = tmp_path / "whole.fits", []
    with open_nowhere(Settings(tmp_path, "200MB", 1)) as house:
        house.run(EVERY)
        for one in described_columns(house, "every"):
            columns += booleans_as_numbers([one]) if one.name == "tri" else [one]
        rows = house.con.sql("FROM every ORDER BY ALL").to_arrow_table()
        write_table(whole, "fits", rows, columns, name="every")
        monkeypatch.setattr(fits, "_PIECE", 3)
        monkeypatch.setattr("skysy.export._BATCH", 2)
        export(house, tmp_path, ["every"], form="fits")
    assert (tmp_path / "every.fits").read_bytes() == whole.read_bytes()
    with astropy.io.fits.open(whole) as read:
        read.verify("exception")
        assert read[1].header["NAXIS2"] == 4
        heads = {one.name: (one.format, one.null) for one in read[1].columns}
        assert heads["taken"] == ("I", -32766)
        assert heads["small"] == ("B", 253)
        assert heads["id"][1] not in (None, 7, -(2**63), 9007199254740993)
        assert (heads["word"][0], heads["never"][0], heads["day"][0], heads["no_day"][0]) == ("9A", "1A", "10A", "1A")
        assert list(read[1].data["moment"]) == [
            row.isoformat(timespec="microseconds") if row else "" for row in rows.column("moment").to_pylist()
        ]


def test_fits_refuses_text_that_it_cannot_hold_before_it_writes(tmp_path: Path) -> None:
    with open_nowhere(Settings(tmp_path, "200MB", 1)) as house:
        house.run("CREATE TABLE stars AS SELECT 'α Ori' AS name")
        with pytest.raises(UsageError, match="name holds text beyond ASCII"):
            export(house, tmp_path, ["stars"], form="fits")
    assert not list(tmp_path.glob("stars*"))


def test_the_table_on_the_page_is_what_was_found(tallies: Tallies) -> None:
    exports.check_page("tests/test_exports.py", tallies)
