"""Asynchronous jobs (IVOA Universal Worker Service 1.1): created once, found again, waited for with a bound.

The caller saves a job's URL before it is waited for, so that a load that dies here goes on with the same job.
"""

from __future__ import annotations

import re
import time
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from skysy.loaders.archive.wire import Reply, Wire

from skysy.errors import ArchiveError, ArchiveUnreachable, QueryFailed, TooMuch

GONE = "GONE"
"""The phase of a job that the service knows no more; no phase of the standard."""

_WAITING = {"PENDING", "QUEUED", "EXECUTING", "SUSPENDED", "UNKNOWN"}
_NOT_BEGUN = {"PENDING", "QUEUED", "HELD"}
_TOO_LONG = re.compile(r"time[ds]?[ -]?out|too long|time limit|execution ?duration|canceling statement", re.IGNORECASE)
_FIRST_POLL_S = 0.2
_GARBLED = 5
"""Answers in a row that are no job's document, before a service is taken to be away."""


class StillRunning(QueryFailed):
    """A job has not ended within the time that is given it; it is not given up."""


@dataclass(frozen=True)
class Job:
    """A job as the service tells of it: `phase` of UWS or GONE, `message` of a failure, `result_url` where done."""

    url: str
    phase: str
    message: str = ""
    result_url: str = ""
    run_id: str = ""
    told: bool = True


class Jobs:
    """The jobs of one TAP service."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._base = f"{wire.service.url}/async"

    def create(self, parameters: Mapping[str, Any], run_id: str, upload: Mapping[str, Any] | None = None) -> str:
        """The URL of a new job, not yet running.

        `run_id`, and a word of chance so that it is nobody else's, marks it. Where the answer to the creating POST is lost, the job is looked for by that mark and made
        again only if it is not there, so that no query runs twice.
        """
        run_id = f"{run_id}-{uuid.uuid4().hex[:12]}"
        for attempt in range(self._wire.service.tries):
            try:
                reply = self._wire.post(self._base, {**parameters, "RUNID": run_id}, files=upload, follow=False)
                return self._location(reply)
            except ArchiveUnreachable:
                if found := self.find(run_id):
                    return found
                if attempt == self._wire.service.tries - 1:
                    raise
                self._wire.wait(min(2.0**attempt, 30.0))
        raise AssertionError("a service has at least one try")

    def find(self, run_id: str) -> str | None:
        """The URL of the job with that mark, or None, also where the service lists no jobs."""
        try:
            reply = self._wire.get(self._base)
        except ArchiveError:
            return None
        if reply.status != 200:
            return None
        for reference in _elements(reply.text, "jobref"):
            if any(_name(child) == "runId" and (child.text or "").strip() == run_id for child in reference):
                link = next((value for key, value in reference.attrib.items() if key.endswith("href")), "")
                if not link:
                    link = f"{self._base}/{reference.attrib.get('id', '')}"
                return urljoin(f"{self._base}/", link)
        return None

    def look(self, url: str) -> Job:
        """The job as it is now."""
        reply = self._wire.get(url)
        if reply.status in (404, 410):
            return Job(url, GONE)
        return _job(url, reply)

    def finish(self, url: str) -> Job:
        """The job once it is COMPLETED, started if it is not yet running.

        Raises QueryFailed where it ends otherwise, StillRunning where it lasts longer than the service's job_s, TooMuch
        where the service says that it took too long. A job that is GONE is returned as that; so is one that had
        not begun in all that time, which is deleted: a service that was started anew may have forgotten its queue.
        """
        deadline = time.monotonic() + self._wire.service.job_s
        pause = _FIRST_POLL_S
        started: set[str] = set()
        garbled = 0
        while True:
            job = self.look(url)
            garbled = garbled + 1 if not job.told else 0
            if job.phase in ("COMPLETED", GONE):
                return job
            if job.phase in ("PENDING", "HELD") and job.phase not in started:
                self._run(job)
                started.add(job.phase)
            elif job.phase not in _WAITING and not (job.phase == "HELD" and job.phase in started):
                raise self._failed(job)
            if garbled >= _GARBLED:
                raise ArchiveUnreachable(
                    f"{self._wire.service.title} says nothing of the job {url}: what comes is no job's document.",
                    "The job is kept. Give the same command again later; it looks at it again.",
                )
            if time.monotonic() > deadline:
                if job.phase in _NOT_BEGUN and self.delete(url):
                    return Job(url, GONE)
                raise StillRunning(
                    f"{self._wire.service.title}: the job {url} is still {job.phase} after {self._wire.service.job_s:g} s.",
                    "It is kept: the same command looks at it again. A longer wait is `job_s` in skysy.toml.",
                )
            self._wire.wait(pause)
            pause = min(pause * 1.5, self._wire.service.poll_s)

    def _run(self, job: Job) -> None:
        reply = self._wire.post(f"{job.url}/phase", {"PHASE": "RUN"}, repeatable=True)
        if reply.status >= 400 and self.look(job.url).phase == job.phase:
            words = plain_words(reply.text) or f"HTTP {reply.status}"
            raise QueryFailed(f"{self._wire.service.title} does not run the job {job.url}: {words}")

    def fetch(self, job: Job, to: Path) -> Reply:
        """The result of a completed job into a file; raises QueryFailed where there is none."""
        reply = self._wire.get(job.result_url or f"{job.url}/results/result", to=to)
        if reply.status >= 400:
            raise QueryFailed(f"{self._wire.service.title}: the result of {job.url} is gone (HTTP {reply.status}).")
        return reply

    def delete(self, url: str) -> bool:
        """Whether the job is gone now; a failure is no error, it is tried again at another time."""
        try:
            return self._wire.delete(url).status < 400 or self.look(url).phase == GONE
        except ArchiveError:
            return False

    def _location(self, reply: Reply) -> str:
        location = reply.headers.get("Location", "")
        if reply.status in (301, 302, 303) and location:
            return urljoin(reply.url, location)
        words = plain_words(reply.text) or f"HTTP {reply.status}"
        raise QueryFailed(f"{self._wire.service.title} takes no job: {words}.")

    def _failed(self, job: Job) -> ArchiveError:
        words = job.message
        if not words and job.phase == "ERROR":
            reply = self._wire.get(f"{job.url}/error")
            words = plain_words(reply.text) if reply.status == 200 else ""
        text = f"{self._wire.service.title}: the job {job.url} ended as {job.phase}: {(words or 'no reason given').rstrip('.')}."
        if _TOO_LONG.search(words) or job.phase == "ABORTED":
            return TooMuch(text)
        return QueryFailed(text, "Nothing of it was kept; the same command asks again.")


def too_long(words: str) -> bool:
    """Whether a service's message says that the query took longer than it allows."""
    return bool(_TOO_LONG.search(words))


def _job(url: str, reply: Reply) -> Job:
    try:
        root = ET.fromstring(reply.text)
    except ET.ParseError:
        return Job(url, "UNKNOWN", told=False)
    if _name(root) != "job":
        return Job(url, "UNKNOWN", told=False)
    texts = {_name(node): (node.text or "").strip() for node in root.iter()}
    links = [
        value
        for node in root.iter()
        if _name(node) == "result"
        for key, value in node.attrib.items()
        if key.endswith("href")
    ]
    result = urljoin(f"{url}/", links[0]) if links else ""
    phase = texts.get("phase", "").upper()
    return Job(url, phase or "UNKNOWN", texts.get("message", ""), result, texts.get("runId", ""))


def plain_words(text: str) -> str:
    """What a page or an error document says, without its markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())[:400]


def _elements(text: str, name: str) -> list[ET.Element]:
    try:
        return [node for node in ET.fromstring(text).iter() if _name(node) == name]
    except ET.ParseError:
        return []


def _name(node: ET.Element) -> str:
    return node.tag.rsplit("}", 1)[-1]
