"""A report takes the place of the one before when it is whole, and of nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from skysy.analysis.report.folder import MARK, replacing

from skysy.errors import UsageError


def write(folder: Path, words: str) -> None:
    with replacing(folder) as part:
        (part / "index.html").write_text(f"{MARK}{words}", encoding="utf-8")


def words_of(folder: Path) -> str:
    return (folder / "index.html").read_text(encoding="utf-8").removeprefix(MARK)


def names(directory: Path) -> list[str]:
    return sorted(one.name for one in directory.iterdir())


def test_a_new_report_takes_the_place_of_the_old_one_with_all_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "report"
    write(folder, "first")
    (folder / "candidate").mkdir()
    write(folder, "second")
    assert words_of(folder) == "second"
    assert names(folder) == ["index.html"]
    assert names(folder.parent) == ["report"]


def test_a_report_that_fails_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "report", "old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "report") as part:
        (part / "index.html").write_text("half")
        raise ZeroDivisionError
    with pytest.raises(UsageError, match="No space left"), replacing(tmp_path / "report"):
        raise OSError(28, "No space left on device")
    assert words_of(tmp_path / "report") == "old"
    assert names(tmp_path) == ["report"]


def test_a_new_folder_that_cannot_be_moved_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "report", "old")
    rename = Path.rename

    def fail_for_the_new(path: Path, target: Path) -> Path:
        if path.name.endswith(".part"):
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new)
    with pytest.raises(UsageError, match="Permission denied"):
        write(tmp_path / "report", "new")
    assert words_of(tmp_path / "report") == "old"
    assert names(tmp_path) == ["report"]


def test_a_folder_of_other_files_is_never_replaced_but_an_empty_one_is(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "index.html").write_text("chapter one", encoding="utf-8")
    with pytest.raises(UsageError, match="holds other files"):
        write(tmp_path / "thesis", "report")
    assert (tmp_path / "thesis" / "index.html").read_text(encoding="utf-8") == "chapter one"
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        write(tmp_path / "file", "report")
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty", "report")
    assert words_of(tmp_path / "empty") == "report"
    assert names(tmp_path) == ["empty", "file", "thesis"]


def test_what_killed_processes_left_is_taken_away_and_an_old_report_comes_back(tmp_path: Path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    pid = int(dead.stdout)
    (tmp_path / f".report.{pid}.part").mkdir()
    write(tmp_path / f".report.{pid}.old", "before the death")
    running = tmp_path / f".report.{os.getppid()}.part"
    running.mkdir()
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "report"):
        assert words_of(tmp_path / "report") == "before the death"
        raise ZeroDivisionError
    assert names(tmp_path) == [running.name, "report"]
