"""The tests' own archive keeps its promises: the archive's tables, to the last digit, behind TAP, UWS and cone search."""

from __future__ import annotations

import csv
import io
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import requests
from archive_peer import descriptors, system
from archive_peer.descriptors import TABLES
from archive_peer.peer import start
from archive_peer.system import PeerError
from skysy.loaders.load import load_directory
from skysy.loaders.votable import open_votable

from skysy import ledger
from skysy.config import Settings
from skysy.contract import load_contract
from skysy.errors import FileDamaged
from skysy.store import create, open_warehouse

if TYPE_CHECKING:
    from archive_fixtures import RealArchive

pytest_plugins = ["archive_fixtures"]

DR2, DR4 = RELEASES = ("skymapper_dr2", "skymapper_dr4")
SERVED = descriptors.served(RELEASES)
BINARY2 = "application/x-votable+xml;serialization=BINARY2"
DATATYPES = {
    "SMALLINT": "short", "INTEGER": "int", "BIGINT": "long", "REAL": "float", "DOUBLE": "double",
    "BOOLEAN": "boolean", "VARCHAR": "char",
}  # fmt: skip
ALL_ROWS = 1_000_000
ENDED = ("COMPLETED", "ERROR", "ABORTED")
# Some 10^10 pairs: hours.
ENDLESS = "SELECT COUNT(*) AS n FROM dr2.photometry AS a JOIN dr2.photometry AS b ON a.mag_psf < b.mag_psf"
SHORT = "SELECT object_id FROM dr2.master ORDER BY object_id"


def fetch(archive: RealArchive, query: str, to: Path, form: str = BINARY2, maxrec: int = ALL_ROWS) -> Path:
    """The answer to a query, byte for byte as the server sent it, asked by pyvo."""
    import pyvo

    asked = pyvo.dal.TAPService(archive.tap_url).create_query(query, maxrec=maxrec, RESPONSEFORMAT=form)
    with asked.execute_stream() as reply, to.open("wb") as out:
        out.write(reply.read())
    return to


def rows_of(path: Path) -> list[tuple[Any, ...]]:
    """The rows of a VOTable, read by skysy's own reader."""
    with open_votable(path) as source, duckdb.connect(":memory:") as con:
        try:
            return con.execute(f"FROM {source.relation(con)}").fetchall()
        except duckdb.Error as error:
            raise source.failures[0] from error


def from_files(archive: RealArchive, query: str, release: str = DR2) -> list[tuple[Any, ...]]:
    """The rows of a query on the warehouse that the files of the same sky were loaded into."""
    with open_warehouse(archive.settings[release]) as warehouse:
        return warehouse.rows(query)


def hashes(settings: Settings, tables: tuple[str, ...]) -> dict[str, str]:
    """The content of raw tables, whatever the order of their rows."""
    with open_warehouse(settings) as warehouse:
        columns = {name: [column.name for column in SERVED[name].columns] for name in tables}
        return {name: ledger.content_hash(warehouse.con, name, columns[name]) for name in tables}


@contextmanager
def job(archive: RealArchive, query: str) -> Iterator[Any]:
    """A UWS job of pyvo that was created and not yet run; deleted at the end."""
    import pyvo

    made = pyvo.dal.TAPService(archive.tap_url).submit_job(query, maxrec=ALL_ROWS)
    url = made.url
    try:
        yield made
    finally:
        requests.delete(url, timeout=30)


def wait_for(made: Any, *phases: str, seconds: float = 60) -> str:
    """The phase of a job once it is one of these, or the last one seen."""
    deadline = time.monotonic() + seconds
    while made.phase not in phases and time.monotonic() < deadline:
        time.sleep(0.1)
    return str(made.phase)


@pytest.mark.archive
@pytest.mark.parametrize("release", RELEASES)
def test_every_table_has_as_many_rows_as_its_files(real_archive: RealArchive, tmp_path: Path, release: str) -> None:
    for name in TABLES[release]:
        query = f"SELECT COUNT(*) AS n FROM {name}"
        counted = rows_of(fetch(real_archive, query, tmp_path / "count.vot"))
        assert counted == from_files(real_archive, query, release), name
        assert counted[0][0] > 500, name


@pytest.mark.archive
@pytest.mark.parametrize("release", RELEASES)
def test_rows_by_tap_are_the_rows_of_the_files_to_the_last_bit(
    real_archive: RealArchive, tmp_path: Path, release: str
) -> None:
    received = tmp_path / "received"
    received.mkdir()
    photometry = TABLES[release][1]
    for name in TABLES[release]:
        columns = descriptors.quoted(SERVED[name].columns)
        fetch(real_archive, f"SELECT {columns} FROM {name}", received / f"{name}.vot")
    settings = Settings(tmp_path / "warehouse", "1GB", 2)
    create(settings)
    with open_warehouse(settings, write=True) as warehouse:
        load_directory(warehouse, release, received)
        nulls = [f'count(*) FILTER ("{column.name}" IS NULL)' for column in SERVED[photometry].columns]
        assert sum(warehouse.rows(f"SELECT {', '.join(nulls)} FROM {photometry}")[0]) > 1000
    assert hashes(settings, TABLES[release]) == hashes(real_archive.settings[release], TABLES[release])


@pytest.mark.archive
@pytest.mark.parametrize("form", ["application/x-votable+xml", "application/x-votable+xml;serialization=TABLEDATA"])
def test_each_serialization_tells_the_same_rows(real_archive: RealArchive, tmp_path: Path, form: str) -> None:
    names = ("ext.twomass_psc", "ext.gaia_dr2", "dr2.images")
    for name in names:
        columns = descriptors.quoted(SERVED[name].columns)
        fetch(real_archive, f"SELECT {columns} FROM {name}", tmp_path / f"{name}.vot", form)
    settings = Settings(tmp_path / "warehouse", "1GB", 2)
    create(settings)
    with open_warehouse(settings, write=True) as warehouse:
        load_directory(warehouse, DR2, tmp_path)
    assert hashes(settings, names) == hashes(real_archive.settings[DR2], names)


@pytest.mark.archive
def test_ids_of_nineteen_digits_arrive_whole(real_archive: RealArchive, tmp_path: Path) -> None:
    query = "SELECT source_id FROM ext.gaia_dr2 ORDER BY source_id"
    ids = [row[0] for row in rows_of(fetch(real_archive, query, tmp_path / "ids.vot"))]
    assert ids == [row[0] for row in from_files(real_archive, query)]
    assert sum(value != int(float(value)) for value in ids) > 100, "ids that a float would spoil are among them"


@pytest.mark.archive
def test_tap_schema_tells_the_contracts_and_its_indexes(real_archive: RealArchive, tmp_path: Path) -> None:
    listed = ", ".join(f"'{name}'" for name in SERVED)
    query = (
        "SELECT table_name, column_name, datatype, unit, ucd, description, indexed FROM TAP_SCHEMA.columns "
        f"WHERE table_name IN ({listed}) ORDER BY table_name, column_index"
    )
    told = rows_of(fetch(real_archive, query, tmp_path / "columns.vot"))
    promised = [
        (name, column.name, DATATYPES.get(column.type, "double"), column.unit, column.ucd, column.description)
        for name in sorted(SERVED)
        for column in SERVED[name].columns
    ]
    assert [(row[0], row[1].strip('"'), *row[2:6]) for row in told] == promised
    indexed = {(row[0], row[1]) for row in told if row[6]}
    assert indexed >= {
        ("dr2.master", "object_id"), ("dr2.master", "raj2000"), ("dr2.master", "dej2000"),
        ("dr2.photometry", "object_id"), ("dr2.photometry", "image_id"), ("dr2.photometry", "ccd"),
        ("dr2.images", "image_id"), ("ext.twomass_psc", "pts_key"), ("ext.allwise", "cntr"),
        ("ext.gaia_dr2", "source_id"), ("gaiadr2_complements.geometric_distance", "source_id"),
        ("dr4.master", "object_id"), ("dr4.master", "raj2000"), ("dr4.photometry", "object_id"), ("dr4.images", "image_id"),
        ("ext.gaia_dr3", "source_id"), ("gedr3dist.main", "source_id"),
    }  # fmt: skip


@pytest.mark.archive
@pytest.mark.parametrize("release", RELEASES)
def test_the_talks_query_selects_the_same_objects_there_and_here(
    real_archive: RealArchive, tmp_path: Path, release: str
) -> None:
    query = files("skysy.sql").joinpath("archive", release, "sample.adql").read_text(encoding="utf-8")
    assert query.startswith("--")
    there = rows_of(fetch(real_archive, query, tmp_path / "sample.vot"))
    here = from_files(real_archive, query, release)
    assert sorted(row[:2] for row in there) == sorted(row[:2] for row in here)
    assert len(there) > 500


@pytest.mark.archive
def test_a_job_is_created_run_polled_fetched_and_deleted(real_archive: RealArchive, tmp_path: Path) -> None:
    with job(real_archive, SHORT) as made:
        assert made.phase == "PENDING"
        made.run()
        assert wait_for(made, *ENDED) == "COMPLETED"
        result = tmp_path / "result.vot"
        result.write_bytes(requests.get(f"{made.url}/results/result", timeout=30).content)
        assert rows_of(result) == from_files(real_archive, SHORT)
        url = made.url
        made.delete()
        assert requests.get(url, timeout=30).status_code == 404


@pytest.mark.archive
def test_a_query_that_cannot_run_says_so_in_its_job_and_at_once(real_archive: RealArchive, tmp_path: Path) -> None:
    with job(real_archive, "SELECT nosuch FROM dr2.master") as made:
        made.run()
        assert wait_for(made, *ENDED) == "ERROR"
    answer = fetch(real_archive, "SELECT nosuch FROM dr2.master", tmp_path / "error.vot")
    with pytest.raises(FileDamaged, match="nosuch"):
        rows_of(answer)


@pytest.mark.archive
def test_jobs_outlive_the_death_of_the_web_server(real_archive: RealArchive, tmp_path: Path) -> None:
    peer = real_archive.peer
    with job(real_archive, SHORT) as done, job(real_archive, ENDLESS) as running:
        done.run()
        running.run()
        assert wait_for(done, *ENDED) == "COMPLETED"
        assert wait_for(running, "EXECUTING", *ENDED) == "EXECUTING"
        before = peer.server_pid
        peer.kill()
        with pytest.raises(requests.ConnectionError):
            requests.get(done.url, timeout=30)
        peer.restart()
        assert peer.server_pid not in (None, before)
        assert running.phase == "EXECUTING"
        result = tmp_path / "result.vot"
        result.write_bytes(requests.get(f"{done.url}/results/result", timeout=30).content)
        assert rows_of(result) == from_files(real_archive, SHORT)
        running.abort()
        assert wait_for(running, *ENDED) == "ABORTED"


@pytest.mark.archive
@pytest.mark.parametrize(
    ("release", "gaia", "distances", "value"),
    [
        (DR2, "ext.gaia_dr2", "gaiadr2_complements.geometric_distance", "r_est"),
        (DR4, "ext.gaia_dr3", "gedr3dist.main", "r_med_geo"),
    ],
)
def test_uploaded_ids_are_joined_digit_for_digit(
    real_archive: RealArchive, release: str, gaia: str, distances: str, value: str
) -> None:
    import pyvo
    from astropy.table import Table

    asked = from_files(real_archive, f"SELECT source_id FROM {gaia} ORDER BY hash(source_id)", release)
    wanted = sorted({row[0] for row in asked})[:500]
    query = (
        f"SELECT d.source_id, d.{value} FROM {distances} AS d JOIN TAP_UPLOAD.mine AS u ON d.source_id = u.source_id"
    )
    service = pyvo.dal.TAPService(real_archive.tap_url)
    found = service.run_sync(query, uploads={"mine": Table({"source_id": wanted})}).to_table()
    listed = ", ".join(map(str, wanted))
    here = from_files(real_archive, f"SELECT source_id FROM {distances} WHERE source_id IN ({listed})", release)
    assert sorted(map(int, found["source_id"])) == sorted(row[0] for row in here)
    assert len(here) > 400


@pytest.mark.archive
@pytest.mark.parametrize(
    ("release", "table", "position"),
    [
        (DR2, "dr2.master", ("raj2000", "dej2000")),
        (DR2, "dr2.photometry", ("ra_img", "decl_img")),
        (DR4, "dr4.photometry", ("ra_img", "decl_img")),
    ],
)
def test_a_cone_gives_all_rows_around_a_position(
    real_archive: RealArchive, release: str, table: str, position: tuple[str, str]
) -> None:
    place = "SELECT raj2000, dej2000 FROM dr2.master ORDER BY object_id LIMIT 1 OFFSET 900"
    [(ra, dec)] = from_files(real_archive, place)
    words = {"CATALOG": table, "RA": repr(ra), "DEC": repr(dec), "SR": "0.5", "VERB": "3", "RESPONSEFORMAT": "CSV"}
    reply = requests.get(real_archive.peer.cone_url(table), words, timeout=30)
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    names = [column.name for column in SERVED[table].columns]
    assert set(names) <= set(rows[0])
    lon, lat = (f"radians({name})" for name in position)
    here = from_files(
        real_archive,
        f"SELECT object_id FROM {table} WHERE sqrt(pow(sin(({lat} - radians({dec!r})) / 2), 2) + cos({lat}) * "
        f"cos(radians({dec!r})) * pow(sin(({lon} - radians({ra!r})) / 2), 2)) <= sin(radians(0.25))",
        release,
    )
    assert sorted(int(row["object_id"] or 0) for row in rows) == sorted(row[0] or 0 for row in here)
    assert len(rows) >= 1


@pytest.mark.archive
def test_an_answer_cut_at_maxrec_is_marked_and_refused(real_archive: RealArchive, tmp_path: Path) -> None:
    answer = fetch(real_archive, "SELECT object_id FROM dr2.master", tmp_path / "cut.vot", maxrec=10)
    assert b"OVERFLOW" in answer.read_bytes()
    with pytest.raises(FileDamaged, match="OVERFLOW"):
        rows_of(answer)


@pytest.mark.archive
def test_the_server_can_be_reached_from_this_machine_alone(real_archive: RealArchive) -> None:
    listening = {
        line.split()[1]
        for path in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(path).read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    }
    for port in (real_archive.peer.port, real_archive.peer.database_port):
        assert [one for one in listening if one.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def test_descriptors_hold_every_column_of_the_contracts() -> None:
    told: dict[str, list[str]] = {}
    for schema in descriptors.schemas(SERVED):
        root = ET.fromstring(descriptors.descriptor(SERVED, schema))
        for table in root.iter("table"):
            columns = [column.attrib["name"].removeprefix("quoted/") for column in table.iter("column")]
            told[f"{schema}.{table.attrib['id']}"] = columns
    assert told.keys() == {name for tables in TABLES.values() for name in tables}
    for release in RELEASES:
        for name in TABLES[release]:
            assert told[name] == [column.name for column in load_contract(release).table(name).columns]


@pytest.mark.parametrize("skies", [["a", "b"], ["empty"]])
def test_skies_that_cannot_be_served_together_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skies: list[str]
) -> None:
    monkeypatch.setattr(system, "missing", lambda: "")
    for name in ("a", "b", "empty"):
        (tmp_path / name).mkdir()
    for name in ("a", "b"):
        (tmp_path / name / "dr4.master.parquet").touch()
    with pytest.raises(PeerError, match=r"both of skymapper_dr4|holds no sky of skymapper_dr2 or skymapper_dr4"):
        start(tmp_path / "peer", [tmp_path / name for name in skies])


def test_the_mending_of_pg_sphere_takes_two_hints_and_nothing_else() -> None:
    kept = "CREATE OPERATOR <@ (\n   LEFTARG = smoc,\n   COMMUTATOR = '@>'\n);\n"
    operator = "CREATE OPERATOR @ (\n   LEFTARG = bigint,\n   RIGHTARG = smoc,\n{}   JOIN = contjoinsel\n);\n"
    hints = "   COMMUTATOR = '@>',\n   NEGATOR = '!<@',\n"
    assert system._mended(kept + operator.format(hints)) == kept + operator.format("")
    assert system._mended(kept + operator.format("")) == kept + operator.format("")


def test_a_directory_in_use_is_not_made_into_a_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "missing", lambda: "")
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(PeerError, match="not empty"):
        start(tmp_path, [tmp_path])
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_what_the_machine_lacks_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "DACHS", str(tmp_path / "dachs"))
    with pytest.raises(PeerError, match=r"not installed.*As root.*peer\.py install"):
        start(tmp_path / "peer", [tmp_path])
