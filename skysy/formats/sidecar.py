"""What a CSV file cannot say of its columns, in a JSON file beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from skysy.columns import Column
from skysy.formats.whole import whole_file

_READING = {
    "null": "an empty cell",
    "empty_text": 'a cell of two quotation marks, ""',
    "boolean": "true and false",
    "not_a_number": "nan",
    "quote": '"',
    "encoding": "UTF-8",
}


def sidecar_of(path: Path) -> Path:
    """The file beside a CSV file that tells of its columns."""
    return path.with_name(f"{path.name}.meta.json")


def write_sidecar(path: Path, columns: Sequence[Column], name: str, description: str, rows: int) -> Path:
    """Type, unit (VOUnits), UCD and description of each column of the CSV file at `path`, in their order; returns its own path.

    Types are DuckDB's names; a unit or UCD that there is not is null.
    """
    told = {
        "name": name,
        "description": description,
        "rows": rows,
        "reading": _READING,
        "columns": [
            {
                "name": column.name,
                "type": column.type,
                "unit": column.unit,
                "ucd": column.ucd,
                "description": column.description,
            }
            for column in columns
        ],
    }
    beside = sidecar_of(path)
    with whole_file(beside) as out:
        out.write((json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode())
    return beside
