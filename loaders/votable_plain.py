"""Rows of TABLEDATA that are written plainly, read without the XML parser, which takes an event per cell.

Plain are rows of bare TR and TD elements in UTF-8 with the same white space between them throughout, and without references,
comments, CDATA sections, processing instructions and line breaks in cells, as services write them. All else is told from it
here and left to the parser.
"""

from __future__ import annotations

import io
import re

import pyarrow as pa
from pyarrow import csv

BEGIN, END, ROW_END = b"<TABLEDATA>", b"</TABLEDATA", b"</TR>"

_CELL, _ROW = b"\x1f", b"\x1e"  # no XML document may hold them
_NO_XML = bytes(byte for byte in range(32) if byte not in b"\t\n\r")
_UNPLAIN = (b"&", b"\r", b"<!", b"<?", b"]]>")
_FIRST = re.compile(rb"\s*<TR>(?P<before>\s*)<TD>[^<]*</TD>(?:(?P<between>\s*)<TD>)?")
_NEXT = re.compile(rb"</TD>(?P<after>\s*)</TR>(?P<rows>\s*)<TR>")
_LAST = re.compile(rb"</TD>\s*</TR>\Z")


def cells(text: bytes, columns: int) -> pa.Table | None:
    """Whole rows as a table of texts, a column each; None where they are not plain or have not as many cells."""
    if any(one in text for one in _UNPLAIN) or len(text.translate(None, _NO_XML)) < len(text):
        return None
    rows = text.count(ROW_END)
    text = text.replace(b"<TD/>", b"<TD></TD>")
    first, last = _FIRST.match(text), _LAST.search(text, max(len(text) - 1_000, 0))
    if first is None or last is None:
        return None
    body = text[text.index(b"<TD>") + 4 : last.start()]
    if follows := _NEXT.search(text):
        ends = [b"</TD>", follows["after"], b"</TR>", follows["rows"], b"<TR>", first["before"], b"<TD>"]
        body = body.replace(b"".join(ends), _ROW)
    if first["between"] is not None:
        body = body.replace(b"</TD>" + first["between"] + b"<TD>", _CELL)
    if b"<" in body or b"\n" in body or body.startswith(b"\xef\xbb\xbf"):
        return None
    names = [str(place) for place in range(columns)]
    try:
        found = csv.read_csv(
            io.BytesIO(body.replace(_ROW, b"\n")),
            csv.ReadOptions(column_names=names, use_threads=False, block_size=len(body) + 1),
            csv.ParseOptions(delimiter=_CELL.decode(), quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )
    except pa.ArrowInvalid:
        return None
    return found if found.num_rows == rows else None
