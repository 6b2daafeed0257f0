"""CSV files: read once, as a stream, with the contract's types; where that fails, read again to name the place."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from skysy.loaders.packed import BLOCK, blocks, is_packed
from skysy.loaders.source import FLOAT32_SLACK, Received, Source, arrow_source, kind_of, labels

from skysy.columns import Column
from skysy.contract import TableContract
from skysy.errors import FileDamaged, SkysyError, ValueDamaged

NULLS = ("", "NULL", "null", "--")
TRUE = ("true", "True", "TRUE", "t", "T", "1")
FALSE = ("false", "False", "FALSE", "f", "F", "0")
_BLOCKS_AT_ONCE = 4
_LONGEST_ROW = 1 << 28
_AGAIN = "Nothing of it was kept. Get it again."
_MEND = "Nothing of it was kept; files loaded before it stay. Mend it and give the same command again."
_ARROW = {
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "REAL": pa.float32(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
}


def open_csv(path: Path, table: TableContract) -> Source:
    """The rows of a CSV file with a header line, gzipped or not; raises FileDamaged where it is cut or is none.

    Columns of the contract are read with its types (DECIMAL as DOUBLE, so that surplus decimals can be seen), others as
    text. NULL is an empty field, NULL, null or --. An integer is digits alone: what has a point or an exponent has been
    through a floating-point number.
    """
    with ExitStack() as held:
        text = _Text(path.name, held.enter_context(path.open("rb")), packed=is_packed(path))
        names = text.header()
        columns = [table.column(name) for name in names]
        schema = pa.schema([(label, _arrow_type(column)) for label, column in zip(labels(names), columns, strict=True)])
        received = tuple(
            Received(name, kind_of(kept.type), label=kept.name) for name, kept in zip(names, schema, strict=True)
        )
        notes: dict[str, str] = {}

        def find(labels: Collection[str] | None = None) -> SkysyError | None:
            return first_bad_value(path, table, labels)

        batches = _batches(text, schema, find, notes)
        return arrow_source(received, schema, batches, find=find, notes=notes, close=held.pop_all().close)
    raise AssertionError("not reached")


def first_bad_value(path: Path, table: TableContract, only: Collection[str] | None = None) -> SkysyError | None:
    """What is wrong with the first place that is not what the contract says, or None; `only` are labels of columns."""
    with path.open("rb") as source:
        text = _Text(path.name, source, packed=is_packed(path))
        names = text.header()
        schema = pa.schema([(label, pa.string()) for label in labels(names)])
        looked_at = [place for place, label in enumerate(schema.names) if only is None or label in only]
        columns = [table.column(names[place]) for place in looked_at]
        before = 0
        try:
            for batch in _parsed(text, schema, [schema.names[place] for place in looked_at]):
                found = [
                    (*bad, column)
                    for column, values in zip(columns, batch.columns, strict=True)
                    if column is not None and (bad := _first_bad(column, values)) is not None
                ]
                if found:
                    row, value, column = min(found, key=lambda one: one[0])
                    return ValueDamaged(
                        f"{path.name}, line {_line_of(path, before + row)}, column {column.name} of {table.name}: "
                        f"{value!r} cannot be {column.type}.{_why(column, value)}",
                        _MEND,
                    )
                before += batch.num_rows
        except (pa.ArrowInvalid, OSError):
            return _first_bad_line(path, len(names))
        except SkysyError as error:
            return error
    return None


def _first_bad(column: Column, values: pa.Array) -> tuple[int, str] | None:
    """(index, text) of the first value of a batch that cannot be of the column's type."""
    fits = _fits(column, values)
    if fits is None:  # some value stopped the cast of them all
        fits = pa.array(
            [text is None or bool((_fits(column, pa.array([text])) or [False])[0]) for text in values.to_pylist()]
        )
    place = pc.index(pc.fill_null(fits, True), False).as_py()
    return None if place < 0 else (place, values[place].as_py())


def _fits(column: Column, values: pa.Array) -> pa.Array | None:
    """Which values can be of the column's type; NULL for NULL, None in all where the cast fails."""
    if column.type == "BOOLEAN":
        return pc.if_else(pc.is_valid(values), pc.is_in(values, pa.array([*TRUE, *FALSE])), None)
    kind = _arrow_type(column)
    if pa.types.is_string(kind):
        return pa.repeat(True, len(values))
    try:
        numbers = pc.utf8_trim(values, " \t").cast(kind)
    except pa.ArrowInvalid:
        return None
    if not pa.types.is_floating(kind):
        return pa.repeat(True, len(values))
    spelt = pc.match_substring(values, "inf", ignore_case=True)
    finite = pc.or_(pc.invert(pc.is_inf(numbers)), spelt)
    if not column.type.startswith("DECIMAL"):
        return finite
    scale = int(column.type.rstrip(")").split(",")[1])
    off = pc.abs(pc.subtract(numbers, pc.round(numbers, scale)))
    return pc.or_(pc.is_nan(numbers), pc.less_equal(off, FLOAT32_SLACK))


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line in which it ends, fields) of every row after the header that is not blank; slow, but it counts lines."""
    with path.open("rb") as source:
        text = _Text(path.name, source, packed=is_packed(path))
        text.header()
        reader = csv.reader(io.TextIOWrapper(io.BufferedReader(_Raw(text)), "utf-8", "replace", newline=""))
        for row in reader:
            if row:
                yield reader.line_num + 1, row


def _line_of(path: Path, row: int) -> int:
    return next(line for place, (line, _) in enumerate(_rows(path)) if place == row)


def _first_bad_line(path: Path, fields: int) -> SkysyError | None:
    line = 1
    try:
        for line, row in _rows(path):
            if len(row) != fields:
                return FileDamaged(
                    f"{path.name}, line {line}: {len(row)} fields, where the header has {fields}.", _MEND
                )
            if any("\ufffd" in field for field in row):
                return FileDamaged(f"{path.name}, line {line}: it is not UTF-8 text.", _MEND)
    except csv.Error as error:
        return FileDamaged(f"{path.name}, after line {line}: {error}.", _MEND)
    except SkysyError as error:
        return error
    return None


class _Text:
    """The bytes of a file, unpacked, in blocks; knows at the end whether they are whole."""

    def __init__(self, name: str, source: BinaryIO, *, packed: bool) -> None:
        self.name = name
        self._blocks = blocks(name, source, packed=packed)
        self._rest = b""
        self._quotes = 0
        self._last = b""

    def header(self) -> list[str]:
        """The names in the first line, which is taken off."""
        head = b""
        while (block := next(self._blocks, b"")) and len(head) < BLOCK:
            head += block
            if b"\n" in head or b"\r" in head:
                break
        self._refuse_others(head)
        line = head.splitlines()[0] if head else b""
        if not line.strip():
            raise FileDamaged(f"{self.name} is empty: it has not even a header line.", _AGAIN)
        self._rest = head[len(line) :].removeprefix(b"\r").removeprefix(b"\n")
        self._last = head[-1:]
        try:
            text = line.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise FileDamaged(f"{self.name} is not CSV: its first line is not UTF-8 text.", _AGAIN) from error
        return [name.strip() for name in next(csv.reader([text], skipinitialspace=True))]

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; raises FileDamaged at the end where something is missing."""
        if self.is_over():
            return b""
        found, self._rest = self._rest[:size], self._rest[size:]
        self._quotes += found.count(b'"')
        return found

    def is_over(self) -> bool:
        """Whether nothing is left; raises FileDamaged where there should be."""
        if not self._rest:
            self._fill()
            if not self._rest and self._quotes % 2:
                raise self._never_closed()
        return not self._rest

    def whole_rows(self) -> bytes:
        """The next rows, some megabytes of them; nothing at the end, FileDamaged where a row is missing its own."""
        wanted = BLOCK * _BLOCKS_AT_ONCE
        while True:
            while len(self._rest) < wanted and self._fill():
                pass
            if len(self._rest) < wanted:
                if self._rest.count(b'"') % 2:
                    raise self._never_closed()
                found, self._rest = self._rest, b""
                return found
            if end := _end_of_rows(self._rest):
                found, self._rest = self._rest[:end], self._rest[end:]
                return found
            wanted *= 2
            if wanted > _LONGEST_ROW:
                raise self._never_closed()

    def _fill(self) -> bool:
        block = next(self._blocks, b"")
        self._rest += block
        self._last = block[-1:] or self._last
        return bool(block)

    def _never_closed(self) -> FileDamaged:
        return FileDamaged(f"{self.name}: a quote is opened and never closed, as in a file that is cut.", _AGAIN)

    @property
    def ends_within_a_line(self) -> bool:
        """Whether the last line has no end; only once all was read."""
        return self._last not in (b"\n", b"\r")

    def _refuse_others(self, head: bytes) -> None:
        start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        if start == b"<":
            raise FileDamaged(
                f"{self.name} is not CSV: it starts with '<', as a web page or a VOTable does.",
                "Nothing of it was kept. An archive that fails sends a page instead of rows; get the file again.",
            )
        if head[:4] == b"PAR1" or b"\0" in head[:BLOCK]:
            raise FileDamaged(f"{self.name} is not CSV: it holds bytes that no text has.", _AGAIN)


class _Raw(io.RawIOBase):
    """The text as a file object for the standard library and for Arrow."""

    def __init__(self, text: _Text) -> None:
        self._text = text

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        found = self._text.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)


def _batches(
    text: _Text, schema: pa.Schema, find: Callable[[Collection[str] | None], SkysyError | None], notes: dict[str, str]
) -> Iterator[pa.RecordBatch]:
    reals = {one.name for one in schema if pa.types.is_floating(one.type)}
    infinite: set[str] = set()
    try:
        for batch in _parsed(text, schema):
            infinite |= {name for name in reals - infinite if pc.any(pc.is_inf(batch.column(name))).as_py()}
            yield batch
    except (pa.ArrowInvalid, OSError) as error:
        raise find(None) or FileDamaged(f"{text.name}: {str(error).splitlines()[0]}.", _MEND) from error
    # A number that is too large became an infinity without a word.
    if infinite and (bad := find(infinite)):
        raise bad
    if text.ends_within_a_line:
        notes["unfinished_last_line"] = "the last line has no end, as in a file that was cut within its last value"


def _end_of_rows(data: bytes) -> int:
    """Where the last row ends that is whole: behind a line end that stands in no quotes; 0 where there is none."""
    end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
    quotes = data.count(b'"', 0, end)
    while end and quotes % 2:
        quote = data.rfind(b'"', 0, end)  # all line ends behind it are within the same text
        before = max(data.rfind(b"\n", 0, quote), data.rfind(b"\r", 0, quote)) + 1
        quotes -= data.count(b'"', before, end)
        end = before
    return end


def _parsed(text: _Text, schema: pa.Schema, only: Collection[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows in batches; the next ones are unpacked while these are taken apart."""
    read = arrow_csv.ReadOptions(block_size=BLOCK, column_names=schema.names)
    parse = arrow_csv.ParseOptions(newlines_in_values=True)
    convert = arrow_csv.ConvertOptions(
        column_types=schema,
        include_columns=only,
        null_values=NULLS,
        strings_can_be_null=True,
        true_values=TRUE,
        false_values=FALSE,
    )
    with ThreadPoolExecutor(1) as worker:
        coming = worker.submit(text.whole_rows)
        while rows := coming.result():
            coming = worker.submit(text.whole_rows)
            if rows.strip():
                yield from arrow_csv.read_csv(pa.BufferReader(rows), read, parse, convert).to_batches()


def _arrow_type(column: Column | None) -> pa.DataType:
    if column is None:
        return pa.string()
    return pa.float64() if column.type.startswith("DECIMAL") else _ARROW.get(column.type, pa.string())


def _why(column: Column, text: str) -> str:
    if column.type == "BOOLEAN":
        return f" Known spellings: {', '.join((*TRUE, *FALSE))}."
    if pa.types.is_integer(_arrow_type(column)):
        with_point = any(mark in text for mark in ".eE")
        return " It has been through a floating-point number, which loses digits." if with_point else ""
    return ""
