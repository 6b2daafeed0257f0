"""Tables that go to a service along with a query (TAP 1.1, section 2.5), as VOTables whose numbers keep every digit."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE nrows="{rows}">
{fields}
<DATA><BINARY><STREAM encoding="base64">
"""
_TAIL = "</STREAM></BINARY></DATA></TABLE></RESOURCE></VOTABLE>\n"

Positions = Mapping[int, tuple[float, float]]
"""Right ascension and declination, ICRS, in degrees, by object_id."""


def ids_table(name: str, keys: Sequence[int]) -> bytes:
    """A VOTable of one column of 64-bit ids."""
    return _votable([(name, "long", "")], np.asarray(keys, dtype=">i8"))


def positions_table(keys: Sequence[int], positions: Positions) -> bytes:
    """A VOTable of object_id, obj_ra and obj_dec in degrees; names that no catalogue has, so that none clash."""
    rows = np.array([(key, *positions[key]) for key in keys], dtype=[("key", ">i8"), ("ra", ">f8"), ("dec", ">f8")])
    fields = [("object_id", "long", ""), ("obj_ra", "double", "deg"), ("obj_dec", "double", "deg")]
    return _votable(fields, rows)


def _votable(fields: Sequence[tuple[str, str, str]], rows: npt.NDArray[Any]) -> bytes:
    """In BINARY, which every service reads."""
    told = "\n".join(
        f'<FIELD name="{name}" datatype="{kind}"' + (f' unit="{unit}"' if unit else "") + "/>"
        for name, kind, unit in fields
    )
    body = base64.encodebytes(rows.tobytes()).decode()
    return (_HEAD.format(rows=len(rows), fields=told) + body + _TAIL).encode()
