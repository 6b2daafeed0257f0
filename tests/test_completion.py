"""Tab offers what there is: commands, options, names and objects, and nothing where the warehouse cannot be read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import typer
from conftest import Sky
from typer.testing import CliRunner

from skysy.cli import complete
from skysy.cli.commands import app
from skysy.store import open_warehouse


def offers(line: str, warehouse: Path | None = None) -> list[str]:
    """What Bash gets for a command line, the cursor at its end."""
    words = line.split(" ")
    env = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_SKYSY_COMPLETE": "complete_bash"}
    done = CliRunner().invoke(app, [], env=env | {"SKYSY_WAREHOUSE": str(warehouse or "nowhere")}, prog_name="skysy")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "among"),
    [
        ("skysy pl", ["plan"]),
        ("skysy status --ch", ["--checksums"]),
        ("skysy load --release skymapper_dr", ["skymapper_dr2", "skymapper_dr4"]),
        ("skysy build --release skymapper_dr2", ["skymapper_dr2"]),
        ("skysy refresh --route s", ["sample", "simbad"]),
        ("skysy export DIR --format h", ["hats"]),
        ("skysy simulate DIR --format f", []),
        ("skysy simulate DIR --format votable-b", ["votable-binary2", "votable-binary"]),
        ("skysy match a b --find ", ["best", "all"]),
        ("skysy test --cases CASES colo", ["colours"]),
        ("skysy figures DIR --only figure1_", ["figure1_selection"]),
        ("skysy build --set j_m", ["j_mag_max=14.0"]),
        ("skysy plan --release skymapper_dr2 --set sequence_image_", ["sequence_image_types="]),
        ("skysy load --set rapid_f", ["rapid_filter=u"]),
        ("skysy build --set sequence_exposures_m", ["sequence_exposures_max=10"]),
        ("skysy build --release sdss_s82 --set sequence_exposures_m", ["sequence_exposures_max=1000"]),
    ],
)
def test_names_are_offered(line: str, among: list[str]) -> None:
    assert offers(line.replace("CASES", str(Path(__file__).parent / "unit"))) == among


def test_tables_and_objects_come_from_the_warehouse(simulated: Sky) -> None:
    where = simulated.settings.warehouse
    with open_warehouse(simulated.settings) as house:
        ranked = [str(row[0]) for row in house.rows("SELECT object_id FROM candidates ORDER BY rank")]
        sample = {str(row[0]) for row in house.rows("SELECT object_id FROM sample")}
    assert offers("skysy export DIR --table ca", where) == ["candidates"]
    assert offers("skysy match dr2.ma", where) == ["dr2.master"]
    assert offers("skysy why ", where) == ranked[: complete.OBJECTS]
    assert offers(f"skysy why {ranked[0][:-1]}", where)[0] == ranked[0]
    quiet = min(sample - set(ranked))
    assert quiet in offers(f"skysy why {quiet[:-1]}", where)
    assert set(offers(f"skysy why {quiet[:3]}", where)) <= {one for one in sample if one.startswith(quiet[:3])}
    assert offers(f"skysy why {quiet}0", where) == []
    assert offers("skysy why 12.5,-3", where) == []


def test_a_warehouse_on_the_command_line_is_the_one_that_is_asked(simulated: Sky) -> None:
    assert offers(f"skysy export DIR --warehouse {simulated.settings.warehouse} --table kn") == ["known_recovery"]


def test_a_warehouse_that_cannot_be_read_offers_nothing(tmp_path: Path) -> None:
    garbled = tmp_path / "garbled"
    garbled.mkdir()
    (garbled / "skysy.duckdb").write_bytes(b"no database")
    for where in (tmp_path / "none", garbled):
        for line in ("skysy why 1", "skysy why ", "skysy export DIR --table "):
            assert offers(line, where) == []


def test_a_locked_warehouse_offers_nothing_or_its_snapshot(simulated: Sky, tmp_path: Path) -> None:
    busy = tmp_path / "busy"
    busy.mkdir()
    code = f"import duckdb, sys; con = duckdb.connect({str(busy / 'skysy.duckdb')!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(duckdb.IOException, match="lock"):
            duckdb.connect(str(busy / "skysy.duckdb"), read_only=True)
        assert offers("skysy export DIR --table ca", busy) == []
        (busy / "published").symlink_to(simulated.settings.warehouse)
        assert offers("skysy export DIR --table ca", busy) == ["candidates"]
        writer.communicate("")


def test_no_error_of_a_completer_reaches_the_command_line() -> None:
    @complete.silent
    def broken(incomplete: str) -> list[complete.Offer]:
        raise RuntimeError("no such thing")

    probe = typer.Typer()

    @probe.command()
    def main(name: str = typer.Option("", autocompletion=broken)) -> None:
        """Nothing."""

    env = {"COMP_WORDS": "probe --name ", "COMP_CWORD": "2", "_PROBE_COMPLETE": "complete_bash"}
    done = CliRunner().invoke(probe, [], env=env, prog_name="probe")
    assert (done.exit_code, done.output.strip()) == (0, "")


@pytest.mark.parametrize(
    ("shell", "asked", "answer"),
    [
        ("bash", {"COMP_WORDS": "skysy load --release skymapper_dr4", "COMP_CWORD": "3"}, "skymapper_dr4"),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "skysy why"}, '"why":"The story of one star."'),
        (
            "fish",
            {"_TYPER_COMPLETE_ARGS": "skysy why", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
            "why\tThe story of one star.",
        ),
    ],
)
def test_the_installed_command_answers_each_shell(shell: str, asked: dict[str, str], answer: str) -> None:
    program = Path(sys.executable).with_name("skysy")
    env = {**os.environ, **asked, "_SKYSY_COMPLETE": f"complete_{shell}"}
    done = subprocess.run([program], env=env, capture_output=True, text=True, check=True)
    assert answer in done.stdout
    assert done.stderr == ""


def test_bash_itself_completes_with_what_skysy_shows(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("skysy")
    env = {**os.environ, "_SKYSY_COMPLETE": "source_bash", "PATH": f"{program.parent}:{os.environ['PATH']}"}
    script = subprocess.run([program], env=env, capture_output=True, text=True, check=True).stdout
    ask = "COMP_WORDS=(skysy doctor --rel); COMP_CWORD=2; _skysy_completion skysy --rel doctor; echo ${COMPREPLY[@]}"
    del env["_SKYSY_COMPLETE"]
    done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "--release"
