"""What each archive table holds: the contracts in sql/contract, read once and checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from skysy.columns import Column
from skysy.errors import ContractError, NotFound, did_you_mean

_CONTRACT_KEYS = {"release", "title", "cite", "tables"}
_COLUMN_KEYS = {"type", "unit", "ucd", "description", "required", "accept"}
_TABLE_KEYS = {"description", "grain", "key", "files", "source", "columns"}


@dataclass(frozen=True)
class TableContract:
    """One archive table: `name` is `schema.table`, `key` its columns of identity, `files` its accepted file stems."""

    name: str
    description: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    files: tuple[str, ...] = ()
    source: str = ""

    @property
    def schema(self) -> str:
        """The archive's schema, as `dr2`."""
        return self.name.split(".")[0]

    @property
    def table(self) -> str:
        """The table's name within its schema, as `master`."""
        return self.name.split(".")[1]

    @property
    def stems(self) -> tuple[str, ...]:
        """File stems that mean this table, lower case: its own name first."""
        return (self.name.lower(), *(stem.lower() for stem in self.files))

    def column(self, spelling: str) -> Column | None:
        """The column that an archive's spelling means, or None."""
        wanted = spelling.strip().lower()
        return next((column for column in self.columns if wanted in column.spellings), None)


@dataclass(frozen=True)
class Contract:
    """All the tables of one release, and the sha256 of the text that says so."""

    release: str
    title: str
    tables: tuple[TableContract, ...]
    sha256: str
    cite: str = ""

    def table(self, name: str) -> TableContract:
        """The table of that name; raises NotFound with the names there are."""
        for table in self.tables:
            if table.name == name:
                return table
        raise NotFound(
            f"{self.release} has no table {name}.", did_you_mean(name, (table.name for table in self.tables))
        )


def releases() -> list[str]:
    """The releases that have a contract, sorted."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in files("skysy.sql").joinpath("contract").iterdir()
        if entry.name.endswith(".yaml")
    )


@cache
def load_contract(release: str) -> Contract:
    """The contract of a release; raises NotFound for an unknown one, ContractError for a faulty file."""
    path = files("skysy.sql").joinpath("contract", f"{release}.yaml")
    if not path.is_file():
        raise NotFound(f"There is no release {release!r}.", did_you_mean(release, releases()))
    text = path.read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return _contract(release, yaml.load(text, Loader=loader), hashlib.sha256(text.encode()).hexdigest())


def _contract(release: str, spec: dict[str, Any], sha256: str) -> Contract:
    _check_keys(f"sql/contract/{release}.yaml", spec, _CONTRACT_KEYS, {"release", "title", "tables"})
    if spec["release"] != release:
        raise ContractError(f"sql/contract/{release}.yaml says release: {spec.get('release')!r}.")
    tables = tuple(_table(release, name, body) for name, body in spec["tables"].items())
    return Contract(release, spec["title"], tables, sha256, spec.get("cite", ""))


def _table(release: str, name: str, body: dict[str, Any]) -> TableContract:
    where = f"sql/contract/{release}.yaml, {name}"
    _check_keys(where, body, _TABLE_KEYS, {"description", "grain", "columns"})
    columns = tuple(_column(f"{where}.{column}", column, spec) for column, spec in body["columns"].items())
    spellings = [spelling for column in columns for spelling in column.spellings]
    if twice := sorted({spelling for spelling in spellings if spellings.count(spelling) > 1}):
        raise ContractError(f"{where}: spelling claimed twice: {', '.join(twice)}.")
    key = tuple(body.get("key", ()))
    if missing := set(key) - {column.name for column in columns}:
        raise ContractError(f"{where}: key columns not in the table: {sorted(missing)}.")
    return TableContract(
        name=name,
        description=body["description"],
        grain=body["grain"],
        key=key,
        columns=columns,
        files=tuple(body.get("files", ())),
        source=body.get("source", ""),
    )


def _column(where: str, name: str, spec: dict[str, Any]) -> Column:
    _check_keys(where, spec, _COLUMN_KEYS, {"type", "description"})
    return Column(
        name=name,
        type=str(spec["type"]).upper(),
        unit=spec.get("unit") or None,
        ucd=spec.get("ucd") or None,
        description=" ".join(str(spec["description"]).split()),
        required=bool(spec.get("required", False)),
        accept=tuple(spec.get("accept", ())),
    )


def _check_keys(where: str, spec: dict[str, Any], allowed: set[str], needed: set[str]) -> None:
    if unknown := set(spec) - allowed:
        raise ContractError(f"{where}: unknown keys {sorted(unknown)}.")
    if missing := sorted(key for key in needed if not spec.get(key)):
        raise ContractError(f"{where}: {missing[0]} is missing.")
