"""Where the warehouse is and how much of the machine it may use: options, then environment, then defaults."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from skysy.errors import UsageError

_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*([KMGT])(i?)B$", re.IGNORECASE)


@dataclass(frozen=True)
class Settings:
    """The warehouse directory and DuckDB's bounds: memory limit (as '4GB') and threads."""

    warehouse: Path
    memory_limit: str
    threads: int

    @property
    def memory_bytes(self) -> float:
        """The memory limit as a number, units as DuckDB takes them."""
        found = _SIZE.match(self.memory_limit)
        if found is None:
            raise ValueError(f"a memory limit of {self.memory_limit!r}")
        return float(found[1]) * (1024.0 if found[3] else 1000.0) ** ("KMGT".index(found[2].upper()) + 1)

    @property
    def database(self) -> Path:
        """The one DuckDB file."""
        return self.warehouse / "skysy.duckdb"

    @property
    def temp_directory(self) -> Path:
        """Where DuckDB may spill."""
        return self.warehouse / "tmp"

    @property
    def published(self) -> Settings:
        """The same bounds for the snapshot that `skysy publish` makes: a warehouse of its own, to be read."""
        return Settings(self.warehouse / "published", self.memory_limit, self.threads)


def settings(warehouse: Path | None = None, memory_limit: str | None = None, threads: int | None = None) -> Settings:
    """Settings from arguments, else SKYSY_WAREHOUSE, SKYSY_MEMORY_LIMIT, SKYSY_THREADS, else defaults.

    Raises UsageError for a directory, memory limit or thread count that DuckDB would refuse.
    """
    directory = warehouse or Path(os.environ.get("SKYSY_WAREHOUSE") or "warehouse")
    if "?" in str(directory.absolute()):
        raise UsageError(
            f"DuckDB cannot keep its write-ahead log beside a path with a question mark: {directory.absolute()}.",
            "Nothing was written. Name another directory.",
        )
    limit = memory_limit or os.environ.get("SKYSY_MEMORY_LIMIT") or "4GB"
    if not _SIZE.match(limit):
        raise UsageError(f"A memory limit of {limit!r} is not a size.", "Write it as 600MB or 4GB.")
    asked = str(threads) if threads is not None else os.environ.get("SKYSY_THREADS") or ""
    count = os.cpu_count() or 1
    if asked:
        if not asked.isdigit() or int(asked) < 1:
            raise UsageError(f"{asked!r} is not a number of threads.", "Give a whole number from 1 up.")
        count = int(asked)
    return Settings(directory, limit, count)
