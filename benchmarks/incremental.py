"""`skysy build` after one per cent of new photometry, against `skysy build --force` on the same rows.

    python benchmarks/incremental.py --warehouse DIR        a warehouse that is loaded

In a copy, some detections are taken out, the rest is built, and they are loaded as one more file. Then both builds are made by
turns, each in a fresh copy of that. All tables must have the same content hash after both, and be what the ledger says.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import bench

from skysy import ledger
from skysy.config import Settings
from skysy.models.status import check_contents
from skysy.store import open_warehouse

QUANTILE = "(SELECT quantile_disc(object_id, {}) FROM dr2.photometry)"
LATE = {
    "objects that follow each other": f"object_id BETWEEN {QUANTILE.format(0.5)} AND {QUANTILE.format(0.51)}",
    "objects drawn from all": "hash(object_id) % 100 = 0",
    "rows drawn from all": "hash(object_id, image_id, ccd) % 100 = 0",
}
"""About one per cent of the rows each: with objects whole, or a few rows of many objects."""
SIDES = {"new rows": ("build",), "whole": ("build", "--force")}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--warehouse", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    head = (
        "what came",
        "rows",
        "of all",
        "seconds",
        "processor time s",
        "seconds over whole",
        "processor time over whole",
    )
    lines, notes = [], []
    for what, late in LATE.items():
        with bench.workplace() as place:
            rows, total = prepare(given.warehouse, place, late)
            runs: dict[str, list[bench.Run]] = {name: [] for name in SIDES}
            results = set()
            for number in range(given.rounds):
                for name in list(SIDES) if number % 2 == 0 else reversed(SIDES):
                    run, result, anew = measure(place, *SIDES[name])
                    print(f"{what}, {name:<10} {run}", flush=True)
                    runs[name].append(run)
                    results.add(result)
                    if name == "new rows":
                        told = "; ".join(f"{model} {n:,} of {of:,} rows" for model, n, of in anew)
            if len(results) != 1:
                raise SystemExit(f"{what}: the results differ: {results}")
        part = {name: ([one.seconds for one in runs[name]], [one.cpu for one in runs[name]]) for name in SIDES}
        for name in SIDES:
            over = [bench.ratios(mine, whole, 2) for mine, whole in zip(part[name], part["whole"], strict=True)]
            lines.append(
                (f"{what}: {name}", f"{rows:,}", f"{total:,}", *(bench.told(one, 1) for one in part[name]), *over)
            )
        notes.append(f"Made anew for {what}: {told or 'nothing apart, all tables whole'}.")
    bench.publish("incremental", [f"{given.rounds} rounds, 2 threads, 4GB.", "", *bench.table(head, lines), "", *notes])


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


def measure(place: Path, *words: str) -> tuple[bench.Run, str, list[tuple[str, int, int]]]:
    """What a build took in a fresh copy, the content of what it made, and the tables of which only a part was made anew."""
    where = Settings(place / "copy", "4GB", 2)
    shutil.copytree(place / "ready", where.warehouse)
    bench.wait_for_quiet(10)
    run = bench.measured(*words, "-q", "--warehouse", where.warehouse, "--memory-limit", "4GB", "--threads", 2)
    with open_warehouse(where) as house:
        result = json.dumps(house.rows("SELECT model, rows, content_hash FROM meta.model ORDER BY model"))
        anew = house.rows(
            "SELECT model, (inputs->>'anew')::BIGINT, rows FROM meta.model WHERE inputs->>'anew' IS NOT NULL ORDER BY rows DESC"
        )
        _, problems = check_contents(house)
    if problems:
        raise SystemExit("\n".join(problems))
    shutil.rmtree(where.warehouse)
    return run, result, anew


if __name__ == "__main__":
    main()
