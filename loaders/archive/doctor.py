"""What the services are like today: reachable, with the tables and columns of the contract, within which limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from skysy.loaders.archive.cone import CONTROL_NAME
from skysy.loaders.archive.mast import control
from skysy.loaders.archive.queries import columns_of
from skysy.loaders.archive.routes import PLACED, tables_of
from skysy.loaders.archive.services import ROUTES, USUAL, Service, Services
from skysy.loaders.archive.tap import Offer, Tap
from skysy.loaders.archive.wire import Wire

from skysy.contract import Contract
from skysy.errors import SkysyError

_CLOCK_S = 120.0
"""A clock that is off by less is no trouble."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at: `good` is None where it could not be told; `remedy` says what to do."""

    service: str
    what: str
    good: bool | None
    words: str
    remedy: str = ""


def examine(contract: Contract, services: Services, routes: Sequence[str] = USUAL) -> Iterator[Finding]:
    """Findings on each service that these routes of the release ask, as they come."""
    by_service: dict[str, list[str]] = {}
    for route in (one for one in ROUTES if one in routes):
        by_service.setdefault(services.route(contract.release, route).key, []).append(route)
    for key, asked in by_service.items():
        yield from _service(contract, services.services[key], asked)


def _service(contract: Contract, service: Service, routes: list[str]) -> Iterator[Finding]:
    wire = Wire(service)
    try:
        reply = wire.get(f"{service.url}/capabilities" if service.kind == "tap" else service.url)
    except SkysyError as error:
        yield Finding(
            service.key, "reachable", False, error.message,
            f"Is the network up? Another address goes into skysy.toml: [services.{service.key}] url = \"...\".",
        )  # fmt: skip
        return
    yield Finding(service.key, "reachable", True, f"{service.url} answers, asked for {', '.join(routes)}")
    yield from _clock(service, reply.headers.get("Date", ""))
    if service.kind == "mast":
        yield _portal(contract, wire)
    if service.kind != "tap":
        return
    tap = Tap(wire)
    try:
        yield from _limits(service, tap.offer())
    except SkysyError as error:
        yield Finding(service.key, "capabilities", None, error.message, "The bounds of its profile are used.")
    for route in routes:
        for table in tables_of(contract.release, route):
            if route not in PLACED:  # these are joined from tables of the service's own
                yield _table(contract, service, tap, table)


def _clock(service: Service, date: str) -> Iterator[Finding]:
    try:
        off = (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
    except (TypeError, ValueError):
        return
    words = f"this machine's clock is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} the service's"
    good = abs(off) < _CLOCK_S
    yield Finding(service.key, "clock", good, words, "" if good else "Times in the ledger will be off; set the clock.")


def _limits(service: Service, offer: Offer) -> Iterator[Finding]:
    most = offer.most_rows or offer.default_rows
    if most is None:
        yield Finding(service.key, "rows", None, f"no limit is told; {service.max_rows:,} rows a chunk are planned")
    else:
        good = most >= service.max_rows
        yield Finding(
            service.key, "rows", good, f"{most:,} rows at most; {service.max_rows:,} rows a chunk are planned",
            "" if good else f"Put max_rows = {most} under [services.{service.key}] in skysy.toml.",
        )  # fmt: skip
    if service.uploads:
        words = f"uploads are taken, {offer.upload_rows:,} rows at most" if offer.upload_rows else "uploads are taken"
        yield Finding(
            service.key, "uploads", offer.takes_uploads,
            words if offer.takes_uploads else "its capabilities name no way to upload",
            "" if offer.takes_uploads else f"Put uploads = false under [services.{service.key}] in skysy.toml.",
        )  # fmt: skip


def _table(contract: Contract, service: Service, tap: Tap, table: str) -> Finding:
    remote = service.table(table).name
    try:
        listed = tap.columns([remote]).get(remote.lower(), [])
        if not listed:
            return Finding(
                service.key, table, False, f"no table {remote} is listed",
                f"Its name there goes into skysy.toml: [services.{service.key}.tables.\"{table}\"] name = \"...\".",
            )  # fmt: skip
        columns = columns_of(contract.table(table), service, listed)
    except SkysyError as error:
        return Finding(service.key, table, False, error.message, error.remedy)
    total = len(contract.table(table).columns)
    indexed = f", indexed: {', '.join(columns.indexed)}" if columns.indexed else ""
    return Finding(service.key, table, True, f"{remote}: {len(columns.names)} of {total} columns are there{indexed}")


def _portal(contract: Contract, wire: Wire) -> Finding:
    """What MAST tells of a star that it has much of, and whether it does so in the columns of the contract."""
    table = contract.table("mast.observation")
    try:
        page = control(wire)
    except SkysyError as error:
        return Finding(wire.service.key, table.name, False, error.message, error.remedy)
    there = {column.name for name in page.names if (column := table.column(name)) is not None}
    good = page.total > 0 and "obsid" in there
    return Finding(
        wire.service.key, table.name, good,
        f"{page.total:,} observations of {CONTROL_NAME}, {len(there)} of {len(table.columns) - 1} columns are there",
        "" if good else "MAST answers in another way than it did; its rows would not be taken.",
    )  # fmt: skip
