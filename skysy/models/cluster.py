"""`skysy build --cluster`: models of `scope: object` bucket by bucket in DuckDB on Dask workers, their SQL unchanged.

What such models read is cut into buckets of Parquet by object_id; each task opens a DuckDB of one thread on one bucket
and writes each model's rows beside it. The build then takes those rows for its tables, in its own transaction.
Buckets lie in `cluster.*/` below the warehouse directory, which every worker must see under the same path.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import duckdb

from skysy import __version__
from skysy.config import Settings
from skysy.errors import ModelError, UsageError
from skysy.models import parameters
from skysy.models.parameters import Parameters
from skysy.models.plan import Engine, Step
from skysy.models.scope import OBJECT
from skysy.models.told import Buckets, Made, Progress, explained
from skysy.store import Warehouse, bounds, sql_text

BUCKET_ROWS = 1_000_000
"""Rows of the largest input that one bucket holds, more or less."""

MOST_BUCKETS = 1_000
"""Beyond it buckets grow: more would make files too small to read fast."""

FLUSHED_ROWS = 20_000
"""Rows of one bucket that are written together; fewer make slow Parquet, more take memory."""

_WAIT_S = 60
_NO_CTRL_C = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)"
_LOCAL = re.compile(r"local:([1-9]\d{0,2})")


@dataclass(frozen=True)
class ModelTask:
    """One model on one bucket: its SQL, the files of each input, and the file for its rows."""

    file_name: str
    sql: str
    inputs: Mapping[str, Sequence[str]]
    output: str


@dataclass(frozen=True)
class Task:
    """One bucket: models in order, parameters and bounds; `versions` are those that the worker must have."""

    directory: str
    models: Mapping[str, ModelTask]
    parameters: Parameters
    memory_limit: str
    versions: tuple[str, str] = (__version__, duckdb.__version__)


@dataclass(frozen=True)
class Outcome:
    """Seconds that each model took on a bucket; or the model that failed, and what DuckDB said."""

    seconds: Mapping[str, float]
    failed: str = ""
    error: duckdb.Error | None = None


class Cluster:
    """The workers behind an address, started or called when the first bucket is ready; closed at the end of `with`."""

    def __init__(self, address: str, *, bucket_rows: int = BUCKET_ROWS) -> None:
        """Raises UsageError for an address that is none, or where dask.distributed is missing."""
        if not _LOCAL.fullmatch(address) and "://" not in address:
            raise UsageError(
                f"{address!r} is no address of a cluster.",
                "Write a Dask scheduler's, as tcp://127.0.0.1:8786, or local:2 for two processes on this machine.",
            )
        try:
            import distributed  # noqa: F401
        except ImportError as error:
            raise UsageError(
                "--cluster needs dask.distributed, which is not installed.",
                "Install it here and on the workers: pip install 'skysy[cluster]'",
            ) from error
        self.address = address
        self.bucket_rows = bucket_rows
        self._client: Any = None
        self._own: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._client, self._own):
            if one is not None:
                one.close()

    @property
    def client(self) -> Any:
        """The distributed.Client, with at least one worker behind it; ModelError where there is none."""
        if self._client is None:
            self._connect()
        return self._client

    def _connect(self) -> None:
        import distributed

        own = _LOCAL.fullmatch(self.address)
        if own:
            self._own = distributed.LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=int(own[1]),
                threads_per_worker=1,
                memory_limit=0,  # DuckDB keeps to its own bound, and a worker killed for memory would only die again
                dashboard_address="127.0.0.1:0",
                silence_logs="CRITICAL",
                preload=[_NO_CTRL_C],  # a terminal sends it to workers too, where it would only make noise
            )
        try:
            self._client = distributed.Client(self._own or self.address, timeout=_WAIT_S)  # type: ignore[no-untyped-call]
            self._client.wait_for_workers(1, timeout=_WAIT_S)
        except (OSError, TimeoutError) as error:
            what = "No worker is" if self._client else "No Dask scheduler answers"
            raise ModelError(
                f"{what} at {self.address}. The tables of the last build stand.",
                "Start them (`dask scheduler`, `dask worker ADDRESS`), or build here without --cluster.",
            ) from error

    def turns(
        self,
        warehouse: Warehouse,
        project_parameters: Parameters,
        steps: Sequence[Step],
        engines: Mapping[str, Engine],
        tell: Progress,
        *,
        here: Collection[str] = (),
    ) -> Generator[tuple[Step, Made | None]]:
        """Every step in an order that may be built, with the rows that the workers made, or None where SQL makes them here.

        Models named by `here` are made here whatever their scope.

        Each step must be built before the next is asked for: what workers read is taken from the warehouse.
        """
        with _swept(warehouse.settings.warehouse) as directory:
            for number, (scattered, stage) in enumerate(stages(steps, engines, here)):
                if not scattered:
                    yield from ((step, None) for step in stage)
                    continue
                place = directory / str(number)
                tasks = export(warehouse, project_parameters, stage, place, self.buckets(warehouse, stage))
                seconds = self.run(warehouse, tasks, stage, tell)
                for step in stage:
                    name = step.model.name
                    files = [task.models[name].output for task in tasks]
                    _check_types(warehouse, name, f"({step.model.sql}\n)", files)
                    yield step, Made(parquet(files), seconds[name])
                shutil.rmtree(place)

    def buckets(self, warehouse: Warehouse, stage: Sequence[Step]) -> int:
        """How many buckets: of `bucket_rows` rows of the largest input, and two for every worker's thread or more."""
        names = _cut_up(stage)
        rows = max((int(warehouse.value(f"SELECT count(*) FROM {name}")) for name in names), default=0)
        threads: int = sum(self.client.nthreads().values())
        return min(max(2 * threads, -(-rows // self.bucket_rows)), MOST_BUCKETS)

    def run(
        self, warehouse: Warehouse, tasks: Sequence[Task], stage: Sequence[Step], tell: Progress
    ) -> dict[str, float]:
        """Have the workers do every task; the seconds of each model, added up over buckets.

        Raises SqlError as the ordinary build does, ModelError where workers keep dying or the cluster is lost.
        """
        import distributed
        from distributed.comm.core import CommClosedError

        names = tuple(step.model.name for step in stage)
        seconds = dict.fromkeys(names, 0.0)
        tell(Buckets(names, 0, len(tasks)))
        futures = self.client.map(run_task, tasks, pure=False)
        try:
            for done, future in enumerate(distributed.as_completed(futures), 1):  # type: ignore[no-untyped-call]
                outcome: Outcome = future.result()
                if outcome.error is not None:
                    with explained(f"The model {tasks[0].models[outcome.failed].file_name}", warehouse):
                        raise outcome.error
                for name, value in outcome.seconds.items():
                    seconds[name] += value
                tell(Buckets(names, done, len(tasks)))
        except (distributed.KilledWorker, distributed.CancelledError, CommClosedError) as error:
            raise ModelError(
                f"The workers at {self.address} were lost ({type(error).__name__}). The tables of the last build stand.",
                "Look at the workers' logs; if they ran out of memory, lower --memory-limit, which holds for each task.",
            ) from error
        finally:
            self.client.cancel(futures)
        return seconds


def stages(
    steps: Sequence[Step], engines: Mapping[str, Engine], here: Collection[str] = ()
) -> list[tuple[bool, list[Step]]]:
    """Steps in turns, as many together as can be: (False, those built here), (True, those that workers make), ...

    On workers a model may read another of its turn, bucket by bucket; what lies whole in every bucket, and what is
    built here, needs its inputs built in turns before.
    """
    waiting, found = list(steps), []
    while waiting:
        for scattered in (False, True):
            before = {step.model.name for step in waiting}
            left, taken = set(before), []
            for step in waiting:
                model = step.model
                on_workers = model.scope == "object" and model.kind == "table"
                on_workers = on_workers and model.engine not in engines and model.name not in here
                ready = left.isdisjoint(model.inputs) and (not scattered or before.isdisjoint(model.broadcast))
                if on_workers is scattered and ready:
                    taken.append(step)
                    left.discard(model.name)
            if taken:
                found.append((scattered, taken))
                waiting = [step for step in waiting if step.model.name in left]
    return found


def export(
    warehouse: Warehouse, project_parameters: Parameters, stage: Sequence[Step], directory: Path, buckets: int
) -> list[Task]:
    """Write what a stage reads into a new directory, cut up by object_id or whole, and describe the task of each bucket."""
    directory.mkdir()
    cut = {name: _export_buckets(warehouse, name, directory / f"{name}.cut", buckets) for name in _cut_up(stage)}
    whole = {
        name: _export_whole(warehouse, name, directory / f"{name}.parquet")
        for name in sorted({name for step in stage for name in step.model.broadcast})
    }
    made = {step.model.name for step in stage}
    for name in made:
        (directory / name).mkdir()
    tasks = []
    for bucket in range(buckets):
        models: dict[str, ModelTask] = {}
        for step in stage:
            model = step.model
            inputs = {
                name: whole[name] if name in model.broadcast
                else [models[name].output] if name in made
                else cut[name][bucket]
                for name in model.inputs
            }  # fmt: skip
            output = str(directory / model.name / f"{bucket}.parquet")
            models[model.name] = ModelTask(model.path.name, model.sql, inputs, output)
        tasks.append(Task(str(directory), models, project_parameters, warehouse.settings.memory_limit))
    return tasks


def run_task(task: Task) -> Outcome:
    """What a worker does: every model's rows of one bucket, each file under its name only when it is whole."""
    host = socket.gethostname()
    if not Path(task.directory).is_dir():
        raise ModelError(
            f"The worker on {host} does not see {task.directory}. The tables of the last build stand.",
            "Put the warehouse on a file system that every worker has under the same path.",
        )
    if task.versions != (found := (__version__, duckdb.__version__)):
        raise ModelError(
            f"The worker on {host} has skysy {found[0]} with DuckDB {found[1]}; here they are {task.versions[0]} and "
            f"{task.versions[1]}. The tables of the last build stand.",
            "Install the same versions on both sides: only then are results the same to the last bit.",
        )
    seconds: dict[str, float] = {}
    with (
        # Spilled rows need a place of their own: DuckDB tells them apart by process, and workers on two hosts may have one id.
        tempfile.TemporaryDirectory(prefix="spill.", dir=task.directory, ignore_cleanup_errors=True) as spill,
        duckdb.connect(":memory:", config=bounds(Settings(Path(spill), task.memory_limit, 1))) as con,
    ):
        # Where Python runs no file, as in a worker, DuckDB draws a bar on standard output, which --json may share.
        con.execute("SET enable_progress_bar = false")
        parameters.apply(con, task.parameters)
        for name, model in task.models.items():
            started = time.perf_counter()
            partial = f"{model.output}.{host}-{os.getpid()}.part"
            try:
                for relation, files in model.inputs.items():
                    _view(con, relation, files)
                # The file follows on the same line, so that the line number in DuckDB's message is the file's.
                con.execute(
                    f"COPY ({model.sql.rstrip().rstrip(';')}\n) TO {sql_text(partial)} (FORMAT parquet)"
                ).fetchall()
            except duckdb.Error as error:
                return Outcome(seconds, name, error)
            Path(partial).replace(model.output)
            seconds[name] = time.perf_counter() - started
    return Outcome(seconds)


def parquet(files: Sequence[str]) -> str:
    """The relation that these Parquet files are together."""
    listed = ", ".join(map(sql_text, files))
    return f"read_parquet([{listed}], hive_partitioning = false)"


def _view(con: duckdb.DuckDBPyConnection, relation: str, files: Sequence[str]) -> None:
    schema, _, table = relation.rpartition(".")
    if schema:
        con.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
    con.execute(f'CREATE OR REPLACE VIEW "{schema or "main"}"."{table}" AS FROM {parquet(files)}')


def _cut_up(stage: Sequence[Step]) -> list[str]:
    """The relations that must be cut up for a stage: what its models read, but not whole, and not from each other."""
    made = {step.model.name for step in stage}
    return sorted({name for step in stage for name in step.model.inputs if name not in step.model.broadcast} - made)


def _export_whole(warehouse: Warehouse, relation: str, file: Path) -> list[str]:
    with explained(f"{relation} for the cluster", warehouse):
        warehouse.run(f"COPY (FROM {relation}) TO {sql_text(file)} (FORMAT parquet)")
    _check_types(warehouse, relation, relation, [str(file)])
    return [str(file)]


def _export_buckets(warehouse: Warehouse, relation: str, directory: Path, buckets: int) -> list[list[str]]:
    """The files of each bucket: one or several, without rows where the bucket has none."""
    directory.mkdir()
    empty = directory / "empty.parquet"
    warehouse.run(f"COPY (FROM {relation} LIMIT 0) TO {sql_text(empty)} (FORMAT parquet)")
    _check_types(warehouse, relation, relation, [str(empty)])
    warehouse.run(f"SET partitioned_write_flush_threshold = {min(max(524_288, buckets * FLUSHED_ROWS), 8_000_000)}")
    # As text, an id is in the same bucket whatever the type that its table gives it.
    number = f"hash(CAST({OBJECT} AS VARCHAR)) % {buckets}"
    with explained(f"{relation} for the cluster", warehouse):
        warehouse.run(
            f"COPY (SELECT *, {number} AS _bucket FROM {relation}) TO {sql_text(directory / 'rows')} "
            "(FORMAT parquet, PARTITION_BY (_bucket))"
        )
    return [
        sorted(map(str, directory.glob(f"rows/_bucket={bucket}/*.parquet"))) or [str(empty)]
        for bucket in range(buckets)
    ]


def _check_types(warehouse: Warehouse, name: str, relation: str, files: Sequence[str]) -> None:
    """Raise ModelError where Parquet has another type for a column, which could change its values."""
    before, after = (
        {row[0]: row[1] for row in warehouse.rows(f"DESCRIBE FROM {one}")} for one in (relation, parquet(files[:1]))
    )
    for column, kind in before.items():
        if after.get(column) != kind:
            raise ModelError(
                f"{name}.{column} is {kind}, which Parquet keeps as {after.get(column)}.",
                "Cast it to another type in its SQL, or build without --cluster.",
            )


@contextmanager
def _swept(warehouse: Path) -> Iterator[Path]:
    """A new directory in the warehouse's, taken away at the end."""
    directory = Path(tempfile.mkdtemp(prefix="cluster.", dir=warehouse.absolute()))
    try:
        yield directory
    finally:
        for _ in range(50):  # a worker whose fellow died may write a moment longer
            shutil.rmtree(directory, ignore_errors=True)
            if not directory.exists():
                break
            time.sleep(0.1)
