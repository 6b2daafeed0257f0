"""After new rows a build makes anew what they touch and nothing else, and the tables are those of a whole build, to the last bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import models_toy as toy
import pytest
from conftest import DR2, ENGINES, Row, Sky, Tables, detection, exposures, fill, red_giant, together
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from skysy.loaders.load import load_directory

from skysy import ledger
from skysy.config import Settings
from skysy.errors import AuditFailed, SqlError
from skysy.models.build import run_build
from skysy.models.cluster import Cluster, stages
from skysy.models.files import read_audit
from skysy.models.plan import Step, plan_build
from skysy.models.project import Project, load_project
from skysy.models.scope import check_scope
from skysy.models.status import check_contents
from skysy.models.told import BuildSummary, BuiltModel
from skysy.store import Warehouse, create, open_warehouse

COUNTS = """\
-- int_counts: detections of each load, bright and faint.
--
-- grain:  one row per chunk_id and brightness
-- key:    chunk_id, bright
-- scope:  chunk
-- inputs: stg_obs

SELECT
    CAST(chunk_id AS INTEGER) AS chunk_id,                        -- the load {meta.id}
    CAST(mag < getvariable('mag_max') AS BOOLEAN) AS bright,      -- brighter than the limit
    CAST(count(*) AS BIGINT) AS n                                 -- detections {meta.number}
FROM stg_obs
GROUP BY ALL
"""
PARTS = {"int_kept", "means", "int_counts"}
"""The toy's tables that can be made in parts."""


def write_science(directory: Path) -> Path:
    """The toy's sql/, its staging by loads and its audits by objects."""
    science = toy.tell_loads(toy.write_science(directory))
    toy.edit(science, "aud_keys.sql", "-- inputs", "-- scope: object\n-- inputs")
    toy.edit(science, "aud_few.sql", "-- inputs", "-- scope: object\n-- inputs")
    (science / "20_intermediate/int_counts.sql").write_text(COUNTS, encoding="utf-8")
    return science


@pytest.fixture
def science(tmp_path: Path) -> Path:
    return write_science(tmp_path / "sql")


@pytest.fixture
def house(tmp_path: Path, science: Path) -> Iterator[Warehouse]:
    """The toy with its thousand detections of fifty objects, built."""
    with open_warehouse(toy.make_warehouse(tmp_path / "w"), write=True) as opened:
        build(opened, science)
        yield opened


def build(house: Warehouse, science: Path, *words: str, force: bool = False) -> BuildSummary:
    return run_build(house, load_project("toy", science, settings=words), force=force)


def anew(summary: BuildSummary) -> dict[str, int]:
    """The tables of which only a part was made, with the rows of that part."""
    return {model.name: model.anew for model in summary.models if model.anew is not None}


def results(house: Warehouse) -> list[tuple[object, ...]]:
    """What every model's table holds and what every audit found, as the ledger tells it."""
    return [
        *house.rows("SELECT model, rows, content_hash, fingerprint FROM meta.model ORDER BY model"),
        *house.rows("SELECT audit, offenders, sample, fingerprint FROM meta.audit ORDER BY audit"),
    ]


def same_as_whole(house: Warehouse, whole: Callable[[], object]) -> bool:
    """Whether tables and ledger are what a whole build of the same rows makes, and the tables are as the ledger says."""
    before, (_, problems) = results(house), check_contents(house)
    left = house.rows("SELECT table_name FROM duckdb_tables() WHERE database_name = 'temp'")
    whole()
    return before == results(house) and problems == [] and left == []


def late(house: Warehouse, *rows: tuple[int | None, float, str, float], source: str = "late.csv") -> None:
    """Bring rows of (object_id, t, band, mag) as one more file."""
    values = ", ".join(
        f"({'NULL' if star is None else star}::BIGINT, {t}::DOUBLE, '{band}', {mag}::DOUBLE)"
        for star, t, band, mag in rows
    )
    toy.load_rows(house, source, f"SELECT * FROM (VALUES {values})")


def test_only_the_objects_and_loads_of_new_rows_are_made_anew(house: Warehouse, science: Path) -> None:
    late(house, (7, 59000.0, "u", 16.0), (8, 59000.0, "v", 16.5), (999, 59000.0, "u", 17.0))
    summary = build(house, science)
    kept = house.value("SELECT count(*) FROM int_kept WHERE object_id IN (7, 8, 999)")
    assert anew(summary) == {"int_kept": kept, "means": 3, "int_counts": 1}
    assert {model.name for model in summary.models if model.anew is None} == {"stg_obs", "totals"}
    assert dict(house.rows("SELECT model, (inputs->>'anew')::BIGINT FROM meta.model")) == {
        "stg_obs": None, "totals": None, **anew(summary),
    }  # fmt: skip
    assert house.rows("SELECT n FROM means WHERE object_id = 999") == [(1,)]
    assert same_as_whole(house, lambda: anew(build(house, science, force=True)) == {} or pytest.fail("not whole"))


def test_load_after_load_the_tables_stay_those_of_one_build_of_all(
    house: Warehouse, science: Path, tmp_path: Path
) -> None:
    files = {f"late-{n}.csv": (n, 59000.0 + n, "u", 15.0 + n / 10) for n in range(5)}
    for source, row in files.items():
        late(house, row, source=source)
        assert set(anew(build(house, science))) == PARTS
    with open_warehouse(toy.make_warehouse(tmp_path / "undisturbed"), write=True) as other:
        for source, row in files.items():
            late(other, row, source=source)
        build(other, science)
        assert results(other) == results(house)
    assert same_as_whole(house, lambda: build(house, science, force=True))


def test_rows_of_no_object_are_one_object_more(house: Warehouse, science: Path) -> None:
    for n in (1, 2):
        late(house, (None, 59000.0 + n, "u", 16.0), source=f"late-{n}.csv")
        assert anew(build(house, science)) == {"int_kept": n, "means": 1, "int_counts": 1}
        assert house.rows("SELECT n FROM means WHERE object_id IS NULL") == [(n,)]
    assert same_as_whole(house, lambda: build(house, science, force=True))


def test_a_file_without_rows_touches_nothing(house: Warehouse, science: Path) -> None:
    toy.load_rows(house, "late.csv", f"{toy.ROWS} LIMIT 0")
    assert anew(build(house, science)) == dict.fromkeys(PARTS, 0)
    assert same_as_whole(house, lambda: build(house, science, force=True))


def replace_a_file(house: Warehouse, science: Path) -> None:
    late(house, (3, 59000.0, "u", 16.0), source="extra.csv")
    build(house, science)
    ledger.drop_chunk(house.con, 2, "toy.obs")
    late(house, (4, 59000.0, "u", 16.0), source="extra.csv")


def lose_a_file(house: Warehouse, science: Path) -> None:
    late(house, (3, 59000.0, "u", 16.0), source="extra.csv")
    build(house, science)
    ledger.drop_chunk(house.con, 2, "toy.obs")


def renumber_a_file(house: Warehouse, _: Path) -> None:
    house.run("UPDATE meta.chunk SET chunk_id = 77")
    house.run("UPDATE toy.obs SET _chunk_id = 77")


def change_sql(_: Warehouse, science: Path) -> None:
    for name in ("int_kept.sql", "int_counts.sql"):
        toy.edit(science, name, "-- inputs: stg_obs", "-- inputs: stg_obs\n-- source: said otherwise")


def lose_a_row_by_hand(house: Warehouse, _: Path) -> None:
    for name in ("int_kept", "int_counts"):
        house.run(f"DELETE FROM {name} WHERE rowid = (SELECT min(rowid) FROM {name})")


def come_from_another_version(house: Warehouse, _: Path) -> None:
    house.run('UPDATE meta.model SET versions = replace(versions::VARCHAR, \'"duckdb": "2\', \'"duckdb": "1\')::JSON')


def come_from_before_chunks_were_kept(house: Warehouse, _: Path) -> None:
    house.run("UPDATE meta.model SET inputs = json_merge_patch(inputs, '{\"chunks\": null}')")


@pytest.mark.parametrize(
    "change",
    [
        replace_a_file, lose_a_file, renumber_a_file, change_sql, lose_a_row_by_hand, come_from_another_version,
        come_from_before_chunks_were_kept,
    ],
)  # fmt: skip
def test_what_is_not_new_rows_alone_is_made_whole(
    house: Warehouse, science: Path, change: Callable[[Warehouse, Path], None]
) -> None:
    change(house, science)
    late(house, (7, 59001.0, "u", 16.0))
    assert anew(build(house, science)) == {}


def test_a_parameter_makes_whole_what_reads_it_and_what_comes_after(house: Warehouse, science: Path) -> None:
    late(house, (7, 59001.0, "u", 16.0))
    assert set(anew(build(house, science, "floor_mag=0.02"))) == {"int_kept", "int_counts"}
    assert same_as_whole(house, lambda: build(house, science, "floor_mag=0.02", force=True))


def test_new_rows_of_most_objects_make_tables_whole_but_still_count_loads_apart(
    house: Warehouse, science: Path
) -> None:
    toy.load_rows(house, "late.csv", "SELECT i, 59000.0, 'u', 16.0 FROM range(30) AS r(i)")
    assert anew(build(house, science)) == {"int_counts": 1}
    assert same_as_whole(house, lambda: build(house, science, force=True))


def test_a_view_of_a_model_is_not_looked_through(house: Warehouse, science: Path) -> None:
    """While a model is made in parts, a view would read the parts alone; so what reads one is made whole."""
    (science / "20_intermediate/int_dim.sql").write_text(
        """\
-- int_dim: what is kept, once more.
--
-- grain:  one row per object_id and t
-- key:    object_id, t
-- kind:   view
-- scope:  object
-- inputs: int_kept

SELECT
    CAST(object_id AS BIGINT) AS object_id,  -- object {meta.id;meta.main}
    CAST(t AS DOUBLE) AS t,                  -- time, MJD [d] {time.epoch}
    CAST(mag AS DOUBLE) AS mag               -- magnitude [mag] {phot.mag}
FROM int_kept
""",
        encoding="utf-8",
    )
    toy.edit(science, "means.sql", "-- inputs: int_kept", "-- inputs: int_dim")
    toy.edit(science, "means.sql", "FROM int_kept", "FROM int_dim")
    build(house, science)
    late(house, (7, 59001.0, "u", 16.0))
    assert set(anew(build(house, science))) == {"int_kept", "int_counts"}
    assert same_as_whole(house, lambda: build(house, science, force=True))


def test_an_audit_that_found_nothing_looks_at_the_touched_objects_and_finds_what_breaks_there(
    house: Warehouse, science: Path
) -> None:
    late(house, (7, 59001.0, "u", 16.0))
    found = {audit.name: audit for audit in build(house, science).audits}
    assert found["aud_keys"].touched_only
    assert found["aud_few"].touched_only
    assert found["aud_few"].offenders == 0
    late(house, (999, 59001.0, "u", 16.0), source="lone.csv")
    found = {audit.name: audit for audit in build(house, science).audits}
    assert found["aud_few"].touched_only
    assert [row["object_id"] for row in found["aud_few"].sample] == [999]
    assert same_as_whole(house, lambda: build(house, science, force=True))
    late(house, (998, 59001.0, "u", 16.0), source="lonely.csv")
    found = {audit.name: audit for audit in build(house, science).audits}
    assert not found["aud_few"].touched_only  # it had found something, which only all objects can tell again
    assert [row["object_id"] for row in found["aud_few"].sample] == [998, 999]
    assert same_as_whole(house, lambda: build(house, science, force=True))


def test_an_audit_that_changed_or_is_new_looks_everywhere(house: Warehouse, science: Path) -> None:
    toy.edit(science, "aud_few.sql", "n < 3", "n < 30")
    late(house, (7, 59001.0, "u", 16.0))
    found = {audit.name: audit for audit in build(house, science).audits}
    assert found["aud_keys"].touched_only
    assert not found["aud_few"].touched_only
    assert found["aud_few"].offenders == 50


def fail_in_a_model_made_in_parts(science: Path) -> None:
    toy.edit(science, "aud_keys.sql", "count(*) > 1", "count(*) > 0")
    (science / "audits/aud_keys.sql").rename(science / "audits/aud_other.sql")
    toy.edit(science, "aud_other.sql", "-- aud_keys:", "-- aud_other:")


def fail_in_the_last_model(science: Path) -> None:
    toy.edit(science, "totals.sql", "max(mean_mag)", "max(CAST('x' || mean_mag AS DOUBLE))")


@pytest.mark.parametrize(
    ("break_it", "error"), [(fail_in_a_model_made_in_parts, AuditFailed), (fail_in_the_last_model, SqlError)]
)
def test_a_failure_leaves_the_tables_of_the_last_build(
    house: Warehouse, science: Path, break_it: Callable[[Path], None], error: type[Exception]
) -> None:
    late(house, (7, 59001.0, "u", 16.0))
    before = toy.state_of(house)
    shutil.copytree(science, science.parent / "broken")
    break_it(science.parent / "broken")
    with pytest.raises(error):
        build(house, science.parent / "broken")
    assert toy.state_of(house) == before
    assert set(anew(build(house, science))) == PARTS
    assert same_as_whole(house, lambda: build(house, science, force=True))


def test_a_value_that_no_model_can_take_names_the_file_and_leaves_the_last_build(
    house: Warehouse, science: Path
) -> None:
    toy.edit(
        science,
        "means.sql",
        "abs(mag -",
        "CAST(CASE WHEN mag < 10 THEN 'too bright' ELSE '0' END AS DOUBLE) + abs(mag -",
    )
    build(house, science)
    late(house, (7, 59001.0, "u", 9.0))
    before = toy.state_of(house)
    with pytest.raises(SqlError, match=r"The model means\.sql failed: .*too bright"):
        build(house, science)
    assert toy.state_of(house) == before
    assert house.rows("SELECT count(*) FROM duckdb_views() WHERE database_name = 'temp' AND NOT internal") == [(0,)]


@pytest.mark.parametrize("stop_at", sorted(PARTS))
def test_ctrl_c_at_any_table_leaves_the_tables_of_the_last_build(house: Warehouse, science: Path, stop_at: str) -> None:
    late(house, (7, 59001.0, "u", 16.0))
    before = toy.state_of(house)

    def stop(event: object) -> None:
        if isinstance(event, BuiltModel) and event.name == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_build(house, load_project("toy", science), progress=stop)
    assert toy.state_of(house) == before
    assert set(anew(build(house, science))) == PARTS
    assert same_as_whole(house, lambda: build(house, science, force=True))


class Workers:
    """A cluster that makes nothing, and notes what it was told not to make."""

    here: frozenset[str] = frozenset()

    def turns(self, *given: Any, here: frozenset[str]) -> Generator[tuple[Step, None]]:
        self.here = here
        yield from ((step, None) for step in given[2])


def test_with_a_cluster_what_is_made_in_parts_is_made_here(house: Warehouse, science: Path) -> None:
    late(house, (7, 59001.0, "u", 16.0))
    project, workers = load_project("toy", science), Workers()
    plan = plan_build(house, project)
    assert [scattered for scattered, _ in stages(plan.stale, {})] == [False, True, False]
    assert set(anew(run_build(house, project, cluster=cast(Cluster, workers)))) == PARTS
    assert workers.here == PARTS
    assert [scattered for scattered, _ in stages(plan.stale, {}, workers.here)] == [False]


def test_an_audit_that_looks_beyond_its_scope_is_refused(science: Path) -> None:
    toy.edit(science, "aud_keys.sql", "GROUP BY object_id HAVING count(*) > 1", "GROUP BY n HAVING count(*) > 1")
    toy.edit(science, "aud_keys.sql", "SELECT object_id, count(*) AS n", "SELECT n, count(*) AS times")
    with pytest.raises(Exception, match=r"aud_keys\.sql says scope: object, but `GROUP BY n` has no object_id"):
        check_scope(read_audit(science / "audits/aud_keys.sql"))


@cache
def toy_project(directory: Path) -> Project:
    return load_project("toy", write_science(directory))


STARS = st.lists(
    st.tuples(
        st.sampled_from([None, 1, 2, 3, 4, 5, 6]), st.sampled_from([58000.0, 58001.0, 58002.0]),
        st.sampled_from(["u", "v", "w"]), st.sampled_from([15.0, 15.5, 19.0, 21.0]), st.integers(0, 2),
    ),
    min_size=1, max_size=40,
)  # fmt: skip


@pytest.fixture(scope="module")
def toy_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("toy") / "sql"


def check_loads(directory: Path, rows: Sequence[tuple[int | None, float, str, float, int]]) -> None:
    """Build after each load, and hold the tables against a whole build."""
    project = toy_project(directory)
    with (
        TemporaryDirectory() as place,
        open_warehouse(toy.toy_settings(Path(place)), write=True, make=True) as house,
    ):
        for load in range(3):
            came = [row[:4] for row in [(9, 58000.0, "u", 16.0, load), *rows] if row[4] == load]
            late(house, *came, source=f"{load}.csv")
            run_build(house, project)
        assert same_as_whole(house, lambda: run_build(house, project, force=True))


@given(rows=STARS)
@examples(max_examples=3)
def test_however_rows_come_in_loads_the_tables_are_those_of_one_build(
    toy_directory: Path, rows: list[tuple[int | None, float, str, float, int]]
) -> None:
    """Rows of few objects in three loads: copies, rows of no object, faint ones, and objects that come late."""
    check_loads(toy_directory, rows)


@pytest.mark.slow
@given(rows=STARS)
@examples(max_examples=100)
def test_however_many_rows_come_in_loads_the_tables_are_those_of_one_build(
    toy_directory: Path, rows: list[tuple[int | None, float, str, float, int]]
) -> None:
    check_loads(toy_directory, rows)


# The real science, on detections made by hand.

IMAGES = [*exposures(20150101120000, "uvgruvizuv", 57000.5), *exposures(20150201120000, "uvgruvizuv", 57031.5)]
STARS_DR2 = (1000, 2000, 3000, 4000, 5000)


def seen(star: int, images: Sequence[Row], mag: float, **others: object) -> list[Row]:
    return [detection(star, image, mag + place / 100, 0.01, **others) for place, image in enumerate(images)]


BASE: Tables = together(
    *(red_giant(star) for star in STARS_DR2),
    {"dr2.images": IMAGES, "known.objects": [], "simbad.matches": []},
    {"dr2.photometry": [row for star in STARS_DR2 for row in seen(star, IMAGES[:10], 12 + star / 1000)]},
)
U = IMAGES[0]
LATE: dict[str, list[Row]] = {
    "another night": seen(1000, IMAGES[10:], 13.1),
    "the same rows once more": seen(2000, IMAGES[:10], 14.0),
    "better copies that are of another filter": [
        detection(3000, image, 13.0, 0.001, **{"filter": "z"}) for image in IMAGES[:10] if image["filter"] == "u"
    ],
    "rows that no cut lets pass": [detection(4000, IMAGES[10], 13.0, 0.01, flags=8), detection(4000, U, -99.0, 0.01)],
    "rows of no object, and of no exposure": [
        detection(None, IMAGES[10], 13.0, 0.01),
        detection(5000, {"image_id": 1, "filter": "u"}, 13.0, 0.01),
    ],
    "an object that no catalogue has": seen(7777, IMAGES[:10], 14.0),
}


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Five stars of one night, built."""
    where = Settings(tmp_path_factory.mktemp("by-hand") / "warehouse", "600MB", 1)
    create(where)
    with open_warehouse(where, write=True) as house:
        fill(house, DR2, BASE)
        run_build(house, science_of_dr2(), engines=ENGINES)
    return where


@cache
def science_of_dr2() -> Project:
    return load_project(DR2)


def test_late_detections_change_every_table_as_a_whole_build_does(by_hand: Settings, tmp_path: Path) -> None:
    shutil.copytree(by_hand.warehouse, tmp_path / "w")
    with open_warehouse(Settings(tmp_path / "w", "600MB", 1), write=True) as house:
        nights = dict(house.rows("SELECT object_id, n_nights_ug FROM colours"))
        for what, rows in LATE.items():
            fill(house, DR2, {"dr2.photometry": rows})
            summary = run_build(house, science_of_dr2(), engines=ENGINES)
            assert set(anew(summary)) == {
                "int_detections__patterns", "measurements", "nightly_colours", "rapid_variability", "colours",
                "int_photometry__brightest", "int_rapid__sequences",
            }, what  # fmt: skip
            assert all(n <= 21 for n in anew(summary).values()), what
        assert house.value("SELECT n_nights_ug FROM colours WHERE object_id = 1000") == nights[1000] + 1
        assert house.rows("SELECT n_nights_ug, n_nights_uv FROM colours WHERE object_id = 3000") == [(0, 0)]
        assert house.rows("SELECT object_id FROM rapid_variability ORDER BY ALL") == [
            (n,) for n in (1000, 2000, 4000, 5000, 7777)
        ]
        assert same_as_whole(house, lambda: run_build(house, science_of_dr2(), engines=ENGINES, force=True))


def test_new_exposures_make_all_whole_since_they_lie_whole_in_every_part(by_hand: Settings, tmp_path: Path) -> None:
    shutil.copytree(by_hand.warehouse, tmp_path / "w")
    with open_warehouse(Settings(tmp_path / "w", "600MB", 1), write=True) as house:
        more = exposures(20150301120000, "uvg", 57059.5)
        fill(house, DR2, {"dr2.images": more, "dr2.photometry": seen(2000, more, 14.0)})
        assert anew(run_build(house, science_of_dr2(), engines=ENGINES)) == {}


@pytest.mark.slow
def test_photometry_taken_out_of_a_sky_and_loaded_again_gives_the_tables_of_the_undisturbed_one(
    simulated: Sky, tmp_path: Path
) -> None:
    """Two files, of some objects' rows and of some rows of others, at two threads and 600MB."""
    where, files = Settings(tmp_path / "w", "600MB", 1), tmp_path / "late"
    shutil.copytree(simulated.settings.warehouse, where.warehouse)
    files.mkdir()
    with open_warehouse(where, write=True) as house:
        undisturbed = contents(house)
        names = ", ".join(name for name in house.columns("dr2", "photometry") if name != ledger.CHUNK_COLUMN)
        for name, late_rows in {
            "objects": "object_id % 40 = 1",
            "rows": "object_id % 40 = 2 AND hash(image_id) % 3 = 0",
        }.items():
            file = files / f"dr2.photometry.{name}.parquet"
            house.run(f"COPY (SELECT {names} FROM dr2.photometry WHERE {late_rows}) TO '{file}'")
            house.run(f"DELETE FROM dr2.photometry WHERE {late_rows}")
        house.run("UPDATE meta.chunk SET content_hash = 'without the late' WHERE table_name = 'dr2.photometry'")
        assert anew(run_build(house, science_of_dr2(), engines=ENGINES)) == {}
        assert contents(house) != undisturbed
        load_directory(house, DR2, files)
        found = anew(run_build(house, science_of_dr2(), engines=ENGINES))
        assert 0 < found["measurements"] < house.value("SELECT count(*) FROM measurements") / 10
        assert contents(house) == undisturbed


def contents(house: Warehouse) -> dict[str, str]:
    """Every model's rows, but for the number of the load that brought them; what was counted by load is in measurement_flow."""
    found = {}
    for (name,) in house.rows(
        "SELECT model FROM meta.model WHERE kind = 'table' AND model <> 'int_detections__patterns'"
    ):
        columns = [column for column in house.columns("main", name) if column != "chunk_id"]
        found[name] = ledger.content_hash(house.con, name, columns)
    return found
