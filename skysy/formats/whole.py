"""Files and directories that appear under their name only when they are whole and on disk."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from skysy.errors import UsageError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk, or a quota on it, without room."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that takes the name `path` at the end; on an error what stood there before stays.

    What a process that was killed had begun of the same file is taken away.
    """
    with whole_path(path) as partial, _begun(path, partial) as out:
        yield out


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """The same for those who open the file themselves, and close it, as DuckDB: the name, of no file yet, to write to."""
    partial = _beside(path, "part")
    try:
        yield partial
        sync(partial)
        partial.replace(path)
    except BaseException:
        for left in (partial, Path(f"{partial}.wal")):
            with suppress(OSError):
                left.unlink()
        raise
    sync(path.parent)


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """A new directory to fill that takes the name `path` at the end; what stood there before is taken away then.

    Between the two, a moment, there is nothing of that name: directories cannot be exchanged in one step everywhere.
    """
    partial = _beside(path, "part")
    old = partial.with_name(f"{partial.name}.old")
    try:
        with _told(path):
            partial.mkdir(parents=True)
        yield partial
        for file in partial.rglob("*"):
            sync(file)
        if path.exists():
            path.rename(old)
        partial.rename(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    sync(path.parent)


@contextmanager
def scratch_directory(path: Path) -> Iterator[Path]:
    """A directory beside `path` for what goes into it; it is gone at the end, after a kill with the next who writes `path`."""
    scratch = _beside(path, "parts")
    try:
        scratch.mkdir()
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _beside(path: Path, ending: str) -> Path:
    """A name beside `path` that is this process's own; what processes of this machine that are no more had begun is gone."""
    host = socket.gethostname()
    _sweep(path, host)
    return path.with_name(f".{path.name}.{host}-{os.getpid()}.{ending}")


def _begun(path: Path, partial: Path) -> BinaryIO:
    with _told(path):
        return partial.open("wb")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Inside, a place that cannot be written is told under the name that the user gave; a full disk is another matter."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise
        raise UsageError(f"{path} cannot be written: {error.strerror}.", "Name a place that you may write.") from error


def _sweep(path: Path, host: str) -> None:
    """Remove the beginnings of this file or directory, DuckDB logs too, by processes of this machine that are no more."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.{glob.escape(host)}-*.part*"):
        number = left.name.rpartition("-")[2].partition(".part")[0]
        if number.isdigit() and not _lives(int(number)):
            if left.name.endswith(".old") and not path.exists():
                left.rename(path)  # killed between the two names of a directory
            elif left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                with suppress(OSError):
                    left.unlink()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's
    return True


def sync(path: Path) -> None:
    """Make a file's bytes, or a directory's new name, last through a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
