"""The peer's rows: simulated skies, loaded by skysy's own file loader and copied on, value by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from skysy.loaders.load import load_directory

from archive_peer.descriptors import TABLES, exact_types, quoted
from archive_peer.system import PeerError, Runner, postgres_program
from skysy import ledger
from skysy.columns import Column
from skysy.config import Settings
from skysy.contract import TableContract
from skysy.errors import SkysyError
from skysy.store import Warehouse, create, open_warehouse


def warehouse_of(directory: Path, release: str) -> Path:
    """The warehouse of a peer's directory into which the sky of a release is loaded."""
    return directory / "warehouses" / release


def release_of(sky: Path) -> str:
    """The release of a sky, told by its table of objects. Raises PeerError where there is none."""
    for release, tables in TABLES.items():
        if any(sky.glob(f"{tables[0]}.*")):
            return release
    raise PeerError(f"{sky} holds no sky of {' or '.join(TABLES)}: make it with `skysy simulate`.")


def load_skies(skies: Mapping[str, Path], tables: Mapping[str, TableContract], directory: Path) -> dict[str, Path]:
    """A CSV file per table of the archive, from skies by release that are loaded into warehouses in `directory`.

    Raises PeerError where a sky lacks a table or is refused, or two skies tell a table that they share differently.
    """
    (directory / "csv").mkdir()
    files: dict[str, Path] = {}
    contents: dict[str, str] = {}
    for release, sky in skies.items():
        settings = Settings(warehouse_of(directory, release), "1GB", 2)
        settings.warehouse.parent.mkdir(exist_ok=True)
        try:
            create(settings)
            with open_warehouse(settings, write=True) as warehouse:
                loaded = load_directory(warehouse, release, sky)
                if absent := set(TABLES[release]) - {file.table for file in loaded.files}:
                    raise PeerError(
                        f"{sky} holds no files of {', '.join(sorted(absent))}: make it with `skysy simulate`."
                    )
                for name in TABLES[release]:
                    columns = tables[name].columns
                    content = ledger.content_hash(warehouse.con, name, [column.name for column in columns])
                    if contents.setdefault(name, content) != content:
                        raise PeerError(f"{name} of {sky} is another: simulate all skies with one seed and size.")
                    if name not in files:
                        files[name] = directory / "csv" / f"{name}.csv"
                        _write_csv(warehouse, name, columns, files[name])
        except SkysyError as error:
            raise PeerError(f"The sky in {sky} cannot be loaded: {error.message} {error.remedy}") from error
    return files


def _write_csv(warehouse: Warehouse, name: str, columns: Sequence[Column], to: Path) -> None:
    # NULL is nothing, an empty text is "": PostgreSQL tells them apart in the same way.
    warehouse.run(f"COPY (SELECT {quoted(columns)} FROM {name}) TO '{to}' (FORMAT csv, HEADER, NULLSTR '')")


def copy_rows(runner: Runner, port: int, tables: Mapping[str, TableContract], files: Mapping[str, Path]) -> None:
    """Copy the CSV files into the database's empty tables, and remove them."""
    for table in tables.values():
        for statement in exact_types(table):
            sql(runner, port, statement)
    for name, path in files.items():
        columns = quoted(tables[name].columns)
        with path.open("rb") as rows:
            command = f"COPY {name} ({columns}) FROM STDIN WITH (FORMAT csv, HEADER true, NULL '')"
            runner.run(_psql(port, command), stdin=rows)
        path.unlink()
    sql(runner, port, "; ".join(f"ANALYZE {name}" for name in files))


def sql(runner: Runner, port: int, statement: str) -> str:
    """What a statement gives, as text without header; run as the database's superuser."""
    return runner.run(_psql(port, statement))


def _psql(port: int, statement: str) -> list[str]:
    words = [postgres_program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    return [*words, "-h", "127.0.0.1", "-p", str(port), "-U", "peer", "-d", "gavo", "-c", statement]
