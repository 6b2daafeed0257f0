"""What a build says: what it made, what its audits found, how far it is, and DuckDB's errors in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb

from skysy.errors import SqlError
from skysy.models.plan import Step
from skysy.store import Warehouse, is_damage, is_full

STAND = "The tables of the last build stand."


@dataclass(frozen=True)
class BuiltModel:
    """A model that was built: `rows` and `content_hash` are None for a view.

    `anew` is how many of the rows were made anew, those of touched objects or chunks; None where it was made whole.
    """

    name: str
    kind: str
    reason: str
    rows: int | None
    content_hash: str | None
    seconds: float
    engine: str
    anew: int | None = None


@dataclass(frozen=True)
class AuditResult:
    """What an audit found: how many rows break its promise, and a few of them."""

    name: str
    severity: str
    sentence: str
    offenders: int
    sample: list[dict[str, Any]]
    touched_only: bool = False
    """Whether it looked at touched objects or chunks alone; elsewhere it had found nothing before, and nothing changed."""


@dataclass(frozen=True)
class BuildSummary:
    """What a build did."""

    release: str
    models: tuple[BuiltModel, ...]
    fresh: tuple[str, ...]
    dropped: tuple[str, ...]
    audits: tuple[AuditResult, ...]
    seconds: float
    kept: tuple[str, ...] = ()
    """Models of a user's own project that is not here; they stand as they were."""

    @property
    def nothing(self) -> bool:
        """Whether nothing was stale and nothing was written."""
        return not (self.models or self.dropped or self.audits)


@dataclass(frozen=True)
class Buckets:
    """How far the workers of a cluster are with the models that they make together."""

    models: tuple[str, ...]
    done: int
    total: int


@dataclass(frozen=True)
class Made:
    """A model's rows, made elsewhere: the relation that they are, and the seconds that they took there."""

    relation: str
    seconds: float


Progress = Callable[[Step | BuiltModel | AuditResult | Buckets], None]
"""Told each Step as it starts, each BuiltModel and AuditResult as it is done, and Buckets of a cluster as they are."""


@contextmanager
def explained(what: str, warehouse: Warehouse) -> Iterator[None]:
    """Turn what DuckDB says into words that name the file and the next step."""
    limit = warehouse.settings.memory_limit
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        if "max_temp_directory_size" in str(error):
            raise SqlError(
                f"{what} ran out of disk for its intermediate rows. {STAND}",
                f"Make room in {warehouse.settings.temp_directory}, or raise --memory-limit (now {limit}).",
            ) from error
        raise SqlError(
            f"{what} needs more memory than {limit}. {STAND}", "Raise it, as with --memory-limit 8GB."
        ) from error
    except duckdb.Error as error:
        if is_damage(error) or isinstance(error, duckdb.InterruptException):
            raise
        if is_full(error):
            raise SqlError(
                f"{what} could not be written: the disk is full. {STAND}",
                f"Make room beside {warehouse.settings.warehouse}, then run `skysy build` again.",
            ) from error
        raise SqlError(f"{what} failed: {error}", STAND) from error
