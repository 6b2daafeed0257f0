"""A bundle held against itself: every file, every archive row, and every result built anew; nobody is asked."""

from __future__ import annotations

import json
import lzma
import shutil
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb

from skysy import __version__, ledger
from skysy.bundle import DATABASE, FORMAT, MANIFEST, PARAMETERS, RAW, SUMS, Hashing
from skysy.config import Settings
from skysy.errors import FileDamaged, NotFound, NotReproduced, WarehouseFull
from skysy.formats.whole import FULL
from skysy.models.build import run_build
from skysy.models.plan import Engine, relations
from skysy.models.project import PARAMETER_FILE, load_project
from skysy.models.status import check_contents
from skysy.own import Own
from skysy.store import Warehouse, open_warehouse, sql_text

FromRaw = Callable[[Warehouse, str], object]
"""Loads a release anew from the kept answers of the warehouse's raw directory."""

_PIECE = 1 << 20


@dataclass(frozen=True)
class Verified:
    """What was found to be as the bundle says; `made_with` and `here` are the versions of skysy and DuckDB.

    `checksums` counts archive files and tables whose rows were hashed again, `raw` the archive tables that the kept answers gave
    again; None where they were not compared: another DuckDB hashes otherwise, and raw answers need not be in a bundle.
    """

    files: int
    checksums: int | None
    models: tuple[str, ...]
    raw: tuple[str, ...] | None
    made_with: Mapping[str, str]
    here: Mapping[str, str]
    seconds: float


def verify(
    bundle: Path,
    work: Path,
    settings: Settings,
    *,
    engines: Mapping[str, Engine] | None = None,
    from_raw: FromRaw,
    say: Callable[[str], None] = lambda _: None,
) -> Verified:
    """Unpack a bundle into the empty directory `work`, compare it with its checksums, and build its results anew from its rows.

    `settings` gives DuckDB's bounds. Raises FileDamaged for a file that is not as SHA256SUMS says, or no bundle, NotReproduced for
    rows or results that differ, and as `run_build`.
    """
    begun = time.monotonic()
    say("comparing files with their checksums")
    with _room(work):
        sums = _unpack(bundle, work) if bundle.is_file() else _copy(bundle, work)
    manifest = _manifest(bundle, work)
    place = Settings((work / DATABASE).parent, settings.memory_limit, settings.threads)
    say("comparing archive rows with the ledger")
    same_engine = manifest["duckdb"] == duckdb.__version__
    with _room(work), open_warehouse(place, write=True) as house:
        checksums, problems = check_contents(house)
        problems += _unlike(manifest["archive"], ledger.loaded_hashes(house.con), "the rows of {} are not those")
        say("building all results anew")
        before = _results(house)
        problems += [f"{name}: there is no such result." for name in _tables(manifest) if name not in before]
        _forget_results(house)
        project = load_project(manifest["release"], work / "sql", own=_own(work), parameters_file=work / PARAMETERS)
        run_build(house, project, engines=engines, arguments={"bundle": bundle.name})
        after = _results(house)
        problems += _unlike(before, after, "{}: the result built anew is not the one")
    raw = None
    if (work / RAW).is_dir():
        say("loading the kept answers anew")
        raw, unlike = _reload(work, place, manifest, from_raw)
        problems += unlike
    if problems:
        raise NotReproduced(
            f"{bundle} does not give again what it holds:\n  " + "\n  ".join(problems),
            _versions(manifest, same_engine),
        )
    made_with = {name: manifest[name] for name in ("skysy", "duckdb")}
    here = {"skysy": __version__, "duckdb": duckdb.__version__}
    seconds = time.monotonic() - begun
    return Verified(len(sums), checksums if same_engine else None, tuple(sorted(after)), raw, made_with, here, seconds)


def _unpack(bundle: Path, work: Path) -> dict[str, str]:
    """Write the members of a bundle below `work`, without its outermost directory; the sha256 of each, as SHA256SUMS has it."""
    found: dict[str, str] = {}
    try:
        with tarfile.open(bundle, mode="r|*") as tar:
            for member in tar:
                name = _safe(bundle, member)
                source = tar.extractfile(member)
                if source is None:
                    raise FileDamaged(f"{bundle}: {member.name} is no file; a bundle holds nothing else.")
                reader, path = Hashing(source), work / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as out:
                    shutil.copyfileobj(reader, out, _PIECE)
                found[name] = reader.hexdigest
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise FileDamaged(f"{bundle} has two members of one name.", "Nothing of it was used.") from error
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise FileDamaged(
            f"{bundle} is cut, or is no tar file: {error}.", "Get it again; nothing was changed."
        ) from error
    return _compared(bundle, work, found)


def _safe(bundle: Path, member: tarfile.TarInfo) -> str:
    """A member's name below the outermost directory; raises FileDamaged for one that is no file or would lie outside."""
    parts = PurePosixPath(member.name).parts
    if not member.isreg() or len(parts) < 2 or ".." in parts or member.name.startswith("/"):
        raise FileDamaged(f"{bundle}: {member.name} is not a file of a bundle.", "Nothing of it was used.")
    return PurePosixPath(*parts[1:]).as_posix()


def _copy(bundle: Path, work: Path) -> dict[str, str]:
    """A bundle that was unpacked already, copied to `work`, compared as `_unpack` does."""
    if not bundle.is_dir():
        raise NotFound(f"There is no bundle {bundle}.", "Name a file that `skysy bundle` wrote.")
    if not (bundle / SUMS).is_file():
        raise FileDamaged(
            f"{bundle} has no {SUMS}: it is no bundle, or part of one.", "Name the directory that has it."
        )
    found = {}
    for path in sorted(bundle.rglob("*")):
        if path.is_file():
            name = path.relative_to(bundle)
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as source, (work / name).open("xb") as out:  # without its mode: it may be read-only
                reader = Hashing(source)
                shutil.copyfileobj(reader, out, _PIECE)
            found[name.as_posix()] = reader.hexdigest
    return _compared(bundle, work, found)


def _compared(bundle: Path, work: Path, found: dict[str, str]) -> dict[str, str]:
    if SUMS not in found:
        raise FileDamaged(f"{bundle} has no {SUMS}: it is cut, or is no bundle.", "Get it again; nothing was changed.")
    del found[SUMS]
    lines = (work / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    wanted = {name: digest for digest, name in (line.split("  ", 1) for line in lines if "  " in line)}
    problems = [
        *(f"{name} is missing" for name in sorted(wanted.keys() - found.keys())),
        *(f"{name} is not in {SUMS}" for name in sorted(found.keys() - wanted.keys())),
        *(f"{name} has other bytes" for name in sorted(wanted) if found.get(name, wanted[name]) != wanted[name]),
    ]
    if problems:
        raise FileDamaged(
            f"{bundle} is not as its {SUMS} says:\n  " + "\n  ".join(problems), "Get it again; nothing was changed."
        )
    return found


def _manifest(bundle: Path, work: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((work / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileDamaged(f"{bundle} has no {MANIFEST} that can be read: it is no bundle of skysy.") from error
    if not isinstance(manifest, dict):
        raise FileDamaged(f"{bundle}: {MANIFEST} does not say what it should: it is no bundle of skysy.")
    if manifest.get("format") != FORMAT:
        raise FileDamaged(
            f"{bundle} has the layout {manifest.get('format')}; this skysy reads layout {FORMAT}.",
            f"Install skysy {manifest.get('skysy')}, which wrote it.",
        )
    if lacking := sorted({"release", "skysy", "duckdb", "models", "archive"} - manifest.keys()):
        raise FileDamaged(f"{bundle}: {MANIFEST} does not say {', '.join(lacking)}: it is no bundle of skysy.")
    return manifest


def _own(work: Path) -> Own:
    models, parameters = work / "own" / "models", work / "own" / PARAMETER_FILE
    return Own(models if models.is_dir() else None, parameters if parameters.is_file() else None)


def _tables(manifest: Mapping[str, Any]) -> list[str]:
    return [name for name, model in manifest["models"].items() if model["kind"] == "table"]


def _results(house: Warehouse) -> dict[str, str]:
    """The content hash of each table that a model made, as this DuckDB hashes."""
    standing = house.all_columns()
    return {
        name: ledger.content_hash(house.con, f'main."{name}"', standing[f"main.{name}"])
        for [name] in house.rows("SELECT model FROM meta.model WHERE kind = 'table' ORDER BY model")
        if f"main.{name}" in standing
    }


def _forget_results(house: Warehouse) -> None:
    """Take every result away, so that nothing of the last build can be taken for one of the next."""
    built = {name for [name] in house.rows("SELECT model FROM meta.model")}
    with house.transaction():
        for name, kind in relations(house).items():
            if name in built:
                house.run(f'DROP {kind} main."{name}"')
        house.run("DELETE FROM meta.model")
        house.run("DELETE FROM meta.audit")


def _unlike(said: Mapping[str, str], found: Mapping[str, str], words: str) -> list[str]:
    return [
        f"{words.format(name)} of the bundle."
        for name in sorted(said.keys() | found.keys())
        if said.get(name) != found.get(name)
    ]


def _reload(
    work: Path, place: Settings, manifest: Mapping[str, Any], from_raw: FromRaw
) -> tuple[tuple[str, ...], list[str]]:
    """The archive tables that came from archives, loaded from the kept answers into a warehouse of their own, and what differs."""
    fresh = Settings(work / "from-raw", place.memory_limit, place.threads)
    fresh.warehouse.mkdir()
    shutil.copytree(work / RAW, fresh.warehouse / "raw")
    with open_warehouse(fresh, write=True, make=True) as house, _attached(house, place):
        from_raw(house, manifest["release"])
        tables = [
            table
            for [table] in house.rows(
                "SELECT DISTINCT table_name FROM bundled.meta.chunk WHERE state = 'loaded' AND query IS NOT NULL ORDER BY 1"
            )
        ]
        said, found = {}, {}
        standing = house.all_columns()
        for table in tables:
            columns = [name for name in standing[table] if name != ledger.CHUNK_COLUMN]
            said[table] = ledger.content_hash(house.con, f"bundled.{table}", columns)
            found[table] = ledger.content_hash(house.con, table, columns)
    return tuple(tables), _unlike(said, found, "{}: the kept answers do not give the rows")


@contextmanager
def _attached(house: Warehouse, other: Settings) -> Iterator[None]:
    house.run(f"ATTACH {sql_text(other.database)} AS bundled (READ_ONLY)")
    try:
        yield
    finally:
        house.run("DETACH bundled")


def _versions(manifest: Mapping[str, Any], same_engine: bool) -> str:
    if same_engine and manifest["skysy"] == __version__:
        return "Nothing was changed. The versions are those that wrote it: ask the authors."
    return (
        f"Nothing was changed. It was written by skysy {manifest['skysy']} with DuckDB {manifest['duckdb']}; here are skysy "
        f"{__version__} with DuckDB {duckdb.__version__}. Try with its own (requirements.txt)."
    )


@contextmanager
def _room(work: Path) -> Iterator[None]:
    """Inside, a full disk is told in words."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise WarehouseFull(
                f"The disk is full: the bundle could not be unpacked in {work}.",
                "Nothing was changed. Make room, or name a directory on another disk with --into DIR.",
            ) from error
        raise
