"""Memory of `skysy load --from` for 4,000,000 detections against 400,000: it must not grow with the file.

    python benchmarks/load_memory.py

Each load is a process of its own with an empty warehouse.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import bench

FORMS = {"votable-binary2": ".vot", "csv.gz": ".csv.gz"}
# The files are made in a process of their own as well: many rows are held there at once.
_MAKE = """
import sys
from pathlib import Path
import pyarrow as pa, pyarrow.compute as pc
from votable_readers import TABLE, detections
from skysy.formats.write import write_table

place, rows, times = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
one = detections(place, rows)
at = one.column_names.index("image_id")
more = [one.set_column(at, "image_id", pc.add(one["image_id"], pa.scalar(k, pa.int64()))) for k in range(times)]
for form, suffix in zip(sys.argv[4::2], sys.argv[5::2]):
    for name, content in (("small", one), ("large", pa.concat_tables(more))):
        files = place / f"{form}-{name}"
        files.mkdir()
        write_table(files / f"dr2.photometry{suffix}", form, content, TABLE.columns, name=TABLE.name)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--rows", type=int, default=400_000, help="of the small file; the large one has 10 times as many"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-limit", default="600MB", help="DuckDB's own bound")
    given = parser.parse_args()
    with bench.workplace() as place:
        names = [word for pair in FORMS.items() for word in pair]
        making = [sys.executable, "-c", _MAKE, place, given.rows, 10, *names]
        subprocess.run([str(word) for word in making], check=True, cwd=Path(__file__).parent)
        lines = []
        for form in FORMS:
            sides: dict[str, Callable[[], float]] = {
                name: lambda files=place / f"{form}-{name}": peak_mb(files, place / "warehouse", given.memory_limit)
                for name in ("small", "large")
            }
            found = bench.by_turns(sides, given.rounds)
            lines.append(
                (form, *(bench.told(found[name], 0) for name in sides), bench.ratios(found["large"], found["small"], 2))
            )
        head = ("format", f"{given.rows:,} rows: peak MB", f"{given.rows * 10:,} rows: peak MB", "ratio")
        bench.publish(
            "load_memory",
            [f"`--memory-limit {given.memory_limit}`, {given.rounds} rounds.", "", *bench.table(head, lines)],
        )


def peak_mb(files: Path, warehouse: Path, memory_limit: str) -> float:
    """The most memory that a load of a directory held at any time."""
    shutil.rmtree(warehouse, ignore_errors=True)
    words = ["load", "--release", bench.RELEASE, "--from", files, "--warehouse", warehouse, "-q"]
    words += ["--memory-limit", memory_limit]
    run = bench.measured(*words)
    print(f"    {run.seconds:.1f} s, {run.cpu:.1f} s of processor time")
    return run.peak_mb


if __name__ == "__main__":
    main()
