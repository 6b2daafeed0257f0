"""A TAP 1.1 service over a catalogue: queries at once and as jobs, VOSI."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from faulty_archive import documents, uploads
from faulty_archive.adql import QueryError
from faulty_archive.catalogue import Answer, Catalogue
from faulty_archive.faults import NO_UPLOADS, Fault, instead
from faulty_archive.jobs import Job, Jobs
from faulty_archive.messages import Reply, Request, xml
from faulty_archive.spoil import spoiled


@dataclass(frozen=True)
class Manner:
    """How a service behaves when nothing is wrong with it; see FaultyArchive for the words."""

    uploads: bool = True
    upload_rows: int | None = None
    upload_bytes: int | None = None
    default_rows: int | None = None
    most_rows: int = 1_000_000
    serialization: str = "TABLEDATA"
    magic_nulls: bool = False
    block_comments: bool = False
    job_s: float = 0.0
    runs_on_create: bool = False


class Tap:
    """One service under /`name`, its jobs under /`name`-jobs/async; `uws` is how the jobs' operations begin."""

    def __init__(self, catalogue: Catalogue, manner: Manner, name: str, uws: str) -> None:
        self.catalogue, self.manner, self.name, self.uws = catalogue, manner, name, uws
        self.prefix, self.jobs_at = f"/{name}", f"/{name}-jobs/async"
        self.base = ""
        self.jobs = Jobs(self._run_job, manner.job_s)
        self._job_faults: dict[str, list[Fault]] = {}

    def owns(self, path: str) -> bool:
        """Whether a path is this service's."""
        return path == self.prefix or path.startswith((f"{self.prefix}/", self.jobs_at))

    def name_operation(self, request: Request) -> None:
        """Fill in what the request asks for, and the query that it is about."""
        what, job, part = self._place(request.path)
        request.query = job.query if job else request.parameters.get("QUERY", "")
        if what != "async":
            request.operation = f"{self.name}.{what}"
            return
        posts = request.method == "POST"
        if not part:
            request.operation = f"{self.uws}.{'create' if posts else 'list'}"
        elif request.method == "DELETE" or request.parameters.get("ACTION", "").upper() == "DELETE":
            request.operation = f"{self.uws}.delete"
        elif part[1:] == ["phase"] and posts:
            request.operation = f"{self.uws}.phase"
        elif part[1:] in ([], ["phase"]):
            request.operation = f"{self.uws}.job"
        elif part[1:] == ["results", "result"]:
            request.operation = f"{self.uws}.result"
        else:
            request.operation = f"{self.uws}.{part[1]}"

    def answer(self, request: Request, faults: Sequence[Fault]) -> Reply:
        """What the service says."""
        what, job, part = self._place(request.path)
        if what == "async":
            if not part:
                return self._create(request, faults) if request.method == "POST" else self._list(request, faults)
            if job is None:
                return xml(documents.error(f"UWS job '{part[0]}' could not be located in jobs table"), 404)
            return self._job(job, part[1:], request, faults)
        if what == "sync":
            return self._sync(request, faults)
        if what == "availability":
            return xml(documents.availability())
        if what == "tables":
            return xml(documents.tableset(list(self.catalogue.tables.values())))
        if what == "capabilities":
            manner = self.manner
            return xml(
                documents.capabilities(
                    f"{self.base}{self.prefix}", default_rows=manner.default_rows or manner.most_rows,
                    most_rows=manner.most_rows, uploads=manner.uploads, upload_rows=manner.upload_rows,
                    upload_bytes=manner.upload_bytes,
                )
            )  # fmt: skip
        return Reply(404, "text/html", documents.page("Not Found", "No matching RD").encode())

    def _place(self, path: str) -> tuple[str, Job | None, list[str]]:
        """(sync, async, capabilities, ...; the job, if one is named; the words behind async)."""
        for base in (self.jobs_at, f"{self.prefix}/async"):
            if path == base or path.startswith(f"{base}/"):
                part = [word for word in path.removeprefix(base).split("/") if word]
                return "async", self.jobs.find(part[0]) if part else None, part
        return path.removeprefix(self.prefix).strip("/") or "root", None, []

    def _sync(self, request: Request, faults: Sequence[Fault]) -> Reply:
        try:
            form = self._form(request.parameters)
            self._check_upload(request.parameters)
            if self._too_large(request.uploads):
                return self._refused_size()
            answer = self._run(request.parameters, request.uploads, faults)
        except QueryError as error:
            return xml(documents.error(str(error)))
        return documents.result(spoiled(answer, faults), form, magic_nulls=self.manner.magic_nulls)

    def _create(self, request: Request, faults: Sequence[Fault]) -> Reply:
        try:
            self._check_upload(request.parameters)
        except QueryError as error:
            return xml(documents.error(str(error)))
        if self._too_large(request.uploads):
            return self._refused_size()
        words = {name: value for name, value in request.parameters.items() if name != "PHASE"}
        job = self.jobs.create(words, request.uploads)
        self._job_faults[job.id] = _of_queries(faults)
        if self.manner.runs_on_create and request.parameters.get("PHASE") == "RUN":
            self.jobs.start(job)
        return self._see(self._url(job))

    def _list(self, request: Request, faults: Sequence[Fault]) -> Reply:
        jobs = self.jobs.all()
        words = request.parameters
        if phases := words.get("PHASE", ""):
            jobs = [job for job in jobs if job.phase in phases.split(",")]
        else:
            jobs = [job for job in jobs if job.phase != "ARCHIVED"]
        if "RUNID" in words:
            jobs = [job for job in jobs if job.parameters.get("RUNID") == words["RUNID"]]
        if "AFTER" in words:
            jobs = [job for job in jobs if job.created_at > _time(words["AFTER"])]
        if "LAST" in words:
            jobs = jobs[::-1][: int(words["LAST"])]
        anonymous = any(fault.kind == "anonymous_jobs" for fault in faults)
        listed = [(job, job.phase, self._url(job)) for job in jobs]
        return xml(documents.job_list(listed, with_run_ids=not anonymous))

    def _job(self, job: Job, part: list[str], request: Request, faults: Sequence[Fault]) -> Reply:
        if any(fault.kind == "job_destroyed" for fault in faults):
            self.jobs.destroy(job)
            return xml(documents.error(f"UWS job '{job.id}' could not be located in jobs table"), 404)
        operation = request.operation.rsplit(".", 1)[-1]
        if operation == "delete":
            self.jobs.destroy(job)
            return self._see(f"{self.base}{self.jobs_at}")
        if operation == "phase":
            return self._change_phase(job, request, faults)
        if operation == "job":
            if "WAIT" in request.parameters:
                self.jobs.wait(job, float(request.parameters["WAIT"]), request.parameters.get("PHASE"))
            phase = self._said(job, faults)
            if part:
                return Reply(200, "text/plain", phase.encode())
            return xml(documents.job_document(job, phase, self._url(job)))
        if operation == "result":
            return self._result(job, faults)
        if operation == "error":
            return xml(documents.error(job.message)) if job.message else Reply(200, "text/plain", b"")
        if operation == "results":
            document = documents.job_document(job, job.phase, self._url(job))
            return xml(re.sub(r".*(<uws:results>.*</uws:results>).*", r"\1", document, flags=re.DOTALL))
        if request.method == "POST":
            self._set(job, request)
            return self._see(self._url(job))
        return self._told(job, operation)

    def _change_phase(self, job: Job, request: Request, faults: Sequence[Fault]) -> Reply:
        wanted = request.parameters.get("PHASE", "").upper()
        if forced := next((fault for fault in faults if fault.kind == "phase"), None):
            self.jobs.put(job, forced.details["phase"], forced.details["message"])
        elif wanted == "RUN":
            self._job_faults[job.id] += _of_queries(faults)
            self.jobs.start(job)
        elif wanted == "ABORT":
            self.jobs.abort(job)
        else:
            return xml(documents.error(f"Field phase: '{wanted}' is not a valid value for phase"), 400)
        return self._see(self._url(job))

    def _said(self, job: Job, faults: Sequence[Fault]) -> str:
        """The phase that is reported; HELD, ABORTED, ARCHIVED and ERROR are then the job's own, too."""
        for fault in faults:
            if fault.kind == "phase":
                phase = str(fault.details["phase"])
                if phase in ("HELD", "ABORTED", "ARCHIVED", "ERROR"):
                    self.jobs.put(job, phase, fault.details["message"])
                return phase
        return job.phase

    def _result(self, job: Job, faults: Sequence[Fault]) -> Reply:
        """A result that is not there is a success of another kind, as the real service has it."""
        if job.phase == "ERROR":
            return xml(documents.error(job.message))
        if job.phase in ("ABORTED", "ARCHIVED", "HELD"):
            return Reply(200, "application/x-votable+xml", b"", "length")
        if job.answer is None:
            return Reply(200, "text/plain", b"File not found")
        form = self._form(job.parameters)
        reply = documents.result(spoiled(job.answer, faults), form, magic_nulls=self.manner.magic_nulls)
        reply.transfer = "length"
        return reply

    def _set(self, job: Job, request: Request) -> None:
        for name, value in request.parameters.items():
            if name == "EXECUTIONDURATION":
                job.execution_s = int(value)
            elif name == "DESTRUCTION":
                job.destruction = _time(value)
            elif name != "ACTION":
                job.parameters[name] = value
        job.files.update(request.uploads)

    def _told(self, job: Job, what: str) -> Reply:
        if what == "parameters":
            return xml(documents.parameters(job, namespaces=True))
        texts = {
            "executionduration": str(job.execution_s), "destruction": f"{job.destruction:%Y-%m-%dT%H:%M:%SZ}",
            "quote": f"{job.created_at:%Y-%m-%dT%H:%M:%SZ}", "owner": "",
        }  # fmt: skip
        if what not in texts:
            return xml(documents.error(f"Job has no resource {what}"), 404)
        return Reply(200, "text/plain", texts[what].encode())

    def _run_job(self, job: Job) -> Answer:
        self._form(job.parameters)
        return self._run(job.parameters, job.files, self._job_faults[job.id])

    def _run(self, words: Mapping[str, str], files: Mapping[str, bytes], faults: Sequence[Fault]) -> Answer:
        language = words.get("LANG", "ADQL").split("-")[0].upper()
        if language != "ADQL":
            raise QueryError(f"This service does not support the query language {words['LANG']}")
        if not words.get("QUERY", "").strip():
            raise QueryError("Field query: Required parameter 'query' missing.")
        most = words.get("MAXREC", "").strip() or str(self.manner.default_rows or self.manner.most_rows)
        if not most.isdigit():
            raise QueryError(f"Field maxrec: '{most}' is not a valid value for maxrec")
        given = uploads.tables(words.get("UPLOAD", ""), files)
        if any(fault.kind == "empty_upload" for fault in faults):
            given = {name: table.slice(0, 0) for name, table in given.items()}
        answer = self.catalogue.answer(
            words["QUERY"], given, min(int(most), self.manner.most_rows),
            block_comments=self.manner.block_comments,
        )  # fmt: skip
        for fault in faults:
            if fault.kind == "timeout" and answer.table.num_rows > fault.details["rows_over"]:
                raise QueryError(fault.details["message"])
        return answer

    def _form(self, words: Mapping[str, str]) -> str:
        wanted = words.get("RESPONSEFORMAT") or words.get("FORMAT") or "votable"
        form = documents.serialization(wanted, self.manner.serialization)
        if form is None:
            raise QueryError(f"Field responseformat: '{wanted}' is not a valid value for responseformat")
        return form

    def _check_upload(self, words: Mapping[str, str]) -> None:
        if "UPLOAD" in words and not self.manner.uploads:
            raise QueryError(NO_UPLOADS)

    def _too_large(self, files: Mapping[str, bytes]) -> bool:
        manner = self.manner
        if manner.upload_bytes is not None and any(len(content) > manner.upload_bytes for content in files.values()):
            return True
        return manner.upload_rows is not None and any(
            uploads.table(name, content).num_rows > manner.upload_rows for name, content in files.items()
        )

    def _refused_size(self) -> Reply:
        return instead(Fault("upload_too_large", "", None, 0, None, {}), datetime.now(UTC))

    def _url(self, job: Job) -> str:
        return f"{self.base}{self.jobs_at}/{job.id}"

    def _see(self, url: str) -> Reply:
        return Reply(303, "text/html", documents.page("See Other (303)", url).encode(), headers={"Location": url})


def _of_queries(faults: Sequence[Fault]) -> list[Fault]:
    return [fault for fault in faults if fault.stage == "query"]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "")).replace(tzinfo=UTC)
