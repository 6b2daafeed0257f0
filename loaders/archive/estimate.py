"""What a load will cost before it starts: rows, bytes, requests, disk and time, each counted or said to be a guess."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skysy.loaders.archive.book import Entry
from skysy.loaders.archive.routes import Route

from skysy.contract import TableContract

_WIDTH = {"TINYINT": 1, "SMALLINT": 2, "INTEGER": 4, "BIGINT": 8, "REAL": 4, "FLOAT": 4, "DOUBLE": 8, "BOOLEAN": 1}
_TEXT_BYTES = 8
_BASE64 = 4 / 3
_TABLEDATA = 3.0
"""How many times larger than its binary form a number is as text between tags."""
_ROWS_PER_S = 50_000.0
_REQUEST_S = 1.0


@dataclass(frozen=True)
class Estimate:
    """One table of a route: what is left to ask for. `rows` is None where the service cannot count beforehand."""

    route: str
    service: str
    table: str
    requests: int
    rows: int | None
    bytes: int
    how: str
    uploads: str
    indexed: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Cost:
    """All of it, and the disk that it needs: raw answers and their rows in the warehouse."""

    tables: tuple[Estimate, ...]
    disk_bytes: int
    free_bytes: int

    @property
    def fits(self) -> bool:
        """Whether the disk has room."""
        return self.disk_bytes < self.free_bytes


def estimate(planned: Sequence[tuple[Route, Sequence[Entry]]], warehouse: Path) -> Cost:
    """The cost of the asks that are open."""
    tables = [one for route, entries in planned for one in _of_route(route, entries)]
    needed = 2 * sum(one.bytes for one in tables)
    place = next(parent for parent in (warehouse, *warehouse.resolve().parents) if parent.exists())
    return Cost(tuple(tables), needed, shutil.disk_usage(place).free)


def _of_route(route: Route, entries: Sequence[Entry]) -> list[Estimate]:
    by_table: dict[str, list[Entry]] = {}
    for entry in entries:
        by_table.setdefault(entry.ask.table, []).append(entry)
    return [_of_table(route, table, some) for table, some in by_table.items()]


def _of_table(route: Route, table: str, entries: Sequence[Entry]) -> Estimate:
    service = route.service
    asks = [entry.ask for entry in entries]
    counted = [ask.expected for ask in asks if ask.expected is not None]
    rows = sum(counted) if len(counted) == len(asks) else None
    requests = sum(len(ask.keys) if ask.how == "cone" else 1 for ask in asks)
    factor = _BASE64 if "BINARY" in service.format.upper() else _TABLEDATA
    size = int((rows or 0) * _row_bytes(route.contract.table(table)) * factor)
    seconds = (rows or 0) / _ROWS_PER_S + requests * max(_REQUEST_S / service.parallel, service.pause_s)
    uploads = f"{max(len(ask.keys) for ask in asks):,} ids at a time" if asks[0].upload else "none"
    indexed = route.columns(table).indexed if service.kind == "tap" and asks[0].count_query else ()
    hows = ", ".join(sorted({ask.how for ask in asks}))
    return Estimate(route.name, service.title, table, requests, rows, size, hows, uploads, indexed, seconds)


def _row_bytes(table: TableContract) -> int:
    return sum(_WIDTH.get(column.type, _TEXT_BYTES) for column in table.columns)
