"""Shells that hold the snapshot open lose nothing while the warehouse is loaded, built and published under them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from skysy.analysis.simulate.write import simulate
from typer.testing import CliRunner

from skysy.cli import query
from skysy.cli.commands import app

OBJECTS, BATCH, SEED = 1_000, 500, 7
PAUSE_S = 0.05


def question(*tables: str) -> str:
    """A query whose answer is one line: the number of rows of each table and a hash of all that is in them."""
    figures = " UNION ALL ".join(
        f"SELECT '{table}' AS t, count(*) AS n, CAST(sum(hash(x)) % 1000000007 AS BIGINT) AS h FROM {table} AS x"
        for table in tables
    )
    return f"SELECT string_agg(concat_ws(' ', t, n, h), ' | ' ORDER BY t) FROM ({figures});\n"


ASK = question("dr2.photometry", "int_selection__cuts", "candidates")
LATE = question("dr2.master", "measurements", "sample")
"""Asked only after all: what a shell has asked for once it may still hold in memory."""
PYTHON = (
    "import sys, duckdb\ncon = duckdb.connect(sys.argv[1], read_only=True)\n"
    "for line in sys.stdin:\n    print(con.execute(line).fetchone()[0], flush=True)\n"
)


class Reader:
    """Another process that holds a database open and answers a line of SQL with a line, asked again and again by a thread."""

    def __init__(self, words: list[str]) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.child = subprocess.Popen(words, text=True, **pipes)
        self.answers = [self._ask(ASK)]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def _ask(self, line: str) -> str:
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        with suppress(BrokenPipeError):  # one that has ended over an error answers nothing
            self.child.stdin.write(line)
            self.child.stdin.flush()
        return self.child.stdout.readline()

    def _go_on(self) -> None:
        while self.answers[-1] and not self._ended.wait(PAUSE_S):
            self.answers.append(self._ask(ASK))

    def close(self) -> tuple[str, str, int]:
        """Its answer to LATE, what it said of errors, and its exit code."""
        self._ended.set()
        self._thread.join()
        self.answers.append(self._ask(ASK))
        late = self._ask(LATE)
        wrong = self.child.communicate()[1]
        return late, wrong, self.child.returncode


@contextmanager
def reader(words: list[str]) -> Iterator[Reader]:
    made = Reader(words)
    try:
        yield made
    finally:
        made.child.kill()


def test_shells_read_on_through_a_load_a_build_and_a_publish_and_see_the_new_when_they_open_again(
    tmp_path: Path,
) -> None:
    program = query.find_shell()
    if program is None:
        pytest.skip("no duckdb shell: pip install 'skysy[shell]'")
    files, more, warehouse = tmp_path / "files", tmp_path / "more", tmp_path / "warehouse"
    simulate(files, objects=OBJECTS, seed=SEED, batch=BATCH)
    more.mkdir()
    second = sorted(files.glob("*.part001.*"))
    assert len(second) > 4
    for path in second:
        shutil.move(path, more)

    def run(*words: str) -> None:
        done = CliRunner().invoke(app, [*words, "--warehouse", str(warehouse)])
        assert done.exit_code == 0, (done.output, done.exception)

    def renew(directory: Path) -> None:
        run("load", "--quiet", "--release", "skymapper_dr2", "--from", str(directory))
        run("build", "--quiet")
        run("publish")

    renew(files)
    snapshot = str(warehouse / "published" / "skysy.duckdb")
    shells = [[sys.executable, "-c", PYTHON, snapshot], [program, "-readonly", "-bail", "-csv", "-noheader", snapshot]]
    before = opened(shells)
    with ExitStack() as stack:
        readers = [stack.enter_context(reader(words)) for words in shells]
        renew(more)
        ended = [one.close() for one in readers]
    assert ended == [(late, "", 0) for _, late in before]
    for one, (first, _) in zip(readers, before, strict=True):
        assert set(one.answers) == {first}
        assert len(one.answers) > 4
    for (old, old_late), (new, new_late) in zip(before, opened(shells), strict=True):
        assert len({"", old, old_late, new, new_late}) == 5


def opened(shells: list[list[str]]) -> list[tuple[str, str]]:
    """The answers to ASK and LATE of shells that open the snapshot now."""
    told = [subprocess.run(one, input=ASK + LATE, capture_output=True, text=True, check=True).stdout for one in shells]
    return [tuple(one.splitlines(keepends=True)) for one in told]
