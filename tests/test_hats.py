"""HATS catalogues hold every row once, in the cell of its place; LSDB opens them, and `skysy match` reads them back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import hpgeom
import models_toy as toy
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import Sky
from peers import ask_lsdb
from typer.testing import CliRunner

from skysy.cli.commands import app
from skysy.config import Settings
from skysy.errors import FileDamaged, NotFound, UsageError
from skysy.formats.hats import ORDER_MAX, Cell, cells_of, read_properties
from skysy.formats.whole import whole_directory
from skysy.hats import export_hats
from skysy.match import plan_match, run_match
from skysy.sides import Given, find_side
from skysy.store import open_nowhere, open_warehouse

STARS = """
CREATE TABLE stars AS SELECT
    i AS object_id,
    CASE WHEN i % 100 = 7 THEN NULL WHEN i < 300 THEN 10 + i / 1000.0 ELSE (hash(i) % 3600000) / 1e4 END AS raj2000,
    CASE WHEN i = 50 THEN 90.0 WHEN i = 51 THEN -90.0 WHEN i < 300 THEN i / 1000.0
        ELSE degrees(asin((hash(i + 7) % 2000001) / 1e6 - 1)) END AS dej2000,
    i % 3 AS n
FROM range(1000) AS r(i);
COMMENT ON TABLE stars IS 'some stars';
COMMENT ON COLUMN stars.raj2000 IS 'right ascension [deg] {pos.eq.ra;meta.main}';
COMMENT ON COLUMN stars.dej2000 IS 'declination [deg] {pos.eq.dec;meta.main}';
CREATE TABLE measurements (object_id BIGINT, image_id BIGINT, date DOUBLE, mag_psf DOUBLE, filter VARCHAR);
INSERT INTO measurements SELECT i % 200, i, 58000 + hash(i) % 50, CASE WHEN i % 9 > 0 THEN i / 100.0 END, 'u' FROM range(2000) AS r(i);
COMMENT ON COLUMN measurements.mag_psf IS 'magnitude [mag] {phot.mag}';
"""
WITHOUT = 10
"""Stars without a position."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    found = toy.toy_settings(tmp_path_factory.mktemp("hats") / "w", threads=2)
    with open_warehouse(found, write=True, make=True) as house:
        house.run(STARS)
    return found


@pytest.fixture(scope="module")
def catalogue(place: Settings) -> Path:
    """The stars in files of at most 100, light curves inside."""
    with open_warehouse(place) as house:
        [done] = export_hats(house, place.warehouse / "out", ["stars"], rows_max=100, light_curves=True)
    return done.path


def parts(catalogue: Path) -> dict[tuple[int, int], Path]:
    """The files by order and pixel."""
    found = {}
    for path in catalogue.rglob("Npix=*.parquet"):
        order, pixel = int(path.parts[-3].partition("=")[2]), int(path.stem.partition("=")[2])
        assert path.parts[-2] == f"Dir={pixel // 10000 * 10000}"
        found[order, pixel] = path
    return found


def everything(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_every_row_with_a_place_is_once_in_the_file_of_its_cell_and_sorted(place: Settings, catalogue: Path) -> None:
    ids = []
    for (order, pixel), path in parts(catalogue).items():
        table = pq.ParquetFile(path).read()
        numbers = table.column("_healpix_29").to_numpy()
        assert (numbers >> 2 * (29 - order) == pixel).all()
        assert (np.diff(numbers) >= 0).all()
        assert table.num_rows <= 100
        ra, dec = (table.column(name).to_numpy() for name in ("raj2000", "dej2000"))
        assert (hpgeom.angle_to_pixel(2**29, ra, dec, nest=True) == numbers).all()
        ids += table.column("object_id").to_pylist()
    with open_warehouse(place) as house:
        wanted = house.rows("SELECT object_id FROM stars WHERE raj2000 IS NOT NULL ORDER BY ALL")
    assert [(number,) for number in sorted(ids)] == wanted
    assert len(wanted) == 1000 - WITHOUT


def test_cells_are_the_largest_that_do_not_overflow(catalogue: Path) -> None:
    cells = sorted(parts(catalogue))
    rows = {cell: pq.read_metadata(path).num_rows for cell, path in parts(catalogue).items()}
    assert len({order for order, _ in cells}) > 2
    assert (catalogue / "partition_info.csv").read_text().splitlines() == [
        "Norder,Npix",
        *(f"{a},{b}" for a, b in cells),
    ]
    for order, pixel in cells:
        if order:
            brothers = sum(n for (o, p), n in rows.items() if o >= order and p >> 2 * (o - order + 1) == pixel >> 2)
            assert brothers > 100


def test_a_cell_of_the_last_order_holds_what_it_must() -> None:
    numbers, counts = np.array([5, 6, 4**ORDER_MAX * 11]), np.array([30, 2, 3])
    assert cells_of(numbers, counts, 10) == [
        Cell(5 << 2 * (29 - ORDER_MAX), ORDER_MAX),
        Cell(6 << 2 * (29 - ORDER_MAX), ORDER_MAX),
        Cell(11 << 58, 0),
    ]


def test_properties_and_metadata_tell_of_the_whole(catalogue: Path) -> None:
    told = read_properties(catalogue)
    assert told is not None
    assert (told["hats_nrows"], told["hats_col_ra"], told["hats_col_dec"]) == ("990", "raj2000", "dej2000")
    assert (told["obs_collection"], told["obs_title"], told["dataproduct_type"]) == ("stars", "some stars", "object")
    assert (catalogue / "properties").read_bytes() == (catalogue / "hats.properties").read_bytes()
    footer = pq.read_metadata(catalogue / "dataset" / "_metadata")
    assert footer.num_rows == 990
    named = {footer.row_group(n).column(0).file_path for n in range(footer.num_row_groups)}
    assert named == {str(path.relative_to(catalogue / "dataset")) for path in parts(catalogue).values()}
    schema = pq.read_schema(catalogue / "dataset" / "_common_metadata")
    assert schema.field("raj2000").metadata[b"unit"] == b"deg"
    curve = schema.field("measurements").type
    assert curve.field("mag_psf").metadata == {b"unit": b"mag", b"ucd": b"phot.mag", b"description": b"magnitude"}


def test_light_curves_are_the_measurements_of_each_object_in_order_of_time(place: Settings, catalogue: Path) -> None:
    found = {}
    for path in parts(catalogue).values():
        table = pq.ParquetFile(path).read()
        found |= dict(zip(table.column("object_id").to_pylist(), table.column("measurements").to_pylist(), strict=True))
    with open_warehouse(place) as house:
        rows = house.rows(
            "SELECT object_id, image_id, date, mag_psf, filter FROM measurements ORDER BY object_id, date, image_id"
        )
    for object_id, curve in found.items():
        mine = [row[1:] for row in rows if row[0] == object_id]
        names = ("image_id", "date", "mag_psf", "filter")
        assert curve == (dict(zip(names, map(list, zip(*mine, strict=True)), strict=True)) if mine else None)
    assert sum(curve is None for curve in found.values()) == 792


def test_threads_and_batches_change_no_row(
    place: Settings, catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skysy.hats._BATCH", 77)
    with open_warehouse(Settings(place.warehouse, "200MB", 1)) as house:
        [done] = export_hats(house, tmp_path, ["stars"], rows_max=100, light_curves=True)
    assert done.notes == (f"{len(parts(catalogue))} files", f"{WITHOUT} rows without a position are left out")
    again = {}
    for name, path in parts(tmp_path / "stars").items():
        again[name] = pq.ParquetFile(path).read()
    assert again == {name: pq.ParquetFile(path).read() for name, path in parts(catalogue).items()}


def test_a_catalogue_that_fails_leaves_the_one_before_and_other_directories_are_not_touched(
    place: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stars").mkdir()
    (tmp_path / "stars" / "mine.txt").touch()
    with open_warehouse(place) as house:
        with pytest.raises(UsageError, match="no HATS catalogue"):
            export_hats(house, tmp_path, ["stars"])
        assert [path.name for path in (tmp_path / "stars").iterdir()] == ["mine.txt"]
        export_hats(house, tmp_path / "out", ["stars"])
        before = everything(tmp_path / "out")
        with monkeypatch.context() as patch:
            patch.setattr("skysy.formats.hats._write_properties", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                export_hats(house, tmp_path / "out", ["stars"], rows_max=300)
        assert everything(tmp_path / "out") == before
        export_hats(house, tmp_path / "out", ["stars"], rows_max=300)
    assert len(everything(tmp_path / "out")) > len(before)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["stars"]


def test_a_directory_whose_exchange_was_killed_is_put_back(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom skysy.formats.whole import whole_directory\n"
        "rename = Path.rename\n"
        "Path.rename = lambda self, to: rename(self, to) if to.name.endswith('.old') else os.kill(os.getpid(), 9)\n"
        "with whole_directory(Path(sys.argv[1])) as fresh:\n    (fresh / 'new').touch()\n"
    )
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "old").touch()
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "c"], check=False).returncode == -9
    assert not (tmp_path / "c").exists()
    with pytest.raises(ZeroDivisionError), whole_directory(tmp_path / "c"):
        raise ZeroDivisionError
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["c", "c/old"]


def test_a_table_without_positions_is_refused_in_words(place: Settings, tmp_path: Path) -> None:
    with open_warehouse(place) as house:
        with pytest.raises(UsageError, match="measurements has no position"):
            export_hats(house, tmp_path, ["measurements"])
        assert [done.table for done in export_hats(house, tmp_path)] == ["stars"]


def test_options_of_hats_go_with_hats_only_and_unknown_formats_are_told(simulated: Sky, tmp_path: Path) -> None:
    there = ["--warehouse", str(simulated.settings.warehouse)]
    for words in (["--light-curves"], ["--hats-threshold", "5"], ["--format", "hat"]):
        failed = CliRunner().invoke(app, ["export", str(tmp_path), *words, *there]).exception
        assert isinstance(failed, UsageError)
    assert "hats" in failed.remedy
    done = CliRunner().invoke(app, ["export", str(tmp_path), "--format", "hats", "--table", "sample", *there])
    assert done.exit_code == 0, done.output
    assert read_properties(tmp_path / "sample") is not None


def test_match_reads_a_catalogue_as_one_table_with_its_units(place: Settings, catalogue: Path, tmp_path: Path) -> None:
    with open_warehouse(place) as house:
        side = find_side(house, Given(str(catalogue)))
        assert (side.key.name, side.ra, side.dec) == ("object_id", "raj2000", "dej2000")
        assert "_healpix_29" not in side.relation
        assert house.value(f"SELECT count(*) FROM {side.relation}") == 990
        planned = plan_match(house, Given(str(catalogue)), Given("stars"), 0.01)
        matched = run_match(house, planned, str(tmp_path / "pairs.parquet"))
    assert (matched.left.placed, matched.left_keys_matched, matched.median_sep_arcsec) == (990, 990, 0.0)
    same = duckdb.sql(
        f"SELECT count(*) FROM '{tmp_path}/pairs.parquet' WHERE object_id_left = object_id_right"
    ).fetchall()
    assert same == [(990,)]


def test_a_directory_that_is_no_catalogue_or_a_broken_one_is_told(catalogue: Path, tmp_path: Path) -> None:
    import shutil

    with open_nowhere(Settings(tmp_path, "200MB", 1)) as house:
        with pytest.raises(NotFound) as caught:
            find_side(house, Given(str(catalogue.parent)))
        assert str(catalogue) in caught.value.remedy
        broken = Path(shutil.copytree(catalogue, tmp_path / "broken [1]"))
        assert find_side(house, Given(str(broken))).key.name == "object_id"
        told = (broken / "hats.properties").read_text()
        (broken / "hats.properties").write_text(told.replace("hats_col_ra=raj2000", "hats_col_ra=object_id"))
        assert find_side(house, Given(str(broken))).ra == "object_id"
        for path in parts(broken).values():
            path.unlink()
        with pytest.raises(FileDamaged, match="HATS"):
            find_side(house, Given(str(broken)))


LSDB = """
import sys, lsdb
from hats.io.validation import is_valid_catalog
if __name__ == "__main__":
    assert is_valid_catalog(sys.argv[1], strict=True)
    found = lsdb.open_catalog(sys.argv[1])
    assert len(found) == 990
    near = found.cone_search(10.1, 0.1, 300).compute()
    print(sorted(near["object_id"]), near["measurements.mag_psf"].count(), found.original_schema.field("raj2000").metadata[b"unit"])
"""


@pytest.mark.slow
def test_lsdb_opens_it_finds_it_valid_and_searches_it(place: Settings, catalogue: Path) -> None:
    asked = ask_lsdb(LSDB, catalogue)
    with open_warehouse(place) as house:
        cone = (
            "SELECT object_id FROM stars WHERE raj2000 IS NOT NULL AND degrees(acos(least(1, sin(radians(dej2000)) * sin(radians(0.1)) "
            "+ cos(radians(dej2000)) * cos(radians(0.1)) * cos(radians(raj2000 - 10.1))))) <= 300 / 3600.0"
        )
        near = [row[0] for row in house.rows(f"{cone} ORDER BY ALL")]
        count = house.value(f"SELECT count(mag_psf) FROM measurements WHERE object_id IN ({cone})")
    assert len(near) > 50
    assert asked == f"{near} {count} b'deg'"
