"""Readers that are too heavy for the everyday tests: LSDB and what comes with it, in a Python of its own, and STILTS.

`make test-peers` makes that Python and names it in SKYSY_LSDB_PYTHON; without the variable the tests' own is asked.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from exports import Read, Reader, arrow_name, by_stilts

PYTHON = str(Path(os.environ.get("SKYSY_LSDB_PYTHON", sys.executable)).absolute())
STILTS: dict[tuple[str, str], Reader] = {(form, "STILTS"): by_stilts for form in ("votable", "fits")}

# LSDB gives values in the order of its cells, with NULL and NaN apart; Parquet keeps them on the way here.
_LSDB = """
import json, sys
import lsdb, pyarrow as pa, pyarrow.parquet as pq
if __name__ == "__main__":
    catalogue = lsdb.open_catalog(sys.argv[1])
    rows = pa.Table.from_pandas(catalogue.compute(), preserve_index=False).replace_schema_metadata()
    pq.write_table(rows, sys.argv[2])
    told = {}
    for field in catalogue.original_schema:
        told[field.name] = {key.decode(): text.decode() for key, text in (field.metadata or {}).items()}
    print(json.dumps(told))
"""


@cache
def lacks() -> str:
    """Why LSDB cannot be asked; empty where it can."""
    if subprocess.run([PYTHON, "-c", "import lsdb"], capture_output=True, check=False).returncode:
        return "no lsdb: `make test-peers` brings it, or name a Python that has it in SKYSY_LSDB_PYTHON"
    return ""


def need_lsdb() -> None:
    """Skip in words where there is no LSDB."""
    if lacks():
        pytest.skip(lacks())


def need_stilts() -> None:
    """Skip in words where there is no STILTS."""
    if not shutil.which("stilts"):
        pytest.skip("no `stilts` on PATH: Debian has it as a package")


def ask_lsdb(code: str, *words: object) -> str:
    """The last line that a program prints in the Python that has LSDB; it may start workers, so its work is under __main__."""
    need_lsdb()
    with tempfile.TemporaryDirectory() as there:
        program = Path(there) / "ask.py"
        program.write_text(code)
        asked = subprocess.run(
            [PYTHON, program, *map(str, words)], capture_output=True, text=True, check=False, cwd=there
        )
    assert asked.returncode == 0, asked.stderr
    return asked.stdout.splitlines()[-1] if asked.stdout else ""


def by_lsdb(path: Path) -> dict[str, Read]:
    """As `lsdb.open_catalog` and `compute` have it, sorted as the tests sort rows."""
    with tempfile.TemporaryDirectory() as there:
        rows = Path(there) / "rows.parquet"
        told = json.loads(ask_lsdb(_LSDB, path, rows))
        table = pq.read_table(rows)
    table = table.sort_by([(name, "ascending") for name in table.column_names])
    found = {}
    for one in table.schema:
        notes = told[one.name]
        found[one.name] = Read(
            arrow_name(one.type), notes.get("unit"), notes.get("ucd"), notes.get("description"),
            table.column(one.name).to_pylist(),
        )  # fmt: skip
    return found


LSDB: dict[tuple[str, str], Reader] = {("hats", "lsdb"): by_lsdb}
