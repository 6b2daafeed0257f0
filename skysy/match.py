"""Cross-match by position: two tables or files, the SQL of sql/match/ over them, pairs into a table or a file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import duckdb

from skysy import __version__, ledger
from skysy.columns import Column
from skysy.errors import FileDamaged, SkysyError, UsageError
from skysy.sides import Given, Side, check_year, find_side, quoted
from skysy.store import Warehouse, is_damage, is_full, sql_text

FINDS = ("best", "all")
RADIUS_ARCSEC_MAX = 3600.0
"""A wider circle asks for neighbourhoods, not for the same star in another table; its pairs would be without number."""

_FORMATS = {".parquet": "parquet", ".csv": "csv", ".csv.gz": "csv.gz", ".vot": "votable-binary2", ".fits": "fits"}
_NAME = re.compile(r"^[A-Za-z_]\w*$")
_PAIRS = "Pairs by position of"
_PLACED = "key IS NOT NULL AND isfinite(ra) AND abs(dec) <= 90"


@dataclass(frozen=True)
class Match:
    """What is matched, and how; `epoch` [Julian year] is where both sides are moved to, None where positions stand as they are."""

    left: Side
    right: Side
    radius_arcsec: float
    find: str
    epoch: float | None

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the pairs: both keys under their own names and the separation."""
        left, right = self.left.key, self.right.key
        same = left.name.lower() == right.name.lower()
        at = f" at epoch {self.epoch:g}" if self.epoch is not None else ""
        return (
            Column(f"{left.name}_left" if same else left.name, left.type, None, "meta.id;meta.main",
                   left.description or f"key of {self.left.table}"),
            Column(f"{right.name}_right" if same else right.name, right.type, None, "meta.id.cross",
                   right.description or f"key of {self.right.table}"),
            Column("sep_arcsec", "DOUBLE", "arcsec", "pos.angDistance", f"great-circle distance{at}"),
        )  # fmt: skip

    @property
    def purpose(self) -> str:
        """What the pairs are, in a sentence."""
        which = "the nearest of each left key" if self.find == "best" else "all"
        at = f", at epoch {self.epoch:g}" if self.epoch is not None else ""
        return f"{_PAIRS} {self.left.table} and {self.right.table} within {self.radius_arcsec:g} arcsec, {which}{at}."

    @property
    def setting(self) -> list[str]:
        """The statements before the query: macros where something moves, variables, views of both sides."""
        moving = self.left.moves(self.epoch) or self.right.moves(self.epoch)
        return [
            *([_sql("moved")] if moving else []),
            f"SET VARIABLE match_radius_arcsec = CAST({self.radius_arcsec!r} AS DOUBLE);",
            f"SET VARIABLE match_find = '{self.find}';",
            f"CREATE OR REPLACE TEMP VIEW match_left AS\n{self.left.view(self.epoch)};",
            f"CREATE OR REPLACE TEMP VIEW match_right AS\n{self.right.view(self.epoch)};",
        ]

    @property
    def query(self) -> str:
        """sql/match/positions.sql as it stands."""
        return _sql("positions")


@dataclass(frozen=True)
class SideCount:
    """Rows of a side; those with key and position; those of them with a proper motion; keys that more than one row has."""

    rows: int
    placed: int
    with_motion: int
    repeated_keys: int


@dataclass(frozen=True)
class Matched:
    """What came of a match; left rows are matched, or have no partner, or have no position to be compared at all."""

    left: SideCount
    right: SideCount
    pairs: int
    left_keys_matched: int
    median_sep_arcsec: float | None
    out: str


def plan_match(
    house: Warehouse, left: Given, right: Given, radius_arcsec: float, *, find: str = "best", epoch: float | None = None
) -> Match:
    """The match of two sides within a radius; both are looked up, nothing is compared yet.

    Where both sides have an epoch, they are moved to `epoch` [Julian year], which by default is that of the side without
    proper motions, whose stars cannot be moved. Raises UsageError for what does not fit, and as `find_side`.
    """
    if not (math.isfinite(radius_arcsec) and 0 < radius_arcsec <= RADIUS_ARCSEC_MAX):
        raise UsageError(
            f"A radius of {radius_arcsec:g} arcsec cannot be matched within.",
            f"It is above 0 and at most {RADIUS_ARCSEC_MAX:g} arcsec.",
        )
    if find not in FINDS:
        raise UsageError(f"There is no way {find!r} to find pairs.", "It is best or all.")
    if (left.epoch is None) != (right.epoch is None):
        raise UsageError(
            "One side has an epoch, the other has none.", "Give --left-epoch and --right-epoch, or neither."
        )
    if epoch is not None and left.epoch is None:
        raise UsageError(
            "--epoch moves both sides, whose own epochs are not given.", "Give --left-epoch and --right-epoch."
        )
    sides = (find_side(house, left), find_side(house, right))
    if left.epoch is None:
        return Match(*sides, radius_arcsec, find, None)
    if not any(side.motion for side in sides):
        raise UsageError(
            f"Neither {left.table} nor {right.table} has proper motions (pmra, pmdec in mas/yr): nothing can be moved.",
            "Leave the epochs away to compare the positions as they stand.",
        )
    if epoch is None:
        standing = sorted(sides, key=lambda side: side.motion is not None)
        if standing[0].motion is None and isinstance(standing[0].epoch, str):
            raise UsageError(
                f"The stars of {standing[0].table} cannot be moved, and each has an epoch of its own.",
                "Name one that is near enough to all of them with --epoch.",
            )
        epoch = next((side.epoch for side in standing if isinstance(side.epoch, float)), 2000.0)
    return Match(*sides, radius_arcsec, find, check_year(epoch, "--epoch"))


def run_match(house: Warehouse, match: Match, out: str, *, replace: bool = False) -> Matched:
    """Match and keep the pairs, sorted by left key, separation, right key, in a table of `main` or in a file, as `out` names.

    A file or table appears whole or not at all. Raises UsageError for a name that cannot be used, FileDamaged for a file
    that does not read to its end, SkysyError where memory is too small.
    """
    to_file = _check_out(house, match, out, replace=replace)
    with _engine(house):
        for statement in match.setting:
            house.con.execute(statement)
        left, right = _count(house, match.left, count_keys=True), _count(house, match.right, count_keys=False)
        names = ", ".join(quoted(column.name) for column in match.columns)
        if to_file:
            house.run(f"CREATE OR REPLACE TEMP TABLE match_pairs ({names}) AS {match.query}")
            pairs = "temp.match_pairs"
            _write_file(house, match, Path(out), to_file)
        else:
            pairs = f"main.{quoted(out)}"
            with house.transaction():
                arguments = {"left": match.left.table, "right": match.right.table, "out": out}
                run_id = ledger.begin_run(house.con, "match", {**arguments, "purpose": match.purpose}, __version__)
                house.run(f"DROP TABLE IF EXISTS {pairs}")
                house.run(f"CREATE TABLE {pairs} ({names}) AS {match.query}")
                house.run(f"COMMENT ON TABLE {pairs} IS {sql_text(match.purpose)}")
                for column in match.columns:
                    house.run(f"COMMENT ON COLUMN {pairs}.{quoted(column.name)} IS {sql_text(column.comment)}")
                ledger.end_run(house.con, run_id, "done")
        key = quoted(match.columns[0].name)
        [(number, matched, median)] = house.rows(
            f"SELECT count(*), count(DISTINCT {key}), median(sep_arcsec) FROM {pairs}"
        )
    return Matched(left, right, number, matched, median, out)


def _check_out(house: Warehouse, match: Match, out: str, *, replace: bool) -> str | None:
    """The format of a file that `out` names, None for a table; raises UsageError where neither can be made there."""
    if found := file_format(out):
        if not Path(out).parent.is_dir():
            raise UsageError(f"There is no directory {Path(out).parent} to write {Path(out).name} to.")
        if Path(out).resolve() in {Path(side.table).resolve() for side in (match.left, match.right)}:
            raise UsageError(
                f"{out} is what should be matched.", "Nothing was changed. Name another file for the pairs."
            )
        return found
    if not _NAME.match(out):
        raise UsageError(
            f"{out} is neither a file that can be written nor the name of a table.",
            f"Files end in {', '.join(_FORMATS)}; a table's name is a word.",
        )
    # Names that differ in capitals alone are one to DuckDB: a DROP of the one takes the other.
    there = house.rows(
        "SELECT DISTINCT c.table_name, t.comment FROM duckdb_columns() AS c LEFT JOIN duckdb_tables() AS t USING (table_oid, database_name) "
        "WHERE database_name = current_database() AND c.schema_name = 'main' AND lower(c.table_name) = lower(?)",
        [out],
    )
    for name, comment in there:
        if not (comment or "").startswith(_PAIRS):
            raise UsageError(
                f"There is a table {name}, and no match made it.", "Nothing was changed. Name another one."
            )
        if not replace:
            raise UsageError(f"There is a table {name} already.", "Nothing was changed. Replace it with --replace.")
    return None


def file_format(out: str) -> str | None:
    """The format in which pairs are written to a file of that name; None where it names a table, or nothing that there is."""
    return next((form for suffix, form in _FORMATS.items() if out.lower().endswith(suffix)), None)


def _count(house: Warehouse, side: Side, *, count_keys: bool) -> SideCount:
    if isinstance(side.epoch, str):
        year = f"CAST({quoted(side.epoch)} AS DOUBLE)"
        for found in house.rows(f"SELECT min({year}), max({year}) FROM {side.relation} WHERE isfinite({year})")[0]:
            if found is not None:
                check_year(found, f"{side.table}, column {side.epoch}")
    names = [*(side.motion or ()), *([side.epoch] if isinstance(side.epoch, str) else [])]
    motion = " + ".join(f"CAST({quoted(name)} AS DOUBLE)" for name in names) if side.motion else "NULL::DOUBLE"
    # On the left they decide what is nearest; on the larger side it would take long.
    repeated = f"count(key) FILTER ({_PLACED}) - count(DISTINCT key) FILTER ({_PLACED})" if count_keys else "0"
    [found] = house.rows(
        f"SELECT count(*), count(*) FILTER ({_PLACED}), count(*) FILTER ({_PLACED} AND isfinite(motion)), {repeated} "
        f"FROM (SELECT {side.place}, {motion} AS motion FROM {side.relation})"
    )
    return SideCount(*found)


def _write_file(house: Warehouse, match: Match, path: Path, form: str) -> None:
    from skysy.formats.parquet import ParquetStream
    from skysy.formats.write import write_table

    left, right, sep = (quoted(column.name) for column in match.columns)
    found = house.con.sql(f"FROM temp.match_pairs ORDER BY {left}, {sep}, {right}")
    if form != "parquet":
        write_table(path, form, found.to_arrow_table(), match.columns, name=path.stem, description=match.purpose)
        return
    with ParquetStream(path, match.columns, name=path.stem, description=match.purpose) as stream:
        for batch in found.to_arrow_reader(100_000):
            stream.write(batch)


@contextmanager
def _engine(house: Warehouse) -> Iterator[None]:
    """What DuckDB says while it reads and matches, in words."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise SkysyError(
            f"The match needs more memory than {house.settings.memory_limit}, or more room in {house.settings.temp_directory}.",
            "Nothing was kept. Raise it, as with --memory-limit 8GB, or match within a smaller radius.",
        ) from error
    except (duckdb.InterruptException, duckdb.FatalException, duckdb.InternalException):
        raise
    except duckdb.Error as error:
        if is_damage(error) or is_full(error):
            raise
        raise FileDamaged(f"The match was not done: {str(error).splitlines()[0]}", "Nothing was kept.") from error


def _sql(name: str) -> str:
    return (files("skysy.sql") / "match" / f"{name}.sql").read_text(encoding="utf-8")
