"""Answers of MAST's portal: pages of JSON, each held against what it says of itself, and their rows as a source.

A page is {"status", "msg", "fields": [{"name", "type"}], "data": [{...}], "paging": {"page", "pagesFiltered", "rows",
"rowsFiltered", ...}}. Types are those of `fields`: astroquery casts its type `number` to whole numbers, here a column that
holds 58000.5 is one of floats; an identifier that is a number under the type `string` keeps all its digits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from skysy.loaders.archive.uws import plain_words, too_long
from skysy.loaders.source import Received, Source, arrow_source, kind_of, labels

from skysy.contract import TableContract
from skysy.errors import ErrorAnswer, FileDamaged, TooMuch

OWNER = "object_id"
"""The uploaded column that tells whose row of a cross-match it is."""

ASKED = "asked_obsid"
"""The column that tells for which observation a file was listed."""

CONTROLS = (-1, -2)
"""Whose rows are those of the star that is asked about twice with every list; they are no rows of ours."""

_WHOLE = ("int", "short", "long", "unsignedbyte", "number")
_REAL = ("float", "double", "decimal")
_YES, _NO = (True, 1, "true", "True", "1"), (False, 0, "false", "False", "0")


@dataclass(frozen=True)
class Page:
    """A page that is whole: its columns as (name, type), its rows, its number, how many pages there are, rows in all."""

    fields: tuple[tuple[str, str], ...]
    rows: list[dict[str, Any]]
    number: int
    pages: int
    total: int

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [name for name, _ in self.fields]


def read_page(text: str, name: str) -> Page | None:
    """The page of a reply, None while the service still works on it.

    Raises ErrorAnswer with the service's words, TooMuch where these say that it took too long, FileDamaged for what is no
    whole page: cut, a web page, or not as many rows as it says.
    """
    if text.lstrip()[:1] == "<":
        raise FileDamaged(f"{name}: a web page came in the place of rows: {plain_words(text)[:200]}")
    try:
        told = _loads(text)
    except ValueError as error:
        raise FileDamaged(f"{name}: the answer is no JSON, or cut: {error}.") from error
    return page_of(told, name)


def page_of(told: Any, name: str) -> Page | None:
    """The same of a reply that is read already."""
    status = told.get("status") if isinstance(told, dict) else None
    if status == "EXECUTING":
        return None
    if status != "COMPLETE":
        words = str(told.get("msg") or "no reason given") if isinstance(told, dict) else "no object"
        if too_long(words):
            raise TooMuch(f"{name}: the service stopped it: {words}")
        raise ErrorAnswer(f"{name}: the service answers {status or 'without a status'}: {words}")
    try:
        rows = list(told.get("data") or [])
        listed = told["fields"] if rows else told.get("fields") or []
        fields = tuple((str(one["name"]), str(one["type"]).lower()) for one in listed)
        paging = told.get("paging") or {"page": 1, "pagesFiltered": 1, "rows": len(rows), "rowsFiltered": len(rows)}
        number, pages = int(paging["page"]), int(paging["pagesFiltered"])
        here, total = int(paging["rows"]), int(paging["rowsFiltered"])
    except (KeyError, TypeError, ValueError) as error:
        raise FileDamaged(f"{name}: a page without {error}.") from error
    if here != len(rows) or not all(isinstance(row, dict) for row in rows):
        raise FileDamaged(f"{name}: page {number} says that it has {here:,} rows and has {len(rows):,}.")
    return Page(fields, rows, number, max(pages, 1), total)


def whole(pages: Sequence[Page], name: str) -> list[dict[str, Any]]:
    """The rows of all pages; raises FileDamaged where one is missing, comes twice, or has other columns than the first."""
    if not pages:
        raise FileDamaged(f"{name}: no page came.")
    first = pages[0]
    if [page.number for page in pages] != list(range(1, first.pages + 1)):
        raise FileDamaged(
            f"{name}: of {first.pages} pages those came that say they are {', '.join(str(page.number) for page in pages)}."
        )
    if any((page.fields, page.pages, page.total) != (first.fields, first.pages, first.total) for page in pages):
        raise FileDamaged(f"{name}: its pages do not agree on columns, or on how many pages and rows there are.")
    rows = [row for page in pages for row in page.rows]
    if len(rows) != first.total:
        raise FileDamaged(f"{name}: {first.total:,} rows were told and {len(rows):,} came.")
    return rows


def read_lookup(told: Any, uris: Sequence[str], name: str) -> dict[str, str | None]:
    """The path of each file in the public bucket, None where there is none; raises FileDamaged for another answer."""
    try:
        return {uri: None if told[uri]["path"] is None else str(told[uri]["path"]) for uri in uris}
    except (KeyError, TypeError) as error:
        raise FileDamaged(f"{name}: the look-up of paths does not tell of {error}.") from error


def open_answer(path: Path, table: TableContract, keys: Sequence[int]) -> Source:
    """The rows of a kept answer: its pages, and for products the look-ups of their paths behind them."""
    name = path.name
    told = _documents(path.read_text(encoding="utf-8"), name)
    pages = [page for one in told if "status" in one if (page := page_of(one, name)) is not None]
    rows = whole(pages, name)
    paths: dict[str, str | None] = {}
    for one in told:
        if "status" not in one:
            paths |= read_lookup(one, list(one), name)
    fields = _fields(pages[0], table)
    if table.column(OWNER) is not None:
        fields, rows = _with_owner(fields, rows, keys)
    else:
        rows = [{**row, "path": paths.get(str(row.get("dataURI"))), ASKED: asked_about(row, keys)} for row in rows]
        fields = [*(field for field in fields if field[0] not in ("path", ASKED)), ("path", "string"), (ASKED, "long")]
    columns = [_column(rows, field, table, name) for field in fields]
    schema = pa.schema([(label, one.type) for label, one in zip(labels(n for n, _ in fields), columns, strict=True)])
    received = tuple(
        Received(field[0], kind_of(kept.type), label=kept.name) for field, kept in zip(fields, schema, strict=True)
    )
    return arrow_source(received, schema, iter([pa.record_batch(columns, schema=schema)]))


def asked_about(row: Mapping[str, Any], keys: Sequence[int]) -> int | None:
    """The observation for which a file was listed: the only one that was asked about, or the one that the row names.

    A file of a combined observation may be a member's, with an obsID of its own; parent_obsid is what was asked for then.
    """
    if len(keys) == 1:
        return keys[0]
    told = str(row.get("parent_obsid") or row.get("obsID") or "")
    return int(told) if told.isdigit() and int(told) in keys else None


def _fields(page: Page, table: TableContract) -> list[tuple[str, str]]:
    """The columns of an answer, each once; an answer without rows may leave out even those that must be there."""
    found = {name.lower(): (name, kind) for name, kind in reversed(page.fields) if name != "_selected_"}
    if not page.total:
        for column in table.columns:
            if column.required:
                found.setdefault(column.name.lower(), (column.name, "long" if column.type == "BIGINT" else "string"))
    return list(found.values())


def _with_owner(
    fields: list[tuple[str, str]], rows: list[dict[str, Any]], keys: Sequence[int]
) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    """Rows with the object that they belong to: the only one that was asked about, or the one that each names."""
    if len(keys) == 1:
        rows = [{**row, OWNER: keys[0]} for row in rows]
        return [*(field for field in fields if field[0] != OWNER), (OWNER, "long")], rows
    controls = {str(one) for one in CONTROLS}
    return fields, [row for row in rows if str(row.get(OWNER)) not in controls]


def _column(rows: Sequence[Mapping[str, Any]], field: tuple[str, str], table: TableContract, name: str) -> pa.Array:
    column, declared = field
    ours = table.column(column)
    values = [row.get(column) for row in rows]
    whole_number = ours is not None and ours.type in ("SMALLINT", "INTEGER", "BIGINT")
    try:
        if declared in ("boolean", "binary"):
            return pa.array([_boolean(value) for value in values], pa.bool_())
        if declared in _WHOLE or (whole_number and declared not in _REAL):
            numbers = [_number(value) for value in values]
            if all(value is None or value == int(value) for value in numbers):
                return pa.array([None if value is None else int(value) for value in numbers], pa.int64())
            return pa.array([None if value is None else float(value) for value in numbers], pa.float64())
        if declared in _REAL:
            return pa.array([None if value is None else float(value) for value in values], pa.float64())
        return pa.array([_text(value) for value in values], pa.string())
    except (ValueError, TypeError, ArithmeticError, pa.ArrowException) as error:
        raise FileDamaged(f"{name}: column {column}, which it says is of type {declared}: {error}.") from error


def _number(value: Any) -> int | Decimal | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise ValueError(f"{value!r} is no number")
    number = Decimal(value) if isinstance(value, str) else value
    if isinstance(number, Decimal) and not number.is_finite():
        raise ValueError(f"{value!r} is no number")
    return number


def _boolean(value: Any) -> bool | None:
    if value is None or value == "":
        return None
    if value in _YES or value in _NO:
        return value in _YES
    raise ValueError(f"{value!r} is no boolean")


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value) if isinstance(value, bool | list | dict) else str(value)


def _loads(text: str) -> Any:
    """JSON whose numbers keep their digits."""
    return json.loads(text, parse_float=Decimal)


def _documents(text: str, name: str) -> list[dict[str, Any]]:
    """The JSON objects that follow each other in a kept answer."""
    reader = json.JSONDecoder(parse_float=Decimal)
    text = text.lstrip()
    found = []
    while text:
        try:
            one, end = reader.raw_decode(text)
        except ValueError as error:
            raise FileDamaged(f"{name}: the kept answer is no JSON, or cut: {error}.") from error
        if not isinstance(one, dict):
            raise FileDamaged(f"{name}: the kept answer holds what is no object.")
        found.append(one)
        text = text[end:].lstrip()
    return found
