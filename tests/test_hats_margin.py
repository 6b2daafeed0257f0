"""Margins hold, for every cell, the rows as near to it as the threshold and no others: at poles, at RA 0, beside empty sky."""

from __future__ import annotations

from pathlib import Path

import hpgeom
import models_toy as toy
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import angular_separation, offset_by
from peers import ask_lsdb
from test_hats import everything, parts
from typer.testing import CliRunner

from skysy.cli.commands import app
from skysy.config import Settings
from skysy.errors import UsageError
from skysy.formats.hats import read_properties
from skysy.hats import export_hats
from skysy.store import open_warehouse

ARCSEC = 1800.0
Reals = npt.NDArray[np.float64]


def places() -> tuple[Reals, Reals]:
    """Where cells meet in odd ways: both poles, RA 0, corners of base cells; and anywhere."""
    random = np.random.default_rng(7)
    near = random.uniform(-2, 2, (2, 150))
    dec = [90 - 3 * random.uniform(0, 1, 80), -90 + 3 * random.uniform(0, 1, 80), near[1, :80], [90.0, -90.0, 0.0, 0.0]]
    ra = [random.uniform(0, 360, 160), near[0, :80] % 360, [0.0, 359.0, 0.0, 359.9999]]
    corner = np.degrees(np.arcsin(2 / 3))
    ra += [near[0, 80:] + 90, random.uniform(0, 180, 100)]
    dec += [near[1, 80:] + corner, random.uniform(-60, 60, 100)]
    return np.concatenate(ra), np.concatenate(dec)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    found = toy.toy_settings(tmp_path_factory.mktemp("margin") / "w", threads=2)
    ra, dec = places()
    with open_warehouse(found, write=True, make=True) as house:
        house.con.register("given", pa.table({"object_id": np.arange(len(ra)), "raj2000": ra, "dej2000": dec}))
        house.run("CREATE TABLE stars AS SELECT * FROM given")
        house.con.unregister("given")
        house.run("CREATE TABLE measurements (object_id BIGINT, image_id BIGINT, date DOUBLE, mag_psf DOUBLE)")
        house.run("INSERT INTO measurements SELECT i % 300, i, 58000 + hash(i) % 50, i / 7 FROM range(900) AS r(i)")
    return found


@pytest.fixture(scope="module")
def catalogues(place: Settings) -> tuple[Path, Path]:
    """The stars in files of at most 20, and their margin."""
    with open_warehouse(place) as house:
        out = place.warehouse / "out"
        main, margin = export_hats(house, out, ["stars"], rows_max=20, light_curves=True, margin_arcsec=ARCSEC)
    return main.path, margin.path


def ids(catalogue: Path) -> dict[tuple[int, int], set[int]]:
    """The objects in each cell; none is there twice."""
    found = {}
    for cell, path in parts(catalogue).items():
        listed = pq.ParquetFile(path).read(["object_id"]).column(0).to_pylist()
        assert len(listed) == len(set(listed))
        found[cell] = set(listed)
    return found


def holder(cells: dict[tuple[int, int], set[int]], ra: float, dec: float) -> tuple[int, int] | None:
    """The one of these cells that a place is in."""
    for order in range(11):
        cell = order, int(hpgeom.angle_to_pixel(2**order, ra % 360, dec, nest=True))
        if cell in cells:
            return cell
    return None


def test_a_partner_within_the_threshold_in_any_direction_finds_the_row_in_its_own_cell(
    catalogues: tuple[Path, Path],
) -> None:
    main, margin = map(ids, catalogues)
    ra, dec = places()
    across = 0
    for angle in np.arange(0, 360, 15.0):
        lon, lat = offset_by(*np.radians([ra, dec]), np.radians(angle), np.radians(ARCSEC * 0.999999 / 3600))
        for star, (there, up) in enumerate(zip(lon.to_value("deg"), lat.to_value("deg"), strict=True)):
            own = holder(main, ra[star], dec[star])
            assert own is not None
            assert star in main[own]
            found = holder(main, there, up) or holder(margin, there, up)
            assert found is not None, (star, angle)
            if found != own:
                assert star in margin[found], (star, angle)
                across += 1
    assert across > 1000


def test_every_row_of_a_margin_is_near_its_cell_and_not_in_it_and_none_is_missing(
    catalogues: tuple[Path, Path],
) -> None:
    main, margin = map(ids, catalogues)
    ra, dec = places()
    pairs = 0
    for order, pixel in {*main, *margin}:
        lon, lat = hpgeom.boundaries(2**order, pixel, step=256, nest=True)
        away = angular_separation(*np.radians([ra, dec])[:, :, None], *np.radians([lon, lat])[:, None]).min(axis=1)
        step = angular_separation(*np.radians([lon[:-1], lat[:-1], lon[1:], lat[1:]])).max()
        outside = hpgeom.angle_to_pixel(2**order, ra, dec, nest=True) != pixel
        threshold = np.radians(ARCSEC / 3600)
        surely = set(np.flatnonzero(outside & (away <= threshold)).tolist())
        perhaps = set(np.flatnonzero(outside & (away <= np.hypot(threshold, step))).tolist())
        found = margin.get((order, pixel), set())
        assert surely <= found <= perhaps, (order, pixel)
        pairs += len(surely)
    assert pairs > 300
    assert set(margin) - set(main), "cells without rows of their own have a margin too"


def test_a_margin_has_the_rows_and_columns_of_its_catalogue_and_says_whose_it_is(
    catalogues: tuple[Path, Path],
) -> None:
    main, margin = catalogues
    rows = {row["object_id"]: row for path in parts(main).values() for row in pq.ParquetFile(path).read().to_pylist()}
    told = read_properties(margin)
    assert told is not None
    assert (told["dataproduct_type"], told["hats_primary_table_url"]) == ("margin", "stars")
    assert (told["hats_margin_threshold"], told["obs_collection"]) == ("1800.0", "stars_margin")
    count = 0
    for path in parts(margin).values():
        table = pq.ParquetFile(path).read()
        assert (np.diff(table.column("_healpix_29").to_numpy()) >= 0).all()
        for row in table.to_pylist():
            assert row == rows[row["object_id"]]
        count += table.num_rows
    assert told["hats_nrows"] == str(count) == str(pq.read_metadata(margin / "dataset" / "_metadata").num_rows)
    schemas = [pq.read_schema(path / "dataset" / "_common_metadata") for path in catalogues]
    assert schemas[0].equals(schemas[1])
    listed = (margin / "partition_info.csv").read_text().splitlines()[1:]
    assert listed == [f"{order},{pixel}" for order, pixel in sorted(parts(margin))]


def test_batches_change_no_row_of_a_margin(
    place: Settings, catalogues: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skysy.hats._BATCH", 50)
    monkeypatch.setattr("skysy.formats.margin._AT_ONCE", 7)
    with open_warehouse(place) as house:
        export_hats(house, tmp_path, ["stars"], rows_max=20, light_curves=True, margin_arcsec=ARCSEC)
    assert ids(tmp_path / "stars_margin") == ids(catalogues[1])


def test_a_margin_of_other_rows_never_stays_beside_a_catalogue(
    place: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_warehouse(place) as house:
        export_hats(house, tmp_path, ["stars"], margin_arcsec=5)
        before = everything(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr("skysy.formats.margin.near_cells", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                export_hats(house, tmp_path, ["stars"], rows_max=20, margin_arcsec=9)
        assert everything(tmp_path) == before
        [done] = export_hats(house, tmp_path, ["stars"])
        assert [path.name for path in tmp_path.iterdir()] == ["stars"]
        assert "stars_margin" in done.notes[-1]
        (tmp_path / "stars_margin").mkdir()
        with pytest.raises(UsageError, match="no margin of stars"):
            export_hats(house, tmp_path, ["stars"], margin_arcsec=5)
        assert export_hats(house, tmp_path, ["stars"])[0].notes == ("11 files",)
        assert (tmp_path / "stars_margin").exists()


def test_a_margin_without_rows_is_a_catalogue(place: Settings, tmp_path: Path) -> None:
    with open_warehouse(place, write=True) as house:
        house.run("CREATE OR REPLACE TABLE one AS SELECT * FROM stars WHERE object_id = 300")
        main, margin = export_hats(house, tmp_path, ["one"], margin_arcsec=1)
        house.run("DROP TABLE one")
    assert (main.rows, margin.rows) == (1, 0)
    assert (margin.path / "partition_info.csv").read_text() == "Norder,Npix\n"
    assert pq.read_metadata(margin.path / "dataset" / "_metadata").num_rows == 0


@pytest.mark.parametrize("arcsec", ["0", "-1", "nan", "3601"])
def test_a_margin_that_cannot_be_is_refused(place: Settings, tmp_path: Path, arcsec: str) -> None:
    with open_warehouse(place) as house, pytest.raises(UsageError, match="margin"):
        export_hats(house, tmp_path, ["stars"], margin_arcsec=float(arcsec))
    there = ["--warehouse", str(place.warehouse)]
    failed = CliRunner().invoke(app, ["export", str(tmp_path), "--margin", arcsec, *there]).exception
    assert isinstance(failed, UsageError)
    assert "--format hats" in failed.message


MATCH = """
import sys, warnings
import lsdb
if __name__ == "__main__":
    main, margin, arcsec = sys.argv[1:]
    left, right = lsdb.open_catalog(main), lsdb.open_catalog(main, margin_cache=margin)
    words = {"radius_arcsec": float(arcsec), "n_neighbors": 100, "suffixes": ("_a", "_b"), "suffix_method": "all_columns"}
    alone = lsdb.crossmatch(left, left, **words).compute()
    warnings.filterwarnings("error", message=".*margin.*")
    pairs = lsdb.crossmatch(left, right, **words).compute()
    print(len(alone), sorted(zip(pairs["object_id_a"].tolist(), pairs["object_id_b"].tolist())))
"""


@pytest.mark.slow
def test_lsdb_finds_every_pair_across_the_borders_of_cells_with_the_margin(catalogues: tuple[Path, Path]) -> None:
    main, margin = catalogues
    found = ask_lsdb(MATCH, main, margin, ARCSEC - 1)
    ra, dec = np.radians(places())
    apart = angular_separation(ra[:, None], dec[:, None], ra, dec)
    wanted = [(int(a), int(b)) for a, b in np.argwhere(apart <= np.radians((ARCSEC - 1) / 3600))]
    alone, _, pairs = found.partition(" ")
    assert pairs == str(wanted)
    assert (int(alone), len(wanted)) == (1242, 1590)  # as docs/exports.md has it
    home = {star: cell for cell, stars in ids(main).items() for star in stars}
    assert sum(home[a] != home[b] for a, b in wanted) > 100
