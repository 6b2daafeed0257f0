"""The models of `scope: object` on two worker processes against one, and what a row costs: bucketing, workers, the rest.

    python benchmarks/cluster_scaling.py --rows 20000000

The sky is simulated once and its photometry copied under new object ids until there are so many rows; images are those of the
one sky. Both sides work on the same buckets; their time is from the first bucket handed out to the last one done. Processor seconds of the
busiest worker are about what that time would be if nothing else ran. Every table is held against a build without a cluster, by content hash.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import bench
from skysy.analysis.density import engine
from skysy.analysis.simulate.write import simulate
from skysy.loaders.load import load_directory

from skysy import ledger
from skysy.config import Settings
from skysy.models.build import run_build
from skysy.models.cluster import Cluster, Task, export, parquet, stages
from skysy.models.plan import Step, plan_build
from skysy.models.project import Project, load_project
from skysy.models.told import BuildSummary
from skysy.store import Warehouse, open_warehouse

ENGINES = {"density_score": engine}
ONE, TWO = "one worker", "two workers"
SURVEY_ROWS = 5_000_000_000
GB, HOUR_S = 1e9, 3600.0

T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """What part of the work took: seconds on the clock, processor seconds."""

    wall_s: float
    cpu_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000_000, help="of photometry, at least")
    parser.add_argument("--objects", type=int, default=20_000, help="of the sky that is copied")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--patience", type=float, default=0.0, help="seconds to wait before each measurement for a quiet machine"
    )
    parser.add_argument("--memory-limit", default="2GB")
    given = parser.parse_args()
    with bench.workplace() as place:
        settings = Settings(place / "warehouse", given.memory_limit, os.cpu_count() or 1)
        simulate(place / "sky", objects=given.objects, seed=11, format="parquet")
        with open_warehouse(settings, write=True, make=True) as house:
            load_directory(house, bench.RELEASE, place / "sky")
            bench.grow(house, given.rows)
        with open_warehouse(settings, write=True) as house:
            compare(house, given.rounds, given.patience)


def compare(house: Warehouse, rounds: int, patience_s: float) -> None:
    """Run both sides by turns, hold their rows against a build here, write the tables."""
    rows = int(house.value("SELECT count(*) FROM dr2.photometry"))
    images = int(house.value("SELECT count(*) FROM dr2.images"))
    here, here_cost = timed(lambda: rebuild(house, None))
    expected = hashes(house)
    stage = [
        step
        for scattered, steps in stages(plan_build(house, project(), force=True).steps, ENGINES)
        if scattered
        for step in steps
    ]
    directory = house.settings.warehouse.absolute() / "cluster.bench"
    with Cluster("local:1") as one, Cluster("local:2") as two:
        buckets = two.buckets(house, stage)
        tasks, cut = timed(lambda: export(house, project().parameters, stage, directory, buckets))
        read_bytes = size(directory)
        used: dict[str, list[float]] = {ONE: [], TWO: []}
        busiest: dict[str, list[float]] = {ONE: [], TWO: []}

        def side(name: str, cluster: Cluster) -> Callable[[], float]:
            def once() -> float:
                bench.wait_for_quiet(patience_s)
                before = processor_s(cluster)
                took = bench.seconds(lambda: cluster.run(house, tasks, stage, lambda _: None))
                each = [after - before[worker] for worker, after in processor_s(cluster).items()]
                used[name].append(sum(each))
                busiest[name].append(max(each))
                check(house, tasks, stage, expected)
                return took

            return once

        found = bench.by_turns({ONE: side(ONE, one), TWO: side(TWO, two)}, rounds)
        written_bytes = size(directory) - read_bytes
        peak_bytes = max(two.client.run(peak).values())
        shutil.rmtree(directory)
        _, there_cost = timed(lambda: rebuild(house, two))
        if hashes(house) != expected:
            raise SystemExit("The build on the cluster has other tables.")
    science_s = sum(one.seconds for one in here.models if one.name in {step.model.name for step in stage})
    what = f"{rows:,} measurements, {images:,} images, {buckets} buckets, {rounds} rounds, memory limit {house.settings.memory_limit}."
    bench.publish(
        "cluster_scaling",
        [
            what, "",
            *bench.table(
                ("workers, one thread each", "seconds", "one worker's over it", "processor seconds", "of the busiest", "one worker's over it"),
                [
                    (
                        name, bench.told(found[name], 1), bench.ratios(found[ONE], found[name], 2),
                        bench.told(used[name], 1), bench.told(busiest[name], 1), bench.ratios(busiest[ONE], busiest[name], 2),
                    )
                    for name in found
                ],
            ), "",
            f"{len(expected)} tables have the same content hash as those of a build without a cluster, in which the same models took "
            f"{science_s:.1f} s with {house.settings.threads} threads. Whole builds, once each: without a cluster "
            f"{here_cost.wall_s:.1f} s, with two workers {there_cost.wall_s:.1f} s. Cutting the buckets took {cut.wall_s:.1f} s.",
        ],
    )  # fmt: skip
    costs = [
        ("cutting buckets", cut.cpu_s, HOUR_S, "processor hours"),
        ("models of one object, on workers", min(used[ONE]), HOUR_S, "processor hours"),
        ("all else: gather, models of all objects, audits", there_cost.cpu_s - cut.cpu_s, HOUR_S, "processor hours"),
        ("buckets on disk", read_bytes, GB, "GB"),
        ("rows that workers write", written_bytes, GB, "GB"),
        ("the warehouse file", house.settings.database.stat().st_size, GB, "GB"),
    ]
    bench.publish(
        "cluster_scaling",
        [
            what, "",
            *bench.table(
                ("part", "measured", "per 10^6 measurements", "for 5 x 10^9, in proportion"),
                [cost_row(*cost, rows) for cost in costs],
            ), "",
            f"Peak memory of a worker process: {peak_bytes / 1e6:,.0f} MB.",
        ],
        bench.ROOT / "docs" / "scaling.md",
    )  # fmt: skip


def cost_row(part: str, value: float, unit_of: float, unit: str, rows: int) -> tuple[str, str, str, str]:
    """One part's cost as measured, per million rows, and for the survey."""
    small, name = (value, "s") if unit_of == HOUR_S else (value / 1e6, "MB")
    return (
        part,
        f"{small:,.1f} {name}",
        f"{small / rows * 1e6:.2f} {name}",
        f"{value / rows * SURVEY_ROWS / unit_of:,.1f} {unit}",
    )


def project() -> Project:
    """The science as it stands."""
    return load_project(bench.RELEASE)


def rebuild(house: Warehouse, cluster: Cluster | None) -> BuildSummary:
    """The whole science again."""
    return run_build(house, project(), engines=ENGINES, force=True, cluster=cluster)


def hashes(house: Warehouse) -> dict[str, str]:
    """Content hash of every table of the last build."""
    return dict(house.rows("SELECT model, content_hash FROM meta.model WHERE kind = 'table'"))


def check(house: Warehouse, tasks: Sequence[Task], stage: Sequence[Step], expected: dict[str, str]) -> None:
    """The rows that workers wrote are those of the build here."""
    for step in stage:
        model = step.model
        rows = parquet([task.models[model.name].output for task in tasks])
        if ledger.content_hash(house.con, rows, [column.name for column in model.columns]) != expected[model.name]:
            raise SystemExit(f"The workers' rows of {model.name} are others.")


def timed(do: Callable[[], T]) -> tuple[T, Cost]:
    """What a call returns, and what it cost this process."""
    started, used = time.perf_counter(), time.process_time()
    value = do()
    return value, Cost(time.perf_counter() - started, time.process_time() - used)


def processor_s(cluster: Cluster) -> dict[str, float]:
    """Processor seconds that each worker has used so far."""
    return dict(cluster.client.run(time.process_time))


def peak() -> int:
    """The most memory that this process ever had, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def size(directory: Path) -> int:
    """Bytes of the files below a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
