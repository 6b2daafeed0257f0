"""One real archive per session for tests marked `archive`; a test module gets it with `pytest_plugins = ["archive_fixtures"]`.

Importing the fixture by name would make one archive per module.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from archive_peer import system
from archive_peer.peer import Peer, start
from skysy.analysis.simulate.write import simulate

from skysy.config import Settings

OBJECTS = 2_000
SEED = 11
DR2, DR4 = "skymapper_dr2", "skymapper_dr4"


@dataclass(frozen=True)
class RealArchive:
    """A running peer and, by release, the simulated files that it was filled from and a warehouse that they were loaded into.

    Open the warehouses read-only: they are the truth that answers are held against; nothing in them is built.
    """

    peer: Peer
    files: Mapping[str, Path]
    settings: Mapping[str, Settings]

    @property
    def tap_url(self) -> str:
        """The TAP service's base."""
        return self.peer.tap_url


@pytest.fixture(scope="session")
def real_archive() -> Iterator[RealArchive]:
    """A GAVO DaCHS server with a sky of 2,000 objects, as DR2 and as DR4 tell it, on free ports of the loopback.

    It is stopped at the session's end.
    """
    if lack := system.missing():
        pytest.skip(f"{lack}; `make test-archive` installs it, as root")
    # Not pytest's own directory: as root the servers run under another user, who may not enter that.
    directory = Path(tempfile.mkdtemp(prefix="skysy-peer-"))
    try:
        directory.chmod(0o755)
        skies = {release: directory / release for release in (DR2, DR4)}
        for release, sky in skies.items():
            simulate(sky, objects=OBJECTS, seed=SEED, release=release)
        peer = start(directory / "peer", list(skies.values()))
        try:
            yield RealArchive(peer, skies, {release: Settings(peer.warehouse(release), "1GB", 2) for release in skies})
        finally:
            peer.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
