"""`skysy products`: the files that MAST has of the candidates, and those of its public bucket onto this disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from skysy.cli.archive import WITH_PRODUCTS, ConfigOption, interrupted, size_words
from skysy.cli.options import JsonOption, MemoryOption, QuietOption, ThreadsOption, WarehouseOption, print_json

if TYPE_CHECKING:
    from skysy.errors import SkysyError
    from skysy.loaders.archive.download import Downloaded, Product
    from skysy.store import Warehouse

_LISTED = """
    SELECT o.object_id, o.mission, o.obsid, o.obs_id, p.data_uri, p.filename, p.obs_collection, p.product_type, p.description,
           p.size_bytes, p.cloud_key, 's3://stpubdata/' || p.cloud_key AS cloud_uri
    FROM mast_observation AS o
    JOIN stg_mast__products AS p ON o.obsid = p.obsid
    WHERE (len($objects) = 0 OR list_contains($objects, o.object_id))
      AND (len($missions) = 0 OR list_contains($missions, o.mission))
      AND ($type = 'ALL' OR p.product_type = $type)
    ORDER BY o.object_id, o.mission, o.t_min_mjd, o.obsid, p.filename, p.data_uri
"""


def products(
    object_: Annotated[
        list[int] | None, typer.Option("--object", metavar="OBJECT_ID", help="Of this candidate; may be repeated.")
    ] = None,
    mission: Annotated[
        list[str] | None,
        typer.Option("--mission", metavar="NAME", help="Of this mission, as 'Swift UVOT'; may be repeated."),
    ] = None,
    type_: Annotated[
        str, typer.Option("--type", metavar="SCIENCE|PREVIEW|AUXILIARY|INFO|all", help="The kind of file.")
    ] = "SCIENCE",
    download: Annotated[
        Path | None,
        typer.Option("--download", metavar="DIR", help="Bring those that have a copy in MAST's public bucket."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    warehouse: WarehouseOption = None,
    memory_limit: MemoryOption = None,
    threads: ThreadsOption = None,
) -> None:
    """List MAST's files of the candidates, where each is in the public bucket, and bring them with --download.

    `skysy load mast` and, after a build, `skysy load products` ask MAST for them first. A download needs no account, goes on after any
    end, and is checked: size, the bucket's checksum, and SHA-256 kept in meta.chunk. Missions without a public copy are named.

    Example: skysy products --mission TESS --download tess
    """
    from skysy.config import settings
    from skysy.store import open_warehouse

    where = settings(warehouse, memory_limit, threads)
    with interrupted("products"), open_warehouse(where, write=download is not None) as house:
        rows = _listed(house, object_ or [], mission or [], type_.upper())
        done = [] if download is None else _bring(house, rows, download, config, quiet=quiet or as_json)
        unasked = _unasked(house, object_ or [], mission or [])
        nothing = not rows and not house.value("SELECT count(*) FROM mast_observation")
    if as_json:
        print_json({"products": rows, "observations_not_asked": unasked, "downloaded": [_told(one) for one in done]})
        return
    if download is None:
        for row in rows:
            at = row["cloud_uri"] or "no copy in the public bucket"
            typer.echo(
                f"{row['object_id']}  {row['mission']:<11} {row['filename']:<52} {_size(row['size_bytes']):>9}  {at}"
            )
    if nothing:
        typer.echo(
            "No observation of any candidate is known; `skysy load mast` asks for them, `skysy build` sorts them in."
        )
    else:
        _print_sum(rows, unasked, done)


def _listed(house: Warehouse, objects: Sequence[int], missions: Sequence[str], type_: str) -> list[dict[str, Any]]:
    """The files that are chosen; raises NotFound for a mission that no candidate has, or where nothing is built."""
    from skysy.errors import NotFound, did_you_mean

    if not house.columns("main", "mast_observation"):
        raise NotFound("The warehouse has no table mast_observation.", "`skysy build` makes it.")
    there = [str(row[0]) for row in house.rows("SELECT DISTINCT mission FROM mast_observation ORDER BY 1")]
    for name in missions:
        if not there:
            raise NotFound(
                "No observation of any candidate is known.",
                "`skysy load mast` asks for them, `skysy build` sorts them in.",
            )
        if name not in there:
            raise NotFound(f"No candidate has observations of {name!r}.", did_you_mean(name, there))
    found = house.con.execute(_LISTED, {"objects": list(objects), "missions": list(missions), "type": type_})
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _unasked(house: Warehouse, objects: Sequence[int], missions: Sequence[str]) -> int:
    """Chosen observations whose files were never asked for."""
    chosen = "(len($objects) = 0 OR list_contains($objects, object_id)) AND (len($missions) = 0 OR list_contains($missions, mission))"
    found = house.con.execute(
        f"SELECT count(DISTINCT obsid) FROM mast_observation WHERE {chosen} AND obsid IN ({WITH_PRODUCTS}) "
        "AND obsid NOT IN (SELECT key FROM meta.asked WHERE route = 'products' AND found IS NOT NULL)",
        {"objects": list(objects), "missions": list(missions)},
    ).fetchone()
    return int(found[0]) if found else 0


def _bring(
    house: Warehouse, rows: Sequence[dict[str, Any]], directory: Path, config: Path | None, *, quiet: bool
) -> list[Downloaded]:
    from skysy.loaders.archive.download import Product, download
    from skysy.loaders.archive.services import load_services
    from skysy.models.plan import built_release

    wanted = [
        Product(
            row["obsid"], row["data_uri"], row["filename"], row["obs_collection"], row["size_bytes"], row["cloud_key"]
        )
        for row in rows
    ]

    def tell(product: Product, told: Downloaded | SkysyError) -> None:
        if not quiet:
            words = (
                f"FAILED  {told.message}"
                if isinstance(told, Exception)
                else f"{told.outcome}  {told.path}  {told.note}"
            )
            typer.echo(words.rstrip(), err=True)

    return download(house, built_release(house), load_services(config).services["stpubdata"], wanted, directory, tell)


def _print_sum(rows: Sequence[dict[str, Any]], unasked: int, done: Sequence[Downloaded]) -> None:
    bucket = {row["data_uri"]: row["size_bytes"] or 0 for row in rows if row["cloud_key"]}
    others = sorted({row["mission"] for row in rows if not row["cloud_key"]})
    typer.echo(
        f"{len({row['data_uri'] for row in rows}):,} files, {len(bucket):,} of them in the public bucket ({_size(sum(bucket.values()))})."
    )
    if others:
        typer.echo(
            f"Files without a copy there: {', '.join(others)}. They are to be had at https://mast.stsci.edu alone."
        )
    if unasked:
        typer.echo(f"The files of {unasked:,} observations were never asked for; `skysy load products` asks.")
    if done:
        came = [one for one in done if one.outcome == "downloaded"]
        typer.echo(
            f"{len(came):,} downloaded ({_size(sum(one.bytes for one in came))}), {len(done) - len(came):,} were there."
        )


def _told(one: Downloaded) -> dict[str, Any]:
    return {
        "data_uri": one.product.data_uri, "path": str(one.path), "url": one.url, "outcome": one.outcome, "bytes": one.bytes,
        "sha256": one.sha256, "note": one.note,
    }  # fmt: skip


def _size(size: int | None) -> str:
    return "" if size is None else size_words(size)
