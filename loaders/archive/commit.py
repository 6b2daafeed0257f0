"""A raw answer into the warehouse: read, held against the contract and the count, kept whole or not at all."""

from __future__ import annotations

from typing import Any

from skysy.loaders.archive.asks import Ask
from skysy.loaders.archive.book import Book
from skysy.loaders.archive.keep import Keep
from skysy.loaders.archive.routes import KEYS
from skysy.loaders.csv import open_csv
from skysy.loaders.rows import bring_in, inspect
from skysy.loaders.source import Source
from skysy.loaders.verify import select_columns
from skysy.loaders.votable import open_votable

from skysy import ledger
from skysy.contract import Contract, TableContract
from skysy.errors import Mismatch

_SHARED = ("ext.twomass_psc", "ext.allwise", "ext.gaia_dr2")
"""Tables of neighbours: objects of two tiles may have the same one, which then comes twice."""


def commit(book: Book, keep: Keep, contract: Contract, ask: Ask, sha256: str, form: str) -> int:
    """Rows of an answer that are in the warehouse now, in one transaction with the ledger's word of them.

    Raises Mismatch where other rows came than were counted or asked for, a LoadError where the answer is damaged or not
    as the contract says; nothing of it is kept then.
    """
    table = contract.table(ask.table)
    name = f"{ask.service}: {ask.table}, {ask.words}"
    path = keep.path(sha256, form)
    source: Source = open_votable(path) if form == "votable" else open_csv(path, table)
    warehouse = book.warehouse
    with source:
        selection = select_columns(name, table, source)
        with warehouse.transaction():
            warehouse.run(f"DELETE FROM {table.name} WHERE {ledger.CHUNK_COLUMN} = {ask.chunk_id:d}")
            bring_in(warehouse, name, table, source, selection, ask.chunk_id)
            rows, notes = inspect(warehouse, table, selection, ask.chunk_id)
            _check(book, name, ask, rows)
            kept = rows - _drop_copies(book, table, ask, notes) + _add_absent(book, table, ask)
            names = [column.name for column in table.columns]
            where = f"WHERE {ledger.CHUNK_COLUMN} = {ask.chunk_id:d}"
            content = ledger.content_hash(warehouse.con, table.name, names, where)
            if ask.keys:
                book.answered(ask, KEYS[ask.route])
            book.loaded(ask, rows, content, notes)
    return kept


def _check(book: Book, name: str, ask: Ask, rows: int) -> None:
    if ask.expected is not None and rows != ask.expected:
        raise Mismatch(
            f"{name}: {ask.expected:,} rows were counted, {rows:,} came.",
            "Nothing of it was kept. The same command asks for it again.",
        )
    if not ask.keys or ask.how == "cone":
        return
    column = KEYS[ask.route]
    strangers = book.warehouse.rows(
        f"SELECT {column} FROM {ask.table} WHERE {ledger.CHUNK_COLUMN} = {ask.chunk_id:d} AND {column} IS NOT NULL "
        f"AND {column} NOT IN (SELECT key FROM meta.asked WHERE chunk_id = {ask.chunk_id:d}) LIMIT 1"
    )
    if strangers:
        raise Mismatch(
            f"{name}: rows came for {column} {strangers[0][0]}, which was not asked for.",
            "Nothing of it was kept. The same command asks for it again.",
        )


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
    if ask.table not in _SHARED:
        return 0
    return _take(
        book, table, notes, "already_there",
        f"{mine} AND {table.key[0]} IN (SELECT t.{table.key[0]} FROM {table.name} AS t JOIN meta.chunk AS c "
        f"ON t.{ledger.CHUNK_COLUMN} = c.chunk_id WHERE c.route = 'sample' AND c.state = 'loaded' "
        f"AND c.chunk_id <> {ask.chunk_id:d} AND c.plan_sha256 = (SELECT plan_sha256 FROM meta.plan "
        f"WHERE release = c.release AND route = 'sample'))",
    )  # fmt: skip


def _add_absent(book: Book, table: TableContract, ask: Ask) -> int:
    """A row for each object that SIMBAD has nothing for, so that the science can tell it from one never asked about."""
    if ask.route != "simbad":
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
