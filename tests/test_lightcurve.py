"""`skysy lightcurve`: each layout is read for what it says, once, and a file that is not what it should be is refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from conftest import DR2, ENGINES, fill, red_giant, together
from pytest_httpserver import HTTPServer
from skysy.analysis.report.flickering import flickering_of
from skysy.loaders.curve_download import fetch_curve
from skysy.loaders.curve_files import read_light_curve
from skysy.loaders.curves import Wanted, load_curves
from skysy.loaders.load import load_directory
from tess_bench import Bench
from tess_curves import Made, curve, write_csv, write_eleanor, write_qlp, write_spoc
from typer.testing import CliRunner
from werkzeug import Request, Response

from skysy.cli.commands import app
from skysy.config import Settings
from skysy.errors import (
    ArchiveRefused,
    ContractError,
    FileDamaged,
    LoadError,
    NotFound,
    SkysyError,
    SourceChanged,
    UsageError,
    ValueDamaged,
)
from skysy.models.build import run_build
from skysy.models.project import load_project
from skysy.store import create, open_warehouse

STAR = 6_900_000_000_000_000_001
DAY = curve(1, days=2.0)
"""A day of it in two halves, for what does not measure."""


def stocked(directory: Path) -> Settings:
    """A warehouse with one giant in its catalogue, and nothing built."""
    where = Settings(directory / "warehouse", "1GB", 1)
    create(where)
    with open_warehouse(where, write=True) as warehouse:
        fill(warehouse, DR2, red_giant(STAR))
    return where


@pytest.fixture
def house(tmp_path: Path) -> Settings:
    """One for a test of its own."""
    return stocked(tmp_path)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One that refuses whatever it is offered."""
    return stocked(tmp_path_factory.mktemp("untouched"))


def load(where: Settings, *files: Path, replace: bool = False, **wanted: Any) -> list[str]:
    """Load them; the outcomes."""
    with open_warehouse(where, write=True) as warehouse:
        found = load_curves(warehouse, DR2, files, Wanted(**{"object_id": STAR, **wanted}), replace=replace)
    return [one.outcome for one in found]


def rows(where: Settings, query: str) -> list[tuple[Any, ...]]:
    with open_warehouse(where) as warehouse:
        return warehouse.rows(query)


def test_a_file_of_spoc_is_read_with_all_that_its_headers_tell(house: Settings, tmp_path: Path) -> None:
    made = DAY.changed(
        flux=np.where(np.arange(len(DAY.flux)) == 3, np.nan, DAY.flux), quality=np.arange(len(DAY.flux), dtype=np.int32)
    )
    assert load(house, write_spoc(tmp_path / "a_lc.fits", made, CROWDSAP=0.75, RA_OBJ=180.0, DEC_OBJ=-30.0)) == [
        "loaded"
    ]
    found = rows(house, "FROM tess.light_curve ORDER BY time_btjd")
    assert [row[2] for row in found] == list(made.time_btjd)
    assert [row[3] for row in found] == [None if np.isnan(one) else float(np.float32(one)) for one in made.flux]
    assert [row[5] for row in found] == list(range(len(made.flux)))
    assert {(row[0], row[1], row[4], *row[6:12]) for row in found} == {
        (STAR, 1, 3.0, "PDCSAP_FLUX", "electron/s", 10.0, 0.75, "SPOC", False)
    }
    [(notes, received, sha256)] = rows(
        house, "SELECT notes, received_rows, sha256 FROM meta.chunk WHERE table_name = 'tess.light_curve'"
    )
    assert json.loads(notes)["nan_to_null"] == {"flux": 1}
    assert received == len(made.flux)
    assert len(sha256) == 64


def test_each_layout_gives_the_flux_that_kept_its_flickering(tmp_path: Path) -> None:
    told = {}
    for name, write in (("QLP", write_qlp), ("eleanor", write_eleanor), ("CSV", write_csv)):
        one = read_light_curve(write(tmp_path / f"{name}.{'csv' if name == 'CSV' else 'fits'}", DAY))
        told[one.pipeline] = (
            one.flux_column,
            one.flux_unit,
            one.sector,
            one.tess_mag,
            float(np.nanmean(one.flux_err)) if np.isfinite(one.flux_err).any() else None,
        )
        np.testing.assert_allclose(one.flux / np.median(one.flux), DAY.flux / np.median(DAY.flux), rtol=1e-6)
        np.testing.assert_allclose(one.time_btjd, DAY.time_btjd, atol=1e-7)
    assert told == {
        "QLP": ("SAP_FLUX", "relative", 27, 11.5, pytest.approx(3e-4)),
        "eleanor": ("CORR_FLUX", "electron/s", 5, None, None),
        "CSV": ("flux", "relative", None, None, None),
    }
    asked = read_light_curve(tmp_path / "QLP.fits", "kspsap_flux")
    assert asked.flux_column == "KSPSAP_FLUX"
    assert set(asked.flux) == {1.0}


def test_times_of_another_zero_point_become_btjd(tmp_path: Path) -> None:
    as_bjd = read_light_curve(write_csv(tmp_path / "bjd.csv", DAY, 2_457_000.0))
    np.testing.assert_allclose(as_bjd.time_btjd, DAY.time_btjd, atol=1e-6)
    kepler = write_spoc(tmp_path / "kepler.fits", DAY.changed(time_btjd=DAY.time_btjd + 2_457_000 - 2_454_833))
    with fits.open(kepler, mode="update") as hdus:
        hdus[1].header["BJDREFI"] = 2_454_833
        del hdus[1].header["CHECKSUM"], hdus[1].header["DATASUM"]
    np.testing.assert_allclose(read_light_curve(kepler).time_btjd, DAY.time_btjd, atol=1e-6)


def test_a_light_curve_is_in_once_and_replaced_only_when_asked(house: Settings, tmp_path: Path) -> None:
    one, other = write_spoc(tmp_path / "one.fits", DAY), write_spoc(tmp_path / "other.fits", curve(2, days=2.0))
    assert load(house, one) == ["loaded"]
    assert load(house, one) == ["unchanged"]
    with pytest.raises(SourceChanged, match="has a light curve of sector 1 already"):
        load(house, other)
    with pytest.raises(SourceChanged, match="already"):  # other words are another light curve
        load(house, one, flux_column="SAP_FLUX")
    second = write_spoc(tmp_path / "second.fits", curve(3, days=2.0, start_btjd=1354.1), sector=2)
    assert load(house, one, second) == ["unchanged", "loaded"]
    assert load(house, other, replace=True) == ["replaced"]
    assert rows(house, "SELECT sector, count(*), count(DISTINCT time_btjd) FROM tess.light_curve GROUP BY ALL ORDER BY ALL") == [
        (1, len(DAY.flux), len(DAY.flux)), (2, len(DAY.flux), len(DAY.flux))
    ]  # fmt: skip
    with pytest.raises(LoadError, match=r"same content as second\.fits"):
        load(house, second, object_id=7, is_comparison=True)
    assert rows(house, "SELECT state, count(*) FROM meta.run GROUP BY ALL ORDER BY ALL") == [("done", 4), ("failed", 3)]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2880])


def without_flux(path: Path) -> None:
    columns = [fits.Column("TIME", "D", array=DAY.time_btjd), fits.Column("MAG", "E", array=DAY.flux)]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="LC")]).writeto(path, overwrite=True)


def coarse(path: Path) -> None:
    columns = [fits.Column("TIME", "E", array=DAY.time_btjd), fits.Column("FLUX", "E", array=DAY.flux)]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path, overwrite=True)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2000] ^= 1
    path.write_bytes(content)


FAULTS = {
    "cut": (cut, FileDamaged, ["bad.fits", "whole"]),
    "one bit is another": (flipped, FileDamaged, ["bad.fits", "hecksum"]),
    "no FITS": (lambda path: path.write_text("<html>"), FileDamaged, ["bad.fits"]),
    "no flux": (without_flux, ContractError, ["bad.fits, HDU 1 (LC)", "PDCSAP_FLUX", "It has TIME, MAG", "--flux-column"]),
    "time in 32 bits": (coarse, ContractError, ["bad.fits, HDU 1", "column TIME", "32-bit"]),
    "all fluxes NaN": (lambda path: write_spoc(path, DAY.changed(flux=DAY.flux * np.nan)), ValueDamaged, ["column PDCSAP_FLUX", "have a time and a flux"]),
    "time is MJD": (lambda path: write_spoc(path, DAY.changed(time_btjd=DAY.time_btjd + 57000)), ValueDamaged, ["column TIME", "neither BTJD"]),
    "two sectors": (lambda path: write_spoc(path, DAY.changed(time_btjd=DAY.time_btjd + np.arange(len(DAY.flux)))), ValueDamaged, ["column TIME", "it spans 50 days"]),
    "another star": (lambda path: write_spoc(path, DAY, RA_OBJ=180.02, DEC_OBJ=-30.0), LoadError, ["62 arcsec from object"]),
    "no sector": (lambda path: write_spoc(path, DAY, sector=None), UsageError, ["--sector N"]),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_refused_and_nothing_kept(untouched: Settings, tmp_path: Path, fault: str) -> None:
    spoil, kind, words = FAULTS[fault]
    path = write_spoc(tmp_path / "bad.fits", DAY)
    spoil(path)
    with pytest.raises(kind) as error:
        load(untouched, path)
    told = f"{error.value.message} {error.value.remedy}"
    assert [word for word in words if word not in told] == []
    assert rows(untouched, "SELECT count(*) FROM tess.light_curve") == [(0,)]


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("time,flux\n1325.1,1.0\n1325.2,one\n", ValueDamaged, ["line 3, column flux", "'one'"]),
        ("time,flux\n1325.1,1.0\n\n1325.2\n", FileDamaged, ["line 4", "1 fields, not 2"]),
        ("jd,mag\n1,2\n", ContractError, ["it has jd, mag"]),
        ("", ContractError, ["it has none"]),
        ('time,flux\n1325.1,"1\n"\n1325.2,1\n', FileDamaged, ["a quoted field"]),
        (f"time,flux\n{'1' * 200_000},1\n", FileDamaged, ["is no CSV", "field limit"]),
        ("time,flux,quality\n1325.1,1,0\n1325.2,1,5000000000\n", ValueDamaged, ["column quality", "5e+09"]),
        ("time,flux,quality\n1325.1,1,inf\n1325.2,1,0\n", ValueDamaged, ["column quality", "inf"]),
        ("time,flux,quality\n1325.1,1,1.5\n1325.2,1,0\n", ValueDamaged, ["column quality", "1.5"]),
    ],
)
def test_a_faulty_csv_is_told_by_its_line(tmp_path: Path, text: str, kind: type[SkysyError], words: list[str]) -> None:
    path = tmp_path / "lc.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(kind) as error:
        read_light_curve(path)
    assert [word for word in ["lc.csv", *words] if word not in str(error.value)] == []


def test_the_command_takes_objects_of_the_catalogue_and_comparison_stars(house: Settings, tmp_path: Path) -> None:
    where = ["--warehouse", str(house.warehouse)]
    text = write_csv(tmp_path / "lc.csv", DAY)
    run = CliRunner()
    refused = run.invoke(app, ["lightcurve", str(text), "--object", "5", "--sector", "9", *where])
    assert isinstance(refused.exception, NotFound)
    assert "dr2.master has no object 5" in refused.exception.message
    done = run.invoke(
        app,
        [
            "lightcurve",
            str(text),
            "--object",
            "5",
            "--sector",
            "9",
            "--comparison",
            "--tess-mag",
            "9.5",
            "--json",
            *where,
        ],
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["outcome"] == "loaded"
    assert rows(house, "SELECT DISTINCT object_id, sector, tess_mag, is_comparison FROM tess.light_curve") == [
        (5, 9, 9.5, True)
    ]
    told = run.invoke(
        app, ["lightcurve", str(text), "--object", "5", "--sector", "9", "--comparison", "--tess-mag", "9.5", *where]
    )
    assert told.stdout.startswith("unchanged  lc.csv  sector 9, flux of CSV")


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [("--object", str(2**63), "--object"), ("--sector", "0", "--sector"), ("--tess-mag", "nan", "no magnitude")],
)
def test_a_number_that_cannot_be_is_refused(
    untouched: Settings, tmp_path: Path, option: str, value: str, told: str
) -> None:
    wanted = {"--object": "5", "--sector": "9"} | {option: value}
    words = [str(write_csv(tmp_path / "lc.csv", DAY)), "--comparison", "--warehouse", str(untouched.warehouse)]
    refused = CliRunner().invoke(app, ["lightcurve", *words, *(word for pair in wanted.items() for word in pair)])
    assert isinstance(refused.exception, UsageError | SystemExit)
    assert told in f"{refused.stderr} {refused.exception}"
    assert rows(untouched, "SELECT count(*) FROM tess.light_curve") == [(0,)]


def test_a_new_light_curve_makes_only_its_own_rows_anew_and_the_same_tables(tmp_path: Path) -> None:
    giants = [STAR + 10 * place for place in range(4)]
    files = {
        star: write_spoc(tmp_path / f"{star}.fits", curve(place, days=6, flicker_ppm=300 * place))
        for place, star in enumerate(giants)
    }
    where = Settings(tmp_path / "warehouse", "1GB", 1)
    create(where)
    with open_warehouse(where, write=True) as warehouse:
        fill(warehouse, DR2, together(*(red_giant(star) for star in giants)))
        project = load_project(DR2, settings=["tess_compare_stars=3"])
        for star, path in files.items():
            load_curves(warehouse, DR2, [path], Wanted(star))
            if star == giants[2]:
                run_build(warehouse, project, engines=ENGINES)
        built = {one.name: one for one in run_build(warehouse, project, engines=ENGINES).models}
        read = flickering_of(warehouse, [*giants[:2], 5])
    models = ("int_flickering__bins", "int_flickering__spectra", "int_flickering__sectors")
    assert set(built) == {"stg_tess__light_curve", *models, "flickering"}
    assert [built[name].anew for name in models] == [288 - 47, 144, 1]
    assert set(read) == set(giants[:2])
    [sector] = read[giants[1]]
    assert (len(sector.bins), sector.row["n_giants"], sector.band_uhz) == (sector.row["n_bins"], 3, (50.0, 200.0))
    assert len(sector.spectrum) == 144
    found = rows(
        where, "SELECT object_id, role, n_giants, ratio IS NOT NULL, p_rank FROM flickering ORDER BY object_id"
    )
    assert [row[:4] for row in found] == [(star, "quiet giant", 3, True) for star in giants]
    assert found[3][4] == 0.25
    whole = Bench({(star, 1): as_read(path) for star, path in files.items()})
    for name in models[:2]:
        assert rows(where, f"FROM {name} ORDER BY ALL") == whole.rows(f"FROM {name} ORDER BY ALL")


def as_read(path: Path) -> Made:
    """A light curve with the 32-bit fluxes of its file."""
    found = read_light_curve(path)
    assert found.quality is not None
    return Made(found.time_btjd, found.flux, found.quality)


def test_float32_fluxes_measure_as_their_doubles_do(tmp_path: Path) -> None:
    made = curve(4, days=8, flicker_ppm=300)
    rounded = as_read(write_spoc(tmp_path / "a.fits", made))
    one, other = Bench({(1, 1): made, (2, 1): rounded}).rows(
        "SELECT flicker_var_ppm2 FROM int_flickering__sectors ORDER BY object_id"
    )
    assert other[0] == pytest.approx(one[0], rel=1e-3)


def test_many_light_curves_come_as_a_table_of_the_archive_does(house: Settings, tmp_path: Path) -> None:
    docs = Path(__file__).parents[1] / "docs" / "tess"
    with open_warehouse(house, write=True) as warehouse:
        done = load_directory(warehouse, DR2, docs)
    assert done.ignored == ("candidate.csv",)
    assert rows(house, "SELECT count(*), count(DISTINCT object_id), count(quality), count(tess_mag) FROM tess.light_curve") == [
        (8 * 337, 8, 0, 8 * 337)
    ]  # fmt: skip
    other = write_csv(tmp_path / "other.csv", DAY)
    with pytest.raises(LoadError, match="came in a file with other light curves"):
        load(house, other, object_id=100000471, sector=1, is_comparison=True, replace=True)


def test_a_light_curve_at_an_address_is_fetched_once_and_whole(
    house: Settings, tmp_path: Path, httpserver: HTTPServer
) -> None:
    body = write_spoc(tmp_path / "a_lc.fits", DAY).read_bytes()
    asked = []

    def answer(request: Request) -> Response:
        asked.append(request.args["uri"])
        return Response(b"", 503, {"Retry-After": "0"}) if len(asked) == 1 else Response(body, 200)

    httpserver.expect_request("/Download/file").respond_with_handler(answer)
    address = httpserver.url_for("/Download/file") + "?uri=mast:TESS/product/a_lc.fits"
    words = ["lightcurve", address, "--object", str(STAR), "--warehouse", str(house.warehouse)]
    for outcome in ("loaded", "unchanged"):
        done = CliRunner().invoke(app, words)
        assert done.stdout.startswith(f"{outcome:<9}  a_lc.fits  sector 1"), done.output
    assert asked == ["mast:TESS/product/a_lc.fits"] * 2
    [kept] = (house.warehouse / "raw" / "tess").rglob("*.*")
    assert kept.read_bytes() == body


def test_an_address_that_gives_no_file_leaves_nothing(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/gone.fits").respond_with_data("no", status=404)
    with pytest.raises(ArchiveRefused, match="HTTP 404"):
        fetch_curve(httpserver.url_for("/gone.fits"), tmp_path)
    for address in ("ftp://a/b.fits", "https://a/page.html", "https://a/../.fits", "https:///b.fits"):
        with pytest.raises(UsageError):
            fetch_curve(address, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
