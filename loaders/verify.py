"""Received columns held against the contract, and the SQL that turns each into exactly the contract's type."""

from __future__ import annotations

from dataclasses import dataclass

from skysy.loaders.source import Received, Source

from skysy.columns import Column
from skysy.contract import TableContract
from skysy.errors import ContractError

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
_REALS = ("REAL", "FLOAT", "DOUBLE")
# A 32-bit float carries seven digits: what it lies off a decimal number of magnitude 20 is below this.
_FLOAT32_SLACK = 4e-6


@dataclass(frozen=True)
class Selection:
    """How a file's columns become the table's: one SQL expression per contract column, and what was left aside."""

    expressions: tuple[tuple[Column, str], ...]
    ignored: tuple[str, ...]
    absent: tuple[str, ...]

    @property
    def select_list(self) -> str:
        """The SELECT list, in contract order."""
        return ", ".join(f'{sql} AS "{column.name}"' for column, sql in self.expressions)


def select_columns(file_name: str, table: TableContract, source: Source) -> Selection:
    """The Selection for a source; raises ContractError for a column that is missing, sent twice or of a type that damages it."""
    received: dict[str, Received] = {}
    ignored = []
    for one in source.columns:
        column = table.column(one.name)
        if column is None:
            ignored.append(one.name)
        elif column.name in received:
            raise ContractError(
                f"{file_name}: the columns {received[column.name].name} and {one.name} both mean {column.name} of {table.name}.",
                "Nothing of it was kept. Take one of them out of the file.",
            )
        else:
            received[column.name] = one
    expressions, absent = [], []
    for column in table.columns:
        sent = received.get(column.name)
        if sent is None:
            if column.required:
                raise _missing(file_name, table, column, source)
            absent.append(column.name)
            expressions.append((column, f"CAST(NULL AS {column.type})"))
        else:
            expressions.append((column, _expression(file_name, table, column, sent)))
    return Selection(tuple(expressions), tuple(ignored), tuple(absent))


def _missing(file_name: str, table: TableContract, column: Column, source: Source) -> ContractError:
    spellings = ", ".join((column.name, *column.accept))
    there = ", ".join(one.name for one in source.columns[:12])
    more = f" and {len(source.columns) - 12} more" if len(source.columns) > 12 else ""
    return ContractError(
        f"{file_name}: column {column.name} of {table.name} is missing (known spellings: {spellings}). "
        f"The file has {there}{more}.",
        "Nothing of it was kept. If the archive renamed the column, add its new name under `accept` in the contract.",
    )


def _expression(file_name: str, table: TableContract, column: Column, sent: Received) -> str:
    """SQL that gives the received column as the contract's type, without loss or with an error."""
    name = '"' + sent.name.replace('"', '""') + '"'
    kind, wanted = sent.kind, column.type
    if wanted in _INTEGERS:
        if kind in ("integer", "decimal") or (kind == "text" and wanted == "SMALLINT"):
            return f"CAST({name} AS {wanted})"
        if kind in ("float32", "float64") and wanted != "BIGINT":
            return (
                f"CASE WHEN {name} IS NULL OR isnan({name}) THEN NULL WHEN {name} = floor({name}) THEN CAST({name} AS {wanted}) "
                f"ELSE error('column {column.name}: ' || {name} || ' is no whole number') END"
            )
    elif wanted in _REALS:
        if kind == "float32" and wanted == "DOUBLE" and (column.ucd or "").startswith("pos.eq"):
            raise _retyped(
                file_name,
                table,
                column,
                "a 32-bit float, too coarse for a position (0.03 arcsec to 0.1 arcsec is lost)",
            )
        if kind in ("float32", "float64", "integer", "decimal"):
            return f"CAST({name} AS {wanted})"
    elif wanted.startswith("DECIMAL"):
        scale = int(wanted.rstrip(")").split(",")[1])
        if kind in ("integer", "decimal"):
            return f"CAST({name} AS {wanted})"
        if kind in ("float32", "float64"):
            value = f"CAST({name} AS DOUBLE)"
            return (
                f"CASE WHEN {name} IS NULL OR isnan({name}) THEN NULL WHEN abs({value} - round({value}, {scale})) <= {_FLOAT32_SLACK} "
                f"THEN CAST(round({value}, {scale}) AS {wanted}) "
                f"ELSE error('column {column.name}: ' || {name} || ' has more than {scale} decimals') END"
            )
    elif wanted == "BOOLEAN":
        if kind == "boolean":
            return name
        if kind == "integer":
            return f"CASE {name} WHEN 1 THEN TRUE WHEN 0 THEN FALSE WHEN NULL THEN NULL ELSE CASE WHEN {name} IS NOT NULL THEN error('column {column.name}: ' || {name} || ' is neither 0 nor 1') END END"
        if kind == "text":
            return (
                f"CASE WHEN lower(trim({name})) IN ('true', 't', '1') THEN TRUE WHEN lower(trim({name})) IN ('false', 'f', '0') THEN FALSE "
                f"WHEN {name} IS NULL OR lower(trim({name})) IN ('', 'null') THEN NULL "
                f"ELSE error('column {column.name}: ' || {name} || ' is no boolean') END"
            )
    elif wanted == "VARCHAR" and kind in ("text", "integer"):
        return f"nullif(rtrim(CAST({name} AS VARCHAR)), '')"
    raise _retyped(file_name, table, column, _words(kind))


def _words(kind: str) -> str:
    return {
        "float32": "floating point, through which digits of an identifier are lost",
        "float64": "floating point, through which digits of an identifier are lost",
        "text": "text",
        "other": "a type that no column of an archive has",
    }.get(kind, kind)


def _retyped(file_name: str, table: TableContract, column: Column, what: str) -> ContractError:
    return ContractError(
        f"{file_name}: column {column.name} of {table.name} arrived as {what}; the contract says {column.type}.",
        "Nothing of it was kept. Write the file again with the column's own type, or get it from the archive anew.",
    )
