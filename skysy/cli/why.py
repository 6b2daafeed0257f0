"""`skysy why`: why a star is, or is not, in the list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from skysy.cli import complete
from skysy.cli.options import JsonOption, MemoryOption, ThreadsOption, WarehouseOption, console, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from skysy.why import Cut, Story

_MARKS = {
    "passes": "[green]passes [/]",
    "fails": "[red]fails  [/]",
    "missing": "[yellow]missing[/]",
    "not available": "[dim]  --   [/]",
}


def why(
    target: Annotated[
        str,
        typer.Argument(
            metavar="OBJECT_ID|RA,DEC", help="An object_id, or a position in degrees.", autocompletion=complete.objects
        ),
    ],
    radius: Annotated[
        float, typer.Option("--radius", metavar="ARCSEC", min=0, help="How far from a position to look.")
    ] = 5.0,
    as_json: JsonOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Tell the story of one star: joins, cuts, measurements, score, and where its rows came from.

    Example: skysy why 147403802

    Example: skysy why 249.5326,-28.7021 --radius 10
    """
    from dataclasses import asdict

    from skysy.config import settings
    from skysy.contract import load_contract
    from skysy.models.lineage import cut_terms
    from skysy.models.parameters import apply_built
    from skysy.models.plan import built_release
    from skysy.models.project import load_project, sql_of
    from skysy.store import open_warehouse
    from skysy.why import FLOW, tell

    with open_warehouse(settings(warehouse, memory_limit, threads)) as house:
        release = built_release(house)
        project = load_project(release, only=("int_selection__cuts",))
        apply_built(house)
        terms = cut_terms(project, "int_selection__cuts")
        flow = [sql_of(release, name) for name in FLOW]
        story = tell(house, flow, terms, load_contract(release), target, radius)
    if as_json:
        print_json(asdict(story))
        return
    _print(console(soft_wrap=True), story)


def _print(to: Console, story: Story) -> None:
    from rich.markup import escape

    where = ""
    if story.raj2000 is not None and story.dej2000 is not None:
        where = f" at {story.raj2000:.6f} {story.dej2000:+.6f} deg"
    if story.separation_arcsec is not None:
        where += f", {story.separation_arcsec:.2f} arcsec from the position asked"
    to.print(f"[bold]Object {story.object_id}[/]{where}")
    if story.known:
        to.print(f"Known as {story.known['name']} ({story.known['object_type']}).")
    to.print(_verdict(story))
    if story.followup:
        followup = story.followup
        seen = f"{followup['n_observations']} observation{'s' if followup['n_observations'] != 1 else ''}"
        to.print(f"Follow-up ({seen}): [bold]{followup['verdict']}[/]. {escape(followup['verdict_reason'])}.")
    if story.missions:
        to.print(escape(f"Space archives (MAST): {_missions(story)}."))
    to.print("\n[bold]Joins and cuts[/], in order")
    for cut in story.cuts:
        to.print(f"  {_MARKS[cut.verdict]}  {cut.name:<19} {cut.sentence}: {_terms(cut)}")
    _print_measurements(to, story)
    to.print("\n[bold]Where the rows came from[/]")
    for origin in story.origins:
        rows = "row" if origin.rows == 1 else "rows"
        to.print(
            f"  {origin.table_name}: {origin.rows} {rows} from {origin.source} ({origin.format}), "
            f"loaded {origin.loaded_at} UTC, chunk {origin.chunk_id}, sha256 {origin.sha256[:12]}"
        )


def _verdict(story: Story) -> str:
    if story.candidate:
        return f"[green]Candidate, rank {story.candidate['rank']}[/]: {story.candidate['reason']}."
    if story.in_sample:
        return "In the sample, but no outlier: neither its colours nor its rapid changes stand out."
    failure = story.first_failure
    if failure is None:
        return "[yellow]Not in the object catalogue as loaded[/]; only measurements are here."
    what = "its value is missing" if failure.verdict == "missing" else "it fails"
    return f"[red]Not in the sample[/]: the first cut that it does not pass is {failure.name} ({what})."


def _missions(story: Story) -> str:
    """What MAST has of the star, mission by mission; that nobody asked is no word on what there is."""
    seen = []
    for one in story.missions:
        if one["state"] == "matched":
            told = f"{one['mission']} {one['n_observations']}"
            exposure = "" if one["exposure_s"] is None else f"{one['exposure_s']:.0f} s"
            when = (
                ""
                if one["first_mjd"] is None
                else f"MJD {one['first_mjd']:.1f} to {one['last_mjd'] or one['first_mjd']:.1f}"
            )
            more = ", ".join(word for word in (exposure, when) if word)
            seen.append(f"{told} ({more})" if more else told)
    nothing = [str(one["mission"]) for one in story.missions if one["state"] == "none"]
    if not seen:
        return "asked, nothing there" if nothing else "never asked"
    return ", ".join(seen) + (f"; nothing of {', '.join(nothing)}" if nothing else "")


def _terms(cut: Cut) -> str:
    if cut.verdict == "not available":
        return "not available in this release"
    values = ", ".join(f"{name} = {_value(value)}{_unit(cut, name)}" for name, value in cut.values.items())
    limits = ", ".join(f"{name} = {value}{_unit(cut, name)}" for name, value in cut.limits.items())
    return f"{values}; limit {limits}" if limits else values


def _unit(cut: Cut, name: str) -> str:
    return f" {cut.units[name]}" if cut.units.get(name) else ""


def _value(value: Any) -> str:
    if value is None:
        return "NULL"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _print_measurements(to: Console, story: Story) -> None:
    total = story.measurements[0]["n_in"] if story.measurements else 0
    kept = sum(story.filters.values())
    filters = ", ".join(f"{n} {name}" for name, n in story.filters.items()) or "none"
    to.print(f"\n[bold]Measurements[/]: {kept} of {total} detections count ({filters}) in {story.nights} nights")
    for step in story.measurements:
        lost = step["n_fail"] + step["n_null"]
        if lost:
            to.print(f"  {lost} taken by {step['cut']} ({step['n_fail']} fail, {step['n_null']} missing)")
    colours = story.colours
    if colours:
        for name, title in (("ug", "u-g"), ("uv", "u-v")):
            if colours[f"{name}_mag"] is None:
                to.print(f"  {title}: no night with both bands")
            else:
                nights = colours[f"n_nights_{name}"]
                to.print(
                    f"  {title} = {colours[f'{name}_mag']:.4f} +- {colours[f'{name}_err']:.4f} mag from {nights} "
                    f"night{'s' if nights != 1 else ''}"
                )
    if story.ln_density is not None:
        to.print(f"  ln density of these colours in the sample: {story.ln_density:.4f}")
    found = story.variability
    if found:
        to.print(
            f"  rapid delta-u sigma = {found['rapid_u_sigma']:.3f}: {story.rapid_filter} differs by {found['delta_u_mag']:.4f} mag between images "
            f"{found['image_id_i']} and {found['image_id_j']} (errors {found['e_mag_i']:.4f}, {found['e_mag_j']:.4f}), "
            f"the largest of {found['n_sequences']} sequence{'s' if found['n_sequences'] != 1 else ''}"
        )
    else:
        to.print(f"  rapid delta-u sigma: no colour sequence with two valid {story.rapid_filter} exposures")
