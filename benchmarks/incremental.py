"""`skysy build` after one per cent of new photometry, against `skysy build --force` on the same rows.

    python benchmarks/incremental.py --warehouse DIR        a warehouse that is loaded

In a copy, some detections are taken out, the rest is built, and they are loaded as one more file. In each round both builds are
made in a fresh copy of that, the whole one last. All tables must have the same content hash after both, be what the ledger says,
and the audits must have found the same.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import bench

from skysy import ledger
from skysy.config import Settings
from skysy.models.status import check_contents
from skysy.store import Warehouse, open_warehouse

QUANTILE = "(SELECT quantile_disc(object_id, {}) FROM dr2.photometry)"
LATE = {
    "objects that follow each other": f"object_id BETWEEN {QUANTILE.format(0.5)} AND {QUANTILE.format(0.51)}",
    "objects drawn from all": "hash(object_id) % 100 = 0",
    "rows drawn from all": "hash(object_id, image_id, ccd) % 100 = 0",
}
"""About one per cent of the rows each: with objects whole, or a few rows of many objects."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--warehouse", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    head = (
        "what came",
        "rows",
        "seconds",
        "whole",
        "ratio",
        "processor time s",
        "whole",
        "ratio",
        "measurements made anew",
    )
    lines = []
    for what, late in LATE.items():
        with bench.workplace() as place:
            came, total = prepare(given.warehouse, place, late)
            rounds = [both(place, what) for _ in range(given.rounds)]
        anew = {one[2] for one in rounds}.pop()
        lines.append((what, f"{came:,}"))
        for measure in ("seconds", "cpu"):
            new, whole = ([getattr(one[side], measure) for one in rounds] for side in (0, 1))
            lines[-1] += (bench.told(new, 1), bench.told(whole, 1), bench.ratios(new, whole, 2))
        lines[-1] += (anew,)
    about = f"{total:,} detections with those that came, {given.rounds} rounds, 2 threads, memory limit 4GB."
    bench.publish("incremental", [about, "", *bench.table(head, lines)])


def prepare(warehouse: Path, place: Path, late: str) -> tuple[int, int]:
    """A copy in place/ready, built without the late rows and with these loaded; how many they are, and all rows."""
    where, files = Settings(place / "ready", "4GB", 2), place / "late"
    files.mkdir()
    shutil.copytree(warehouse, where.warehouse)
    with open_warehouse(where, write=True) as house, house.transaction():
        names = [name for name in house.columns("dr2", "photometry") if name != ledger.CHUNK_COLUMN]
        total = int(house.value("SELECT count(*) FROM dr2.photometry"))
        columns = ", ".join(f'"{name}"' for name in names)
        house.run(
            f"COPY (SELECT {columns} FROM dr2.photometry WHERE {late}) "
            f"TO '{files / 'dr2.photometry.late.parquet'}' (FORMAT parquet)"
        )
        house.run(f"DELETE FROM dr2.photometry WHERE {late}")
        for (chunk_id,) in house.rows("SELECT chunk_id FROM meta.chunk WHERE table_name = 'dr2.photometry'"):
            content = ledger.content_hash(house.con, "dr2.photometry", names, f"WHERE _chunk_id = {chunk_id}")
            house.run("UPDATE meta.chunk SET content_hash = ? WHERE chunk_id = ?", [content, chunk_id])
        left = int(house.value("SELECT count(*) FROM dr2.photometry"))
    bench.skysy("build", "--force", "-q", "--warehouse", where.warehouse, "--memory-limit", "4GB", "--threads", 2)
    bench.skysy("load", "--release", bench.RELEASE, "--from", files, "-q", "--warehouse", where.warehouse)
    return total - left, total


def both(place: Path, what: str) -> tuple[bench.Run, bench.Run, str]:
    """What a build takes in a fresh copy, then a whole one there; and how many measurements the first made anew."""
    where = Settings(place / "copy", "4GB", 2)
    shutil.copytree(place / "ready", where.warehouse)
    bench.wait_for_quiet(4)
    words = ("-q", "--warehouse", where.warehouse, "--memory-limit", "4GB", "--threads", 2)
    new = bench.measured("build", *words)
    with open_warehouse(where) as house:
        ours, (_, problems) = contents(house), check_contents(house)
        [(anew, rows)] = house.rows(
            "SELECT (inputs->>'anew')::BIGINT, rows FROM meta.model WHERE model = 'measurements'"
        )
    whole = bench.measured("build", "--force", *words)
    with open_warehouse(where) as house:
        if problems or contents(house) != ours:
            raise SystemExit(f"{what}: the results differ. {problems}")
    shutil.rmtree(where.warehouse)
    print(f"{what}: {new}, whole {whole}", flush=True)
    return new, whole, "all" if anew is None else f"{anew:,} of {rows:,}"


def contents(house: Warehouse) -> list[tuple[object, ...]]:
    """What every table holds, and what every audit found."""
    return [
        *house.rows("SELECT model, rows, content_hash FROM meta.model ORDER BY model"),
        *house.rows("SELECT audit, offenders, sample FROM meta.audit ORDER BY audit"),
    ]


if __name__ == "__main__":
    main()
