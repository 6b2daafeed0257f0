"""CSV files: read once with the contract's types; where that fails, read again as text to name the place."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Mapping
from pathlib import Path

import duckdb
from skysy.loaders.source import Kind, Received, Source

from skysy.columns import Column
from skysy.contract import TableContract
from skysy.errors import FileDamaged

NULLS = ("", "NULL", "null", "--")
_HEAD = 1 << 20


def open_csv(path: Path, table: TableContract) -> Source:
    """The rows of a CSV file with a header line, gzipped or not; raises FileDamaged where it is cut or is none.

    Columns of the contract are read with its types (DECIMAL as DOUBLE, so that surplus decimals can be seen), others as
    text. NULL is an empty field, NULL, null or --.
    """
    names = _header(path)
    if path.name.lower().endswith(".gz"):
        _check_gzip(path)
    found = {name: table.column(name) for name in names}
    columns = tuple(Received(name, _kind(column)) for name, column in found.items())
    call = _read_csv(path, {name: _read_type(column) for name, column in found.items()})

    def relation(con: duckdb.DuckDBPyConnection) -> str:
        return call

    return Source(columns, relation)


def first_bad_value(con: duckdb.DuckDBPyConnection, path: Path, table: TableContract) -> tuple[str, str, int] | None:
    """(column, value, line) of the first value that cannot be what the contract says, or None.

    Lines count from 1, the header being the first.
    """
    names = _header(path)
    as_text = _read_csv(path, dict.fromkeys(names, "VARCHAR"))
    for name in names:
        column = table.column(name)
        if column is None or _read_type(column) == "VARCHAR":
            continue
        row = con.execute(
            f'SELECT value, line FROM (SELECT "{name}" AS value, row_number() OVER () + 1 AS line FROM {as_text}) '
            f"WHERE value IS NOT NULL AND TRY_CAST(trim(value) AS {_read_type(column)}) IS NULL ORDER BY line LIMIT 1"
        ).fetchall()
        if row:
            return column.name, str(row[0][0]), int(row[0][1])
    return None


def _header(path: Path) -> list[str]:
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opener(path, "rb") as source:
            head = source.read(_HEAD)
    except (OSError, EOFError, zlib.error) as error:
        raise FileDamaged(
            f"{path.name} cannot be unpacked: {error}.", "Nothing of it was kept. Get it again."
        ) from error
    if head.lstrip()[:1] == b"<":
        raise FileDamaged(
            f"{path.name} is not CSV: it starts with '<', as a web page or a VOTable does.",
            "Nothing of it was kept. An archive that fails sends a page instead of rows; get the file again.",
        )
    line = head.decode("utf-8-sig", errors="replace").splitlines()[:1]
    if not line or not line[0].strip():
        raise FileDamaged(
            f"{path.name} is empty: it has not even a header line.", "Nothing of it was kept. Get it again."
        )
    return [name.strip() for name in next(csv.reader(io.StringIO(line[0])))]


def _check_gzip(path: Path) -> None:
    """Unpack to the end: only there does gzip say that nothing is missing."""
    unpack = zlib.decompressobj(wbits=31)
    with path.open("rb") as source:
        while block := source.read(_HEAD):
            try:
                while block:
                    unpack.decompress(block)
                    block = unpack.unused_data
                    if unpack.eof and block:
                        unpack = zlib.decompressobj(wbits=31)
            except zlib.error as error:
                raise FileDamaged(
                    f"{path.name} is garbled: {error}.", "Nothing of it was kept. Get it again."
                ) from error
    if not unpack.eof:
        raise FileDamaged(f"{path.name} is cut: its gzip stream has no end.", "Nothing of it was kept. Get it again.")


def _read_csv(path: Path, types: Mapping[str, str]) -> str:
    quoted = str(path).replace("'", "''")
    columns = ", ".join(f"'{name.replace(chr(39), chr(39) * 2)}': '{kind}'" for name, kind in types.items())
    nulls = ", ".join(f"'{null}'" for null in NULLS)
    return (
        f"read_csv('{quoted}', header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"', "
        f"columns = {{{columns}}}, nullstr = [{nulls}], strict_mode = true, null_padding = false, "
        "ignore_errors = false, max_line_size = 4194304)"
    )


def _read_type(column: Column | None) -> str:
    if column is None:
        return "VARCHAR"
    return "DOUBLE" if column.type.startswith("DECIMAL") else column.type


def _kind(column: Column | None) -> Kind:
    if column is None:
        return "text"
    read = _read_type(column)
    if read in ("REAL", "FLOAT"):
        return "float32"
    if read == "DOUBLE":
        return "float64"
    if read == "BOOLEAN":
        return "boolean"
    return "text" if read == "VARCHAR" else "integer"
