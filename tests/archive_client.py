"""What tests of the archive client share: a healthy sky behind a FaultyArchive, and commands that ask it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import Sky, shared_sky, table_rows
from faulty_archive import FaultyArchive
from typer.testing import CliRunner, Result

from skysy import ledger
from skysy.cli.commands import app
from skysy.config import Settings
from skysy.store import open_warehouse

BINARY2 = "application/x-votable+xml;serialization=BINARY2"
RELEASE = ("--release", "skymapper_dr2")
RESULTS = ("sample", "measurements", "nightly_colours", "colours", "rapid_variability", "density_score", "candidates")


def simbad_rows(sky: Sky) -> list[Mapping[str, Any]]:
    """SIMBAD as it would be of this sky: the listed symbiotic stars, at their places."""
    query = (
        "SELECT k.name AS main_id, m.raj2000 AS ra, m.dej2000 AS dec, 'Sy*' AS otype "
        "FROM known.objects AS k JOIN stg_survey__master AS m USING (object_id) ORDER BY 1"
    )
    return list(table_rows(sky.settings, query))


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Sky:
    """A built sky of 1,000 objects, once for all workers; open it read-only."""
    return shared_sky(tmp_path_factory, 1_000)


@pytest.fixture(scope="module")
def served(sky: Sky) -> Iterator[FaultyArchive]:
    """That sky behind TAP, cone search, X-Match and SIMBAD; healthy unless a test says so."""
    with FaultyArchive(sky.settings.database, simbad=simbad_rows(sky)) as archive:
        yield archive


@dataclass
class Client:
    """A user with a warehouse of their own and a skysy.toml that points at the served archive."""

    directory: Path
    archive: FaultyArchive

    @property
    def settings(self) -> Settings:
        return Settings(self.directory / "warehouse", "1GB", 2)

    def configure(self, text: str = "", **skymapper: Any) -> None:
        """Write skysy.toml: `skymapper` sets the profile of that service, `text` is added at the end."""
        profile = {
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
            f'[services.skymapper]\nurl = "{self.archive.tap_url}"\n{lines}\n'
            f'[services.ari]\nurl = "{self.archive.tap_url}"\n{quick}\n'
            f'[services.skymapper_cone]\nurl = "{self.archive.cone_url}"\n{quick}\n'
            f'[services.simbad]\nurl = "{self.archive.simbad_url}"\n{quick}\n'
            f'[services.cds_xmatch]\nurl = "{self.archive.xmatch_url}"\n{quick}\n{text}'
        )

    def run(self, command: str, *words: str) -> Result:
        """One command; its exception, if it is a SkysyError, is in the result."""
        place = [] if command == "doctor" else ["--warehouse", str(self.settings.warehouse)]
        config = ["--config", str(self.directory / "skysy.toml")]
        offline = "--offline" in words
        return CliRunner().invoke(app, [command, *RELEASE, *words, *place, *([] if offline else config)])

    def load(self, *words: str) -> Result:
        """`skysy load` that must succeed."""
        result = self.run("load", *words)
        assert result.exit_code == 0, (result.output, result.exception)
        return result

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
    served.heal()
    served.forget()
    made = Client(tmp_path, served)
    made.configure()
    yield made
    served.heal()
    served.forget()


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
    """The content hash of each result, for the objects of the sample, but for the column that names the load."""
    found = {}
    with open_warehouse(settings) as house:
        for table in RESULTS:
            names = [name for name in house.columns("main", table) if name != "chunk_id"]
            found[table] = ledger.content_hash(
                house.con, table, names, "WHERE object_id IN (SELECT object_id FROM sample)"
            )
    return found
