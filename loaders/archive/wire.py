"""Requests to one service: time-outs on each, politeness per host, retries that obey the service.

A GET, HEAD or DELETE, and a POST that is marked repeatable because it only asks, is sent again after a broken connection or
a status of 408, 425, 429, 500, 502, 503 or 504; other POSTs only after 429 and 503, which say that nothing was done.
Retry-After is waited out in full (RFC 9110, section 10.2.3); otherwise the wait is random up to a doubling bound.
"""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from skysy.loaders.archive import partial
from skysy.loaders.archive.services import Service

from skysy import __version__
from skysy.errors import ArchiveRefused, ArchiveUnreachable, TooMuch, WarehouseError, WarehouseFull
from skysy.formats.whole import FULL
from skysy.log import timed

_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_NOT_DONE = {429, 503}
_CONNECT_S = 15.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 60.0
_LONGEST_RETRY_AFTER_S = 3600.0
_BLOCK = 1 << 18


class Stopped(Exception):
    """The user ended the load; nothing more is asked."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Inside, a load that the user ended becomes the KeyboardInterrupt that it was."""
    try:
        yield
    except Stopped as error:
        raise KeyboardInterrupt from error


@dataclass(frozen=True)
class Reply:
    """An answer: `text` is its body, empty where it went to a file; `bytes` and `sha256` are the body's."""

    url: str
    status: int
    headers: Mapping[str, str]
    text: str
    bytes: int
    sha256: str


class Host:
    """How many requests one host gets at a time and how far apart they start."""

    def __init__(self, parallel: int, pause_s: float) -> None:
        self._places = threading.BoundedSemaphore(parallel)
        self._lock = threading.Lock()
        self._pause_s = pause_s
        self._next_start = 0.0

    @contextmanager
    def turn(self, stop: threading.Event) -> Iterator[None]:
        """Inside, it is our turn."""
        with self._places:
            with self._lock:
                now = time.monotonic()
                wait = max(self._next_start - now, 0.0)
                self._next_start = now + wait + self._pause_s
            if stop.wait(wait):
                raise Stopped
            yield

    def rest(self, seconds: float) -> None:
        """Start nothing for so long: the host asked for it, and it does not matter which thread it told."""
        with self._lock:
            self._next_start = max(self._next_start, time.monotonic() + seconds)


_HOSTS: dict[str, Host] = {}
_HOSTS_LOCK = threading.Lock()


def host_of(service: Service) -> Host:
    """The one Host of this process for the service's host, made with the first service's bounds."""
    name = urlsplit(service.url).netloc
    with _HOSTS_LOCK:
        return _HOSTS.setdefault(name, Host(service.parallel, service.pause_s))


class Wire:
    """Requests to one service; share it between threads. `stop` ends every wait; small answers lie in `scratch` for a moment."""

    def __init__(self, service: Service, stop: threading.Event | None = None, scratch: Path | None = None) -> None:
        self.service = service
        self.scratch = scratch
        self.stop = stop or threading.Event()
        self._host = host_of(service)
        self._local = threading.local()

    def wait(self, seconds: float) -> None:
        """Sleep, unless the load is ended; raises Stopped then."""
        if self.stop.wait(seconds):
            raise Stopped

    def get(
        self,
        url: str,
        params: Mapping[str, Any] | None = None,
        *,
        to: Path | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """GET, the body as text or into the file `to`; `headers` are sent besides those of every request."""
        return self._send("GET", url, True, to, params=params, headers=headers)

    def get_file(self, url: str, part: Path) -> Reply:
        """GET a file into `part`, going on where it ends as long as the service has the same file; the checksum is not told."""
        return self._send("GET", url, True, part, resume=True)

    def delete(self, url: str) -> Reply:
        """DELETE."""
        return self._send("DELETE", url, True, None)

    def post(
        self,
        url: str,
        data: Mapping[str, Any],
        *,
        files: Mapping[str, Any] | None = None,
        repeatable: bool = False,
        follow: bool = True,
        to: Path | None = None,
    ) -> Reply:
        """POST a form; `repeatable` says that it only asks and may be sent twice."""
        return self._send("POST", url, repeatable, to, data=data, files=files, allow_redirects=follow)

    def _send(self, method: str, url: str, repeatable: bool, to: Path | None, **words: Any) -> Reply:
        for attempt in range(self.service.tries):
            last = attempt == self.service.tries - 1
            try:
                with self._host.turn(self.stop):
                    reply = self._once(method, url, to, **words)
            except requests.RequestException as error:
                if last or not repeatable:
                    raise self._unreachable(url, error) from error
                self.wait(_back_off(attempt))
                continue
            if reply.status not in _AGAIN or last or not (repeatable or reply.status in _NOT_DONE):
                return self._checked(reply)
            self.wait(self._patience(reply, attempt))
        raise AssertionError("a service has at least one try")

    def _once(self, method: str, url: str, to: Path | None, *, resume: bool = False, **words: Any) -> Reply:
        timeout = (_CONNECT_S, self.service.timeout_s)
        if resume and to is not None:
            words["headers"] = partial.wanted(to, url)
        query = (words.get("data") or words.get("params") or {}).get("QUERY", "")
        came: list[str] = []
        with (
            timed(f"{method} {url}  {query}", came),
            self._session().request(method, url, stream=True, timeout=timeout, **words) as answer,
        ):
            came.append(f"HTTP {answer.status_code}")
            if to is None or answer.status_code >= 400:
                body = b"".join(self._blocks(answer))
                digest = hashlib.sha256(body).hexdigest()
                return Reply(answer.url, answer.status_code, answer.headers, _text(answer, body), len(body), digest)
            append = resume and partial.goes_on(to, url, answer.status_code, answer.headers)
            size, digest = _save(self._blocks(answer), to, append=append)
            if resume:
                return Reply(answer.url, answer.status_code, answer.headers, "", to.stat().st_size, "")
            return Reply(answer.url, answer.status_code, answer.headers, "", size, digest)

    def _blocks(self, answer: requests.Response) -> Iterator[bytes]:
        """The body as it comes; raises TooMuch where it is still coming after the service's job_s."""
        deadline = time.monotonic() + self.service.job_s
        for block in answer.iter_content(_BLOCK):
            if self.stop.is_set():
                raise Stopped
            if time.monotonic() > deadline:
                raise TooMuch(
                    f"{self.service.title}: an answer did not end within {self.service.job_s:g} s ({answer.url}).",
                    "What was committed stays. A longer wait is `job_s` in skysy.toml.",
                )
            yield block

    def _session(self) -> requests.Session:
        """A session per thread: requests does not promise that one may be shared."""
        if not hasattr(self._local, "session"):
            session = requests.Session()
            session.headers["User-Agent"] = f"skysy/{__version__} (python-requests {requests.__version__})"
            self._local.session = session
        made: requests.Session = self._local.session
        return made

    def _checked(self, reply: Reply) -> Reply:
        if reply.status in (401, 403):
            raise ArchiveRefused(
                f"{self.service.title} refuses this address (HTTP {reply.status} at {reply.url}).",
                "Nothing more was asked of it. Wait some hours, ask the service, or lower `parallel` in skysy.toml.",
            )
        if reply.status == 413:
            raise TooMuch(f"{self.service.title} finds the request too large (HTTP 413 at {reply.url}).")
        if reply.status in _AGAIN:
            raise ArchiveUnreachable(
                f"{self.service.title} answers HTTP {reply.status} at {reply.url}, {self.service.tries} times.",
                "What was committed stays. Give the same command again later; `skysy doctor` tells when it is back.",
            )
        return reply

    def _unreachable(self, url: str, error: requests.RequestException) -> ArchiveUnreachable:
        words = {
            requests.exceptions.ReadTimeout: f"nothing came for {self.service.timeout_s:g} s",
            requests.exceptions.ConnectTimeout: f"no connection within {_CONNECT_S:g} s",
            requests.exceptions.ChunkedEncodingError: "the answer broke off",
        }
        why = next((text for kind, text in words.items() if isinstance(error, kind)), "the connection failed")
        if "timed out" in str(error) and isinstance(error, requests.exceptions.ConnectionError):
            why = words.get(type(error), words[requests.exceptions.ReadTimeout])
        return ArchiveUnreachable(
            f"{self.service.title}: {why} ({url}).",
            "What was committed stays. Give the same command again; `skysy doctor` tells which services answer.",
        )

    def _patience(self, reply: Reply, attempt: int) -> float:
        asked = retry_after(reply.headers)
        if asked is None:
            return _back_off(attempt)
        self._host.rest(min(asked, _LONGEST_RETRY_AFTER_S))
        if asked > _LONGEST_RETRY_AFTER_S:
            raise ArchiveUnreachable(
                f"{self.service.title} asks to wait {asked / 60:.0f} minutes (HTTP {reply.status}).",
                "What was committed stays. Give the same command again after that time.",
            )
        return asked


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that Retry-After asks for, given as seconds or as a date; None without one.

    A date is compared with the service's own clock (its Date header), so that a wrong clock here does no harm.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
        now = parsedate_to_datetime(headers["Date"]).timestamp() if "Date" in headers else time.time()
        return max(until.timestamp() - now, 0.0)
    except (TypeError, ValueError):
        return None


def _back_off(attempt: int) -> float:
    return random.uniform(0.0, min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**attempt))


def _text(answer: requests.Response, body: bytes) -> str:
    """A body as text: in the character set that its header names, else UTF-8, which XML and CSV are in."""
    named = "charset" in answer.headers.get("Content-Type", "").lower()
    try:
        return body.decode((named and answer.encoding) or "utf-8", errors="replace")
    except LookupError:
        return body.decode("utf-8", errors="replace")


def _save(blocks: Iterator[bytes], path: Path, *, append: bool = False) -> tuple[int, str]:
    """Stream a body to a file, or to its end, and make sure that the disk has it."""
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("ab" if append else "wb") as target:
            for block in blocks:
                digest.update(block)
                size += len(block)
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
    except requests.RequestException:
        raise
    except OSError as error:
        raise disk_trouble(error, path) from error
    return size, digest.hexdigest()


def disk_trouble(error: OSError, path: Path) -> WarehouseError:
    """The plain sentence for an answer that could not be written."""
    if error.errno in FULL:
        return WarehouseFull(
            f"The disk is full: an answer could not be written to {path.parent}.",
            "What was committed before stands. Make room, then give the same command again.",
        )
    return WarehouseError(
        f"An answer could not be written to {path.parent}: {error.strerror or error}.",
        "What was committed before stands. Mend it, then give the same command again.",
    )
