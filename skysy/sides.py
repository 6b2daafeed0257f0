"""One side of a cross-match: a table of the warehouse or a file, and which of its columns are key, position and motion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from skysy.columns import Column, from_comment
from skysy.errors import FileDamaged, NotFound, UsageError, did_you_mean
from skysy.formats.hats import HEALPIX, read_properties
from skysy.store import Warehouse, sql_text

PLACES = (
    ("raj2000", "dej2000"),
    ("ra", "dec"),
    ("ra", "decl"),
    ("ra_icrs", "de_icrs"),
    ("_raj2000", "_dej2000"),
    ("ra_deg", "dec_deg"),
    ("ramean", "decmean"),
    ("alpha_j2000", "delta_j2000"),
)
"""Names that right ascension and declination have in SkyMapper, Gaia, 2MASS, VizieR, Pan-STARRS and SExtractor."""
MOTIONS = (("pmra", "pmdec"), ("pmra", "pmde"))
KEYS = ("object_id", "source_id", "pts_key", "cntr", "objid", "designation", "id", "name")
YEARS = (1800.0, 2200.0)
"""What a Julian year of an epoch lies between; a modified Julian date does not."""

_READERS = {".parquet": "read_parquet", ".csv": "read_csv", ".csv.gz": "read_csv"}
_INTEGER = re.compile(r"^U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?$")
_EXACT = re.compile(r"^(?:DOUBLE|DECIMAL.*|U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?)$")
_MAS_PER_YEAR = {"mas.yr**-1", "mas/yr", "mas.yr-1", "mas yr-1"}


@dataclass(frozen=True)
class Given:
    """A side as its user names it; what is None is found by the names that archives use. `epoch` is a Julian year or a column."""

    table: str
    key: str | None = None
    ra: str | None = None
    dec: str | None = None
    epoch: str | None = None


@dataclass(frozen=True)
class Side:
    """A side as it was found: `relation` is what FROM reads, `epoch` a Julian year, the name of a column of such, or None."""

    table: str
    relation: str
    key: Column
    ra: str
    dec: str
    motion: tuple[str, str] | None
    epoch: float | str | None

    @property
    def place(self) -> str:
        """The columns key, ra and dec [deg] of a SELECT."""
        ra, dec = (f"CAST({quoted(name)} AS DOUBLE)" for name in (self.ra, self.dec))
        return f"{quoted(self.key.name)} AS key, {ra} AS ra, {dec} AS dec"

    def view(self, epoch: float | None) -> str:
        """The SELECT of key, ra and dec [deg], moved to an epoch [Julian year] where the side has what that needs."""
        if not self.moves(epoch):
            return f"SELECT {self.place} FROM {self.relation}"
        pmra, pmdec = (f"CAST({quoted(name)} AS DOUBLE)" for name in self.motion or ())
        own = f"CAST({quoted(self.epoch)} AS DOUBLE)" if isinstance(self.epoch, str) else repr(self.epoch)
        return (
            "SELECT key, moved_ra(ra, dec, pmra, pmdec, years) AS ra, moved_dec(ra, dec, pmra, pmdec, years) AS dec\n"
            f"FROM (SELECT {self.place}, {pmra} AS pmra, {pmdec} AS pmdec, {epoch!r} - {own} AS years FROM {self.relation})"
        )

    def moves(self, epoch: float | None) -> bool:
        """Whether any of its rows may stand elsewhere at that epoch."""
        return epoch is not None and self.motion is not None and self.epoch is not None and self.epoch != epoch


def is_file(name: str) -> bool:
    """Whether a name means a Parquet or CSV file or a HATS catalogue, not a table of the warehouse."""
    return name.lower().endswith(tuple(_READERS)) or _is_directory(name)


def _is_directory(name: str) -> bool:
    """A name without a slash is always a table, whatever directories there are."""
    return "/" in name and Path(name).is_dir()


def find_side(house: Warehouse, given: Given) -> Side:
    """The table, file or HATS catalogue, its key, its position (as the catalogue names it) and its proper motion.

    Raises NotFound for a table, file or column that there is not, UsageError where a column cannot serve or two might,
    FileDamaged for a file that does not read.
    """
    if _is_directory(given.table):
        relation, columns, own = _catalogue(house, given.table)
        if not (given.ra or given.dec):
            given = replace(given, ra=own.get("hats_col_ra"), dec=own.get("hats_col_dec"))
    else:
        relation, columns = _file(house, given.table) if is_file(given.table) else _table(house, given.table)
    by_name = {column.name.lower(): column for column in columns}
    key = _named(given, by_name, given.key) if given.key else _key(given, by_name)
    if not (_INTEGER.match(key.type) or key.type == "VARCHAR"):
        raise UsageError(
            f"{given.table}: the key {key.name} is {key.type}; a key is an integer or a text.",
            "A long id that went through a float has lost digits: write the file again, or name another column as its key.",
        )
    ra, dec = _place(given, by_name)
    for column in (ra, dec):
        _check_place(house, given, relation, column)
    motion = next(((by_name[a], by_name[b]) for a, b in MOTIONS if a in by_name and b in by_name), None)
    for column in motion or ():
        if column.unit is not None and column.unit not in _MAS_PER_YEAR:
            raise UsageError(f"{given.table}: {column.name} is in [{column.unit}]; proper motions are read in mas/yr.")
    names = (motion[0].name, motion[1].name) if motion else None
    return Side(given.table, relation, key, ra.name, dec.name, names, _epoch(given, by_name))


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def _catalogue(house: Warehouse, name: str) -> tuple[str, list[Column], dict[str, str]]:
    """A HATS catalogue: all of its files as one table, without what tells their place; its columns; its properties."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    own = read_properties(Path(name))
    if own is None:
        inside = sorted(path.parent.name for path in Path(name).glob("*/hats.properties"))
        raise NotFound(
            f"{name} is a directory without hats.properties: no HATS catalogue.",
            f"Name one in it: {', '.join(str(Path(name) / one) for one in inside)}." if inside else "Name a file.",
        )
    suffix = own.get("hats_npix_suffix", ".parquet")
    literal = "".join(f"[{letter}]" if letter in "[*?" else letter for letter in str(Path(name) / "dataset"))
    pattern = f"{literal}/Norder=*/Dir=*/Npix=*{'/*.parquet' if suffix == '/' else suffix}"
    source = f"read_parquet({sql_text(pattern)}, hive_partitioning = false)"
    try:
        found = house.rows(f"DESCRIBE FROM {source}")
    except duckdb.Error as error:
        raise FileDamaged(f"{name} does not read as a HATS catalogue: {str(error).splitlines()[0]}") from error
    try:
        fields = {
            field.name: field.metadata or {} for field in pq.read_schema(Path(name) / "dataset" / "_common_metadata")
        }
    except (OSError, pa.ArrowException):  # it need not be there
        fields = {}
    hidden = {own.get("hats_col_healpix", HEALPIX.name), HEALPIX.name, "Norder", "Dir", "Npix"}
    columns = []
    for column, data_type, *_ in found:
        if column not in hidden:
            unit, ucd, words = (
                fields.get(column, {}).get(key, b"").decode() for key in (b"unit", b"ucd", b"description")
            )
            columns.append(Column(column, data_type, unit or None, ucd or None, words))
    names = ", ".join(quoted(column.name) for column in columns)
    return f"(SELECT {names} FROM {source})", columns, own


def _file(house: Warehouse, name: str) -> tuple[str, list[Column]]:
    if not Path(name).is_file():
        raise NotFound(
            f"There is no file {name}.", "Tables of the warehouse are named without a suffix, as dr2.master."
        )
    reader = next(reader for suffix, reader in _READERS.items() if name.lower().endswith(suffix))
    relation = f"{reader}({sql_text(name)})"
    try:
        found = house.rows(f"DESCRIBE FROM {relation}")
    except duckdb.Error as error:
        raise FileDamaged(f"{name} does not read as a table: {str(error).splitlines()[0]}") from error
    return relation, [Column(row[0], row[1]) for row in found]


def _table(house: Warehouse, name: str) -> tuple[str, list[Column]]:
    schema, _, table = name.rpartition(".")
    found = house.rows(
        "SELECT schema_name, table_name, column_name, data_type, comment FROM duckdb_columns() "
        "WHERE database_name = current_database() AND NOT internal ORDER BY schema_name, table_name, column_index"
    )
    mine = [row for row in found if (row[0].lower(), row[1].lower()) == ((schema or "main").lower(), table.lower())]
    if not mine:
        known = {row[1] if row[0] == "main" else f"{row[0]}.{row[1]}" for row in found if row[0] != "meta"}
        hint = did_you_mean(name, known) if known else "Load one, or name a .parquet or .csv file or a HATS catalogue."
        if Path(name).is_dir():
            hint = f"The directory of that name is ./{name}."
        raise NotFound(f"There is no table {name} in the warehouse.", hint)
    columns = []
    for _, _, column, data_type, comment in mine:
        description, unit, ucd = from_comment(comment)
        columns.append(Column(column, data_type, unit, ucd, description))
    return f"{quoted(mine[0][0])}.{quoted(mine[0][1])}", columns


def _named(given: Given, columns: Mapping[str, Column], name: str) -> Column:
    if name.lower() not in columns:
        hint = did_you_mean(name.lower(), (column.name for column in columns.values()))
        raise NotFound(f"{given.table} has no column {name}.", hint)
    return columns[name.lower()]


def _key(given: Given, columns: Mapping[str, Column]) -> Column:
    for name in KEYS:
        if name in columns:
            return columns[name]
    raise UsageError(
        f"{given.table}: none of its columns is a key by its name.",
        f"Name it with --left-key or --right-key. Columns: {', '.join(column.name for column in columns.values())}.",
    )


def _place(given: Given, columns: Mapping[str, Column]) -> tuple[Column, Column]:
    if given.ra and given.dec:
        return _named(given, columns, given.ra), _named(given, columns, given.dec)
    if given.ra or given.dec:
        raise UsageError(f"{given.table}: one of right ascension and declination is named.", "Name both, or neither.")
    found = [pair for pair in PLACES if pair[0] in columns and pair[1] in columns]
    if len(found) == 1:
        return columns[found[0][0]], columns[found[0][1]]
    said = " and ".join(f"{a}, {b}" for a, b in found) or "none"
    raise UsageError(
        f"{given.table}: its positions could not be told by name: {said}.",
        "Name them, as with --left-ra raj2000 --left-dec dej2000 (right: --right-ra, --right-dec). "
        f"Columns: {', '.join(column.name for column in columns.values())}.",
    )


def _check_place(house: Warehouse, given: Given, relation: str, column: Column) -> None:
    # A CSV file does not tell the type of a column without values; there is nothing in it that could be misread.
    blank = column.type == "VARCHAR" and not house.rows(
        f"SELECT 1 FROM {relation} WHERE {quoted(column.name)} IS NOT NULL LIMIT 1"
    )
    if not (_EXACT.match(column.type) or blank):
        why = ": such a number is some 0.1 arcsec apart from the next" if column.type in ("FLOAT", "REAL") else ""
        raise UsageError(
            f"{given.table}: {column.name} is {column.type}{why}; positions are numbers of 64 bits or decimals.",
            "Write the file again with DOUBLE positions, or name other columns.",
        )
    if column.unit not in (None, "deg"):
        raise UsageError(f"{given.table}: {column.name} is in [{column.unit}]; positions are read in deg.")


def _epoch(given: Given, columns: Mapping[str, Column]) -> float | str | None:
    if given.epoch is None:
        return None
    try:
        year = float(given.epoch.removeprefix("J"))
    except ValueError:
        column = _named(given, columns, given.epoch)
        if not (_EXACT.match(column.type) or column.type in ("FLOAT", "REAL")):
            raise UsageError(
                f"{given.table}: {column.name} is {column.type}; epochs are numbers, Julian years."
            ) from None
        return column.name
    return check_year(year, given.table)


def check_year(year: float, whose: str) -> float:
    """The year, if it can be the Julian year of an epoch; raises UsageError."""
    if not YEARS[0] <= year <= YEARS[1]:
        raise UsageError(f"{whose}: an epoch of {year:g} is no Julian year.", "Epochs are years, as 2015.5 or J2000.")
    return year
