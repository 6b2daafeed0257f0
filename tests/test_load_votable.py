"""The VOTable reader against astropy's, on replies of archives and on tables made up."""

from __future__ import annotations

import base64
import csv
import gzip
import math
import struct
import warnings
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from astropy.io.votable import from_table, parse, writeto
from astropy.table import MaskedColumn, Table
from astropy.units import Unit
from conftest import SHARED
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from load_bench import VOTABLES
from skysy.loaders import votable_rows
from skysy.loaders.votable import open_votable

from skysy.columns import Column
from skysy.errors import FileDamaged, SkysyError
from skysy.formats.write import write_table

DATA = SHARED / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="captured replies of archives lie in shared/data, not here")

Cells = dict[str, list[Any]]


def read(path: Path) -> tuple[Cells, dict[str, str | None]]:
    """(values, units) of the columns that our reader gives."""
    with open_votable(path) as source, duckdb.connect(":memory:") as con:
        try:
            con.execute(f"CREATE TABLE t AS FROM {source.relation(con)}")
            table = con.sql("FROM t").to_arrow_table()
        except duckdb.Error as error:
            raise (source.failures[0] if source.failures else error) from error
        units = {one.label: one.unit for one in source.columns if one.label}
        return {name: table[name].to_pylist() for name in table.column_names}, units


def read_with_astropy(path: Path) -> tuple[Cells, dict[str, str | None]]:
    """(values, units) of the columns of single values that astropy gives, under our reader's labels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = parse(str(path)).get_first_table()
    cells: Cells = {}
    units: dict[str, str | None] = {}
    for field in table.fields:
        column = table.array[field.ID]
        if column.dtype.kind not in "OUS" and (column.ndim > 1 or column.dtype.kind == "c"):
            continue
        mask = np.ma.getmaskarray(column)
        if column.dtype.kind == "O" and field.datatype not in ("char", "unicodeChar"):
            continue
        if "x" in (field.arraysize or "") or (
            field.datatype == "bit" and len(table.array) and table.format != "binary2"
        ):
            continue
        # names that differ in capitals alone are one to DuckDB
        taken = field.name.lower() in {one.lower() for one in cells}
        name = f"{field.name} #{len(cells) + 1}" if taken else field.name
        cells[name] = [None if gone else value for value, gone in zip(column.data.tolist(), mask.tolist(), strict=True)]
        units[name] = unit_of(field.unit)
    return cells, units


def unit_of(text: Any) -> str | None:
    """A unit as astropy spells it, whichever of its spellings came."""
    if text is None or not str(text).strip():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(Unit(str(text).replace("'", ""), parse_strict="silent")).strip()


def same(value: Any) -> Any:
    """A value as both readers should give it: no value, NaN and an empty text are one."""
    if isinstance(value, str | bytes):
        text = value.decode() if isinstance(value, bytes) else value
        return text.split("\0")[0].rstrip(" ") or None
    if isinstance(value, float):
        return None if math.isnan(value) else struct.pack("<d", value)
    return value


def replies() -> list[Path]:
    """Every captured reply that may be a VOTable."""
    found = [path for folder in ("vo-artefacts", "skymapper-2014-vo") for path in sorted((DATA / folder).rglob("*"))]
    return [path for path in found if path.is_file() and not path.name.endswith((".csv", ".csv.gz", ".md", ".py"))]


# What astropy reads and ours does not: nothing to load in it, or the archive itself says that it is not whole.
NOTHING_IN_IT = {"no_field_not_empty_table.xml", "test.order.xml", "missingcolumns.xml"}
FAILED_OR_CUT = {
    "vizier_b2_votable.xml", "errorstatus.xml", "overflowstatus.xml", "simbad-cone-mivot.xml",
    "test.header_extraction.1.xml", "skymapper_download_point_query.xml.gz", "skymapper_error_in_votable.xml",
}  # fmt: skip
PACKED_CELLS = {"regression.xml"}
# Its rows are in a Parquet file beside it, which astropy follows where pandas is installed.
ROWS_ELSEWHERE = {"parquet_binary.xml"}
# What ours reads and astropy does not: SkyMapper's own datatype="integer", and an attribute that says nothing of rows.
TOLERATED = {
    "timesys_errors.xml", "skymapper_bulk_catalogue_query_ms_1.xml.gz", "skymapper_point_query_fs_1.xml.gz",
    "skymapper_point_query_fs_2.xml", "skymapper_point_query_fs_3.xml.gz", "skymapper_point_query_ms_1.xml.gz",
    "skymapper_point_query_ms_2.xml", "skymapper_point_query_ms_3.xml.gz",
}  # fmt: skip


@needs_data
def test_every_captured_reply_is_read_as_astropy_reads_it_or_refused_for_a_reason() -> None:
    compared = 0
    for path in replies():
        ours = theirs = None
        try:
            ours = read(path)
        except FileDamaged as error:
            assert path.name in error.message
        try:
            theirs = read_with_astropy(path)
        except Exception:  # astropy raises many kinds; that it cannot read the file is what counts
            theirs = None
        if theirs is None:
            assert (ours is not None) == (path.name in TOLERATED), path
        elif ours is None:
            assert path.name in NOTHING_IN_IT | FAILED_OR_CUT | PACKED_CELLS | ROWS_ELSEWHERE, path
        else:
            assert path.name not in FAILED_OR_CUT, path
            assert list(ours[0]) == list(theirs[0]), path
            assert {name: unit_of(unit) for name, unit in ours[1].items()} == {
                name: unit_of(unit) for name, unit in theirs[1].items()
            }, path
            for name, values in ours[0].items():
                for our, their in zip(values, theirs[0][name], strict=True):
                    # astropy makes 0 of an empty cell of integers that declare no null
                    assert same(our) == same(their) or (our is None and type(their) is int and their == 0), (path, name)
            compared += 1
    assert compared > 45


@needs_data
def test_ucds_of_captured_replies_are_kept_as_astropy_gives_them() -> None:
    compared = 0
    for path in replies():
        try:
            with open_votable(path) as source, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = parse(str(path)).get_first_table()
                ours = [(one.name, one.ucd) for one in source.columns]
        except Exception:  # one of the two cannot read it, which another test looks at
            continue
        assert sorted(ours, key=str) == sorted(((one.name, one.ucd or None) for one in theirs.fields), key=str), path
        compared += sum(ucd is not None for _, ucd in ours)
    assert compared > 300


@needs_data
def test_replies_that_say_error_or_overflow_are_refused_with_the_archives_words() -> None:
    found = {path.name: path for path in replies()}
    for name in FAILED_OR_CUT:
        with pytest.raises(FileDamaged, match=r"OVERFLOW|error message"):
            read(found[name])


@needs_data
def test_skymappers_own_reply_has_the_values_of_its_csv_twin() -> None:
    """Astropy cannot read these: they say datatype="integer"."""
    folder = DATA / "skymapper-2014-vo"
    cells, _ = read(folder / "skymapper_bulk_catalogue_query_ms_1.xml.gz")
    with (folder / "skymapper_bulk_catalogue_query_ms_1.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 106
    for name in rows[0]:
        if isinstance(cells[name][0], bool):
            assert [str(value).lower() for value in cells[name]] == [row[name] for row in rows]
        elif isinstance(cells[name][0], str):
            assert cells[name] == [row[name].rstrip() for row in rows]
        else:
            assert [float(value) for value in cells[name]] == [float(row[name]) for row in rows]


COLUMNS = (
    Column("i", "BIGINT", "d"), Column("k", "INTEGER"), Column("h", "SMALLINT"), Column("f", "REAL", "mag"),
    Column("d", "DOUBLE", "deg"), Column("b", "BOOLEAN"), Column("c", "CHAR(5)"), Column("s", "VARCHAR"),
)  # fmt: skip
KINDS = (
    pa.int64(), pa.int32(), pa.int16(), pa.float32(), pa.float64(), pa.bool_(), pa.string(), pa.string(),
)  # fmt: skip
TEXT = st.characters(min_codepoint=33, max_codepoint=0x10FFFF, exclude_categories=("Cs", "Cc", "Cn"))
ASCII = st.characters(min_codepoint=33, max_codepoint=126)
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.integers(-(2**31), 2**31 - 1),
        st.none() | st.integers(-(2**15), 2**15 - 1),
        st.none() | st.floats(width=32),
        st.none() | st.floats(),
        st.none() | st.booleans(),
        st.none() | st.text(ASCII, min_size=1, max_size=5),
        st.none() | st.text(TEXT, min_size=1, max_size=40),
    ),
    max_size=25,
)
PROPERTY = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@PROPERTY
@given(rows=ROWS, order=st.permutations(range(len(COLUMNS))), count=st.integers(1, len(COLUMNS)))
@pytest.mark.parametrize("form", VOTABLES)
def test_any_table_that_we_write_is_read_as_it_was(
    tmp_path: Path, form: str, rows: list[tuple[Any, ...]], order: list[int], count: int
) -> None:
    """Columns of any kinds in any order: texts of variable length in between, before, behind or nowhere."""
    taken = order[:count]
    table = pa.table({COLUMNS[n].name: pa.array([row[n] for row in rows], KINDS[n]) for n in taken})
    path = tmp_path / "t.vot"
    write_table(path, form, table, [COLUMNS[n] for n in taken], name="t")
    cells, units = read(path)
    assert list(cells) == [COLUMNS[n].name for n in taken]
    assert units == {COLUMNS[n].name: COLUMNS[n].unit for n in taken}
    for n in taken:
        assert [same(one) for one in cells[COLUMNS[n].name]] == [same(row[n]) for row in rows], COLUMNS[n].name


@PROPERTY
@given(rows=ROWS, form=st.sampled_from(["tabledata", "binary", "binary2"]))
def test_any_table_that_astropy_writes_is_read_as_it_was(
    tmp_path: Path, rows: list[tuple[Any, ...]], form: str
) -> None:
    # astropy writes a text of 40 characters as 40 units of UTF-16, and cuts one whose characters take more.
    assume(all(row[7] is None or len(row[7].encode("utf-16-be")) <= 80 for row in rows))
    table = Table()
    numpy_kinds = ("i8", "i4", "i2", "f4", "f8", "?", "U5", "U40")
    for n, kind in enumerate(numpy_kinds):
        values = [row[n] for row in rows]
        filler = {"U": "", "f": math.nan}.get(kind[0], 0)
        if kind[0] == "?" and form != "binary2":
            continue  # written as bits, which have no NULL elsewhere
        if kind[0] == "i" and form == "binary":  # no NULL for these, as astropy writes them
            values = [filler if value is None else value for value in values]
        data = np.array([filler if value is None else value for value in values], kind)
        table[COLUMNS[n].name] = MaskedColumn(data, mask=[value is None for value in values])
    path = tmp_path / "t.vot"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        document = from_table(table, table_id="t")
        writeto(document, str(path), tabledata_format=form)
        theirs, _ = read_with_astropy(path)
    cells, _ = read(path)
    for n, column in enumerate(COLUMNS):
        if column.name == "b" and form != "binary2":
            continue
        found = [same(one) for one in cells[column.name]]
        if column.name in theirs:
            assert found == [same(one) for one in theirs[column.name]], column.name
        if form == "binary2":
            assert found == [same(row[n]) for row in rows], column.name


def document(fields: str, data: str, *, extra: str = "") -> str:
    return (
        '<?xml version="1.0"?><VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
        f"<TABLE>{fields}<DATA>{data}</DATA></TABLE>{extra}</RESOURCE></VOTABLE>"
    )


def tabledata(*rows: tuple[str, ...]) -> str:
    cells = ("".join(f"<TD>{cell}</TD>" for cell in row) for row in rows)
    return f"<TABLEDATA>{''.join(f'<TR>{row}</TR>' for row in cells)}</TABLEDATA>"


def stream(form: str, *rows: bytes) -> str:
    return f'<{form}><STREAM encoding="base64">{base64.b64encode(b"".join(rows)).decode()}</STREAM></{form}>'


def cells_of(tmp_path: Path, text: str) -> Cells:
    path = tmp_path / "t.vot"
    path.write_text(text)
    return read(path)[0]


@pytest.mark.parametrize("form", ["BINARY", "BINARY2"])
def test_arrays_bits_and_complex_numbers_are_passed_over_and_what_is_between_them_is_right(
    tmp_path: Path, form: str
) -> None:
    array = ' arraysize="{}"'
    fields = "".join(
        f'<FIELD name="{name}" datatype="{kind}"{size and array.format(size)}/>'
        for name, kind, size in [
            ("a", "int", ""), ("v", "double", "3"), ("b", "short", ""), ("w", "float", "*"), ("c", "char", "*"),
            ("m", "int", "2x2"), ("bits", "bit", "11"), ("d", "long", ""), ("z", "doubleComplex", ""),
            ("bv", "bit", "*"), ("texts", "char", "4x2"), ("vt", "unicodeChar", "3x*"), ("e", "unsignedByte", ""),
            ("flags", "boolean", "2"),
        ]
    )  # fmt: skip

    def row(number: int) -> bytes:
        return (
            struct.pack(">i3dh", number, 1.0, 2.0, 3.0, number + 1) + struct.pack(">i2f", 2, 1.0, 2.0)
            + struct.pack(">i3s", 3, b"abc") + struct.pack(">4i", 1, 2, 3, 4) + b"\xff\xe0"
            + struct.pack(">q2d", 2**62 + number, 0.0, 1.0) + struct.pack(">i2s", 9, b"\xff\x80") + b"abcdefgh"
            + struct.pack(">i", 3) + "xyz".encode("utf-16-be") + b"\xc8" + b"TF"
        )  # fmt: skip

    flags = b"\x00\x00" if form == "BINARY2" else b""
    cells = cells_of(tmp_path, document(fields, stream(form, *(flags + row(n) for n in range(3)))))
    assert cells == {
        "a": [0, 1, 2], "b": [1, 2, 3], "c": ["abc"] * 3, "d": [2**62, 2**62 + 1, 2**62 + 2], "e": [200] * 3,
    }  # fmt: skip


def test_the_null_of_a_field_is_its_own_and_not_that_of_a_param_or_of_another(tmp_path: Path) -> None:
    fields = (
        '<FIELD name="a" datatype="int"><VALUES null="-1"/></FIELD><FIELD name="b" datatype="int"/>'
        '<PARAM name="p" datatype="int" value="1"><VALUES null="7"/></PARAM>'
        '<FIELD name="c" datatype="int"><VALUES null=""/></FIELD><FIELD name="d" datatype="int"><VALUES ID="v" null="0x10"/></FIELD>'
        '<FIELD name="e" datatype="int"><VALUES ref="v"/></FIELD>'
    )
    cells = cells_of(tmp_path, document(fields, tabledata(("-1",) * 5, ("7", "7", "7", "16", "16"))))
    assert cells == {"a": [None, 7], "b": [-1, 7], "c": [-1, 7], "d": [-1, None], "e": [-1, None]}


def test_cells_of_tabledata_are_read_with_blanks_signs_and_entities(tmp_path: Path) -> None:
    fields = '<FIELD name="i" datatype="short"/><FIELD name="f" datatype="float"/><FIELD name="s" datatype="char" arraysize="*"/>'
    rows = [(" 7\n", " 1.5 ", "a &lt;&amp; b "), ("+3", "+Inf", "<![CDATA[<x>]]>"), ("0xff", "NaN", ""), ("", "-", "é")]
    cells = cells_of(tmp_path, document(fields, tabledata(*rows)))
    assert cells["i"] == [7, 3, 255, None]
    assert [same(one) for one in cells["f"]] == [same(1.5), same(math.inf), None, None]
    assert cells["s"] == ["a <& b", "<x>", None, "é"]


@pytest.mark.parametrize(
    ("datatype", "cell"),
    [("short", "32768"), ("unsignedByte", "256"), ("int", "1.5"), ("int", "1_0"), ("long", "9223372036854775808"),
     ("float", "1e39"), ("double", "1_0"), ("double", "1,5"), ("boolean", "maybe"), ("boolean", "2")],
)  # fmt: skip
def test_a_cell_that_is_no_such_value_is_named_with_its_row(tmp_path: Path, datatype: str, cell: str) -> None:
    fields = f'<FIELD name="x" datatype="{datatype}"/>'
    with pytest.raises(FileDamaged, match=rf"row 3, column x: '{cell}' is no {datatype}"):
        cells_of(tmp_path, document(fields, tabledata(("1",), ("0",), (cell,), ("1",))))


@pytest.mark.parametrize(
    ("fields", "data", "words"),
    [
        ('<FIELD name="x" datatype="quad"/>', tabledata(("1",)), "datatype 'quad', which VOTable does not have"),
        ('<FIELD name="x"/>', tabledata(("1",)), "datatype ''"),
        ('<FIELD name="x" datatype="int" arraysize="many"/>', tabledata(("1",)), "arraysize 'many'"),
        ('<FIELD name="x" datatype="integer"/>', stream("BINARY", b"\0" * 8), "does not tell how many bytes"),
        ('<FIELD name="x" datatype="int"/>', '<FITS><STREAM href="x.fits"/></FITS>', "as FITS"),
        ('<FIELD name="x" datatype="int"/>', '<BINARY><STREAM href="http://x/y"/></BINARY>', "not in it, but in http"),
        ('<FIELD name="x" datatype="int"/>', '<BINARY><STREAM encoding="gzip">x</STREAM></BINARY>', "packed as 'gzip'"),
        ('<FIELD name="x" datatype="int"/>', stream("BINARY", b"\0" * 7), "the last row is cut: 3 bytes are left"),
        ('<FIELD name="x" datatype="int"/>', '<BINARY><STREAM encoding="base64">AAA?</STREAM></BINARY>', "garbled"),
        ('<FIELD name="x" datatype="boolean"/>', stream("BINARY", b"TFx"), "byte 120 is no boolean in column x"),
        ('<FIELD name="x" datatype="char" arraysize="*"/>', stream("BINARY", b"\x7f\0\0\0ab"), "column x"),
        ('<FIELD name="x" datatype="char" arraysize="*"/>', stream("BINARY", b"\0\0\0\1\xff"), "column x holds bytes"),
        ('<FIELD name="x" datatype="int" arraysize="2"/>', tabledata(("1 2",)), "no columns of single values"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_words(tmp_path: Path, fields: str, data: str, words: str) -> None:
    with pytest.raises(FileDamaged) as caught:
        cells_of(tmp_path, document(fields, data))
    assert words in caught.value.message


def test_a_file_of_tables_gives_the_first_and_says_so(tmp_path: Path) -> None:
    second = f'<TABLE><FIELD name="y" datatype="int"/><DATA>{tabledata(("2",))}</DATA></TABLE>'
    path = tmp_path / "t.vot"
    path.write_text(document('<FIELD name="x" datatype="int"/>', tabledata(("1",)), extra=second))
    with open_votable(path) as source, duckdb.connect(":memory:") as con:
        assert con.execute(f"FROM {source.relation(con)}").fetchall() == [(1,)]
        assert source.notes == {"tables_passed_over": "1 after the first"}


def test_rows_cross_the_ends_of_blocks_and_batches_unharmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(votable_rows, "_BATCH", 7)
    monkeypatch.setattr(votable_rows, "_BYTES", 100)
    values = [f"name {n}" * (n % 5) or None for n in range(500)]
    table = pa.table({"i": pa.array(range(500)), "s": pa.array(values, pa.string())})
    for form in VOTABLES:
        path = tmp_path / f"{form}.vot.gz"
        plain = tmp_path / "plain.vot"
        write_table(plain, form, table, (Column("i", "BIGINT"), Column("s", "VARCHAR")), name="t")
        path.write_bytes(gzip.compress(plain.read_bytes()))
        assert read(path)[0] == {"i": list(range(500)), "s": values}


@pytest.mark.parametrize("between", ["\n", "\r\n", "&#13;\n", "&#x20;", "<!-- a comment -->", " \t\n"])
def test_base64_in_lines_is_read_whatever_stands_between_them(tmp_path: Path, between: str) -> None:
    rows = [struct.pack(">q", n) for n in range(1_000)]
    text = base64.b64encode(b"".join(rows)).decode()
    lines = between.join(text[start : start + 76] for start in range(0, len(text), 76))
    data = f'<BINARY><STREAM encoding="base64">{between}{lines}{between}</STREAM></BINARY>'
    assert cells_of(tmp_path, document('<FIELD name="x" datatype="long"/>', data)) == {"x": list(range(1_000))}


def test_a_break_after_lines_of_base64_is_told_with_its_line(tmp_path: Path) -> None:
    data = '<BINARY><STREAM encoding="base64">' + "\nAAAAAAAA" * 30 + "</STREAM></BINARY>"
    text = document('<FIELD name="x" datatype="short"/>', data).replace("</RESOURCE>", "\n\n</RESOUR>")
    with pytest.raises(FileDamaged, match="breaks at line 33"):
        cells_of(tmp_path, text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_the_encoding_of_the_xml_is_its_own_business(tmp_path: Path, encoding: str) -> None:
    text = document('<FIELD name="s" datatype="unicodeChar" arraysize="*"/>', tabledata(("Ångström",)))
    path = tmp_path / "t.vot"
    path.write_bytes(text.replace('version="1.0"', f'version="1.0" encoding="{encoding}"').encode(encoding))
    assert read(path)[0] == {"s": ["Ångström"]}


def test_entities_that_grow_without_end_are_refused(tmp_path: Path) -> None:
    bomb = "".join(f"<!ENTITY e{n} '{10 * chr(38)}'>".replace(chr(38), f"&e{n - 1};") for n in range(1, 10))
    text = f'<?xml version="1.0"?><!DOCTYPE VOTABLE [<!ENTITY e0 "star">{bomb}]>' + document(
        '<FIELD name="s" datatype="char" arraysize="*"/>', tabledata(("&e9;",))
    ).removeprefix('<?xml version="1.0"?>')
    with pytest.raises(SkysyError):
        cells_of(tmp_path, text)
