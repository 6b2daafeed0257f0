"""Ways around the slow parts of reading VOTables give what the slow parts give: plain TABLEDATA, rows of equal length."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import duckdb
import pytest
from skysy.loaders import packed, votable_plain, votable_rows
from skysy.loaders.votable import open_votable

from skysy.errors import FileDamaged

FIELDS = (
    '<FIELD name="id" datatype="long"/><FIELD name="mag" datatype="float"/><FIELD name="good" datatype="boolean"/>'
    '<FIELD name="word" datatype="char" arraysize="*"/>'
)
ROWS = [
    ("1", "12.5", "T", "two words"), ("-2", "NaN", "false", ""), ("", "", "?", "é, \" ' ; \t|"), ("+4", "1e-3", "0", "  led"),
]  # fmt: skip


def document(body: str, head: str = "") -> str:
    return (
        f'{head}<VOTABLE version="1.4"><RESOURCE type="results"><INFO name="QUERY_STATUS" value="OK"/><TABLE>{FIELDS}'
        f"<DATA><TABLEDATA>{body}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    )


def written(rows: list[tuple[str, ...]], gaps: tuple[str, str, str] = ("", "", "")) -> str:
    """Rows of TABLEDATA with this white space before a TR, a TD and the end of a TR."""
    row_gap, cell_gap, end_gap = gaps
    return "".join(
        f"{row_gap}<TR>{''.join(f'{cell_gap}<TD>{cell}</TD>' for cell in row)}{end_gap}</TR>" for row in rows
    )


def read(path: Path, text: str | bytes) -> list[tuple[Any, ...]]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with open_votable(path) as source, duckdb.connect(":memory:") as con:
        try:
            return con.execute(f"FROM {source.relation(con)}").fetchall()
        except duckdb.Error as error:
            raise source.failures[0] from error


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of some rows, so that a small file has many."""
    monkeypatch.setattr(packed, "BLOCK", 1 << 10)
    monkeypatch.setattr(votable_rows, "_BYTES", 1 << 11)
    monkeypatch.setattr(votable_rows, "_FEW", 4)


def outcome(path: Path, text: str | bytes) -> str:
    """The rows, or the words of the refusal."""
    try:
        return repr(read(path, text))
    except FileDamaged as error:
        return error.message


MANY = [ROWS[n % 4] for n in range(300)]
LATE = written(MANY)
BODIES = {
    "plain": LATE,
    "indented": written(MANY, ("\n  ", "\n    ", "\n  ")) + "\n",
    "empty": "",
    "one": written(ROWS[:1]),
    "short cells": LATE.replace("<TD></TD>", "<TD/>"),
    "reference": LATE + written([("5", "1", "T", "a &amp; b &#x41;")]) + LATE,
    "cdata": LATE + written([("5", "1", "T", "<![CDATA[a </TD></TR> b]]>")]) + LATE,
    "comment": LATE + "<!-- <TR><TD>9</TD></TR> -->" + LATE,
    "line break": LATE + written([("5", "1", "T", "two\nlines")]) + LATE,
    "attributes": LATE + '<TR><TD>5</TD><TD ref="x">1</TD><TD>T</TD><TD>x</TD></TR>' + LATE,
    "packed": LATE + '<TR><TD>5</TD><TD encoding="base64">MQ==</TD><TD>T</TD><TD>x</TD></TR>',
    "other gaps": LATE + written(MANY, ("\n", " ", "")),
    "Windows": written(MANY, ("\r\n", "", "")),
    "too few": LATE + "<TR><TD>5</TD></TR>" + LATE,
    "too many": LATE + written([(*ROWS[0], "more")]),
    "no number": LATE + written([("five", "1", "T", "x")]),
    "no boolean": LATE + written([("5", "1", "maybe", "x")]),
    "broken": LATE + "<TR><TD>5</TD><TD>1</TR>" + LATE,
    "control": LATE + written([("5", "1", "T", "a\x01b")]) + LATE,
    "separator": LATE + written([("5", "1", "T", "a\x1fb")]) + LATE,
    "cut": LATE + "<TR><TD>5</TD>",
    "markup end": LATE + written([("5", "1", "T", "a ]]> b")]),
}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_the_way_around_the_parser_gives_what_the_parser_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    fast = outcome(tmp_path / "table.vot", document(body))
    monkeypatch.setattr(votable_plain, "cells", lambda text, columns: None)
    assert fast == outcome(tmp_path / "table.vot", document(body))


@pytest.mark.usefixtures("small")
def test_plain_rows_do_go_around_the_parser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []

    def cells(text: bytes, columns: int, cells: Any = votable_plain.cells) -> Any:
        found = cells(text, columns)
        counted.append(found.num_rows if found is not None else -1)
        return found

    monkeypatch.setattr(votable_plain, "cells", cells)
    for name in ("plain", "indented"):
        counted.clear()
        assert len(read(tmp_path / f"{name}.vot", document(BODIES[name]))) == 300
        assert sum(counted) == 300
        assert len(counted) > 5


@pytest.mark.usefixtures("small")
def test_another_encoding_is_left_to_the_parser(tmp_path: Path) -> None:
    head = '<?xml version="1.0" encoding="ISO-8859-1"?>'
    rows = read(tmp_path / "latin.vot", document(LATE, head).encode("latin-1"))
    assert {row[3] for row in rows} >= {"é, \" ' ; \t|"}
    assert len(rows) == 300


@pytest.mark.usefixtures("small")
def test_what_follows_the_rows_is_still_heard(tmp_path: Path) -> None:
    text = document(LATE).replace("</RESOURCE>", '<INFO name="QUERY_STATUS" value="OVERFLOW"/></RESOURCE>')
    with pytest.raises(FileDamaged, match="OVERFLOW"):
        read(tmp_path / "cut.vot", text)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("lengths", [(3,), (3, 3, 3, 3, 3, 4), (0, 1, 2), tuple(range(9))])
def test_rows_of_equal_length_are_stepped_over_as_if_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lengths: tuple[int, ...]
) -> None:
    import pyarrow as pa

    from skysy.columns import Column
    from skysy.formats.write import write_table

    chance = random.Random(str(lengths))
    words = ["x" * chance.choice(lengths) for _ in range(2_000)]
    others = ["y" * (5 if n < 1_500 else chance.choice(lengths)) for n in range(2_000)]
    table = pa.table({"id": list(range(2_000)), "word": words, "other": others, "last": [1.5] * 2_000})
    columns = (
        Column("id", "BIGINT"), Column("word", "VARCHAR"), Column("other", "VARCHAR"), Column("last", "DOUBLE"),
    )  # fmt: skip
    path = tmp_path / "rows.vot"
    write_table(path, "votable-binary2", table, columns, name="rows")
    stepped = read(path, path.read_bytes())
    monkeypatch.setattr(votable_rows, "_alike", lambda *_: 0)
    assert stepped == read(path, path.read_bytes())
    assert stepped == [(n, words[n] or None, others[n] or None, 1.5) for n in range(2_000)]
