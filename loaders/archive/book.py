"""What was asked of the archives and how far each request came: rows of meta.chunk, meta.asked and meta.job.

    planned -> submitted -> fetched -> loaded        split: its pieces take its place        failed: asked again next time

A job's URL is written before the job is waited for; a chunk becomes `loaded` in the transaction that brings its rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from skysy.loaders.archive.asks import Ask

from skysy import ledger
from skysy.store import Warehouse

OPEN = ("planned", "submitted", "fetched", "failed")
"""States of a chunk that still has rows to bring."""


@dataclass(frozen=True)
class Entry:
    """An ask as the ledger has it: its state, and the checksum of its raw answer once that is kept."""

    ask: Ask
    state: str
    sha256: str | None
    format: str


class Book:
    """The ledger's pages on one release."""

    def __init__(self, warehouse: Warehouse, release: str, run_id: int) -> None:
        self.warehouse = warehouse
        self.release = release
        self.run_id = run_id

    def open(self, route: str) -> list[Entry]:
        """Asks of a route that are not finished, in the order in which they were planned."""
        return self._entries(route, OPEN)

    def _entries(self, route: str, states: Sequence[str]) -> list[Entry]:
        found = self.warehouse.rows(
            "SELECT chunk_id, table_name, service, query, count_query, how, upload, column_set, part, expected_rows, job_url, "
            "tries, state, sha256, format FROM meta.chunk WHERE release = ? AND route = ? AND list_contains(?, state) "
            "ORDER BY chunk_id",
            [self.release, route, list(states)],
        )
        keys = self._keys([row[0] for row in found])
        return [
            Entry(
                Ask(
                    route=route, table=row[1], service=row[2], how=row[5], part=json.loads(row[8]), query=row[3],
                    count_query=row[4], keys=keys.get(row[0], ()), upload=row[6], column_set=row[7], expected=row[9],
                    chunk_id=row[0], job_url=row[10], tries=row[11],
                ),
                row[12], row[13], row[14],
            )
            for row in found
        ]  # fmt: skip

    def planned(self, route: str) -> str | None:
        """The checksum of the plan that a route has, or None."""
        found = self.warehouse.value(
            "SELECT plan_sha256 FROM meta.plan WHERE release = ? AND route = ?", [self.release, route]
        )
        return None if found is None else str(found)

    def plan(self, route: str, plan_sha256: str, asks: Sequence[Ask]) -> list[Ask]:
        """Write down a route's plan, whole or not at all; the asks that are to be sent come back with their chunk_id.

        Parts that are in already, from an earlier plan that asked the same and got as many rows, become parts of this one.
        """
        with self.warehouse.transaction():
            self.warehouse.run("DELETE FROM meta.plan WHERE release = ? AND route = ?", [self.release, route])
            self.warehouse.run(
                "INSERT INTO meta.plan VALUES (?, ?, ?, ?)", [self.release, route, plan_sha256, ledger.now()]
            )
            return self._add([ask for ask in asks if not self._adopted(ask, plan_sha256)])

    def add(self, asks: Sequence[Ask]) -> list[Ask]:
        """More asks for the plan that their route has."""
        with self.warehouse.transaction():
            return self._add(asks)

    def discard(self, entries: Sequence[Entry]) -> None:
        """Forget asks that cannot be sent as they are; what they are for is planned anew."""
        with self.warehouse.transaction():
            for entry in entries:  # one that is to be asked again may have rows
                self._forget(entry.ask.chunk_id)
                ledger.drop_chunk(self.warehouse.con, entry.ask.chunk_id, entry.ask.table)

    def discard_open(self, route: str) -> None:
        """Forget asks that are not finished: another plan takes their place."""
        where = "release = ? AND route = ? AND list_contains(?, state)"
        values = [self.release, route, list(OPEN)]
        with self.warehouse.transaction():
            self.warehouse.run(
                f"DELETE FROM meta.asked WHERE chunk_id IN (SELECT chunk_id FROM meta.chunk WHERE {where})", values
            )
            self.warehouse.run(f"DELETE FROM meta.chunk WHERE {where}", values)

    def drop_older(self, route: str) -> list[int]:
        """Take out what earlier plans of a route brought; the chunks that they were."""
        older = self.warehouse.rows(
            "SELECT chunk_id, table_name FROM meta.chunk WHERE release = ? AND route = ? AND plan_sha256 <> ?",
            [self.release, route, self.planned(route) or ""],
        )
        with self.warehouse.transaction():
            for chunk_id, table_name in older:
                self._forget(chunk_id)
                ledger.drop_chunk(self.warehouse.con, chunk_id, table_name)
        return [chunk_id for chunk_id, _ in older]

    def split(self, ask: Ask, pieces: Sequence[Ask]) -> list[Ask]:
        """Put pieces in the place of an ask; rows that it brought before a refresh go, since the pieces bring them."""
        with self.warehouse.transaction():
            self._set(ask, state="split", ended_at=ledger.now())
            self.warehouse.run(f"DELETE FROM {ask.table} WHERE {ledger.CHUNK_COLUMN} = {ask.chunk_id:d}")
            self.warehouse.run("DELETE FROM meta.asked WHERE chunk_id = ?", [ask.chunk_id])
            return self._add(pieces)

    def submitted(self, ask: Ask, job_url: str) -> None:
        """Keep the URL of the job that answers an ask."""
        with self.warehouse.transaction():
            self._set(ask, state="submitted", job_url=job_url)
            self.warehouse.run("INSERT INTO meta.job VALUES (?, ?, ?, NULL)", [job_url, ask.service, ledger.now()])

    def fetched(self, ask: Ask, sha256: str, size: int, form: str) -> None:
        """Keep that the raw answer lies whole in the warehouse's raw directory."""
        self._set(ask, state="fetched", sha256=sha256, bytes=size, format=form, expected_rows=ask.expected)

    def failed(self, ask: Ask, words: str) -> None:
        """Keep that an ask failed; the next load asks it again."""
        self._set(ask, state="failed", tries=ask.tries, notes=json.dumps({"error": words}), job_url=None)

    def waits(self, ask: Ask, words: str) -> None:
        """Keep why an ask has no answer yet; its job, if there is one, is looked at again by the next load."""
        self._set(ask, notes=json.dumps({"error": words}))

    def again(self, ask: Ask) -> None:
        """Forget the answer and the job of an ask, so that it is asked anew."""
        self._set(ask, state="planned", tries=ask.tries, expected_rows=ask.expected, job_url=None, sha256=None)

    def loaded(self, ask: Ask, rows: int, content: str, notes: Mapping[str, Any]) -> None:
        """Mark an ask as loaded; to be called in the transaction that brings its rows."""
        self._set(
            ask, state="loaded", received_rows=rows, expected_rows=ask.expected, content_hash=content,
            notes=json.dumps(notes), ended_at=ledger.now(), run_id=self.run_id, tries=ask.tries + 1,
        )  # fmt: skip

    def answered(self, ask: Ask, column: str) -> None:
        """Write down how many rows each asked key brought, none included; in the same transaction."""
        self.warehouse.run(
            f"UPDATE meta.asked SET found = coalesce(r.n, 0) FROM (SELECT a.key, t.n FROM meta.asked AS a LEFT JOIN "
            f"(SELECT {column} AS key, count(*) AS n FROM {ask.table} WHERE {ledger.CHUNK_COLUMN} = {ask.chunk_id:d} GROUP BY ALL) "
            f"AS t USING (key) WHERE a.chunk_id = {ask.chunk_id:d}) AS r "
            f"WHERE asked.chunk_id = {ask.chunk_id:d} AND asked.key = r.key"
        )

    def loaded_asks(self, route: str) -> list[tuple[Ask, int]]:
        """Asks of a route whose rows are in, each with the number of rows that came."""
        return [(entry.ask, entry.ask.expected or 0) for entry in self._entries(route, ("loaded",))]

    def span(self, route: str) -> tuple[int, int] | None:
        """Where the ranges of keys that a route has planned begin and end, None before the first."""
        found = self.warehouse.rows(
            "SELECT min((part->'key'->>0)::BIGINT), max((part->'key'->>1)::BIGINT) FROM meta.chunk "
            "WHERE release = ? AND route = ? AND state <> 'split' AND plan_sha256 = ?",
            [self.release, route, self.planned(route) or ""],
        )
        return None if found[0][0] is None else (int(found[0][0]), int(found[0][1]))

    def plan_of(self, ask: Ask) -> str:
        """The checksum of the plan that an ask is part of."""
        return str(self.warehouse.value("SELECT plan_sha256 FROM meta.chunk WHERE chunk_id = ?", [ask.chunk_id]) or "")

    def has(self, ask: Ask) -> bool:
        """Whether the rows of an ask are in, under the chunk_id that it had."""
        return bool(
            self.warehouse.rows(
                "SELECT 1 FROM meta.chunk WHERE chunk_id = ? AND query_sha256 = ? AND state = 'loaded'",
                [ask.chunk_id, ask.sha256],
            )
        )

    def restore(self, ask: Ask, plan_sha256: str) -> Ask:
        """Write down an ask that only its raw answer remembers; it comes back with its chunk_id in this ledger."""
        with self.warehouse.transaction():
            self.warehouse.run("DELETE FROM meta.asked WHERE chunk_id = ?", [ask.chunk_id])
            self.warehouse.run("DELETE FROM meta.chunk WHERE chunk_id = ?", [ask.chunk_id])
            self._insert(ask, plan_sha256)
        return ask

    def asked_keys(self, route: str) -> set[int]:
        """Keys that a route has asked for by its present plan, answered or not."""
        found = self.warehouse.rows(
            "SELECT a.key FROM meta.asked AS a JOIN meta.chunk AS c USING (chunk_id) "
            "WHERE a.release = ? AND a.route = ? AND c.plan_sha256 = ?",
            [self.release, route, self.planned(route) or ""],
        )
        return {row[0] for row in found}

    def jobs_to_delete(self, service: str) -> list[str]:
        """Jobs of a service whose answers are not needed any more and that are still there."""
        found = self.warehouse.rows(
            "SELECT j.job_url FROM meta.job AS j WHERE j.service = ? AND j.deleted_at IS NULL AND NOT EXISTS "
            "(SELECT 1 FROM meta.chunk AS c WHERE c.job_url = j.job_url AND c.state = 'submitted')",
            [service],
        )
        return [str(row[0]) for row in found]

    def job_deleted(self, job_url: str) -> None:
        """Keep that a job is gone from its service."""
        self.warehouse.run("UPDATE meta.job SET deleted_at = ? WHERE job_url = ?", [ledger.now(), job_url])

    def _add(self, asks: Iterable[Ask]) -> list[Ask]:
        added = []
        next_id = ledger.next_chunk_id(self.warehouse.con)
        for place, ask in enumerate(asks):
            added.append(replace(ask, chunk_id=next_id + place))
            self._insert(added[-1], self.planned(ask.route) or "")
        return added

    def _adopted(self, ask: Ask, plan_sha256: str) -> bool:
        """Whether the rows of an ask are in by an earlier plan, which then are this plan's.

        Not where rows were left out because another part of that plan had them.
        """
        found = self.warehouse.value(
            "SELECT chunk_id FROM meta.chunk WHERE release = ? AND route = ? AND state = 'loaded' AND query_sha256 = ? "
            "AND expected_rows = ? AND (plan_sha256 = ? OR notes->>'already_there' IS NULL) ORDER BY chunk_id",
            [self.release, ask.route, ask.sha256, ask.expected, plan_sha256],
        )
        if found is not None:
            self.warehouse.run("UPDATE meta.chunk SET plan_sha256 = ? WHERE chunk_id = ?", [plan_sha256, found])
        return found is not None

    def _forget(self, chunk_id: int) -> None:
        self.warehouse.run("DELETE FROM meta.asked WHERE chunk_id = ?", [chunk_id])
        self.warehouse.run("DELETE FROM meta.chunk WHERE chunk_id = ?", [chunk_id])

    def _insert(self, ask: Ask, plan_sha256: str) -> None:
        values = {
            "chunk_id": ask.chunk_id, "run_id": self.run_id, "release": self.release, "table_name": ask.table,
            "service": ask.service, "source": f"{ask.service}: {ask.words}", "query": ask.query,
            "query_sha256": ask.sha256, "expected_rows": ask.expected, "state": "planned", "tries": 0,
            "started_at": ledger.now(), "route": ask.route, "part": json.dumps(ask.part),
            "count_query": ask.count_query, "how": ask.how, "upload": ask.upload, "column_set": ask.column_set,
            "plan_sha256": plan_sha256,
        }  # fmt: skip
        named = ", ".join(f"? AS {name}" for name in values)
        self.warehouse.run(f"INSERT INTO meta.chunk BY NAME SELECT {named}", list(values.values()))
        if ask.keys:
            self.warehouse.run(
                "INSERT INTO meta.asked SELECT ?, ?, ?, unnest(?::BIGINT[]), NULL, ?",
                [self.release, ask.route, ask.table, list(ask.keys), ask.chunk_id],
            )

    def _keys(self, chunk_ids: Sequence[int]) -> dict[int, tuple[int, ...]]:
        found: dict[int, list[int]] = {}
        for chunk_id, key in self.warehouse.rows(
            "SELECT chunk_id, key FROM meta.asked WHERE list_contains(?, chunk_id) ORDER BY chunk_id, key",
            [list(chunk_ids)],
        ):
            found.setdefault(chunk_id, []).append(key)
        return {chunk_id: tuple(keys) for chunk_id, keys in found.items()}

    def _set(self, ask: Ask, **values: Any) -> None:
        assignments = ", ".join(f"{name} = ?" for name in values)
        self.warehouse.run(f"UPDATE meta.chunk SET {assignments} WHERE chunk_id = ?", [*values.values(), ask.chunk_id])
