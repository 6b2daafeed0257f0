"""A HATS catalogue named after a table is loaded file by file, each once, or refused with the file that is wrong named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import DR2, Sky
from hats_files import served, write_hats
from load_bench import CONTRACT, KNOWN, Bench, row_of
from skysy.loaders import hats
from skysy.loaders.files import discover
from skysy.loaders.load import plan_directory
from skysy.loaders.mirror import local_directory
from typer.testing import CliRunner

from skysy import ledger
from skysy.cli.commands import app
from skysy.config import Settings
from skysy.errors import ArchiveUnreachable, ContractError, FileDamaged, LoadError, SourceChanged, UsageError
from skysy.store import open_warehouse

pytest_plugins = ("load_fixtures",)

TABLE = CONTRACT.table("ext.twomass_psc")
ROWS = 240


@cache
def rows_of(sky: Settings) -> tuple[pa.Table, str]:
    """Rows of ext.twomass_psc of the simulated sky, and their content hash."""
    names = [column.name for column in TABLE.columns]
    listed = ", ".join(f'"{name}"' for name in names)
    with open_warehouse(sky) as house:
        house.run(f"CREATE TEMP TABLE chosen AS SELECT {listed} FROM ext.twomass_psc t ORDER BY hash(t) LIMIT {ROWS}")
        return house.con.sql("FROM chosen").to_arrow_table(), ledger.content_hash(house.con, "chosen", names)


@pytest.fixture(scope="session")
def written(simulated: Sky, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of some files, to copy."""
    rows, _ = rows_of(simulated.settings)
    where = tmp_path_factory.mktemp("hats") / "ext.twomass_psc"
    return write_hats(where, rows, TABLE.columns, "ra", "decl", 90)


@pytest.fixture
def wanted(simulated: Sky) -> str:
    """The content hash of the catalogue's rows."""
    return rows_of(simulated.settings)[1]


@pytest.fixture
def there(bench: Bench, written: Path) -> Path:
    """The catalogue in the bench's directory."""
    return Path(shutil.copytree(written, bench.files / "ext.twomass_psc"))


def files_of(catalogue: Path) -> list[str]:
    dataset = catalogue / "dataset"
    return sorted(f"ext.twomass_psc/{path.relative_to(dataset)}" for path in dataset.rglob("Npix=*.parquet"))


def change(path: Path, old: str, new: str) -> None:
    """One text for another in a file that has it."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def load(bench: Bench, source: str, *words: str) -> Exception | str:
    """What the command prints, or raises."""
    where = ["--warehouse", str(bench.settings.warehouse), "--threads", "1"]
    result = CliRunner().invoke(app, ["load", "--release", DR2, "--from", source, *where, *words])
    return result.exception if isinstance(result.exception, Exception) else result.output


def test_a_catalogue_brings_the_rows_of_its_files_each_once_and_says_what_it_left(
    bench: Bench, there: Path, wanted: str
) -> None:
    bench.write("known.objects.csv", KNOWN, "csv", [row_of(KNOWN)])
    (bench.files / "truth").mkdir()
    done = bench.load()
    leaves = [one for one in done.files if one.format == "hats"]
    assert [one.source for one in leaves] == files_of(there)
    assert len(leaves) > 3
    assert {one.outcome for one in done.files} == {"loaded"}
    assert sum(one.rows for one in leaves) == ROWS
    assert {tuple(one.notes["ignored_columns"]) for one in leaves} == {("_healpix_29",)}
    assert done.ignored == ()
    assert bench.hash("ext.twomass_psc") == wanted
    assert {one.outcome for one in bench.load().files} == {"unchanged"}
    assert bench.hash("ext.twomass_psc") == wanted
    said = bench.rows("SELECT DISTINCT format, service, expected_rows = received_rows FROM meta.chunk")
    assert sorted(said) == [("csv", "file", None), ("hats", "file", True)]


def test_a_plan_counts_the_files_and_the_command_notes_columns_once(bench: Bench, there: Path) -> None:
    planned = plan_directory(None, DR2, bench.files)
    assert [one.source for one in planned.files] == files_of(there)
    assert sum(one.rows for one in planned.files) == ROWS
    told = load(bench, f"file://{bench.files}")
    assert isinstance(told, str)
    [note] = [line for line in told.splitlines() if line.startswith("note:")]
    assert note.startswith(f"note: ext.twomass_psc ({len(files_of(there))} files): columns")
    assert "_healpix_29" in note


def as_itself(there: Path) -> Path:
    return there


def as_older(there: Path) -> Path:
    """With the older file of properties, and columns of the path in each file, as hats-import once wrote them."""
    (there / "hats.properties").unlink()
    for path in there.rglob("Npix=*.parquet"):
        table = pq.ParquetFile(path).read()
        for name, number in (("Norder", 1), ("Dir", 0), ("Npix", 40)):
            table = table.append_column(name, pa.array([number] * len(table), pa.int32()))
        pq.write_table(table, path)
    return there.parent


def as_collection(there: Path) -> Path:
    """A collection of the catalogue and a margin."""
    there.rename(there.parent / "main")
    there.mkdir()
    (there.parent / "main").rename(there / "main")
    shutil.copytree(there / "main", there / "near")
    change(there / "near" / "hats.properties", "dataproduct_type=object", "dataproduct_type=margin")
    (there / "collection.properties").write_text(
        "#HATS Collection\nobs_collection=x\nhats_primary_table_url=main\nall_margins=near\n"
    )
    return there.parent


def as_directories(there: Path) -> Path:
    """Cells that are directories of two files."""
    for path in list(there.rglob("Npix=*.parquet")):
        table = pq.ParquetFile(path).read()
        path.unlink()
        path.with_suffix("").mkdir()
        pq.write_table(table.slice(0, 7), path.with_suffix("") / "part0.parquet")
        pq.write_table(table.slice(7), path.with_suffix("") / "part1.parquet")
    for name in ("hats.properties", "properties"):
        change(there / name, "hats_npix_suffix=.parquet", "hats_npix_suffix=/")
    return there.parent


def without_partitions(there: Path) -> Path:
    """Listed by the footers alone."""
    (there / "partition_info.csv").unlink()
    return there.parent


def with_a_margin(there: Path) -> Path:
    """A margin beside it, named as a part of it would be."""
    near = there.parent / "ext.twomass_psc.near"
    shutil.copytree(there, near)
    change(near / "hats.properties", "dataproduct_type=object", "dataproduct_type=margin")
    return there.parent


@pytest.mark.parametrize(
    "form", [as_itself, as_older, as_collection, as_directories, without_partitions, with_a_margin]
)
def test_every_form_of_a_catalogue_brings_the_same_rows(
    bench: Bench, there: Path, wanted: str, form: Callable[[Path], Path]
) -> None:
    told = load(bench, str(form(there)), "--json")
    assert isinstance(told, str), told
    assert bench.hash("ext.twomass_psc") == wanted
    if form is with_a_margin:
        assert '"ext.twomass_psc.near/"' in told
    if form is as_older:
        said = bench.rows("SELECT DISTINCT notes ->> 'ignored_columns' FROM meta.chunk")
        assert said == [('["_healpix_29","Norder","Dir","Npix"]',)]


def a_file_less(there: Path) -> str:
    path = next(iter(sorted(there.rglob("Npix=*.parquet"))))
    path.unlink()
    return str(path.relative_to(there / "dataset"))


def a_file_more(there: Path) -> str:
    path = next(iter(sorted(there.rglob("Npix=*.parquet"))))
    shutil.copy(path, path.with_name("Npix=99.parquet"))
    return "Npix=99.parquet"


def a_file_cut(there: Path) -> str:
    path = next(iter(sorted(there.rglob("Npix=*.parquet"))))
    path.write_bytes(path.read_bytes()[:-20])
    return str(path.relative_to(there / "dataset"))


def rows_less(there: Path) -> str:
    path = next(iter(sorted(there.rglob("Npix=*.parquet"))))
    pq.write_table(pq.ParquetFile(path).read().slice(1), path)
    return f"{ROWS - 1} rows"


def rows_that_the_list_denies(there: Path) -> str:
    lines = (there / "partition_info.csv").read_text().splitlines()
    first = lines[1].split(",")
    (there / "partition_info.csv").write_text(
        "\n".join(["Norder,Npix,num_rows", f"{lines[1]},9999", *[f"{line}," for line in lines[2:]]])
    )
    return f"Norder={first[0]}/Dir=0/Npix={first[1]}.parquet"


def no_list(there: Path) -> str:
    (there / "partition_info.csv").unlink()
    (there / "dataset" / "_metadata").unlink()
    return "partition_info.csv"


def a_list_of_nothing(there: Path) -> str:
    (there / "partition_info.csv").write_text("<html>not found</html>\n1\n")
    return "partition_info.csv"


def no_properties(there: Path) -> str:
    (there / "hats.properties").unlink()
    (there / "properties").unlink()
    return "hats.properties"


@pytest.mark.parametrize(
    "harm",
    [
        a_file_less,
        a_file_more,
        a_file_cut,
        rows_less,
        rows_that_the_list_denies,
        no_list,
        a_list_of_nothing,
        no_properties,
    ],
)
def test_a_catalogue_that_is_not_whole_is_refused_before_anything_is_loaded(
    bench: Bench, there: Path, harm: Callable[[Path], str]
) -> None:
    named = harm(there)
    bench.refused(FileDamaged, "ext.twomass_psc", named)


def test_a_file_with_ids_that_were_floats_is_refused_and_mended_it_goes_on_where_it_stopped(
    bench: Bench, there: Path, wanted: str
) -> None:
    first, last = files_of(there)[0], files_of(there)[-1]
    path = there / "dataset" / last.removeprefix("ext.twomass_psc/")
    whole = path.read_bytes()
    table = pq.ParquetFile(path).read()
    place = table.schema.get_field_index("pts_key")
    pq.write_table(table.set_column(place, "pts_key", table.column("pts_key").cast(pa.float64(), safe=False)), path)
    with pytest.raises(ContractError, match=f"{last}.*pts_key.*digits") as caught:
        bench.load()
    assert "Nothing of it was kept" in caught.value.remedy
    assert bench.rows("SELECT count(*) FROM meta.chunk") == [(len(files_of(there)) - 1,)]
    path.write_bytes(whole)
    assert bench.outcomes() == {name: "loaded" if name == last else "unchanged" for name in files_of(there)}
    assert bench.hash("ext.twomass_psc") == wanted
    assert first != last


def test_a_catalogue_cut_anew_takes_the_place_of_the_old_one_only_when_told_to(
    bench: Bench, there: Path, simulated: Sky, wanted: str
) -> None:
    bench.load()
    shutil.rmtree(there)
    write_hats(there, rows_of(simulated.settings)[0], TABLE.columns, "ra", "decl", 40)
    bench.refused(SourceChanged, "ext.twomass_psc/Norder=", "cut anew")
    bench.load(replace=True)
    assert bench.hash("ext.twomass_psc") == wanted
    assert [row[0] for row in bench.rows("SELECT source FROM meta.chunk ORDER BY source")] == files_of(there)


def test_a_file_and_a_catalogue_of_the_same_rows_are_never_both_loaded(
    bench: Bench, there: Path, simulated: Sky, wanted: str
) -> None:
    rows, _ = rows_of(simulated.settings)
    bench.write("ext.twomass_psc.parquet", "ext.twomass_psc", "parquet", rows)
    bench.refused(LoadError, "ext.twomass_psc.parquet and ext.twomass_psc ", "twice")
    aside = there.rename(bench.files / "aside")
    bench.load()
    aside.rename(there)
    (bench.files / "ext.twomass_psc.parquet").unlink()
    bench.refused(SourceChanged, "ext.twomass_psc", "ext.twomass_psc.parquet")
    bench.load(replace=True)
    assert bench.hash("ext.twomass_psc") == wanted
    shutil.rmtree(there)
    bench.write("ext.twomass_psc.parquet", "ext.twomass_psc", "parquet", rows)
    bench.refused(SourceChanged, "ext.twomass_psc.parquet", "ext.twomass_psc,")
    bench.load(replace=True)
    assert bench.hash("ext.twomass_psc") == wanted
    assert bench.rows("SELECT source FROM meta.chunk") == [("ext.twomass_psc.parquet",)]


def test_over_http_files_are_fetched_once_and_again_only_where_they_changed(
    bench: Bench, there: Path, wanted: str
) -> None:
    for path in there.rglob("*"):
        os.utime(path, (1e9, 1e9))
    with served(bench.files) as server:
        told = load(bench, server.url)
        assert isinstance(told, str), told
        assert bench.hash("ext.twomass_psc") == wanted
        leaves = [path for path, status in server.asked if "Npix" in path and status == 200]
        assert len(leaves) == len(set(leaves)) == len(files_of(there))
        server.asked.clear()
        before = bench.hashes()
        assert "unchanged" in str(load(bench, f"{server.url}/ext.twomass_psc"))
        server.asked.clear()
        assert "unchanged" in str(load(bench, f"{server.url}/ext.twomass_psc/"))
        assert server.statuses() == {304, 404}
        assert bench.hashes() == before
        path = there / "dataset" / files_of(there)[0].removeprefix("ext.twomass_psc/")
        table = pq.ParquetFile(path).read()
        pq.write_table(table.take(pa.array(range(len(table))[::-1])), path)
        os.utime(path, (1.1e9, 1.1e9))  # after the one that was fetched, before it was
        error = load(bench, server.url)
        assert isinstance(error, SourceChanged)
        assert files_of(there)[0] in error.message
        assert bench.hashes() == before
    [run] = bench.rows("SELECT arguments ->> 'from' FROM meta.run ORDER BY run_id LIMIT 1")
    assert run == (server.url,)
    assert not list(bench.settings.warehouse.rglob("*.part"))


def test_over_http_a_body_that_breaks_off_or_a_file_that_is_lost_is_named_and_the_same_command_goes_on(
    bench: Bench, there: Path, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skysy.loaders.archive.wire._FIRST_WAIT_S", 0.001)
    last = files_of(there)[-1]
    path = f"/ext.twomass_psc/dataset/{last.removeprefix('ext.twomass_psc/')}"
    with served(bench.files) as server:
        server.cut.add(path)
        error = load(bench, server.url)
        assert isinstance(error, ArchiveUnreachable)
        assert path in error.message
        assert bench.rows("SELECT count(*) FROM meta.chunk") == [(0,)]
        server.cut.clear()
        (bench.files / path.lstrip("/")).rename(bench.files / "aside")
        error = load(bench, server.url)
        assert isinstance(error, FileDamaged)
        assert last in error.message
        (bench.files / "aside").rename(bench.files / path.lstrip("/"))
        server.asked.clear()
        told = load(bench, server.url)
        assert isinstance(told, str), told
        assert [one for one, status in server.asked if "Npix" in one and status == 200] == [path]
    assert bench.hash("ext.twomass_psc") == wanted


def test_a_url_without_a_catalogue_of_a_table_is_told_and_nothing_is_fetched(bench: Bench, there: Path) -> None:
    there.rename(bench.files / "gaia")
    with served(bench.files) as server:
        for url, words in ((server.url, "no HATS catalogue"), (f"{server.url}/gaia", "not named after a table")):
            error = load(bench, url)
            assert isinstance(error, LoadError)
            assert words in error.message
            assert "ext.twomass_psc" in error.remedy
        assert not [path for path, _ in server.asked if "Npix" in path]
        error = load(bench, server.url, "--dry-run")
        assert isinstance(error, UsageError)
    assert not list((bench.settings.warehouse / "raw" / "hats").rglob("*.properties"))


def test_a_footer_that_points_out_of_the_catalogue_is_refused(bench: Bench, there: Path) -> None:
    change(there / "hats.properties", "hats_npix_suffix=.parquet", "hats_npix_suffix=/")
    footer = pq.read_metadata(there / "dataset" / "_metadata")
    footer.set_file_path("Norder=0/../../../../x.parquet")
    footer.write_metadata_file(there / "dataset" / "_metadata")
    with served(bench.files) as server:
        error = load(bench, server.url)
    assert isinstance(error, FileDamaged)
    assert "x.parquet', which no HATS catalogue has" in error.message


def test_urls_of_files_are_directories_and_other_kinds_are_refused() -> None:
    assert local_directory("archive") == Path("archive")
    assert local_directory("file:///sky/o%20ne") == Path("/sky/o ne")
    assert local_directory("https://example.org/hats") is None
    for odd in ("s3://bucket/hats", "file://elsewhere/hats", "http://"):
        with pytest.raises(UsageError, match="cannot be loaded"):
            local_directory(odd)


def test_catalogues_of_hats_import_are_read_with_as_many_rows_as_they_say() -> None:
    samples = os.environ.get("SKYSY_HATS_SAMPLES")
    if not samples:
        pytest.skip("SKYSY_HATS_SAMPLES names no directory with catalogues of hats-import")
    found = {}
    for path in sorted(Path(samples).iterdir()):
        if path.is_dir() and hats.is_hats(path) and hats.holds_rows(path):
            rows = [pq.read_metadata(file).num_rows for _, file in hats.leaves(path, path.name)]
            found[path.name] = (len(rows), sum(rows))
    assert found["small_sky_source"] == (14, 17161)
    assert found["small_sky_npix_as_dir"] == (1, 131)
    assert found["small_sky_o1_collection"] == found["small_sky_order1_nested_sources"] == (4, 131)
    with pytest.raises(LoadError):
        discover(Path(samples), CONTRACT)
