"""The peer's rows: a simulated sky, loaded by skysy's own file loader and copied on, value by value."""

from __future__ import annotations

from pathlib import Path

from skysy.loaders.load import load_directory

from archive_peer.descriptors import TABLES, exact_types, quoted
from archive_peer.system import PeerError, Runner, postgres_program
from skysy.config import Settings
from skysy.contract import load_contract
from skysy.errors import SkysyError
from skysy.store import create, open_warehouse

RELEASE = "skymapper_dr2"


def load_sky(sky: Path, directory: Path) -> tuple[Settings, dict[str, Path]]:
    """(the warehouse that the sky's files were loaded into, a CSV file per table of the archive); in `directory`.

    Raises PeerError where `sky` holds no files of the release or one is refused.
    """
    settings = Settings(directory / "warehouse", "1GB", 2)
    csv = directory / "csv"
    csv.mkdir()
    contract = load_contract(RELEASE)
    files = {}
    try:
        create(settings)
        with open_warehouse(settings, write=True) as warehouse:
            loaded = load_directory(warehouse, RELEASE, sky)
            if absent := set(TABLES) - {file.table for file in loaded.files}:
                raise PeerError(f"{sky} holds no files of {', '.join(sorted(absent))}: make it with `skysy simulate`.")
            for name in TABLES:
                files[name] = csv / f"{name}.csv"
                columns = quoted(contract.table(name).columns)
                # NULL is nothing, an empty text is "": PostgreSQL tells them apart in the same way.
                warehouse.run(
                    f"COPY (SELECT {columns} FROM {name}) TO '{files[name]}' (FORMAT csv, HEADER, NULLSTR '')"
                )
    except SkysyError as error:
        raise PeerError(f"The sky in {sky} cannot be loaded: {error.message} {error.remedy}") from error
    return settings, files


def copy_rows(runner: Runner, port: int, files: dict[str, Path]) -> None:
    """Copy the CSV files into the database's empty tables, and remove them."""
    contract = load_contract(RELEASE)
    for statement in exact_types(contract):
        sql(runner, port, statement)
    for name, path in files.items():
        columns = quoted(contract.table(name).columns)
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
