"""Photometry of some 2,000 objects from one server: `skysy load --route photometry` against STILTS, a cone around each.

    python benchmarks/photometry_vs_stilts.py            needs the tests' archive (docs/archive-peer.md) and stilts

skysy's time is that of the whole command on a warehouse that has the sample: which objects, counts, answers, checks, commit.
STILTS's is that of coneskymatch with four cones at a time, as TOPCAT's multicone does it, into a FITS file.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import bench
from archive_peer.peer import start
from astropy.table import Table
from skysy.analysis.simulate.write import simulate

from skysy.config import Settings
from skysy.store import open_warehouse

STILTS = "STILTS coneskymatch, parallel=4"
UPLOADS, LISTS = "skysy, ids uploaded", "skysy, ids in IN lists"
KEY = ("image_id", "ccd", "object_id")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--objects", type=int, default=3_100, help="of the sky; some 65 in 100 pass every cut")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with bench.workplace() as place:
        simulate(place / "sky", objects=given.objects, seed=11)
        peer = start(place / "peer", [place / "sky"])
        try:
            compare(place, peer.tap_url, peer.cone_url("dr2.photometry"), given.rounds)
        finally:
            peer.stop()


def compare(place: Path, tap_url: str, cone_url: str, rounds: int) -> None:
    """Run all sides, hold their rows against each other, write the table."""
    ready = place / "ready"
    configs = {
        UPLOADS: bench.configuration(place / "uploads.toml", tap_url, uploads=True, format=bench.BINARY2),
        LISTS: bench.configuration(place / "lists.toml", tap_url, uploads=False, format=bench.BINARY2),
    }
    load = ("load", "--release", bench.RELEASE)
    bench.skysy(*load, "--route", "sample", "--route", "distances", "--config", configs[UPLOADS], "--warehouse", ready)
    bench.skysy("build", "-q", "--warehouse", ready)
    with open_warehouse(Settings(ready, "1GB", 2)) as house:
        sample = house.rows("SELECT object_id, raj2000, dej2000 FROM sample ORDER BY object_id")
    Table(rows=sample, names=("object_id", "raj2000", "dej2000")).write(place / "sample.fits")
    wanted = {row[0] for row in sample}
    rows: dict[str, set[tuple[int, ...]]] = {}

    def ours(name: str) -> Callable[[], float]:
        def once() -> float:
            warehouse = place / "warehouse"
            shutil.rmtree(warehouse, ignore_errors=True)
            shutil.copytree(ready, warehouse)
            words = (*load, "--route", "photometry", "--config", configs[name], "--warehouse", warehouse)
            took = bench.seconds(lambda: bench.skysy(*words))
            with open_warehouse(Settings(warehouse, "1GB", 2)) as house:
                rows[name] = set(house.rows(f"SELECT {', '.join(KEY)} FROM dr2.photometry"))
            return took

        return once

    def theirs() -> float:
        took = bench.seconds(lambda: multicone(place / "sample.fits", place / "cones.fits", cone_url))
        rows[STILTS] = {key for key in keys(place / "cones.fits") if key[2] in wanted}
        return took

    found = bench.by_turns({STILTS: theirs, UPLOADS: ours(UPLOADS), LISTS: ours(LISTS)}, rounds)
    head = ("way", "seconds: median (lowest to highest)", "detections of the sample", "STILTS's time over it")
    lines = [
        (
            name,
            bench.told(values),
            f"{len(rows[name]):,}",
            bench.ratios(found[STILTS], values) if name != STILTS else "",
        )
        for name, values in found.items()
    ]
    if rows[UPLOADS] != rows[LISTS] or not rows[STILTS] <= rows[UPLOADS]:
        raise SystemExit("The sides do not bring the same detections.")
    bench.publish(
        "photometry_vs_stilts",
        [f"{len(sample):,} objects, {rounds} rounds.", "", *bench.table(head, lines)],
    )


def keys(path: Path) -> list[tuple[int, ...]]:
    """The key of each row that STILTS found."""
    found = Table.read(path)
    return list(zip(*([number(one) for one in found[f"{name}_found"]] for name in KEY), strict=True))


def number(value: object) -> int:
    """An id, which cone search may send as text; -1 for none."""
    text = str(value).strip()
    return int(text) if text.isdigit() else -1


def multicone(sample: Path, to: Path, cone_url: str) -> None:
    """A cone of 2 arcsec around each object."""
    words = [
        "stilts", "coneskymatch", f"in={sample}", "ra=raj2000", "dec=dej2000", "sr=2.0/3600", "find=all",
        f"serviceurl={cone_url}", "servicetype=cone", "verb=3", "parallel=4", "usefoot=false", "erract=retry2",
        "copycols=object_id", "fixcols=all", "suffix0=_sample", "suffix1=_found", f"out={to}",
    ]  # fmt: skip
    subprocess.run(words, check=True, capture_output=True)


if __name__ == "__main__":
    main()
