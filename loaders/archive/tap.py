"""Questions to a TAP service (IVOA Table Access Protocol 1.1): small ones answered at once, what it offers, what it holds."""

from __future__ import annotations

import re
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from skysy.loaders.archive.uws import plain_words, too_long
from skysy.loaders.archive.wire import Reply, Wire
from skysy.loaders.votable import open_votable

from skysy.errors import ArchiveError, FileDamaged, QueryFailed, SkysyError, TooMuch

_WORDS = """
    absolute action add all allocate alter and any are as asc assertion at authorization avg begin between bit both
    by cascade case cast catalog char character check close coalesce collate collation column commit connect
    connection constraint continue convert corresponding count create cross current cursor date day deallocate
    decimal declare default deferred delete desc describe diagnostics disconnect distance distinct domain double
    drop else end escape except exception exec execute exists external extract false fetch first float for foreign
    found from full get global go goto grant group having hour identity immediate in indicator initially inner input
    insert int integer intersect interval into is isolation join key language last leading left level like local
    lower match max min minute module month names national natural next no not null nullif numeric octet_length of
    on only open option or order outer output overlaps pad partial point position precision prepare preserve primary
    prior privileges procedure public read real references relative restrict revoke right rollback rows schema
    scroll second section select session set size smallint some space sql sum table temporary then time timestamp to
    top trailing transaction translate trim true union unique unknown update upper usage user using value values
    varchar varying view when whenever where with work write year zone area box circle centroid contains coord1
    coord2 intersects polygon region
"""
_RESERVED = frozenset(_WORDS.split())
"""Words that ADQL 2.1 (section 2.1.3) keeps for itself: a column of such a name goes in quotes."""


@dataclass(frozen=True)
class Offer:
    """What a service says of itself; None and empty where it says nothing."""

    default_rows: int | None = None
    most_rows: int | None = None
    upload_rows: int | None = None
    upload_bytes: int | None = None
    takes_uploads: bool = False
    formats: tuple[str, ...] = ()


@dataclass(frozen=True)
class RemoteColumn:
    """A column as TAP_SCHEMA tells of it."""

    table: str
    name: str
    unit: str
    indexed: bool


class UploadRefused(QueryFailed):
    """The service takes no uploaded tables, or does not read them."""


class Tap:
    """One TAP service."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def rows(self, query: str, upload: bytes | None = None, most: int = 100_000) -> list[dict[str, Any]]:
        """The rows of a small query by lower-case name; raises an ArchiveError for what is no whole answer."""
        with tempfile.NamedTemporaryFile(prefix="answer-", suffix=".part", dir=self.wire.scratch) as held:
            path = Path(held.name)
            self.sync(query, path, most=most, upload=upload)
            failures: list[SkysyError] = []
            try:
                with open_votable(path) as source, duckdb.connect(":memory:") as con:
                    failures = source.failures
                    found = con.execute(f"FROM {source.relation(con)}")
                    names = [column[0].lower() for column in found.description or []]
                    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
            except FileDamaged as error:
                raise self.failed(query, _plain(error, path), upload) from error
            except duckdb.Error as error:
                if not failures:
                    raise
                raise self.failed(query, _plain(failures[0], path), upload) from error

    def count(self, query: str, upload: bytes | None = None) -> int:
        """The one number that a query gives."""
        rows = self.rows(query, upload)
        value = next(iter(rows[0].values()), None) if len(rows) == 1 else None
        if not isinstance(value, int | float) or value != value or value < 0:
            raise QueryFailed(f"{self.wire.service.title} gives no count for: {' '.join(query.split())[:300]}")
        return int(value)

    def sync(self, query: str, to: Path, *, most: int, form: str = "votable", upload: bytes | None = None) -> Reply:
        """The answer to a query, at once, into a file as it is; `upload` is the table TAP_UPLOAD.ids."""
        words, files = parameters(query, form, most, upload)
        reply = self.wire.post(f"{self.wire.service.url}/sync", words, files=files, repeatable=True, to=to)
        if reply.status >= 400:
            raise self.failed(query, plain_words(reply.text) or f"HTTP {reply.status}", upload)
        return reply

    def offer(self) -> Offer:
        """What the service's capabilities say; raises QueryFailed where they cannot be read."""
        reply = self.wire.get(f"{self.wire.service.url}/capabilities")
        try:
            root = ET.fromstring(reply.text)
        except ET.ParseError as error:
            raise QueryFailed(
                f"{self.wire.service.title}: {reply.url} is no capabilities document (HTTP {reply.status})."
            ) from error
        return Offer(
            default_rows=_limit(root, "outputLimit", "default", "row"),
            most_rows=_limit(root, "outputLimit", "hard", "row"),
            upload_rows=_limit(root, "uploadLimit", "hard", "row"),
            upload_bytes=_limit(root, "uploadLimit", "hard", "byte"),
            takes_uploads=any(_tag(node) == "uploadMethod" for node in root.iter()),
            formats=tuple(
                (node.text or "").strip()
                for one in root.iter()
                if _tag(one) == "outputFormat"
                for node in one
                if _tag(node) in ("mime", "alias")
            ),
        )

    def columns(self, tables: Sequence[str]) -> dict[str, list[RemoteColumn]]:
        """Columns by table, lower case, of those tables that the service's TAP_SCHEMA lists."""
        listed = ", ".join(f"'{name}'" for name in tables)
        found: dict[str, list[RemoteColumn]] = {}
        for row in self.rows(
            "SELECT table_name, column_name, unit, indexed FROM TAP_SCHEMA.columns "
            f"WHERE LOWER(table_name) IN ({listed.lower()})"
        ):
            try:
                table = str(row["table_name"]).strip().lower()
                name = str(row["column_name"]).strip().strip('"')
                column = RemoteColumn(
                    table, name, str(row["unit"] or ""), str(row["indexed"] or 0) not in ("0", "False")
                )
            except KeyError as error:
                raise QueryFailed(f"{self.wire.service.title}: its TAP_SCHEMA answers without {error}.") from error
            found.setdefault(table, []).append(column)
        return found

    def failed(self, query: str, words: str, upload: bytes | None = None) -> ArchiveError:
        """The error for an answer that is none, with the service's own words."""
        text = f"{self.wire.service.title} could not answer: {words.rstrip('.')}."
        if upload is not None and "upload" in words.lower():
            return UploadRefused(text, f"Put uploads = false under [services.{self.wire.service.key}] in skysy.toml.")
        kind = TooMuch if too_long(words) else QueryFailed
        return kind(text, f"The query was: {' '.join(query.split())[:300]}")


def _plain(error: SkysyError, path: Path) -> str:
    """What is wrong with an answer, without the name of the file in which it lay for a moment."""
    words = error.message.removeprefix(path.name).lstrip(": ")
    return words.split("not a table: ", 1)[-1]


def parameters(
    query: str, form: str, most: int, upload: bytes | None
) -> tuple[dict[str, str], dict[str, tuple[str, bytes, str]] | None]:
    """The form fields of a query, and the file that goes with them."""
    words = {"REQUEST": "doQuery", "LANG": "ADQL", "QUERY": query, "MAXREC": str(most), "RESPONSEFORMAT": form}
    if upload is None:
        return words, None
    words["UPLOAD"] = "ids,param:ids_table"
    return words, {"ids_table": ("ids.vot", upload, "application/x-votable+xml")}


def quoted(name: str) -> str:
    """A column's name as ADQL takes it: in quotes where it is a reserved word or no plain name."""
    return name if re.fullmatch(r"[A-Za-z]\w*", name) and name.lower() not in _RESERVED else f'"{name}"'


def _limit(root: ET.Element, what: str, which: str, unit: str) -> int | None:
    for node in root.iter():
        if _tag(node) == what:
            for limit in node:
                if (
                    _tag(limit) == which
                    and limit.attrib.get("unit", "row") == unit
                    and (limit.text or "").strip().isdigit()
                ):
                    return int((limit.text or "").strip())
    return None


def _tag(node: ET.Element) -> str:
    return node.tag.rsplit("}", 1)[-1]
