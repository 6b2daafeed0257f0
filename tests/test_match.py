"""`skysy match` pairs what astropy pairs, at the poles and at right ascension 0 as elsewhere, and where fast stars are by then."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import astropy.units as u
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from astropy.coordinates import Distance, SkyCoord, search_around_sky
from astropy.time import Time
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from skysy.cli.commands import app
from skysy.cli.query import find_shell
from skysy.config import Settings
from skysy.errors import FileDamaged, NotFound, SkysyError, UsageError
from skysy.match import Matched, plan_match, run_match
from skysy.models.files import parameters_read, tables_read
from skysy.sides import Given
from skysy.store import Warehouse, create, open_nowhere, open_warehouse

SQL = Path(__file__).parent.parent / "sql" / "match"
BARNARD, OTHER = 4472832130942575872, 4472832130942575873
Place = tuple[int | None, float | None, float | None]
Pair = tuple[int, int, float]


@pytest.fixture(scope="module")
def house() -> Iterator[Warehouse]:
    """A DuckDB of its own; each test puts its tables."""
    with open_nowhere(Settings(Path("none"), "1GB", 2)) as found:
        yield found


def put(house: Warehouse, table: str, places: Sequence[Place]) -> None:
    """A table of id, ra, dec."""
    names = ("id", "ra", "dec")
    kinds = (pa.int64(), pa.float64(), pa.float64())
    columns = {
        name: pa.array([place[i] for place in places], kind)
        for i, (name, kind) in enumerate(zip(names, kinds, strict=True))
    }
    house.con.register("_places", pa.table(columns))
    house.run(f"CREATE OR REPLACE TABLE {table} AS FROM _places")
    house.con.unregister("_places")


def pairs(house: Warehouse, radius: float, find: str = "all", **sides: Given) -> list[Pair]:
    """The pairs of tables l and r in the order in which the query gives them."""
    match = plan_match(house, sides.get("left", Given("l")), sides.get("right", Given("r")), radius, find=find)
    for statement in match.setting:
        house.con.execute(statement)
    return house.rows(match.query)  # type: ignore[return-value]


def sky(seed: int, centre: tuple[float, float], radius: float, rows: int) -> list[Place]:
    """Places within some radii of a centre, in any turn of right ascension, some of them twice or exactly at a pole."""
    random = np.random.default_rng(seed)
    middle = SkyCoord(*centre, unit="deg")
    # To the power of 3, so that many are close together whatever the radius.
    far = np.minimum(radius * 4 * random.random(rows) ** 3, 170 * 3600)
    there = middle.directional_offset_by(random.uniform(0, 360, rows) * u.deg, far * u.arcsec)
    ra = there.ra.deg + 360.0 * random.integers(-1, 2, rows)
    dec = there.dec.deg.copy()
    if abs(centre[1]) == 90:
        dec[: rows // 8] = centre[1]
    again = random.integers(0, rows, rows // 5)
    ra, dec = np.concatenate([ra, ra[again]]), np.concatenate([dec, dec[again]])
    return [(number, float(a), float(d)) for number, (a, d) in enumerate(zip(ra, dec, strict=True))]


CENTRES = [
    (0.0, 0.0),
    (360.0, -45.0),
    (0.0, 89.9999),
    (123.0, 90.0),
    (200.0, -90.0),
    (77.0, -89.99),
    (180.0, 60.0),
    (5, 89),
]


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


def test_fault_37_a_fast_star_is_sought_where_it_is_at_the_common_epoch_and_the_nearest_chosen_there(
    tmp_path: Path,
) -> None:
    # Barnard's star at 2015.5 (Gaia DR2) with its motion, and as a survey of the year 2000 has it, without; a background
    # star that does not move stands 1.5 arcsec from that old place, and another 1 arcsec from the new one.
    ra, dec, pmra, pmdec = 269.4485025254384, 4.739420051112412, -802.803, 10362.542
    old = SkyCoord(
        ra=ra * u.deg, dec=dec * u.deg, pm_ra_cosdec=pmra * u.mas / u.yr, pm_dec=pmdec * u.mas / u.yr,
        distance=Distance(parallax=547.45 * u.mas), obstime=Time(2015.5, format="jyear", scale="tdb"),
    ).apply_space_motion(Time(2000.0, format="jyear", scale="tdb"))  # fmt: skip
    place = SkyCoord(old.ra, old.dec)
    beside, ahead = place.directional_offset_by(0 * u.deg, 1.5 * u.arcsec), (ra, dec + 1 / 3600)
    survey = tmp_path / "survey.csv"
    survey.write_text(f"id,ra,dec\n1,{float(place.ra.deg)},{float(place.dec.deg)}\n2,{ra!r},{dec!r}\n")
    gaia = tmp_path / "gaia.csv"
    gaia.write_text(
        "source_id,ra,dec,pmra,pmdec\n"
        f"{BARNARD},{ra!r},{dec!r},{pmra!r},{pmdec!r}\n"
        f"{OTHER},{float(beside.ra.deg)},{float(beside.dec.deg)},0.0,0.0\n"
        f"7,{ahead[0]!r},{ahead[1]!r},,\n"
    )
    out = str(tmp_path / "pairs.csv")

    def matched(*words: str) -> list[str]:
        told = run(tmp_path, str(survey), str(gaia), "--radius", "2", "--out", out, *words)
        assert told.exit_code == 0, told.output
        return [line.rpartition(",")[0] for line in Path(out).read_text().splitlines()[1:]]

    epochs = ("--left-epoch", "2000.0", "--right-epoch", "2015.5")
    assert matched() == [f"1,{OTHER}", f"2,{BARNARD}"]
    assert matched(*epochs) == [f"1,{BARNARD}", "2,7"]
    assert matched(*epochs, "--find", "all") == [f"1,{BARNARD}", f"1,{OTHER}", "2,7"]
    assert [float(line.rpartition(",")[2]) for line in Path(out).read_text().splitlines()[1:]] == pytest.approx(
        [0.0, 1.5, 1.0], abs=2e-4
    )


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


def test_what_has_no_motion_or_no_epoch_stays_and_each_row_is_moved_from_its_own_epoch(house: Warehouse) -> None:
    house.run(
        "CREATE OR REPLACE TABLE l AS SELECT * FROM (VALUES "
        "(1, 10.0::DOUBLE, 0.0::DOUBLE, 0.0::DOUBLE, 3600.0, 2000.0), (2, 20.0, 0.0, 0.0, 3600.0, 2010.0), (3, 30.0, 0.0, NULL, 3600.0, 2000.0), "
        "(4, 40.0, 0.0, 'nan', 3600.0, 2000.0), (5, 50.0, 0.0, 0.0, 3600.0, NULL), "
        "(6, 'inf', 0.0, 0.0, 3600.0, 2000.0), (7, 70.0, 'nan', 0.0, 3600.0, 2000.0), "
        "(8, 80.0, 91.0, 0.0, 3600.0, 2000.0)) AS x(id, ra, dec, pmra, pmdec, ref_epoch)"
    )
    put(house, "r", [*((k, 10.0 * k, 0.0) for k in range(1, 8)), (8, 260.0, 89.0)])
    match = plan_match(house, Given("l", epoch="ref_epoch"), Given("r", epoch="2020.0"), 100.0)
    assert match.epoch == 2020.0
    for statement in match.setting:
        house.con.execute(statement)
    assert [row[2] for row in house.rows(match.query)] == pytest.approx([72.0, 36.0, 0.0, 0.0, 0.0], abs=1e-5)


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


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A warehouse with tables main.stars and cat.gaia; each test that keeps pairs there has a name of its own for them."""
    found = Settings(tmp_path_factory.mktemp("match") / "warehouse", "1GB", 2)
    create(found)
    with open_warehouse(found, write=True) as house:
        put(house, "stars", [(1, 10.0, 0.0), (2, None, 0.0), (3, 20.0, math.nan), (4, math.inf, 5.0), (5, 7.0, 90.001),
                             (None, 10.0, 0.0), (6, 40.0, 0.0), (6, 40.0002, 0.0)])  # fmt: skip
        house.run("CREATE SCHEMA cat")
        house.run(
            "CREATE TABLE cat.gaia AS SELECT 4075332117418593537 AS source_id, 10.0001 AS ra, 0.0 AS dec, 5.0 AS pmra, "
            "0.0 AS pmdec, 'J1' AS label, 1.5::DOUBLE AS score, 0.1::FLOAT AS ra32, '10 00 00' AS sexagesimal, 57000.5 AS mjd"
        )
        house.run("COMMENT ON COLUMN cat.gaia.source_id IS 'Gaia source {meta.id;meta.main}'")
    return found


def run(warehouse: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["match", *words, "--warehouse", str(warehouse)])


def test_rows_without_a_position_or_key_are_left_out_and_counted(place: Settings) -> None:
    told = run(place.warehouse, "stars", "cat.gaia", "--radius", "2", "--out", "counted", "--json")
    assert told.exit_code == 0, told.output
    answer = json.loads(told.stdout)
    assert answer["left"] == {"rows": 8, "placed": 3, "with_motion": 0, "repeated_keys": 1}
    assert answer["right"] == {"rows": 1, "placed": 1, "with_motion": 1, "repeated_keys": 0}
    assert (answer["pairs"], answer["left_keys_matched"]) == (1, 1)
    words = run(place.warehouse, "stars", "cat.gaia", "--radius", "2", "--out", "counted", "--replace").stdout
    assert "stars: 8 rows; 5 without key or position are left out; 1 rows repeat a key" in words
    assert "proper motions count once both epochs are given" in words
    assert "1 left keys have a partner, 1 have none" in words


def test_a_table_of_pairs_tells_what_it_is_and_is_replaced_only_when_asked(place: Settings) -> None:
    words = ("stars", "cat.gaia", "--radius", "2", "--out", "found")
    assert run(place.warehouse, *words).exit_code == 0
    with open_warehouse(place) as house:
        assert house.rows("FROM found") == [(1, 4075332117418593537, pytest.approx(0.36, abs=1e-9))]
        comments = dict(house.rows("SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'found'"))
        assert comments == {
            "id": "key of stars {meta.id;meta.main}",
            "source_id": "Gaia source {meta.id.cross}",
            "sep_arcsec": "great-circle distance [arcsec] {pos.angDistance}",
        }
        assert (
            house.value("SELECT state FROM meta.run WHERE command = 'match' AND contains(arguments, 'cat.gaia')")
            == "done"
        )
    again = run(place.warehouse, *words).exception
    assert isinstance(again, UsageError)
    assert "--replace" in again.remedy
    assert run(place.warehouse, *words[:3], "0.1", *words[4:], "--replace").exit_code == 0
    with open_warehouse(place) as house:
        assert house.rows("FROM found") == []
    for name in ("stars", "STARS"):
        other = run(place.warehouse, *words[:5], name, "--replace").exception
        assert isinstance(other, UsageError)
        assert "There is a table stars, and no match made it" in other.message


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (("star", "cat.gaia"), NotFound, "Did you mean stars?"),
        (("stars", "cat.gaja"), NotFound, "Did you mean cat.gaia?"),
        (("stars", "cat.gaia", "--right-key", "sourceid"), NotFound, "Did you mean source_id?"),
        (("stars", "cat.gaia", "--right-ra", "rra", "--right-dec", "dec"), NotFound, "Did you mean ra?"),
        (("stars", "cat.gaia", "--right-ra", "ra"), UsageError, "Name both"),
        (("stars", "nowhere.parquet"), NotFound, "There is no file"),
        (("stars", "cat.gaia", "--radius", "0"), UsageError, "above 0"),
        (("stars", "cat.gaia", "--radius", "-1"), UsageError, "above 0"),
        (("stars", "cat.gaia", "--radius", "nan"), UsageError, "above 0"),
        (("stars", "cat.gaia", "--radius", "3601"), UsageError, "at most 3600"),
        (("stars", "cat.gaia", "--find", "nearest"), UsageError, "best or all"),
        (("stars", "cat.gaia", "--right-key", "score"), UsageError, "integer or a text"),
        (("stars", "cat.gaia", "--right-ra", "ra32", "--right-dec", "dec"), UsageError, "0.1 arcsec"),
        (("stars", "cat.gaia", "--right-ra", "sexagesimal", "--right-dec", "dec"), UsageError, "is VARCHAR"),
        (("stars", "cat.gaia", "--left-epoch", "2000"), UsageError, "the other has none"),
        (("stars", "cat.gaia", "--epoch", "2000"), UsageError, "own epochs are not given"),
        (("stars", "cat.gaia", "--left-epoch", "2000", "--right-epoch", "57000"), UsageError, "no Julian year"),
        (("stars", "cat.gaia", "--left-epoch", "2000", "--right-epoch", "mjd"), UsageError, "no Julian year"),
        (("stars", "stars", "--left-epoch", "2000", "--right-epoch", "2010"), UsageError, "nothing can be moved"),
        (("stars", "cat.gaia", "--out", "pairs.txt"), UsageError, "neither a file"),
        (("stars", "cat.gaia", "--out", "nowhere/pairs.csv"), UsageError, "no directory"),
    ],
)
def test_what_does_not_fit_is_told_in_words_and_nothing_is_made(
    place: Settings, words: tuple[str, ...], kind: type[SkysyError], said: str
) -> None:
    given = {"--radius": "2", "--out": "refused"}
    rest = [word for name, value in given.items() if name not in words for word in (name, value)]
    error = run(place.warehouse, *words, *rest).exception
    assert isinstance(error, kind), error
    assert said in f"{error.message} {error.remedy}"
    with open_warehouse(place) as house:
        assert house.rows("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'refused'") == [(0,)]


def test_two_pairs_of_positions_in_one_table_are_not_chosen_between(house: Warehouse) -> None:
    put(house, "l", [(1, 10.0, 0.0)])
    house.run("CREATE OR REPLACE TABLE r AS SELECT 1 AS id, 10.0 AS ra, 0.0 AS dec, 10.0 AS raj2000, 0.0 AS dej2000")
    with pytest.raises(UsageError, match="raj2000, dej2000 and ra, dec"):
        pairs(house, 1.0)
    assert len(pairs(house, 1.0, right=Given("r", ra="RAJ2000", dec="DEJ2000"))) == 1


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".csv.gz", ".vot", ".fits"])
def test_ids_of_19_digits_are_exact_from_every_input_to_every_output(tmp_path: Path, suffix: str) -> None:
    ids = [9223372036854775807, 4075332117418593537, -9007199254740993]
    ra = [0.0, 359.9999, 120.5]
    pq.write_table(pa.table({"RAJ2000": ra, "DEJ2000": [0.0, 1.0, 2.0], "ObjID": ids}), tmp_path / "a.parquet")
    lines = [f"{key},{a!r},{d}" for key, a, d in zip(reversed(ids), reversed(ra), (2.0, 1.0, 0.0), strict=True)]
    (tmp_path / "b.csv").write_text("\n".join(["source_id,ra,dec", *lines, ""]))
    out = tmp_path / f"pairs{suffix}"
    told = run(
        tmp_path / "none", str(tmp_path / "a.parquet"), str(tmp_path / "b.csv"), "--radius", "1", "--out", str(out)
    )
    assert told.exit_code == 0, told.output
    if suffix == ".parquet":
        table = pq.read_table(out)
        found = list(zip(*(table[name].to_pylist() for name in ("ObjID", "source_id")), strict=True))
        assert table.schema.field("sep_arcsec").metadata[b"unit"] == b"arcsec"
    elif suffix.startswith(".csv"):
        found = duckdb.sql(f"SELECT ObjID, source_id FROM read_csv('{out}')").fetchall()
    else:
        from astropy.table import Table

        table = Table.read(out)
        found = [(int(row["ObjID"]), int(row["source_id"])) for row in table]
    assert found == [(key, key) for key in sorted(ids)]
    assert not (tmp_path / "none").exists()


def test_keys_may_be_texts_and_both_may_have_one_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("designation,ra,decl\n00424433+4116085,10.68,41.27\n")
    out = tmp_path / "pairs.csv"
    files = (str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))
    assert run(tmp_path / "none", *files, "--radius", "1", "--out", str(out)).exit_code == 0
    assert out.read_text().splitlines() == [
        "designation_left,designation_right,sep_arcsec",
        "00424433+4116085,00424433+4116085,0",
    ]
    refused = run(tmp_path / "none", *files, "--radius", "1", "--out", files[0]).exception
    assert isinstance(refused, UsageError)
    assert "is what should be matched" in refused.message


@pytest.mark.parametrize("empty", ["left", "right", "both"])
def test_tables_without_rows_give_no_pairs(tmp_path: Path, empty: str) -> None:
    for name in ("left", "right"):
        row = "" if empty in (name, "both") else "1,10.0,0.0\n"
        (tmp_path / f"{name}.csv").write_text(f"id,ra,dec\n{row}")
    out = tmp_path / "pairs.parquet"
    files = (str(tmp_path / "left.csv"), str(tmp_path / "right.csv"))
    told = run(tmp_path / "none", *files, "--radius", "1", "--out", str(out))
    assert told.exit_code == 0, told.output
    assert pq.read_table(out).num_rows == 0
    assert "0 pairs" in told.stdout


def test_a_file_that_breaks_off_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,ra,dec\n1,10.0,0.0\n")
    (tmp_path / "b.csv").write_text("id,ra,dec\n" + "1,10.0,0.0\n" * 30_000 + "x,y,z\n")
    (tmp_path / "c.parquet").write_bytes(b"PAR1 and no more")
    for other in ("b.csv", "c.parquet"):
        out = tmp_path / "pairs.parquet"
        files = (str(tmp_path / "a.csv"), str(tmp_path / other))
        error = run(tmp_path / "none", *files, "--radius", "1", "--out", str(out)).exception
        assert isinstance(error, FileDamaged), error
        assert not out.exists()


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


def test_the_printed_sql_gives_the_same_pairs_in_a_duckdb_shell(place: Settings) -> None:
    words = ("stars", "cat.gaia", "--radius", "2", "--left-epoch", "2000.0", "--right-epoch", "2015.5", "--find", "all")
    printed = run(place.warehouse, *words, "--sql")
    assert printed.exit_code == 0, printed.output
    assert run(place.warehouse, *words, "--out", "as_in_shell").exit_code == 0
    shell = find_shell()
    assert shell is not None
    done = subprocess.run(
        [shell, "-readonly", "-json", str(place.database)], input=printed.stdout, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with open_warehouse(place) as house:
        expected = house.rows("FROM as_in_shell")
    assert [tuple(row.values()) for row in json.loads(done.stdout)] == expected
    assert expected[0][2] == pytest.approx(0.36 - 15.5 * 0.005, abs=1e-9)


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
