"""Injection and recovery: what was put in is found as often as in the simulator's truth, with intervals that hold."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from conftest import DR2, Sky, build_sky
from skysy.analysis.figures.efficiency import figure_efficiency
from skysy.analysis.flicker import damped_walk
from skysy.analysis.injection import MODELS, Injection, inject
from typer.testing import CliRunner

from skysy.cli.commands import app
from skysy.errors import ModelError, UsageError
from skysy.models.parameters import apply_built
from skysy.models.project import sql_of
from skysy.store import open_warehouse

SQL = {name: sql_of(DR2, name) for name in MODELS}


def run(sky: Sky, **given: Any) -> Injection:
    with open_warehouse(sky.settings) as house:
        apply_built(house)
        return inject(house, SQL, **given)


def total(found: Injection) -> dict[float, dict[str, Any]]:
    """The rows for all stars together by amplitude."""
    return {
        row["amplitude_mag"]: dict(row)
        for row in found.efficiency
        if row["u_from_mag"] is None and row["n_sequences"] is None
    }


def test_more_flickering_is_found_more_often_and_next_to_none_is_not(simulated: Sky) -> None:
    found = total(run(simulated, amplitudes_mag=(1e-6, 0.05, 0.2, 2.0)))
    shares = [found[amplitude]["efficiency"] for amplitude in (1e-6, 0.05, 0.2, 2.0)]
    assert shares == sorted(shares)
    assert shares[0] < 0.003
    assert shares[-1] > 0.99


def test_groups_add_up_and_intervals_hold_their_share(simulated: Sky) -> None:
    found = run(simulated, amplitudes_mag=(0.1,), stars=1_000)
    (whole,) = total(found).values()
    assert whole["n_injected"] == found.stars == 1_000
    by_u = [row for row in found.efficiency if row["u_from_mag"] is not None]
    by_number = [row for row in found.efficiency if row["n_sequences"] is not None]
    for group in (by_u, by_number):
        assert sum(row["n_injected"] for row in group) == whole["n_injected"]
        assert sum(row["n_found"] for row in group) == whole["n_found"]
    for row in found.efficiency:
        assert 0 <= row["efficiency_lo"] <= row["efficiency"] <= row["efficiency_hi"] <= 1


def test_the_same_seed_gives_the_same_answer_and_the_warehouse_is_left_alone(simulated: Sky) -> None:
    before = simulated.settings.database.read_bytes()
    first, again, other = (run(simulated, amplitudes_mag=(0.1,), stars=500, seed=seed) for seed in (3, 3, 4))
    assert first == again != other
    assert simulated.settings.database.read_bytes() == before


def test_real_measurements_are_back_after_an_injection(simulated: Sky) -> None:
    with open_warehouse(simulated.settings) as house:
        apply_built(house)
        before = house.rows("SELECT count(*), sum(image_id) FROM measurements")
        inject(house, SQL, amplitudes_mag=(0.1,), stars=50)
        assert house.rows("SELECT count(*), sum(image_id) FROM measurements") == before


@pytest.mark.parametrize(
    "given", [{"amplitudes_mag": (0.0,)}, {"amplitudes_mag": ()}, {"timescale_min": 0.0}, {"stars": 0}]
)
def test_what_cannot_be_injected_is_refused(simulated: Sky, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="above zero"):
        run(simulated, **given)


def test_a_sample_without_sequences_is_said(simulated: Sky) -> None:
    with open_warehouse(simulated.settings) as house:
        apply_built(house)
        house.run("CREATE TEMP TABLE effective_sigma AS SELECT * FROM effective_sigma LIMIT 0")
        with pytest.raises(ModelError, match="colour sequence"):
            inject(house, SQL)


def test_damped_walk_has_its_rms_and_its_memory() -> None:
    star = np.repeat(np.arange(40_000), 3)
    date = np.tile([57000.0, 57000.0 + 8 / 1440, 57030.0], 40_000)
    shuffled = np.random.default_rng(1).permutation(len(star))
    walk = np.empty(len(star))
    walk[shuffled] = damped_walk(star[shuffled], date[shuffled], 10 / 1440, np.random.default_rng(2))
    first, second, later = walk.reshape(-1, 3).T
    assert walk.std() == pytest.approx(1.0, abs=0.01)
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(np.exp(-0.8), abs=0.02)
    assert abs(np.corrcoef(first, later)[0, 1]) < 0.02


@pytest.fixture(scope="module")
def shell() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("SET VARIABLE rapid_u_sigma_min = 10.65; SET VARIABLE rapid_p_max = 0.0")
        yield con


def ask(con: duckdb.DuckDBPyConnection, name: str, tables: dict[str, str]) -> list[dict[str, Any]]:
    """A query of sql/inject over tables given as SQL, with the limits of candidates."""
    for table, text in tables.items():
        con.execute(f"CREATE OR REPLACE TABLE {table} AS {text}")
    found = con.execute((files("skysy.sql") / "inject" / f"{name}.sql").read_text(encoding="utf-8"))
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_intervals_of_efficiency_cover_the_truth_in_93_to_97_percent_of_runs(shell: duckdb.DuckDBPyConnection) -> None:
    chance = np.random.default_rng(8)
    covered = []
    for truth in (0.05, 0.3, 0.7, 0.95):
        found = chance.binomial(400, truth, 500)
        rows = " UNION ALL ".join(
            f"SELECT {run}.0 AS amplitude_mag, i AS object_id, 14.5 AS u_mag, 1 AS n_sequences, "
            f"CASE WHEN i < {k} THEN 20.0 ELSE 1.0 END AS rapid_u_sigma, 0.5 AS p_scatter FROM range(400) AS t(i)"
            for run, k in enumerate(found)
        )
        lines = [row for row in ask(shell, "efficiency", {"injected": rows}) if row["u_from_mag"] is None]
        covered += [
            row["efficiency_lo"] <= truth <= row["efficiency_hi"] for row in lines if row["n_sequences"] is None
        ]
    assert len(covered) == 2_000
    assert 0.93 <= np.mean(covered) <= 0.97


def test_intervals_of_the_fraction_cover_the_truth_in_93_to_97_percent_of_runs(
    shell: duckdb.DuckDBPyConnection,
) -> None:
    chance = np.random.default_rng(9)
    truth, efficiency, false_alarms, stars = 0.35, 0.6, 0.01, 60
    covered = []
    for _ in range(200):
        flickers = chance.random(stars) < truth
        found = chance.random(stars) < np.where(flickers, efficiency, false_alarms)
        told = ", ".join("true" if one else "false" for one in found)
        rows = ask(
            shell,
            "fraction",
            {
                "population": f"SELECT i AS object_id, [{told}][i + 1] AS is_found, {false_alarms} AS p_false FROM range({stars}) AS t(i)",
                "population_efficiency": f"SELECT 0.1 AS amplitude_mag, 1000 AS n_injected, {int(1000 * efficiency)} AS n_found",
            },
        )
        covered.append(rows[1]["fraction_lo"] <= truth <= rows[1]["fraction_hi"])
    assert 0.93 <= np.mean(covered) <= 0.97


def test_flickering_that_is_never_found_cannot_be_told_from_none(shell: duckdb.DuckDBPyConnection) -> None:
    rows = ask(
        shell,
        "fraction",
        {
            "population": "SELECT 1 AS object_id, TRUE AS is_found, 0.01 AS p_false",
            "population_efficiency": "SELECT 0.1 AS amplitude_mag, 1000 AS n_injected, 5 AS n_found",
        },
    )
    assert rows[0]["fraction"] == 1.0
    assert rows[1]["fraction"] is rows[1]["fraction_lo"] is rows[1]["fraction_hi"] is None


def test_command_tells_both_tables_and_writes_them(simulated: Sky, tmp_path: Path) -> None:
    out, figure = tmp_path / "efficiency.csv", tmp_path / "efficiency.png"
    words = ["inject", "--amplitude", "0.1", "--stars", "200", "--out", str(out), "--figure", str(figure)]
    done = CliRunner().invoke(app, [*words, "--warehouse", str(simulated.settings.warehouse)])
    assert done.exit_code == 0, done.output
    assert "200 quiet stars flicker" in done.output
    assert "stand out" in done.output
    assert len(out.read_text(encoding="utf-8").splitlines()) > 3
    assert figure.read_bytes().startswith(b"\x89PNG")
    refused = CliRunner().invoke(
        app,
        [
            "inject",
            "--out",
            str(tmp_path / "x.fits"),
            "--stars",
            "50",
            "--warehouse",
            str(simulated.settings.warehouse),
        ],
    )
    assert refused.exit_code != 0


def test_figure_draws_the_shares_that_it_is_given() -> None:
    rows = [
        {"amplitude_mag": a, "u_from_mag": u, "n_sequences": None, "n_injected": 100, "efficiency": e, "efficiency_lo": e - 0.01, "efficiency_hi": e + 0.01}
        for u in (None, 14.0)
        for a, e in ((0.2, 0.9), (0.1, 0.5))
    ]  # fmt: skip
    (axes,) = figure_efficiency(rows).axes
    drawn = [line.get_xydata().tolist() for line in axes.get_lines() if line.get_linestyle() == "-"]
    assert drawn == [[[0.1, 0.5], [0.2, 0.9]]] * 2
    (empty,) = figure_efficiency([]).axes
    assert "nothing was injected" in empty.texts[0].get_text()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sky]:
    yield build_sky(tmp_path_factory.mktemp("injected"), 100_000)


@pytest.mark.slow
def test_injected_flickerers_are_found_as_often_as_those_of_the_sky(large: Sky) -> None:
    """Of the simulator's own flickerers as many are found as quiet stars alike say, within four standard deviations."""
    for amplitude in (0.02, 0.05, 0.1, 0.2, 0.4):
        with open_warehouse(large.settings) as house:
            apply_built(house)
            truth = large.files / "truth" / "objects.parquet"
            house.run(
                f"CREATE TEMP TABLE stg_known__objects AS SELECT object_id FROM '{truth}' WHERE flicker_amplitude_mag = {amplitude}"
            )
            found = inject(house, SQL, amplitudes_mag=(amplitude,), stars=10)
        first, predicted = found.fraction
        n, share, efficiency = first["n_stars"], first["fraction"], predicted["efficiency"]
        print(f"rms {amplitude}: {n} flickerers, {share:.3f} found, {efficiency:.3f} expected")
        assert n > 20
        assert abs(share - efficiency) < 4 * np.sqrt(max(efficiency * (1 - efficiency), 0.02) / n)
