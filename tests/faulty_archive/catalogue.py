"""The tables that an archive holds, what their columns mean, and the rows that a query finds in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa

from faulty_archive.adql import MACROS, QueryError, Translated, translate
from skysy.columns import Column
from skysy.contract import load_contract
from skysy.errors import NotFound
from skysy.formats.values import arrow_type

Rows = Sequence[Mapping[str, Any]]
TableSource: TypeAlias = str | pa.Table | Rows
"""A DuckDB query, an Arrow table, or rows by column name."""

_INDEXED = frozenset({"object_id", "source_id", "image_id", "oid", "oidref", "raj2000", "dej2000", "pts_key", "cntr"})
_NO_COLUMN = re.compile(r'Referenced column "([^"]+)" (?:was )?not found|does not have a column named "([^"]+)"')
_NO_TABLE = re.compile(r'Table with name "?([\w.]+)"? does not exist')


@dataclass(frozen=True)
class Answer:
    """Rows with their columns' metadata; `overflow` where there were more, `error` where the service then broke."""

    table: pa.Table
    columns: tuple[Column, ...]
    name: str = "result"
    overflow: bool = False
    error: str = ""
    null_text: str = ""


@dataclass(frozen=True)
class Held:
    """One table of the archive."""

    name: str
    description: str
    columns: tuple[Column, ...]

    def indexed(self, column: Column) -> bool:
        """Whether the archive says that it finds rows by this column quickly."""
        return column.name.lower() in _INDEXED


class Catalogue:
    """An in-memory database with the archive's tables and its TAP_SCHEMA."""

    def __init__(self, source: Mapping[str, TableSource] | Path, release: str) -> None:
        self._contract = load_contract(release)
        self._con = duckdb.connect(":memory:", config={"threads": 1, "python_enable_replacements": False})
        for macro in MACROS:
            self._con.execute(macro)
        if isinstance(source, Mapping):
            for name, content in source.items():
                self._put(name, content)
        else:
            self._copy(source)
        self.tables = {held.name: held for held in self._held()}
        self._make_tap_schema()

    def close(self) -> None:
        """Give the memory back."""
        self._con.close()

    def answer(self, query: str, uploads: Mapping[str, pa.Table], most: int, *, block_comments: bool) -> Answer:
        """The rows of an ADQL query, the first `most`; raises QueryError for one that cannot be run."""
        translated = translate(query, block_comments=block_comments)
        with self._con.cursor() as con:
            con.execute("SET integer_division = true")
            for name in translated.uploads:
                if name not in uploads:
                    raise QueryError(f"Field query: Could not locate table 'TAP_UPLOAD.{name}'")
                con.register(f"tap_upload_{name}", uploads[name])
            try:
                return self._run(con, translated, most)
            except duckdb.Error as error:
                raise QueryError(f"Field query: {_words(str(error), translated.names)}") from error

    def _run(self, con: duckdb.DuckDBPyConnection, translated: Translated, most: int) -> Answer:
        relation = con.sql(translated.sql)
        names, types = _unique(relation.columns), [str(kind) for kind in relation.types]
        table = relation.to_arrow_table().rename_columns(names)
        there = [self.tables[name] for name in translated.names if name in self.tables]
        known = {column.name.lower(): column for held in reversed(there) for column in held.columns}
        columns = tuple(
            replace(known.get(name.lower(), Column(name, kind)), name=name, type=_told(kind))
            for name, kind in zip(names, types, strict=True)
        )
        overflow = table.num_rows > most or most == 0
        return Answer(table.slice(0, most), columns, there[0].name.split(".")[-1] if there else "result", overflow)

    def rows(self, sql: str, arguments: Sequence[Any] = (), **views: pa.Table) -> Answer:
        """The rows of a query in DuckDB's own SQL, `views` being tables that it may name."""
        with self._con.cursor() as con:
            for name, table in views.items():
                con.register(name, table)
            relation = con.sql(sql, params=list(arguments))
            columns = tuple(
                Column(name, _told(str(kind))) for name, kind in zip(relation.columns, relation.types, strict=True)
            )
            return Answer(relation.to_arrow_table(), columns)

    def _put(self, name: str, content: TableSource) -> None:
        if schema := name.rpartition(".")[0]:
            self._con.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        if isinstance(content, str):
            self._con.execute(f"CREATE TABLE {name} AS {content}")
            return
        if not isinstance(content, pa.Table):
            content = self._typed(name, content)
        self._con.register("_content", content)
        self._con.execute(f"CREATE TABLE {name} AS FROM _content")
        self._con.unregister("_content")

    def _typed(self, name: str, rows: Rows) -> pa.Table:
        """Rows of a table of the contract with its types and all its columns; other tables as Arrow guesses."""
        try:
            columns = self._contract.table(name).columns
        except NotFound:
            return pa.Table.from_pylist([dict(row) for row in rows])
        return pa.table(
            {column.name: pa.array([row.get(column.name) for row in rows], arrow_type(column)) for column in columns}
        )

    def _copy(self, database: Path) -> None:
        self._con.execute(f"ATTACH '{database}' AS warehouse (READ_ONLY)")
        there = self._con.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = 'warehouse'"
        ).fetchall()
        for table in self._contract.tables:
            if (table.name,) in there:
                names = ", ".join(f'"{column.name}"' for column in table.columns)
                self._put(table.name, f"SELECT {names} FROM warehouse.{table.name}")
        self._con.execute("DETACH warehouse")

    def _held(self) -> list[Held]:
        whole = "CASE schema_name WHEN 'main' THEN '' ELSE schema_name || '.' END || table_name"
        columns: dict[str, list[Column]] = {}
        for name, column, kind in self._con.execute(
            f"SELECT {whole}, column_name, data_type FROM duckdb_columns() WHERE NOT internal ORDER BY 1, column_index"
        ).fetchall():
            columns.setdefault(name, []).append(Column(column, _told(kind)))
        contracts = {table.name: table for table in self._contract.tables}
        held = []
        for name, told in columns.items():
            contract = contracts.get(name)
            known = {column.name: column for column in contract.columns} if contract else {}
            whole_columns = tuple(replace(known.get(one.name, one), name=one.name, type=one.type) for one in told)
            held.append(Held(name, contract.description if contract else "", whole_columns))
        return held

    def _make_tap_schema(self) -> None:
        """TAP_SCHEMA.schemas, tables, columns, keys and key_columns (TAP 1.1, section 4)."""
        tables = list(self.tables.values())
        schemas = dict.fromkeys(held.name.rpartition(".")[0] or "public" for held in tables)
        self._con.execute("CREATE SCHEMA tap_schema")
        self._fill(
            "schemas", "schema_name VARCHAR, description VARCHAR, utype VARCHAR, schema_index INTEGER",
            [(schema, "", None, place) for place, schema in enumerate(schemas)],
        )  # fmt: skip
        self._fill(
            "tables",
            "schema_name VARCHAR, table_name VARCHAR, table_type VARCHAR, description VARCHAR, utype VARCHAR, "
            "table_index INTEGER",
            [
                (held.name.rpartition(".")[0] or "public", held.name, "table", held.description, None, place)
                for place, held in enumerate(tables)
            ],
        )
        self._fill(
            "columns",
            "table_name VARCHAR, column_name VARCHAR, datatype VARCHAR, arraysize VARCHAR, xtype VARCHAR, "
            'description VARCHAR, utype VARCHAR, unit VARCHAR, ucd VARCHAR, "indexed" INTEGER, principal INTEGER, '
            "std INTEGER, column_index INTEGER",
            [
                (held.name, adql_name(column.name), *votable_type(column), None, column.description, None, column.unit,
                 column.ucd, int(held.indexed(column)), int(column.required), 0, place)
                for held in tables
                for place, column in enumerate(held.columns)
            ],
        )  # fmt: skip
        self._fill(
            "keys", "key_id VARCHAR, from_table VARCHAR, target_table VARCHAR, description VARCHAR, utype VARCHAR", []
        )
        self._fill("key_columns", "key_id VARCHAR, from_column VARCHAR, target_column VARCHAR", [])

    def _fill(self, table: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._con.execute(f"CREATE TABLE tap_schema.{table} ({columns})")
        if rows:
            cells = pa.table(
                [pa.array(cell) for cell in zip(*rows, strict=True)], names=[f"c{i}" for i in range(len(rows[0]))]
            )
            self._con.register("_cells", cells)
            self._con.execute(f"INSERT INTO tap_schema.{table} FROM _cells")
            self._con.unregister("_cells")


@cache
def adql_name(name: str) -> str:
    """A column's name as TAP_SCHEMA lists it: in quotes where a query must quote it (TAP 1.1, section 4.3)."""
    try:
        translate(f"SELECT {name}")
    except QueryError:
        return f'"{name}"'
    return name


def votable_type(column: Column) -> tuple[str, str | None]:
    """(datatype, arraysize) of a column in a VOTable."""
    kind = arrow_type(column)
    plain = {
        pa.bool_(): "boolean", pa.int8(): "short", pa.uint8(): "unsignedByte", pa.int16(): "short", pa.int32(): "int",
        pa.int64(): "long", pa.float32(): "float", pa.float64(): "double",
    }  # fmt: skip
    if kind in plain:
        return plain[kind], None
    return ("double", None) if pa.types.is_decimal(kind) else ("char", "*")


def _told(kind: str) -> str:
    """A result's type as a service tells it; DuckDB's wide sums are BIGINT, a bare NULL is text."""
    return {"HUGEINT": "BIGINT", '"NULL"': "VARCHAR"}.get(kind, kind)


def _unique(names: Sequence[str]) -> list[str]:
    """The names with a number after those that come again."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return unique


def _words(error: str, names: Sequence[str]) -> str:
    """DuckDB's error in a service's words."""
    if found := _NO_COLUMN.search(error):
        return f"No such field known: column '{found[1] or found[2]}' could not be located in table metadata"
    if found := _NO_TABLE.search(error):
        whole = next((name for name in names if name.endswith(f".{found[1].lower()}")), found[1])
        return f"Could not locate table '{whole}'"
    first = error.split("\n")[0]
    return f"Could not parse your query: {first}" if first.startswith("Parser Error") else first
