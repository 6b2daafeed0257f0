"""`skysy match` says what it did and what it left out, keeps ids exact in every format, and finds fast stars where they are."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import astropy.units as u
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import Distance, SkyCoord
from astropy.time import Time
from match_sky import put
from typer.testing import CliRunner, Result

from skysy.cli.commands import app
from skysy.cli.query import find_shell
from skysy.config import Settings
from skysy.errors import FileDamaged, NotFound, SkysyError, UsageError
from skysy.store import create, open_warehouse

BARNARD, OTHER = 4472832130942575872, 4472832130942575873


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A warehouse with tables main.stars and cat.gaia; each test that keeps pairs there has a name of its own for them."""
    found = Settings(tmp_path_factory.mktemp("match") / "warehouse", "1GB", 1)
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
        (("stars", "cat.gaia", "--left-epoch", "2000", "--right-epoch", "label"), UsageError, "epochs are numbers"),
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
