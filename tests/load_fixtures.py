"""Fixtures of the tests of `skysy load`."""

from __future__ import annotations

from pathlib import Path

import pytest
from load_bench import Bench, copy_of, make_prepared

from skysy.config import Settings


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The empty warehouse that each Bench starts with a copy of."""
    return make_prepared(tmp_path_factory.mktemp("prepared") / "warehouse")


@pytest.fixture
def bench(prepared: Settings, tmp_path: Path) -> Bench:
    """A directory and a warehouse, both empty."""
    return copy_of(prepared, tmp_path)
