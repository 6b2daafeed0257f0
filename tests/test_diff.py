"""`skysy diff` names every candidate that entered or left between two builds, and the one first thing that did it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import DR2, ENGINES, Row, Sky, detection, exposures, fill, red_giant, together
from skysy.sql import __file__ as sql_init
from typer.testing import CliRunner

from skysy import ledger
from skysy.builds import open_builds
from skysy.cli.commands import app
from skysy.config import Settings
from skysy.diff import Difference, compare
from skysy.errors import ModelError, SkysyError, UsageError, WarehouseDamaged, WarehouseMissing
from skysy.identity import SameIds
from skysy.models.build import run_build
from skysy.models.project import Project, load_project
from skysy.moves import Move
from skysy.store import Warehouse, create, open_warehouse

# With few stars a colour of its own has ln(15.9 / N), colours that several share more.
RARE = ("density_ln_max=1.0", "rapid_u_sigma_min=10.0")
BASE = {"u": 15.0, "v": 14.9, "g": 13.3, "r": 12.5, "i": 12.0, "z": 11.8}
IMAGES = exposures(20150101120000, "uvgruvizuv", 57000.5) + exposures(20150105120000, "uvgruvizuv", 57004.5, field_id=2)


def seen(object_id: int, redder: float = 0.0, flicker: float = 0.0, images: Sequence[Row] = IMAGES) -> list[Row]:
    """Detections of one star: `redder` is added to g, `flicker` to and from the first and second u of each sequence."""
    rows, n_u = [], 0
    for image in images:
        mag = BASE[image["filter"]]
        if image["filter"] == "g":
            mag -= redder
        if image["filter"] == "u":
            mag += (flicker, -flicker, 0.0)[n_u % 3]
            n_u += 1
        rows.append(detection(object_id, image, mag, 0.0033))
    return rows


def star(object_id: int, redder: float = 0.0, flicker: float = 0.0, **changes: Any) -> dict[str, Any]:
    """A giant with its detections, at a place of its own."""
    changes = {"raj2000": object_id / 1000.0, **changes}
    return {**red_giant(object_id, **changes), "dr2.photometry": seen(object_id, redder, flicker)}


# Five of one colour; the others each of their own, some of them flickering.
FIELD = together(
    {"dr2.images": IMAGES},
    *(star(n * 1000) for n in range(1, 6)),
    star(10_000, flicker=0.1),
    star(11_000, redder=1.0),
    star(12_000, redder=2.0, flicker=0.1),
    star(13_000, redder=3.0),
    star(14_000, redder=4.0, prox=7.0),
    star(15_000, redder=5.0),
    star(16_000, redder=6.0, prox=5.0),
    star(17_000, redder=7.0),
    star(18_000, flicker=0.1),
)
CANDIDATES = {10_000, 11_000, 12_000, 13_000, 14_000, 15_000, 17_000, 18_000}


@cache
def science(*settings: str, directory: Path | None = None) -> Project:
    """The science under these `name=value` words, read once."""
    return load_project(DR2, directory, settings=settings)


def build_again(warehouse: Warehouse, project: Project, tables: Sequence[str] = ()) -> None:
    """Build, once the ledger tells of what was changed by hand in these tables."""
    for table in tables:
        columns = warehouse.columns(*table.split("."))[:-1]
        content = ledger.content_hash(warehouse.con, table, columns)
        warehouse.run("UPDATE meta.chunk SET content_hash = ? WHERE table_name = ?", [content, table])
    run_build(warehouse, project, engines=ENGINES)


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The warehouse of FIELD, built."""
    where = Settings(tmp_path_factory.mktemp("diff") / "one", "1GB", 1)
    create(where)
    with open_warehouse(where, write=True) as warehouse:
        fill(warehouse, DR2, FIELD)
        run_build(warehouse, science(*RARE), engines=ENGINES)
        assert {row[0] for row in warehouse.rows("SELECT object_id FROM candidates")} == CANDIDATES
    return where


Other = Callable[..., Settings]


@pytest.fixture
def other(field: Settings, tmp_path: Path) -> Other:
    """A function: a copy of the field, changed by SQL in its raw tables and built again with other settings."""

    def make(
        *settings: str, changes: Sequence[str] = (), tables: Sequence[str] = (), directory: Path | None = None
    ) -> Settings:
        where = Settings(tmp_path / "other", "1GB", 1)
        shutil.copytree(field.warehouse, where.warehouse)
        with open_warehouse(where, write=True) as warehouse:
            for change in changes:
                warehouse.run(change)
            build_again(warehouse, science(*RARE, *settings, directory=directory), tables)
        return where

    return make


def by_object(found: Difference) -> dict[int, Move]:
    """The moves by object_id, each of which has one only."""
    moves = {move.object_id: move for move in found.moves}
    assert len(moves) == len(found.moves)
    return moves


def told(move: Move) -> tuple[str, str, str | None, str, str]:
    return move.change, move.lost_at, move.cut, move.model, move.cause


def test_each_object_is_told_with_the_first_thing_that_did_it(field: Settings, other: Other) -> None:
    first_u = IMAGES[0]["image_id"]
    changed = other(
        "prox_arcsec_min=8.0",
        changes=[
            "UPDATE dr2.master SET prox = 3.0 WHERE object_id = 11000",
            "UPDATE dr2.master SET prox = 7.5 WHERE object_id = 13000",
            "UPDATE dr2.master SET prox = 15.0 WHERE object_id = 16000",
            "DELETE FROM dr2.master WHERE object_id = 15000",
            "UPDATE dr2.photometry SET mag_psf = 15.0 WHERE object_id = 10000 AND filter = 'u'",
            "DELETE FROM dr2.photometry WHERE object_id = 17000 AND filter = 'g'",
            f"DELETE FROM dr2.photometry WHERE object_id = 18000 AND image_id = {first_u}",
            "UPDATE dr2.photometry SET mag_psf = 15.0 WHERE object_id = 18000 AND filter = 'u'",
        ],
        tables=["dr2.master", "dr2.photometry"],
    )
    found = compare(field, changed)
    moves = by_object(found)
    assert {object_id: told(move) for object_id, move in moves.items()} == {
        10_000: ("left", "variability", None, "measurements", "value"),
        11_000: ("left", "cut", "isolated", "int_selection__cuts", "value"),
        13_000: ("left", "cut", "isolated", "int_selection__cuts", "value and limit"),
        14_000: ("left", "cut", "isolated", "int_selection__cuts", "limit"),
        15_000: ("left", "catalogue", None, "int_selection__matched", "object"),
        16_000: ("entered", "cut", "isolated", "int_selection__cuts", "value"),
        17_000: ("left", "colour", None, "measurements", "value"),
        18_000: ("left", "variability", None, "measurements", "value"),
    }
    assert moves[11_000].values == {"prox": (15.0, 3.0)}
    assert moves[11_000].limits == {"prox_arcsec_min": ("6.0", "8.0")}
    assert [(one.kind, one.name) for one in moves[11_000].behind] == [("input", "dr2.master")]
    assert moves[14_000].behind == ()
    assert moves[17_000].values["detections"] == (14, 12)
    assert moves[17_000].values["nights"] == (2, 2)
    assert moves[17_000].values["ug_mag"][1] is None
    assert moves[18_000].values["detections"] == (6, 5)
    assert ("input", "dr2.photometry") in {(one.kind, one.name) for one in moves[18_000].behind}
    assert [(one.name, one.a, one.b, one.unit) for one in found.parameters] == [
        ("prox_arcsec_min", "6.0", "8.0", "arcsec")
    ]
    assert [(one.table, one.rows_a, one.rows_b) for one in found.inputs] == [
        ("dr2.master", 14, 13),
        ("dr2.photometry", 280, 277),
    ]
    assert found.sql == []


def test_an_object_of_another_id_is_told_with_the_one_at_its_place(field: Settings, other: Other) -> None:
    changed = other(
        changes=[
            # 1 arcsec south of its place, beyond the edge of a zone.
            "UPDATE dr2.master SET object_id = 900, dej2000 = dej2000 - 1.0 / 3600 WHERE object_id = 12000",
            "UPDATE dr2.photometry SET object_id = 900 WHERE object_id = 12000",
            # Another id and 3 arcsec north of its place: nothing says that it is one object.
            "UPDATE dr2.master SET object_id = 901, dej2000 = dej2000 + 3.0 / 3600 WHERE object_id = 13000",
            "UPDATE dr2.photometry SET object_id = 901 WHERE object_id = 13000",
            "UPDATE dr2.master SET raj2000 = raj2000 + 0.01 WHERE object_id = 1000",
        ],
        tables=["dr2.master", "dr2.photometry"],
    )
    found = compare(field, changed)
    moves = by_object(found)
    assert {(one.object_id, one.change, one.lost_at, one.cause) for one in found.moves} == {
        (900, "entered", "catalogue", "object"),
        (901, "entered", "catalogue", "object"),
        (12_000, "left", "catalogue", "object"),
        (13_000, "left", "catalogue", "object"),
    }
    assert moves[900].values == moves[12_000].values == {"object_id": (12_000, 900)}
    assert moves[901].values == moves[13_000].values == {}
    assert moves[900].reason == "not in the object catalogue of A; 12000 lies 1.00 arcsec from its place there"
    assert moves[13_000].reason == "not in the object catalogue of B"
    assert found.same_ids == SameIds(12, 1)
    told = run(field.warehouse, changed.warehouse).stdout
    assert "1 by catalogue: another object_id at its place" in told
    assert "caution: 1 of 12 object_ids of both lie more than 5 arcsec apart" in told


def test_an_object_that_the_archive_was_not_asked_for_is_not_said_to_be_missing_there(
    field: Settings, other: Other
) -> None:
    changed = other(
        changes=[
            "DELETE FROM dr2.master WHERE object_id = 15000",
            "UPDATE meta.chunk SET route = 'sample' WHERE table_name = 'dr2.master'",
        ],
        tables=["dr2.master"],
    )
    [left] = compare(field, changed).left
    assert (left.object_id, left.lost_at) == (15_000, "catalogue")
    assert left.reason == "not among the objects that B asked its archive for, by cuts"
    [entered] = compare(changed, field).entered
    assert entered.reason == "not among the objects that A asked its archive for, by cuts"


def test_what_the_build_computes_otherwise_is_followed_to_its_parameter(field: Settings, other: Other) -> None:
    changed = other(
        "kde_bandwidth_mag=1.0",
        "extinction_jk=3.0",
        changes=["UPDATE ext.gaia_dr2 SET parallax = 0.25 WHERE source_id = 11003"],
        tables=["ext.gaia_dr2"],
    )
    found = compare(field, changed)
    assert [one.table for one in found.inputs] == ["ext.gaia_dr2"]
    moves = by_object(found)
    assert {told(move) for move in moves.values()} == {("left", "cut", "red_jk0", "int_selection__cuts", "value")}
    assert set(moves) == CANDIDATES
    # Neither the bandwidth nor Gaia's rows are among what J - Ks is made from.
    assert [(one.kind, one.name, one.a, one.b) for one in moves[11_000].behind] == [
        ("parameter", "extinction_jk", "0.413", "3.0")
    ]


def test_limits_of_the_outliers_and_other_densities_are_told(field: Settings, other: Other) -> None:
    found = compare(field, other("kde_bandwidth_mag=0.05", "rapid_u_sigma_min=1000.0"))
    moves = by_object(found)
    assert told(moves[10_000]) == ("left", "variability", None, "candidates", "limit")
    assert moves[10_000].limits == {"rapid_u_sigma_min": ("10.0", "1000.0")}
    assert told(moves[11_000]) == ("left", "colour", None, "density_score", "value")
    assert [(one.kind, one.name) for one in moves[11_000].behind] == [("parameter", "kde_bandwidth_mag")]
    # It was both: the first of the two is told.
    assert moves[12_000].criteria == "colour+variability"
    assert told(moves[12_000]) == ("left", "colour", None, "density_score", "value")


def test_a_rule_of_other_sql_is_told_as_a_rule(field: Settings, other: Other, tmp_path: Path) -> None:
    sql = tmp_path / "sql"
    shutil.copytree(Path(sql_init).parent, sql)
    cuts = sql / "20_intermediate" / "int_selection__cuts.sql"
    text = cuts.read_text(encoding="utf-8")
    assert "CAST(nch_max = " in text
    cuts.write_text(text.replace("CAST(nch_max = ", "CAST(object_id <> 11000 AND nch_max = "), encoding="utf-8")
    final = sql / "30_marts" / "candidates.sql"
    text = final.read_text(encoding="utf-8")
    assert "WHERE is_colour_outlier" in text
    final.write_text(text.replace("WHERE is_colour_outlier", "WHERE object_id <> 13000 AND is_colour_outlier"))
    found = compare(field, other(directory=sql))
    moves = by_object(found)
    assert {object_id: told(move) for object_id, move in moves.items()} == {
        11_000: ("left", "cut", "single_child", "int_selection__cuts", "rule"),
        13_000: ("left", "colour", None, "candidates", "rule"),
    }
    assert [(one.model, one.what) for one in found.sql] == [("candidates", "sql"), ("int_selection__cuts", "sql")]


def test_a_build_does_not_differ_from_its_copy(field: Settings, tmp_path: Path) -> None:
    shutil.copytree(field.warehouse, tmp_path / "copy")
    found = compare(field, Settings(tmp_path / "copy", "1GB", 1))
    assert found.empty
    assert found.a.candidates == found.b.candidates == len(CANDIDATES)


def test_files_in_which_rows_came_and_spellings_of_a_number_are_no_difference(field: Settings, tmp_path: Path) -> None:
    copy = Settings(tmp_path / "copy", "1GB", 1)
    shutil.copytree(field.warehouse, copy.warehouse)
    with open_warehouse(copy, write=True) as warehouse:
        columns = warehouse.columns("dr2", "photometry")[:-1]
        warehouse.run("UPDATE dr2.photometry SET _chunk_id = 99 WHERE object_id > 5000")
        [old] = warehouse.rows("SELECT chunk_id FROM meta.chunk WHERE table_name = 'dr2.photometry'")
        for chunk in (*old, 99):
            content = ledger.content_hash(warehouse.con, "dr2.photometry", columns, f"WHERE _chunk_id = {chunk}")
            if chunk == 99:
                warehouse.run(
                    "INSERT INTO meta.chunk BY NAME SELECT * REPLACE (99 AS chunk_id) FROM meta.chunk WHERE chunk_id = ?",
                    old,
                )
            warehouse.run("UPDATE meta.chunk SET content_hash = ? WHERE chunk_id = ?", [content, chunk])
        warehouse.run("UPDATE meta.parameter SET value = '14' WHERE name = 'j_mag_max'")
    assert compare(field, copy).empty


def test_every_reason_on_a_simulated_sky_is_true(simulated: Sky, tmp_path: Path) -> None:
    strict = Settings(tmp_path / "strict", "1GB", 1)
    shutil.copytree(simulated.settings.warehouse, strict.warehouse)
    changed = science("class_star_min=0.95", "jk0_mag_min=0.95", "density_ln_max=-3.5", "rapid_u_sigma_min=12.0")
    with open_warehouse(strict, write=True) as warehouse:
        run_build(warehouse, changed, engines=ENGINES)
    a, b = (candidates_of(one) for one in (simulated.settings, strict))
    found = compare(simulated.settings, strict)
    assert {move.object_id for move in found.entered} == b.keys() - a.keys()
    assert {move.object_id for move in found.left} == a.keys() - b.keys()
    assert {move.cut for move in found.left} >= {"class_star", "red_jk0"}
    assert found.entered
    with duckdb.connect(str(strict.database), read_only=True) as con:
        for move in found.moves:
            assert is_true(con, move), move
    # The same two the other way round: who entered left, for the same reason.
    back = compare(strict, simulated.settings)
    assert {(one.object_id, one.lost_at, one.cut, one.cause) for one in back.entered} == {
        (one.object_id, one.lost_at, one.cut, one.cause) for one in found.left
    }


def candidates_of(settings: Settings) -> dict[int, str]:
    with duckdb.connect(str(settings.database), read_only=True) as con:
        return dict(con.execute("SELECT object_id, criteria FROM candidates").fetchall())


def is_true(con: duckdb.DuckDBPyConnection, move: Move) -> bool:
    """Whether a reason holds, by the numbers of the stricter build alone, where the limits are 0.9, 0.85, -4.496 and 10.65 in A."""
    star, jk0 = con.execute(
        "SELECT class_star, jk0_mag FROM int_selection__matched WHERE object_id = ?", [move.object_id]
    ).fetchall()[0]
    ln = con.execute("SELECT ln_density FROM density_score WHERE object_id = ?", [move.object_id]).fetchall()
    sigma = con.execute("SELECT rapid_u_sigma FROM rapid_variability WHERE object_id = ?", [move.object_id]).fetchall()
    if move.cut == "class_star":
        return move.cause == "limit" and 0.9 < star <= 0.95
    if move.cut == "red_jk0":
        return move.cause == "limit" and star > 0.95 and 0.85 < jk0 <= 0.95
    if move.cut or not (star > 0.95 and jk0 > 0.95):
        return False
    (a, b), limit = move.values.get("ln_density", (None, None)), "density_ln_max"
    if move.change == "entered":
        own_limit, own_value = a is not None and a <= -3.5, b <= -4.496
        cause = {(True, False): "limit", (False, True): "value"}.get((own_limit, own_value), "value and limit")
        return move.lost_at == "colour" and ln[0][0] == b <= -3.5 and move.cause == cause and limit in move.limits
    return move.lost_at == "variability" and move.cause == "limit" and 10.65 <= sigma[0][0] < 12.0


def test_values_that_changed_are_counted_per_column_with_the_largest(field: Settings, other: Other) -> None:
    changed = other(
        changes=[
            "UPDATE ext.gaia_dr2 SET parallax = 0.25 WHERE source_id = 1003",
            "UPDATE ext.gaia_dr2 SET parallax = 0.45 WHERE source_id = 2003",
            "UPDATE ext.gaia_dr2 SET parallax = NULL WHERE source_id = 3003",
            "UPDATE ext.gaia_dr2 SET parallax = parallax + 5e-10 WHERE source_id = 4003",
        ],
        tables=["ext.gaia_dr2"],
    )
    found = compare(field, changed)
    [column] = found.columns
    assert (column.table, column.column, column.objects, column.changed, column.nulls) == (
        "sample",
        "parallax",
        13,
        3,
        1,
    )
    assert (column.object_id, column.a, column.b) == (2000, 0.2, 0.45)
    assert column.largest == pytest.approx(0.25, abs=1e-12)
    assert found.moves == []
    assert run(field.warehouse, changed.warehouse, "--exit-code").exit_code == 0


def run(*words: str | Path) -> Any:
    return CliRunner().invoke(app, ["diff", *map(str, words)])


def test_the_command_prints_words_and_json_and_its_exit_code_tells_when_asked(field: Settings, other: Other) -> None:
    changed = other("prox_arcsec_min=8.0")
    words = run(field.warehouse, changed.warehouse)
    assert words.exit_code == 0
    assert "parameter prox_arcsec_min: 6.0 -> 8.0 arcsec" in words.stdout
    assert "1 left\n" in words.stdout
    assert "14000  cut isolated: prox = 7 arcsec; limit prox_arcsec_min 6.0 -> 8.0 arcsec" in words.stdout
    shorter = run(field.warehouse, changed.warehouse, "--top", "0", "--exit-code")
    assert shorter.exit_code == 1
    assert "14000" not in shorter.stdout
    assert "and 1 more" in shorter.stdout
    as_json = json.loads(run(field.warehouse, changed.warehouse, "--json").stdout)
    assert [(one["object_id"], one["cause"]) for one in as_json["moves"]] == [(14000, "limit")]
    assert as_json["parameters"] == [{"name": "prox_arcsec_min", "a": "6.0", "b": "8.0", "unit": "arcsec"}]


def cut_short(directory: Path) -> None:
    database = directory / "skysy.duckdb"
    database.write_bytes(database.read_bytes()[: 3 * 4096])


def garbled(directory: Path) -> None:
    """A block that is read only when the candidates are."""
    database = directory / "skysy.duckdb"
    with duckdb.connect(str(database), read_only=True) as con:
        [(block,)] = con.execute("SELECT max(block_id) FROM pragma_storage_info('candidates')").fetchall()
        [(size,)] = con.execute("SELECT block_size FROM pragma_database_size()").fetchall()
    with database.open("r+b") as file:
        file.seek(3 * 4096 + block * size + size // 2)
        file.write(bytes(range(256)))


def no_database(directory: Path) -> None:
    (directory / "skysy.duckdb").write_text("object_id,rank\n1,1\n")


def exported(directory: Path) -> None:
    (directory / "skysy.duckdb").unlink()
    (directory / "candidates.parquet").touch()


def never_built(directory: Path) -> None:
    with duckdb.connect(str(directory / "skysy.duckdb")) as con:
        con.execute("DELETE FROM meta.model")


def other_science(directory: Path) -> None:
    with duckdb.connect(str(directory / "skysy.duckdb")) as con:
        con.execute("DROP TABLE candidates")


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (cut_short, WarehouseDamaged, "damaged"),
        (garbled, WarehouseDamaged, "damaged"),
        (no_database, WarehouseDamaged, "not a DuckDB file"),
        (exported, WarehouseMissing, "There is no warehouse"),
        (never_built, ModelError, "Nothing is built"),
        (other_science, ModelError, "has no candidates"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(
    field: Settings, tmp_path: Path, spoil: Callable[[Path], None], error: type[SkysyError], words: str
) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(field.warehouse, bad)
    spoil(bad)
    for sides in ((field.warehouse, bad), (bad, field.warehouse)):
        refused = run(*sides).exception
        assert isinstance(refused, error)
        assert words in refused.message
        assert str(bad) in refused.message


def test_a_warehouse_is_not_compared_with_itself(field: Settings, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(field.warehouse)
    refused = run(field.warehouse, tmp_path / "alias").exception
    assert isinstance(refused, UsageError)
    assert "the same warehouse" in refused.message


def test_comparing_changes_neither(field: Settings, other: Other) -> None:
    changed = other()
    before = [one.database.read_bytes() for one in (field, changed)]
    compare(field, changed)
    assert [one.database.read_bytes() for one in (field, changed)] == before
    with open_builds(field, changed) as builds, pytest.raises(duckdb.Error, match="read-only"):
        builds.house.run("DELETE FROM a.main.candidates")
