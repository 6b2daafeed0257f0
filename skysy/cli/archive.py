"""`skysy plan`, `skysy refresh`, `skysy doctor`: the live archives; `skysy load` without --from comes here too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from skysy.cli import complete
from skysy.cli.options import (
    JsonOption,
    MemoryOption,
    QuietOption,
    SetOption,
    ThreadsOption,
    WarehouseOption,
    interactive,
    print_json,
)

if TYPE_CHECKING:
    from skysy.config import Settings
    from skysy.loaders.archive.estimate import Cost
    from skysy.loaders.archive.load import Request
    from skysy.loaders.archive.run import Progress, Tally
    from skysy.loaders.archive.upload import Positions
    from skysy.models.project import Project
    from skysy.store import Warehouse

ReleaseOption = Annotated[
    str,
    typer.Option(
        "--release", metavar="R", help="The release to ask for, as skymapper_dr2.", autocompletion=complete.releases
    ),
]
RouteOption = Annotated[
    list[str] | None,
    typer.Option(
        "--route", metavar="ROUTE",
        help="sample, images, distances, photometry, simbad, mast or products; may be repeated.",
        show_default="the first five",
        autocompletion=complete.routes,
    ),
]  # fmt: skip
ServiceOption = Annotated[
    list[str] | None,
    typer.Option("--service", metavar="ROUTE=NAME|URL", help="Send a route to another service; may be repeated."),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Services and routes.", show_default="./skysy.toml if there"),
]


def plan(
    release: ReleaseOption,
    route: RouteOption = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Count what a load would bring, before any row moves: rows, bytes, requests, disk, time.

    The counts are written down, so that `skysy load` does not ask for them again. Routes that need others first
    (photometry needs the sample) can be planned once those are loaded.

    Example: skysy plan --release skymapper_dr2 --set 'archive_dec_deg=[-40,-30]'
    """
    from dataclasses import asdict

    from skysy.config import settings
    from skysy.loaders.archive.estimate import estimate
    from skysy.loaders.archive.load import plan_archive
    from skysy.store import open_warehouse

    request, project = request_of(release, route, service, config, set_)
    where = settings(warehouse, memory_limit, threads)
    with interrupted("plan"), open_warehouse(where, write=True, make=True) as house:
        cost = estimate(plan_archive(house, request, Science(house, project)), where.warehouse)
    if as_json:
        print_json(asdict(cost) | {"fits": cost.fits})
        return
    _print_cost(cost)


def refresh(
    release: ReleaseOption,
    route: RouteOption = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count and say what would be asked; bring nothing.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Ask the archives only for what is new or changed: other counts, new images, new objects, a changed query.

    Example: skysy refresh --release skymapper_dr2 --dry-run
    """
    from dataclasses import asdict

    from skysy.config import settings
    from skysy.loaders.archive.estimate import estimate
    from skysy.loaders.archive.load import load_archive, plan_archive
    from skysy.store import open_warehouse

    request, project = request_of(release, route, service, config, set_)
    where = settings(warehouse, memory_limit, threads)
    with interrupted("refresh"), open_warehouse(where, write=True) as house:
        science = Science(house, project)
        cost = estimate(plan_archive(house, request, science, refresh=True), where.warehouse)
        if not as_json:
            _print_cost(cost)
        if dry_run:
            tallies: Sequence[Tally] = ()
        else:
            with _progress(quiet or as_json) as tell:
                tallies = load_archive(house, request, science, progress=tell)
    if as_json:
        print_json({"plan": asdict(cost), "routes": [asdict(one) for one in tallies]})
    elif not dry_run:
        _print_tallies(tallies)


def doctor(
    release: ReleaseOption,
    route: RouteOption = None,
    service: ServiceOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at each service: reachable, its limits, its tables and columns against the contract, its clock.

    Exit code 7 where something is not as it must be.

    Example: skysy doctor --release skymapper_dr2

    Example: skysy doctor --release skymapper_dr2 --route mast
    """
    from dataclasses import asdict

    from skysy.contract import load_contract
    from skysy.loaders.archive.doctor import examine
    from skysy.loaders.archive.services import load_services

    services = load_services(config, _chosen(service))
    findings = []
    for one in examine(load_contract(release), services, _routes(route)):
        findings.append(one)
        if not as_json:
            mark = {True: "ok  ", False: "BAD ", None: "?   "}[one.good]
            typer.echo(f"{mark}  {one.service:<16} {one.what:<42} {one.words}")
            if one.remedy:
                typer.echo(f"      {one.remedy}")
    if as_json:
        print_json([asdict(one) for one in findings])
    if any(one.good is False for one in findings):
        raise typer.Exit(7)


def load_live(request: Request, project: Project, where: Settings, *, as_json: bool, quiet: bool) -> None:
    """`skysy load` from the archives."""
    from dataclasses import asdict

    from skysy.loaders.archive.load import load_archive
    from skysy.store import open_warehouse

    with (
        interrupted("load"),
        open_warehouse(where, write=True, make=True) as house,
        _progress(quiet or as_json) as tell,
    ):
        tallies = load_archive(house, request, Science(house, project), progress=tell)
    if as_json:
        print_json([asdict(one) for one in tallies])
    else:
        _print_tallies(tallies)


def load_offline(release: str, where: Settings, *, as_json: bool) -> None:
    """`skysy load --offline`: the warehouse again from the raw answers that it kept."""
    from skysy.contract import load_contract
    from skysy.loaders.archive.load import rebuild
    from skysy.store import open_warehouse

    with interrupted("load"), open_warehouse(where, write=True, make=True) as house:
        answers, rows = rebuild(house, load_contract(release))
    if as_json:
        print_json({"answers": answers, "rows": rows})
    else:
        typer.echo(f"{answers:,} kept answers loaded again, {rows:,} rows; nobody was asked.")


WITH_PRODUCTS = "SELECT DISTINCT obsid FROM mast_observation WHERE coalesce(target_name, '') NOT IN ('TESS FFI', 'TICA FFI') ORDER BY 1"
"""Observations whose files are asked for; a full-frame image of TESS is of thousands of stars, and so large."""


class Science:
    """Which ids a route asks for, by the SQL of the release over what is loaded so far."""

    def __init__(self, house: Warehouse, project: Project) -> None:
        self._house, self._project = house, project

    def keys(self, route: str) -> list[int]:
        """source_id of all loaded objects for distances, object_id of the sample for photometry and SIMBAD.

        Of the list as it was last built: object_id of the candidates for mast, obsid of their observations for products.
        """
        if route == "distances":
            query = "SELECT DISTINCT gaia_id1 FROM stg_survey__master WHERE gaia_id1 IS NOT NULL ORDER BY 1"
            return [int(row[0]) for row in self._ask("stg_survey__master", query)]
        if route in ("photometry", "simbad"):
            return [int(row[0]) for row in self._ask("sample", "SELECT object_id FROM sample ORDER BY 1")]
        if route == "mast":
            return [int(row[0]) for row in self._built("candidates", "SELECT object_id FROM candidates ORDER BY 1")]
        if route == "products":
            return [int(row[0]) for row in self._built("mast_observation", WITH_PRODUCTS)]
        return []

    def positions(self, route: str) -> Positions:
        """ICRS positions of the sample in degrees, for routes that ask by object."""
        if route == "mast":
            found = self._built("candidates", "SELECT object_id, raj2000, dej2000 FROM candidates")
            return {int(key): (float(ra), float(dec)) for key, ra, dec in found}
        if route not in ("photometry", "simbad"):
            return {}
        found = self._ask("sample", "SELECT object_id, raj2000, dej2000 FROM sample")
        return {int(key): (float(ra), float(dec)) for key, ra, dec in found}

    def _built(self, table: str, query: str) -> list[tuple[Any, ...]]:
        from skysy.errors import NotFound

        if not self._house.columns("main", table):
            raise NotFound(
                f"The warehouse has no table {table}: nothing is built yet.",
                "MAST is asked about candidates; `skysy build` makes them.",
            )
        return self._house.rows(query)

    def _ask(self, model: str, query: str) -> list[tuple[Any, ...]]:
        from skysy.models.views import as_views

        with as_views(self._house, self._project, [model]):
            return self._house.rows(query)


def request_of(
    release: str,
    routes: Sequence[str] | None,
    services: Sequence[str] | None,
    config: Path | None,
    settings: Sequence[str] | None,
) -> tuple[Request, Project]:
    """What the options of a command ask for, and the science that says which ids that needs."""
    from skysy.contract import load_contract
    from skysy.loaders.archive.load import Request
    from skysy.loaders.archive.services import ROUTES, load_services
    from skysy.models.project import load_project

    asked = _routes(routes)
    project = load_project(release, settings=list(settings or ()), only=("sample", "stg_survey__master"))
    known = load_services(config, _chosen(services))
    known.route(release, ROUTES[0])
    limits = {one.name: one.value_sql for one in project.parameters.values()}
    return Request(load_contract(release), known, limits, asked), project


def _routes(names: Sequence[str] | None) -> tuple[str, ...]:
    """The routes that are named, or the usual ones; raises UsageError for one that there is not."""
    from skysy.errors import UsageError, did_you_mean
    from skysy.loaders.archive.services import ROUTES, USUAL

    for name in names or ():
        if name not in ROUTES:
            raise UsageError(f"There is no route {name!r}.", did_you_mean(name, ROUTES))
    return tuple(names or USUAL)


def _chosen(services: Sequence[str] | None) -> dict[str, str]:
    from skysy.errors import UsageError

    chosen = {}
    for word in services or ():
        route, equals, target = word.partition("=")
        if not (equals and route and target):
            raise UsageError(
                f"--service {word!r} is not ROUTE=NAME or ROUTE=URL.", "Write it as --service distances=gavo."
            )
        chosen[route] = target
    return chosen


@contextmanager
def interrupted(command: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"Interrupted. What was committed stays; run `skysy {command}` again to go on.", err=True)
        raise typer.Exit(130) from None


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress | None]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    if quiet or not interactive():
        yield None
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("rows {task.fields[speed]}"),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Bar(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, TaskID] = {}

        def tell(tally: Tally) -> None:
            if tally.route not in tasks:
                tasks[tally.route] = bar.add_task(tally.route, total=None, speed="")
            task = tasks[tally.route]
            got = sum(tally.got.values())
            elapsed = bar.tasks[bar.task_ids.index(task)].elapsed
            speed = f"{got / elapsed:,.0f}/s" if elapsed else ""
            bar.update(task, completed=got, total=sum(tally.asked.values()), speed=speed)

        yield tell


def _print_cost(cost: Cost) -> None:
    if not cost.tables:
        typer.echo("Nothing is left to ask for.")
        return
    typer.echo(f"{'table':<38} {'rows':>12} {'bytes':>9} {'requests':>9}  how")
    for one in cost.tables:
        rows = "uncounted" if one.rows is None else f"{one.rows:,}"
        indexed = f"; indexed there: {', '.join(one.indexed)}" if one.indexed else ""
        typer.echo(
            f"{one.table:<38} {rows:>12} {size_words(one.bytes):>9} {one.requests:>9,}  {one.how} at {one.service}, "
            f"uploads: {one.uploads}, about {_time(one.seconds)}{indexed}"
        )
    verdict = "enough" if cost.fits else "NOT ENOUGH"
    typer.echo(
        f"disk: {size_words(cost.disk_bytes)} for raw answers and warehouse, {size_words(cost.free_bytes)} free: {verdict}. "
        "Bytes, disk and time are guesses from the counts."
    )


_ASKS_FOR = {
    "mast": "observations of candidates, which `skysy build` makes",
    "products": "files of observations, which `skysy load mast` and then `skysy build` bring",
}
"""What a route asks for that another command must bring first."""


def _print_tallies(tallies: Sequence[Tally]) -> None:
    for tally in tallies:
        if not tally.chunks:
            asks = _ASKS_FOR.get(tally.route)
            typer.echo(f"{tally.route:<11} nothing new at {tally.service}" + (f"; it asks for {asks}" if asks else ""))
        for table in tally.asked:
            splits = f", {tally.splits} parts split" if tally.splits else ""
            what = "rows" if tally.counted else "objects"
            typer.echo(
                f"{tally.route:<11} {table:<38} asked {tally.asked[table]:>12,} {what}, got {tally.got.get(table, 0):>12,} rows"
                f"{splits}"
            )


def size_words(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _time(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )
