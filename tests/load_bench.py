"""A directory of archive files and a warehouse to load it into, for the tests of `skysy load`."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import DR2
from skysy.loaders.load import LoadedFile, LoadSummary, load_directory
from skysy.loaders.raw import prepare

from skysy import ledger
from skysy.columns import Column
from skysy.config import Settings
from skysy.contract import load_contract
from skysy.errors import LoadError
from skysy.formats.values import arrow_type
from skysy.formats.write import write_table
from skysy.store import Warehouse, create, open_warehouse

CONTRACT = load_contract(DR2)
VOTABLES = ("votable-binary2", "votable-binary", "votable-tabledata")
PHOTOMETRY, IMAGES, TWOMASS, ALLWISE = "dr2.photometry", "dr2.images", "ext.twomass_psc", "ext.allwise"
GAIA, DISTANCE, KNOWN = "ext.gaia_dr2", "gaiadr2_complements.geometric_distance", "known.objects"

# A row of each table with every required column; a test changes what it is about.
ROWS: dict[str, dict[str, Any]] = {
    PHOTOMETRY: {
        "image_id": 20180301123456, "ccd": 7, "object_id": 147403802, "filter": "u", "mag_psf": 15.25,
        "e_mag_psf": 0.0125, "flags": 0, "nimaflags": 0, "used_in_clip": True,
    },
    IMAGES: {
        "image_id": 20180301123456, "night_mjd": 58178, "date": 58178.524, "field_id": 1234, "exp_time": 100.0,
        "filter": "u", "image_type": "ms",
    },
    DISTANCE: {"source_id": 4075332117418593537, "r_est": 4350.5, "result_flag": 1, "modality_flag": 1},
    KNOWN: {"object_id": 147403802, "name": "V* BF Cyg"},
}  # fmt: skip


def column(table: str, name: str) -> Column:
    """A column of the contract."""
    return next(one for one in CONTRACT.table(table).columns if one.name == name)


def row_of(table: str, **changes: Any) -> dict[str, Any]:
    """A whole row of a table of ROWS, with changes."""
    return {**ROWS[table], **changes}


def table_of(table: str, rows: Sequence[Mapping[str, Any]], names: Sequence[str] | None = None) -> pa.Table:
    """Rows as an Arrow table of the contract's types; a column that the contract does not have gets Arrow's own guess."""
    names = names or list(dict.fromkeys(name for row in rows for name in row)) or [*ROWS[table]]
    arrays = {}
    for name in names:
        known = CONTRACT.table(table).column(name)
        values = [row.get(name) for row in rows]
        arrays[name] = pa.array(values, arrow_type(known)) if known else pa.array(values)
    return pa.table(arrays)


def contract_columns(table: str, names: Sequence[str]) -> tuple[Column, ...]:
    """The contract's columns under the names that a file gives them."""
    found = []
    for name in names:
        known = CONTRACT.table(table).column(name)
        found.append(
            Column(name, known.type, known.unit, known.ucd, known.description) if known else Column(name, "VARCHAR")
        )
    return tuple(found)


@dataclass(frozen=True)
class Bench:
    """`files` is loaded into the warehouse of `settings`."""

    files: Path
    settings: Settings

    def write(self, name: str, table: str, form: str, rows: pa.Table | Sequence[Mapping[str, Any]]) -> Path:
        """A file of the directory that holds these rows of a table, in one of the formats that skysy writes."""
        content = rows if isinstance(rows, pa.Table) else table_of(table, rows)
        path = self.files / name
        write_table(path, form, content, contract_columns(table, content.column_names), name=table)
        return path

    def text(self, name: str, text: str | bytes) -> Path:
        """A file of the directory with this content."""
        path = self.files / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def parquet(self, name: str, content: pa.Table) -> Path:
        """A Parquet file as other tools write it, with whatever types."""
        path = self.files / name
        pq.write_table(content, path)
        return path

    def load(self, *, replace: bool = False) -> LoadSummary:
        """Load the directory; a warning that reaches the user is a failure."""
        with open_warehouse(self.settings, write=True) as warehouse:
            return self._load(warehouse, replace=replace)

    def _load(self, warehouse: Warehouse, *, replace: bool) -> LoadSummary:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return load_directory(warehouse, DR2, self.files, replace=replace)

    def outcomes(self, *, replace: bool = False) -> dict[str, str]:
        """Load the directory; what became of each file."""
        return {one.source: one.outcome for one in self.load(replace=replace).files}

    def one(self) -> LoadedFile:
        """Load the directory, which holds one file."""
        [found] = self.load().files
        return found

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query on the warehouse."""
        with open_warehouse(self.settings) as warehouse:
            return warehouse.rows(query)

    def values(self, table: str, name: str) -> list[Any]:
        """All values of a column, in the order of its table's first required column."""
        key = next(one.name for one in CONTRACT.table(table).columns if one.required)
        return [row[0] for row in self.rows(f'SELECT "{name}" FROM {table} ORDER BY "{key}"')]

    def hashes(self) -> dict[str, str]:
        """Content hash of every archive table that has rows, and the ledger's rows of loads."""
        with open_warehouse(self.settings) as warehouse:
            return _hashes(warehouse)

    def hash(self, table: str) -> str:
        """Content hash of one table."""
        return self.hashes()[table]

    def refused(self, kind: type[LoadError], *words: str, replace: bool = False) -> LoadError:
        """The error of a load that fails, which names all the words; nothing that is there was touched."""
        with open_warehouse(self.settings, write=True) as warehouse:
            before = _hashes(warehouse)
            with pytest.raises(LoadError) as caught:
                self._load(warehouse, replace=replace)
            assert _hashes(warehouse) == before
        error = caught.value
        assert isinstance(error, kind), error
        for word in words:
            assert word in error.message, error.message
        assert error.remedy
        return error


def _hashes(warehouse: Warehouse) -> dict[str, str]:
    each = (f"SELECT '{one.name}' WHERE EXISTS (FROM {one.name})" for one in CONTRACT.tables)
    filled = {name for [name] in warehouse.rows(" UNION ALL ".join(each))}
    found = {
        one.name: ledger.content_hash(warehouse.con, one.name, [column.name for column in one.columns])
        for one in CONTRACT.tables
        if one.name in filled
    }
    return {**found, "meta.chunk": repr(warehouse.rows("FROM meta.chunk ORDER BY chunk_id"))}


def make_prepared(directory: Path) -> Settings:
    """A warehouse with the release's tables, empty; made once and copied, since that is faster than making each."""
    settings = Settings(directory, "1GB", 1)
    create(settings)
    with open_warehouse(settings, write=True) as warehouse:
        prepare(warehouse, CONTRACT)
    return settings


def copy_of(prepared: Settings, directory: Path) -> Bench:
    """A Bench in `directory` with an empty warehouse of its own."""
    files, warehouse = directory / "archive", directory / "warehouse"
    files.mkdir(parents=True)
    shutil.copytree(prepared.warehouse, warehouse)
    return Bench(files, Settings(warehouse, "1GB", 1))
