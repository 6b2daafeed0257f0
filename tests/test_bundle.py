"""A bundle made, moved and rebuilt without network gives the same results; one that was changed anywhere is found out."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from archive_client import Client, client, little, served, sky, user
from conftest import ENGINES, Sky, shared_sky
from skysy.analysis import figures
from test_full_disk import no_file_beyond
from test_own import MODEL
from typer.testing import CliRunner, Result

from skysy.bundle import bundle
from skysy.cli.bundle import _from_raw
from skysy.cli.commands import app
from skysy.config import Settings
from skysy.errors import FileDamaged, ModelError, NotFound, NotReproduced, SkysyError, UsageError, WarehouseFull
from skysy.own import make_own
from skysy.publish import publish
from skysy.store import open_warehouse
from skysy.verify import Verified, verify

__all__ = ["client", "little", "served", "sky", "user"]

NO_INTERNET = """
import socket, sys
def refuse(self, *_):
    raise AssertionError("a socket was opened to somewhere")
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.getaddrinfo = refuse
from skysy.cli import main
sys.argv = ["skysy", *sys.argv[1:]]
main()
"""
"""A skysy that cannot reach anything by a socket, so that asking shows."""


def no_figures(_: object, directory: Path) -> None:
    directory.mkdir()
    (directory / "figure.png").write_bytes(b"a figure")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Sky:
    return shared_sky(tmp_path_factory, 1_000)


@pytest.fixture(scope="module")
def paper(small: Sky, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a small sky; not to be changed."""
    target = tmp_path_factory.mktemp("bundle") / "paper.tar"
    bundle(small.settings, target, draw=no_figures, engines=ENGINES)
    return target


@pytest.fixture
def unpacked(paper: Path, tmp_path: Path) -> Path:
    """That bundle unpacked by tar(1), to be changed."""
    subprocess.run(["tar", "xf", paper, "-C", tmp_path], check=True)
    return tmp_path / "paper"


def check(one: Path, work: Path) -> Verified:
    work.mkdir()
    return verify(one, work, Settings(work, "1GB", 1), engines=ENGINES, from_raw=_from_raw)


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]


def written(members: dict[str, bytes], target: Path) -> Path:
    with tarfile.open(target, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return target


def sums_anew(unpacked: Path) -> None:
    """As who changes a bundle and hides it would: SHA256SUMS of the files as they are now."""
    told = subprocess.run(
        "find . -type f ! -name SHA256SUMS -printf '%P\\n' | sort | xargs sha256sum",
        shell=True, cwd=unpacked, check=True, capture_output=True,
    )  # fmt: skip
    (unpacked / "SHA256SUMS").write_bytes(told.stdout)


@pytest.fixture
def project(small: Sky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a project with a model and a parameter of its own, built with another limit."""
    home = tmp_path / "home"
    make_own(home, example=False)
    shutil.copytree(small.settings.warehouse, home / "warehouse")
    (home / "models" / "bright_sample.sql").write_text(MODEL)
    with (home / "00_parameters.sql").open("a") as out:
        out.write("SET VARIABLE bright_j_mag = 10.5;  -- [mag] a limit of one's own\n")
    monkeypatch.chdir(home)
    done = run("build", "--set", "rapid_u_sigma_min=9.5", "-q")
    assert done.exit_code == 0, done.output
    return home


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_made_moved_and_rebuilt_without_a_network(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "FIGURES", dict(list(figures.FIGURES.items())[:1]))
    made = run("bundle", "paper.tar.gz", "--json")
    assert made.exit_code == 0, made.output
    with open_warehouse(Settings(project / "warehouse", "1GB", 1)) as house:
        built = dict(house.rows("SELECT model, content_hash FROM meta.model WHERE kind = 'table'"))
        [[bright]] = house.rows("SELECT count(*) FROM bright_sample")
    away = tmp_path / "away"
    away.mkdir()
    shutil.move(project / "paper.tar.gz", away)
    shutil.rmtree(project / "warehouse")
    shutil.rmtree(project / "models")
    told = subprocess.run(
        [sys.executable, "-c", NO_INTERNET, "verify", "paper.tar.gz", "--into", "kept", "--json"],
        cwd=away, env={**os.environ, "HOME": str(away)}, capture_output=True, text=True,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert set(found["models"]) == built.keys() > {"candidates", "bright_sample"}
    with open_warehouse(Settings(away / "kept" / "warehouse", "1GB", 1)) as house:
        assert dict(house.rows("SELECT model, content_hash FROM meta.model WHERE kind = 'table'")) == built
        assert house.rows("SELECT value FROM meta.parameter WHERE name = 'rapid_u_sigma_min'") == [("9.5",)]
        assert house.rows("SELECT count(*) FROM bright_sample") == [(bright,)]
    assert bright


@pytest.mark.skipif(
    subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode != 0,
    reason="namespaces without network are not allowed here",
)
@pytest.mark.slow
def test_it_is_rebuilt_where_there_is_no_network_at_all(paper: Path) -> None:
    command = ["unshare", "-rn", sys.executable, "-m", "skysy", "verify", str(paper), "-q"]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert "The bundle holds." in told.stdout


def test_the_same_warehouse_gives_the_same_bytes(small: Sky, paper: Path, tmp_path: Path) -> None:
    bundle(small.settings, tmp_path / "paper.tar", draw=no_figures, engines=ENGINES)
    assert (tmp_path / "paper.tar").read_bytes() == paper.read_bytes()
    for place in ("a", "b"):
        bundle(small.settings, tmp_path / place / "paper.tgz", draw=no_figures, engines=ENGINES)
    first, second = (tmp_path / place / "paper.tgz" for place in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert members(first).keys() == members(tmp_path / "paper.tar").keys()


def test_it_holds_what_its_page_says(unpacked: Path, small: Sky) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=unpacked, check=True)
    page = (unpacked / "README.md").read_text()
    for name in re.findall(r"`([\w./]+)`", page.split("| here |")[1]):
        if name not in ("warehouse/raw/", "own/", "meta"):
            assert (unpacked / name).exists() or (unpacked / "ledger" / name).exists(), name
    with open_warehouse(small.settings) as house:
        chunks = house.rows("SELECT chunk_id, source, sha256 FROM meta.chunk ORDER BY 1")
    with (unpacked / "ledger" / "chunk.csv").open(newline="") as rows:
        told = sorted((int(row["chunk_id"]), row["source"], row["sha256"]) for row in csv.DictReader(rows))
    assert told == chunks
    names = {path.relative_to(unpacked / "sql").as_posix() for path in (unpacked / "sql").rglob("*.*")}
    assert {"00_parameters.sql", "contract/skymapper_dr2.yaml", "archive/skymapper_dr2/sample.adql"} <= names
    assert not any("dr4" in name or "s82" in name for name in names)


def test_duckdb_reads_its_warehouse_by_itself(unpacked: Path) -> None:
    with duckdb.connect(str(unpacked / "warehouse/skysy.duckdb"), read_only=True) as con:
        for line in (unpacked / "parameters.sql").read_text().splitlines():
            con.execute(line)
        query = (unpacked / "sql/30_marts/cut_flow.sql").read_text()
        asked = con.execute(f"FROM ({query.rstrip().rstrip(';')}\n) ORDER BY ALL").fetchall()
        assert asked == con.execute("FROM cut_flow ORDER BY ALL").fetchall() != []


@pytest.mark.slow
def test_an_unpacked_bundle_is_verified_and_left_alone(unpacked: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in unpacked.rglob("*")}
    assert "candidates" in check(unpacked, tmp_path / "work").models
    assert {path: path.stat().st_mtime_ns for path in unpacked.rglob("*")} == before


def changed_result(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("UPDATE candidates SET ug_mag = ug_mag + 0.001 WHERE rank = 1")


def one_candidate_less(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("DELETE FROM candidates WHERE rank = 1")


def changed_archive_row(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("UPDATE dr2.photometry SET mag_psf = mag_psf + 1 WHERE rowid = 5")


def result_gone(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("DROP TABLE candidates")


def changed_ledger(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("UPDATE meta.chunk SET content_hash = '1-2-3' WHERE table_name = 'dr2.images'")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (changed_result, "candidates"),
        pytest.param(changed_archive_row, "dr2.photometry", marks=pytest.mark.slow),
        pytest.param(one_candidate_less, "candidates", marks=pytest.mark.slow),
        pytest.param(result_gone, "candidates", marks=pytest.mark.slow),
        pytest.param(changed_ledger, "dr2.images", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_rows_that_were_changed_are_found_out_though_the_checksums_agree(
    unpacked: Path, tmp_path: Path, spoil: Callable[[duckdb.DuckDBPyConnection], None], named: str
) -> None:
    with duckdb.connect(str(unpacked / "warehouse/skysy.duckdb")) as con:
        spoil(con)
    sums_anew(unpacked)
    with pytest.raises(NotReproduced, match=named):
        check(unpacked, tmp_path / "work")


def test_sql_that_was_changed_is_found_out_though_the_checksums_agree(unpacked: Path, tmp_path: Path) -> None:
    parameters = unpacked / "parameters.sql"
    parameters.write_text(re.sub(r"(rapid_u_sigma_min = )[\d.]+", r"\g<1>5", parameters.read_text()))
    sums_anew(unpacked)
    with pytest.raises(NotReproduced, match="candidates: the result built anew"):
        check(unpacked, tmp_path / "work")


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda m: m | {"paper/CITE.md": flipped(m["paper/CITE.md"])}, "CITE.md has other bytes"),
        (lambda m: {name: data for name, data in m.items() if name != "paper/CITE.md"}, "CITE.md is missing"),
        (lambda m: {"paper/more.txt": b"more"} | m, "more.txt is not in SHA256SUMS"),
        (lambda m: {name: data for name, data in m.items() if name != "paper/SHA256SUMS"}, "has no SHA256SUMS"),
        (lambda m: {"paper/../../evil": b"evil"} | m, "is not a file of a bundle"),
        (lambda m: {"/evil": b"evil"} | m, "is not a file of a bundle"),
    ],
)  # fmt: skip
def test_a_changed_file_is_named(
    paper: Path, tmp_path: Path, spoil: Callable[[dict[str, bytes]], dict[str, bytes]], words: str
) -> None:
    other = written(spoil(members(paper)), tmp_path / "other.tar")
    with pytest.raises(FileDamaged, match=words):
        check(other, tmp_path / "work")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("part", [0, 10, 700, 100_000, -30_000])
@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_a_cut_bundle_is_refused(paper: Path, tmp_path: Path, part: int, ending: str) -> None:
    whole = paper.read_bytes()
    cut = tmp_path / f"cut{ending}"
    cut.write_bytes((gzip.compress(whole, 1, mtime=0) if ending.endswith("gz") else whole)[:part])
    with pytest.raises(FileDamaged, match="is cut"):
        check(cut, tmp_path / "work")


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no bundle"):
        check(tmp_path / "none.tar", tmp_path / "a")
    (tmp_path / "directory").mkdir()
    with pytest.raises(FileDamaged, match="has no SHA256SUMS"):
        check(tmp_path / "directory", tmp_path / "b")


def test_a_bundle_of_another_layout_names_the_skysy_that_wrote_it(unpacked: Path, tmp_path: Path) -> None:
    manifest = json.loads((unpacked / "bundle.json").read_text())
    (unpacked / "bundle.json").write_text(json.dumps(manifest | {"format": 99, "skysy": "9.9"}))
    sums_anew(unpacked)
    with pytest.raises(FileDamaged, match="layout 99") as told:
        check(unpacked, tmp_path / "work")
    assert "9.9" in told.value.remedy


def test_a_build_of_other_sql_is_not_bundled(project: Path) -> None:
    (project / "models" / "bright_sample.sql").write_text(MODEL.replace("<", "<="))
    refused = run("bundle", "paper.tar")
    assert isinstance(refused.exception, ModelError)
    assert "bright_sample" in refused.exception.message
    (project / "skysy.toml").unlink()
    refused = run("bundle", "paper.tar")
    assert isinstance(refused.exception, ModelError), refused.output
    assert "of the SQL at hand: there is no parameter " in refused.exception.message
    assert "where your skysy.toml is" in refused.exception.remedy
    assert not list(project.glob("*paper*"))


def test_a_file_that_is_there_is_kept(small: Sky, tmp_path: Path) -> None:
    target = tmp_path / "paper.tar"
    target.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        bundle(small.settings, target, draw=no_figures, engines=ENGINES)
    assert target.read_text() == "mine"
    for name in ("paper.zip", ".tar", "...tar"):
        with pytest.raises(UsageError, match="not the name of a tar file"):
            bundle(small.settings, tmp_path / name, draw=no_figures, engines=ENGINES)


def test_what_a_killed_bundle_left_goes_with_the_next(small: Sky, tmp_path: Path) -> None:
    target = tmp_path / "paper.tar"
    killed = (
        "import os, sys; from pathlib import Path; from skysy.bundle import bundle; from skysy.config import Settings\n"
        "from skysy.cli.build import known_engines\n"
        f"where = Settings(Path({str(small.settings.warehouse)!r}), '1GB', 1)\n"
        f"bundle(where, Path({str(target)!r}), draw=lambda *_: os.kill(os.getpid(), 9), engines=known_engines())"
    )
    assert subprocess.run([sys.executable, "-c", killed]).returncode == -9
    assert [path.name for path in tmp_path.iterdir()] != []
    bundle(small.settings, target, draw=no_figures, engines=ENGINES)
    assert list(tmp_path.iterdir()) == [target]


def test_a_bundle_is_not_written_among_the_answers_that_go_into_it(small: Sky) -> None:
    target = small.settings.warehouse / "raw" / "paper.tar"
    with pytest.raises(UsageError, match="holds the answers of the archives"):
        bundle(small.settings, target, draw=no_figures, engines=ENGINES, raw=True)
    assert not target.parent.exists()


def test_a_snapshot_of_results_is_no_bundle(small: Sky, tmp_path: Path) -> None:
    here = Settings(tmp_path / "warehouse", "1GB", 1)
    shutil.copytree(small.settings.warehouse, here.warehouse)
    publish(here, only_results=True)
    with pytest.raises(ModelError, match="holds results only"):
        bundle(here.published, tmp_path / "paper.tar", draw=no_figures, engines=ENGINES)
    assert not (tmp_path / "paper.tar").exists()
    publish(here)
    bundle(here.published, tmp_path / "paper.tar", draw=no_figures, engines=ENGINES)


def test_the_readme_names_its_file_as_a_shell_takes_it(small: Sky, tmp_path: Path) -> None:
    target = tmp_path / "my paper's.tar"
    bundle(small.settings, target, draw=no_figures, engines=ENGINES)
    text = members(target)["my paper's/README.md"].decode()
    [line] = [line for line in text.splitlines() if line.startswith("    skysy verify ")]
    assert shlex.split(line) == ["skysy", "verify", target.name]


def test_verify_writes_into_an_empty_directory_outside_of_the_bundle_only(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    for into, told in [
        (tmp_path / "file", "no empty directory"),
        (tmp_path, "no empty directory"),
        (unpacked / "out", "lies in the bundle"),
        (tmp_path / "a?b", "question mark"),
    ]:
        refused = run("verify", str(unpacked), "--into", str(into))
        assert isinstance(refused.exception, UsageError), refused.output
        assert told in refused.exception.message
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bundle_that_is_read_only_is_copied_to_be_written(unpacked: Path, tmp_path: Path) -> None:
    (unpacked / "bundle.json").write_text("{}")
    sums_anew(unpacked)
    for path in unpacked.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with pytest.raises(FileDamaged, match="has the layout None"):
            check(unpacked, tmp_path / "work")
        copied = list((tmp_path / "work").rglob("*"))
        assert tmp_path / "work/warehouse/skysy.duckdb" in copied
        assert [path for path in copied if not path.stat().st_mode & 0o200] == []
    finally:
        for path in unpacked.rglob("*"):
            path.chmod(0o755)


@pytest.mark.parametrize("said", ["[]", '{"format": 1}', "\x00"])
def test_a_manifest_that_says_nothing_is_no_bundle(unpacked: Path, tmp_path: Path, said: str) -> None:
    (unpacked / "bundle.json").write_text(said)
    sums_anew(unpacked)
    with pytest.raises(FileDamaged, match=r"bundle\.json"):
        check(unpacked, tmp_path / "work")


def test_checksums_that_are_no_text_and_members_of_one_name_are_damage(unpacked: Path, tmp_path: Path) -> None:
    (unpacked / "SHA256SUMS").write_bytes(b"\xff\xfe")
    with pytest.raises(FileDamaged, match="is not in SHA256SUMS"):
        check(unpacked, tmp_path / "work")
    with tarfile.open(tmp_path / "twice.tar", "w") as tar:
        tar.add(unpacked / "README.md", "paper/README.md")
        tar.add(unpacked / "README.md", "paper/README.md")
    with pytest.raises(FileDamaged, match="two members of one name"):
        check(tmp_path / "twice.tar", tmp_path / "again")


def test_on_a_full_disk_nothing_is_left(small: Sky, tmp_path: Path) -> None:
    with no_file_beyond(1_000_000), pytest.raises(WarehouseFull, match="disk is full"):
        bundle(small.settings, tmp_path / "paper.tar", draw=no_figures, engines=ENGINES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_kept_answers_give_the_archive_rows_again(user: Client, tmp_path: Path) -> None:
    user.load()
    user.build()
    target = tmp_path / "paper.tar"
    bundle(user.settings, target, draw=no_figures, engines=ENGINES, raw=True)
    user.archive.forget()
    told = check(target, tmp_path / "work")
    assert user.archive.requests == []
    assert told.raw is not None
    assert {"dr2.master", "dr2.photometry", "simbad.matches"} <= set(told.raw)
    subprocess.run(["tar", "xf", target, "-C", tmp_path], check=True)
    answer = max((tmp_path / "paper/warehouse/raw").glob("*.vot"), key=lambda path: path.stat().st_size)
    answer.write_bytes(answer.read_bytes().replace(b"20150", b"20151", 1) + b" ")
    sums_anew(tmp_path / "paper")
    with pytest.raises(SkysyError):
        check(tmp_path / "paper", tmp_path / "again")
    queries = (tmp_path / "paper/ledger/queries.adql").read_text()
    assert "FROM dr2.photometry" in queries
    assert "simbad.matches at" in queries
