"""The archive that the tests ask is itself to be trusted: healthy as a real one, faulty only where it is told to be."""

from __future__ import annotations

import csv
import io
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests
from conftest import DR2, SHARED, detection, exposures, fill, red_giant, together
from faulty_archive import ALWAYS, FaultyArchive
from faulty_archive.faults import KINDS

from skysy.config import Settings
from skysy.store import create, open_warehouse

SAMPLES = SHARED / "tap-peer" / "samples"
UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
HREF = "{http://www.w3.org/1999/xlink}href"
IDS = [10**18 + 1 + step for step in range(0, 60, 10)]
IMAGES = exposures(20150725103701, "uvguvg", 57000.0)
POSITIONS = {key: (10.0 * place, -30.0) for place, key in enumerate(IDS)}
TABLES = together(
    *(red_giant(key, raj2000=ra, dej2000=dec) for key, (ra, dec) in POSITIONS.items()),
    red_giant(7, raj2000=359.9999, dej2000=-30.0, twomass_key=None, prox=None),
    {"dr2.images": IMAGES},
    {
        "dr2.photometry": [
            detection(key, image, 15.25, 0.01, ra_img=POSITIONS[key][0], decl_img=-30.0, used_in_clip=used)
            for key in IDS
            for image, used in zip(IMAGES, (True, False, None, True, True, True), strict=True)
        ]
    },
)
SIMBAD = [
    {"main_id": "V* near", "ra": 10.0, "dec": -30.0 + 0.5 / 3600, "otype": "Sy*"},
    {"main_id": "farther", "ra": 10.0, "dec": -30.0 + 1.5 / 3600, "otype": "*"},
]
IDS_QUERY = "SELECT object_id FROM dr2.master ORDER BY object_id"


@pytest.fixture(scope="module")
def standing() -> Iterator[FaultyArchive]:
    """One archive for the module."""
    with FaultyArchive(TABLES, simbad=SIMBAD) as archive:
        yield archive


@pytest.fixture
def archive(standing: FaultyArchive) -> FaultyArchive:
    """That archive, healthy, its log empty."""
    standing.heal()
    standing.forget()
    return standing


def ask(archive: FaultyArchive, query: str, form: str = "csv", **words: Any) -> requests.Response:
    """A query at once."""
    parameters = {"LANG": "ADQL", "QUERY": query, "RESPONSEFORMAT": form, **words}
    return requests.post(f"{archive.tap_url}/sync", data=parameters, timeout=10)


def table(reply: requests.Response) -> list[dict[str, str]]:
    """The rows of a CSV document."""
    return list(csv.DictReader(io.StringIO(reply.text)))


def ids(reply: requests.Response) -> list[int]:
    """Its object_id column."""
    return [int(row["object_id"]) for row in table(reply)]


def statuses(document: str) -> list[tuple[str, str]]:
    """Each QUERY_STATUS of a VOTable, with its words."""
    return [
        (info.attrib["value"], info.text or "")
        for info in ET.fromstring(document).iter()
        if info.tag.endswith("INFO") and info.attrib.get("name") == "QUERY_STATUS"
    ]


def submit(archive: FaultyArchive, query: str = IDS_QUERY, **words: Any) -> str:
    """The URL of a new job."""
    parameters = {"LANG": "ADQL", "QUERY": query, "RESPONSEFORMAT": "csv", **words}
    reply = requests.post(f"{archive.tap_url}/async", data=parameters, allow_redirects=False, timeout=10)
    assert reply.status_code == 303
    return reply.headers["Location"]


def run(archive: FaultyArchive, query: str = IDS_QUERY, **words: Any) -> str:
    """The URL of a job that has ended."""
    url = submit(archive, query, **words)
    requests.post(f"{url}/phase", data={"PHASE": "RUN"}, timeout=10)
    while requests.get(f"{url}/phase", params={"WAIT": "5"}, timeout=10).text in ("QUEUED", "EXECUTING"):
        time.sleep(0.001)
    return url


def phase(url: str) -> str:
    """A job's phase."""
    return requests.get(f"{url}/phase", timeout=10).text


# --- healthy ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "votable",
        "votable/b",
        "votable/b2",
        "application/x-votable+xml;serialization=BINARY2",
        "application/x-votable+xml;serialization=TABLEDATA",
    ],
)
def test_pyvo_reads_rows_units_and_nulls_in_every_serialization(archive: FaultyArchive, form: str) -> None:
    pyvo = pytest.importorskip("pyvo")
    found = pyvo.dal.TAPService(archive.tap_url).run_sync(
        "SELECT object_id, raj2000, twomass_key FROM dr2.master ORDER BY object_id", RESPONSEFORMAT=form
    )
    rows = found.to_table()
    assert rows["object_id"].tolist() == [7, *IDS]
    assert rows["raj2000"].unit == "deg"
    assert rows["twomass_key"].mask.tolist() == [True] + [False] * len(IDS)
    assert found.query_status == "OK"


def test_pyvo_runs_a_job_and_takes_it_away(archive: FaultyArchive) -> None:
    pyvo = pytest.importorskip("pyvo")
    job = pyvo.dal.TAPService(archive.tap_url).submit_job(IDS_QUERY, runid="mine")
    assert job.url.startswith(f"{archive.url}/tap-jobs/async/")
    assert job.phase == "PENDING"
    job.run().wait()
    assert job.phase == "COMPLETED"
    assert job.job.runid == "mine"
    assert job.fetch_result().to_table()["object_id"].tolist() == [7, *IDS]
    url = job.url
    job.delete()
    assert requests.get(url, timeout=10).status_code == 404
    assert [request.operation for request in archive.requests][-2:] == ["uws.delete", "uws.job"]


@pytest.mark.parametrize("how", ["run_sync", "run_async"])
def test_an_uploaded_table_is_joined_with_every_digit(archive: FaultyArchive, how: str) -> None:
    pyvo = pytest.importorskip("pyvo")
    from astropy.table import Table

    service = pyvo.dal.TAPService(archive.tap_url)
    query = "SELECT m.object_id FROM TAP_UPLOAD.ids AS i JOIN dr2.master AS m ON m.object_id = i.object_id"
    found = getattr(service, how)(query, uploads={"ids": Table({"object_id": [IDS[0], IDS[3], 11]})})
    assert sorted(found.to_table()["object_id"].tolist()) == [IDS[0], IDS[3]]


def test_vosi_tells_limits_formats_units_and_indexes(archive: FaultyArchive) -> None:
    pyvo = pytest.importorskip("pyvo")
    with FaultyArchive(TABLES, default_rows=100, most_rows=500, upload_rows=50) as limited:
        service = pyvo.dal.TAPService(limited.tap_url)
        assert (service.maxrec, service.hardlimit, len(service.upload_methods)) == (100, 500, 1)
        capability = service.get_tap_capability()
        assert {form.mime for form in capability.outputformats} >= {"text/csv;header=present"}
        assert capability.uploadlimit.hard.content == 50
    held = pyvo.dal.TAPService(archive.tap_url).tables
    columns = {column.name: column for column in held["dr2.master"].columns}
    assert (columns["raj2000"].unit, columns["raj2000"].ucd) == ("deg", "pos.eq.ra;meta.main")
    assert "indexed" in columns["object_id"].flags
    assert "indexed" not in columns["u_psf"].flags
    assert '"date"' in {column.name for column in held["dr2.images"].columns}
    assert "<avl:available>true<" in requests.get(f"{archive.tap_url}/availability", timeout=10).text


def test_tap_schema_lists_what_vosi_lists(archive: FaultyArchive) -> None:
    rows = table(
        ask(archive, 'SELECT column_name, datatype, unit, "indexed" FROM TAP_SCHEMA.columns '
                     "WHERE table_name = 'dr2.images' ORDER BY column_index")
    )  # fmt: skip
    assert rows[0] == {"column_name": "image_id", "datatype": "long", "unit": "", "indexed": "1"}
    tree = ET.fromstring(requests.get(f"{archive.tap_url}/tables", timeout=10).content)
    images = next(node for node in tree.iter("table") if node.findtext("name") == "dr2.images")
    assert [row["column_name"] for row in rows] == [column.findtext("name") for column in images.iter("column")]


ERRORS = {
    "error-nocolumn": ("SELECT nosuch FROM dr2.master", {}),
    "error-notable": ("SELECT * FROM dr2.nosuch", {}),
    "error-syntax": ("SELEC x", {}),
    "error-syntax-csv": ("SELEC x", {"RESPONSEFORMAT": "csv"}),
    "error-lang": ("SELECT 1", {"LANG": "NOSUCH"}),
    "error-noquery": ("", {}),
    "error-format": ("SELECT object_id FROM dr2.master", {"RESPONSEFORMAT": "nosuch/format"}),
    "error-reserved-date": ("SELECT TOP 1 image_id, date FROM dr2.images", {}),
    "error-upload-bad": ("SELECT 1", {"UPLOAD": "mine,http://127.0.0.1:9/x"}),
}
WORDS = {
    "error-nocolumn": "Field query: No such field known: column 'nosuch' could not be located in table metadata",
    "error-notable": "Field query: Could not locate table 'dr2.nosuch'",
    "error-syntax": "Field query: Could not parse your query: Expected \"SELECT\", found 'S'  (at char 0), (line:1, col:1)",
    "error-lang": "This service does not support the query language NOSUCH",
    "error-noquery": "Field query: Required parameter 'query' missing.",
    "error-format": "Field responseformat: 'nosuch/format' is not a valid value for responseformat",
    "error-reserved-date": "Field query: Could not parse your query: Expected select list item, found 'd'  "
    "(at char 23), (line:1, col:24)",
    "error-upload-bad": "Field UPLOAD: Upload 'http://127.0.0.1:9/x' cannot be retrieved",
}
WORDS["error-syntax-csv"] = WORDS["error-syntax"]


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_votables_with_status_200_in_a_real_service_s_words(archive: FaultyArchive, name: str) -> None:
    query, words = ERRORS[name]
    reply = ask(archive, query, **{"RESPONSEFORMAT": "votable", **words})
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "text/xml")
    assert statuses(reply.text) == [("ERROR", WORDS[name])]
    if (sample := SAMPLES / f"{name}.http").is_file():
        head, body = captured(sample)
        assert "200 OK" in head and "Content-Type: text/xml" in head
        assert statuses(body) == statuses(reply.text)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT object_id FROM dr2.master LIMIT 3",
        "SELECT object_id FROM dr2.master;",
        "SELECT object_id::DOUBLE FROM dr2.master",
        "FROM dr2.master",
        "SELECT list_value(object_id) FROM dr2.master",
        "SELECT object_id /* the key */ FROM dr2.master",
        "SELECT value FROM dr2.master",
        "SELECT MIN(object_id) AS first FROM dr2.master",
        "SELECT object_id FROM dr2.photometry WHERE used_in_clip = TRUE",
        "DROP TABLE dr2.master",
        "SELECT object_id FROM TAP_UPLOAD.nothing",
    ],
)
def test_what_adql_does_not_know_is_refused(archive: FaultyArchive, query: str) -> None:
    [(value, words)] = statuses(ask(archive, query).text)
    assert value == "ERROR"
    assert words.startswith("Field query: ")


def test_adql_means_what_it_says(archive: FaultyArchive) -> None:
    query = """SELECT TOP 2 m.object_id, DISTANCE(POINT('ICRS', raj2000, dej2000), POINT('ICRS', 0, -30)) AS d -- near
        FROM dr2.master AS m WHERE m.object_id IN (SELECT TOP 6 x.object_id FROM dr2.master AS x ORDER BY x.object_id)
        AND 1 = CONTAINS(POINT('ICRS', raj2000, dej2000), CIRCLE('ICRS', 0.0, -30.0, 0.5)) ORDER BY d"""
    rows = table(ask(archive, query))
    assert [int(row["object_id"]) for row in rows] == [IDS[0], 7]
    assert float(rows[1]["d"]) == pytest.approx(0.0001 * 0.8660254, rel=1e-4)
    assert table(ask(archive, "SELECT COUNT(*) AS n, 7/2 AS half, LOG(1) AS nought FROM dr2.images")) == [
        {"n": "6", "half": "3", "nought": "0"}
    ]


def test_block_comments_pass_where_the_service_takes_them() -> None:
    with FaultyArchive(TABLES, block_comments=True) as archive:
        assert ids(ask(archive, "SELECT TOP 1 /* one */ object_id FROM dr2.master ORDER BY object_id")) == [7]


def test_overflow_stands_behind_the_table_and_csv_says_nothing(archive: FaultyArchive) -> None:
    told = ask(archive, IDS_QUERY, "votable", MAXREC="3").text
    assert [value for value, _ in statuses(told)] == ["OK", "OVERFLOW"]
    assert told.index("</TABLE>") < told.index("OVERFLOW")
    assert told.count("<TR>") == 3
    assert ask(archive, IDS_QUERY, MAXREC="3").text == f"object_id\n7\n{IDS[0]}\n{IDS[1]}\n"
    whole = ask(archive, "SELECT TOP 3 object_id FROM dr2.master", "votable", MAXREC="3")
    assert [value for value, _ in statuses(whole.text)] == ["OK"]
    nothing = ask(archive, IDS_QUERY, "votable", MAXREC="0").text
    assert [value for value, _ in statuses(nothing)] == ["OK", "OVERFLOW"]
    for name, ours in (("overflow-td", told), ("maxrec-0-td", nothing)):
        if (sample := SAMPLES / f"{name}.http").is_file():
            theirs = captured(sample)[1]
            assert statuses(theirs) == statuses(ours)
            assert theirs.count("<TR>") == ours.count("<TR>")


def test_a_limit_that_is_lower_than_maxrec_wins() -> None:
    with FaultyArchive(TABLES, most_rows=4, default_rows=2) as archive:
        assert len(ids(ask(archive, IDS_QUERY))) == 2
        assert len(ids(ask(archive, IDS_QUERY, MAXREC="100"))) == 4
        assert statuses(ask(archive, IDS_QUERY, "votable", MAXREC="100").text)[-1][0] == "OVERFLOW"


def test_nulls_are_empty_cells_or_the_numbers_that_values_names(archive: FaultyArchive) -> None:
    query = "SELECT object_id, twomass_key, prox FROM dr2.master WHERE object_id = 7"
    assert ask(archive, query).text == "object_id,twomass_key,prox\n7,,\n"
    assert "<TR><TD>7</TD><TD></TD><TD></TD></TR>" in ask(archive, query, "votable").text
    with FaultyArchive(TABLES, magic_nulls=True) as other:
        told = ask(other, query, "votable").text
        assert "<TR><TD>7</TD><TD>-9223372036854775808</TD><TD>NaN</TD></TR>" in told
        assert told.count('<VALUES null="-9223372036854775808">') == 2
    clip = "SELECT TOP 3 used_in_clip FROM dr2.photometry WHERE object_id = 1000000000000000001 ORDER BY image_id"
    assert "<TR><TD>T</TD></TR>\n<TR><TD>F</TD></TR>\n<TR><TD>?</TD></TR>" in ask(archive, clip, "votable").text


def shape(document: str, root: str) -> list[str]:
    """The names of an element's children in order."""
    element = ET.fromstring(document)
    assert element.tag == f"{UWS}{root}"
    return [child.tag.removeprefix(UWS) for child in element]


def test_jobs_are_told_of_as_a_real_service_does(archive: FaultyArchive) -> None:
    failed = run(archive, "SELECT nosuch FROM dr2.master")
    documents = {
        "job-pending": requests.get(submit(archive), timeout=10).text,
        "job-completed": requests.get(run(archive), timeout=10).text,
        "job-error-run-time-error": requests.get(failed, timeout=10).text,
    }
    plain = ["jobId", "ownerId", "phase", "quote", "creationTime", "startTime", "endTime", "executionDuration",
             "destruction", "parameters", "results"]  # fmt: skip
    for name, ours in documents.items():
        more = ["errorSummary"] if "error" in name else []
        assert shape(ours, "job") == plain + more
        if (sample := SAMPLES / f"{name}.http").is_file():
            assert shape(captured(sample)[1], "job") == plain + more
    assert statuses(requests.get(f"{failed}/error", timeout=10).text) == [("ERROR", WORDS["error-nocolumn"])]
    assert statuses(requests.get(f"{failed}/results/result", timeout=10).text)[0][0] == "ERROR"
    reply = requests.get(f"{archive.tap_url}/async/nosuchjob", timeout=10)
    assert reply.status_code == 404
    assert statuses(reply.text) == [("ERROR", "UWS job 'nosuchjob' could not be located in jobs table")]
    if (sample := SAMPLES / "async-nosuch.http").is_file():
        assert statuses(captured(sample)[1]) == statuses(reply.text)


def test_a_job_waits_for_run_ends_by_abort_and_forgets_its_result() -> None:
    with FaultyArchive(TABLES, job_s=30.0) as archive:
        url = submit(archive, PHASE="RUN")
        assert phase(url) == "PENDING"
        requests.post(f"{url}/phase", data={"PHASE": "RUN"}, timeout=10)
        while phase(url) == "QUEUED":
            time.sleep(0.001)
        early = requests.get(f"{url}/results/result", timeout=10)
        assert (phase(url), early.status_code, early.text) == ("EXECUTING", 200, "File not found")
        requests.post(f"{url}/phase", data={"PHASE": "ABORT"}, timeout=10)
        late = requests.get(f"{url}/results/result", timeout=10)
        assert (phase(url), late.status_code, late.content) == ("ABORTED", 200, b"")


def test_a_waiting_poll_returns_when_the_phase_changes() -> None:
    with FaultyArchive(TABLES, job_s=0.3) as archive:
        url = submit(archive)
        requests.post(f"{url}/phase", data={"PHASE": "RUN"}, timeout=10)
        while phase(url) == "QUEUED":
            time.sleep(0.001)
        started = time.monotonic()
        document = requests.get(url, params={"WAIT": "20", "PHASE": "EXECUTING"}, timeout=30).text
        assert 0.05 < time.monotonic() - started < 5
        assert ET.fromstring(document).findtext(f"{UWS}phase") == "COMPLETED"


def test_execution_duration_and_destruction_are_obeyed() -> None:
    with FaultyArchive(TABLES, job_s=30.0) as archive:
        url = submit(archive)
        requests.post(f"{url}/executionduration", data={"EXECUTIONDURATION": "0"}, timeout=10)
        assert requests.get(f"{url}/executionduration", timeout=10).text == "0"
        requests.post(f"{url}/phase", data={"PHASE": "RUN"}, timeout=10)
        while phase(url) in ("QUEUED", "EXECUTING"):
            time.sleep(0.001)
        document = requests.get(url, timeout=10)
        assert "Query timed out (took too long)" in document.text
        requests.post(f"{url}/destruction", data={"DESTRUCTION": "2001-01-01T00:00:00Z"}, timeout=10)
        assert requests.get(url, timeout=10).status_code == 404


def test_the_job_list_is_filtered() -> None:
    with FaultyArchive(TABLES) as archive:
        first, second = submit(archive, RUNID="one"), run(archive, RUNID="two")

        def listed(**words: str) -> list[str]:
            document = requests.get(f"{archive.tap_url}/async", params=words, timeout=10).content
            return [node.attrib[HREF] for node in ET.fromstring(document)]

        assert listed() == [first, second]
        assert listed(RUNID="one") == [first]
        assert listed(PHASE="COMPLETED") == [second]
        assert listed(LAST="1") == [second]
        assert listed(AFTER="2001-01-01T00:00:00Z") == [first, second]
        assert listed(AFTER="2901-01-01T00:00:00Z") == []
        requests.post(first, data={"ACTION": "DELETE"}, timeout=10)
        assert [job.parameters["RUNID"] for job in archive.jobs] == ["two"]


def test_a_service_without_uploads_says_so() -> None:
    with FaultyArchive(TABLES, uploads=False) as archive:
        for where in ("sync", "async"):
            reply = upload(archive, b"object_id\n7\n", where)
            assert statuses(reply.text) == [("ERROR", "Field UPLOAD: This service does not accept uploads")]
        assert "uploadMethod" not in requests.get(f"{archive.tap_url}/capabilities", timeout=10).text


def upload(archive: FaultyArchive, content: bytes, where: str = "sync") -> requests.Response:
    """A query with an upload."""
    words = {"LANG": "ADQL", "QUERY": "SELECT i.object_id FROM TAP_UPLOAD.ids AS i", "UPLOAD": "ids,param:f",
             "RESPONSEFORMAT": "csv"}  # fmt: skip
    return requests.post(f"{archive.tap_url}/{where}", data=words, files={"f": ("f.csv", content)}, timeout=10)


@pytest.mark.parametrize("limit", [{"upload_rows": 2}, {"upload_bytes": 14}])
def test_an_upload_past_the_limit_is_413_with_words(limit: dict[str, Any]) -> None:
    with FaultyArchive(TABLES, **limit) as archive:
        assert ids(upload(archive, b"object_id\n7\n8\n")) == [7, 8]
        for where in ("sync", "async"):
            reply = upload(archive, b"object_id\n7\n8\n9\n", where)
            assert reply.status_code == 413
            assert statuses(reply.text)[0][0] == "ERROR"


def test_a_broken_upload_is_an_error_of_the_query(archive: FaultyArchive) -> None:
    [(value, words)] = statuses(upload(archive, b"<VOTABLE><RESOURCE>").text)
    assert value == "ERROR"
    assert words.startswith("While ingesting upload ids: ")


def cone(archive: FaultyArchive, **words: Any) -> requests.Response:
    """A cone search."""
    return requests.get(archive.cone_url, params={"RESPONSEFORMAT": "CSV", "VERB": "3", **words}, timeout=10)


def test_a_cone_is_in_degrees_and_closes_over_zero(archive: FaultyArchive) -> None:
    around = cone(archive, CATALOG="dr2.master", RA="0", DEC="-30", SR="0.001")
    assert sorted(ids(around)) == [7, IDS[0]]
    light = table(cone(archive, CATALOG="dr2.photometry", RA="10", DEC="-30", SR="0.001"))
    assert [int(row["image_id"]) for row in light] == [image["image_id"] for image in IMAGES]
    brief = cone(archive, CATALOG="dr2.photometry", RA="10", DEC="-30", SR="0.001", VERB="1")
    assert len(table(brief)[0]) < len(light[0])
    assert table(cone(archive, CATALOG="dr2.master", RA="5", DEC="-30", SR="0.001")) == []
    assert "<TABLEDATA>" in cone(archive, RA="10", DEC="-30", SR="1", RESPONSEFORMAT="VOTABLE").text


def test_a_cone_without_a_radius_is_an_error_of_its_own_kind(archive: FaultyArchive) -> None:
    reply = cone(archive, CATALOG="dr2.master", RA="5", DEC="-30")
    [info] = [node for node in ET.fromstring(reply.content).iter() if node.tag.endswith("INFO")]
    assert info.attrib == {"ID": "Error", "name": "Error", "value": "Field SR: Required parameter 'SR' missing."}
    if (sample := SAMPLES / "scs-missing-sr.http").is_file():
        [theirs] = [node for node in ET.fromstring(captured(sample)[1].strip()).iter() if node.tag.endswith("INFO")]
        assert theirs.attrib == info.attrib


def xmatch(archive: FaultyArchive, **words: Any) -> requests.Response:
    """Two positions matched with SIMBAD."""
    given = {"REQUEST": "xmatch", "cat2": "simbad", "distMaxArcsec": "2", "RESPONSEFORMAT": "csv",
             "colRA1": "my_ra", "colDec1": "my_dec", **words}  # fmt: skip
    rows = f"object_id,my_ra,my_dec\n{IDS[1]},10,-30\n{IDS[2]},20,-30\n".encode()
    return requests.post(archive.xmatch_url, data=given, files={"cat1": ("x.csv", rows)}, timeout=10)


def test_x_match_gives_all_or_the_best_within_the_radius(archive: FaultyArchive) -> None:
    every = table(xmatch(archive))
    assert [(int(row["object_id"]), row["main_id"], row["main_type"]) for row in every] == [
        (IDS[1], "V* near", "Sy*"),
        (IDS[1], "farther", "*"),
    ]
    assert [float(row["angDist"]) for row in every] == pytest.approx([0.5, 1.5])
    assert [row["main_id"] for row in table(xmatch(archive, selection="best"))] == ["V* near"]
    assert [row["main_id"] for row in table(xmatch(archive, distMaxArcsec="1"))] == ["V* near"]
    assert len(table(xmatch(archive, MAXREC="1"))) == 1
    assert statuses(xmatch(archive, distMaxArcsec="181").text)[0][0] == "ERROR"
    assert statuses(xmatch(archive, colRA1="ra").text)[0][0] == "ERROR"


def test_simbad_answers_adql_of_its_own(archive: FaultyArchive) -> None:
    query = """SELECT b.main_id, i.id, d.label FROM basic AS b JOIN ident AS i ON i.oidref = b.oid
        JOIN otypedef AS d ON d.otype = b.otype WHERE b.otype = 'Sy*'"""
    reply = requests.post(f"{archive.simbad_url}/sync", data={"QUERY": query, "FORMAT": "csv"}, timeout=10)
    assert table(reply) == [{"main_id": "V* near", "id": "V* near", "label": "Sy*"}]
    assert archive.requests[0].operation == "simbad.sync"


def test_a_warehouse_s_raw_tables_become_an_archive(tmp_path: Path) -> None:
    where = Settings(tmp_path / "warehouse", "1GB", 1)
    create(where)
    with open_warehouse(where, write=True) as warehouse:
        fill(warehouse, DR2, TABLES)
    with FaultyArchive(where.database) as archive:
        assert ids(ask(archive, IDS_QUERY)) == [7, *IDS]
        assert "chunk" not in ask(archive, "SELECT TOP 1 * FROM dr2.master").text.split("\n")[0]


def test_tables_may_be_queries_or_arrow() -> None:
    given = {"dr2.images": "SELECT 5::BIGINT AS image_id", "dr2.master": pa.table({"object_id": [3]})}
    with FaultyArchive(given) as archive:
        assert ids(ask(archive, IDS_QUERY)) == [3]
        assert table(ask(archive, "SELECT image_id FROM dr2.images")) == [{"image_id": "5"}]


# --- the knob --------------------------------------------------------------------------------------------------------


def test_a_fault_comes_as_often_as_it_was_told_to_and_where(archive: FaultyArchive) -> None:
    fault = archive.fault("status", on="tap.sync", times=2, after=1, matching="dr2.master", code=500)

    def codes() -> list[int]:
        other = ask(archive, "SELECT image_id FROM dr2.images").status_code
        return [ask(archive, IDS_QUERY).status_code, other]

    assert [codes() for _ in range(4)] == [[200, 200], [500, 200], [500, 200], [200, 200]]
    assert (fault.seen, fault.fired) == (4, 2)
    assert archive.requests[3].faults == ("status",)
    archive.fault("not_found", on="/tap/s", times=ALWAYS)
    assert [ask(archive, IDS_QUERY).status_code for _ in range(3)] == [404] * 3
    archive.heal()
    assert ask(archive, IDS_QUERY).status_code == 200


def test_faults_of_rows_leave_counts_and_tap_schema_alone(archive: FaultyArchive) -> None:
    fault = archive.fault("drop_row")
    assert table(ask(archive, "SELECT COUNT(*) AS n FROM dr2.master")) == [{"n": "7"}]
    assert table(ask(archive, "SELECT table_name FROM TAP_SCHEMA.tables")) != []
    assert fault.seen == 0
    assert ids(ask(archive, IDS_QUERY)) == IDS


@pytest.mark.parametrize(
    ("kind", "details"), [("nosuch", {}), ("hang", {}), ("hang", {"seconds": 1, "minutes": 2}), ("silent_cap", {})]
)
def test_a_fault_that_there_is_not_is_refused(archive: FaultyArchive, kind: str, details: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=kind):
        archive.fault(kind, **details)


def test_the_log_tells_what_was_asked_twice_and_how_closely(archive: FaultyArchive) -> None:
    archive.fault("status", times=1, code=503)
    ask(archive, IDS_QUERY)
    ask(archive, IDS_QUERY)
    assert archive.repeated() == []
    ask(archive, IDS_QUERY)
    assert archive.repeated() == [IDS_QUERY]
    assert archive.most_at_once() == 1
    assert 0 < archive.least_gap_s() < 5
    last = archive.requests[-1]
    assert (last.method, last.path, last.status, last.query) == ("POST", "/tap/sync", 200, IDS_QUERY)
    assert last.parameters["RESPONSEFORMAT"] == "csv"
    assert last.sent == len(ask(archive, IDS_QUERY).content)


def together_at(archive: FaultyArchive, count: int) -> list[int]:
    """The status of each of `count` queries at one time."""
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(ask(archive, IDS_QUERY).status_code)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found)


def test_the_log_counts_requests_that_are_open_together(archive: FaultyArchive) -> None:
    archive.fault("hang", times=ALWAYS, seconds=0.5)
    assert together_at(archive, 3) == [200] * 3
    assert archive.most_at_once() == 3


def test_a_ban_may_wait_for_too_many_at_a_time(archive: FaultyArchive) -> None:
    archive.fault("ban_403", times=ALWAYS, over=1)
    archive.fault("hang", times=ALWAYS, seconds=0.5)
    assert together_at(archive, 1) == [200]
    assert together_at(archive, 2) == [200, 403]


def test_a_failure_of_the_archive_itself_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="the archive itself failed"), FaultyArchive(TABLES) as archive:
        archive.fault("rename_column", matching="master", column="nosuch", to="x")
        assert ask(archive, "SELECT * FROM dr2.master").status_code == 500


# --- faults of transport ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cut_with_length", "cut_chunked"])
def test_a_cut_that_shows(archive: FaultyArchive, kind: str) -> None:
    archive.fault(kind)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        ask(archive, IDS_QUERY)
    assert len(ids(ask(archive, IDS_QUERY))) == 7


def test_a_cut_that_does_not_show(archive: FaultyArchive) -> None:
    whole = ask(archive, IDS_QUERY).text
    archive.fault("cut_without_length")
    assert ask(archive, IDS_QUERY).text == whole[: len(whole) // 2]
    archive.fault("cut_without_length", at_line=True, fraction=0.9)
    lines = ask(archive, IDS_QUERY).text
    assert lines.endswith("\n") and whole.startswith(lines) and len(lines) < len(whole)


@pytest.mark.parametrize("fraction", [0.0, 0.5])
def test_a_reset_connection(archive: FaultyArchive, fraction: float) -> None:
    archive.fault("reset", on="tap.sync", fraction=fraction)
    with pytest.raises((requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        ask(archive, IDS_QUERY)
    assert ask(archive, IDS_QUERY).ok


def test_a_lost_answer_leaves_a_job_behind(archive: FaultyArchive) -> None:
    before = len(archive.jobs)
    archive.fault("lost_answer")
    with pytest.raises(requests.exceptions.ConnectionError):
        submit(archive, RUNID="lost")
    assert len(archive.jobs) == before + 1
    assert archive.jobs[-1].parameters["RUNID"] == "lost"


@pytest.mark.parametrize("fraction", [0.0, 0.5])
def test_a_hanging_connection_outlasts_a_time_out(archive: FaultyArchive, fraction: float) -> None:
    archive.fault("hang", seconds=0.5, fraction=fraction)
    with pytest.raises((requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError)):
        requests.post(f"{archive.tap_url}/sync", data={"QUERY": IDS_QUERY}, timeout=0.1)


def test_a_slow_connection_gives_everything_in_the_end(archive: FaultyArchive) -> None:
    whole = ask(archive, IDS_QUERY).content
    archive.fault("slow", bytes_per_s=len(whole) * 4)
    started = time.monotonic()
    assert ask(archive, IDS_QUERY).content == whole
    assert 0.2 < time.monotonic() - started < 5


def test_closing_the_archive_ends_a_hanging_connection() -> None:
    with FaultyArchive(TABLES) as archive:
        archive.fault("hang", seconds=60)
        with pytest.raises(requests.exceptions.Timeout):
            requests.get(f"{archive.tap_url}/availability", timeout=0.05)
        started = time.monotonic()
    assert time.monotonic() - started < 5


# --- faults of answers -----------------------------------------------------------------------------------------------


def test_a_status_may_say_when_to_come_again(archive: FaultyArchive) -> None:
    archive.fault("status", code=503, retry_after=2, body="busy")
    archive.fault("status", code=429, after=1, retry_after_date=60)
    archive.fault("clock_skew", after=1, seconds=3600)
    first, second = ask(archive, IDS_QUERY), ask(archive, IDS_QUERY)
    assert (first.status_code, first.headers["Retry-After"], first.text) == (503, "2", "busy")
    assert second.status_code == 429
    until, now = (parsedate_to_datetime(second.headers[name]).timestamp() for name in ("Retry-After", "Date"))
    assert until - now == 60
    assert now - time.time() == pytest.approx(3600, abs=5)


@pytest.mark.parametrize(("kind", "code"), [("html_200", 200), ("not_found", 404), ("ban_403", 403)])
def test_a_page_for_people_instead_of_an_answer(archive: FaultyArchive, kind: str, code: int) -> None:
    archive.fault(kind, on="tap.capabilities")
    reply = requests.get(f"{archive.tap_url}/capabilities", timeout=10)
    assert (reply.status_code, reply.headers["Content-Type"]) == (code, "text/html")
    assert reply.text.startswith("<!DOCTYPE html>")


def test_bytes_that_are_no_document(archive: FaultyArchive) -> None:
    archive.fault("empty_body")
    assert (ask(archive, IDS_QUERY).status_code, archive.requests[-1].sent) == (200, 0)
    archive.fault("garbage_gzip")
    with pytest.raises(requests.exceptions.ContentDecodingError):
        ask(archive, IDS_QUERY)
    archive.fault("gzip")
    squeezed = ask(archive, IDS_QUERY)
    assert squeezed.headers["Content-Encoding"] == "gzip"
    assert ids(squeezed) == [7, *IDS]


@pytest.mark.parametrize(("kind", "code"), [("refuse_upload", 200), ("upload_too_large", 413)])
def test_an_upload_turned_down_once(archive: FaultyArchive, kind: str, code: int) -> None:
    archive.fault(kind)
    assert ask(archive, IDS_QUERY).ok
    reply = upload(archive, b"object_id\n7\n")
    assert (reply.status_code, statuses(reply.text)[0][0]) == (code, "ERROR")
    assert ids(upload(archive, b"object_id\n7\n")) == [7]


def test_an_upload_read_as_empty(archive: FaultyArchive) -> None:
    archive.fault("empty_upload")
    assert upload(archive, b"object_id\n7\n").text == "object_id\n"
    archive.fault("empty_upload", on="uws.create")
    url = upload(archive, b"object_id\n7\n", "async").url
    requests.post(f"{url}/phase", data={"PHASE": "RUN"}, timeout=10)
    while phase(url) != "COMPLETED":
        time.sleep(0.001)
    assert requests.get(f"{url}/results/result", timeout=10).text == "object_id\n"


# --- faults of rows --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "details", "expected"),
    [
        ("silent_cap", {"rows": 2}, [7, IDS[0]]),
        ("drop_row", {"row": -1}, [7, *IDS[:-1]]),
        ("duplicate_row", {"row": 1}, [7, IDS[0], *IDS]),
        ("reversed_rows", {}, [*IDS[::-1], 7]),
        ("fewer_ids", {"count": 2}, [7, *IDS[:-2]]),
        ("wrong_ids", {}, [7, *IDS[:-1], 2 * IDS[-1]]),
    ],
)
def test_rows_that_were_not_asked_for(
    archive: FaultyArchive, kind: str, details: dict[str, Any], expected: list[int]
) -> None:
    archive.fault(kind, **details)
    assert ids(ask(archive, IDS_QUERY)) == expected
    archive.fault(kind, on="uws.result", **details)
    assert ids(requests.get(f"{run(archive)}/results/result", timeout=10)) == expected


def test_statuses_behind_the_rows(archive: FaultyArchive) -> None:
    archive.fault("overflow", rows=2)
    told = ask(archive, IDS_QUERY, "votable").text
    assert ([value for value, _ in statuses(told)], told.count("<TR>")) == (["OK", "OVERFLOW"], 2)
    archive.fault("error_after_rows", message="disk full")
    told = ask(archive, IDS_QUERY, "votable").text
    assert (statuses(told)[1], told.count("<TR>")) == (("ERROR", "disk full"), 3)


def header(reply: requests.Response) -> list[str]:
    """The columns of a CSV document."""
    return reply.text.split("\n")[0].split(",")


@pytest.mark.parametrize(
    ("kind", "details", "expected"),
    [
        ("rename_column", {"column": "prox", "to": "nearest"}, ["object_id", "nearest"]),
        ("case_change", {}, ["OBJECT_ID", "PROX"]),
        ("case_change", {"column": "prox"}, ["object_id", "PROX"]),
        ("drop_column", {"column": "prox"}, ["object_id"]),
        ("add_column", {"name": "extra"}, ["object_id", "prox", "extra"]),
    ],
)
def test_columns_that_were_not_asked_for(
    archive: FaultyArchive, kind: str, details: dict[str, Any], expected: list[str]
) -> None:
    archive.fault(kind, **details)
    if "column" in details:
        assert header(ask(archive, IDS_QUERY)) == ["object_id"]
    assert header(ask(archive, "SELECT object_id, prox FROM dr2.master")) == expected


def test_values_of_another_type(archive: FaultyArchive) -> None:
    archive.fault("retype_column", column="object_id", to="DOUBLE")
    told = ask(archive, IDS_QUERY, "votable").text
    assert '<FIELD name="object_id" datatype="double"' in told
    clip = "SELECT TOP 3 used_in_clip FROM dr2.photometry ORDER BY object_id, image_id"
    archive.fault("spell_booleans", column="used_in_clip", true="t", false="f")
    assert ask(archive, clip).text == "used_in_clip\nt\nf\n\n"
    archive.fault("null_text")
    query = "SELECT object_id, prox FROM dr2.master WHERE object_id = 7"
    assert ask(archive, query).text == "object_id,prox\n7,NULL\n"


def test_faults_reach_cones_and_matches(archive: FaultyArchive) -> None:
    archive.fault("duplicate_row", on="cone")
    assert len(table(cone(archive, CATALOG="dr2.master", RA="10", DEC="-30", SR="0.001"))) == 2
    archive.fault("silent_cap", on="xmatch", rows=1)
    assert len(table(xmatch(archive))) == 1
    archive.fault("timeout", on="xmatch")
    assert statuses(xmatch(archive).text)[0][0] == "ERROR"


# --- faults of jobs --------------------------------------------------------------------------------------------------


def test_a_query_that_takes_too_long_only_where_it_gives_many_rows(archive: FaultyArchive) -> None:
    archive.fault("timeout", times=ALWAYS, rows_over=3)
    assert "timed out" in statuses(ask(archive, IDS_QUERY).text)[0][1]
    assert len(ids(ask(archive, f"{IDS_QUERY.replace('ORDER', 'WHERE object_id < 1000 ORDER')}"))) == 1
    url = run(archive)
    assert phase(url) == "ERROR"
    assert "timed out" in requests.get(url, timeout=10).text


@pytest.mark.parametrize("said", ["HELD", "SUSPENDED", "ABORTED", "ARCHIVED", "UNKNOWN", "ERROR"])
def test_a_phase_that_nobody_hoped_for(archive: FaultyArchive, said: str) -> None:
    url = submit(archive)
    archive.fault("phase", phase=said, message="too busy" if said == "ERROR" else "")
    document = ET.fromstring(requests.get(url, timeout=10).content)
    assert document.findtext(f"{UWS}phase") == said
    assert phase(url) == ("PENDING" if said in ("SUSPENDED", "UNKNOWN") else said)
    if said == "ERROR":
        assert document.findtext(f"{UWS}errorSummary/{UWS}message") == "too busy"


def test_a_held_job_runs_when_told_again(archive: FaultyArchive) -> None:
    archive.fault("phase", on="uws.phase", phase="HELD")
    url = run(archive)
    assert phase(url) == "HELD"
    requests.post(f"{url}/phase", data={"PHASE": "RUN"}, timeout=10)
    while phase(url) != "COMPLETED":
        time.sleep(0.001)
    assert ids(requests.get(f"{url}/results/result", timeout=10)) == [7, *IDS]


def test_a_job_that_is_destroyed_before_its_result_is_fetched(archive: FaultyArchive) -> None:
    url = run(archive)
    archive.fault("job_destroyed")
    assert requests.get(f"{url}/results/result", timeout=10).status_code == 404
    assert requests.get(url, timeout=10).status_code == 404


def test_a_job_that_cannot_be_deleted_stays(archive: FaultyArchive) -> None:
    url = run(archive)
    archive.fault("delete_fails")
    assert requests.delete(url, timeout=10).status_code == 500
    assert phase(url) == "COMPLETED"
    assert requests.delete(url, timeout=10, allow_redirects=False).status_code == 303
    assert requests.get(url, timeout=10).status_code == 404


def test_jobs_may_be_hard_to_find(archive: FaultyArchive) -> None:
    archive.fault("relative_location", on="uws.create")
    assert submit(archive, RUNID="mark").startswith("/tap-jobs/async/")
    archive.fault("anonymous_jobs")
    first, second = (requests.get(f"{archive.tap_url}/async", timeout=10).text for _ in range(2))
    assert "mark" not in first
    assert "mark" in second


def captured(path: Path) -> tuple[str, str]:
    """(head, body) of a captured reply."""
    head, _, body = path.read_text(encoding="utf-8").replace("\r\n", "\n").partition("\n\n")
    return head, body


def test_every_kind_of_fault_is_tried_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f'"{kind}"' not in text] == []
