"""One archive for a paper: the warehouse, the SQL and parameters that built it, ledger, checksums, figures and citations."""

from __future__ import annotations

import calendar
import gzip
import hashlib
import json
import platform
import shlex
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import requires, version
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import IO, BinaryIO, cast

import duckdb

from skysy import __version__, ledger
from skysy.cite import citations
from skysy.config import Settings
from skysy.errors import ModelError, NotFound, UsageError, WarehouseFull, WarehouseReadOnly
from skysy.export import export, marts
from skysy.formats.whole import FULL, scratch_directory, whole_path
from skysy.models.parameters import built_statements
from skysy.models.plan import Engine, built_release, plan_build
from skysy.models.project import PARAMETER_FILE, load_project
from skysy.own import Own
from skysy.publish import held
from skysy.store import Warehouse, has_results_only, sql_text

FORMAT = 1
"""Version of the layout below; `skysy verify` refuses one that it does not know."""

MANIFEST = "bundle.json"
SUMS = "SHA256SUMS"
DATABASE = "warehouse/skysy.duckdb"
RAW = "warehouse/raw"
PARAMETERS = "parameters.sql"

_ENDINGS = (".tar", ".tar.gz", ".tgz")
_RELEASED = ("10_staging", "archive", "audits")
_TIME = "%Y-%m-%d %H:%M:%S"

_BUILD_FIRST = (
    "Nothing was written. Run `skysy build` with your parameters, where your skysy.toml is, then bundle there."
)

_README = """\
# {name}: a warehouse of skysy, to be rebuilt and checked

Release {release}, built {built_at} UTC by skysy {skysy} with DuckDB {duckdb}.

    skysy verify {file}

(skysy {skysy}, requirements.txt has the versions of its libraries) checks every file against SHA256SUMS, every archive row against the ledger, then builds all results anew from the archive rows by
the SQL and parameters in here, and compares them. It asks nobody and needs no network. Without skysy:

    sha256sum -c SHA256SUMS
    duckdb -readonly warehouse/skysy.duckdb

| here | what it is |
|--|--|
| `warehouse/skysy.duckdb` | archive rows, results, and the bookkeeping in schema `meta`; DuckDB 1.5 and later open it |
| `warehouse/raw/` | the answers of the archives as they came, if they were put in |
| `sql/`, `own/` | the SQL of the release, contracts and ADQL; models and parameters of the authors' own, if there are any |
| `parameters.sql` | every parameter as it stood |
| `ledger/` | `meta` as CSV files; `queries.adql` holds what was sent to archives |
| `results/` | candidates and the cut flow as VOTables with units, UCDs and descriptions |
| `figures/` | the figures |
| `CITE.md`, `references.bib` | what to cite and whom to thank |
| `requirements.txt` | the versions of the libraries |
| `bundle.json` | rows and content hash of every table |
"""


@dataclass(frozen=True)
class Bundled:
    """An archive that was written: its path, bytes, sha256, number of files in it and the seconds that it took."""

    path: Path
    bytes: int
    sha256: str
    files: int
    seconds: float


def bundle(
    settings: Settings,
    target: Path,
    *,
    draw: Callable[[Warehouse, Path], object],
    engines: Mapping[str, Engine] | None = None,
    own: Own | None = None,
    raw: bool = False,
    replace: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Bundled:
    """The warehouse as it was last committed, and all that it takes to build it again, in the tar file `target`.

    `draw` writes the figures into a directory. With `raw` the answers of the archives are put in too. The same warehouse gives the
    same bytes. Raises UsageError for a name that is no tar file's or is taken, ModelError where the build is not that of the
    SQL at hand, WarehouseFull where the disk has no room, and as `open_warehouse`.
    """
    begun = time.monotonic()
    _check_target(settings, target, replace)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            held(settings) as (house, database),
            scratch_directory(target) as parts,
            whole_path(target) as fresh,
        ):
            about = _write_parts(house, parts, target, engines or {}, own or Own(), draw, say)
            with _tar(fresh, target, about["built_at"]) as out:
                for path in sorted(parts.rglob("*")):
                    if path.is_file():
                        out.add(path.relative_to(parts).as_posix(), path)
                for name, path in _sql_files(about["release"], own or Own()):
                    out.add(name, path)
                say("copying the warehouse")
                out.add_open(DATABASE, database)
                if raw:
                    directory = settings.warehouse / "raw"
                    for path in sorted(directory.rglob("*")):
                        if path.is_file() and path.suffix != ".part":
                            out.add(f"{RAW}/{path.relative_to(directory).as_posix()}", path)
                out.add_sums()
    except OSError as error:
        raise _unwritten(error, target) from error
    return Bundled(target, target.stat().st_size, out.whole.hexdigest, len(out.sums) + 1, time.monotonic() - begun)


def _check_target(settings: Settings, target: Path, replace: bool) -> None:
    if not target.name.endswith(_ENDINGS) or not _name(target).strip("."):
        raise UsageError(f"{target} is not the name of a tar file.", "Name it paper.tar or paper.tar.gz.")
    if target.exists() and not replace:
        raise UsageError(f"{target} is there already.", "Nothing was changed. Name another, or add --replace.")
    answers = settings.warehouse / "raw"
    if target.resolve().is_relative_to(answers.resolve()):
        raise UsageError(
            f"{answers} holds the answers of the archives; a bundle in it would become part of the next.",
            "Nothing was written. Name a place outside of it.",
        )


def _name(target: Path) -> str:
    """What the archive's one directory is called: the file's name without its ending."""
    ending = next(ending for ending in _ENDINGS if target.name.endswith(ending))
    return target.name.removesuffix(ending)


def _unwritten(error: OSError, target: Path) -> WarehouseFull | WarehouseReadOnly:
    if error.errno in FULL:
        return WarehouseFull(
            f"The disk is full: {target} could not be written.",
            "The warehouse is untouched. Make room, or name a file on another disk.",
        )
    return WarehouseReadOnly(
        f"{target} cannot be written: {error.strerror}.", "The warehouse is untouched. Name another file."
    )


def _write_parts(
    house: Warehouse,
    parts: Path,
    target: Path,
    engines: Mapping[str, Engine],
    own: Own,
    draw: Callable[[Warehouse, Path], object],
    say: Callable[[str], None],
) -> dict[str, str]:
    """Everything of the archive but the SQL and the warehouse, as files; returns what the manifest says of the whole."""
    release = built_release(house)
    if has_results_only(house.con):
        raise ModelError(
            f"The warehouse in {house.settings.warehouse} holds results only; a bundle holds what they were made of too.",
            "Nothing was written. Bundle the warehouse that it was made of, or publish that whole, without --only-results.",
        )
    (parts / PARAMETERS).write_text("\n".join(built_statements(house)) + "\n", encoding="utf-8")
    _check_fresh(house, release, own, parts / PARAMETERS, engines)
    about = {"release": release, "skysy": __version__, "duckdb": duckdb.__version__}
    about["built_at"] = f"{house.value('SELECT max(built_at) FROM meta.model'):{_TIME}}"
    (parts / MANIFEST).write_text(json.dumps(_manifest(house, about), indent=2) + "\n", encoding="utf-8")
    text = _README.format(name=_name(target), file=shlex.quote(target.name), **about)
    (parts / "README.md").write_text(text, encoding="utf-8")
    (parts / "requirements.txt").write_text(_requirements(), encoding="utf-8")
    cited = citations(house)
    (parts / "CITE.md").write_text(cited.markdown, encoding="utf-8")
    (parts / "references.bib").write_text(cited.bibtex, encoding="utf-8")
    say("writing the ledger")
    _write_ledger(house, parts / "ledger")
    say("writing results and figures")
    results = [name for name in ("candidates", "cut_flow") if name in marts(house)]
    if results:
        export(house, parts / "results", results, form="votable")
    draw(house, parts / "figures")
    return about


def _check_fresh(house: Warehouse, release: str, own: Own, parameters: Path, engines: Mapping[str, Engine]) -> None:
    """The SQL at hand is what built the warehouse, or it would be a false witness."""
    try:
        project = load_project(release, own=own, parameters_file=parameters)
    except NotFound as error:  # a parameter of the build that no SQL here has
        unknown = error.message.removeprefix(f"{parameters}: ")
        raise ModelError(f"The build is not that of the SQL at hand: {unknown}", _BUILD_FIRST) from error
    plan = plan_build(house, project, engines)
    others = [*plan.dropped, *plan.kept, *(step.audit.name for step in plan.audits if step.due)]
    names = [f"{step.model.name} ({step.reason})" for step in plan.stale] or others
    if not names:
        return
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    raise ModelError(
        f"The build is not that of the SQL at hand: {', '.join(names[:3])}{more}.",
        _BUILD_FIRST,
    )


def _manifest(house: Warehouse, about: Mapping[str, str]) -> dict[str, object]:
    models = house.rows("SELECT model, kind, rows, content_hash, sql_sha256 FROM meta.model ORDER BY model")
    keys = ("kind", "rows", "content_hash", "sql_sha256")
    return {
        "format": FORMAT,
        **about,
        "python": platform.python_version(),
        "models": {name: dict(zip(keys, rest, strict=True)) for name, *rest in models},
        "archive": ledger.loaded_hashes(house.con),
    }


def _requirements() -> str:
    names = [line.split(";")[0] for line in requires("skysy") or [] if "extra ==" not in line]
    plain = sorted(name.split("<")[0].split(">")[0].split("=")[0].strip() for name in names)
    return "".join(f"{name}=={version(name)}\n" for name in ["skysy", *plain])


def _write_ledger(house: Warehouse, directory: Path) -> None:
    directory.mkdir()
    for [table] in house.rows(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = 'meta' ORDER BY 1"
    ):
        house.run(f"COPY (FROM meta.{table} ORDER BY ALL) TO {sql_text(directory / f'{table}.csv')} (HEADER)")
    with (directory / "queries.adql").open("w", encoding="utf-8") as out:
        for chunk, service, table, rows, query in house.rows(
            "SELECT chunk_id, service, table_name, received_rows, query FROM meta.chunk WHERE query IS NOT NULL ORDER BY 1"
        ):
            out.write(f"-- chunk {chunk}: {table} at {service}, {rows or 0} rows\n{query}\n\n")


def _sql_files(release: str, own: Own) -> Iterator[tuple[str, Path]]:
    """What `skysy build` of the release reads, and the ADQL and contract behind its rows: the name in the archive, the file."""
    root = Path(str(files("skysy.sql")))
    for path in sorted(root.rglob("*")):
        place = path.relative_to(root)
        other = len(place.parts) > 2 and place.parts[0] in _RELEASED and place.parts[1] != release
        if path.suffix in (".sql", ".adql", ".bib", ".yaml") and not other:
            if place.parts[0] == "contract" and path.stem != release:
                continue
            yield f"sql/{place.as_posix()}", path
    if own.models:
        for path in sorted(own.models.rglob("*.sql")):
            yield f"own/models/{path.relative_to(own.models).as_posix()}", path
    if own.parameters:
        yield f"own/{PARAMETER_FILE}", own.parameters


@contextmanager
def _tar(path: Path, target: Path, built_at: str) -> Iterator[_Tar]:
    """A tar file to fill, compressed where the name that it will have says so; no time but that of the build is in it."""
    built = calendar.timegm(time.strptime(built_at, _TIME))
    with path.open("wb") as file, ExitStack() as closing_first:
        whole = Hashing(file)
        stream = cast(IO[bytes], whole)  # a stream of tarfile and gzip is only written to
        if target.name.endswith("gz"):
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0, compresslevel=6)
            stream = cast(IO[bytes], closing_first.enter_context(packed))
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            yield _Tar(tar, whole, _name(target), built)


class _Tar:
    """A tar file under one directory, its members alike whoever wrote them, with the sha256 of each, and of the `whole` once closed."""

    def __init__(self, tar: tarfile.TarFile, whole: Hashing, root: str, mtime: int) -> None:
        self._tar, self.whole, self._root, self._mtime = tar, whole, root, mtime
        self.sums: dict[str, str] = {}

    def add(self, name: str, path: Path) -> None:
        """A file by its path."""
        with path.open("rb") as source:
            self.add_open(name, source)

    def add_open(self, name: str, source: BinaryIO) -> None:
        """All bytes of an open file, from its start."""
        source.seek(0, 2)
        size = source.tell()
        source.seek(0)
        reader = Hashing(source)
        self._tar.addfile(self._member(name, size), reader)
        self.sums[name] = reader.hexdigest

    def add_sums(self) -> None:
        """SHA256SUMS as sha256sum(1) reads it, the last member: who has it has the whole file."""
        text = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.sums.items())).encode()
        self._tar.addfile(self._member(SUMS, len(text)), BytesIO(text))

    def _member(self, name: str, size: int) -> tarfile.TarInfo:
        member = tarfile.TarInfo(f"{self._root}/{name}")
        member.size, member.mtime, member.mode = size, self._mtime, 0o644
        return member


class Hashing:
    """A file that is read or written once, from its start to its end, and the sha256 of what was."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        piece = self._file.read(size)
        self._hash.update(piece)
        return piece

    def write(self, piece: bytes) -> int:
        """Add bytes."""
        self._hash.update(piece)
        return self._file.write(piece)

    def flush(self) -> None:
        """What was written is with the system."""
        self._file.flush()

    @property
    def hexdigest(self) -> str:
        """The sha256 of the bytes so far."""
        return self._hash.hexdigest()
