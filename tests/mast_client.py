"""What tests of MAST share: someone with a warehouse that has candidates, and what the served archive holds at their places."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from archive_client import raw_hashes
from conftest import create, table_rows
from mast_archive import MastArchive
from skysy.loaders.archive import wire
from skysy.loaders.archive.cone import CONTROL_DEG
from skysy.loaders.raw import prepare
from typer.testing import CliRunner, Result

from skysy.cli.commands import app
from skysy.config import Settings
from skysy.contract import load_contract
from skysy.errors import SkysyError
from skysy.store import open_warehouse

CANDIDATES = {101: (10.0, -30.0), 102: (40.0, -35.0), 103: (200.0, -40.0), 104: (200.01, -40.0)}
"""The last two lie in one footprint of GALEX; the second has nothing."""


def observation(obsid: int, collection: str, ra: float, dec: float, **others: Any) -> dict[str, Any]:
    return {
        "obsid": obsid, "obs_collection": collection, "s_ra": ra, "s_dec": dec, "calib_level": 2, "obs_id": f"o{obsid}",
        "intentType": "science", "t_min": 58000.5, "t_max": 58000.75, "t_exptime": 100, **others,
    }  # fmt: skip


R_AQR = [observation(900 + place, "IUE", *CONTROL_DEG, instrument_name="SWP", reach=0.001) for place in range(2)]
HELD = [
    *R_AQR,
    observation(2003585980, "SWIFT", 10.0, -30.0, instrument_name="UVOT", filters="UVW1", reach=0.1, t_exptime=511.25),
    observation(2003585981, "SWIFT", 10.0, -30.0, instrument_name="XRT", reach=0.1),
    observation(27403835, "TESS", 10.0, -30.0, instrument_name="Photometer", target_name="38846515", t_exptime=120),
    observation(27403836, "TESS", 12.0, -31.0, target_name="TESS FFI", reach=5.0, t_exptime=1425.6),
    observation(
        1000016660, "GALEX", 200.1, -40.1, obs_id=6374469411427844097, reach=0.6, t_exptime=None, srcDen=58000.5
    ),
]  # fmt: skip


@dataclass
class User:
    """Someone with a warehouse that has candidates, and a skysy.toml that points at the served archive."""

    directory: Path
    archive: MastArchive

    @property
    def settings(self) -> Settings:
        return Settings(self.directory / "warehouse", "1GB", 1)

    def configure(self, **mast: Any) -> None:
        quick = {"pause_s": 0.0, "poll_s": 0.01, "tries": 3, "timeout_s": 5.0}
        profiles = {
            "mast": {"url": self.archive.url, **quick, **mast},
            "stpubdata": {"url": f"{self.archive.url}/stpubdata", **quick},
        }
        text = "".join(
            f"[services.{key}]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in profile.items())
            for key, profile in profiles.items()
        )
        (self.directory / "skysy.toml").write_text(text)

    def words(self, command: str, *words: str) -> list[str]:
        release = [] if command == "products" else ["--release", "skymapper_dr2"]
        config = [] if "--offline" in words else ["--config", str(self.directory / "skysy.toml")]
        return [command, *words, *release, *config, "--warehouse", str(self.settings.warehouse)]

    def run(self, command: str, *words: str) -> Result:
        return CliRunner().invoke(app, self.words(command, *words))

    def done(self, command: str, *words: str) -> str:
        result = self.run(command, *words)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    def fails(self, command: str, *words: str, code: int = 7) -> SkysyError:
        result = self.run(command, *words)
        assert isinstance(result.exception, SkysyError), (result.output, result.exception)
        assert result.exception.exit_code == code, result.exception
        return result.exception

    def rows(self, query: str) -> list[dict[str, Any]]:
        return table_rows(self.settings, query)

    def held(self) -> list[tuple[int, int | None]]:
        return [
            (row["object_id"], row["obsid"]) for row in self.rows("FROM mast.observation ORDER BY object_id, obsid")
        ]

    def hashes(self) -> dict[str, str]:
        return raw_hashes(self.settings, ["mast.observation", "mast.product"])


TRUTH = [
    (101, 27403835), (101, 27403836), (101, 2003585980), (101, 2003585981), (102, None), (103, 1000016660), (104, 1000016660),
]  # fmt: skip


@pytest.fixture(scope="module")
def mast() -> Iterator[MastArchive]:
    with MastArchive(HELD) as archive:
        yield archive


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse that has four candidates and was never told of MAST."""
    made = User(tmp_path_factory.mktemp("empty"), MastArchive([]))
    create(made.settings)
    with open_warehouse(made.settings, write=True) as house:
        prepare(house, load_contract("skymapper_dr2"))
        house.run("CREATE TABLE candidates (object_id BIGINT, raj2000 DOUBLE, dej2000 DOUBLE)")
        for key, (ra, dec) in CANDIDATES.items():
            house.run("INSERT INTO candidates VALUES (?, ?, ?)", [key, ra, dec])
    return made.settings.warehouse


@pytest.fixture
def user(mast: MastArchive, empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """A User of that warehouse; the archive is healthy before and after."""
    monkeypatch.setattr(wire, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(wire, "_HOSTS", {})
    yield from a_user(mast, empty, tmp_path)


def a_user(mast: MastArchive, warehouse: Path, directory: Path) -> Iterator[User]:
    mast.heal()
    made = User(directory, mast)
    made.configure()
    shutil.copytree(warehouse, made.settings.warehouse)
    yield made
    mast.heal()
