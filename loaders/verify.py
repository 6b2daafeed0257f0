"""Received columns held against the contract, and the SQL that turns each into exactly the contract's type."""

from __future__ import annotations

from dataclasses import dataclass

from skysy.loaders.source import FLOAT32_SLACK, Received, Source

from skysy.columns import Column
from skysy.contract import TableContract
from skysy.errors import ContractError

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
_REALS = ("REAL", "FLOAT", "DOUBLE")
# Positions and times; 32 bits are too few for them.
_FINE = ("pos.eq.", "time.epoch", "time.start")


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
    wanted, refused = column.type, ""
    if wanted in _INTEGERS:
        found = _integer(column, sent)
    elif wanted in _REALS:
        found = _real(column, sent)
        if not found and sent.kind == "float32":
            refused = "a 32-bit float, too coarse for a position (0.1 arcsec is lost) or a time (minutes are)"
    elif wanted.startswith("DECIMAL"):
        found = _decimal(column, sent)
    elif wanted == "BOOLEAN":
        found = _boolean(column, sent)
    else:
        found = f"nullif(rtrim(CAST({sent.sql} AS VARCHAR)), '')" if sent.kind == "text" else None
    if found is None:
        raise _retyped(file_name, table, column, refused or _words(column, sent.kind))
    return found


def _integer(column: Column, sent: Received) -> str | None:
    name, wanted = sent.sql, column.type
    if sent.kind == "integer":
        return f"CAST({name} AS {wanted})"
    if sent.kind == "decimal":
        return f"CASE WHEN {name} = floor({name}) THEN CAST({name} AS {wanted}) WHEN {name} IS NOT NULL THEN {_error(column, sent, 'is no whole number')} END"
    if sent.kind == "text" and wanted == "SMALLINT":  # flags that some archives keep as a letter
        return (
            f"CASE WHEN regexp_full_match(trim({name}), '-?[0-9]+') THEN CAST(trim({name}) AS {wanted}) "
            f"WHEN trim({name}) <> '' THEN {_error(column, sent, 'is no whole number')} END"
        )
    if sent.kind in ("float32", "float64") and wanted != "BIGINT":
        exact = f" AND abs({name}) <= 16777216" if sent.kind == "float32" else ""
        return (
            f"CASE WHEN {name} IS NULL OR isnan({name}) THEN NULL WHEN {name} = floor({name}){exact} THEN CAST({name} AS {wanted}) "
            f"ELSE {_error(column, sent, 'is no whole number, or has lost digits')} END"
        )
    return None


def _real(column: Column, sent: Received) -> str | None:
    coarse = sent.kind == "float32" and column.type == "DOUBLE" and (column.ucd or "").startswith(_FINE)
    if coarse or sent.kind not in ("float32", "float64", "integer", "decimal"):
        return None
    return f"CAST({sent.sql} AS {column.type})"


def _decimal(column: Column, sent: Received) -> str | None:
    name, scale = sent.sql, int(column.type.rstrip(")").split(",")[1])
    surplus = _error(column, sent, f"has more than {scale} decimals")
    if sent.kind == "integer":
        return f"CAST({name} AS {column.type})"
    if sent.kind == "decimal":
        return f"CASE WHEN {name} = round({name}, {scale}) THEN CAST({name} AS {column.type}) WHEN {name} IS NOT NULL THEN {surplus} END"
    if sent.kind in ("float32", "float64"):
        value = f"CAST({name} AS DOUBLE)"
        return (
            f"CASE WHEN {name} IS NULL OR isnan({name}) THEN NULL WHEN abs({value} - round({value}, {scale})) <= {FLOAT32_SLACK} "
            f"THEN CAST(round({value}, {scale}) AS {column.type}) ELSE {surplus} END"
        )
    return None


def _boolean(column: Column, sent: Received) -> str | None:
    name = sent.sql
    if sent.kind == "boolean":
        return name
    if sent.kind == "integer":
        return f"CASE WHEN {name} IN (0, 1) THEN {name} = 1 WHEN {name} IS NOT NULL THEN {_error(column, sent, 'is neither 0 nor 1')} END"
    if sent.kind == "text":
        word = f"lower(trim({name}))"
        return (
            f"CASE WHEN {word} IN ('true', 't', '1') THEN TRUE WHEN {word} IN ('false', 'f', '0') THEN FALSE "
            f"WHEN {name} IS NOT NULL AND {word} NOT IN ('', 'null', '--') THEN {_error(column, sent, 'is no boolean')} END"
        )
    return None


def _error(column: Column, sent: Received, what: str) -> str:
    return f"error('column {column.name}: ' || {sent.sql} || ' {what}')"


def _words(column: Column, kind: str) -> str:
    if kind in ("float32", "float64"):
        lost = ", through which digits of an identifier are lost" if column.type == "BIGINT" else ""
        return f"floating point{lost}"
    if kind == "integer" and column.type == "VARCHAR":
        return "integer, through which leading zeros are lost"
    return {
        "other": "a type that no column of an archive has",
        "bit": "bits, which cannot tell NULL from False but in BINARY2",
    }.get(kind, kind)


def _retyped(file_name: str, table: TableContract, column: Column, what: str) -> ContractError:
    return ContractError(
        f"{file_name}: column {column.name} of {table.name} arrived as {what}; the contract says {column.type}.",
        "Nothing of it was kept. Write the file again with the column's own type, or get it from the archive anew.",
    )
