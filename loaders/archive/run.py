"""One route from plan to warehouse: what is open is fetched, checked and committed; the same call goes on after any end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import duckdb
from skysy.loaders.archive.asks import Ask
from skysy.loaders.archive.book import Book, Entry
from skysy.loaders.archive.commit import Doubtful, commit, strangers
from skysy.loaders.archive.fetch import Crew, Cut, Fetched, Message, Submitted, Vouched
from skysy.loaders.archive.keep import Keep
from skysy.loaders.archive.queries import template
from skysy.loaders.archive.routes import KEYED, PLACED, Route, first_asks, tables_of
from skysy.loaders.archive.tap import Tap
from skysy.loaders.archive.uws import Jobs, StillRunning, too_long
from skysy.loaders.archive.wire import Wire

from skysy.errors import (
    AnswerDamaged,
    ArchiveRefused,
    ArchiveUnreachable,
    ContractError,
    ErrorAnswer,
    FileDamaged,
    LoadError,
    Mismatch,
    Overflowed,
    QueryFailed,
    SkysyError,
    TooMuch,
    ValueDamaged,
    WarehouseError,
)

_TRIES = 3
"""How often an answer that is damaged or does not agree with its count is asked for."""

_FAILURES = 5
"""Parts of a route that may fail before the rest is not asked for."""


@dataclass(frozen=True)
class Tally:
    """How far a route is, by table: what was asked for and what came, chunks in all and done.

    What is asked for are rows that the service counted or, where it cannot count (`counted` is False), objects.
    """

    route: str
    service: str
    asked: dict[str, int] = field(default_factory=dict)
    got: dict[str, int] = field(default_factory=dict)
    chunks: int = 0
    done: int = 0
    splits: int = 0
    counted: bool = True


Progress = Callable[[Tally], None]


def plan_route(book: Book, route: Route, tap: Tap, keys: Sequence[int] = ()) -> list[Entry]:
    """The asks of a route that are open; what was never planned is counted and written down first."""
    if route.name in KEYED:
        release = route.contract.release
        tables = tables_of(release, route.name)
        basis = list(tables) if route.service.kind == "mast" else [template(release, table) for table in tables]
        plan = _plan_sha256([basis, _radius(route)])
        if book.planned(route.name) != plan:
            book.plan(route.name, plan, [])
        wanted = set(keys)
        book.discard([entry for entry in book.open(route.name) if not _fits(entry, route, wanted)])
        for ask in first_asks(route, tap, sorted(wanted - book.asked_keys(route.name))):
            book.add(list(route.cut(tap, ask)))
    else:
        first = list(first_asks(route, tap))
        plan = _plan_sha256([[ask.service, route.template_of(ask)] for ask in first])
        if book.planned(route.name) != plan:
            book.discard_open(route.name)
            book.plan(route.name, plan, [counted for ask in first for counted in route.cut(tap, ask)])
    return book.open(route.name)


def recount_route(book: Book, route: Route, tap: Tap) -> None:
    """Count every loaded part of a route again, and plan anew those that have other counts at the archive now."""
    for ask, rows in book.loaded_asks(route.name):
        if ask.how == "mast" and ask.service == route.service.key:
            # MAST cannot count beforehand, and new observations come in daily.
            book.again(replace(ask, tries=0))
        if not ask.count_query or ask.service != route.service.key:
            continue
        counted = route.counted(tap, ask)
        if counted.expected != rows:
            book.again(replace(counted, tries=0))
    known = book.span(route.name) if route.name == "images" else None
    if known is None:
        return
    for ask in first_asks(route, tap):
        lowest, beyond = ask.part["key"]
        for part in ([lowest, known[0]], [known[1], beyond]):
            if part[0] < part[1]:
                new = route.ask(ask.table, {**ask.part, "key": part})
                book.add([one for one in route.cut(tap, new) if one.expected])


def _fits(entry: Entry, route: Route, wanted: set[int]) -> bool:
    """Whether an open ask for ids can be sent as it is planned: to this service, in this way, for these ids."""
    ask, service = entry.ask, route.service
    kind = ask.how if ask.how in ("cone", "xmatch", "mast") else "tap"
    sets = max(len(service.table(ask.table).columns), 1)
    same = ask.service == service.key and kind == service.kind and (not ask.upload or service.uploads)
    return entry.state == "fetched" or (same and ask.column_set < sets and wanted.issuperset(ask.keys))


def _radius(route: Route) -> float | None:
    """What else than its template a route's queries hang on."""
    return route.radius_arcsec() if route.name in PLACED or route.service.kind == "cone" else None


def run_route(
    book: Book,
    keep: Keep,
    route: Route,
    wire: Wire,
    entries: Sequence[Entry],
    progress: Progress | None = None,
) -> Tally:
    """Fetch, check and commit the open asks of a route.

    Raises at the end the first error of an ask that could not be brought, naming how many there are; others are in by
    then. A service that refuses or cannot be reached ends the route at once.
    """
    shift = _Shift(book, keep, route, wire, progress or (lambda _: None))
    try:
        shift.work(entries)
    finally:
        shift.crew.close()
        shift.settle()
    _delete_jobs(book, Wire(route.service))
    if shift.failed:
        raise _summed(shift.failed)
    if route.name == "sample" and entries:
        _check_neighbours(book, keep, route)
    for chunk_id in book.drop_older(route.name):
        keep.forget(chunk_id)
    return shift.tally


def _check_neighbours(book: Book, keep: Keep, route: Route) -> None:
    """Raise Mismatch where objects and neighbours do not belong together; those parts are asked again by the next load."""
    found = strangers(book)
    asks = {ask.chunk_id: ask for ask, _ in book.loaded_asks(route.name)}
    for chunk_id, words in found:
        book.failed(asks[chunk_id], words)
        keep.forget(chunk_id)
    if found:
        ask, words = asks[found[0][0]], found[0][1]
        raise Mismatch(f"{_name(ask)}: {words}.", "The same command asks for that part again; other parts stay.")


class _Shift:
    """The main thread's side: the only one that writes to the warehouse."""

    def __init__(self, book: Book, keep: Keep, route: Route, wire: Wire, tell: Progress) -> None:
        self.book, self.keep, self.route = book, keep, route
        self.crew = Crew(route, wire, keep)
        self.tally = Tally(route.name, route.service.title, counted=route.service.kind == "tap")
        self.failed: list[tuple[Ask, SkysyError]] = []
        self._tell = tell
        self._pending = 0
        self._sizes: dict[int, int] = {}
        self._doubted: dict[int, tuple[str, str]] = {}

    def work(self, entries: Sequence[Entry]) -> None:
        self.keep.sweep()
        self._count([entry.ask for entry in entries])
        for entry in entries:
            if entry.state == "fetched" and self.keep.whole(entry.sha256, entry.format):
                self._commit(entry.ask, str(entry.sha256), entry.format)
            else:
                self._start(entry.ask)
        while self._pending:
            self._take(self.crew.inbox.get())
            self._tell(self.tally)

    def settle(self) -> None:
        """Write down what threads had to tell when the work was ended: jobs that exist, answers that are whole."""
        while not self.crew.inbox.empty():
            message = self.crew.inbox.get()
            if isinstance(message, Submitted):
                self.book.submitted(message.ask, message.job_url)
            elif isinstance(message, Fetched):
                self._keep(message)

    def _keep(self, message: Fetched) -> str:
        named = self.route.service.format.lower()
        form = named if named in ("csv", "json") else "votable"
        plan = self.book.plan_of(message.ask)
        self.keep.keep(self.book.release, plan, message.ask, message.part, message.sha256, form)
        self.book.fetched(message.ask, message.sha256, message.bytes, form)
        return form

    def _start(self, ask: Ask, *, piece: bool = False) -> None:
        self._pending += 1
        self.crew.fetch(ask, piece=piece)

    def _take(self, message: Message) -> None:
        if isinstance(message, Submitted):
            self.book.submitted(message.ask, message.job_url)
            message.written.set()
            return
        self._pending -= 1
        if isinstance(message, Fetched):
            form = self._keep(message)
            self._count([message.ask])
            self._commit(message.ask, message.sha256, form)
        elif isinstance(message, Vouched):
            self._commit(message.ask, *self._doubted.pop(message.ask.chunk_id), message.content)
        elif isinstance(message, Cut):
            self._uncount(message.ask)
            pieces = self.book.split(message.ask, message.pieces)
            self.keep.forget(message.ask.chunk_id)
            self.tally = replace(self.tally, splits=self.tally.splits + 1)
            self._count(pieces)
            for piece in pieces:
                self._start(piece, piece=True)
        else:
            self._broke(message.ask, message.error)

    def _commit(self, ask: Ask, sha256: str, form: str, doubted: str = "") -> None:
        try:
            rows = commit(self.book, self.keep, self.route.contract, ask, sha256, form, doubted)
        except Overflowed:
            self._cut(ask)
        except ErrorAnswer as error:
            if too_long(error.message):
                self._cut(ask)
            else:
                self._broke(ask, error)
        except Doubtful as error:
            self._pending += 1
            self._doubted[ask.chunk_id] = (sha256, form)
            self.crew.vouch(ask, error)
        except (LoadError, Mismatch) as error:
            self._broke(ask, error)
        except duckdb.OutOfMemoryException as error:
            settings = self.book.warehouse.settings
            raise LoadError(
                f"{_name(ask)} needs more memory than {settings.memory_limit}, or more room in {settings.temp_directory}.",
                "Its answer is kept, and what was committed stays. Raise it, as with --memory-limit 8GB.",
            ) from error
        else:
            came = rows if ask.expected is None else ask.expected
            got = {**self.tally.got, ask.table: self.tally.got.get(ask.table, 0) + came}
            self.tally = replace(self.tally, got=got, done=self.tally.done + 1)

    def _cut(self, ask: Ask) -> None:
        self._pending += 1
        self.crew.cut(ask)

    def _broke(self, ask: Ask, error: Exception) -> None:
        """Ask again, or note that it failed; raises the error where it makes no sense to go on with the route."""
        if not isinstance(error, SkysyError):
            self.book.waits(ask, repr(error))
            raise error
        if isinstance(error, ArchiveRefused | ArchiveUnreachable | WarehouseError):
            self.book.waits(ask, error.message)
            raise _named(ask, error)
        if isinstance(error, StillRunning):
            self.book.waits(ask, error.message)
            self.failed.append((ask, error))
            return
        ask = replace(ask, tries=ask.tries + 1, job_url=None)
        self.keep.forget(ask.chunk_id)
        if isinstance(error, ContractError):
            self.book.failed(replace(ask, tries=0), error.message)
            raise _named(ask, error)
        if isinstance(error, TooMuch):
            self._fail(ask, error)
        elif ask.tries < _TRIES:
            self.book.again(ask)
            self._start(ask)
        elif isinstance(error, QueryFailed | ErrorAnswer) and self.route.fewer_columns(ask) is not None:
            self._pending += 1
            self.crew.lessen(ask)
        else:
            self._fail(ask, error)

    def _fail(self, ask: Ask, error: SkysyError) -> None:
        self.book.failed(replace(ask, tries=0), error.message)
        self.failed.append((ask, error))
        if len(self.failed) >= _FAILURES:
            raise _summed(self.failed)

    def _count(self, asks: Sequence[Ask]) -> None:
        asked, chunks = dict(self.tally.asked), self.tally.chunks
        for ask in asks:
            size = len(ask.keys) if ask.expected is None else ask.expected
            asked[ask.table] = asked.get(ask.table, 0) + size - self._sizes.get(ask.chunk_id, 0)
            chunks += ask.chunk_id not in self._sizes
            self._sizes[ask.chunk_id] = size
        self.tally = replace(self.tally, asked=asked, chunks=chunks)

    def _uncount(self, ask: Ask) -> None:
        size = self._sizes.pop(ask.chunk_id)
        asked = {**self.tally.asked, ask.table: self.tally.asked[ask.table] - size}
        self.tally = replace(self.tally, asked=asked, chunks=self.tally.chunks - 1)


def _name(ask: Ask) -> str:
    return f"{ask.service}: {ask.table}, {ask.words}"


def _named(ask: Ask, error: SkysyError) -> SkysyError:
    """The error with the service and the part that it is about."""
    kind = AnswerDamaged if isinstance(error, FileDamaged | ValueDamaged) else type(error)
    words = error.message if _name(ask) in error.message else f"{_name(ask)}: {error.message}"
    told = kind(words, error.remedy)
    told.__cause__ = error
    return told


def _summed(failed: Sequence[tuple[Ask, SkysyError]]) -> SkysyError:
    ask, error = failed[0]
    told = _named(ask, error)
    more = f" {len(failed) - 1} more parts failed." if len(failed) > 1 else ""
    return type(told)(
        told.message + more, told.remedy or "What was committed stays; the same command asks for the rest."
    )


def _delete_jobs(book: Book, wire: Wire) -> None:
    """Tidy up at the service; what cannot be deleted now is tried at the next load."""
    jobs = Jobs(wire)
    for job_url in book.jobs_to_delete(wire.service.key):
        if not jobs.delete(job_url):
            return
        book.job_deleted(job_url)


def _plan_sha256(what: object) -> str:
    """What a plan stands on; with other queries it is another plan."""
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()
