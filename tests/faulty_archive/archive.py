"""The archive: its sockets, its log, and the knob."""

from __future__ import annotations

import gzip
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from faulty_archive import documents
from faulty_archive.catalogue import Catalogue, Rows, TableSource
from faulty_archive.connection import Server
from faulty_archive.faults import Fault, Faults, instead
from faulty_archive.jobs import Job
from faulty_archive.messages import Reply, Request, parse
from faulty_archive.positions import Positions
from faulty_archive.tap import Manner, Tap


class FaultyArchive:
    """A whole archive on 127.0.0.1, for as long as the `with` block lasts; healthy until `fault` is called.

    `tables` are what it holds: tables by name (a DuckDB query, an Arrow table, or rows) or the path of a warehouse
    whose raw tables are copied. `simbad` are the rows of SIMBAD's `basic` (main_id, ra, dec, otype); without them there
    is neither SIMBAD nor X-Match.

    Of the TAP service: `uploads`, `upload_rows` and `upload_bytes` say what it takes; `default_rows` holds without
    MAXREC, `most_rows` always; `serialization` is what `votable` means; `magic_nulls` puts numbers for NULL in
    TABLEDATA; `block_comments` accepts /* */; a job lasts `job_s`, and PHASE=RUN in the creating POST is obeyed only
    with `runs_on_create`.
    """

    def __init__(
        self,
        tables: Mapping[str, TableSource] | Path,
        *,
        simbad: Rows | None = None,
        release: str = "skymapper_dr2",
        **manner: Any,
    ) -> None:
        self._tables, self._simbad, self._release, self._manner = tables, simbad, release, Manner(**manner)
        self._faults = Faults()
        self._lock = threading.Lock()
        self._open: set[int] = set()
        self._numbers = 0
        self.requests: list[Request] = []
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        self.closing = threading.Event()
        held = Catalogue(self._tables, self._release)
        simbad = None if self._simbad is None else Catalogue(_simbad_tables(self._simbad), self._release)
        self._catalogues = [catalogue for catalogue in (held, simbad) if catalogue is not None]
        self._taps = [Tap(held, self._manner, "tap", "uws")]
        if simbad is not None:
            self._taps.append(Tap(simbad, Manner(), "simbad", "simbad.uws"))
        self._positions = Positions(held, simbad, self._manner.most_rows)
        self._server = Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        for tap in self._taps:
            tap.base = self.url
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.closing.set()
        for tap in self._taps:
            tap.jobs.close()
        self._server.shutdown()
        self._server.drop_connections()
        self._server.server_close()
        self._thread.join()
        for catalogue in self._catalogues:
            catalogue.close()
        if self.failures and kind is None:
            raise AssertionError("the archive itself failed:\n" + "\n".join(self.failures))

    @property
    def tap_url(self) -> str:
        """Where /sync and /async hang."""
        return f"{self.url}/tap"

    @property
    def cone_url(self) -> str:
        """The cone search."""
        return f"{self.url}/cone"

    @property
    def xmatch_url(self) -> str:
        """The X-Match."""
        return f"{self.url}/xmatch"

    @property
    def simbad_url(self) -> str:
        """SIMBAD's TAP: tables basic, ident, otypedef."""
        return f"{self.url}/simbad"

    @property
    def jobs(self) -> list[Job]:
        """The TAP service's jobs that are not destroyed."""
        return self._taps[0].jobs.all()

    def fault(
        self,
        kind: str,
        on: str | None = None,
        *,
        times: int | None = 1,
        after: int = 0,
        matching: str | None = None,
        **details: Any,
    ) -> Fault:
        """From now on, requests meet this fault: `times` of them (or ALWAYS), once `after` others have gone by.

        `on` is a regular expression of an operation's whole name, or of a path where it begins with a slash; each kind
        has its own by default. `matching` is one of the query. Faults of rows and time-outs leave counts, MIN, MAX and
        TAP_SCHEMA alone unless `matching` is given; those of a column leave queries alone that do not name it.
        """
        return self._faults.add(kind, on, times, after, matching, details)

    def heal(self) -> None:
        """Nothing is wrong any more."""
        self._faults.clear()

    def forget(self) -> None:
        """Empty the log."""
        with self._lock:
            self.requests.clear()

    def asked(self, operation: str) -> list[Request]:
        """The requests of that operation so far."""
        return [request for request in self.requests if request.operation == operation]

    def repeated(self) -> list[str]:
        """What was asked more than once although it was answered without a fault: queries with the same upload,
        cones, X-Matches."""
        asked = Counter(
            (request.query or str(sorted(request.parameters.items())), tuple(sorted(request.uploads.items())))
            for request in self.requests
            if request.operation.endswith((".sync", ".create", "cone", "xmatch")) and not request.faults
        )
        return [words for (words, _), times in asked.items() if times > 1]

    def most_at_once(self) -> int:
        """The greatest number of requests that were open together."""
        return max((request.together for request in self.requests), default=0)

    def least_gap_s(self) -> float:
        """The shortest time between the starts of two requests; infinite for fewer than two."""
        starts = sorted(request.started for request in self.requests)
        return min((late - early for early, late in pairwise(starts)), default=float("inf"))

    def begin(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
        """A request entered in the log."""
        path, parameters, files = parse(target, body, headers.get("Content-Type", ""))
        with self._lock:
            self._numbers += 1
            self._open.add(self._numbers)
            request = Request(
                self._numbers, time.monotonic(), method, path, parameters, files, headers, len(self._open)
            )
            self.requests.append(request)
        service = self._service(path)
        if isinstance(service, Tap):
            service.name_operation(request)
        elif service is not None:
            request.operation = path.strip("/")
        return request

    def end(self, request: Request) -> None:
        """The request is answered, but for its last bytes: a client that has those may ask again at once."""
        with self._lock:
            if request.number in self._open:
                self._open.remove(request.number)
                request.seconds = time.monotonic() - request.started

    def answer(self, request: Request) -> tuple[Reply, Sequence[Fault]]:
        """What is sent, and the faults that are in the sending."""
        faults = self._faults.due(request)
        request.faults = tuple(fault.kind for fault in faults)
        skew = timedelta(seconds=sum(fault.details["seconds"] for fault in faults if fault.kind == "clock_skew"))
        clock = datetime.now(UTC) + skew
        blunt = next((fault for fault in faults if fault.stage == "instead"), None)
        if blunt is not None:
            reply = instead(blunt, clock)
        else:
            service = self._service(request.path)
            if service is None:
                reply = Reply(404, "text/html", documents.page("Not Found", "No such service").encode())
            else:
                reply = service.answer(request, faults)
        reply.headers.setdefault("Date", format_datetime(clock, usegmt=True))
        self._rewrite(reply, faults)
        request.status = reply.status
        return reply, [fault for fault in faults if fault.stage == "wire"]

    def _service(self, path: str) -> Tap | Positions | None:
        services: list[Tap | Positions] = [*self._taps, self._positions]
        return next((service for service in services if service.owns(path)), None)

    def _rewrite(self, reply: Reply, faults: Sequence[Fault]) -> None:
        for fault in faults:
            if fault.kind == "empty_body":
                reply.body = b""
            elif fault.kind == "garbage_gzip":
                reply.body = b"\x1f\x8b\x08\x00" + reply.body[:200]
                reply.headers["Content-Encoding"] = "gzip"
            elif fault.kind == "gzip":
                reply.body = gzip.compress(reply.body, mtime=0)
                reply.headers["Content-Encoding"] = "gzip"
            elif fault.kind == "relative_location" and "Location" in reply.headers:
                reply.headers["Location"] = reply.headers["Location"].removeprefix(self.url)


def _simbad_tables(rows: Rows) -> dict[str, TableSource]:
    """SIMBAD's tables from its objects; ident and otypedef hold what can be told of them."""
    if not rows:
        return {"basic": "SELECT 0 AS oid, '' AS main_id, 0.0::DOUBLE AS ra, 0.0::DOUBLE AS dec, '' AS otype LIMIT 0"}
    basic = [{"oid": place + 1, **row} for place, row in enumerate(rows)]
    kinds = dict.fromkeys(str(row.get("otype")) for row in basic)
    return {
        "basic": basic,
        "ident": [{"oidref": row["oid"], "id": row["main_id"]} for row in basic],
        "otypedef": [{"otype": kind, "label": kind, "is_candidate": 0} for kind in kinds],
    }
