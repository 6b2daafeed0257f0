"""A column as astronomers know it: name, type, unit, UCD and description, and its form as a COMMENT."""

from __future__ import annotations

import re
from dataclasses import dataclass

_COMMENT = re.compile(r"^(?P<description>.*?)(?:\s*\[(?P<unit>[^\[\]]*)\])?(?:\s*\{(?P<ucd>[^{}]*)\})?\s*$", re.DOTALL)


@dataclass(frozen=True)
class Column:
    """One column; `type` is a DuckDB type, `unit` a VOUnits string, `ucd` a UCD1+ word.

    `required` columns must be in a file; `accept` lists other spellings under which archives send it.
    """

    name: str
    type: str
    unit: str | None = None
    ucd: str | None = None
    description: str = ""
    required: bool = False
    accept: tuple[str, ...] = ()

    @property
    def spellings(self) -> tuple[str, ...]:
        """The column's own name and every accepted one, lower case."""
        return tuple(name.lower() for name in (self.name, *self.accept))

    @property
    def comment(self) -> str:
        """The COMMENT kept in the warehouse: `description [unit] {ucd}`."""
        return to_comment(self.description, self.unit, self.ucd)


def to_comment(description: str, unit: str | None, ucd: str | None) -> str:
    """`description [unit] {ucd}`, the parts that are there."""
    parts = [description.strip()]
    if unit:
        parts.append(f"[{unit}]")
    if ucd:
        parts.append(f"{{{ucd}}}")
    return " ".join(part for part in parts if part)


def from_comment(comment: str | None) -> tuple[str, str | None, str | None]:
    """(description, unit, ucd) of a COMMENT made by `to_comment`; missing parts are None."""
    found = _COMMENT.match(comment or "")
    if found is None:
        return (comment or "", None, None)
    return (found["description"].strip(), found["unit"] or None, found["ucd"] or None)
