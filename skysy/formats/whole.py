"""Files that appear under their name only when they are whole and on disk."""

from __future__ import annotations

import glob
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that takes the name `path` at the end; on an error what stood there before stays.

    What a process that was killed had begun of the same file is taken away.
    """
    host = socket.gethostname()
    _sweep(path, host)
    partial = path.with_name(f".{path.name}.{host}-{os.getpid()}.part")
    try:
        with partial.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _sweep(path: Path, host: str) -> None:
    """Remove the beginnings of this file by processes of this machine that are no more."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.{glob.escape(host)}-*.part"):
        number = left.stem.rpartition("-")[2]
        if number.isdigit() and not _lives(int(number)):
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


def sync_directory(directory: Path) -> None:
    """Make the new name itself last through a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
