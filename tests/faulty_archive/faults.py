"""The faults that an archive can be told to have, and when each is due."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from faulty_archive.documents import error, page
from faulty_archive.messages import Reply, Request

ALWAYS: None = None
"""`times=ALWAYS`: on every request that matches."""

_ANYTHING = r".*"
_ROWS = r"(.*\.)?(sync|result)|cone|xmatch"
_QUERIES = r"(.*\.)?(sync|phase)|cone|xmatch"
_UPLOADS = r"(.*\.)?(sync|create)|xmatch"
_LOOKS = r"(.*\.)?uws\.job"

TIMED_OUT = "Field query: Query timed out (took too long)."
_TOO_LARGE = "Would only accept 0 bytes of upload here."
_TOO_LARGE_HINT = "See if the upload can be reduced by transmitting only columns absolutely necessary."
NO_UPLOADS = "Field UPLOAD: This service does not accept uploads"
_PART = {"fraction": 0.5, "at_line": False}


@dataclass(frozen=True)
class Kind:
    """What a kind of fault does (`stage`), the operations that it meets by itself, its details with their defaults."""

    stage: str
    on: str
    details: Mapping[str, Any] = field(default_factory=dict)


KINDS: Mapping[str, Kind] = {
    # how the answer's bytes travel
    "cut_with_length": Kind("wire", _ROWS, _PART),
    "cut_without_length": Kind("wire", _ROWS, _PART),
    "cut_chunked": Kind("wire", _ROWS, _PART),
    "reset": Kind("wire", _ANYTHING, {"fraction": 0.0, "at_line": False}),
    "lost_answer": Kind("wire", r"(.*\.)?uws\.create"),
    "hang": Kind("wire", _ANYTHING, {"seconds": ..., "fraction": 0.0}),
    "slow": Kind("wire", _ANYTHING, {"bytes_per_s": ...}),
    # an answer that has nothing to do with the question
    "status": Kind("instead", _ANYTHING, {"code": ..., "retry_after": None, "retry_after_date": None, "body": ""}),
    "html_200": Kind("instead", _ANYTHING, {"body": ""}),
    "not_found": Kind("instead", _ANYTHING),
    "ban_403": Kind("instead", _ANYTHING, {"over": 0}),
    "refuse_upload": Kind("instead", _UPLOADS),
    "upload_too_large": Kind("instead", _UPLOADS),
    "delete_fails": Kind("instead", r"(.*\.)?uws\.delete", {"code": 500}),
    # a document in other bytes
    "empty_body": Kind("reply", _ROWS),
    "garbage_gzip": Kind("reply", _ROWS),
    "gzip": Kind("reply", _ANYTHING),
    "clock_skew": Kind("reply", _ANYTHING, {"seconds": ...}),
    "relative_location": Kind("reply", r"(.*\.)?uws\..*"),
    # other rows than were asked for
    "overflow": Kind("rows", _ROWS, {"rows": None}),
    "error_after_rows": Kind("rows", _ROWS, {"rows": None, "message": "server closed the connection unexpectedly"}),
    "silent_cap": Kind("rows", _ROWS, {"rows": ...}),
    "drop_row": Kind("rows", _ROWS, {"row": 0}),
    "duplicate_row": Kind("rows", _ROWS, {"row": 0}),
    "reversed_rows": Kind("rows", _ROWS),
    "wrong_ids": Kind("rows", _ROWS, {"column": None, "count": 1}),
    "fewer_ids": Kind("rows", _ROWS, {"column": None, "count": 1}),
    "rename_column": Kind("rows", _ROWS, {"column": ..., "to": ...}),
    "case_change": Kind("rows", _ROWS, {"column": None}),
    "drop_column": Kind("rows", _ROWS, {"column": ...}),
    "add_column": Kind("rows", _ROWS, {"name": "surprise", "value": 1}),
    "retype_column": Kind("rows", _ROWS, {"column": ..., "to": "DOUBLE"}),
    "spell_booleans": Kind("rows", _ROWS, {"column": ..., "true": "yes", "false": "no"}),
    "null_text": Kind("rows", _ROWS, {"text": "NULL"}),
    # jobs and long queries
    "timeout": Kind("query", _QUERIES, {"rows_over": -1, "message": TIMED_OUT}),
    "empty_upload": Kind("query", _UPLOADS),
    "phase": Kind("job", _LOOKS, {"phase": ..., "message": ""}),
    "job_destroyed": Kind("job", r"(.*\.)?uws\.result"),
    "anonymous_jobs": Kind("job", r"(.*\.)?uws\.list"),
}

_COUNTS = re.compile(r"\b(count|min|max)\s*\(|tap_schema", re.IGNORECASE)


@dataclass
class Fault:
    """One fault that was asked for; `seen` counts the requests that matched, `fired` those that met it."""

    kind: str
    on: str
    times: int | None
    after: int
    matching: str | None
    details: Mapping[str, Any]
    seen: int = 0
    fired: int = 0

    @property
    def stage(self) -> str:
        """Where in an answer's making it acts."""
        return KINDS[self.kind].stage

    def matches(self, request: Request) -> bool:
        """Whether it is about this request, be it its turn or not."""
        where = (
            re.search(self.on, request.path) if self.on.startswith("/") else re.fullmatch(self.on, request.operation)
        )
        if where is None or (self.matching and not re.search(self.matching, request.query, re.IGNORECASE)):
            return False
        if "upload" in self.kind and not request.uploads:
            return False
        if request.together <= self.details.get("over", 0):
            return False
        if self.stage in ("rows", "query") and self.matching is None and _COUNTS.search(request.query):
            return False
        column = self.details.get("column")
        names = set(re.findall(r"\w+|\*", request.query.lower()))
        return column is None or not names or "*" in names or column.lower() in names


class Faults:
    """The faults of one archive."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: list[Fault] = []

    def add(
        self, kind: str, on: str | None, times: int | None, after: int, matching: str | None, details: Mapping[str, Any]
    ) -> Fault:
        """A new fault; raises TypeError for a kind or a detail that there is not, or one that is missing."""
        if kind not in KINDS:
            raise TypeError(f"no fault {kind!r}; there are {', '.join(sorted(KINDS))}")
        known = KINDS[kind].details
        if unknown := set(details) - set(known):
            raise TypeError(f"{kind} has no detail {sorted(unknown)}; it has {sorted(known)}")
        whole = {**known, **details}
        if missing := [name for name, value in whole.items() if value is ...]:
            raise TypeError(f"{kind} needs {', '.join(missing)}")
        fault = Fault(kind, on or KINDS[kind].on, times, after, matching, whole)
        with self._lock:
            self._all.append(fault)
        return fault

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self._all.clear()

    def due(self, request: Request) -> list[Fault]:
        """The faults that this request meets, in the order in which they were asked for."""
        met = []
        with self._lock:
            for fault in self._all:
                if not fault.matches(request):
                    continue
                fault.seen += 1
                if fault.seen > fault.after and (fault.times is None or fault.fired < fault.times):
                    fault.fired += 1
                    met.append(fault)
        return met


def instead(fault: Fault, clock: datetime) -> Reply:
    """The answer of a fault that lets no question through; `clock` is the server's own time."""
    details = fault.details
    if fault.kind == "status":
        headers = {}
        if details["retry_after"] is not None:
            headers["Retry-After"] = str(details["retry_after"])
        if details["retry_after_date"] is not None:
            until = clock.astimezone(UTC) + timedelta(seconds=details["retry_after_date"])
            headers["Retry-After"] = format_datetime(until, usegmt=True)
        body = details["body"] or page(f"HTTP {details['code']}", "The service cannot answer now.")
        return Reply(details["code"], "text/html", body.encode(), "length", headers)
    if fault.kind == "upload_too_large":
        return Reply(413, "text/xml", error(_TOO_LARGE, _TOO_LARGE_HINT).encode())
    if fault.kind == "refuse_upload":
        return Reply(200, "text/xml", error(NO_UPLOADS).encode())
    code, title, words = {
        "html_200": (200, "Maintenance", "The archive is down for maintenance. Please come back later."),
        "not_found": (404, "Not Found", "The resource that you requested could not be located."),
        "ban_403": (403, "Forbidden", "Your address sent too many requests at a time and is blocked."),
        "delete_fails": (details.get("code", 500), "Internal Server Error", "The job could not be removed."),
    }[fault.kind]
    return Reply(code, "text/html", (details.get("body") or page(title, words)).encode(), "length")
