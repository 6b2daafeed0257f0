"""The whole science on a simulated sky: the SQL against plain numpy, its bits at any threads, and the talk's own query.

`pytest -m slow -s tests/test_science_simulated.py` does the comparison on 20,000 objects and prints the worst differences.
"""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import independent
import numpy as np
import pytest
from conftest import DR2, ENGINES, Laboratory, Sky, build_sky, red_giant, table_rows, together
from independent import Tri
from test_science_cuts import BOUNDARIES, CUTS, EMPTY, RAW, check_flow

from skysy import ledger
from skysy.config import Settings
from skysy.models.build import run_build
from skysy.models.project import load_project
from skysy.store import open_warehouse

ADQL = files("skysy.sql").joinpath("archive", DR2, "sample.adql").read_text(encoding="utf-8")
BEFORE_DISTANCE = [cut for cut in CUTS.values() if cut not in ("distance_converged", "red_jk0", "luminous_mj")]


@dataclass(frozen=True)
class Reference:
    """The independent answers for a sky, from its raw tables alone."""

    kept: list[independent.Kept]
    sequence: dict[int, int]
    nights: independent.Nights
    colours: independent.Colours
    rapid: dict[int, independent.Rapid]
    cuts: dict[int, dict[str, Tri]]
    known: set[int]


def refer(settings: Settings) -> Reference:
    """Read the raw tables and do the science again."""
    images = {row["image_id"]: row for row in table_rows(settings, "FROM dr2.images")}
    kept = _kept(settings, {image: row["image_type"] for image, row in images.items()})
    names = ("image_id", "field_id", "date", "filter", "image_type", "exp_time")
    sequence = independent.sequences(*([row[name] for row in images.values()] for name in names))
    star = [row.object_id for row in kept]
    band = [row.filter for row in kept]
    night = [images[row.image_id]["night_mjd"] for row in kept]
    mag, err = [row.mag_psf for row in kept], [row.e_mag_psf for row in kept]
    raw = (table_rows(settings, f"FROM {table}") for table in RAW.values())
    return Reference(
        kept=kept,
        sequence=sequence,
        nights=independent.nights(star, night, band, mag, err),
        colours=independent.colours(star, night, band, mag, err),
        rapid=independent.rapid_variability(
            star,
            [sequence.get(row.image_id) for row in kept],
            [row.image_id for row in kept],
            [images[row.image_id]["date"] for row in kept],
            mag,
            err,
            band,
        ),
        cuts={star: independent.cuts(one) for star, one in independent.catalogue(*raw).items()},
        known={row["object_id"] for row in table_rows(settings, "SELECT object_id FROM known.objects")},
    )


def _kept(settings: Settings, image_type: dict[int, str | None]) -> list[independent.Kept]:
    query = (
        "SELECT image_id, ccd, object_id, filter, mag_psf, e_mag_psf, flags, nimaflags, used_in_clip "
        "FROM dr2.photometry"
    )
    with open_warehouse(settings) as warehouse:
        columns = warehouse.con.execute(query).fetchnumpy()
    for name, places in (("mag_psf", 6), ("e_mag_psf", 4)):
        columns[name] = independent.decimals(np.ma.filled(columns[name], np.nan), places)
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    kept = independent.quality((independent.Detection(*row) for row in rows), image_type)
    return [kept[key] for key in sorted(kept)]


@pytest.fixture(scope="module")
def reference(simulated: Sky) -> Reference:
    return refer(simulated.settings)


def worst_of(ours: Any, theirs: list[dict[str, Any]], names: Sequence[str]) -> dict[str, float]:
    """The worst difference of each column; infinite where NULLs differ."""
    return {
        name: independent.worst(getattr(ours, name), [np.nan if row[name] is None else row[name] for row in theirs])
        for name in names
    }


def check_measurements(settings: Settings, reference: Reference) -> None:
    rows = table_rows(settings, "FROM measurements ORDER BY object_id, image_id")
    ours = [(row.object_id, row.image_id, row.filter, row.mag_psf, row.e_mag_psf) for row in reference.kept]
    assert [
        (row["object_id"], row["image_id"], row["filter"], row["mag_psf"], row["e_mag_psf"]) for row in rows
    ] == ours
    assert [row["sequence_id"] for row in rows] == [reference.sequence.get(row["image_id"]) for row in rows]


def check_sequences(settings: Settings, reference: Reference) -> None:
    rows = table_rows(settings, "FROM int_sequences__exposures")
    assert {row["image_id"]: row["sequence_id"] for row in rows} == reference.sequence
    assert len(set(reference.sequence.values())) > 10


def check_colours(settings: Settings, reference: Reference) -> dict[str, float]:
    rows = table_rows(settings, "FROM colours ORDER BY object_id")
    nights = table_rows(settings, "FROM nightly_colours ORDER BY object_id, night_mjd")
    for name in ("object_id", "n_nights_ug", "n_nights_uv"):
        assert getattr(reference.colours, name).tolist() == [row[name] for row in rows], name
    for name in ("object_id", "night_mjd"):
        assert getattr(reference.nights, name).tolist() == [row[name] for row in nights], name
    reals = ("u_mag", "v_mag", "g_mag", "ug_mag", "ug_var", "uv_mag", "uv_var")
    worst = worst_of(reference.nights, nights, reals)
    found = {f"nightly {name}": value for name, value in worst.items()}
    found |= worst_of(reference.colours, rows, ("ug_mag", "ug_err", "uv_mag", "uv_err"))
    assert max(found.values()) <= 1e-9, found
    return found


def check_rapid(settings: Settings, reference: Reference) -> dict[str, float]:
    """The winning pair and its sequence exactly, both sigmas to 1e-9."""
    rows = {row["object_id"]: row for row in table_rows(settings, "FROM rapid_variability")}
    assert set(rows) == set(reference.rapid)
    whole = ("image_id_i", "image_id_j", "sequence_id", "n_u", "n_sequences")
    reals = ("rapid_u_sigma", "rapid_u_sigma_floored", "delta_u_mag", "e_mag_i", "e_mag_j")
    worst = dict.fromkeys(reals, 0.0)
    for star, best in reference.rapid.items():
        assert {name: rows[star][name] for name in whole} == {name: getattr(best, name) for name in whole}, star
        for name in reals:
            worst[name] = max(worst[name], abs(rows[star][name] - getattr(best, name)))
    assert max(worst.values()) <= 1e-9, worst
    return worst


def check_cuts(settings: Settings, reference: Reference) -> None:
    rows = table_rows(settings, "FROM int_selection__cuts")
    found = {row["object_id"]: {ours: row[theirs] for ours, theirs in CUTS.items()} for row in rows}
    assert found == reference.cuts
    in_sample = {row["object_id"] for row in table_rows(settings, "SELECT object_id FROM sample")}
    assert in_sample == {star for star, cuts in reference.cuts.items() if independent.passes(cuts.values())}
    both = np.isfinite(reference.colours.ug_mag) & np.isfinite(reference.colours.uv_mag)
    has_colours = dict(zip(reference.colours.object_id.tolist(), both.tolist(), strict=True))
    flow = table_rows(settings, "FROM cut_flow ORDER BY step")
    check_flow(flow, reference.cuts, reference.known, has_colours)


def test_measurements_are_the_independent_choice_of_raw_rows(simulated: Sky, reference: Reference) -> None:
    check_measurements(simulated.settings, reference)


def test_sequences_equal_the_plain_loop(simulated: Sky, reference: Reference) -> None:
    check_sequences(simulated.settings, reference)


def test_nights_and_colours_equal_plain_numpy_to_1e_9(simulated: Sky, reference: Reference) -> None:
    check_colours(simulated.settings, reference)


def test_rapid_variability_equals_the_loop_over_pairs(simulated: Sky, reference: Reference) -> None:
    check_rapid(simulated.settings, reference)


def test_cuts_sample_and_cut_flow_equal_independent_counts(simulated: Sky, reference: Reference) -> None:
    check_cuts(simulated.settings, reference)
    for cut in CUTS:
        assert any(answers[cut] is False for answers in reference.cuts.values()), f"the sky never fails {cut}"


def test_candidates_are_the_objects_beyond_a_limit_in_order_of_rarity(simulated: Sky) -> None:
    query = (
        "SELECT s.object_id, d.ln_density, r.rapid_u_sigma FROM sample AS s "
        "LEFT JOIN density_score AS d USING (object_id) LEFT JOIN rapid_variability AS r USING (object_id)"
    )
    rows = table_rows(simulated.settings, query)
    wanted = independent.candidates(
        *([row[name] for row in rows] for name in ("object_id", "ln_density", "rapid_u_sigma"))
    )
    found = table_rows(simulated.settings, "FROM candidates ORDER BY rank")
    assert [(row["object_id"], row["rank"]) for row in found] == [(one.object_id, one.rank) for one in wanted]
    assert len(found) >= 10
    for row, one in zip(found, wanted, strict=True):
        assert row["density_fraction"] == pytest.approx(one.density_fraction, abs=1e-12)
        assert row["variability_fraction"] == pytest.approx(one.variability_fraction, abs=1e-12)


@pytest.mark.slow
def test_all_of_it_on_20000_objects_and_the_worst_differences(tmp_path: Path) -> None:
    sky = build_sky(tmp_path, 20_000)
    reference = refer(sky.settings)
    check_measurements(sky.settings, reference)
    check_sequences(sky.settings, reference)
    check_cuts(sky.settings, reference)
    worst = check_colours(sky.settings, reference) | check_rapid(sky.settings, reference)
    print(f"\n{len(reference.kept):,} measurements, {len(reference.rapid):,} objects with a rapid sigma")
    for name, value in worst.items():
        print(f"  {name:24} {value:.1e}")


def hashes(settings: Settings) -> dict[str, str]:
    """Content hash of every table of schema main."""
    with open_warehouse(settings) as warehouse:
        names = warehouse.rows("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main' ORDER BY ALL")
        return {
            name: ledger.content_hash(warehouse.con, f'main."{name}"', warehouse.columns("main", name))
            for (name,) in names
        }


@pytest.mark.parametrize(
    "case",
    [
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("1 thread", "2 threads")),
        "600MB",
        "rows in another order",
    ],
)
def test_results_are_the_same_to_the_last_bit(simulated: Sky, tmp_path: Path, case: str) -> None:
    wanted = hashes(simulated.settings)
    assert len(wanted) >= 12
    shutil.copytree(simulated.settings.warehouse, tmp_path / "warehouse")
    limit, threads = ("600MB" if case == "600MB" else "1GB"), (1 if case == "1 thread" else 2)
    settings = Settings(tmp_path / "warehouse", limit, threads)
    project = load_project(DR2)
    with open_warehouse(settings, write=True) as warehouse:
        if case == "rows in another order":
            for table in project.archive_tables:
                shuffle(warehouse.con, table)
        summary = run_build(warehouse, project, engines=ENGINES, force=True)
    assert len([model for model in summary.models if model.kind == "table"]) == len(wanted)
    assert hashes(settings) == wanted


def shuffle(con: duckdb.DuckDBPyConnection, table: str) -> None:
    """The same rows in the order of a fixed hash."""
    names = [row[0] for row in con.execute(f"DESCRIBE {table}").fetchall()]
    listed = ", ".join(f'"{name}"' for name in names)
    con.execute(f"CREATE TEMP TABLE _shuffled AS SELECT * FROM {table} ORDER BY hash({listed})")
    con.execute(f"TRUNCATE {table}")
    con.execute(f"INSERT INTO {table} FROM _shuffled ORDER BY hash({listed})")
    con.execute("DROP TABLE _shuffled")


def passing_before_distance(settings: Settings) -> set[int]:
    """Objects that pass every cut but those on distance, and whose 2MASS row has no ext_key at all.

    That a 0 in ext_key passes is this project's rule, for archives that write 0; the query says IS NULL.
    """
    every = " AND ".join(f"c.{cut}" for cut in BEFORE_DISTANCE)
    query = (
        f"SELECT c.object_id FROM int_selection__cuts AS c JOIN dr2.master AS m USING (object_id) "
        f"JOIN ext.twomass_psc AS t ON m.twomass_key = t.pts_key WHERE {every} AND t.ext_key IS NULL"
    )
    return {row["object_id"] for row in table_rows(settings, query)}


def test_the_talks_query_on_the_raw_tables_gives_the_sample_before_distance(simulated: Sky) -> None:
    found = {row["object_id"] for row in table_rows(simulated.settings, ADQL)}
    assert found == passing_before_distance(simulated.settings)
    sample = {row["object_id"] for row in table_rows(simulated.settings, "SELECT object_id FROM sample")}
    zero = "SELECT object_id FROM dr2.master JOIN ext.twomass_psc ON twomass_key = pts_key WHERE ext_key = 0"
    assert sample - {row["object_id"] for row in table_rows(simulated.settings, zero)} < found


def test_the_talks_query_runs_unedited_in_the_duckdb_shell(simulated: Sky) -> None:
    shell = Path(sys.executable).parent / "duckdb"
    if not shell.exists():
        pytest.skip("the duckdb shell (extra: shell) is not installed")
    done = subprocess.run(
        [str(shell), "-readonly", "-csv", str(simulated.settings.database)],
        input=ADQL, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found = {int(row["object_id"]) for row in csv.DictReader(io.StringIO(done.stdout))}
    assert found == passing_before_distance(simulated.settings)
    assert found


def test_the_talks_query_and_the_cuts_agree_at_every_limit(laboratory: Laboratory) -> None:
    stars = [red_giant(1000 + 10 * place, **changes) for place, (changes, _) in enumerate(BOUNDARIES)]
    laboratory.put({**EMPTY, **together(*stars)})
    found = {row["object_id"] for row in laboratory.rows(ADQL)}
    zero = {1000 + 10 * place for place, (changes, _) in enumerate(BOUNDARIES) if changes.get("ext_key") == 0}
    every = " AND ".join(BEFORE_DISTANCE)
    passing = {row["object_id"] for row in laboratory.rows(f"SELECT object_id FROM int_selection__cuts WHERE {every}")}
    assert len(zero) == 1
    assert found == passing - zero
