"""Light curves into tess.light_curve: each file is one sector of one object, in exactly once, with its ledger row."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skysy.loaders import raw
from skysy.loaders.curve_files import LightCurve, read_light_curve
from skysy.loaders.files import sha256_of
from skysy.loaders.rows import bring_in, inspect
from skysy.loaders.source import Received, arrow_source, kind_of
from skysy.loaders.verify import select_columns

from skysy import __version__, ledger
from skysy.contract import Contract, TableContract, load_contract
from skysy.errors import FileDamaged, LoadError, NotFound, SourceChanged, UsageError
from skysy.store import Warehouse

TABLE = "tess.light_curve"
"""The table that light curves go to."""

FARTHEST_ARCSEC = 42.0
"""Two pixels of TESS: a light curve made for a place farther from the object is that of another star."""


@dataclass(frozen=True)
class Wanted:
    """What the user says of the files: whose they are, and what to take of them."""

    object_id: int
    sector: int | None = None
    flux_column: str | None = None
    tess_mag: float | None = None
    is_comparison: bool = False


@dataclass(frozen=True)
class LoadedCurve:
    """What became of one file: outcome is loaded, unchanged or replaced."""

    object_id: int
    sector: int
    source: str
    outcome: str
    points: int
    flux_column: str
    pipeline: str
    notes: dict[str, Any] = field(default_factory=dict)


def load_curves(
    warehouse: Warehouse, release: str, files: Sequence[Path], wanted: Wanted, *, replace: bool = False
) -> list[LoadedCurve]:
    """Bring the files in, one transaction each; one that is in already, unchanged, is passed over.

    Raises SourceChanged where the object has another light curve of that sector and `replace` is not given, UsageError where the
    sector is not told, NotFound where the object is not in the catalogue, LoadError of some kind where a file is refused; files
    before it stay.
    """
    contract = load_contract(release)
    table = next((one for one in contract.tables if one.name == TABLE), None)
    if table is None:
        raise UsageError(
            f"{release} has no light curves of TESS.", "Its contract in sql/contract has no tess.light_curve."
        )
    if wanted.tess_mag is not None and not math.isfinite(wanted.tess_mag):
        raise UsageError(f"{wanted.tess_mag} is no magnitude.", "Leave --tess-mag out where it is not known.")
    raw.prepare(warehouse, contract)
    arguments = {"release": release, "files": [str(path) for path in files], "object_id": wanted.object_id}
    with ledger.noted(warehouse.con, "lightcurve", arguments, __version__) as run_id:
        place = _place(warehouse, contract, wanted)
        return [_load(warehouse, release, table, path, wanted, place, run_id, replace=replace) for path in files]


def _place(warehouse: Warehouse, contract: Contract, wanted: Wanted) -> tuple[float, float] | None:
    """The catalogue's position of the object [deg]; None for a comparison star that it does not have."""
    catalogue = next(one.name for one in contract.tables if one.table == "master")
    found = warehouse.rows(
        f"SELECT raj2000, dej2000 FROM {catalogue} WHERE object_id = ? ORDER BY ALL LIMIT 1", [wanted.object_id]
    )
    if not found and not wanted.is_comparison:
        raise NotFound(
            f"{catalogue} has no object {wanted.object_id}.",
            "Nothing was changed. Give the number of an object that is loaded; a giant to compare with goes with --comparison.",
        )
    return (found[0][0], found[0][1]) if found and None not in found[0] else None


def _load(
    warehouse: Warehouse, release: str, table: TableContract, path: Path, wanted: Wanted,
    place: tuple[float, float] | None, run_id: int, *, replace: bool,
) -> LoadedCurve:  # fmt: skip
    began = ledger.now()
    curve = read_light_curve(path, wanted.flux_column)
    sector = _sector(path, curve, wanted)
    _refuse_other_star(path, curve, wanted, place)
    sha256 = sha256_of(path)
    source = f"{path.name} (object {wanted.object_id}, sector {sector})"
    told = {"flux_column": curve.flux_column, "tess_mag": wanted.tess_mag, "is_comparison": wanted.is_comparison}

    def outcome(words: str, points: int, notes: dict[str, Any]) -> LoadedCurve:
        return LoadedCurve(wanted.object_id, sector, path.name, words, points, curve.flux_column, curve.pipeline, notes)

    there = _there(warehouse, wanted.object_id, sector)
    if [(one[1], one[2], _told(one[3])) for one in there] == [(source, sha256, told)]:
        return outcome("unchanged", 0, {})
    if there and not replace:
        raise SourceChanged(
            f"Object {wanted.object_id} has a light curve of sector {sector} already, from {there[0][1]}.",
            "Nothing was changed. To have this file instead, or the same with other words, give --replace.",
        )
    _refuse_copy(warehouse, path, source, sha256)
    rows = curve.table(wanted.object_id, sector, tess_mag=wanted.tess_mag, is_comparison=wanted.is_comparison)
    columns = tuple(Received(one.name, kind_of(one.type)) for one in rows.schema)
    with arrow_source(columns, rows.schema, iter(rows.to_batches()), len(rows)) as opened, warehouse.transaction():
        selection = select_columns(path.name, table, opened)
        for chunk_id, *_ in there:
            _drop(warehouse, chunk_id, wanted.object_id, sector)
        chunk_id = ledger.next_chunk_id(warehouse.con)
        bring_in(warehouse, path.name, table, opened, selection, chunk_id)
        count, notes = inspect(warehouse, table, selection, chunk_id)
        names = [column.name for column in table.columns]
        content = ledger.content_hash(warehouse.con, TABLE, names, f"WHERE {ledger.CHUNK_COLUMN} = {chunk_id:d}")
        chunk = ledger.Chunk(
            chunk_id=chunk_id, release=release, table_name=TABLE, service="file", source=source, format=curve.format,
            expected_rows=len(rows), received_rows=count, bytes=path.stat().st_size, sha256=sha256, content_hash=content,
            notes=notes | {"told": told}, started_at=began,
        )  # fmt: skip
        ledger.write_chunk(warehouse.con, run_id, chunk)
        if sha256_of(path) != sha256:
            raise FileDamaged(f"{path.name} was changed while it was read.", "Nothing of it was kept.")
    return outcome("replaced" if there else "loaded", count, notes)


def _sector(path: Path, curve: LightCurve, wanted: Wanted) -> int:
    if curve.sector is None and wanted.sector is None:
        raise UsageError(f"{path.name} does not say of which sector it is.", "Give it with --sector N.")
    if None not in (curve.sector, wanted.sector) and curve.sector != wanted.sector:
        raise UsageError(
            f"{path.name} says that it is of sector {curve.sector}, not {wanted.sector}.", "Leave --sector out."
        )
    return int(curve.sector or wanted.sector or 0)


def _refuse_other_star(path: Path, curve: LightCurve, wanted: Wanted, place: tuple[float, float] | None) -> None:
    if place is None or curve.ra_deg is None or curve.dec_deg is None:
        return
    ra, dec, ra_0, dec_0 = (math.radians(value) for value in (curve.ra_deg, curve.dec_deg, *place))
    half = math.sin((dec - dec_0) / 2) ** 2 + math.cos(dec) * math.cos(dec_0) * math.sin((ra - ra_0) / 2) ** 2
    off_arcsec = math.degrees(2 * math.asin(min(1.0, math.sqrt(half)))) * 3600
    if off_arcsec > FARTHEST_ARCSEC:
        raise LoadError(
            f"{path.name} was made for a place {off_arcsec:,.0f} arcsec from object {wanted.object_id} (RA_OBJ, DEC_OBJ).",
            "Nothing of it was kept. Give the object that it belongs to.",
        )


def _there(warehouse: Warehouse, object_id: int, sector: int) -> list[tuple[int, str, str, str]]:
    """(chunk_id, source, sha256, notes) of what is loaded of the object's sector."""
    return [
        (int(chunk_id), str(source), str(sha256), str(notes or "{}"))
        for chunk_id, source, sha256, notes in warehouse.rows(
            f"SELECT chunk_id, source, sha256, notes FROM meta.chunk WHERE table_name = ? AND chunk_id IN "
            f"(SELECT {ledger.CHUNK_COLUMN} FROM {TABLE} WHERE object_id = ? AND sector = ?) ORDER BY chunk_id",
            [TABLE, object_id, sector],
        )
    ]


def _told(notes: str) -> Any:
    return json.loads(notes).get("told")


def _drop(warehouse: Warehouse, chunk_id: int, object_id: int, sector: int) -> None:
    """Take a light curve away to make room; one that came in a file with others cannot be taken alone."""
    others = warehouse.value(
        f"SELECT count(*) FROM {TABLE} WHERE {ledger.CHUNK_COLUMN} = ? AND (object_id, sector) <> (?, ?)",
        [chunk_id, object_id, sector],
    )
    if others:
        raise LoadError(
            f"Sector {sector} of object {object_id} came in a file with other light curves.",
            "Nothing was changed. Load that file again without it, with `skysy load --replace`.",
        )
    ledger.drop_chunk(warehouse.con, chunk_id, TABLE)


def _refuse_copy(warehouse: Warehouse, path: Path, source: str, sha256: str) -> None:
    other = warehouse.value(
        "SELECT min(source) FROM meta.chunk WHERE table_name = ? AND sha256 = ? AND source <> ? AND state = 'loaded'",
        [TABLE, sha256, source],
    )
    if other is not None:
        raise LoadError(
            f"{path.name} has the same content as {other}, which is loaded.",
            "Nothing was changed. A light curve belongs to one object.",
        )
