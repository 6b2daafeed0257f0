"""VOTables read as a stream (IVOA Recommendation VOTable 1.4): BINARY2, BINARY and TABLEDATA to Arrow batches.

Memory holds one batch and one block of the file. Columns of arrays, bits and complex numbers are passed over: no archive
table here has any. Rows that are not in the file, or are in it as FITS or Parquet, are refused.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from xml.parsers import expat

import pyarrow as pa
from skysy.loaders import votable_plain
from skysy.loaders.packed import blocks, is_packed
from skysy.loaders.source import Received, Source, arrow_source, kind_of, labels
from skysy.loaders.votable_fields import Field, make_field, null_of
from skysy.loaders.votable_rows import BinaryRows, TextRows

from skysy.errors import ErrorAnswer, FileDamaged, Overflowed

_OTHER_ENCODING = re.compile(rb"<\?xml[^>]*encoding\s*=\s*[\"'](?!utf-8|us-ascii)")


def open_votable(path: Path) -> Source:
    """The rows of the first table of a VOTable, in batches.

    Raises FileDamaged for a file that is cut, is no VOTable, or says that its query failed or overflowed; the end of the
    file is read before the last batch is given, since a failure may be told there.
    """
    with ExitStack() as held:
        raw = held.enter_context(path.open("rb"))
        stream = _Stream(path.name, blocks(path.name, raw, packed=is_packed(path)))
        stream.read_header()
        fields = [field for field in stream.fields if field.is_kept]
        if not fields:
            raise FileDamaged(f"{path.name}: its table has no columns of single values.", "Nothing of it was kept.")
        schema = pa.schema(
            [(label, field.arrow_type) for label, field in zip(labels(f.name for f in fields), fields, strict=True)]
        )
        columns = [
            Received(field.name, kind_of(field.arrow_type), field.unit, label, field.ucd)
            for field, label in zip(fields, schema.names, strict=True)
        ]
        columns += [
            Received(field.name, "bit" if field.is_bit else "other", field.unit, ucd=field.ucd)
            for field in stream.fields
            if not field.is_kept
        ]
        return arrow_source(
            tuple(columns), schema, stream.batches(schema), stream.expected_rows,
            notes=stream.notes, close=held.pop_all().close,
        )  # fmt: skip
    raise AssertionError("not reached")


class _Stream:
    """One pass over the file: header first, then rows as they come, then what is said after them."""

    def __init__(self, name: str, content: Iterator[bytes]) -> None:
        self.name = name
        self.fields: list[Field] = []
        self.expected_rows: int | None = None
        self.notes: dict[str, str] = {}
        self._content = content
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._rows: BinaryRows | TextRows | None = None
        self._tables = 0
        self._in_table = False
        self._field: Field | None = None
        self._nulls: dict[str, str] = {}
        self._seen_votable = False
        self._status: tuple[str, str] | None = None
        self._info: list[str] | None = None
        self._finished = False
        self._head = b""
        self._plain = False
        self._stream = False
        self._held = b""
        self._lines = 0

    def read_header(self) -> None:
        """Read on until the first row may come, or the file ends."""
        while self._rows is None and not self._finished:
            self._feed()
        if self._tables == 0:
            self._check_status()
            raise self._damaged("it holds no table")

    def batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The rows; raises FileDamaged at the end where the file tells of a failure."""
        waiting: pa.RecordBatch | None = None
        while True:
            for batch in self._take(schema):
                if waiting is not None:
                    yield waiting
                waiting = batch
            if self._finished:
                break
            self._feed()
        self._check_status()
        if self._tables > 1:
            self.notes["tables_passed_over"] = f"{self._tables - 1} after the first"
        if waiting is not None:
            yield waiting

    def _take(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        if self._rows is None:
            return
        try:
            yield from self._rows.take(schema)
        except ValueError as error:
            raise self._damaged(f"its rows are garbled: {error}") from error

    def _feed(self) -> None:
        try:
            block = next(self._content, b"")
            self._head = self._head or block[:1024].lower()
            self._parse(block)
            self._finished = not block
        except expat.ExpatError as error:
            if b"<html" in self._head and not self._seen_votable:
                raise self._damaged("it is a web page, no VOTable") from error
            if not self._head:
                raise self._damaged("it is empty") from error
            raise self._damaged(f"its XML ends or breaks at line {self._lines + error.lineno}") from error
        except (binascii.Error, ValueError, UnicodeDecodeError) as error:
            raise self._damaged(f"its rows are garbled ({error})") from error

    def _parse(self, block: bytes) -> None:
        """Give a block to the parser, but for plain rows of TABLEDATA, which are read faster without it."""
        text = block
        if self._rows is None and not _OTHER_ENCODING.search(self._head):
            text = self._parse_to_stream(text)
        if self._stream and isinstance(self._rows, BinaryRows):
            text = self._pass_base64(self._rows, text)
        if self._rows is None and not _OTHER_ENCODING.search(self._head):
            begin = text.find(votable_plain.BEGIN)
            if begin >= 0:
                begin += len(votable_plain.BEGIN)
                self._parser.Parse(text[:begin], False)
                self._plain, text = isinstance(self._rows, TextRows), text[begin:]
        if self._plain and isinstance(self._rows, TextRows):
            text = self._pass_over(self._rows, text, is_last=not block)
        self._parser.Parse(text, not block)

    def _parse_to_stream(self, text: bytes) -> bytes:
        """Give the parser what comes up to a stream of base64; what comes back is behind it."""
        begin = text.find(b"<STREAM")
        begin = text.find(b">", begin) + 1 if begin >= 0 else 0
        if not begin or text[begin - 2 : begin - 1] == b"/":
            return text
        self._parser.Parse(text[:begin], False)
        self._stream = isinstance(self._rows, BinaryRows)
        return text[begin:]

    def _pass_base64(self, rows: BinaryRows, text: bytes) -> bytes:
        """Take base64 around the parser, up to the first mark that is none; what comes back is for the parser."""
        marks = [at for at in (text.find(b"<"), text.find(b"&")) if at >= 0]
        end = min(marks, default=len(text))
        self._stream = not marks
        self._lines += text.count(b"\n", 0, end)
        rows.plain(text[:end])
        return text[end:]

    def _pass_over(self, rows: TextRows, text: bytes, *, is_last: bool) -> bytes:
        """Read plain rows, once they are many or the last; what comes back is for the parser, all of it from then on."""
        self._held += text
        end = self._held.find(votable_plain.END)
        last = self._held.rfind(votable_plain.ROW_END, 0, end if end >= 0 else len(self._held))
        beyond = last + len(votable_plain.ROW_END) if last >= 0 else 0
        is_last = is_last or end >= 0
        if not is_last and not rows.is_enough(len(self._held)):
            return b""
        if beyond and rows.plain(self._held[:beyond]):
            self._lines += self._held.count(b"\n", 0, beyond)
            self._held = self._held[beyond:]
            if not is_last:
                return b""
        self._plain = False
        held, self._held = self._held, b""
        return held

    def _damaged(self, why: str) -> FileDamaged:
        return FileDamaged(f"{self.name}: {why}.", "Nothing of it was kept. Get the file again.")

    def _check_status(self) -> None:
        if self._status is None:
            return
        value, words = self._status
        if value == "OVERFLOW":
            raise Overflowed(
                f"{self.name} was cut by the archive: its status is OVERFLOW. {words}".strip(),
                "Nothing of it was kept. Ask in smaller pieces, or with a higher MAXREC.",
            )
        if value == "ERROR":
            raise ErrorAnswer(
                f"{self.name} is the archive's error message, not a table: {words or 'no reason given'}.",
                "Nothing of it was kept. Mend the query and get the file again.",
            )

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rsplit(" ", 1)[-1]
        if not self._seen_votable:
            if name != "VOTABLE":
                raise self._damaged("it is a web page, no VOTable" if name.lower() == "html" else "it is no VOTable")
            self._seen_votable = True
        elif name == "TABLE":
            self._tables += 1
            self._in_table = self._tables == 1
            if self._in_table and attributes.get("nrows", "").isdigit():
                self.expected_rows = int(attributes["nrows"])
        elif name == "FIELD" and self._in_table:
            self._field = make_field(attributes)
            self.fields.append(self._field)
        elif name == "VALUES" and self._field is not None:
            null = attributes.get("null") or self._nulls.get(attributes.get("ref", ""), "")
            self._field.null = null_of(self._field, null)
            if "ID" in attributes:
                self._nulls[attributes["ID"]] = null
        elif name in ("BINARY", "BINARY2", "TABLEDATA") and self._in_table:
            self._begin_rows(name)
        elif name in ("FITS", "PARQUET") and self._in_table:
            raise self._damaged(f"its rows are in it as {name}; it can be read as BINARY2, BINARY or TABLEDATA")
        elif name == "STREAM" and self._in_table:
            self._begin_stream(attributes)
        elif name == "INFO" and attributes.get("name", "").upper() == "QUERY_STATUS":
            self._info = [attributes.get("value", "").upper()]
            self._parser.CharacterDataHandler = self._info.append

    def _end(self, tag: str) -> None:
        name = tag.rsplit(" ", 1)[-1]
        if name == "INFO" and self._info is not None:
            value, words = self._info[0], " ".join("".join(self._info[1:]).split())
            if self._status is None or value != "OK":
                self._status = (value, words)
            self._info = None
            self._parser.CharacterDataHandler = None
        elif name == "FIELD":
            self._field = None
        elif name == "STREAM" and self._in_table and isinstance(self._rows, BinaryRows):
            self._rows.end()
            self._parser.CharacterDataHandler = None
        elif name == "TABLE":
            self._in_table = False
            if self._rows is None and self._tables == 1:
                self._begin_rows("BINARY2")  # none: any serialization will do

    def _begin_rows(self, name: str) -> None:
        if name == "TABLEDATA":
            rows = TextRows(self.fields)
            rows.listen(self._parser, self._start, self._end)
            self._rows = rows
            return
        if guessed := self._in_table and next((field for field in self.fields if field.is_misspelt), None):
            raise self._damaged(f"column {guessed.name} has a datatype that does not tell how many bytes it takes")
        if name == "BINARY2":  # here a NULL is told beside the value
            for field in self.fields:
                field.is_array = field.is_array and not field.is_bit
        self._rows = BinaryRows(self.fields, with_flags=name == "BINARY2")

    def _begin_stream(self, attributes: dict[str, str]) -> None:
        if "href" in attributes:
            raise self._damaged(f"its rows are not in it, but in {attributes['href']}")
        if attributes.get("encoding", "").lower() != "base64":
            raise self._damaged(
                f"its rows are packed as {attributes.get('encoding', 'nothing known')!r}, not as base64"
            )
        if isinstance(self._rows, BinaryRows):
            self._parser.CharacterDataHandler = self._rows.add_text
