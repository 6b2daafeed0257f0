"""The CSV reader: any rows, however another tool quotes them, are read as they were or refused with their place."""

from __future__ import annotations

import csv
import gzip
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from skysy.loaders import csv as loader
from skysy.loaders import packed
from skysy.loaders.csv import NULLS, open_csv

from skysy.columns import Column
from skysy.contract import TableContract
from skysy.errors import FileDamaged, LoadError, ValueDamaged
from skysy.formats.write import write_table

COLUMNS = (
    Column("i", "BIGINT"), Column("h", "SMALLINT"), Column("f", "REAL"), Column("d", "DOUBLE"),
    Column("b", "BOOLEAN"), Column("s", "VARCHAR"),
)  # fmt: skip
KINDS = (pa.int64(), pa.int16(), pa.float32(), pa.float64(), pa.bool_(), pa.string())
TABLE = TableContract("lab.rows", "rows", "one row per row", ("i",), COLUMNS)
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.integers(-(2**15), 2**15 - 1),
        st.none() | st.floats(width=32, allow_nan=False),
        st.none() | st.floats(allow_nan=False),
        st.none() | st.booleans(),
        st.none() | TEXT.filter(lambda text: text not in NULLS),
    ),
    max_size=20,
)
PROPERTY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(path: Path) -> list[tuple[Any, ...]]:
    """The rows that the reader gives."""
    with open_csv(path, TABLE) as source, duckdb.connect(":memory:") as con:
        try:
            return con.execute(f"FROM {source.relation(con)}").fetchall()
        except duckdb.Error as error:
            raise (source.failures[0] if source.failures else error) from error


def exact(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows whose floats are compared bit for bit."""
    return [tuple(struct.pack("<d", one) if isinstance(one, float) else one for one in row) for row in rows]


@PROPERTY
@given(rows=ROWS)
@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_any_rows_that_we_write_are_read_bit_for_bit(tmp_path: Path, rows: list[tuple[Any, ...]], suffix: str) -> None:
    lists = list(zip(*rows, strict=True)) if rows else [()] * len(COLUMNS)
    table = pa.table({c.name: pa.array(v, k) for c, k, v in zip(COLUMNS, KINDS, lists, strict=True)})
    path = tmp_path / f"rows.{suffix}"
    write_table(path, suffix, table, COLUMNS, name="rows")
    assert exact(read(path)) == exact(rows)


@PROPERTY
@given(
    rows=ROWS,
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    ending=st.sampled_from(["\n", "\r\n"]),
    null=st.sampled_from(NULLS),
    start=st.sampled_from(["", "\ufeff"]),
)
def test_any_rows_that_another_tool_writes_are_read_bit_for_bit(
    tmp_path: Path, rows: list[tuple[Any, ...]], quoting: int, ending: str, null: str, start: str
) -> None:
    # Python's writer leaves a carriage return without quotes where lines end in a line feed: nobody can tell it from an end then.
    unquoted = quoting == csv.QUOTE_MINIMAL and ending == "\n"
    assume(not (unquoted and any("\r" in (row[5] or "") for row in rows)))
    path = tmp_path / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as out:
        out.write(start)
        writer = csv.writer(out, quoting=quoting, lineterminator=ending)  # type: ignore[arg-type]
        writer.writerow([column.name for column in COLUMNS])
        writer.writerows([[null if one is None else one for one in row] for row in rows])
    assert exact(read(path)) == exact(rows)


@PROPERTY
@given(rows=ROWS.filter(bool), cut=st.floats(0, 1, exclude_max=True))
def test_a_packed_file_cut_anywhere_is_an_error(tmp_path: Path, rows: list[tuple[Any, ...]], cut: float) -> None:
    path = tmp_path / "rows.csv.gz"
    content = gzip.compress(b"i,s\n" + b"".join(f"{row[0] or 0},x\n".encode() for row in rows))
    path.write_bytes(content[: int(cut * len(content))])
    with pytest.raises(FileDamaged, match=r"rows\.csv\.gz"):
        read(path)


def test_the_place_of_a_bad_value_is_its_line_behind_blank_lines_and_texts_of_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "BLOCK", 4096)
    path = tmp_path / "rows.csv"
    good = '1,"two\nlines"\n\n2,x\n'
    path.write_text(f"i,s\n{good * 1_000}7.5,bad\n{good}")
    with pytest.raises(ValueDamaged, match=r"line 4002, column i of lab\.rows: '7\.5' cannot be BIGINT"):
        read(path)


def test_the_first_bad_line_is_named_whatever_its_column(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("i,h,b\n1,2,t\n1,2,maybe\nx,2,t\n1,99999,t\n")
    for words, good in (
        (r"line 3, column b .*'maybe' cannot be BOOLEAN", "t"),
        (r"line 4, column i .*'x' cannot be BIGINT", "1"),
        (r"line 5, column h .*'99999' cannot be SMALLINT", "9"),
    ):
        with pytest.raises(ValueDamaged, match=words) as caught:
            read(path)
        bad = caught.value.message.split("'")[1]
        path.write_text(path.read_text().replace(bad, good))
    assert len(read(path)) == 4


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_rows_cross_the_ends_of_blocks_unharmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(packed, "BLOCK", size)
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress('i,s\r\n1,"a ""b"""\r\n2,é\r\n'.encode()) + gzip.compress(b"3,c"))
    assert read(path) == [(1, 'a "b"'), (2, "é"), (3, "c")]


def test_a_file_is_closed_whether_it_was_read_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    real = Path.open

    def noted(self: Path, *words: Any, **others: Any) -> Any:
        opened.append(real(self, *words, **others))
        return opened[-1]

    path = tmp_path / "rows.csv"
    monkeypatch.setattr(Path, "open", noted)
    for text in ("i,s\n1,a\n", "i,s\nx,a\n", "<html>", "", 'i,s\n1,"a\n'):
        path.write_bytes(text.encode())
        with suppress(LoadError):
            read(path)
        assert opened
        assert all(file.closed for file in opened), text


def test_a_piece_of_a_file_ends_between_rows_and_never_within_a_quoted_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "BLOCK", 256)
    monkeypatch.setattr(packed, "BLOCK", 50)
    path = tmp_path / "rows.csv"
    texts = ['1,"2"\n' * (n % 7) + '"\n' * (n % 5) + "x" for n in range(400)]
    with path.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["i", "s"])
        writer.writerows(enumerate(texts))
    assert read(path) == list(enumerate(texts))
    path.write_text(path.read_text() + '400,"' + "and so on\n1,x\n" * 300)
    with pytest.raises(FileDamaged, match="never closed"):
        read(path)
