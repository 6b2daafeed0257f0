"""Which files of a directory are archive tables: named after one, in a format that is known."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from skysy.contract import Contract, TableContract
from skysy.errors import LoadError, UsageError

_SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".vot": "votable",
    ".vot.gz": "votable",
    ".xml": "votable",
    ".xml.gz": "votable",
    ".votable": "votable",
    ".votable.gz": "votable",
    ".fits": "fits",
    ".fit": "fits",
    ".fits.gz": "fits",
}
_BLOCK = 1 << 20


@dataclass(frozen=True)
class ArchiveFile:
    """A file that holds rows of one archive table; `part` is what its name has between table and suffix."""

    path: Path
    table: TableContract
    part: str
    format: str

    @property
    def name(self) -> str:
        """The file's name without directories: what the ledger knows it by."""
        return self.path.name


@dataclass(frozen=True)
class Found:
    """The archive files of a directory, tables in contract order and parts by name, and the names left alone."""

    files: tuple[ArchiveFile, ...]
    ignored: tuple[str, ...]


def discover(directory: Path, contract: Contract) -> Found:
    """The files in `directory` (not below it) that are named after a table of the contract.

    Raises UsageError where there is no such directory, LoadError where there is nothing to load or two files hold the
    same part of a table in two formats.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a directory.", "Name the directory that holds the archive's files.")
    try:
        entries = sorted(path for path in directory.iterdir() if path.is_file() or _is_broken_link(path))
    except OSError as error:
        raise UsageError(f"{directory} cannot be read: {error.strerror}.", "Give yourself the rights.") from error
    found = [file for path in entries if (file := _recognise(path, contract)) is not None]
    names = {file.name for file in found}
    place = {table.name: index for index, table in enumerate(contract.tables)}
    found.sort(key=lambda file: (place[file.table.name], file.name))
    if not found:
        tables = ", ".join(table.name for table in contract.tables)
        raise LoadError(
            f"No file in {directory} is named after a table of {contract.release}.",
            f"Name them like dr2.master.parquet or dr2.photometry.part003.csv.gz. Tables: {tables}.",
        )
    _refuse_twins(found)
    return Found(tuple(found), tuple(path.name for path in entries if path.name not in names))


def part_of(name: str, contract: Contract) -> tuple[str, str] | None:
    """(table, part) that a file's name means, whatever its format; None where it is named after no table."""
    found = _recognise(Path(name), contract)
    return None if found is None else (found.table.name, found.part)


def sha256_of(path: Path) -> str:
    """The file's checksum, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while block := source.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _recognise(path: Path, contract: Contract) -> ArchiveFile | None:
    lower = path.name.lower()
    suffix = max((suffix for suffix in _SUFFIXES if lower.endswith(suffix)), key=len, default=None)
    if suffix is None or lower.startswith("."):
        return None
    stem = lower.removesuffix(suffix)
    for table in contract.tables:
        for name in table.stems:
            if stem == name or stem.startswith(f"{name}."):
                return ArchiveFile(path, table, stem.removeprefix(name).lstrip("."), _SUFFIXES[suffix])
    return None


def _is_broken_link(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _refuse_twins(files: list[ArchiveFile]) -> None:
    seen: dict[tuple[str, str], ArchiveFile] = {}
    for file in files:
        other = seen.setdefault((file.table.name, file.part), file)
        if other is not file:
            raise LoadError(
                f"{other.name} and {file.name} would be the same part of {file.table.name} twice.",
                "Nothing was loaded. Move one of them away, or give them different part names.",
            )
