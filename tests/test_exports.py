"""Readers of other people find in every exported file what the warehouse holds: values, NULLs, types, units, UCDs, descriptions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import exports
import pytest
from conftest import DR2, ENGINES, detection, exposures, fill, red_giant, together
from exports import Tally

from skysy.config import Settings
from skysy.export import FORMATS, described_columns, export, marts
from skysy.hats import export_hats
from skysy.models.build import run_build
from skysy.models.project import load_project
from skysy.store import Warehouse, create, open_warehouse

PAGE = Path(__file__).parent.parent / "docs" / "exports.md"
EDGES = """
CREATE TABLE edges AS SELECT * FROM (VALUES
    (9007199254740993::BIGINT, 1.5::DOUBLE, 0.1::FLOAT, true, 'a, "b"', 3::SMALLINT, DATE '2015-01-02', 10.0::DOUBLE, -30.0::DOUBLE),
    (-9007199254740993, 0.1, 1e-30, false, '', -7, DATE '1999-12-31', 359.99, 89.0),
    (1, 1e300, NULL, NULL, 'x', NULL, NULL, 0.0, -89.5),
    (NULL, NULL, 2.5, true, NULL, 32000, DATE '2026-11-27', 180.0, 0.0)
) AS t(id, mag, err, flag, word, n, day, ra, dec)
"""
COMMENTS = {
    "id": "a long id {meta.id;meta.main}", "mag": "magnitude, \"AB\" & more [mag] {phot.mag}", "err": "its error [mag] {stat.error}",
    "flag": "yes or no {meta.code}", "word": "a word", "n": "number [mas.yr**-1] {meta.number}", "day": "its day {time.epoch}",
    "ra": "right ascension [deg] {pos.eq.ra}", "dec": "declination [deg] {pos.eq.dec}",
}  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """A small sky built by the real SQL, and a table of values that are easily lost."""
    images = exposures(20150101120000, "uvgruvizuv", 57000.5)
    stars = [red_giant(number * 1000, raj2000=60.0 * number) for number in range(1, 6)]
    rows = [
        detection(number * 1000, image, 15.0 + place * number / 7, 0.0041)
        for number in range(1, 4) for place, image in enumerate(images)
    ]  # fmt: skip
    where = Settings(tmp_path_factory.mktemp("exports"), "1GB", 1)
    create(where)
    with open_warehouse(where, write=True) as house:
        fill(house, DR2, together(*stars, {"dr2.images": images, "dr2.photometry": rows}))
        run_build(house, load_project(DR2), engines=ENGINES)
        house.run(EDGES)
        for column, words in COMMENTS.items():
            house.run(f"COMMENT ON COLUMN edges.{column} IS '{words}'")
    with open_warehouse(where) as house:
        yield house


@pytest.fixture(scope="module")
def files(house: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything exported in every format, a directory each."""
    out = tmp_path_factory.mktemp("files")
    for form in ("parquet", "votable", "fits", "csv"):
        export(house, out / form, form=form)
    export_hats(house, out / "hats", rows_max=2)
    return out


def compared(house: Warehouse, files: Path, form: str, reader: exports.Reader, tables: Sequence[str] = ()) -> Tally:
    """What a reader found of these tables, of all where none is named."""
    tally = Tally()
    for table in tables or marts(house):
        path = files / form / f"{table}{FORMATS[form]}"
        if not path.exists():  # HATS is written for tables with a position
            continue
        columns = described_columns(house, table)
        names = [column.name for column in columns]
        rows = [dict(zip(names, row, strict=True)) for row in house.rows(f"FROM {table} ORDER BY ALL")]
        one = Tally()
        exports.compare(columns, rows, reader(path), one)
        for aspect, lost in one.lost.items():
            tally.lost[aspect] += [f"{table}.{name}" for name in lost]
        tally.columns += one.columns
        tally.units += one.units
        tally.ucds += one.ucds
        tally.nulls += one.nulls
    return tally


TEXTS = [("candidates", name) for name in ("known_name", "known_type", "main_id", "main_type")]
TEXTS += [("edges", "word"), ("simbad_status", "main_id"), ("simbad_status", "main_type")]
"""Columns of text that hold NULLs in this sky."""
Tallies = dict[tuple[str, str], Tally]


@pytest.fixture(scope="module")
def tallies(house: Warehouse, files: Path) -> Tallies:
    """What each reader found of all tables."""
    return {(form, name): compared(house, files, form, read) for (form, name), read in exports.READERS.items()}


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


def test_what_a_format_cannot_hold_is_said_when_it_is_written(house: Warehouse, tmp_path: Path) -> None:
    [done] = export(house, tmp_path, ["edges"], form="fits")
    assert [words.split(" ", 1)[0] for words in done.notes] == ["flag", "word:", "day:"]
    [done] = export(house, tmp_path, ["edges"], form="votable")
    assert done.notes == ()


def test_stilts_sees_the_same_units_ucds_and_descriptions(house: Warehouse, files: Path) -> None:
    if not exports.STILTS:
        pytest.skip("no `stilts` on PATH: Debian has it as a package")
    for (form, _), read in exports.STILTS.items():
        tally = compared(house, files, form, read, ["edges", "candidates"])
        assert tally.columns > 40
        assert tally.lost["unit"] == tally.lost["ucd"] == tally.lost["values"] == [], form
        assert set(tally.lost["description"]) <= {"edges.flag"}


def test_the_table_on_the_page_is_what_was_found(tallies: Tallies) -> None:
    text = PAGE.read_text(encoding="utf-8")
    block = re.compile(r"(?<=<!-- written by tests/test_exports.py -->\n).*?(?=\n<!-- end -->)", re.DOTALL)
    found = exports.lines(tallies)
    if os.environ.get("SKYSY_WRITE_DOCS"):
        PAGE.write_text(block.sub(lambda _: found, text), encoding="utf-8")
        return
    assert block.findall(text) == [found], "run SKYSY_WRITE_DOCS=1 .venv/bin/pytest tests/test_exports.py"
