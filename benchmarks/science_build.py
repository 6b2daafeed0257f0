"""The science from detections to rapid variability: `skysy build`, against a scan of its columns, pandas and polars.

    pip install pandas polars
    python benchmarks/science_build.py --warehouse DIR        a warehouse that is built; it is built anew in a copy

skysy's time is that of the models measurements, nightly_colours, colours and rapid_variability, written as tables. The others
read the same detections and exposures (with their sequences) from Parquet, make the same cuts, one detection per object and
exposure, and keep their results in memory; their sums are floating point and hang on the order of rows. The greatest
rapid sigma and the number of objects must be the same for all.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import bench
import pandas as pd
import polars as pl

from skysy.config import Settings
from skysy.store import open_warehouse

MODELS = ("measurements", "nightly_colours", "colours", "rapid_variability")
SCAN = """
    SELECT sum(object_id), sum(image_id), sum(ccd), max(filter), sum(mag_psf), sum(e_mag_psf), sum(flags), sum(nimaflags),
           count(used_in_clip)
    FROM dr2.photometry
"""
DETECTIONS = """
    SELECT object_id, image_id, ccd, filter, mag_psf, e_mag_psf, flags, nimaflags, used_in_clip FROM stg_survey__photometry
"""
EXPOSURES = """
    SELECT i.image_id, i.night_mjd, i.date, s.sequence_id
    FROM stg_survey__images AS i LEFT JOIN int_sequences__exposures AS s ON i.image_id = s.image_id
    WHERE coalesce(i.image_type, '') <> 'bad' AND i.night_mjd IS NOT NULL
"""
Result = tuple[int, float]
"""Objects with a rapid sigma, and the greatest one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--warehouse", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with bench.workplace() as place:
        where = Settings(place / "warehouse", "4GB", 2)
        shutil.copytree(given.warehouse, where.warehouse)
        with open_warehouse(where) as house:
            rows, objects = house.rows("SELECT count(*), count(DISTINCT object_id) FROM dr2.photometry")[0]
            house.run(f"COPY ({DETECTIONS}) TO '{place / 'detections.parquet'}'")
            house.run(f"COPY ({EXPOSURES}) TO '{place / 'exposures.parquet'}'")
        results: dict[str, Result] = {}

        def side(name: str, work: Callable[[Path], Result]) -> Callable[[], float]:
            def once() -> float:
                def do() -> None:
                    results[name] = work(place)

                return bench.seconds(do)

            return once

        def ours() -> float:
            took, results["skysy"] = with_skysy(where)
            return took

        sides = {
            "scan": lambda: scan(where), "skysy": ours, "pandas": side("pandas", with_pandas),
            "polars, streaming": side("polars, streaming", with_polars),
        }  # fmt: skip
        found = bench.by_turns(sides, given.rounds)
    if len({(n, f"{sigma:.9g}") for n, sigma in results.values()}) != 1:
        raise SystemExit(f"The sides differ: {results}")
    head = ("what", "seconds", "over the scan", "its time over skysy's")
    lines = [
        (name, bench.told(values), bench.ratios(values, found["scan"]), bench.ratios(values, found["skysy"]))
        for name, values in found.items()
    ]
    about = f"{rows:,} detections of {objects:,} objects, {given.rounds} rounds."
    bench.publish("science_build", [about, "", *bench.table(head, lines)])


def scan(where: Settings) -> float:
    """Seconds that DuckDB takes to read the nine columns that the cuts need, the second time."""
    with open_warehouse(where) as house:
        house.run(SCAN)
        return bench.seconds(lambda: house.run(SCAN))


def with_skysy(where: Settings) -> tuple[float, Result]:
    """The four models as a build makes them."""
    summary = json.loads(bench.skysy("build", "--force", "--json", "--warehouse", where.warehouse))
    took = sum(model["seconds"] for model in summary["models"] if model["name"] in MODELS)
    with open_warehouse(where) as house:
        n, sigma = house.rows("SELECT count(*), max(rapid_u_sigma) FROM rapid_variability")[0]
        return took, (int(n), float(sigma))


def with_pandas(place: Path) -> Result:
    """As an astronomer writes it."""
    p = pd.read_parquet(place / "detections.parquet")
    images = pd.read_parquet(place / "exposures.parquet")
    p = p[p.object_id.notna() & p.used_in_clip.notna()]
    p = p[
        (p.mag_psf > 0)
        & (p.mag_psf < 30)
        & (p.e_mag_psf > 0)
        & (p.e_mag_psf < 1)
        & (p["flags"] < 4)
        & (p.nimaflags < 5)
    ]
    p = p.sort_values(["used_in_clip", "e_mag_psf", "mag_psf", "ccd"], ascending=[False, True, True, True])
    p = p.drop_duplicates(["object_id", "image_id"]).merge(images, on="image_id")
    uvg = p[p["filter"].isin(["u", "v", "g"])]
    variance = uvg.e_mag_psf**2 + 0.01**2
    bands = uvg.assign(weight=1 / variance, weighted=uvg.mag_psf / variance, variance=variance)
    sums = bands.groupby(["object_id", "night_mjd", "filter"])[["weight", "weighted", "variance"]].agg(
        {"weight": "sum", "weighted": "sum", "variance": ["sum", "count"]}
    )
    nights = pd.DataFrame(
        {
            "mag": sums[("weighted", "sum")] / sums[("weight", "sum")],
            "var": sums[("variance", "sum")] / sums[("variance", "count")] ** 2,
        }
    ).unstack("filter")
    for blue, red in (("u", "g"), ("u", "v")):
        var = nights[("var", blue)] + nights[("var", red)]
        colour = nights[("mag", blue)] - nights[("mag", red)]
        night = pd.DataFrame({"weighted": colour / var, "weight": 1 / var}).groupby("object_id").sum()
        nights.attrs[blue + red] = night.weighted / night.weight
    u = p[(p["filter"] == "u") & p.sequence_id.notna()].sort_values(["object_id", "sequence_id", "date", "image_id"])
    visits = u.groupby(["object_id", "sequence_id"])
    best = pd.Series(float("nan"), index=u.index)
    for back in range(1, int(visits.size().max())):
        earlier = visits[["mag_psf", "e_mag_psf"]].shift(back)
        sigma = (u.mag_psf - earlier.mag_psf).abs() / (u.e_mag_psf**2 + earlier.e_mag_psf**2) ** 0.5
        best = best.where(~(sigma > best) & best.notna(), sigma).fillna(best)
    found = best.groupby(u.object_id).max().dropna()
    return len(found), float(found.max())


def with_polars(place: Path) -> Result:
    """The same, lazily, with polars' streaming engine."""
    p = pl.scan_parquet(place / "detections.parquet").filter(
        pl.col("object_id").is_not_null() & pl.col("used_in_clip").is_not_null()
        & (pl.col("mag_psf") > 0) & (pl.col("mag_psf") < 30) & (pl.col("e_mag_psf") > 0) & (pl.col("e_mag_psf") < 1)
        & (pl.col("flags") < 4) & (pl.col("nimaflags") < 5)
    )  # fmt: skip
    order = ["used_in_clip", "e_mag_psf", "mag_psf", "ccd"]
    p = p.sort(order, descending=[True, False, False, False]).unique(["object_id", "image_id"], keep="first")
    p = p.join(pl.scan_parquet(place / "exposures.parquet"), on="image_id")
    variance = pl.col("e_mag_psf") ** 2 + 0.01**2
    sums = [
        expression.filter(pl.col("filter") == band).alias(f"{band}_{name}")
        for band in "uvg"
        for name, expression in {
            "weight": (1 / variance), "weighted": pl.col("mag_psf") / variance, "variance": variance,
        }.items()
    ]  # fmt: skip
    nights = p.group_by("object_id", "night_mjd").agg(
        *(one.sum() for one in sums), *((pl.col("filter") == band).sum().alias(f"{band}_n") for band in "uvg")
    )
    mag = {band: pl.col(f"{band}_weighted") / pl.col(f"{band}_weight") for band in "uvg"}
    var = {band: pl.col(f"{band}_variance") / pl.col(f"{band}_n") ** 2 for band in "uvg"}
    colours = nights.with_columns(
        **{f"{a}{b}": mag[a] - mag[b] for a, b in ("ug", "uv")}, **{f"{a}{b}_var": var[a] + var[b] for a, b in ("ug", "uv")}
    ).fill_nan(None).group_by("object_id").agg(
        *((pl.col(c) / pl.col(f"{c}_var")).sum() / (1 / pl.col(f"{c}_var")).sum() for c in ("ug", "uv"))
    )  # fmt: skip
    u = p.filter((pl.col("filter") == "u") & pl.col("sequence_id").is_not_null())
    u = u.select("object_id", "sequence_id", "date", "image_id", "mag_psf", "e_mag_psf")
    pairs = u.join(u, on=["object_id", "sequence_id"], suffix="_j").filter(pl.col("image_id") < pl.col("image_id_j"))
    sigma = (pl.col("mag_psf") - pl.col("mag_psf_j")).abs() / (
        pl.col("e_mag_psf") ** 2 + pl.col("e_mag_psf_j") ** 2
    ).sqrt()
    rapid = pairs.group_by("object_id").agg(sigma.max().alias("sigma"))
    _, found = pl.collect_all([colours, rapid], engine="streaming")
    return found.height, float(found["sigma"].max())


if __name__ == "__main__":
    main()
