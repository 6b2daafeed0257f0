"""Raw answers as they came, under their checksum, each with a note of the ask that it answers.

    raw/<sha256>.<suffix>      the body
    raw/asks/<number>.json     the ask, and the checksum of its answer

The notes make raw/ whole by itself: a warehouse can be rebuilt from it without asking anybody.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from skysy.loaders.archive.asks import Ask
from skysy.loaders.files import sha256_of

from skysy.errors import FileDamaged

_SUFFIX = {"votable": "vot", "csv": "csv"}


@dataclass(frozen=True)
class Kept:
    """A raw answer that is on disk: the ask that it answers, its release, form and checksum."""

    ask: Ask
    release: str
    form: str
    sha256: str


class Keep:
    """The raw directory of a warehouse."""

    def __init__(self, warehouse: Path) -> None:
        self.directory = warehouse / "raw"
        (self.directory / "asks").mkdir(parents=True, exist_ok=True)

    def part(self, ask: Ask) -> Path:
        """Where an answer is written while it comes."""
        return self.directory / f"{ask.chunk_id}.part"

    def path(self, sha256: str, form: str) -> Path:
        """Where a whole answer lies."""
        return self.directory / f"{sha256}.{_SUFFIX[form]}"

    def keep(self, release: str, ask: Ask, part: Path, sha256: str, form: str) -> Path:
        """Give a whole answer its name, and write its note; both are on disk when this returns."""
        path = self.path(sha256, form)
        note = {"release": release, "form": form, "sha256": sha256, "ask": asdict(ask)}
        part.replace(path)
        _write(self.directory / "asks" / f"{ask.chunk_id:06d}.json", json.dumps(note))
        _sync(self.directory)
        return path

    def whole(self, sha256: str | None, form: str) -> bool:
        """Whether an answer is there with the bytes that its name says."""
        if not sha256 or form not in _SUFFIX:
            return False
        path = self.path(sha256, form)
        return path.is_file() and sha256_of(path) == sha256

    def kept(self) -> Iterator[Kept]:
        """Every answer in the order in which it was asked; raises FileDamaged for one that is not as it came."""
        for note in sorted((self.directory / "asks").glob("*.json")):
            told = json.loads(note.read_text(encoding="utf-8"))
            ask = Ask(**{**told["ask"], "keys": tuple(told["ask"]["keys"])})
            if not self.whole(told["sha256"], told["form"]):
                raise FileDamaged(
                    f"The raw answer {told['sha256'][:12]} of {ask.table}, {ask.words} is missing or changed.",
                    "Without --offline it is asked for again.",
                )
            yield Kept(ask, told["release"], told["form"], told["sha256"])

    def drop_parts(self) -> None:
        """Remove what broken answers left."""
        for path in self.directory.glob("*.part"):
            path.unlink()


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as target:
        target.write(text)
        target.flush()
        os.fsync(target.fileno())
    part.replace(path)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
