"""VOTable 1.4 with all of a column's metadata (IVOA Recommendation VOTable 1.4, Ochsenbein et al. 2019)."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from skysy.columns import Column
from skysy.errors import UsageError
from skysy.formats.text import table_data, xml_text
from skysy.formats.values import (
    arrow_type,
    char_length,
    conform,
    conformed,
    free_integer,
    has_non_ascii,
    numbers,
    plain,
    plain_type,
    valid,
)

_DATATYPES = {
    pa.bool_(): "boolean",
    pa.uint8(): "unsignedByte",
    pa.int16(): "short",
    pa.int32(): "int",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "char",
}
_ROWS = 8192
_LINE = 57  # bytes that make one base64 line of 76 characters

Bytes = npt.NDArray[np.uint8]


def write_votable(
    out: BinaryIO, table: pa.Table, columns: Sequence[Column], serialization: str, name: str, description: str
) -> None:
    """A VOTable of one table; `serialization` is BINARY2, BINARY or TABLEDATA.

    BINARY2 tells NULL from NaN and from ''. BINARY and TABLEDATA cannot tell '' from NULL, and BINARY cannot
    tell NaN from NULL. Strings are `char`, or `unicodeChar` where a column holds more than ASCII; CHAR(n) has
    a fixed length.
    """
    table = conform(table, columns)
    fields = _Fields(columns, wide_texts(table), null_integers(table) if serialization == "BINARY" else {})
    _write(out, [table], columns, fields, serialization, name, description, table.num_rows)


def stream_votable(
    out: BinaryIO,
    parts: Iterable[pa.RecordBatch],
    columns: Sequence[Column],
    name: str,
    description: str,
    *,
    rows: int,
    wide: Collection[str],
) -> None:
    """The same in BINARY2 of rows that come in batches, in bounded memory, byte for byte as if they came at once.

    A VOTable says first how many `rows` it has and which columns hold more than ASCII, `wide`.
    """
    _write(out, parts, columns, _Fields(columns, wide, {}), "BINARY2", name, description, rows)


def _write(
    out: BinaryIO,
    parts: Iterable[pa.Table] | Iterable[pa.RecordBatch],
    columns: Sequence[Column],
    fields: _Fields,
    serialization: str,
    name: str,
    description: str,
    rows: int,
) -> None:
    out.write(_opening(name, description, fields.xml, rows).encode())
    out.write(f"<DATA><{serialization}>\n".encode())
    if serialization == "TABLEDATA":
        for part in parts:
            out.writelines(table_data(part))
    else:
        flags = serialization == "BINARY2"
        out.write(b'<STREAM encoding="base64">\n')
        pieces = conformed(parts, columns, _ROWS)
        out.writelines(_base64_lines(_batch(piece, fields, flags=flags) for piece in pieces))
        out.write(b"</STREAM>\n")
    out.write(f"</{serialization}></DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n".encode())


def wide_texts(table: pa.Table) -> set[str]:
    """The columns of a table that hold text beyond ASCII."""
    return {
        name
        for name, array in zip(table.column_names, table.columns, strict=True)
        if pa.types.is_string(array.type) and has_non_ascii(array)
    }


def null_integers(table: pa.Table) -> dict[str, int]:
    """A number for NULL in each column that BINARY holds as an integer."""
    kinds = {name: plain_type(array.type) for name, array in zip(table.column_names, table.columns, strict=True)}
    return {
        name: free_integer(table.column(name).cast(kind)) for name, kind in kinds.items() if pa.types.is_integer(kind)
    }


def dataless_votable(columns: Sequence[Column], name: str, description: str) -> str:
    """A VOTable that describes the columns and holds no rows."""
    return _opening(name, description, _Fields(columns, (), {}).xml, None) + "</TABLE>\n</RESOURCE>\n</VOTABLE>\n"


def _opening(name: str, description: str, fields: str, rows: int | None) -> str:
    about = f"<DESCRIPTION>{xml_text(description)}</DESCRIPTION>\n" if description else ""
    count = "" if rows is None else f' nrows="{rows}"'
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
        '<RESOURCE type="results">\n<INFO name="QUERY_STATUS" value="OK"/>\n'
        f'<TABLE name="{xml_text(name)}"{count}>\n{about}{fields}'
    )


class _Fields:
    """The FIELD elements, and what the rows need to know: NULL integers and which strings need 16 bits."""

    def __init__(self, columns: Sequence[Column], wide: Collection[str], null_integers: Mapping[str, int]) -> None:
        self.wide = wide
        self.null_integers = null_integers
        self.lengths = {column.name: char_length(column) for column in columns}
        kinds = [arrow_type(column) for column in columns]
        self.xml = "".join(
            self._element(column, kind, plain_type(kind)) for column, kind in zip(columns, kinds, strict=True)
        )

    def _element(self, column: Column, kind: pa.DataType, plain_kind: pa.DataType) -> str:
        words = [f'name="{xml_text(column.name)}"']
        datatype = "unicodeChar" if column.name in self.wide else _DATATYPES[plain_kind]
        words.append(f'datatype="{datatype}"')
        if pa.types.is_string(plain_kind):
            words.append(f'arraysize="{self.lengths[column.name] or "*"}"')
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            words.append('xtype="timestamp"')
        if pa.types.is_decimal(kind):
            words.append(f'precision="F{kind.scale}"')
        if column.unit:
            words.append(f'unit="{xml_text(column.unit)}"')
        if column.ucd:
            words.append(f'ucd="{xml_text(column.ucd)}"')
        inner = f"<DESCRIPTION>{xml_text(column.description)}</DESCRIPTION>" if column.description else ""
        if column.name in self.null_integers:
            inner += f'<VALUES null="{self.null_integers[column.name]}"/>'
        return f"<FIELD {' '.join(words)}>{inner}</FIELD>\n" if inner else f"<FIELD {' '.join(words)}/>\n"


def _batch(batch: pa.RecordBatch, fields: _Fields, *, flags: bool) -> bytes:
    """The rows of a batch one after the other, big-endian; with `flags` each begins with its bits of NULL."""
    count = batch.num_rows
    arrays = [plain(array) for array in batch.columns]
    fixed: list[npt.NDArray[np.generic]] = []
    segments: list[tuple[Bytes, npt.NDArray[np.int64] | None]] = []
    if flags:
        absent = np.stack([~valid(array) for array in arrays], axis=1)
        fixed.append(np.packbits(absent, axis=1))
    for name, array in zip(batch.schema.names, arrays, strict=True):
        if not pa.types.is_string(array.type):
            fixed.append(_fixed(array, fields.null_integers.get(name, 0)))
            continue
        data, lengths, items = _strings(array, wide=name in fields.wide)
        if (size := fields.lengths[name]) is not None:
            fixed.append(_padded(name, data, lengths, size * (2 if name in fields.wide else 1)))
            continue
        fixed.append(items.astype(">i4"))
        segments.append((_packed(fixed, count), None))
        segments.append((data, lengths))
        fixed = []
    if fixed:
        segments.append((_packed(fixed, count), None))
    return _interleaved(segments, count)


def _fixed(array: pa.Array, null_integer: int) -> npt.NDArray[np.generic]:
    if pa.types.is_boolean(array.type):
        letters = np.where(numbers(array, False), ord("T"), ord("F"))
        return np.where(valid(array), letters, ord("?")).astype("u1")
    null = np.nan if pa.types.is_floating(array.type) else null_integer
    values = numbers(array, null)
    return values.astype(values.dtype.newbyteorder(">"))


def _strings(array: pa.Array, *, wide: bool) -> tuple[Bytes, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All bytes of a string column, the bytes of each value, and its characters; NULL is an empty one."""
    filled = array.fill_null("")
    if wide:
        filled = pa.array([text.encode("utf-16-be") for text in filled.to_pylist()], pa.binary())
    offsets = np.frombuffer(filled.buffers()[1], dtype="i4")[filled.offset : filled.offset + len(filled) + 1]
    source = filled.buffers()[2]
    data = np.frombuffer(source, dtype="u1")[offsets[0] : offsets[-1]] if source else np.empty(0, dtype="u1")
    lengths = np.diff(offsets.astype("i8"))
    return data, lengths, lengths // (2 if wide else 1)


def _padded(name: str, data: Bytes, lengths: npt.NDArray[np.int64], width: int) -> Bytes:
    if lengths.size and lengths.max() > width:
        raise UsageError(f"Column {name} holds a text longer than its CHAR length.", "Make it a VARCHAR.")
    cells = np.zeros((lengths.size, width), dtype="u1")
    cells[np.arange(width) < lengths[:, None]] = data
    return cells


def _packed(parts: Sequence[npt.NDArray[np.generic]], count: int) -> Bytes:
    """Columns of fixed width side by side: one row of bytes for each row."""
    as_bytes = [np.ascontiguousarray(part).view("u1").reshape(count, -1) for part in parts]
    return np.concatenate(as_bytes, axis=1)


def _interleaved(segments: Sequence[tuple[Bytes, npt.NDArray[np.int64] | None]], count: int) -> bytes:
    """Rows made of segments in turn, each either a (rows, width) block or (all bytes, bytes of each row)."""
    if len(segments) == 1 and segments[0][1] is None:
        return segments[0][0].tobytes()
    sizes = np.zeros(count, dtype="i8")
    for data, lengths in segments:
        sizes += data.shape[1] if lengths is None else lengths
    place = np.cumsum(sizes) - sizes
    out = np.empty(int(sizes.sum()), dtype="u1")
    for data, lengths in segments:
        if lengths is None:
            out[place[:, None] + np.arange(data.shape[1])] = data
            place = place + data.shape[1]
        else:
            source = np.cumsum(lengths) - lengths
            out[np.repeat(place - source, lengths) + np.arange(data.size)] = data
            place = place + lengths
    return out.tobytes()


def _base64_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        whole = rest + block
        cut = len(whole) // _LINE * _LINE
        rest = whole[cut:]
        if cut:
            text = np.frombuffer(base64.b64encode(whole[:cut]), dtype="u1").reshape(-1, 76)
            yield np.insert(text, 76, ord("\n"), axis=1).tobytes()
    if rest:
        yield base64.b64encode(rest) + b"\n"
