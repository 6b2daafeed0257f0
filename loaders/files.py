"""Which files and HATS catalogues of a directory are archive tables: named after one, in a format that is known."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from skysy.loaders.hats import holds_rows, is_half_hats, is_hats, leaves

from skysy.contract import Contract, TableContract
from skysy.errors import FileDamaged, LoadError, UsageError

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
    """A file that holds rows of one archive table; `part` is what its name has between table and suffix.

    A file of a HATS catalogue has the part of the catalogue, and as `label` the catalogue's name and its own path in that.
    """

    path: Path
    table: TableContract
    part: str
    format: str
    label: str = ""

    @property
    def name(self) -> str:
        """The file's name without the directories that it was found in: what the ledger knows it by."""
        return self.label or self.path.name

    @property
    def holder(self) -> str:
        """What holds all rows of its part: the file itself, or its catalogue."""
        return holder_of(self.name)


@dataclass(frozen=True)
class Found:
    """The archive files of a directory, tables in contract order and parts by name, and the names left alone."""

    files: tuple[ArchiveFile, ...]
    ignored: tuple[str, ...]


def discover(directory: Path, contract: Contract) -> Found:
    """The files in `directory` (not below it) that are named after a table of the contract, and those of HATS catalogues so named.

    `directory` may be such a catalogue itself. Raises UsageError where there is no such directory, LoadError where there is
    nothing to load or two files hold the same part of a table in two formats, FileDamaged for a catalogue that is not whole.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a directory.", "Name the directory that holds the archive's files.")
    try:
        inside = sorted(directory.iterdir())
    except OSError as error:
        raise UsageError(f"{directory} cannot be read: {error.strerror}.", "Give yourself the rights.") from error
    itself = is_hats(directory)
    entries = [] if itself else [path for path in inside if path.is_file() or _is_broken_link(path)]
    catalogues = [directory] if itself else [path for path in inside if path.is_dir()]
    found = [file for path in entries if (file := _recognise(path, contract)) is not None]
    names = {file.name for file in found}
    ignored = [path.name for path in entries if path.name not in names]
    for path in catalogues:
        named = _table_of(path.absolute().name, contract)
        if named is None or not holds_rows(path):
            ignored += [f"{path.name}/"] if is_hats(path) else []
        elif is_hats(path) or is_half_hats(path):
            found += _catalogue(path, *named)
    place = {table.name: index for index, table in enumerate(contract.tables)}
    found.sort(key=lambda file: (place[file.table.name], file.name))
    if not found:
        tables = ", ".join(table.name for table in contract.tables)
        raise LoadError(
            f"No file in {directory} is named after a table of {contract.release}."
            if not itself
            else f"The catalogue {directory} is not named after a table of {contract.release}, or is a margin or an index.",
            f"Name them like dr2.master.parquet or dr2.photometry.part003.csv.gz. Tables: {tables}.",
        )
    _refuse_twins(found)
    return Found(tuple(found), tuple(ignored))


def part_of(name: str, contract: Contract) -> tuple[str, str] | None:
    """(table, part) that a file's name means, whatever its format; None where it is named after no table."""
    if "/" in name:
        named = _table_of(holder_of(name), contract)
        return None if named is None else (named[0].name, named[1])
    found = _recognise(Path(name), contract)
    return None if found is None else (found.table.name, found.part)


def holder_of(name: str) -> str:
    """The HATS catalogue that a name in the ledger is of, or else the name."""
    return name.partition("/")[0]


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
    named = _table_of(lower.removesuffix(suffix), contract)
    return None if named is None else ArchiveFile(path, *named, _SUFFIXES[suffix])


def _table_of(name: str, contract: Contract) -> tuple[TableContract, str] | None:
    """The table and part that a name without suffix means."""
    lower = name.lower()
    for table in contract.tables:
        for stem in table.stems:
            if lower == stem or lower.startswith(f"{stem}."):
                return table, lower.removeprefix(stem).lstrip(".")
    return None


def _catalogue(directory: Path, table: TableContract, part: str) -> list[ArchiveFile]:
    name = directory.absolute().name
    if not is_hats(directory):
        raise FileDamaged(
            f"{name} looks like a HATS catalogue and has no hats.properties.",
            "Nothing was loaded. Get the catalogue again, or give the directory another name.",
        )
    try:
        return [ArchiveFile(path, table, part, "hats", f"{name}/{below}") for below, path in leaves(directory, name)]
    except OSError as error:
        raise FileDamaged(f"{name} cannot be read: {error.strerror or error}.", "Nothing was loaded.") from error


def _is_broken_link(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _refuse_twins(files: list[ArchiveFile]) -> None:
    seen: dict[tuple[str, str], ArchiveFile] = {}
    for file in files:
        other = seen.setdefault((file.table.name, file.part), file)
        if other.holder != file.holder:
            raise LoadError(
                f"{other.holder} and {file.holder} would be the same part of {file.table.name} twice.",
                "Nothing was loaded. Move one of them away, or give them different part names.",
            )
