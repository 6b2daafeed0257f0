"""`skysy recover`: a build of a simulated sky held against its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skysy.cli.options import JsonOption, MemoryOption, ThreadsOption, WarehouseOption, print_json


def recover(
    archive: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that `skysy simulate` made.")],
    as_json: JsonOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Compare the build with the simulated truth: sample, sequences, flickerers by amplitude, planted bad rows.

    Example: skysy recover demo/archive --warehouse demo/warehouse
    """
    from dataclasses import asdict

    from skysy.analysis.recovery import compare
    from skysy.config import settings
    from skysy.models.parameters import apply_built
    from skysy.models.plan import built_release
    from skysy.models.project import load_project
    from skysy.store import open_warehouse
    from skysy.why import FLOW

    with open_warehouse(settings(warehouse, memory_limit, threads)) as house:
        release = built_release(house)
        project = load_project(release)
        apply_built(house)
        found = compare(house, archive, [project.model(name).sql for name in FLOW], release)
    if as_json:
        extra = {"completeness": found.sample.completeness, "purity": found.sample.purity}
        print_json(asdict(found) | extra)
        return
    sample = found.sample
    typer.echo(
        f"sample: {sample.found:,} objects, {sample.expected:,} expected; "
        f"completeness {sample.completeness:.4f}, purity {sample.purity:.4f}"
    )
    if sample.cuts_differ:
        typer.echo(f"cuts: {sample.cuts_differ:,} answers for single objects are not those of the truth")
    sequences = found.sequences
    if not sequences.expected == sequences.found == sequences.both:
        typer.echo(
            f"sequences: {sequences.found:,} found, {sequences.expected:,} taken; "
            f"{sequences.both:,} have the very u exposures that were taken"
        )
    typer.echo("flickerers by injected amplitude (0 = none injected)")
    typer.echo("  amplitude_mag  in sample  with a sequence  detected  recall  candidates")
    for group in found.flickerers:
        typer.echo(
            f"  {group.amplitude_mag:13.2f}  {group.sampled:9,}  {group.measured:15,}  {group.detected:8,}  "
            f"{group.recall:6.3f}  {group.candidates:10,}"
        )
    lost = [row for row in found.bad_rows if not row.accounted]
    planted = sum(row.planted for row in found.bad_rows)
    typer.echo(
        f"planted bad rows: {planted:,} of {len(found.bad_rows)} kinds, {len(found.bad_rows) - len(lost)} kinds accounted for"
    )
    for row in lost:
        meant = "left alone, as they must be" if row.taken_by == "none" else f"taken by {row.taken_by}"
        typer.echo(
            f"  {row.kind}: {row.planted} planted, {row.taken} {meant}; {row.elsewhere} lost elsewhere, {row.left} not taken"
        )
