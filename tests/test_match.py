"""The SQL of sql/match/ pairs what astropy pairs, at the poles and at right ascension 0 as elsewhere, and moves stars as it does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import astropy.units as u
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from astropy.coordinates import SkyCoord, search_around_sky
from astropy.time import Time
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from match_sky import CENTRES, put, sky

from skysy.config import Settings
from skysy.errors import SkysyError, UsageError
from skysy.match import Matched, plan_match, run_match
from skysy.models.files import parameters_read, tables_read
from skysy.sides import Given
from skysy.store import Warehouse, open_nowhere

SQL = Path(__file__).parent.parent / "sql" / "match"
Pair = tuple[int, int, float]


@pytest.fixture(scope="module")
def house() -> Iterator[Warehouse]:
    """A DuckDB of its own; each test puts its tables."""
    with open_nowhere(Settings(Path("none"), "1GB", 1)) as found:
        yield found


def pairs(house: Warehouse, radius: float, find: str = "all", **sides: Given) -> list[Pair]:
    """The pairs of tables l and r in the order in which the query gives them."""
    match = plan_match(house, sides.get("left", Given("l")), sides.get("right", Given("r")), radius, find=find)
    for statement in match.setting:
        house.con.execute(statement)
    return house.rows(match.query)  # type: ignore[return-value]


def hold_against_astropy(
    house: Warehouse, seed: int, centre: tuple[float, float], radius: float, rows: tuple[int, int]
) -> None:
    """All pairs of two skies are astropy's, in their order, and the nearest are the first of each left key."""
    left, right = sky(seed, centre, radius, rows[0]), sky(seed + 1, centre, radius, rows[1])
    right += [(1000 + number, ra, dec) for number, ra, dec in left[::3]]
    put(house, "l", left)
    put(house, "r", right)
    lefts, rights = (SkyCoord([p[1] for p in side], [p[2] for p in side], unit="deg") for side in (left, right))
    i, j, sep, _ = search_around_sky(lefts, rights, (radius * 1.001 + 1e-6) * u.arcsec)
    # A border that differs by rounding belongs to neither of the two.
    slack = 1e-7 + 1e-11 * radius
    near = {(left[a][0], right[b][0]): s for a, b, s in zip(i, j, sep.arcsec, strict=True)}
    found = pairs(house, radius)
    assert {pair for pair, s in near.items() if s <= radius - slack} <= {row[:2] for row in found}
    assert all(near[row[0], row[1]] == pytest.approx(row[2], abs=slack) for row in found)
    assert len({row[:2] for row in found}) == len(found)
    assert found == sorted(found, key=lambda row: (row[0], row[2], row[1]))
    best: dict[int, Pair] = {}
    for row in found:
        best.setdefault(row[0], row)
    assert pairs(house, radius, "best") == [best[key] for key in sorted(best)]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    centre=st.tuples(st.floats(0, 360), st.floats(-90, 90)) | st.sampled_from(CENTRES),
    log_radius=st.floats(-3, math.log10(3600)),
    rows=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_the_pairs_of_any_sky_are_those_that_astropy_finds(
    house: Warehouse, seed: int, centre: tuple[float, float], log_radius: float, rows: tuple[int, int]
) -> None:
    hold_against_astropy(house, seed, centre, 10.0**log_radius, rows)


@pytest.mark.parametrize("centre", CENTRES)
@pytest.mark.parametrize("radius", [1.0, 300.0])
def test_the_seams_of_the_sky_hold(house: Warehouse, centre: tuple[float, float], radius: float) -> None:
    hold_against_astropy(house, 1, centre, radius, (60, 60))


def test_a_hair_below_right_ascension_0_is_beside_it(house: Warehouse) -> None:
    put(house, "l", [(1, 1e-9, 10.0), (2, 359.9999999999, -10.0)])
    put(house, "r", [(1, -1e-17, 10.0), (2, -1e-17, -10.0), (3, 720.0, 10.0)])
    assert [row[:2] for row in pairs(house, 1e-4)] == [(1, 1), (1, 3), (2, 2)]


def test_the_border_of_the_radius_is_in(house: Warehouse) -> None:
    put(house, "l", [(1, 33.3, 44.4)])
    put(house, "r", [(1, 33.3001, 44.4001)])
    [(_, _, apart)] = pairs(house, 1.0)
    assert pairs(house, apart) == [(1, 1, apart)]
    assert pairs(house, math.nextafter(apart, 0)) == []


def test_a_declination_beyond_the_pole_is_no_position(house: Warehouse) -> None:
    put(house, "l", [(1, 7.0, 90.001), (2, 7.0, -90.001)])
    put(house, "r", [(1, 7.0, 90.0), (2, 7.0, -90.0)])
    assert pairs(house, 10.0) == []
    assert pairs(house, 10.0, left=Given("r"), right=Given("l")) == []


def test_a_whole_sky_with_its_seams_is_matched_as_astropy_does(house: Warehouse) -> None:
    random = np.random.default_rng(3)
    n = 20_000
    ra, dec = random.uniform(0, 360, n), np.degrees(np.arcsin(random.uniform(-1, 1, n)))
    # Cells end at round numbers: places exactly there belong to one cell and must be found from the other.
    dec[:4000] = np.round(dec[:4000] * 225) / 225
    ra[:2000] = np.round(ra[:2000])
    there = SkyCoord(ra, dec, unit="deg").directional_offset_by(random.uniform(0, 360, n) * u.deg, 1.9 * u.arcsec)
    put(house, "l", [(k, float(a), float(d)) for k, (a, d) in enumerate(zip(ra, dec, strict=True))])
    put(house, "r", [(k, float(a), float(d)) for k, (a, d) in enumerate(zip(there.ra.deg, there.dec.deg, strict=True))])
    i, j, sep, _ = search_around_sky(SkyCoord(ra, dec, unit="deg"), there, 2 * u.arcsec)
    expected = {(int(a), int(b)): s for a, b, s in zip(i, j, sep.arcsec, strict=True)}
    found = pairs(house, 2.0)
    assert len(expected) >= n
    assert {row[:2] for row in found} == set(expected)
    assert max(abs(expected[row[0], row[1]] - row[2]) for row in found) < 1e-8


def test_hundreds_of_rows_at_one_place_are_all_paired_and_ties_go_to_the_lowest_key(house: Warehouse) -> None:
    put(house, "l", [(k, 0.0, -30.0) for k in range(300)])
    put(house, "r", [(k, 360.0, -30.0) for k in reversed(range(300))])
    assert [row[:2] for row in pairs(house, 1.0)] == [(a, b) for a in range(300) for b in range(300)]
    assert pairs(house, 1.0, "best") == [(a, 0, 0.0) for a in range(300)]


def test_stars_move_as_astropy_moves_them_also_at_the_poles(house: Warehouse) -> None:
    random = np.random.default_rng(8)
    n = 500
    ra, dec = random.uniform(0, 360, n), np.degrees(np.arcsin(random.uniform(-1, 1, n)))
    dec[:60] = 90 - 10.0 ** random.uniform(-7, -2, 60)
    dec[60:120] = -90 + 10.0 ** random.uniform(-7, -2, 60)
    dec[120:122] = 90.0, -90.0
    pmra, pmdec, years = (random.uniform(-limit, limit, n) for limit in (5000, 5000, 100))
    stars = {"number": np.arange(n), "ra": ra, "dec": dec, "pmra": pmra, "pmdec": pmdec, "years": years}
    house.con.execute((SQL / "moved.sql").read_text())
    house.con.register("_stars", pa.table(stars))
    found = np.array(
        house.rows(
            "SELECT moved_ra(ra, dec, pmra, pmdec, years), moved_dec(ra, dec, pmra, pmdec, years) FROM _stars ORDER BY number"
        )
    )
    house.con.unregister("_stars")
    before = SkyCoord(
        ra * u.deg, dec * u.deg, pm_ra_cosdec=pmra * u.mas / u.yr, pm_dec=pmdec * u.mas / u.yr,
        distance=np.full(n, 1.0) * u.pc, obstime=Time(np.full(n, 2000.0), format="jyear", scale="tdb"),
    )  # fmt: skip
    expected = before.apply_space_motion(Time(2000.0 + years, format="jyear", scale="tdb"))
    apart = SkyCoord(found[:, 0], found[:, 1], unit="deg").separation(SkyCoord(expected.ra, expected.dec)).arcsec
    assert SkyCoord(ra, dec, unit="deg").separation(SkyCoord(expected.ra, expected.dec)).arcsec.max() > 300
    assert apart.max() < 1e-3


def test_what_has_no_motion_or_no_epoch_stays_and_each_row_is_moved_from_its_own_epoch(
    house: Warehouse, tmp_path: Path
) -> None:
    house.run(
        "CREATE OR REPLACE TABLE l AS SELECT * FROM (VALUES "
        "(1, 10.0::DOUBLE, 0.0::DOUBLE, 0.0::DOUBLE, 3600.0, 2000.0::DOUBLE), (2, 20.0, 0.0, 0.0, 3600.0, 2010.0), (3, 30.0, 0.0, NULL, 3600.0, 2000.0), "
        "(4, 40.0, 0.0, 'nan', 3600.0, 2000.0), (5, 50.0, 0.0, 0.0, 3600.0, NULL), "
        "(6, 'inf', 0.0, 0.0, 3600.0, 2000.0), (7, 70.0, 'nan', 0.0, 3600.0, 2000.0), "
        "(8, 80.0, 91.0, 0.0, 3600.0, 2000.0), (9, 90.0, 0.0, 0.0, 3600.0, 'nan')) AS x(id, ra, dec, pmra, pmdec, ref_epoch)"
    )
    put(house, "r", [*((k, 10.0 * k, 0.0) for k in (1, 2, 3, 4, 5, 6, 7, 9)), (8, 260.0, 89.0)])
    match = plan_match(house, Given("l", epoch="ref_epoch"), Given("r", epoch="2020.0"), 100.0)
    assert match.epoch == 2020.0
    for statement in match.setting:
        house.con.execute(statement)
    assert [row[2] for row in house.rows(match.query)] == pytest.approx([72.0, 36.0, 0.0, 0.0, 0.0, 0.0], abs=1e-5)
    left = run_match(house, match, str(tmp_path / "pairs.csv")).left
    assert (left.rows, left.placed, left.with_motion) == (9, 6, 2)


def test_the_common_epoch_is_that_of_the_side_that_cannot_be_moved(house: Warehouse) -> None:
    columns = "1 AS id, 10.0 AS ra, 0.0 AS dec, 2000.0 AS ref_epoch"
    house.run(f"CREATE OR REPLACE TABLE still AS SELECT {columns}")
    house.run(f"CREATE OR REPLACE TABLE moving AS SELECT {columns}, 1.0 AS pmra, 1.0 AS pmdec")

    def epoch(left: tuple[str, str], right: tuple[str, str], **more: float) -> float | None:
        return plan_match(house, Given(left[0], epoch=left[1]), Given(right[0], epoch=right[1]), 1.0, **more).epoch

    assert epoch(("still", "2016"), ("moving", "2015.5")) == 2016.0
    assert epoch(("moving", "J2015.5"), ("still", "2016")) == 2016.0
    assert epoch(("moving", "2015.5"), ("moving", "2016")) == 2015.5
    assert epoch(("moving", "ref_epoch"), ("moving", "2016")) == 2016.0
    assert epoch(("moving", "ref_epoch"), ("moving", "ref_epoch")) == 2000.0
    assert epoch(("still", "ref_epoch"), ("moving", "2016"), epoch=2004.5) == 2004.5
    with pytest.raises(UsageError, match="The stars of still cannot be moved"):
        epoch(("still", "ref_epoch"), ("moving", "2016"))


def test_two_pairs_of_positions_in_one_table_are_not_chosen_between(house: Warehouse) -> None:
    put(house, "l", [(1, 10.0, 0.0)])
    house.run("CREATE OR REPLACE TABLE r AS SELECT 1 AS id, 10.0 AS ra, 0.0 AS dec, 10.0 AS raj2000, 0.0 AS dej2000")
    with pytest.raises(UsageError, match="raj2000, dej2000 and ra, dec"):
        pairs(house, 1.0)
    assert len(pairs(house, 1.0, right=Given("r", ra="RAJ2000", dec="DEJ2000"))) == 1


def matched_with(files: tuple[Path, Path], out: Path, memory_limit: str, threads: int) -> tuple[Matched, pa.Table, int]:
    """What came of a match, its pairs, and how many bytes DuckDB had to put on disk."""
    with open_nowhere(Settings(out.parent, memory_limit, threads)) as house:
        match = plan_match(house, Given(str(files[0])), Given(str(files[1])), 60.0, find="all")
        matched = run_match(house, match, str(out))
        spilled = house.value("SELECT coalesce(sum(size), 0) FROM duckdb_temporary_files()")
        return matched, pq.read_table(out), spilled


def test_little_memory_and_one_thread_give_the_same_pairs_and_too_little_is_told(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    n = 50_000
    files = (tmp_path / "a.parquet", tmp_path / "b.parquet")
    for file in files:
        place = {"id": np.arange(n), "ra": random.uniform(0, 2, n), "dec": random.uniform(-1, 1, n)}
        pq.write_table(pa.table(place), file)
    plenty = matched_with(files, tmp_path / "pairs.parquet", "2GB", 2)
    little = matched_with(files, tmp_path / "pairs.parquet", "30MB", 1)
    assert plenty[2] == 0
    assert little[2] > 0
    assert little[:2] == plenty[:2]
    with pytest.raises(SkysyError, match="needs more memory than 5MB") as caught:
        matched_with(files, tmp_path / "none.parquet", "5MB", 2)
    assert "--memory-limit" in caught.value.remedy
    assert not (tmp_path / "none.parquet").exists()


def test_a_variable_that_is_not_set_gives_no_pair(house: Warehouse) -> None:
    for table in ("l", "r"):
        put(house, table, [(1, 10.0, 0.0)])
    assert pairs(house, 1.0) == [(1, 1, 0.0)]
    for name, value in (("match_find", "'best'"), ("match_radius_arcsec", "1.0")):
        house.run(f"RESET VARIABLE {name}")
        assert house.rows((SQL / "positions.sql").read_text()) == []
        house.run(f"SET VARIABLE {name} = {value}")


def test_the_query_reads_what_its_header_says() -> None:
    text = (SQL / "positions.sql").read_text()
    [statement] = duckdb.extract_statements(text)
    assert statement.type == duckdb.StatementType.SELECT
    tree = sqlglot.parse_one(text, dialect="duckdb")
    assert tables_read(SQL / "positions.sql", tree) == {"match_left", "match_right"}
    assert parameters_read(SQL / "positions.sql", tree) == ("match_find", "match_radius_arcsec")
    assert "-- inputs: match_left, match_right\n" in text
    assert len(sqlglot.parse((SQL / "moved.sql").read_text(), dialect="duckdb")) == 6
