"""HATS catalogues behind a URL, copied file by file into the warehouse's raw directory and loaded from there.

    raw/hats/<host and path>-<checksum>/<table>/hats.properties, partition_info.csv, dataset/...

A file that is there is asked for only if it changed since (RFC 9110, If-Modified-Since); one that came is whole before it has
its name, so the same command goes on after any end.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from skysy.loaders.archive.services import Service
from skysy.loaders.archive.wire import Stopped, Wire
from skysy.loaders.files import part_of
from skysy.loaders.hats import LEAF, METADATA, PARTITIONS, holds_rows, listed_cells, metadata_rows

from skysy.contract import Contract, load_contract
from skysy.errors import FileDamaged, LoadError, UsageError
from skysy.formats.hats import COLLECTION, PROPERTIES, read_collection, read_properties
from skysy.formats.whole import sync

_COMMON = "dataset/_common_metadata"
_PARALLEL = 4
_KEPT = "What came before is kept in the warehouse's raw directory. Give the same command again once it is mended."

Progress = Callable[[str, int, int], None]
"""Told the catalogue, how many of its files are here, and how many it has."""


def is_url(source: str) -> bool:
    """Whether a source is a URL, not a directory."""
    return "://" in source


def local_directory(source: str) -> Path | None:
    """The directory that a path or a file URL means; None for a URL that is asked for over the network.

    Raises UsageError for URLs of other kinds.
    """
    if not is_url(source):
        return Path(source)
    parts = urlsplit(source)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(url2pathname(parts.path))
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(f"{source} cannot be loaded from.", "Name a directory, or a URL of http, https or file.")
    return None


def fetch_catalogues(url: str, release: str, warehouse: Path, progress: Progress | None = None) -> Path:
    """The directory with copies of all HATS catalogues at `url` that are named after tables of the release.

    `url` is a catalogue or what catalogues lie in; a server lists nothing, so each table is asked for by its name. Raises
    LoadError where there is none, FileDamaged for one that misses a file, ArchiveError where the server does not answer.
    """
    contract = load_contract(release)
    address = url.rstrip("/")
    parts = urlsplit(address)
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", parts.netloc.rpartition("@")[2] + parts.path)[:80]
    directory = warehouse / "raw" / "hats" / f"{readable}-{hashlib.sha256(address.encode()).hexdigest()[:8]}"
    wire = Wire(Service("hats", parts.netloc, "files", address, parallel=_PARALLEL))
    own = address.rpartition("/")[2]
    if _fetch_properties(wire, address, directory / own):
        if part_of(f"{own}/", contract) is None:
            shutil.rmtree(directory)
            raise LoadError(
                f"The catalogue {url} is not named after a table of {release}.",
                f"Nothing was fetched. It is to be served under one of these names: {', '.join(_names(contract))}.",
            )
        found = [_fetch(wire, address, directory / own, own, progress)]
    else:
        found = [
            _fetch(wire, f"{address}/{name}", directory / name, name, progress)
            for name in _names(contract)
            if _fetch_properties(wire, f"{address}/{name}", directory / name)
        ]
    if not any(found):
        raise LoadError(
            f"There is no HATS catalogue of a table of {release} at {url}.",
            f"Asked for hats.properties below {', '.join(_names(contract))}. Name the catalogue, or what these lie in.",
        )
    return directory


def _names(contract: Contract) -> list[str]:
    return [stem for table in contract.tables for stem in table.stems]


def _fetch_properties(wire: Wire, url: str, directory: Path) -> bool:
    """Whether there is a catalogue or a collection at a URL; what makes it one is in the directory then."""
    is_collection = _copy(wire, f"{url}/{COLLECTION}", directory / COLLECTION)
    if is_collection:
        primary = read_collection(directory) or ""
        if not re.fullmatch(r"\w[\w.-]*", primary):
            raise FileDamaged(f"{url}/{COLLECTION} names {primary!r} as its main catalogue, no directory in it.", _KEPT)
        url, directory = f"{url}/{primary}", directory / primary
    if any(_copy(wire, f"{url}/{name}", directory / name) for name in PROPERTIES):
        return "obs_collection" in (read_properties(directory) or {})
    shutil.rmtree(directory)  # made to ask, or left of a catalogue that is no more there
    return False


def _fetch(wire: Wire, url: str, directory: Path, label: str, progress: Progress | None) -> bool:
    """Copy a catalogue whose properties are here; False for a margin or an index, which is left."""
    primary = read_collection(directory)
    root, address = (directory, url) if primary is None else (directory / primary, f"{url}/{primary}")
    told = read_properties(root)
    if told is None or not holds_rows(directory):
        return False
    for name in (PARTITIONS, METADATA, _COMMON):
        _copy(wire, f"{address}/{name}", root / name)
    names = _files(root, told, label)
    _forget_others(root / "dataset", set(names))
    done = 0

    def fetch(name: str) -> None:
        if wire.stop.is_set():
            raise Stopped
        if not _copy(wire, f"{address}/dataset/{name}", root / "dataset" / name):
            raise FileDamaged(f"{label}/{name} is missing at {address}; the catalogue lists it.", _KEPT)

    with ThreadPoolExecutor(_PARALLEL) as pool:
        try:
            for _ in pool.map(fetch, names):
                done += 1
                if progress:
                    progress(label, done, len(names))
        except BaseException:
            wire.stop.set()
            raise
    return True


def _files(root: Path, told: dict[str, str], label: str) -> list[str]:
    """The files of a catalogue, below dataset/."""
    if told.get("hats_npix_suffix") == "/":  # what lies in a cell's directory is told by the footers only
        if not (root / METADATA).is_file():
            raise FileDamaged(
                f"{label} has no {METADATA}: the files of its cells cannot be told over the network.", _KEPT
            )
        return list(metadata_rows(root / METADATA, label))
    names = list(listed_cells(root, told, label).paths)
    if odd := next((name for name in names if not LEAF.fullmatch(name)), None):
        raise FileDamaged(f"{label} lists a file {odd!r}, which no HATS catalogue has.", _KEPT)
    return names


def _forget_others(dataset: Path, names: set[str]) -> None:
    """Take away copies of files that the catalogue no longer has."""
    for path in dataset.glob("Norder=*/**/*.parquet"):
        if path.relative_to(dataset).as_posix() not in names:
            path.unlink()


def _copy(wire: Wire, url: str, path: Path) -> bool:
    """Make `path` what the URL gives; False, and no such file, where there is none."""
    since = {"If-Modified-Since": formatdate(path.stat().st_mtime, usegmt=True)} if path.is_file() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        reply = wire.get(url, to=part, headers=since)
        if reply.status == 304 and since:
            return True
        if reply.status in (404, 410):
            path.unlink(missing_ok=True)
            return False
        if reply.status != 200:
            raise FileDamaged(f"{url} gives HTTP {reply.status} in the place of a file.", _KEPT)
        changed = _changed(reply.headers.get("Last-Modified", ""))
        os.utime(part, (changed, changed))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    sync(path.parent)
    return True


def _changed(text: str) -> float:
    """When a server says that a file changed, in seconds since 1970; 0 where it does not, so that it is asked for again."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return 0.0
