"""One request to a service, described whole before it is sent: what, of which part, and how many rows it must bring."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Part = Mapping[str, Any]
"""Which part of a table: {"ra": [lo, hi], "dec": [lo, hi]} in degrees, {"key": [lo, hi]}, or {"ids": n, "first":, "last":}."""

_SMALLEST_DEG = 0.02
"""A tile below this is not halved: a service that does not give it will not give a smaller one."""


@dataclass(frozen=True)
class Ask:
    """A request: `query` brings the rows, `count_query` tells how many they are, `keys` are the ids that it is for.

    `how` is async, sync, cone, xmatch or mast; with `upload` the keys go along as the table TAP_UPLOAD.ids. `expected` is None
    until it is counted, and stays so where a service cannot count (cone, X-Match, MAST).
    """

    route: str
    table: str
    service: str
    how: str
    part: Part
    query: str
    count_query: str = ""
    keys: tuple[int, ...] = ()
    upload: bool = False
    column_set: int = 0
    expected: int | None = None
    chunk_id: int = 0
    job_url: str | None = None
    tries: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The part in words, for messages and as the chunk's source."""
        return part_words(self.part)

    @property
    def sha256(self) -> str:
        """Checksum of what is asked: service, query and keys."""
        text = json.dumps([self.service, self.how, self.query, list(self.keys)])
        return hashlib.sha256(text.encode()).hexdigest()


def part_words(part: Part) -> str:
    """A part of a table in words."""
    if "ra" in part:
        (west, east), (south, north) = part["ra"], part["dec"]
        return f"ra {west:g} to {east:g}, dec {south:g} to {north:g} deg"
    if "key" in part:
        first, beyond = part["key"]
        return f"{part['column']} {first} to {beyond - 1}"
    return f"{part['ids']:,} ids from {part['first']} to {part['last']}"


def halves(ask: Ask) -> list[Part]:
    """The two halves of a part; empty where it cannot be halved: one id, one key, a tile of about an arcminute."""
    part = ask.part
    if "ra" in part:
        (west, east), (south, north) = part["ra"], part["dec"]
        if max(east - west, north - south) < _SMALLEST_DEG:
            return []
        if east - west > north - south:
            middle = (west + east) / 2
            return [{**part, "ra": [west, middle]}, {**part, "ra": [middle, east]}]
        middle = (south + north) / 2
        return [{**part, "dec": [south, middle]}, {**part, "dec": [middle, north]}]
    if "key" in part:
        first, beyond = part["key"]
        if beyond - first < 2:
            return []
        middle = (first + beyond) // 2
        return [{**part, "key": [first, middle]}, {**part, "key": [middle, beyond]}]
    return [] if len(ask.keys) < 2 else [ids_part(keys) for keys in halved_keys(ask)]


def halved_keys(ask: Ask) -> list[tuple[int, ...]]:
    """The keys of an ask in two halves."""
    middle = len(ask.keys) // 2
    return [ask.keys[:middle], ask.keys[middle:]]


def ids_part(keys: tuple[int, ...]) -> Part:
    """The part that a set of ids is; they are in ascending order."""
    return {"ids": len(keys), "first": keys[0], "last": keys[-1]}
