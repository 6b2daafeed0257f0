"""Raw answers as they came, under their checksum, each with a note of the ask that it answers.

    raw/<sha256>.<suffix>      the body
    raw/asks/<number>.json     the ask, and the checksum of its answer

The notes make raw/ whole by itself: a warehouse can be rebuilt from it without asking anybody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skysy.loaders.archive.asks import Ask
from skysy.loaders.files import sha256_of

from skysy.errors import FileDamaged
from skysy.formats.whole import sync, whole_file

_SUFFIX = {"votable": "vot", "csv": "csv", "json": "json"}
_BODY = re.compile(r"[0-9a-f]{64}\.(vot|csv|json)")


@dataclass(frozen=True)
class Kept:
    """A raw answer that is on disk: the ask that it answers, its release, form and checksum."""

    ask: Ask
    release: str
    form: str
    sha256: str
    plan: str


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

    def keep(self, release: str, plan: str, ask: Ask, part: Path, sha256: str, form: str) -> Path:
        """Give a whole answer its name, and write its note; both are on disk when this returns."""
        path = self.path(sha256, form)
        note = {"release": release, "plan": plan, "form": form, "sha256": sha256, "ask": asdict(ask)}
        part.replace(path)
        with whole_file(self._note(ask.chunk_id)) as out:
            out.write(json.dumps(note).encode())
        sync(self.directory)
        return path

    def whole(self, sha256: str | None, form: str) -> bool:
        """Whether an answer is there with the bytes that its name says."""
        if not sha256 or form not in _SUFFIX:
            return False
        path = self.path(sha256, form)
        return path.is_file() and sha256_of(path) == sha256

    def kept(self) -> Iterator[Kept]:
        """Every answer in the order in which it was asked; raises FileDamaged for one that is not as it came."""
        for path in self._notes():
            told = _told(path)
            ask = Ask(**{**told["ask"], "keys": tuple(told["ask"]["keys"])})
            if not self.whole(told["sha256"], told["form"]):
                raise FileDamaged(
                    f"The raw answer {told['sha256'][:12]} of {ask.table}, {ask.words} is missing or changed.",
                    "Without --offline it is asked for again.",
                )
            yield Kept(ask, told["release"], told["form"], told["sha256"], told.get("plan", ""))

    def forget(self, chunk_id: int) -> None:
        """Take the note of an answer away: it is of no use, or others take its place."""
        self._note(chunk_id).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what broken answers left, and bodies that no note is about."""
        for path in [*self.directory.glob("*.part"), *(self.directory / "asks").glob("*.part")]:
            path.unlink()
        bodies = [path for path in self.directory.iterdir() if _BODY.fullmatch(path.name)]
        if bodies:
            needed = {_told(path)["sha256"] for path in self._notes()}
            for path in bodies:
                if path.stem not in needed:
                    path.unlink()

    def _note(self, chunk_id: int) -> Path:
        return self.directory / "asks" / f"{chunk_id:06d}.json"

    def _notes(self) -> list[Path]:
        return sorted((self.directory / "asks").glob("*.json"), key=lambda path: (len(path.name), path.name))


def _told(path: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = told["ask"]["keys"], told["sha256"], told["form"], told["release"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise FileDamaged(
            f"The note {path.name} in {path.parent} cannot be read.",
            "Take it away: without --offline its part is asked for again.",
        ) from error
    return told
