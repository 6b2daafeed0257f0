"""Files packed with gzip: unpacked as a stream that says at its end whether it was whole."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from skysy.errors import FileDamaged

BLOCK = 1 << 20
_AGAIN = "Nothing of it was kept. Get it again."


def is_packed(path: Path) -> bool:
    """Whether a file's name says that it is packed."""
    return path.name.lower().endswith(".gz")


def blocks(name: str, source: BinaryIO, *, packed: bool) -> Iterator[bytes]:
    """The content of a file in blocks; raises FileDamaged where a packed one is cut or garbled."""
    return _unpacked(name, source) if packed else iter(lambda: source.read(BLOCK), b"")


def _unpacked(name: str, source: BinaryIO) -> Iterator[bytes]:
    """The content of a gzip file of one member or more."""
    unpack = zlib.decompressobj(wbits=31)
    begun = False
    try:
        while block := source.read(BLOCK):
            while block:
                if unpack.eof:
                    block = block.lstrip(b"\0")  # archives on tape pad with zeros
                    if not block:
                        break
                    unpack = zlib.decompressobj(wbits=31)
                begun = True
                if found := unpack.decompress(block, BLOCK):
                    yield found
                block = unpack.unconsumed_tail or unpack.unused_data
    except zlib.error as error:
        raise FileDamaged(f"{name} is garbled, or not packed with gzip as its name says: {error}.", _AGAIN) from error
    while not unpack.eof and (found := unpack.decompress(b"", BLOCK)):
        yield found
    if not begun:
        raise FileDamaged(f"{name} is empty.", _AGAIN)
    if not unpack.eof:
        raise FileDamaged(f"{name} is cut: its gzip stream has no end.", _AGAIN)
