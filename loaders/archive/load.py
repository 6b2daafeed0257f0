"""From the archives into the warehouse, route after route; each call does what is not done yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from skysy.loaders import raw
from skysy.loaders.archive.book import Book, Entry
from skysy.loaders.archive.commit import Doubtful, commit
from skysy.loaders.archive.keep import Keep, Kept
from skysy.loaders.archive.queries import Limits
from skysy.loaders.archive.routes import Route, open_route, tables_of
from skysy.loaders.archive.run import Progress, Tally, plan_route, recount_route, run_route
from skysy.loaders.archive.services import ROUTES, Services
from skysy.loaders.archive.tap import Tap
from skysy.loaders.archive.upload import Positions
from skysy.loaders.archive.wire import Wire, stoppable

from skysy import __version__, ledger
from skysy.contract import Contract
from skysy.errors import LoadError
from skysy.store import Warehouse


class Objects(Protocol):
    """What the science says about which ids a route asks for; it is asked after the routes before it are in."""

    def keys(self, route: str) -> Sequence[int]:
        """The ids that a route asks for; empty for a route that asks by place or by range."""

    def positions(self, route: str) -> Positions:
        """Positions by object_id, for routes that ask by position."""


@dataclass(frozen=True)
class Request:
    """What a load is to bring: the routes of a release, from which services, under which limits."""

    contract: Contract
    services: Services
    limits: Limits
    routes: tuple[str, ...]

    def describe(self) -> Mapping[str, object]:
        """What meta.run keeps of it."""
        release = self.contract.release
        return {
            "release": release,
            "services": {route: self.services.route(release, route).url for route in self.routes},
        }


def load_archive(
    warehouse: Warehouse,
    request: Request,
    objects: Objects,
    *,
    refresh: bool = False,
    progress: Progress | None = None,
) -> list[Tally]:
    """Bring what the routes name and the warehouse does not have; the tally of each route.

    With `refresh` the loaded parts are counted again at the archive, and those whose count changed are asked anew.
    Raises an ArchiveError or LoadError naming service and part; what was committed stays and the same call goes on.
    """

    def do(book: Book, route: Route, wire: Wire, keep: Keep) -> Tally:
        if refresh:
            recount_route(book, route, Tap(wire))
        entries = plan_route(book, route, Tap(wire), objects.keys(route.name))
        return run_route(book, keep, route, wire, entries, progress)

    return _each(warehouse, request, objects, "refresh" if refresh else "load", do)


def plan_archive(
    warehouse: Warehouse, request: Request, objects: Objects, *, refresh: bool = False
) -> list[tuple[Route, list[Entry]]]:
    """The asks that a load would send now, counted and written down, so that the load need not count again."""
    planned: list[tuple[Route, list[Entry]]] = []

    def do(book: Book, route: Route, wire: Wire, keep: Keep) -> Tally:
        if refresh:
            recount_route(book, route, Tap(wire))
        planned.append((route, plan_route(book, route, Tap(wire), objects.keys(route.name))))
        return Tally(route.name, route.service.title)

    _each(warehouse, request, objects, "plan", do)
    return planned


def rebuild(warehouse: Warehouse, contract: Contract) -> tuple[int, int]:
    """Load every kept raw answer that is not in the warehouse, without a connection: how many, and their rows.

    Raises FileDamaged where a raw answer is missing or changed.
    """
    raw.prepare(warehouse, contract)
    keep = Keep(warehouse.settings.warehouse)
    answers = rows = 0
    with ledger.noted(warehouse.con, "load", {"release": contract.release, "offline": True}, __version__) as run_id:
        book = Book(warehouse, contract.release, run_id)
        for kept in keep.kept():
            if kept.release == contract.release and not book.has(kept.ask):
                rows += _restored(book, keep, contract, kept)
                answers += 1
    return answers, rows


def _restored(book: Book, keep: Keep, contract: Contract, kept: Kept) -> int:
    """The rows of one kept answer, which were found good when it came."""
    ask = book.restore(kept.ask, kept.plan)
    try:
        return commit(book, keep, contract, ask, kept.sha256, kept.form)
    except Doubtful as error:
        return commit(book, keep, contract, ask, kept.sha256, kept.form, error.content)


def _each(
    warehouse: Warehouse,
    request: Request,
    objects: Objects,
    command: str,
    do: Callable[[Book, Route, Wire, Keep], Tally],
) -> list[Tally]:
    """Run something for every route in order, as one run of the ledger."""
    release = request.contract.release
    raw.prepare(warehouse, request.contract)
    keep = Keep(warehouse.settings.warehouse)
    tallies = []
    with ledger.noted(warehouse.con, command, request.describe(), __version__) as run_id, stoppable():
        book = Book(warehouse, release, run_id)
        for name in ROUTES:
            if name not in request.routes:
                continue
            service = request.services.route(release, name)
            wire = Wire(service, scratch=keep.directory)
            _refuse_files(warehouse, release, name)
            route = open_route(name, request.contract, service, request.limits, wire, objects.positions(name))
            tallies.append(do(book, route, wire, keep))
    return tallies


def _refuse_files(warehouse: Warehouse, release: str, route: str) -> None:
    """Raise LoadError where a table of the route holds rows from files: they would be there twice."""
    found = warehouse.rows(
        "SELECT table_name, source FROM meta.chunk WHERE release = ? AND service = 'file' AND state = 'loaded' "
        "AND received_rows > 0 AND list_contains(?, table_name) ORDER BY chunk_id LIMIT 1",
        [release, list(tables_of(release, route))],
    )
    if found:
        table, source = found[0]
        raise LoadError(
            f"{table} holds rows of the file {source}; asked at the archive, they would be there twice.",
            "Nothing was asked. Name the other routes with --route, or ask into another warehouse with --warehouse DIR.",
        )
