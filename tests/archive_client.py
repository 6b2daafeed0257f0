"""What tests of the archive client share: a healthy sky behind a FaultyArchive, and commands that ask it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import COLOUR_SEQUENCE, Sky, detection, exposures, red_giant, shared_sky, table_rows, together
from faulty_archive import FaultyArchive
from skysy.loaders.archive import uws, wire
from skysy.loaders.archive.cone import CONTROL_DEG
from typer.testing import CliRunner, Result

from skysy import ledger
from skysy.cli.commands import app
from skysy.config import Settings
from skysy.errors import SkysyError
from skysy.store import open_warehouse

BINARY2 = "application/x-votable+xml;serialization=BINARY2"
RELEASE = ("--release", "skymapper_dr2")
RESULTS = ("sample", "measurements", "nightly_colours", "colours", "rapid_variability", "density_score", "candidates")
SIMBAD = ("simbad_state", "main_id", "main_type", "cautions")
"""Columns that tell what SIMBAD has."""


def simbad_rows(settings: Settings) -> list[Mapping[str, Any]]:
    """SIMBAD as it would be of this sky: the listed symbiotic stars, at their places, and the star that X-Match is tried with."""
    query = (
        "SELECT k.name AS main_id, m.raj2000 AS ra, m.dej2000 AS dec, 'Sy*' AS otype "
        "FROM known.objects AS k JOIN stg_survey__master AS m USING (object_id) ORDER BY 1"
    )
    ra, dec = CONTROL_DEG
    control = {"main_id": "V* R Aqr", "ra": ra, "dec": dec, "otype": "Sy*"}
    return [*table_rows(settings, query), control]


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Sky:
    """A built sky of 1,000 objects, once for all workers; open it read-only."""
    return shared_sky(tmp_path_factory, 1_000)


@pytest.fixture(scope="module")
def served(sky: Sky) -> Iterator[FaultyArchive]:
    """That sky behind TAP, cone search, X-Match and SIMBAD; healthy unless a test says so."""
    with FaultyArchive(sky.settings.database, simbad=simbad_rows(sky.settings)) as archive:
        yield archive


@dataclass
class Client:
    """A user with a warehouse of their own and a skysy.toml that points at the served archive."""

    directory: Path
    archive: FaultyArchive
    release: str = "skymapper_dr2"

    @property
    def settings(self) -> Settings:
        return Settings(self.directory / "warehouse", "1GB", 1)

    def configure(self, text: str = "", **skymapper: Any) -> None:
        """Write skysy.toml: `skymapper` sets the profile of that service, `text` is added at the end."""
        profile = {
            "url": self.archive.tap_url,
            "pause_s": 0.0,
            "poll_s": 0.05,
            "timeout_s": 5.0,
            "tries": 3,
            "max_rows": 20_000,
            "format": BINARY2,
            **skymapper,
        }
        lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in profile.items())
        quick = "pause_s = 0.0\ntimeout_s = 5.0\ntries = 3"
        (self.directory / "skysy.toml").write_text(
            f"[services.skymapper]\n{lines}\n"
            f'[services.ari]\nurl = "{self.archive.tap_url}"\n{quick}\n'
            f'[services.gavo]\nurl = "{self.archive.tap_url}"\n{quick}\n'
            f'[services.skymapper_cone]\nurl = "{self.archive.cone_url}"\n{quick}\n'
            f'[services.simbad]\nurl = "{self.archive.simbad_url}"\n{quick}\n'
            f'[services.cds_xmatch]\nurl = "{self.archive.xmatch_url}"\n{quick}\n{text}'
        )

    def run(self, command: str, *words: str) -> Result:
        """One command; its exception, if it is a SkysyError, is in the result."""
        place = [] if command == "doctor" else ["--warehouse", str(self.settings.warehouse)]
        config = ["--config", str(self.directory / "skysy.toml")]
        offline = "--offline" in words
        return CliRunner().invoke(
            app, [command, "--release", self.release, *words, *place, *([] if offline else config)]
        )

    def load(self, *words: str) -> Result:
        """`skysy load` that must succeed."""
        result = self.run("load", *words)
        assert result.exit_code == 0, (result.output, result.exception)
        return result

    def fails(self, *words: str, code: int | None = None, command: str = "load") -> SkysyError:
        """A command that must end with an error in words, of that exit code; the error."""
        result = self.run(command, *words)
        assert isinstance(result.exception, SkysyError), (result.output, result.exception)
        assert result.exception.exit_code == (7 if code is None else code), result.exception
        for leak in ("answer.vot", ".vot", "Traceback"):
            assert leak not in result.exception.message
        return result.exception

    def hashes(self, *routes: str) -> dict[str, str]:
        """The content hash of each raw table of these routes."""
        return raw_hashes(self.settings, [table for route in routes for table in TABLES[route]])

    def asked_rows(self) -> list[str]:
        """Queries for rows, not for counts, that the archive saw."""
        return [
            one.query
            for one in self.archive.requests
            if one.operation.endswith((".sync", ".create")) and "COUNT(" not in one.query
            and "TAP_SCHEMA" not in one.query and "MIN(" not in one.query
        ]  # fmt: skip

    def build(self) -> None:
        """`skysy build` that must succeed."""
        result = CliRunner().invoke(app, ["build", "-q", "--warehouse", str(self.settings.warehouse)])
        assert result.exit_code == 0, (result.output, result.exception)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """The rows of a query on the warehouse."""
        return table_rows(self.settings, query)


@pytest.fixture
def client(served: FaultyArchive, tmp_path: Path) -> Iterator[Client]:
    """A Client with an empty warehouse; the archive forgets its log and its faults before and after."""
    yield from _alone(served, tmp_path)


def _alone(archive: FaultyArchive, directory: Path) -> Iterator[Client]:
    """The archive's only user, before and after whom it is healthy and remembers nothing."""
    archive.heal()
    archive.forget()
    made = Client(directory, archive)
    made.configure()
    yield made
    archive.heal()
    archive.forget()


TABLES = {
    "sample": ("dr2.master", "ext.twomass_psc", "ext.allwise", "ext.gaia_dr2"),
    "images": ("dr2.images",),
    "distances": ("gaiadr2_complements.geometric_distance",),
    "photometry": ("dr2.photometry",),
    "simbad": ("simbad.matches",),
}
RAW = tuple(table for tables in TABLES.values() for table in tables)
GIANTS = (
    (1000, 0.0, -30.0), (2000, 359.999, -30.0), (3000, 180.0, -89.999), (4000, 180.0, -45.0), (5000, 180.0, -44.999),
    (6000, 10.0, 5.0), (7000, 270.0, -60.0), (8000, 271.0, -60.0),
)  # fmt: skip
"""Red giants by object_id, right ascension and declination: at the ends of right ascension, the pole, edges of tiles."""


def little_tables() -> dict[str, list[Mapping[str, Any]]]:
    """An archive of eight red giants, one without distance, each detected in some of 60 exposures."""
    giants = [red_giant(key, raj2000=ra, dej2000=dec) for key, ra, dec in GIANTS[:-1]]
    key, ra, dec = GIANTS[-1]
    giants.append(red_giant(key, raj2000=ra, dej2000=dec, no=("gaiadr2_complements.geometric_distance",)))
    images = [image for night in range(6) for image in exposures(100 + 10 * night, COLOUR_SEQUENCE, 57000.5 + night)]
    detections = [
        detection(key, image, 15.0 + (place % 7) / 100, 0.02, ra_img=ra, decl_img=dec, used_in_clip=[True, False, None][place % 3])
        for place, (key, ra, dec) in enumerate(GIANTS)
        for image in images[place * 3 :]
    ]  # fmt: skip
    return together(*giants, {"dr2.images": images, "dr2.photometry": detections})


def little_simbad() -> list[Mapping[str, Any]]:
    """SIMBAD, with one of the giants and the star that X-Match is tried with."""
    places = {"V* R Aqr": CONTROL_DEG, "SY One": GIANTS[0][1:]}
    return [{"main_id": name, "ra": ra, "dec": dec, "otype": "Sy*"} for name, (ra, dec) in places.items()]


@pytest.fixture(scope="module")
def little() -> Iterator[FaultyArchive]:
    """The archive of eight red giants; healthy unless a test says so."""
    with FaultyArchive(little_tables(), simbad=little_simbad()) as archive:
        yield archive


@pytest.fixture
def user(little: FaultyArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A Client of the little archive, who waits little between tries."""
    yield from a_user(little, tmp_path, monkeypatch)


def a_user(archive: FaultyArchive, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A Client of an archive, which is healthy and forgets before and after."""
    monkeypatch.setattr(wire, "_FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(wire, "_HOSTS", {})
    monkeypatch.setattr(uws, "_FIRST_POLL_S", 0.01)
    yield from _alone(archive, directory)


@pytest.fixture(scope="module")
def whole(little: FaultyArchive, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The content hash of each raw table after an undisturbed load of the little archive."""
    made = Client(tmp_path_factory.mktemp("whole"), little)
    made.configure()
    made.load()
    return made.hashes(*TABLES)


@contextmanager
def unchanged(client: Client, tables: Iterable[str]) -> Iterator[None]:
    """Inside, the content of these raw tables must not change."""
    before = raw_hashes(client.settings, tables)
    yield
    assert raw_hashes(client.settings, tables) == before


def raw_hashes(settings: Settings, tables: Iterable[str]) -> dict[str, str]:
    """The content hash of raw tables, without the column that leads to the ledger."""
    with open_warehouse(settings) as house:
        return {table: ledger.content_hash(house.con, table, house.columns(*table.split("."))[:-1]) for table in tables}


def results(settings: Settings) -> dict[str, str]:
    """The content hash of each result, for the objects of the sample, but for the columns that name the load or say what SIMBAD,
    which files are not asked of, has.
    """
    found = {}
    with open_warehouse(settings) as house:
        for table in RESULTS:
            names = [name for name in house.columns("main", table) if name not in ("chunk_id", *SIMBAD)]
            found[table] = ledger.content_hash(
                house.con, table, names, "WHERE object_id IN (SELECT object_id FROM sample)"
            )
    return found
