"""VOTables read as a stream (IVOA Recommendation VOTable 1.4): BINARY2, BINARY and TABLEDATA to Arrow batches.

Memory holds one batch and one block of the file. What this reader does not know (arrays of numbers, bits, complex
numbers, FITS streams) goes to astropy, which reads the whole file at once.
"""

from __future__ import annotations

import binascii
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.parsers import expat

import pyarrow as pa
from skysy.loaders.source import Received, Source, arrow_source, kind_of
from skysy.loaders.votable_fields import Field, Unreadable, make_field
from skysy.loaders.votable_rows import BinaryRows, TextRows

from skysy.errors import FileDamaged

_BLOCK = 1 << 20


def open_votable(path: Path) -> Source:
    """The rows of the first table of a VOTable, in batches.

    Raises FileDamaged for a file that is cut, is no VOTable, or says that its query failed or overflowed; the end of the
    file is read before the last batch is given, since a failure may be told there.
    """
    try:
        stream = _Stream(path)
        stream.read_header()
    except Unreadable:
        return _through_astropy(path)
    schema = pa.schema([(field.name, field.arrow_type) for field in stream.fields])
    columns = tuple(Received(field.name, kind_of(field.arrow_type), field.unit) for field in stream.fields)
    return arrow_source(columns, schema, stream.batches(schema), stream.expected_rows)


class _Stream:
    """One pass over the file: header first, then rows as they come, then what is said after them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fields: list[Field] = []
        self.expected_rows: int | None = None
        self._file = gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._rows: BinaryRows | TextRows | None = None
        self._tables = 0
        self._in_table = False
        self._seen_votable = False
        self._status: tuple[str, str] | None = None
        self._info: list[str] | None = None
        self._text: list[str] | None = None
        self._finished = False
        self._error: Exception | None = None

    def read_header(self) -> None:
        """Read on until the first row may come, or the file ends."""
        while self._rows is None and not self._finished:
            self._feed()
        if not self._seen_votable:
            raise self._damaged("it is no VOTable")
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
            block = self._file.read(_BLOCK)
            self._parser.Parse(block, not block)
            if not block:
                self._finished = True
                self._file.close()
        except expat.ExpatError as error:
            raise self._damaged(f"its XML ends or breaks at line {error.lineno}") from error
        except (EOFError, zlib.error, OSError) as error:
            raise self._damaged(f"it cannot be unpacked ({error})") from error
        except (binascii.Error, ValueError, UnicodeDecodeError) as error:
            raise self._damaged(f"its rows are garbled ({error})") from error

    def _damaged(self, why: str) -> FileDamaged:
        return FileDamaged(f"{self.path.name}: {why}.", "Nothing of it was kept. Get the file again.")

    def _check_status(self) -> None:
        if self._status is None:
            return
        value, words = self._status
        if value == "OVERFLOW":
            raise FileDamaged(
                f"{self.path.name} was cut by the archive: its status is OVERFLOW. {words}".strip(),
                "Nothing of it was kept. Ask in smaller pieces, or with a higher MAXREC.",
            )
        if value == "ERROR":
            raise FileDamaged(
                f"{self.path.name} is the archive's error message, not a table: {words or 'no reason given'}.",
                "Nothing of it was kept. Mend the query and get the file again.",
            )

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rsplit(" ", 1)[-1]
        if name == "VOTABLE":
            self._seen_votable = True
        elif name == "TABLE":
            self._tables += 1
            self._in_table = self._tables == 1
            if self._in_table and attributes.get("nrows", "").isdigit():
                self.expected_rows = int(attributes["nrows"])
        elif name == "FIELD" and self._in_table:
            self.fields.append(make_field(attributes))
        elif name == "VALUES" and self._in_table and self.fields and self._rows is None:
            self.fields[-1].null = attributes.get("null")
        elif name in ("BINARY", "BINARY2", "TABLEDATA") and self._in_table:
            self._begin_rows(name)
        elif name in ("FITS", "PARQUET") and self._in_table:
            raise Unreadable(name)
        elif name == "STREAM" and self._in_table:
            self._begin_stream(attributes)
        elif name == "INFO" and attributes.get("name") == "QUERY_STATUS":
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
        elif name == "STREAM" and self._in_table and isinstance(self._rows, BinaryRows):
            self._rows.end()
            self._parser.CharacterDataHandler = None
        elif name == "TABLE":
            self._in_table = False
            if self._rows is None and self._tables == 1:
                self._rows = TextRows(self.fields)

    def _begin_rows(self, name: str) -> None:
        for field in self.fields:
            field.check(name)
        if name == "TABLEDATA":
            rows = TextRows(self.fields)
            rows.listen(self._parser, self._start, self._end)
            self._rows = rows
        else:
            self._rows = BinaryRows(self.fields, with_flags=name == "BINARY2")

    def _begin_stream(self, attributes: dict[str, str]) -> None:
        if attributes.get("encoding", "").lower() != "base64" or "href" in attributes:
            raise Unreadable("STREAM")
        if isinstance(self._rows, BinaryRows):
            self._parser.CharacterDataHandler = self._rows.add_text


def _through_astropy(path: Path) -> Source:
    from astropy.io.votable import parse_single_table

    try:
        table = parse_single_table(path)
    except Exception as error:  # astropy raises many kinds; each means that the file cannot be read
        raise FileDamaged(
            f"{path.name} cannot be read as a VOTable: {error}.", "Nothing of it was kept. Get it again."
        ) from error
    masked = table.to_table(use_names_over_ids=True)
    columns: dict[str, pa.Array] = {}
    for name in masked.colnames:
        values: list[Any] = masked[name].tolist()
        columns[name] = pa.array([None if isinstance(value, (list, tuple)) else value for value in values])
    rows = pa.table(columns)
    received = tuple(Received(name, kind_of(rows.schema.field(name).type)) for name in rows.column_names)
    return arrow_source(received, rows.schema, iter(rows.to_batches()), rows.num_rows)
