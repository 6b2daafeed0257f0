"""Rows of a VOTable to Arrow batches: base64 bytes by numpy, TABLEDATA by the XML parser's events."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator
from typing import Any
from xml.parsers.expat import XMLParserType

import numpy as np
import pyarrow as pa
from skysy.loaders.votable_fields import Field

_BATCH = 65_536


class BinaryRows:
    """BINARY and BINARY2: text in, batches out; `with_flags` is BINARY2, a NULL bit per column before each row."""

    def __init__(self, fields: list[Field], *, with_flags: bool) -> None:
        self._fields = fields
        self._flag_bytes = (len(fields) + 7) // 8 if with_flags else 0
        self._text: list[str] = []
        self._odd = ""
        self._bytes = bytearray()
        self._ended = False
        types = [field.dtype for field in fields]
        self._row: np.dtype[Any] | None = None
        if all(kind is not None for kind in types):
            parts: list[Any] = [("flags", "u1", (self._flag_bytes,))] if self._flag_bytes else []
            self._row = np.dtype(parts + [(f"c{place}", kind) for place, kind in enumerate(types)])

    def add_text(self, text: str) -> None:
        """Take base64 text as the parser meets it."""
        self._text.append(text)

    def end(self) -> None:
        """The stream is over: what is left must be whole rows."""
        self._ended = True

    def take(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Batches of the whole rows that have come so far; raises ValueError where the last one is cut."""
        self._decode()
        rows = self._fixed(schema) if self._row is not None else self._variable(schema)
        yield from rows
        if self._ended and (self._bytes or self._odd):
            raise ValueError(f"the last row is cut: {len(self._bytes)} bytes are left")

    def _decode(self) -> None:
        text = self._odd + "".join("".join(self._text).split())
        self._text.clear()
        whole = len(text) - len(text) % 4
        self._odd = text[whole:]
        self._bytes += binascii.a2b_base64(text[:whole], strict_mode=True)

    def _fixed(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        assert self._row is not None
        size = self._row.itemsize
        count = len(self._bytes) // size
        if count < _BATCH and not self._ended:
            return
        rows = np.frombuffer(bytes(self._bytes[: count * size]), self._row)
        del self._bytes[: count * size]
        for start in range(0, count, _BATCH):
            yield self._batch(rows[start : start + _BATCH], schema)

    def _batch(self, rows: Any, schema: pa.Schema) -> pa.RecordBatch:
        flags = np.unpackbits(rows["flags"], axis=1).astype(bool) if self._flag_bytes else None
        arrays = [
            field.to_arrow(rows[f"c{place}"], None if flags is None else flags[:, place].copy())
            for place, field in enumerate(self._fields)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _variable(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Rows with text of variable length: walk from length to length, then convert column by column."""
        data = bytes(self._bytes)
        position, rows = 0, []
        while (found := self._walk(data, position)) is not None:
            row, position = found
            rows.append(row)
        del self._bytes[:position]
        for start in range(0, len(rows), _BATCH):
            yield self._from_pieces(rows[start : start + _BATCH], schema)

    def _walk(self, data: bytes, position: int) -> tuple[list[bytes], int] | None:
        """The pieces of the row that starts at `position` and where the next one starts; None if it is not all there."""
        end = position + self._flag_bytes
        pieces = [data[position:end]]
        for field in self._fields:
            kind = field.dtype
            if kind is None:
                if end + 4 > len(data):
                    return None
                size = int.from_bytes(data[end : end + 4], "big") * field.character_bytes
                end += 4
            else:
                size = kind.itemsize
            pieces.append(data[end : end + size])
            end += size
            if end > len(data):
                return None
        return (pieces, end) if end > position else None

    def _from_pieces(self, rows: list[list[bytes]], schema: pa.Schema) -> pa.RecordBatch:
        flags = None
        if self._flag_bytes:
            joined = np.frombuffer(b"".join(row[0] for row in rows), "u1").reshape(len(rows), self._flag_bytes)
            flags = np.unpackbits(joined, axis=1).astype(bool)
        arrays = []
        for place, field in enumerate(self._fields):
            missing = None if flags is None else flags[:, place].copy()
            pieces = [row[place + 1] for row in rows]
            kind = field.dtype
            if kind is None or field.is_text:
                texts = [field.text(piece) for piece in pieces]
                if missing is not None:
                    texts = [None if gone else text for text, gone in zip(texts, missing.tolist(), strict=True)]
                arrays.append(pa.array(texts, pa.string()))
            else:
                arrays.append(field.to_arrow(np.frombuffer(b"".join(pieces), kind), missing))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


class TextRows:
    """TABLEDATA: the parser's events in, batches out."""

    def __init__(self, fields: list[Field]) -> None:
        self._fields = fields
        self._readers = [_text_reader(field) for field in fields]
        self._columns: list[list[Any]] = [[] for _ in fields]
        self._cells: list[str] = []
        self._cell: list[str] | None = None
        self._count = 0
        self._ended = False

    def listen(
        self,
        parser: XMLParserType,
        start: Callable[[str, dict[str, str]], None],
        end: Callable[[str], None],
    ) -> None:
        """Take over the parser's events until TABLEDATA ends; then they go back to `start` and `end`."""

        def on_start(tag: str, attributes: dict[str, str]) -> None:
            if tag.endswith("TD"):
                self._cell = []
                parser.CharacterDataHandler = self._cell.append

        def on_end(tag: str) -> None:
            if tag.endswith("TD"):
                self._cells.append("".join(self._cell or ()))
                parser.CharacterDataHandler = None
            elif tag.endswith("TR"):
                self._add_row()
            elif tag.endswith("TABLEDATA"):
                self._ended = True
                parser.StartElementHandler, parser.EndElementHandler = start, end

        parser.StartElementHandler, parser.EndElementHandler = on_start, on_end

    def take(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """A batch of the rows that have come so far, once they are many or the table has ended."""
        held = len(self._columns[0]) if self._columns else 0
        if held and (held >= _BATCH or self._ended):
            arrays = [
                pa.array(values, field.arrow_type) for values, field in zip(self._columns, self._fields, strict=True)
            ]
            self._columns = [[] for _ in self._fields]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _add_row(self) -> None:
        self._count += 1
        if len(self._cells) != len(self._fields):
            raise ValueError(f"row {self._count} has {len(self._cells)} cells for {len(self._fields)} columns")
        for values, reader, cell, field in zip(self._columns, self._readers, self._cells, self._fields, strict=True):
            try:
                values.append(reader(cell))
            except ValueError as error:
                raise ValueError(f"row {self._count}, column {field.name}: {cell!r} is no {field.datatype}") from error
        self._cells = []


def _text_reader(field: Field) -> Callable[[str], Any]:
    """What turns a TD of this field into a value; an empty one is NULL."""
    if field.is_text:
        return lambda cell: cell.rstrip(" ") or None
    if field.datatype == "boolean":
        return _boolean
    if field.datatype in ("float", "double"):
        return _real
    null = None if field.null is None else int(field.null, 0)

    def integer(cell: str) -> int | None:
        cell = cell.strip()
        if not cell:
            return None
        value = int(cell, 0) if cell.lower().startswith("0x") else int(cell)
        return None if value == null else value

    return integer


def _boolean(cell: str) -> bool | None:
    word = cell.strip().lower()
    if word in ("", "?", "null"):
        return None
    if word in ("t", "true", "1"):
        return True
    if word in ("f", "false", "0"):
        return False
    raise ValueError(word)


def _real(cell: str) -> float | None:
    word = cell.strip()
    return float(word) if word else None
