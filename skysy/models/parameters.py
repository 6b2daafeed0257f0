"""The thresholds of the science: read from files of SET VARIABLE lines, overridden, checked and applied.

    SET VARIABLE name = value;  -- [unit] what it does (where it is from)

A value is a number, a quoted text, TRUE, FALSE or a list of such, an empty one as CAST([] AS VARCHAR[]); what overrides it must be
of its kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from skysy.errors import ModelError, NotFound, SkysyError, UsageError, did_you_mean
from skysy.store import Warehouse

_LINE = re.compile(
    r"^SET\s+VARIABLE\s+(?P<name>\w+)\s*=\s*(?P<value>(?:'(?:[^']|'')*'|[^';])+?)\s*;\s*(?:--\s*(?P<comment>.*))?$",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"^(?:\[(?P<unit>[^\]]*)\]\s*)?(?P<description>.*)$")
_NUMBERS = ("INTEGER", "DECIMAL", "DOUBLE")
_PLAIN = re.compile(r"-?\d+(?P<places>\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class Parameter:
    """One threshold: `value_sql` is its SQL literal, `origin` the file or option that set it."""

    name: str
    value_sql: str
    type: str
    unit: str | None
    description: str
    origin: str


Parameters = Mapping[str, Parameter]


def read_parameters(path: Path, origin: str) -> dict[str, Parameter]:
    """The parameters of a file by name; raises ModelError with the line that is not one."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The parameter file {path} cannot be read: {error}.") from error
    found: dict[str, Parameter] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("--"):
            continue
        match = _LINE.match(line.strip())
        if match is None:
            raise ModelError(
                f"{origin}, line {number}: not a parameter: {line.strip()!r}.",
                "Write `SET VARIABLE name = value;  -- [unit] what it does`.",
            )
        comment = _COMMENT.match(match["comment"] or "")
        kind = literal_type(match["value"])
        if kind is None:
            raise ModelError(
                f"{origin}, line {number}: {match['value']!r} is no value for {match['name']}.",
                "A value is a number, a quoted text, TRUE, FALSE or a list of such.",
            )
        if match["name"] in found:
            raise ModelError(f"{origin}, line {number}: {match['name']} is set twice.")
        found[match["name"]] = Parameter(
            name=match["name"],
            value_sql=match["value"],
            type=kind,
            unit=comment["unit"] if comment else None,
            description=comment["description"] if comment else "",
            origin=origin,
        )
    return found


def override(
    known: Parameters, others: Iterable[Parameter], error: type[SkysyError] = UsageError
) -> dict[str, Parameter]:
    """The known parameters with the values of others in their place.

    Raises NotFound for a name that is not known, `error` for a value or unit that does not fit the default's.
    """
    merged = dict(known)
    for other in others:
        where, value, base = other.origin, other.value_sql, merged.get(other.name)
        if base is None:
            raise NotFound(f"{where}: there is no parameter {other.name}.", did_you_mean(other.name, merged))
        if not _fits(other.type, base.type):
            raise error(f"{where}: {base.name} must be {_words(base.type)}, as {base.value_sql}, not {value}.")
        if other.unit is not None and other.unit != base.unit:
            raise error(f"{where}: {base.name} is in [{base.unit or ''}], not in [{other.unit}].")
        merged[base.name] = replace(
            base,
            value_sql=f"CAST([] AS {base.type})" if other.type == "NULL[]" else value,
            origin=where,
            description=other.description or base.description,
        )
    return merged


def extended(known: Parameters, others: Iterable[Parameter]) -> dict[str, Parameter]:
    """The known parameters, some with other values, and new ones.

    Raises ModelError for a new one that says nothing of what it does, UsageError for a value that does not fit.
    """
    merged = dict(known)
    for other in others:
        if other.name in known:
            merged = override(merged, [other])
        elif not other.description:
            raise ModelError(f"{other.origin}: {other.name} is new and has no comment that says what it does.")
        else:
            merged[other.name] = other
    return merged


def parse_settings(settings: Iterable[str], known: Parameters) -> list[Parameter]:
    """Parameters from `name=value` words; a text may come without its quotes, as a command line leaves it."""
    found = []
    for setting in settings:
        name, equals, value = (part.strip() for part in setting.partition("="))
        if not (equals and name and value):
            raise UsageError(f"--set {setting!r} is not name=value.", "Write it as --set j_mag_max=13.5.")
        base = known.get(name)
        kind = literal_type(value)
        if base is not None and base.type == "VARCHAR" and kind != "VARCHAR":
            value, kind = "'" + value.replace("'", "''") + "'", "VARCHAR"
        if kind is None:
            expected = f"; {name} is {_words(base.type)}, as {base.value_sql}" if base else ""
            raise UsageError(f"--set {setting!r}: {value!r} is not a value{expected}.")
        found.append(Parameter(name, value, kind, None, "", f"--set {name}"))
    return found


def apply(con: duckdb.DuckDBPyConnection, parameters: Parameters) -> None:
    """Set every parameter on a connection, so that getvariable reads it."""
    con.execute("\n".join(statements(parameters)))


def apply_built(warehouse: Warehouse) -> None:
    """Set the parameters of the last build on the warehouse's connection; none before the first build."""
    if setting := built_statements(warehouse):
        warehouse.run("\n".join(setting))


def built_statements(warehouse: Warehouse) -> list[str]:
    """The SET VARIABLE statements of the last build's parameters."""
    found = warehouse.rows("SELECT name, value FROM meta.parameter ORDER BY name")
    return [f"SET VARIABLE {name} = {value};" for name, value in found]


def statements(parameters: Parameters) -> list[str]:
    """The SET VARIABLE statements that give these parameters to any DuckDB session."""
    return [f"SET VARIABLE {parameter.name} = {parameter.value_sql};" for parameter in parameters.values()]


@lru_cache(maxsize=512)
def literal_type(value: str) -> str | None:
    """INTEGER, DECIMAL, DOUBLE, VARCHAR or BOOLEAN; [] for a list (`NULL[]` if empty without a type); None if no literal."""
    if plain := _PLAIN.fullmatch(value):  # most are; a parser would take longer over them than over a model
        return "DECIMAL" if plain["places"] else "INTEGER"
    try:
        tree = sqlglot.parse_one(value, dialect="duckdb")
    except SqlglotError:
        return None
    if isinstance(tree, exp.Cast) and isinstance(tree.this, exp.Array) and not tree.this.expressions:
        return tree.to.sql(dialect="duckdb").replace("TEXT", "VARCHAR")  # an empty list that says what it would hold
    if isinstance(tree, exp.Array):
        kinds = {_scalar_type(item) for item in tree.expressions}
        if not kinds:
            return "NULL[]"
        if kinds <= set(_NUMBERS):
            return f"{max((kind for kind in kinds if kind), key=_NUMBERS.index)}[]"
        kind = kinds.pop()
        return f"{kind}[]" if kind and not kinds else None
    return _scalar_type(tree)


def _scalar_type(node: exp.Expr) -> str | None:
    if isinstance(node, exp.Boolean):
        return "BOOLEAN"
    number = node.this if isinstance(node, exp.Neg) else node
    if not isinstance(number, exp.Literal):
        return None
    if number.is_string:
        return "VARCHAR" if number is node else None
    text = number.name.lower()
    return "DOUBLE" if "e" in text else "DECIMAL" if "." in text else "INTEGER"


def _fits(kind: str, base: str) -> bool:
    """Whether a value may stand for another: a whole number for a decimal one, never the reverse."""
    if base.endswith("[]"):
        return kind == "NULL[]" or (kind.endswith("[]") and _fits(kind[:-2], base[:-2]))
    if base in ("DECIMAL", "DOUBLE"):
        return kind in _NUMBERS
    return kind == base


def _words(kind: str) -> str:
    if kind.endswith("[]"):
        return "a list"
    return {"INTEGER": "a whole number", "VARCHAR": "a text", "BOOLEAN": "TRUE or FALSE"}.get(kind, "a number")
