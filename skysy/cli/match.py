"""`skysy match`: pairs of rows of two tables by position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from skysy.cli import complete
from skysy.cli.options import JsonOption, MemoryOption, ThreadsOption, WarehouseOption, print_json, say

if TYPE_CHECKING:
    from skysy.match import Match, Matched

_KEY, _RA, _DEC = "Its key column.", "Its right ascension [deg].", "Its declination [deg]."
_EPOCH = "Epoch of its positions: a Julian year or a column of such."


def match(
    left: Annotated[
        str,
        typer.Argument(
            metavar="LEFT",
            help="A table of the warehouse, a Parquet or CSV file, or a HATS catalogue.",
            autocompletion=complete.relations,
        ),
    ],
    right: Annotated[
        str, typer.Argument(metavar="RIGHT", help="Another; the larger of the two.", autocompletion=complete.relations)
    ],
    radius: Annotated[float, typer.Option("--radius", metavar="ARCSEC", help="How far apart a pair may be.")],
    out: Annotated[
        str | None,
        typer.Option(
            "--out", metavar="FILE|TABLE", help="Where the pairs go: .parquet, .csv, .vot, .fits or a new table."
        ),
    ] = None,
    find: Annotated[
        str,
        typer.Option(
            "--find",
            metavar="best|all",
            help="The nearest right row of each left key, or all pairs.",
            autocompletion=complete.finds,
        ),
    ] = "best",
    left_epoch: Annotated[str | None, typer.Option("--left-epoch", metavar="YEAR|COLUMN", help=_EPOCH)] = None,
    right_epoch: Annotated[str | None, typer.Option("--right-epoch", metavar="YEAR|COLUMN", help=_EPOCH)] = None,
    epoch: Annotated[
        float | None,
        typer.Option(
            "--epoch",
            metavar="YEAR",
            help="Where both are moved to before they are compared.",
            show_default="that of the side without proper motions, else the left one",
        ),
    ] = None,
    left_key: Annotated[str | None, typer.Option("--left-key", metavar="COLUMN", help=_KEY)] = None,
    left_ra: Annotated[str | None, typer.Option("--left-ra", metavar="COLUMN", help=_RA)] = None,
    left_dec: Annotated[str | None, typer.Option("--left-dec", metavar="COLUMN", help=_DEC)] = None,
    right_key: Annotated[str | None, typer.Option("--right-key", metavar="COLUMN", help=_KEY)] = None,
    right_ra: Annotated[str | None, typer.Option("--right-ra", metavar="COLUMN", help=_RA)] = None,
    right_dec: Annotated[str | None, typer.Option("--right-dec", metavar="COLUMN", help=_DEC)] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the table of an earlier match.")] = False,
    as_sql: Annotated[bool, typer.Option("--sql", help="Print the SQL for a DuckDB shell; match nothing.")] = False,
    as_json: JsonOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Match two tables by position: pairs of keys with their separation in arcsec.

    Columns are found by the names that archives give them. With both epochs, stars that have a proper motion (pmra times
    cos(dec), pmdec, mas/yr) are moved to one epoch first; the nearest is chosen after that, among what is within the radius.

    Example: skysy match dr2.master gaia.parquet --radius 2 --left-epoch 2016.0 --right-epoch 2015.5 --out master_gaia
    """
    from dataclasses import asdict

    from skysy.config import settings
    from skysy.errors import UsageError
    from skysy.match import file_format, plan_match, run_match
    from skysy.sides import Given, is_file
    from skysy.store import open_nowhere, open_warehouse

    if out is None and not as_sql:
        raise UsageError("Where should the pairs go?", "Name a file or a table, as --out pairs.parquet or --out pairs.")
    if as_sql and as_json:
        raise UsageError("--sql and --json together are two forms.", "Choose one.")
    where = settings(warehouse, memory_limit, threads)
    sides = (
        Given(left, left_key, left_ra, left_dec, left_epoch),
        Given(right, right_key, right_ra, right_dec, right_epoch),
    )
    to_table = out is not None and not as_sql and file_format(out) is None
    alone = is_file(left) and is_file(right) and not to_table
    with open_nowhere(where) if alone else open_warehouse(where, write=to_table) as house:
        planned = plan_match(house, *sides, radius, find=find, epoch=epoch)
        if as_sql or out is None:
            typer.echo("\n\n".join([*planned.setting, planned.query.rstrip() + ";"]))
            return
        matched = run_match(house, planned, out, replace=replace)
    if as_json:
        print_json(
            {
                "purpose": planned.purpose,
                "radius_arcsec": radius,
                "find": find,
                "epoch": planned.epoch,
                **asdict(matched),
            }
        )
        return
    _tell(planned, matched)


def _tell(planned: Match, matched: Matched) -> None:
    """Both sides, each with what was left out, then the pairs; left keys as matched, without partner, never compared."""
    for side, count in ((planned.left, matched.left), (planned.right, matched.right)):
        words = [f"{count.rows:,} rows"]
        if count.rows > count.placed:
            words.append(f"{count.rows - count.placed:,} without key or position are left out")
        if side.moves(planned.epoch):
            words.append(f"{count.with_motion:,} with a proper motion, moved to {planned.epoch:g}")
        elif side.motion and planned.epoch is None:
            words.append("positions as they stand: proper motions count once both epochs are given")
        if count.repeated_keys:
            words.append(f"{count.repeated_keys:,} rows repeat a key")
        typer.echo(f"{side.table}: {'; '.join(words)}")
    alone = matched.left.placed - matched.left.repeated_keys - matched.left_keys_matched
    say(planned.purpose, bold=True)
    median = (
        f", median separation {matched.median_sep_arcsec:.3f} arcsec" if matched.median_sep_arcsec is not None else ""
    )
    typer.echo(f"{matched.pairs:,} pairs in {matched.out}{median}")
    typer.echo(f"{matched.left_keys_matched:,} left keys have a partner, {alone:,} have none")
