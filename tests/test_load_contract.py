"""A file that is not what its contract says is refused with the column named, and nothing of it is kept."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from load_bench import (
    CONTRACT,
    DISTANCE,
    IMAGES,
    KNOWN,
    PHOTOMETRY,
    VOTABLES,
    Bench,
    row_of,
    table_of,
)

from skysy.errors import ContractError, LoadError, ValueDamaged
from skysy.formats.write import SUFFIX

pytest_plugins = ("load_fixtures",)

FORMS = ("parquet", "csv", *VOTABLES, "fits")


@pytest.mark.parametrize("form", FORMS)
def test_a_missing_required_column_is_named_with_its_spellings_and_what_the_file_has(bench: Bench, form: str) -> None:
    rows = table_of(IMAGES, [row_of(IMAGES)]).drop_columns(["exp_time"])
    path = bench.write(f"dr2.images{SUFFIX[form]}", IMAGES, form, rows)
    error = bench.refused(ContractError, path.name, "column exp_time of dr2.images is missing", "image_id, night_mjd")
    assert "`accept`" in error.remedy
    bench.write(path.name, IMAGES, form, [row_of(IMAGES)])
    assert bench.one().rows == 1


ACCEPTED = [
    (table.name, column.name, other) for table in CONTRACT.tables for column in table.columns for other in column.accept
]


def test_the_contract_accepts_the_spellings_that_archives_send() -> None:
    assert {
        ("dr2.photometry", "used_in_clip", "use_in_clipped"),
        ("dr2.master", "ebmv_sfd", "ebmvsfd"),
        ("dr2.images", "decl", "dec"),
        ("gaiadr2_complements.geometric_distance", "source_id", "Source"),
    } <= set(ACCEPTED)


@pytest.mark.parametrize(
    ("table", "name", "other"), [one for one in ACCEPTED if one[0] in (PHOTOMETRY, IMAGES, DISTANCE)]
)
def test_an_accepted_spelling_loads_as_the_column_in_any_capitals(
    bench: Bench, table: str, name: str, other: str
) -> None:
    value = True if name == "used_in_clip" else 7
    full = table_of(table, [row_of(table, **{name: value})])
    for part, spelling in enumerate((other.upper(), name.title())):
        renamed = full.rename_columns([spelling if one == name else one for one in full.column_names])
        changed = renamed.set_column(0, renamed.column_names[0], renamed.column(0)) if part else renamed
        bench.write(f"{table}.{part}.parquet", table, "parquet", changed)
        if part == 0:
            assert bench.one().rows == 1
            assert bench.values(table, name) == [value]
    with pytest.raises(LoadError, match="the same 1 rows"):  # the other spelling is the same column
        bench.load()


@pytest.mark.parametrize("form", FORMS)
def test_two_columns_that_claim_one_of_the_contract_are_refused(bench: Bench, form: str) -> None:
    row = row_of(IMAGES, dec=-30.0, decl=-31.0)
    path = bench.write(f"dr2.images{SUFFIX[form]}", IMAGES, form, [row])
    bench.refused(ContractError, path.name, "columns dec and decl both mean decl of dr2.images")


def test_two_columns_of_one_name_are_refused_where_the_contract_has_it_and_passed_over_where_not(bench: Bench) -> None:
    bench.text("known.objects.csv", "object_id,name,NAME\n1,a,b\n")
    bench.refused(ContractError, "known.objects.csv", "name and NAME both mean name")
    bench.text("known.objects.csv", 'object_id,x,name,X,,\n1,a,b,c,d,"e"\n')
    assert bench.one().notes["ignored_columns"] == ["x", "X", "", ""]
    assert bench.rows("SELECT object_id, name FROM known.objects") == [(1, "b")]


def test_columns_that_differ_in_capitals_alone_do_not_change_places(bench: Bench) -> None:
    """VizieR sends b_rest and B_rest; neither is of the contract."""
    table = table_of(DISTANCE, [row_of(DISTANCE)])
    for name, value in (("b_rest", 1.0), ("B_rest", 2.0)):
        table = table.append_column(name, pa.array([value]))
    moved = table.select(["b_rest", "B_rest", *table.column_names[:-2]])
    bench.parquet(f"{DISTANCE}.parquet", moved)
    assert bench.one().notes["ignored_columns"] == ["b_rest", "B_rest"]
    assert bench.rows(f"SELECT source_id, r_est FROM {DISTANCE}") == [(4075332117418593537, 4350.5)]


RETYPED: list[tuple[str, str, Any, pa.DataType, str]] = [
    (PHOTOMETRY, "object_id", 147403802.0, pa.float64(), "digits of an identifier are lost"),
    (PHOTOMETRY, "image_id", 20180301123456.0, pa.float32(), "digits of an identifier are lost"),
    (DISTANCE, "source_id", "4075332117418593537", pa.string(), "arrived as text; the contract says BIGINT"),
    (IMAGES, "ra", "17:45:40.04", pa.string(), "arrived as text; the contract says DOUBLE"),
    (IMAGES, "decl", "-29.0", pa.string(), "arrived as text; the contract says DOUBLE"),
    (IMAGES, "ra", 266.4, pa.float32(), "too coarse for a position"),
    (IMAGES, "date", 58178.5, pa.float32(), "too coarse for a position (0.1 arcsec is lost) or a time"),
    (IMAGES, "date", 1, pa.timestamp("us"), "a type that no column of an archive has"),
    (PHOTOMETRY, "mag_psf", "15.2", pa.string(), "arrived as text; the contract says REAL"),
    (PHOTOMETRY, "used_in_clip", 1.0, pa.float64(), "arrived as floating point; the contract says BOOLEAN"),
    (PHOTOMETRY, "filter", 4, pa.int32(), "integer, through which leading zeros are lost"),
    (PHOTOMETRY, "flags", [0], pa.list_(pa.int16()), "a type that no column of an archive has"),
    (PHOTOMETRY, "flags", True, pa.bool_(), "arrived as boolean; the contract says SMALLINT"),
]


@pytest.mark.parametrize(("table", "name", "value", "kind", "words"), RETYPED)
def test_a_retyped_column_is_refused_by_name(
    bench: Bench, table: str, name: str, value: Any, kind: pa.DataType, words: str
) -> None:
    whole = table_of(table, [row_of(table)])
    array = pa.array([value], kind)
    where = whole.column_names.index(name) if name in whole.column_names else None
    whole = whole.append_column(name, array) if where is None else whole.set_column(where, name, array)
    bench.parquet(f"{table}.parquet", whole)
    error = bench.refused(ContractError, f"{table}.parquet: column {name} of {table}", words)
    assert "own type" in error.remedy
    bench.write(f"{table}.parquet", table, "parquet", [row_of(table)])
    assert bench.one().rows == 1


@pytest.mark.parametrize("text", ["4075332117418593537.0", "4.075332117418593537e+18", "4.0E18", "1_000", "NaN", "7f"])
@pytest.mark.parametrize("form", ["csv", "votable-tabledata"])
def test_an_id_in_text_that_went_through_a_float_is_refused_with_its_place(bench: Bench, form: str, text: str) -> None:
    name = f"{DISTANCE}{SUFFIX[form]}"
    rows = [row_of(DISTANCE, source_id=number) for number in (11, 4242, 13)]
    path = bench.write(name, DISTANCE, form, rows)
    path.write_text(re.sub(r"\b4242\b", text, path.read_text()))
    if form == "csv":
        error = bench.refused(ValueDamaged, f"{name}, line 3, column source_id of {DISTANCE}", repr(text), "BIGINT")
        assert ("floating-point" in error.message) == any(mark in text for mark in ".eE")
    else:
        with pytest.raises(LoadError, match=f"row 2, column source_id: '{re.escape(text)}' is no long"):
            bench.load()
    bench.write(name, DISTANCE, form, rows)
    assert bench.one().rows == 3


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_small_whole_numbers_may_come_as_floats_but_not_halves_or_what_lost_digits(
    bench: Bench, kind: pa.DataType
) -> None:
    def put(value: float) -> None:
        whole = table_of(IMAGES, [row_of(IMAGES), row_of(IMAGES, image_id=2)])
        place = whole.column_names.index("night_mjd")
        bench.parquet("dr2.images.parquet", whole.set_column(place, "night_mjd", pa.array([value, None], kind)))

    for bad in (58178.5, 1e10, float("inf"), *((16777218.0,) if kind == pa.float32() else ())):
        put(bad)
        bench.refused(ValueDamaged, "dr2.images.parquet")
    put(58178.0)
    bench.one()
    assert bench.values(IMAGES, "night_mjd") == [None, 58178]


@pytest.mark.parametrize(
    ("table", "name", "value"),
    [(IMAGES, "night_mjd", 2**31), (IMAGES, "night_mjd", -(2**31) - 1), (PHOTOMETRY, "flags", 40000)],
)
def test_an_integer_that_is_too_large_for_its_column_is_refused(
    bench: Bench, table: str, name: str, value: int
) -> None:
    rows = table_of(table, [row_of(table)])
    place = rows.column_names.index(name)
    for kind in (pa.int64(), pa.decimal128(20, 0)):
        bench.parquet(f"{table}.parquet", rows.set_column(place, name, pa.array([value], kind)))
        bench.refused(ValueDamaged, f"{table}.parquet", str(value))
    (bench.files / f"{table}.parquet").unlink()
    names = list(rows.column_names)
    cells = ["" if one == name else str(rows.column(one)[0].as_py()) for one in names]
    cells[place] = str(value)
    bench.text(f"{table}.csv", f"{','.join(names)}\n{','.join(cells)}\n")
    bench.refused(ValueDamaged, f"{table}.csv, line 2, column {name}", repr(str(value)))


def test_unsigned_and_decimal_ids_are_taken_when_they_are_whole(bench: Bench) -> None:
    ids = [4075332117418593537, None, 12]
    rows = table_of(PHOTOMETRY, [row_of(PHOTOMETRY, image_id=n) for n in range(3)])
    for part, array in enumerate((pa.array(ids, pa.uint64()), pa.array(ids, pa.decimal128(20, 0)))):
        place = rows.column_names.index("object_id")
        changed = rows.set_column(place, "object_id", array).set_column(
            0, "image_id", pa.array([part * 10 + n for n in range(3)])
        )
        bench.parquet(f"dr2.photometry.{part}.parquet", changed)
    bench.load()
    assert bench.values(PHOTOMETRY, "object_id") == ids * 2
    halves = pa.array([Decimal("1.5"), None, Decimal(2)], pa.decimal128(20, 1))
    bench.parquet("dr2.photometry.2.parquet", rows.set_column(place, "object_id", halves))
    bench.refused(ValueDamaged, "dr2.photometry.2.parquet", "column object_id: 1.5 is no whole number")


def fits_photometry(path: Path, used: fits.Column) -> None:
    row = row_of(PHOTOMETRY)
    columns = [
        fits.Column("image_id", "K", array=np.arange(3)), fits.Column("ccd", "I", array=np.full(3, 7)),
        fits.Column("object_id", "K", array=np.full(3, row["object_id"])),
        fits.Column("filter", "1A", array=np.full(3, "u")), fits.Column("mag_psf", "E", array=np.full(3, 15.25)),
        fits.Column("e_mag_psf", "E", array=np.full(3, 0.0125)), fits.Column("flags", "I", array=np.zeros(3)),
        fits.Column("nimaflags", "J", array=np.zeros(3)), used,
    ]  # fmt: skip
    fits.BinTableHDU.from_columns(columns).writeto(path, overwrite=True)


def test_used_in_clip_as_a_fits_logical_is_refused_with_the_reason_and_taken_as_an_integer_with_tnull(
    bench: Bench,
) -> None:
    path = bench.files / "dr2.photometry.fits"
    fits_photometry(path, fits.Column("use_in_clipped", "L", array=np.array([True, False, True])))
    error = bench.refused(ContractError, "dr2.photometry.fits, column use_in_clipped", "cannot tell NULL from False")
    assert "integer with TNULL" in error.remedy
    fits_photometry(path, fits.Column("used_in_clip", "I", null=-1, array=np.array([1, 0, 2])))
    bench.refused(ValueDamaged, "used_in_clip: 2 is neither 0 nor 1")
    fits_photometry(path, fits.Column("used_in_clip", "I", null=-1, array=np.array([1, 0, -1])))
    bench.one()
    assert bench.values(PHOTOMETRY, "used_in_clip") == [True, False, None]


def test_a_fits_logical_or_vector_for_a_column_that_holds_numbers_is_refused_by_name(bench: Bench) -> None:
    path = bench.files / f"{DISTANCE}.fits"

    def put(*others: fits.Column) -> None:
        ids, distances = np.array([1, 2]), np.array([10.0, 20.0])
        columns = [fits.Column("source_id", "K", array=ids), fits.Column("r_est", "D", array=distances), *others]
        fits.BinTableHDU.from_columns(columns).writeto(path, overwrite=True)

    put(fits.Column("result_flag", "L", array=np.array([True, False])))
    bench.refused(ContractError, "column result_flag")
    put(fits.Column("result_flag", "2I", array=np.ones((2, 2))))
    bench.refused(ContractError, "column result_flag: format 2I is not one number or text a row")
    # what is not of the contract may be anything
    put(
        fits.Column("result_flag", "I", array=np.array([1, 2])), fits.Column("cov", "3D", array=np.ones((2, 3))),
        fits.Column("good", "L", array=np.array([True, False])),
    )  # fmt: skip
    assert bench.one().rows == 2


def test_scaled_and_unsigned_fits_columns_are_read_as_what_they_mean(bench: Bench) -> None:
    columns = [
        fits.Column("source_id", "K", array=np.array([1, 2])),
        fits.Column("r_est", "J", array=np.array([8701, 24], np.int32)),
        fits.Column("result_flag", "I", bzero=2**15, array=np.array([1, 2], np.uint16)),
    ]
    path = bench.files / f"{DISTANCE}.fits"
    fits.BinTableHDU.from_columns(columns).writeto(path)
    with fits.open(path, mode="update") as hdus:
        hdus[1].header["TSCAL2"] = 0.5
    bench.one()
    assert bench.values(DISTANCE, "r_est") == [4350.5, 12.0]
    assert bench.values(DISTANCE, "result_flag") == [1, 2]


def test_text_that_other_tools_write_as_bytes_is_text(bench: Bench) -> None:
    table = pa.table({"object_id": [1, 2], "name": pa.array([b"V* BF Cyg", None], pa.binary())})
    bench.parquet("known.objects.parquet", table)
    bench.one()
    assert bench.values(KNOWN, "name") == ["V* BF Cyg", None]


@pytest.mark.parametrize("names", ["object_id;name", "object_id\tname", "# object_id,name", "1,star"])
def test_another_separator_a_comment_or_no_header_shows_in_the_names_that_were_found(bench: Bench, names: str) -> None:
    bench.text("known.objects.csv", f"{names}\n1;star\n")
    bench.refused(ContractError, "is missing", f"The file has {names.replace(',', ', ')}.")
