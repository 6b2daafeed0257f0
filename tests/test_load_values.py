"""Single values: NULL, NaN, '' and sentinels are told apart, and nothing is rounded, cut or guessed."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from conftest import DR2
from load_bench import ALLWISE, DISTANCE, IMAGES, KNOWN, PHOTOMETRY, TWOMASS, VOTABLES, Bench, row_of, table_of

from skysy.errors import FileDamaged, ValueDamaged
from skysy.formats.write import SUFFIX
from skysy.models.parameters import apply
from skysy.models.project import load_project
from skysy.store import open_warehouse

pytest_plugins = ("load_fixtures",)

TEXT_FORMS = ("parquet", "csv", *VOTABLES, "fits")
PHOTOMETRY_HEADER = "image_id,ccd,object_id,filter,mag_psf,e_mag_psf,flags,nimaflags,used_in_clip"


def photometry_csv(bench: Bench, **changes: str) -> None:
    """A CSV of three detections whose second has these cells."""
    first = ["2", "7", "147403802", "u", "15.25", "0.0125", "0", "0", "t"]
    cells = dict(zip(PHOTOMETRY_HEADER.split(","), first, strict=True))
    middle = ",".join((cells | changes).values())
    bench.text(
        "dr2.photometry.csv",
        f"{PHOTOMETRY_HEADER}\n1,7,147403802,u,15.25,0.0125,0,0,t\n{middle}\n3,7,147403802,u,15.5,0.0125,0,0,f\n",
    )


@pytest.mark.parametrize("form", ["parquet", *VOTABLES, "csv"])
def test_nan_becomes_null_and_is_counted_apart_from_what_was_null(bench: Bench, form: str) -> None:
    values = [math.nan, None, 15.25, math.nan]
    rows = [row_of(PHOTOMETRY, image_id=n, mag_psf=value) for n, value in enumerate(values)]
    bench.write(f"dr2.photometry{SUFFIX[form]}", PHOTOMETRY, form, rows)
    notes = bench.one().notes
    assert bench.values(PHOTOMETRY, "mag_psf") == [None, None, 15.25, None]
    assert notes["nulls"] == {"mag_psf": 3}
    # BINARY has no other NULL for a float than NaN
    assert notes["nan_to_null"] == {"mag_psf": 3 if form == "votable-binary" else 2}


@pytest.mark.parametrize("word", ["", "NULL", "null", "--", '""', "NaN", "nan"])
def test_spellings_of_nothing_in_csv(bench: Bench, word: str) -> None:
    photometry_csv(bench, mag_psf=word)
    notes = bench.one().notes
    assert bench.values(PHOTOMETRY, "mag_psf") == [15.25, None, 15.5]
    assert ("nan_to_null" in notes) == (word.lower() == "nan")


@pytest.mark.parametrize("word", ["N/A", "-", "15.2 mag", "15,2", "1e"])
def test_other_words_in_a_number_are_errors_with_line_column_and_value(bench: Bench, word: str) -> None:
    cell = f'"{word}"' if "," in word else word
    photometry_csv(bench, mag_psf=cell)
    bench.refused(
        ValueDamaged, f"dr2.photometry.csv, line 3, column mag_psf of dr2.photometry: {word!r} cannot be REAL"
    )
    photometry_csv(bench)
    assert bench.one().rows == 3


def test_spellings_of_a_boolean_in_csv(bench: Bench) -> None:
    spellings = {
        True: ["true", "True", "TRUE", "t", "T", "1", '"t"'],
        False: ["false", "False", "FALSE", "f", "F", "0"],
        None: ["", "NULL", "null", "--"],
    }
    rows = [(word, value) for value, words in spellings.items() for word in words]
    lines = [f"{n},7,1,u,15.25,0.0125,0,0,{word}" for n, (word, _) in enumerate(rows)]
    bench.text("dr2.photometry.csv", "\n".join([PHOTOMETRY_HEADER, *lines, ""]))
    bench.one()
    assert bench.values(PHOTOMETRY, "used_in_clip") == [value for _, value in rows]


@pytest.mark.parametrize("word", ["yes", "n", "2", "-1", "1.0", "?"])
def test_an_unknown_spelling_of_a_boolean_is_an_error_with_line_column_and_value(bench: Bench, word: str) -> None:
    photometry_csv(bench, used_in_clip=word)
    bench.refused(
        ValueDamaged, f"line 3, column used_in_clip of dr2.photometry: {word!r} cannot be BOOLEAN", "Known spellings"
    )
    photometry_csv(bench)
    assert bench.one().rows == 3


def test_booleans_that_come_as_text_or_numbers_in_parquet(bench: Bench) -> None:
    rows = table_of(PHOTOMETRY, [row_of(PHOTOMETRY, image_id=n) for n in range(4)])
    place = rows.column_names.index("used_in_clip")

    def put(values: list[Any]) -> None:
        bench.parquet("dr2.photometry.parquet", rows.set_column(place, "used_in_clip", pa.array(values)))

    for bad in (["t", "yes", "f", None], [1, 2, 0, None]):
        put(bad)
        bench.refused(ValueDamaged, "dr2.photometry.parquet", "used_in_clip", str(bad[1]))
    put(["T", " false", "1", None])
    bench.one()
    assert bench.values(PHOTOMETRY, "used_in_clip") == [True, False, True, None]
    put([1, 0, 1, None])
    assert bench.load(replace=True).files[0].outcome == "replaced"
    assert bench.values(PHOTOMETRY, "used_in_clip") == [True, False, True, None]


@pytest.mark.parametrize("form", TEXT_FORMS)
def test_flags_keep_their_zeros_and_texts_their_content_but_not_the_blanks_behind_it(bench: Bench, form: str) -> None:
    row = {
        "pts_key": 1, "j_m": Decimal("9.000"), "h_m": Decimal("8.300"), "k_m": Decimal("8.000"), "gal_contam": 0,
        "ext_key": None,
    }  # fmt: skip
    flags = ["000", "0c0", "00d", None, "  0", "A  "]
    rows = [{**row, "pts_key": n, "ph_qual": "AAA", "cc_flg": flag} for n, flag in enumerate(flags)]
    bench.write(f"{TWOMASS}{SUFFIX[form]}", TWOMASS, form, rows)
    bench.one()
    found = [value for (value,) in bench.rows(f"SELECT cc_flg FROM {TWOMASS} ORDER BY pts_key")]
    assert found == ["000", "0c0", "00d", None, "  0", "A"]


@pytest.mark.parametrize("form", TEXT_FORMS)
def test_an_empty_text_and_blanks_are_null_in_every_format(bench: Bench, form: str) -> None:
    rows = [{"object_id": n, "name": name} for n, name in enumerate(["", "  ", None, "x"])]
    bench.write(f"{KNOWN}{SUFFIX[form]}", KNOWN, form, rows)
    assert bench.one().notes["nulls"] == {"name": 3}
    assert bench.values(KNOWN, "name") == [None, None, None, "x"]


def test_quotes_commas_line_ends_and_letters_of_all_kinds_survive_csv(bench: Bench) -> None:
    names = ['6" star', "a, b", "two\nlines", "two\r\nlines", "Ångström α 𝛼", "'", "#1", "x;y|z\tw", '"', " lead"]
    rows = [{"object_id": n, "name": name} for n, name in enumerate(names)]
    bench.write("known.objects.csv.gz", KNOWN, "csv.gz", rows)
    bench.one()
    assert bench.values(KNOWN, "name") == names


@pytest.mark.parametrize("form", ["parquet", "csv", *VOTABLES, "fits"])
def test_sentinels_are_kept_as_they_come(bench: Bench, form: str) -> None:
    values = [-99.0, 99.0, -999.0, 99.999, 0.0]
    rows = [row_of(DISTANCE, source_id=n, r_est=value) for n, value in enumerate(values)]
    bench.write(f"{DISTANCE}{SUFFIX[form]}", DISTANCE, form, rows)
    assert "nan_to_null" not in bench.one().notes
    assert bench.values(DISTANCE, "r_est") == values


WISE_HEADER = "cntr,w1mpro,w2mpro"


@pytest.mark.parametrize("text", ["7.900", "7.9", "7.90000", "7.900000095367432", "7.8999999"])
def test_decimals_are_exact_however_many_digits_a_32_bit_float_was_printed_with(bench: Bench, text: str) -> None:
    bench.text(f"{ALLWISE}.csv", f"{WISE_HEADER}\n1,{text},8\n")
    bench.one()
    assert bench.rows(f"SELECT w1mpro, w2mpro FROM {ALLWISE}") == [(Decimal("7.900"), Decimal("8.000"))]


@pytest.mark.parametrize("text", ["7.9005", "7.90049", "inf", "1e5", "-123.4"])
def test_a_decimal_with_surplus_places_or_digits_is_an_error(bench: Bench, text: str) -> None:
    bench.text(f"{ALLWISE}.csv", f"{WISE_HEADER}\n1,7.9,8\n2,{text},8\n")
    if text in ("1e5", "-123.4"):
        bench.refused(ValueDamaged, f"{ALLWISE}.csv", "DECIMAL(5,3)")
    else:
        bench.refused(ValueDamaged, f"{ALLWISE}.csv, line 3, column w1mpro", repr(text), "DECIMAL(5,3)")
    (bench.files / f"{ALLWISE}.csv").unlink()
    for kind in (pa.float64(), pa.decimal128(12, 6)) if text != "inf" else (pa.float64(),):
        values = pa.array([float(text)]) if kind == pa.float64() else pa.array([Decimal(f"{float(text):.6f}")], kind)
        bench.parquet(f"{ALLWISE}.parquet", pa.table({"cntr": [1], "w1mpro": values, "w2mpro": values}))
        bench.refused(ValueDamaged, f"{ALLWISE}.parquet")


@pytest.mark.parametrize("form", ["csv", "votable-tabledata"])
def test_a_number_too_large_for_its_column_is_an_error_and_an_infinity_that_is_spelt_is_not(
    bench: Bench, form: str
) -> None:
    rows = [row_of(PHOTOMETRY, image_id=n, mag_psf=value) for n, value in enumerate([15.25, 17.125])]
    path = bench.write(f"dr2.photometry{SUFFIX[form]}", PHOTOMETRY, form, rows)
    whole = path.read_text()
    for bad in ("1e39", "-3.5e38"):
        path.write_text(whole.replace("17.125", bad))
        place = "line 3" if form == "csv" else "row 2"
        bench.refused(ValueDamaged if form == "csv" else FileDamaged, place, "column mag_psf", repr(bad))
    path.write_text(whole.replace("17.125", "-Infinity"))
    bench.one()
    assert bench.values(PHOTOMETRY, "mag_psf") == [15.25, -math.inf]


def test_a_double_too_large_for_a_real_is_an_error(bench: Bench) -> None:
    rows = table_of(PHOTOMETRY, [row_of(PHOTOMETRY)])
    place = rows.column_names.index("mag_psf")
    bench.parquet("dr2.photometry.parquet", rows.set_column(place, "mag_psf", pa.array([1e39])))
    bench.refused(ValueDamaged, "dr2.photometry.parquet", "out of range")


@pytest.mark.parametrize("text", ["a", "+", "1.5", "0x1"])
def test_a_flag_that_archives_send_as_a_letter_must_be_a_number(bench: Bench, text: str) -> None:
    rows = table_of(DISTANCE, [row_of(DISTANCE)])
    place = rows.column_names.index("result_flag")
    bench.parquet(f"{DISTANCE}.parquet", rows.set_column(place, "result_flag", pa.array([text])))
    bench.refused(ValueDamaged, f"column result_flag: {text} is no whole number")
    bench.parquet(f"{DISTANCE}.parquet", rows.set_column(place, "result_flag", pa.array([" 1 "])))
    bench.one()
    assert bench.values(DISTANCE, "result_flag") == [1]


def test_pointings_in_radians_are_kept_raw_and_nothing_downstream_reads_them(bench: Bench) -> None:
    """CSV dumps give the pointing in radians and the service in degrees; the science leaves both out."""
    dump = row_of(IMAGES, image_id=1, ra=4.6496, decl=-0.5236)
    service = row_of(IMAGES, image_id=2, ra=266.4, decl=-30.0)
    bench.write("dr2.images.csv.gz", IMAGES, "csv.gz", [dump, service])
    bench.one()
    assert bench.values(IMAGES, "ra") == [4.6496, 266.4]
    project = load_project(DR2)
    staged = next(model for model in project.models if model.name == "stg_survey__images")
    with open_warehouse(bench.settings) as warehouse:
        apply(warehouse.con, project.parameters)
        described = warehouse.con.execute(staged.sql).description or []
        assert len(warehouse.rows(staged.sql)) == 2
    assert not {"ra", "dec", "decl"} & {column[0] for column in described}


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_line_ends_a_byte_order_mark_and_blank_lines_do_not_matter(bench: Bench, ending: str, start: str) -> None:
    text = ending.join([f"{start}object_id,name", "1,a", "", "2,b", "", ""])
    bench.text("known.objects.csv", text)
    bench.one()
    assert bench.values(KNOWN, "name") == ["a", "b"]


def test_a_header_in_quotes_with_blanks_is_understood(bench: Bench) -> None:
    bench.text("known.objects.csv", '"object_id", "name" ,"source"\n 1 ,"a","b"\n')
    bench.one()
    assert bench.rows("SELECT object_id, name, source FROM known.objects") == [(1, "a", "b")]


def test_a_last_line_without_an_end_is_loaded_and_noted(bench: Bench) -> None:
    bench.text("known.objects.csv", "object_id,name\n1,a\n2,b")
    assert "no end" in bench.one().notes["unfinished_last_line"]
    assert bench.values(KNOWN, "name") == ["a", "b"]
