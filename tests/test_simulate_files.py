"""The simulated archive: the same bytes for a seed, the contract's columns, ids that survive every format."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from astropy.io import fits
from astropy.io.votable import parse
from skysy.analysis.simulate import write
from skysy.analysis.simulate.plan import KINDS, make_plan
from skysy.analysis.simulate.releases import RELEASES
from skysy.analysis.simulate.write import simulate
from typer.testing import CliRunner

from skysy.cli.simulate import simulate as simulate_command
from skysy.contract import load_contract
from skysy.errors import UsageError
from skysy.formats.values import arrow_type

CONTRACT = load_contract("skymapper_dr2")
ID_COLUMNS = {
    "dr2.master": ("object_id", "gaia_dr2_id1", "allwise_cntr", "twomass_key"),
    "ext.allwise": ("cntr",),
    "ext.gaia_dr2": ("source_id",),
    "gaiadr2_complements.geometric_distance": ("source_id",),
    "dr2.images": ("image_id",),
}


def checksums(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def as_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    return bytes(sink.getvalue())


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sky") / "archive"
    simulate(directory, 1_000, 7)
    return directory


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("parts") / "archive"
    simulate(directory, 1_000, 7, batch=400)
    return directory


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(sky: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "again", 1_000, 7)
    simulate(tmp_path / "other", 1_000, 8)
    assert checksums(tmp_path / "again") == checksums(sky)
    assert checksums(tmp_path / "other")["dr2.photometry.csv.gz"] != checksums(sky)["dr2.photometry.csv.gz"]


def test_a_batch_is_the_same_whatever_was_made_before_it() -> None:
    survey = write._make_survey(1_000, 7, RELEASES["skymapper_dr2"])
    alone = write._make_batch(survey, 2, 800, 1_000)
    write._make_batch(survey, 0, 0, 400)
    again = write._make_batch(survey, 2, 800, 1_000)
    for name, table in alone.tables.items():
        assert as_bytes(table) == as_bytes(again.tables[name]), name


def test_one_batch_gives_one_file_per_table_and_more_give_numbered_parts(sky: Path, parts: Path) -> None:
    names = {path.name for path in sky.iterdir() if path.is_file()}
    assert names == {
        "dr2.master.parquet",
        "dr2.photometry.csv.gz",
        "dr2.images.csv.gz",
        "ext.twomass_psc.parquet",
        "ext.allwise.csv.gz",
        "ext.gaia_dr2.vot",
        "gaiadr2_complements.geometric_distance.fits",
        "known.objects.csv",
    }
    masters = sorted(path.name for path in parts.glob("dr2.master.*"))
    assert masters == [f"dr2.master.part{n:03d}.parquet" for n in range(3)]
    assert [path.name for path in parts.glob("dr2.images.*")] == ["dr2.images.csv.gz"]
    truth = {path.name for path in (sky / "truth").iterdir()}
    assert truth == {"objects.parquet", "bad_rows.parquet", "sequences.parquet", "simulation.json"}


def test_rows_sent_twice_come_again_in_the_next_part(parts: Path) -> None:
    bad = pq.read_table(parts / "truth" / "bad_rows.parquet").to_pylist()
    twice = {row["object_id"] for row in bad if row["kind"] == "master_row_twice"}
    where: dict[int, list[int]] = {object_id: [] for object_id in twice}
    for number, path in enumerate(sorted(parts.glob("dr2.master.*"))):
        for object_id in pq.read_table(path)["object_id"].to_pylist():
            if object_id in twice:
                where[object_id].append(number)
    assert sorted(map(tuple, where.values())) == [(0, 1)] * 2 + [(1, 2)] * 2 + [(2, 2)] * 2


def columns_of(path: Path) -> list[tuple[str, str]]:
    """Names and types as the file itself tells them (CSV has names only)."""
    if path.suffix == ".parquet":
        return [(field.name, str(field.type)) for field in pq.read_schema(path)]
    if path.suffix == ".vot":
        return [(field.name, field.datatype) for field in parse(path).get_first_table().fields]
    if path.suffix == ".fits":
        with fits.open(path) as hdus:
            return [(column.name, column.format) for column in hdus[1].columns]
    header = duckdb.execute(f"SELECT * FROM read_csv('{path}', header = false, all_varchar = true) LIMIT 1").fetchall()
    return [(name, "") for name in header[0]]


NOT_SIMULATED = ("simbad.matches", "mast.observation", "mast.product", "followup.observations", "tess.light_curve")


@pytest.mark.parametrize("table", [table.name for table in CONTRACT.tables if table.name not in NOT_SIMULATED])
def test_files_have_all_columns_of_the_contract_in_its_order_and_of_its_types(sky: Path, table: str) -> None:
    columns = CONTRACT.table(table).columns
    path = next(path for path in sky.iterdir() if path.name.startswith(f"{table}."))
    found = columns_of(path)
    assert [name for name, _ in found] == [column.name for column in columns]
    if path.suffix == ".parquet":
        assert [kind for _, kind in found] == [str(arrow_type(column)) for column in columns]
    if path.suffix == ".vot":
        words = {
            "BIGINT": "long",
            "INTEGER": "int",
            "DOUBLE": "double",
            "REAL": "float",
            "SMALLINT": "short",
            "BOOLEAN": "boolean",
        }
        assert [kind for _, kind in found] == [words.get(column.type, "char") for column in columns]


def test_required_columns_hold_values_and_every_value_reads_as_its_type(sky: Path) -> None:
    for table in ("dr2.photometry", "dr2.images", "ext.allwise"):
        path = sky / f"{table}.csv.gz"
        types = {column.name: column.type for column in CONTRACT.table(table).columns}
        read = f"read_csv('{path}', columns = {types!r}, header = true, auto_detect = false)"
        for column in CONTRACT.table(table).columns:
            if column.required:
                count = duckdb.execute(f'SELECT count("{column.name}") FROM {read}').fetchall()[0][0]
                assert count > 0, column.name


@pytest.mark.parametrize("form", ["parquet", "csv", "csv.gz", "votable-binary2", "votable-binary", "votable-tabledata"])
def test_ids_of_19_digits_are_the_same_in_every_format(sky: Path, tmp_path: Path, form: str) -> None:
    simulate(tmp_path / "sky", 1_000, 7, format=form)
    expected = ids(sky)
    assert ids(tmp_path / "sky") == expected
    long_ones = expected["ext.gaia_dr2", "source_id"] + expected["ext.allwise", "cntr"]
    assert all(len(str(value)) == 19 for value in long_ones)
    assert any(int(float(value)) != value for value in long_ones)


def ids(directory: Path) -> dict[tuple[str, str], list[Any]]:
    found = {}
    for table, columns in ID_COLUMNS.items():
        path = next(path for path in directory.iterdir() if path.name.startswith(f"{table}."))
        for column in columns:
            found[table, column] = read_column(path, column)
    return found


def read_column(path: Path, column: str) -> list[Any]:
    if path.suffix == ".parquet":
        return list(pq.read_table(path)[column].to_pylist())
    if path.suffix == ".vot":
        values = parse(path, columns=[column]).get_first_table().array[column]
        return [None if masked else int(v) for v, masked in zip(values.data, np.ma.getmaskarray(values), strict=True)]
    if path.suffix == ".fits":
        with fits.open(path) as hdus:
            return [int(value) for value in hdus[1].data[column]]
    query = f"SELECT CAST({column} AS BIGINT) FROM read_csv('{path}', header = true, all_varchar = true)"
    return [row[0] for row in duckdb.execute(query).fetchall()]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_objects(tmp_path: Path) -> None:
    def peak(objects: int) -> int:
        tracemalloc.start()
        simulate(tmp_path / str(objects), objects, 1, batch=500)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1_000)  # what is imported and cached on first use
    assert peak(3_000) < 1.25 * peak(1_500)


def test_quotas_are_exact_and_no_kind_is_missing_in_the_smallest_sky() -> None:
    for objects in (1_000, 12_345):
        plan = make_plan(objects, np.random.default_rng(0))
        kinds = np.array([entry.kind for entry in plan.entries])[plan.codes]
        counts = dict(zip(KINDS, np.bincount(kinds, minlength=len(KINDS)), strict=True))
        assert len(plan.codes) == objects
        assert min(counts.values()) >= 8 or counts["carbon_star"] == 12
        assert counts["flickerer"] == max(20, round(0.004 * objects))


def test_fits_holds_booleans_as_numbers_with_their_nulls(sky: Path, tmp_path: Path) -> None:
    made = simulate(tmp_path / "sky", 1_000, 7, format="fits")
    assert {file.path.suffix for file in made.files} == {".fits"}
    with fits.open(tmp_path / "sky" / "dr2.photometry.fits") as hdus:
        column = hdus[1].columns["used_in_clip"]
        flags = hdus[1].data["used_in_clip"]
        assert column.format == "I"
        found = {True: int((flags == 1).sum()), False: int((flags == 0).sum()), None: int((flags == column.null).sum())}
    wanted = duckdb.sql(f"SELECT used_in_clip, count(*) FROM '{sky}/dr2.photometry.csv.gz' GROUP BY ALL").fetchall()
    assert found == dict(wanted)
    assert min(found.values()) > 0


@pytest.mark.parametrize("objects", [0, 999, 1_000_001])
def test_impossible_numbers_are_refused_before_anything_is_written(tmp_path: Path, objects: int) -> None:
    with pytest.raises(UsageError, match="cannot be simulated"):
        simulate(tmp_path / "sky", objects, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_holds_something_and_formats_that_do_not_fit_are_refused(sky: Path, tmp_path: Path) -> None:
    before = checksums(sky)
    with pytest.raises(UsageError, match="not empty"):
        simulate(sky, 1_000, 9)
    assert checksums(sky) == before
    with pytest.raises(UsageError, match="no format 'xls'"):
        simulate(tmp_path / "sky", 1_000, 1, format="xls")
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_a_summary_json_and_an_example(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(simulate_command)
    runner = CliRunner()
    shown = runner.invoke(app, ["--help"])
    assert "Example: skysy simulate" in " ".join(shown.output.split())
    listed = tmp_path / "known.csv"
    words = [str(tmp_path / "a"), "--objects", "1000", "--seed", "3"]
    told = runner.invoke(app, [*words, "--known", str(listed)])
    assert told.exit_code == 0, told.output
    assert "dr2.photometry" in told.output
    assert listed.read_bytes() == (tmp_path / "a" / "known.objects.csv").read_bytes()
    words[0] = str(tmp_path / "b")
    answer = json.loads(runner.invoke(app, [*words, "--json"]).stdout)
    assert answer["objects"] == 1_000
    assert answer["rows"]["dr2.master"] == 1_000 + 2
    assert {Path(file["path"]).name for file in answer["files"]} == {p.name for p in (tmp_path / "b").glob("*.*")}


def test_progress_is_told_after_each_batch(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    simulate(tmp_path / "sky", 1_000, 1, batch=400, progress=lambda done, total: told.append((done, total)))
    assert told == [(400, 1_000), (800, 1_000), (1_000, 1_000)]
