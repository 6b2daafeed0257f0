"""A small sky with a table of values that are easily lost, and everything of it exported in every format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import DR2, ENGINES, detection, exposures, fill, red_giant, together

from skysy.config import Settings
from skysy.export import export
from skysy.hats import export_hats
from skysy.models.build import run_build
from skysy.models.project import load_project
from skysy.store import Warehouse, create, open_warehouse

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


@pytest.fixture(scope="session")
def small_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
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


@pytest.fixture(scope="session")
def exported(small_house: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything exported in every format, a directory each."""
    out = tmp_path_factory.mktemp("files")
    for form in ("parquet", "votable", "fits", "csv"):
        export(small_house, out / form, form=form)
    export_hats(small_house, out / "hats", rows_max=2)
    return out
