"""Rows of a VOTable to Arrow batches: base64 bytes by numpy, TABLEDATA by the XML parser's events."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator
from typing import Any
from xml.parsers.expat import XMLParserType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from skysy.loaders import votable_plain
from skysy.loaders.votable_fields import Field

_Places = npt.NDArray[np.int64]
_BATCH = 65_536
_BYTES = 4 << 20
_FEW = 64
_BLANKS = b" \t\r\n"


class BinaryRows:
    """BINARY and BINARY2: text in, batches out; `with_flags` is BINARY2, a NULL bit per column before each row."""

    def __init__(self, fields: list[Field], *, with_flags: bool) -> None:
        self._fields = fields
        self._flag_bytes = (len(fields) + 7) // 8 if with_flags else 0
        self._text: list[bytes] = []
        self._odd = b""
        self._bytes = bytearray()
        self._ended = False
        self._runs = _runs(fields, self._flag_bytes)
        self._variable = [place for place, field in enumerate(fields) if field.dtype is None]

    def add_text(self, text: str) -> None:
        """Take base64 text as the parser meets it; raises ValueError for what cannot be any."""
        self._text.append(text.encode("ascii"))

    def plain(self, text: bytes) -> None:
        """Take base64 text as it stands in the file."""
        self._text.append(text)

    def end(self) -> None:
        """The stream is over: what is left must be whole rows."""
        self._ended = True

    def take(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Batches of the whole rows that have come so far; raises ValueError where the last one is cut."""
        self._decode()
        if len(self._bytes) >= _BYTES or self._ended:
            yield from self._batches(schema)
        if self._ended and (self._bytes or self._odd):
            raise ValueError(f"the last row is cut: {len(self._bytes)} bytes are left")

    def _decode(self) -> None:
        text = self._odd + b"".join(self._text).translate(None, _BLANKS)
        self._text.clear()
        whole = len(text) - len(text) % 4
        self._odd = text[whole:]
        self._bytes += binascii.a2b_base64(text[:whole], strict_mode=True)

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        data = bytes(self._bytes)
        starts = self._starts(data)
        del self._bytes[: starts[-1, 0] if len(starts) else 0]
        held = np.frombuffer(data, np.uint8)
        for first in range(0, len(starts) - 1, _BATCH):
            yield self._batch(held, data, starts[first : min(first + _BATCH, len(starts) - 1)], schema)

    def _starts(self, data: bytes) -> npt.NDArray[np.int64]:
        """Where each whole row's runs of fixed length start, a row of positions per row; last the end of the last row."""
        sizes = [run.itemsize for run in self._runs]
        if not self._variable:
            count = len(data) // sizes[0] if sizes[0] else 0
            return np.arange(count + 1, dtype=np.int64)[:, None] * sizes[0]
        steps = [(sizes[n], self._fields[place]) for n, place in enumerate(self._variable)]
        last, size = sizes[-1], len(data)
        held = np.frombuffer(data, np.uint8)
        parts: list[npt.NDArray[np.int64]] = []
        found: list[int] = []
        position, window, wait = 0, _FEW, 0
        while True:
            row, here = [position], position
            for run, field in steps:
                here += run
                if here + 4 > size:
                    break
                here += 4 + field.bytes_of(int.from_bytes(data[here : here + 4], "big"))
                row.append(here)
            if len(row) <= len(steps) or here + last > size:
                break
            found += row
            length = here + last - position
            position = here + last
            wait -= 1
            if wait < 0 and (alike := _alike(held, row, [run for run, _ in steps], length, window)):
                parts += [
                    np.array(found, dtype=np.int64).reshape(-1, len(row)),
                    np.array(row) + np.arange(1, alike + 1)[:, None] * length,
                ]
                found = []
                position += alike * length
                window = min(window * 4, _BATCH) if alike == window else _FEW
            elif wait < 0:
                wait = _FEW
        found += [position] * (len(steps) + 1)
        return np.concatenate([*parts, np.array(found, dtype=np.int64).reshape(-1, len(steps) + 1)])

    def _batch(
        self, held: npt.NDArray[np.uint8], data: bytes, starts: npt.NDArray[np.int64], schema: pa.Schema
    ) -> pa.RecordBatch:
        runs = [self._run(held, starts[:, n], run) for n, run in enumerate(self._runs)]
        flags = None
        if self._flag_bytes and runs[0] is not None:
            flags = np.unpackbits(runs[0]["flags"], axis=1).astype(bool)
        arrays, run = [], 0
        for place, field in enumerate(self._fields):
            missing = None if flags is None else flags[:, place].copy()
            rows = runs[run]
            if place in self._variable:
                begins = starts[:, run] + self._runs[run].itemsize + 4
                if field.is_kept:
                    arrays.append(_texts(field, held, data, begins, starts[:, run + 1], missing))
                run += 1
            elif field.is_kept and rows is not None:
                arrays.append(field.to_arrow(rows[f"c{place}"], missing))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _run(
        self, held: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], run: np.dtype[Any]
    ) -> npt.NDArray[Any] | None:
        """The bytes of one run in each row, as rows of its type."""
        if not run.itemsize:
            return None
        length = int(starts[1] - starts[0]) if len(starts) > 1 else run.itemsize
        if length >= run.itemsize and (np.diff(starts) == length).all():  # rows of one length, as most are
            last = int(starts[-1]) + run.itemsize
            view = np.lib.stride_tricks.as_strided(
                held[starts[0] : last], (len(starts), run.itemsize), (length, 1), writeable=False
            )
            alike: npt.NDArray[Any] = np.ascontiguousarray(view).view(run).reshape(len(starts))
            return alike
        rows: npt.NDArray[Any] = held[starts[:, None] + np.arange(run.itemsize)].view(run).reshape(len(starts))
        return rows


def _runs(fields: list[Field], flag_bytes: int) -> list[np.dtype[Any]]:
    """Row types of the fields between texts of variable length; the first one begins with the flags."""
    runs: list[list[Any]] = [[("flags", "u1", (flag_bytes,))] if flag_bytes else []]
    for place, field in enumerate(fields):
        if field.dtype is None:
            runs.append([])
        else:
            runs[-1].append((f"c{place}", field.dtype))
    return [np.dtype(run) for run in runs]


def _alike(held: npt.NDArray[np.uint8], row: list[int], runs: list[int], length: int, most: int) -> int:
    """How many rows after this one have texts of the same lengths, `most` or fewer, so that they need not be walked through."""
    begin = row[0] + length
    most = min(most, (len(held) - begin) // length)
    block = held[begin : begin + most * length].reshape(most, length)
    same = np.ones(most, dtype=bool)
    for start, run in zip(row, runs, strict=False):
        at = start + run
        same &= (block[:, at - row[0] : at - row[0] + 4] == held[at : at + 4]).all(axis=1)
    return most if same.all() else int(same.argmin())


def _texts(
    field: Field,
    held: npt.NDArray[np.uint8],
    data: bytes,
    begins: _Places,
    ends: _Places,
    missing: npt.NDArray[np.bool_] | None,
) -> pa.Array:
    """Texts of variable length; equal ones, which are many in a catalogue, are decoded once."""
    if len(begins) and (ends - begins == 1).all():  # a letter, as a filter is
        codes, places = np.unique(held[begins], return_inverse=True)
        letters = pa.array([field.text(bytes([code])) for code in codes.tolist()], pa.string())
        return letters.take(pa.array(places, mask=missing))
    known: dict[bytes, str | None] = {}
    texts = []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        raw = data[begin:end]
        if raw not in known:
            known[raw] = field.text(raw)
        texts.append(known[raw])
    if missing is not None:
        texts = [None if gone else text for text, gone in zip(texts, missing.tolist(), strict=True)]
    return pa.array(texts, pa.string())


class TextRows:
    """TABLEDATA: the parser's events in, batches out."""

    def __init__(self, fields: list[Field]) -> None:
        self._fields = fields
        self._rows: list[list[str]] = []
        self._cells: list[str] = []
        self._cell: list[str] | None = None
        self._plain: list[pa.Table] = []
        self._before = 0
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
                if attributes.get("encoding", "none") != "none":
                    raise ValueError(f"{self._place}: a cell is packed as {attributes['encoding']}")
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

    def is_enough(self, size: int) -> bool:
        """Whether so many bytes of rows are to be read at once."""
        return size >= _BYTES

    def plain(self, text: bytes) -> bool:
        """Take whole rows as they stand in the file, if they are plain; False where the parser must read them."""
        if self._cells:
            return False
        found = votable_plain.cells(text, len(self._fields))
        if found is None:
            return False
        self._plain.append(found)
        return True

    def take(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """A batch of the rows that have come so far, once they are many or the table has ended."""
        for table in self._plain:
            arrays = [
                field.parse(words.combine_chunks(), self._before)
                for field, words in zip(self._fields, table.columns, strict=True)
                if field.is_kept
            ]
            self._before += table.num_rows
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        self._plain.clear()
        if self._rows and (len(self._rows) >= _BATCH or self._ended):
            columns = zip(self._fields, zip(*self._rows, strict=True), strict=True)
            arrays = [
                field.parse(pa.array(cells, pa.string()), self._before) for field, cells in columns if field.is_kept
            ]
            self._before += len(self._rows)
            self._rows = []
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    @property
    def _place(self) -> str:
        return f"row {self._before + len(self._rows) + 1}"

    def _add_row(self) -> None:
        if len(self._cells) != len(self._fields):
            raise ValueError(f"{self._place} has {len(self._cells)} cells for {len(self._fields)} columns")
        self._rows.append(self._cells)
        self._cells = []
