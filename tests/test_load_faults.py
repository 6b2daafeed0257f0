"""Faults, each caused for real: what is cut, garbled or no table at all is refused in words, and nothing else is touched."""

from __future__ import annotations

import gzip
import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import DR2
from load_bench import DISTANCE, IMAGES, KNOWN, PHOTOMETRY, VOTABLES, Bench, copy_of, row_of

from skysy.config import Settings
from skysy.errors import FileDamaged, LoadError
from skysy.formats.write import SUFFIX

pytest_plugins = ("load_fixtures",)

FORMS = ("parquet", "csv.gz", *VOTABLES, "fits")
ROWS = [row_of(DISTANCE, source_id=4075332117418593537 + n, r_est=1000.5 + n) for n in range(900)]


@pytest.fixture
def settled(bench: Bench) -> Bench:
    """A bench that has a table loaded already, which no fault may touch."""
    bench.write("known.objects.csv", KNOWN, "csv", [row_of(KNOWN)])
    bench.load()
    return bench


def whole(bench: Bench, form: str) -> tuple[Path, bytes]:
    """A good file of 900 rows, and its bytes."""
    path = bench.write(f"{DISTANCE}{SUFFIX[form]}", DISTANCE, form, ROWS)
    return path, path.read_bytes()


def mended(bench: Bench, path: Path, content: bytes) -> None:
    """The right file in the place of the bad one: the same command works."""
    path.write_bytes(content)
    assert bench.outcomes()[path.name] == "loaded"
    assert bench.rows(f"SELECT count(*), min(r_est), max(r_est) FROM {DISTANCE}") == [(900, 1000.5, 1899.5)]


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_cut_anywhere_is_refused_by_name(settled: Bench, form: str) -> None:
    path, content = whole(settled, form)
    size = len(content)
    cuts = [0, 7, size // 50, size // 2, size - 12]
    if form == "fits":  # the last block is padded; what is cut from the padding is nothing
        cuts[-1] = size - 2880
    for cut in cuts:
        path.write_bytes(content[:cut])
        settled.refused(FileDamaged, path.name)
    mended(settled, path, content)


@pytest.mark.parametrize("form", ["csv.gz", "votable-binary2", "fits"])
def test_a_packed_file_that_is_cut_or_garbled_is_refused_by_name(settled: Bench, form: str) -> None:
    path, content = whole(settled, form)
    if form != "csv.gz":
        path.unlink()
        path, content = path.with_name(f"{path.name}.gz"), gzip.compress(content)
    size = len(content)
    for damaged in (
        content[: size // 2],
        content[:-1],
        content[:-8],
        content[:-6] + b"\x00\x00" + content[-4:],  # the checksum at the end
        content[: size // 2] + bytes([content[size // 2] ^ 0xFF]) + content[size // 2 + 1 :],
        content + b"rubbish",
        b"not packed at all, although it is named so\n" * 9,
        b"",
    ):
        path.write_bytes(damaged)
        settled.refused(FileDamaged, path.name)
    mended(settled, path, content)


def test_a_gzip_file_of_several_members_or_padded_with_zeros_is_whole(bench: Bench) -> None:
    parts = [b"object_id,name\n1,a\n", b"2,", b"b\n3,c\n", b""]
    bench.text("known.objects.csv.gz", b"".join(gzip.compress(part) for part in parts) + b"\0" * 700)
    assert bench.one().rows == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,a,x\n2,b\n", "line 3: 2 fields, where the header has 3"),
        ("1,a,x\n2\n", "line 3: 1 fields, where the header has 3"),
        ("1,a,x\n2,b,y,z\n3,c,w\n", "line 3: 4 fields, where the header has 3"),
        ('1,a,x\n2,"b\n3,c,z\n', "a quote is opened and never closed"),
        ('1,a,x\n2,"b', "a quote is opened and never closed"),
        ('1,"a\nb",x\n2,b\n', "line 4: 2 fields"),
    ],
)
def test_a_csv_whose_rows_do_not_fit_its_header_is_refused_with_the_line(settled: Bench, text: str, words: str) -> None:
    settled.text("known.objects.2.csv", f"object_id,name,source\n{text}")
    settled.refused(FileDamaged, "known.objects.2.csv", words)
    settled.text("known.objects.2.csv", "object_id,name,source\n1,a,x\n")
    assert settled.outcomes()["known.objects.2.csv"] == "loaded"


def test_a_csv_in_another_encoding_is_refused_with_the_line(settled: Bench) -> None:
    text = "object_id,name\n1,plain\n2,Ångström\n"
    settled.text("known.objects.2.csv", text.encode("latin-1"))
    settled.refused(FileDamaged, "known.objects.2.csv, line 3: it is not UTF-8 text")
    settled.text("known.objects.2.csv", text.encode("utf-16"))
    settled.refused(FileDamaged, "known.objects.2.csv is not CSV")


PAGE = (
    "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head><body><h1>Sorry&nbsp;<br></h1></body></html>\n"
)


@pytest.mark.parametrize("suffix", ["csv", "vot", "parquet", "fits"])
@pytest.mark.parametrize("page", [PAGE, "\n  " + PAGE.lower(), "503 Service Unavailable\n", '{"error": "busy"}'])
def test_a_page_in_the_place_of_a_table_is_refused_by_name(settled: Bench, suffix: str, page: str) -> None:
    path = settled.text(f"{DISTANCE}.{suffix}", page)
    with pytest.raises(LoadError) as caught:
        settled.load()
    assert path.name in caught.value.message
    if "<" in page and suffix in ("csv", "vot"):
        assert "web page" in caught.value.message + caught.value.remedy
    path.unlink()


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_another_format_than_its_name_says_is_refused(settled: Bench, form: str) -> None:
    _, content = whole(settled, form)
    (settled.files / f"{DISTANCE}{SUFFIX[form]}").unlink()
    for suffix in {"parquet", "csv", "csv.gz", "vot", "fits"} - {SUFFIX[form][1:]}:
        path = settled.text(f"{DISTANCE}.{suffix}", content)
        with pytest.raises(LoadError, match=path.name):
            settled.load()
        path.unlink()


def votable(bench: Bench, form: str, before: str = "OK", after: str = "", rows: str = "900") -> Path:
    """The good VOTable with another status before its table, a status after it, or another number of rows."""
    path, content = whole(bench, form)
    text = content.decode().replace('value="OK"/>', f'value="{before}">because of this</INFO>')
    text = text.replace("</RESOURCE>", f"{after}</RESOURCE>").replace('nrows="900"', rows and f'nrows="{rows}"')
    path.write_text(text)
    return path


STATUS = '<INFO name="QUERY_STATUS" value="{}">because of this</INFO>'


@pytest.mark.parametrize("form", VOTABLES)
@pytest.mark.parametrize("status", ["ERROR", "OVERFLOW", "overflow"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_votable_that_says_that_it_failed_or_was_cut_is_refused_whatever_it_holds(
    settled: Bench, form: str, status: str, where: str
) -> None:
    path = votable(settled, form, **{where: status if where == "before" else STATUS.format(status)})
    error = settled.refused(FileDamaged, path.name, "because of this")
    assert ("MAXREC" in error.remedy) == (status.upper() == "OVERFLOW")


@pytest.mark.parametrize("form", VOTABLES)
def test_a_votable_with_other_rows_than_it_counts_is_refused(settled: Bench, form: str) -> None:
    for rows in ("899", "901", "0"):
        votable(settled, form, rows=rows)
        settled.refused(FileDamaged, f"says that it holds {rows} rows; 900 came")
    path = votable(settled, form, rows="")
    assert settled.outcomes()[path.name] == "loaded"


def test_an_error_document_without_a_table_tells_the_archives_words(settled: Bench) -> None:
    path = settled.text(
        f"{DISTANCE}.vot",
        '<VOTABLE xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
        '<INFO name="QUERY_STATUS" value="ERROR">Timeout\n  of 30 s</INFO></RESOURCE></VOTABLE>',
    )
    settled.refused(FileDamaged, path.name, "Timeout of 30 s")


def test_a_broken_row_of_tabledata_is_named(settled: Bench) -> None:
    path, content = whole(settled, "votable-tabledata")
    text = content.decode()
    path.write_text(text.replace("<TD>1010.5</TD>", "", 1))
    settled.refused(FileDamaged, "row 11 has 3 cells for 4 columns")
    path.write_text(text.replace("<TD>1010.5</TD>", "<TD>far</TD>", 1))
    settled.refused(FileDamaged, "row 11, column r_est: 'far' is no double")
    mended(settled, path, content)


@pytest.mark.parametrize("form", FORMS)
def test_random_damage_is_an_error_or_leaves_rows_but_never_a_traceback(
    prepared: Settings, tmp_path: Path, form: str
) -> None:
    """Bits flipped in the middle cannot always be seen: of the formats only gzip has a checksum. Lost rows always can."""
    bench = copy_of(prepared, tmp_path)
    path, content = whole(bench, form)
    dice = random.Random(20180301)
    for turn in range(15):
        damaged = bytearray(content)
        if turn % 5 == 4:
            start = dice.randrange(len(damaged) - 1)
            del damaged[start : start + dice.randrange(1, 4000)]
        else:
            for _ in range(dice.choice((1, 1, 5, 50))):
                damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        if bytes(damaged) == content:
            continue
        path.write_bytes(damaged)
        try:
            done = bench.load(replace=True).files[0]
        except LoadError as error:
            assert path.name in error.message
            continue
        assert done.rows == 900
        if form == "csv.gz":
            assert bench.rows(f"SELECT sum(r_est), max(source_id) FROM {DISTANCE}") == [
                (sum(row["r_est"] for row in ROWS), ROWS[-1]["source_id"])
            ]


@contextmanager
def command(bench: Bench, *words: str, largest_file: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """`skysy load` of the bench as a process of its own, which may not make files larger than `largest_file` bytes."""

    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    arguments = ["load", "--release", DR2, "--from", str(bench.files), "--warehouse", str(bench.settings.warehouse)]
    with subprocess.Popen(
        [sys.executable, "-m", "skysy", *arguments, *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, preexec_fn=limit,
        env={**os.environ, "NO_COLOR": "1"},
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def big_images(bench: Bench) -> None:
    dice = random.Random(1)
    lines = [f"{n},58178,{dice.random()},1,100,u,ms,{dice.random()},{dice.random()}" for n in range(60_000)]
    header = "image_id,night_mjd,date,field_id,exp_time,filter,image_type,ra,decl"
    bench.text("dr2.images.csv", "\n".join([header, *lines, ""]))


def test_a_full_disk_is_told_in_words_and_the_same_command_works_when_there_is_room(settled: Bench) -> None:
    big_images(settled)
    before = settled.hashes()
    with command(settled, largest_file=1 << 20) as process:
        told = process.communicate(timeout=60)[1]
    assert process.returncode == 3, told
    assert "Traceback" not in told
    assert "The disk is full" in told
    assert "Make room" in told
    assert settled.hashes() == before
    assert settled.outcomes() == {"dr2.images.csv": "loaded", "known.objects.csv": "unchanged"}
    assert settled.rows("SELECT count(*) FROM dr2.images") == [(60_000,)]


def test_too_little_memory_is_told_in_words(bench: Bench) -> None:
    big_images(bench)
    before = bench.hashes()
    with command(bench, "--memory-limit", "2MB") as process:
        told = process.communicate(timeout=60)[1]
    assert process.returncode == 4, told
    assert "Traceback" not in told
    assert "needs more memory than" in told
    assert "--memory-limit" in told
    assert bench.hashes() == before
    assert bench.one().rows == 60_000


def test_a_second_load_at_the_same_time_is_one_plain_sentence(bench: Bench) -> None:
    pipe = bench.files / "wait"
    os.mkfifo(pipe)
    bench.write("dr2.images.csv", IMAGES, "csv", [row_of(IMAGES)])
    code = (
        "import sys\nfrom pathlib import Path\nfrom skysy.config import settings\nfrom skysy.store import open_warehouse\n"
        "with open_warehouse(settings(Path(sys.argv[1]), '200MB', 1), write=True):\n"
        "    print('open', flush=True)\n    open(sys.argv[2]).read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(bench.settings.warehouse), str(pipe)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with command(bench) as process:
            told = process.communicate(timeout=60)[1]
        pipe.write_text("done")
    assert process.returncode == 3
    assert "is in use by" in told
    assert "Nothing was changed" in told
    assert "Traceback" not in told
    with command(bench) as process:
        told = process.communicate(timeout=60)[1]
    assert process.returncode == 0, told
    assert bench.rows(f"SELECT count(*) FROM {IMAGES}") == [(1,)]


def test_the_files_before_a_bad_one_stay_and_the_next_load_goes_on(bench: Bench) -> None:
    bench.write("dr2.photometry.1.csv", PHOTOMETRY, "csv", [row_of(PHOTOMETRY)])
    bench.text("dr2.photometry.2.csv", "object_id\n1\n")
    bench.write("dr2.photometry.3.csv", PHOTOMETRY, "csv", [row_of(PHOTOMETRY, image_id=3)])
    with pytest.raises(LoadError, match=r"dr2\.photometry\.2\.csv"):
        bench.load()
    assert bench.values(PHOTOMETRY, "image_id") == [20180301123456]
    assert bench.rows("SELECT state FROM meta.run") == [("failed",)]
    bench.write("dr2.photometry.2.csv", PHOTOMETRY, "csv", [row_of(PHOTOMETRY, image_id=2)])
    assert list(bench.outcomes().values()) == ["unchanged", "loaded", "loaded"]
    assert bench.values(PHOTOMETRY, "image_id") == [2, 3, 20180301123456]
