"""What skysy.formats writes reads back bit for bit in astropy, pyarrow and DuckDB, with its metadata."""

from __future__ import annotations

import base64
import datetime
import gzip
import io
import math
import re
import struct
import warnings
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.io.votable import parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skysy.columns import Column
from skysy.errors import UsageError
from skysy.formats.text import write_csv
from skysy.formats.votable import stream_votable
from skysy.formats.write import FORMATS, SUFFIX, write_table

VOTABLES = ("votable-binary2", "votable-binary", "votable-tabledata")

COLUMNS = (
    Column("source_id", "BIGINT", None, "meta.id;meta.main", "identifier of the source, 19 digits"),
    Column("key", "INTEGER", None, "meta.id.cross", "a key"),
    Column("flag", "SMALLINT", None, "meta.code", "flags < 4 & more"),
    Column("used", "BOOLEAN", None, "meta.code.qual", "TRUE, FALSE or NULL"),
    Column("mag", "REAL", "mag", "phot.mag;em.opt.U", "PSF magnitude"),
    Column("ra", "DOUBLE", "deg", "pos.eq.ra;meta.main", "right ascension"),
    Column("j_m", "DECIMAL(6,3)", "mag", "phot.mag;em.IR.J", "J magnitude"),
    Column("ph_qual", "CHAR(3)", None, "meta.code.qual", "quality"),
    Column("name", "VARCHAR", None, "meta.id", "a name"),
)
IDS = [9223372036854775807, 4075332117418593537, None, -9223372036854775807, 6015507731384081665]
VALUES: dict[str, list[Any]] = {
    "source_id": IDS,
    "key": [2147483647, None, -2147483648, 0, 1],
    "flag": [None, 32767, -32768, -32767, 0],
    "used": [True, None, False, None, True],
    "mag": [15.1, None, 0.0033, 1e-38, 16777216.0],
    "ra": [0.1 + 0.2, 359.99999999999994, None, -89.123456789012345, 5e-324],
    "j_m": [Decimal("9.050"), Decimal("-0.001"), None, Decimal("14.000"), Decimal("8.200")],
    "ph_qual": ["AAA", "000", "A", None, "U&<"],
    "name": ["V* V589 CrA", 'a,"b"\nc <&>', None, "WRAY 15-1356", "x" * 300],
}


def the_table(values: dict[str, list[Any]] | None = None) -> pa.Table:
    kinds = {
        "source_id": pa.int64(), "key": pa.int32(), "flag": pa.int16(), "used": pa.bool_(),
        "mag": pa.float32(), "ra": pa.float64(), "j_m": pa.decimal128(6, 3), "ph_qual": pa.string(),
        "name": pa.string(),
    }  # fmt: skip
    return pa.table({name: pa.array((values or VALUES)[name], kind) for name, kind in kinds.items()})


def written(tmp_path: Path, form: str, table: pa.Table, columns: tuple[Column, ...] = COLUMNS) -> Path:
    path = tmp_path / f"t{SUFFIX[form]}"
    write_table(path, form, table, columns, name="ext.test", description="a <test> & more")
    return path


def read_votable(path: Path) -> tuple[Any, dict[str, list[Any]]]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = parse(str(path)).get_first_table()
    cells: dict[str, list[Any]] = {}
    for field in table.fields:
        column = table.array[field.name]
        cells[field.name] = [None if masked else value for value, masked in zip(column.data, column.mask, strict=True)]
    return table, cells


def csv_rows(path: Path, types: dict[str, str]) -> list[Any]:
    """What DuckDB reads from a CSV file of columns whose types it is told."""
    query = f"SELECT * FROM read_csv('{path}', columns = {types!r}, header = true, auto_detect = false)"
    return duckdb.execute(query).fetchall()


def bits(kind: str, values: list[Any]) -> list[bytes | None]:
    return [None if value is None else struct.pack(kind, value) for value in values]


@pytest.mark.parametrize("form", VOTABLES)
def test_every_value_and_null_of_a_votable_is_what_astropy_reads(tmp_path: Path, form: str) -> None:
    _, cells = read_votable(written(tmp_path, form, the_table()))
    for name in ("source_id", "key", "flag", "used"):
        assert [None if v is None else int(v) for v in cells[name]] == [
            None if v is None else int(v) for v in VALUES[name]
        ], name
    assert bits("<f", cells["mag"]) == bits("<f", VALUES["mag"])
    assert bits("<d", cells["ra"]) == bits("<d", VALUES["ra"])
    back = [None if v is None else Decimal(str(round(float(v), 3))).quantize(Decimal("0.001")) for v in cells["j_m"]]
    assert back == VALUES["j_m"]
    for name in ("ph_qual", "name"):  # only BINARY2 keeps a NULL string apart
        assert [v or "" for v in cells[name]] == [v or "" for v in VALUES[name]], name


@pytest.mark.parametrize("form", VOTABLES)
def test_votable_fields_carry_unit_ucd_and_description(tmp_path: Path, form: str) -> None:
    table, _ = read_votable(written(tmp_path, form, the_table()))
    assert table.name == "ext.test"
    assert table.description == "a <test> & more"
    assert [f.name for f in table.fields] == [c.name for c in COLUMNS]
    for field, column in zip(table.fields, COLUMNS, strict=True):
        assert str(field.unit or "") == (column.unit or "")
        assert field.ucd == column.ucd
        assert field.description == column.description
    assert [f.datatype for f in table.fields] == [
        "long", "int", "short", "boolean", "float", "double", "double", "char", "char",
    ]  # fmt: skip
    assert table.fields[7].arraysize == "3"


def test_binary2_tells_null_from_nan_and_from_an_empty_string(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array([math.nan, None, 2.0], pa.float32()), "s": ["", None, "a"]})
    path = written(tmp_path, "votable-binary2", table, (Column("x", "REAL"), Column("s", "VARCHAR")))
    stream = re.search(r"<STREAM[^>]*>(.*)</STREAM>", path.read_text(), re.DOTALL)
    assert stream is not None
    # one byte of NULL bits, the leftmost for the first column; a big-endian float; a length and the text
    nan, empty = struct.pack(">f", math.nan), struct.pack(">i", 0)
    rows = [b"\x00" + nan + empty, b"\xc0" + nan + empty, b"\x00" + struct.pack(">fi", 2.0, 1) + b"a"]
    assert base64.b64decode(stream[1]) == b"".join(rows)


def test_a_decimal_becomes_the_nearest_double(tmp_path: Path) -> None:
    texts = [f"{number / 1000:.3f}" for number in range(-3_000, 20_000)]
    table = pa.table({"j_m": pa.array([Decimal(text) for text in texts], pa.decimal128(6, 3))})
    _, cells = read_votable(written(tmp_path, "votable-binary2", table, (Column("j_m", "DECIMAL(6,3)"),)))
    assert cells["j_m"] == [float(text) for text in texts]


@pytest.mark.parametrize("form", VOTABLES)
def test_names_beyond_ascii_survive_a_votable(tmp_path: Path, form: str) -> None:
    names = ["Ångström", "α Cen", "plain", "𝛼"]
    _, cells = read_votable(written(tmp_path, form, pa.table({"s": names}), (Column("s", "VARCHAR"),)))
    assert list(cells["s"]) == names


@pytest.mark.parametrize("form", VOTABLES)
def test_many_rows_of_changing_length_keep_their_order(tmp_path: Path, form: str) -> None:
    count = 9_001
    table = pa.table({"n": pa.array(range(count), pa.int64()), "s": ["x" * (i % 17) + str(i) for i in range(count)]})
    _, cells = read_votable(written(tmp_path, form, table, (Column("n", "BIGINT"), Column("s", "VARCHAR"))))
    assert cells["n"] == list(range(count))
    assert [str(s) for s in cells["s"]] == table["s"].to_pylist()


def test_parquet_keeps_types_values_and_the_voparquet_header(tmp_path: Path) -> None:
    path = written(tmp_path, "parquet", the_table())
    read = pq.read_table(path)
    assert read.replace_schema_metadata(None).cast(the_table().schema).equals(the_table())
    assert read.schema.metadata[b"IVOA.VOTable-Parquet.version"] == b"1.0"
    inner = parse(io.BytesIO(read.schema.metadata[b"IVOA.VOTable-Parquet.content"])).get_first_table()
    assert [f.name for f in inner.fields] == [c.name for c in COLUMNS]
    assert len(inner.array) == 0
    field = read.schema.field("mag")
    assert field.metadata[b"unit"] == b"mag"
    assert field.metadata[b"ucd"] == b"phot.mag;em.opt.U"
    assert field.metadata[b"description"] == b"PSF magnitude"
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"


@pytest.mark.parametrize("form", ["csv", "csv.gz"])
def test_csv_read_with_the_columns_types_gives_every_value_back(tmp_path: Path, form: str) -> None:
    path = written(tmp_path, form, the_table())
    types = {c.name: "VARCHAR" if c.type.startswith("CHAR") else c.type for c in COLUMNS}
    rows = dict(zip(types, map(list, zip(*csv_rows(path, types), strict=True)), strict=True))
    assert bits("<f", rows.pop("mag")) == bits("<f", VALUES["mag"])
    assert rows == {name: values for name, values in VALUES.items() if name != "mag"}


def test_csv_spells_a_real_with_its_own_digits_and_null_as_nothing(tmp_path: Path) -> None:
    text = written(tmp_path, "csv", the_table()).read_text().splitlines()
    assert text[0] == ",".join(c.name for c in COLUMNS)
    assert text[1] == "9223372036854775807,2147483647,,true,15.1,0.30000000000000004,9.050,AAA,V* V589 CrA"


def test_gzipped_csv_holds_no_clock_and_no_name(tmp_path: Path) -> None:
    big = pa.concat_tables([the_table()] * 20_000)
    one = written(tmp_path, "csv.gz", big).read_bytes()
    (tmp_path / "b").mkdir()
    assert written(tmp_path / "b", "csv.gz", big).read_bytes() == one
    assert one[3:8] == bytes(5)
    assert gzip.decompress(one) == written(tmp_path, "csv", big).read_bytes()


def test_fits_gives_values_nulls_and_keywords_to_astropy(tmp_path: Path) -> None:
    columns = tuple(c for c in COLUMNS if c.name != "used")
    path = tmp_path / "t.fits"
    write_table(path, "fits", the_table(), columns, name="ext.test", description="a test")
    with fits.open(path) as hdus:
        data, header = hdus[1].data, hdus[1].header
        for number, column in enumerate(columns, start=1):
            assert header[f"TTYPE{number}"] == column.name
            assert header.get(f"TUNIT{number}") == column.unit
            assert header[f"TUCD{number}"] == column.ucd
            assert header[f"TCOMM{number}"] == column.description
        for name in ("source_id", "key", "flag"):
            null = header[f"TNULL{list(data.names).index(name) + 1}"]
            assert [None if v == null else int(v) for v in data[name]] == VALUES[name], name
        assert bits("<f", [None if np.isnan(v) else v for v in data["mag"]]) == bits("<f", VALUES["mag"])
        assert bits("<d", [None if np.isnan(v) else v for v in data["ra"]]) == bits("<d", VALUES["ra"])
        assert list(data["ph_qual"]) == [v or "" for v in VALUES["ph_qual"]]


def test_fits_refuses_booleans_with_nulls_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="used is a BOOLEAN with NULLs"):
        written(tmp_path, "fits", the_table())
    assert list(tmp_path.iterdir()) == []


def test_fits_keeps_whole_booleans(tmp_path: Path) -> None:
    path = written(tmp_path, "fits", pa.table({"b": [True, False, True]}), (Column("b", "BOOLEAN"),))
    with fits.open(path) as hdus:
        assert list(hdus[1].data["b"]) == [True, False, True]


@pytest.mark.parametrize("form", FORMATS)
def test_a_table_without_rows_can_be_written_and_read(tmp_path: Path, form: str) -> None:
    path = written(tmp_path, form, the_table().slice(0, 0))
    if form == "fits":
        with fits.open(path) as hdus:
            assert len(hdus[1].data) == 0
    elif form == "parquet":
        assert pq.read_table(path).num_rows == 0
    elif form.startswith("csv"):
        opener = gzip.open if form.endswith("gz") else open
        with opener(path, "rt") as lines:
            assert len(lines.readlines()) == 1
    else:
        assert len(read_votable(path)[0].array) == 0


@pytest.mark.parametrize("form", FORMATS)
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"t{SUFFIX[form]}"
    path.write_text("old")
    with pytest.raises(UsageError):
        write_table(path, form, pa.table({"x": [1e10]}), (Column("x", "INTEGER"),), name="t")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_and_nested_columns_and_unknown_formats_are_refused_by_name(tmp_path: Path) -> None:
    table = pa.table({"x": [1], "y": [[1, 2]]})
    with pytest.raises(UsageError, match="no column z"):
        write_table(tmp_path / "t.csv", "csv", table, (Column("z", "INTEGER"),), name="t")
    with pytest.raises(UsageError, match="y is of type INTEGER"):
        write_table(tmp_path / "t.csv", "csv", table, (Column("y", "INTEGER[]"),), name="t")
    with pytest.raises(UsageError, match="no format 'xls'"):
        write_table(tmp_path / "t.xls", "xls", table, (Column("x", "INTEGER"),), name="t")


def test_times_become_iso_text_in_votable_and_fits(tmp_path: Path) -> None:
    moment = datetime.datetime(2018, 3, 1, 12, 30, 5, 250000)
    table = pa.table({"t": pa.array([moment, None], pa.timestamp("us")), "d": [moment.date(), None]})
    columns = (Column("t", "TIMESTAMP"), Column("d", "DATE"))
    _, cells = read_votable(written(tmp_path, "votable-binary2", table, columns))
    assert cells == {"t": ["2018-03-01T12:30:05.250000", ""], "d": ["2018-03-01", ""]}
    with fits.open(written(tmp_path, "fits", table, columns)) as hdus:
        assert list(hdus[1].data["t"]) == ["2018-03-01T12:30:05.250000", ""]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.floats(width=32, allow_nan=False),
            st.none() | st.floats(allow_nan=False),
            st.none() | st.booleans(),
            st.none() | st.decimals(min_value=-999, max_value=999, places=3),
            st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12),
        ),
        max_size=30,
    )
)
@pytest.mark.parametrize("form", ["votable-binary2", "votable-binary", "csv.gz"])
def test_any_rows_come_back(tmp_path: Path, form: str, rows: list[tuple[Any, ...]]) -> None:
    columns = (
        Column("i", "BIGINT"), Column("f", "REAL"), Column("d", "DOUBLE"), Column("b", "BOOLEAN"),
        Column("m", "DECIMAL(6,3)"), Column("s", "VARCHAR"),
    )  # fmt: skip
    kinds = (pa.int64(), pa.float32(), pa.float64(), pa.bool_(), pa.decimal128(6, 3), pa.string())
    lists = list(zip(*rows, strict=True)) if rows else [()] * 6
    table = pa.table({c.name: pa.array(v, k) for c, k, v in zip(columns, kinds, lists, strict=True)})
    path = written(tmp_path, form, table, columns)
    if form == "csv.gz":
        types = {c.name: c.type for c in columns}
        got = csv_rows(path, types)
    else:
        _, cells = read_votable(path)
        cells["s"] = [v or None for v in cells["s"]]
        cells["m"] = [None if v is None else Decimal(f"{v:.3f}") for v in cells["m"]]
        got = list(zip(*(cells[c.name] for c in columns), strict=True))
    assert [repr_row(row) for row in got] == [repr_row(row) for row in rows]


def repr_row(row: tuple[Any, ...]) -> tuple[Any, ...]:
    integer, single, double, truth, decimal, text = row
    return (
        None if integer is None else int(integer),
        bits("<f", [single]),
        bits("<d", [double]),
        None if truth is None else bool(truth),
        None if decimal is None else decimal + 0,
        text,
    )


@pytest.mark.parametrize("form", ["csv", "votable-binary2"])
@pytest.mark.parametrize("name", ["plain", "Prüfstern"])
def test_rows_that_come_in_batches_are_written_as_they_come_and_give_the_same_bytes(
    tmp_path: Path, form: str, name: str
) -> None:
    table = the_table({**VALUES, "name": ["a", name, None, "", "b"]})
    write_table(tmp_path / "whole", form, table, COLUMNS, name="t", description="d")
    out = io.BytesIO()
    lengths = []

    def batches() -> Iterator[pa.RecordBatch]:
        for start in (0, 1, 3):
            lengths.append(out.tell())
            yield from table.slice(start, 2 if start else 1).combine_chunks().to_batches()

    if form == "csv":
        write_csv(out, batches(), COLUMNS)
    else:
        stream_votable(out, batches(), COLUMNS, "t", "d", rows=5, wide=() if name.isascii() else ("name",))
    assert out.getvalue() == (tmp_path / "whole").read_bytes()
    assert 0 < lengths[0] < lengths[-1] < out.tell()
