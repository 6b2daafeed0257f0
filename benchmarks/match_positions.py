"""366,721 positions against 5,000,000 within 2 arcsec: `skysy match` against astropy, STILTS and LSDB.

    python benchmarks/match_positions.py [--lsdb PYTHON]        needs stilts; PYTHON is one that has lsdb

Each side is a process of its own that reads both tables from files (skysy also from its warehouse) and leaves its pairs in one.
Its memory is the kernel's VmHWM, for STILTS that of the Java process. "match" is the time from positions in memory to pairs: for
skysy that of the whole SQL with the reading of the tables, the counts and the writing of the pairs; STILTS does not tell it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import bench
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table

from skysy.config import Settings
from skysy.store import create, open_warehouse

FILES, TABLES, ALL = "skysy, Parquet files", "skysy, tables of a warehouse", "skysy, Parquet files, all pairs"
NEAREST, AROUND = "astropy match_coordinates_sky", "astropy search_around_sky, all pairs"
STILTS, LSDB = "STILTS tmatch2, find=best1", "LSDB crossmatch"
_END = """
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print("measured", took, peak)
"""
_SKYSY = """
import sys, time
from pathlib import Path
from skysy.config import Settings
from skysy.match import plan_match, run_match
from skysy.sides import Given
from skysy.store import open_nowhere, open_warehouse
left, right, out, find, warehouse = sys.argv[1:]
where = Settings(Path(warehouse), "4GB", 2)
with open_nowhere(where) if left.endswith(".parquet") else open_warehouse(where, write=True) as house:
    started = time.perf_counter()
    run_match(house, plan_match(house, Given(left), Given(right), 2.0, find=find), out, replace=True)
    took = time.perf_counter() - started
"""
_ASTROPY = """
import sys, time
import astropy.units as u, pyarrow as pa, pyarrow.parquet as pq
from astropy.coordinates import SkyCoord, match_coordinates_sky, search_around_sky
left, right, out, find = sys.argv[1:]
tables = [pq.read_table(path) for path in (left, right)]
(a, ra_a, dec_a), (b, ra_b, dec_b) = ([column.to_numpy() for column in table.columns] for table in tables)
del tables
started = time.perf_counter()
one, other = SkyCoord(ra_a, dec_a, unit="deg"), SkyCoord(ra_b, dec_b, unit="deg")
if find == "best":
    j, sep, _ = match_coordinates_sky(one, other)
    near = sep <= 2 * u.arcsec
    found = a[near], b[j[near]], sep.arcsec[near]
else:
    i, j, sep, _ = search_around_sky(one, other, 2 * u.arcsec)
    found = a[i], b[j], sep.arcsec
took = time.perf_counter() - started
pq.write_table(pa.table(dict(zip(("object_id", "source_id", "sep_arcsec"), found))), out)
"""
_STILTS = """
import resource, subprocess, sys, time
left, right, out = sys.argv[1:]
words = ["stilts", "tmatch2", f"in1={left}", f"in2={right}", "matcher=sky", "values1=ra dec", "values2=ra dec", "params=2",
         "find=best1", "join=1and2", "suffix1=_1", "suffix2=_2", "ocmd=keepcols 'object_id source_id Separation'", f"out={out}"]
started = time.perf_counter()
subprocess.run(words, check=True, capture_output=True)
took = time.perf_counter() - started
print("measured", took, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
_LSDB = """
import sys, time, warnings
warnings.simplefilter("ignore")
import lsdb, pandas as pd
left, right, out = sys.argv[1:]
tables = [pd.read_parquet(path) for path in (left, right)]
started = time.perf_counter()
one, other = (lsdb.from_dataframe(table, ra_column="ra", dec_column="dec", margin_threshold=5) for table in tables)
found = one.crossmatch(other, n_neighbors=1, radius_arcsec=2.0, suffixes=("_1", "_2")).compute()
took = time.perf_counter() - started
found = found[["object_id_1", "source_id_2", "_dist_arcsec"]]
found.columns = ["object_id", "source_id", "sep_arcsec"]
found.astype({"object_id": "int64", "source_id": "int64", "sep_arcsec": "float64"}).to_parquet(out)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--left", type=int, default=366_721)
    parser.add_argument("--right", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lsdb", metavar="PYTHON", help="an interpreter that has lsdb, which skysy does not depend on")
    given = parser.parse_args()
    with bench.workplace() as place:
        make_tables(place, given.left, given.right)
        compare(place, given.rounds, given.lsdb)


def make_tables(place: Path, left: int, right: int) -> None:
    """Both tables as Parquet, FITS and in a warehouse: 19 of 20 left rows stand some arcsec beside a right row, all over the sky."""
    random = np.random.default_rng(5)
    ra, dec = random.uniform(0, 360, right), np.degrees(np.arcsin(random.uniform(-1, 1, right)))
    # The seams, more often than chance would have them.
    ra[: right // 500] = random.normal(0, 1 / 3600, right // 500) % 360
    dec[right // 500 : right // 250] = random.choice((-1, 1), right // 250 - right // 500) * 90
    dec[right // 500 : right // 250] -= (
        np.sign(dec[right // 500 : right // 250]) * random.random(right // 250 - right // 500) ** 2
    )
    picked = np.concatenate(
        [np.arange(left // 50), random.choice(np.arange(left // 50, right), left - left // 50, False)]
    )
    alone = random.random(left) < 0.05
    beside = np.clip(dec[picked] + random.normal(0, 1 / 3600, left), -90, 90)
    around = (
        ra[picked] + random.normal(0, 1 / 3600, left) / np.cos(np.radians(np.clip(dec[picked], -89.99, 89.99)))
    ) % 360
    around[alone] = random.uniform(0, 360, alone.sum())
    tables = {
        "left": {"object_id": random.permutation(left) + 10**18, "ra": around, "dec": beside},
        "right": {"source_id": random.permutation(right) + 4 * 10**18, "ra": ra, "dec": dec},
    }
    settings = Settings(place / "warehouse", "1GB", 2)
    create(settings)
    with open_warehouse(settings, write=True) as house:
        house.run("CREATE SCHEMA sky")
        for name, columns in tables.items():
            pq.write_table(pa.table(columns), place / f"{name}.parquet")
            Table(columns).write(place / f"{name}.fits")
            house.run(f"CREATE TABLE sky.{name} AS FROM '{place / f'{name}.parquet'}'")


def compare(place: Path, rounds: int, lsdb: str | None) -> None:
    """Run all sides by turns, hold their pairs against each other, write the table."""
    files = (place / "left.parquet", place / "right.parquet")
    matching: dict[str, list[float]] = {}
    peaks: dict[str, list[float]] = {}

    def side(name: str, code: str, *words: object, python: str = sys.executable) -> Callable[[], float]:
        def once() -> float:
            return bench.seconds(measure)

        def measure() -> None:
            command = [python, "-c", code, *map(str, words)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{name}:\n{done.stderr}")
            took, peak = done.stdout.rpartition("measured ")[2].split()
            matching.setdefault(name, []).append(float(took))
            peaks.setdefault(name, []).append(float(peak) / 1024)

        return once

    sides = {
        NEAREST: side(NEAREST, _ASTROPY + _END, *files, place / "nearest.parquet", "best"),
        FILES: side(FILES, _SKYSY + _END, *files, place / "files.parquet", "best", place),
        TABLES: side(TABLES, _SKYSY + _END, "sky.left", "sky.right", "pairs", "best", place / "warehouse"),
        STILTS: side(STILTS, _STILTS, place / "left.fits", place / "right.fits", place / "stilts.fits"),
        AROUND: side(AROUND, _ASTROPY + _END, *files, place / "around.parquet", "all"),
        ALL: side(ALL, _SKYSY + _END, *files, place / "all.parquet", "all", place),
    }
    if lsdb:
        sides[LSDB] = side(LSDB, _LSDB + _END, *files, place / "lsdb.parquet", python=lsdb)
    whole = bench.by_turns(sides, rounds)
    number = count_pairs(place, lsdb is not None)
    head = (
        "way",
        "pairs",
        "match s",
        "whole process s",
        "peak MB",
        "match s over astropy's",
        "whole s over astropy's",
        "peak over astropy's",
    )
    lines = [
        (
            name,
            f"{number[name]:,}",
            bench.told(matching[name]) if name != STILTS else "",
            bench.told(whole[name]),
            bench.told(peaks[name], 0),
            over(matching, name) if name != STILTS else "",
            over(whole, name),
            over(peaks, name),
        )
        for name in sides
    ]
    left, right = (pq.read_metadata(file).num_rows for file in files)
    told = f"{left:,} against {right:,} positions within 2 arcsec, {rounds} rounds."
    bench.publish("match_positions", [told, "", *bench.table(head, lines)])


def over(measured: Mapping[str, list[float]], name: str) -> str:
    """The ratio to astropy's way of the same kind; nothing for astropy itself."""
    base = AROUND if name == ALL else NEAREST
    return "" if name in (NEAREST, AROUND) else bench.ratios(measured[name], measured[base], 2)


def count_pairs(place: Path, lsdb: bool) -> dict[str, int]:
    """How many pairs each side has; ends the benchmark where one of skysy or LSDB is not astropy's, or by 1e-8 arcsec other.

    STILTS may lack some, which the number tells; what it has must be astropy's.
    """
    stilts = Table.read(place / "stilts.fits")
    names = {"object_id": "object_id", "source_id": "source_id", "sep_arcsec": "Separation"}
    columns = {name: np.asarray(stilts[column]) for name, column in names.items()}
    nearest, around = (f"'{place / name}.parquet'" for name in ("nearest", "around"))
    held = {
        FILES: (f"'{place / 'files.parquet'}'", nearest),
        TABLES: ("pairs", nearest),
        STILTS: ("stilts_pairs", nearest),
        ALL: (f"'{place / 'all.parquet'}'", around),
    }
    if lsdb:
        held[LSDB] = (f"'{place / 'lsdb.parquet'}'", nearest)
    with open_warehouse(Settings(place / "warehouse", "2GB", 2)) as house:
        native = {name: values.astype(values.dtype.newbyteorder("=")) for name, values in columns.items()}
        house.con.register("stilts_pairs", pa.table(native))
        for name, (ours, theirs) in held.items():
            join = "LEFT" if name == STILTS else "FULL"
            differing = house.value(
                f"SELECT count(*) FROM {ours} AS a {join} JOIN {theirs} AS b USING (object_id, source_id) "
                "WHERE a.sep_arcsec IS NULL OR b.sep_arcsec IS NULL OR abs(a.sep_arcsec - b.sep_arcsec) > 1e-8"
            )
            if differing:
                raise SystemExit(f"{name}: {differing} pairs are not astropy's.")
        relations = {NEAREST: nearest, AROUND: around, **{name: ours for name, (ours, _) in held.items()}}
        return {name: int(house.value(f"SELECT count(*) FROM {one}")) for name, one in relations.items()}


if __name__ == "__main__":
    main()
