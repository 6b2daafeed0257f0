"""Work of the threads that talk to a service: answers into files, jobs followed, asks cut up where they are too much."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from skysy.loaders.archive.asks import Ask
from skysy.loaders.archive.commit import Doubtful
from skysy.loaders.archive.cone import multicone, xmatch
from skysy.loaders.archive.keep import Keep
from skysy.loaders.archive.mast import Unowned, observations, products
from skysy.loaders.archive.routes import Route
from skysy.loaders.archive.tap import Tap, parameters
from skysy.loaders.archive.uws import GONE, Jobs
from skysy.loaders.archive.wire import Reply, Stopped, Wire

from skysy.errors import ArchiveRefused, ArchiveUnreachable, QueryFailed, TooMuch

_JOBS_TRIED = 3
"""Jobs that may vanish before an ask is given up."""


@dataclass(frozen=True)
class Submitted:
    """A job exists; the thread waits until `written` says that its URL is in the ledger."""

    ask: Ask
    job_url: str
    written: threading.Event


@dataclass(frozen=True)
class Fetched:
    """An answer lies in a file."""

    ask: Ask
    part: Path
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Cut:
    """An ask was too much; its pieces, counted, take its place."""

    ask: Ask
    pieces: list[Ask]


@dataclass(frozen=True)
class Broke:
    """An ask failed; an error that is no SkysyError is a fault of skysy itself."""

    ask: Ask
    error: Exception


@dataclass(frozen=True)
class Vouched:
    """The archive has as many rows of the doubted keys as came."""

    ask: Ask
    content: str


Message = Submitted | Fetched | Cut | Broke | Vouched


@dataclass(frozen=True, order=True)
class _Task:
    """Work for a thread, the lowest `order` first; `run` None ends the thread."""

    order: tuple[int, int]
    run: Callable[[], Message] | None = field(compare=False)


class Crew:
    """Threads that fetch; what they have to tell comes through `inbox`. They never touch the warehouse."""

    def __init__(self, route: Route, wire: Wire, keep: Keep) -> None:
        self.inbox: queue.Queue[Message] = queue.Queue()
        self._route, self._wire, self._keep = route, wire, keep
        self._tap, self._jobs = Tap(wire), Jobs(wire)
        self._work: queue.PriorityQueue[_Task] = queue.PriorityQueue()
        self._numbers = count()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(route.service.parallel)]
        for thread in self._threads:
            thread.start()

    def fetch(self, ask: Ask, *, piece: bool = False) -> None:
        """Have an ask fetched; a piece of a larger one goes before those that wait, the smallest first."""
        number = next(self._numbers)
        self._put((1, -number) if piece else (2, number), ask, lambda: self._fetch_or_cut(ask))

    def cut(self, ask: Ask) -> None:
        """Have an ask cut into pieces, though it came: the answer said that it was not whole."""
        self._put((0, next(self._numbers)), ask, lambda: self._cut(ask))

    def lessen(self, ask: Ask) -> None:
        """Have an ask that fails counted with fewer columns; its route says that there is such a set."""
        self._put((0, next(self._numbers)), ask, lambda: self._lessened(ask))

    def vouch(self, ask: Ask, doubt: Doubtful) -> None:
        """Have the rows counted whose keys came twice."""
        self._put((0, next(self._numbers)), ask, lambda: self._vouched(ask, doubt))

    def close(self) -> None:
        """End the threads; one that waits for the network is left to end with the process."""
        self._wire.stop.set()
        for _ in self._threads:
            self._work.put(_Task((-1, 0), None))
        for thread in self._threads:
            thread.join(timeout=1.0)

    def _put(self, order: tuple[int, int], ask: Ask, task: Callable[[], Message]) -> None:
        self._work.put(_Task(order, lambda: self._guarded(ask, task)))

    def _run(self) -> None:
        while (task := self._work.get().run) is not None:
            try:
                message = task()
            except Stopped:
                return
            self.inbox.put(message)

    def _guarded(self, ask: Ask, task: Callable[[], Message]) -> Message:
        """What a task has to tell, whatever happens in it: a thread that ended silently would be waited for for ever."""
        try:
            return task()
        except Stopped:
            raise
        except Exception as error:
            if isinstance(error, ArchiveRefused | ArchiveUnreachable):
                self._wire.stop.set()  # nobody asks anything more until the main thread has read this
            return Broke(ask, error)

    def _fetch_or_cut(self, ask: Ask) -> Message:
        try:
            if ask.tries:  # the archive may have changed since it was counted
                ask = self._route.counted(self._tap, ask)
            part = self._keep.part(ask)
            reply = self._answer(ask, part)
            return Fetched(ask, part, reply.sha256, reply.bytes)
        except Unowned:
            return Cut(ask, self._route.one_by_one(ask))
        except TooMuch:
            return self._cut(ask)

    def _vouched(self, ask: Ask, doubt: Doubtful) -> Message:
        if self._tap.count(doubt.count_query, self._route.upload(ask)) != doubt.rows:
            raise doubt
        return Vouched(ask, doubt.content)

    def _lessened(self, ask: Ask) -> Message:
        fewer = self._route.fewer_columns(ask)
        if fewer is None:
            raise QueryFailed(f"{self._route.service.title}: {ask.table} has no smaller set of columns.")
        return Cut(ask, [self._route.counted(self._tap, fewer)])

    def _cut(self, ask: Ask) -> Message:
        return Cut(ask, [piece for one in self._route.split(ask) for piece in self._route.cut(self._tap, one)])

    def _most(self, ask: Ask) -> int:
        """One row more than was counted, so that an answer that was cut at the bound cannot look whole."""
        return (ask.expected or 0) + 1

    def _answer(self, ask: Ask, part: Path) -> Reply:
        route = self._route
        if ask.how == "cone":
            catalogue = route.service.table(ask.table).name
            return multicone(self._wire, catalogue, ask.keys, route.positions, route.radius_arcsec(), part)
        if ask.how == "xmatch":
            return xmatch(self._wire, ask.keys, route.positions, route.radius_arcsec(), part)
        if ask.how == "mast" and ask.route == "products":
            return products(self._wire, ask.keys, part)
        if ask.how == "mast":
            return observations(self._wire, ask.keys, route.positions, route.radius_arcsec(), part)
        return self._by_job(ask, part) if ask.how == "async" else self._at_once(ask, part)

    def _at_once(self, ask: Ask, part: Path) -> Reply:
        form = self._route.service.format
        return self._tap.sync(ask.query, part, most=self._most(ask), form=form, upload=self._route.upload(ask))

    def _by_job(self, ask: Ask, part: Path) -> Reply:
        for _ in range(_JOBS_TRIED):
            if ask.job_url is None:
                ask = replace(ask, job_url=self._create(ask))
            assert ask.job_url is not None
            job = self._jobs.finish(ask.job_url)
            if job.phase != GONE:
                return self._jobs.fetch(job, part)
            ask = replace(ask, job_url=None)
        raise QueryFailed(
            f"{self._route.service.title}: {_JOBS_TRIED} jobs for {ask.table}, {ask.words} were forgotten there, or stood in "
            f"the queue for {self._route.service.job_s:g} s.",
            "What was committed stays. Give the same command again later; a longer wait is `job_s` in skysy.toml.",
        )

    def _create(self, ask: Ask) -> str:
        words, files = parameters(ask.query, self._route.service.format, self._most(ask), self._route.upload(ask))
        url = self._jobs.create(words, f"skysy-{ask.chunk_id}-{ask.sha256[:12]}", files)
        written = threading.Event()
        self.inbox.put(Submitted(ask, url, written))
        while not written.wait(0.5):
            if self._wire.stop.is_set():
                raise Stopped
        return url
