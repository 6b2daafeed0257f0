"""A folder that is made aside and takes the place of the old one when it is whole."""

from __future__ import annotations

import errno
import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from skysy.errors import UsageError

MARK = '<meta name="generator" content="skysy report">'
"""Stands in the index.html of a report: only a folder that has it, or is empty, is replaced."""


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder`, made at once, that takes its place when all went well; else the old one stays.

    Raises UsageError where it cannot be written, or where `folder` holds something else than a report.
    """
    part, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{word}") for word in ("part", "old"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        _check(folder)
        part.mkdir()
        yield part
        if folder.exists():
            folder.rename(old)
        try:
            part.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise UsageError(
            f"The report cannot be written to {folder}: {error.strerror}.", "Name another folder with --out DIR."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _check(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    index = folder / "index.html"
    if any(folder.iterdir()) and not (
        index.is_file() and MARK in index.read_text(encoding="utf-8", errors="replace")[:4000]
    ):
        raise UsageError(
            f"{folder} holds other files than a report.",
            "Nothing was changed. Name a new or an empty folder with --out DIR.",
        )


def _sweep(folder: Path) -> None:
    """Take away what killed processes left; the old folder comes back where one died between the two renames."""
    for left in folder.parent.glob(f".{glob.escape(folder.name)}.*"):
        _, _, rest = left.name.partition(f".{folder.name}.")
        pid, _, word = rest.partition(".")
        if not pid.isdigit() or word not in ("part", "old") or _is_running(int(pid)):
            continue
        if word == "old" and not folder.exists():
            left.rename(folder)
        else:
            shutil.rmtree(left, ignore_errors=True)


def _is_running(pid: int) -> bool:
    with suppress(PermissionError):  # another user's
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
