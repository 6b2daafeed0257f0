"""`skysy build`: run the science; `skysy status`: what the warehouse holds."""

from __future__ import annotations

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
    from skysy.models.plan import Engine, Plan
    from skysy.models.status import Status
    from skysy.models.told import AuditResult, BuildSummary, Progress

ReleaseOption = Annotated[
    str | None,
    typer.Option(
        "--release",
        metavar="NAME",
        help="The archive's release.",
        show_default="the only one loaded",
        autocompletion=complete.releases,
    ),
]


def build(
    release: ReleaseOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say what would be built and why; write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Build everything, stale or not.")] = False,
    set_: SetOption = None,
    parameters: Annotated[
        Path | None,
        typer.Option("--parameters", metavar="FILE.sql", help="SET VARIABLE lines in place of the defaults."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="ADDRESS",
            help="Dask workers for the models that keep to one object: tcp://HOST:PORT, or local:N for N processes here. "
            "They must see the warehouse directory; --memory-limit holds for each of their tasks too.",
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Build the models whose SQL, parameters or inputs changed, audit them, and swap them in together.

    If anything fails, the tables of the last build stand.

    Example: skysy build --set j_mag_max=13.5

    Example: skysy build --cluster local:2
    """
    from contextlib import nullcontext

    from skysy.config import settings
    from skysy.models.build import run_build
    from skysy.models.cluster import Cluster
    from skysy.models.plan import choose_release, plan_build
    from skysy.models.project import load_project
    from skysy.own import find_own
    from skysy.store import open_warehouse

    chosen = list(set_ or [])
    arguments = {"set": chosen, "parameters": str(parameters) if parameters else None, "cluster": cluster}
    try:
        workers = Cluster(cluster) if cluster else nullcontext()
        with workers as helpers, open_warehouse(settings(warehouse, memory_limit, threads), write=not explain) as house:
            name = choose_release(house, release)
            project = load_project(name, own=find_own(), parameters_file=parameters, settings=chosen)
            engines = known_engines()
            if explain:
                _explain(plan_build(house, project, engines, force=force), name, as_json)
                return
            with _Teller(quiet=quiet or as_json) as tell:
                summary = run_build(
                    house,
                    project,
                    engines=engines,
                    force=force,
                    progress=tell,
                    arguments=arguments,
                    cluster=helpers,
                )
    except KeyboardInterrupt:
        typer.echo("Interrupted. The tables of the last build stand; run `skysy build` again.", err=True)
        raise typer.Exit(130) from None
    _report(summary, as_json)


def status(
    as_json: JsonOption = False,
    checksums: Annotated[
        bool, typer.Option("--checksums", help="Read every row again and compare with the ledger's hashes.")
    ] = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Tell what is loaded, what is built, what is stale and why, and what the audits warn of.

    Example: skysy status --checksums
    """
    from dataclasses import asdict

    from skysy.config import settings
    from skysy.errors import ModelError, WarehouseDamaged
    from skysy.models.plan import built_release, loaded_releases
    from skysy.models.project import load_project
    from skysy.models.status import check_contents, read_status
    from skysy.own import find_own
    from skysy.store import open_warehouse

    with open_warehouse(settings(warehouse, memory_limit, threads)) as house:
        loaded = loaded_releases(house)
        is_built = bool(house.value("SELECT count(*) FROM meta.model"))
        release = built_release(house) if is_built else loaded[0] if len(loaded) == 1 else None
        has_rows = bool(house.value("SELECT count(*) FROM meta.chunk WHERE state = 'loaded'"))
        project = load_project(release, own=find_own()) if release and has_rows else None
        note = ""
        try:
            found = read_status(house, project, known_engines() if project else None)
        except ModelError as error:
            found, note = read_status(house, None), error.message
        checked, problems = check_contents(house) if checksums else (0, [])
        place = house.settings.database
    if as_json:
        extra = {"release": release, "note": note, "checked": checked, "problems": problems}
        print_json(asdict(found) | extra)
    else:
        typer.echo(f"Warehouse {place}")
        _print_status(found)
        if note:
            typer.echo(f"note: {note}")
        if checksums:
            typer.echo(f"Checksums: {checked} compared, {len(problems)} differ.")
    if problems:
        raise WarehouseDamaged(
            "Rows are not as the ledger says:\n  " + "\n  ".join(problems),
            "Load those files again into a new warehouse, or build again with `skysy build --force`.",
        )


def known_engines() -> dict[str, Engine]:
    """The faster engines of models that name one in their header."""
    from skysy.analysis.density import engine as density_engine

    return {"density_score": density_engine}


class _Teller:
    """Prints each model as it is done; in a terminal also the one under way."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.spinner: Any = None

    def __enter__(self) -> Progress:
        if interactive() and not self.quiet:
            from rich.console import Console

            self.spinner = Console(stderr=True).status("building")
            self.spinner.start()
        return self.tell

    def __exit__(self, *_: object) -> None:
        if self.spinner is not None:
            self.spinner.stop()

    def tell(self, event: Any) -> None:
        from skysy.models.plan import Step
        from skysy.models.told import Buckets, BuiltModel

        if isinstance(event, Step) and self.spinner is not None:
            self.spinner.update(f"building {event.model.name}")
        if isinstance(event, Buckets) and self.spinner is not None:
            self.spinner.update(f"building {', '.join(event.models)}: {event.done} of {event.total} buckets")
        if isinstance(event, BuiltModel) and not self.quiet:
            rows = "view" if event.rows is None else f"{event.rows:,} rows"
            anew = "" if event.anew is None else f"  {event.anew:,} of them made anew"
            typer.echo(f"{event.name:<28} {rows:>18} {event.seconds:8.2f} s{anew}")


def _explain(plan: Plan, release: str, as_json: bool) -> None:
    stale = {step.model.name: step.reason for step in plan.stale}
    due = [step.audit.name for step in plan.audits if step.due]
    if as_json:
        print_json({"release": release, "stale": stale, "dropped": list(plan.dropped), "audits": due})
        return
    for name, reason in stale.items():
        typer.echo(f"{name:<28} {reason}")
    for name in plan.dropped:
        typer.echo(f"{name:<28} would be dropped: no file makes it any more")
    _print_kept(plan.kept)
    if plan.empty:
        typer.echo(f"Nothing is stale: all {len(plan.steps)} models of {release} are fresh.")
    else:
        typer.echo(f"{len(stale)} of {len(plan.steps)} models of {release} would be built, {len(due)} audits run.")


def _report(summary: BuildSummary, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        print_json(asdict(summary))
        return
    _print_kept(summary.kept)
    if summary.nothing:
        typer.echo(f"Nothing is stale: all {len(summary.fresh)} models of {summary.release} are fresh.")
        return
    warned = [audit for audit in summary.audits if audit.offenders]
    for audit in warned:
        typer.echo(f"warning: {audit.sentence} {_rows(audit)} differ ({audit.name}).")
    for name in summary.dropped:
        typer.echo(f"dropped {name}: no file makes it any more")
    typer.echo(
        f"{len(summary.models)} model{'' if len(summary.models) == 1 else 's'} of {summary.release} built in {summary.seconds:.1f} s, "
        f"{len(summary.fresh)} were fresh; {len(summary.audits)} audits run, {len(warned)} with warnings."
    )


def _print_kept(names: tuple[str, ...]) -> None:
    if names:
        typer.echo(
            f"left as it is: {', '.join(names)}, of a project whose skysy.toml is not here; build there to renew it"
        )


def _rows(audit: AuditResult) -> str:
    return "1 row" if audit.offenders == 1 else f"{audit.offenders:,} rows"


def _print_status(found: Status) -> None:
    if not found.tables:
        typer.echo("Nothing is loaded. Run `skysy load --release skymapper_dr2 --from DIR`.")
    for table in found.tables:
        files = f"{table.files} file{'s' if table.files != 1 else ''}"
        odd = "" if table.rows == table.loaded_rows else f"  (the ledger says {table.loaded_rows:,})"
        typer.echo(f"  {table.name:<40} {table.rows:>14,} rows  {files}{odd}")
    stale = [model for model in found.models if model.reason]
    if found.models:
        typer.echo(f"Models: {len(found.models) - len(stale)} fresh, {len(stale)} stale.")
    for model in found.models:
        rows = "" if model.rows is None else f"{model.rows:,} rows"
        typer.echo(f"  {model.name:<40} {rows or model.kind:>19}  {model.reason or 'fresh'}")
    for audit in found.audits:
        if audit.offenders:
            typer.echo(f"warning: {audit.sentence} {audit.offenders:,} rows differ ({audit.name}).")
    if found.last_run is not None:
        run = found.last_run
        typer.echo(f"Last run: skysy {run.command}, {run.state}, begun {run.started_at:%Y-%m-%d %H:%M} UTC.")
    for run in found.interrupted:
        typer.echo(
            f"A run of skysy {run.command} begun {run.started_at:%Y-%m-%d %H:%M} UTC was interrupted; "
            "nothing of it was half kept. Run it again."
        )
