"""A whole build under less and less memory, and how its processor time grows with the detections.

    python benchmarks/build_bounds.py --warehouse SMALL --warehouse LARGE

The warehouses are loaded; each is built anew in a copy, every model and audit of it, once for each memory limit. The results of
one warehouse must be the same bit for bit under every limit. With `--rows 150000000` the last one's photometry is copied under
new object ids until there are so many rows, and that is built once, at the first limit.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import shutil
import statistics
from pathlib import Path

import bench

from skysy.config import Settings
from skysy.store import open_warehouse

LIMITS = ("4GB", "1GB", "600MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--warehouse", type=Path, action="append", required=True, help="a small one, then a large one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=0, help="of photometry, for one build of a grown warehouse")
    given = parser.parse_args()
    found: dict[tuple[int, str], list[bench.Run]] = {}
    for _ in range(given.rounds):
        for warehouse in given.warehouse:
            made = {limit: build(warehouse, limit) for limit in LIMITS}
            if len({json.dumps(results) for _, _, results in made.values()}) != 1:
                raise SystemExit(f"{warehouse}: the results differ: {made}")
            for limit, (rows, run, _) in made.items():
                found.setdefault((rows, limit), []).append(run)
    if given.rows:
        rows, run, _ = build(given.warehouse[-1], LIMITS[0], given.rows)
        found[rows, LIMITS[0]] = [run]
    head = ("detections", "limit", "processor time s", "over that at 4GB", "peak MB")
    lines = []
    for (rows, limit), runs in found.items():
        free = [run.cpu for run in found[rows, LIMITS[0]]]
        cpu = [run.cpu for run in runs]
        lines.append(
            (
                f"{rows:,}",
                limit,
                bench.told(cpu, 1),
                bench.ratios(cpu, free, 2),
                bench.told([r.peak_mb for r in runs], 0),
            )
        )
    bench.publish(
        "build_bounds", [f"Whole builds, {given.rounds} rounds.", "", *bench.table(head, lines), "", growth(found)]
    )


def build(warehouse: Path, limit: str, grown_to: int = 0) -> tuple[int, bench.Run, dict[str, str]]:
    """Detections, what the build took, and the content of what it made."""
    with bench.workplace() as place:
        where = Settings(place / "warehouse", limit, 2)
        shutil.copytree(warehouse, where.warehouse)
        if grown_to:
            with open_warehouse(where, write=True) as house:
                bench.grow(house, grown_to)
        words = ("build", "--force", "-q", "--warehouse", where.warehouse, "--memory-limit", limit, "--threads", 2)
        run = bench.measured(*words)
        with open_warehouse(where) as house:
            rows = int(house.value("SELECT count(*) FROM dr2.photometry"))
            results = dict(house.rows("SELECT model, content_hash FROM meta.model ORDER BY model"))
    print(f"{rows:>12,} {limit:>6} {run}", flush=True)
    return rows, run, results


def growth(found: dict[tuple[int, str], list[bench.Run]]) -> str:
    """The exponent of the processor time in the number of detections, from each size to the next."""
    sizes = sorted({rows for rows, _ in found})
    cpu = {rows: statistics.median(run.cpu for run in found[rows, LIMITS[0]]) for rows in sizes}
    return " ".join(
        f"Exponent of growth from {small:,} to {large:,} detections at {LIMITS[0]}: "
        f"{math.log(cpu[large] / cpu[small]) / math.log(large / small):.2f}."
        for small, large in itertools.pairwise(sizes)
    )


if __name__ == "__main__":
    main()
