"""What every command does alike: exit codes as written down, JSON alone on standard output, no colour where none is wanted."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from archive_client import Client, little, user
from conftest import Sky
from skysy.loaders.archive.run import Tally
from skysy.loaders.archive.services import load_services
from typer.testing import CliRunner, Result

from skysy.cli import archive, load
from skysy.cli.commands import COMMANDS, app, command
from skysy.cli.query import find_shell
from skysy.config import Settings
from skysy.errors import SkysyError, UsageError, WarehouseMissing, WarehouseReadOnly
from skysy.formats.whole import whole_directory, whole_file
from skysy.log import LOG
from skysy.store import create, open_warehouse

__all__ = ["little", "user"]

DR2 = ("--release", "skymapper_dr2")
NONE = ("--release", "skymapper_dr3")
STOPPED = "".join(
    f"[services.{name}]\nurl = 'http://127.0.0.1:1/tap'\ntries = 1\npause_s = 0.0\n"
    for name in load_services().services
)
"""Every service is sent to a port where nobody listens."""
WORDS = {
    "plan": DR2, "load": (*DR2, "--from", "ARCHIVE"), "refresh": DR2, "why": ("1",), "match": ("a", "b", "--radius", "1", "--out", "c.csv"),
    "sql": ("SELECT 1",), "figures": ("plots",), "export": ("files",), "recover": ("ARCHIVE",), "diff": ("HOUSE", "stricter"),
    "bundle": ("paper.tar",), "lightcurve": ("damaged/lc.fits", "--object", "1"),
}  # fmt: skip
"""What a command cannot do without."""
SIX = {
    "plan": NONE, "load": (*NONE, "--from", "ARCHIVE"), "refresh": NONE, "doctor": NONE, "build": (*NONE, "--explain"), "why": ("1",),
    "match": WORDS["match"], "sql": ("SELECT 1", "--published"), "shell": ("--published",), "figures": ("plots", "--only", "no"),
    "export": ("files", "--table", "no"), "products": ("--mission", "no"), "recover": ("nowhere",), "test": ("--cases", "nowhere"),
}  # fmt: skip
"""Names that there are not, asked of a built warehouse, which other tests read meanwhile: nothing here may open it for writing."""
LIVE = {"plan": DR2, "load": DR2, "refresh": DR2, "doctor": DR2}
"""Archives that do not answer."""
CASES = [
    *((name, 3, WORDS.get(name, ()), "garbled") for name, one in COMMANDS.items() if 3 in one[2] and name != "demo"),
    ("load", 4, (*DR2, "--from", "damaged"), "fresh"),
    ("lightcurve", 4, (*DR2, *WORDS["lightcurve"], "--comparison"), "fresh"),
    ("lightcurve", 6, (*NONE, *WORDS["lightcurve"]), "fresh"),
    ("lightcurve", 7, (*DR2, "https://127.0.0.1:1/lc.fits", "--object", "1"), "fresh"),
    ("verify", 4, ("damaged",), ""),
    ("verify", 6, ("nowhere.tar",), ""),
    ("match", 4, ("damaged/dr2.master.parquet", "b.csv", "--radius", "1", "--out", "c.csv"), "built"),
    *((name, 5, WORDS.get(name, ()), "fresh") for name, one in COMMANDS.items() if 5 in one[2] and name not in ("demo", "test", "verify")),
    ("test", 5, ("--cases", "damaged"), ""),
    *((name, 6, words, "built") for name, words in SIX.items()),
    *((name, 7, words, "fresh") for name, words in LIVE.items()),
]  # fmt: skip


ELSEWHERE = {("verify", 5), ("products", 4), ("products", 7)}
"""Met in tests/test_bundle.py, which makes a bundle, and tests/test_mast_files.py, which has MAST."""


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def code(done: Result) -> int:
    """The exit code that `main` makes of it."""
    return done.exception.exit_code if isinstance(done.exception, SkysyError) else done.exit_code


def test_every_exit_code_that_a_command_names_has_its_case() -> None:
    declared = {(name, code) for name, one in COMMANDS.items() for code in one[2] if name != "demo"}  # its steps' codes
    assert {(name, code) for name, code, _, _ in CASES} | ELSEWHERE == declared


@pytest.mark.parametrize(("name", "expected", "words", "house"), CASES, ids=[f"{one[0]}-{one[1]}" for one in CASES])
def test_an_exit_code_is_as_the_command_names_it(
    name: str, expected: int, words: tuple[str, ...], house: str,
    simulated: Sky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if name == "shell" and find_shell() is None:
        pytest.skip("no duckdb shell: pip install 'skysy[shell]'")
    monkeypatch.chdir(tmp_path)
    for directory in ("garbled", "damaged"):
        Path(directory).mkdir()
    Path("garbled/skysy.duckdb").write_text("no database")
    Path("damaged/dr2.master.parquet").write_text("no Parquet")
    Path("damaged/lc.fits").write_text("no FITS")
    Path("damaged/sample.yaml").write_text("no: list")
    Path("b.csv").write_text("id,ra,dec\n1,2,3\n")
    Path("skysy.toml").write_text(STOPPED)
    Path("built").symlink_to(simulated.settings.warehouse)
    create(Settings(Path("fresh"), "1GB", 1))
    given = [{"ARCHIVE": str(simulated.files), "HOUSE": house}.get(word, word) for word in words]
    place = [] if name in ("diff", "doctor", "test", "verify") else ["--warehouse", house]
    done = invoke(name, *given, *place)
    assert code(done) == expected, (done.output, done.exception)
    assert done.stdout == "" or name == "doctor"  # which tells what it found


@pytest.mark.parametrize(
    "words",
    [
        ("status",), ("candidates",), ("build", "--explain"), ("sql", "FROM cut_flow"), ("publish",), ("cite",), ("why", "CANDIDATE", "-v"),
        ("export", "files", "--table", "candidates"), ("match", "sample", "sample", "--radius", "1", "--out", "pairs.csv"),
        ("load", *DR2, "--from", "ARCHIVE", "--dry-run"), ("init", "mine"),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_json_stands_alone_on_standard_output(
    words: tuple[str, ...], simulated: Sky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    where = simulated.settings.warehouse
    if words[0] == "publish":
        where = tmp_path / "own"
        where.mkdir()
        (where / "skysy.duckdb").write_bytes(simulated.settings.database.read_bytes())
    with open_warehouse(simulated.settings) as house:
        first = str(house.value("SELECT object_id FROM candidates WHERE rank = 1"))
    given = [{"ARCHIVE": str(simulated.files), "CANDIDATE": first}.get(word, word) for word in words]
    done = invoke(*given, "--json", *([] if words[0] == "init" else ["--warehouse", str(where)]))
    assert done.exit_code == 0, (done.output, done.exception)
    json.loads(done.stdout)


def test_verbose_tells_statements_and_requests_until_the_command_ends(simulated: Sky, user: Client) -> None:
    where = ("--warehouse", str(simulated.settings.warehouse))
    told = invoke("sql", "SELECT 6 * 7 -- the answer\n AS answer", "-v", "--json", *where)
    assert json.loads(told.stdout) == [{"answer": 42}]
    assert [line for line in told.stderr.splitlines() if line.endswith(" s  SELECT 6 * 7 AS answer")] != []
    asked = user.run("doctor", "--verbose")
    assert f"GET {user.archive.tap_url}/capabilities  -> HTTP 200" in asked.stderr
    assert invoke("sql", "SELECT 1", *where).stderr == ""
    assert LOG.handlers == []


@pytest.mark.parametrize("name", [name for name, one in COMMANDS.items() if {3, 7} & set(one[2])])
def test_every_command_that_opens_a_warehouse_or_asks_an_archive_has_verbose(name: str) -> None:
    assert "--verbose" in [option for one in command(name).params for option in one.opts]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["whi"], "Did you mean 'why'"), (["why", "--jsn", "1"], "--json"), (["build", "--explain", "--set", "j_mag_mx=1"], "j_mag_max"),
        (["plan", "--release", "skymaper_dr2"], "skymapper_dr2"), (["simulate", "s", "--format", "parket"], "parquet"), (["doctor", "--release", "skymaper_dr2"], "skymapper_dr2"),
        (["refresh", *DR2, "--route", "smple"], "sample"), (["export", "x", "--table", "candidate"], "candidates"),
        (["figures", "x", "--only", "figure2_colors"], "figure2_colours"), (["match", "dr2.mastr", "b", "--radius", "1", "--out", "x.csv"], "dr2.master"),
        (["sql", "FROM candidatess"], "candidates"), (["sql", "SELECT objct_id FROM sample"], "object_id"),
    ],
)  # fmt: skip
def test_a_word_that_is_nearly_right_is_told_the_right_one(
    words: list[str], hint: str, simulated: Sky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKYSY_WAREHOUSE", str(simulated.settings.warehouse))
    done = invoke(*words)
    told = (
        f"{done.exception.message} {done.exception.remedy}" if isinstance(done.exception, SkysyError) else done.stderr
    )
    assert hint in told
    assert code(done) in (2, 6)


def test_a_position_may_begin_with_a_minus(simulated: Sky) -> None:
    where = ("--warehouse", str(simulated.settings.warehouse))
    for words in (("why", "-5.5,-3", *where), ("why", *where, "--", "-5.5,-3")):
        assert "is not on the sky" in str(invoke(*words).exception)


def test_a_file_in_the_place_of_a_warehouse_is_told(tmp_path: Path) -> None:
    create(Settings(tmp_path / "house", "1GB", 1))
    for name, meant in (("house/skysy.duckdb", tmp_path / "house"), ("other", "DIR")):
        (tmp_path / "other").touch()
        failed = invoke("status", "--warehouse", str(tmp_path / name)).exception
        assert isinstance(failed, WarehouseMissing)
        assert failed.remedy == f"Write --warehouse {meant}."


def test_a_directory_that_may_not_be_entered_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "exists", refuse)  # root may enter everywhere
    assert isinstance(invoke("status", "--warehouse", str(tmp_path)).exception, WarehouseReadOnly)


def test_a_place_that_cannot_be_written_is_told_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words in (("simulate", "--objects", "1000"), ("init",)):
        assert code(invoke(*words, str(tmp_path / "file" / "out"))) == 2
    for whole in (whole_file, whole_directory):
        with (
            pytest.raises(UsageError, match=r"file/out cannot be written: Not a directory"),
            whole(tmp_path / "file" / "out"),
        ):
            pass


def test_a_reader_who_has_enough_ends_the_command_without_a_word(simulated: Sky) -> None:
    words = ["sql", "FROM range(300000)", "--csv", "--warehouse", str(simulated.settings.warehouse)]
    with subprocess.Popen(
        [Path(sys.executable).with_name("skysy"), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.readline() == "range\n"
        program.stdout.close()
        assert program.stderr.read() == ""
    assert program.returncode == 1


def test_progress_bars_keep_off_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (load, archive):
        monkeypatch.setattr(module, "interactive", lambda: True)
    with load._progress(3, quiet=False):
        pass
    with archive._progress(quiet=False) as tell:
        assert tell is not None
        tell(Tally("images", "SkyMapper", {"dr2.images": 5}, {"dr2.images": 5}))
    out, err = capsys.readouterr()
    assert out == ""
    assert "loading" in err
    assert "images" in err


def test_the_help_of_skysy_loads_no_command() -> None:
    lines = (
        "from skysy.cli.commands import app; app(['--help'], standalone_mode=False); import sys; print(*sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True).stdout
    loaded = {name for name in told.splitlines()[-1].split() if name.startswith("skysy")}
    assert loaded == {"skysy", "skysy.cli", "skysy.cli.commands", "skysy.errors"}
    assert [name for name in COMMANDS if f"\n  {name} " not in told] == []


def test_a_question_that_needs_more_memory_is_told_in_words(simulated: Sky) -> None:
    where = ("--warehouse", str(simulated.settings.warehouse), "--memory-limit", "1MB")
    for words in (("status",), ("sql", "SELECT count(DISTINCT object_id) FROM dr2.photometry")):
        failed = invoke(*words, *where).exception
        assert isinstance(failed, SkysyError)
        assert "needs more memory than 1MB" in failed.message


def test_words_that_are_not_utf_8_and_terminals_that_are_not_do_no_harm(simulated: Sky) -> None:
    where = ("--warehouse", str(simulated.settings.warehouse))
    assert isinstance(invoke("sql", "SELECT '\udcff'", *where).exception, UsageError)
    words = [sys.executable, "-m", "skysy", "sql", "SELECT 'Bézier' AS name", "--csv", *where]
    done = subprocess.run(words, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=True)
    assert done.stdout == b"name\nB\\xe9zier\n"


@pytest.mark.parametrize("no_color", [True, False])
def test_colour_comes_on_a_terminal_and_not_with_no_color(simulated: Sky, no_color: bool) -> None:
    with open_warehouse(simulated.settings) as house:
        first = house.value("SELECT object_id FROM candidates WHERE rank = 1")
    ours, theirs = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    env |= {"TERM": "xterm", "COLUMNS": "40"} | ({"NO_COLOR": "1"} if no_color else {})
    lines = f"app(['candidates', '--top', '1'], standalone_mode=False); app(['why', '{first}'], standalone_mode=False)"
    words = [sys.executable, "-c", f"from skysy.cli.commands import app; {lines}"]
    env["SKYSY_WAREHOUSE"] = str(simulated.settings.warehouse)
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env) as program:
        os.close(theirs)
        told = b""
        while block := _read(ours):
            told += block
    os.close(ours)
    assert program.returncode == 0, told
    assert f"Object {first}".encode() in told
    assert (b"\x1b" in told) is not no_color


def _read(terminal: int) -> bytes:
    """What comes next; a terminal whose other side is closed gives an error in the place of an end."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
