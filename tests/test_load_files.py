"""`skysy load` takes the files that are named after tables, whatever the path, and leaves the others alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import DR2
from load_bench import DISTANCE, IMAGES, KNOWN, PHOTOMETRY, Bench, copy_of, row_of
from skysy.loaders.files import discover, part_of
from skysy.loaders.load import load_directory, plan_directory

from skysy.config import Settings
from skysy.contract import load_contract
from skysy.errors import FileDamaged, LoadError, NotFound, SkysyError, UsageError
from skysy.store import open_warehouse

pytest_plugins = ("load_fixtures",)

CONTRACT = load_contract(DR2)


@pytest.mark.parametrize(
    ("name", "table", "part"),
    [
        ("dr2.master.parquet", "dr2.master", ""),
        ("dr2.photometry.part003.csv.gz", "dr2.photometry", "part003"),
        ("ext.gaia_dr2.vot", "ext.gaia_dr2", ""),
        ("gaiadr2_complements.geometric_distance.fits", "gaiadr2_complements.geometric_distance", ""),
        ("DR2.Photometry.Part3.CSV.GZ", "dr2.photometry", "part3"),
        ("dr2.images.2018.03.xml.gz", "dr2.images", "2018.03"),
        ("ext.allwise.fits.gz", "ext.allwise", ""),
        ("known.objects.pq", "known.objects", ""),
    ],
)
def test_a_name_tells_table_and_part(name: str, table: str, part: str) -> None:
    assert part_of(name, CONTRACT) == (table, part)


@pytest.mark.parametrize(
    "name", ["dr2.masters.csv", "master.csv", "dr2.master", "dr2.master.csv.part", "dr2.master.txt", ".dr2.master.csv"]
)
def test_other_names_are_no_tables(name: str) -> None:
    assert part_of(name, CONTRACT) is None


def test_tables_are_loaded_in_contract_order_parts_by_name_and_the_rest_is_listed(bench: Bench) -> None:
    bench.write("known.objects.csv", KNOWN, "csv", [row_of(KNOWN)])
    for number in (2, 1):
        row = row_of(PHOTOMETRY, object_id=number)
        bench.write(f"dr2.photometry.part{number}.csv.gz", PHOTOMETRY, "csv.gz", [row])
    bench.text("README.txt", "hello")
    bench.text("dr2.photometry.part3.csv.gz.part", "half of it")
    (bench.files / "truth").mkdir()
    summary = bench.load()
    assert [one.source for one in summary.files] == [
        "dr2.photometry.part1.csv.gz", "dr2.photometry.part2.csv.gz", "known.objects.csv",
    ]  # fmt: skip
    assert summary.ignored == ("README.txt", "dr2.photometry.part3.csv.gz.part")
    assert bench.values(PHOTOMETRY, "object_id") == [1, 2]


@pytest.mark.parametrize("place", ["with blank", "o'clock", 'a "quote"', "x[1]y*z?", "object_id=5", "ünï", "a;b--c"])
def test_any_directory_and_file_name_will_do(prepared: Settings, tmp_path: Path, place: str) -> None:
    bench = Bench(tmp_path / place, copy_of(prepared, tmp_path).settings)
    bench.files.mkdir()
    for number, (form, suffix) in enumerate(
        [("parquet", "parquet"), ("csv.gz", "csv.gz"), ("votable-binary2", "vot"), ("fits", "fits")]
    ):
        bench.write(f"{DISTANCE}.{place}{number}.{suffix}", DISTANCE, form, [row_of(DISTANCE, source_id=number)])
    assert [one.rows for one in bench.load().files] == [1] * 4
    assert bench.values(DISTANCE, "source_id") == [0, 1, 2, 3]


def test_a_name_with_a_star_brings_that_file_and_no_other(bench: Bench) -> None:
    for name, number in (("*", 1), ("part2", 2)):
        bench.write(f"{DISTANCE}.{name}.parquet", DISTANCE, "parquet", [row_of(DISTANCE, source_id=number)])
    assert bench.outcomes() == {f"{DISTANCE}.*.parquet": "loaded", f"{DISTANCE}.part2.parquet": "loaded"}
    assert bench.values(DISTANCE, "source_id") == [1, 2]


def test_a_directory_that_is_not_there_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere is not a directory"):
        plan_directory(None, DR2, tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file is not a directory"):
        plan_directory(None, DR2, tmp_path / "file")
    with pytest.raises(NotFound, match="no release 'dr9'"):
        plan_directory(None, "dr9", tmp_path)


def test_a_directory_without_a_table_says_how_files_are_named(bench: Bench) -> None:
    bench.text("master.csv", "object_id\n1\n")
    error = bench.refused(LoadError, "No file in", "named after a table of skymapper_dr2")
    assert "dr2.master.parquet" in error.remedy
    assert "known.objects" in error.remedy


def test_the_same_part_in_two_formats_is_refused_before_anything_is_loaded(bench: Bench) -> None:
    bench.write("dr2.images.csv", IMAGES, "csv", [row_of(IMAGES)])
    for form, suffix in (("csv", "csv"), ("parquet", "parquet")):
        bench.write(f"dr2.photometry.a.{suffix}", PHOTOMETRY, form, [row_of(PHOTOMETRY)])
    error = bench.refused(LoadError, "dr2.photometry.a.csv", "dr2.photometry.a.parquet")
    assert "different part names" in error.remedy
    (bench.files / "dr2.photometry.a.csv").unlink()
    assert set(bench.outcomes().values()) == {"loaded"}


def test_a_file_that_cannot_be_read_is_named_and_the_others_stay(bench: Bench) -> None:
    bench.write("dr2.images.csv", IMAGES, "csv", [row_of(IMAGES)])
    bench.load()
    broken = bench.files / "known.objects.csv"
    broken.symlink_to(bench.files / "not there")
    bench.refused(FileDamaged, "known.objects.csv", "No such file")
    broken.unlink()
    bench.write("known.objects.csv", KNOWN, "csv", [row_of(KNOWN)])
    assert bench.outcomes() == {"dr2.images.csv": "unchanged", "known.objects.csv": "loaded"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(bench: Bench) -> None:
    bench.write("known.objects.csv", KNOWN, "csv", [row_of(KNOWN)]).chmod(0)
    bench.refused(FileDamaged, "known.objects.csv", "Permission denied")


def test_an_error_of_the_disk_while_reading_is_told_in_words(bench: Bench) -> None:
    memory = Path("/proc/self/mem")  # opens, and cannot be read at its start
    if not memory.exists():
        pytest.skip("needs /proc")
    (bench.files / "known.objects.csv").symlink_to(memory)
    bench.refused(FileDamaged, "known.objects.csv", "cannot be read")


def test_a_pipe_is_left_alone_and_nobody_waits_for_it(bench: Bench) -> None:
    os.mkfifo(bench.files / "dr2.photometry.csv")
    bench.write("known.objects.csv", KNOWN, "csv", [row_of(KNOWN)])
    assert bench.outcomes() == {"known.objects.csv": "loaded"}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_that_grows_while_it_is_read_is_not_kept(
    bench: Bench, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bench.write(f"known.objects.{form}", KNOWN, form, [row_of(KNOWN)])
    from skysy.loaders import load

    def slowly(file: Path) -> str:
        found = sha256_of(file)
        os.utime(path, ns=(1, 1))
        return found

    sha256_of = load.sha256_of
    monkeypatch.setattr(load, "sha256_of", slowly)
    bench.refused(FileDamaged, path.name, "was changed while it was read")
    monkeypatch.undo()
    assert bench.one().outcome == "loaded"


def test_files_of_two_releases_in_one_warehouse_that_would_share_a_table_do_not_mix(bench: Bench) -> None:
    """s82 has tables of its own, so both releases live side by side; each knows only its files."""
    bench.text("s82.periods.csv", "object_id,period\n13350,0.5\n")
    bench.write("known.objects.csv", KNOWN, "csv", [row_of(KNOWN)])
    assert bench.outcomes() == {"known.objects.csv": "loaded"}
    with open_warehouse(bench.settings, write=True) as warehouse:
        found = load_directory(warehouse, "sdss_s82", bench.files)
    assert [one.source for one in found.files] == ["s82.periods.csv"]
    assert bench.outcomes() == {"known.objects.csv": "unchanged"}


def test_an_unreadable_directory_is_an_error_in_words(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", forbidden)
    with pytest.raises(SkysyError, match="cannot be read: Permission denied"):
        discover(bench.files, CONTRACT)
