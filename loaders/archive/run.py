"""One route from plan to warehouse: what is open is fetched, checked and committed; the same call goes on after any end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from skysy.loaders.archive.asks import Ask
from skysy.loaders.archive.book import Book, Entry
from skysy.loaders.archive.commit import commit
from skysy.loaders.archive.fetch import Broke, Crew, Cut, Fetched, Message, Submitted
from skysy.loaders.archive.keep import Keep
from skysy.loaders.archive.routes import KEYED, Route, first_asks
from skysy.loaders.archive.tap import Tap
from skysy.loaders.archive.uws import Jobs
from skysy.loaders.archive.wire import Wire

from skysy.errors import (
    ArchiveRefused,
    ArchiveUnreachable,
    ContractError,
    FileDamaged,
    Mismatch,
    Overflowed,
    SkysyError,
    ValueDamaged,
)

_TRIES = 3
"""How often an answer that is damaged or does not agree with its count is asked for."""


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
        new = sorted(set(keys) - book.asked_keys(route.name))
        asks = [counted for ask in first_asks(route, tap, new) for counted in route.cut(tap, ask)]
        if asks:
            book.plan(route.name, "", asks)
    else:
        first = list(first_asks(route, tap))
        plan = _plan_sha256(route, first)
        if book.planned(route.name) != plan:
            book.discard_open(route.name)
            book.plan(route.name, plan, [counted for ask in first for counted in route.cut(tap, ask)])
    return book.open(route.name)


def recount_route(book: Book, route: Route, tap: Tap) -> None:
    """Count every loaded part of a route again, and plan anew those that have other counts at the archive now."""
    for ask, rows in book.loaded_asks(route.name):
        if not ask.count_query:
            continue
        counted = route.counted(tap, ask)
        if counted.expected != rows:
            book.again(counted)
    if route.name == "images" and book.planned(route.name):
        for ask in first_asks(route, tap):
            known = book.highest_key(route.name)
            if known is not None and ask.part["key"][1] > known:
                part = {**ask.part, "key": [known, ask.part["key"][1]]}
                new = [one for one in route.cut(tap, route.ask(ask.table, part)) if one.expected]
                book.plan(route.name, book.planned(route.name) or "", new)


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
    _delete_jobs(book, Wire(route.service))
    if shift.failed:
        raise _summed(shift.failed)
    book.drop_older(route.name)
    return shift.tally


class _Shift:
    """The main thread's side: the only one that writes to the warehouse."""

    def __init__(self, book: Book, keep: Keep, route: Route, wire: Wire, tell: Progress) -> None:
        self.book, self.keep, self.route = book, keep, route
        self.crew = Crew(route, wire, keep)
        self.tally = Tally(route.name, route.service.title, counted=route.service.kind == "tap")
        self.failed: list[tuple[Ask, SkysyError]] = []
        self._tell = tell
        self._pending = 0

    def work(self, entries: Sequence[Entry]) -> None:
        self.keep.drop_parts()
        self._count([entry.ask for entry in entries])
        for entry in entries:
            if entry.state == "fetched" and self.keep.whole(entry.sha256, entry.format):
                self._commit(entry.ask, str(entry.sha256), entry.format)
            else:
                self._start(entry.ask)
        while self._pending:
            self._take(self.crew.inbox.get())
            self._tell(self.tally)

    def _start(self, ask: Ask) -> None:
        self._pending += 1
        self.crew.fetch(ask)

    def _take(self, message: Message) -> None:
        if isinstance(message, Submitted):
            self.book.submitted(message.ask, message.job_url)
            message.written.set()
            return
        self._pending -= 1
        if isinstance(message, Fetched):
            form = "csv" if self.route.service.format.lower() == "csv" else "votable"
            self.keep.keep(self.book.release, message.ask, message.part, message.sha256, form)
            self.book.fetched(message.ask, message.sha256, message.bytes, form)
            self._commit(message.ask, message.sha256, form)
        elif isinstance(message, Cut):
            self._uncount(message.ask)
            pieces = self.book.split(message.ask, message.pieces)
            self.tally = replace(self.tally, splits=self.tally.splits + 1)
            self._count(pieces)
            for piece in pieces:
                self._start(piece)
        else:
            self._broke(message)

    def _commit(self, ask: Ask, sha256: str, form: str) -> None:
        try:
            rows = commit(self.book, self.keep, self.route.contract, ask, sha256, form)
        except Overflowed:
            self._pending += 1
            self.crew.cut(ask)
        except (FileDamaged, ValueDamaged, Mismatch) as error:
            self._broke(Broke(ask, error))
        else:
            came = rows if ask.expected is None else ask.expected
            got = {**self.tally.got, ask.table: self.tally.got.get(ask.table, 0) + came}
            self.tally = replace(self.tally, got=got, done=self.tally.done + 1)

    def _broke(self, message: Broke) -> None:
        ask, error = replace(message.ask, tries=message.ask.tries + 1, job_url=None), message.error
        if isinstance(error, ArchiveRefused | ArchiveUnreachable | ContractError):
            self.book.failed(ask, error.message)
            raise error
        if ask.tries < _TRIES:
            self.book.again(ask)
            self._start(ask)
            return
        self.book.failed(ask, error.message)
        self.failed.append((ask, error))

    def _count(self, asks: Sequence[Ask]) -> None:
        asked = dict(self.tally.asked)
        for ask in asks:
            asked[ask.table] = asked.get(ask.table, 0) + _size(ask)
        self.tally = replace(self.tally, asked=asked, chunks=self.tally.chunks + len(asks))

    def _uncount(self, ask: Ask) -> None:
        asked = {**self.tally.asked, ask.table: self.tally.asked.get(ask.table, 0) - _size(ask)}
        self.tally = replace(self.tally, asked=asked, chunks=self.tally.chunks - 1)


def _size(ask: Ask) -> int:
    return len(ask.keys) if ask.expected is None else ask.expected


def _summed(failed: Sequence[tuple[Ask, SkysyError]]) -> SkysyError:
    ask, error = failed[0]
    more = f" {len(failed) - 1} more failed." if len(failed) > 1 else ""
    return type(error)(
        f"{ask.table}, {ask.words}: {error.message}{more}",
        error.remedy or "What was committed stays; the same command asks for the rest.",
    )


def _delete_jobs(book: Book, wire: Wire) -> None:
    """Tidy up at the service; what cannot be deleted now is tried at the next load."""
    jobs = Jobs(wire)
    for job_url in book.jobs_to_delete(wire.service.key):
        if not jobs.delete(job_url):
            return
        book.job_deleted(job_url)


def _plan_sha256(route: Route, asks: Sequence[Ask]) -> str:
    """What a plan stands on: the queries; for a whole table by ranges of its key, not where the ranges end."""
    texts = [[ask.service, ask.table if route.name == "images" else ask.query] for ask in asks]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()
