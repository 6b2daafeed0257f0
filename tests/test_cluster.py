"""A build on a cluster gives the tables of a build here, to the last bit, whatever happens to the workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import dask
import duckdb
import models_toy as toy
import pytest
from conftest import DR2, ENGINES, Sky
from distributed import LocalCluster

from skysy.config import Settings, settings
from skysy.errors import ModelError, SqlError, UsageError
from skysy.models import cluster as clusters
from skysy.models.build import run_build
from skysy.models.cluster import Cluster, Task, run_task, stages
from skysy.models.plan import Step, plan_build
from skysy.models.project import load_project
from skysy.models.told import AuditResult, Buckets, BuildSummary, BuiltModel
from skysy.store import Warehouse, open_warehouse

Event = Step | BuiltModel | AuditResult | Buckets

RANKS = """\
-- ranks: place of each object by its mean.
--
-- grain:  one row per object_id
-- key:    object_id
-- inputs: means

SELECT
    CAST(object_id AS BIGINT) AS object_id,                                   -- object {meta.id;meta.main}
    CAST(rank() OVER (ORDER BY mean_mag, object_id) AS BIGINT) AS place       -- place, brightest first {meta.number}
FROM means
"""

NEIGHBOURS = """\
-- neighbours: how many objects are brighter, beside what is kept of each.
--
-- grain:  one row per object_id
-- key:    object_id
-- scope:  object
-- inputs: int_kept, ranks, totals
-- broadcast: totals

SELECT
    CAST(k.object_id AS BIGINT) AS object_id,                                 -- object {meta.id;meta.main}
    CAST(max(r.place) AS BIGINT) AS place,                                    -- place {meta.number}
    CAST(max(t.n_objects) AS BIGINT) AS n_objects,                            -- of so many {meta.number}
    CAST(count(*) AS BIGINT) AS n                                             -- detections {meta.number}
FROM int_kept AS k
JOIN ranks AS r ON k.object_id = r.object_id
CROSS JOIN totals AS t
GROUP BY k.object_id
"""


SHARES = """\
-- shares: detections of each object beside those of all.
--
-- grain:  one row per object_id
-- key:    object_id
-- scope:  object
-- inputs: stg_obs, int_kept
-- broadcast: int_kept

WITH every AS (
    SELECT count(*) AS n_all FROM int_kept
)

SELECT
    CAST(s.object_id AS BIGINT) AS object_id,                                 -- object {meta.id;meta.main}
    CAST(count(*) AS BIGINT) AS n,                                            -- detections {meta.number}
    CAST(max(e.n_all) AS BIGINT) AS n_all                                     -- of all objects {meta.number}
FROM stg_obs AS s
CROSS JOIN every AS e
GROUP BY s.object_id
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A scheduler with two worker processes of one thread each."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address="127.0.0.1:0", silence_logs="CRITICAL"
    ) as workers:
        yield workers.scheduler_address


@pytest.fixture
def science(tmp_path: Path) -> Path:
    directory = toy.write_science(tmp_path / "sql")
    (directory / "30_marts/ranks.sql").write_text(RANKS)
    (directory / "30_marts/neighbours.sql").write_text(NEIGHBOURS)
    return directory


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Warehouse]:
    with open_warehouse(toy.make_warehouse(tmp_path / "w"), write=True) as opened:
        yield opened


def build(house: Warehouse, science: Path, cluster: Cluster | None, *, force: bool = False) -> BuildSummary:
    return run_build(house, load_project("toy", science), cluster=cluster, force=force)


def contents(house: Warehouse) -> dict[str, tuple[Any, ...]]:
    """What the ledger says of every model, without times."""
    found = house.rows("SELECT model, kind, rows, content_hash, fingerprint, sql_sha256, inputs FROM meta.model")
    return {row[0]: row[1:] for row in found}


def shape(house: Warehouse) -> list[tuple[Any, ...]]:
    """Columns of every model in order, with types and comments."""
    return house.rows(
        "SELECT table_name, column_index, column_name, data_type, comment FROM duckdb_columns() "
        "WHERE schema_name = 'main' AND NOT internal ORDER BY ALL"
    )


def leavings(warehouse: Path) -> list[str]:
    return [path.name for path in warehouse.iterdir() if not path.name.startswith("skysy.duckdb")]


def test_stages_gather_before_what_looks_at_all_objects_and_scatter_after_it(house: Warehouse, science: Path) -> None:
    steps = plan_build(house, load_project("toy", science)).steps
    turns = [(scattered, [step.model.name for step in stage]) for scattered, stage in stages(steps, {})]
    assert turns == [
        (False, ["stg_obs"]),
        (True, ["int_kept", "means"]),
        (False, ["ranks", "totals"]),
        (True, ["neighbours"]),
    ]
    names = [step for step in steps if step.model.name in ("means", "neighbours")]
    assert [[one.model.name for one in stage] for _, stage in stages(names, {})] == [["means", "neighbours"]]


def test_a_model_that_a_cluster_does_not_make_is_made_here(house: Warehouse, science: Path) -> None:
    toy.edit(science, "means.sql", "-- inputs:", "-- engine: fast\n-- inputs:")
    steps = plan_build(house, load_project("toy", science)).steps
    here = [
        step.model.name
        for scattered, stage in stages(steps, {"fast": lambda _: None})
        if not scattered
        for step in stage
    ]
    assert here == ["stg_obs", "means", "ranks", "totals"]


def test_what_lies_whole_in_every_bucket_is_gathered_first(house: Warehouse, science: Path) -> None:
    (science / "30_marts/shares.sql").write_text(SHARES)
    steps = plan_build(house, load_project("toy", science)).steps
    turns = [{step.model.name for step in stage} for _, stage in stages(steps, {})]
    assert turns[1:] == [{"int_kept", "means"}, {"ranks", "totals"}, {"neighbours", "shares"}]


def test_tables_types_comments_and_ledger_are_those_of_a_build_here(
    house: Warehouse, science: Path, address: str
) -> None:
    (science / "30_marts/shares.sql").write_text(SHARES)
    build(house, science, None)
    expected, columns = contents(house), shape(house)
    assert expected["neighbours"][1] == expected["shares"][1] == 50
    with Cluster(address, bucket_rows=100) as workers:
        summary = build(house, science, workers, force=True)
    assert contents(house) == expected
    assert shape(house) == columns
    assert {one.name for one in summary.models} == set(expected)
    assert [one.name for one in summary.audits] == ["aud_few", "aud_keys"]
    assert leavings(house.settings.warehouse) == []


def test_rows_without_an_object_and_odd_values_pass_through_buckets(
    house: Warehouse, science: Path, address: str
) -> None:
    odd = (
        "(NULL, 1.0::DOUBLE, 'u', 17.0::DOUBLE), (NULL, 2.0, 'v', 'nan'), "
        "(-5, 1.0, 'u', '-0.0'), (-5, 2.0, 'ü', NULL), (-5, '-inf', 'u', 18.0)"
    )
    toy.load_rows(house, "odd.csv", f"SELECT * FROM (VALUES {odd}) AS v(object_id, t, band, mag)")
    build(house, science, None)
    expected = contents(house)
    assert expected["means"][1] == 52
    with Cluster(address) as workers:
        build(house, science, workers, force=True)
    assert contents(house) == expected


def test_a_table_without_rows_makes_tables_without_rows(tmp_path: Path, science: Path, address: str) -> None:
    with (
        open_warehouse(toy.toy_settings(tmp_path / "empty"), write=True, make=True) as house,
        Cluster(address) as workers,
    ):
        toy.load_rows(house, "none.csv", f"{toy.ROWS} LIMIT 0")
        build(house, science, None)
        expected, columns = contents(house), shape(house)
        build(house, science, workers, force=True)
        assert contents(house) == expected
        assert shape(house) == columns
        assert expected["means"][1] == 0


def test_progress_tells_buckets_and_every_model(house: Warehouse, science: Path, address: str) -> None:
    told: list[Event] = []
    with Cluster(address) as workers:
        run_build(house, load_project("toy", science), cluster=workers, progress=told.append)
    first = [event for event in told if isinstance(event, Buckets)][:5]
    assert first == [Buckets(("int_kept", "means"), done, 4) for done in range(5)]
    assert [event.name for event in told if isinstance(event, BuiltModel)] == [
        "stg_obs", "int_kept", "means", "ranks", "totals", "neighbours"
    ]  # fmt: skip


def test_a_model_that_fails_is_named_and_the_last_build_stands(house: Warehouse, science: Path, address: str) -> None:
    build(house, science, None)
    before = toy.state_of(house)
    toy.edit(science, "int_kept.sql", "mag < getvariable('mag_max')", "mag < getvariable('mag_max') * 2")
    toy.edit(science, "means.sql", "max(step_mag)", "max('x' || step_mag)")
    here, there = [], []
    for told, cluster in ((here, None), (there, address)):
        with pytest.raises(SqlError) as caught:
            if cluster is None:
                build(house, science, None)
            else:
                with Cluster(cluster) as workers:
                    build(house, science, workers)
        told += [caught.value.message.split("Could not convert string")[0], caught.value.remedy]
    assert here == there
    assert there[0].startswith("The model means.sql failed: Conversion Error")
    assert toy.state_of(house) == before
    assert house.value("SELECT state FROM meta.run ORDER BY run_id DESC LIMIT 1") == "failed"
    assert leavings(house.settings.warehouse) == []


def test_buckets_are_swept_at_once_where_a_model_fails_after_the_gather(
    house: Warehouse, science: Path, address: str
) -> None:
    toy.edit(science, "totals.sql", "max(mean_mag)", "max(CAST('x' || mean_mag AS DOUBLE))")
    with Cluster(address) as workers, pytest.raises(SqlError, match=r"totals\.sql failed") as caught:
        build(house, science, workers)
    assert caught.value.__traceback__ is not None
    assert leavings(house.settings.warehouse) == []


def test_too_little_memory_for_a_bucket_says_which_option_to_raise(tmp_path: Path, science: Path, address: str) -> None:
    place = toy.make_warehouse(tmp_path / "w")
    toy.edit(
        science,
        "int_kept.sql",
        "CAST(mag AS DOUBLE)",
        "CAST(mag + len(list(repeat(CAST(object_id AS VARCHAR), 3000000)) OVER (PARTITION BY object_id)) AS DOUBLE)",
    )
    with open_warehouse(settings(place.warehouse, "60MB", 1), write=True) as house, Cluster(address) as workers:
        with pytest.raises(SqlError, match=r"int_kept\.sql needs more memory than 60MB") as caught:
            build(house, science, workers)
        assert "--memory-limit" in caught.value.remedy


def test_rows_that_cannot_be_read_are_told_with_the_table_that_they_are_of(
    house: Warehouse, science: Path, address: str
) -> None:
    toy.edit(science, "stg_obs.sql", "CAST(band AS VARCHAR)", "CAST(CAST(band AS INTEGER) AS VARCHAR)")
    with Cluster(address) as workers, pytest.raises(SqlError, match="stg_obs for the cluster failed: Conversion Error"):
        build(house, science, workers)
    assert leavings(house.settings.warehouse) == []


def test_a_type_that_parquet_cannot_keep_is_refused(house: Warehouse, science: Path, address: str) -> None:
    toy.edit(science, "means.sql", "CAST(count(*) AS INTEGER)", "CAST(count(*) AS HUGEINT)")
    with (
        Cluster(address) as workers,
        pytest.raises(ModelError, match=r"means\.n is HUGEINT, which Parquet keeps as DOUBLE"),
    ):
        build(house, science, workers)


def task_of(place: Path, **changes: Any) -> Task:
    return Task(**{"directory": str(place), "models": {}, "parameters": {}, "memory_limit": "60MB", **changes})


def test_a_worker_without_the_file_system_or_of_another_version_says_so(tmp_path: Path) -> None:
    assert run_task(task_of(tmp_path)).seconds == {}
    with pytest.raises(ModelError, match="does not see") as caught:
        run_task(task_of(tmp_path / "elsewhere"))
    assert "file system" in caught.value.remedy
    with pytest.raises(ModelError, match=r"has skysy .*; here they are 0\.0 and 1\.5\.6"):
        run_task(task_of(tmp_path, versions=("0.0", "1.5.6")))


def task_code(place: Path, sql: str, output: Path) -> str:
    """Python that does a task of one model without inputs."""
    return (
        "from skysy.models.cluster import ModelTask, Task, run_task\n"
        f"model = ModelTask('one.sql', {sql!r}, {{}}, {str(output)!r})\n"
        f"run_task(Task({str(place)!r}, {{'one': model}}, {{}}, '100MB'))\n"
    )


def test_a_task_killed_while_it_writes_leaves_nothing_under_the_name_of_its_rows(tmp_path: Path) -> None:
    output = tmp_path / "0.parquet"
    sql = "SELECT range AS object_id, hash(range) AS h FROM range(1000000000)"
    with subprocess.Popen([sys.executable, "-c", task_code(tmp_path, sql, output)]) as child:
        while not any(path.is_file() and path.stat().st_size > 1_000_000 for path in tmp_path.iterdir()):
            assert child.poll() is None
            time.sleep(0.01)
        child.kill()
    assert not output.exists()


def test_what_a_worker_raises_arrives_in_words(
    house: Warehouse, science: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "__version__", "0.0")
    monkeypatch.setattr(clusters, "Task", lambda *words: Task(*words, versions=("0.0", duckdb.__version__)))
    with Cluster(address) as workers, pytest.raises(ModelError, match=r"The worker on .* here they are 0\.0") as caught:
        build(house, science, workers)
    assert "Install the same versions" in caught.value.remedy


def test_an_address_that_is_none_or_where_nobody_answers_is_told(
    house: Warehouse, science: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for word in ("local:0", "local", "8786"):
        with pytest.raises(UsageError, match="is no address of a cluster"):
            Cluster(word)
    monkeypatch.setattr(clusters, "_WAIT_S", 0.5)
    with Cluster("tcp://127.0.0.1:9") as workers, pytest.raises(ModelError, match="No Dask scheduler answers at tcp"):
        build(house, science, workers)
    with (
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", silence_logs="CRITICAL") as nobody,
        Cluster(nobody.scheduler_address) as workers,
        pytest.raises(ModelError, match="No worker is at tcp"),
    ):
        build(house, science, workers)
    assert house.rows("SELECT 1 FROM meta.model") == []


def test_without_distributed_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    place = toy.make_warehouse(tmp_path / "w")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "distributed.py").write_text("raise ImportError('not here')\n")
    done = skysy("build", "--warehouse", place.warehouse, "--cluster", "local:2", path=hidden)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --cluster needs dask.distributed, which is not installed.")
    assert "pip install 'skysy[cluster]'" in done.stderr


def skysy(*words: object, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    command = [sys.executable, "-m", "skysy", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_distributed_is_imported_only_by_a_build_on_a_cluster() -> None:
    code = (
        "import sys\nfrom skysy.models import build, cluster\nimport skysy.cli.build\n"
        "assert 'distributed' not in sys.modules\ncluster.Cluster('local:2')\nassert 'distributed' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_progress_bar_of_duckdb_comes_into_the_output_of_a_worker(tmp_path: Path) -> None:
    output = tmp_path / "0.parquet"
    sql = "SELECT current_setting('enable_progress_bar') AS bar"
    subprocess.run([sys.executable, "-c", task_code(tmp_path, sql, output)], check=True)
    with duckdb.connect() as con:
        assert con.execute(f"FROM '{output}'").fetchall() == [(False,)]


def test_buckets_that_a_killed_build_left_are_swept_by_the_next_writer(tmp_path: Path) -> None:
    place = toy.make_warehouse(tmp_path / "w")
    left = place.warehouse / "cluster.abc" / "0" / "means"
    left.mkdir(parents=True)
    (left / "0.parquet").touch()
    with open_warehouse(place):
        assert left.exists()
    with open_warehouse(place, write=True):
        assert leavings(place.warehouse) == []


@pytest.fixture
def sky_copy(simulated: Sky, tmp_path: Path) -> Settings:
    """A warehouse of 3,000 simulated objects, to write to."""
    shutil.copytree(simulated.settings.warehouse, tmp_path / "sky")
    return settings(tmp_path / "sky", "1GB", 2)


@pytest.mark.slow
def test_a_simulated_sky_is_the_same_on_a_cluster_to_the_last_bit(sky_copy: Settings, address: str) -> None:
    with open_warehouse(sky_copy) as house:
        expected, columns = contents(house), shape(house)
    words = ("--force", "--json", "--warehouse", sky_copy.warehouse)
    done = skysy("build", "--cluster", address, *words)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {one["name"]: one["content_hash"] for one in told["models"]} == {
        name: row[2] for name, row in expected.items()
    }
    assert set(told) == {field.name for field in fields(BuildSummary)}
    with open_warehouse(sky_copy) as house:
        assert contents(house) == expected
        assert shape(house) == columns
        assert house.value("SELECT arguments ->> 'cluster' FROM meta.run ORDER BY run_id DESC LIMIT 1") == address
    assert leavings(sky_copy.warehouse) == []


def killer(workers: Cluster, died: list[int], moments: tuple[int, ...]) -> Callable[[Event], None]:
    """Progress that kills a worker each time that so many buckets are done."""

    def kill(event: Event) -> None:
        if isinstance(event, Buckets) and event.done in moments[len(died) : len(died) + 1]:
            alive = set(workers.client.run(os.getpid).values())
            died.append(min(alive))
            os.kill(died[-1], signal.SIGKILL)

    return kill


def test_a_worker_killed_in_the_middle_changes_nothing(house: Warehouse, science: Path) -> None:
    build(house, science, None)
    expected, died = contents(house), list[int]()
    with Cluster("local:2", bucket_rows=50) as workers:
        run_build(
            house, load_project("toy", science), force=True, cluster=workers, progress=killer(workers, died, (2,))
        )
        assert died[0] not in workers.client.run(os.getpid).values()
    assert contents(house) == expected
    assert leavings(house.settings.warehouse) == []


@pytest.mark.slow
def test_workers_killed_again_and_again_change_nothing(sky_copy: Settings) -> None:
    died: list[int] = []
    with Cluster("local:2", bucket_rows=4_000) as workers, open_warehouse(sky_copy, write=True) as house:
        expected = contents(house)
        progress = killer(workers, died, (1, 5, 9, 13))
        run_build(house, load_project(DR2), engines=ENGINES, force=True, cluster=workers, progress=progress)
        assert contents(house) == expected
    assert len(set(died)) == 4
    assert leavings(sky_copy.warehouse) == []


@pytest.mark.slow
def test_workers_that_keep_dying_are_told_and_the_last_build_stands(house: Warehouse, science: Path) -> None:
    build(house, science, None)
    before, died = toy.state_of(house), list[int]()
    project = load_project("toy", science)
    with (
        # The scheduler gives a bucket up at the first death, where by default it does at the fourth.
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        Cluster("local:2", bucket_rows=50) as workers,
        pytest.raises(ModelError, match=r"The workers at local:2 were lost \(KilledWorker\)") as caught,
    ):
        run_build(house, project, force=True, cluster=workers, progress=killer(workers, died, (2,)))
    assert "lower --memory-limit" in caught.value.remedy
    assert toy.state_of(house) == before
    assert leavings(house.settings.warehouse) == []


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_a_build_that_is_stopped_takes_its_workers_along_and_the_next_one_is_whole(
    sky_copy: Settings, by: signal.Signals
) -> None:
    with open_warehouse(sky_copy) as house:
        expected = contents(house)
    words = ["build", "--force", "--cluster", "local:2", "--warehouse", str(sky_copy.warehouse)]
    command = [sys.executable, "-m", "skysy", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as child:
        while not list(sky_copy.warehouse.glob("cluster.*/*/measurements/*")):
            assert child.poll() is None
            time.sleep(0.01)
        workers = descendants(child.pid)
        if by == signal.SIGINT:
            os.killpg(child.pid, by)  # as a terminal sends it: to the workers too
        else:
            child.send_signal(by)
        told = child.communicate()[1]
    assert len(workers) >= 2
    assert child.returncode == (130 if by == signal.SIGINT else -by)
    assert "Traceback" not in told
    end = time.monotonic() + 30
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < end:
        time.sleep(0.1)
    assert [worker for worker in workers if Path(f"/proc/{worker}").exists()] == []
    if by == signal.SIGINT:
        assert told == "Interrupted. The tables of the last build stand; run `skysy build` again.\n"
        assert leavings(sky_copy.warehouse) == []
    with open_warehouse(sky_copy, write=True) as house:
        assert contents(house) == expected
    assert leavings(sky_copy.warehouse) == []


def descendants(process: int) -> list[int]:
    """The processes that this one started, and those that they started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]
