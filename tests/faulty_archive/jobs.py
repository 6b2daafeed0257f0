"""Asynchronous jobs (IVOA Universal Worker Service 1.1): their states, and threads that run them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from faulty_archive.catalogue import Answer
from faulty_archive.faults import TIMED_OUT

ENDED = frozenset({"COMPLETED", "ERROR", "ABORTED", "ARCHIVED", "HELD"})
"""Phases which a job does not leave by itself."""

_KEPT = timedelta(days=2)
_EXECUTION_S = 3600
_LONGEST_WAIT_S = 60.0


@dataclass
class Job:
    """One job; `answer` is there once it is COMPLETED, `message` where it failed."""

    id: str
    parameters: dict[str, str]
    files: dict[str, bytes] = field(default_factory=dict)
    phase: str = "PENDING"
    message: str = ""
    answer: Answer | None = None
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_at: datetime | None = None
    ended_at: datetime | None = None
    execution_s: int = _EXECUTION_S
    destruction: datetime = field(default_factory=lambda: datetime.now(UTC) + _KEPT)

    @property
    def query(self) -> str:
        """The ADQL that it runs."""
        return self.parameters.get("QUERY", "")


class Jobs:
    """The jobs of one service, in the order of their making."""

    def __init__(self, run: Callable[[Job], Answer], job_s: float) -> None:
        self._run, self._job_s = run, job_s
        self._change = threading.Condition()
        self._jobs: dict[str, Job] = {}
        self._made = 0
        self._closed = False

    def close(self) -> None:
        """End every wait."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def all(self) -> list[Job]:
        """The jobs that are not yet destroyed."""
        with self._change:
            now = datetime.now(UTC)
            self._jobs = {key: job for key, job in self._jobs.items() if job.destruction > now}
            return list(self._jobs.values())

    def find(self, key: str) -> Job | None:
        """The job of that id."""
        return next((job for job in self.all() if job.id == key), None)

    def create(self, parameters: Mapping[str, str], files: Mapping[str, bytes]) -> Job:
        """A new job, PENDING."""
        with self._change:
            self._made += 1
            job = Job(f"job{self._made:04d}", dict(parameters), dict(files))
            self._jobs[job.id] = job
            return job

    def destroy(self, job: Job) -> None:
        """The job is no more."""
        with self._change:
            self._jobs.pop(job.id, None)
            job.phase = "ABORTED" if job.phase not in ENDED else job.phase
            self._change.notify_all()

    def put(self, job: Job, phase: str, message: str = "") -> None:
        """The job is in that phase now."""
        with self._change:
            job.phase, job.message = phase, message
            job.started_at = job.started_at or datetime.now(UTC)
            if phase in ENDED:
                job.ended_at = datetime.now(UTC)
            self._change.notify_all()

    def start(self, job: Job) -> None:
        """Run a job that is PENDING or HELD; others are left alone."""
        with self._change:
            if job.phase not in ("PENDING", "HELD"):
                return
            job.phase = "QUEUED"
        threading.Thread(target=self._execute, args=(job,), daemon=True).start()

    def abort(self, job: Job) -> None:
        """End a job that has not ended."""
        if job.phase not in ENDED:
            self.put(job, "ABORTED")

    def wait(self, job: Job, seconds: float, phase: str | None) -> None:
        """Return when the job has left `phase` (its present one by default) or the seconds are over."""
        until = time.monotonic() + (_LONGEST_WAIT_S if seconds < 0 else min(seconds, _LONGEST_WAIT_S))
        with self._change:
            left = phase or job.phase
            while job.phase == left and job.phase not in ENDED and not self._closed:
                if not self._change.wait(max(until - time.monotonic(), 0)):
                    return

    def _execute(self, job: Job) -> None:
        with self._change:
            if job.phase != "QUEUED":
                return
            job.phase, job.started_at = "EXECUTING", datetime.now(UTC)
            self._change.notify_all()
        too_long = self._job_s > job.execution_s
        self._work(job, min(self._job_s, job.execution_s))
        answer, message = None, TIMED_OUT if too_long else ""
        try:
            if not too_long:
                answer = self._run(job)
        except Exception as error:
            message = str(error) or repr(error)
        with self._change:
            if job.phase == "EXECUTING":
                job.answer, job.message = answer, message
                job.phase, job.ended_at = "ERROR" if message else "COMPLETED", datetime.now(UTC)
                self._change.notify_all()

    def _work(self, job: Job, seconds: float) -> None:
        until = time.monotonic() + seconds
        with self._change:
            while job.phase == "EXECUTING" and not self._closed and time.monotonic() < until:
                self._change.wait(until - time.monotonic())
