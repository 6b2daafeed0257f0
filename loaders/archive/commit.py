"""A raw answer into the warehouse: read, held against the contract and the count, kept whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skysy.loaders.archive.asks import Ask
from skysy.loaders.archive.book import Book
from skysy.loaders.archive.cone import CONTROL_KEY, CONTROL_NAME
from skysy.loaders.archive.keep import Keep
from skysy.loaders.archive.mast_reply import open_answer
from skysy.loaders.archive.routes import KEYS, PLACED, tables_of
from skysy.loaders.csv import open_csv
from skysy.loaders.rows import bring_in, inspect
from skysy.loaders.source import Source
from skysy.loaders.verify import select_columns
from skysy.loaders.votable import open_votable

from skysy import ledger
from skysy.contract import Contract, TableContract
from skysy.errors import FileDamaged, Mismatch

_NEIGHBOURS = {
    "ext.twomass_psc": ("pts_key", "twomass_key"),
    "ext.allwise": ("cntr", "allwise_cntr"),
    "ext.gaia_dr2": ("source_id", "gaia_dr2_id1"),
    "ext.gaia_dr3": ("source_id", "gaia_dr3_id1"),
}
"""By table of neighbours: its key, and the column of the release's master that points at it.

Objects of two tiles may have the same neighbour, which then comes twice.
"""

_DOUBTED = 100
"""Of so many keys that came twice is it asked whether the archive has them so."""

_DIGITS_DEG = 2e-5
"""What a position may lie off because it was sent with few digits."""


class Doubtful(Mismatch):
    """As many rows came as were counted, but some have the key of another: is the archive so, or its answer?

    `count_query` counts the rows of those keys at the archive; with `rows` of them it is, and the answer, whose hash is
    `content`, may be committed as it is.
    """

    content = count_query = ""
    rows = 0


def commit(book: Book, keep: Keep, contract: Contract, ask: Ask, sha256: str, form: str, doubted: str = "") -> int:
    """Rows of an answer that are in the warehouse now, in one transaction with the ledger's word of them.

    Rows with equal keys are taken if they are those of the `doubted` hash, else Doubtful is raised. Raises Mismatch where other rows came than were counted or asked for, a LoadError where the answer is damaged or not
    as the contract says; nothing of it is kept then.
    """
    table = contract.table(ask.table)
    name = f"{ask.service}: {ask.table}, {ask.words}"
    path = keep.path(sha256, form)
    warehouse = book.warehouse
    names = [column.name for column in table.columns]
    where = f"WHERE {ledger.CHUNK_COLUMN} = {ask.chunk_id:d}"
    with _named(name, path), _opened(path, form, table, ask) as source:
        selection = select_columns(name, table, source)
        with warehouse.transaction():
            warehouse.run(f"DELETE FROM {table.name} {where}")
            bring_in(warehouse, name, table, source, selection, ask.chunk_id)
            rows, notes = inspect(warehouse, table, selection, ask.chunk_id)
            _check(book, name, ask, rows)
            if notes.get("duplicate_keys") and ask.how not in ("cone", "mast") and ask.route not in PLACED:
                content = ledger.content_hash(warehouse.con, table.name, names, where)
                if content != doubted:
                    raise _doubt(book, name, table, ask, content)
            kept = rows - _drop_copies(book, table, ask, notes)
            if ask.keys:
                book.answered(ask, KEYS[ask.route])
            added = _add_absent(book, table, ask)
            content = ledger.content_hash(warehouse.con, table.name, names, where)
            book.loaded(ask, rows, content, notes)
    return kept + added


def _doubt(book: Book, name: str, table: TableContract, ask: Ask, content: str) -> Doubtful:
    mine = f"{ledger.CHUNK_COLUMN} = {ask.chunk_id:d}"
    whole = {column.name for column in table.columns if column.type in ("SMALLINT", "INTEGER", "BIGINT")}
    numbers = [column for column in table.key if column in whole]
    twice = book.warehouse.rows(
        f"SELECT {', '.join(numbers)} FROM {table.name} WHERE {mine} AND {' AND '.join(f'{one} IS NOT NULL' for one in table.key)} "
        f"GROUP BY {', '.join(table.key)} "
        f"HAVING count(*) > 1 ORDER BY ALL LIMIT {_DOUBTED:d}"
    )
    alias = "m" if table.table == "master" else "x"
    picked = [
        f"{{}}{column} IN ({', '.join(map(str, sorted({row[place] for row in twice})))})"
        for place, column in enumerate(numbers)
    ]
    doubt = Doubtful(
        f"{name}: as many rows came as were counted, but some of them twice, so that others are missing.",
        "Nothing of it was kept. The same command asks for it again.",
    )
    doubt.content = content
    there, here = (" AND ".join(one.format(prefix) for one in picked) for prefix in (f"{alias}.", ""))
    doubt.count_query = f"{ask.count_query}\n{'AND' if 'WHERE' in ask.count_query else 'WHERE'} {there}"
    doubt.rows = int(book.warehouse.value(f"SELECT count(*) FROM {table.name} WHERE {mine} AND {here}"))
    return doubt


def _opened(path: Path, form: str, table: TableContract, ask: Ask) -> Source:
    if form == "json":
        return open_answer(path, table, ask.keys)
    return open_votable(path) if form == "votable" else open_csv(path, table)


@contextmanager
def _named(name: str, path: Path) -> Iterator[None]:
    """A file that is wrong is told by what it answers, not by the checksum that is its name."""
    try:
        yield
    except FileDamaged as error:
        words = error.message.replace(path.name, name)
        raise type(error)(words, "Nothing of it was kept. The same command asks for it again.") from error


def strangers(book: Book) -> list[tuple[int, str]]:
    """Chunks of neighbours that hold a row which no object of the plan points at, and lack one: (chunk_id, in words).

    The objects and their neighbours are asked by the same cuts on the same part of the sky, so that each object has its
    neighbours, and each neighbour an object; a wrong identifier breaks both.
    """
    found = []
    plan = book.planned("sample") or ""
    master, *neighbours = tables_of(book.release, "sample")
    for table in neighbours:
        key, pointer = _NEIGHBOURS[table]
        mine = "SELECT chunk_id FROM meta.chunk WHERE route = 'sample' AND state = 'loaded' AND plan_sha256 = ?"
        alone = book.warehouse.rows(
            f"SELECT {ledger.CHUNK_COLUMN}, min({key}), count(*) FROM {table} WHERE {ledger.CHUNK_COLUMN} IN ({mine}) AND {key} NOT IN "
            f"(SELECT {pointer} FROM {master} WHERE {pointer} IS NOT NULL AND {ledger.CHUNK_COLUMN} IN ({mine})) "
            "GROUP BY ALL ORDER BY ALL",
            [plan, plan],
        )
        lost = book.warehouse.rows(
            f"SELECT object_id, {pointer} FROM {master} WHERE {ledger.CHUNK_COLUMN} IN ({mine}) AND {pointer} NOT IN "
            f"(SELECT {key} FROM {table} WHERE {key} IS NOT NULL) ORDER BY 1 LIMIT 1",
            [plan],
        )
        if alone and lost:
            found += [
                (chunk_id, f"{n:,} rows, {key} {first} among them, belong to no object that was asked for, "
                 f"and object {lost[0][0]} lacks its own, {lost[0][1]}")
                for chunk_id, first, n in alone
            ]  # fmt: skip
    return found


def _check(book: Book, name: str, ask: Ask, rows: int) -> None:
    if ask.expected is not None and rows != ask.expected:
        raise Mismatch(
            f"{name}: {ask.expected:,} rows were counted, {rows:,} came.",
            "Nothing of it was kept. The same command asks for it again.",
        )
    mine = f"{ledger.CHUNK_COLUMN} = {ask.chunk_id:d}"
    if outside := _outside(ask):
        odd = book.warehouse.value(f"SELECT count(*) FROM {ask.table} WHERE {mine} AND NOT ({outside})")
        if odd:
            raise Mismatch(
                f"{name}: {odd:,} of {rows:,} rows lie outside of the part that was asked for.",
                "Nothing of it was kept. The same command asks for it again.",
            )
    if ask.how == "xmatch":
        _check_control(book, name, ask, mine)
    if not ask.keys or ask.how == "cone":
        return
    column = KEYS[ask.route]
    strangers = book.warehouse.rows(
        f"SELECT {column} FROM {ask.table} WHERE {mine} AND {column} IS NOT NULL "
        f"AND {column} NOT IN (SELECT key FROM meta.asked WHERE chunk_id = {ask.chunk_id:d}) LIMIT 1"
    )
    if strangers:
        raise Mismatch(
            f"{name}: rows came for {column} {strangers[0][0]}, which was not asked for.",
            "Nothing of it was kept. The same command asks for it again.",
        )


def _outside(ask: Ask) -> str:
    """SQL of what each row of a part must be, empty where its place does not tell; degrees may have lost their last digits."""
    if ask.table.endswith(".master") and "ra" in ask.part:
        (west, east), (south, north) = ask.part["ra"], ask.part["dec"]
        return (
            f"raj2000 BETWEEN {west!r} - {_DIGITS_DEG} AND {east!r} + {_DIGITS_DEG} "
            f"AND dej2000 BETWEEN {south!r} - {_DIGITS_DEG} AND {north!r} + {_DIGITS_DEG}"
        )
    if "key" in ask.part:
        first, beyond = ask.part["key"]
        return f"{KEYS[ask.route]} >= {first:d} AND {KEYS[ask.route]} < {beyond:d}"
    return ""


def _check_control(book: Book, name: str, ask: Ask, mine: str) -> None:
    """Take out the star that SIMBAD is known to have; without it the answer's silence on others means nothing."""
    control = f"{mine} AND object_id = {CONTROL_KEY:d}"
    if not book.warehouse.value(f"SELECT count(*) FROM {ask.table} WHERE {control}"):
        raise Mismatch(
            f"{name}: {CONTROL_NAME}, which SIMBAD has and which was asked for along with them, was not found, "
            "so that it is not known which of the others it has.",
            "Nothing of it was kept. The same command asks again; --service simbad=simbad asks SIMBAD itself.",
        )
    book.warehouse.run(f"DELETE FROM {ask.table} WHERE {control}")


def _drop_copies(book: Book, table: TableContract, ask: Ask, notes: dict[str, Any]) -> int:
    """Take out rows that are here already or belong to others; how many they were.

    Cones overlap and reach beyond their object: detections of other objects go, and of equal keys one row stays.
    Objects of two tiles may have the same neighbour in another catalogue, which then comes with each tile.
    """
    mine = f"{ledger.CHUNK_COLUMN} = {ask.chunk_id:d}"
    if ask.how == "cone":
        key = ", ".join(table.key)
        return _take(
            book, table, notes, "of_others",
            f"{mine} AND ({KEYS[ask.route]} IS NULL OR {KEYS[ask.route]} NOT IN "
            f"(SELECT key FROM meta.asked WHERE chunk_id = {ask.chunk_id:d}))",
        ) + _take(
            book, table, notes, "copies",
            f"{mine} AND rowid NOT IN (SELECT min(rowid) FROM {table.name} WHERE {mine} GROUP BY {key})",
        )  # fmt: skip
    if ask.table not in _NEIGHBOURS:
        return 0
    return _take(
        book, table, notes, "already_there",
        f"{mine} AND {table.key[0]} IN (SELECT t.{table.key[0]} FROM {table.name} AS t JOIN meta.chunk AS c "
        f"ON t.{ledger.CHUNK_COLUMN} = c.chunk_id WHERE c.route = 'sample' AND c.state = 'loaded' "
        f"AND c.chunk_id <> {ask.chunk_id:d} AND c.release = (SELECT release FROM meta.chunk WHERE chunk_id = {ask.chunk_id:d}) "
        f"AND c.plan_sha256 = (SELECT plan_sha256 FROM meta.chunk WHERE chunk_id = {ask.chunk_id:d}))",
    )  # fmt: skip


def _add_absent(book: Book, table: TableContract, ask: Ask) -> int:
    """A row for each object that nothing was found for, so that the science can tell it from one never asked about."""
    if ask.route not in PLACED:
        return 0
    mine = f"{ledger.CHUNK_COLUMN} = {ask.chunk_id:d}"
    absent = (
        f"SELECT key FROM meta.asked WHERE chunk_id = {ask.chunk_id:d} "
        f"AND key NOT IN (SELECT object_id FROM {table.name} WHERE {mine})"
    )
    rows = int(book.warehouse.value(f"SELECT count(*) FROM ({absent})"))
    book.warehouse.run(
        f"INSERT INTO {table.name} BY NAME SELECT key AS object_id, {ask.chunk_id:d} AS {ledger.CHUNK_COLUMN} FROM ({absent})"
    )
    return rows


def _take(book: Book, table: TableContract, notes: dict[str, Any], why: str, where: str) -> int:
    """Delete rows and note how many."""
    rows = int(book.warehouse.value(f"SELECT count(*) FROM {table.name} WHERE {where}"))
    if rows:
        book.warehouse.run(f"DELETE FROM {table.name} WHERE {where}")
        notes[why] = rows
    return rows
