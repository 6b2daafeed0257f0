"""FIELDs of a VOTable: what a value of each takes in bytes and becomes in Arrow (VOTable 1.4, section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_NUMBERS: dict[str, tuple[str, pa.DataType]] = {
    "unsignedByte": (">u1", pa.int16()),
    "short": (">i2", pa.int16()),
    "int": (">i4", pa.int32()),
    "long": (">i8", pa.int64()),
    "float": (">f4", pa.float32()),
    "double": (">f8", pa.float64()),
}
_TRUE, _FALSE, _UNKNOWN = b"Tt1", b"Ff0", b"? \0"


class Unreadable(Exception):
    """A construct that this reader leaves to astropy."""


@dataclass
class Field:
    """One column: `length` is its number of characters, None for variable ones; 1 for all others."""

    name: str
    datatype: str
    length: int | None
    unit: str | None
    null: str | None = None

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of its values."""
        if self.datatype in _NUMBERS:
            return _NUMBERS[self.datatype][1]
        return pa.bool_() if self.datatype == "boolean" else pa.string()

    @property
    def is_text(self) -> bool:
        """Whether it holds characters."""
        return self.datatype in ("char", "unicodeChar")

    @property
    def character_bytes(self) -> int:
        """Bytes of one character."""
        return 2 if self.datatype == "unicodeChar" else 1

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The numpy type of a value in a row of fixed length, None for text of variable length."""
        if self.datatype in _NUMBERS:
            return np.dtype(_NUMBERS[self.datatype][0])
        if self.datatype == "boolean":
            return np.dtype("u1")
        return None if self.length is None else np.dtype((np.void, self.length * self.character_bytes))

    def check(self, serialization: str) -> None:
        """Raise Unreadable for what the serialization cannot hold here."""
        if self.datatype not in _NUMBERS and self.datatype != "boolean" and not self.is_text:
            raise Unreadable(f"{self.datatype} in {serialization}")

    def to_arrow(self, values: npt.NDArray[Any], missing: npt.NDArray[np.bool_] | None) -> pa.Array:
        """Values of fixed length as they stand in the rows, with NULL where `missing` or where the file's own mark is."""
        if self.datatype == "boolean":
            return self._booleans(values, missing)
        if self.is_text:
            return self._texts(values, missing)
        native = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("=")))
        if self.null is not None and native.dtype.kind in "iu":
            marked = native == int(self.null, 0)
            missing = marked if missing is None else missing | marked
        return pa.array(native.astype(self.arrow_type.to_pandas_dtype(), copy=False), self.arrow_type, mask=missing)

    def text(self, raw: bytes) -> str | None:
        """The characters of a value; nothing, or zeros alone, is NULL."""
        if self.datatype == "unicodeChar":
            text = raw.decode("utf-16-be").split("\0", 1)[0]
        else:
            text = raw.split(b"\0", 1)[0].decode("utf-8")
        return text.rstrip(" ") or None

    def _texts(self, values: npt.NDArray[Any], missing: npt.NDArray[np.bool_] | None) -> pa.Array:
        """Texts of fixed length; equal ones, which are many in a catalogue, are decoded once."""
        codes, places = np.unique(values.view(f"S{max(values.dtype.itemsize, 1)}"), return_inverse=True)
        width = values.dtype.itemsize
        known = pa.array([self.text(bytes(code).ljust(width, b"\0")) for code in codes.tolist()], pa.string())
        return known.take(pa.array(places, mask=missing))

    def _booleans(self, values: npt.NDArray[Any], missing: npt.NDArray[np.bool_] | None) -> pa.Array:
        true, unknown = np.isin(values, list(_TRUE)), np.isin(values, list(_UNKNOWN))
        strange = ~(true | unknown | np.isin(values, list(_FALSE)))
        if missing is not None:
            strange &= ~missing
            unknown |= missing
        if strange.any():
            raise ValueError(f"byte {int(values[strange][0])} is no boolean in column {self.name}")
        return pa.array(true, pa.bool_(), mask=unknown)


def make_field(attributes: dict[str, str]) -> Field:
    """The Field that a FIELD element tells; raises Unreadable for arrays of anything but characters."""
    datatype, size = attributes.get("datatype", ""), attributes.get("arraysize", "")
    length: int | None = 1
    if datatype in ("char", "unicodeChar"):
        if size.endswith("*"):
            length = None
        elif size:
            if not size.isdigit():
                raise Unreadable(f"arraysize {size}")
            length = int(size)
    elif size not in ("", "1"):
        raise Unreadable(f"arraysize {size} of {datatype}")
    name = attributes.get("name") or attributes.get("ID") or ""
    return Field(name, datatype, length, attributes.get("unit") or None)
