"""`skysy lightcurve`: TESS light curves of an object into the warehouse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skysy.cli.options import JsonOption, MemoryOption, ThreadsOption, WarehouseOption, print_json


def lightcurve(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="FITS light curves of TESS, or CSV with time and flux; https addresses, too."
        ),
    ],
    object_id: Annotated[
        int, typer.Option("--object", metavar="ID", max=2**63 - 1, help="The survey object that they are of.")
    ],
    sector: Annotated[
        int | None, typer.Option("--sector", metavar="N", min=1, max=9999, help="For files that do not tell it.")
    ] = None,
    flux_column: Annotated[
        str | None,
        typer.Option(
            "--flux-column", metavar="NAME", help="Another flux of the file.", show_default="PDCSAP_FLUX, ..."
        ),
    ] = None,
    tess_mag: Annotated[
        float | None, typer.Option("--tess-mag", metavar="MAG", help="TESS magnitude, for files that do not tell it.")
    ] = None,
    comparison: Annotated[
        bool, typer.Option("--comparison", help="It is a giant to compare with; it need not be in the catalogue.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Take it instead of what is there of its sector.")] = False,
    release: Annotated[
        str | None, typer.Option("--release", metavar="R", show_default="the one that is loaded")
    ] = None,
    as_json: JsonOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Bring TESS light curves of one object in; `skysy build` then measures flickering.

    Each file is one sector. FITS files of SPOC, TESS-SPOC, QLP and eleanor are known; quality bits are kept and used when
    building. What is in already, unchanged, is passed over. What lies at an https address is kept in WAREHOUSE/raw/tess.

    Example: skysy lightcurve tess2018206045859-s0001-0000000261136679-0120-s_lc.fits --object 147403802
    """
    from dataclasses import asdict

    from skysy.config import settings
    from skysy.loaders.curve_download import fetch_curve, is_address
    from skysy.loaders.curves import Wanted, load_curves
    from skysy.models.plan import choose_release
    from skysy.store import open_warehouse

    wanted = Wanted(object_id, sector, flux_column, tess_mag, comparison)
    where = settings(warehouse, memory_limit, threads)
    with open_warehouse(where, write=True) as house:
        chosen = choose_release(house, release)
        paths = [fetch_curve(one, where.warehouse) if is_address(one) else Path(one) for one in files]
        loaded = load_curves(house, chosen, paths, wanted, replace=replace)
    if as_json:
        print_json([asdict(one) for one in loaded])
        return
    for one in loaded:
        points = f"{one.points:,} points, " if one.points else ""
        typer.echo(f"{one.outcome:<9}  {one.source}  sector {one.sector}, {points}{one.flux_column} of {one.pipeline}")
        if nulls := one.notes.get("nan_to_null"):
            typer.echo(f"note: {one.source}: " + ", ".join(f"{n:,} without {name}" for name, n in nulls.items()))
