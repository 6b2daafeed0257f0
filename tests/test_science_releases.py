"""The same SQL on another survey's real measurements: RR Lyrae stars of SDSS Stripe 82 (Sesar et al. 2010, ApJ 708, 717).

These stars do vary within hours, so the sequence statistic must see many of them; counts are made a second time from the
CSV file alone.
"""

from __future__ import annotations

import csv
import gzip
import math
from collections import defaultdict
from dataclasses import dataclass
from importlib.resources import files
from itertools import combinations
from pathlib import Path

import independent
import numpy as np
import pytest
from conftest import ENGINES, SHARED, table_rows
from skysy.loaders.load import load_directory

from skysy.config import Settings
from skysy.models.build import run_build
from skysy.models.project import load_project
from skysy.store import create, open_warehouse

S82 = SHARED / "data" / "sdss-s82-rrlyrae"
RELEASE = "sdss_s82"


@dataclass(frozen=True)
class Epoch:
    """One epoch that counts: star, band, MJD, magnitude, error."""

    star: int
    band: str
    mjd: float
    mag: float
    err: float


def epochs_of_file() -> list[Epoch]:
    """Epochs of the CSV that are no sentinels; of several of one star, time and band the one of smaller error, then brighter."""
    best: dict[tuple[int, str, int], Epoch] = {}
    with gzip.open(S82 / "lightcurves.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            epoch = Epoch(
                int(row["object_id"]),
                row["band"],
                float(row["time"]),
                float(row["mag"]),
                float(row["magerr"]),
            )
            if not (0 < epoch.mag < 30 and 0 < epoch.err < 1):
                continue
            key = (epoch.star, epoch.band, round(epoch.mjd * 1e6))
            if key not in best or (epoch.err, epoch.mag) < (best[key].err, best[key].mag):
                best[key] = epoch
    return list(best.values())


@pytest.fixture(scope="module")
def epochs() -> list[Epoch]:
    if not S82.is_dir():
        pytest.skip("the Stripe 82 light curves are not beside this project")
    return epochs_of_file()


@pytest.fixture(scope="module")
def stripe82(epochs: list[Epoch], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A warehouse of release sdss_s82, loaded from the published files and built."""
    settings = Settings(tmp_path_factory.mktemp("s82"), "1GB", 1)
    create(settings)
    with open_warehouse(settings, write=True) as warehouse:
        load_directory(warehouse, RELEASE, S82)
        run_build(warehouse, load_project(RELEASE), engines=ENGINES)
    return settings


def pairs_of_nights(epochs: list[Epoch]) -> dict[tuple[int, int], list[float]]:
    """(star, night) -> |du| / sigma of every pair of u epochs of that night, nights with two or more."""
    of_night: dict[tuple[int, int], list[Epoch]] = defaultdict(list)
    for epoch in epochs:
        if epoch.band == "u":
            of_night[epoch.star, math.floor(epoch.mjd)].append(epoch)
    return {
        key: [abs(a.mag - b.mag) / math.hypot(a.err, b.err) for a, b in combinations(listed, 2)]
        for key, listed in of_night.items()
        if len(listed) > 1
    }


def test_every_epoch_that_is_no_sentinel_is_a_measurement(stripe82: Settings, epochs: list[Epoch]) -> None:
    rows = table_rows(stripe82, "SELECT object_id, filter, date, mag_psf, e_mag_psf FROM measurements ORDER BY ALL")
    ours = sorted((epoch.star, epoch.band, epoch.mjd, epoch.mag, epoch.err) for epoch in epochs)
    assert [tuple(row.values()) for row in rows] == ours
    assert len({epoch.star for epoch in epochs}) == 483


def test_same_night_pairs_in_u_are_those_of_a_plain_count(stripe82: Settings, epochs: list[Epoch]) -> None:
    nights = pairs_of_nights(epochs)
    rows = {row["object_id"]: row for row in table_rows(stripe82, "FROM rapid_variability")}
    ours: dict[int, float] = {}
    for (star, _), sigmas in nights.items():
        ours[star] = max(ours.get(star, 0.0), *sigmas)
    assert set(rows) == set(ours)
    assert max(abs(rows[star]["rapid_u_sigma"] - sigma) for star, sigma in ours.items()) <= 1e-9
    counted = {star: sum(1 for of, _ in nights if of == star) for star in ours}
    assert {star: rows[star]["n_sequences"] for star in rows} == counted
    # Duplicates of one epoch settled: 106 star-nights, 110 pairs, 91 stars; 47 stars beyond 3, 16 beyond 10.65 sigma.
    assert (len(nights), sum(map(len, nights.values())), len(ours)) == (106, 110, 91)
    assert round(max(ours.values()), 1) == 61.9
    assert sum(row["rapid_u_sigma"] >= 10.65 for row in rows.values()) == 16
    assert sum(row["rapid_u_sigma"] >= 3 for row in rows.values()) == 47


def test_nightly_and_mean_u_minus_g_exist_and_equal_plain_numpy(stripe82: Settings, epochs: list[Epoch]) -> None:
    columns = (
        [epoch.star for epoch in epochs],
        [math.floor(epoch.mjd) for epoch in epochs],
        [epoch.band for epoch in epochs],
        [epoch.mag for epoch in epochs],
        [epoch.err for epoch in epochs],
    )
    nights, colours = independent.nights(*columns), independent.colours(*columns)
    listed = table_rows(stripe82, "FROM nightly_colours ORDER BY object_id, night_mjd")
    assert [(row["object_id"], row["night_mjd"]) for row in listed] == list(
        zip(nights.object_id.tolist(), nights.night_mjd.tolist(), strict=True)
    )
    theirs = [np.nan if row["ug_mag"] is None else row["ug_mag"] for row in listed]
    assert independent.worst(nights.ug_mag, theirs) <= 1e-9
    assert np.isfinite(nights.ug_mag).sum() > 20_000
    means = table_rows(stripe82, "FROM colours ORDER BY object_id")
    assert [row["object_id"] for row in means] == colours.object_id.tolist()
    assert [row["n_nights_ug"] for row in means] == colours.n_nights_ug.tolist()
    assert independent.worst(colours.ug_mag, [row["ug_mag"] for row in means]) <= 1e-9
    assert independent.worst(colours.ug_err, [row["ug_err"] for row in means]) <= 1e-9
    assert all(row["uv_mag"] is None and row["n_nights_uv"] == 0 for row in means), "Stripe 82 has no v"


def test_a_release_without_red_giants_has_an_empty_sample(stripe82: Settings) -> None:
    assert table_rows(stripe82, "FROM sample") == []
    assert table_rows(stripe82, "FROM candidates") == []
    [first] = table_rows(stripe82, "FROM cut_flow WHERE step = 1")
    assert (first["n_in"], first["n_null"]) == (483, 483)


def test_no_model_after_staging_names_a_release_or_an_archive_table() -> None:
    """Only staging differs between releases: the same intermediate and mart files serve all of them."""
    root = Path(str(files("skysy.sql")))
    projects = [load_project(entry.name) for entry in sorted((root / "10_staging").iterdir()) if entry.is_dir()]
    assert len(projects) >= 2
    schemas = {table.split(".")[0] for project in projects for table in project.archive_tables}
    for path in [
        *sorted((root / "20_intermediate").glob("*.sql")),
        *sorted((root / "30_marts").glob("*.sql")),
    ]:
        code = "\n".join(line.split("--")[0] for line in path.read_text(encoding="utf-8").splitlines()).lower()
        for word in [*(project.release for project in projects), *(f"{schema}." for schema in schemas)]:
            assert word not in code, f"{path.name} names {word}"
        for project in projects:
            model = project.model(path.stem)
            assert not model.archive_inputs
            assert model.sql == projects[0].model(path.stem).sql
