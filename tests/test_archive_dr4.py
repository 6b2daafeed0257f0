"""SkyMapper DR4 through a real TAP server: plan, load and build give what the files of the same sky give; held against DR2."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from archive_client import BINARY2, raw_hashes, results
from conftest import DR2, table_rows
from test_archive_real import ROUTES, User, built, copy_of, is_once
from typer.testing import CliRunner

from skysy import ledger
from skysy.cli.commands import app
from skysy.config import Settings
from skysy.store import open_warehouse

if TYPE_CHECKING:
    from archive_fixtures import RealArchive

pytest_plugins = ["archive_fixtures"]

DR4 = "skymapper_dr4"
# Every object with both colours is a candidate, so that whoever enters the sample enters the list.
ALL = ("--set", "density_ln_max=99.0")
# The rows that a load must bring, as a part of what the files hold: {objects} is the answer there to the queries for objects,
# {asked} are the objects whose detections were asked for, which pass every cut that can be made before.
NEIGHBOURS = "FROM {table} WHERE {key} IN (SELECT {column} FROM ({{objects}}))"
PARTS = {
    "dr4.master": "{objects}",
    "ext.twomass_psc": NEIGHBOURS.format(table="ext.twomass_psc", key="pts_key", column="twomass_key"),
    "ext.allwise": NEIGHBOURS.format(table="ext.allwise", key="cntr", column="allwise_cntr"),
    "ext.gaia_dr3": NEIGHBOURS.format(table="ext.gaia_dr3", key="source_id", column="gaia_dr3_id1"),
    "dr4.images": "FROM dr4.images",
    "gedr3dist.main": NEIGHBOURS.format(table="gedr3dist.main", key="source_id", column="gaia_dr3_id1"),
    "dr4.photometry": "FROM dr4.photometry WHERE object_id IN ({asked})",
}


@dataclass(frozen=True)
class Loaded:
    """A user who loaded and built DR4 by TAP, with what was planned before; and the warehouse of the same sky's files, built."""

    user: User
    planned: dict[str, int]
    files: Settings


@pytest.fixture(scope="module")
def loaded(real_archive: RealArchive, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    user = User(tmp_path_factory.mktemp("dr4"), real_archive.tap_url, DR4)
    user.configure(uploads=True, format=BINARY2)
    told = json.loads(user.run("plan", "--route", "sample", "--route", "images", "--json").stdout)
    user.run("load", *ROUTES)
    user.build(real_archive)
    files = copy_of(real_archive, DR4, tmp_path_factory.mktemp("dr4-files"))
    built(files)
    return Loaded(user, {one["table"]: one["rows"] for one in told["tables"]}, files)


def promised(loaded: Loaded) -> dict[str, str]:
    """The content of each raw table that a load must bring, from the files; the archive's own queries run there unedited."""
    queries = loaded.user.rows("SELECT query FROM meta.chunk WHERE table_name = 'dr4.master' AND state = 'loaded'")
    objects = " UNION ALL ".join(f"({one['query']})" for one in queries)
    asked = ", ".join(
        str(one["key"]) for one in loaded.user.rows("SELECT key FROM meta.asked WHERE route = 'photometry'")
    )
    with open_warehouse(loaded.files) as house:
        return {
            table: ledger.content_hash(
                house.con, f"({part.format(objects=objects, asked=asked)})", house.columns(*table.split("."))[:-1]
            )
            for table, part in PARTS.items()
        }


@pytest.mark.archive
def test_the_doctor_finds_the_tables_of_dr4(loaded: Loaded) -> None:
    told = loaded.user.run("doctor").stdout
    assert "BAD" not in told
    for table in PARTS:
        assert f" {table} " in told
    assert "121 of 121 columns are there" in told


@pytest.mark.archive
def test_every_table_of_dr4_by_tap_holds_what_its_files_hold(loaded: Loaded) -> None:
    there = promised(loaded)
    assert raw_hashes(loaded.user.settings, PARTS) == there
    counts = {table: int(content.split("-")[0], 16) for table, content in there.items()}
    assert counts.items() >= loaded.planned.items()
    assert len(loaded.planned) == 5
    assert min(counts.values()) > 700
    asked = {one["key"] for one in loaded.user.rows("SELECT key FROM meta.asked WHERE route = 'photometry'")}
    assert asked >= {one["object_id"] for one in table_rows(loaded.files, "SELECT object_id FROM sample")}
    [row] = loaded.user.rows("SELECT count(*) AS n FROM meta.chunk WHERE table_name = 'gedr3dist.main' AND upload")
    assert row["n"] > 0
    is_once(loaded.user, tuple(PARTS))


@pytest.mark.archive
def test_results_of_dr4_by_tap_are_those_of_its_files(loaded: Loaded) -> None:
    assert results(loaded.user.settings) == results(loaded.files)
    for table in ("sample", "candidates", "rapid_variability"):
        assert table_rows(loaded.files, f"SELECT count(*) > 0 AS there FROM {table}") == [{"there": True}]


@pytest.mark.archive
def test_diff_of_dr2_and_dr4_by_tap_names_what_dr4_cannot_express(
    loaded: Loaded, real_archive: RealArchive, tmp_path: Path
) -> None:
    dr2 = User(tmp_path / "dr2", real_archive.tap_url)
    dr2.directory.mkdir()
    dr2.configure(uploads=True, format=BINARY2)
    dr2.run("load", *ROUTES)
    everybody(dr2.settings)
    shutil.copytree(loaded.user.settings.warehouse, tmp_path / "dr4")
    dr4 = Settings(tmp_path / "dr4", "1GB", 2)
    everybody(dr4)
    done = CliRunner().invoke(app, ["diff", str(dr2.settings.warehouse), str(dr4.warehouse), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["a"]["release"], told["b"]["release"]) == (DR2, DR4)
    assert told["same_ids"]["objects"] > 1_000
    assert told["same_ids"]["displaced"] == 0
    # By the truth of the simulation: who fails in DR2 by what DR4 has not, and has colours, entered; nobody left.
    truth = pq.read_table(real_archive.files[DR2] / "truth" / "objects.parquet").to_pylist()
    scored = {row["object_id"] for row in table_rows(dr4, "SELECT object_id FROM density_score")}
    never_asked = {row["object_id"] for row in truth if row["fails"] == "single_child"} & scored
    doubtful = {
        row["object_id"]
        for row in truth
        if row["fails"] == "distance_converged" and row["feature"] == "distance_doubtful"
    } & scored
    moves = told["moves"]
    assert {one["change"] for one in moves} == {"entered"}
    by_step = {step: {one["object_id"] for one in moves if one["lost_at"] == step} for step in ("catalogue", "cut")}
    assert by_step == {"catalogue": never_asked, "cut": doubtful}
    assert min(map(len, by_step.values())) > 0
    for one in moves:
        if one["lost_at"] == "catalogue":
            assert "A asked its archive for" in one["reason"]
            assert "single_child" in one["reason"]
        else:
            assert one["cut"] == "distance_converged"


def everybody(settings: Settings) -> None:
    """Build a warehouse with all objects as candidates that have both colours."""
    done = CliRunner().invoke(app, ["build", "-q", *ALL, "--warehouse", str(settings.warehouse)])
    assert done.exit_code == 0, (done.output, done.exception)
