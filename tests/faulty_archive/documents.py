"""The documents of TAP 1.1, UWS 1.1 and VOSI 1.1, laid out as a real service (GAVO DaCHS 2.7) writes them."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

import pyarrow as pa
import pyarrow.compute as pc

from faulty_archive.catalogue import Answer, Held, adql_name, votable_type
from faulty_archive.messages import Reply
from skysy.columns import Column
from skysy.formats.text import text_of, write_csv
from skysy.formats.votable import write_votable

if TYPE_CHECKING:
    from faulty_archive.jobs import Job

_XML = "<?xml version='1.0' encoding='utf-8'?>\n"
_VOTABLE = '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
_UWS = (
    'version="1.1" xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
_FORMATS = {
    "votable": "", "application/x-votable+xml": "",
    "votable/td": "TABLEDATA", "application/x-votable+xml;serialization=tabledata": "TABLEDATA", "text/xml": "TABLEDATA",
    "votable/b2": "BINARY2", "application/x-votable+xml;serialization=binary2": "BINARY2",
    "votable/b": "BINARY", "application/x-votable+xml;serialization=binary": "BINARY",
    "csv": "CSV", "text/csv": "CSV", "text/csv;header=present": "CSV",
}  # fmt: skip
_MAGIC = {"short": -32768, "int": -2147483648, "long": -9223372036854775808, "unsignedByte": 255}


def serialization(wanted: str, default: str) -> str | None:
    """TABLEDATA, BINARY, BINARY2 or CSV for what RESPONSEFORMAT says; None for a format that there is not."""
    found = _FORMATS.get(wanted.lower().replace(" ", ""))
    return default if found == "" else found


def result(answer: Answer, form: str, *, magic_nulls: bool = False) -> Reply:
    """The rows as a document of that serialization.

    OVERFLOW and errors come behind the table, and in CSV not at all. With `magic_nulls`, integers in TABLEDATA that
    are not there are the number which VALUES names, and floats are NaN.
    """
    if form == "CSV":
        return Reply(200, "text/csv;header=present", _csv(answer))
    table, nulls = _with_magic(answer) if magic_nulls and form == "TABLEDATA" else (answer.table, {})
    out = io.BytesIO()
    write_votable(out, table, answer.columns, form, answer.name, "")
    head, rows, tail = out.getvalue().partition(b"<DATA>")
    head = head.replace(b'value="OK"/>', b'value="OK">Query successful</INFO>')
    for name, null in nulls.items():
        head = _with_values(head, name, null)
    if answer.overflow:
        tail = tail.replace(b"</TABLE>", b'</TABLE><INFO name="QUERY_STATUS" value="OVERFLOW"></INFO>')
    if answer.error:
        status = f'</TABLE><INFO name="QUERY_STATUS" value="ERROR">{escape(answer.error)}</INFO>'
        tail = tail.replace(b"</TABLE>", status.encode())
    kind = "application/x-votable+xml" + ("" if form == "BINARY" else f";serialization={form}")
    return Reply(200, kind, head + rows + tail)


def _csv(answer: Answer) -> bytes:
    table, columns = answer.table, answer.columns
    if answer.null_text:
        texts = [pa.chunked_array([text_of(chunk) for chunk in column.chunks], pa.string()) for column in table.columns]
        table = pa.table([pc.fill_null(text, answer.null_text) for text in texts], names=table.column_names)
        columns = tuple(Column(column.name, "VARCHAR") for column in columns)
    out = io.BytesIO()
    write_csv(out, table, columns, gzip=False)
    return out.getvalue()


def _with_magic(answer: Answer) -> tuple[pa.Table, dict[str, int]]:
    table, nulls = answer.table, {}
    for place, column in enumerate(answer.columns):
        array = table.column(place)
        if pa.types.is_integer(array.type):
            nulls[column.name] = _MAGIC[votable_type(column)[0]]
            array = pc.fill_null(array, nulls[column.name])
        elif pa.types.is_floating(array.type):
            array = pc.fill_null(array, float("nan"))
        table = table.set_column(place, column.name, array)
    return table, nulls


def _with_values(head: bytes, name: str, null: int) -> bytes:
    values = f'<VALUES null="{null}"></VALUES></FIELD>'.encode()
    field = re.compile(rb'(<FIELD name="' + re.escape(name.encode()) + rb'"[^>]*?)(/>|>(.*?)</FIELD>)')
    return field.sub(lambda found: found[1] + b">" + (found[3] or b"") + values, head)


def error(message: str, hint: str = "") -> str:
    """The VOTable that says why there are no rows (DALI 1.1, section 4.4)."""
    more = f'<INFO name="HINT" value="HINT">{escape(hint)}</INFO>' if hint else ""
    return (
        f'{_VOTABLE}<RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">{escape(message)}</INFO>'
        f"{more}</RESOURCE></VOTABLE>"
    )


def cone_error(message: str) -> str:
    """The VOTable of a cone search that failed (Simple Cone Search 1.03, section 2.3)."""
    return f'{_XML}{_VOTABLE}<RESOURCE><INFO ID="Error" name="Error" value={quoteattr(message)}></INFO></RESOURCE></VOTABLE>'


def page(title: str, words: str) -> str:
    """A page for people, where a document for programs was asked."""
    return (
        f"<!DOCTYPE html>\n<html><head><title>{escape(title)}</title></head>"
        f"<body><h1>{escape(title)}</h1><p>{escape(words)}</p></body></html>\n"
    )


def job_document(job: Job, phase: str, url: str) -> str:
    """A job; `phase` is what it is said to be."""
    results = f'<uws:result id="result" xlink:href={quoteattr(url + "/results/result")}/>' if job.started_at else ""
    summary = (
        f'<uws:errorSummary hasDetail="false" type="fatal"><uws:message>{escape(job.message)}</uws:message>'
        "</uws:errorSummary>"
        if job.message
        else ""
    )
    return (
        f"<uws:job {_UWS}><uws:jobId>{job.id}</uws:jobId>{_maybe('runId', job.parameters.get('RUNID'))}"
        f'<uws:ownerId xsi:nil="true"></uws:ownerId><uws:phase>{phase}</uws:phase>'
        f"{_time('quote', job.created_at)}{_time('creationTime', job.created_at)}{_time('startTime', job.started_at)}"
        f"{_time('endTime', job.ended_at)}<uws:executionDuration>{job.execution_s}</uws:executionDuration>"
        f"{_time('destruction', job.destruction)}{parameters(job)}<uws:results>{results}</uws:results>{summary}</uws:job>"
    )


def parameters(job: Job, namespaces: bool = False) -> str:
    """A job's parameters, names in small letters."""
    listed = "".join(
        f'<uws:parameter id="{name.lower()}">{escape(value)}</uws:parameter>' for name, value in job.parameters.items()
    )
    return f"<uws:parameters{' ' + _UWS if namespaces else ''}>{listed}</uws:parameters>"


def job_list(jobs: Iterable[tuple[Job, str, str]], *, with_run_ids: bool) -> str:
    """Jobs with their phases and URLs."""
    listed = "".join(
        f'<uws:jobref id="{job.id}" xlink:href={quoteattr(url)}><uws:phase>{phase}</uws:phase>'
        + (_maybe("runId", job.parameters.get("RUNID")) if with_run_ids else "")
        + f'<uws:ownerId xsi:nil="true"></uws:ownerId>{_time("creationTime", job.created_at)}</uws:jobref>'
        for job, phase, url in jobs
    )
    return f"<uws:jobs {_UWS}>{listed}</uws:jobs>"


def _maybe(name: str, text: str | None) -> str:
    return f"<uws:{name}>{escape(text)}</uws:{name}>" if text else ""


def _time(name: str, when: datetime | None) -> str:
    if when is None:
        return f'<uws:{name} xsi:nil="true"></uws:{name}>'
    return f"<uws:{name}>{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}</uws:{name}>"


def availability() -> str:
    """VOSI availability: up."""
    return (
        f'{_XML}<avl:availability xmlns:avl="http://www.ivoa.net/xml/VOSIAvailability/v1.0">'
        "<avl:available>true</avl:available></avl:availability>"
    )


def capabilities(
    url: str, *, default_rows: int, most_rows: int, uploads: bool, upload_rows: int | None, upload_bytes: int | None
) -> str:
    """VOSI capabilities with the limits of TAPRegExt 1.0."""
    taken = "".join(f'<uploadMethod ivo-id="ivo://ivoa.net/std/TAPRegExt#upload-{how}"/>' for how in ("inline",))
    limits = "".join(
        f'<hard unit="{unit}">{limit}</hard>'
        for unit, limit in (("row", upload_rows), ("byte", upload_bytes))
        if limit is not None
    )
    formats = "".join(
        f"<outputFormat><mime>{mime}</mime><alias>{alias}</alias></outputFormat>"
        for mime, alias in (
            ("application/x-votable+xml", "votable"), ("application/x-votable+xml;serialization=TABLEDATA", "votable/td"),
            ("application/x-votable+xml;serialization=BINARY2", "votable/b2"),
            ("application/x-votable+xml;serialization=BINARY", "votable/b"), ("text/csv;header=present", "csv"),
        )
    )  # fmt: skip
    vosi = "".join(
        f'<capability standardID="ivo://ivoa.net/std/VOSI#{name}"><interface role="std" xsi:type="vs:ParamHTTP">'
        f'<accessURL use="full">{url}/{name}</accessURL></interface></capability>'
        for name in ("availability", "capabilities", "tables")
    )
    return (
        f'{_XML}<cap:capabilities xmlns:cap="http://www.ivoa.net/xml/VOSICapabilities/v1.0" '
        'xmlns:tr="http://www.ivoa.net/xml/TAPRegExt/v1.0" xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        '<capability standardID="ivo://ivoa.net/std/TAP" xsi:type="tr:TableAccess">'
        '<interface role="std" version="1.1" xsi:type="vs:ParamHTTP">'
        f'<accessURL use="full">{url}</accessURL></interface>'
        '<language><name>ADQL</name><version ivo-id="ivo://ivoa.net/std/ADQL#v2.0">2.0</version></language>'
        f"{formats}{taken if uploads else ''}"
        "<retentionPeriod><default>172800</default></retentionPeriod>"
        "<executionDuration><default>3600</default></executionDuration>"
        f'<outputLimit><default unit="row">{default_rows}</default><hard unit="row">{most_rows}</hard></outputLimit>'
        f"{f'<uploadLimit>{limits}</uploadLimit>' if uploads and limits else ''}</capability>{vosi}</cap:capabilities>"
    )


def tableset(tables: Sequence[Held]) -> str:
    """VOSI tables: names, units, UCDs, types and which columns are indexed."""
    schemas: dict[str, list[str]] = {}
    for held in tables:
        columns = "".join(
            f"<column><name>{escape(adql_name(column.name))}</name>"
            f"<description>{escape(column.description)}</description>"
            + (f"<unit>{escape(column.unit)}</unit>" if column.unit else "")
            + (f"<ucd>{escape(column.ucd)}</ucd>" if column.ucd else "")
            + _data_type(column)
            + ("<flag>indexed</flag>" if held.indexed(column) else "")
            + "</column>"
            for column in held.columns
        )
        schemas.setdefault(held.name.rpartition(".")[0] or "public", []).append(
            f"<table><name>{held.name}</name><description>{escape(held.description)}</description>{columns}</table>"
        )
    listed = "".join(f"<schema><name>{name}</name>{''.join(body)}</schema>" for name, body in schemas.items())
    return (
        f'{_XML}<vtm:tableset xmlns:vtm="http://www.ivoa.net/xml/VOSITables/v1.0" '
        'xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1" '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">{listed}</vtm:tableset>'
    )


def _data_type(column: Column) -> str:
    datatype, size = votable_type(column)
    array = f' arraysize="{size}"' if size else ""
    return f'<dataType{array} xsi:type="vs:VOTableType">{datatype}</dataType>'
