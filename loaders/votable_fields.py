"""FIELDs of a VOTable: what a value of each takes in bytes and becomes in Arrow (VOTable 1.4, section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_NUMBERS: dict[str, tuple[str, pa.DataType]] = {
    "unsignedByte": (">u1", pa.int16()),
    "short": (">i2", pa.int16()),
    "int": (">i4", pa.int32()),
    "long": (">i8", pa.int64()),
    "float": (">f4", pa.float32()),
    "double": (">f8", pa.float64()),
}
_SIZES = {"boolean": 1, "char": 1, "unicodeChar": 2, "floatComplex": 8, "doubleComplex": 16} | {
    name: np.dtype(code).itemsize for name, (code, _) in _NUMBERS.items()
}
# Names that services send for lack of the right ones; their width in bytes is anybody's guess.
_MISSPELT = {"integer": "long", "bigint": "long", "smallint": "short", "real": "float"}
_TEXTS = {"string": "char", "unicodestring": "unicodeChar"}
_TRUE, _FALSE, _UNKNOWN = b"Tt1", b"Ff0", b"? \0"
_TRUE_WORDS, _FALSE_WORDS, _UNKNOWN_WORDS = ("t", "true", "1"), ("f", "false", "0"), ("", "?", "null")
# No text of an archive is longer; a garbled length would make the reader hold the whole file.
_LONGEST = 1 << 24


@dataclass
class Field:
    """One column. `length` is its number of items, None for a variable one; `is_array` says that it is no single value."""

    name: str
    datatype: str
    length: int | None
    unit: str | None
    ucd: str | None = None
    is_array: bool = False
    is_misspelt: bool = False
    null: int | float | None = None

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of its values."""
        if self.datatype in _NUMBERS:
            return _NUMBERS[self.datatype][1]
        return pa.bool_() if self.datatype in ("boolean", "bit") else pa.string()

    @property
    def is_kept(self) -> bool:
        """Whether its values are read: arrays, bits and complex numbers are passed over, no table here has any."""
        return not self.is_array

    @property
    def is_bit(self) -> bool:
        """Whether it is a single bit, as astropy writes booleans; there is no bit that says NULL."""
        return self.datatype == "bit" and self.length == 1

    @property
    def is_text(self) -> bool:
        """Whether it holds characters."""
        return self.datatype in ("char", "unicodeChar")

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The numpy type of a value in a row of fixed length, None for what has a variable one."""
        if self.length is None:
            return None
        if self.is_array or self.is_text:
            return np.dtype((np.void, self.bytes_of(self.length)))
        return np.dtype(_NUMBERS[self.datatype][0] if self.datatype in _NUMBERS else "u1")

    def bytes_of(self, items: int) -> int:
        """Bytes that so many items take; raises ValueError for more than there can be."""
        if items > _LONGEST:
            raise ValueError(f"a value of {items:,} items in column {self.name}")
        return (items + 7) // 8 if self.datatype == "bit" else items * _SIZES[self.datatype]

    def to_arrow(self, values: npt.NDArray[Any], missing: npt.NDArray[np.bool_] | None) -> pa.Array:
        """Values of fixed length as they stand in the rows, with NULL where `missing` or where the file's own mark is."""
        if self.datatype == "boolean":
            return self._booleans(values, missing)
        if self.is_bit:  # the first of the byte by the standard, the fifth as astropy has it; the others are zero
            return pa.array(values != 0, mask=missing)
        if self.is_text:
            return self._texts(values, missing)
        native = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("=")))
        if self.null is not None:
            marked = native == self.null
            missing = marked if missing is None else missing | marked
        return pa.array(native.astype(self.arrow_type.to_pandas_dtype(), copy=False), self.arrow_type, mask=missing)

    def text(self, raw: bytes) -> str | None:
        """The characters of a value; nothing, or zeros alone, is NULL."""
        try:
            whole = raw.decode("utf-16-be" if self.datatype == "unicodeChar" else "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"column {self.name} holds bytes that are no text: {raw[:20]!r}") from error
        return whole.split("\0", 1)[0].rstrip(" ") or None

    def parse(self, cells: pa.Array, before: int) -> pa.Array:
        """Cells of TABLEDATA, an empty one being NULL; raises ValueError with the row where one is no such value."""
        if self.is_text:
            trimmed = pc.utf8_rtrim(cells, " ")
            return pc.if_else(pc.equal(trimmed, ""), None, trimmed)
        if self.datatype == "boolean":
            packed = cells.dictionary_encode()
            known = packed.dictionary.to_pylist()
            values = [self._boolean(word, before + 1 + pc.index(cells, word).as_py()) for word in known]
            return pa.array(values, pa.bool_()).take(packed.indices)
        words = pc.utf8_trim_whitespace(cells)
        words = pc.if_else(pc.equal(words, ""), None, words)
        try:
            values = words.cast(self.arrow_type)
        except pa.ArrowInvalid:
            values = pa.array([self._number(word, before + n) for n, word in enumerate(words.to_pylist(), 1)])
            values = values.cast(self.arrow_type)
        if pa.types.is_floating(values.type) and pc.any(pc.is_inf(values)).as_py():
            large = pc.and_(pc.is_inf(values), pc.invert(pc.match_substring(words, "inf", ignore_case=True)))
            if (place := pc.index(large, True).as_py()) >= 0:
                raise self._strange(words[place].as_py(), before + place + 1)
        if self.datatype == "unsignedByte":
            outside = pc.or_(pc.less(values, 0), pc.greater(values, 255))
            if (place := pc.index(outside, True).as_py()) >= 0:
                raise self._strange(cells[place].as_py(), before + place + 1)
        return values if self.null is None else pc.if_else(pc.equal(values, self.null), None, values)

    def _number(self, word: str | None, row: int) -> int | float | None:
        """What Arrow does not read: signs, hexadecimal; raises ValueError for what is no number or too large."""
        if word is None:
            return None
        try:
            if self.datatype in ("float", "double"):
                if word.lower() in ("null", "-", "--"):  # IRSA and others write these
                    return None
                return float(word.replace("_", "x"))
            value = int(word, 16) if word.lower().startswith("0x") else int(word.replace("_", "x"))
        except ValueError as error:
            raise self._strange(word, row) from error
        limits = np.iinfo(_NUMBERS[self.datatype][0])
        if not limits.min <= value <= limits.max:
            raise self._strange(word, row)
        return value

    def _boolean(self, cell: str, row: int) -> bool | None:
        word = cell.strip().lower()
        if word in _UNKNOWN_WORDS:
            return None
        if word not in _TRUE_WORDS and word not in _FALSE_WORDS:
            raise self._strange(cell, row)
        return word in _TRUE_WORDS

    def _strange(self, cell: str, row: int) -> ValueError:
        return ValueError(f"row {row}, column {self.name}: {cell!r} is no {self.datatype}")

    def _texts(self, values: npt.NDArray[Any], missing: npt.NDArray[np.bool_] | None) -> pa.Array:
        """Texts of fixed length; equal ones, which are many in a catalogue, are decoded once."""
        width = values.dtype.itemsize
        if width == 0:
            return pa.nulls(len(values), pa.string())
        codes, places = np.unique(values.view(f"S{width}"), return_inverse=True)
        known = pa.array([self.text(bytes(code).ljust(width, b"\0")) for code in codes.tolist()], pa.string())
        return known.take(pa.array(places, mask=missing))

    def _booleans(self, values: npt.NDArray[Any], missing: npt.NDArray[np.bool_] | None) -> pa.Array:
        true, unknown = np.isin(values, list(_TRUE)), np.isin(values, list(_UNKNOWN))
        strange = ~(true | unknown | np.isin(values, list(_FALSE)))
        if missing is not None:
            strange &= ~missing
            unknown |= missing
        if strange.any():
            row = int(np.flatnonzero(strange)[0])
            raise ValueError(f"byte {int(values[row])} is no boolean in column {self.name}")
        return pa.array(true, pa.bool_(), mask=unknown)


def make_field(attributes: dict[str, str]) -> Field:
    """The Field that a FIELD element tells; raises ValueError for a datatype or arraysize that there is not."""
    name = attributes.get("name") or attributes.get("ID") or ""
    sent, size = attributes.get("datatype", ""), attributes.get("arraysize", "").strip()
    datatype = (_MISSPELT | _TEXTS).get(sent.lower(), sent)
    if datatype != "bit" and datatype not in _SIZES:
        raise ValueError(f"column {name} is of datatype {sent!r}, which VOTable does not have")
    if sent.lower() in _TEXTS and not size:
        size = "*"
    length = _length(name, size)
    is_text = datatype in ("char", "unicodeChar")
    is_array = "x" in size or (not is_text and length != 1) or datatype in ("bit", "floatComplex", "doubleComplex")
    unit, ucd = (attributes.get(one, "").strip() or None for one in ("unit", "ucd"))
    return Field(name, datatype, length, unit, ucd, is_array, sent.lower() in _MISSPELT)


def _length(name: str, size: str) -> int | None:
    """Items in a value, None where each says how many it has: 8, 3x4, *, 10*, 3x*."""
    if size.endswith("*"):
        return None
    try:
        return prod(int(part) for part in size.split("x")) if size else 1
    except ValueError as error:
        raise ValueError(f"column {name} has arraysize {size!r}, which is none") from error


def null_of(field: Field, text: str) -> int | float | None:
    """The number that VALUES null="..." declares for a column, None for what is no number of its kind."""
    try:
        if field.datatype in ("float", "double"):
            value = float(text)
            return None if value != value else value
        return int(text, 16) if text.lower().startswith("0x") else int(text)
    except ValueError:
        return None
