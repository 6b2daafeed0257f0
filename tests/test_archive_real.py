"""The whole way through a real TAP server: doctor, plan, load, build; the same science as from the sky's files, whoever dies.

    pytest -m archive tests/test_archive_real.py                     some minutes
    pytest -m "archive and slow" -s tests/test_archive_real.py       10 deaths of the server, 20 of the client

The peer has no SIMBAD: the known stars come from their file, as a user may have them.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from archive_client import BINARY2, raw_hashes, results
from conftest import DR2, table_rows
from typer.testing import CliRunner, Result

from skysy import ledger
from skysy.cli.commands import app
from skysy.config import Settings

if TYPE_CHECKING:
    from archive_fixtures import RealArchive

pytest_plugins = ["archive_fixtures"]

SEED = 20241118
TABLEDATA = "application/x-votable+xml;serialization=TABLEDATA"
ROUTES = tuple(word for name in ("sample", "images", "distances", "photometry") for word in ("--route", name))
RAW = (
    "dr2.master", "ext.twomass_psc", "ext.allwise", "ext.gaia_dr2", "dr2.images",
    "gaiadr2_complements.geometric_distance", "dr2.photometry",
)  # fmt: skip
KNOWN = "known.objects.csv"
ARCHIVE_EXIT = 7
# Small pieces, so that there is much to break off: tiles of the sky for the sample, some chunks of the photometry.
PIECES = """
[services.mirror]
title = "mirror"
kind = "tap"
url = "{url}"
uploads = true
max_rows = 16_000
pause_s = 0.0
job_s = 30
[services.skymapper]
url = "{url}"
max_rows = 1_000
pause_s = 0.0
poll_s = 0.5
job_s = 30
[services.ari]
url = "{url}"
upload_rows = 400
[routes.skymapper_dr2]
images = "mirror"
photometry = "mirror"
simbad = "mirror"
"""


@dataclass(frozen=True)
class User:
    """Someone with a directory of their own: a skysy.toml that points at the peer, and a warehouse."""

    directory: Path
    url: str
    release: str = DR2

    @property
    def settings(self) -> Settings:
        return Settings(self.directory / "warehouse", "1GB", 2)

    def configure(self, **skymapper: Any) -> None:
        """Every route asks the peer: the profile of SkyMapper with these settings, those of ARI and GAVO with the same uploads."""
        lines = [
            f"{name} = {json.dumps(value)}" for name, value in {"pause_s": 0.0, "poll_s": 0.3, **skymapper}.items()
        ]
        uploads = f"uploads = {json.dumps(bool(skymapper.get('uploads', False)))}"
        self.write(
            "\n".join(
                [
                    "[services.skymapper]", f'url = "{self.url}"', *lines, "[services.ari]", f'url = "{self.url}"', uploads,
                    "[services.gavo]", f'url = "{self.url}"', uploads, f"[routes.{self.release}]", 'simbad = "skymapper"',
                ]
            )
        )  # fmt: skip

    def write(self, text: str) -> None:
        """Write the skysy.toml."""
        (self.directory / "skysy.toml").write_text(text)

    def words(self, command: str, *words: str) -> list[str]:
        """The words of a command on this warehouse and this configuration."""
        place = [] if command == "doctor" else ["--warehouse", str(self.settings.warehouse)]
        own = [] if "--offline" in words or "--from" in words else ["--config", str(self.directory / "skysy.toml")]
        return [command, "--release", self.release, *words, *place, *own]

    def run(self, command: str, *words: str) -> Result:
        """One command, in this process; it must succeed."""
        done = CliRunner().invoke(app, self.words(command, *words))
        assert done.exit_code == 0, (done.output, done.exception)
        return done

    def start_load(self) -> subprocess.Popen[str]:
        """`skysy load` of all that the peer has, in a process of its own."""
        words = [sys.executable, "-m", "skysy", *self.words("load", *ROUTES)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def build(self, archive: RealArchive) -> dict[str, str]:
        """The results of a build, with the known stars of the sky's files."""
        known = self.directory / "known"
        known.mkdir(exist_ok=True)
        shutil.copy(archive.files[self.release] / KNOWN, known)
        self.run("load", "--from", str(known))
        return built(self.settings)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """The rows of a query on the warehouse."""
        return table_rows(self.settings, query)

    def raw(self) -> dict[str, str]:
        """The content of every table that the peer has."""
        return raw_hashes(self.settings, RAW)


def built(settings: Settings) -> dict[str, str]:
    """Build a warehouse; what its results hold."""
    done = CliRunner().invoke(app, ["build", "-q", "--warehouse", str(settings.warehouse)])
    assert done.exit_code == 0, (done.output, done.exception)
    return results(settings)


def copy_of(archive: RealArchive, release: str, directory: Path) -> Settings:
    """A warehouse of one's own that the files of a release were loaded into."""
    shutil.copytree(archive.settings[release].warehouse, directory / "warehouse")
    return Settings(directory / "warehouse", "1GB", 2)


@pytest.fixture(scope="module")
def from_files(real_archive: RealArchive, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the same sky's files give."""
    return built(copy_of(real_archive, DR2, tmp_path_factory.mktemp("from-files")))


@pytest.fixture
def user(real_archive: RealArchive, tmp_path: Path) -> User:
    """A user who has loaded nothing yet."""
    made = User(tmp_path, real_archive.tap_url)
    made.configure(uploads=True, format=BINARY2)
    return made


@dataclass(frozen=True)
class Undisturbed:
    """A user whose load nobody disturbed, how long it took and what it brought."""

    user: User
    seconds: float
    raw: dict[str, str]


@pytest.fixture(scope="module")
def undisturbed(real_archive: RealArchive, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """One load in small pieces."""
    made = User(tmp_path_factory.mktemp("undisturbed"), real_archive.tap_url)
    made.write(PIECES.format(url=made.url))
    started = time.perf_counter()
    finish(made)
    return Undisturbed(made, time.perf_counter() - started, made.raw())


def finish(user: User) -> None:
    """Load to the end, in a process of its own."""
    with user.start_load() as child:
        told = child.communicate()[0]
    assert child.returncode == 0, told


def is_once(user: User, tables: Sequence[str] = RAW) -> None:
    """Each part is in once, with the rows that its ledger row says; each id was asked for once by each route."""
    chunks = user.rows("SELECT * FROM meta.chunk WHERE state = 'loaded'")
    parts = [(one["table_name"], one["part"]) for one in chunks]
    assert len(set(parts)) == len(parts)
    assert user.rows("SELECT state FROM meta.chunk WHERE state NOT IN ('loaded', 'split')") == []
    for table in tables:
        counted = user.rows(f"SELECT {ledger.CHUNK_COLUMN} AS id, count(*) AS n FROM {table} GROUP BY ALL")
        mine = [one for one in chunks if one["table_name"] == table]
        told = {
            one["chunk_id"]: one["received_rows"] - json.loads(one["notes"]).get("already_there", 0) for one in mine
        }
        assert {one["id"]: one["n"] for one in counted} == {key: rows for key, rows in told.items() if rows}, table
    asked = "SELECT route, key, count(*) AS n FROM meta.asked GROUP BY ALL HAVING n > 1"
    assert user.rows(asked) == []


def is_tidy(user: User) -> bool:
    """Whether nothing is left of answers that broke off."""
    return not list(user.settings.warehouse.rglob("*.part"))


@contextmanager
def heard(child: subprocess.Popen[str]) -> Iterator[list[str]]:
    """Inside, the output of a child is read as it comes, so that it never waits for a reader."""
    told: list[str] = []
    assert child.stdout is not None
    reader = threading.Thread(target=lambda: told.append(child.stdout.read() if child.stdout else ""), daemon=True)
    reader.start()
    yield told
    child.wait()
    reader.join()


@pytest.mark.archive
def test_the_doctor_finds_a_real_server_well(user: User) -> None:
    told = user.run("doctor").stdout
    assert "BAD" not in told
    for table in RAW:
        assert f" {table} " in told
    assert "100 of 100 columns are there" in told


@pytest.mark.archive
@pytest.mark.parametrize(("uploads", "form"), [(True, TABLEDATA), (False, BINARY2)])
def test_a_real_server_gives_the_same_results_as_the_files(
    user: User, real_archive: RealArchive, from_files: dict[str, str], uploads: bool, form: str
) -> None:
    user.configure(uploads=uploads, format=form)
    planned = json.loads(user.run("plan", "--route", "sample", "--route", "images", "--json").stdout)
    user.run("load", *ROUTES)
    got = {one["table_name"]: one["n"] for one in user.rows(RECEIVED)}
    assert {one["table"]: one["rows"] for one in planned["tables"]} == {name: got[name] for name in RAW[:5]}
    assert {json.loads(one["upload"]) for one in user.rows(UPLOADED)} == {uploads}
    assert user.build(real_archive) == from_files
    is_once(user)


RECEIVED = "SELECT table_name, sum(received_rows)::BIGINT AS n FROM meta.chunk WHERE state = 'loaded' GROUP BY ALL"
UPLOADED = "SELECT DISTINCT upload::JSON::VARCHAR AS upload FROM meta.chunk WHERE route IN ('distances', 'photometry')"


@pytest.mark.archive
def test_cones_of_a_real_server_give_the_same_results(
    user: User, real_archive: RealArchive, from_files: dict[str, str]
) -> None:
    cone = f'[services.skymapper_cone]\nurl = "{real_archive.peer.cone_url("dr2.photometry")}"\npause_s = 0.0\n'
    user.write((user.directory / "skysy.toml").read_text() + "\n" + cone)
    user.run("load", *ROUTES[:6])
    user.run("load", *ROUTES[6:], "--service", "photometry=skymapper_cone")
    assert user.build(real_archive) == from_files


@pytest.mark.archive
def test_a_second_load_asks_nothing_and_an_offline_one_makes_the_same_again(undisturbed: Undisturbed) -> None:
    user = undisturbed.user
    is_once(user)
    chunks = user.rows("SELECT * FROM meta.chunk ORDER BY chunk_id")
    told = user.run("load", *ROUTES).stdout
    assert told.count("nothing new at") == 4
    assert user.rows("SELECT * FROM meta.chunk ORDER BY chunk_id") == chunks
    asked = user.rows("SELECT route, key, found FROM meta.asked ORDER BY ALL")
    user.settings.database.unlink()
    user.run("load", "--offline")
    assert user.raw() == undisturbed.raw
    assert user.rows("SELECT route, key, found FROM meta.asked ORDER BY ALL") == asked
    assert user.run("load", *ROUTES).stdout.count("nothing new at") == 4
    assert user.raw() == undisturbed.raw


@pytest.mark.archive
@pytest.mark.slow
def test_a_server_that_dies_within_a_load_costs_time_and_nothing_else(
    undisturbed: Undisturbed, real_archive: RealArchive, from_files: dict[str, str], tmp_path: Path
) -> None:
    user = User(tmp_path, real_archive.tap_url)
    kill_server(user, real_archive, [undisturbed.seconds * 0.2, undisturbed.seconds * 0.6])
    assert user.raw() == undisturbed.raw
    assert user.build(real_archive) == from_files


@pytest.mark.archive
@pytest.mark.slow
def test_a_client_that_dies_goes_on_where_it_was(
    undisturbed: Undisturbed, real_archive: RealArchive, from_files: dict[str, str], tmp_path: Path
) -> None:
    user, chance = User(tmp_path, real_archive.tap_url), random.Random(SEED)
    moments = [chance.uniform(low, low + 0.2) * undisturbed.seconds for low in (0.1, 0.2, 0.3)]
    kill_client(user, moments)
    assert user.raw() == undisturbed.raw
    assert user.build(real_archive) == from_files


@pytest.mark.archive
@pytest.mark.slow
def test_10_deaths_of_the_server_at_random_moments(
    undisturbed: Undisturbed, real_archive: RealArchive, tmp_path: Path
) -> None:
    died = 0
    for number, moment in enumerate(spread(10, undisturbed.seconds * 0.9, "server")):
        user = fresh(tmp_path / str(number), real_archive)
        died += kill_server(user, real_archive, [moment])
        assert user.raw() == undisturbed.raw, f"killed after {moment:.2f} s"
    assert died == 10


@pytest.mark.archive
@pytest.mark.slow
def test_20_deaths_of_the_client_at_random_moments(
    undisturbed: Undisturbed, real_archive: RealArchive, tmp_path: Path
) -> None:
    died, drawn = 0, spread(20, undisturbed.seconds * 0.5, "client")
    for number in range(0, 20, 2):
        user = fresh(tmp_path / str(number), real_archive)
        died += kill_client(user, drawn[number : number + 2])
        assert user.raw() == undisturbed.raw, f"killed after {drawn[number : number + 2]} s"
    assert died == 20


def fresh(directory: Path, archive: RealArchive) -> User:
    """Another user who has loaded nothing yet."""
    directory.mkdir()
    return User(directory, archive.tap_url)


def spread(count: int, seconds: float, name: str) -> list[float]:
    """Moments over a time, one in each of `count` equal parts of it, in random order."""
    chance = random.Random(f"{SEED} {name}")
    drawn = [(part + chance.random()) / count * seconds for part in range(count)]
    chance.shuffle(drawn)
    print(f"\n{name} killed after {', '.join(f'{moment:.2f}' for moment in drawn)} s")
    return drawn


def kill_server(user: User, archive: RealArchive, moments: Sequence[float]) -> int:
    """Load; kill -9 the web server each time so long after it came (back), then load to the end; how often it died.

    A load may outlast the death, or end and say in words that the archive is away.
    """
    user.write(PIECES.format(url=user.url))
    died = 0
    with user.start_load() as child, heard(child) as told:
        for moment in moments:
            try:
                child.wait(moment)
            except subprocess.TimeoutExpired:
                archive.peer.kill()
                died += 1
                time.sleep(0.5)
                archive.peer.restart()
    if child.returncode:
        assert child.returncode == ARCHIVE_EXIT, told
        assert "Traceback" not in told[0]
        assert told[0].startswith("error: ")
    finish(user)
    is_once(user)
    assert is_tidy(user)
    return died


def kill_client(user: User, moments: Sequence[float]) -> int:
    """Load and kill -9 the load, each time after so long, then load to the end; how often it died."""
    user.write(PIECES.format(url=user.url))
    died = 0
    for moment in moments:
        with user.start_load() as child, heard(child) as told:
            try:
                child.wait(moment)
                assert child.returncode == 0, told
            except subprocess.TimeoutExpired:
                child.kill()
                died += 1
    finish(user)
    is_once(user)
    assert is_tidy(user)
    return died
