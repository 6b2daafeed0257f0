"""The wheel holds all of skysy, and works far from the sources: SQL, contracts and the report's page come with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHIPPED = {
    "loaders": "skysy/loaders",
    "analysis": "skysy/analysis",
    "sql": "skysy/sql",
    "skysy": "skysy",
}
"""Top-level folder: its place in the wheel."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that `pip wheel` makes of the files as they stand, built beside them."""
    work = tmp_path_factory.mktemp("wheel")
    tree = work / "tree"
    tree.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    for name in SHIPPED:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(work), str(tree)]
    subprocess.run(command, check=True)
    [made] = work.glob("*.whl")
    return made


@pytest.mark.slow
def test_every_source_file_is_in_the_wheel(wheel: Path) -> None:
    wanted = {
        f"{place}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, place in SHIPPED.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == wanted


@pytest.mark.slow
def test_the_installed_wheel_goes_the_whole_way_in_an_empty_directory(wheel: Path, tmp_path: Path) -> None:
    installed, work = tmp_path / "installed", tmp_path / "work"
    work.mkdir()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(installed), str(wheel)]
    subprocess.run(command, check=True)
    environment = {**os.environ, "PYTHONPATH": str(installed)}

    def run(*words: str) -> str:
        done = subprocess.run(words, cwd=work, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run(sys.executable, "-c", "import skysy; print(skysy.__file__)").startswith(str(installed))
    run(sys.executable, "-m", "skysy", "simulate", "sky", "--objects", "1000")
    run(sys.executable, "-m", "skysy", "load", "--release", "skymapper_dr2", "--from", "sky")
    run(str(installed / "bin" / "skysy"), "build")
    run(str(installed / "bin" / "skysy"), "report")
    assert "limit" in run(sys.executable, "-m", "skysy", "candidates", "--top", "1")
    assert (work / "warehouse" / "export" / "report" / "index.html").stat().st_size > 0
