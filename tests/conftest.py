"""Raw rows made by hand, small warehouses built from them by the real SQL, one simulated sky per session."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import hypothesis
import pyarrow as pa
import pytest
import typer
from skysy.analysis import density
from skysy.analysis.figures import FIGURES
from skysy.analysis.report import plates
from skysy.analysis.simulate.write import simulate
from skysy.loaders.load import load_directory
from skysy.loaders.raw import prepare
from typer.testing import CliRunner

from skysy import ledger
from skysy.cli import report as report_command
from skysy.config import Settings
from skysy.contract import load_contract
from skysy.models import parameters
from skysy.models.build import run_build
from skysy.models.project import Project, load_project
from skysy.store import Warehouse, create, open_warehouse

# Started in the background of a shell, Ctrl-C is ignored, here and in every child; tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Workers of pytest keep the cores busy; small queries on more threads cost half as much again. Tests about threads say so.
os.environ.setdefault("SKYSY_THREADS", "1")

# How long one example takes says more of the machine than of skysy.
hypothesis.settings.register_profile("skysy", deadline=None)
hypothesis.settings.load_profile("skysy")

DR2 = "skymapper_dr2"
SHARED = Path(__file__).parents[2] / "shared"
ENGINES = {"density_score": density.engine}
COLOUR_SEQUENCE = "uvgruvizuv"
MINUTE_D = 1.0 / 1440.0

Row = Mapping[str, Any]
Tables = Mapping[str, Sequence[Row]]


def insert_rows(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Row], chunk_id: int = 1) -> None:
    """Add rows given by column name; columns that a row does not name are NULL."""
    if not rows:
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: pa.array([row.get(name) for row in rows]) for name in names}
    columns[ledger.CHUNK_COLUMN] = pa.array([chunk_id] * len(rows), pa.int32())
    con.register("_rows", pa.table(columns))
    con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM _rows")
    con.unregister("_rows")


def fill(warehouse: Warehouse, release: str, tables: Tables) -> None:
    """Raw tables with these rows, each table a loaded chunk of its own, as the file loader leaves them."""
    prepare(warehouse, load_contract(release))
    for table, rows in tables.items():
        chunk_id = ledger.next_chunk_id(warehouse.con)
        insert_rows(warehouse.con, table, rows, chunk_id)
        columns = warehouse.columns(*table.split("."))[:-1]
        content = ledger.content_hash(warehouse.con, table, columns)
        chunk = ledger.Chunk(
            chunk_id, release, table, "hand", f"{table}.rows", "rows", len(rows), len(rows), 0, "", content, {},
            ledger.now(),
        )  # fmt: skip
        ledger.write_chunk(warehouse.con, 0, chunk)


MakeArchive = Callable[..., Settings]


@cache
def _empty(release: str) -> bytes:
    """A warehouse with the release's tables and nothing in them."""
    with TemporaryDirectory() as directory:
        where = Settings(Path(directory), "1GB", 1)
        create(where)
        with open_warehouse(where, write=True) as warehouse:
            prepare(warehouse, load_contract(release))
        return where.database.read_bytes()


@pytest.fixture
def make_archive(tmp_path: Path) -> MakeArchive:
    """A function: rows by raw table -> Settings of a warehouse that holds them, built.

    Keywords: release, sql_directory (a changed copy of sql/), settings (`name=value` words), threads,
    memory_limit, name (directory, when a test makes several).
    """

    def make(
        tables: Tables,
        *,
        release: str = DR2,
        sql_directory: Path | None = None,
        settings: Sequence[str] = (),
        threads: int = 1,
        memory_limit: str = "1GB",
        name: str = "warehouse",
    ) -> Settings:
        where = Settings(tmp_path / name, memory_limit, threads)
        where.warehouse.mkdir(parents=True)
        where.database.write_bytes(_empty(release))
        project = load_project(release, sql_directory, settings=settings)
        with open_warehouse(where, write=True) as warehouse:
            fill(warehouse, release, tables)
            run_build(warehouse, project, engines=ENGINES)
        return where

    return make


def table_rows(settings: Settings, query: str, arguments: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The rows of a query on a warehouse that was built, as dictionaries."""
    with open_warehouse(settings) as warehouse:
        cursor = warehouse.con.execute(query, list(arguments))
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


class Laboratory:
    """An in-memory database with a release's raw tables and every model as a view: rows in, answers out."""

    def __init__(self, project: Project) -> None:
        self.con = duckdb.connect(":memory:", config={"threads": 1})
        ledger.create(self.con, "test", "none")
        nowhere = Settings(Path("none"), "1GB", 1)
        prepare(Warehouse(self.con, nowhere, read_only=False), load_contract(project.release))
        parameters.apply(self.con, project.parameters)
        for model in project.models:
            self.con.execute(f'CREATE VIEW "{model.name}" AS {model.sql}')

    def put(self, tables: Tables) -> None:
        """Replace the rows of these raw tables."""
        for table, rows in tables.items():
            self.con.execute(f"TRUNCATE {table}")
            insert_rows(self.con, table, rows)

    @contextmanager
    def under(self, *settings: str) -> Iterator[None]:
        """Inside, these `name=value` parameters hold."""
        parameters.apply(self.con, load_project(DR2, settings=settings).parameters)
        try:
            yield
        finally:
            parameters.apply(self.con, load_project(DR2).parameters)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """The rows of a query as dictionaries."""
        cursor = self.con.execute(query)
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.fixture(scope="session")
def laboratory() -> Iterator[Laboratory]:
    """A Laboratory of SkyMapper DR2, one per session; each test puts the tables that it reads."""
    bench = Laboratory(load_project(DR2))
    yield bench
    bench.con.close()


def red_giant(object_id: int, **changes: Any) -> dict[str, list[Row]]:
    """Catalogue rows of one object that passes every cut; `changes` sets columns, None makes NULL.

    A change's name is a column of the one table that has it (`prox` of dr2.master). `no=("ext.allwise",)` leaves
    a neighbour's row away.
    """
    absent = changes.pop("no", ())
    tables: dict[str, dict[str, Any]] = {
        "dr2.master": {
            "object_id": object_id, "raj2000": 180.0, "dej2000": -30.0, "glon": 290.0, "glat": 31.0,
            "class_star": 0.98, "flags_psf": 0, "nch_max": 1, "u_ngood": 3, "v_ngood": 3, "g_ngood": 1,
            "u_nclip": 0, "v_nclip": 0, "g_nclip": 0, "ebmv_sfd": 0.05, "prox": 15.0,
            "twomass_key": object_id + 1, "twomass_dist": 0.2, "gaia_dr2_id1": object_id + 3, "gaia_dr2_dist1": 0.1,
            "allwise_cntr": object_id + 2, "allwise_dist": 0.3,
        },
        "ext.twomass_psc": {
            "pts_key": object_id + 1, "j_m": Decimal("9.000"), "h_m": Decimal("8.300"),
            "k_m": Decimal("8.000"), "ph_qual": "AAA", "cc_flg": "000", "gal_contam": 0, "ext_key": None,
        },
        "ext.allwise": {"cntr": object_id + 2, "w1mpro": Decimal("7.900"), "w2mpro": Decimal("8.000")},
        "ext.gaia_dr2": {"source_id": object_id + 3, "parallax": 0.2, "parallax_error": 0.03},
        "gaiadr2_complements.geometric_distance": {
            "source_id": object_id + 3, "r_est": 4350.0, "r_lo": 4000.0, "r_hi": 5000.0, "result_flag": 1,
            "modality_flag": 1,
        },
    }  # fmt: skip
    for column, value in changes.items():
        owners = [row for row in tables.values() if column in row]
        if len(owners) != 1:
            raise KeyError(column)
        owners[0][column] = value
    return {table: [row] for table, row in tables.items() if table not in absent}


def together(*parts: Tables) -> dict[str, list[Row]]:
    """The tables of several parts as one."""
    found: dict[str, list[Row]] = {}
    for part in parts:
        for table, rows in part.items():
            found.setdefault(table, []).extend(rows)
    return found


def exposures(
    first_image_id: int,
    filters: str,
    date: float,
    *,
    field_id: int | None = 1,
    image_type: str | None = "ms",
    exp_time: float | None = 100.0,
    night_mjd: int | None = None,
    step_min: float = 2.0,
) -> list[dict[str, Any]]:
    """Rows of dr2.images: an exposure per letter of `filters`, start to start `step_min` minutes; ids count up."""
    night = int(date) if night_mjd is None else night_mjd
    return [
        {
            "image_id": first_image_id + place, "night_mjd": night, "field_id": field_id, "exp_time": exp_time,
            "date": date + place * step_min * MINUTE_D, "filter": band, "image_type": image_type,
        }
        for place, band in enumerate(filters)
    ]  # fmt: skip


def detection(object_id: int | None, image: Row, mag: float | None, err: float | None, **others: Any) -> dict[str, Any]:
    """A row of dr2.photometry: a good detection of the object in that exposure."""
    return {
        "object_id": object_id, "image_id": image["image_id"], "filter": image["filter"], "ccd": 1,
        "mag_psf": mag, "e_mag_psf": err, "flags": 0, "nimaflags": 0, "used_in_clip": True, **others,
    }  # fmt: skip


@dataclass(frozen=True)
class Sky:
    """A simulated sky: the directory of its archive files and truth, and its built warehouse."""

    files: Path
    settings: Settings


def build_sky(directory: Path, objects: int, *, seed: int = 7, release: str = DR2, settings: Sequence[str] = ()) -> Sky:
    """Simulate, load and build a sky under `directory`, with these `name=value` parameters."""
    files = directory / "archive"
    simulate(files, objects=objects, seed=seed, release=release)
    where = Settings(directory / "warehouse", "1GB", 1)
    create(where)
    with open_warehouse(where, write=True) as warehouse:
        load_directory(warehouse, release, files)
        run_build(warehouse, load_project(release, settings=settings), engines=ENGINES)
    return Sky(files, where)


def shared_sky(
    tmp_path_factory: pytest.TempPathFactory, objects: int, *, release: str = DR2, settings: Sequence[str] = ()
) -> Sky:
    """A sky of so many objects and seed 7, made once for all workers; open it read-only."""
    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "-".join(
        ("sky", str(objects), release, *settings)
    )
    directory.mkdir(exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = directory / "done"
        if not done.exists():
            build_sky(directory, objects, release=release, settings=settings)
            done.touch()
    return Sky(directory / "archive", Settings(directory / "warehouse", "1GB", 1))


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Sky:
    """The sky of 3,000 objects and seed 7."""
    return shared_sky(tmp_path_factory, 3_000)


REPORT_PAGES = 12
"""Candidates that have a page of their own in the report that tests look at."""

REPORT_FIGURES = 3
"""Figures that are drawn for it."""


@pytest.fixture(scope="session")
def report(simulated: Sky) -> Path:
    """The report of that sky as the command writes it, made once for all workers; what the command said lies beside it."""
    base = simulated.files.parent / "written"
    base.mkdir(exist_ok=True)
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / "told.json").exists():
            words = ["--out", str(base / "report"), "--pages", str(REPORT_PAGES), "--top", "1", "--json"]
            app = typer.Typer()
            app.command()(report_command.report)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    plates, "FIGURES", dict(list(FIGURES.items())[:REPORT_FIGURES])
                )  # each takes half a second
                # In the bounds that tests open it with: one process may have it open once more only with the same.
                place = ["--warehouse", str(simulated.settings.warehouse), "--memory-limit", "1GB", "--threads", "1"]
                done = CliRunner().invoke(app, [*words, *place])
            assert done.exit_code == 0, done.output
            (base / "told.json").write_text(done.stdout, encoding="utf-8")
    return base / "report"
